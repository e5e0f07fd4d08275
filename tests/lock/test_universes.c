/* Small worlds at random: what npm's rules and the solver make of them holds, and what the solver
 * says to be impossible or the fewest is, by trying everything. By hand, others:
 *
 *	UNIVERSES="SEED COUNT" test_universes
 *
 * and UNIVERSES_TO=FOLDER leaves them there: the registry, the package.json files, and the locks.
 */
#include "lock/render.h"
#include "lock/sat.h"
#include "lock/semver.h"
#include "tests/lock/resolving.h"

#include <sys/stat.h>

#define NAMES    5           /* a to e */
#define DIRS     (NAMES + 1) /* and x, which is an alias always */
#define VERSIONS 3
#define ALL      (NAMES * VERSIONS)
#define NEEDS    3
#define TOPS     3                  /* root and workspaces */
#define WORK     UINT64_C(20000000) /* so small a world needs far less */

enum { PEERS = 1, ALIASES = 2, OVERRIDES = 4, WORKSPACES = 8, OPTIONALS = 16, BUNDLES = 32 };

static const struct {
	const char *text;
	unsigned mask; /* of the versions below */
} ranges[] = { { "^1", 3 },    { "1.0.0", 1 }, { "2", 4 },
	       { ">=1.1", 6 }, { ">=1.0", 7 }, { "1.0+||+2", 5 } };
static const char *const texts[VERSIONS] = { "1.0.0", "1.1.0", "2.0.0" };

struct need {
	uint8_t dir, pkg, range;
	char kind; /* 'd' needs, 'p' peer, 'o' optional peer, 'q' optional, 'b' bundled */
};

struct needs {
	struct need list[NEEDS];
	unsigned count;
};

struct plan {
	unsigned features;
	struct needs of[ALL], tops[TOPS];
	unsigned versions[NAMES], top_count;
	struct {
		char kind; /* 'g' everywhere, 'k' of a range, 'n' below `parent`; 0: none */
		uint8_t dir, key, value, parent;
	} over;
	bool bundles;
};

/* ---- making ---- */

static unsigned next_random(uint64_t *seed, unsigned below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*seed >> 33) % below;
}

static char name_of(unsigned dir)
{
	return dir == NAMES ? 'x' : (char)('a' + dir);
}

static unsigned there(const struct plan *s, unsigned pkg)
{
	return (1u << s->versions[pkg]) - 1;
}

static char some_kind(struct plan *s, uint64_t *seed, bool top)
{
	unsigned n = next_random(seed, 6);

	if (n == 0 && s->features & OPTIONALS)
		return 'q';
	if (top)
		return 'd';
	if (n == 1 && s->features & PEERS)
		return 'p';
	if (n == 2 && s->features & PEERS)
		return 'o';
	return n == 3 && s->features & BUNDLES ? 'b' : 'd';
}

/* Of package `self`, or a top (NAMES). */
static void add_need(struct plan *s, struct needs *to, unsigned self, uint64_t *seed)
{
	struct need n = { .range = (uint8_t)next_random(seed, ARRAY_LEN(ranges)) };
	bool alias = s->features & ALIASES && next_random(seed, 4) == 0;

	n.pkg = (uint8_t)next_random(seed, NAMES);
	n.dir = n.pkg;
	if (alias)
		n.dir = (uint8_t)(next_random(seed, 2) ? NAMES : next_random(seed, NAMES));
	n.kind = some_kind(s, seed, self == NAMES);
	if (n.dir == self || n.pkg == self || (n.kind == 'b' && n.dir != n.pkg))
		return;
	for (unsigned i = 0; i < to->count; i++) {
		if (to->list[i].dir == n.dir)
			return;
	}
	if (n.kind == 'b')
		n.range = 1; /* 1.0.0, which all have */
	s->bundles = s->bundles || n.kind == 'b';
	to->list[to->count++] = n;
}

