#include "fetch/foresight.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* A lock by hand: app depends on tool and other; tool on x, y; other on y2 (a y of another
 * version).
 */
enum { TOOL, OTHER, X, Y, Y2, Z, TYPES, COUNT };

static const uint32_t of_tool[] = { X, Y }, of_other[] = { Y2 }, of_x[] = { Z, TYPES };
static const struct foresight_pkg lock[COUNT] = {
	[TOOL] = { "tool", true, false, of_tool, 2 },
	[OTHER] = { "other", true, false, of_other, 1 },
	[X] = { "x", false, false, of_x, 2 },
	[Y] = { "y", false, false, NULL, 0 },
	[Y2] = { "y", false, false, NULL, 0 },
	[Z] = { "z", false, false, NULL, 0 },
	[TYPES] = { "@types/z", false, false, NULL, 0 },
};

static struct predict_run run_of(const char *const *names, size_t count)
{
	static struct predict_touch touches[8];

	cr_assert(count <= ARRAY_LEN(touches));
	for (size_t i = 0; i < count; i++)
		touches[i] = (struct predict_touch){ .name = names[i], .deps = UINT64_MAX };
	return (struct predict_run){ .touches = touches, .count = count };
}

static int learn(struct predict *m, const char *const *seen, size_t count)
{
	struct predict_run run = run_of(seen, count);

	return predict_learn(m, &run);
}

static struct foresight *after(const char *const *seen, size_t count, unsigned times)
{
	struct predict *m = predict_new();
	struct foresight *f = NULL;

	while (times--)
		cr_assert_eq(learn(m, seen, count), 0);
	cr_assert_eq(foresight_new(&f, m, lock, COUNT), 0);
	return f;
}

static bool has(const uint32_t *list, uint32_t count, uint32_t pkg)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i] == pkg)
			return true;
	return false;
}

Test(foresight, without_experience_it_is_what_a_package_depends_on)
{
	struct foresight *f = after(NULL, 0, 0);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, TOOL, &n);

	cr_expect_eq(n, 2);
	cr_expect(has(next, n, X) && has(next, n, Y));
	foresight_free(f);
}

Test(foresight, types_are_never_next)
{
	struct foresight *f = after(NULL, 0, 0);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, X, &n);

	cr_expect_eq(n, 1);
	cr_expect_eq(next[0], Z);
	foresight_free(f);
}

Test(foresight, nothing_is_given_twice)
{
	struct foresight *f = after(NULL, 0, 0);
	uint32_t n;

	(void)foresight_touch(f, TOOL, &n);
	(void)foresight_touch(f, TOOL, &n);
	cr_expect_eq(n, 0);
	(void)foresight_touch(f, Y, &n);
	cr_expect_eq(n, 0);
	foresight_free(f);
}

Test(foresight, what_was_seen_goes_on_from_one_to_the_next)
{
	const char *const seen[] = { "tool", "x", "z" };
	struct foresight *f = after(seen, 3, 3);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, TOOL, &n);

	cr_expect_eq(n, 2);
	cr_expect(has(next, n, X) && has(next, n, Z));
	foresight_free(f);
}

Test(foresight, a_dependency_that_was_never_touched_after_it_is_not_expected)
{
	const char *const seen[] = { "tool", "x" };
	struct foresight *f = after(seen, 2, 2);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, TOOL, &n);

	cr_expect(has(next, n, X));
	cr_expect(!has(next, n, Y));
	foresight_free(f);
}

Test(foresight, the_version_is_that_of_who_depends_on_it)
{
	const char *const seen[] = { "other", "y" };
	struct foresight *f = after(seen, 2, 2);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, OTHER, &n);

	cr_assert_eq(n, 1);
	cr_expect_eq(next[0], Y2);
	foresight_free(f);
}

