#include "lock/sat.h"

#include "core/clock.h"
#include "lock/sat_priv.h"

#define ROUNDS 6u /* of placing what was found, and learning why it will not do */
#define WAIVES 4u /* times that something which cannot hold is let be, after that */

/* ---- what came of it ---- */

static int by_id(const void *a, const void *b)
{
	const struct graph_node *x = *(const struct graph_node *const *)a;
	const struct graph_node *y = *(const struct graph_node *const *)b;
	int c = strcmp(x->pkg_name ? x->pkg_name : "", y->pkg_name ? y->pkg_name : "");

	return c ? c : strcmp(x->version ? x->version : "", y->version ? y->version : "");
}

/* The versions of packages in it. -ENOMEM */
static int count_versions(const struct graph *g, uint32_t *ret)
{
	auto_free const struct graph_node **list = calloc((size_t)g->count + 1, sizeof *list);
	uint32_t n = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->count; i++) {
		if (!(g->nodes[i].flags & (NODE_TOP | NODE_LINK | NODE_IN_BUNDLE)))
			list[n++] = &g->nodes[i];
	}
	qsort(list, n, sizeof *list, by_id);
	*ret = 0;
	for (uint32_t i = 0; i < n; i++)
		*ret += i == 0 || by_id(&list[i - 1], &list[i]) != 0;
	return 0;
}

static bool is_bad(const struct graph *g, const struct graph_edge *e)
{
	return !e->valid && !(g->nodes[e->from].flags & (NODE_IN_BUNDLE | NODE_EXTRANEOUS));
}

static uint32_t count_bad(const struct graph *g)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->edge_count; i++)
		n += is_bad(g, &g->edges[i]);
	return n;
}

/* ---- placing ---- */

/* How npm's rules are to place what was found. */
struct placing {
	bool fallback, force;
	bool whole; /* with what nothing needs, but for optional peers */
};

static int place_as(const struct sat *m, const struct sat_found *found, struct placing how,
		    struct ideal_result *ret, struct err *e)
{
	auto_filter struct sat_filter *f = NULL;
	struct ideal_options o = *m->d.o;
	struct catalog c;
	int r = sat_filter_new(m, found, how.fallback, &f, e);

	if (r < 0)
		return r;
	c = sat_filter_catalog(f);
	o.catalog = &c;
	o.default_tag = SAT_FILTER_TAG;
	o.pinned = NULL;
	o.force = o.force || how.force;
	o.as_placed = true;
	o.prune = !how.whole;
	ideal_result_release(ret);
	return ideal_build(ret, (struct slice){ 0 }, &o, e);
}

/* npm's placing of what was found. What it would call a conflict is let be here, and counted. */
static int place(const struct sat *m, const struct sat_found *found, bool whole,
		 struct ideal_result *ret, bool *ret_forced, struct err *e)
{
	struct placing how = { .fallback = m->waived, .whole = whole };
	int r = place_as(m, found, how, ret, e);

	*ret_forced = how.force = r < 0;
	if (r < 0)
		r = place_as(m, found, how, ret, e);
	how.fallback = true;
	return r < 0 && !m->waived ? place_as(m, found, how, ret, e) : r;
}

/* Is there anything in it that was not found? */
static bool is_found(const struct sat *m, const struct sat_found *found, const struct graph *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];
		bool there = n->flags & (NODE_TOP | NODE_LINK | NODE_IN_BUNDLE);

		for (uint32_t k = 0; k < m->group_count && !there; k++) {
			const struct ipkg *pkg = m->cands[m->groups[k].first].pkg;

			there = found->chosen[k] && strcmp(pkg->version, n->version) == 0 &&
				strcmp(m->groups[k].name->text, n->pkg_name) == 0;
		}
		if (!there)
			return false;
	}
	return true;
}

/* ---- learning ---- */

static bool is_strict(const struct sat *m, uint32_t cand)
{
	for (uint32_t i = 0; i < m->strict_count; i++) {
		if (m->strict[i] == cand)
			return true;
	}
	return false;
}

