#include "lock/collate.h"
#include "tests/lib/test.h"

static int order(const char *a, const char *b)
{
	int r = collate(slice_str(a), slice_str(b));

	return (r > 0) - (r < 0);
}

Test(collate, ascii_follows_icu_one_by_one)
{
	static const char sorted[] = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789"
				     "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ";

	for (size_t i = 0; sorted[i + 1]; i++) {
		char a[2] = { sorted[i] }, b[2] = { sorted[i + 1] };

		cr_expect(order(a, b) < 0, "%02x < %02x", a[0], b[0]);
		cr_expect(order(b, a) > 0, "%02x > %02x", b[0], a[0]);
		cr_expect(order(a, a) == 0, "%02x", a[0]);
	}
}

Test(collate, case_counts_only_where_nothing_else_differs)
{
	cr_expect_eq(order("Ab", "aC"), -1);
	cr_expect_eq(order("aB", "Ab"), -1);
	cr_expect_eq(order("A", "a"), 1);
	cr_expect_eq(order("A", "aa"), -1);
	cr_expect_eq(order("JSONStream", "jsonstream"), 1);
}

Test(collate, control_characters_do_not_count)
{
	cr_expect_eq(order("a\001b", "ab"), 0);
	cr_expect_eq(order("\001\177", ""), 0);
	cr_expect_eq(order("a\037B", "ab"), 1);
}

Test(collate, package_names_and_paths)
{
	cr_expect_eq(order("a-b", "a/b"), -1);
	cr_expect_eq(order("a/b", "ab"), -1);
	cr_expect_eq(order("@a/b", "a"), -1);
	cr_expect_eq(order("node_modules/a", "node_modules/a/node_modules/b"), -1);
	cr_expect_eq(order("lodash", "lodash.merge"), -1);
	cr_expect_eq(order("lodash.merge", "lodash_merge"), 1);
	cr_expect_eq(order("", "a"), -1);
}

Test(collate, other_characters_follow_the_letters_by_code_point)
{
	cr_expect_eq(order("z", "\xc3\xa9"), -1);
	cr_expect_eq(order("\xc3\xa9", "\xe4\xb8\xad"), -1);
	cr_expect_eq(order("\xe4\xb8\xad", "\xe4\xb8\xad"), 0);
}
