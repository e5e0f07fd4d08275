/* entry.h - one manifest-like JSON object (a lock's entry, a package.json) into a graph node.
 *
 * The two are the same to npm but for details, so that one reader serves both: dependencies by
 * section, bins, platforms, engines, bundles. Members are looked at once each (of duplicates the
 * last counts). What it makes is in the graph's arena; `j` is not kept.
 *
 * Private to lock/: npmlock.c, npmlock_v1.c and manifest.c use it. */
#pragma once
#include "lock/bins.h"
#include "lock/graph.h"
#include "lock/json.h"

/* Fills deps, bins, os, cpu, libc, engines, bundled, accept, pkg_name, version, NODE_HAS_SCRIPT,
 * and for BINS_LOCK resolved, integrity and the lock's own flags. Members that are absent empty
 * their fields. `what` is named in sentences. -EINVAL: a type that npm would choke on; -E2BIG:
 * more than a limit; -ENOMEM. */
int entry_read(struct graph *g, struct graph_node *n, const cJSON *j, enum bins_source from,
	       const char *what, struct err *e) must_check;

/* The residue of a lock's entry that entry_read() has read into n (graph.h says what it is);
 * called after graph_index(), since it differs for tops. *ret is in the arena. */
int entry_residue(struct graph *g, const struct graph_node *n, const cJSON *j, const char **ret,
		  struct err *e) must_check;

/* An object without the members named in `drop` (NULL-terminated list), in the residue's form:
 * compact, keys in npm's order (render.h), of duplicate keys the last. "" for an empty one. */
int entry_canonical(struct arena *a, const cJSON *obj, const char *const *drop, const char **ret,
		    struct err *e) must_check;
