#include "fs/patch.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define NONE       ((struct patch_side){ 0 })
#define TEXT(t)    ((struct patch_side){ .there = true, .bytes = SLICE(t) })
#define PROGRAM(t) ((struct patch_side){ .there = true, .executable = true, .bytes = SLICE(t) })

static void expect(const char *path, struct patch_side old, struct patch_side fresh,
		   const char *patch)
{
	struct buf out = BUF_INIT(1 << 20);
	auto_free char *got = NULL;
	int r = patch_add(&out, path, &old, &fresh, NULL);

	cr_expect_eq(r, *patch ? 1 : 0);
	buf_addstr(&out, "");
	got = buf_steal_str(&out);
	if (strcmp(got ? got : "", patch) != 0)
		(void)fprintf(stderr, "got\n%s\nnot\n%s\n", got ? got : "", patch);
	cr_expect(strcmp(got ? got : "", patch) == 0);
}

/* The names of blobs are git's own: `git hash-object`. */
Test(patch, is_what_git_prints)
{
	expect("a", TEXT("x\n"), TEXT("x\n"), "");
	expect("a", NONE, NONE, "");
	expect("node_modules/a/i.js", TEXT("a\n"), TEXT("b\n"),
	       "diff --git a/node_modules/a/i.js b/node_modules/a/i.js\n"
	       "index 7898192..6178079 100644\n"
	       "--- a/node_modules/a/i.js\n+++ b/node_modules/a/i.js\n@@ -1 +1 @@\n-a\n+b\n");
	expect("n", NONE, TEXT("a\n"),
	       "diff --git a/n b/n\nnew file mode 100644\nindex 0000000..7898192\n"
	       "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n");
	expect("n", NONE, PROGRAM(""),
	       "diff --git a/n b/n\nnew file mode 100755\nindex 0000000..e69de29\n");
	expect("n", TEXT("a\n"), NONE,
	       "diff --git a/n b/n\ndeleted file mode 100644\nindex 7898192..0000000\n"
	       "--- a/n\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
	expect("n", TEXT(""), NONE,
	       "diff --git a/n b/n\ndeleted file mode 100644\nindex e69de29..0000000\n");
	expect("n", TEXT("a\n"), PROGRAM("a\n"),
	       "diff --git a/n b/n\nold mode 100644\nnew mode 100755\n");
	expect("n", PROGRAM("a\n"), TEXT("b\n"),
	       "diff --git a/n b/n\nold mode 100755\nnew mode 100644\nindex 7898192..6178079\n"
	       "--- a/n\n+++ b/n\n@@ -1 +1 @@\n-a\n+b\n");
	expect("a b", TEXT("a\n"), TEXT("b\n"),
	       "diff --git a/a b b/a b\nindex 7898192..6178079 100644\n"
	       "--- a/a b\t\n+++ b/a b\t\n@@ -1 +1 @@\n-a\n+b\n");
}

Test(patch, what_no_patch_can_carry_is_refused)
{
	const struct {
		const char *path;
		struct patch_side old, fresh;
	} rows[] = {
		{ "x.png", TEXT("a"), { .there = true, .bytes = { (const uint8_t *)"\0b", 2 } } },
		{ "x.png", { .there = true, .bytes = { (const uint8_t *)"\0b", 2 } }, NONE },
		{ "a\nb", TEXT("a"), TEXT("b") },
		{ "a\"b", TEXT("a"), TEXT("b") },
		{ "a b/c", TEXT("a"), TEXT("b") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF_INIT(1 << 20);
		struct err e = { 0 };

		cr_expect_eq(patch_add(&out, rows[i].path, &rows[i].old, &rows[i].fresh, &e),
			     -EOPNOTSUPP);
		cr_expect_eq(out.len, 0);
		cr_expect(strlen(e.msg) > 10);
	}
}
