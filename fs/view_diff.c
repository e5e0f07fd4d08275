#include "fs/view_priv.h"

static uint64_t ino_of(const struct view *v, uint32_t node)
{
	return view_ino(v->nodes[node].place->slot, 0);
}

static uint64_t root_of(const struct view *v, uint32_t node)
{
	while (v->tree->nodes[node].parent != TREE_NONE)
		node = v->tree->nodes[node].parent;
	return ino_of(v, node);
}

struct differ {
	struct view *old, *fresh;
	view_change_fn *fn;
	void *arg;
	uint64_t root, dir; /* of the directory being compared */
	bool told;          /* that the directory changed */
};

static void differs(struct differ *d, const struct tree_node *n)
{
	if (!d->told)
		d->fn(d->arg, d->root, d->dir, NULL, 0);
	d->told = true;
	if (n)
		d->fn(d->arg, d->root, d->dir, n->name, n->name_len);
}

static const struct place *backing_of(const struct view *v, uint32_t node)
{
	uint32_t backing = v->tree->nodes[node].backing;

	return backing == TREE_NONE ? NULL : v->nodes[backing].place;
}

/* The same name: does it mean the same? A bin keeps its slot when its package changes, but may
 * come or go with it. */
static bool same(const struct differ *d, uint32_t a, uint32_t b)
{
	return d->old->nodes[a].place == d->fresh->nodes[b].place &&
	       d->old->nodes[a].absent == d->fresh->nodes[b].absent &&
	       backing_of(d->old, a) == backing_of(d->fresh, b);
}

/* Both runs are sorted by name: a merge. */
static void compare_children(struct differ *d, uint32_t a, uint32_t b)
{
	const struct tree *ta = d->old->tree, *tb = d->fresh->tree;
	const uint32_t *ca = ta->children + ta->nodes[a].first_child;
	const uint32_t *cb = tb->children + tb->nodes[b].first_child;
	const uint32_t *ea = ca + ta->nodes[a].child_count, *eb = cb + tb->nodes[b].child_count;

	while (ca < ea || cb < eb) {
		const struct tree_node *x = ca < ea ? &ta->nodes[*ca] : NULL;
		const struct tree_node *y = cb < eb ? &tb->nodes[*cb] : NULL;
		int r = x ? -1 : 1;

		if (x && y)
			r = slice_cmp((struct slice){ (const uint8_t *)x->name, x->name_len },
				      (struct slice){ (const uint8_t *)y->name, y->name_len });
		if (r != 0 || !same(d, *ca, *cb))
			differs(d, r <= 0 ? x : y);
		ca += r <= 0;
		cb += r >= 0;
	}
}

void view_changes(struct view *old, struct view *fresh, view_change_fn *fn, void *arg)
{
	for (uint32_t i = 0; i < old->tree->count; i++) {
		const struct tree_node *n = &old->tree->nodes[i];
		struct differ d = { .old = old, .fresh = fresh, .fn = fn, .arg = arg };
		uint32_t now = view_node_of(fresh, ino_of(old, i));

		/* What has gone itself is told as a name of the directory above. */
		if (now == TREE_NONE ||
		    (n->kind != TREE_DIR && n->kind != TREE_PACKAGE && n->kind != TREE_BUNDLED))
			continue;
		d.root = root_of(old, i);
		d.dir = ino_of(old, i);
		compare_children(&d, i, now);
		if (old->nodes[i].mtime_ns != fresh->nodes[now].mtime_ns)
			differs(&d, NULL);
	}
}

/* ---- a blob has come ---- */

struct corrector {
	struct view *v;
	const struct dxp *dxp;
	view_change_fn *fn;
	void *arg;
};

static void tell(struct corrector *c, uint32_t dir, struct slice name)
{
	c->fn(c->arg, root_of(c->v, dir), ino_of(c->v, dir), (const char *)name.ptr, name.len);
}

/* Names that the blob has in a directory, of which it had been said that they are not there. */
static void tell_appeared(struct corrector *c, uint32_t node)
{
	const struct tree_node *n = &c->v->tree->nodes[node];
	uint32_t at = dxp_lookup(c->dxp, slice_str(n->sub));
	struct dxp_entry d, f;

	if (at == DXP_NONE)
		return;
	dxp_entry(c->dxp, at, &d);
	if (d.type != DXP_DIR)
		return;
	if (n->kind == TREE_DIR)
		c->fn(c->arg, root_of(c->v, node), ino_of(c->v, node), NULL, 0);
	for (uint32_t i = 0; i < d.children; i++) {
		dxp_entry(c->dxp, d.first_child + i, &f);
		if ((n->kind == TREE_DIR || slice_eq(f.name, SLICE("node_modules"))) &&
		    tree_child(c->v->tree, node, f.name) == TREE_NONE)
			tell(c, node, f.name);
	}
}

/* Something that the lock promised and the blob does not hold; with it the directories that
 * stood only for its sake. */
static int tell_vanished(struct corrector *c, uint32_t node, struct err *e)
{
	const struct tree_node *n = &c->v->tree->nodes[node];
	int r = view_exists(c->v, node, e);

	while (r == 0 && n->parent != TREE_NONE) {
		c->fn(c->arg, root_of(c->v, n->parent), ino_of(c->v, n->parent), NULL, 0);
		tell(c, n->parent, (struct slice){ (const uint8_t *)n->name, n->name_len });
		node = n->parent;
		n = &c->v->tree->nodes[node];
		r = view_exists(c->v, node, e);
	}
	return r < 0 ? r : 0;
}

int view_corrections(struct view *v, struct parcel *src, view_change_fn *fn, void *arg,
		     struct err *e)
{
	struct corrector c = { .v = v, .fn = fn, .arg = arg };
	struct pkg *pkg;
	int r;

	if (!atomic_exchange(&src->believed, false))
		return 0;
	r = parcel_open(v->places->parcels, src, &pkg, e);
	if (r == -ENOENT || r == -EBADMSG) {
		atomic_store(&src->believed, true);
		return 0;
	}
	if (r < 0)
		return r;
	c.dxp = pkg_dxp(pkg);
	for (uint32_t i = 0; i < v->tree->count && r == 0; i++) {
		const struct tree_node *n = &v->tree->nodes[i];

		if (n->backing == TREE_NONE || v->nodes[n->backing].place->parcel != src)
			continue;
		if (n->kind != TREE_BIN)
			tell_appeared(&c, i);
		if (n->kind == TREE_BIN || n->kind == TREE_BUNDLED)
			r = tell_vanished(&c, i, e);
	}
	return r;
}
