/* cmd_mount_priv.h - dxfs mount in parts: its options, finding its place, serving. */
#pragma once
#include "fs/cmd_project.h"
#include "fs/ctl.h"
#include "fs/relock.h"
#include "fs/server.h"
#include "fs/state.h"
#include "fs/status.h"

#include <time.h>

/* The command line; strings are borrowed from argv. */
struct mount_options {
	struct cmd_project_options project;
	struct store_options store;
	const char *behind[STORE_BEHIND_MAX + 1];
	unsigned behind_count;
	const char *dir, *upper; /* upper NULL: in the state folder */
	bool foreground, read_only, allow_other, verbose;
	bool fallback_export; /* real files where nothing can be mounted */
	enum server_prefetch prefetch;
};

/* One mount while it is being made and served. */
struct mounting {
	const struct mount_options *o;
	struct state state;
	struct cmd_project project;
	struct store *store;
	struct ctl *ctl;
	struct server *server;
	struct cmd_project_options follow; /* o->project, for the same lock when it has changed */
	char *lock_file;                   /* o->project.lock_file, absolute; owned */
	struct relock *relock;
	bool cannot_mount; /* all else was right */
	struct status_facts facts;
	char *project_dir;
	char *upper_dir;     /* NULL: read-only */
	int stop_fd;         /* an eventfd: readable when unmounting was asked for and done */
	struct timespec lap; /* when the last step ended */
};

/* 0; -1: --help was answered; else the exit status, and all has been said. `o` must not move
 * afterwards. */
int mount_parse(struct mount_options *o, int argc, char **argv) must_check;

/* Opens and locks the state of o->dir, finds the project's folder, and removes mounts there whose
 * daemon is gone. 1: it is mounted and answers; 0: it is ours to mount. */
int mount_take_place(struct mounting *m, struct err *e) must_check;

/* With -v: what the time of a mount is spent on, step by step. */
void mount_lap(struct mounting *m, const char *step);

/* Threads from here on. Reports to `ready_fd` (one line, empty: it stands; -1: to nobody), then
 * serves until it is unmounted. The exit status. */
int mount_serve(struct mounting *m, int ready_fd);

/* The same in a child with a log, no terminal and no descriptors of the caller; exits with the
 * status once the mount answers. Returns only if there is no child. */
int mount_serve_behind(struct mounting *m);

void mount_release(struct mounting *m);
