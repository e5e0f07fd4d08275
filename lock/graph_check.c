#include "core/buf.h"
#include "lock/graph.h"

/* What `npm ci` looks at: it builds the ideal tree from the lock, in which it visits
 * root, every node that root reaches (links not followed) and that has an edge without a sound
 * end, and the targets, inside the project, of the links of those it visits. An edge of a visited
 * node that does not hold changes the tree, and a changed tree is an error. */
struct check {
	const struct graph *g;
	enum graph_sound how;
	bool ours; /* nothing is compared with package.json: it is what was resolved */
	uint32_t *list;
	bool *reached, *visited;
	uint32_t count;

	/* The edges into node i are in_edges[in_first[i] .. in_first[i + 1]). */
	uint32_t *in_edges, *in_first;
	uint32_t *stamp, stamps; /* by node: see is_kept_peer() */
	size_t work;

	struct buf found;
	const struct graph_edge *named[8];
	unsigned problems;
};

#define NAMED_MAX 4u /* problems that are named in the sentence */

/* Steps that may be spent on conflicts of peers; real locks have a handful of short ones. */
#define PEER_WORK_MAX ((size_t)50 << 20)

static bool in_shrinkwrap(const struct graph *g, uint32_t i)
{
	for (i = g->nodes[i].parent; i != GRAPH_NONE; i = g->nodes[i].parent) {
		if (g->nodes[i].flags & NODE_HAS_SHRINKWRAP)
			return true;
	}
	return false;
}

/* A peer below the top that does not fit. npm keeps what is there, with a warning, when something
 * that it will not move wants it so: a top, another peer, or a package that also wants the one with
 * the peer. Else it would put another version there. */
static bool is_kept_peer(struct check *c, const struct graph_edge *peer)
{
	const struct graph *g = c->g;

	c->stamps++;
	for (uint32_t k = c->in_first[peer->from]; k < c->in_first[peer->from + 1]; k++)
		c->stamp[g->edges[c->in_edges[k]].from] = c->stamps;
	for (uint32_t k = c->in_first[peer->to]; k < c->in_first[peer->to + 1]; k++) {
		const struct graph_edge *other = &g->edges[c->in_edges[k]];

		if (other->valid &&
		    (g->nodes[other->from].flags & NODE_TOP || other->type == EDGE_PEER ||
		     c->stamp[other->from] == c->stamps))
			return true;
	}
	c->work += c->in_first[peer->from + 1] - c->in_first[peer->from] +
		   c->in_first[peer->to + 1] - c->in_first[peer->to];
	return c->work > PEER_WORK_MAX;
}

/* npm puts an optional package into a lock although something that it needs is not to be had, and
 * then there is none, or what somebody else needs. */
static bool may_fail(const struct check *c, const struct graph_edge *edge)
{
	bool optional = edge->type == EDGE_OPTIONAL || edge->type == EDGE_PEER_OPTIONAL;

	if (c->ours && c->how == GRAPH_AS_NPM)
		return optional ||
		       c->g->nodes[edge->from].flags & (NODE_OPTIONAL | NODE_DEV_OPTIONAL);
	return c->ours && optional && edge->to == GRAPH_NONE;
}

/* Does this edge change the tree when its node is visited? Where npm would have to ask the
 * registry first (edges count as valid then), the lock is believed. */
static bool is_problem(struct check *c, const struct graph_edge *edge)
{
	const struct graph *g = c->g;

	/* Nor does npm look at what comes in a tarball. */
	if (c->ours && g->nodes[edge->from].flags & NODE_IN_BUNDLE)
		return false;
	if (edge->type == EDGE_PEER_OPTIONAL && c->how == GRAPH_AS_NPM)
		return false;
	if ((!edge->valid || edge->to == GRAPH_NONE) && may_fail(c, edge))
		return false;
	if (edge->to == GRAPH_NONE)
		return true;
	if (edge->valid || in_shrinkwrap(g, edge->to))
		return false;
	return c->how != GRAPH_AS_NPM || edge->type != EDGE_PEER ||
	       g->nodes[edge->from].flags & NODE_TOP || g->nodes[edge->to].parent == edge->from ||
	       !is_kept_peer(c, edge);
}

static bool is_bundled_name(const struct graph_node *n, const char *name)
{
	for (uint32_t i = 0; i < n->bundled.count; i++) {
		if (strcmp(n->bundled.items[i], name) == 0)
			return true;
	}
	return false;
}

static bool is_named(const struct check *c, const struct graph_edge *edge)
{
	unsigned n = c->problems < ARRAY_LEN(c->named) ? c->problems : ARRAY_LEN(c->named);

	for (unsigned i = 0; i < n; i++) {
		if (c->named[i]->to == edge->to && strcmp(c->named[i]->name, edge->name) == 0)
			return true;
	}
	return false;
}

/* Who asks for what, and what is there instead. */
static void report_ours(struct check *c, const struct graph_edge *edge)
{
	const struct graph_node *from = &c->g->nodes[edge->from], *to;
	bool peer = edge->type == EDGE_PEER || edge->type == EDGE_PEER_OPTIONAL;

	buf_addf(&c->found, "%s%.80s needs %s%.60s@\"%.40s\", and ", c->problems > 1 ? "; " : "",
		 from->path[0] ? from->path : "the project", peer ? "the peer " : "", edge->name,
		 edge->spec);
	if (edge->to == GRAPH_NONE) {
		buf_addstr(&c->found, "there is none");
		return;
	}
	to = &c->g->nodes[edge->to];
	buf_addf(&c->found, "there is %.80s", to->path);
	if (to->flags & NODE_LINK)
		to = &c->g->nodes[to->link_target];
	buf_addf(&c->found, "@%.20s", to->version ? to->version : "");
}