static bool root_has(const struct plan *s, unsigned dir)
{
	for (unsigned i = 0; i < s->tops[0].count; i++) {
		if (s->tops[0].list[i].dir == dir)
			return true;
	}
	return false;
}

/* What root depends on itself cannot be overridden. */
static void add_override(struct plan *s, uint64_t *seed)
{
	static const char kinds[] = "gkn";

	s->over.dir = (uint8_t)next_random(seed, NAMES);
	s->over.value = (uint8_t)next_random(seed, ARRAY_LEN(ranges));
	s->over.key = (uint8_t)next_random(seed, ARRAY_LEN(ranges));
	s->over.parent = (uint8_t)next_random(seed, NAMES);
	if (!root_has(s, s->over.dir) && s->over.parent != s->over.dir)
		s->over.kind = kinds[next_random(seed, 3)];
}

static void make_plan(struct plan *s, unsigned features, uint64_t *seed)
{
	*s = (struct plan){ .features = features, .top_count = 1 };
	for (unsigned n = 0; n < NAMES; n++) {
		s->versions[n] = 1 + next_random(seed, VERSIONS);
		for (unsigned v = 0; v < s->versions[n]; v++) {
			for (unsigned k = next_random(seed, NEEDS); k > 0; k--)
				add_need(s, &s->of[n * VERSIONS + v], n, seed);
		}
	}
	if (features & WORKSPACES)
		s->top_count += next_random(seed, TOPS);
	for (unsigned t = 0; t < s->top_count; t++) {
		for (unsigned k = 1 + next_random(seed, NEEDS); k > 0; k--)
			add_need(s, &s->tops[t], NAMES, seed);
	}
	if (features & OVERRIDES)
		add_override(s, seed);
}

/* ---- as texts ---- */

static void put_spec(struct buf *b, const struct need *n)
{
	if (n->dir != n->pkg)
		buf_addf(b, "npm:%c@", name_of(n->pkg));
	buf_addstr(b, ranges[n->range].text);
}

static char *universe_of(const struct plan *s)
{
	static const char *const marks[] = {
		['p'] = "peer:", ['o'] = "popt:", ['q'] = "opt:", ['b'] = "bundles:", ['d'] = ""
	};
	auto_buf struct buf b = BUF_INIT(1 << 16);

	for (unsigned i = 0; i < ALL; i++) {
		if (i % VERSIONS >= s->versions[i / VERSIONS])
			continue;
		buf_addf(&b, "%c %s", name_of(i / VERSIONS), texts[i % VERSIONS]);
		for (unsigned k = 0; k < s->of[i].count; k++) {
			const struct need *n = &s->of[i].list[k];

			buf_addf(&b, " %s%c@", marks[(unsigned char)n->kind], name_of(n->dir));
			put_spec(&b, n);
		}
		buf_addstr(&b, "\n");
	}
	return buf_steal_str(&b);
}

static void put_section(struct buf *b, const struct needs *of, const char *section, char kind)
{
	const char *sep = "";

	buf_addf(b, ",'%s':{", section);
	for (unsigned i = 0; i < of->count; i++) {
		if (of->list[i].kind != kind)
			continue;
		buf_addf(b, "%s'%c':'", sep, name_of(of->list[i].dir));
		put_spec(b, &of->list[i]);
		buf_addstr(b, "'");
		sep = ",";
	}
	buf_addstr(b, "}");
}

static void put_overrides(struct buf *b, const struct plan *s)
{
	char dir = name_of(s->over.dir);
	const char *value = ranges[s->over.value].text;

	if (s->over.kind == 'g')
		buf_addf(b, ",'overrides':{'%c':'%s'}", dir, value);
	else if (s->over.kind == 'k')
		buf_addf(b, ",'overrides':{'%c@%s':'%s'}", dir, ranges[s->over.key].text, value);
	else if (s->over.kind == 'n')
		buf_addf(b, ",'overrides':{'%c':{'%c':'%s'}}", name_of(s->over.parent), dir, value);
}

