/* fetch_priv.h - between fetch.c (wants and answers) and fetch_work.c (what a package goes
 * through).
 *
 * A flight is one package on its way. Exactly one list or thread has it at a time, its stage
 * says which; other threads may only change its priority, or drop it unstarted, under f->mu. The
 * dispatcher thread starts flights and answers those that failed; workers do what takes time; the
 * network thread (http.h) only hands over. */
#pragma once
#include "core/thread.h"
#include "fetch/fetch.h"
#include "fetch/gunzip.h"
#include "fetch/http.h"
#include "fetch/npmrc.h"
#include "fetch/source.h"

#include <pthread.h>
#include <stdatomic.h>

#define FETCH_BUCKETS     1024u
#define FETCH_PRIOS       3
#define FETCH_WORKERS_MAX 8u
#define FETCH_FAILURES    512u /* remembered at most; older ones are forgotten first */
#define FETCH_MEMORY_S    5u
#define FETCH_ROOM        GUNZIP_MEMORY_MAX
#define FETCH_ANEW        2u /* npm asks once more; of a thousand packages all shall come */
#define FETCH_NICE        10 /* of the workers but the one for demand, unless all is wanted */
#define FETCH_AGING       16u
#define FETCH_LOST        64u /* wants for which there was no memory, until they are answered */

#define FETCH_TARBALL_MAX   ((uint64_t)1 << 30)   /* the largest in use have some 200 MB */
#define FETCH_PACKUMENT_MAX ((uint64_t)256 << 20) /* as catalog_npm.h */
#define FETCH_DEMAND_MS     (10 * 60 * 1000)      /* a program waits: then rather an error */

enum stage {
	STAGE_NEW,       /* in the dispatcher's list */
	STAGE_ASKED,     /* with http.h, `call` is set */
	STAGE_BYTES,     /* in the workers' list */
	STAGE_WORKED_ON, /* a thread has it */
	STAGE_FAILED,    /* in the dispatcher's list, to be answered */
};

struct flight {
	struct flight *chain;       /* of its bucket; guarded by mu */
	struct flight *prev, *next; /* of its list; guarded by mu */
	enum stage stage;           /* guarded by mu */
	enum fetch_prio prio;       /* guarded by mu */
	unsigned wants;             /* bits 1 << prio of who wants it; guarded by mu */
	struct http_call *call;     /* guarded by mu; while STAGE_ASKED */

	struct fetch *f;
	struct fetch_pkg pkg; /* strings owned */
	struct source source;
	bool is_packument;  /* what was asked for, and what `body` is */
	bool asked_for_url; /* the packument has been asked; once is enough */
	unsigned anew;      /* how often wrong bytes have come */
	bool claimed;       /* store_claim() */
	struct http_body body;
	struct digest sha512;
	int result;
	struct err e;
};

struct flight_list {
	unsigned popped;
	struct flight *first[FETCH_PRIOS], *last[FETCH_PRIOS];
};

struct failure {
	struct digest key;
	int64_t until_ms;
	int result;
	char why[sizeof(((struct err *)0)->msg)];
};

/* Unpacking a large package takes a second; who waits for a small one shall not wait for that
 * because all workers are busy in the background. */
struct fetch_worker {
	struct fetch *f;
	struct helper helper;
	bool demand_only;
};

struct fetch {
	struct fetch_config c;
	char *project_dir, *tmp_dir;                        /* owned; project_dir may be NULL */
	unsigned worker_count;                              /* that there may be */
	struct fetch_worker workers[FETCH_WORKERS_MAX + 1]; /* the first for demand only */
	struct helper dispatcher;                           /* guarded by mu */
	unsigned waiting, signalled; /* workers, but for the first; guarded by mu */

	pthread_mutex_t mu;
	pthread_cond_t to_start, to_work;      /* with mu */
	pthread_cond_t to_work_demand;         /* of the worker for demand only; with mu */
	pthread_cond_t to_unpack;              /* with mu */
	size_t unpacking;                      /* bytes of memory, of FETCH_ROOM; guarded by mu */
	struct flight *buckets[FETCH_BUCKETS]; /* guarded by mu, as all below */
	struct flight_list starting, working;
	unsigned flights, busy;   /* in the buckets; with a worker */
	struct failure *failures; /* a ring; NULL until one is needed; owned */
	unsigned failure_next;
	struct digest lost[FETCH_LOST];
	unsigned lost_count;
	bool no_more_starts, no_more_work;

	struct http *http; /* made by the dispatcher, before any flight is asked for */
	atomic_bool stopping;
	atomic_uint_fast64_t fetched, failed;
};

/* fetch.c */
/* The flight ends: it is taken out, remembered if it failed, answered, freed. No lock held. */
void flight_end(struct flight *fl, int result);
/* Into the workers' list, or back to the dispatcher to be answered as failed. */
void flight_to_work(struct flight *fl);
void flight_to_fail(struct flight *fl, int result);

/* fetch_work.c */
void flight_start(struct flight *fl); /* on the dispatcher */
/* On a worker, whose scratch it is. */
void flight_work(struct flight *fl, struct gunzip_scratch *s);
