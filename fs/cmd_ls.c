#include "core/arena.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "lock/collate.h"
#include "lock/json.h"
#include "lock/overrides.h"

#include <stdio.h>

static const char usage[] = "usage: dx ls [--all] [--json]\n"
			    "  -a, --all   what the dependencies depend on, too\n"
			    "      --json  one JSON object, as npm ls prints it\n"
			    "Lists what the lock says, whatever of it is meant for this machine.\n";

#define OUTPUT_MAX ((size_t)1 << 30)

/* A line of the tree: a node, or a dependency that is not there. */
struct item {
	const struct graph_edge *edge; /* NULL: root, or extraneous */
	uint32_t node;                 /* GRAPH_NONE: missing */
	uint32_t parent;               /* item */
	uint32_t first, count;         /* its children */
	const char *id;
	bool deduped;
};

struct listing {
	const struct graph *g;
	const struct project *p;
	struct arena arena;
	struct item *items;
	uint32_t count, cap;
	const struct overrides **rules; /* of nodes; NULL: there are no overrides */
	bool *seen;                     /* nodes that were listed */
	const char **invalid;           /* of nodes: "spec" from place, ... */
	struct buf problems;            /* one a line */
	bool all, json, failed;         /* failed: a problem that is not just extraneous */
};

static void listing_release(struct listing *l)
{
	arena_release(&l->arena);
	free(l->items);
	free(l->rules);
	free(l->seen);
	free(l->invalid);
	buf_release(&l->problems);
}

static const char *id_of(struct listing *l, uint32_t node)
{
	auto_buf struct buf b = BUF_INIT(GRAPH_PATH_MAX * 4);

	cmd_node_id(&b, l->g, node);
	return arena_strndup(&l->arena, b.data, b.len);
}

/* ---- making the tree: breadth first, each node with children once ---- */

static int add_item(struct listing *l, const struct item *it)
{
	if (l->count == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 256;
		struct item *items = realloc(l->items, cap * sizeof *items);

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->cap = cap;
	}
	if (!it->id)
		return -ENOMEM;
	l->items[l->count++] = *it;
	return 0;
}

static int note_invalid(struct listing *l, const struct graph_edge *x)
{
	const char *from = l->g->nodes[x->from].path, *before = l->invalid[x->to];

	if (x->valid)
		return 0;
	l->invalid[x->to] =
		arena_printf(&l->arena, "%s%s\"%s\" from %s", before ? before : "",
			     before ? ", " : "", x->spec, *from ? from : "the root project");
	return l->invalid[x->to] ? 0 : -ENOMEM;
}

static int add_edge(struct listing *l, uint32_t parent, const struct graph_edge *x)
{
	struct item it = { .edge = x, .node = x->to, .parent = parent };

	if (x->to == GRAPH_NONE)
		it.id = arena_printf(&l->arena, "%s@%s", x->name, x->spec);
	else if (note_invalid(l, x) == 0)
		it.id = id_of(l, x->to);
	return add_item(l, &it);
}

static bool has_edge_to(const struct graph *g, const struct graph_node *from, uint32_t to)
{
	for (uint32_t k = 0; k < from->edge_count; k++) {
		if (g->edges[from->first_edge + k].to == to)
			return true;
	}
	return false;
}

static int by_id(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return collate(slice_str(x->id), slice_str(y->id));
}

static bool is_workspace(const struct graph *g, uint32_t node)
{
	const struct graph_node *n = &g->nodes[node];

	return (n->flags & NODE_LINK ? g->nodes[n->link_target].flags : n->flags) & NODE_WORKSPACE;
}

