/* npmlock.h - package-lock.json and npm-shrinkwrap.json (lockfileVersion 1, 2, 3) into a graph.
 *
 * As `npm ci` reads them (npm 11.19): npm-shrinkwrap.json wins over package-lock.json; a BOM is
 * skipped, what lies between git's conflict markers is merged (conflict.h); flags are ignored and
 * recomputed; optional entries that lack a version are absent packages, not errors; a lock of
 * version 4, or one that names patches or package extensions, is refused. */
#pragma once
#include "lock/catalog.h"
#include "lock/graph.h"

#define NPMLOCK_SIZE_MAX                                                                           \
	((size_t)256 << 20)                  /* bytes of a lock file; real ones stay below 10 MB   \
					      */
#define MANIFEST_SIZE_MAX ((size_t)16 << 20) /* bytes of a package.json */

struct npmlock_options {
	struct graph_options graph;
	/* Asked only for version 1 locks. NULL: such a lock is converted without manifests when
	 * it names no package that needs one, else refused (-ENETUNREACH). */
	const struct catalog *catalog;
};

/* Parses the text only: nodes in the lock's order, indexed (graph_index). The tops have no deps
 * yet. The graph borrows nothing. */
int npmlock_parse(struct graph **ret, struct slice text, const struct npmlock_options *o,
		  struct err *e) must_check;

/* The whole: reads the lock in the project folder `dirfd`, reads package.json of root, of its
 * workspaces and of link targets inside the project (manifest.h), then graph_edges, graph_flags,
 * graph_check. -ENOENT: no lock there. -ESTALE: the lock does not fit package.json, or is of
 * version 1 and lacks a version (of a git dependency, say). -EOPNOTSUPP: a package brings a
 * shrinkwrap of its own, and the lock does not list below it what that names. A caller that
 * fingerprints hashes package.json of root and of every NODE_TOP whose path does not start with
 * "../". */
int npmlock_read(struct graph **ret, int dirfd, const struct npmlock_options *o,
		 struct err *e) must_check;
