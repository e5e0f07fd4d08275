#include "lock/entry.h"

/* Arborist's calc-dep-flags.js. The order of the walk is npm's (last in, first out, edges in their
 * order), since clearing `extraneous` on parents depends on it. A node is put on the list when one
 * of its five flags falls, and a link's target once more, which bounds the list. */
struct walk {
	struct graph *g;
	uint32_t *list;
	bool *seen;
	uint32_t count;
};

#define LIST_PER_NODE 7u /* five flags, a link's first visit, and root */

static bool is_optional(uint8_t type)
{
	return type == EDGE_OPTIONAL || type == EDGE_PEER_OPTIONAL;
}

static bool is_peer(uint8_t type)
{
	return type == EDGE_PEER || type == EDGE_PEER_OPTIONAL;
}

static void clear_parents(struct graph *g, uint32_t i)
{
	for (;;) {
		const struct graph_node *n = &g->nodes[i];

		i = n->parent != GRAPH_NONE ? n->parent : n->fs_parent;
		if (i == GRAPH_NONE || !(g->nodes[i].flags & NODE_EXTRANEOUS))
			return;
		g->nodes[i].flags &= ~(uint32_t)NODE_EXTRANEOUS;
	}
}

static void follow_link(struct walk *w, const struct graph_node *link)
{
	struct graph_node *target = &w->g->nodes[link->link_target];
	uint32_t falls = target->flags & ~link->flags & NODE_FLAGS_COMPUTED;

	target->flags &= ~falls;
	if (falls || !w->seen[link->link_target])
		w->list[w->count++] = link->link_target;
}

static void follow_edge(struct walk *w, const struct graph_node *from,
			const struct graph_edge *edge)
{
	struct graph_node *to = &w->g->nodes[edge->to];
	bool dev = edge->type == EDGE_DEV, optional = is_optional(edge->type);
	uint32_t falls = 0;

	if (!(from->flags & NODE_EXTRANEOUS) && edge->type != EDGE_PEER_OPTIONAL)
		falls |= NODE_EXTRANEOUS;
	if (!(from->flags & NODE_DEV) && !dev)
		falls |= NODE_DEV;
	if (!(from->flags & NODE_OPTIONAL) && !optional)
		falls |= NODE_OPTIONAL;
	if (!(from->flags & (NODE_DEV_OPTIONAL | NODE_DEV | NODE_OPTIONAL)) && !dev && !optional)
		falls |= NODE_DEV_OPTIONAL;
	if (!(from->flags & NODE_PEER) && !is_peer(edge->type))
		falls |= NODE_PEER;
	falls &= to->flags;
	to->flags &= ~falls;
	if (falls)
		w->list[w->count++] = edge->to;
}

static void visit(struct walk *w, uint32_t i)
{
	struct graph *g = w->g;
	const struct graph_node *n = &g->nodes[i];

	w->seen[i] = true;
	if (!(n->flags & NODE_EXTRANEOUS))
		clear_parents(g, i);
	if (n->flags & NODE_LINK) {
		follow_link(w, n);
		return;
	}
	for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
		if (g->edges[k].to != GRAPH_NONE)
			follow_edge(w, n, &g->edges[k]);
	}
}

/* ---- bundles ---- */

/* Who bundles whom. A node is in the bundle of its parent when the parent's list names it, or when
 * something in that bundle resolves to it; and what stands below a bundled node is in the same
 * bundle. */
struct bundles {
	struct graph *g;
	uint32_t *bundler; /* node -> its bundler; GRAPH_NONE */
	uint32_t *first_child, *next_child;
	uint32_t *list;
	uint32_t count;
};

static void put_in_bundle(struct bundles *b, uint32_t node, uint32_t bundler)
{
	if (b->bundler[node] != GRAPH_NONE)
		return;
	b->bundler[node] = bundler;
	b->list[b->count++] = node;
}

static void close_bundle(struct bundles *b)
{
	const struct graph *g = b->g;

	while (b->count) {
		uint32_t i = b->list[--b->count], bundler = b->bundler[i];
		const struct graph_node *n = &g->nodes[i];

		for (uint32_t c = b->first_child[i]; c != GRAPH_NONE; c = b->next_child[c])
			put_in_bundle(b, c, bundler);
		for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
			uint32_t to = g->edges[k].to;

			if (to != GRAPH_NONE && g->nodes[to].parent == bundler)
				put_in_bundle(b, to, bundler);
		}
	}
}

static void bundle_children(struct bundles *b, uint32_t i)
{
	const struct graph_node *n = &b->g->nodes[i];

	if (n->bundled.count == 0 || b->bundler[i] != GRAPH_NONE || n->flags & NODE_LINK)
		return;
	for (uint32_t k = 0; k < n->bundled.count; k++) {
		uint32_t child = graph_child(b->g, i, n->bundled.items[k]);

		if (child != GRAPH_NONE)
			put_in_bundle(b, child, i);
	}
	close_bundle(b);
}