/* Of a top. */
static char *manifest_of(const struct plan *s, unsigned top)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	char *text;

	buf_addf(&b, "{'name':'%c%u','version':'1.0.0'", top ? 'w' : 'p', top);
	put_section(&b, &s->tops[top], "dependencies", 'd');
	put_section(&b, &s->tops[top], "optionalDependencies", 'q');
	if (top == 0 && s->top_count > 1)
		buf_addstr(&b, ",'workspaces':['w*']");
	if (top == 0)
		put_overrides(&b, s);
	buf_addstr(&b, "}");
	text = buf_steal_str(&b);
	for (char *c = text; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	return text;
}

/* ---- trying everything ----
 *
 * A version below what an override names ("n") is another thing than elsewhere: `below`. */

struct tries {
	const struct plan *s;
	unsigned may[DIRS]; /* by name: versions that something that is there asks for */
	unsigned good[2];   /* by `below`: versions whose needs can be met */
	unsigned alive[2];  /* and if all versions there are could be taken */
	int root[DIRS];     /* what stands in root's node_modules; -1 */
};

static bool ranges_meet(unsigned a, unsigned b)
{
	auto_range struct semver_range x = { 0 }, y = { 0 };
	char p[16], q[16];

	(void)snprintf(p, sizeof p, "%s", ranges[a].text);
	(void)snprintf(q, sizeof q, "%s", ranges[b].text);
	for (char *c = p; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	for (char *c = q; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	cr_assert(semver_range_parse(&x, slice_str(p), 0) == 0);
	cr_assert(semver_range_parse(&y, slice_str(q), 0) == 0);
	return semver_range_intersects(&x, &y);
}

static bool is_overridden(const struct plan *s, const struct need *n, bool below)
{
	if (!s->over.kind || n->dir != s->over.dir)
		return false;
	return s->over.kind == 'g' || below ||
	       (s->over.kind == 'k' && ranges_meet(n->range, s->over.key));
}

/* Of the three versions those that npm calls valid. */
static unsigned fits(const struct plan *s, const struct need *n, bool below)
{
	bool over = is_overridden(s, n, below);
	unsigned mask = over ? ranges[s->over.value].mask : ranges[n->range].mask;

	if (over && s->over.kind == 'k')
		mask |= ranges[n->range].mask & ~ranges[s->over.key].mask;
	return mask;
}

/* Below what an override of a range names every range of it is overridden. */
static bool goes_below(const struct plan *s, const struct need *n, bool below)
{
	return below || (s->over.kind == 'n' && n->dir == s->over.parent) ||
	       (s->over.kind == 'k' && is_overridden(s, n, false));
}

/* Of the set, what would do under the need's name. */
static unsigned options(const struct tries *t, const struct need *n, bool below, unsigned set)
{
	unsigned mask = fits(t->s, n, below), all = 0;

	for (unsigned p = 0; p < NAMES; p++)
		all |= mask << p * VERSIONS;
	return all & t->may[n->dir] & set;
}

static bool is_hard(const struct tries *t, const struct need *n, bool below)
{
	if (n->kind == 'q')
		return options(t, n, below, t->alive[goes_below(t->s, n, below)]) != 0;
	return n->kind == 'd' || n->kind == 'p';
}

static bool are_met(const struct tries *t, const struct needs *of, bool below, bool optionals)
{
	for (unsigned i = 0; i < of->count; i++) {
		const struct need *n = &of->list[i];
		bool hard =
			n->kind == 'q' ? optionals && is_hard(t, n, below) : is_hard(t, n, below);

		if (hard && !options(t, n, below, t->good[goes_below(t->s, n, below)]))
			return false;
	}
	return true;
}

/* npm compares versions alone, so what one asks for under a name does for another, who asks for
 * another package under that name. */
static void note_asked(struct tries *t, const struct needs *of, bool below)
{
	for (unsigned i = 0; i < of->count; i++) {
		const struct need *n = &of->list[i];
		bool over = is_overridden(t->s, n, below);
		unsigned pkg = over ? n->dir : n->pkg;
		unsigned mask = ranges[over ? t->s->over.value : n->range].mask;

		if (n->kind != 'o')
			t->may[n->dir] |= (mask & there(t->s, pkg)) << pkg * VERSIONS;
	}
}

/* Adds what the needs could lead to. True: something is new. */
static bool reach(struct tries *t, const struct needs *of, bool below, unsigned seen[2])
{
	bool any = false;

	for (unsigned i = 0; i < of->count; i++) {
		bool to = goes_below(t->s, &of->list[i], below);
		unsigned more = options(t, &of->list[i], below, t->good[to]) & ~seen[to];

		for (unsigned v = 0; v < ALL; v++) {
			if (more >> v & 1)
				note_asked(t, &t->s->of[v], to);
		}
		seen[to] |= more;
		any = any || more;
	}
	return any;
}

/* What may stand under which name, by what can be reached. */
static void note_reached(struct tries *t)
{
	unsigned seen[2] = { 0 };
	bool any = true;

	memset(t->may, 0, sizeof t->may);
	for (unsigned i = 0; i < t->s->top_count; i++)
		note_asked(t, &t->s->tops[i], false);
	while (any) {
		any = false;
		for (unsigned i = 0; i < t->s->top_count; i++)
			any = reach(t, &t->s->tops[i], false, seen) || any;
		for (unsigned v = 0; v < 2 * ALL; v++) {
			if (seen[v >= ALL] >> v % ALL & 1)
				any = reach(t, &t->s->of[v % ALL], v >= ALL, seen) || any;
		}
	}
}

/* Takes out what cannot have what it needs, until nothing changes. */
static void close_set(struct tries *t, unsigned set, bool optionals)
{
	bool changed = true;

	t->good[0] = t->good[1] = set;
	while (changed) {
		changed = false;
		note_reached(t);
		for (unsigned i = 0; i < 2 * ALL; i++) {
			unsigned bit = 1u << i % ALL;
			bool below = i >= ALL;

			if (t->good[below] & bit &&
			    !are_met(t, &t->s->of[i % ALL], below, optionals)) {
				t->good[below] &= ~bit;
				changed = true;
			}
		}
	}
}

static bool place(struct tries *t);

/* The first need of root, or of a peer's owner, that nothing meets: every way to meet it. */
static int meet(struct tries *t, const struct needs *of, bool root)
{
	for (unsigned i = 0; i < of->count; i++) {
		const struct need *n = &of->list[i];
		unsigned can;

		if (!(root ? is_hard(t, n, false) : n->kind == 'p'))
			continue;
		can = options(t, n, false, t->good[0] | t->good[1]);
		if (t->root[n->dir] >= 0) {
			if (!(can >> t->root[n->dir] & 1))
				return 0;
			continue;
		}
		for (int v = 0; v < ALL; v++) {
			t->root[n->dir] = can >> v & 1 ? v : -1;
			if (can >> v & 1 && place(t))
				return 1;
		}
		t->root[n->dir] = -1;
		return 0;
	}
	return -1;
}

/* Can root's node_modules be filled up from here? */
static bool place(struct tries *t)
{
	int r = meet(t, &t->s->tops[0], true);

	for (unsigned dir = 0; dir < DIRS && r < 0; dir++) {
		if (t->root[dir] >= 0)
			r = meet(t, &t->s->of[t->root[dir]], false);
	}
	if (r >= 0)
		return r;
	for (unsigned dir = 0; dir < DIRS; dir++) {
		const struct needs *of = t->root[dir] >= 0 ? &t->s->of[t->root[dir]] : NULL;

		for (unsigned i = 0; of && i < of->count; i++) {
			const struct need *n = &of->list[i];
			int v = t->root[n->dir];

			if (n->kind == 'o' && v >= 0 && !(fits(t->s, n, false) >> v % VERSIONS & 1))
				return false;
		}
	}
	return true;
}

static bool is_enough(struct tries *t, unsigned set)
{
	close_set(t, set, true);
	for (unsigned i = 0; i < t->s->top_count; i++) {
		if (!are_met(t, &t->s->tops[i], false, true))
			return false;
	}
	for (unsigned dir = 0; dir < DIRS; dir++)
		t->root[dir] = -1;
	return place(t);
}

/* The fewest versions that could do, or -1: nothing does. */
static int try_all(const struct plan *s)
{
	struct tries t = { .s = s };
	unsigned all = 0;

	for (unsigned p = 0; p < NAMES; p++)
		all |= there(s, p) << p * VERSIONS;
	close_set(&t, all, false);
	memcpy(t.alive, t.good, sizeof t.alive);
	if (!is_enough(&t, all))
		return -1;
	for (int count = 0;; count++) {
		for (unsigned set = 0; set < 1u << ALL; set++) {
			if (__builtin_popcount(set) == count && !(set & ~all) && is_enough(&t, set))
				return count;
		}
	}
}

/* Is there an override that goes for what is below something? */
static bool goes_by_place(const struct plan *s)
{
	return s->over.kind == 'n' || s->over.kind == 'k';
}

/* Is that what the solver means, too? Who bundles is taken only where nothing else does; peers of
 * a workspace may stand in two places, and what is below an override in both ways. */
static bool is_comparable(const struct plan *s)
{
	bool peers = s->features & PEERS;

	return !s->bundles && !(peers && (s->top_count > 1 || goes_by_place(s)));
}

/* What is optional npm also leaves out where its peers conflict, or where another demand of the
 * name failed; to the solver it is asked for. */
static bool leaves_out(const struct plan *s)
{
	return s->features & OPTIONALS;
}

/* ---- does it hold ---- */

/* Node's way up from a folder: the nearest package of the name. */
static const struct graph_node *look_up(const struct graph *g, const char *from, const char *name,
					bool own)
{
	char path[512];
	size_t len = strlen(from);

	for (;;) {
		uint32_t i;

		(void)snprintf(path, sizeof path, "%.*s%snode_modules/%s", (int)len, from,
			       len ? "/" : "", name);
		i = own ? graph_find(g, path) : GRAPH_NONE;
		if (i != GRAPH_NONE)
			return &g->nodes[i];
		if (len == 0)
			return NULL;
		own = true;
		while (len && from[len - 1] != '/')
			len--;
		len -= len > 0;
		if (len >= 12 && strncmp(from + len - 12, "node_modules", 12) == 0)
			len -= len > 12 ? 13 : 12;
	}
}

static bool dep_holds(const struct graph *g, const struct graph_node *n, const struct graph_dep *d)
{
	bool peer = d->section == SECTION_PEER;
	const struct graph_node *to = look_up(g, n->path, d->name, !peer || n->flags & NODE_TOP);
	const char *at = strrchr(d->spec, '@');

	if (!to)
		return d->section == SECTION_OPTIONAL || d->peer_optional;
	/* A circle under one name ends in a link to where it began. */
	if (to->flags & NODE_LINK)
		to = &g->nodes[to->link_target];
	return semver_satisfies(slice_str(to->version), slice_str(at ? at + 1 : d->spec),
				SEMVER_LOOSE);
}

/* Of all but bundled packages. `peers`: theirs too. */
static bool all_holds(const struct graph *g, bool peers)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];

		for (uint32_t k = 0; k < n->dep_count; k++) {
			bool peer = n->deps[k].section == SECTION_PEER;

			if (n->flags & (NODE_LINK | NODE_IN_BUNDLE | NODE_EXTRANEOUS) ||
			    (peer && !peers))
				continue;
			/* npm leaves out what an optional package cannot have. */
			if (!peers && (n->flags & (NODE_OPTIONAL | NODE_DEV_OPTIONAL) ||
				       n->deps[k].section == SECTION_OPTIONAL))
				continue;
			if (!dep_holds(g, n, &n->deps[k]))
				return false;
		}
	}
	return true;
}

