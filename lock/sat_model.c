#include "lock/sat_priv.h"

static int no_memory(struct sat *m)
{
	return ideal_stick(&m->d, -ENOMEM);
}

/* ---- versions ---- */

struct option {
	const struct ipack *pack;
	uint32_t index;
	unsigned rank;
	bool latest;
	const uint64_t *row; /* of demands for which it does */
};

/* What carries others in its tarball has them whether they are needed or not. */
static unsigned rank_of(const struct sat *m, const struct ipack *k, uint32_t i)
{
	return 2 * ideal_rank(&m->d, k, i) + !(k->p->versions[i].flags & PACKUMENT_BUNDLES);
}

/* What npm would take first. */
static int by_preference(const void *a, const void *b)
{
	const struct option *x = a, *y = b;
	int c;

	if (x->latest != y->latest)
		return x->latest ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	c = semver_cmp(&y->pack->v[y->index], &x->pack->v[x->index]);
	return c ? c : (x->index > y->index) - (x->index < y->index);
}

static bool same_needs(const struct option *a, const struct option *b)
{
	const struct packument_version *x = &a->pack->p->versions[a->index];
	const struct packument_version *y = &b->pack->p->versions[b->index];
	const unsigned special = PACKUMENT_BUNDLES | PACKUMENT_ACCEPTS | PACKUMENT_SHRINKWRAP;

	return a->pack == b->pack && x->dep_count == y->dep_count &&
	       (x->dep_count == 0 || x->first_dep == y->first_dep) &&
	       !((x->flags | y->flags) & special);
}

static bool is_within(const uint64_t *a, const uint64_t *b, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		if (a[i] & ~b[i])
			return false;
	}
	return true;
}

struct options {
	struct option *list; /* owned */
	uint64_t *rows;      /* owned */
	size_t count, words;
};

static void options_release(struct options *o)
{
	free(o->list);
	free(o->rows);
}

/* All versions of one pack that some demand takes. */
static int list_options(struct sat *m, const struct sat_class *c, const struct ipack *k,
			struct options *ret)
{
	uint32_t n = k->p->head->version_count;
	const char *tag = m->d.o->default_tag ? m->d.o->default_tag : "latest";
	const char *latest = packument_tag(k->p, tag);

	if (!sat_has_time(m, (uint64_t)n * c->demand_count))
		return sat_too_much(m);
	ret->words = c->demand_count / 64 + 1;
	ret->list = calloc((size_t)n + 1, sizeof *ret->list);
	ret->rows = calloc(((size_t)n + 1) * ret->words, sizeof *ret->rows);
	if (!ret->list || !ret->rows)
		return no_memory(m);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t *row = ret->rows + i * ret->words;
		bool any = false;

		for (uint32_t x = 0; x < c->demand_count; x++) {
			const struct sat_demand *dm = &m->demands[c->demands[x]];

			if (dm->pack == k && sat_bit(dm->bits, i)) {
				any = true;
				sat_set_bit(row, x);
			} else if (!dm->active &&
				   !(dm->spec->has_range && k->good[i] &&
				     !semver_range_test(&dm->spec->range, &k->v[i]))) {
				sat_set_bit(row, x);
			}
		}
		if (any)
			ret->list[ret->count++] = (struct option){
				.pack = k, .index = i, .rank = rank_of(m, k, i), .row = row
			};
	}
	for (size_t i = 0; i < ret->count; i++) {
		struct option *o = &ret->list[i];

		o->latest =
			latest && o->rank == SAT_RANK_BEST &&
			strcmp(packument_str(k->p, k->p->versions[o->index].version), latest) == 0;
	}
	qsort(ret->list, ret->count, sizeof *ret->list, by_preference);
	return 0;
}

static int take_option(struct sat *m, uint32_t class, const struct option *o)
{
	struct sat_cand c = {
		.class = class, .pack = o->pack, .index = o->index, .rank = (uint8_t)o->rank
	};
	struct iname *name;
	uint32_t id;

	if (!sat_numbered(m->cand_of, (uintptr_t)o->pack, (uint64_t) class << 32 | o->index,
			  m->cand_count, &id))
		return no_memory(m);
	if (id < m->cand_count)
		return 0;
	name = ideal_name(&m->d, packument_str(o->pack->p, o->pack->p->head->name));
	c.pkg = name ? ideal_pkg_at(&m->d, name, o->pack, o->index) : NULL;
	if (!c.pkg || sat_add_cand(m, &c) != id)
		return no_memory(m);
	if (m->reach > SAT_ASKED)
		ideal_hint(&m->d, c.pkg);
	return 0;
}

/* The options that are kept, by what they need: each is one more than its number, 0 none. */
struct kept {
	struct table *first; /* owned */
	uint32_t *next;      /* owned */
};

