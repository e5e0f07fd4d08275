#include "core/buf.h"
#include "lock/graph.h"

/* What `npm ci` looks at (npm.md §1.6): it builds the ideal tree from the lock, in which it visits
 * root, every node that root reaches (links not followed) and that has an edge without a sound
 * end, and the targets, inside the project, of the links of those it visits. An edge of a visited
 * node that does not hold changes the tree, and a changed tree is an error. */
struct check {
	const struct graph *g;
	uint32_t *list;
	bool *reached, *visited;
	uint32_t count;
	struct buf found;
	unsigned problems;
};

#define NAMED_MAX 4u /* problems that are named in the sentence */

static bool in_shrinkwrap(const struct graph *g, uint32_t i)
{
	for (i = g->nodes[i].parent; i != GRAPH_NONE; i = g->nodes[i].parent) {
		if (g->nodes[i].flags & NODE_HAS_SHRINKWRAP)
			return true;
	}
	return false;
}

/* Does this edge change the tree when its node is visited? Where npm would have to ask the
 * registry, or keeps the lock's choice with a warning (a conflict of peers below the top), the
 * lock is believed. */
static bool is_problem(const struct graph *g, const struct graph_edge *edge)
{
	if (edge->type == EDGE_PEER_OPTIONAL)
		return false;
	if (edge->to == GRAPH_NONE)
		return true;
	if (edge->valid || in_shrinkwrap(g, edge->to))
		return false;
	if (edge->type == EDGE_PEER && !(g->nodes[edge->from].flags & NODE_TOP))
		return g->nodes[edge->to].parent == edge->from;
	return true;
}

static bool is_bundled_name(const struct graph_node *n, const char *name)
{
	for (uint32_t i = 0; i < n->bundled.count; i++) {
		if (strcmp(n->bundled.items[i], name) == 0)
			return true;
	}
	return false;
}

static void report(struct check *c, const struct graph_edge *edge)
{
	const struct graph_node *to;
	const char *sep = c->problems ? "; " : "";

	if (++c->problems > NAMED_MAX)
		return;
	if (edge->to == GRAPH_NONE) {
		buf_addf(&c->found, "%sMissing: %.40s@%.30s from lock file", sep, edge->name,
			 edge->spec);
		return;
	}
	to = &c->g->nodes[edge->to];
	if (to->flags & NODE_LINK)
		to = &c->g->nodes[to->link_target];
	buf_addf(&c->found, "%sInvalid: lock file's %.40s@%.20s does not satisfy %.40s@%.30s", sep,
		 edge->name, to->version ? to->version : "", edge->name, edge->spec);
}

static void visit(struct check *c, uint32_t i)
{
	const struct graph *g = c->g;
	const struct graph_node *n = &g->nodes[i];
	bool own_bundle = i != 0 && !(n->flags & NODE_WORKSPACE);

	if (c->visited[i] || n->flags & NODE_HAS_SHRINKWRAP)
		return;
	c->visited[i] = true;
	for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
		const struct graph_edge *edge = &g->edges[k];

		if (is_problem(g, edge) && !(own_bundle && is_bundled_name(n, edge->name)))
			report(c, edge);
		if (edge->to != GRAPH_NONE && g->nodes[edge->to].flags & NODE_LINK) {
			uint32_t t = g->nodes[edge->to].link_target;

			if (!c->visited[t] && g->nodes[t].fs_parent != GRAPH_NONE)
				c->list[c->count++] = t;
		}
	}
}

static bool has_problem(const struct graph *g, uint32_t i)
{
	const struct graph_node *n = &g->nodes[i];

	for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
		if (is_problem(g, &g->edges[k]))
			return true;
	}
	return false;
}

/* Marks what root reaches; links have no edges, so the walk ends at them. */
static void reach(struct check *c)
{
	const struct graph *g = c->g;

	c->list[c->count++] = 0;
	c->reached[0] = true;
	while (c->count) {
		const struct graph_node *n = &g->nodes[c->list[--c->count]];

		for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
			uint32_t to = g->edges[k].to;

			if (to == GRAPH_NONE || c->reached[to])
				continue;
			c->reached[to] = true;
			c->list[c->count++] = to;
		}
	}
}

static int verdict(struct check *c, struct err *e)
{
	auto_free char *text = buf_steal_str(&c->found);

	if (c->problems == 0)
		return 0;
	if (c->problems <= NAMED_MAX)
		return err_set(e, -ESTALE,
			       "package.json and the lock do not fit: %s; run `npm install`",
			       text ? text : "");
	return err_set(e, -ESTALE,
		       "package.json and the lock do not fit (%u times; run `npm install`): %s ...",
		       c->problems, text ? text : "");
}

int graph_check(struct graph *g, struct err *e)
{
	/* A link's target may be listed once for every link to it. */
	auto_free uint32_t *list = calloc((size_t)g->count + g->edge_count + 1, sizeof *list);
	auto_free bool *marks = calloc(g->count, 2 * sizeof *marks);
	struct check c = { .g = g, .list = list, .reached = marks, .found = BUF_INIT(4096) };
	int r;

	if (!list || !marks)
		return err_set(e, -ENOMEM, "no memory to check the lock");
	c.visited = marks + g->count;
	reach(&c);
	visit(&c, 0);
	for (uint32_t i = 1; i < g->count; i++) {
		if (c.reached[i] && has_problem(g, i))
			visit(&c, i);
	}
	while (c.count)
		visit(&c, c.list[--c.count]);
	r = verdict(&c, e);
	buf_release(&c.found);
	return r;
}
