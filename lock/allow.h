/* allow.h - which packages may run their install scripts: npm's allowScripts.
 *
 * A policy is a set of keys, each yes or no. A key names a package ("esbuild"), exact versions of
 * it ("esbuild@0.25.0", "esbuild@0.25.0 || 0.25.1"), or where it comes from (a git repository,
 * perhaps with the beginning of a commit; a URL; a tarball on disk). A package's name and version
 * are what the lock's `resolved` URL says, for a tarball's own package.json can say anything. Where
 * the lock has no URL (npm's omit-lockfile-registry-resolved), the name is what its dependents ask
 * for, and the version is unknown: then a key with versions denies, but does not allow. A no beats
 * a yes, an alias as a key is nobody's, and what came inside another's tarball is never allowed.
 *
 * Two things differ from npm's. Where the lock has no URL and names a package otherwise than its
 * dependents do, none of both names is believed. And the path of a tarball may be relative to the
 * project in a key, where npm knows it by its absolute path only. */
#pragma once
#include "lock/graph.h"

#define ALLOW_KEYS_MAX 10000u /* of one policy */

enum allow_answer { ALLOW_UNREVIEWED, ALLOW_YES, ALLOW_NO };

struct allow;

/* An empty policy. `project_dir`, absolute, is where paths in keys start from. allow_free() takes
 * NULL. */
struct allow *allow_new(const char *project_dir) must_check;
void allow_free(struct allow *a);
static inline void allow_freep(struct allow **a)
{
	allow_free(*a);
}
#define auto_allow cleanup(allow_freep)

/* -EINVAL: a key that npm leaves out too (a range, a tag, nothing that it understands); the
 * sentence says so. */
int allow_add(struct allow *a, const char *key, bool yes, struct err *e) must_check;

/* The answer for each node, after graph_edges() and graph_flags(); `ret` has g->count elements. */
int allow_nodes(const struct allow *a, const struct graph *g, enum allow_answer *ret,
		struct err *e) must_check;
