/* select.h - which nodes of a lock are there, on this machine and with these options.
 *
 * npm's rules, in npm's order: extraneous entries are pruned (but strays are there,
 * graph_is_stray()); os, cpu, libc and engines of optional packages take their whole optional set
 * with them; a platform that does not fit a package that is not optional is EBADPLATFORM; --omit;
 * last, packages that could not be had. What stands below an absent node is absent.
 *
 * npm's pruning of what bundles shadow has nothing to do here: it takes away only what nothing
 * outside leads to, and what root does not lead to is extraneous in a lock that lists its
 * bundles. */
#pragma once
#include "lock/graph.h"

enum { OMIT_DEV = 1, OMIT_OPTIONAL = 2, OMIT_PEER = 4 };

struct platform; /* lock/platform.h */

struct select_params {
	const struct platform *platform;
	/* npm's --os, --cpu and --libc decide about optional packages only; those that are not
	 * must fit the machine itself. NULL: `platform` is the machine. */
	const struct platform *machine;
	unsigned omit;      /* OMIT_* */
	bool force;         /* npm's --force: EBADPLATFORM and EBADENGINE are only warnings */
	bool engine_strict; /* npm's setting: engines that are not optional must fit, or EBADENGINE
			     */
	const bool *failed; /* nodes that could not be had; NULL: none */
};

/* ret[i] = node i is there (root and tops too: a folder of the user's is there whatever its lock
 * entry says, unless nothing leads to it); `ret` has g->count elements. Bundled nodes are there if
 * their bundler is. -ENOEXEC: EBADPLATFORM, the sentence names the package, what it wants and what
 * this machine is, or EBADENGINE; -ENOENT: a failed node that is not optional; -E2BIG: a lock made
 * to take for ever; -ENOMEM. */
int select_nodes(const struct graph *g, const struct select_params *p, bool *ret,
		 struct err *e) must_check;
