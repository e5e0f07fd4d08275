#include "lock/collate.h"
#include "lock/ideal_priv.h"
#include "lock/manifest.h"
#include "lock/npmlock.h"
#include "lock/render.h"

#include <stdio.h>

/* ---- failures and warnings ---- */

int ideal_stick(struct ideal *d, int error)
{
	if (!d->error) {
		d->error = error;
		if (error == -ENOMEM && arena_error(&d->arena) == -E2BIG)
			d->error = ideal_too_much(d, "resolving them takes too much memory");
		else if (error == -ENOMEM)
			(void)err_set(d->e, error, "no memory to resolve the dependencies");
	}
	return d->error;
}

int ideal_too_much(struct ideal *d, const char *what)
{
	const struct inode *n = d->at;

	d->error = err_set(
		d->e, -E2BIG,
		"gave up at %s%s%s, with %u package%s at %u place%s: %s; remove what brings "
		"them, or pin or override its version",
		n && n->path[0] ? n->path : "package.json", n && n->path[0] ? "@" : "",
		n && n->path[0] ? n->pkg->version : "", d->packuments, plural(d->packuments),
		d->placed, plural(d->placed), what);
	return d->error;
}

static void describe(struct buf *b, const struct inode *n)
{
	if (ideal_is_root(n) && !n->source && !n->path[0])
		buf_addstr(b, "the project");
	else
		buf_addf(b, "%s@%s", n->name->text, n->pkg->version);
}

static void describe_conflict(struct ideal *d, struct buf *b, const struct iedge *edge,
			      const struct inode *dep)
{
	const struct inode *there = ideal_resolve(d, edge->from, edge->name);
	const struct inode *from = edge->from->source ? edge->from->source : edge->from;

	describe(b, from);
	buf_addf(b, " asks for %s%s@\"%s\"", iedge_is_peer(edge) ? "the peer " : "",
		 edge->name->text, ideal_spec(d, edge)->text);
	if (there && there != dep) {
		buf_addstr(b, ", and there is ");
		describe(b, there);
	}
	if (dep) {
		buf_addstr(b, "; tried: ");
		describe(b, dep);
	}
}

int ideal_conflict(struct ideal *d, const struct iedge *edge, const struct inode *dep,
		   const char *what)
{
	auto_buf struct buf b = BUF_INIT(4096);
	auto_free char *text = NULL;

	describe_conflict(d, &b, edge, dep);
	text = buf_steal_str(&b);
	return ideal_stick(d, err_set(d->e, -ENOTSUP, "%s (ERESOLVE): %s", what,
				      text ? text : edge->name->text));
}

void ideal_warn(struct ideal *d, const struct iedge *edge, const struct inode *dep)
{
	auto_buf struct buf b = BUF_INIT(4096);

	buf_addstr(&b, "peers conflict, and that is let be: ");
	describe_conflict(d, &b, edge, dep);
	buf_end_line(&b, 0);
	/* Each once. */
	if (!d->warnings->len || !memmem(d->warnings->data, d->warnings->len, b.data, b.len))
		buf_add(d->warnings, b.data, b.len);
}

/* ---- the queue: by depth, then by path ---- */

static bool before(const struct inode *a, const struct inode *b)
{
	if (a->depth_queued != b->depth_queued)
		return a->depth_queued < b->depth_queued;
	return collate(slice_str(a->path), slice_str(b->path)) < 0;
}

static bool push(struct ideal *d, struct inode ***list, uint32_t *count, uint32_t *cap,
		 struct inode *n)
{
	if (*count == *cap) {
		uint32_t more = *cap ? *cap * 2 : 256;
		struct inode **bigger = reallocarray(*list, more, sizeof(struct inode *));

		if (!bigger) {
			(void)ideal_stick(d, -ENOMEM);
			return false;
		}
		*list = bigger;
		*cap = more;
	}
	(*list)[(*count)++] = n;
	return true;
}

void ideal_queue(struct ideal *d, struct inode *n)
{
	uint32_t i;

	if (n->flags & I_QUEUED || !push(d, &d->queue, &d->queue_count, &d->queue_cap, n))
		return;
	n->flags |= I_QUEUED;
	n->depth_queued = ideal_depth(n);
	for (i = d->queue_count - 1; i && before(n, d->queue[(i - 1) / 2]); i = (i - 1) / 2)
		d->queue[i] = d->queue[(i - 1) / 2];
	d->queue[i] = n;
}

