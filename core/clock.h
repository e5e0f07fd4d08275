/* clock.h - the time that only goes forward, and the time of day as files have it. */
#pragma once
#include <stdint.h>
#include <time.h>

/* Milliseconds since some moment that does not change while the machine runs. */
static inline int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Seconds since 1970, not less than any file's time that was taken before: time() lags behind by up
 * to a tick of the kernel, and what was written a moment ago may be of a second that it does not
 * know yet. */
static inline time_t wall_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}
