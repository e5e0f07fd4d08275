#include "fs/ops_priv.h"

#include <limits.h>
#include <sys/statvfs.h>

int ask_readlink(struct ask *a, struct upper_call *c)
{
	const char *text;
	char buf[PATH_MAX];
	int r;

	if (c->u) {
		r = upper_readlink(c, a->ino, buf, sizeof buf);
		text = buf;
	} else {
		r = view_readlink(c->v, a->ino, &text, NULL);
	}
	if (r == 0)
		(void)fuse_reply_readlink(a->req, text);
	return r;
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct ask a = ask_new(req, ASK_READLINK, ino);

	ask_run(&a);
}

int ask_read(struct ask *a, struct upper_call *c)
{
	char *buf = ops_buffer(a->size);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	if (c->u)
		n = upper_read(c, a->ino, buf, a->size, a->off);
	else
		n = view_read(c->v, a->ino, buf, a->size, a->off, c->ret_wait, c->e);
	if (n < 0)
		return n == -EAGAIN ? VIEW_WAIT : (int)n;
	(void)fuse_reply_buf(a->req, buf, (size_t)n);
	if (a->off == 0)
		push_read(server_ops(a->conn->server)->push, a->conn, c->v, a->ino);
	return 0;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct ask a = ask_new(req, ASK_READ, ino);

	(void)fi;
	a.size = size;
	a.off = (uint64_t)off;
	ask_run(&a);
}

int ask_write(struct ask *a, struct upper_call *c)
{
	ssize_t n = upper_write(c, a->ino, a->data, a->size, a->off);

	if (n < 0)
		return n == -EAGAIN ? VIEW_WAIT : n == -EINPROGRESS ? UPPER_BLOCK : (int)n;
	(void)fuse_reply_write(a->req, (size_t)n);
	return 0;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct ask a = ask_new(req, ASK_WRITE, ino);

	(void)fi;
	a.data = buf;
	a.size = size;
	a.off = (uint64_t)off;
	ask_run(&a);
}

int ask_fallocate(struct ask *a, struct upper_call *c)
{
	int r = upper_fallocate(c, a->ino, (int)a->mode, a->off, a->size);

	if (r == 0)
		(void)fuse_reply_err(a->req, 0);
	return r;
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	struct ask a = ask_new(req, ASK_FALLOCATE, ino);

	(void)fi;
	a.mode = (mode_t)mode;
	a.off = (uint64_t)off;
	a.size = (size_t)len;
	ask_run(&a);
}

int ask_fsync(struct ask *a, struct upper_call *c)
{
	int r = upper_fsync(c, a->ino, a->flags & 1);

	if (r == 0)
		(void)fuse_reply_err(a->req, 0);
	return r;
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct ask a = ask_new(req, ASK_FSYNC, ino);

	(void)fi;
	a.flags = datasync != 0;
	ask_run(&a);
}

/* Of a read-only mount from memory, as it is asked again and again: no blocks, so that df counts
 * nothing twice. Of a writable one what the upper has room for. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct conn *c = fuse_req_userdata(req);
	const struct ops_server *s = server_ops(c->server);
	struct view *v = view_get(s->shown);
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_files = view_tree(v)->count,
		.f_namemax = 255,
	};
	int r = s->upper ? upper_statfs(s->upper, &st) : 0;

	(void)ino;
	view_unref(v);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_statfs(req, &st);
}
