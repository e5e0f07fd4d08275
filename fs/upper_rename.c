#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

struct end {
	uint64_t dir;
	const char *name;
	struct spot spot; /* of dir */
	int dirfd;        /* in the upper */
	struct child ch;
	uint64_t ino; /* the kernel's; 0: it does not know it */
};

struct renaming {
	struct upper_call *c;
	struct end from, to;
	bool exchange;
};

static int look(struct upper_call *c, struct end *x)
{
	int r = spot_find(c, x->dir, &x->spot);

	if (r == 0 && (x->spot.flags & UNODE_ORPHAN))
		r = -ENOENT;
	if (r == 0)
		r = child_find(c, &x->spot, x->name, &x->ch);
	x->ino = r == 0 && x->ch.shown ? child_ino(c, x->dir, x->name, &x->ch) : 0;
	return r;
}

/* A directory that the lower has a part in does not move: all that is in it would have to. */
static bool is_fixed(const struct end *x)
{
	return x->ch.has_low && S_ISDIR(x->ch.low.mode);
}

/* What the kernel calls a thing of the lower. */
static uint64_t lower_id(const struct end *x)
{
	return x->ino ? x->ino : x->ch.low.ino;
}

static int check(struct renaming *m, unsigned flags)
{
	const struct end *a = &m->from, *b = &m->to;
	bool dir;
	int r;

	if (!a->ch.shown)
		return -ENOENT;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if ((flags & RENAME_NOREPLACE) && b->ch.shown)
		return -EEXIST;
	if (m->exchange && !b->ch.shown)
		return -ENOENT;
	if (is_fixed(a) || (m->exchange && is_fixed(b)))
		return -EXDEV;
	dir = S_ISDIR(child_mode(&a->ch));
	if (m->exchange || !b->ch.shown)
		return 0;
	if (dir != S_ISDIR(child_mode(&b->ch)))
		return dir ? -ENOTDIR : -EISDIR;
	r = dir && is_fixed(b) ? upper_is_empty(m->c, lower_id(b)) : 0;
	return r;
}

/* The whole of it in the upper, at its own name: then its line in `removed` changes nothing. */
static int bring_up(struct upper_call *c, struct end *x)
{
	int r = 0;

	if (!x->ch.has_up)
		r = upper_copy_up(c, lower_id(x), UINT64_MAX);
	if (r == 0)
		r = upper_make_dirs(c, x->dir, &x->spot, &x->dirfd);
	return r;
}

/* An empty directory of the lower is made one of the upper's alone, which is as empty; rename(2)
 * can replace that. */
static int open_way(struct upper_call *c, struct end *x)
{
	auto_close int fd = -1;
	struct spot s;
	int r;

	if (!is_fixed(x))
		return 0;
	if (x->ch.own) {
		r = upper_bury_aside(c, &x->spot, x->name);
		if (r == 0 && mkdirat(x->dirfd, x->name, 0755) < 0)
			r = -errno;
		return r == 0 ? gone_add(&c->u->gone, c->u->fd, x->ch.path) : r;
	}
	r = upper_make_dirs(c, lower_id(x), &s, &fd);
	return r == 0 ? upper_hide(c, &x->spot, x->name, &x->ch) : r;
}

/* What is replaced may be open: a second name in orphans/ keeps it. */
enum save {
	SAVE_NONE,
	SAVE_DONE,
	SAVE_NEEDLESS, /* another name leads to it */
};

static enum save save_target(struct upper *u, struct end *x)
{
	char path[64];

	if (!x->ch.has_up || !x->ino || S_ISDIR(x->ch.st.st_mode))
		return SAVE_NONE;
	if (upper_reached(u, x->ino, x->dir, x->name, &x->ch))
		return SAVE_NEEDLESS;
	upper_orphan_path(x->ino, path);
	/* a file system without hard links: who has it open loses it */
	return linkat(x->dirfd, x->name, u->fd, path, 0) < 0 ? SAVE_NONE : SAVE_DONE;
}