static struct inode *pop(struct ideal *d)
{
	struct inode *first, *last;
	uint32_t i = 0;

	if (d->queue_count == 0)
		return NULL;
	first = d->queue[0];
	last = d->queue[--d->queue_count];
	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= d->queue_count)
			break;
		if (c + 1 < d->queue_count && before(d->queue[c + 1], d->queue[c]))
			c++;
		if (!before(d->queue[c], last))
			break;
		d->queue[i] = d->queue[c];
		i = c;
	}
	if (d->queue_count)
		d->queue[i] = last;
	first->flags &= ~(uint32_t)I_QUEUED;
	return first;
}

void ideal_note_link(struct ideal *d, struct inode *n)
{
	if (!(n->flags & I_LINKED) && push(d, &d->links, &d->link_count, &d->link_cap, n))
		n->flags |= I_LINKED;
}

bool ideal_updates(const struct ideal *d, const struct iname *name)
{
	for (uint32_t i = 0; i < d->update_count; i++) {
		if (d->updates[i] == name)
			return true;
	}
	return false;
}

/* ---- one node ---- */

static bool is_project(const struct inode *n)
{
	return ideal_is_root(n) || ideal_is_workspace(n);
}

static bool is_problem(struct ideal *d, struct inode *n, struct iedge *edge)
{
	for (uint32_t i = 0; i < n->pkg->bundled_count && !is_project(n); i++) {
		if (n->pkg->bundled[i] == edge->name)
			return false;
	}
	if (edge->to && (edge->to->flags & I_FAILED || ideal_in_shrinkwrap(edge->to)))
		return false;
	if (!edge->to)
		return edge->type != EDGE_PEER_OPTIONAL || edge->requested;
	if (!ideal_valid(d, edge))
		return true;
	if (ideal_is_workspace(edge->to))
		return false;
	return ideal_updates(d, edge->name) || edge->requested;
}

/* Breadth first below n: something that does for a peer that nobody must have. */
static struct inode *find_hoistable(struct ideal *d, struct inode *n, struct iedge *edge)
{
	auto_iset struct iset queue = { .d = d };

	for (struct inode *c = n->first_child; c; c = c->next)
		(void)iset_add(&queue, c);
	for (uint32_t i = 0; i < queue.count; i++) {
		struct inode *at = queue.items[i];

		if (at->name == edge->name && !ideal_in_dep_bundle(d, at) &&
		    ideal_satisfies(d, at, edge))
			return at;
		for (struct inode *c = at->first_child; c; c = c->next)
			(void)iset_add(&queue, c);
	}
	return NULL;
}

static int find_dep(struct ideal *d, struct inode *n, struct iedge *edge, struct inode **ret)
{
	struct inode *source = iedge_is_peer(edge) && n->peer_source ? n->peer_source : n;
	struct inode *vr = ideal_virtual_root(d, source, true);
	auto_iset struct iset required = { .d = d };
	struct iedge *vr_edge;

	if (!vr)
		return ideal_stick(d, -ENOMEM);
	vr_edge = ideal_edge(vr, edge->name);
	if (vr_edge && vr_edge->to && ideal_valid(d, vr_edge) &&
	    ideal_satisfies(d, vr_edge->to, edge)) {
		*ret = vr_edge->to;
		return 0;
	}
	if (edge->type == EDGE_PEER_OPTIONAL && !ideal_updates(d, edge->name) && !edge->requested) {
		*ret = find_hoistable(d, ideal_up(n) ? ideal_up(n) : n, edge);
		if (*ret)
			return 0;
	}
	(void)iset_add(&required, n);
	return ideal_node_from_edge(d, edge, iedge_is_peer(edge) ? vr : NULL, NULL, &required, ret);
}

static void on_placed(struct ideal *d, struct inode *n, struct iedge *edge, bool ok)
{
	(void)ok; /* npm does the same for both while it saves */
	if (n->flags & I_FAILED)
		(void)push(d, &d->failed, &d->failed_count, &d->failed_cap, n);
	for (struct iedge *in = n->in_first; in; in = in->in_next) {
		if (in == edge || in->peer_conflicted || ideal_valid(d, in))
			continue;
		in->from->flags &= ~(uint32_t)I_SEEN;
		ideal_queue(d, in->from);
	}
	ideal_queue(d, n);
}

static void on_evaluate(struct ideal *d, struct inode *n)
{
	n->flags &= ~(uint32_t)I_SEEN;
	ideal_queue(d, n);
}

