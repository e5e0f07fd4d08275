#include "lock/collate.h"
#include "lock/ideal_priv.h"

/* npm's PlaceDep and CanPlaceDep. */

#define WORK_OF_ASKING 50u /* about as long as so many other steps */

enum can { CAN_NOT, CAN_OK, CAN_REPLACE, CAN_KEEP };

/* The peers on the way to where we are. */
struct way {
	const struct inode *dep;
	const struct way *before;
};

struct can_place {
	struct inode *dep, *target, *current;
	struct iedge *edge, *target_edge;
	struct can_place *parent;
	const struct way *before;
	bool prefer_dedupe, requested, edge_override;
	bool peers_known;
	enum can all, self, peers;
	uint32_t deep;
};

/* What was done, for the caller to hear when all of it is. */
struct event {
	struct inode *n;
	struct iedge *edge; /* NULL: `n` has to be looked at again */
	bool ok;
};

struct events {
	struct event *list;
	uint32_t count, cap;
};

struct place {
	struct inode *dep, *placed;
	struct iedge *edge;
	struct place *parent, *top;
	struct can_place can, self; /* valid if has_* */
	bool has_can, has_self, requested;
	uint32_t deep;
	struct events *events;
};

static enum can can_place(struct ideal *d, struct can_place *c);

static struct inode *deepest_for(const struct can_place *c, const struct iname *name)
{
	struct inode *start =
		c->parent ? deepest_for(c->parent, c->parent->edge->name) : c->edge->from;

	return ideal_deepest(start, name);
}

static const struct can_place *top_of(const struct can_place *c)
{
	while (c->parent)
		c = c->parent;
	return c;
}

/* ---- may it stand there: its peers ---- */

static bool on_the_way(const struct way *w, const struct inode *n)
{
	for (; w; w = w->before) {
		if (w->dep == n)
			return true;
	}
	return false;
}

static enum can with_peers(struct ideal *d, struct can_place *c, enum can state)
{
	const struct way way = { c->dep, c->before };
	bool conflict = false;

	c->self = state;
	if (c->peers_known)
		return c->peers;
	if (c->deep > IDEAL_PEERS_DEEP) {
		(void)ideal_stick(d, err_set(d->e, -E2BIG, "%.80s: peers of peers of peers",
					     c->dep->name->text));
		return CAN_NOT;
	}
	for (uint32_t i = 0; i < c->dep->edge_count; i++) {
		struct iedge *edge = &c->dep->edges[i];
		struct can_place peer;

		if (!iedge_is_peer(edge) || !edge->to || on_the_way(&way, edge->to))
			continue;
		peer = (struct can_place){ .dep = edge->to,
					   .target = ideal_deepest(c->target, edge->to->name),
					   .parent = c,
					   .edge = edge,
					   .before = &way,
					   .deep = c->deep + 1,
					   .prefer_dedupe = true };
		if (can_place(d, &peer) == CAN_NOT)
			conflict = true;
	}
	c->peers_known = true;
	c->peers = conflict ? CAN_NOT : state;
	return c->peers;
}

/* ---- where something of that name stands ---- */

struct swap {
	struct can_place *c;
	bool ok;
};

/* Would every peer of what the entry leads to be content with what comes? */
static bool can_clobber(struct ideal *d, const struct inode *vr, struct inode *entry)
{
	auto_iset struct iset walk = { .d = d };

	(void)iset_add(&walk, entry);
	for (uint32_t i = 0; i < walk.count; i++) {
		struct inode *n = walk.items[i];

		for (uint32_t k = 0; k < n->edge_count; k++) {
			struct iedge *e = &n->edges[k];
			struct inode *rep;

			if (!iedge_is_peer(e) || !ideal_valid(d, e))
				continue;
			rep = ideal_child(d, vr, e->name);
			if (!rep) {
				if (e->to)
					(void)iset_add(&walk, e->to);
			} else if (!ideal_satisfies(d, rep, e)) {
				return false;
			}
		}
	}
	return true;
}

static bool can_swap(struct ideal *d, void *arg, struct iedge *entry, struct iset *set)
{
	struct swap *s = arg;
	struct can_place *c = s->c;
	struct inode *vr = c->dep->parent, *rep;

	if (entry == c->edge || entry == top_of(c)->edge)
		return false;
	rep = vr ? ideal_child(d, vr, entry->to->name) : NULL;
	if (rep && ideal_can_replace(d, rep, entry->to, vr))
		return false;
	if (!rep && vr && can_clobber(d, vr, entry->to))
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		struct inode *deep = ideal_deepest(entry->from, set->items[i]->name);

		if (deep == c->target || ideal_is_below(c->target, deep)) {
			s->ok = false;
			break;
		}
	}
	return false;
}

