#include "core/clock.h"
#include "lock/sat_priv.h"

/* Why there is no answer: demands are taken away as long as what is left cannot be had together.
 * What then is left is minimal, and is told from the project on, each demand behind the one that
 * leads to it. */

#define EXPLAIN_MS   10000 /* for making it minimal */
#define EXPLAIN_TRY  12u   /* demands of the project for which another version is looked for */
#define VERSIONS_SAY 3u

struct core {
	struct sat_guard *list; /* owned */
	uint32_t count;
	bool *told; /* owned */
};

static void core_release(struct core *c)
{
	free(c->list);
	free(c->told);
}

/* ---- what is left ---- */

static enum solver_answer ask_with(struct sat *m, const struct core *c, uint32_t without)
{
	for (uint32_t i = 0; i < c->count; i++) {
		if (i != without)
			solver_assume(m->solver, c->list[i].var);
	}
	return solver_ask(m->solver, 0);
}

static void keep_blamed(struct sat *m, struct core *c, uint32_t without)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		if (i != without && solver_blames(m->solver, c->list[i].var))
			c->list[n++] = c->list[i];
	}
	c->count = n;
}

/* SOLVER_NO: the core is filled; else there is none. */
static enum solver_answer find_core(struct sat *m, struct core *c)
{
	enum solver_answer a;

	c->list = calloc((size_t)m->guard_count + 1, sizeof *c->list);
	c->told = calloc((size_t)m->guard_count + 1, sizeof *c->told);
	if (!c->list || !c->told)
		return SOLVER_UNKNOWN;
	if (m->guard_count)
		memcpy(c->list, m->guards, m->guard_count * sizeof *c->list);
	c->count = m->guard_count;
	solver_deadline(m->solver, now_ms() + EXPLAIN_MS);
	a = ask_with(m, c, SAT_NONE);
	if (a != SOLVER_NO)
		return a;
	keep_blamed(m, c, SAT_NONE);
	/* What came last is furthest from the project. */
	for (uint32_t i = c->count; i-- > 0;) {
		if (i < c->count && ask_with(m, c, i) == SOLVER_NO)
			keep_blamed(m, c, i);
	}
	return SOLVER_NO;
}

/* ---- in words ---- */

static void tell_versions(const struct sat *m, struct buf *b, const uint32_t *cands, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < VERSIONS_SAY; i++)
		buf_addf(b, "%s%s", i ? ", " : "", m->cands[cands[i]].pkg->version);
	if (count > VERSIONS_SAY)
		buf_addf(b, " and %u more", count - VERSIONS_SAY);
}

static const char *kind_of(uint8_t type)
{
	switch (type) {
	case EDGE_PEER:
		return "the peer ";
	case EDGE_PEER_OPTIONAL:
		return "if it is there the peer ";
	case EDGE_OPTIONAL:
		return "if it can be had ";
	default:
		return "";
	}
}

static void tell_demand(const struct sat *m, struct buf *b, const struct sat_edge *e)
{
	const struct sat_demand *dm = &m->demands[e->demand];

	buf_addf(b, "%s%s@\"%s\"", kind_of(e->type), m->classes[dm->class].name->text,
		 dm->spec->text);
	if (dm->raw)
		buf_addf(b, " (an override; it says \"%s\")", dm->raw->text);
	if (dm->fit_count == 0 && dm->active)
		buf_addf(b, ", and %s", dm->why ? dm->why : "nothing does for that");
}

static const struct sat_edge *edge_to(const struct sat *m, const struct sat_edge *edges,
				      uint32_t count, uint32_t class)
{
	for (uint32_t i = 0; i < count; i++) {
		if (m->demands[edges[i].demand].class == class)
			return &edges[i];
	}
	return NULL;
}

static const struct sat_edge *top_edge(const struct sat *m, const struct sat_guard *g)
{
	const struct sat_top *t = &m->tops[g->from & ~SAT_FROM_TOP];

	return edge_to(m, t->edges, t->edge_count, g->to);
}

static void tell_top(const struct sat *m, struct buf *b, const struct sat_guard *g)
{
	const struct sat_top *t = &m->tops[g->from & ~SAT_FROM_TOP];
	const struct sat_edge *e = top_edge(m, g);
	size_t line = b->len;

	if (g->from == SAT_FROM_TOP && m->ask_name &&
	    strcmp(m->classes[g->to].name->text, m->ask_name) == 0)
		buf_addstr(b, "  what is asked for is ");
	else
		buf_addf(b, "  %s needs ", *t->node->path ? t->node->path : "the project");
	if (e)
		tell_demand(m, b, e);
	buf_end_line(b, line);
}

