#include "lock/merge.h"
#include "tests/lock/sample.h"

#include <stdio.h>

/* "a=1.0.0 b=2.0.0 a/b=1.0.0": a lock of packages at places. */
static struct graph *lock_of(const char *places)
{
	auto_buf struct buf b = BUF_INIT(65536);
	auto_free char *copy = strdup(places), *text = NULL;
	char *save = NULL;

	for (char *item = strtok_r(copy, " ", &save); item; item = strtok_r(NULL, " ", &save)) {
		char *version = strchr(item, '='), *slash = strchr(item, '/');

		*version++ = '\0';
		buf_addstr(&b, ",\"node_modules/");
		if (slash)
			*slash = '\0';
		buf_addf(&b, "%s%s%s", item, slash ? "/node_modules/" : "", slash ? slash + 1 : "");
		buf_addf(&b, "\":{\"version\":\"%s\",\"license\":\"MIT\"}", version);
	}
	buf_add(&b, "", 1);
	cr_assert(asprintf(&text,
			   "{\"name\":\"p\",\"lockfileVersion\":3,\"requires\":true,\"packages\":{"
			   "\"\":{\"name\":\"p\",\"version\":\"7.0.0\"}%s}}",
			   (char *)b.data) > 0);
	return sample_graph(text);
}

static void same_text(struct buf *got, const char *want)
{
	buf_add(got, "", 1);
	if (strcmp((char *)got->data, want) != 0)
		(void)fprintf(stderr, "want:\n%sgot:\n%s", want, (char *)got->data);
	cr_expect(strcmp((char *)got->data, want) == 0);
}

static void expect_diff(const char *a, const char *b, const char *want)
{
	auto_graph struct graph *x = a ? lock_of(a) : NULL, *y = b ? lock_of(b) : NULL;
	auto_buf struct buf out = BUF_INIT(65536);

	cr_assert_eq(merge_diff(x, y, &out, NULL), 0);
	same_text(&out, want);
}

Test(merge, diff_names_what_came_went_and_changed)
{
	expect_diff("a=1.0.0 b=1.0.0", "a=1.0.0 b=1.0.0", "");
	expect_diff("a=1.0.0 b=1.0.0 c=1.0.0", "a=2.0.0 c=1.0.0 a/c=3.0.0",
		    "  a 1.0.0 -> 2.0.0\n+ a/c 3.0.0\n- b 1.0.0\n");
	expect_diff(NULL, "a=1.0.0", "+ . 7.0.0\n+ a 1.0.0\n");
	expect_diff("a=1.0.0", NULL, "- . 7.0.0\n- a 1.0.0\n");
	expect_diff(NULL, NULL, "");
}

/* `want` NULL: it conflicts, and `conflict` is in the sentence. */
static void expect_merge(const char *base, const char *ours, const char *theirs, const char *want,
			 const char *conflict)
{
	auto_graph struct graph *b = base ? lock_of(base) : NULL, *o = lock_of(ours),
				*t = lock_of(theirs), *made = NULL, *w = NULL;
	auto_buf struct buf text = BUF_INIT(65536), conflicts = BUF_INIT(65536),
			    diff = BUF_INIT(65536);

	cr_assert_eq(merge_locks(b, o, t, &text, &conflicts, NULL), 0);
	if (!want) {
		buf_add(&conflicts, "", 1);
		cr_expect(strstr((char *)conflicts.data, conflict));
		return;
	}
	cr_expect_eq(conflicts.len, 0);
	buf_add(&text, "", 1);
	made = sample_graph((char *)text.data);
	w = lock_of(want);
	cr_assert_eq(merge_diff(w, made, &diff, NULL), 0);
	same_text(&diff, "");
}

Test(merge, changes_of_both_sides_come_together)
{
	expect_merge("a=1.0.0 b=1.0.0", "a=2.0.0 b=1.0.0", "a=1.0.0 b=2.0.0", "a=2.0.0 b=2.0.0",
		     NULL);
	expect_merge("a=1.0.0 b=1.0.0", "a=1.0.0", "a=1.0.0 b=1.0.0 c=1.0.0", "a=1.0.0 c=1.0.0",
		     NULL);
	expect_merge("a=1.0.0", "a=2.0.0", "a=2.0.0", "a=2.0.0", NULL);
	expect_merge("a=1.0.0 b=1.0.0", "a=1.0.0", "a=1.0.0", "a=1.0.0", NULL);
	expect_merge(NULL, "a=1.0.0", "b=1.0.0", "a=1.0.0 b=1.0.0", NULL);
}

Test(merge, one_package_changed_in_two_ways_is_a_conflict)
{
	expect_merge("a=1.0.0", "a=2.0.0", "a=3.0.0", NULL, "a");
	expect_merge("a=1.0.0 b=1.0.0", "a=2.0.0 b=1.0.0", "b=1.0.0", NULL, "a");
	expect_merge(NULL, "a=1.0.0", "a=2.0.0", NULL, "a");
}