static bool needs(const struct sat *m, const struct sat_cand *c, const struct graph_node *n)
{
	for (uint32_t i = 0; i < c->edge_count; i++) {
		const struct sat_demand *dm = &m->demands[c->edges[i].demand];

		if (strcmp(m->classes[dm->class].name->text, n->name) != 0)
			continue;
		for (uint32_t k = 0; k < dm->fit_count; k++) {
			if (n->version &&
			    strcmp(m->cands[dm->fits[k]].pkg->version, n->version) == 0)
				return true;
		}
	}
	return false;
}

static bool is_node(const struct sat *m, uint32_t cand, const struct graph_node *n)
{
	const struct sat_cand *c = &m->cands[cand];

	return n->version && strcmp(m->classes[c->class].name->text, n->name) == 0 &&
	       strcmp(c->pkg->version, n->version) == 0;
}

static bool waive_edge(struct sat *m, uint32_t cand, const char *name)
{
	struct sat_cand *c = &m->cands[cand];

	for (uint32_t i = 0; i < c->edge_count; i++) {
		const struct sat_demand *dm = &m->demands[c->edges[i].demand];

		if (strcmp(m->classes[dm->class].name->text, name) != 0)
			continue;
		c->edges[i] = c->edges[--c->edge_count];
		return true;
	}
	return false;
}

/* Whoever needs a package whose peers do not fit has to see the same peers. True: that is new. */
static bool learn(struct sat *m, const struct sat_found *found, const struct graph *g)
{
	bool new = false;

	for (uint32_t i = 0; i < g->edge_count; i++) {
		if (!is_bad(g, &g->edges[i]))
			continue;
		for (uint32_t c = 0; c < m->cand_count; c++) {
			if (!found->chosen[m->cands[c].group] ||
			    !needs(m, &m->cands[c], &g->nodes[g->edges[i].from]) || is_strict(m, c))
				continue;
			if (!SAT_PUSH(m->strict, m->strict_count, m->strict_cap, c))
				return false;
			new = true;
		}
	}
	return new;
}

/* ---- the whole ---- */

struct best {
	struct ideal_result result;
	uint32_t bad, count;
	bool refused; /* what does not hold npm would not let be */
	bool newest;
};

static int try_found(struct sat *m, const struct sat_found *found, struct best *ret, struct err *e)
{
	const struct ideal_options *o = m->d.o;
	bool forced = false;
	int r = 0;

	/* Without what is there for optional peers alone these may find something else. */
	for (int whole = 0; whole < 2 && r == 0 && (!whole || ret->bad); whole++) {
		r = place(m, found, whole, &ret->result, &forced, e);
		if (r == 0)
			ret->bad = count_bad(ret->result.graph);
	}
	if (r < 0)
		return r;
	ret->refused = ret->bad && !o->force && (forced || o->strict_peer_deps);
	return count_versions(ret->result.graph, &ret->count);
}

static void best_release(struct best *b)
{
	ideal_result_release(&b->result);
}

static bool is_better(const struct best *a, const struct best *b)
{
	if (!b->result.graph || a->refused != b->refused)
		return !b->result.graph || b->refused;
	return a->bad < b->bad || (a->bad == b->bad && a->count < b->count);
}

static void replace(struct best *old, struct best *by)
{
	ideal_result_release(&old->result);
	*old = *by;
	by->result = (struct ideal_result)IDEAL_RESULT_INIT;
}

/* The same is not to be found again. */
static int block(struct sat *m, struct sat_found *found)
{
	if (!SAT_PUSH(m->blocked, m->blocked_count, m->blocked_cap, found->chosen))
		return ideal_stick(&m->d, -ENOMEM);
	found->chosen = NULL;
	return -EAGAIN;
}

/* One round: -EAGAIN: something was learned. */
static int one_round(struct sat *m, int64_t deadline, struct best *best, struct sat_report *report,
		     struct err *e)
{
	struct sat_found found cleanup(sat_found_release) = { 0 };
	struct best now cleanup(best_release) = { .result = IDEAL_RESULT_INIT };
	bool first = m->strict_count + m->blocked_count == 0;
	int r = sat_say_all(m, false);

