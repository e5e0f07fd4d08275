#include "fs/upper_care.h"
#include "fs/upper_priv.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

#define TRIES_MAX 1000 /* of opening by a path while names are being moved */

void upper_orphan_path(uint64_t ino, char ret[64])
{
	(void)snprintf(ret, 64, "orphans/%llx", (unsigned long long)ino);
}

int path_join(char ret[PATH_MAX], const char *dir, const char *name)
{
	size_t a = strlen(dir), b = strlen(name);

	if (a + 1 + b >= PATH_MAX)
		return -ENAMETOOLONG;
	if (ret != dir)
		memcpy(ret, dir, a);
	ret[a] = '/';
	memcpy(ret + a + 1, name, b + 1);
	return 0;
}

/* ---- by id ---- */

static int spot_of_lower(struct upper_call *c, uint64_t ino, struct spot *ret)
{
	struct view_where w;
	int r = view_where(c->v, ino, &w, c->ret_wait, c->e);
	struct area *a;

	if (r != 0)
		return r;
	a = upper_area(c->u, w.package);
	if (!a)
		return -ENOMEM;
	ret->area = a;
	ret->top = w.top;
	ret->top_len = strlen(a->dir) + (w.top_len ? 1 + w.top_len : 0);
	if (w.path[0] == '\0') {
		(void)snprintf(ret->path, sizeof ret->path, "%s", a->dir);
		return 0;
	}
	return path_join(ret->path, a->dir, w.path);
}

/* What the table knows of an id: the names that lead to it, put together from the end in `tail`,
 * and the directory of the lower that they start in; 0: the path is whole. */
static int walk_up(struct upper *u, uint64_t ino, struct spot *ret, char *tail, uint64_t *ret_start)
{
	struct unode *n = nodes_get(&u->nodes, ino);
	char *at = tail + PATH_MAX - 1;

	*at = '\0';
	ret->lower = ino < UPPER_INO_FIRST ? ino : n ? n->lower : 0;
	ret->flags = n ? n->flags : 0;
	ret->known = n && !(n->flags & (UNODE_INPLACE | UNODE_ALIAS));
	*ret_start = ret->lower;
	if (!n)
		return ino < UPPER_INO_FIRST ? 0 : -ESTALE;
	if (!ret->known)
		return 0;
	if (n->flags & UNODE_ORPHAN) {
		*ret_start = 0;
		upper_orphan_path(ino, ret->path);
		return 0;
	}
	ret->lower = 0;
	for (; n; n = nodes_get(&u->nodes, n->parent)) {
		size_t len = n->name ? strlen(n->name) : 0;

		if (n->flags & UNODE_ALIAS) {
			*ret_start = n->lower;
			break;
		}
		if (!len)
			return -ENOENT; /* in a directory that was removed */
		if ((size_t)(at - tail) < len + 1)
			return -ENAMETOOLONG;
		if (*at)
			*--at = '/';
		at -= len;
		memcpy(at, n->name, len);
		*ret_start = n->parent;
	}
	memmove(tail, at, (size_t)(tail + PATH_MAX - at));
	return *ret_start < UPPER_INO_FIRST ? 0 : -ESTALE;
}

static int find(struct upper_call *c, uint64_t ino, struct spot *ret, bool moving)
{
	struct nodes *n = &c->u->nodes;
	char tail[PATH_MAX];
	uint64_t start;
	int r;

	ret->ino = ino;
	ret->area = NULL;
	(void)pthread_mutex_lock(&n->mu);
	while (n->moving && !moving)
		(void)pthread_cond_wait(&n->settled, &n->mu);
	ret->moves = n->moves;
	r = walk_up(c->u, ino, ret, tail, &start);
	(void)pthread_mutex_unlock(&n->mu);
	if (r < 0 || start == 0)
		return r;
	r = spot_of_lower(c, start, ret);
	if (r != 0 || !ret->known)
		return r;
	return path_join(ret->path, ret->path, tail);
}

int spot_find(struct upper_call *c, uint64_t ino, struct spot *ret)
{
	return find(c, ino, ret, false);
}

int spot_find_moving(struct upper_call *c, uint64_t ino, struct spot *ret)
{
	return find(c, ino, ret, true);
}

static bool still(struct upper *u, const struct spot *s)
{
	struct nodes *n = &u->nodes;
	bool same;

	(void)pthread_mutex_lock(&n->mu);
	same = !n->moving && n->moves == s->moves;
	(void)pthread_mutex_unlock(&n->mu);
	return same;
}

