/* sat_priv.h - what can be chosen, and what of it goes together.
 *
 * The model is made of five kinds of things:
 *
 *	class    a name that is asked for, with the override that goes for what comes of it
 *	demand   a range of a class
 *	cand     what may be chosen for a class: a version of a package, mostly
 *	group    a version of a package; what is counted. One cand's, but for aliases and overrides
 *	scope    root, a workspace, or a package: for whom each name means one thing
 *
 * The project's tops (root, workspaces, linked folders) ask first; whatever is chosen asks for
 * more. A version of the same dependencies as a better one, and which does for nothing for which
 * that does not, is left out: no answer is better for it. */
#pragma once
#include "lock/ideal_priv.h"
#include "lock/sat.h"
#include "lock/solver.h"

#define SAT_NONE      UINT32_MAX
#define SAT_RANK_BEST (2 * IDEAL_RANK_BEST + 1)
/* A project of 1,400 packages has some 20,000 candidates. */
#define SAT_CANDS_MAX   400000u
#define SAT_DEMANDS_MAX 1000000u
#define SAT_EDGES_MAX   20000000u
#define SAT_WORK_MAX    UINT64_C(4000000000) /* comparisons; such a project needs 20 million */

struct sat_edge {
	uint32_t demand;
	uint8_t type; /* enum edge_type */
};

struct sat_cand {
	uint32_t class, group;
	struct ipkg *pkg;
	const struct ipack *pack; /* NULL: not the registry's */
	uint32_t index;           /* its version there */
	uint32_t order;           /* in its class, 0 is what npm would take first */
	uint8_t rank;             /* ideal_rank(), and whether it bundles */
	bool link;                /* to a folder of the project, which costs nothing */
	bool dead;                /* what it needs is not to be had */
	struct sat_edge *edges;
	uint32_t edge_count;
	int var;
};

struct sat_demand {
	uint32_t class;
	struct ispec *spec,
		*raw; /* raw: what stood there, when an override changed it; else NULL */
	const struct ipack *pack;
	const char *why; /* nothing fits, for this */
	uint64_t *bits;  /* of the pack's versions, those that fit */
	uint32_t only;   /* a cand that is no registry's, or SAT_NONE */
	bool far;        /* and is in no registry, and was not looked at for that */
	bool active;     /* someone needs it: more than an optional peer */
	uint8_t best;    /* rank of what can be had for it */
	uint32_t *fits;  /* cands, best first; when all is known */
	uint32_t fit_count;
};

struct sat_class {
	struct iname *name;
	const struct overrides *rule;
	const struct ipack *pack; /* of the first demand */
	bool all;                 /* nothing may be left out: more than one pack, or its pack serves
				   * other classes too */
	bool dirty;
	uint32_t *demands, demand_count, demand_cap;
	uint32_t *cands, cand_count, cand_cap;
	uint32_t next_same; /* another of the name, in a ring: a package may serve them all */
};

struct sat_group {
	struct iname *name; /* the package's real one */
	uint32_t first;     /* a cand */
	bool many;
	int var; /* 0: nothing of it can be chosen */
};

struct sat_top {
	struct inode *node;
	struct iname *workspace; /* the name by which it is one; NULL */
	struct sat_edge *edges;
	uint32_t edge_count;
};

/* What a clause is there for, so that it can be blamed: a top or a class needs a class. */
struct sat_guard {
	uint32_t from; /* class, or SAT_FROM_TOP and a top */
	uint32_t to;
	int var;
};
#define SAT_FROM_TOP 0x80000000u

/* What a name means to a scope. */
struct sat_seen {
	uint32_t scope, cand;
	int var;
};
#define SAT_SCOPE_CLASS 0x40000000u /* the scope of a cand, and not of a top */

/* How far is looked: at what the tops ask for alone; at all that is in a registry; at everything,
 * tarballs at URLs and git too, whoever needs them. */
enum sat_reach { SAT_ASKED, SAT_PUBLISHED, SAT_ALL };

struct sat {
	struct ideal d;
	/* What package.json is taken to say: of `ask_name` that, of those in `relaxed`
	 * (NULL-terminated) anything. NULL: as it stands. */
	const char *ask_name, *ask_spec;
	const char *const *relaxed;
	bool whole; /* no version is left out for a better one: to be told of */
	enum sat_reach reach;
	bool far_seen;    /* something was not */
	uint32_t unknown; /* times that the registry could not be asked */
	struct sat_class *classes;
	uint32_t class_count, class_cap;
	struct sat_demand *demands;
	uint32_t demand_count, demand_cap;
	struct sat_cand *cands;
	uint32_t cand_count, cand_cap;
	struct sat_group *groups;
	uint32_t group_count, group_cap;
	struct sat_top *tops;
	uint32_t top_count, top_cap;
	uint32_t *todo, todo_at, todo_count, todo_cap; /* dirty classes */
	uint32_t expanded;                             /* cands whose edges stand */
	size_t edges;
	uint64_t work;
	struct table *class_of, *name_class, *demand_of, *cand_of, *group_of, *pair_of, *pack_class;