/* The versions compared: 1 newer or the same, 0 older, -1 one of them has none. */
static int not_older(const struct inode *dep, const struct inode *current)
{
	const struct ipkg *a = ideal_real((struct inode *)dep)->pkg;
	const struct ipkg *b = ideal_real((struct inode *)current)->pkg;

	if (!a->v_good || !b->v_good)
		return -1;
	return semver_cmp(&a->v, &b->v) >= 0;
}

static enum can can_with_current(struct ideal *d, struct can_place *c)
{
	struct swap swap = { c, true };
	bool try_replace, satisfied = ideal_satisfies(d, c->current, c->edge);
	enum can r;

	if (ideal_matches(c->dep, c->current) && (satisfied || c->edge_override))
		return c->requested ? CAN_REPLACE : CAN_KEEP;
	try_replace = not_older(c->dep, c->current) == 1;
	if (try_replace && ideal_can_replace(d, c->dep, c->current, NULL)) {
		r = with_peers(d, c, CAN_REPLACE);
		if (r != CAN_NOT)
			return r;
	}
	if (satisfied && (!c->requested || c->prefer_dedupe))
		return CAN_KEEP;
	if (c->prefer_dedupe && !try_replace && ideal_can_replace(d, c->dep, c->current, NULL)) {
		r = with_peers(d, c, CAN_REPLACE);
		if (r != CAN_NOT)
			return r;
	}
	if (c->target != deepest_for(c, c->edge->name))
		return CAN_NOT;
	if (!iedge_is_peer(c->edge) && c->target == c->edge->from)
		return with_peers(d, c, CAN_REPLACE);
	if (!c->parent && !iedge_is_peer(c->edge))
		return CAN_NOT;
	(void)ideal_entry_sets(d, c->current, can_swap, &swap);
	return swap.ok ? with_peers(d, c, CAN_REPLACE) : CAN_NOT;
}

static enum can can_without_current(struct ideal *d, struct can_place *c)
{
	struct inode *current = NULL;

	if (c->target != top_of(c)->edge->from)
		current = ideal_resolve(d, c->target, c->edge->name);
	for (struct iedge *e = current ? current->in_first : NULL; e; e = e->in_next) {
		if (ideal_is_below(e->from, c->target) && ideal_valid(d, e) &&
		    !ideal_satisfies(d, c->dep, e))
			return CAN_NOT;
	}
	return with_peers(d, c, CAN_OK);
}

static enum can decide(struct ideal *d, struct can_place *c)
{
	if (c->dep->flags & I_FAILED)
		return c->current ? CAN_REPLACE : CAN_OK;
	if (c->target_edge && iedge_is_peer(c->target_edge) && !ideal_is_top(c->target))
		return CAN_NOT;
	if (!c->current && c->target_edge && c->target_edge != c->edge &&
	    !ideal_satisfies(d, c->dep, c->target_edge))
		return CAN_NOT;
	return c->current ? can_with_current(d, c) : can_without_current(d, c);
}

static enum can can_place(struct ideal *d, struct can_place *c)
{
	c->self = c->all = CAN_NOT;
	(void)ideal_work(d, WORK_OF_ASKING);
	if (d->error)
		return CAN_NOT;
	c->prefer_dedupe = c->prefer_dedupe || iedge_is_peer(c->edge);
	c->current = ideal_child(d, c->target, c->edge->name);
	c->target_edge = ideal_edge(c->target, c->edge->name);
	c->edge_override = !ideal_satisfies(d, c->dep, c->edge);
	/* npm takes "nothing known of itself" for the whole's answer. */
	c->self = CAN_NOT;
	c->all = decide(d, c);
	if (!c->peers_known && c->self == CAN_NOT)
		c->self = c->all;
	return c->all;
}

/* ---- placing ---- */

static struct inode *start_of(const struct place *p)
{
	return ideal_deepest(p->parent ? start_of(p->parent) : p->edge->from, p->edge->name);
}

static void find_target(struct ideal *d, struct place *p)
{
	for (struct inode *t = start_of(p); t; t = ideal_up(t)) {
		const struct iedge *edge = ideal_edge(t, p->edge->name);
		struct can_place c;

		if (!ideal_is_top(t) && edge && iedge_is_peer(edge))
			continue;
		c = (struct can_place){ .dep = p->dep,
					.edge = p->edge,
					.parent = p->parent ? &p->parent->can : NULL,
					.target = t,
					.prefer_dedupe = d->o->prefer_dedupe,
					.requested = p->requested };
		(void)can_place(d, &c);
		c.before = NULL;
		if (c.self != CAN_NOT) {
			p->self = c;
			p->has_self = true;
		}
		if (c.all == CAN_NOT)
			break;
		p->can = c;
		p->has_can = true;
		if (p->dep->flags & I_FAILED)
			break;
	}
}

