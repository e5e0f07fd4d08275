#include "core/file.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[128];

static void make_dir(void)
{
	test_dir(dir, sizeof dir);
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

Test(file, a_rewritten_file_stays_what_it_was, .init = make_dir, .fini = remove_dir)
{
	auto_free char *data = NULL;
	char link[160];
	struct stat st;
	size_t len;

	(void)snprintf(link, sizeof link, "%s/link", dir);
	cr_assert_eq(symlink("f", link), 0);
	cr_assert_eq(file_replace(path, "old", 3, 0640, NULL), 0);
	bool others = chown(path, 12, 34) == 0; /* whoever may not, gives nothing away */
	cr_assert_eq(file_rewrite(link, "newer", 5, NULL), 0);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 5, &data, &len, NULL), 0);
	cr_assert_str_eq(data, "newer");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0640);
	if (others)
		cr_assert(st.st_uid == 12 && st.st_gid == 34);
	cr_assert_eq(lstat(link, &st), 0);
	cr_assert(S_ISLNK(st.st_mode));
	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(file_rewrite(link, "new", 3, NULL), 0);
	cr_assert_eq(lstat(link, &st), 0);
	cr_assert(S_ISREG(st.st_mode));
	cr_assert_eq(st.st_mode & 07777, 0644);
	cr_assert_eq(unlink(link), 0);
}

Test(file, what_a_symlink_may_not_lead_to_stays, .init = make_dir, .fini = remove_dir)
{
	char link[160], other[160];
	struct err e = { 0 };
	struct stat st;

	(void)snprintf(link, sizeof link, "%s/link", dir);
	(void)snprintf(other, sizeof other, "%s/fifo", dir);
	cr_assert_eq(mkfifo(other, 0600), 0);
	cr_assert_eq(symlink("fifo", link), 0);
	cr_expect_eq(file_rewrite(link, "new", 3, &e), -EINVAL);
	cr_expect(strstr(e.msg, "fifo is not a regular file") != NULL, "%s", e.msg);
	cr_assert_eq(stat(other, &st), 0);
	cr_expect(S_ISFIFO(st.st_mode));
	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(unlink(other), 0);

	cr_assert_eq(symlink("link", link), 0);
	cr_expect_eq(file_rewrite(link, "new", 3, &e), -ELOOP);
	cr_assert_eq(unlink(link), 0);

	/* One to nothing is replaced, and what it would lead to is not made. */
	cr_assert_eq(symlink("f", link), 0);
	cr_expect_eq(file_rewrite(link, "new", 3, &e), 0);
	cr_expect_eq(access(path, F_OK), -1);
	cr_assert_eq(lstat(link, &st), 0);
	cr_expect(S_ISREG(st.st_mode));
	cr_assert_eq(unlink(link), 0);
}

Test(file, a_symlink_of_somebody_else_leads_to_their_files_only, .init = make_dir,
     .fini = remove_dir)
{
	auto_free char *data = NULL;
	struct err e = { 0 };
	char link[160];
	size_t len;

	(void)snprintf(link, sizeof link, "%s/link", dir);
	cr_assert_eq(file_replace(path, "old", 3, 0644, NULL), 0);
	cr_assert_eq(symlink("f", link), 0);
	if (lchown(link, 12, 34) == 0) { /* whoever may not, cannot try */
		cr_expect_eq(file_rewrite(link, "newer", 5, &e), -EPERM);
		cr_expect(strstr(e.msg, "another user") != NULL, "%s", e.msg);
		cr_assert_eq(file_read_all(AT_FDCWD, path, 5, &data, &len, NULL), 0);
		cr_expect_str_eq(data, "old");
		cr_assert_eq(chown(path, 12, 34), 0);
		cr_expect_eq(file_rewrite(link, "newer", 5, &e), 0, "%s", e.msg);
	}
	cr_assert_eq(unlink(link), 0);
}

#define CANNOT_TRY 2

/* As user 12 of the groups 56 and 34. */
static int rewrite_as_member(void)
{
	const gid_t groups[] = { 34 };

	if (setgroups(1, groups) < 0 || setgid(56) < 0 || setuid(12) < 0 || access(path, R_OK) < 0)
		return CANNOT_TRY;
	return file_rewrite(path, "newer", 5, NULL) < 0;
}

Test(file, a_file_of_a_group_stays_with_it, .init = make_dir, .fini = remove_dir)
{
	struct stat st;
	int status;
	pid_t child;

	cr_assert_eq(file_replace(path, "old", 3, 0664, NULL), 0);
	if (chown(path, 99, 34) < 0 || chown(dir, 12, 56) < 0)
		return;
	child = fork();
	if (child == 0)
		_exit(rewrite_as_member());
	cr_assert_eq(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_TRY)
		return;
	cr_assert_eq(status, 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 5);
	cr_expect(st.st_uid == 12 && st.st_gid == 34, "%u:%u", st.st_uid, st.st_gid);
	cr_expect_eq(st.st_mode & 07777, 0664);
}

struct pieces {
	char bytes[3 * FILE_PIECE];
	size_t size, len;
	unsigned count;
};

static void note_piece(void *arg, size_t size, size_t at, const void *p, size_t n)
{
	struct pieces *got = arg;

	cr_assert_eq(at, got->len);
	memcpy(got->bytes + at, p, n);
	got->size = size;
	got->len += n;
	got->count++;
}

Test(file, a_file_comes_in_pieces, .init = make_dir, .fini = remove_dir)
{
	static const size_t sizes[] = { 0, 1, FILE_PIECE, FILE_PIECE + 1, 3 * FILE_PIECE };
	auto_free char *bytes = malloc(3 * FILE_PIECE);
	auto_free struct pieces *got = malloc(sizeof *got);

	cr_assert(bytes && got);
	for (size_t i = 0; i < 3 * FILE_PIECE; i++)
		bytes[i] = (char)(i * 7 >> 3);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		*got = (struct pieces){ 0 };
		cr_assert_eq(file_replace(path, bytes, sizes[i], 0600, NULL), 0);
		cr_assert_eq(file_read_pieces(AT_FDCWD, path, sizes[i], note_piece, got, NULL), 0);
		cr_assert_eq(got->size, sizes[i]);
		cr_assert_eq(got->len, sizes[i]);
		cr_assert_eq(got->count, sizes[i] ? (sizes[i] + FILE_PIECE - 1) / FILE_PIECE : 1);
		cr_assert_eq(memcmp(got->bytes, bytes, sizes[i]), 0);
	}
	got->count = 0;
	cr_assert_eq(file_read_pieces(AT_FDCWD, path, 5, note_piece, got, NULL), -E2BIG);
	cr_assert_eq(file_read_pieces(AT_FDCWD, "/nonexistent", 5, note_piece, got, NULL), -ENOENT);
	cr_assert_eq(got->count, 0, "nothing is given before the file is known to be good");
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