/* Does the cand do for everything in the core that asks for its class? Of `any`, for something? */
static bool does(const struct sat *m, const struct core *c, uint32_t cand, bool any)
{
	uint32_t class = m->cands[cand].class;
	bool some = false;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct sat_guard *g = &c->list[i];
		bool fits = false;

		if (g->to != class)
			continue;
		if (g->from & SAT_FROM_TOP) {
			const struct sat_edge *e = top_edge(m, g);

			fits = e && sat_holds(m, &m->demands[e->demand], cand);
		} else {
			const struct sat_class *from = &m->classes[g->from];

			for (uint32_t k = 0; k < from->cand_count && !fits; k++) {
				const struct sat_cand *f = &m->cands[from->cands[k]];
				const struct sat_edge *e =
					edge_to(m, f->edges, f->edge_count, class);

				fits = e && sat_holds(m, &m->demands[e->demand], cand);
			}
		}
		if (!fits && !any)
			return false;
		some = some || fits;
	}
	return some;
}

/* The versions of a class that matter, best first; how many. */
static uint32_t matter(const struct sat *m, const struct core *c, uint32_t class, uint32_t *ret)
{
	const struct sat_class *k = &m->classes[class];
	uint32_t n = 0;

	for (int any = 0; any < 2 && n == 0; any++) {
		for (uint32_t i = 0; i < k->cand_count; i++) {
			if (does(m, c, k->cands[i], any))
				ret[n++] = k->cands[i];
		}
	}
	return n;
}

/* Those that need the same, together. */
static void tell_class(const struct sat *m, struct buf *b, const struct core *c,
		       const struct sat_guard *g)
{
	const struct sat_class *from = &m->classes[g->from];
	auto_free uint32_t *all = calloc((size_t)from->cand_count + 1, sizeof *all);
	auto_free uint32_t *same = calloc((size_t)from->cand_count + 1, sizeof *same);
	uint32_t n = all && same ? matter(m, c, g->from, all) : 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct sat_cand *k = all[i] == SAT_NONE ? NULL : &m->cands[all[i]];
		const struct sat_edge *e = k ? edge_to(m, k->edges, k->edge_count, g->to) : NULL;
		uint32_t count = 0;
		size_t line = b->len;

		for (uint32_t x = i; x < n && e; x++) {
			const struct sat_cand *o = all[x] == SAT_NONE ? NULL : &m->cands[all[x]];
			const struct sat_edge *f =
				o ? edge_to(m, o->edges, o->edge_count, g->to) : NULL;

			if (!f || f->demand != e->demand || f->type != e->type)
				continue;
			same[count++] = all[x];
			all[x] = SAT_NONE;
		}
		if (!e)
			continue;
		buf_addf(b, "  %s%s ", count == n && n > 1 ? "every " : "", from->name->text);
		if (count == n && n > 1)
			buf_addstr(b, "that fits (");
		tell_versions(m, b, same, count);
		buf_addf(b, "%s %s ", count == n && n > 1 ? ")" : "",
			 count == n || count == 1 ? "needs" : "need");
		tell_demand(m, b, e);
		buf_end_line(b, line);
	}
}

static void tell_from(const struct sat *m, struct buf *b, struct core *c, uint32_t from)
{
	auto_free uint32_t *todo = calloc((size_t)c->count + 2, sizeof *todo);
	uint32_t n = 0;

	if (!todo)
		return;
	todo[n++] = from;
	/* The last first, so that each stands behind what leads to it. */
	while (n > 0) {
		uint32_t at = todo[--n];

		for (uint32_t i = 0; i < c->count; i++) {
			if (c->list[i].from != at || c->told[i])
				continue;
			c->told[i] = true;
			if (at & SAT_FROM_TOP)
				tell_top(m, b, &c->list[i]);
			else
				tell_class(m, b, c, &c->list[i]);
			todo[n++] = at;
			todo[n++] = c->list[i].to;
			break;
		}
	}
}

/* Names of which more than one thing is asked. */
static void tell_conflict(const struct sat *m, struct buf *b, const struct core *c)
{
	size_t line = b->len;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		uint32_t asked = 0;
		bool first = true;

		for (uint32_t k = 0; k < c->count; k++) {
			if (m->classes[c->list[k].to].name != m->classes[c->list[i].to].name)
				continue;
			first = first && k >= i;
			asked++;
		}
		if (asked < 2 || !first || m->classes[c->list[i].to].cand_count == 0)
			continue;
		buf_addf(b, "%s%s", n++ ? ", nor " : "and no one version of ",
			 m->classes[c->list[i].to].name->text);
	}
	if (n == 0)
		return;
	buf_addstr(b, " is all of that.");
	buf_end_line(b, line);
}

/* ---- what would help ---- */

/* The same project, were these to be had in any version. All is looked at once more. */
static int relax(const struct sat *m, const char *const *names, bool guarded, struct sat *ret)
{
	int r;

	*ret = (struct sat){ .relaxed = names,
			     .ask_name = m->ask_name,
			     .ask_spec = m->ask_spec,
			     .reach = SAT_PUBLISHED };
	r = sat_start(ret, m->d.o, m->d.warnings, NULL);
	if (r == 0)
		r = sat_explore(ret);
	if (r == 0)
		r = sat_say_all(ret, guarded);
	if (r == 0)
		solver_deadline(ret->solver, now_ms() + EXPLAIN_MS);
	return r;
}