	struct solver *solver;
	struct sat_seen *seen;
	uint32_t seen_count, seen_cap, seen_at;
	struct table *seen_of;
	uint32_t *strict, strict_count, strict_cap; /* cands whose scope is one, too */
	bool **blocked; /* choices of groups that cannot be placed; owned */
	uint32_t blocked_count, blocked_cap;
	bool waived; /* edges that no choice can satisfy were taken out */
	bool guarded;
	struct sat_guard *guards;
	uint32_t guard_count, guard_cap;
	struct table *guard_of;
};

/* ---- sat_ask.c: what is asked for ---- */

/* Room for one more of a list whose items are `size` bytes. */
bool sat_grow(void *list, uint32_t count, uint32_t *cap, size_t size) must_check;
#define SAT_PUSH(list, count, cap, ...)                                                            \
	(sat_grow(&(list), (count), &(cap), sizeof *(list))                                        \
		 ? ((list)[(count)++] = (__VA_ARGS__), true)                                       \
		 : false)

int sat_too_much(struct sat *m); /* the error */
bool sat_has_time(struct sat *m, uint64_t steps) must_check;
/* The number that the key has in a table, `next` where it is new. */
bool sat_numbered(struct table *t, uint64_t a, uint64_t b, uint32_t next, uint32_t *ret) must_check;
uint32_t sat_add_cand(struct sat *m, const struct sat_cand *cand); /* SAT_NONE: it failed */
/* A top once, by its folder. `workspace`: its name, where it is one. */
int sat_add_top(struct sat *m, struct inode *n, struct iname *workspace);
/* The demand that an edge of a package is, looked up where it is new; SAT_NONE: it failed. `path`
 * is a top's folder, NULL a cand's. */
uint32_t sat_demand_of(struct sat *m, struct ipkg *pkg, const struct itemplate_edge *te,
		       const struct overrides *from_rule, const char *path);
int sat_add_edges(struct sat *m, struct ipkg *pkg, const struct itemplate *t,
		  const struct overrides *rule, const char *path, struct sat_edge **ret,
		  uint32_t *ret_count);

static inline void sat_set_bit(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static inline bool sat_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* ---- sat_model.c: what there is for it ---- */

int sat_start(struct sat *m, const struct ideal_options *o, struct buf *warnings, struct err *e);
void sat_release(struct sat *m);
/* Reads the project and all that may be reached from it. */
int sat_explore(struct sat *m);
/* Is the cand good for the demand, were it there? */
bool sat_holds(const struct sat *m, const struct sat_demand *demand, uint32_t cand);

/* ---- sat_clauses.c ---- */

/* Says everything that must hold to the solver, which is made anew. `guarded`: what was asked for
 * is to be assumed, so that it can be blamed. */
int sat_say_all(struct sat *m, bool guarded);
/* The variable for "to this scope the cand's name means it"; 0: none was made. */
int sat_seen_var(const struct sat *m, uint32_t scope, uint32_t cand);

/* ---- sat_fewest.c ---- */

struct sat_found {
	bool *chosen;   /* of groups; owned */
	bool *at_root;  /* of cands; owned */
	uint32_t count; /* of groups */
	uint32_t bound; /* no answer has fewer */
	bool proven;    /* bound == count, and the newest of those */
};
void sat_found_release(struct sat_found *f);

/* Until the deadline, clock.h. 0, or -ENOTSUP: nothing satisfies all; -ETIMEDOUT: not even that is
 * known. */
int sat_fewest(struct sat *m, int64_t deadline, struct sat_found *ret);

/* ---- sat_filter.c ---- */

/* The catalog that `m` has, in which npm's own rules take what was found: what stands in root's
 * node_modules is the newest, and of the packages that were chosen the other versions are not
 * there, or, with `fallback`, worse than deprecated: what came in a tarball may need them. */
struct sat_filter;
int sat_filter_new(const struct sat *m, const struct sat_found *f, bool fallback,
		   struct sat_filter **ret, struct err *e);
void sat_filter_free(struct sat_filter *f); /* NULL is fine */
static inline void sat_filter_freep(struct sat_filter **f)
{
	sat_filter_free(*f);
}
#define auto_filter cleanup(sat_filter_freep)
struct catalog sat_filter_catalog(struct sat_filter *f);
#define SAT_FILTER_TAG "" /* the default tag that goes with it */

/* ---- sat_explain.c ---- */

/* Why nothing satisfies all, after sat_explore(): 1, and it is told; 0: something does. */
int sat_tell_why(struct sat *m, struct buf *ret);
