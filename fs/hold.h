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
 *   - and HOLD_MAX_MS at most. */
#pragma once
#include "fs/ahead.h"

#define HOLD_FIRST    32 /* packages */
#define HOLD_TICK_MS  20 /* between two looks */
#define HOLD_QUIET_MS 200
#define HOLD_WAITS    4   /* looks, one after the other, that found a request waiting */
#define HOLD_FAR_MS   200 /* that requests have waited, one added to the other */
#define HOLD_MAX_MS   3000
#define HOLD_IDLE     0.8 /* of one processor */

/* One thread's. Zeroed: not on. */
struct hold {
	bool on;
	int64_t tick_ms; /* when to look again */
	int64_t until_ms, quiet_ms;
	uint64_t touches;
	bool any_came;
	uint64_t waited_ms; /* what had been waited when the first package had come */
	unsigned waits;     /* the last so many looks found a request waiting */
	bool busy;          /* no processor was idle between the last two looks at them */
	int64_t looked_ms;
	uint64_t idle_ticks; /* then; of all processors */
};

void hold_begin(struct hold *h);

/* Looks, at tick_ms; `on` is false when it is over. `any_came`: a fetch has ended. */
void hold_look(struct hold *h, struct park *park, struct ahead *ahead, bool any_came);
