#include "fs/cmd.h"
#include "fs/cmd_project.h"

static const char usage[] =
	"usage: dx why PKG...\n"
	"  PKG is a name, name@range, or a place (node_modules/a/node_modules/b).\n"
	"Says who asks for a package, who asks for those, and so on up to the project.\n";

/* A node that is being explained: who asks for it is printed one by one. */
struct frame {
	uint32_t node, level;
	uint32_t edge; /* next edge into it */
	uint32_t link; /* next node that may be a link to it */
};

struct why {
	const struct graph *g;
	uint32_t *first_in, *next_in; /* edges into a node, a list each */
	bool *explained;
	struct frame *stack; /* no node is on it twice */
	uint32_t depth;
	struct buf out;
	size_t line; /* where the last line of `out` begins */
};

static void why_release(struct why *w)
{
	free(w->first_in);
	free(w->next_in);
	free(w->explained);
	free(w->stack);
	buf_release(&w->out);
}

static int why_init(struct why *w, const struct graph *g)
{
	*w = (struct why){
		.g = g,
		.first_in = malloc(((size_t)g->count + 1) * sizeof *w->first_in),
		.next_in = malloc(((size_t)g->edge_count + 1) * sizeof *w->next_in),
		.explained = calloc((size_t)g->count + 1, sizeof *w->explained),
		.stack = calloc((size_t)g->count + 1, sizeof *w->stack),
		.out = BUF_INIT((size_t)1 << 30),
	};
	if (!w->first_in || !w->next_in || !w->explained || !w->stack)
		return -ENOMEM;
	memset(w->first_in, 0xff, ((size_t)g->count + 1) * sizeof *w->first_in);
	for (uint32_t k = g->edge_count; k-- > 0;) {
		const struct graph_edge *x = &g->edges[k];

		/* An edge that the node does not satisfy does not hold it there. */
		if (x->to == GRAPH_NONE || (!x->valid && x->from != 0))
			continue;
		w->next_in[k] = w->first_in[x->to];
		w->first_in[x->to] = k;
	}
	return 0;
}

static void new_line(struct why *w, uint32_t level)
{
	buf_end_line(&w->out, w->line);
	w->line = w->out.len;
	while (level--)
		buf_addstr(&w->out, "  ");
}

static void push(struct why *w, uint32_t node, uint32_t level)
{
	w->explained[node] = true;
	w->stack[w->depth++] = (struct frame){
		.node = node, .level = level, .edge = w->first_in[node], .link = 1
	};
}

static const char *flag_words(const struct graph_node *n)
{
	if (n->flags & NODE_EXTRANEOUS)
		return " extraneous";
	if (n->flags & NODE_DEV)
		return n->flags & NODE_OPTIONAL ? " dev optional"
		       : n->flags & NODE_PEER   ? " dev peer"
						: " dev";
	return n->flags & NODE_OPTIONAL ? " optional" : n->flags & NODE_PEER ? " peer" : "";
}

/* The node and its place, and below it who asks for it unless that was said already. */
static void explain(struct why *w, uint32_t node, uint32_t level, bool asked_for)
{
	const struct graph_node *n = &w->g->nodes[node];

	cmd_node_id(&w->out, w->g, node);
	if (asked_for)
		buf_addf(&w->out, "%s%s", flag_words(n),
			 n->flags & NODE_IN_BUNDLE ? " bundled" : "");
	new_line(w, level);
	buf_addstr(&w->out, n->path);
	if (w->explained[node])
		buf_addstr(&w->out, " (see above)");
	else
		push(w, node, level);
}

static bool bundles(const struct graph_node *n, const char *name)
{
	for (uint32_t i = 0; i < n->bundled.count; i++) {
		if (strcmp(n->bundled.items[i], name) == 0)
			return true;
	}
	return false;
}

static void explain_edge(struct why *w, const struct graph_edge *x, uint32_t level)
{
	static const char *const types[] = {
		[EDGE_PROD] = "",
		[EDGE_DEV] = "dev ",
		[EDGE_OPTIONAL] = "optional ",
		[EDGE_PEER] = "peer ",
		[EDGE_PEER_OPTIONAL] = "peerOptional ",
		[EDGE_WORKSPACE] = "workspace ",
	};
	const struct graph_node *from = &w->g->nodes[x->from], *to = &w->g->nodes[x->to];

	new_line(w, level);
	buf_addf(&w->out, "%s%s", types[x->type], bundles(from, x->name) ? "bundled " : "");
	if (x->type == EDGE_WORKSPACE)
		buf_addstr(&w->out,
			   to->flags & NODE_LINK ? w->g->nodes[to->link_target].path : to->path);
	else
		buf_addf(&w->out, "%s@\"%s\"", x->name, x->spec);
	buf_addstr(&w->out, " from ");
	if (x->from == 0)
		buf_addstr(&w->out, "the root project");
	else
		explain(w, x->from, level, false);
}

/* One more line or two for the frame on top; false when it has said all. */
static bool step(struct why *w)
{
	struct frame *f = &w->stack[w->depth - 1];
	uint32_t node = f->node, level = f->level + 1;

	if (f->edge != GRAPH_NONE) {
		const struct graph_edge *x = &w->g->edges[f->edge];

		f->edge = w->next_in[f->edge];
		explain_edge(w, x, level);
		return true;
	}
	while (w->g->nodes[node].flags & NODE_TOP && f->link < w->g->count) {
		uint32_t i = f->link++;

		if (w->g->nodes[i].flags & NODE_LINK && w->g->nodes[i].link_target == node) {
			new_line(w, level);
			explain(w, i, level, false);
			return true;
		}
	}
	return false;
}

static void explain_all(struct why *w, uint32_t node)
{
	if (w->out.len) {
		new_line(w, 0);
		new_line(w, 0);
	}
	memset(w->explained, 0, w->g->count);
	explain(w, node, 0, true);
	while (w->depth) {
		if (!step(w))
			w->depth--;
	}
}

static int explain_matching(struct why *w, const char *arg)
{
	int found = 0;

	for (uint32_t i = 1; i < w->g->count; i++) {
		const struct graph_node *n = &w->g->nodes[i];

		if (!cmd_node_is(n, arg))
			continue;
		/* A workspace is explained at its folder, which says by which link. */
		if (n->flags & NODE_LINK && cmd_node_is(&w->g->nodes[n->link_target], arg))
			continue;
		explain_all(w, i);
		found++;
	}
	return found;
}

static int run(char **args, int count, struct err *e)
{
	auto_cmd_project struct cmd_project p = CMD_PROJECT_INIT;
	auto_lock struct lock *lock = NULL;
	auto_graph struct graph *g = NULL;
	struct why w cleanup(why_release) = { 0 };
	int r = cmd_project_open(&p, NULL, e);

	if (r == 0)
		r = cmd_project_graph(&p, &lock, &g, e);
	if (r == 0 && why_init(&w, g) < 0)
		r = err_set(e, -ENOMEM, "out of memory");
	for (int i = 0; r == 0 && i < count; i++) {
		if (!explain_matching(&w, args[i]))
			r = err_set(e, -ENOENT,
				    "the lock has no package %s; `dx ls --all` lists what it has",
				    args[i]);
	}
	if (r < 0)
		return r;
	buf_end_line(&w.out, w.line);
	return cmd_write(&w.out, e);
}

int cmd_why(int argc, char **argv)
{
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, NULL, usage, 1, argc);

	return rc >= 0 ? rc : cmd_end("dx why", run(argv + optind, argc - optind, &e), &e);
}
