/* built.h - whose install scripts have run in a mount, and whose have failed.
 *
 *   <upper>/scripts   one line a package: "ran node_modules/esbuild@0.25.0~0123abcd", or "failed"
 *                     for an optional one that is left out because of it. Behind the version the
 *                     first 8 hex digits of the store's key, as in pkg/ (fs/upper.h)
 *
 * It lies in the upper because it speaks of what lies there: what is reset there has not run any
 * more, and another project's upper says nothing here. A package whose id has control characters
 * or spaces is never in it, so its scripts run each time. */
#pragma once
#include "core/sri.h"
#include "lock/graph.h"

enum built_state { BUILT_NOT, BUILT_RAN, BUILT_FAILED };

struct built {
	char *text; /* the lines, NUL-terminated; owned; NULL: none */
};

/* Where there is no file nothing has run. Lines that make no sense are passed over. */
int built_read(struct built *ret, const char *upper_dir, struct err *e) must_check;
void built_release(struct built *b);
#define auto_built cleanup(built_release)

/* "node_modules/esbuild@0.25.0~0123abcd"; the caller frees. */
char *built_id(const struct graph_node *n, const struct digest *key) must_check;

enum built_state built_state(const struct built *b, const char *id);

/* mark[i] = true for the nodes whose scripts failed, of those that are optional now. `key` gives
 * the store's key of a node. */
int built_mark_failed(const struct built *b, const struct graph *g,
		      int (*key)(void *arg, const struct graph_node *n, struct digest *ret,
				 struct err *e),
		      void *arg, bool *mark, struct err *e) must_check;

/* Writes down the state of a package; BUILT_NOT forgets it. */
int built_set(const char *upper_dir, const char *id, enum built_state state,
	      struct err *e) must_check;

/* Forgets all packages that stand at `path` (relative to the project), below it, or that it lies
 * in; NULL: all. */
int built_forget(const char *upper_dir, const char *path, struct err *e) must_check;
