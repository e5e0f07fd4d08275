#include "lock/legacy.h"

#include "lock/collate.h"
#include "lock/json.h"
#include "lock/overrides.h"
#include "lock/render.h"
#include "lock/spec.h"

struct legacy {
	const struct graph *g;
	const char *dir;
	struct buf *b;
	struct arena scratch;          /* of one entry */
	const struct overrides **rule; /* by node; NULL: there are none; owned */
	uint32_t *kids, *first_kid; /* the children of i: kids[first_kid[i] .. first_kid[i + 1]] */
	uint32_t *asks;             /* by node: the edge that it is said to come from */
	uint32_t above[LEGACY_DEPTH_MAX + 1]; /* whose entries are being printed, links followed */
};

static void legacy_release(struct legacy *l)
{
	free((void *)l->rule);
	free(l->kids);
	free(l->first_kid);
	free(l->asks);
	arena_release(&l->scratch);
}

static uint32_t real(const struct graph *g, uint32_t i)
{
	return g->nodes[i].flags & NODE_LINK ? g->nodes[i].link_target : i;
}

/* ---- who stands in whose node_modules ---- */

static int by_name(const void *a, const void *b, void *arg)
{
	const struct graph_node *nodes = arg;

	return render_order(slice_str(nodes[*(const uint32_t *)a].name), true,
			    slice_str(nodes[*(const uint32_t *)b].name), true);
}

static void list_kids(struct legacy *l)
{
	const struct graph *g = l->g;
	uint32_t at = 0;

	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].parent != GRAPH_NONE)
			l->first_kid[g->nodes[i].parent + 1]++;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		at += l->first_kid[i + 1];
		l->first_kid[i + 1] = at;
	}
	for (uint32_t i = g->count; i-- > 0;) {
		uint32_t parent = g->nodes[i].parent;

		if (parent != GRAPH_NONE) /* from the end of each to its beginning */
			l->kids[--l->first_kid[parent + 1]] = i;
	}
	/* What was the end of each is its beginning now: that of the next is its end. */
	for (uint32_t i = 0; i < g->count; i++)
		l->first_kid[i] = l->first_kid[i + 1];
	l->first_kid[g->count] = at;
	for (uint32_t i = 0; i < g->count; i++)
		qsort_r(l->kids + l->first_kid[i], l->first_kid[i + 1] - l->first_kid[i],
			sizeof *l->kids, by_name, g->nodes);
}

/* ---- from whom it comes ---- */

static const char *last_part(const char *path, unsigned *ret_parts)
{
	const char *at = path, *next;

	*ret_parts = 0;
	while ((next = strstr(at, "node_modules"))) {
		at = next + strlen("node_modules");
		++*ret_parts;
	}
	return at;
}

/* npm's choice of the edge that tells what a package was asked for: the one from the fewest
 * node_modules, then by what stands behind the last of these. */
static bool comes_first(const struct graph *g, uint32_t a, uint32_t b)
{
	unsigned x, y;
	const char *p = last_part(g->nodes[g->edges[a].from].path, &x);
	const char *q = last_part(g->nodes[g->edges[b].from].path, &y);

	return x != y ? x < y : collate(slice_str(p), slice_str(q)) < 0;
}

static void find_asks(struct legacy *l)
{
	const struct graph *g = l->g;

	for (uint32_t i = 0; i < g->count; i++)
		l->asks[i] = GRAPH_NONE;
	for (uint32_t k = 0; k < g->edge_count; k++) {
		uint32_t to = g->edges[k].to;

		if (to != GRAPH_NONE && g->edges[k].valid &&
		    (l->asks[to] == GRAPH_NONE || comes_first(g, k, l->asks[to])))
			l->asks[to] = k;
	}
}

static const char *edge_spec(const struct legacy *l, const struct graph_edge *edge)
{
	const struct graph *g = l->g;
	const struct overrides *rule;
	const char *spec;

	if (!l->rule || (edge->to != GRAPH_NONE &&
			 g->nodes[edge->to].flags & (NODE_IN_BUNDLE | NODE_HAS_SHRINKWRAP)))
		return edge->spec;
	rule = overrides_rule(l->rule[edge->from], edge->name, edge->spec);
	spec = overrides_spec(g, rule, edge);
	return spec ? spec : edge->spec;
}

/* ---- one entry ---- */

static void put_key(struct legacy *l, const char *key)
{
	if (l->b->len && l->b->data[l->b->len - 1] != '{')
		buf_addstr(l->b, ",");
	json_put_str(l->b, key);
	buf_addstr(l->b, ":");
}