static bool is_project(const struct inode *n)
{
	return ideal_is_root(n) || ideal_is_workspace(n);
}

static bool entry_from_project(struct ideal *d, void *arg, struct iedge *entry, struct iset *set)
{
	(void)d;
	(void)arg;
	(void)set;
	return is_project(entry->from);
}

/* Does what is placed come from the project itself, so that a conflict is the user's to solve? */
static bool is_mine(struct ideal *d, const struct place *p)
{
	struct iedge *edge = p->top->edge;
	struct inode *n = edge->from;
	bool peers = false;

	if (is_project(n))
		return true;
	if (!iedge_is_peer(edge))
		return false;
	for (struct iedge *e = n->in_first; e; e = e->in_next) {
		if (iedge_is_peer(e))
			peers = true;
		else if (is_project(e->from))
			return true;
	}
	return peers && ideal_entry_sets(d, n, entry_from_project, NULL);
}

static int by_location(const void *a, const void *b)
{
	const struct inode *x = *(struct inode *const *)a, *y = *(struct inode *const *)b;

	return collate(slice_str(x->path), slice_str(y->path));
}

static void prune_dedupable(struct ideal *d, const struct place *p, struct inode *n, bool descend);

static void prune_children(struct ideal *d, const struct place *p, struct inode *n)
{
	auto_free struct inode **kids = NULL;
	size_t count = 0;

	for (struct inode *c = n->first_child; c; c = c->next)
		count++;
	kids = calloc(count + 1, sizeof(struct inode *));
	if (!kids) {
		(void)ideal_stick(d, -ENOMEM);
		return;
	}
	count = 0;
	for (struct inode *c = n->first_child; c; c = c->next)
		kids[count++] = c;
	qsort(kids, count, sizeof *kids, by_location);
	for (size_t i = 0; i < count; i++)
		prune_dedupable(d, p, kids[i], true);
}

/* Removes what of a branch could as well be taken from further up. */
static void prune_dedupable(struct ideal *d, const struct place *p, struct inode *n, bool descend)
{
	auto_iset struct iset set = { .d = d };

	if (ideal_can_dedupe(d, n, p->requested)) {
		(void)iset_add(&set, n);
		ideal_gather(&set, ideal_leads_elsewhere_valid, n);
		for (uint32_t i = 0; i < set.count; i++) {
			if (set.items[i])
				ideal_remove(d, set.items[i]);
		}
		return;
	}
	if (!descend)
		return;
	prune_children(d, p, n);
	for (struct inode *top = n->first_fs; top; top = top->fs_next)
		prune_children(d, p, top);
}

static void note(struct ideal *d, struct place *p, struct event event)
{
	struct events *v = p->events;

	if (v->count == v->cap) {
		uint32_t cap = v->cap ? v->cap * 2 : 16;
		struct event *bigger = reallocarray(v->list, cap, sizeof *bigger);

		if (!bigger) {
			(void)ideal_stick(d, -ENOMEM);
			return;
		}
		v->list = bigger;
		v->cap = cap;
	}
	v->list[v->count++] = event;
}

/* ---- replacing ---- */

struct replacing {
	struct place *p;
	struct iset *prune; /* peer sets that have to go deeper */
	struct iedge *edge;
};

static bool not_conflicted(struct ideal *d, const void *arg, struct iedge *edge)
{
	(void)d;
	return edge->to != arg && !edge->peer_conflicted;
}

static void add_all(struct iset *to, const struct iset *from)
{
	for (uint32_t i = 0; i < from->count; i++) {
		if (from->items[i])
			(void)iset_add(to, from->items[i]);
	}
}

static bool note_peer_set(struct ideal *d, void *arg, struct iedge *entry, struct iset *unused)
{
	struct replacing *r = arg;
	struct inode *target = r->p->can.target, *node = entry->to;
	auto_iset struct iset set = { .d = d };

	(void)unused;
	if (ideal_deepest(node, NULL) != target && !is_project(entry->from)) {
		(void)iset_add(&set, node);
		ideal_gather(&set, not_conflicted, node);
		add_all(r->prune, &set);
	} else {
		r->edge->peer_conflicted = true;
		ideal_warn(d, r->edge, r->p->dep);
	}
	return false;
}

