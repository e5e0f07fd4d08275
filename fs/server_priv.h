/* server_priv.h - a server from the inside; server*.c and minder*.c only. */
#pragma once
#include "core/thread.h"
#include "fetch/fetch.h"
#include "fs/ahead.h"
#include "fs/hold.h"
#include "fs/ops_priv.h"
#include "fs/server.h"

#include <pthread.h>

struct mount {
	struct conn conn;
	struct server *server;
	pthread_t thread; /* runs its loop */
	bool running;     /* thread is to be joined */
};

struct server {
	struct server_config c;
	struct places *places;
	struct park *park;
	struct view_cell *shown;
	struct upper *upper; /* NULL: read-only */
	struct crew *crew;   /* does what of the upper may take long */
	struct ops_server ops;
	struct push *push;
	struct listed listed;
	struct fetch *fetch; /* NULL: nothing is fetched */
	struct ahead *ahead;
	bool *failed; /* by graph node: not in the registry; minder only */

	char **paths; /* of the mounts, relative to the project */
	struct mount *mounts;
	atomic_uint mount_count; /* only grows; what stands below it stays where it is */
	unsigned mount_max;
	pthread_mutex_t mounting; /* held while mounts come and go, but for the first time */
	int ended_fd;             /* eventfd: node_modules has been unmounted */
	unsigned threads;
	atomic_uint generation;

	/* The minder: tells the kernel what a package that has come has changed, leaves out what
	 * the registry does not have, prefetches. It alone calls fuse_lowlevel_notify_*, which
	 * waits for requests in the same directory; so it holds nothing meanwhile. It is there
	 * while there is something to do. */
	struct store_root *root; /* the minder's; NULL: none is kept */
	struct hold hold;        /* the minder's */
	pthread_mutex_t mu;
	pthread_cond_t news;
	/* guarded by mu */
	struct helper minder;
	bool begun, stop;
	bool trimmed;         /* since the last news */
	struct parcel **come; /* packages to be looked at */
	size_t come_count, come_cap;
	struct parcel **missing; /* optional ones that are not in the registry */
	size_t missing_count, missing_cap;
	unsigned asked, answered; /* server_scripts(), server_relock() */
	struct basis *next;       /* the lock to show from now on; NULL: the same */
	int answer;               /* to the last one answered; minder only writes it */
	struct err answer_err;
	uint64_t dones; /* counts fetches that ended */
	/* The minder's helper: tells what may have to wait for a download. */
	struct helper late_teller;
	pthread_cond_t late_news;
	struct late *late, *late_last; /* oldest first */
	void *late_names;              /* the same as tsearch(3) has them */
};

/* Which nodes are there: not those that the registry lacks, nor those whose install scripts failed.
 * The minder's, or before it runs. */
int server_select(struct server *s, const struct graph *g, bool *present, struct err *e) must_check;

/* ---- server_mounts.c ---- */

int mounts_make(struct server *s, struct err *e) must_check;

/* Starts the thread that serves a mount; waits for all these threads. */
int mounts_serve(struct mount *m, struct err *e) must_check;
void mounts_join(struct server *s);

/* Mounts what the view has and is not mounted, unmounts what it has not. The minder's. */
void mounts_follow(struct server *s, const struct view *v);

/* ---- minder.c ---- */

/* Starts and ends the minder's thread. */
int minder_start(struct server *s, struct err *e) must_check;
void minder_stop(struct server *s);

/* After the park has ended all waits, for which the helper of minder_tell() may be waiting. */
void minder_late_stop(struct server *s);

/* A view_change_fn: takes it out of the kernel's caches; where that may have to wait for a
 * download, by the minder's helper. `arg` is the server. From a thread that answers no requests and
 * holds nothing. */
void minder_tell(void *arg, uint64_t root, uint64_t dir, const char *name, size_t name_len);

/* All that differs between two views; who watches what is gone hears of it. The minder's. */
void minder_tell_changes(struct server *s, struct view *old, struct view *fresh);

/* News, from any thread. */
void minder_come(struct server *s, struct parcel *src, bool missing);
