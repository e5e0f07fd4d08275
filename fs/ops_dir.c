#include "fs/ops_priv.h"

#include <limits.h>

/* A name that is not there, and that the kernel may remember. */
static void reply_nothing(const struct ask *a)
{
	struct fuse_entry_param entry = { .entry_timeout = OPS_TIMEOUT };

	(void)fuse_reply_entry(a->req, &entry);
}

int ask_lookup(struct ask *a, struct upper_call *c)
{
	const struct ops_server *s = server_ops(a->conn->server);
	struct upper_entry entry = { 0 };
	struct view_attr attr;
	int r;

	if (strlen(a->name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (c->u) {
		r = upper_lookup(c, a->ino, a->name, &entry);
	} else {
		r = view_lookup(c->v, a->ino, slice_str(a->name), &attr, c->ret_wait, c->e);
		if (r == 0) {
			entry.ino = attr.ino;
			entry.st = ops_stat(a->conn, &attr);
		}
	}
	if (r == 0)
		ops_reply_entry(a, &entry);
	if (r == 0 && listed_asked(s->listed, a->ino, S_ISDIR(entry.st.st_mode)))
		push_listed(s->push, a->ino);
	if (r != -ENOENT || view_is_past(c->v, a->ino))
		return r;
	reply_nothing(a);
	return 0;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ask a = ask_new(req, ASK_LOOKUP, parent);

	a.name = name;
	ask_run(&a);
}

int ask_getattr(struct ask *a, struct upper_call *c)
{
	struct view_attr attr;
	struct stat st;
	int r;

	if (c->u) {
		r = upper_getattr(c, a->ino, &st);
	} else {
		r = view_attr(c->v, a->ino, &attr, c->ret_wait, c->e);
		if (r == 0)
			st = ops_stat(a->conn, &attr);
	}
	if (r != 0)
		return r;
	st.st_ino = ops_shown_ino(a->conn, a->ino);
	(void)fuse_reply_attr(a->req, &st, OPS_TIMEOUT);
	return 0;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ask a = ask_new(req, ASK_GETATTR, ino);

	(void)fi;
	ask_run(&a);
}

/* ---- listings ---- */

struct filler {
	struct ask *ask;
	char *buf;
	size_t used;
	enum listed_how how;
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool fill(void *arg, const char *name, const struct upper_entry *found, uint64_t cookie)
{
	struct filler *f = arg;
	struct ask *a = f->ask;
	size_t room = a->size - f->used, need;
	struct stat st = found->st;

	st.st_ino = ops_shown_ino(a->conn, found->ino);
	if (a->kind == ASK_READDIR) {
		need = fuse_add_direntry(a->req, f->buf + f->used, room, name, &st, (off_t)cookie);
	} else {
		struct fuse_entry_param entry = {
			/* "." and ".." are no look-ups: the kernel counts none; what is bare it
			 * shall look up when it is asked for */
			.ino = is_dots(name) || found->bare ? 0
							    : ops_to_kernel(a->conn, found->ino),
			.attr = st,
			.attr_timeout = OPS_TIMEOUT,
			.entry_timeout = OPS_TIMEOUT,
		};

		need = fuse_add_direntry_plus(a->req, f->buf + f->used, room, name, &entry,
					      (off_t)cookie);
	}
	if (need > room)
		return false;
	f->used += need;
	return true;
}

static bool fill_low(void *arg, struct slice name, const struct view_attr *attr, uint64_t cookie)
{
	struct filler *f = arg;
	struct upper_entry entry = {
		.ino = attr->ino,
		.st = ops_stat(f->ask->conn, attr),
		.bare = attr->bare || f->how == LISTED_NAMES ||
			(f->how == LISTED_DIRS && !S_ISDIR(attr->mode)),
	};
	char text[256];

	if (name.len >= sizeof text)
		return true; /* no path could name it */
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	return fill(arg, text, &entry, cookie);
}

int ask_list(struct ask *a, struct upper_call *c)
{
	const struct ops_server *s = server_ops(a->conn->server);
	static const enum upper_list of[] = { [LISTED_NAMES] = UPPER_LIST_NAMES,
					      [LISTED_DIRS] = UPPER_LIST_DIRS,
					      [LISTED_ALL] = UPPER_LIST_ALL };
	bool plus = a->kind == ASK_READDIRPLUS;
	struct filler f = {
		.ask = a,
		.buf = ops_buffer(a->size),
		.how = plus ? listed_how(s->listed, a->ino) : LISTED_NAMES,
	};
	int r;

	if (!f.buf)
		return -ENOMEM;
	if (c->u)
		r = upper_list(c, a->ino, a->off, plus ? of[f.how] : UPPER_LIST_PLAIN, fill, &f);
	else
		r = view_list(c->v, a->ino, a->off, fill_low, &f, c->ret_wait, c->e);
	if (r != 0 && f.used == 0)
		return r;
	(void)fuse_reply_buf(a->req, f.buf, f.used);
	if (f.how == LISTED_ALL)
		push_listed(s->push, a->ino);
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, enum ask_kind kind)
{
	struct ask a = ask_new(req, kind, ino);

	a.size = size;
	a.off = (uint64_t)off;
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