	if (r == 0)
		r = sat_fewest(m, deadline, &found);
	if (r < 0)
		return r;
	if (first)
		report->bound = found.bound;
	r = try_found(m, &found, &now, e);
	if (r < 0)
		return r == -ENOMEM ? r : block(m, &found);
	now.newest = found.proven && first && now.bad == 0 && now.count == found.count &&
		     is_found(m, &found, now.result.graph);
	if (now.bad)
		r = learn(m, &found, now.result.graph) ? -EAGAIN : block(m, &found);
	if (is_better(&now, best))
		replace(best, &now);
	return r;
}

/* What cannot hold is let be, as npm does. True: there was something. */
static bool waive(struct sat *m, const struct graph *g)
{
	bool any = false;

	for (uint32_t i = 0; i < g->edge_count; i++) {
		const struct graph_edge *e = &g->edges[i];

		if (!is_bad(g, e) || (e->type != EDGE_PEER && e->type != EDGE_PEER_OPTIONAL))
			continue;
		for (uint32_t c = 0; c < m->cand_count; c++) {
			if (is_node(m, c, &g->nodes[e->from]))
				any = waive_edge(m, c, e->name) || any;
		}
	}
	for (uint32_t i = 0; i < m->blocked_count; i++)
		free(m->blocked[i]);
	m->blocked_count = m->strict_count = 0;
	m->waived = m->waived || any;
	return any;
}

/* Rounds, until all holds, or nothing more is learned. */
static int search(struct sat *m, int64_t deadline, struct best *best, struct sat_report *report,
		  struct err *e)
{
	int r = -EAGAIN;

	for (unsigned round = 0; r == -EAGAIN && round < ROUNDS; round++)
		r = one_round(m, deadline, best, report, e);
	/* What was learned may leave nothing, or take too long. */
	if (best->result.graph && (r == -ENOTSUP || r == -ETIMEDOUT || r == -EAGAIN))
		return 0;
	return r == -ENOTSUP && m->blocked_count + m->strict_count ? -EAGAIN : r;
}

static int no_place(int r, const char *why, struct err *e)
{
	return err_set(e, r,
		       "npm's placing has no place for what the solver found%s%s; pin the "
		       "versions that conflict in package.json or its overrides",
		       why ? ": " : "", why ? why : "");
}

/* What holds as far as it is asked to, or -EAGAIN and what does not. */
static int check_best(const struct sat *m, const struct best *best, bool all_holds, struct err *e)
{
	enum graph_sound how = all_holds ? GRAPH_ALL_HOLDS : GRAPH_AS_NPM;
	struct err why = { 0 };
	int r;

	if (m->d.o->force && !all_holds)
		return 0;
	r = graph_sound(best->result.graph, how, &why);
	if (r < 0 && r != -ENOTSUP)
		return err_set(e, r, "%s", why.msg);
	return r == 0 && !best->refused ? 0 : no_place(-EAGAIN, r < 0 ? why.msg : NULL, e);
}

/* `all_holds`: what cannot hold is not let be. */
static int solve(struct sat *m, bool all_holds, struct ideal_result *ret, struct sat_report *report,
		 struct err *e)
{
	struct best best cleanup(best_release) = { .result = IDEAL_RESULT_INIT };
	int64_t deadline = now_ms() + (report->limit_ms ? report->limit_ms : SAT_LIMIT_MS);
	int r = search(m, deadline, &best, report, e);

	if (r == -EAGAIN)
		return no_place(r, NULL, e);
	for (unsigned i = 0; r == 0 && best.bad && !all_holds && i < WAIVES && now_ms() < deadline;
	     i++) {
		struct best again cleanup(best_release) = { .result = IDEAL_RESULT_INIT };

		if (!waive(m, best.result.graph))
			break;
		r = search(m, deadline, &again, report, e);
		if (r == 0)
			replace(&best, &again);
		if (r == -ENOTSUP || r == -EAGAIN || r == -ETIMEDOUT) {
			r = 0; /* what was found before stands */
			break;
		}
	}
	if (r == 0)
		r = check_best(m, &best, all_holds, e);
	if (r < 0)
		return r;
	report->cands = m->cand_count;
	report->solved = true;
	report->count = best.count;
	/* What stands beside a bundled package is taken for bundled where that needs it. */
	if (report->bound > best.count)
		report->bound = best.count;
	report->newest = best.newest;
	report->bad = count_bad(best.result.graph);
	report->unknown = m->unknown;
	report->waived = m->waived;
	if (report->bad == 0)
		buf_release(&best.result.warnings);
	ideal_result_release(ret);
	*ret = best.result;
	best.result = (struct ideal_result)IDEAL_RESULT_INIT;
	return 0;
}