static void report(struct check *c, const struct graph_edge *edge)
{
	const struct graph_node *to;
	const char *sep = c->problems ? "; " : "";

	if (is_named(c, edge))
		return;
	if (c->problems < ARRAY_LEN(c->named))
		c->named[c->problems] = edge;
	if (++c->problems > NAMED_MAX)
		return;
	if (c->ours) {
		report_ours(c, edge);
		return;
	}
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

		if (is_problem(c, edge) && !(own_bundle && is_bundled_name(n, edge->name)))
			report(c, edge);
		if (edge->to != GRAPH_NONE && g->nodes[edge->to].flags & NODE_LINK) {
			uint32_t t = g->nodes[edge->to].link_target;

			if (!c->visited[t] && g->nodes[t].fs_parent != GRAPH_NONE)
				c->list[c->count++] = t;
		}
	}
}

static bool has_problem(struct check *c, uint32_t i)
{
	const struct graph *g = c->g;
	const struct graph_node *n = &g->nodes[i];

	for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
		if (is_problem(c, &g->edges[k]))
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
	if (c->ours)
		return err_set(e, -ENOTSUP, "%s%s", text ? text : "",
			       c->problems > NAMED_MAX ? " ..." : "");
	if (c->problems <= NAMED_MAX)
		return err_set(
			e, -ESTALE,
			"package.json and the lock do not fit: %s; run `npm install` or `dx lock`",
			text ? text : "");
	return err_set(
		e, -ESTALE,
		"package.json and the lock do not fit (%u times; run `npm install` or `dx lock`): "
		"%s ...",
		c->problems, text ? text : "");
}

static void list_edges_in(struct check *c)
{
	const struct graph *g = c->g;

	for (uint32_t k = 0; k < g->edge_count; k++) {
		if (g->edges[k].to != GRAPH_NONE)
			c->in_first[g->edges[k].to + 1]++;
	}
	for (uint32_t i = 0; i < g->count; i++)
		c->in_first[i + 1] += c->in_first[i];
	/* `stamp` says for a while how many of a node's edges are in their places. */
	for (uint32_t k = 0; k < g->edge_count; k++) {
		uint32_t to = g->edges[k].to;

		if (to != GRAPH_NONE)
			c->in_edges[c->in_first[to] + c->stamp[to]++] = k;
	}
	memset(c->stamp, 0, g->count * sizeof *c->stamp);
}

/* What nothing leads to. What a bundler's tarball has beside is there in any case. */
static void report_extraneous(struct check *c)
{
	const struct graph *g = c->g;

	for (uint32_t i = 1; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];

		if (!(n->flags & NODE_EXTRANEOUS) || n->flags & NODE_IN_BUNDLE ||
		    in_shrinkwrap(g, i) || graph_is_stray(g, i))
			continue;
		if (++c->problems <= NAMED_MAX)
			buf_addf(&c->found, "%snothing needs %.60s (%.60s@%.20s)",
				 c->problems > 1 ? "; " : "", n->path, n->name,
				 n->version ? n->version : "");
	}
}

/* Of ours all that is needed, but what is linked outside the project: that is somebody else's. */
static bool is_ours(const struct graph_node *n)
{
	return !(n->flags & NODE_EXTRANEOUS) && strncmp(n->path, "../", 3) != 0;
}

static int check(struct check *c, struct err *e)
{
	const struct graph *g = c->g;
	int r;

	list_edges_in(c);
	reach(c);
	visit(c, 0);
	for (uint32_t i = 1; i < g->count; i++) {
		bool looked_at = c->ours ? is_ours(&g->nodes[i]) : c->reached[i];

		if (looked_at && has_problem(c, i))
			visit(c, i);
	}
	while (c->count)
		visit(c, c->list[--c->count]);
	if (c->how == GRAPH_NOTHING_MORE)
		report_extraneous(c);
	r = verdict(c, e);
	buf_release(&c->found);
	return r;
}

static int check_as(const struct graph *g, enum graph_sound how, bool ours, struct err *e)
{
	size_t nodes = g->count, edges = g->edge_count;
	/* The list may have a link's target once for every edge to the link. */
	auto_free uint32_t *memory = calloc(3 * nodes + 2 * edges + 2, sizeof *memory);
	auto_free bool *marks = calloc(nodes, 2 * sizeof *marks);
	struct check c = {
		.g = g, .how = how, .ours = ours, .reached = marks, .found = BUF_INIT(4096)
	};

	if (!memory || !marks)
		return err_set(e, -ENOMEM, "no memory to check the lock");
	c.visited = marks + nodes;
	c.stamp = memory;
	c.in_first = c.stamp + nodes;
	c.in_edges = c.in_first + nodes + 1;
	c.list = c.in_edges + edges;
	return check(&c, e);
}

int graph_check(struct graph *g, struct err *e)
{
	return check_as(g, GRAPH_AS_NPM, false, e);
}

int graph_sound(const struct graph *g, enum graph_sound how, struct err *e)
{
	return check_as(g, how, true, e);
}
