/* sat.h - versions chosen by a solver, where npm's way gives up or takes more than it needs.
 *
 * sat_dedupe() finds the fewest versions of packages (name and version, however often they stand
 * in the tree) by which every dependency of every one of them can be had, peers and overrides
 * included; among those answers the one that has, name by name in the order of their bytes, what
 * npm would take first: what `latest` names, what is not deprecated and for this node, the newest.
 * So there is one answer, whatever solver looks for it. What it chose npm's own placing then
 * places, for which nothing else is there to choose.
 *
 * sat_resolve() is ideal_build(), and where that ends in ERESOLVE the same search: where npm has an
 * answer, that stays the answer. What the solver then answers holds in every part: a conflict of
 * peers that npm would let be is none of its answers, for npm calls such a tree invalid.
 *
 * So it is with strict-peer-deps too, where npm gives up more often, and the solver's answer then
 * is one without any conflict.
 *
 * Where the solver knows of no answer, or of one that npm's placing has no place for, sat_dedupe()
 * takes npm's own, if all of it holds: it may have what the solver does not look at, a version that
 * came for an optional peer or in a tarball.
 *
 * Versions that need what lies in no registry (a URL, git) are considered only where nothing goes
 * without them.
 *
 * Both are for ideal_options.build. Neither keeps to a lock where the solver is asked. */
#pragma once
#include "lock/ideal.h"

#define SAT_LIMIT_MS 60000 /* after which the best that was found is taken, and not proven */

struct sat_report {
	int64_t limit_ms; /* of the search; 0: SAT_LIMIT_MS */

	bool solved;      /* the solver was asked, and what follows is known */
	uint32_t count;   /* versions in the lock */
	uint32_t bound;   /* no lock has fewer; where it is `count`, that is proven the fewest */
	bool newest;      /* and of those the newest is proven, too */
	uint32_t bad;     /* dependencies that do not hold, since npm's placing knew no better */
	bool waived;      /* not all can hold: the bound goes without what cannot */
	uint32_t unknown; /* packages that the registry could not be asked for, and are not there */
	uint32_t cands;   /* how much there was to choose from; 0: npm's answer, not the solver's */
	struct err npm;   /* why npm gives up; "": it was not asked */
};

/* `arg` is a struct sat_report, or NULL. Errors as of ideal_build(). */
int sat_dedupe(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
	       void *arg, struct err *e) must_check;
int sat_resolve(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		void *arg, struct err *e) must_check;

/* Why nothing satisfies package.json: the demands that cannot be had together, none of which could
 * be left out, in sentences, a line each, and what would help. `package`, "name" or "name@spec"
 * (else its `latest`; NULL: as package.json stands): what if package.json asked for that? 1: it is
 * told; 0: everything can be had. */
int sat_explain(const struct ideal_options *o, const char *package, struct buf *ret,
		struct err *e) must_check;
