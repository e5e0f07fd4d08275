/* manifest.h - package.json files of a project: root's, its workspaces', its link targets'.
 *
 * A lock says what was installed; what is asked for today stands in these files, and npm reads
 * them anew each time. They are read below the project's folder only: a link that leads out of it
 * keeps what the lock says of its target. */
#pragma once
#include "lock/graph.h"
#include "lock/json.h"

#define WORKSPACES_MAX    10000u  /* of one project; the largest known has some 500 */
#define WORKSPACE_DIRS    200000u /* folders that the patterns may make us look into */
#define WORKSPACE_PATTERN 1024u   /* bytes of one pattern, braces expanded */

/* Reads them all into the graph, after graph_index() and before graph_edges(): root's fields,
 * overrides and JSON style, NODE_WORKSPACE, lost_workspaces, and the fields of all tops inside the
 * project that a link leads to. As for npm, what is linked of those is what the lock has for bins,
 * if package.json has any today, of its own or in directories.bin. Where root has no package.json,
 * the lock's entry stays. */
int manifest_project(struct graph *g, int dirfd, struct err *e) must_check;

/* Texts of package.json that are to be read instead of the files. */
struct manifest_text {
	const char *folder; /* below the project, "" for root */
	struct slice text;
};
struct manifest_texts {
	const struct manifest_text *items;
	size_t count;
};

/* len 0: there is none, the file counts. */
struct slice manifest_text(const struct manifest_texts *t, const char *folder);

/* The same with these. */
int manifest_project_as(struct graph *g, int dirfd, const struct manifest_texts *texts,
			struct err *e) must_check;

/* How npm would write the lock of a root with this package.json. */
struct json_style manifest_style(struct slice root);

/* The folders that `patterns` (a package.json's "workspaces": a list, or an object with a list
 * "packages") find, sorted, each once, whether they have a package.json or not.
 * *ret is in the arena. -EINVAL for what npm refuses too. */
int workspaces_find(struct arena *a, int dirfd, const cJSON *patterns, struct graph_strings *ret,
		    struct err *e) must_check;

/* Does the pattern, without braces, match the path? `*`, `?`, `[...]`, `**` as a whole segment,
 * and extended patterns as of ksh; `dot` lets wildcards match names that start with a dot. */
bool workspaces_match(const char *pattern, const char *path, bool dot) must_check;