static void put_str(struct legacy *l, const char *key, const char *value)
{
	if (!value)
		return;
	put_key(l, key);
	json_put_str(l->b, value);
}

static void put_flag(struct legacy *l, const char *key, bool is)
{
	if (!is)
		return;
	put_key(l, key);
	buf_addstr(l->b, "true");
}

/* The absolute folder of a node, links followed. */
static const char *place(struct legacy *l, uint32_t i)
{
	const char *path = l->g->nodes[real(l->g, i)].path;

	return arena_printf(&l->scratch, "%s%s%s", l->dir, *path ? "/" : "", path);
}

/* A path relative to the folder that it is said in, or absolute where it was. */
static const char *file_spec(struct legacy *l, const char *where, const struct spec *s)
{
	const char *raw = arena_strndup(&l->scratch, s->raw.ptr, s->raw.len);
	const char *way;

	if (!raw || !where)
		return NULL;
	raw += strncmp(raw, "file:", 5) == 0 ? 5 : 0;
	if (*raw == '/')
		return arena_printf(&l->scratch, "file:%.*s", SLICE_FMT(s->fetch));
	if (*raw == '~')
		return arena_printf(&l->scratch, "file:%s", raw);
	way = spec_way(where, s->fetch, &l->scratch);
	return way ? arena_printf(&l->scratch, "file:%s", way) : NULL;
}

static bool parse(struct legacy *l, const char *name, const char *text, const char *where,
		  struct spec *ret)
{
	struct slice n = name ? slice_str(name) : (struct slice){ 0 };

	return text && where &&
	       spec_parse(ret, n, slice_str(text), slice_str(where), &l->scratch, NULL) == 0;
}

static bool is_path_or_git(const struct spec *s)
{
	return s->type == SPEC_GIT || s->type == SPEC_FILE || s->type == SPEC_DIRECTORY;
}

/* Where it came from: `version` says what is no registry's, the rest is in `resolved`. */
static void put_source(struct legacy *l, uint32_t i)
{
	const struct graph_node *n = &l->g->nodes[i];
	const struct graph_edge *asks = l->asks[i] == GRAPH_NONE ? NULL : &l->g->edges[l->asks[i]];
	const char *where = asks ? place(l, asks->from) : NULL, *version = n->version;
	const char *text = asks ? edge_spec(l, asks) : n->resolved;
	struct spec came = { 0 }, spec = { 0 };
	bool has_came = parse(l, NULL, n->resolved, l->dir, &came);
	bool has_spec = asks ? parse(l, n->name, text, where, &spec) : has_came;
	bool git = (has_spec && spec.type == SPEC_GIT) || (has_came && came.type == SPEC_GIT);

	if (!asks)
		spec = came;
	if (has_spec && spec.type == SPEC_FILE)
		version = file_spec(l, asks ? where : l->dir, &spec);
	else if (has_spec && spec.type == SPEC_REMOTE)
		version = text;
	else if (git)
		version = n->resolved;
	else if (version && n->pkg_name && strcmp(n->pkg_name, n->name) != 0)
		version = arena_printf(&l->scratch, "npm:%s@%s", n->pkg_name, version);
	put_str(l, "version", version);
	if (n->resolved && !(has_came && is_path_or_git(&came)) &&
	    !(has_spec && (is_path_or_git(&spec) || spec.type == SPEC_REMOTE)))
		put_str(l, "resolved", n->resolved);
	put_str(l, "integrity", n->integrity);
	put_flag(l, "bundled", n->flags & NODE_IN_BUNDLE);
	put_flag(l, "dev", !(n->flags & NODE_EXTRANEOUS) && n->flags & NODE_DEV);
	put_flag(l, "devOptional", !(n->flags & NODE_EXTRANEOUS) && n->flags & NODE_DEV_OPTIONAL);
	put_flag(l, "extraneous", n->flags & NODE_EXTRANEOUS);
	if (git && !(has_spec && (spec.type == SPEC_FILE || spec.type == SPEC_REMOTE)))
		put_str(l, "from",
			asks ? arena_printf(&l->scratch, "%s@%s", n->name, text) : n->resolved);
	put_flag(l, "optional", !(n->flags & NODE_EXTRANEOUS) && n->flags & NODE_OPTIONAL);
	put_flag(l, "peer", !(n->flags & NODE_EXTRANEOUS) && n->flags & NODE_PEER);
}

struct demand {
	const char *name, *spec;
};

static int by_demand(const void *a, const void *b)
{
	const struct demand *x = a, *y = b;

	return render_order(slice_str(x->name), false, slice_str(y->name), false);
}

