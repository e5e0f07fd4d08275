/* rebuild.h - dx rebuild: which packages' install scripts run, in which order, and running them.
 *
 * A script runs if the project allows its package (lock/allow.h), the package is there in the
 * mount, and it has not run in this mount yet (fs/built.h). Dependencies come before who depends on
 * them; of one package preinstall, install and postinstall in a row (npm runs one event of all
 * packages at once, so none can count on more). The scripts of the project itself, of workspaces
 * and of other folders that links lead to are npm's: `npm rebuild` and `npm run` run them.
 *
 * Who writes does so through the mount, with the caller's rights, so what scripts change lies in
 * the upper. Where a script of an optional package fails, the package is left out with all that
 * only it needs, as npm does; any other failure ends it. */
#pragma once
#include "fs/built.h"
#include "fs/cmd_project.h"
#include "fs/cmd_upper.h"
#include "lock/allow.h"

struct rebuild {
	struct cmd_project project;
	struct cmd_upper at; /* the mount, which is live */
	struct lock *lock;
	struct graph *graph;
	enum allow_answer *answers; /* by node */
	struct built built;
	uint32_t *nodes; /* what shall run, in order */
	uint32_t count;
	int log_fd;     /* open and locked while scripts run */
	char *log_path; /* <state>/rebuild.log */
};
#define REBUILD_INIT                                                                               \
	{                                                                                          \
		.project = CMD_PROJECT_INIT, .at = CMD_UPPER_INIT, .log_fd = -1                    \
	}

/* The project of the current folder and its mount. -ENOENT: it is not mounted; -EROFS. `b` must
 * not move. */
int rebuild_open(struct rebuild *b, const struct cmd_project_options *o, struct err *e) must_check;
void rebuild_release(struct rebuild *b); /* also after a failure */
#define auto_rebuild cleanup(rebuild_release)

/* What shall run: all that is allowed and has not run; with `args`, what they name (cmd_node_is())
 * whether it has run or not. Says on stderr what has scripts and is not allowed. -EPERM: a package
 * that was named is not allowed, or npm's strict-allow-scripts is on and something is neither
 * allowed nor denied. */
int rebuild_plan(struct rebuild *b, const char *const *args, int count, struct err *e) must_check;

/* By what fs/built.h knows a node; the caller frees. NULL: *e says why. */
char *rebuild_id(const struct rebuild *b, uint32_t node, struct err *e) must_check;

/* The plan on stdout, a line a script. */
int rebuild_show(struct rebuild *b, struct err *e) must_check;

/* Runs it. What is done is said on stderr, what scripts print goes into the log. */
int rebuild_run(struct rebuild *b, struct err *e) must_check;