Test(foresight, what_nothing_known_depends_on_cannot_be_next)
{
	const char *const seen[] = { "y", "z", NULL, "y", "other" };
	struct foresight *f = after(seen, 5, 3);
	uint32_t n;
	const uint32_t *next = foresight_touch(f, Y, &n);

	cr_expect(!has(next, n, Z));
	cr_expect(has(next, n, OTHER), "the project depends on it");
	foresight_free(f);
}

Test(foresight, what_followed_only_sometimes_is_not_expected)
{
	struct predict *m = predict_new();
	struct foresight *f = NULL;
	uint32_t n;
	const uint32_t *next;

	for (unsigned i = 0; i < 12; i++) {
		const char *const seen[] = { "tool", i % 4 ? "x" : "y" };

		cr_assert_eq(learn(m, seen, 2), 0);
	}
	cr_assert_eq(foresight_new(&f, m, lock, COUNT), 0);
	next = foresight_touch(f, TOOL, &n);
	cr_expect(has(next, n, X));
	cr_expect(!has(next, n, Y));
	foresight_free(f);
}

Test(foresight, a_dependency_that_a_later_version_brings_is_no_less_likely_for_that)
{
	const struct predict_touch seen[] = { { "tool", predict_dep("x"), false },
					      { "x", 0, false } };
	struct predict *m = predict_new();
	struct foresight *f = NULL;
	uint32_t n;
	const uint32_t *next;

	cr_assert_neq(predict_dep("x"), predict_dep("y"));
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(predict_learn(m, &(struct predict_run){ seen, 2, true }), 0);
	cr_assert_eq(foresight_new(&f, m, lock, COUNT), 0);
	next = foresight_touch(f, TOOL, &n);
	cr_expect(has(next, n, X) && has(next, n, Y));
	foresight_free(f);
}

Test(foresight, begins_with_what_was_first_elsewhere_of_what_the_project_has)
{
	static const char *const runs[][2] = { { "tool", "x" },      { "tool", "x" },
					       { "elsewhere", "z" }, { "elsewhere", "z" },
					       { "other", "y" },     { "z", "tool" } };
	struct predict *m = predict_new();
	struct foresight *f = NULL;
	uint32_t n;
	const uint32_t *next;

	for (unsigned i = 0; i < ARRAY_LEN(runs); i++) {
		struct predict_run run = run_of(runs[i], 2);

		run.from_mount = true;
		cr_assert_eq(predict_learn(m, &run), 0);
	}
	cr_assert_eq(foresight_new(&f, m, lock, COUNT), 0);
	next = foresight_begin(f, &n);
	cr_assert_eq(n, 2);
	cr_expect_eq(next[0], TOOL);
	cr_expect_eq(next[1], X);
	(void)foresight_touch(f, TOOL, &n);
	cr_expect_eq(n, 0, "all was given");
	foresight_free(f);
}

Test(foresight, begins_with_nothing_where_nothing_was_first)
{
	const char *const seen[] = { "tool", "x" };
	struct foresight *f = after(seen, 2, 5);
	uint32_t n;

	(void)foresight_begin(f, &n);
	cr_expect_eq(n, 0);
	foresight_free(f);
}

Test(foresight, what_was_loaded_by_those_who_do_not_depend_on_it_is_expected_where_they_find_it)
{
	const struct predict_touch seen[] = { { "x", UINT64_MAX, false },
					      { "other", UINT64_MAX, true } };
	struct foresight_pkg away[COUNT];
	struct foresight *f = NULL;
	uint32_t n;
	const uint32_t *next;

	memcpy(away, lock, sizeof away);
	away[OTHER].of_project = false;
	for (unsigned hoisted = 0; hoisted < 2; hoisted++) {
		struct predict *m = predict_new();

		away[OTHER].hoisted = hoisted;
		cr_assert_eq(predict_learn(m, &(struct predict_run){ seen, 2, true }), 0);
		cr_assert_eq(foresight_new(&f, m, away, COUNT), 0);
		next = foresight_touch(f, X, &n);
		cr_expect_eq(has(next, n, OTHER), hoisted == 1);
		foresight_free(f);
	}
}
