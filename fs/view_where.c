#include "fs/view_priv.h"

const struct place *view_place(const struct view *v, uint64_t ino)
{
	return places_get(v->places, view_ino_slot(ino));
}

/* Puts a path together from its end. */
struct path_end {
	char *start;
	char *at;
};

static bool prepend(struct path_end *p, const void *name, size_t len)
{
	bool slash = *p->at != '\0';

	if ((size_t)(p->at - p->start) < len + slash)
		return false;
	if (slash)
		*--p->at = '/';
	p->at -= len;
	memcpy(p->at, name, len);
	return true;
}

static struct path_end path_end(struct view_where *w)
{
	struct path_end p = { .start = w->path, .at = w->path + sizeof w->path - 1 };

	*p.at = '\0';
	return p;
}

static void finish(struct view_where *w, const struct path_end *p)
{
	memmove(w->path, p->at, (size_t)(w->path + sizeof w->path - p->at));
}

static int in_package(const struct place *place, const struct dxp *dxp, uint32_t entry,
		      struct view_where *ret)
{
	struct path_end p = path_end(ret);
	struct dxp_entry f;

	for (; entry != 0; entry = f.parent) {
		dxp_entry(dxp, entry, &f);
		if (!prepend(&p, f.name.ptr, f.name.len))
			return -ENAMETOOLONG;
	}
	ret->package = place;
	ret->top = view_ino(place->slot, 0);
	ret->top_len = 0;
	finish(ret, &p);
	return 0;
}

static int in_tree(const struct view *v, uint32_t node, struct view_where *ret)
{
	const struct tree *t = v->tree;
	struct path_end p = path_end(ret);

	for (; t->nodes[node].kind != TREE_PACKAGE && t->nodes[node].parent != TREE_NONE;
	     node = t->nodes[node].parent)
		if (!prepend(&p, t->nodes[node].name, t->nodes[node].name_len))
			return -ENAMETOOLONG;
	ret->package = t->nodes[node].kind == TREE_PACKAGE ? v->nodes[node].place : NULL;
	ret->top = view_ino(v->nodes[node].place->slot, 0);
	ret->top_len = 0;
	for (uint32_t i = 0; !ret->package && i < t->root_count; i++) {
		if (t->roots[i].node != node)
			continue;
		ret->top_len = strlen(t->roots[i].path);
		if (!prepend(&p, t->roots[i].path, ret->top_len))
			return -ENAMETOOLONG;
	}
	finish(ret, &p);
	return 0;
}

/* What this view does not have. */
static int in_the_past(const struct place *place, struct view_where *ret)
{
	struct path_end p = path_end(ret);

	for (; place->kind != TREE_PACKAGE && place->up; place = place->up)
		if (!prepend(&p, place->name, strlen(place->name)))
			return -ENAMETOOLONG;
	ret->package = place->kind == TREE_PACKAGE ? place : NULL;
	ret->top = view_ino(place->slot, 0);
	ret->top_len = ret->package ? 0 : strlen(place->name);
	if (!ret->package && !prepend(&p, place->name, ret->top_len))
		return -ENAMETOOLONG;
	finish(ret, &p);
	return 0;
}

int view_where(struct view *v, uint64_t ino, struct view_where *ret, struct parcel **ret_wait,
	       struct err *e)
{
	struct place *place = (struct place *)places_get(v->places, view_ino_slot(ino));
	uint32_t entry = view_ino_entry(ino), node = view_node_of(v, ino);
	struct pkg *pkg;
	int r;

	if (node != TREE_NONE)
		return in_tree(v, node, ret);
	if (!place || (entry && place->kind != TREE_PACKAGE))
		return -ESTALE;
	if (entry == 0)
		return in_the_past(place, ret);
	r = place_open(v->places, place, &pkg, e);
	if (r == -ENOENT || r == -EBADMSG) {
		*ret_wait = place->parcel;
		return VIEW_WAIT;
	}
	if (r < 0)
		return -EIO;
	return entry < dxp_count(pkg_dxp(pkg)) ? in_package(place, pkg_dxp(pkg), entry, ret)
					       : -ESTALE;
}
