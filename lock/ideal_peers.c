#include "lock/collate.h"
#include "lock/ideal_priv.h"

/* Virtual roots and the peer sets that are tried in them. */

static struct inode *virtual_top(struct ideal *d, struct inode *source, struct iname *name)
{
	struct inode *n = ideal_node(d, name, source->pkg);

	if (!n)
		return NULL;
	n->source = source;
	n->path = source->path;
	return n;
}

/* The targets of n's links stand beside it, so that what they depend on counts too. */
static int add_virtual_targets(struct ideal *d, struct inode *vr, struct inode *n)
{
	for (struct inode *c = n->first_child; c; c = c->next) {
		struct inode *top;
		int r;

		if (!(c->flags & I_LINK) || !c->target)
			continue;
		top = virtual_top(d, c->target, c->target->name);
		if (!top)
			return d->error;
		ideal_attach_top(d, top, vr);
		r = ideal_load_edges(d, top, ideal_template(d, top->pkg, ideal_is_top(c->target)));
		if (r < 0)
			return r;
	}
	return 0;
}

struct inode *ideal_virtual_root(struct ideal *d, struct inode *n, bool reuse)
{
	struct inode *vr;

	if (reuse && n->virtual_root)
		return n->virtual_root;
	vr = virtual_top(d, n, n->name);
	if (!vr)
		return NULL;
	vr->rule = n->rule;
	if (ideal_load_edges(d, vr, ideal_template(d, n->pkg, ideal_is_top(n))) < 0 ||
	    add_virtual_targets(d, vr, n) < 0)
		return NULL;
	n->virtual_root = vr;
	return vr;
}

/* ---- a node from a spec ---- */

static bool is_workspace_name(const struct ideal *d, const struct iname *name)
{
	for (uint32_t i = 0; i < d->workspace_count; i++) {
		if (d->workspaces[i].name == name)
			return true;
	}
	return false;
}

/* A registry's or a tarball's. */
static struct inode *node_of_pkg(struct ideal *d, struct iname *name, struct ispec *spec,
				 struct inode *parent, const char *where)
{
	const struct iload *l = ideal_load_pkg(d, name, spec, where);
	struct inode *n = l ? ideal_node(d, name, l->pkg ? l->pkg : d->empty) : NULL;

	if (!n)
		return NULL;
	if (!l->pkg) {
		n->flags |= I_FAILED;
		n->failure = l->failure;
		n->why = l->why;
	} else {
		ideal_hint(d, l->pkg);
	}
	ideal_attach(d, n, parent);
	return ideal_load_edges(d, n, ideal_template(d, n->pkg, false)) < 0 ? NULL : n;
}

static struct inode *node_of_folder(struct ideal *d, struct iname *name, struct slice folder,
				    struct inode *parent)
{
	struct inode *link, *target = ideal_read_folder(d, name, folder);

	if (!target)
		return NULL;
	link = ideal_node(d, name, target->pkg);
	if (!link)
		return NULL;
	link->flags |= I_LINK;
	link->resolved = target->path;
	link->integrity = NULL;
	ideal_attach(d, link, parent);
	/* A package that depends on the project itself: the link leads to root. */
	if (strcmp(target->path, parent->root->path) == 0) {
		ideal_set_target(link, parent->root);
	} else {
		ideal_attach_top(d, target, parent->root);
		if (!link->target)
			ideal_set_target(link, target);
		if (ideal_load_edges(d, target, ideal_template(d, target->pkg, true)) < 0)
			return NULL;
	}
	ideal_note_link(d, link);
	return link;
}

static struct inode *node_of_spec(struct ideal *d, struct iedge *edge, struct inode *parent)
{
	struct ispec *spec = ideal_spec(d, edge);
	struct iedge *root_edge;

	const char *where = "/";

	if (!spec->good || spec->spec.type == SPEC_DIRECTORY || spec->spec.type == SPEC_FILE)
		where = ideal_from_path(d, edge->from, edge);
	if (spec->good && spec->spec.type == SPEC_DIRECTORY) {
		struct spec here;

		if (spec_parse(&here, (struct slice){ 0 }, slice_str(spec->text), slice_str(where),
			       &d->arena, NULL) == 0)
			return node_of_folder(d, edge->name, here.fetch, parent);
	}
	if (is_workspace_name(d, edge->name)) {
		root_edge = ideal_edge(d->tree, edge->name);
		if (root_edge && root_edge->to && ideal_is_workspace(root_edge->to) &&
		    ideal_satisfies(d, root_edge->to, edge))
			return root_edge->to;
	}
	return node_of_pkg(d, edge->name, spec, parent, where);
}

