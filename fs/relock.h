/* relock.h - following the project's lock while it is mounted.
 *
 * A thread watches the project's folder (inotify): when package-lock.json, npm-shrinkwrap.json,
 * dx.lock or package.json is written, moved there or removed, by a branch switch or by npm, it
 * waits until nothing more has come for RELOCK_QUIET_MS, reads the lock as a mount does, and hands
 * it to the server (server_relock()). A lock that cannot be read or does not fit package.json
 * changes nothing: what is shown stays, the log and, until a lock is shown again, `dxfs status` say
 * why, and the next change is looked at again. Settings (.npmrc) are those of the mount until it is
 * mounted anew. */
#pragma once
#include "fs/cmd_project.h"
#include "fs/server.h"

/* Somebody who writes all the time does not put it off for longer than the second. */
#define RELOCK_QUIET_MS  100
#define RELOCK_LATEST_MS 2000
#define RELOCK_GONE_MS   300 /* how often it looks whether all is gone, once the lock is */

struct relock_config {
	struct server *server;
	/* As for the mount; borrowed while it runs. `dir` is set. */
	const struct cmd_project_options *project;
	/* The project is being deleted, or was: there is no lock any more, and all that the mount
	 * showed has been removed. Called on the thread, again and again until it is stopped. */
	void (*gone)(void *arg);
	void *arg;
};

struct relock;
int relock_start(struct relock **ret, const struct relock_config *c, struct err *e) must_check;
void relock_stop(struct relock *r); /* nothing is followed any more; NULL is fine */

/* After relock_stop. The kernel takes up to 200 ms to close an inotify descriptor: nobody should
 * be waiting. NULL is fine. */
void relock_free(struct relock *r);

/* Looks now, and waits until the mount shows the lock that stands there: 0, or why it does not
 * (the lock that is shown stays). Any thread. */
int relock_now(struct relock *r, struct err *e) must_check;
