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

int sat_too_much(struct sat *m)
{
	return ideal_stick(&m->d, err_set(m->d.e, -E2BIG,
					  "there are too many versions to choose from; narrow the "
					  "ranges of package.json"));
}

bool sat_has_time(struct sat *m, uint64_t steps)
{
	m->work += steps;
	return m->work <= SAT_WORK_MAX;
}

bool sat_numbered(struct table *t, uint64_t a, uint64_t b, uint32_t next, uint32_t *ret)
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
	uint32_t id, same;

	if (!sat_numbered(m->class_of, (uintptr_t)name, (uintptr_t)rule, m->class_count, &id) ||
	    !sat_numbered(m->name_class, (uintptr_t)name, 0, id, &same))
		return SAT_NONE;
	if (id < m->class_count)
		return id;
	if (!SAT_PUSH(m->classes, m->class_count, m->class_cap,
		      (struct sat_class){ .name = name, .rule = rule, .next_same = id }))
		return SAT_NONE;
	m->classes[id].next_same = m->classes[same].next_same;
	m->classes[same].next_same = id;
	return id;
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
	if (!sat_numbered(m->pack_class, (uintptr_t)pack, 0, class, &other))
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

	if (!sat_numbered(m->group_of, a, c->pack ? c->index : 0, m->group_count, &id))
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
		sat_set_bit(demand->bits, picked);
		found = 1;
	}
	for (uint32_t i = 0; i < n && s->type == SPEC_RANGE; i++) {
		if (!k->good[i] || !ideal_in_time(d, &k->p->versions[i]) ||
		    !(s->any ? k->v[i].pre.len == 0
			     : s->has_range && semver_range_test(&s->range, &k->v[i])))
			continue;
		sat_set_bit(demand->bits, i);
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

uint32_t sat_add_cand(struct sat *m, const struct sat_cand *cand)
{
	struct sat_cand c = *cand;
	uint32_t id = m->cand_count;
	struct sat_class *in = &m->classes[c.class];

	if (id >= SAT_CANDS_MAX) {
		(void)sat_too_much(m);
		return SAT_NONE;
	}
	c.group = group_of(m, &c, id);
	if (c.group == SAT_NONE || !SAT_PUSH(m->cands, m->cand_count, m->cand_cap, c) ||
	    !SAT_PUSH(in->cands, in->cand_count, in->cand_cap, id))
		return SAT_NONE;
	return id;
}

int sat_add_top(struct sat *m, struct inode *n, struct iname *workspace)
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
	m->demands[demand].only =
		sat_add_cand(m, &(struct sat_cand){ .class = m->demands[demand].class,
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
		r = sat_add_top(m, n, NULL);
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
	m->demands[demand].only = sat_add_cand(m, &c);
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
	struct ipack *pack;
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
	pack = name ? ideal_pack(d, name) : NULL;
	if (!pack || (!pack->failure && !ideal_read_versions(d, pack)))
		return no_memory(m);
	if (pack->failure) {
		m->unknown += pack->failure != -ENOENT;
		dm->why = pack->why;
		return 0;
	}
	dm->pack = pack;
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

uint32_t sat_demand_of(struct sat *m, struct ipkg *pkg, const struct itemplate_edge *te,
		       const struct overrides *from_rule, const char *path)
{
	const struct overrides *rule =
		from_rule ? overrides_rule(from_rule, te->name->text, te->spec->text) : NULL;
	struct ispec *spec = effective(m, pkg, te, rule), *raw = spec == te->spec ? NULL : te->spec;
	uint32_t class = class_of(m, te->name, rule), pair, id;
	struct sat_class *c;
	const char *where = "/";

	if (class == SAT_NONE ||
	    !sat_numbered(m->pair_of, (uintptr_t)spec, (uintptr_t)raw, m->demand_count, &pair) ||
	    !sat_numbered(m->demand_of, pair, class, m->demand_count, &id))
		return SAT_NONE;
	if (id == m->demand_count) {
		c = &m->classes[class];
		if (id >= SAT_DEMANDS_MAX) {
			(void)sat_too_much(m);
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

int sat_add_edges(struct sat *m, struct ipkg *pkg, const struct itemplate *t,
		  const struct overrides *rule, const char *path, struct sat_edge **ret,
		  uint32_t *ret_count)
{
	struct sat_edge *edges;
	uint32_t n = 0;

	if (!t)
		return no_memory(m);
	m->edges += t->count;
	if (m->edges > SAT_EDGES_MAX)
		return sat_too_much(m);
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
		demand = sat_demand_of(m, pkg, &te, rule, path);
		if (demand == SAT_NONE)
			return no_memory(m);
		edges[n++] = (struct sat_edge){ demand, te.type };
	}
	*ret = edges;
	*ret_count = n;
	return m->d.error;
}