/* ---- peer sets ---- */

static int load_peers(struct ideal *d, struct inode *node, struct iset *required);

int ideal_node_from_edge(struct ideal *d, struct iedge *edge, struct inode *parent,
			 struct iedge *second, struct iset *required, struct inode **ret)
{
	struct inode *first, *other = NULL, *node;
	int r;

	if (!parent)
		parent = ideal_virtual_root(d, edge->from, false);
	first = parent ? node_of_spec(d, edge, parent) : NULL;
	if (!first)
		return ideal_stick(d, -ENOMEM);
	if (second && !ideal_valid(d, second)) {
		other = node_of_spec(d, second, parent);
		if (!other)
			return ideal_stick(d, -ENOMEM);
	}
	node = other && ideal_valid(d, edge) ? other : first;
	ideal_attach(d, node, parent);
	if ((iset_has(required, edge->from) && edge->type != EDGE_PEER_OPTIONAL) ||
	    (second && iset_has(required, second->from) && second->type != EDGE_PEER_OPTIONAL))
		(void)iset_add(required, node);
	node->peer_source = parent->source;
	if (++d->peers_deep > IDEAL_PEERS_DEEP)
		return ideal_stick(d, err_set(d->e, -E2BIG, "%.80s: peers of peers of peers",
					      edge->name->text));
	r = load_peers(d, node, required);
	d->peers_deep--;
	if (r == 0)
		*ret = node;
	return r < 0 ? r : d->error;
}

/* Nothing stands there yet. The parent's own edge of that name, if there is one, is asked first. */
static int load_missing(struct ideal *d, struct inode *node, struct iedge *edge, bool conflict_ok,
			struct iset *required)
{
	struct iedge *parent_edge = ideal_edge(node->parent, edge->name);
	struct inode *dep = NULL;
	int r;

	if (!parent_edge)
		return ideal_node_from_edge(d, edge, node->parent, NULL, required, &dep);
	r = ideal_node_from_edge(d, parent_edge, node->parent, edge, required, &dep);
	if (r < 0 || ideal_valid(d, edge))
		return r;
	if (conflict_ok || !iset_has(required, dep)) {
		edge->peer_conflicted = true;
		return 0;
	}
	if (!node->parent)
		return 0;
	return ideal_conflict(d, edge, dep, "unable to resolve dependency tree");
}

static int load_peer(struct ideal *d, struct inode *node, struct iedge *edge, struct iset *required)
{
	const struct inode *source = node->parent->source;
	bool mine = source && (ideal_is_root(source) || ideal_is_workspace(source));
	bool conflict_ok = d->o->force || (!mine && !d->o->strict_peer_deps);
	struct inode *current = edge->to, *dep = NULL;
	int r;

	if (!current)
		return load_missing(d, node, edge, conflict_ok, required);
	r = ideal_node_from_edge(d, edge, NULL, NULL, required, &dep);
	if (r < 0)
		return r;
	if (ideal_can_replace(d, dep, current, NULL))
		return ideal_node_from_edge(d, edge, node->parent, NULL, required, &dep);
	if (conflict_ok || !iset_has(required, edge->from))
		return 0;
	return ideal_conflict(d, edge, dep, "unable to resolve dependency tree");
}

static int by_name(const void *a, const void *b)
{
	const struct iedge *x = *(struct iedge *const *)a, *y = *(struct iedge *const *)b;

	return collate(slice_str(x->name->text), slice_str(y->name->text));
}

static int load_peers(struct ideal *d, struct inode *node, struct iset *required)
{
	auto_free struct iedge **peers = calloc((size_t)node->edge_count + 1, sizeof(void *));
	uint32_t n = 0;
	int r = 0;

	if (!peers)
		return ideal_stick(d, -ENOMEM);
	for (uint32_t i = 0; i < node->edge_count; i++) {
		struct iedge *e = &node->edges[i];

		if (iedge_is_peer(e) && !(ideal_valid(d, e) && e->to))
			peers[n++] = e;
	}
	qsort(peers, n, sizeof(struct iedge *), by_name);
	for (uint32_t i = 0; i < n && r == 0 && node->parent; i++) {
		if (!(ideal_valid(d, peers[i]) && peers[i]->to))
			r = load_peer(d, node, peers[i], required);
	}
	return r;
}
