/* conn_turns.h - who of a loop's threads waits for the kernel: conn.c only.
 *
 * One request after the other, as a program that walks a tree sends them, is answered in a tenth of
 * the time that it takes to wake a sleeping thread. So one thread has the turn, keeps it while it
 * answers, and looks for the next request for a moment before it sleeps; the others sleep
 * until a turn is given out to them. A second turn, and more, is given out
 *
 *   - when requests stand in a queue, time after time, when the thread comes back, and
 *   - when one waits for a millisecond and nobody has taken any: the thread that has the turn is
 *     held up, by a disk for example. A watcher looks for that while there is something to do.
 *
 * Turns are given back by whoever finds nothing to do, all but the last. */
#pragma once
#include "core/base.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct turns {
	int fd;
	unsigned max;               /* turns at most: the threads */
	unsigned look_us;           /* how long to look before sleeping; 0: one processor only */
	atomic_uint given;          /* turns given out; at least 1 */
	atomic_uint_fast64_t taken; /* requests */
	atomic_bool resting;        /* the last turn's thread sleeps: nothing is to be done */
	atomic_bool watched;        /* the watcher is awake */
	atomic_bool stop;
	sem_t turn, watch;
	pthread_t watcher;
};

/* `fd` is /dev/fuse, which becomes non-blocking. 0 or -errno. */
int turns_start(struct turns *t, int fd, unsigned max) must_check;
void turns_stop(struct turns *t); /* once no thread is in turns_read() */

/* As read(2), once it is this thread's turn. A cancellation point. */
ssize_t turns_read(struct turns *t, void *buf, size_t len);
