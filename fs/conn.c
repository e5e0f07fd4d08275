#include "fs/conn.h"

#include "fs/conn_priv.h"

#include <linux/fuse.h>
#include <sys/uio.h>

static const char *const names[CONN_OPCODES] = {
	[FUSE_LOOKUP] = "LOOKUP",
	[FUSE_FORGET] = "FORGET",
	[FUSE_GETATTR] = "GETATTR",
	[FUSE_SETATTR] = "SETATTR",
	[FUSE_READLINK] = "READLINK",
	[FUSE_SYMLINK] = "SYMLINK",
	[FUSE_MKNOD] = "MKNOD",
	[FUSE_MKDIR] = "MKDIR",
	[FUSE_UNLINK] = "UNLINK",
	[FUSE_RMDIR] = "RMDIR",
	[FUSE_RENAME] = "RENAME",
	[FUSE_LINK] = "LINK",
	[FUSE_OPEN] = "OPEN",
	[FUSE_READ] = "READ",
	[FUSE_WRITE] = "WRITE",
	[FUSE_STATFS] = "STATFS",
	[FUSE_RELEASE] = "RELEASE",
	[FUSE_FSYNC] = "FSYNC",
	[FUSE_SETXATTR] = "SETXATTR",
	[FUSE_GETXATTR] = "GETXATTR",
	[FUSE_LISTXATTR] = "LISTXATTR",
	[FUSE_REMOVEXATTR] = "REMOVEXATTR",
	[FUSE_FLUSH] = "FLUSH",
	[FUSE_INIT] = "INIT",
	[FUSE_OPENDIR] = "OPENDIR",
	[FUSE_READDIR] = "READDIR",
	[FUSE_RELEASEDIR] = "RELEASEDIR",
	[FUSE_FSYNCDIR] = "FSYNCDIR",
	[FUSE_GETLK] = "GETLK",
	[FUSE_SETLK] = "SETLK",
	[FUSE_SETLKW] = "SETLKW",
	[FUSE_ACCESS] = "ACCESS",
	[FUSE_CREATE] = "CREATE",
	[FUSE_INTERRUPT] = "INTERRUPT",
	[FUSE_BMAP] = "BMAP",
	[FUSE_DESTROY] = "DESTROY",
	[FUSE_IOCTL] = "IOCTL",
	[FUSE_POLL] = "POLL",
	[FUSE_NOTIFY_REPLY] = "NOTIFY_REPLY",
	[FUSE_BATCH_FORGET] = "BATCH_FORGET",
	[FUSE_FALLOCATE] = "FALLOCATE",
	[FUSE_READDIRPLUS] = "READDIRPLUS",
	[FUSE_RENAME2] = "RENAME2",
	[FUSE_LSEEK] = "LSEEK",
	[FUSE_COPY_FILE_RANGE] = "COPY_FILE_RANGE",
	[48] = "SETUPMAPPING",
	[49] = "REMOVEMAPPING",
	[50] = "SYNCFS",
	[51] = "TMPFILE",
	[52] = "STATX",
	[53] = "COPY_FILE_RANGE_64",
};

const char *conn_opcode_name(unsigned opcode)
{
	return opcode < CONN_OPCODES ? names[opcode] : NULL;
}

static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
	const struct fuse_in_header *in = buf;
	const struct fuse_init_in *init = (const void *)(in + 1);
	struct conn *c = userdata;
	ssize_t n = c->turns.max ? turns_read(&c->turns, buf, len) : read(fd, buf, len);

	if (n < (ssize_t)sizeof *in)
		return n;
	(void)atomic_fetch_add_explicit(&c->messages[in->opcode < CONN_OPCODES ? in->opcode : 0], 1,
					memory_order_relaxed);
	if (in->opcode == FUSE_INIT && n >= (ssize_t)(sizeof *in + 16)) {
		atomic_store(&c->init_offered, init->flags);
		atomic_store(&c->init_unique, in->unique);
	}
	return n;
}

static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct conn *c = userdata;
	uint64_t unique = atomic_load_explicit(&c->init_unique, memory_order_relaxed);

	if (unique && out->unique == unique && out->error == 0 && count > 1 &&
	    iov[1].iov_len >= 16) {
		struct fuse_init_out *reply = iov[1].iov_base;

		atomic_store(&c->init_unique, 0);
		reply->flags |= atomic_load(&c->init_offered) & FUSE_PARALLEL_DIROPS;
	}
	return writev(fd, iov, count);
}

const struct fuse_custom_io *conn_io(void)
{
	static const struct fuse_custom_io io = { .read = hook_read, .writev = hook_writev };

	return &io;
}

int conn_loop(struct conn *c, unsigned threads)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int r;

	if (!cfg)
		return -ENOMEM;
	r = turns_start(&c->turns, fuse_session_fd(c->session), threads);
	if (r < 0) {
		fuse_loop_cfg_destroy(cfg);
		return r;
	}
	fuse_loop_cfg_set_clone_fd(cfg, 0); /* a clone dies with its process */
	fuse_loop_cfg_set_max_threads(cfg, threads);
	fuse_loop_cfg_set_idle_threads(cfg, threads);
	r = fuse_session_loop_mt(c->session, cfg);
	turns_stop(&c->turns);
	fuse_loop_cfg_destroy(cfg);
	return r;
}