static int add_children(struct listing *l, uint32_t parent)
{
	const struct graph *g = l->g;
	uint32_t at = l->items[parent].node, first = l->count;
	const struct graph_node *holder = &g->nodes[at], *n = holder;
	int r = 0;

	if (n->flags & NODE_LINK)
		n = &g->nodes[n->link_target];
	for (uint32_t k = 0; r == 0 && k < n->edge_count; k++)
		r = add_edge(l, parent, &g->edges[n->first_edge + k]);
	for (uint32_t i = 1; r == 0 && i < g->count; i++) {
		if (g->nodes[i].flags & NODE_EXTRANEOUS && g->nodes[i].parent == at &&
		    !has_edge_to(g, n, i))
			r = add_item(l, &(struct item){
						.node = i, .parent = parent, .id = id_of(l, i) });
	}
	if (r < 0)
		return r;
	qsort(l->items + first, l->count - first, sizeof *l->items, by_id);
	l->items[parent].first = first;
	l->items[parent].count = l->count - first;
	for (uint32_t k = first; k < l->count; k++) {
		uint32_t to = l->items[k].node;

		l->items[k].deduped = to != GRAPH_NONE && l->seen[to];
		if (to != GRAPH_NONE)
			l->seen[to] = true;
	}
	return 0;
}

/* Is a dependency that is not there allowed not to be? */
static bool may_miss(const struct item *it)
{
	return it->edge->type == EDGE_OPTIONAL || it->edge->type == EDGE_PEER_OPTIONAL;
}

/* One line for each; says whether there is one that makes npm ls fail. */
static bool note_problems(const struct listing *l, const struct item *it, struct buf *to)
{
	const struct graph_node *n = it->node == GRAPH_NONE ? NULL : &l->g->nodes[it->node];
	bool failed = false;

	if (!n && !may_miss(it)) {
		buf_addf(to, "missing: %s, required by %s\n", it->id, l->items[it->parent].id);
		failed = true;
	}
	if (n && l->invalid[it->node]) {
		buf_addf(to, "invalid: %s %s/%s\n", it->id, l->p->dir, n->path);
		failed = true;
	}
	if (n && !it->deduped && n->flags & NODE_EXTRANEOUS)
		buf_addf(to, "extraneous: %s %s/%s\n", it->id, l->p->dir, n->path);
	return failed;
}

/* Of the same problem only the first. */
static void collect_problems(struct listing *l)
{
	for (uint32_t i = 1; i < l->count; i++) {
		const struct item *it = &l->items[i];

		if (!(it->node != GRAPH_NONE && it->deduped))
			l->failed |= note_problems(l, it, &l->problems);
	}
}

static int make_tree(struct listing *l)
{
	int r = add_item(l, &(struct item){ .id = id_of(l, 0) });

	l->seen[0] = true;
	for (uint32_t i = 0; r == 0 && i < l->count; i++) {
		const struct item *it = &l->items[i];

		if (i > 0 && (it->node == GRAPH_NONE || it->deduped ||
			      (!l->all && !is_workspace(l->g, it->node))))
			continue;
		r = add_children(l, i);
	}
	if (r == 0)
		collect_problems(l);
	return r ? r : buf_error(&l->problems);
}

/* ---- printing ---- */

struct lines {
	const char *down, *none, *branch, *last, *leaf, *more;
};

/* As npm decides whether the terminal shows more than ASCII. */
static const struct lines *choose_lines(void)
{
	static const struct lines unicode = { "│ ", "  ", "├─", "└─", "─ ", "┬ " },
				  ascii = { "| ", "  ", "+-", "`-", "- ", "- " };
	const char *vars[] = { "LC_ALL", "LC_CTYPE", "LANG" }, *v = NULL;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(vars) && (!v || !*v); i++)
		v = getenv(vars[i]);
	n = v ? strlen(v) : 0;
	return (n >= 4 && strcasecmp(v + n - 4, "utf8") == 0) ||
			       (n >= 5 && strcasecmp(v + n - 5, "utf-8") == 0)
		       ? &unicode
		       : &ascii;
}

static bool last_child(const struct listing *l, uint32_t i)
{
	const struct item *up = &l->items[l->items[i].parent];

	return i == up->first + up->count - 1;
}

