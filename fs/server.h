/* server.h - serve a lock: everything of a mount but the command line.
 *
 * One server serves all mounts of one project: node_modules and, where the lock has nested
 * packages below other tops (workspaces, link targets), their node_modules too. They share one
 * store, one slot table, one fetch, one view.
 *
 * The order of a mount:
 *
 *   server_new      opens the slot table, selects, lays the tree out; no threads, no network
 *   server_mount    once for each of server_mount_count(); no threads yet. The kernel holds what
 *                   is asked of the mount until the loop runs
 *   (fork)          descriptors and memory go over as they are; the parent must only _exit
 *   server_start    fetch, loops, timers: the threads
 *   server_wait     or poll server_fd(): until node_modules has been unmounted, by whomever
 *   server_free
 *
 * Threads: at most max(4, processors) for each mount's loop, one that runs each loop, one that ends
 * waits (fs/park.h), one that thinks ahead (fs/ahead.h), the minder that tells the kernel what
 * changed and prefetches, its helper where telling may have to wait, the one that gives it files
 * (fs/push.h), and fetch.h's. All but the loops' come when there is something to do and go again
 * (core/thread.h). None of them takes signals, so these come to the main's own thread. */
#pragma once
#include "core/store.h"
#include "fs/ahead.h"
#include "fs/park.h"
#include "fs/upper_care.h"
#include "lock/lock.h"
#include "lock/select.h"

#include <poll.h>
#include <sys/types.h>

struct npmrc;
struct server;

enum server_prefetch {
	PREFETCH_NONE,       /* only what is touched */
	PREFETCH_PREDICTED,  /* and what is likely to be touched next (fs/ahead.h) */
	PREFETCH_BACKGROUND, /* and all of the lock, at low priority, once the mount answers */
	PREFETCH_ALL,        /* the same, and server_wait_local() waits for it */
};

/* Borrowed until server_free, unless said otherwise. */
struct server_config {
	struct store *store;
	struct lock *lock;           /* handed over: closed by the server, also when
					server_new fails */
	struct select_params select; /* `failed` is not used */
	const struct npmrc *npmrc;   /* NULL: no fetching at all; what is missing is EIO */
	const char *project_dir;     /* real path; where node_modules stands */
	const char *state_dir;       /* of this mount: the slot table; made if missing */
	const char *upper_dir;       /* fs/upper.h; NULL: read-only, the superblock too */
	const char *root_id;         /* its name in <store>/roots; NULL: none is kept */
	mode_t umask;                /* of the user: npm's formula for modes needs it */
	mode_t npm_umask;            /* npm's own setting "umask"; 0 is its default */
	bool no_bin_links;           /* npm's setting bin-links is false */
	bool omit_resolved;          /* npm's setting omit-lockfile-registry-resolved */
	uid_t uid;                   /* owner of everything shown */
	gid_t gid;
	bool allow_other; /* other users may look; for a user this needs /etc/fuse.conf */
	bool offline;
	enum server_prefetch prefetch;
};

/* -ENOEXEC (EBADPLATFORM), -EBUSY: another process holds this state_dir or upper_dir; the errors of
 * select.h, lock.h, upper.h and of the state folder. */
int server_new(struct server **ret, const struct server_config *c, struct err *e) must_check;

/* After server_wait(), or when server_start() has not been called or has failed: the loops must
 * have ended. Unmounts what was mounted and never served. NULL is fine. */
void server_free(struct server *s);

/* How many folders there are to mount: 0 is <project_dir>/node_modules, others are for example
 * <project_dir>/packages/a/node_modules. */
unsigned server_mount_count(const struct server *s);

/* Mounts one of them, which is made if it is missing (and removed again at unmount
 * if it was). Root opens /dev/fuse and calls mount(2); others go through fusermount3. A folder
 * that is not empty, or is a mount already, is refused: -ENOTEMPTY, -EBUSY. */
int server_mount(struct server *s, unsigned i, struct err *e) must_check;

int server_start(struct server *s, struct err *e) must_check;

/* Readable once the mount of node_modules has ended; never read from it. */
int server_fd(const struct server *s);
void server_wait(struct server *s);

/* As server_wait(), but no longer than wait_ms: has all ended? Copies of a mount in other mount
 * namespaces (containers, sandboxes) keep it alive after it was unmounted here. */
bool server_wait_ms(struct server *s, unsigned wait_ms) must_check;

/* Waits until every package of the lock is here or has failed: 0, or -EIO when some failed; or
 * until poll(2) says something of one of `stop`: -EINTR. For PREFETCH_ALL; call it from the main's
 * thread after server_start. */
int server_wait_local(struct server *s, struct pollfd *stop, unsigned count,
		      struct err *e) must_check;

/* Unmounts node_modules, then the nested ones (these lazily if they are in use: then 1). -EBUSY: in
 * use, and nothing has been done; `lazy` detaches even so, and the server goes on for those who
 * still hold it. Any thread. When node_modules is unmounted by somebody else, the nested ones
 * follow. */
int server_unmount(struct server *s, bool lazy, struct err *e) must_check;

/* Looks anew whose install scripts failed (fs/built.h), leaves them out, and takes those back in
 * that did not; the kernel knows when it returns. Any thread but those that serve requests. */
int server_scripts(struct server *s, struct err *e) must_check;

/* Shows another lock from now on (consumed, also on failure), whole or not at all, and returns when
 * the kernel has been told: names that went, came or changed are looked up anew, directories listed
 * anew, and who watches a name that went sees it deleted. What stays at its place keeps its node
 * ids, times and cached bytes; open files keep their bytes. Nothing is done for a lock that is
 * shown already. Errors as server_new(); -ECANCELED when the server stops. Any thread but those
 * that serve. */
int server_relock(struct server *s, struct lock *lock, struct err *e) must_check;

/* Something that no package is to blame for: `what` stands where its name would, in the status. */
void server_note_error(struct server *s, const char *what, const char *reason);
void server_forget_errors(struct server *s, const char *what); /* it is well again */

/* What was written into the mounts, as fs/changes.h prints it; "[]" when they are read-only. */
int server_changes(struct server *s, struct buf *ret, struct err *e) must_check;
int server_aside(struct server *s, struct buf *ret, struct err *e) must_check;

/* Takes back what was written at a path of the project and below, NULL: everything, as
 * upper_reset(); when it returns the kernel knows. -EROFS: the mounts are read-only. Any thread but
 * those that serve. */
int server_reset(struct server *s, const char *path, uint64_t *ret_count, struct err *e) must_check;

/* ---- status ---- */

#define SERVER_OPCODES 64 /* opcodes 0 .. 63; what is above counts as 0 */

struct server_status {
	uint32_t packages, local, fetching, failed; /* distinct packages of the present view */
	bool offline_safe;                          /* local == packages */
	uint64_t bytes_fetched;                     /* from the network, by this daemon */
	uint64_t messages[SERVER_OPCODES];          /* from the kernel, all mounts together */
	uint32_t parked;                            /* requests that wait for a package now */
	uint64_t parked_ms; /* how long requests have waited so far, one added to the other */
	struct ahead_stats ahead;
	uint32_t generation; /* views shown so far, less one */
	uint32_t error_count;
	struct park_error errors[PARK_ERRORS]; /* oldest first */
};
void server_status(struct server *s, struct server_status *ret);
