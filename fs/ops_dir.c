#include "fs/ops_priv.h"

int ask_lookup(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e)
{
	struct fuse_entry_param entry = {
		.attr_timeout = OPS_TIMEOUT,
		.entry_timeout = OPS_TIMEOUT,
	};
	struct view_attr attr;
	int r = view_lookup(v, a->ino, slice_str(a->name), &attr, ret_wait, e);

	if (r != 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		entry.ino = ops_to_kernel(a->conn, attr.ino);
		entry.attr = ops_stat(a->conn, &attr);
	}
	/* ino 0 is a name that is not there, and that the kernel may remember */
	(void)fuse_reply_entry(a->req, &entry);
	return 0;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct conn *c = fuse_req_userdata(req);
	struct ask a = {
		.conn = c,
		.req = req,
		.kind = ASK_LOOKUP,
		.ino = ops_from_kernel(c, parent),
		.name = name,
	};

	ask_run(&a);
}

int ask_getattr(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e)
{
	struct view_attr attr;
	struct stat st;
	int r = view_attr(v, a->ino, &attr, ret_wait, e);

	if (r != 0)
		return r;
	st = ops_stat(a->conn, &attr);
	(void)fuse_reply_attr(a->req, &st, OPS_TIMEOUT);
	return 0;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct conn *c = fuse_req_userdata(req);
	struct ask a = {
		.conn = c,
		.req = req,
		.kind = ASK_GETATTR,
		.ino = ops_from_kernel(c, ino),
	};

	(void)fi;
	ask_run(&a);
}

/* ---- listings ---- */

struct filler {
	struct ask *ask;
	char *buf;
	size_t used;
};

static bool is_dots(struct slice name)
{
	return (name.len == 1 && name.ptr[0] == '.') ||
	       (name.len == 2 && name.ptr[0] == '.' && name.ptr[1] == '.');
}

static bool fill(void *arg, struct slice name, const struct view_attr *attr, uint64_t cookie)
{
	struct filler *f = arg;
	struct ask *a = f->ask;
	struct stat st = ops_stat(a->conn, attr);
	size_t room = a->size - f->used, need;
	char text[256];

	if (name.len >= sizeof text)
		return true; /* no path could name it */
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (a->kind == ASK_READDIR) {
		need = fuse_add_direntry(a->req, f->buf + f->used, room, text, &st, (off_t)cookie);
	} else {
		struct fuse_entry_param entry = {
			/* "." and ".." are no look-ups: the kernel counts none; what has no size
			 * yet it shall look up when that is asked for */
			.ino = is_dots(name) || attr->unsized ? 0 : st.st_ino,
			.attr = st,
			.attr_timeout = OPS_TIMEOUT,
			.entry_timeout = OPS_TIMEOUT,
		};

		need = fuse_add_direntry_plus(a->req, f->buf + f->used, room, text, &entry,
					      (off_t)cookie);
	}
	if (need > room)
		return false;
	f->used += need;
	return true;
}

int ask_list(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e)
{
	struct filler f = { .ask = a, .buf = ops_buffer(a->size) };
	int r;

	if (!f.buf)
		return -ENOMEM;
	r = view_list(v, a->ino, a->off, fill, &f, ret_wait, e);
	if (r != 0 && f.used == 0)
		return r;
	(void)fuse_reply_buf(a->req, f.buf, f.used);
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, enum ask_kind kind)
{
	struct conn *c = fuse_req_userdata(req);
	struct ask a = {
		.conn = c,
		.req = req,
		.kind = kind,
		.ino = ops_from_kernel(c, ino),
		.size = size,
		.off = (uint64_t)off,
	};

	ask_run(&a);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, ASK_READDIR);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, ASK_READDIRPLUS);
}