/* The lines of those ancestors that have more children to come. */
static void put_prefix(const struct listing *l, const struct lines *s, uint32_t i, struct buf *b)
{
	size_t start = b->len;

	for (uint32_t up = l->items[i].parent; up != 0; up = l->items[up].parent) {
		const char *part = last_child(l, up) ? s->none : s->down;
		size_t n = strlen(part);

		buf_add(b, part, n);
		if (buf_error(b) < 0)
			return;
		/* They come from the inside out. */
		memmove(b->data + start + n, b->data + start, b->len - n - start);
		memcpy(b->data + start, part, n);
	}
	buf_addf(b, "%s%s", last_child(l, i) ? s->last : s->branch,
		 l->items[i].count ? s->more : s->leaf);
}

/* Is it this version because an override of root's package.json says just that? */
static bool overridden(const struct listing *l, uint32_t node)
{
	const struct overrides *rule = l->rules ? l->rules[node] : NULL;
	const struct graph_node *n = &l->g->nodes[node];

	return rule && rule->name && n->version && strcmp(rule->name, n->name) == 0 &&
	       strcmp(rule->value, n->version) == 0;
}

static bool is_git(const char *resolved)
{
	return resolved && (strncmp(resolved, "git+", 4) == 0 || strncmp(resolved, "git:", 4) == 0);
}

static void put_label(const struct listing *l, const struct item *it, struct buf *b)
{
	const struct graph_node *n = it->node == GRAPH_NONE ? NULL : &l->g->nodes[it->node];

	if (!n) {
		buf_addf(b, "UNMET %sDEPENDENCY %s", may_miss(it) ? "OPTIONAL " : "", it->id);
		return;
	}
	buf_addstr(b, it->id);
	if (it->deduped)
		buf_addstr(b, " deduped");
	if (l->invalid[it->node])
		buf_addf(b, " invalid: %s", l->invalid[it->node]);
	if (n->flags & NODE_EXTRANEOUS && !it->deduped)
		buf_addstr(b, " extraneous");
	if (!it->deduped && overridden(l, it->node))
		buf_addstr(b, " overridden");
	if (is_git(n->resolved) && !it->deduped)
		buf_addf(b, " (%s)", n->resolved);
	if (n->flags & NODE_LINK)
		buf_addf(b, " -> ./%s", l->g->nodes[n->link_target].path);
}

/* Depth first, without recursion: after an item its children, then the next of the nearest
 * ancestor that has one. UINT32_MAX at the end; `leave` is called for each item that ends. */
static uint32_t next_item(const struct listing *l, uint32_t i, struct buf *b,
			  void (*leave)(const struct listing *, uint32_t, struct buf *))
{
	if (l->items[i].count)
		return l->items[i].first;
	for (;;) {
		leave(l, i, b);
		if (i == 0)
			return UINT32_MAX;
		if (!last_child(l, i))
			return i + 1;
		i = l->items[i].parent;
	}
}

static void leave_nothing(const struct listing *l, uint32_t i, struct buf *b)
{
	(void)l, (void)i, (void)b;
}

static void print_tree(const struct listing *l, struct buf *b)
{
	const struct lines *s = choose_lines();

	/* npm calls a project without a name by its folder's. */
	buf_addf(b, "%s%s %s", l->g->nodes[0].pkg_name ? "" : strrchr(l->p->dir, '/') + 1,
		 l->items[0].id, l->p->dir);
	buf_end_line(b, 0);
	if (l->items[0].count == 0)
		buf_addf(b, "%s%s(empty)\n", s->last, s->leaf);
	for (uint32_t i = next_item(l, 0, b, leave_nothing); i != UINT32_MAX;
	     i = next_item(l, i, b, leave_nothing)) {
		size_t from = b->len;

		put_prefix(l, s, i, b);
		put_label(l, &l->items[i], b);
		buf_end_line(b, from);
	}
}

