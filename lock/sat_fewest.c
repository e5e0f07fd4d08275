#include "lock/sat_priv.h"

/* The fewest, by cores: it is assumed of everything that may cost one more that it does not. What
 * of that cannot go together (a core) costs at least one; so one is added to the bound, and of the
 * core all but one are assumed from now on (the OLL algorithm). When what is left can be had, the
 * bound is reached, and every step to it was a proof that less is impossible. */

/* "At least so many of these are true", for as many as were asked for. Of `count` inputs, the
 * column k has for each i whether k+1 of the first i+1 are. */
struct counter {
	int *in;
	int **columns;
	uint32_t count, have, cap;
};

/* Something assumed: that this counter does not reach `at`. */
struct soft {
	uint32_t counter, at;
	int lit;
};

struct search {
	struct sat *m;
	struct counter *counters;
	uint32_t counter_count, counter_cap;
	struct soft *softs;
	uint32_t soft_count, soft_cap;
	uint32_t bound;
	bool *best; /* of groups: what the last answer had */
	uint32_t best_count;
};

static void search_release(struct search *f)
{
	for (uint32_t i = 0; i < f->counter_count; i++) {
		for (uint32_t k = 0; k < f->counters[i].have; k++)
			free(f->counters[i].columns[k]);
		free(f->counters[i].columns);
		free(f->counters[i].in);
	}
	free(f->counters);
	free(f->softs);
	free(f->best);
}

static int no_memory(struct search *f)
{
	return ideal_stick(&f->m->d, -ENOMEM);
}

/* ---- counting ---- */

/* One more column; 0: no memory. */
static bool count_further(struct search *f, struct counter *c)
{
	struct solver *s = f->m->solver;
	uint32_t k = c->have;
	int *column = calloc(c->count, sizeof *column);
	const int *before = k ? c->columns[k - 1] : NULL;

	if (!column || !sat_grow(&c->columns, c->have, &c->cap, sizeof *c->columns)) {
		free(column);
		return false;
	}
	for (uint32_t i = k; i < c->count; i++) {
		if (k == 0 && i == 0) {
			column[i] = c->in[0];
			continue;
		}
		column[i] = solver_var(s);
		solver_say(s, -c->in[i], k ? -before[i - 1] : 0, column[i], 0);
		if (i > k)
			solver_say(s, -column[i - 1], column[i], 0, 0);
	}
	c->columns[c->have++] = column;
	return true;
}

/* Assumes that the counter does not reach `at`, where it could. */
static bool assume_below(struct search *f, uint32_t counter, uint32_t at)
{
	struct counter *c = &f->counters[counter];

	if (at > c->count)
		return true;
	while (c->have < at) {
		if (!count_further(f, c))
			return false;
	}
	return SAT_PUSH(f->softs, f->soft_count, f->soft_cap,
			(struct soft){ counter, at, -c->columns[at - 1][c->count - 1] });
}

/* Takes the inputs over. */
static bool add_counter(struct search *f, int *in, uint32_t count)
{
	if (SAT_PUSH(f->counters, f->counter_count, f->counter_cap,
		     (struct counter){ .in = in, .count = count }))
		return true;
	free(in);
	return false;
}

/* ---- answers ---- */

static void note_answer(struct search *f)
{
	const struct sat *m = f->m;
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->group_count; i++) {
		bool is = m->groups[i].var && solver_is(m->solver, m->groups[i].var) &&
			  !m->cands[m->groups[i].first].link;

		f->best[i] = is;
		count += is;
	}
	f->best_count = count;
}

/* ---- cores ---- */

static enum solver_answer ask_with(struct search *f, const struct soft *softs, uint32_t count,
				   uint32_t without, unsigned conflicts)
{
	for (uint32_t i = 0; i < count; i++) {
		if (i != without)
			solver_assume(f->m->solver, softs[i].lit);
	}
	return solver_ask(f->m->solver, conflicts);
}

static uint32_t keep_blamed(struct search *f, struct soft *core, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (solver_blames(f->m->solver, core[i].lit))
			core[n++] = core[i];
	}
	return n;
}

#define SHRINK_CONFLICTS 1000u /* for each of a core's members */
#define SHRINK_MEMBERS   60u   /* of larger cores none is tried alone */

/* Leaves out what the core can do without, as far as that is quickly known. */
static uint32_t shrink(struct search *f, struct soft *core, uint32_t count)
{
	uint32_t before;

	do {
		before = count;
		if (ask_with(f, core, count, SAT_NONE, SHRINK_CONFLICTS) != SOLVER_NO)
			return count;
		count = keep_blamed(f, core, count);
	} while (count < before);
	for (uint32_t i = 0; i < count && count <= SHRINK_MEMBERS && count > 1;) {
		if (ask_with(f, core, count, i, SHRINK_CONFLICTS) != SOLVER_NO) {
			i++;
			continue;
		}
		memmove(&core[i], &core[i + 1], (count - i - 1) * sizeof *core);
		count = keep_blamed(f, core, count - 1);
	}
	return count;
}

