/* render.h - a graph printed as npm prints locks, byte for byte.
 *
 * An entry is printed from the node's fields and its residue (graph.h), merged; the residue is
 * copied as text, so its members must stand in npm's order at every level (entry.h sees to it).
 * A residue that is no JSON object is -EBADMSG: only a forged DXL has one. */
#pragma once
#include "lock/graph.h"

/* node_modules/.package-lock.json for the nodes that are there. `omit_resolved` is
 * npm's setting omit-lockfile-registry-resolved: then no package of the registry says where it came
 * from. */
int render_hidden(const struct graph *g, const bool *present, bool omit_resolved, struct buf *ret,
		  struct err *e) must_check;

/* package-lock.json: what npm wrote comes back byte for byte; a version 1
 * lock comes back as version 3. */
int render_package_lock(const struct graph *g, struct buf *ret, struct err *e) must_check;

/* The same of version 1, which has no "packages": of a graph whose top_residue has the
 * "dependencies" of legacy.h. */
int render_package_lock_v1(const struct graph *g, struct buf *ret, struct err *e) must_check;

/* The order in which npm writes the members of an object: keys that are array indexes, as every
 * JavaScript object has them first; then scalars and arrays, then objects; among each npm's
 * favourite keys, then the rest by collate(). Below 0, 0 (the same key), above 0. */
int render_order(struct slice a, bool a_is_object, struct slice b, bool b_is_object);