/* npm's own way to have few, for when the solver did not come to an end. */
static int as_npm(const struct ideal_options *o, struct ideal_result *ret,
		  struct sat_report *report, struct err *e)
{
	struct best best cleanup(best_release) = { .result = IDEAL_RESULT_INIT };
	struct ideal_options mine = *o;
	struct err why = { 0 };
	int r;

	mine.prefer_dedupe = true;
	mine.pinned = NULL;
	r = ideal_build(&best.result, (struct slice){ 0 }, &mine, &why);
	if (r == 0)
		r = count_versions(best.result.graph, &best.count);
	if (r < 0 && report->solved && r != -ENOMEM)
		return 0; /* what the solver found stands */
	if (r < 0)
		return err_set(e, r, "%s", why.msg);
	best.bad = count_bad(best.result.graph);
	if (report->solved && (best.count >= report->count || best.bad > report->bad))
		return 0;
	report->solved = true;
	report->newest = false;
	report->count = best.count;
	/* It may take those who carry others, which the solver does not. */
	if (report->bound > best.count)
		report->bound = best.count;
	report->bad = best.bad;
	ideal_result_release(ret);
	*ret = best.result;
	best.result = (struct ideal_result)IDEAL_RESULT_INIT;
	return 0;
}

/* Where the solver knows of no answer, or of one that has no place, npm's, if all of it holds: a
 * version may have come for an optional peer or in a tarball, at which the solver does not look. */
static bool npm_knows(const struct ideal_options *o, struct ideal_result *ret,
		      struct sat_report *report, uint32_t bound)
{
	struct best best cleanup(best_release) = { .result = IDEAL_RESULT_INIT };
	struct ideal_options mine = *o;

	mine.prefer_dedupe = true;
	mine.pinned = NULL;
	if (ideal_build(&best.result, (struct slice){ 0 }, &mine, NULL) < 0 ||
	    graph_sound(best.result.graph, GRAPH_ALL_HOLDS, NULL) < 0 ||
	    count_bad(best.result.graph) || count_versions(best.result.graph, &best.count) < 0)
		return false;
	*report = (struct sat_report){ .limit_ms = report->limit_ms,
				       .solved = true,
				       .count = best.count,
				       .bound = bound < best.count ? bound : best.count,
				       .waived = report->waived,
				       .unknown = report->unknown };
	ideal_result_release(ret);
	*ret = best.result;
	best.result = (struct ideal_result)IDEAL_RESULT_INIT;
	return true;
}

/* ---- asked from outside ---- */

/* The model, explored. */
static int begin(struct sat *m, const struct ideal_options *o, const struct sat *like,
		 enum sat_reach reach, struct buf *warnings, struct err *e)
{
	int r;

	*m = (struct sat){ .ask_name = like->ask_name,
			   .ask_spec = like->ask_spec,
			   .whole = like->whole,
			   .reach = reach };
	r = sat_start(m, o, warnings, e);
	return r == 0 ? sat_explore(m) : r;
}

static int no_answer(int r, bool all_known, struct err *e)
{
	if (r == -ENOTSUP)
		return err_set(e, r, "nothing satisfies all that is asked for%s",
			       all_known ? "" : ", as far as the registry could be asked");
	if (r == -EAGAIN) /* the sentence stands */
		return -ENOTSUP;
	if (r == -ETIMEDOUT)
		return err_set(e, r,
			       "the solver found no answer in time; narrow the ranges of "
			       "package.json");
	return r;
}

static int ask_solver(struct ideal_result *ret, const struct ideal_options *o, bool all_holds,
		      struct sat_report *report, struct err *e)
{
	const struct sat plain = { 0 };
	bool all_known = true;
	int r = -ENOTSUP;