static uint32_t count_versions(const struct graph *g)
{
	unsigned set = 0;

	for (uint32_t i = 1; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];

		for (unsigned v = 0; v < VERSIONS; v++) {
			if (!(n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE)) &&
			    strcmp(n->version, texts[v]) == 0)
				set |= 1u << ((unsigned)(n->pkg_name[0] - 'a') * VERSIONS + v);
		}
	}
	return (uint32_t)__builtin_popcount(set);
}

/* ---- one of them ---- */

struct outcome {
	unsigned answers, refused, unplaced, unproven, compared; /* of the solver */
	unsigned extra; /* answers with what nothing needs, but for optional peers */
	unsigned lower; /* bounds below what is possible */
	unsigned greedy, broken, solved; /* npm's rules; those that end in what does not hold */
	unsigned endless;                /* npm's rules find no end, as npm itself */
};

struct one {
	const struct plan *s;
	struct project p;
	struct catalog catalog;
	struct outcome *out;
	const char *folder; /* to leave it in; NULL */
	char *text;
	int fewest;       /* by trying everything; -1: nothing does */
	uint32_t bound;   /* the solver's */
	uint32_t at_most; /* versions of an answer that holds; UINT32_MAX */
};

static void wrong(const struct one *o, const char *what, const struct graph *g)
{
	auto_free char *manifest = manifest_of(o->s, 0), *got = g ? places(g) : NULL;

	(void)fprintf(stderr, "%s\n%s%s\n", what, o->text, manifest);
	for (unsigned i = 1; i < o->s->top_count; i++) {
		auto_free char *w = manifest_of(o->s, i);

		(void)fprintf(stderr, "%s\n", w);
	}
	(void)fprintf(stderr, "got %s, bound %u; the fewest are %d, npm's rules come to %d\n\n",
		      got ? got : "nothing", o->bound, o->fewest, (int)o->at_most);
	cr_expect(false);
}

