#include "lock/sat_priv.h"

#define NO_VERSION IDEAL_NO_VERSION

bool sat_grow(void *list, uint32_t count, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? *cap * 2 : 64;
	void *bigger;

	if (count < *cap)
		return true;
	bigger = reallocarray(*(void **)list, more, size);
	if (!bigger)
		return false;
	*(void **)list = bigger;
	*cap = more;
	return true;
}

static int no_memory(struct sat *m)
{
	return ideal_stick(&m->d, -ENOMEM);
}

static int too_much(struct sat *m)
{
	return ideal_stick(&m->d, err_set(m->d.e, -E2BIG,
					  "there are too many versions to choose from; narrow the "
					  "ranges of package.json"));
}

static bool has_time(struct sat *m, uint64_t steps)
{
	m->work += steps;
	return m->work <= SAT_WORK_MAX;
}

/* A number in a table: *ret, or SAT_NONE where it is new and the caller fills *ret_at. */
static bool numbered(struct table *t, uint64_t a, uint64_t b, uint32_t next, uint32_t *ret)
{
	void **at = table_at(t, a, b);

	if (!at)
		return false;
	if (*at) {
		*ret = (uint32_t)((uintptr_t)*at - 1);
	} else {
		*at = (void *)((uintptr_t)next + 1);
		*ret = next;
	}
	return true;
}

/* ---- classes and groups ---- */

static uint32_t class_of(struct sat *m, struct iname *name, const struct overrides *rule)
{
	uint32_t id;

	if (!numbered(m->class_of, (uintptr_t)name, (uintptr_t)rule, m->class_count, &id))
		return SAT_NONE;
	if (id < m->class_count)
		return id;
	return SAT_PUSH(m->classes, m->class_count, m->class_cap,
			(struct sat_class){ .name = name, .rule = rule })
		       ? id
		       : SAT_NONE;
}

static bool make_dirty(struct sat *m, uint32_t class)
{
	if (m->classes[class].dirty)
		return true;
	m->classes[class].dirty = true;
	return SAT_PUSH(m->todo, m->todo_count, m->todo_cap, class);
}

/* The class takes versions of the pack. */
static bool serve(struct sat *m, uint32_t class, const struct ipack *pack)
{
	struct sat_class *c = &m->classes[class];
	uint32_t other;

	if (c->pack && c->pack != pack)
		c->all = true;
	c->pack = pack;
	if (!numbered(m->pack_class, (uintptr_t)pack, 0, class, &other))
		return false;
	if (other != class && !m->classes[other].all) {
		m->classes[other].all = true;
		if (!make_dirty(m, other))
			return false;
	}
	c->all = c->all || other != class;
	return make_dirty(m, class);
}

static uint32_t group_of(struct sat *m, const struct sat_cand *c, uint32_t cand)
{
	uint64_t a = c->pack ? (uintptr_t)c->pack : (uintptr_t)c->pkg;
	uint32_t id;

	if (!numbered(m->group_of, a, c->pack ? c->index : 0, m->group_count, &id))
		return SAT_NONE;
	if (id < m->group_count) {
		m->groups[id].many = true;
		return id;
	}
	return SAT_PUSH(m->groups, m->group_count, m->group_cap,
			(struct sat_group){ .name = c->pkg->name ? c->pkg->name
								 : m->classes[c->class].name,
					    .first = cand })
		       ? id
		       : SAT_NONE;
}

/* ---- demands ---- */