static int by_lit(const void *a, const void *b)
{
	const struct soft *x = a, *y = b;

	return (x->lit > y->lit) - (x->lit < y->lit);
}

/* The core costs one; what of it costs more is assumed not to be. */
static int relax(struct search *f, const struct soft *core, uint32_t count)
{
	int *in = calloc((size_t)count + 1, sizeof *in);
	uint32_t n = 0;

	if (!in)
		return no_memory(f);
	for (uint32_t i = 0; i < count; i++)
		in[i] = -core[i].lit;
	/* Both are in the order of their literals. */
	for (uint32_t i = 0, k = 0; i < f->soft_count; i++) {
		while (k < count && core[k].lit < f->softs[i].lit)
			k++;
		if (k == count || core[k].lit != f->softs[i].lit)
			f->softs[n++] = f->softs[i];
	}
	f->soft_count = n;
	f->bound++;
	for (uint32_t i = 0; i < count; i++) {
		if (!assume_below(f, core[i].counter, core[i].at + 1)) {
			free(in);
			return no_memory(f);
		}
	}
	solver_clause(f->m->solver, in, count);
	if (count == 1) {
		free(in);
		return 0;
	}
	if (!add_counter(f, in, count) || !assume_below(f, f->counter_count - 1, 2))
		return no_memory(f);
	return 0;
}

static int one_core(struct search *f)
{
	auto_free struct soft *core = calloc((size_t)f->soft_count + 1, sizeof *core);
	uint32_t count;

	if (!core)
		return no_memory(f);
	if (f->soft_count)
		memcpy(core, f->softs, f->soft_count * sizeof *core);
	count = keep_blamed(f, core, f->soft_count);
	count = shrink(f, core, count);
	qsort(core, count, sizeof *core, by_lit);
	if (f->soft_count)
		qsort(f->softs, f->soft_count, sizeof *f->softs, by_lit);
	return relax(f, core, count);
}

/* ---- the fewest ---- */

static int by_package(const void *a, const void *b, void *arg)
{
	const struct sat *m = arg;
	const struct sat_group *x = &m->groups[*(const uint32_t *)a];
	const struct sat_group *y = &m->groups[*(const uint32_t *)b];
	int c = x->name == y->name ? 0 : strcmp(x->name->text, y->name->text);
	uint32_t p = m->cands[x->first].order, q = m->cands[y->first].order;

	if (c == 0)
		c = (p > q) - (p < q);
	return c ? c : strcmp(m->cands[x->first].pkg->version, m->cands[y->first].pkg->version);
}

/* What is counted, by name, and of a name what npm would take first. *ret is owned. */
static uint32_t *list_groups(const struct sat *m, uint32_t *ret_count)
{
	uint32_t *list = calloc((size_t)m->group_count + 1, sizeof *list), n = 0;

	for (uint32_t i = 0; list && i < m->group_count; i++) {
		const struct sat_cand *c = &m->cands[m->groups[i].first];

		if (m->groups[i].var && !c->link && (m->groups[i].many || !c->dead))
			list[n++] = i;
	}
	if (list)
		qsort_r(list, n, sizeof *list, by_package, (void *)m);
	*ret_count = n;
	return list;
}

static uint32_t same_package(const struct sat *m, const uint32_t *list, uint32_t count, uint32_t i)
{
	uint32_t end = i + 1;

	while (end < count && m->groups[list[end]].name == m->groups[list[i]].name)
		end++;
	return end;
}

static int count_all(struct search *f, const uint32_t *list, uint32_t count)
{
	const struct sat *m = f->m;

	for (uint32_t i = 0, end; i < count; i = end) {
		int *in;

		end = same_package(m, list, count, i);
		in = calloc(end - i, sizeof *in);
		if (!in)
			return no_memory(f);
		for (uint32_t k = i; k < end; k++)
			in[k - i] = m->groups[list[k]].var;
		if (!add_counter(f, in, end - i) || !assume_below(f, f->counter_count - 1, 1))
			return no_memory(f);
	}
	return 0;
}

static int find_fewest(struct search *f)
{
	enum solver_answer a = solver_ask(f->m->solver, 0);

	if (a != SOLVER_YES)
		return a == SOLVER_NO ? -ENOTSUP : -ETIMEDOUT;
	note_answer(f);
	for (;;) {
		int r;

		a = ask_with(f, f->softs, f->soft_count, SAT_NONE, 0);
		if (a == SOLVER_YES)
			note_answer(f);
		if (a != SOLVER_NO)
			return a == SOLVER_YES ? 0 : -ETIMEDOUT;
		r = one_core(f);
		if (r < 0)
			return r;
	}
}

