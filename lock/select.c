#include "lock/select.h"

#include "lock/platform.h"

#include <stdio.h>

/* A set of nodes: membership in O(1), its members as a list, emptied in the time it took to
 * fill. */
struct set {
	bool *has;
	uint32_t *list; /* in the order of joining; some may have left again */
	uint32_t count;
};

/* Steps that all optional sets of a lock may take together: real ones take some thousand. */
#define SET_WORK_MAX ((size_t)200 << 20)

struct selection {
	const struct graph *g;
	const struct select_params *p;
	uint32_t *in_first, *in; /* edges into node i: in[in_first[i]] .. in[in_first[i + 1] - 1] */
	bool *inert;             /* not installed: does not fit, or could not be had */
	bool *gone;              /* pruned, edges and all */
	struct set some, all;
	uint32_t *again; /* list of nodes to look at again; each is there once at most */
	bool *queued;
	size_t work;
};

static void selection_release(struct selection *s)
{
	free(s->in_first);
	free(s->in);
	free(s->inert);
	free(s->gone);
	free(s->some.has);
	free(s->some.list);
	free(s->all.has);
	free(s->all.list);
	free(s->again);
	free(s->queued);
}

static int selection_init(struct selection *s, const struct graph *g, const struct select_params *p)
{
	size_t n = (size_t)g->count + 1;

	*s = (struct selection){
		.g = g,
		.p = p,
		.in_first = calloc(n + 1, sizeof *s->in_first),
		.in = calloc((size_t)g->edge_count + 1, sizeof *s->in),
		.inert = calloc(n, 1),
		.gone = calloc(n, 1),
		.some = { calloc(n, 1), calloc(n, sizeof(uint32_t)), 0 },
		.all = { calloc(n, 1), calloc(n, sizeof(uint32_t)), 0 },
		.again = calloc(n, sizeof *s->again),
		.queued = calloc(n, 1),
	};
	if (!s->in_first || !s->in || !s->inert || !s->gone || !s->some.has || !s->some.list ||
	    !s->all.has || !s->all.list || !s->again || !s->queued)
		return -ENOMEM;
	for (uint32_t k = 0; k < g->edge_count; k++) {
		if (g->edges[k].to != GRAPH_NONE)
			s->in_first[g->edges[k].to + 2]++;
	}
	for (uint32_t i = 2; i <= g->count; i++)
		s->in_first[i] += s->in_first[i - 1];
	for (uint32_t k = 0; k < g->edge_count; k++) {
		if (g->edges[k].to != GRAPH_NONE)
			s->in[s->in_first[g->edges[k].to + 1]++] = k;
	}
	return 0;
}

static void set_add(struct set *set, uint32_t i)
{
	if (!set->has[i]) {
		set->has[i] = true;
		set->list[set->count++] = i;
	}
}

static void set_clear(struct set *set)
{
	for (uint32_t k = 0; k < set->count; k++)
		set->has[set->list[k]] = false;
	set->count = 0;
}

/* ---- sets ---- */

/* Edges into what is dropped anyway, and from what is not installed, keep nothing. */
static bool counts(const struct selection *s, const struct graph_edge *x)
{
	return !s->some.has[x->to] && !s->inert[x->from];
}

/* Takes out of `all` every node that something outside it leads to by an edge that counts, until
 * nothing changes. */
static void drop_wanted(struct selection *s)
{
	const struct graph *g = s->g;
	uint32_t n = s->all.count;

	memcpy(s->again, s->all.list, n * sizeof *s->again);
	for (uint32_t k = 0; k < n; k++)
		s->queued[s->again[k]] = true;
	while (n > 0) {
		uint32_t i = s->again[--n];
		bool wanted = false;

		s->queued[i] = false;
		for (uint32_t k = s->in_first[i]; k < s->in_first[i + 1] && !wanted; k++) {
			const struct graph_edge *x = &g->edges[s->in[k]];

			wanted = !s->gone[x->from] && !s->all.has[x->from] && counts(s, x);
			s->work++;
		}
		if (!wanted || !s->all.has[i])
			continue;
		s->all.has[i] = false;
		for (uint32_t k = 0; k < g->nodes[i].edge_count; k++) {
			uint32_t to = g->edges[g->nodes[i].first_edge + k].to;

			if (to != GRAPH_NONE && s->all.has[to] && !s->queued[to]) {
				s->queued[to] = true;
				s->again[n++] = to;
			}
		}
	}
}