static void kept_release(struct kept *k)
{
	table_free(k->first);
	free(k->next);
}

/* Keeps the option, unless one that is kept is as good for everything; `all`: in any case. */
static int keep(struct sat *m, struct kept *k, const struct options *o, uint32_t i, bool all,
		bool *ret)
{
	const struct packument_version *v = &o->list[i].pack->p->versions[o->list[i].index];
	void **at = table_at(k->first, v->dep_count ? v->first_dep : 0, v->dep_count);

	if (!at)
		return no_memory(m);
	for (uint32_t x = (uint32_t)(uintptr_t)*at; x && !all; x = k->next[x - 1]) {
		if (!sat_has_time(m, 1))
			return sat_too_much(m);
		if (same_needs(&o->list[i], &o->list[x - 1]) &&
		    is_within(o->list[i].row, o->list[x - 1].row, o->words)) {
			*ret = false;
			return 0;
		}
	}
	k->next[i] = (uint32_t)(uintptr_t)*at;
	*at = (void *)((uintptr_t)i + 1);
	*ret = true;
	return 0;
}

static int explore_pack(struct sat *m, uint32_t class, const struct ipack *k)
{
	struct options o cleanup(options_release) = { 0 };
	struct kept kept cleanup(kept_release) = { .first = table_new() };
	bool all = m->whole || m->classes[class].all;
	int r = list_options(m, &m->classes[class], k, &o);

	kept.next = calloc(o.count + 1, sizeof *kept.next);
	if (!kept.first || !kept.next)
		return no_memory(m);
	for (uint32_t i = 0; i < o.count && r == 0; i++) {
		bool is = false;

		r = keep(m, &kept, &o, i, all, &is);
		if (r == 0 && is)
			r = take_option(m, class, &o.list[i]);
	}
	return r;
}

static int explore_class(struct sat *m, uint32_t class)
{
	int r = 0;

	m->classes[class].dirty = false;
	for (uint32_t x = 0; x < m->classes[class].demand_count && r == 0; x++) {
		const struct ipack *k = m->demands[m->classes[class].demands[x]].pack;
		bool seen = !k;

		for (uint32_t y = 0; y < x && !seen; y++)
			seen = m->demands[m->classes[class].demands[y]].pack == k;
		if (!seen)
			r = explore_pack(m, class, k);
	}
	return r;
}

/* ---- when all is there ---- */

static bool in_range(const struct ispec *s, const struct sat_cand *c)
{
	return s->any ||
	       (s->has_range && c->pkg->v_good && semver_range_test(&s->range, &c->pkg->v));
}

/* npm takes what the override would take, and what stood there did not mean to be overridden. */
static bool escapes(const struct sat *m, const struct sat_demand *demand, const struct sat_cand *c)
{
	const struct overrides *rule = m->classes[demand->class].rule;
	const struct ispec *key;

	if (!demand->raw || !rule || !rule->parent || c->link || !in_range(demand->raw, c))
		return false;
	key = ideal_spec_of((struct ideal *)&m->d, rule->key_spec);
	return key && key->good && !in_range(key, c);
}

bool sat_holds(const struct sat *m, const struct sat_demand *demand, uint32_t cand)
{
	const struct sat_cand *c = &m->cands[cand];
	const struct ispec *s = demand->spec;

	if (demand->only != SAT_NONE)
		return demand->only == cand;
	if (escapes(m, demand, c))
		return true;
	if (demand->active && !demand->pack)
		return false;
	if (demand->pack && demand->pack == c->pack && sat_bit(demand->bits, c->index))
		return true;
	if (s->any || (!demand->active && !s->has_range))
		return true;
	if (s->type == SPEC_TAG || (demand->pack == c->pack && c->pack))
		return false;
	return in_range(s, c);
}

static int by_order(const void *a, const void *b, void *arg)
{
	const struct sat *m = arg;
	const struct sat_cand *x = &m->cands[*(const uint32_t *)a];
	const struct sat_cand *y = &m->cands[*(const uint32_t *)b];
	struct option p = { .pack = x->pack, .index = x->index, .rank = x->rank };
	struct option q = { .pack = y->pack, .index = y->index, .rank = y->rank };
	const char *tag = m->d.o->default_tag ? m->d.o->default_tag : "latest", *latest;

	if (!x->pack || !y->pack || x->pack != y->pack)
		return x->pack && y->pack ? strcmp(x->pkg->name->text, y->pkg->name->text)
					  : (y->pack == NULL) - (x->pack == NULL);
	latest = packument_tag(x->pack->p, tag);
	p.latest = latest && x->rank == SAT_RANK_BEST && strcmp(x->pkg->version, latest) == 0;
	q.latest = latest && y->rank == SAT_RANK_BEST && strcmp(y->pkg->version, latest) == 0;
	return by_preference(&p, &q);
}

