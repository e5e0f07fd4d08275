#include "lock/sat_priv.h"

/* The clauses:
 *
 * 1. What is chosen has what it needs: for each edge but optional peers, some version that fits.
 *    Optional dependencies too, if any version of what they ask for can be had.
 * 2. To root each name means one version, of which its packages take their peers, since all that
 *    root depends on stands in root's node_modules. So it is for the other tops; what they depend
 *    on stands in their own node_modules, or in root's.
 * 3. The same for packages that npm's placing had trouble with (`strict`).
 * 4. What is deprecated, not for this node, or carries others in its tarball is chosen only where
 *    something chosen asks for it in a way that nothing better would do for. What has the name of
 *    another package is chosen only where something chosen asks for that package.
 *
 * 5. Choices that npm's placing had no place for are not made again.
 *
 * 1, 2 and 4 hold in every tree in which all edges hold, so what they exclude is impossible. 3 and
 * 5 are more than is needed. */

static int no_memory(struct sat *m)
{
	return ideal_stick(&m->d, -ENOMEM);
}

/* The literal that a clause has beside, so that it can be blamed; 0: none. */
static int guard(struct sat *m, uint32_t from, uint32_t to)
{
	void **at;

	if (!m->guarded)
		return 0;
	at = table_at(m->guard_of, from, to);
	if (at && !*at) {
		int var = solver_var(m->solver);

		if (!SAT_PUSH(m->guards, m->guard_count, m->guard_cap,
			      (struct sat_guard){ from, to, var })) {
			(void)no_memory(m);
			return 0;
		}
		*at = (void *)(uintptr_t)var;
	}
	return at ? -(int)(uintptr_t)*at : 0;
}

struct clause {
	int *lits; /* owned */
	uint32_t count, cap;
};

static void clause_release(struct clause *c)
{
	free(c->lits);
}

static void add(struct sat *m, struct clause *c, int lit)
{
	if (lit && !SAT_PUSH(c->lits, c->count, c->cap, lit))
		(void)no_memory(m);
}

static void say(struct sat *m, struct clause *c)
{
	solver_clause(m->solver, c->lits, c->count);
	c->count = 0;
}

static bool is_hard(const struct sat *m, const struct sat_edge *e)
{
	const struct sat_demand *dm = &m->demands[e->demand];

	if (e->type == EDGE_PEER_OPTIONAL)
		return false;
	if (e->type != EDGE_OPTIONAL)
		return true;
	for (uint32_t i = 0; i < dm->fit_count; i++) {
		const struct sat_cand *c = &m->cands[dm->fits[i]];

		if (!c->dead && c->pack == dm->pack)
			return true;
	}
	return false;
}

static bool is_peer(const struct sat_edge *e)
{
	return e->type == EDGE_PEER || e->type == EDGE_PEER_OPTIONAL;
}

/* ---- edges ---- */

static int see(struct sat *m, uint32_t scope, uint32_t cand)
{
	void **at = table_at(m->seen_of, scope, (uint64_t)cand + 1);
	int var;

	if (!at) {
		(void)no_memory(m);
		return 0;
	}
	if (*at)
		return (int)(uintptr_t)*at;
	var = solver_var(m->solver);
	*at = (void *)(uintptr_t)var;
	if (!SAT_PUSH(m->seen, m->seen_count, m->seen_cap, (struct sat_seen){ scope, cand, var }))
		(void)no_memory(m);
	solver_say(m->solver, -var, m->cands[cand].var, 0, 0);
	return var;
}

/* Or what the edge of `from` asks for is there, and seen by the scope (SAT_NONE: by anybody). */
static void say_fits(struct sat *m, struct clause *c, uint32_t scope, uint32_t from,
		     const struct sat_edge *e)
{
	const struct sat_demand *dm = &m->demands[e->demand];

	add(m, c, guard(m, from, dm->class));
	for (uint32_t x = 0; x < dm->fit_count; x++)
		add(m, c,
		    scope == SAT_NONE ? m->cands[dm->fits[x]].var : see(m, scope, dm->fits[x]));
	say(m, c);
}