/* Two spaces a level: an item's own braces, and what stands in them. */
static unsigned depth_of(const struct listing *l, uint32_t i)
{
	unsigned depth = 0;

	for (; i != 0; i = l->items[i].parent)
		depth += 2;
	return depth;
}

static void indent(struct buf *b, unsigned depth)
{
	while (depth--)
		buf_addstr(b, "  ");
}

/* A member of the item's object; each begins its own line. */
static void put_member(struct buf *b, unsigned depth, bool *first, const char *key)
{
	buf_addstr(b, *first ? "\n" : ",\n");
	*first = false;
	indent(b, depth + 1);
	json_put_str(b, key);
	buf_addstr(b, ": ");
}

static void put_problems(struct buf *b, unsigned depth, bool *first, struct slice lines)
{
	const char *at = (const char *)lines.ptr, *end = at + lines.len, *sep = "\n";

	put_member(b, depth, first, "problems");
	buf_addstr(b, "[");
	for (const char *next; at < end; at = next + 1) {
		auto_free char *line = NULL;

		next = memchr(at, '\n', (size_t)(end - at));
		line = strndup(at, (size_t)(next - at));
		buf_addstr(b, sep);
		indent(b, depth + 2);
		json_put_str(b, line ? line : "");
		sep = ",\n";
	}
	buf_addstr(b, "\n");
	indent(b, depth + 1);
	buf_addstr(b, "]");
}

static void put_resolved(const struct listing *l, const struct graph_node *n, struct buf *b)
{
	auto_buf struct buf text = BUF_INIT(GRAPH_PATH_MAX * 4);
	auto_free char *s = NULL;

	if (n->flags & NODE_LINK) {
		/* From the folder that holds the link. */
		buf_addstr(&text, "file:");
		for (const char *c = n->path; (c = strchr(c, '/')); c++)
			buf_addstr(&text, "../");
		buf_addstr(&text, l->g->nodes[n->link_target].path);
	} else {
		buf_addstr(&text, n->resolved);
	}
	s = buf_steal_str(&text);
	json_put_str(b, s ? s : "");
}

/* What the entry of a node that is there says, but for its dependencies. */
static void put_node(const struct listing *l, const struct item *it, unsigned depth, bool *first,
		     struct buf *b)
{
	const struct graph_node *n = &l->g->nodes[it->node], *m = n;
	bool whole = it->node != 0 && !it->deduped;

	if (n->flags & NODE_LINK)
		m = &l->g->nodes[n->link_target];
	if (m->version) {
		put_member(b, depth, first, "version");
		json_put_str(b, m->version);
	}
	if (whole && (n->resolved || n->flags & NODE_LINK)) {
		put_member(b, depth, first, "resolved");
		put_resolved(l, n, b);
	}
	if (whole) {
		put_member(b, depth, first, "overridden");
		buf_addstr(b, overridden(l, it->node) ? "true" : "false");
	}
	if (it->node == 0) {
		put_member(b, depth, first, "name");
		json_put_str(b, n->pkg_name ? n->pkg_name : n->name ? n->name : "");
	}
	if (whole && n->flags & NODE_EXTRANEOUS) {
		put_member(b, depth, first, "extraneous");
		buf_addstr(b, "true");
	}
	if (l->invalid[it->node]) {
		put_member(b, depth, first, "invalid");
		json_put_str(b, l->invalid[it->node]);
	}
}

static void put_missing(const struct item *it, unsigned depth, bool *first, struct buf *b)
{
	if (may_miss(it))
		return;
	put_member(b, depth, first, "required");
	json_put_str(b, it->edge->spec);
	put_member(b, depth, first, "missing");
	buf_addstr(b, "true");
}

static void put_own_problems(const struct listing *l, uint32_t i, unsigned depth, bool *first,
			     struct buf *b)
{
	auto_buf struct buf lines = BUF_INIT(OUTPUT_MAX);

