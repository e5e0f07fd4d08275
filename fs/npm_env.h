/* npm_env.h - the environment in which npm runs an install script.
 *
 * What holds for all packages (npm_config_*, npm_execpath, NODE, INIT_CWD, and whatever of ours npm
 * passes on) is asked of npm itself, once, in the project's folder: which settings are exported and
 * how is decided by some 150 definitions of which each npm has its own. What is a package's own is
 * added here, from the lock's entry, as npm does when it installs from a lock. */
#pragma once
#include "core/err.h"
#include "lock/graph.h"

struct npm_env {
	char *text;       /* what npm answered; `base` points into it */
	char **base;      /* "NAME=value", NULL-terminated, without what is a package's own */
	const char *path; /* PATH without the project's .bin folders; node-gyp's folder is first */
};

/* Runs npm, which takes a third of a second; what it warns of goes to `err_out`. -EOPNOTSUPP: there
 * is none. */
int npm_env_load(struct npm_env *ret, const char *project_dir, int err_out,
		 struct err *e) must_check;
void npm_env_release(struct npm_env *env);

/* The value, or NULL. */
const char *npm_env_get(const struct npm_env *env, const char *name);

/* The environment of one script of the package at `node`, whose folder is `dir` (absolute). The
 * array, which is to be freed, and its strings lie in the arena or in `env`. */
int npm_env_script(const struct npm_env *env, const char *project_dir,
		   const struct graph_node *node, const char *dir, const char *event,
		   const char *script, struct arena *a, char ***ret, struct err *e) must_check;