/* What is asked for is there; with a scope, that sees it. */
static void say_edges(struct sat *m, uint32_t scope, uint32_t from, int head,
		      const struct sat_edge *edges, uint32_t count)
{
	struct clause c cleanup(clause_release) = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		if (!is_hard(m, &edges[i]))
			continue;
		add(m, &c, head);
		say_fits(m, &c, scope, from, &edges[i]);
	}
}

/* ---- 1: what is needed ---- */

static void say_cands(struct sat *m)
{
	for (uint32_t i = 0; i < m->cand_count && !solver_error(m->solver); i++) {
		const struct sat_cand *c = &m->cands[i];

		say_edges(m, SAT_NONE, c->class, -c->var, c->edges, c->edge_count);
	}
	for (uint32_t i = 0; i < m->cand_count; i++) {
		const struct sat_cand *c = &m->cands[i];
		struct sat_group *g = &m->groups[c->group];

		if (!g->many)
			g->var = c->var;
		else if (!g->var)
			g->var = solver_var(m->solver);
		if (g->many)
			solver_say(m->solver, -c->var, g->var, 0, 0);
	}
}

/* ---- 2 and 3: what a scope sees ---- */

int sat_seen_var(const struct sat *m, uint32_t scope, uint32_t cand)
{
	return (int)(uintptr_t)table_get(m->seen_of, scope, (uint64_t)cand + 1);
}

static bool has_peers(const struct sat_cand *c)
{
	for (uint32_t i = 0; i < c->edge_count; i++) {
		if (is_peer(&c->edges[i]))
			return true;
	}
	return false;
}

/* What is seen takes its peers from the scope too, or stands in root's node_modules. */
static void say_peers(struct sat *m, const struct sat_seen *s)
{
	struct clause c cleanup(clause_release) = { 0 };
	const struct sat_cand *cand = &m->cands[s->cand];
	int up = s->scope && has_peers(cand) ? see(m, 0, s->cand) : 0;

	for (uint32_t i = 0; i < cand->edge_count; i++) {
		if (cand->edges[i].type != EDGE_PEER)
			continue;
		add(m, &c, -s->var);
		add(m, &c, up);
		say_fits(m, &c, s->scope, cand->class, &cand->edges[i]);
	}
}

static uint32_t fold_of(const struct sat *m, const struct sat_seen *s)
{
	return m->classes[m->cands[s->cand].class].name->fold;
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct sat *m = arg;
	const struct sat_seen *x = a, *y = b;
	uint32_t p = fold_of(m, x), q = fold_of(m, y);
	uint32_t g = m->cands[x->cand].group, h = m->cands[y->cand].group;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	if (p != q)
		return p < q ? -1 : 1;
	if (g != h)
		return g < h ? -1 : 1;
	return (x->var > y->var) - (x->var < y->var);
}

static bool same_name(const struct sat *m, const struct sat_seen *a, const struct sat_seen *b)
{
	return a->scope == b->scope && fold_of(m, a) == fold_of(m, b);
}

/* One package may be several cands, below different overrides, and still stands there once. */
static int one_of(struct sat *m, uint32_t first, uint32_t end)
{
	int var;

	if (end - first == 1)
		return m->seen[first].var;
	var = solver_var(m->solver);
	for (uint32_t i = first; i < end; i++)
		solver_say(m->solver, -m->seen[i].var, var, 0, 0);
	return var;
}

/* A name means one thing. */
static void say_one_each(struct sat *m)
{
	struct clause c cleanup(clause_release) = { 0 };

	if (m->seen_count)
		qsort_r(m->seen, m->seen_count, sizeof *m->seen, by_name, m);
	for (uint32_t i = 0, end; i < m->seen_count; i = end) {
		for (end = i + 1; end < m->seen_count; end++) {
			if (!same_name(m, &m->seen[i], &m->seen[end]) ||
			    m->cands[m->seen[i].cand].group != m->cands[m->seen[end].cand].group)
				break;
		}
		add(m, &c, one_of(m, i, end));
		if (end == m->seen_count || !same_name(m, &m->seen[i], &m->seen[end])) {
			solver_one(m->solver, c.lits, c.count);
			c.count = 0;
		}
	}
}