/* ---- of those the newest ---- */

static void fix(struct search *f, uint32_t group, bool chosen)
{
	int var = f->m->groups[group].var;

	solver_say(f->m->solver, chosen ? var : -var, 0, 0, 0);
}

/* Could any of the list be chosen that is not? It is then noted as the answer. */
static enum solver_answer could_any(struct search *f, const uint32_t *list, uint32_t count)
{
	auto_free int *lits = calloc((size_t)count + 1, sizeof *lits);
	enum solver_answer a;
	uint32_t n = 0;

	if (!lits)
		return SOLVER_UNKNOWN;
	for (uint32_t i = 0; i < count; i++) {
		if (!f->best[list[i]])
			lits[n++] = f->m->groups[list[i]].var;
	}
	if (n == 0)
		return SOLVER_NO;
	solver_assume_any(f->m->solver, lits, n);
	a = solver_ask(f->m->solver, 0);
	if (a == SOLVER_YES)
		note_answer(f);
	return a;
}

/* One package: the first of its versions that can be chosen is, and so on. */
static bool settle_package(struct search *f, const uint32_t *list, uint32_t count)
{
	uint32_t at = 0;

	while (at < count) {
		uint32_t next = at;
		enum solver_answer a;

		while (next < count && !f->best[list[next]])
			next++;
		a = could_any(f, list + at, next - at);
		if (a == SOLVER_UNKNOWN)
			return false;
		if (a == SOLVER_YES)
			continue;
		for (; at < next; at++)
			fix(f, list[at], false);
		if (at < count)
			fix(f, list[at++], true);
	}
	return true;
}

/* From name to name. Where nothing else of many names can be chosen at all, they are settled
 * together. */
static bool settle(struct search *f, const uint32_t *list, uint32_t count)
{
	const struct sat *m = f->m;
	uint32_t half;
	enum solver_answer a;

	if (count == 0)
		return true;
	if (same_package(m, list, count, 0) == count)
		return settle_package(f, list, count);
	a = could_any(f, list, count);
	if (a == SOLVER_NO) {
		for (uint32_t i = 0; i < count; i++)
			fix(f, list[i], f->best[list[i]]);
		return true;
	}
	for (half = count / 2;
	     half > 0 && m->groups[list[half]].name == m->groups[list[half - 1]].name;)
		half--;
	if (half == 0)
		half = same_package(m, list, count, 0);
	return a == SOLVER_YES && settle(f, list, half) && settle(f, list + half, count - half);
}

static bool find_newest(struct search *f, const uint32_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < f->soft_count; i++)
		solver_say(f->m->solver, f->softs[i].lit, 0, 0, 0);
	return settle(f, list, count);
}

/* ---- what stands in root's node_modules ---- */

/* Of each name what npm would take first, too. */
static bool settle_root(struct search *f, bool *at_root)
{
	struct sat *m = f->m;

	for (uint32_t i = 0; i < m->class_count; i++) {
		const struct sat_class *c = &m->classes[i];

		for (uint32_t k = 0; k < c->cand_count; k++) {
			uint32_t cand = c->cands[k];
			int var = sat_seen_var(m, 0, cand);

			if (!var || !f->best[m->cands[cand].group] || m->cands[cand].link)
				continue;
			solver_assume(m->solver, var);
			switch (solver_ask(m->solver, 0)) {
			case SOLVER_YES:
				solver_say(m->solver, var, 0, 0, 0);
				at_root[cand] = true;
				break;
			case SOLVER_NO:
				solver_say(m->solver, -var, 0, 0, 0);
				break;
			case SOLVER_UNKNOWN:
				return false;
			}
		}
	}
	return true;
}

void sat_found_release(struct sat_found *f)
{
	free(f->chosen);
	free(f->at_root);
	*f = (struct sat_found){ 0 };
}

int sat_fewest(struct sat *m, int64_t deadline, struct sat_found *ret)
{
	struct search f cleanup(search_release) = { .m = m };
	auto_free uint32_t *list = NULL;
	auto_free bool *at_root = calloc((size_t)m->cand_count + 1, sizeof *at_root);
	uint32_t count;
	int r;

	list = list_groups(m, &count);
	f.best = calloc((size_t)m->group_count + 1, sizeof *f.best);
	if (!list || !f.best || !at_root)
		return no_memory(&f);
	solver_deadline(m->solver, deadline);
	r = count_all(&f, list, count);
	if (r == 0)
		r = find_fewest(&f);
	if (r < 0 && (r != -ETIMEDOUT || f.best_count == 0))
		return r;
	*ret = (struct sat_found){ .bound = f.bound };
	if (r == 0)
		ret->proven = find_newest(&f, list, count) && settle_root(&f, at_root);
	ret->count = f.best_count;
	ret->chosen = take(&f.best);
	ret->at_root = take(&at_root);
	return m->d.error;
}