static void leave(const struct one *o, const char *file, const struct graph *g)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);
	auto_free char *path = NULL;

	if (!o->folder)
		return;
	cr_assert(asprintf(&path, "%s/%s", o->folder, file) > 0);
	cr_assert(render_package_lock(g, &b, NULL) == 0);
	cr_assert(file_replace(path, b.data, b.len, 0644, NULL) == 0);
}

static void check_greedy(struct one *o)
{
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	struct err e = { 0 };
	int r = ideal_build(&result, (struct slice){ 0 }, &o->p.o, &e);

	if (r == -ENOTSUP && strstr(e.msg, "does not hold"))
		o->out->broken++;
	if (r < 0) {
		if (r != -ENOTSUP && r != -ENOENT && r != -E2BIG)
			wrong(o, e.msg, NULL);
		o->out->endless += r == -E2BIG;
		return;
	}
	o->out->greedy++;
	leave(o, "npm.json", result.graph);
	if (!o->s->over.kind && !all_holds(result.graph, false))
		wrong(o, "npm's rules: it does not hold", result.graph);
	if (!leaves_out(o->s) && graph_sound(result.graph, GRAPH_ALL_HOLDS, NULL) == 0)
		o->at_most = count_versions(result.graph);
}

static void check_answer(struct one *o, const struct ideal_result *result, const char *file)
{
	struct err e = { 0 };

	leave(o, file, result->graph);
	if (graph_sound(result->graph, GRAPH_ALL_HOLDS, &e) < 0)
		wrong(o, e.msg, result->graph);
	else if (!o->s->over.kind && !all_holds(result->graph, true))
		wrong(o, "solver: it does not hold", result->graph);
	o->out->extra += graph_sound(result->graph, GRAPH_NOTHING_MORE, NULL) < 0;
}