static void set_bit(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool get_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static int fill_bits(struct sat *m, struct sat_demand *demand)
{
	struct ideal *d = &m->d;
	const struct ipack *k = demand->pack;
	const struct ispec *s = demand->spec;
	uint32_t n = k->p->head->version_count, picked = ideal_pick(d, k, s), found = 0;

	demand->bits = arena_array(&d->arena, (size_t)n / 64 + 1, sizeof *demand->bits);
	if (!demand->bits)
		return no_memory(m);
	if (picked != NO_VERSION) {
		set_bit(demand->bits, picked);
		found = 1;
	}
	for (uint32_t i = 0; i < n && s->type == SPEC_RANGE; i++) {
		if (!k->good[i] || !ideal_in_time(d, &k->p->versions[i]) ||
		    !(s->any ? k->v[i].pre.len == 0
			     : s->has_range && semver_range_test(&s->range, &k->v[i])))
			continue;
		set_bit(demand->bits, i);
		found++;
	}
	if (!found)
		demand->why = arena_printf(
			&d->arena, "the registry has no version of %s that fits \"%s\"%s",
			k->p->head->name ? packument_str(k->p, k->p->head->name)
					 : m->classes[demand->class].name->text,
			s->text, d->o->has_before ? " before the date that was given" : "");
	return d->error;
}

static struct iname *registry_name(struct ideal *d, struct iname *name, const struct ispec *s)
{
	const char *real;

	if (s->spec.type != SPEC_ALIAS)
		return name;
	real = arena_strndup(&d->arena, s->spec.alias_name.ptr, s->spec.alias_name.len);
	return real ? ideal_name(d, real) : NULL;
}

static uint32_t add_cand(struct sat *m, const struct sat_cand *cand)
{
	struct sat_cand c = *cand;
	uint32_t id = m->cand_count;
	struct sat_class *in = &m->classes[c.class];

	if (id >= SAT_CANDS_MAX) {
		(void)too_much(m);
		return SAT_NONE;
	}
	c.group = group_of(m, &c, id);
	if (c.group == SAT_NONE || !SAT_PUSH(m->cands, m->cand_count, m->cand_cap, c) ||
	    !SAT_PUSH(in->cands, in->cand_count, in->cand_cap, id))
		return SAT_NONE;
	return id;
}

/* A top once, by its folder. */
static int add_top(struct sat *m, struct inode *n, struct iname *workspace)
{
	for (uint32_t i = 0; i < m->top_count; i++) {
		if (strcmp(m->tops[i].node->path, n->path) == 0)
			return 0;
	}
	return SAT_PUSH(m->tops, m->top_count, m->top_cap,
			(struct sat_top){ .node = n, .workspace = workspace })
		       ? 0
		       : no_memory(m);
}

/* A folder once in a class. */
static int take_link(struct sat *m, uint32_t demand, struct ipkg *pkg)
{
	const struct sat_class *c = &m->classes[m->demands[demand].class];

	for (uint32_t i = 0; i < c->cand_count; i++) {
		if (m->cands[c->cands[i]].pkg == pkg) {
			m->demands[demand].only = c->cands[i];
			return 0;
		}
	}
	m->demands[demand].only = add_cand(m, &(struct sat_cand){ .class = m->demands[demand].class,
								  .pkg = pkg,
								  .rank = SAT_RANK_BEST,
								  .link = true });
	return m->demands[demand].only == SAT_NONE ? no_memory(m) : 0;
}

/* A folder, which is linked; where it lies in the project, what it needs counts too. */
static int link_folder(struct sat *m, uint32_t demand, const char *where)
{
	struct ideal *d = &m->d;
	const struct sat_demand *dm = &m->demands[demand];
	struct inode *n;
	struct spec here;
	uint32_t top;
	int r;

	if (spec_parse(&here, (struct slice){ 0 }, slice_str(dm->spec->text), slice_str(where),
		       &d->arena, NULL) < 0)
		return 0;
	n = ideal_read_folder(d, m->classes[dm->class].name, here.fetch);
	if (!n)
		return no_memory(m);
	for (top = 0; top < m->top_count; top++) {
		if (strcmp(m->tops[top].node->path, n->path) == 0)
			break;
	}
	if (top == m->top_count && strncmp(n->path, "../", 3) != 0) {
		r = add_top(m, n, NULL);
		if (r < 0)
			return r;
	}
	return take_link(m, demand, top < m->top_count ? m->tops[top].node->pkg : n->pkg);
}

/* What no registry has: a tarball, git. */
static int load_foreign(struct sat *m, uint32_t demand, const char *where)
{
	struct ideal *d = &m->d;
	struct sat_demand *dm = &m->demands[demand];
	const struct iload *l = ideal_load_pkg(d, m->classes[dm->class].name, dm->spec, where);
	struct sat_cand c = { .class = dm->class, .rank = SAT_RANK_BEST };

	if (!l)
		return no_memory(m);
	if (!l->pkg) {
		dm->why = l->why;
		return 0;
	}
	c.pkg = l->pkg;
	m->demands[demand].only = add_cand(m, &c);
	return m->demands[demand].only == SAT_NONE ? no_memory(m) : 0;
}

/* A workspace that does is taken, as npm does. */
static bool is_workspace(struct sat *m, const struct sat_demand *dm, uint32_t *ret)
{
	struct iname *name = m->classes[dm->class].name;

	for (uint32_t i = 1; i < m->top_count; i++) {
		const struct ipkg *pkg = m->tops[i].node->pkg;

		if (m->tops[i].workspace != name)
			continue;
		if (dm->spec->any || (dm->spec->has_range && pkg->v_good &&
				      semver_range_test(&dm->spec->range, &pkg->v))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* A published version that needs what lies elsewhere is not waited for, unless it must be. */
static bool is_far(struct sat *m, struct sat_demand *dm, bool top)
{
	dm->far = !top && m->reach < SAT_ALL && (!dm->spec->good || dm->spec->type > SPEC_TAG);
	if (dm->far) {
		m->far_seen = true;
		dm->why = "a version that needs what is in no registry is not considered";
	}
	return dm->far;
}

static int activate(struct sat *m, uint32_t demand, const char *where, bool top)
{
	struct ideal *d = &m->d;
	struct sat_demand *dm = &m->demands[demand];
	const struct ispec *s = dm->spec;
	struct iname *name;
	uint32_t workspace;

	dm->active = true;
	if (is_far(m, dm, top))
		return 0;
	dm->why = NULL;
	if (s->good && s->spec.type == SPEC_DIRECTORY)
		return link_folder(m, demand, where);
	if (s->good && s->type <= SPEC_TAG && is_workspace(m, dm, &workspace))
		return take_link(m, demand, m->tops[workspace].node->pkg);
	if (!s->good || s->type > SPEC_TAG)
		return load_foreign(m, demand, where);
	name = registry_name(d, m->classes[dm->class].name, s);
	dm->pack = name ? ideal_pack(d, name) : NULL;
	if (!dm->pack)
		return no_memory(m);
	if (dm->pack->failure) {
		m->unknown += dm->pack->failure != -ENOENT;
		dm->why = dm->pack->why;
		dm->pack = NULL;
		return 0;
	}
	if (fill_bits(m, dm) < 0 || !serve(m, dm->class, dm->pack))
		return no_memory(m);
	return 0;
}

static struct ispec *effective(struct sat *m, struct ipkg *pkg, const struct itemplate_edge *te,
			       const struct overrides *rule)
{
	struct inode from = { .pkg = pkg, .path = "" };
	const struct iedge edge = {
		.name = te->name, .spec = te->spec, .from = &from, .rule = rule
	};

	return ideal_spec(&m->d, &edge);
}

static uint32_t demand_of(struct sat *m, struct ipkg *pkg, const struct itemplate_edge *te,
			  const struct overrides *from_rule, const char *path)
{
	const struct overrides *rule =
		from_rule ? overrides_rule(from_rule, te->name->text, te->spec->text) : NULL;
	struct ispec *spec = effective(m, pkg, te, rule), *raw = spec == te->spec ? NULL : te->spec;
	uint32_t class = class_of(m, te->name, rule), pair, id;
	struct sat_class *c;
	const char *where = "/";

	if (class == SAT_NONE ||
	    !numbered(m->pair_of, (uintptr_t)spec, (uintptr_t)raw, m->demand_count, &pair) ||
	    !numbered(m->demand_of, pair, class, m->demand_count, &id))
		return SAT_NONE;
	if (id == m->demand_count) {
		c = &m->classes[class];
		if (id >= SAT_DEMANDS_MAX) {
			(void)too_much(m);
			return SAT_NONE;
		}
		if (!SAT_PUSH(
			    m->demands, m->demand_count, m->demand_cap,
			    (struct sat_demand){
				    .class = class, .spec = spec, .raw = raw, .only = SAT_NONE }) ||
		    !SAT_PUSH(c->demands, c->demand_count, c->demand_cap, id) ||
		    (c->pack && !make_dirty(m, class)))
			return SAT_NONE;
	}
	if (te->type == EDGE_PEER_OPTIONAL ||
	    (m->demands[id].active && !(m->demands[id].far && path)))
		return id;
	if (!spec->good || spec->spec.type >= SPEC_FILE)
		where = arena_printf(&m->d.arena, "%s/%s", m->d.o->dir, path ? path : "");
	return where && activate(m, id, where, path != NULL) == 0 ? id : SAT_NONE;
}

static bool is_bundled(const struct ipkg *pkg, const struct iname *name)
{
	for (uint32_t i = 0; i < pkg->bundled_count; i++) {
		if (pkg->bundled[i] == name)
			return true;
	}
	return false;
}

/* Of what package.json asks for, something else may be asked. */
static bool ask_otherwise(struct sat *m, struct itemplate_edge *te)
{
	const char *spec = NULL;

	if (te->type == EDGE_WORKSPACE)
		return true;
	if (m->ask_name && strcmp(te->name->text, m->ask_name) == 0)
		spec = m->ask_spec;
	for (const char *const *s = m->relaxed; s && *s && !spec; s++)
		spec = strcmp(te->name->text, *s) == 0 ? "*" : NULL;
	if (spec)
		te->spec = ideal_spec_of(&m->d, spec);
	return te->spec != NULL;
}

/* `path`: of a top; NULL: a cand's. */
static int add_edges(struct sat *m, struct ipkg *pkg, const struct itemplate *t,
		     const struct overrides *rule, const char *path, struct sat_edge **ret,
		     uint32_t *ret_count)
{
	struct sat_edge *edges;
	uint32_t n = 0;

	if (!t)
		return no_memory(m);
	m->edges += t->count;
	if (m->edges > SAT_EDGES_MAX)
		return too_much(m);
	edges = arena_array(&m->d.arena, (size_t)t->count + 1, sizeof *edges);
	if (!edges)
		return no_memory(m);
	for (uint32_t i = 0; i < t->count; i++) {
		struct itemplate_edge te = t->edges[i];
		uint32_t demand;

		if (!path && is_bundled(pkg, te.name))
			continue;
		if (path && !ask_otherwise(m, &te))
			return no_memory(m);
		demand = demand_of(m, pkg, &te, rule, path);
		if (demand == SAT_NONE)
			return no_memory(m);
		edges[n++] = (struct sat_edge){ demand, te.type };
	}
	*ret = edges;
	*ret_count = n;
	return m->d.error;
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

	if (!has_time(m, (uint64_t)n * c->demand_count))
		return too_much(m);
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

			if (dm->pack == k && get_bit(dm->bits, i)) {
				any = true;
				set_bit(row, x);
			} else if (!dm->active &&
				   !(dm->spec->has_range && k->good[i] &&
				     !semver_range_test(&dm->spec->range, &k->v[i]))) {
				set_bit(row, x);
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

	if (!numbered(m->cand_of, (uintptr_t)o->pack, (uint64_t) class << 32 | o->index,
		      m->cand_count, &id))
		return no_memory(m);
	if (id < m->cand_count)
		return 0;
	name = ideal_name(&m->d, packument_str(o->pack->p, o->pack->p->head->name));
	c.pkg = name ? ideal_pkg_at(&m->d, name, o->pack, o->index) : NULL;
	if (!c.pkg || add_cand(m, &c) != id)
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
		if (!has_time(m, 1))
			return too_much(m);
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

bool sat_holds(const struct sat *m, const struct sat_demand *demand, uint32_t cand)
{
	const struct sat_cand *c = &m->cands[cand];
	const struct ispec *s = demand->spec;

	if (demand->only != SAT_NONE)
		return demand->only == cand;
	if (demand->active && !demand->pack)
		return false;
	if (demand->pack && demand->pack == c->pack && get_bit(demand->bits, c->index))
		return true;
	if (s->any || (!demand->active && !s->has_range))
		return true;
	if (s->type == SPEC_TAG || (demand->pack == c->pack && c->pack))
		return false;
	return s->has_range && c->pkg->v_good && semver_range_test(&s->range, &c->pkg->v);
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
	if (!has_time(m, (uint64_t)c->cand_count * c->demand_count))
		return too_much(m);
	if (c->cand_count)
		qsort_r(c->cands, c->cand_count, sizeof *c->cands, by_order, m);
	for (uint32_t i = 0; i < c->cand_count; i++)
		m->cands[c->cands[i]].order = i;
	for (uint32_t x = 0; x < c->demand_count; x++) {
		struct sat_demand *dm = &m->demands[c->demands[x]];

		dm->fits = arena_array(&m->d.arena, (size_t)c->cand_count + 1, sizeof *dm->fits);
		if (!dm->fits)
			return no_memory(m);
		for (uint32_t i = 0; i < c->cand_count; i++) {
			if (sat_holds(m, dm, c->cands[i]))
				dm->fits[dm->fit_count++] = c->cands[i];
		}
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
		if (!has_time(m, m->edges))
			return too_much(m);
		for (uint32_t i = 0; i < m->cand_count; i++) {
			if (!m->cands[i].dead && !is_alive(m, &m->cands[i]))
				changed = m->cands[i].dead = true;
		}
	}
	for (uint32_t i = 0; i < m->demand_count; i++) {
		struct sat_demand *dm = &m->demands[i];

		for (uint32_t k = 0; k < dm->fit_count; k++) {
			const struct sat_cand *c = &m->cands[dm->fits[k]];

			if (!c->dead && c->rank > dm->best)
				dm->best = c->rank;
		}
	}
	return 0;
}

/* ---- the whole ---- */

int sat_start(struct sat *m, const struct ideal_options *o, struct buf *warnings, struct err *e)
{
	struct table **const tables[] = { &m->class_of, &m->demand_of,  &m->cand_of, &m->group_of,
					  &m->pair_of,  &m->pack_class, &m->seen_of, &m->guard_of };
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
	int r = add_top(m, root, NULL);

	for (uint32_t i = 0; i < root->edge_count && r == 0; i++) {
		const struct iedge *e = &root->edges[i];
		struct inode *n;
		struct slice folder;

		if (e->type != EDGE_WORKSPACE)
			continue;
		folder = slice_str(e->spec->text + 5);
		n = ideal_read_folder(&m->d, e->name, folder);
		r = n ? add_top(m, n, e->name) : no_memory(m);
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
		r = add_edges(m, c->pkg, ideal_template(&m->d, c->pkg, false),
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
	edges[t->edge_count].demand = demand_of(m, t->node->pkg, &te, m->d.overrides, "");
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

		r = add_edges(m, n->pkg, i ? ideal_template(&m->d, n->pkg, true) : n->template,
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
	return r == 0 ? bury_the_dead(m) : r;
}
