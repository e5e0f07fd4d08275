#include "core/file.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64], path[128];

static void make_dir(void)
{
	strcpy(dir, "/tmp/dxfs-test-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof path, "%s/f", dir);
}

static void remove_dir(void)
{
	(void)unlink(path);
	cr_assert_eq(rmdir(dir), 0); /* fails if a temporary file was left */
}

Test(file, replace_then_read_gives_the_bytes_back, .init = make_dir, .fini = remove_dir)
{
	auto_free char *data = NULL;
	size_t len = 0;

	cr_assert_eq(file_replace(path, "old", 3, 0600, NULL), 0);
	cr_assert_eq(file_replace(path, "newer", 5, 0644, NULL), 0);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 5, &data, &len, NULL), 0);
	cr_assert_eq(len, 5);
	cr_assert_str_eq(data, "newer");
}

Test(file, read_refuses_what_is_over_the_limit_or_no_file, .init = make_dir, .fini = remove_dir)
{
	struct err e = { 0 };
	char *data = NULL;
	size_t len;

	cr_assert_eq(file_replace(path, "newer", 5, 0644, NULL), 0);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 4, &data, &len, &e), -E2BIG);
	cr_assert(strstr(e.msg, "limit") != NULL);
	cr_assert_eq(file_read_all(AT_FDCWD, dir, 4, &data, &len, &e), -EINVAL);
	cr_assert_eq(file_read_all(AT_FDCWD, "/nonexistent", 4, &data, &len, &e), -ENOENT);
}

Test(file, a_failed_rename_leaves_the_old_file, .init = make_dir, .fini = remove_dir)
{
	auto_free char *data = NULL;
	size_t len = 0;

	cr_assert_eq(file_replace(path, "old", 3, 0600, NULL), 0);
	fault_each(file_replace(path, "new", 3, 0600, NULL), fault_at ? -EIO : r_);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 5, &data, &len, NULL), 0);
	cr_assert_str_eq(data, "new");
}

Test(file, mkdir_p_makes_parents_and_accepts_what_stands, .init = make_dir, .fini = remove_dir)
{
	char deep[160];
	struct stat st;

	(void)snprintf(deep, sizeof deep, "%s/a/b", dir);
	cr_assert_eq(mkdir_p(deep, 0700, NULL), 0);
	cr_assert_eq(mkdir_p(deep, 0700, NULL), 0);
	cr_assert_eq(stat(deep, &st), 0);
	(void)rmdir(deep);
	deep[strlen(deep) - 2] = '\0';
	(void)rmdir(deep);
}
