#include "core/file.h"
#include "fs/built.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>

static char dir[64];

static void make_dir(void)
{
	test_dir(dir, sizeof dir);
}

static void remove_dir(void)
{
	char path[96];

	(void)snprintf(path, sizeof path, "%s/scripts", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void write_text(const char *text)
{
	char path[96];

	(void)snprintf(path, sizeof path, "%s/scripts", dir);
	cr_assert_eq(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static enum built_state state(const char *id)
{
	auto_built struct built b = { 0 };

	cr_assert_eq(built_read(&b, dir, NULL), 0);
	return built_state(&b, id);
}

#define A   "node_modules/a@1.0.0~01234567"
#define A2  "node_modules/a@2.0.0~01234567"
#define AB  "node_modules/a/node_modules/b@1.0.0~89abcdef"
#define AX  "node_modules/ax@1.0.0~89abcdef"
#define SAB "packages/a/node_modules/@s/b@1.0.0-x@y~89abcdef"

Test(built, what_is_written_is_read, .init = make_dir, .fini = remove_dir)
{
	cr_expect_eq(state(A), BUILT_NOT);
	cr_assert_eq(built_set(dir, A, BUILT_RAN, NULL), 0);
	cr_assert_eq(built_set(dir, AB, BUILT_FAILED, NULL), 0);
	cr_expect_eq(state(A), BUILT_RAN);
	cr_expect_eq(state(A2), BUILT_NOT);
	cr_expect_eq(state(AB), BUILT_FAILED);
	cr_assert_eq(built_set(dir, AB, BUILT_RAN, NULL), 0);
	cr_expect_eq(state(AB), BUILT_RAN);
	cr_assert_eq(built_set(dir, AB, BUILT_NOT, NULL), 0);
	cr_expect_eq(state(AB), BUILT_NOT);
	cr_expect_eq(state(A), BUILT_RAN);
}

Test(built, a_path_forgets_what_stands_there_below_and_around, .init = make_dir, .fini = remove_dir)
{
	static const struct {
		const char *path;
		bool a, ab, ax, sab; /* still there */
	} rows[] = {
		{ "node_modules", false, false, false, true },
		{ "node_modules/a", false, false, true, true },
		{ "node_modules/a/lib/x.js", false, true, true, true },
		{ "node_modules/a/node_modules/b/x.js", false, false, true, true },
		{ "node_modules/ax", true, true, false, true },
		{ "node_modules/.bin", true, true, true, true },
		{ "packages/a", true, true, true, false },
		{ NULL, false, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		write_text("ran " A "\nran " AB "\nfailed " AX "\nran " SAB "\n");
		cr_assert_eq(built_forget(dir, rows[i].path, NULL), 0);
		cr_expect_eq(state(A) == BUILT_RAN, rows[i].a);
		cr_expect_eq(state(AB) == BUILT_RAN, rows[i].ab);
		cr_expect_eq(state(AX) == BUILT_FAILED, rows[i].ax);
		cr_expect_eq(state(SAB) == BUILT_RAN, rows[i].sab);
	}
}

Test(built, what_makes_no_sense_is_passed_over, .init = make_dir, .fini = remove_dir)
{
	write_text("\nrun " A "\nran\nran " A2 "\n\x01\x02\nfailed\n\nran " AB);
	cr_expect_eq(state(A), BUILT_NOT);
	cr_expect_eq(state(A2), BUILT_RAN);
	cr_expect_eq(state(AB), BUILT_NOT); /* its line is not finished */
	cr_assert_eq(built_set(dir, A, BUILT_RAN, NULL), 0);
	cr_expect_eq(state(A), BUILT_RAN);
	cr_expect_eq(state(A2), BUILT_RAN);
}

Test(built, no_id_adds_a_line_of_its_own, .init = make_dir, .fini = remove_dir)
{
	cr_assert_eq(built_set(dir, "node_modules/x\nran " A, BUILT_RAN, NULL), 0);
	cr_expect_eq(state(A), BUILT_NOT);
}

Test(built, what_fails_leaves_the_old_lines, .init = make_dir, .fini = remove_dir)
{
	write_text("ran " A "\n");
	fault_each(({
			   int r = built_set(dir, AB, BUILT_RAN, NULL);

			   fault_at = 0; /* looking is not to fail */
			   cr_assert_eq(state(A), BUILT_RAN);
			   r;
		   }),
		   -fault_errno);
	cr_expect_eq(state(AB), BUILT_RAN);
}