/* What the scope sees of a name, as a run of m->seen. */
static uint32_t first_seen(const struct sat *m, uint32_t scope, uint32_t fold)
{
	uint32_t lo = 0, hi = m->seen_count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct sat_seen *s = &m->seen[mid];
		uint32_t have = m->classes[m->cands[s->cand].class].name->fold;

		if (s->scope < scope || (s->scope == scope && have < fold))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Optional peers need not be there, but what is there must do. */
static void say_optional_peers(struct sat *m, const struct sat_seen *s)
{
	const struct sat_cand *cand = &m->cands[s->cand];
	int up = s->scope ? sat_seen_var(m, 0, s->cand) : 0;

	for (uint32_t i = 0; i < cand->edge_count; i++) {
		const struct sat_demand *dm = &m->demands[cand->edges[i].demand];
		uint32_t fold = m->classes[dm->class].name->fold;

		if (cand->edges[i].type != EDGE_PEER_OPTIONAL)
			continue;
		for (uint32_t x = first_seen(m, s->scope, fold); x < m->seen_count; x++) {
			const struct sat_seen *o = &m->seen[x];

			if (o->scope != s->scope ||
			    m->classes[m->cands[o->cand].class].name->fold != fold)
				break;
			if (!sat_holds(m, dm, o->cand))
				solver_say(m->solver, -s->var, -o->var, up,
					   guard(m, cand->class, dm->class));
		}
	}
}

/* To a strict package its peers are what they are to those who depend on it. */
static void say_inherited(struct sat *m, const struct sat_seen *s)
{
	const struct sat_cand *cand = &m->cands[s->cand];
	uint32_t own = SAT_SCOPE_CLASS | s->cand;
	int up = s->scope ? sat_seen_var(m, 0, s->cand) : 0;

	for (uint32_t i = 0; i < cand->edge_count; i++) {
		const struct sat_demand *dm = &m->demands[cand->edges[i].demand];

		for (uint32_t x = 0; x < dm->fit_count && cand->edges[i].type == EDGE_PEER; x++) {
			int mine = sat_seen_var(m, own, dm->fits[x]);
			int theirs = sat_seen_var(m, s->scope, dm->fits[x]);

			if (mine)
				solver_say(m->solver, -s->var, -mine, up, theirs);
		}
	}
}

static void say_scopes(struct sat *m)
{
	uint32_t all;

	for (uint32_t i = 0; i < m->top_count; i++)
		say_edges(m, i, SAT_FROM_TOP | i, 0, m->tops[i].edges, m->tops[i].edge_count);
	for (uint32_t i = 0; i < m->strict_count; i++) {
		const struct sat_cand *c = &m->cands[m->strict[i]];

		say_edges(m, SAT_SCOPE_CLASS | m->strict[i], c->class, -c->var, c->edges,
			  c->edge_count);
	}
	for (uint32_t i = 0; i < m->seen_count && !m->d.error && !solver_error(m->solver); i++) {
		const struct sat_seen s = m->seen[i];

		say_peers(m, &s);
	}
	say_one_each(m);
	all = m->seen_count;
	for (uint32_t i = 0; i < all && !solver_error(m->solver); i++) {
		const struct sat_seen s = m->seen[i];

		say_optional_peers(m, &s);
		say_inherited(m, &s);
	}
}

/* ---- 4: what is not for everyone ---- */

/* Who asks: lists of cands by demand, as offsets. A top that asks is SAT_NONE. */
struct askers {
	uint32_t *first, *cand; /* owned */
};

static void askers_release(struct askers *a)
{
	free(a->first);
	free(a->cand);
}

static bool find_askers(const struct sat *m, struct askers *a)
{
	size_t edges = 0;

	for (uint32_t i = 0; i < m->cand_count; i++)
		edges += m->cands[i].edge_count;
	for (uint32_t i = 0; i < m->top_count; i++)
		edges += m->tops[i].edge_count;
	a->first = calloc((size_t)m->demand_count + 2, sizeof *a->first);
	a->cand = calloc(edges + 1, sizeof *a->cand);
	if (!a->first || !a->cand)
		return false;
	for (uint32_t i = 0; i < m->top_count + m->cand_count; i++) {
		bool top = i < m->top_count;
		const struct sat_edge *e =
			top ? m->tops[i].edges : m->cands[i - m->top_count].edges;
		uint32_t n = top ? m->tops[i].edge_count : m->cands[i - m->top_count].edge_count;

		for (uint32_t k = 0; k < n; k++)
			a->first[e[k].demand + 2] += e[k].type != EDGE_PEER_OPTIONAL;
	}
	for (uint32_t i = 0; i < m->demand_count; i++)
		a->first[i + 2] += a->first[i + 1];
	for (uint32_t i = 0; i < m->top_count + m->cand_count; i++) {
		bool top = i < m->top_count;
		const struct sat_edge *e =
			top ? m->tops[i].edges : m->cands[i - m->top_count].edges;
		uint32_t n = top ? m->tops[i].edge_count : m->cands[i - m->top_count].edge_count;

		for (uint32_t k = 0; k < n; k++) {
			if (e[k].type != EDGE_PEER_OPTIONAL)
				a->cand[a->first[e[k].demand + 1]++] =
					top ? SAT_NONE : i - m->top_count;
		}
	}
	return true;
}

/* Is the cand what the demand leads to, and not only good enough for it? */
static bool leads_to(const struct sat *m, const struct sat_demand *dm, uint32_t cand)
{
	const struct sat_cand *c = &m->cands[cand];

	if (!dm->active)
		return false;
	if (c->rank < SAT_RANK_BEST)
		return sat_holds(m, dm, cand) && dm->best == c->rank;
	return dm->only == cand || (dm->pack == c->pack && c->pack && sat_bit(dm->bits, c->index));
}

static void say_asked_for(struct sat *m, uint32_t cand, const struct askers *a)
{
	struct clause c cleanup(clause_release) = { 0 };
	uint32_t own = m->cands[cand].class, class = own;

	add(m, &c, -m->cands[cand].var);
	do {
		const struct sat_class *in = &m->classes[class];

		for (uint32_t i = 0; i < in->demand_count; i++) {
			uint32_t demand = in->demands[i];

			if (!leads_to(m, &m->demands[demand], cand))
				continue;
			for (uint32_t k = a->first[demand]; k < a->first[demand + 1]; k++) {
				if (a->cand[k] == SAT_NONE)
					return;
				add(m, &c, m->cands[a->cand[k]].var);
			}
		}
		class = in->next_same;
	} while (class != own);
	say(m, &c);
}

static int say_ranks(struct sat *m)
{
	struct askers a cleanup(askers_release) = { 0 };

	if (!find_askers(m, &a))
		return no_memory(m);
	for (uint32_t i = 0; i < m->cand_count; i++) {
		const struct sat_cand *c = &m->cands[i];

		if ((c->rank < SAT_RANK_BEST || m->classes[c->class].all) && !c->dead && !c->link)
			say_asked_for(m, i, &a);
	}
	return 0;
}

/* ---- 5: what was tried in vain ---- */

static void say_blocked(struct sat *m)
{
	struct clause c cleanup(clause_release) = { 0 };

	for (uint32_t i = 0; i < m->blocked_count; i++) {
		for (uint32_t k = 0; k < m->group_count; k++)
			add(m, &c, m->blocked[i][k] ? -m->groups[k].var : 0);
		say(m, &c);
	}
}

/* ---- all ---- */

int sat_say_all(struct sat *m, bool guarded)
{
	int r;

	solver_free(take(&m->solver));
	table_free(m->seen_of);
	table_free(m->guard_of);
	m->seen_of = table_new();
	m->guard_of = table_new();
	m->seen_count = m->guard_count = 0;
	m->guarded = guarded;
	m->solver = solver_new();
	if (!m->solver || !m->seen_of || !m->guard_of)
		return no_memory(m);
	for (uint32_t i = 0; i < m->cand_count; i++)
		m->cands[i].var = solver_var(m->solver);
	for (uint32_t i = 0; i < m->group_count; i++)
		m->groups[i].var = 0;
	say_cands(m);
	say_scopes(m);
	say_blocked(m);
	r = say_ranks(m);
	if (r == 0 && solver_error(m->solver) < 0)
		r = sat_too_much(m);
	return r < 0 ? r : m->d.error;
}
