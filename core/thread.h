/* thread.h - threads that take no signals: those are for the program's own. */
#pragma once
#include "core/err.h"

#include <pthread.h>

/* Runs fn(arg) in a new thread; its owner joins or detaches it. Errors: -EAGAIN, with a sentence.
 */
int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, struct err *e) must_check;

/* A thread that comes when there is something to do and goes when there has been nothing for
 * HELPER_IDLE_S: a daemon stays for days, and there may be a hundred of them. All of it is guarded
 * by its owner's mutex `mu`, and its thread waits on the owner's condition, of
 * helper_cond():
 *
 *	lock mu
 *	while (!something && !stop && helper_wait(&cond, &mu))
 *		;
 *	if (!something) {
 *		h->here = false;
 *		unlock mu; return NULL;
 *	} */
struct helper {
	pthread_t thread;
	bool made; /* and not yet joined */
	bool here; /* looks for something to do once more before it goes */
};
#define HELPER_IDLE_S 3

/* The owner's condition, whose waits go by a clock that nobody sets: after a jump of the wall clock
 * whoever is to be ended in time would wait for hours. */
void helper_cond(pthread_cond_t *ret);

/* The time in `ms` by that clock, for pthread_cond_timedwait(). */
struct timespec helper_until(int64_t ms);

/* Signals `cond` if the thread is here, else starts it. With `mu` held. */
int helper_call(struct helper *h, pthread_cond_t *cond, void *(*fn)(void *), void *arg,
		struct err *e) must_check;

/* From its thread, with `mu` held. False: nothing has come for HELPER_IDLE_S; look once more. */
bool helper_wait(pthread_cond_t *cond, pthread_mutex_t *mu) must_check;

/* Waits for its end, once it has been told to; without `mu`. */
void helper_join(struct helper *h);