/* The best version of the name that the project can have, from now on; NULL: none. */
static const char *have(struct sat *m, const char *name)
{
	for (uint32_t i = 0; i < m->class_count; i++) {
		const struct sat_class *c = &m->classes[i];

		if (strcmp(c->name->text, name) != 0)
			continue;
		for (uint32_t k = 0; k < c->cand_count; k++) {
			int var = sat_seen_var(m, 0, c->cands[k]);

			if (!var)
				continue;
			solver_assume(m->solver, var);
			if (solver_ask(m->solver, 0) != SOLVER_YES)
				continue;
			solver_say(m->solver, var, 0, 0, 0);
			return m->cands[c->cands[k]].pkg->version;
		}
	}
	return NULL;
}

/* What package.json itself asks for in the core, each once behind those that are listed. */
static uint32_t list_asked(const struct sat *m, const struct core *c, const char **names,
			   uint32_t count)
{
	for (uint32_t i = 0; i < c->count && count < EXPLAIN_TRY; i++) {
		const struct sat_edge *e =
			c->list[i].from == SAT_FROM_TOP ? top_edge(m, &c->list[i]) : NULL;
		const char *name = m->classes[c->list[i].to].name->text;
		bool known = !e || m->demands[e->demand].raw ||
			     (m->ask_name && strcmp(m->ask_name, name) == 0);

		for (uint32_t k = 0; k < count && !known; k++)
			known = strcmp(names[k], name) == 0;
		if (!known)
			names[count++] = name;
	}
	return count;
}

static bool tell_one(const struct sat *m, struct buf *b, const char *name, bool first)
{
	const char *const names[] = { name, NULL };
	struct sat o;
	const char *version = relax(m, names, false, &o) == 0 ? have(&o, name) : NULL;

	if (version)
		buf_addf(b, "%s%s@%s", first ? "In package.json this would do: " : ", or ", name,
			 version);
	sat_release(&o);
	return version != NULL;
}

static void tell_these(struct sat *o, struct buf *b, const char *const *names)
{
	size_t line = b->len;

	buf_addstr(b, "In package.json these would do together: ");
	for (uint32_t i = 0; names[i]; i++) {
		const char *version = have(o, names[i]);

		buf_addf(b, "%s%s%s%s", i ? ", " : "", names[i], version ? "@" : "",
			 version ? version : "");
	}
	buf_end_line(b, line);
}

/* Frees what is in the way, as long as something is; true: that was enough. `names` has room for
 * EXPLAIN_TRY and the NULL behind, and `count` of them. */
static bool tell_together(const struct sat *m, struct buf *b, const char **names, uint32_t count)
{
	bool done = false;

	for (uint32_t before = 0; !done && count > before;) {
		struct core c cleanup(core_release) = { 0 };
		struct sat o;
		int r = relax(m, names, true, &o);
		enum solver_answer a = r == 0 ? find_core(&o, &c) : SOLVER_UNKNOWN;

		before = count;
		if (a == SOLVER_NO)
			count = list_asked(&o, &c, names, count);
		/* The names are of another model, and go with it. */
		for (uint32_t i = before; i < count; i++)
			names[i] = arena_strdup((struct arena *)&m->d.arena, names[i]);
		sat_release(&o);
		if (a != SOLVER_YES)
			continue;
		done = relax(m, names, false, &o) == 0;
		if (done)
			tell_these(&o, b, names);
		sat_release(&o);
	}
	return done;
}

static void tell_help(struct sat *m, struct buf *b, const struct core *c)
{
	const char *names[EXPLAIN_TRY + 1] = { NULL };
	uint32_t count = list_asked(m, c, names, 0), told = 0;
	const struct sat_edge *only =
		c->count == 1 && c->list[0].from & SAT_FROM_TOP ? top_edge(m, &c->list[0]) : NULL;
	size_t line = b->len;

	/* No version of what nobody has would do. */
	if (only && !m->demands[only->demand].pack)
		return;
	for (uint32_t i = 0; i < count; i++)
		told += tell_one(m, b, names[i], told == 0);
	if (told)
		buf_end_line(b, line);
	else if (!tell_together(m, b, names, count))
		buf_addstr(b,
			   "No other version of what package.json asks for would do; an override "
			   "can say what is to be taken.\n");
}

/* ---- the whole ---- */

int sat_tell_why(struct sat *m, struct buf *ret)
{
	struct core c cleanup(core_release) = { 0 };
	enum solver_answer a;
	int r = sat_say_all(m, true);

	if (r < 0)
		return r;
	a = find_core(m, &c);
	if (a != SOLVER_NO)
		return a == SOLVER_YES ? 0 : -ETIMEDOUT;
	buf_addstr(ret, m->unknown ? "As far as the registry could be asked, there is no answer, "
				     "because\n"
				   : "There is no answer, because\n");
	for (uint32_t i = 0; i < m->top_count; i++)
		tell_from(m, ret, &c, SAT_FROM_TOP | i);
	for (uint32_t i = 0; i < c.count; i++) {
		if (!c.told[i])
			tell_from(m, ret, &c, c.list[i].from);
	}
	tell_conflict(m, ret, &c);
	tell_help(m, ret, &c);
	return 1;
}
