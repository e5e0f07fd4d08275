#include "core/file.h"
#include "lock/semver.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

/* A line of semver.data. */
struct row {
	char *what, *options, *text, *other, *want;
	unsigned flags;
};

static void unescape(char *s)
{
	for (char *p; (p = strstr(s, "\\t"));) {
		*p = '\t';
		memmove(p + 1, p + 2, strlen(p + 2) + 1);
	}
}

static bool read_row(struct row *r, char *line)
{
	char **fields[] = { &r->what, &r->options, &r->text, &r->other, &r->want };

	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		*fields[i] = strsep(&line, "\t");
		if (!*fields[i])
			return false;
	}
	unescape(r->text);
	unescape(r->other);
	r->flags = (strchr(r->options, 'l') ? SEMVER_LOOSE : 0) |
		   (strchr(r->options, 'p') ? SEMVER_PRERELEASE : 0);
	return line == NULL;
}

static void answer_version(const struct row *r, char *ret, size_t size)
{
	char text[SEMVER_TEXT_MAX] = "invalid";
	struct semver v;

	if (semver_parse(&v, slice_str(r->text), r->flags) == 0)
		cr_expect_eq(semver_format(&v, text), strlen(text));
	(void)snprintf(ret, size, "%s", text);
}

static void answer_range(const struct row *r, char *ret, size_t size)
{
	auto_range struct semver_range range = { 0 };
	auto_buf struct buf b = BUF_INIT(64 << 10);
	auto_free char *text = NULL;

	(void)snprintf(ret, size, "invalid");
	if (semver_range_parse(&range, slice_str(r->text), r->flags) < 0)
		return;
	buf_addstr(&b, "");
	semver_range_format(&range, &b);
	text = buf_steal_str(&b);
	cr_assert(text != NULL);
	(void)snprintf(ret, size, "%s", *text ? text : "*");
}

static int answer_intersects(const struct row *r)
{
	auto_range struct semver_range a = { 0 }, b = { 0 };

	cr_assert_eq(semver_range_parse(&a, slice_str(r->text), r->flags), 0);
	cr_assert_eq(semver_range_parse(&b, slice_str(r->other), r->flags), 0);
	return semver_range_intersects(&a, &b);
}

static int answer_compare(const struct row *r)
{
	struct semver a, b;
	int n;

	cr_assert_eq(semver_parse(&a, slice_str(r->text), r->flags), 0);
	cr_assert_eq(semver_parse(&b, slice_str(r->other), r->flags), 0);
	n = semver_cmp(&a, &b);
	return (n > 0) - (n < 0);
}

static void answer(const struct row *r, char *ret, size_t size)
{
	int n;

	if (strcmp(r->what, "version") == 0) {
		answer_version(r, ret, size);
		return;
	}
	if (strcmp(r->what, "range") == 0) {
		answer_range(r, ret, size);
		return;
	}
	if (strcmp(r->what, "satisfies") == 0)
		n = semver_satisfies(slice_str(r->text), slice_str(r->other), r->flags);
	else if (strcmp(r->what, "intersects") == 0)
		n = answer_intersects(r);
	else
		n = answer_compare(r);
	(void)snprintf(ret, size, "%d", n);
}

Test(semver, answers_as_npm_does)
{
	auto_free char *data = NULL;
	char got[1024];
	size_t len;
	unsigned rows = 0;

	cr_assert_eq(
		file_read_all(AT_FDCWD, TESTS_DIR "/lock/semver.data", 1 << 20, &data, &len, NULL),
		0);
	for (char *rest = data, *line; (line = strsep(&rest, "\n"));) {
		struct row r;

		if (*line == '\0' || *line == '#')
			continue;
		cr_assert(read_row(&r, line), "malformed: %s", line);
		answer(&r, got, sizeof got);
		if (strcmp(got, r.want) != 0)
			(void)fprintf(stderr, "%s %s '%s' '%s': want %s, got %s\n", r.what,
				      r.options, r.text, r.other, r.want, got);
		cr_expect(strcmp(got, r.want) == 0, "%s %s", r.what, r.text);
		rows++;
	}
	cr_expect(rows > 500, "only %u rows", rows);
}

Test(semver, a_version_borrows_from_its_text)
{
	static const char text[] = " v1.2.3-rc.1+build.5 ";
	struct semver v;

	cr_assert_eq(semver_parse(&v, slice_str(text), 0), 0);
	cr_expect_eq(v.major, 1);
	cr_expect_eq(v.minor, 2);
	cr_expect_eq(v.patch, 3);
	cr_expect(v.pre.ptr == (const uint8_t *)text + 8);
	cr_expect(slice_eq(v.pre, SLICE("rc.1")));
	cr_expect(slice_eq(v.build, SLICE("build.5")));
}

Test(semver, failure_leaves_the_result_alone)
{
	struct semver_range r = { .count = 7 };
	struct semver v = { .major = 7 };

	cr_expect_eq(semver_parse(&v, SLICE("1.2"), 0), -EINVAL);
	cr_expect_eq(v.major, 7);
	cr_expect_eq(semver_range_parse(&r, SLICE("1.2.3.4"), 0), -EINVAL);
	cr_expect_eq(r.count, 7);
}

Test(semver, a_range_outlives_its_text)
{
	auto_range struct semver_range r = { 0 };
	char text[] = "^1.2.3-beta.2";
	struct semver v;

	cr_assert_eq(semver_range_parse(&r, slice_str(text), 0), 0);
	memset(text, 'z', sizeof text - 1);
	cr_assert_eq(semver_parse(&v, SLICE("1.2.3-beta.3"), 0), 0);
	cr_expect(semver_range_test(&r, &v));
	cr_assert_eq(semver_parse(&v, SLICE("1.2.3-beta.1"), 0), 0);
	cr_expect(!semver_range_test(&r, &v));
}

Test(semver, ranges_have_a_limit)
{
	static char text[SEMVER_RANGE_MAX + 1];
	auto_range struct semver_range r = { 0 };

	memset(text, ' ', sizeof text);
	text[0] = '1';
	cr_expect_eq(semver_range_parse(&r, (struct slice){ (uint8_t *)text, sizeof text }, 0),
		     -E2BIG);
	cr_expect_eq(semver_range_parse(&r, (struct slice){ (uint8_t *)text, sizeof text - 1 }, 0),
		     0);
}

Test(semver, the_most_comparators_that_fit)
{
	static char text[SEMVER_RANGE_MAX];
	static const char *parts[] = { "x ", "1||", "||", "^1.0.0-a ", "*|", "1 - 2||", "~0||" };

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		for (unsigned flags = 0; flags < 4; flags++) {
			auto_range struct semver_range r = { 0 };
			size_t n = strlen(parts[i]);

			for (size_t at = 0; at < sizeof text; at++)
				text[at] = parts[i][at % n];
			/* Whether it is valid is not the point; the sanitizers watch the sizes. */
			cr_expect(semver_range_parse(&r,
						     (struct slice){ (uint8_t *)text, sizeof text },
						     flags) <= 0);
		}
	}
}

/* npm's expressions let a number have one digit and up to 256 more; the loose ones 256 in all. */
Test(semver, the_longest_number_that_a_range_may_have)
{
	char range[400];

	for (int digits = 256; digits <= 258; digits++) {
		int n = snprintf(range, sizeof range, "X.");

		memset(range + n, '9', (size_t)digits);
		(void)snprintf(range + n + digits, sizeof range - (size_t)(n + digits),
			       ".0 - *.2.2");
		cr_expect_eq(semver_satisfies(SLICE("1.2.3"), slice_str(range), 0), digits <= 257);
	}
}