static void add_reachable(struct selection *s)
{
	const struct graph *g = s->g;

	for (uint32_t k = 0; k < s->all.count; k++) {
		const struct graph_node *n = &g->nodes[s->all.list[k]];

		s->work += n->edge_count + 1;
		for (uint32_t m = 0; m < n->edge_count; m++) {
			const struct graph_edge *x = &g->edges[n->first_edge + m];

			if (x->to != GRAPH_NONE && !s->gone[x->to] && counts(s, x))
				set_add(&s->all, x->to);
		}
	}
}

static bool is_optional(uint8_t type)
{
	return type == EDGE_OPTIONAL || type == EDGE_PEER_OPTIONAL;
}

/* Marks what goes with an optional node that cannot be: its dependents up to the optional edges,
 * and what they alone need. */
static int drop_optional_set(struct selection *s, uint32_t node, struct err *e)
{
	const struct graph *g = s->g;

	set_add(&s->some, node);
	for (uint32_t k = 0; k < s->some.count; k++) {
		uint32_t i = s->some.list[k];

		s->work += s->in_first[i + 1] - s->in_first[i] + 1;
		for (uint32_t m = s->in_first[i]; m < s->in_first[i + 1]; m++) {
			const struct graph_edge *x = &g->edges[s->in[m]];

			if (!is_optional(x->type) && !s->gone[x->from])
				set_add(&s->some, x->from);
		}
	}
	for (uint32_t k = 0; k < s->some.count; k++)
		set_add(&s->all, s->some.list[k]);
	add_reachable(s);
	drop_wanted(s);
	for (uint32_t k = 0; k < s->all.count; k++) {
		if (s->all.has[s->all.list[k]])
			s->inert[s->all.list[k]] = true;
	}
	set_clear(&s->some);
	set_clear(&s->all);
	if (s->work <= SET_WORK_MAX)
		return 0;
	return err_set(e, -E2BIG,
		       "the lock's optional packages are entangled beyond measure (%.80s is one): "
		       "such a lock no package manager writes",
		       g->nodes[node].path);
}

/* ---- platform and engines ---- */

/* The node whose manifest counts: of a link its target's. */
static const struct graph_node *manifest_of(const struct graph *g, uint32_t i)
{
	const struct graph_node *n = &g->nodes[i];

	return n->flags & NODE_LINK && n->link_target != GRAPH_NONE ? &g->nodes[n->link_target] : n;
}

static bool omitted(const struct selection *s, uint32_t i)
{
	const struct graph *g = s->g;
	unsigned omit = s->p->omit, flags = g->nodes[i].flags;
	uint32_t top = i;

	if (!omit)
		return false;
	while (g->nodes[top].parent != GRAPH_NONE)
		top = g->nodes[top].parent;
	if (top != 0 && !(g->nodes[top].flags & NODE_WORKSPACE))
		return false;
	return (flags & NODE_PEER && omit & OMIT_PEER) || (flags & NODE_DEV && omit & OMIT_DEV) ||
	       (flags & NODE_OPTIONAL && omit & OMIT_OPTIONAL) ||
	       (flags & NODE_DEV_OPTIONAL && omit & OMIT_DEV && omit & OMIT_OPTIONAL);
}

static void say_list(char *to, size_t room, const char *what, const struct graph_strings *list)
{
	size_t n = strlen(to);

	if (!list->count)
		return;
	n += (size_t)snprintf(to + n, room - n, "%s%s", n ? ", " : "", what);
	for (uint32_t i = 0; i < list->count && n < room; i++)
		n += (size_t)snprintf(to + n, room - n, " %s", list->items[i]);
}

static int bad_platform(const struct graph_node *n, const struct platform *p, struct err *e)
{
	char wants[100] = "";

	say_list(wants, sizeof wants, "os", &n->os);
	say_list(wants, sizeof wants, "cpu", &n->cpu);
	say_list(wants, sizeof wants, "libc", &n->libc);
	return err_set(e, -ENOEXEC,
		       "EBADPLATFORM: %.80s@%.30s is meant for %s, and this machine is %s %s%s%s",
		       n->pkg_name ? n->pkg_name : "the project", n->version ? n->version : "",
		       wants, p->os, p->cpu, p->libc ? " " : "", p->libc ? p->libc : "");
}

static int bad_engine(const struct graph_node *n, const struct platform *p, struct err *e)
{
	return err_set(
		e, -ENOEXEC,
		"EBADENGINE: %.80s@%.30s asks for node %.30s, npm %.30s; this is node %s, and "
		"engine-strict is set",
		n->pkg_name ? n->pkg_name : "the project", n->version ? n->version : "",
		n->engine_node ? n->engine_node : "*", n->engine_npm ? n->engine_npm : "*",
		p->node_version);
}