static int settle_class(struct sat *m, struct sat_class *c)
{
	if (!sat_has_time(m, (uint64_t)c->cand_count * c->demand_count))
		return sat_too_much(m);
	if (c->cand_count)
		qsort_r(c->cands, c->cand_count, sizeof *c->cands, by_order, m);
	for (uint32_t i = 0; i < c->cand_count; i++)
		m->cands[c->cands[i]].order = i;
	return 0;
}

static bool has_group(const struct sat *m, const struct sat_class *c, uint32_t group)
{
	for (uint32_t i = 0; i < c->cand_count; i++) {
		if (m->cands[c->cands[i]].group == group)
			return true;
	}
	return false;
}

/* What the other classes of the name have besides. *ret is in the arena. */
static int list_others(struct sat *m, uint32_t class, uint32_t **ret, uint32_t *ret_count)
{
	const struct sat_class *c = &m->classes[class];
	uint32_t cap = 0, n = 0;

	for (uint32_t o = c->next_same; o != class; o = m->classes[o].next_same)
		cap += m->classes[o].cand_count;
	*ret = arena_array(&m->d.arena, (size_t)cap + 1, sizeof **ret);
	if (!*ret)
		return no_memory(m);
	if (!sat_has_time(m, (uint64_t)cap * c->cand_count))
		return sat_too_much(m);
	for (uint32_t o = c->next_same; o != class; o = m->classes[o].next_same) {
		for (uint32_t i = 0; i < m->classes[o].cand_count; i++) {
			if (!has_group(m, c, m->cands[m->classes[o].cands[i]].group))
				(*ret)[n++] = m->classes[o].cands[i];
		}
	}
	*ret_count = n;
	return 0;
}

static void take_fits(const struct sat *m, struct sat_demand *dm, const uint32_t *cands,
		      uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (sat_holds(m, dm, cands[i]))
			dm->fits[dm->fit_count++] = cands[i];
	}
}

static int settle_demands(struct sat *m, uint32_t class)
{
	struct sat_class *c = &m->classes[class];
	uint32_t *others = NULL, count = 0;
	int r = list_others(m, class, &others, &count);

	if (r < 0)
		return r;
	if (!sat_has_time(m, (uint64_t)count * c->demand_count))
		return sat_too_much(m);
	for (uint32_t x = 0; x < c->demand_count; x++) {
		struct sat_demand *dm = &m->demands[c->demands[x]];

		dm->fits = arena_array(&m->d.arena, (size_t)c->cand_count + count + 1,
				       sizeof *dm->fits);
		if (!dm->fits)
			return no_memory(m);
		take_fits(m, dm, c->cands, c->cand_count);
		take_fits(m, dm, others, count);
	}
	return 0;
}

static bool is_alive(const struct sat *m, const struct sat_cand *c)
{
	for (uint32_t i = 0; i < c->edge_count; i++) {
		const struct sat_demand *dm = &m->demands[c->edges[i].demand];
		bool some =
			c->edges[i].type == EDGE_OPTIONAL || c->edges[i].type == EDGE_PEER_OPTIONAL;

		for (uint32_t x = 0; x < dm->fit_count && !some; x++)
			some = !m->cands[dm->fits[x]].dead;
		if (!some)
			return false;
	}
	return true;
}

static int bury_the_dead(struct sat *m)
{
	bool changed = true;

	while (changed) {
		changed = false;
		if (!sat_has_time(m, m->edges))
			return sat_too_much(m);
		for (uint32_t i = 0; i < m->cand_count; i++) {
			if (!m->cands[i].dead && !is_alive(m, &m->cands[i]))
				changed = m->cands[i].dead = true;
		}
	}
	for (uint32_t i = 0; i < m->demand_count; i++) {
		struct sat_demand *dm = &m->demands[i];

		for (uint32_t k = 0; k < dm->fit_count; k++) {
			const struct sat_cand *c = &m->cands[dm->fits[k]];

			/* Another package's, under the name, would do, and is not what is asked. */
			if (!c->dead && c->pack == dm->pack && c->rank > dm->best)
				dm->best = c->rank;
		}
	}
	return 0;
}

/* ---- the whole ---- */

int sat_start(struct sat *m, const struct ideal_options *o, struct buf *warnings, struct err *e)
{
	struct table **const tables[] = { &m->class_of,   &m->name_class, &m->demand_of,
					  &m->cand_of,    &m->group_of,   &m->pair_of,
					  &m->pack_class, &m->seen_of,    &m->guard_of };
	bool whole = true;
	int r;

	m->d = (struct ideal){
		.o = o, .e = e, .arena = ARENA_INIT(IDEAL_MEMORY_MAX), .warnings = warnings
	};
	r = ideal_start(&m->d);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		*tables[i] = table_new();
		whole = whole && *tables[i];
	}
	return r == 0 && !whole ? no_memory(m) : r;
}