static bool not_of_node(struct ideal *d, const void *arg, struct iedge *edge)
{
	return edge->from != arg && edge->to != arg && ideal_valid(d, edge);
}

/* What only the old one needed. */
static void prune_for(struct ideal *d, struct inode *placed, const struct iset *old_deps)
{
	auto_iset struct iset junk = { .d = d };

	for (uint32_t i = 0; i < placed->edge_count; i++) {
		struct iedge *e = &placed->edges[i];

		if (e->to && !ideal_valid(d, e))
			(void)iset_add(&junk, e->to);
	}
	for (uint32_t i = 0; i < old_deps->count; i++) {
		auto_iset struct iset set = { .d = d };

		(void)iset_add(&set, old_deps->items[i]);
		ideal_gather(&set, ideal_leads_elsewhere_valid, old_deps->items[i]);
		add_all(&junk, &set);
	}
	ideal_gather(&junk, not_of_node, placed);
	for (uint32_t i = 0; i < junk.count; i++) {
		if (junk.items[i])
			ideal_remove(d, junk.items[i]);
	}
}

static void replace(struct ideal *d, struct place *p, struct inode *old)
{
	auto_iset struct iset old_deps = { .d = d }, prune = { .d = d };
	struct replacing r = { p, &prune, NULL };

	for (uint32_t i = 0; i < old->edge_count; i++) {
		struct iedge *e = &old->edges[i];
		auto_iset struct iset set = { .d = d };

		if (!e->to || ideal_edge(p->placed, e->name))
			continue;
		(void)iset_add(&set, e->to);
		ideal_gather(&set, ideal_leads_elsewhere, e->to);
		add_all(&old_deps, &set);
	}
	for (struct iedge *e = old->in_first; e; e = e->in_next) {
		if (ideal_satisfies(d, p->placed, e) || !iedge_is_peer(e) ||
		    e->from->parent != old->parent || e->peer_conflicted)
			continue;
		r.edge = e;
		(void)ideal_entry_sets(d, e->from, note_peer_set, &r);
	}
	ideal_replace(d, p->placed, old);
	prune_for(d, p->placed, &old_deps);
	for (uint32_t i = 0; i < prune.count; i++) {
		for (struct iedge *e = prune.items[i]->in_first; e; e = e->in_next)
			note(d, p, (struct event){ .n = e->from });
		ideal_remove(d, prune.items[i]);
	}
}

/* ---- the new node ---- */

static struct inode *copy_of(struct ideal *d, const struct inode *dep)
{
	struct inode *n = ideal_node(d, dep->name, dep->pkg);

	if (!n)
		return NULL;
	n->resolved = dep->resolved;
	n->integrity = dep->integrity;
	n->rule = dep->rule;
	n->why = dep->why;
	n->failure = dep->failure;
	n->flags |= dep->flags & (I_LINK | I_FAILED | I_SHRINKWRAP);
	n->target = dep->flags & I_LINK ? dep->target : NULL;
	if (n->target) {
		n->link_next = n->target->first_link;
		n->target->first_link = n;
	}
	return n;
}

static int put_copy(struct ideal *d, struct place *p, struct inode *target)
{
	struct inode *n = copy_of(d, p->dep), *old;

	if (!n)
		return d->error;
	p->placed = n;
	/* npm's edges are made before the node has its place, and mended there. */
	if (!(n->flags & I_LINK)) {
		int r = ideal_load_edges(d, n, ideal_template(d, n->pkg, false));

		if (r < 0)
			return r;
	}
	old = ideal_child(d, target, p->edge->name);
	if (old)
		replace(d, p, old);
	else
		ideal_attach(d, n, target);
	return d->error;
}

/* Something that stands above already, so that two packages which need each other's other version
 * would nest for ever: a link to it ends that. */
static int link_to(struct ideal *d, struct place *p, struct inode *target, struct inode *above)
{
	struct inode *n = ideal_node(d, above->name, above->pkg);

	if (!n)
		return d->error;
	n->flags |= I_LINK;
	n->resolved = above->path;
	n->integrity = NULL;
	n->target = above;
	n->link_next = above->first_link;
	above->first_link = n;
	p->placed = n;
	ideal_attach(d, n, target);
	return d->error;
}

static void prune_kids(struct ideal *d, const struct place *p, struct inode *n)
{
	struct inode *kid = n->first_child;

	/* Those that go take others along: after each, go on with the first that was not seen. */
	while (kid) {
		struct inode *before = kid->prev;

		prune_dedupable(d, p, kid, false);
		if (kid->parent == n)
			before = kid;
		kid = before && before->parent == n ? before->next : before ? NULL : n->first_child;
	}
}

