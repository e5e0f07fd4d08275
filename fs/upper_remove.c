#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

/* ---- out of sight ---- */

int upper_orphan(struct upper *u, uint64_t ino, uint32_t flags, const struct child *ch)
{
	struct nodes *n = &u->nodes;
	struct unode *node;

	if (!ino)
		return 0;
	(void)pthread_mutex_lock(&n->mu);
	node = nodes_get(n, ino);
	if (!node)
		node = nodes_add(n, ino, UNODE_BASE);
	if (node) {
		nodes_unname(n, node);
		node->flags &= ~(unsigned)(UNODE_INPLACE | UNODE_ALIAS);
		node->flags |= UNODE_ORPHAN | flags;
		node->mode = child_mode(ch);
		node->uid = ch->has_up ? ch->st.st_uid : u->uid;
		node->gid = ch->has_up ? ch->st.st_gid : u->gid;
		(void)clock_gettime(CLOCK_REALTIME, &node->when);
	}
	(void)pthread_mutex_unlock(&n->mu);
	return node ? 0 : -ENOMEM;
}

int upper_bury(struct upper *u, int dirfd, const char *name, uint64_t ino)
{
	char path[80], temp[64];

	if (ino) {
		upper_orphan_path(ino, path);
	} else {
		upper_temp(u, temp);
		(void)snprintf(path, sizeof path, "orphans/x%s", temp + strlen("tmp/"));
	}
	return renameat(dirfd, name, u->fd, path) < 0 ? -errno : 0;
}

