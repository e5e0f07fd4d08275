/* select.h - which nodes of a lock are there, on this machine and with these options.
 *
 * npm's rules (npm.md §1.7): os, cpu, libc and engines of optional packages take their whole
 * optional set with them; a platform that does not fit a package that is not optional is
 * EBADPLATFORM; --omit; extraneous entries; bundled ones come with their bundler. */
#pragma once
#include "lock/graph.h"

enum { OMIT_DEV = 1, OMIT_OPTIONAL = 2, OMIT_PEER = 4 };

struct platform; /* lock/platform.h */

struct select_params {
	const struct platform *platform;
	unsigned omit;      /* OMIT_* */
	bool force;         /* npm's --force: EBADPLATFORM is only a warning */
	const bool *failed; /* nodes that the registry does not have (404); NULL: none */
};

/* ret[i] = node i is there (root and present tops too); `ret` has g->count elements. Bundled
 * nodes are there if their bundler is. -EBADMSG never; -ENOEXEC: EBADPLATFORM, the sentence
 * names the package, what it wants and what this machine is; -ENOENT: a failed node that is not
 * optional. */
int select_nodes(const struct graph *g, const struct select_params *p, bool *ret,
		 struct err *e) must_check;
