/* crew.h - a few threads for what may take long: fsync, long copies.
 *
 * Jobs are done in the order in which they came, as many at once as there may be threads, which
 * come when there are jobs and go when there have been none for a while (core/thread.h). A job is
 * embedded in the caller's own struct and is the caller's again once run is called. */
#pragma once
#include "core/err.h"

struct job {
	void (*run)(struct job *j);
	struct job *next; /* the crew's */
};

struct crew;
struct crew *crew_new(void) must_check; /* NULL: out of memory */
/* From now on there may be so many threads; after every fork. */
void crew_start(struct crew *c, unsigned threads);
/* Any thread; also before crew_start. Where no thread can be had, the job is done at once. */
void crew_do(struct crew *c, struct job *j);
/* Ends when all that was given has been done; nothing may come afterwards. */
void crew_stop(struct crew *c);
void crew_free(struct crew *c); /* after crew_stop, or if never started; NULL is fine */