	for (enum sat_reach reach = SAT_PUBLISHED; reach <= SAT_ALL; reach++) {
		struct sat m;
		bool more;

		r = begin(&m, o, &plain, reach, &ret->warnings, e);
		if (r == 0)
			r = solve(&m, all_holds, ret, report, e);
		if (!all_holds && (r == -ETIMEDOUT || (r == 0 && report->count > report->bound)))
			r = as_npm(o, ret, report, e);
		more = (r == -ENOTSUP || r == -EAGAIN) && m.far_seen && reach < SAT_ALL;
		all_known = m.unknown == 0;
		report->waived = m.waived;
		sat_release(&m);
		if (!more)
			break;
	}
	if ((r == -ENOTSUP || r == -EAGAIN) && !all_holds &&
	    npm_knows(o, ret, report, r == -EAGAIN ? report->bound : 0))
		return 0;
	if (r == -ENOTSUP && sat_explain(o, NULL, &ret->warnings, NULL) < 0)
		r = -ENOTSUP; /* though nobody can say why */
	return no_answer(r, all_known, e);
}

int sat_dedupe(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
	       void *arg, struct err *e)
{
	struct sat_report own = { 0 };

	(void)lock;
	return ask_solver(ret, o, false, arg ? arg : &own, e);
}

int sat_resolve(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		void *arg, struct err *e)
{
	struct sat_report own = { 0 }, *report = arg ? arg : &own;
	struct err why = { 0 }, ours = { 0 };
	int r = ideal_build(ret, lock, o, &why), told;

	if (r == 0)
		return 0;
	if (r == -ENOENT) {
		told = sat_explain(o, NULL, &ret->warnings, NULL);
		if (told == 0)
			buf_addstr(&ret->warnings,
				   "Other versions than npm takes would do: dx lock --dedupe\n");
	}
	if (r != -ENOTSUP)
		return err_set(e, r, "%s", why.msg);
	ideal_result_release(ret);
	report->npm = why;
	r = ask_solver(ret, o, true, report, &ours);
	if (r == -ENOTSUP && !ret->warnings.len) /* it was not told why */
		return err_set(e, r, "%.240s; %.240s", why.msg, ours.msg);
	return r < 0 ? err_set(e, r, "%s", r == -ENOTSUP ? why.msg : ours.msg) : 0;
}

/* "name@spec" in two; the name is the caller's to free. */
static int split(const char *package, char **ret_name, const char **ret_spec)
{
	const char *at = *package ? strchr(package + 1, '@') : NULL;

	*ret_spec = at && at[1] ? at + 1 : "latest";
	*ret_name = at ? strndup(package, (size_t)(at - package)) : strdup(package);
	return *ret_name ? 0 : -ENOMEM;
}

int sat_explain(const struct ideal_options *o, const char *package, struct buf *ret, struct err *e)
{
	auto_buf struct buf warnings = BUF_INIT((size_t)1 << 20);
	struct err own = { 0 };
	struct sat like = { .whole = true };
	auto_free char *name = NULL;
	int r = 0;

	if (package)
		r = split(package, &name, &like.ask_spec);
	like.ask_name = name;
	if (r < 0)
		return err_set(e, r, "out of memory");
	for (enum sat_reach reach = SAT_ASKED; reach <= SAT_ALL; reach++) {
		struct buf text = BUF_INIT((size_t)1 << 20);
		struct sat m;
		bool more;

		r = begin(&m, o, &like, reach, &warnings, &own);
		if (r == 0)
			r = sat_tell_why(&m, &text);
		/* What is asked for in vain is told at once; else nothing is said before all was
		 * looked at. */
		more = reach == SAT_ASKED ? r == 0 : r == 1 && m.far_seen && reach < SAT_ALL;
		if (!more)
			buf_add(ret, text.data, text.len);
		buf_release(&text);
		sat_release(&m);
		if (!more)
			break;
	}
	if (r == -ETIMEDOUT)
		return err_set(e, r,
			       "the solver found no reason in time; narrow the ranges of "
			       "package.json");
	return r < 0 ? err_set(e, r, "%s", own.msg) : r;
}
