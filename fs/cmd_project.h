/* cmd_project.h - how the subcommands come to a project: its settings, this machine, its lock. */
#pragma once
#include "fetch/catalog_npm.h"
#include "lock/ideal.h"
#include "lock/platform.h"
#include "lock/project.h"
#include "lock/select.h"

/* Borrowed while the cmd_project lives. */
struct cmd_project_options {
	const char *dir;             /* the project's folder; NULL: project_find() */
	const char *lock_file;       /* a DXL to use instead of the project's lock; NULL: none */
	const char *registry;        /* NULL: as configured */
	const char *tag;             /* the default one; NULL: as configured */
	const char *os, *cpu, *libc; /* NULL: as configured, else this machine's */
	unsigned omit;               /* OMIT_*, added to what npm's settings say */
	bool offline, force;
};

struct cmd_project {
	struct cmd_project_options o;
	struct project project;
	struct npmrc *npmrc;
	struct npmlock_options options; /* npm's settings that decide how its lock is read */
	bool offline;

	struct platform_asking asking; /* cmd_project_look_ahead() */
	/* After cmd_project_select(): who is asked for what, in the end. */
	struct platform machine, platform;
	struct select_params select;

	struct catalog_npm *registry; /* asked only for locks of version 1 */
	struct catalog catalog;
	char *metadata_dir; /* owned */
	char *cache_dir;    /* owned: derived locks, node's version (fs/state.h); NULL: none */
	char *workspace;    /* the folder of its workspace that we are in, or NULL; owned */
};
#define CMD_PROJECT_INIT                                                                           \
	{                                                                                          \
		.project = PROJECT_INIT                                                            \
	}

/* Adds what an option --omit names, "dev,optional", to the unsigned `flags`: OMIT_*. -EINVAL:
 * another word. For struct cmd_option. */
int cmd_project_omit(void *flags, const char *list) must_check;

/* Finds the project and reads npm's settings. `o` may be NULL. `ret` must not move afterwards. */
int cmd_project_open(struct cmd_project *ret, const struct cmd_project_options *o,
		     struct err *e) must_check;
void cmd_project_release(struct cmd_project *p); /* also when opening it failed; twice is fine */
#define auto_cmd_project cleanup(cmd_project_release)

/* Begins to look at this machine, as the first thing of all; it may have to run node, which takes
 * as long as all else that a mount does. For a cmd_project that nothing has been done with. */
void cmd_project_look_ahead(struct cmd_project *p);

/* Looks at this machine, or ends what was begun, and fills `select`. */
void cmd_project_select(struct cmd_project *p);

/* What npm's settings say of resolving, and a registry that can be asked for it; what it says is
 * kept beside the store. `ret` borrows from `p`. After cmd_project_select(). */
int cmd_project_resolving(struct cmd_project *p, struct ideal_options *ret,
			  struct err *e) must_check;

/* What to resolve anew, besides what does not hold; all may be NULL or false. */
struct cmd_resolve {
	const struct project_edits *edits;
	const char *const *update; /* names, NULL-terminated */
	bool update_all;
	const char *from; /* another tool's lock to keep to instead of the project's; NULL: none */
	/* "1", "2" or "3": of the npm lock that is written; NULL: npm's setting, and without that
	 * the version that it has, if not everything is updated or it is 1: then 3, as for npm. */
	const char *lockfile_version;
	const char *tag; /* as in struct cmd_project_options; only `dx add` looks */
	bool keep_form;  /* keep its version although everything is updated */
	/* ideal_options.build */
	int (*build)(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		     void *arg, struct err *e);
	void *build_arg;
};

/* project_resolve() with npm's settings; what it let be is said on stderr. */
int cmd_project_resolve(struct cmd_project *p, const struct cmd_resolve *ask, struct lock **ret,
			struct err *e) must_check;

/* Says what is in a lock that was just made, on stdout (cmd_lock.c). */
int cmd_lock_summary(const struct lock *l, const struct project *p, struct err *e) must_check;

/* The lock to install from: fresh, and -ESTALE if it does not fit package.json. No thread is left
 * afterwards, so the caller may fork; no other lock can be read with `p` then. */
int cmd_project_lock(struct cmd_project *p, struct lock **ret, struct err *e) must_check;

/* The lock has been written: the mount of this project, if it is mounted, shows it when this
 * returns; if it will not, that is said on stderr, behind `who` ("dx lock"). */
void cmd_project_show(const struct cmd_project *p, const char *who);

/* The lock as a graph, whether it fits package.json or not. `*ret_lock` holds the graph's strings
 * and is NULL where none is needed; close it last. */
int cmd_project_graph(const struct cmd_project *p, struct lock **ret_lock, struct graph **ret,
		      struct err *e) must_check;

/* "name@1.0.0", of an alias "alias@npm:name@1.0.0", as npm names a package at its place. */
void cmd_node_id(struct buf *b, const struct graph *g, uint32_t node);

/* Is it what somebody names: by name, name@range, or place (node_modules/a/node_modules/b)? */
bool cmd_node_is(const struct graph_node *n, const char *arg);