int upper_openat(const struct upper *u, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	long fd = syscall(SYS_openat2, u->fd, path, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
}

int upper_item_open(const struct upper *u, const char *upper, int flags)
{
	int fd = upper_openat(u, upper, flags);

	return fd == -ENOTDIR || fd == -ELOOP ? -ENOENT : fd;
}

int upper_open_parent(const struct upper *u, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (!slash) {
		int fd = fcntl(u->fd, F_DUPFD_CLOEXEC, 3);

		*ret_name = path;
		return fd < 0 ? -errno : fd;
	}
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	*ret_name = slash + 1;
	return upper_openat(u, dir, O_PATH | O_DIRECTORY);
}

int spot_open(struct upper_call *c, uint64_t ino, int flags, struct spot *ret, int *ret_fd)
{
	int fd = -ENOENT;

	for (unsigned i = 0; i < TRIES_MAX; i++) {
		int r = spot_find(c, ino, ret);

		if (r != 0)
			return r;
		if (!spot_maybe(ret))
			return -ENOENT;
		fd = upper_openat(c->u, ret->path, flags);
		if (still(c->u, ret))
			break;
		if (fd >= 0)
			(void)close(fd);
		fd = -ESTALE;
	}
	/* a folder on the way is a file now: the upper was changed behind our back, or by a relock
	 */
	if (fd == -ENOTDIR || fd == -ELOOP)
		fd = -ENOENT;
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* ---- open files ---- */

static struct fd_slot *set_of(struct upper *u, uint64_t ino)
{
	return u->fds[(ino ^ ino >> VIEW_ENTRY_BITS) % FD_SETS];
}

/* A pinned descriptor, or -1. */
static int cached(struct upper *u, uint64_t ino, bool writes)
{
	struct fd_slot *set = set_of(u, ino);
	int fd = -1;

	(void)pthread_mutex_lock(&u->fds_mu);
	for (unsigned i = 0; i < FD_WAYS && fd < 0; i++) {
		if (set[i].ino != ino || set[i].dead || (writes && !set[i].writes))
			continue;
		set[i].pins++;
		set[i].used = ++u->fd_clock;
		fd = set[i].fd;
	}
	(void)pthread_mutex_unlock(&u->fds_mu);
	return fd;
}

static void clear_slot(struct fd_slot *s, int *ret_close)
{
	*ret_close = s->fd;
	*s = (struct fd_slot){ .fd = -1 };
}

/* True: the cache has it now, with `pins`. */
static bool keep(struct upper *u, uint64_t ino, int fd, bool writes, unsigned pins)
{
	struct fd_slot *set = set_of(u, ino), *best = NULL;
	auto_close int old = -1;

	(void)pthread_mutex_lock(&u->fds_mu);
	for (unsigned i = 0; i < FD_WAYS; i++) {
		struct fd_slot *s = &set[i];

		if (s->ino == ino && !s->dead && s->pins == 0) {
			best = s;
			break;
		}
		if (s->pins == 0 && (!best || s->used < best->used))
			best = s;
	}
	if (best) {
		clear_slot(best, &old);
		*best = (struct fd_slot){ .ino = ino, .fd = fd, .pins = pins, .writes = writes };
		best->used = ++u->fd_clock;
	}
	(void)pthread_mutex_unlock(&u->fds_mu);
	return best != NULL;
}

void upper_file_keep(struct upper *u, uint64_t ino, int fd)
{
	if (!keep(u, ino, fd, true, 0))
		(void)close(fd);
}

void upper_file_done(struct upper *u, uint64_t ino, int fd, bool is_cached)
{
	struct fd_slot *set = set_of(u, ino);
	auto_close int old = -1;

	if (!is_cached) {
		(void)close(fd);
		return;
	}
	(void)pthread_mutex_lock(&u->fds_mu);
	for (unsigned i = 0; i < FD_WAYS; i++)
		if (set[i].ino == ino && set[i].fd == fd && --set[i].pins == 0 && set[i].dead)
			clear_slot(&set[i], &old);
	(void)pthread_mutex_unlock(&u->fds_mu);
}

void upper_file_drop(struct upper *u, uint64_t ino)
{
	struct fd_slot *set = set_of(u, ino);
	int old[FD_WAYS] = { -1, -1, -1, -1 };

	(void)pthread_mutex_lock(&u->fds_mu);
	for (unsigned i = 0; i < FD_WAYS; i++) {
		if (set[i].ino != ino)
			continue;
		set[i].dead = true;
		if (set[i].pins == 0)
			clear_slot(&set[i], &old[i]);
	}
	(void)pthread_mutex_unlock(&u->fds_mu);
	for (unsigned i = 0; i < FD_WAYS; i++)
		closep(&old[i]);
}

void upper_forget_files(struct upper *u)
{
	for (unsigned i = 0; i < FD_SETS; i++) {
		for (unsigned k = 0; k < FD_WAYS; k++) {
			uint64_t ino;

			(void)pthread_mutex_lock(&u->fds_mu);
			ino = u->fds[i][k].ino;
			(void)pthread_mutex_unlock(&u->fds_mu);
			if (ino)
				upper_file_drop(u, ino);
		}
	}
	upper_changed_all(u);
}

/* A program may write what it has open whatever the mode has become, or was when it was made (0444
 * is usual); for a user who is not root the file must lend us its mode for a moment. */
static int open_lent(struct upper_call *c, uint64_t ino, bool writes, struct spot *s, int *ret_fd)
{
	auto_close int fd = -1;
	char path[64];
	struct stat st;
	int r = spot_open(c, ino, O_PATH, s, &fd);

	if (r != 0)
		return r;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	(void)pthread_mutex_lock(&c->u->mode_mu);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    chmod(path, (st.st_mode & 07777) | 0600) < 0) {
		r = -EACCES;
	} else {
		*ret_fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (*ret_fd < 0)
			r = -errno;
		(void)chmod(path, st.st_mode & 07777);
	}
	(void)pthread_mutex_unlock(&c->u->mode_mu);
	return r;
}

int upper_file(struct upper_call *c, uint64_t ino, bool writes, int *ret_fd, bool *ret_cached,
	       uint64_t *ret_lower)
{
	int fd = cached(c->u, ino, writes), r;
	bool read_only = false;
	struct spot s;

	if (fd >= 0) {
		*ret_fd = fd;
		*ret_cached = true;
		return 0;
	}
	r = spot_open(c, ino, O_RDWR | O_NONBLOCK, &s, &fd);
	if (r == -EROFS && !writes) {
		read_only = true;
		r = spot_open(c, ino, O_RDONLY | O_NONBLOCK, &s, &fd);
	}
	if (r == -EACCES)
		r = open_lent(c, ino, true, &s, &fd);
	*ret_lower = s.lower;
	if (r != 0)
		return r == -ENOENT && !s.lower ? -EIO : r;
	*ret_cached = keep(c->u, ino, fd, !read_only, 1);
	*ret_fd = fd;
	return 0;
}
