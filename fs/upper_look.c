#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

#define DIR_SIZE 4096

/* ---- attributes ---- */

void upper_stat_low(const struct upper *u, const struct view_attr *a, struct stat *ret)
{
	*ret = view_stat(a, u->uid, u->gid);
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Directories have one link, as all of ours. What came into one that the lock makes after the
 * upper's was last changed (a relock) is newer than that one's time. */
void upper_stat_up(struct stat *st, uint64_t ino, const struct view_attr *low, uint32_t flags)
{
	st->st_ino = ino;
	st->st_dev = 0;
	st->st_blksize = 4096;
	if (S_ISDIR(st->st_mode)) {
		struct timespec time = { 0 };

		st->st_nlink = 1;
		st->st_size = DIR_SIZE;
		st->st_blocks = 0;
		if (low) {
			time.tv_sec = low->mtime_ns / 1000000000;
			time.tv_nsec = low->mtime_ns % 1000000000;
		}
		if (low && later(time, st->st_ctim))
			st->st_mtim = st->st_ctim = time;
	} else if ((flags & UNODE_SAVED) && st->st_nlink > 0) {
		st->st_nlink--; /* the one in orphans/ */
	}
}

/* What the lock makes gets a new time by a relock, whatever the upper's folder says; what lies in a
 * package keeps the one that it was given. */
static const struct view_attr *times_from(const struct upper_call *c, const struct view_attr *low)
{
	const struct place *place = view_place(c->v, low->ino);

	return place && place->kind == TREE_DIR ? low : NULL;
}

/* A directory that was removed, and that somebody still stands in. */
static void removed_dir(struct upper *u, uint64_t ino, struct stat *ret)
{
	const struct unode *n;

	*ret = (struct stat){ .st_ino = ino, .st_mode = S_IFDIR, .st_blksize = 4096 };
	(void)pthread_mutex_lock(&u->nodes.mu);
	n = nodes_get(&u->nodes, ino);
	if (n) {
		ret->st_mode = n->mode;
		ret->st_uid = n->uid;
		ret->st_gid = n->gid;
		ret->st_atim = ret->st_mtim = ret->st_ctim = n->when;
	}
	(void)pthread_mutex_unlock(&u->nodes.mu);
}

int upper_getattr(struct upper_call *c, uint64_t ino, struct stat *ret)
{
	struct view_attr low;
	auto_close int fd = -1;
	struct spot s;
	struct stat st;
	bool is_dir;
	int r = spot_open(c, ino, O_PATH, &s, &fd);

	if (r != 0 && r != -ENOENT)
		return r;
	if ((s.flags & (UNODE_ORPHAN | UNODE_DIR)) == (UNODE_ORPHAN | UNODE_DIR)) {
		removed_dir(c->u, ino, ret);
		return 0;
	}
	if (r == 0 && fstat(fd, &st) < 0)
		return -errno;
	is_dir = r == 0 && S_ISDIR(st.st_mode);
	if (r == 0 && !(is_dir && s.lower)) {
		upper_stat_up(&st, ino, NULL, s.flags);
		*ret = st;
		return 0;
	}
	if (!s.lower)
		return upper_fault(c->u, -EIO, "a file that was there is not any more");
	bool up = r == 0;

	r = view_attr(c->v, s.lower, &low, c->ret_wait, c->e);
	if (r != 0)
		return r;
	if (up) {
		upper_stat_up(&st, ino, times_from(c, &low), s.flags);
		*ret = st;
	} else {
		upper_stat_low(c->u, &low, ret);
		ret->st_ino = ino;
		if (s.flags & UNODE_ORPHAN)
			ret->st_nlink = 0;
	}
	return 0;
}

/* ---- a name in a directory ---- */

mode_t child_mode(const struct child *ch)
{
	return ch->has_up ? ch->st.st_mode : ch->low.mode;
}

int upper_stat(const struct upper *u, const char *path, struct stat *ret)
{
	const char *name;
	auto_close int dir = upper_open_parent(u, path, &name);

	if (dir < 0)
		return dir == -ENOTDIR || dir == -ELOOP ? -ENOENT : dir;
	return fstatat(dir, name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The lower's side. A package's folder lies in a place of its own, and so does its line. */
static int find_low(struct upper_call *c, const struct spot *dir, const char *name,
		    struct child *ch, bool *ret_aside)
{
	const struct place *place;
	struct area *own;
	int r;

	if (!dir->lower || dir->known || gone_has(&c->u->gone, ch->path))
		return 0;
	r = view_lookup(c->v, dir->lower, slice_str(name), &ch->low, c->ret_wait, c->e);
	if (r == -ENOENT)
		return 0;
	if (r != 0)
		return r;
	ch->has_low = true;
	place = view_ino_entry(ch->low.ino) ? NULL : view_place(c->v, ch->low.ino);
	if (!place || place->kind != TREE_PACKAGE)
		return 0;
	own = upper_area(c->u, place);
	if (!own)
		return -ENOMEM;
	if (gone_has(&c->u->gone, own->dir)) {
		ch->has_low = false;
		return 0;
	}
	ch->own = *ret_aside = true;
	(void)snprintf(ch->path, sizeof ch->path, "%s", own->dir);
	if (!atomic_load(&own->used))
		return 0;
	r = upper_stat(c->u, ch->path, &ch->st);
	ch->has_up = r == 0;
	return r == -ENOENT ? 0 : r;
}

int child_find(struct upper_call *c, const struct spot *dir, const char *name, struct child *ret)
{
	bool aside = false;
	int r = strlen(name) > NAME_MAX ? -ENAMETOOLONG : path_join(ret->path, dir->path, name);

	ret->has_low = ret->own = ret->has_up = ret->shown = false;
	if (r == 0)
		r = find_low(c, dir, name, ret, &aside);
	if (r != 0)
		return r;
	if (!aside && spot_maybe(dir)) {
		r = upper_stat(c->u, ret->path, &ret->st);
		if (r < 0 && r != -ENOENT)
			return r;
		ret->has_up = r == 0;
	}
	ret->shown = ret->has_low || ret->has_up;
	return 0;
}

/* Is it the lower's node that is seen, by the lower's id? */
static bool is_lowers(const struct child *ch)
{
	return ch->has_low && (!ch->has_up || (ch->st.st_mode & S_IFMT) == (ch->low.mode & S_IFMT));
}

static bool has_names(const struct child *ch)
{
	return ch->has_up && !S_ISDIR(ch->st.st_mode) && ch->st.st_nlink > 1;
}

/* Under the nodes' mutex. *ret_low: it goes by the lower's id and needs no node. */
static struct unode *find_node(struct nodes *n, uint64_t dir, const char *name,
			       const struct child *ch, bool *ret_low)
{
	struct unode *node = has_names(ch) ? nodes_backed(n, ch->st.st_ino) : NULL;
	const struct unode *low;

	*ret_low = false;
	if (!node && ch->has_up && !ch->own)
		node = nodes_named(n, dir, name, 0);
	if (node && !(node->flags & UNODE_DIR) != !S_ISDIR(ch->st.st_mode)) {
		nodes_unname(n, node); /* it was exchanged behind our back */
		node = NULL;
	}
	if (!node && ch->has_low)
		node = nodes_named(n, dir, name, ch->low.ino);
	if (node || !is_lowers(ch))
		return node;
	low = nodes_get(n, ch->low.ino);
	*ret_low = !low || (low->flags & UNODE_INPLACE);
	return NULL;
}

uint64_t child_ino(struct upper_call *c, uint64_t dir, const char *name, const struct child *ch)
{
	struct nodes *n = &c->u->nodes;
	const struct unode *node;
	uint64_t ino;
	bool low;

	(void)pthread_mutex_lock(&n->mu);
	node = find_node(n, dir, name, ch, &low);
	ino = low ? ch->low.ino : node ? node->ino : 0;
	(void)pthread_mutex_unlock(&n->mu);
	return ino;
}

/* Under the mutex: the id of a child, a new node for what has none. */
static int give_ino(struct nodes *n, uint64_t dir, const char *name, const struct child *ch,
		    uint64_t *ret, uint32_t *ret_flags)
{
	bool low;
	struct unode *node = find_node(n, dir, name, ch, &low);
	int r = 0;

	if (low && has_names(ch)) {
		/* the other names must find it: known from now on; this look-up is its base */
		node = nodes_get(n, ch->low.ino);
		if (!node)
			node = nodes_add(n, ch->low.ino, UNODE_INPLACE | UNODE_BASE);
		else
			node->refs++;
	} else if (low) {
		*ret = ch->low.ino;
		return 0;
	} else if (!node) {
		node = nodes_add(n, 0, S_ISDIR(child_mode(ch)) ? UNODE_DIR : 0);
		if (node) {
			node->refs = 1;
			r = nodes_name(n, node, dir, name);
		}
		if (node && is_lowers(ch)) {
			node->lower = ch->low.ino;
			node->flags |= UNODE_ALIAS;
		}
	} else {
		node->refs++;
	}
	if (!node || r < 0)
		return -ENOMEM;
	if (has_names(ch))
		nodes_back(n, node, ch->st.st_ino);
	*ret = node->ino;
	*ret_flags = node->flags;
	return 0;
}

int child_entry(struct upper_call *c, uint64_t dir, const char *name, const struct child *ch,
		bool counted, struct upper_entry *ret)
{
	struct nodes *n = &c->u->nodes;
	uint64_t ino = 0;
	uint32_t flags = 0;
	int r = 0;

	if (counted) {
		(void)pthread_mutex_lock(&n->mu);
		r = give_ino(n, dir, name, ch, &ino, &flags);
		(void)pthread_mutex_unlock(&n->mu);
	} else {
		ino = child_ino(c, dir, name, ch);
		if (!ino)
			ino = 0xffffffff;
	}
	if (r < 0)
		return r;
	ret->ino = ino;
	ret->bare = false;
	if (ch->has_up) {
		ret->st = ch->st;
		upper_stat_up(&ret->st, ino, is_lowers(ch) ? times_from(c, &ch->low) : NULL, flags);
	} else {
		upper_stat_low(c->u, &ch->low, &ret->st);
		ret->st.st_ino = ino;
		ret->bare = ch->low.bare;
	}
	return 0;
}

int upper_lookup(struct upper_call *c, uint64_t dir, const char *name, struct upper_entry *ret)
{
	struct child ch;
	struct spot s;
	int r = spot_find(c, dir, &s);

	if (r != 0)
		return r;
	if (s.flags & UNODE_ORPHAN)
		return -ENOENT;
	r = child_find(c, &s, name, &ch);
	if (r != 0)
		return r;
	return ch.shown ? child_entry(c, dir, name, &ch, true, ret) : -ENOENT;
}

/* ---- content ---- */

int upper_readlink(struct upper_call *c, uint64_t ino, char *buf, size_t n)
{
	auto_close int fd = -1;
	const char *text;
	struct spot s;
	ssize_t len;
	int r = spot_open(c, ino, O_PATH, &s, &fd);

	if (r == 0) {
		len = readlinkat(fd, "", buf, n - 1);
		if (len < 0)
			return -errno;
		buf[len] = '\0';
		return 0;
	}
	if (r != -ENOENT || !s.lower)
		return r;
	r = view_readlink(c->v, s.lower, &text, c->e);
	if (r == 0)
		(void)snprintf(buf, n, "%s", text);
	return r;
}

ssize_t upper_read(struct upper_call *c, uint64_t ino, void *buf, size_t n, uint64_t off)
{
	bool is_cached;
	ssize_t got;
	uint64_t lower = 0;
	int fd, r = upper_file(c, ino, false, &fd, &is_cached, &lower);

	if (r == -ENOENT)
		return view_read(c->v, lower, buf, n, off, c->ret_wait, c->e);
	if (r != 0)
		return r == VIEW_WAIT ? -EAGAIN : r;
	do {
		got = pread(fd, buf, n, (off_t)off);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		got = -errno;
	upper_file_done(c->u, ino, fd, is_cached);
	return got;
}