struct task {
	struct iedge *edge;
	struct inode *dep;
	uint32_t order;
};

static int by_name(const void *a, const void *b)
{
	const struct task *x = a, *y = b;
	int c = collate(slice_str(x->edge->name->text), slice_str(y->edge->name->text));

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int resolve_node(struct ideal *d, struct inode *n)
{
	static const struct iplace_hooks hooks = { on_placed, on_evaluate };
	auto_free struct task *tasks = calloc((size_t)n->edge_count + 1, sizeof *tasks);
	uint32_t count = 0;
	int r = 0;

	if (!tasks)
		return ideal_stick(d, -ENOMEM);
	for (uint32_t i = 0; i < n->edge_count; i++) {
		if (is_problem(d, n, &n->edges[i])) {
			tasks[count].order = count;
			tasks[count++].edge = &n->edges[i];
		}
	}
	for (uint32_t i = 0; i < count && r == 0; i++) {
		if (!tasks[i].edge->peer_conflicted)
			r = find_dep(d, n, tasks[i].edge, &tasks[i].dep);
	}
	qsort(tasks, count, sizeof *tasks, by_name);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		if (tasks[i].dep)
			r = ideal_place(d, tasks[i].edge, tasks[i].dep, &hooks);
		if (r == 0)
			r = d->error;
	}
	for (uint32_t i = 0; i < n->edge_count; i++) {
		struct inode *to = n->edges[i].to;

		if (to && to->flags & I_LINK && to->target)
			ideal_note_link(d, to);
	}
	return r;
}

static void queue_link_targets(struct ideal *d)
{
	for (uint32_t i = 0; i < d->link_count; i++) {
		struct inode *link = d->links[i], *target = link->target;

		link->flags &= ~(uint32_t)I_LINKED;
		if (link->root != d->tree || !target || !ideal_is_below(target, d->tree) ||
		    !ideal_up(target) || target->flags & I_SEEN)
			continue;
		if (link->rule)
			ideal_rule_added(d, target, link->rule);
		ideal_queue(d, target);
	}
	d->link_count = 0;
}

static int build_deps(struct ideal *d)
{
	int r = 0;

	while (r == 0 && !d->error) {
		struct inode *n = pop(d);

		if (!n) {
			queue_link_targets(d);
			if (d->queue_count == 0)
				break;
			continue;
		}
		if (n->flags & I_SEEN || n->root != d->tree)
			continue;
		n->flags |= I_SEEN;
		d->at = n;
		r = ideal_open_shrinkwrap(d, n);
		if (r == 0)
			r = ideal_open_bundle(d, n);
		if (r == 0)
			r = resolve_node(d, n);
	}
	return r < 0 ? r : d->error;
}

/* ---- before and after ---- */

static int check_overrides(struct ideal *d)
{
	for (uint32_t i = 0; d->overrides && i < d->tree->edge_count; i++) {
		const struct iedge *edge = &d->tree->edges[i];
		const struct ispec *spec = ideal_spec(d, edge);

		if (strcmp(spec->text, edge->spec->text) != 0)
			return err_set(d->e, -EINVAL,
				       "package.json: the override of %.60s (%.40s) conflicts with "
				       "the direct dependency on %.40s (EOVERRIDE); make them the "
				       "same, or say \"$%.60s\"",
				       edge->name->text, spec->text, edge->spec->text,
				       edge->name->text);
	}
	return 0;
}

/* What of a lock does not hold, and what is to be looked at again by name. */
static void queue_first(struct ideal *d)
{
	auto_iset struct iset all = { .d = d };

	(void)iset_add(&all, d->tree);
	for (uint32_t i = 0; i < all.count; i++) {
		struct inode *n = all.items[i];
		bool problem = false;

		for (uint32_t k = 0; k < n->edge_count; k++) {
			struct iedge *edge = &n->edges[k];

			problem = problem || !edge->to || !ideal_valid(d, edge);
			if (edge->to)
				(void)iset_add(&all, edge->to);
		}
		if (problem)
			ideal_queue(d, n);
	}
	for (uint32_t i = 0; i < d->update_count; i++) {
		for (struct inode *n = d->updates[i]->first; n; n = n->same_next) {
			if (ideal_is_top(n) || ideal_in_dep_bundle(d, n) || ideal_in_shrinkwrap(n))
				continue;
			for (struct iedge *e = n->in_first; e; e = e->in_next)
				ideal_queue(d, e->from);
		}
	}
	ideal_queue(d, d->tree);
}

