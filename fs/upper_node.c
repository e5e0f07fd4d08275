#include "fs/upper_priv.h"

void nodes_init(struct nodes *n)
{
	n->next_ino = UPPER_INO_FIRST;
	(void)pthread_mutex_init(&n->mu, NULL);
	(void)pthread_cond_init(&n->settled, NULL);
}

void nodes_release(struct nodes *n)
{
	for (size_t i = 0; i < UPPER_NODES; i++) {
		for (struct unode *u = n->by_ino[i], *next; u; u = next) {
			next = u->next_ino;
			free(u->name);
			free(u);
		}
	}
	free(n->copying);
	(void)pthread_cond_destroy(&n->settled);
	(void)pthread_mutex_destroy(&n->mu);
}

/* ---- three hashes ---- */

static struct unode **ino_bucket(struct nodes *n, uint64_t ino)
{
	return &n->by_ino[(ino ^ ino >> VIEW_ENTRY_BITS) % UPPER_NODES];
}

static struct unode **name_bucket(struct nodes *n, uint64_t parent, const char *name)
{
	uint64_t h = parent * 0x9e3779b97f4a7c15u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	return &n->by_name[(h ^ h >> 32) % UPPER_NODES];
}

static struct unode **backing_bucket(struct nodes *n, uint64_t backing)
{
	return &n->by_backing[backing % UPPER_NODES];
}

struct unode *nodes_get(struct nodes *n, uint64_t ino)
{
	struct unode *u;

	if (atomic_load(&n->count) == 0)
		return NULL;
	u = *ino_bucket(n, ino);
	while (u && u->ino != ino)
		u = u->next_ino;
	return u;
}

struct unode *nodes_named(struct nodes *n, uint64_t parent, const char *name, uint64_t lower)
{
	struct unode *u;

	if (atomic_load(&n->count) == 0)
		return NULL;
	u = *name_bucket(n, parent, name);
	while (u && (u->parent != parent || (u->flags & UNODE_ALIAS ? u->lower : 0) != lower ||
		     strcmp(u->name, name) != 0))
		u = u->next_name;
	return u;
}

struct unode *nodes_backed(struct nodes *n, uint64_t backing)
{
	struct unode *u = *backing_bucket(n, backing);

	while (u && u->backing != backing)
		u = u->next_backing;
	return u;
}

/* ---- nodes ---- */

struct unode *nodes_add(struct nodes *n, uint64_t ino, uint32_t flags)
{
	struct unode *u = calloc(1, sizeof *u), **at;

	if (!u)
		return NULL;
	u->ino = ino ? ino : n->next_ino++;
	u->flags = flags;
	at = ino_bucket(n, u->ino);
	u->next_ino = *at;
	*at = u;
	(void)atomic_fetch_add(&n->count, 1);
	return u;
}

void nodes_unname(struct nodes *n, struct unode *u)
{
	struct unode **at, *parent;

	if (!u->name)
		return;
	for (at = name_bucket(n, u->parent, u->name); *at != u;)
		at = &(*at)->next_name;
	*at = u->next_name;
	free(take(&u->name));
	parent = nodes_get(n, u->parent);
	u->parent = 0;
	if (parent) {
		parent->kids--;
		nodes_settle(n, parent);
	}
}

int nodes_name(struct nodes *n, struct unode *u, uint64_t parent, const char *name)
{
	char *copy = strdup(name);
	struct unode **at, *p = nodes_get(n, parent);

	if (!copy)
		return -ENOMEM;
	if (p)
		p->kids++; /* before the old one goes: it may be the same */
	nodes_unname(n, u);
	u->name = copy;
	u->parent = parent;
	u->flags &= ~(unsigned)(UNODE_INPLACE | UNODE_ORPHAN | UNODE_ALIAS);
	at = name_bucket(n, parent, name);
	u->next_name = *at;
	*at = u;
	return 0;
}

void nodes_back(struct nodes *n, struct unode *u, uint64_t backing)
{
	struct unode **at;

	if (u->backing == backing)
		return;
	if (u->backing) {
		for (at = backing_bucket(n, u->backing); *at != u;)
			at = &(*at)->next_backing;
		*at = u->next_backing;
	}
	u->backing = backing;
	if (!backing)
		return;
	at = backing_bucket(n, backing);
	u->next_backing = *at;
	*at = u;
}

void nodes_settle(struct nodes *n, struct unode *u)
{
	struct unode **at;

	if (u->refs || u->kids || (u->flags & UNODE_BASE))
		return;
	nodes_back(n, u, 0);
	for (at = ino_bucket(n, u->ino); *at != u;)
		at = &(*at)->next_ino;
	*at = u->next_ino;
	(void)atomic_fetch_sub(&n->count, 1);
	nodes_unname(n, u); /* may settle its parent, and so on: as deep as the upper's folders */
	free(u->name);
	free(u);
}

/* ---- moving ---- */

void nodes_moving(struct nodes *n)
{
	(void)pthread_mutex_lock(&n->mu);
	n->moving++;
	(void)pthread_mutex_unlock(&n->mu);
}

void nodes_moved(struct nodes *n)
{
	(void)pthread_mutex_lock(&n->mu);
	n->moving--;
	n->moves++;
	(void)pthread_cond_broadcast(&n->settled);
	(void)pthread_mutex_unlock(&n->mu);
}

/* ---- what the kernel forgets ---- */

/* A node of the lower came here with look-ups that were not counted, at least one. The kernel
 * forgets all at once when it drops an inode, so a FORGET of more than was counted since is that.
 */
static bool forget_refs(struct unode *u, uint64_t nlookup)
{
	if (u->flags & UNODE_BASE) {
		if (nlookup <= u->refs) {
			u->refs -= nlookup;
			return false;
		}
		u->flags &= ~(unsigned)UNODE_BASE;
		u->refs = 0;
		return true;
	}
	u->refs -= nlookup < u->refs ? nlookup : u->refs;
	return u->refs == 0;
}

void upper_forget(struct upper *u, uint64_t ino, uint64_t nlookup)
{
	struct nodes *n = &u->nodes;
	struct unode *node;
	bool drop = false, saved = false;
	char path[64];

	if (atomic_load(&n->count) == 0 && ino < UPPER_INO_FIRST)
		return;
	(void)pthread_mutex_lock(&n->mu);
	node = nodes_get(n, ino);
	if (node && forget_refs(node, nlookup)) {
		drop = true;
		saved = node->flags & UNODE_SAVED;
		nodes_settle(n, node);
	}
	(void)pthread_mutex_unlock(&n->mu);
	if (!drop)
		return;
	upper_file_drop(u, ino);
	upper_orphan_path(ino, path);
	if (saved)
		(void)unlinkat(u->fd, path, 0);
}
