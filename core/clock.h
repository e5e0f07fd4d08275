/* clock.h - the time that only goes forward. */
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
