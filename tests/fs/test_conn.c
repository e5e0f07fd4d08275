#include "fs/conn.h"
#include "fs/conn_priv.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <linux/fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* A pipe stands for /dev/fuse: what the kernel sends is written into it and read by the hook,
 * what the hook answers is written into another. */
static void send_init(struct conn *c, uint32_t offered)
{
	struct {
		struct fuse_in_header head;
		struct fuse_init_in init;
	} message = {
		.head = { .opcode = FUSE_INIT, .unique = 42, .len = sizeof message },
		.init = { .major = 7, .minor = 40, .flags = offered },
	};
	char buf[4096];
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], &message, sizeof message), sizeof message);
	cr_assert_eq(conn_io()->read(fds[0], buf, sizeof buf, c), sizeof message);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static uint32_t flags_answered(struct conn *c, uint64_t unique, uint32_t flags)
{
	struct fuse_out_header head = { .unique = unique };
	struct fuse_init_out reply = { .flags = flags };
	struct iovec iov[2] = {
		{ .iov_base = &head, .iov_len = sizeof head },
		{ .iov_base = &reply, .iov_len = sizeof reply },
	};
	struct {
		struct fuse_out_header head;
		struct fuse_init_out reply;
	} seen;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(conn_io()->writev(fds[1], iov, 2, c), sizeof seen);
	cr_assert_eq(read(fds[0], &seen, sizeof seen), sizeof seen);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return seen.reply.flags;
}

Test(conn, the_answer_to_init_takes_parallel_lookups_if_they_were_offered)
{
	struct conn c = { 0 };

	send_init(&c, FUSE_PARALLEL_DIROPS | FUSE_ASYNC_READ);
	cr_assert_eq(flags_answered(&c, 41, 0), 0);
	cr_assert_eq(flags_answered(&c, 42, FUSE_ASYNC_READ),
		     FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS);
	cr_assert_eq(flags_answered(&c, 42, 0), 0); /* one INIT, one answer */
}

Test(conn, nothing_is_added_that_was_not_offered)
{
	struct conn c = { 0 };

	send_init(&c, FUSE_ASYNC_READ);
	cr_assert_eq(flags_answered(&c, 42, FUSE_ASYNC_READ), FUSE_ASYNC_READ);
}

Test(conn, messages_are_counted_by_opcode)
{
	struct conn c = { 0 };

	send_init(&c, 0);
	send_init(&c, 0);
	cr_assert_eq(c.messages[FUSE_INIT], 2);
	cr_assert_eq(c.messages[FUSE_LOOKUP], 0);
	cr_assert_str_eq(conn_opcode_name(FUSE_INIT), "INIT");
	cr_assert_str_eq(conn_opcode_name(FUSE_READDIRPLUS), "READDIRPLUS");
	cr_expect(!conn_opcode_name(7));
	cr_expect(!conn_opcode_name(CONN_OPCODES + 1));
}

Test(conn, a_folder_that_is_not_empty_is_not_hidden)
{
	char dir[TEST_DIR_SIZE], below[64];
	struct conn c = { 0 };
	struct conn_options o = { 0 };
	struct err e = { 0 };

	test_dir(dir, sizeof dir);
	snprintf(below, sizeof below, "%s/sub", dir);
	cr_assert_eq(mkdir(below, 0700), 0);
	cr_assert_eq(conn_mount(&c, dir, &o, &e), -ENOTEMPTY);
	cr_expect(strstr(e.msg, "sub"));
	cr_expect(!c.session);
	(void)rmdir(below);
	cr_assert_eq(rmdir(dir), 0); /* not removed: it was there before */
}

/* packages/a in a repository may be a link to anywhere. */
Test(conn, nothing_is_mounted_through_a_symbolic_link)
{
	char dir[TEST_DIR_SIZE], real[64], link[64], at[96];
	struct conn c = { 0 };
	struct conn_options o = { 0 };
	struct err e = { 0 };

	test_dir(dir, sizeof dir);
	snprintf(real, sizeof real, "%s/real", dir);
	snprintf(link, sizeof link, "%s/link", dir);
	snprintf(at, sizeof at, "%s/node_modules", link);
	cr_assert_eq(mkdir(real, 0700), 0);
	cr_assert_eq(symlink(real, link), 0);
	cr_expect_eq(conn_mount(&c, at, &o, &e), -ENOTDIR);
	cr_expect(strstr(e.msg, "symbolic link"));
	cr_expect_eq(conn_mount(&c, link, &o, &e), -ENOTDIR);
	cr_expect(!c.session);
	(void)unlink(link);
	cr_expect_eq(rmdir(real), 0); /* no node_modules was made in it */
	cr_assert_eq(rmdir(dir), 0);
}