static int check_node(struct selection *s, uint32_t i, struct err *e)
{
	const struct graph_node *n = manifest_of(s->g, i);
	const struct platform *machine = s->p->machine ? s->p->machine : s->p->platform;

	if (s->gone[i])
		return 0;
	if (s->g->nodes[i].flags & NODE_OPTIONAL) {
		if (!s->inert[i] &&
		    (!platform_engines_fit(s->p->platform, n->engine_node, n->engine_npm) ||
		     !platform_fits(s->p->platform, &n->os, &n->cpu, &n->libc)))
			return drop_optional_set(s, i, e);
		return 0;
	}
	if (s->p->force || omitted(s, i))
		return 0;
	if (s->p->engine_strict && !platform_engines_fit(machine, n->engine_node, n->engine_npm))
		return bad_engine(n, machine, e);
	if (platform_fits(machine, &n->os, &n->cpu, &n->libc))
		return 0;
	return bad_platform(n, machine, e);
}

/* npm's inventory: the lock's entries, but links after all others. */
static int check_platforms(struct selection *s, struct err *e)
{
	for (int links = 0; links < 2; links++) {
		for (uint32_t i = 0; i < s->g->count; i++) {
			int r;

			if (!(s->g->nodes[i].flags & NODE_LINK) != !links)
				continue;
			r = check_node(s, i, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- presence ---- */

/* Nothing says what this is: npm takes it out with a warning. */
static bool nameless(const struct graph_node *n)
{
	return !n->version && !n->resolved && !(n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE));
}

/* Is the node itself kept, whatever becomes of what contains it? Bundled ones come with their
 * bundler, fit or not. */
static bool kept(const struct selection *s, uint32_t i)
{
	const struct graph_node *n = &s->g->nodes[i];

	if (i == 0)
		return true;
	if (graph_is_stray(s->g, i))
		return !s->inert[i] && !omitted(s, i);
	if (s->gone[i] || nameless(n))
		return false;
	return n->flags & NODE_IN_BUNDLE || (!s->inert[i] && !omitted(s, i));
}

/* A node is there if it and all that contain it are kept. Parents mostly stand before their
 * children, so that one pass decides and a second finds nothing to change. */
static void set_present(const struct selection *s, bool *ret)
{
	const struct graph *g = s->g;
	bool changed = true;

	for (uint32_t i = 0; i < g->count; i++)
		ret[i] = kept(s, i);
	while (changed) {
		changed = false;
		for (uint32_t i = 1; i < g->count; i++) {
			const struct graph_node *n = &g->nodes[i];
			uint32_t up = n->parent != GRAPH_NONE ? n->parent : n->fs_parent;

			if (ret[i] && up != GRAPH_NONE && !ret[up]) {
				ret[i] = false;
				changed = true;
			}
		}
	}
	for (uint32_t i = 1; i < g->count; i++)
		ret[i] |= g->nodes[i].flags & NODE_TOP && !s->gone[i];
}

/* ---- the whole ---- */

/* Packages that could not be had: absent with their sets where they are optional. */
static int drop_failed(struct selection *s, const bool *present, bool *ret_any, struct err *e)
{
	const struct graph *g = s->g;

	for (uint32_t i = 1; i < g->count && s->p->failed; i++) {
		const struct graph_node *n = &g->nodes[i];
		int r;

		if (!s->p->failed[i] || !present[i] || s->inert[i])
			continue;
		if (!(n->flags & NODE_OPTIONAL))
			return err_set(e, -ENOENT,
				       "%.100s@%.40s: the registry does not have it, and it is not "
				       "optional",
				       n->pkg_name ? n->pkg_name : n->path,
				       n->version ? n->version : "");
		r = drop_optional_set(s, i, e);
		if (r < 0)
			return r;
		*ret_any = true;
	}
	return 0;
}

int select_nodes(const struct graph *g, const struct select_params *p, bool *ret, struct err *e)
{
	struct selection s cleanup(selection_release);
	auto_free bool *present = NULL;
	bool changed = false;
	int r = selection_init(&s, g, p);

	present = calloc((size_t)g->count + 1, sizeof *present);
	if (r < 0 || !present)
		return err_set(e, -ENOMEM, "no memory for the lock's %u entries", g->count);
	/* What a bundler's tarball has beyond its need comes with it: npm finds it on disk. */
	for (uint32_t i = 1; i < g->count; i++)
		s.gone[i] = g->nodes[i].flags & NODE_EXTRANEOUS &&
			    !(g->nodes[i].flags & NODE_IN_BUNDLE);
	r = check_platforms(&s, e);
	if (r < 0)
		return r;
	set_present(&s, present);
	r = drop_failed(&s, present, &changed, e);
	if (r < 0)
		return r;
	if (changed)
		set_present(&s, present);
	memcpy(ret, present, g->count * sizeof *ret);
	return 0;
}
