/* hold.h - when the background has to keep away.
 *
 * What a program needs that has just been started comes sooner, and the program runs faster, while
 * the rest of the lock is left alone: downloading, checking and unpacking it takes processors. So
 * after the first HOLD_FIRST packages, which come while the program's own start takes its time, the
 * background waits
 *
 *   - until nothing has been touched for the first time for HOLD_QUIET_MS, and a processor is idle,
 *   - or requests wait for packages, others than the first, for which a connection must be made:
 *     then the network is what is slow, and more at once is better,
 *   - and HOLD_MAX_MS at most.
 *
 * Pure but for hold_idle_ms(), and one thread's: the minder's (minder.c). */
#pragma once
#include "core/base.h"

#define HOLD_FIRST    32 /* packages */
#define HOLD_TICK_MS  20 /* between two looks */
#define HOLD_QUIET_MS 200
#define HOLD_WAITS    4   /* looks, one after the other, that found a request waiting */
#define HOLD_FAR_MS   200 /* that requests have waited, one added to the other */
#define HOLD_MAX_MS   3000
#define HOLD_IDLE     0.8 /* of one processor */

struct hold_seen {
	int64_t now_ms;
	uint64_t touches;   /* packages that have been touched so far */
	uint64_t waited_ms; /* by all requests whose wait has ended */
	uint64_t idle_ms;   /* of all processors together since some time; 0: not known. Only
			     * needed HOLD_QUIET_MS after looked_ms */
	bool parked;        /* a request waits now */
	bool any_came;      /* a package that was asked for */
};

/* Zeroed: not on. */
struct hold {
	bool on;
	int64_t tick_ms; /* when to look again */
	int64_t until_ms, quiet_ms;
	struct hold_seen last;
	uint64_t waited_ms; /* what had been waited when the first package had come */
	unsigned waits;     /* the last so many looks found a request waiting */
	bool busy;          /* no processor was idle between the last two looks at them */
	int64_t looked_ms;  /* at the processors */
	uint64_t idle_ms;   /* then */
};

void hold_begin(struct hold *h, const struct hold_seen *seen);

/* At tick_ms; `on` is false when it is over. */
void hold_look(struct hold *h, const struct hold_seen *seen);

/* hold_seen.idle_ms, since the machine was started. */
uint64_t hold_idle_ms(void);
