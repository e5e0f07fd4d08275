#include "core/linediff.h"
#include "tests/lib/test.h"

#include <stdio.h>

static char *diff(const char *old, const char *fresh)
{
	struct buf out = BUF_INIT((size_t)64 << 20);
	char *s;

	cr_assert_eq(linediff(&out, slice_str(old), slice_str(fresh)), 0);
	s = buf_steal_str(&out);
	cr_assert(s);
	return s;
}

Test(linediff, prints_what_git_prints)
{
	static const struct {
		const char *old, *fresh, *hunks;
	} rows[] = {
		{ "", "", "" },
		{ "a\n", "a\n", "" },
		{ "", "a\n", "@@ -0,0 +1 @@\n+a\n" },
		{ "a\n", "", "@@ -1 +0,0 @@\n-a\n" },
		{ "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n" },
		{ "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
		{ "a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n" },
		{ "a\nx", "b\nx", "@@ -1,2 +1,2 @@\n-a\n+b\n x\n\\ No newline at end of file\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
		  "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n" },
		/* six equal lines between two changes: one hunk; seven: two */
		{ "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
		  "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n" },
		{ "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
		  "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@ a\n 5\n 6\n 7\n-b\n+B\n" },
		/* what a hunk is in */
		{ "f() {\n 1\n 2\n 3\n 4\n}\n", "f() {\n 1\n 2\n 3\n 5\n}\n",
		  "@@ -2,5 +2,5 @@ f() {\n  1\n  2\n  3\n- 4\n+ 5\n }\n" },
		/* an added block begins where it begins */
		{ " a\n }\n b\n", " a\n }\n x\n }\n b\n",
		  "@@ -1,3 +1,5 @@\n  a\n  }\n+ x\n+ }\n  b\n" },
		{ "\r\n", "\n", "@@ -1 +1 @@\n-\r\n+\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *got = diff(rows[i].old, rows[i].fresh);

		if (strcmp(got, rows[i].hunks) != 0)
			(void)fprintf(stderr, "row %zu: got\n%s\nnot\n%s\n", i, got, rows[i].hunks);
		cr_expect(strcmp(got, rows[i].hunks) == 0);
	}
}

/* Applies hunks as patch(1) does, strictly; false if they do not fit. */
static bool apply(struct buf *out, const char *old, const char *hunks)
{
	size_t at = 0; /* lines of `old` that are done */

	while (*hunks) {
		unsigned long start;

		if (strncmp(hunks, "@@ -", 4) != 0)
			return false;
		start = strtoul(hunks + 4, NULL, 10);
		if (strncmp(strchr(hunks, '-') + strcspn(strchr(hunks, '-'), ", "), ",0", 2) != 0)
			start--; /* of an empty range it is the line before */
		for (; at < start; at++) {
			size_t n = strcspn(old, "\n") + 1;

			buf_add(out, old, n);
			old += n;
		}
		for (hunks = strchr(hunks, '\n') + 1; *hunks && *hunks != '@';) {
			size_t n = strcspn(hunks, "\n") + 1;

			if (*hunks != '+') {
				if (strncmp(old, hunks + 1, n - 1) != 0)
					return false;
				old += n - 1;
				at++;
			}
			if (*hunks != '-')
				buf_add(out, hunks + 1, n - 1);
			hunks += n;
		}
	}
	buf_addstr(out, old);
	return true;
}

static uint32_t seed;

static uint32_t random_to(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static char *random_text(unsigned lines, unsigned kinds)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_addstr(&b, "");
	for (unsigned i = 0; i < lines; i++)
		buf_addf(&b, "%u\n", random_to(kinds));
	return buf_steal_str(&b);
}

static void check_pair(const char *old, const char *fresh)
{
	auto_buf struct buf back = BUF_INIT((size_t)64 << 20);
	auto_free char *hunks = diff(old, fresh);
	auto_free char *text = NULL;

	buf_addstr(&back, "");
	cr_assert(apply(&back, old, hunks));
	text = buf_steal_str(&back);
	cr_assert(strcmp(text ? text : "", fresh) == 0);
}

Test(linediff, any_two_texts_lead_to_each_other)
{
	for (unsigned i = 0; i < 5000; i++) {
		seed = i;
		auto_free char *old = random_text(1 + random_to(30), 1 + random_to(12));
		auto_free char *fresh = random_text(1 + random_to(30), 1 + random_to(12));

		check_pair(old, fresh);
	}
}

Test(linediff, too_much_for_the_search_is_replaced_whole)
{
	seed = 1;
	auto_free char *old = random_text(20000, 1000000);
	auto_free char *fresh = random_text(20000, 1000000);

	check_pair(old, fresh);
}

Test(linediff, a_small_edit_of_a_long_text_is_a_small_diff)
{
	seed = 1;
	auto_free char *old = random_text(50000, 50);
	auto_free char *fresh = strdup(old);
	auto_free char *hunks = NULL;

	fresh[60000] = '\n';
	fresh[60001] = 'x';
	hunks = diff(old, fresh);
	cr_expect(strlen(hunks) < 400);
	check_pair(old, fresh);
}

Test(linediff, binary_is_what_git_takes_for_binary)
{
	cr_expect(!linediff_is_binary(SLICE("")));
	cr_expect(!linediff_is_binary(SLICE("caf\xc3\xa9\r\n\x01")));
	cr_expect(linediff_is_binary(SLICE("a\0b")));
}
