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
	bool changed;       /* something in it */
};

static void differs(struct differ *d, const struct tree_node *n)
{
	d->changed = true;
	d->fn(d->arg, d->root, d->dir, n->name, n->name_len);
}

static bool is_dir(const struct tree_node *n)
{
	return n->kind == TREE_DIR || n->kind == TREE_PACKAGE || n->kind == TREE_BUNDLED;
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
		const struct tree_node *y = cb < eb ? &tb->nodes[*cb] : NULL, *first;
		int r = x ? -1 : 1;

		if (x && y)
			r = slice_cmp((struct slice){ (const uint8_t *)x->name, x->name_len },
				      (struct slice){ (const uint8_t *)y->name, y->name_len });
		first = r <= 0 ? x : y;
		if (first && (r != 0 || !same(d, *ca, *cb)))
			differs(d, first);
		ca += r <= 0;
		cb += r >= 0;
	}
}

/* All that a view knows in a directory. Packages may have had a node_modules in another view. */
static void all_differs(struct differ *d, const struct view *v, uint32_t node)
{
	static const struct tree_node nested = { .name = "node_modules", .name_len = 12 };
	const struct tree_node *n = &v->tree->nodes[node];

	for (uint32_t i = 0; i < n->child_count; i++)
		differs(d, &v->tree->nodes[v->tree->children[n->first_child + i]]);
	if (n->kind != TREE_DIR && tree_child(v->tree, node, SLICE("node_modules")) == TREE_NONE)
		differs(d, &nested);
}

void view_changes(struct view *old, struct view *fresh, view_change_fn *fn, void *arg)
{
	struct differ d = { .old = old, .fresh = fresh, .fn = fn, .arg = arg };

	for (uint32_t i = 0; i < old->tree->count; i++) {
		uint32_t now = view_node_of(fresh, ino_of(old, i));

		if (!is_dir(&old->tree->nodes[i]))
			continue;
		d.root = root_of(old, i);
		d.dir = ino_of(old, i);
		d.changed =
			now == TREE_NONE || old->nodes[i].mtime_ns != fresh->nodes[now].mtime_ns;
		if (now == TREE_NONE)
			all_differs(&d, old, i);
		else
			compare_children(&d, i, now);
		if (d.changed)
			fn(arg, d.root, d.dir, NULL, 0);
	}
	for (uint32_t i = 0; i < fresh->tree->count; i++) {
		d.dir = ino_of(fresh, i);
		/* The kernel knows no number that is newer than the view before. */
		if (!is_dir(&fresh->tree->nodes[i]) || view_node_of(old, d.dir) != TREE_NONE ||
		    view_ino_slot(d.dir) >= old->by_slot_count)
			continue;
		d.root = root_of(fresh, i);
		all_differs(&d, fresh, i);
		fn(arg, d.root, d.dir, NULL, 0);
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
