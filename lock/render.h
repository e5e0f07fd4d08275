/* render.h - a graph printed as npm prints locks, byte for byte. */
#pragma once
#include "lock/graph.h"

/* node_modules/.package-lock.json for the nodes that are there (npm.md §1.8). */
int render_hidden(const struct graph *g, const bool *present, struct buf *ret,
		  struct err *e) must_check;

/* package-lock.json (npm.md §1.1 (6), §1.2): what npm wrote comes back byte for byte; a version 1
 * lock comes back as version 3. */
int render_package_lock(const struct graph *g, struct buf *ret, struct err *e) must_check;
