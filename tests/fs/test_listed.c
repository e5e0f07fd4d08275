#include "fs/listed.h"
#include "tests/lib/test.h"

/* As if no time had passed: what holds, holds for LISTED_QUIET_S only, and a machine may sleep. */
static enum listed_how how(struct listed *l, uint64_t dir)
{
	for (size_t i = 0; i < ARRAY_LEN(l->until_s); i++)
		if (l->until_s[i] > 0)
			l->until_s[i] = INT64_MAX;
	return listed_how(l, dir);
}

Test(listed, names_at_first)
{
	struct listed l = { 0 };

	cr_assert_eq(how(&l, 7), LISTED_NAMES);
	cr_assert_eq(how(&l, 8), LISTED_NAMES);
}

Test(listed, directories_once_two_were_asked_for)
{
	struct listed l = { 0 };

	(void)how(&l, 7);
	cr_assert(!listed_asked(&l, 7, true), "one may be any program's");
	cr_assert_eq(how(&l, 8), LISTED_NAMES);
	cr_assert(!listed_asked(&l, 7, true));
	cr_assert_eq(how(&l, 8), LISTED_DIRS);
	cr_assert_eq(how(&l, 9), LISTED_DIRS);
}

Test(listed, all_once_two_files_were_asked_for)
{
	struct listed l = { 0 };

	(void)how(&l, 7);
	cr_assert(!listed_asked(&l, 7, false));
	cr_assert(!listed_asked(&l, 7, true), "one of each");
	cr_assert_eq(how(&l, 8), LISTED_NAMES);
	cr_assert(listed_asked(&l, 7, false));
	cr_assert_eq(how(&l, 8), LISTED_ALL);
	cr_assert_eq(how(&l, 9), LISTED_ALL);
}

Test(listed, who_walks_may_look_at_files_later)
{
	struct listed l = { 0 };

	(void)how(&l, 7);
	(void)listed_asked(&l, 7, true);
	(void)listed_asked(&l, 7, true);
	cr_assert_eq(how(&l, 8), LISTED_DIRS);
	cr_assert(!listed_asked(&l, 8, false));
	cr_assert(listed_asked(&l, 8, false));
	cr_assert_eq(how(&l, 9), LISTED_ALL);
}

Test(listed, two_files_of_two_directories_say_nothing)
{
	struct listed l = { 0 };

	(void)how(&l, 7);
	(void)how(&l, 8);
	cr_assert(!listed_asked(&l, 7, false));
	cr_assert(!listed_asked(&l, 8, false));
	cr_assert(!listed_asked(&l, 7, false));
	cr_assert_eq(how(&l, 9), LISTED_NAMES);
}

Test(listed, what_was_not_listed_says_nothing)
{
	struct listed l = { 0 };

	cr_assert(!listed_asked(&l, 7, false));
	cr_assert(!listed_asked(&l, 7, false));
	cr_assert_eq(how(&l, 8), LISTED_NAMES);
}

Test(listed, ends_when_nobody_lists)
{
	struct listed l = { 0 };

	(void)listed_how(&l, 7);
	(void)listed_asked(&l, 7, false);
	cr_assert(listed_asked(&l, 7, false));
	cr_assert(l.until_s[LISTED_ALL] > 0);
	l.until_s[LISTED_ALL] = 1; /* long ago */
	cr_assert_eq(listed_how(&l, 8), LISTED_NAMES);
}