static void check_resolve(struct one *o)
{
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	struct sat_report report = { .limit_ms = NO_LIMIT };
	struct err e = { 0 };
	int r = sat_resolve(&result, (struct slice){ 0 }, &o->p.o, &report, &e);

	if (r < 0 || !report.solved)
		return;
	o->out->solved++;
	check_answer(o, &result, "resolve.json");
}

static void check_refusal(struct one *o, int r, const struct ideal_result *result,
			  const struct err *e)
{
	o->out->refused++;
	if (r == -E2BIG && o->s->bundles)
		return;
	if (r != -ENOTSUP) {
		wrong(o, e->msg, NULL);
	} else if (strstr(e->msg, "has no place")) {
		o->out->unplaced++;
	} else if (o->at_most != UINT32_MAX || (is_comparable(o->s) && o->fewest >= 0)) {
		(void)fprintf(stderr, "%s\n%.*s", e->msg, (int)result->warnings.len,
			      (const char *)result->warnings.data);
		wrong(o, "the solver knows of no answer, and there is one", NULL);
	}
}

static void check_dedupe(struct one *o)
{
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	struct sat_report report = { .limit_ms = NO_LIMIT };
	struct err e = { 0 };
	int r = sat_dedupe(&result, (struct slice){ 0 }, &o->p.o, &report, &e);

	if (r < 0) {
		check_refusal(o, r, &result, &e);
		return;
	}
	o->out->answers++;
	o->bound = report.bound;
	if (report.bad == 0)
		check_answer(o, &result, "dedupe.json");
	o->out->unproven += report.count > report.bound || report.bad;
	if (report.count && !report.cands && !report.bound) {
		if (is_comparable(o->s) && o->fewest >= 0)
			wrong(o, "the solver knows of no answer, and there is one", result.graph);
		return;
	}
	if (report.count != count_versions(result.graph) || report.bound > report.count)
		wrong(o, "counted wrongly", result.graph);
	/* Who carries others is to npm like any other, and here a last resort; what is below an
	 * override in one place is so to npm wherever it is one package there. */
	if (!report.waived && !o->s->bundles && !goes_by_place(o->s) && report.bound > o->at_most)
		wrong(o, "npm's rules need fewer than the solver says to be possible",
		      result.graph);
	if (!is_comparable(o->s) || report.waived)
		return;
	o->out->compared++;
	/* Under an alias something may be there for its own sake, in a circle; and npm leaves out
	 * what is optional where another demand of the name failed. */
	o->out->lower += (int)report.bound < o->fewest;
	if ((int)report.bound > o->fewest ||
	    ((int)report.bound < o->fewest && !(o->s->features & (ALIASES | OPTIONALS))))
		wrong(o, "the solver's bound is another", result.graph);
}

