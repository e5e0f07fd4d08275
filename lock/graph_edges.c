#include "lock/graph_priv.h"

/* The edges of one node on their way: npm keeps them in a map that ignores case, in which what
 * replaces an edge goes to the end. The order matters to graph_flags(). */
struct maker {
	struct graph *g;
	uint32_t *table; /* name -> edge number; GRAPH_NONE: free */
	uint32_t mask;
	uint32_t first; /* of the node at work */
};

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* npm folds all of Unicode; names beyond ASCII are no valid package names. */
static bool same_name(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b))
		a++, b++;
	return *a == '\0' && *b == '\0';
}

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)fold(*s)) * 16777619u;
	return h ^ h >> 15;
}

static uint32_t *slot_of(const struct maker *m, const char *name)
{
	uint32_t at = name_hash(name) & m->mask;

	while (m->table[at] != GRAPH_NONE && !same_name(m->g->edges[m->table[at]].name, name))
		at = (at + 1) & m->mask;
	return &m->table[at];
}

static void add_edge(struct maker *m, uint32_t from, enum edge_type type, const char *name,
		     const char *spec)
{
	struct graph *g = m->g;
	uint32_t *slot = slot_of(m, name);

	if (*slot != GRAPH_NONE) {
		struct graph_edge *old = &g->edges[*slot];

		if (old->type == EDGE_WORKSPACE)
			return;
		old->spec = NULL; /* closed up by finish_node() */
	}
	*slot = g->edge_count;
	g->edges[g->edge_count++] = (struct graph_edge){
		.name = name, .spec = spec, .from = from, .to = GRAPH_NONE, .type = (uint8_t)type
	};
}

static bool is_workspace_link(const struct graph *g, const struct graph_node *n)
{
	return n->flags & NODE_LINK && n->parent == 0 &&
	       g->nodes[n->link_target].flags & NODE_WORKSPACE;
}

static int add_workspaces(struct maker *m)
{
	struct graph *g = m->g;

	for (uint32_t i = 0; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];
		const char *spec;

		if (!is_workspace_link(g, n))
			continue;
		spec = arena_printf(&g->arena, "file:%s", g->nodes[n->link_target].path);
		if (!spec)
			return arena_error(&g->arena);
		add_edge(m, 0, EDGE_WORKSPACE, n->name, spec);
	}
	for (uint32_t i = 0; i + 1 < g->lost_workspaces.count; i += 2) {
		const char *spec =
			arena_printf(&g->arena, "file:%s", g->lost_workspaces.items[i + 1]);

		if (!spec)
			return arena_error(&g->arena);
		add_edge(m, 0, EDGE_WORKSPACE, g->lost_workspaces.items[i], spec);
	}
	return 0;
}

/* npm's order: what is made later replaces what was there. */
static const struct {
	enum dep_section section;
	bool peer_optional;
	enum edge_type type;
} passes[] = {
	{ SECTION_PEER, false, EDGE_PEER }, { SECTION_PEER, true, EDGE_PEER_OPTIONAL },
	{ SECTION_PROD, false, EDGE_PROD }, { SECTION_OPTIONAL, false, EDGE_OPTIONAL },
	{ SECTION_DEV, false, EDGE_DEV },
};

static void add_deps(struct maker *m, uint32_t i, const struct graph_options *o)
{
	const struct graph_node *n = &m->g->nodes[i];

	for (size_t p = 0; p < ARRAY_LEN(passes); p++) {
		if (passes[p].section == SECTION_PEER && o->legacy_peer_deps)
			continue;
		if (passes[p].section == SECTION_DEV && !(n->flags & NODE_TOP))
			continue;
		for (uint32_t k = 0; k < n->dep_count; k++) {
			const struct graph_dep *d = &n->deps[k];

			if (d->section == passes[p].section &&
			    (d->section != SECTION_PEER ||
			     d->peer_optional == passes[p].peer_optional))
				add_edge(m, i, passes[p].type, d->name, d->spec);
		}
	}
}

/* A table for at most `edges` names, empty. */
static void start_node(struct maker *m, uint32_t edges)
{
	uint32_t size = 8;

	while (size < edges * 2)
		size *= 2;
	m->mask = size - 1;
	m->first = m->g->edge_count;
	memset(m->table, 0xff, size * sizeof *m->table);
}

/* Closes the gaps that replaced edges left, and says where each leads. */
static void finish_node(struct maker *m, uint32_t i)
{
	struct graph *g = m->g;
	uint32_t kept = m->first;

	for (uint32_t k = m->first; k < g->edge_count; k++) {
		if (!g->edges[k].spec)
			continue;
		g->edges[kept] = g->edges[k];
		g->edges[kept].to = graph_resolve(g, i, g->edges[kept].name);
		kept++;
	}
	g->nodes[i].first_edge = m->first;
	g->nodes[i].edge_count = kept - m->first;
	g->edge_count = kept;
}

/* How many edges there can be in all, and from one node. */
static size_t count_edges(const struct graph *g, uint32_t *ret_most, uint32_t *ret_workspaces)
{
	uint32_t workspaces = g->lost_workspaces.count / 2, most = 0;
	size_t total;

	for (uint32_t i = 0; i < g->count; i++)
		workspaces += is_workspace_link(g, &g->nodes[i]);
	total = workspaces;
	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t n = g->nodes[i].dep_count + (i == 0 ? workspaces : 0);

		total += g->nodes[i].dep_count;
		most = n > most ? n : most;
	}
	*ret_most = most;
	*ret_workspaces = workspaces;
	return total;
}

static int make_edges(struct graph *g, const struct graph_options *o, struct err *e)
{
	auto_free uint32_t *table = NULL;
	struct maker m = { .g = g };
	uint32_t most, workspaces;
	size_t total = count_edges(g, &most, &workspaces);

	m.table = table = calloc((size_t)most * 4 + 8, sizeof *table);
	g->edges = arena_array(&g->arena, total + 1, sizeof *g->edges);
	if (!table || !g->edges || total >= GRAPH_NONE)
		return err_set(e, -ENOMEM, "no memory for the lock's %zu dependencies", total);
	g->edge_count = 0;
	for (uint32_t i = 0; i < g->count; i++) {
		bool link = g->nodes[i].flags & NODE_LINK;
		int r;

		start_node(&m, g->nodes[i].dep_count + (i == 0 ? workspaces : 0));
		if (i == 0) {
			r = add_workspaces(&m);
			if (r < 0)
				return err_set(e, r, "no memory for the workspaces");
		}
		if (!link)
			add_deps(&m, i, o);
		finish_node(&m, i);
	}
	return 0;
}

int graph_edges(struct graph *g, const struct graph_options *o, struct err *e)
{
	auto_validity struct validity *v = NULL;
	int r = make_edges(g, o, e);

	if (r < 0)
		return r;
	v = validity_new(g);
	if (!v)
		return err_set(e, -ENOMEM, "no memory for the lock's dependencies");
	for (uint32_t k = 0; k < g->edge_count; k++) {
		struct graph_edge *edge = &g->edges[k];

		if (edge->to == GRAPH_NONE)
			edge->valid =
				edge->type == EDGE_OPTIONAL || edge->type == EDGE_PEER_OPTIONAL;
		else
			edge->valid = validity_edge(v, edge);
	}
	return 0;
}
