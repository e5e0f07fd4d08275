/* catalog_npm.h - answers lock/catalog.h from an npm registry.
 *
 * Packuments are asked for in full (the abbreviated form lacks what a lock needs),
 * once each, and kept in memory until the catalog is freed: this is for the making of one lock,
 * not for a daemon. Nothing is started before the first question. Several threads may ask. */
#pragma once
#include "fetch/npmrc.h"
#include "lock/catalog.h"

#define CATALOG_PACKUMENT_MAX ((uint64_t)256 << 20) /* bytes; the largest known have 100 MB */

struct catalog_npm;

/* `rc` and `project_dir` (for file: tarballs) are borrowed while the catalog lives. With `offline`
 * set in it, questions end with -ENETUNREACH. */
int catalog_npm_new(struct catalog_npm **ret, const struct npmrc *rc, const char *project_dir,
		    struct err *e) must_check;
void catalog_npm_free(struct catalog_npm *c); /* NULL is fine; no question may be open */

/* From now on it answers for all versions of a package too, and hints are for that. `dir` is where
 * packuments are kept (metadata.h), borrowed; NULL: nowhere. */
int catalog_npm_resolving(struct catalog_npm *c, const char *dir, struct err *e) must_check;

/* The vtable; borrows c. */
struct catalog catalog_npm(struct catalog_npm *c);