int upper_bury_aside(struct upper_call *c, const struct spot *dir, const char *name)
{
	auto_close int fd = -1;
	char path[PATH_MAX];
	const char *last;
	int r = path_join(path, dir->path, name);

	if (r < 0)
		return r;
	fd = upper_open_parent(c->u, path, &last);
	if (fd >= 0)
		r = upper_bury(c->u, fd, last, 0);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

int upper_hide(struct upper_call *c, const struct spot *dir, const char *name,
	       const struct child *ch)
{
	struct area *a;
	int r = 0;

	if (!ch->has_low)
		return 0;
	if (ch->own) {
		r = upper_bury_aside(c, dir, name);
		a = upper_area(c->u, view_place(c->v, ch->low.ino));
		if (a)
			atomic_store(&a->used, true);
	} else if (dir->area) {
		atomic_store(&dir->area->used, true);
	}
	return r < 0 ? r : gone_add(&c->u->gone, c->u->fd, ch->path);
}

static bool stop_at_name(void *arg, const char *name, const struct upper_entry *entry,
			 uint64_t cookie)
{
	bool *ret_any = arg;

	(void)entry;
	(void)cookie;
	*ret_any |= strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
	return !*ret_any;
}

int upper_is_empty(struct upper_call *c, uint64_t dir)
{
	bool any = false;
	int r = upper_list(c, dir, 0, UPPER_LIST_PLAIN, stop_at_name, &any);

	return r ? r : any ? -ENOTEMPTY : 0;
}

int upper_orphan_by_id(struct upper *u, struct view *v, uint64_t ino, bool dirs)
{
	struct parcel *wait = NULL;
	struct upper_call c = { .u = u, .v = v, .ret_wait = &wait };
	struct child ch = { .has_up = true };
	const char *name;
	auto_close int dir = -1;
	struct spot s;
	int r = spot_find_moving(&c, ino, &s);

	if (r != 0 || (s.flags & UNODE_ORPHAN) || !(s.flags & UNODE_DIR) == dirs)
		return 0; /* in a folder that has gone already */
	dir = upper_open_parent(u, s.path, &name);
	if (dir < 0 || fstatat(dir, name, &ch.st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(ch.st.st_mode))
		return upper_orphan(u, ino, UNODE_DIR, &ch);
	r = upper_bury(u, dir, name, ino);
	return r == 0 ? upper_orphan(u, ino, UNODE_SAVED, &ch) : r;
}

/* ---- unlink, rmdir ---- */

struct removal {
	struct upper_call *c;
	uint64_t dir;
	const char *name;
	struct spot spot; /* of dir */
	int dirfd;        /* of dir in the upper */
	struct child ch;
	uint64_t ino; /* the kernel's for it; 0: it does not know it */
};

static int look(struct removal *m)
{
	int r = spot_find(m->c, m->dir, &m->spot);

	if (r == 0 && (m->spot.flags & UNODE_ORPHAN))
		r = -ENOENT;
	if (r == 0)
		r = child_find(m->c, &m->spot, m->name, &m->ch);
	if (r == 0 && !m->ch.shown)
		r = -ENOENT;
	if (r == 0)
		m->ino = child_ino(m->c, m->dir, m->name, &m->ch);
	return r;
}

bool upper_reached(struct upper *u, uint64_t ino, uint64_t dir, const char *name,
		   const struct child *ch)
{
	const struct unode *n;
	bool other = false;

	(void)pthread_mutex_lock(&u->nodes.mu);
	n = nodes_get(&u->nodes, ino);
	if (n && (n->flags & UNODE_SAVED))
		other = true;
	else if (n && n->name)
		other = n->parent != dir || strcmp(n->name, name) != 0;
	else if (n && (n->flags & UNODE_INPLACE))
		other = !(ch->has_low && ch->low.ino == ino);
	(void)pthread_mutex_unlock(&u->nodes.mu);
	return other;
}

static int remove_upper(struct removal *m)
{
	struct upper *u = m->c->u;
	int r;

	if (S_ISDIR(m->ch.st.st_mode)) {
		r = unlinkat(m->dirfd, m->name, AT_REMOVEDIR) < 0 ? -errno : 0;
		return r == 0 ? upper_orphan(u, m->ino, UNODE_DIR, &m->ch) : r;
	}
	if (m->ino && upper_reached(u, m->ino, m->dir, m->name, &m->ch))
		return unlinkat(m->dirfd, m->name, 0) < 0 ? -errno : 0;
	r = m->ino                               ? upper_bury(u, m->dirfd, m->name, m->ino)
	    : unlinkat(m->dirfd, m->name, 0) < 0 ? -errno
						 : 0;
	return r == 0 ? upper_orphan(u, m->ino, UNODE_SAVED, &m->ch) : r;
}

/* The folder's time moves as it does when a name goes. */
static void touch(int dirfd)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
	(void)utimensat(AT_FDCWD, path,
			(struct timespec[2]){ { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } },
			0);
}

static int finish(struct removal *m, int r)
{
	upper_changed_fd(m->c->u, m->dirfd);
	closep(&m->dirfd);
	return r < 0 ? upper_fault(m->c->u, r, m->name) : r;
}

int upper_unlink(struct upper_call *c, uint64_t dir, const char *name)
{
	struct removal m = { .c = c, .dir = dir, .name = name, .dirfd = -1 };
	int r = look(&m);

	if (r == 0 && S_ISDIR(child_mode(&m.ch)))
		r = -EISDIR;
	if (r == 0)
		r = upper_make_dirs(c, dir, &m.spot, &m.dirfd);
	if (r != 0)
		return r < 0 ? upper_fault(c->u, r, name) : r;
	nodes_moving(&c->u->nodes);
	r = upper_hide(c, &m.spot, name, &m.ch);
	if (r == 0 && m.ch.has_up) {
		r = remove_upper(&m);
	} else if (r == 0) {
		r = upper_orphan(c->u, m.ino, 0, &m.ch);
		touch(m.dirfd);
	}
	nodes_moved(&c->u->nodes);
	return finish(&m, r);
}

/* Of a directory that the lower has a part in: its line first, then what is left of it in the
 * upper, which is nothing that is seen. */
static int remove_merged(struct removal *m)
{
	struct upper *u = m->c->u;
	const char *last;
	auto_close int parent = -1;
	int r = upper_hide(m->c, &m->spot, m->name, &m->ch);

	if (r == 0 && m->ch.has_up) {
		parent = upper_open_parent(u, m->ch.path, &last);
		if (parent >= 0 && unlinkat(parent, last, AT_REMOVEDIR) < 0)
			r = errno == ENOTEMPTY ? upper_bury(u, parent, last, 0) : -errno;
	}
	touch(m->dirfd);
	return r == 0 ? upper_orphan(u, m->ino, UNODE_DIR, &m->ch) : r;
}

int upper_rmdir(struct upper_call *c, uint64_t dir, const char *name)
{
	struct removal m = { .c = c, .dir = dir, .name = name, .dirfd = -1 };
	int r = look(&m);
	bool merged;

	if (r == 0 && !S_ISDIR(child_mode(&m.ch)))
		r = -ENOTDIR;
	merged = r == 0 && m.ch.has_low && S_ISDIR(m.ch.low.mode);
	if (merged)
		r = upper_is_empty(c, m.ino ? m.ino : m.ch.low.ino);
	if (r == 0)
		r = upper_make_dirs(c, dir, &m.spot, &m.dirfd);
	if (r != 0)
		return r < 0 ? upper_fault(c->u, r, name) : r;
	nodes_moving(&c->u->nodes);
	if (merged) {
		r = remove_merged(&m);
	} else {
		r = upper_hide(c, &m.spot, name, &m.ch);
		if (r == 0)
			r = remove_upper(&m);
	}
	nodes_moved(&c->u->nodes);
	return finish(&m, r);
}
