#include "fs/ops_priv.h"

#include <stdio.h>

/* ---- attributes ---- */

int ask_setattr(struct ask *a, struct upper_call *c)
{
	struct stat st;
	int r = upper_setattr(c, a->ino, &a->change, &st);

	if (r != 0)
		return r;
	st.st_ino = ops_shown_ino(a->conn, a->ino);
	(void)fuse_reply_attr(a->req, &st, OPS_TIMEOUT);
	return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	static const struct {
		int theirs;
		unsigned ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, UPPER_SET_MODE },
		{ FUSE_SET_ATTR_UID, UPPER_SET_UID },
		{ FUSE_SET_ATTR_GID, UPPER_SET_GID },
		{ FUSE_SET_ATTR_SIZE, UPPER_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW, UPPER_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW, UPPER_SET_MTIME },
	};
	struct ask a = ask_new(req, ASK_SETATTR, ino);

	(void)fi;
	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (to_set & bits[i].theirs)
			a.change.set |= bits[i].ours;
	a.change.mode = attr->st_mode;
	a.change.uid = attr->st_uid;
	a.change.gid = attr->st_gid;
	a.change.size = attr->st_size;
	a.change.atime = attr->st_atim;
	a.change.mtime = attr->st_mtim;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		a.change.atime.tv_nsec = UTIME_NOW;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		a.change.mtime.tv_nsec = UTIME_NOW;
	ask_run(&a);
}

/* ---- new names ---- */

int ask_make(struct ask *a, struct upper_call *c)
{
	struct upper_entry entry;
	int r = upper_make(c, a->ino, a->name, a->mode, a->rdev, &entry);

	if (r == 0)
		ops_reply_entry(a, &entry);
	return r;
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct ask a = ask_new(req, ASK_MAKE, parent);

	a.name = name;
	a.mode = mode;
	a.rdev = rdev;
	ask_run(&a);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, (mode & 07777) | S_IFDIR, 0);
}

int ask_symlink(struct ask *a, struct upper_call *c)
{
	struct upper_entry entry;
	int r = upper_symlink(c, a->ino, a->name, a->to_name, &entry);

	if (r == 0)
		ops_reply_entry(a, &entry);
	return r;
}

void op_symlink(fuse_req_t req, const char *text, fuse_ino_t parent, const char *name)
{
	struct ask a = ask_new(req, ASK_SYMLINK, parent);

	a.name = name;
	a.to_name = text;
	ask_run(&a);
}

int ask_link(struct ask *a, struct upper_call *c)
{
	struct upper_entry entry;
	int r = upper_link(c, a->ino, a->to, a->name, &entry);

	if (r == 0)
		ops_reply_entry(a, &entry);
	return r;
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct ask a = ask_new(req, ASK_LINK, ino);

	a.to = ops_from_kernel(a.conn, parent);
	a.name = name;
	ask_run(&a);
}

/* ---- names that go ---- */

static int answered(struct ask *a, int r)
{
	if (r == 0)
		(void)fuse_reply_err(a->req, 0);
	return r;
}

int ask_unlink(struct ask *a, struct upper_call *c)
{
	return answered(a, upper_unlink(c, a->ino, a->name));
}

int ask_rmdir(struct ask *a, struct upper_call *c)
{
	return answered(a, upper_rmdir(c, a->ino, a->name));
}

int ask_rename(struct ask *a, struct upper_call *c)
{
	return answered(a, upper_rename(c, a->ino, a->name, a->to, a->to_name, a->flags));
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ask a = ask_new(req, ASK_UNLINK, parent);

	a.name = name;
	ask_run(&a);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ask a = ask_new(req, ASK_RMDIR, parent);

	a.name = name;
	ask_run(&a);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	       const char *to_name, unsigned flags)
{
	struct ask a = ask_new(req, ASK_RENAME, parent);

	a.name = name;
	a.to = ops_from_kernel(a.conn, to);
	a.to_name = to_name;
	a.flags = flags;
	ask_run(&a);
}