void sat_release(struct sat *m)
{
	for (uint32_t i = 0; i < m->class_count; i++) {
		free(m->classes[i].demands);
		free(m->classes[i].cands);
	}
	for (uint32_t i = 0; i < m->blocked_count; i++)
		free(m->blocked[i]);
	free(m->blocked);
	table_free(m->class_of);
	table_free(m->name_class);
	table_free(m->demand_of);
	table_free(m->cand_of);
	table_free(m->group_of);
	table_free(m->pair_of);
	table_free(m->pack_class);
	table_free(m->seen_of);
	table_free(m->guard_of);
	free(m->classes);
	free(m->demands);
	free(m->cands);
	free(m->groups);
	free(m->tops);
	free(m->todo);
	free(m->seen);
	free(m->strict);
	free(m->guards);
	solver_free(m->solver);
	ideal_release(&m->d);
}

static int find_tops(struct sat *m)
{
	struct inode *root = m->d.tree;
	int r = sat_add_top(m, root, NULL);

	for (uint32_t i = 0; i < root->edge_count && r == 0; i++) {
		const struct iedge *e = &root->edges[i];
		struct inode *n;
		struct slice folder;

		if (e->type != EDGE_WORKSPACE)
			continue;
		folder = slice_str(e->spec->text + 5);
		n = ideal_read_folder(&m->d, e->name, folder);
		r = n ? sat_add_top(m, n, e->name) : no_memory(m);
	}
	return r;
}

/* What each cand needs, as they come; more come by that. */
static int expand(struct sat *m)
{
	int r = 0;

	while (r == 0 && (m->expanded < m->cand_count || m->todo_at < m->todo_count)) {
		struct sat_edge *edges = NULL;
		uint32_t count = 0, id = m->expanded;
		const struct sat_cand *c = &m->cands[id];

		if (id == m->cand_count) {
			r = explore_class(m, m->todo[m->todo_at++]);
			continue;
		}
		m->expanded++;
		if (c->link || m->reach == SAT_ASKED)
			continue;
		r = sat_add_edges(m, c->pkg, ideal_template(&m->d, c->pkg, false),
				  m->classes[c->class].rule, NULL, &edges, &count);
		m->cands[id].edges = edges;
		m->cands[id].edge_count = count;
	}
	return r;
}

/* What root is asked to need besides. */
static int ask_more(struct sat *m)
{
	struct sat_top *t = &m->tops[0];
	struct itemplate_edge te = { .type = EDGE_PROD };
	struct sat_edge *edges;

	for (uint32_t i = 0; m->ask_name && i < t->edge_count; i++) {
		if (strcmp(m->classes[m->demands[t->edges[i].demand].class].name->text,
			   m->ask_name) == 0)
			return 0;
	}
	if (!m->ask_name)
		return 0;
	te.name = ideal_name(&m->d, m->ask_name);
	te.spec = ideal_spec_of(&m->d, m->ask_spec);
	edges = arena_array(&m->d.arena, (size_t)t->edge_count + 1, sizeof *edges);
	if (!te.name || !te.spec || !edges)
		return no_memory(m);
	if (t->edge_count)
		memcpy(edges, t->edges, t->edge_count * sizeof *edges);
	edges[t->edge_count].type = te.type;
	edges[t->edge_count].demand = sat_demand_of(m, t->node->pkg, &te, m->d.overrides, "");
	if (edges[t->edge_count].demand == SAT_NONE)
		return no_memory(m);
	t->edges = edges;
	t->edge_count++;
	return 0;
}

int sat_explore(struct sat *m)
{
	int r = ideal_read_project(&m->d, (struct slice){ 0 });

	if (r == 0)
		r = find_tops(m);
	for (uint32_t i = 0; i < m->top_count && r == 0; i++) {
		struct inode *n = m->tops[i].node;
		struct sat_edge *edges = NULL;
		uint32_t count = 0;

		r = sat_add_edges(m, n->pkg, i ? ideal_template(&m->d, n->pkg, true) : n->template,
				  m->d.overrides, n->path, &edges, &count);
		m->tops[i].edges = edges;
		m->tops[i].edge_count = count;
		if (r == 0 && i == 0)
			r = ask_more(m);
		if (r == 0)
			r = expand(m);
	}
	for (uint32_t i = 0; i < m->class_count && r == 0; i++)
		r = settle_class(m, &m->classes[i]);
	for (uint32_t i = 0; i < m->class_count && r == 0; i++)
		r = settle_demands(m, i);
	return r == 0 ? bury_the_dead(m) : r;
}
