/* legacy.h - the "dependencies" of a package-lock.json of version 1 or 2: what npm 6 reads. The
 * tree once more, each package below the one in whose node_modules it stands, links with what their
 * targets have. Version 2 says it beside "packages", version 1 alone. */
#pragma once
#include "lock/graph.h"

/* Levels of packages below one another: each is two levels of JSON, of which there may be
 * JSON_DEPTH_MAX. Real locks have below twenty. */
#define LEGACY_DEPTH_MAX 120u

/* Appends that object, compact and in npm's order (render.h), of a graph that has its edges and
 * flags; nothing where no package stands in root's node_modules. `dir` is the project's absolute
 * path. -E2BIG: more than LEGACY_DEPTH_MAX levels, as where links lead into one another;
 * -ENOMEM. */
int legacy_put(const struct graph *g, const char *dir, struct buf *ret, struct err *e) must_check;