static void leave_project(const struct one *o, const struct universe *u)
{
	cJSON *j = universe_json(u);
	char *text = cJSON_PrintUnformatted(j);
	auto_free char *path = NULL;

	cr_assert(mkdir_p(o->folder, 0755, NULL) == 0);
	cr_assert(asprintf(&path, "%s/registry.json", o->folder) > 0);
	cr_assert(file_replace(path, text, strlen(text), 0644, NULL) == 0);
	free(text);
	cJSON_Delete(j);
	for (unsigned i = 0; i < o->s->top_count; i++) {
		auto_free char *manifest = manifest_of(o->s, i), *to = NULL;

		for (char *c = manifest; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		cr_assert(asprintf(&to, "%s/package%u.json", o->folder, i) > 0);
		cr_assert(file_replace(to, manifest, strlen(manifest), 0644, NULL) == 0);
	}
}

static void run_one(const struct plan *s, struct outcome *out, const char *folder)
{
	struct one o = { .s = s, .out = out, .folder = folder, .at_most = UINT32_MAX };
	auto_free char *manifest = manifest_of(s, 0), *text = universe_of(s);
	auto_universe struct universe *u = universe_new(text);

	o.text = text;
	o.catalog = universe_catalog(u);
	o.fewest = is_comparable(s) ? try_all(s) : -1;
	begin(&o.p, manifest);
	for (unsigned i = 1; i < s->top_count; i++) {
		auto_free char *w = manifest_of(s, i);
		char file[32];

		(void)snprintf(file, sizeof file, "w%u/package.json", i);
		put(&o.p, file, w);
	}
	o.p.o.catalog = &o.catalog;
	o.p.o.max.work = WORK;
	if (folder)
		leave_project(&o, u);
	check_greedy(&o);
	check_resolve(&o);
	check_dedupe(&o);
	end(&o.p);
}

static struct outcome run_many(unsigned features, uint64_t seed, unsigned count)
{
	const char *to = getenv("UNIVERSES_TO");
	struct outcome out = { 0 };

	for (unsigned i = 0; i < count; i++) {
		auto_free char *folder = NULL;
		struct plan s;

		make_plan(&s, features, &seed);
		if (to)
			cr_assert(asprintf(&folder, "%s/%u-%u", to, features, i) > 0);
		run_one(&s, &out, folder);
	}
	if (getenv("UNIVERSES"))
		(void)fprintf(stderr,
			      "%2u: npm's rules %u answers, %u that do not hold, solved %u; fewest "
			      "%u, %u not "
			      "proven, %u none (%u for want of a place), %u compared, %u lower, %u "
			      "extra\n",
			      features, out.greedy, out.broken, out.solved, out.answers,
			      out.unproven, out.refused, out.unplaced, out.compared, out.lower,
			      out.extra);
	return out;
}

/* ---- tests ---- */

#define EACH 40u

Test(universes, plain)
{
	struct outcome out = run_many(0, 1, EACH);

	cr_expect(out.unproven + out.unplaced + out.broken + out.lower == 0);
	cr_expect(out.answers > EACH / 3 && out.refused > EACH / 10);
}

/* Each pair of features, and all together. */
Test(universes, with_everything)
{
	struct outcome sum = { 0 };

	for (unsigned features = 1; features < 64; features++) {
		struct outcome out;

		if (__builtin_popcount(features) > 2 && features != 63)
			continue;
		out = run_many(features, features, EACH / 4);
		sum.greedy += out.greedy;
		sum.broken += out.broken;
		sum.answers += out.answers;
		sum.unplaced += out.unplaced;
		sum.unproven += out.unproven;
		sum.compared += out.compared;
		sum.lower += out.lower;
		sum.extra += out.extra;
		sum.endless += out.endless;
	}
	cr_expect(sum.broken + sum.endless == 0);
	cr_expect(sum.unplaced * 20 <= sum.answers && sum.unproven * 10 <= sum.answers);
	cr_expect(sum.lower * 20 <= sum.compared && sum.compared * 3 > sum.answers);
	cr_expect(sum.answers > sum.greedy && sum.extra * 20 <= sum.answers);
}

/* What npm's rules give up, the solver has an answer for, which holds. */
Test(universes, solved)
{
	struct outcome out = run_many(PEERS | WORKSPACES, 5, 2 * EACH);

	cr_expect(out.solved > 0);
}

Test(universes, by_hand)
{
	const char *how = getenv("UNIVERSES");
	unsigned long long seed;
	unsigned count;

	if (!how)
		return;
	cr_assert(sscanf(how, "%llu %u", &seed, &count) == 2);
	for (unsigned features = 0; features < 64; features++)
		(void)run_many(features, seed + features, count);
}
