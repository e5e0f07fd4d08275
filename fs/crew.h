/* crew.h - a few threads for what may take long: fsync, long copies.
 *
 * Jobs are done in the order in which they came, as many at once as there are threads. A job is
 * embedded in the caller's own struct and is the caller's again once run is called. */
#pragma once
#include "core/err.h"

struct job {
	void (*run)(struct job *j);
	struct job *next; /* the crew's */
};

struct crew;
struct crew *crew_new(void) must_check; /* NULL: out of memory */
/* Starts the threads (which take no signals); after every fork. */
int crew_start(struct crew *c, unsigned threads, struct err *e) must_check;
void crew_do(struct crew *c, struct job *j); /* any thread; also before crew_start */
/* Ends when all that was given has been done; nothing may come afterwards. */
void crew_stop(struct crew *c);
void crew_free(struct crew *c); /* after crew_stop, or if never started; NULL is fine */
