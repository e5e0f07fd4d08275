#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

/* A place for something new. */
struct making {
	struct upper_call *c;
	struct spot dir;
	int dirfd;
	const char *name;
	mode_t mode;
	dev_t rdev;
	const char *text; /* of a symbolic link */
};

/* -EEXIST where something is seen. The folder is there afterwards. */
static int prepare(struct making *m, uint64_t dir)
{
	struct child ch;
	int r = spot_find(m->c, dir, &m->dir);

	if (r == 0 && (m->dir.flags & UNODE_ORPHAN))
		r = -ENOENT;
	if (r == 0)
		r = child_find(m->c, &m->dir, m->name, &ch);
	if (r == 0 && ch.shown)
		r = -EEXIST;
	return r ? r : upper_make_dirs(m->c, dir, &m->dir, &m->dirfd);
}

/* The file's descriptor, which can write whatever its mode says; -1 of all else. */
static int make_at(const struct making *m, int dirfd, const char *name, mode_t mode, int *ret_fd)
{
	int r = 0;

	if (m->text)
		r = symlinkat(m->text, dirfd, name);
	else if (S_ISDIR(mode))
		r = mkdirat(dirfd, name, mode & 07777);
	else if (!S_ISREG(mode))
		r = mknodat(dirfd, name, mode, m->rdev);
	else
		r = *ret_fd =
			openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode & 07777);
	return r < 0 ? -errno : 0;
}

/* Somebody else's, or with mode bits that our own umask takes away: made ready in tmp/ first. */
static bool is_direct(const struct making *m)
{
	const struct upper_call *c = m->c;

	if (c->u->root && (c->uid != 0 || c->gid != 0))
		return false;
	return m->text || (m->mode & c->u->umask) == 0;
}

static int make_ready(struct making *m, const char *temp, const struct stat *dir, int *ret_fd)
{
	const struct upper_call *c = m->c;
	bool inherits = dir->st_mode & S_ISGID;
	mode_t mode = m->mode & 07777;
	int r = make_at(m, c->u->fd, temp, m->mode & ~(mode_t)07077, ret_fd);

	if (r < 0)
		return r;
	if (inherits && S_ISDIR(m->mode))
		mode |= S_ISGID;
	if (c->u->root && fchownat(c->u->fd, temp, c->uid, inherits ? dir->st_gid : c->gid,
				   AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!m->text && fchmodat(c->u->fd, temp, mode, 0) < 0)
		return -errno;
	return 0;
}

static int make_by_temp(struct making *m, int *ret_fd)
{
	struct upper *u = m->c->u;
	struct stat dir;
	char temp[64];
	int r = 0;

	if (fstat(m->dirfd, &dir) < 0)
		return -errno;
	upper_temp(u, temp);
	r = make_ready(m, temp, &dir, ret_fd);
	if (r == 0)
		r = upper_rename_new(u, temp, m->dirfd, m->name);
	if (r < 0)
		(void)unlinkat(u->fd, temp, S_ISDIR(m->mode) ? AT_REMOVEDIR : 0);
	return r;
}

static int enter(struct making *m, uint64_t dir, int fd, struct upper_entry *ret)
{
	struct child ch = { .has_up = true, .shown = true };
	int r;

	if (fstatat(m->dirfd, m->name, &ch.st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else
		r = child_entry(m->c, dir, m->name, &ch, true, ret);
	if (r == 0 && fd >= 0)
		upper_file_keep(m->c->u, ret->ino, fd);
	else if (fd >= 0)
		(void)close(fd);
	return r;
}

static int make(struct making *m, uint64_t dir, struct upper_entry *ret)
{
	int fd = -1, r = prepare(m, dir);

	if (r == 0)
		r = is_direct(m) ? make_at(m, m->dirfd, m->name, m->mode, &fd)
				 : make_by_temp(m, &fd);
	if (r == 0) {
		upper_changed_fd(m->c->u, m->dirfd);
		r = enter(m, dir, fd, ret);
	} else {
		closep(&fd);
	}
	closep(&m->dirfd);
	return r < 0 ? upper_fault(m->c->u, r, m->name) : r;
}

int upper_make(struct upper_call *c, uint64_t dir, const char *name, mode_t mode, dev_t rdev,
	       struct upper_entry *ret)
{
	struct making m = { .c = c, .dirfd = -1, .name = name, .mode = mode, .rdev = rdev };

	if ((mode & S_IFMT) == 0)
		m.mode |= S_IFREG;
	return make(&m, dir, ret);
}

int upper_symlink(struct upper_call *c, uint64_t dir, const char *name, const char *text,
		  struct upper_entry *ret)
{
	struct making m = { .c = c, .dirfd = -1, .name = name, .mode = S_IFLNK, .text = text };

	return make(&m, dir, ret);
}

/* ---- hard links ---- */

/* The node that all names of the file share; one for the lower's file too. */
static int share_node(struct upper *u, uint64_t ino, uint64_t backing)
{
	struct nodes *n = &u->nodes;
	struct unode *node;

	(void)pthread_mutex_lock(&n->mu);
	node = nodes_get(n, ino);
	if (!node)
		node = nodes_add(n, ino, UNODE_INPLACE | UNODE_BASE);
	if (node)
		nodes_back(n, node, backing);
	(void)pthread_mutex_unlock(&n->mu);
	return node ? 0 : -ENOMEM;
}

static int link_at(struct making *m, uint64_t ino)
{
	auto_close int fd = -1;
	char path[64];
	struct spot from;
	struct stat st;
	int r = spot_open(m->c, ino, O_PATH, &from, &fd);

	if (r != 0)
		return r == -ENOENT ? -EIO : r;
	if (fstat(fd, &st) < 0)
		return -errno;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	r = share_node(m->c->u, ino, st.st_ino);
	if (r == 0 && linkat(AT_FDCWD, path, m->dirfd, m->name, AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	return r;
}

int upper_link(struct upper_call *c, uint64_t ino, uint64_t dir, const char *name,
	       struct upper_entry *ret)
{
	struct making m = { .c = c, .dirfd = -1, .name = name };
	int r = upper_copy_up(c, ino, UINT64_MAX);

	if (r == 0)
		r = prepare(&m, dir);
	if (r == 0)
		r = link_at(&m, ino);
	if (r == 0) {
		upper_changed_fd(c->u, m.dirfd);
		r = enter(&m, dir, -1, ret);
	}
	closep(&m.dirfd);
	return r < 0 ? upper_fault(c->u, r, name) : r;
}
