#include "fs/listed.h"
#include "tests/lib/test.h"

Test(listed, directories_only_at_first)
{
	struct listed l = { 0 };

	cr_assert(!listed_all(&l, 7));
	cr_assert(!listed_all(&l, 8));
}

Test(listed, all_once_two_files_were_asked_for)
{
	struct listed l = { 0 };

	cr_assert(!listed_all(&l, 7));
	cr_assert(!listed_asked(&l, 7), "one file may be any program's");
	cr_assert(!listed_all(&l, 8));
	cr_assert(listed_asked(&l, 7));
	cr_assert(listed_all(&l, 8));
	cr_assert(listed_all(&l, 9));
}

Test(listed, two_files_of_two_directories_say_nothing)
{
	struct listed l = { 0 };

	cr_assert(!listed_all(&l, 7));
	cr_assert(!listed_all(&l, 8));
	cr_assert(!listed_asked(&l, 7));
	cr_assert(!listed_asked(&l, 8));
	cr_assert(!listed_asked(&l, 7));
	cr_assert(!listed_all(&l, 9));
}

Test(listed, what_was_not_listed_says_nothing)
{
	struct listed l = { 0 };

	cr_assert(!listed_asked(&l, 7));
	cr_assert(!listed_asked(&l, 7));
	cr_assert(!listed_all(&l, 8));
}

Test(listed, ends_when_nobody_lists)
{
	struct listed l = { 0 };

	cr_assert(!listed_all(&l, 7));
	cr_assert(!listed_asked(&l, 7));
	cr_assert(listed_asked(&l, 7));
	cr_assert_gt(l.all_until, 0);
	l.all_until = 1; /* long ago */
	cr_assert(!listed_all(&l, 8));
}