/* What stands deeper and need not any more. */
static void prune_same(struct ideal *d, const struct place *p, const struct inode *target)
{
	struct inode *n, *next;

	for (n = p->edge->name->first; n; n = next) {
		next = n->same_next;
		if (!ideal_work(d, 1))
			return;
		if (!ideal_is_below(n, target) || ideal_is_top(n))
			continue;
		prune_dedupable(d, p, n, false);
		if (n->root == target->root)
			prune_kids(d, p, n);
		/* What was removed is on no list any more. */
		if (next && next->root != target->root)
			next = p->edge->name->first;
	}
}

static int place(struct ideal *d, struct place *p);

static int place_peers(struct ideal *d, struct place *p)
{
	const struct inode *vr = p->dep->parent;
	int r = 0;

	for (uint32_t i = 0; i < p->placed->edge_count && r == 0; i++) {
		struct iedge *edge = &p->placed->edges[i];
		struct inode *peer;
		struct place child;

		if (!iedge_is_peer(edge) || ideal_valid(d, edge) || edge->peer_conflicted || !vr)
			continue;
		peer = ideal_child(d, vr, edge->name);
		if (!peer || !ideal_satisfies(d, peer, edge))
			continue;
		child = (struct place){ .dep = peer,
					.edge = edge,
					.parent = p,
					.top = p->top,
					.requested = p->requested,
					.deep = p->deep + 1,
					.events = p->events };
		r = place(d, &child);
	}
	return r;
}

static int place_at(struct ideal *d, struct place *p)
{
	struct inode *target = p->can.target;
	int r = 0;

	for (struct inode *a = target; a; a = ideal_up(a)) {
		if (!ideal_is_top(a) && ideal_matches(a, p->dep)) {
			r = link_to(d, p, target, a);
			if (r == 0)
				note(d, p,
				     (struct event){ p->placed, p->edge, p->can.self == CAN_OK });
			return r;
		}
	}
	r = put_copy(d, p, target);
	if (r < 0)
		return r;
	if (iedge_is_peer(p->edge) && !ideal_satisfies(d, p->placed, p->edge)) {
		p->edge->peer_conflicted = true;
		ideal_warn(d, p->edge, p->dep);
	}
	if (ideal_valid(d, p->edge) && p->edge->to && p->edge->to != p->placed)
		prune_dedupable(d, p, p->edge->to, false);
	prune_same(d, p, target);
	note(d, p, (struct event){ p->placed, p->edge, p->can.self == CAN_OK });
	return place_peers(d, p);
}

static int place(struct ideal *d, struct place *p)
{
	enum can type;

	if (p->deep > IDEAL_PEERS_DEEP)
		return ideal_stick(d, err_set(d->e, -E2BIG, "%.80s: peers of peers of peers",
					      p->dep->name->text));
	if (p->edge->to && ideal_valid(d, p->edge) && !p->requested &&
	    (p->parent || !ideal_updates(d, p->edge->name)))
		return 0;
	find_target(d, p);
	if (d->error)
		return d->error;
	if (!p->has_can) {
		if (!d->o->force && (d->o->strict_peer_deps || is_mine(d, p)))
			return ideal_conflict(d, p->top->edge, p->top->dep, "could not resolve");
		if (!p->has_self) {
			p->edge->peer_conflicted = true;
			ideal_warn(d, p->edge, p->dep);
			return 0;
		}
		p->can = p->self;
	}
	type = p->can.all == CAN_NOT ? p->can.self : p->can.all;
	if (type == CAN_KEEP) {
		if (iedge_is_peer(p->edge) && !ideal_valid(d, p->edge)) {
			p->edge->peer_conflicted = true;
			ideal_warn(d, p->edge, p->dep);
		}
		prune_dedupable(d, p, p->can.target, true);
		return d->error;
	}
	return place_at(d, p);
}

int ideal_place(struct ideal *d, struct iedge *edge, struct inode *dep,
		const struct iplace_hooks *hooks)
{
	struct events events = { 0 };
	struct place p = {
		.dep = dep, .edge = edge, .requested = edge->requested, .events = &events
	};
	int r;

	p.top = &p;
	r = place(d, &p);
	for (uint32_t i = 0; i < events.count && r == 0; i++) {
		const struct event *v = &events.list[i];

		if (v->edge)
			hooks->placed(d, v->n, v->edge, v->ok);
		else
			hooks->evaluate(d, v->n);
	}
	free(events.list);
	return r;
}