/* Who must be there, since some way to it is not optional. */
static void mark_required(struct iset *all)
{
	for (uint32_t i = 0; i < all->count; i++) {
		struct inode *n = ideal_real(all->items[i]);

		(void)iset_add(all, n);
		for (uint32_t k = 0; k < n->edge_count; k++) {
			struct iedge *e = &n->edges[k];

			if (e->to && !iedge_is_optional(e))
				(void)iset_add(all, e->to);
		}
	}
}

static int check_failed(struct ideal *d)
{
	auto_iset struct iset required = { .d = d };

	if (d->failed_count == 0)
		return 0;
	(void)iset_add(&required, d->tree);
	mark_required(&required);
	for (uint32_t i = 0; i < d->failed_count; i++) {
		const struct inode *n = d->failed[i];

		if (n->root == d->tree && iset_has(&required, n))
			return err_set(d->e, n->failure, "%s", n->why);
	}
	return 0;
}

static int note_requests(struct ideal *d)
{
	const char *const *s;
	size_t n = 0;

	for (s = d->o->update; s && *s; s++)
		n++;
	d->updates = arena_array(&d->arena, n + 1, sizeof(struct iname *));
	if (!d->updates)
		return ideal_stick(d, -ENOMEM);
	for (s = d->o->update; s && *s; s++) {
		d->updates[d->update_count] = ideal_name(d, *s);
		d->update_count += d->updates[d->update_count] != NULL;
	}
	d->updates_there = arena_array(&d->arena, n + 1, sizeof(bool));
	if (!d->updates_there)
		return ideal_stick(d, -ENOMEM);
	for (uint32_t i = 0; i < d->update_count; i++)
		d->updates_there[i] = d->updates[i]->first != NULL;
	for (size_t i = 0; i < d->o->requested_count; i++) {
		struct iname *name = ideal_name(d, d->o->requested[i].name);
		struct inode *top = ideal_top_in(d, d->o->requested[i].folder);
		struct iedge *edge = name && top ? ideal_edge(top, name) : NULL;

		if (edge)
			edge->requested = true;
		if (top)
			ideal_queue(d, top);
	}
	return d->error;
}

/* Before or after, something must have the name. */
static int check_updates(struct ideal *d)
{
	for (uint32_t i = 0; i < d->update_count; i++) {
		if (!d->updates_there[i] && !d->updates[i]->first)
			return err_set(d->e, -EINVAL,
				       "%s: nothing in this project has that name; `dx ls --all` "
				       "says what there is",
				       d->updates[i]->text);
	}
	return 0;
}

/* ---- the whole ---- */

int ideal_start(struct ideal *d)
{
	d->work_max = d->o->max.work ? d->o->max.work : IDEAL_WORK_MAX;
	d->names = table_new();
	d->specs = table_new();
	d->children = table_new();
	d->loads = table_new();
	d->packs = table_new();
	d->engines = table_new();
	d->pkgs = table_new();
	d->empty = arena_alloc(&d->arena, sizeof *d->empty);
	if (!d->names || !d->specs || !d->children || !d->loads || !d->packs || !d->pkgs ||
	    !d->engines || !d->empty)
		return ideal_stick(d, -ENOMEM);
	d->empty->version = d->empty->rest = "";
	return 0;
}

void ideal_release(struct ideal *d)
{
	ideal_specs_free(d);
	table_free(d->names);
	table_free(d->specs);
	table_free(d->children);
	table_free(d->loads);
	table_free(d->packs);
	table_free(d->engines);
	table_free(d->pkgs);
	free(d->queue);
	free(d->links);
	free(d->failed);
	free(d->stale);
	arena_release(&d->arena);
}

static int read_back(struct ideal *d, struct slice text, const struct manifest_texts *texts,
		     struct graph **ret)
{
	const struct npmlock_options lo = { .graph.legacy_peer_deps = d->o->legacy_peer_deps };
	const struct graph_options *go = &lo.graph;
	auto_graph struct graph *g = NULL;
	int r = npmlock_parse(&g, text, &lo, d->e);

	if (r == 0)
		r = manifest_project_as(g, d->o->dirfd, texts, d->e);
	if (r == 0)
		r = graph_edges(g, go, d->e);
	if (r == 0)
		r = graph_flags(g, d->e);
	if (r == 0)
		*ret = take(&g);
	return r;
}