	if (i == 0)
		buf_add(&lines, l->problems.data, l->problems.len);
	else
		(void)note_problems(l, &l->items[i], &lines);
	if (lines.len)
		put_problems(b, depth, first, (struct slice){ lines.data, lines.len });
}

static void put_item(const struct listing *l, uint32_t i, struct buf *b)
{
	const struct item *it = &l->items[i];
	unsigned depth = depth_of(l, i);
	bool first = true;

	buf_addstr(b, "{");
	if (it->node == GRAPH_NONE)
		put_missing(it, depth, &first, b);
	else
		put_node(l, it, depth, &first, b);
	put_own_problems(l, i, depth, &first, b);
	if (it->count) {
		put_member(b, depth, &first, "dependencies");
		buf_addstr(b, "{");
	} else if (!first) {
		buf_addstr(b, "\n");
		indent(b, depth);
	}
}

static void leave_item(const struct listing *l, uint32_t i, struct buf *b)
{
	unsigned depth = depth_of(l, i);

	if (l->items[i].count) {
		buf_addstr(b, "\n");
		indent(b, depth + 1);
		buf_addstr(b, "}\n");
		indent(b, depth);
	}
	buf_addstr(b, "}");
}

static void print_json(const struct listing *l, struct buf *b)
{
	put_item(l, 0, b);
	for (uint32_t i = next_item(l, 0, b, leave_item); i != UINT32_MAX;
	     i = next_item(l, i, b, leave_item)) {
		const struct item *it = &l->items[i];
		const char *name =
			it->node == GRAPH_NONE ? it->edge->name : l->g->nodes[it->node].name;

		buf_addstr(b, i == l->items[it->parent].first ? "\n" : ",\n");
		indent(b, depth_of(l, i));
		json_put_str(b, name);
		buf_addstr(b, ": ");
		put_item(l, i, b);
	}
	buf_addstr(b, "\n");
}

static int print_listing(struct listing *l, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(OUTPUT_MAX);
	int r;

	l->seen = calloc(l->g->count, sizeof *l->seen);
	l->invalid = calloc(l->g->count, sizeof *l->invalid);
	l->rules = l->g->overrides ? overrides_spread(l->g) : NULL;
	r = l->seen && l->invalid && (l->rules || !l->g->overrides) ? make_tree(l) : -ENOMEM;
	if (r == 0) {
		if (l->json)
			print_json(l, &b);
		else
			print_tree(l, &b);
		r = buf_error(&b);
	}
	if (r < 0)
		return err_set(e, r, "cannot list the packages: %s", strerror(-r));
	r = cmd_write(&b, e);
	if (r < 0 || !l->failed)
		return r;
	/* One sentence; the tree says the rest. */
	return err_set(e, -ESTALE, "%.*s", (int)strcspn((char *)l->problems.data, "\n"),
		       (char *)l->problems.data);
}

static int list(bool all, bool json, struct err *e)
{
	auto_cmd_project struct cmd_project p = CMD_PROJECT_INIT;
	auto_lock struct lock *lock = NULL;
	auto_graph struct graph *g = NULL;
	struct listing l cleanup(listing_release) = { .all = all, .json = json };
	int r = cmd_project_open(&p, NULL, e);

	if (r == 0)
		r = cmd_project_graph(&p, &lock, &g, e);
	if (r < 0)
		return r;
	l.g = g;
	l.p = &p.project;
	l.arena = (struct arena)ARENA_INIT(OUTPUT_MAX);
	l.problems = (struct buf)BUF_INIT(OUTPUT_MAX);
	return print_listing(&l, e);
}

int cmd_ls(int argc, char **argv)
{
	bool all = false, json = false;
	const struct cmd_option options[] = { { "all", .given = &all, .letter = 'a' },
					      { "json", .given = &json },
					      { 0 } };
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 0, 0);

	return rc >= 0 ? rc : cmd_end("dx ls", list(all, json, &e), &e);
}