/* Parents before their children, so that what stands in a bundle bundles nothing itself. */
static void find_bundles(struct bundles *b, uint32_t *stack)
{
	const struct graph *g = b->g;

	for (uint32_t top = 0; top < g->count; top++) {
		uint32_t n = 0;

		if (!(g->nodes[top].flags & NODE_TOP))
			continue;
		stack[n++] = top;
		while (n) {
			uint32_t i = stack[--n];

			bundle_children(b, i);
			for (uint32_t c = b->first_child[i]; c != GRAPH_NONE; c = b->next_child[c])
				stack[n++] = c;
		}
	}
}

/* What root alone bundles is a package like any other, but npm calls it bundled: the word stands
 * in its residue. */
static int keep_word(struct graph *g, struct graph_node *n, struct err *e)
{
	static const char *const none[] = { NULL };
	auto_json cJSON *j = NULL;
	int r;

	r = n->residue && *n->residue ? json_parse(&j, slice_str(n->residue), e) : 0;
	if (r < 0)
		return r;
	if (!j)
		j = cJSON_CreateObject();
	if (!json_get(j, "inBundle") && !cJSON_AddTrueToObject(j, "inBundle"))
		return err_set(e, -ENOMEM, "no memory for the lock's bundles");
	return entry_canonical(&g->arena, j, none, &n->residue, e);
}

static int set_bundle_flags(struct graph *g, const uint32_t *bundler, struct err *e)
{
	int r;

	for (uint32_t i = 0; i < g->count; i++) {
		struct graph_node *n = &g->nodes[i];

		if (bundler[i] != GRAPH_NONE && bundler[i] != 0) {
			n->flags |= NODE_IN_BUNDLE;
			continue;
		}
		n->flags &= ~(uint32_t)NODE_IN_BUNDLE;
		if (bundler[i] != 0)
			continue;
		r = keep_word(g, n, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool has_bundles(const struct graph *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].bundled.count || g->nodes[i].flags & NODE_IN_BUNDLE)
			return true;
	}
	return false;
}

static int bundle_flags(struct graph *g, struct err *e)
{
	auto_free uint32_t *memory = NULL;
	struct bundles b = { .g = g };

	if (!has_bundles(g))
		return 0;
	memory = malloc((size_t)g->count * 5 * sizeof *memory);
	if (!memory)
		return err_set(e, -ENOMEM, "no memory for the lock's bundles");
	memset(memory, 0xff, (size_t)g->count * 5 * sizeof *memory);
	b.bundler = memory;
	b.first_child = memory + g->count;
	b.next_child = memory + (size_t)g->count * 2;
	b.list = memory + (size_t)g->count * 3;
	for (uint32_t i = g->count; i-- > 0;) {
		uint32_t parent = g->nodes[i].parent;

		if (parent == GRAPH_NONE)
			continue;
		b.next_child[i] = b.first_child[parent];
		b.first_child[parent] = i;
	}
	find_bundles(&b, memory + (size_t)g->count * 4);
	return set_bundle_flags(g, b.bundler, e);
}

static int walk_flags(struct graph *g, struct err *e)
{
	auto_free uint32_t *list = calloc((size_t)g->count * LIST_PER_NODE, sizeof *list);
	auto_free bool *seen = calloc(g->count, sizeof *seen);
	struct walk w = { .g = g, .list = list, .seen = seen };

	if (!list || !seen)
		return err_set(e, -ENOMEM, "no memory for the lock's flags");
	for (uint32_t i = 0; i < g->count; i++)
		g->nodes[i].flags |= NODE_FLAGS_COMPUTED;
	g->nodes[0].flags &= ~(uint32_t)NODE_FLAGS_COMPUTED;
	w.list[w.count++] = 0;
	while (w.count)
		visit(&w, w.list[--w.count]);
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].flags & (NODE_DEV | NODE_OPTIONAL))
			g->nodes[i].flags &= ~(uint32_t)NODE_DEV_OPTIONAL;
	}
	return 0;
}

int graph_flags(struct graph *g, struct err *e)
{
	int r = walk_flags(g, e);

	return r < 0 ? r : bundle_flags(g, e);
}

bool graph_is_stray(const struct graph *g, uint32_t node)
{
	const struct graph_node *n = &g->nodes[node];

	while (n->flags & NODE_EXTRANEOUS && !(n->flags & (NODE_IN_BUNDLE | NODE_LINK)) &&
	       !n->resolved && !n->integrity && n->version && n->parent != GRAPH_NONE) {
		n = &g->nodes[n->parent];
		if (n->bundled.count && !(n->flags & (NODE_TOP | NODE_EXTRANEOUS)))
			return true;
	}
	return false;
}
