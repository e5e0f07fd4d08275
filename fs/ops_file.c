#include "fs/ops_priv.h"

#include <sys/statvfs.h>

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct conn *c = fuse_req_userdata(req);
	struct view *v = view_get(server_ops(c->server)->shown);
	const char *text;
	int r = view_readlink(v, ops_from_kernel(c, ino), &text, NULL);

	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_readlink(req, text);
	view_unref(v);
}

int ask_read(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e)
{
	char *buf = ops_buffer(a->size);
	ssize_t n = buf ? view_read(v, a->ino, buf, a->size, a->off, ret_wait, e) : -ENOMEM;

	if (n < 0)
		return n == -EAGAIN ? VIEW_WAIT : (int)n;
	(void)fuse_reply_buf(a->req, buf, (size_t)n);
	return 0;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct conn *c = fuse_req_userdata(req);
	struct ask a = {
		.conn = c,
		.req = req,
		.kind = ASK_READ,
		.ino = ops_from_kernel(c, ino),
		.size = size,
		.off = (uint64_t)off,
	};

	(void)fi;
	ask_run(&a);
}

/* From memory, as it is asked again and again: no blocks, so that df counts nothing twice. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct conn *c = fuse_req_userdata(req);
	struct view *v = view_get(server_ops(c->server)->shown);
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_files = view_tree(v)->count,
		.f_namemax = 255,
	};

	(void)ino;
	view_unref(v);
	(void)fuse_reply_statfs(req, &st);
}