/* npm takes out of a tree that began as a lock what nothing leads to; one that is new keeps it. */
static bool has_extraneous(const struct graph *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].flags & NODE_EXTRANEOUS)
			return true;
	}
	return false;
}

/* Writes the tree and reads it as a lock; *g is what it was before, and is replaced. */
static int remake(struct ideal *d, const struct manifest_texts *texts, bool prune, struct graph **g)
{
	auto_buf struct buf text = BUF_INIT(NPMLOCK_SIZE_MAX);
	int r = ideal_write(d, prune ? *g : NULL, &text);

	graph_free(take(g));
	return r == 0 ? read_back(d, (struct slice){ text.data, text.len }, texts, g) : r;
}

static int check_platform(struct ideal *d, const struct graph *g)
{
	auto_free bool *present = calloc(g->count, sizeof *present);

	if (!present)
		return ideal_stick(d, -ENOMEM);
	return d->o->select ? select_nodes(g, d->o->select, present, d->e) : 0;
}

static int finish(struct ideal *d, bool from_lock, struct graph **ret)
{
	auto_graph struct graph *g = NULL;
	struct manifest_texts settled = { 0 };
	bool prune;
	int r = remake(d, &d->o->manifests, false, &g);

	prune = r == 0 && (from_lock || d->o->prune) && has_extraneous(g);
	if (r == 0 && d->o->settle)
		r = d->o->settle(d->o->settle_arg, g, &settled, d->e);
	if (r == 0 && settled.count)
		r = ideal_reread(d, &settled);
	if (r == 0 && (prune || settled.count))
		r = remake(d, settled.count ? &settled : &d->o->manifests, prune, &g);
	if (r == 0)
		r = check_platform(d, g);
	if (r == 0)
		*ret = take(&g);
	return r;
}

static int build(struct ideal *d, struct slice lock, struct graph **ret)
{
	bool keep = lock.len && !d->o->update_all;
	int r = ideal_start(d);

	if (r == 0)
		r = ideal_read_project(d, keep ? lock : (struct slice){ 0 });
	if (r == 0)
		r = note_requests(d);
	if (r == 0)
		r = check_overrides(d);
	if (r < 0)
		return r;
	queue_first(d);
	r = build_deps(d);
	if (r == 0)
		r = check_failed(d);
	if (r == 0)
		r = check_updates(d);
	return r == 0 ? finish(d, lock.len > 0, ret) : r;
}

static int build_once(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		      struct err *e)
{
	struct ideal d = { .o = o,
			   .e = e,
			   .arena = ARENA_INIT(o->max.memory ? o->max.memory : IDEAL_MEMORY_MAX),
			   .warnings = &ret->warnings };
	int r = build(&d, lock, &ret->graph);

	ret->packuments = d.packuments;
	ideal_release(&d);
	return r;
}

/* What npm makes of its own answer when it is run again. */
static int build_again(struct ideal_result *ret, const struct ideal_options *o, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(NPMLOCK_SIZE_MAX);
	struct ideal_options mine = *o;
	int r = render_package_lock(ret->graph, &text, e);

	graph_free(take(&ret->graph));
	mine.update = NULL;
	mine.update_all = false;
	mine.pinned = NULL;
	return r == 0 ? build_once(ret, (struct slice){ text.data, text.len }, &mine, e) : r;
}

#define AGAIN_MAX 2u /* times that npm is run again on what does not hold */

int ideal_build(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		struct err *e)
{
	struct err why = { 0 };
	int r = build_once(ret, lock, o, e), sound = 0;

	if (r < 0 || o->force || o->as_placed)
		return r;
	/* npm's rules can end in a tree that npm itself then calls invalid: what overrides mean to
	 * a package is not always looked at again where it moves. */
	for (unsigned i = 0; i <= AGAIN_MAX && r == 0; i++) {
		sound = graph_sound(ret->graph, GRAPH_AS_NPM, &why);
		if (sound == 0)
			return 0;
		if (i < AGAIN_MAX)
			r = build_again(ret, o, e);
	}
	graph_free(take(&ret->graph));
	return r < 0 ? r
		     : err_set(e, sound, "npm's rules lead to a tree that does not hold: %s",
			       why.msg);
}

void ideal_result_release(struct ideal_result *r)
{
	graph_free(take(&r->graph));
	buf_release(&r->warnings);
}