static int name_node(struct upper *u, const struct end *from, const struct end *to)
{
	struct nodes *n = &u->nodes;
	struct unode *node;
	int r = 0;

	if (!from->ino)
		return 0;
	(void)pthread_mutex_lock(&n->mu);
	node = nodes_get(n, from->ino);
	if (!node)
		node = nodes_add(n, from->ino, UNODE_BASE);
	if (!node)
		r = -ENOMEM;
	else if (!(node->flags & UNODE_SAVED) &&
		 (!node->name ||
		  (node->parent == from->dir && strcmp(node->name, from->name) == 0)))
		r = nodes_name(n, node, to->dir, to->name);
	(void)pthread_mutex_unlock(&n->mu);
	return r;
}

static int replace(struct renaming *m)
{
	struct upper *u = m->c->u;
	struct end *a = &m->from, *b = &m->to;
	bool dir = S_ISDIR(child_mode(&a->ch));
	enum save saved = b->ch.shown ? save_target(u, b) : SAVE_NONE;
	int r = 0;

	if (renameat(a->dirfd, a->name, b->dirfd, b->name) < 0)
		r = -errno;
	if (r == -ENOTEMPTY && is_fixed(b)) {
		/* things that were set aside in it */
		r = upper_bury(u, b->dirfd, b->name, 0);
		if (r == 0 && renameat(a->dirfd, a->name, b->dirfd, b->name) < 0)
			r = -errno;
	}
	if (r == 0 && b->ch.shown && saved != SAVE_NEEDLESS)
		r = upper_orphan(u, b->ino,
				 dir                  ? UNODE_DIR
				 : saved == SAVE_DONE ? UNODE_SAVED
						      : 0,
				 &b->ch);
	return r == 0 ? name_node(u, a, b) : r;
}

static int swap(struct renaming *m)
{
	struct upper *u = m->c->u;
	struct end *a = &m->from, *b = &m->to;
	struct nodes *n = &u->nodes;
	struct unode *node;
	int r;

	if (renameat2(a->dirfd, a->name, b->dirfd, b->name, RENAME_EXCHANGE) < 0)
		return -errno;
	(void)pthread_mutex_lock(&n->mu);
	node = b->ino ? nodes_get(n, b->ino) : NULL;
	if (node && node->name && node->parent == b->dir && strcmp(node->name, b->name) == 0)
		nodes_unname(n, node);
	(void)pthread_mutex_unlock(&n->mu);
	r = name_node(u, a, b);
	return r == 0 ? name_node(u, b, a) : r;
}

/* Lines in `removed` that change nothing that is seen, so that rename(2) is all that does. */
static int prepare(struct renaming *m)
{
	struct upper_call *c = m->c;
	struct end *a = &m->from, *b = &m->to;
	int r = upper_hide(c, &a->spot, a->name, &a->ch);

	if (r != 0)
		return r;
	return m->exchange ? upper_hide(c, &b->spot, b->name, &b->ch) : open_way(c, b);
}

int upper_rename(struct upper_call *c, uint64_t dir, const char *name, uint64_t to_dir,
		 const char *to_name, unsigned flags)
{
	struct renaming m = {
		.c = c,
		.from = { .dir = dir, .name = name, .dirfd = -1 },
		.to = { .dir = to_dir, .name = to_name, .dirfd = -1 },
		.exchange = flags & RENAME_EXCHANGE,
	};
	int r = look(c, &m.from);

	if (r == 0)
		r = look(c, &m.to);
	if (r == 0)
		r = check(&m, flags);
	if (r == 0)
		r = bring_up(c, &m.from);
	if (r == 0 && m.exchange)
		r = bring_up(c, &m.to);
	else if (r == 0)
		r = upper_make_dirs(c, to_dir, &m.to.spot, &m.to.dirfd);
	if (r == 0)
		r = prepare(&m);
	if (r == 0) {
		nodes_moving(&c->u->nodes);
		r = m.exchange ? swap(&m) : replace(&m);
		nodes_moved(&c->u->nodes);
		upper_changed_fd(c->u, m.from.dirfd);
		upper_changed_fd(c->u, m.to.dirfd);
	}
	closep(&m.from.dirfd);
	closep(&m.to.dirfd);
	return r < 0 ? upper_fault(c->u, r, name) : r;
}