/* What it depends on, peers apart, of which npm 6 knows nothing. */
static int put_requires(struct legacy *l, uint32_t i)
{
	const struct graph_node *n = &l->g->nodes[real(l->g, i)];
	struct demand *list = arena_array(&l->scratch, (size_t)n->edge_count + 1, sizeof *list);
	const char *where = place(l, i);
	uint32_t count = 0;

	if (!list || !where)
		return -ENOMEM;
	if (n->edge_count == 0)
		return 0;
	for (uint32_t k = 0; k < n->edge_count; k++) {
		const struct graph_edge *edge = &l->g->edges[n->first_edge + k];
		const char *text = edge_spec(l, edge);
		struct spec s;

		if (edge->type == EDGE_PEER || edge->type == EDGE_PEER_OPTIONAL)
			continue;
		if (strncmp(text, "file:", 5) == 0 && parse(l, edge->name, text, where, &s)) {
			text = spec_way(where, s.fetch, &l->scratch);
			text = text ? arena_printf(&l->scratch, "file:%s", text) : NULL;
		}
		if (!text)
			return -ENOMEM;
		list[count++] = (struct demand){ edge->name, text };
	}
	qsort(list, count, sizeof *list, by_demand);
	put_key(l, "requires");
	buf_addstr(l->b, "{");
	for (uint32_t k = 0; k < count; k++)
		put_str(l, list[k].name, list[k].spec);
	buf_addstr(l->b, "}");
	return 0;
}

/* ---- the tree ---- */

static int put_entry(struct legacy *l, uint32_t i, unsigned depth);

static bool is_above(const struct legacy *l, uint32_t i, unsigned depth)
{
	for (unsigned k = 0; k < depth; k++) {
		if (l->above[k] == i)
			return true;
	}
	return false;
}

/* `depth`: of the node whose children they are. A link back to one above it ends there. */
static int put_kids(struct legacy *l, uint32_t i, unsigned depth)
{
	const struct graph *g = l->g;
	uint32_t at = real(g, i);
	bool any = false;
	int r = 0;

	for (uint32_t k = l->first_kid[at]; k < l->first_kid[at + 1] && r == 0; k++) {
		uint32_t kid = l->kids[k];

		if (is_above(l, real(g, kid), depth))
			continue;
		if (depth == LEGACY_DEPTH_MAX)
			return -E2BIG;
		l->above[depth] = at;
		if (i && !any)
			put_key(l, "dependencies");
		if (!any)
			buf_addstr(l->b, "{");
		any = true;
		put_key(l, g->nodes[kid].name);
		r = put_entry(l, kid, depth + 1);
	}
	if (any)
		buf_addstr(l->b, "}");
	return r < 0 ? r : buf_error(l->b);
}

static int put_entry(struct legacy *l, uint32_t i, unsigned depth)
{
	const struct graph_node *n = &l->g->nodes[i];
	int r;

	buf_addstr(l->b, "{");
	if (n->flags & NODE_LINK) {
		put_str(l, "version",
			arena_printf(&l->scratch, "file:%s", l->g->nodes[n->link_target].path));
		put_flag(l, "extraneous", n->flags & NODE_EXTRANEOUS);
	} else {
		put_source(l, i);
	}
	r = put_requires(l, i);
	if (r == 0)
		r = arena_error(&l->scratch);
	arena_release(&l->scratch);
	if (r == 0)
		r = put_kids(l, i, depth);
	buf_addstr(l->b, "}");
	return r;
}

int legacy_put(const struct graph *g, const char *dir, struct buf *ret, struct err *e)
{
	struct legacy l cleanup(legacy_release) = {
		.g = g, .dir = dir, .b = ret, .scratch = ARENA_INIT((size_t)64 << 20)
	};
	int r = 0;

	l.kids = calloc((size_t)g->count + 1, sizeof *l.kids);
	l.first_kid = calloc((size_t)g->count + 2, sizeof *l.first_kid);
	l.asks = calloc((size_t)g->count + 1, sizeof *l.asks);
	if (g->overrides)
		l.rule = overrides_spread(g);
	if (!l.kids || !l.first_kid || !l.asks || (g->overrides && !l.rule))
		return err_set(e, -ENOMEM, "no memory for the lock");
	list_kids(&l);
	find_asks(&l);
	r = put_kids(&l, 0, 0);
	if (r == -E2BIG)
		return err_set(
			e, r,
			"a lock of version %u cannot say it: packages, or links into one "
			"another, are nested more than %u levels deep; make one of version 3, "
			"with --lockfile-version=3",
			g->lockfile_version, LEGACY_DEPTH_MAX);
	return r < 0 ? err_set(e, r, "no memory for the lock") : 0;
}
