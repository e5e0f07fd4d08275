#include "fs/hold.h"

#include "core/clock.h"

#include <fcntl.h>
#include <stdio.h>

/* What all processors together have idled, in ticks of _SC_CLK_TCK; 0: not known. */
static uint64_t idle_ticks(void)
{
	auto_close int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	char line[256];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	unsigned long long idle, wait;

	if (n <= 0)
		return 0;
	line[n] = '\0';
	return sscanf(line, "cpu %*u %*u %*u %llu %llu", &idle, &wait) == 2 ? idle + wait : 0;
}

static void look_at_processors(struct hold *h, int64_t now)
{
	uint64_t ticks = idle_ticks();
	double hz = (double)sysconf(_SC_CLK_TCK);

	h->busy = ticks && (double)(ticks - h->idle_ticks) / hz <
				   HOLD_IDLE * (double)(now - h->looked_ms) / 1000;
	h->idle_ticks = ticks;
	h->looked_ms = now;
}

void hold_begin(struct hold *h)
{
	int64_t now = now_ms();

	*h = (struct hold){ .on = true,
			    .tick_ms = now + HOLD_TICK_MS,
			    .until_ms = now + HOLD_MAX_MS,
			    .quiet_ms = now + HOLD_QUIET_MS,
			    .looked_ms = now,
			    .idle_ticks = idle_ticks() };
}

/* Since the first package has come. */
static bool network_is_slow(struct hold *h, struct park *park, bool any_came)
{
	uint64_t waited_ms = park_waited_ms(park);

	if (!any_came || !h->any_came)
		h->waited_ms = waited_ms;
	h->any_came = any_came;
	h->waits = any_came && park_count(park) > 0 ? h->waits + 1 : 0;
	return h->waits >= HOLD_WAITS || waited_ms - h->waited_ms >= HOLD_FAR_MS;
}

void hold_look(struct hold *h, struct park *park, struct ahead *ahead, bool any_came)
{
	uint64_t touches = ahead_touches(ahead);
	bool slow = network_is_slow(h, park, any_came);
	int64_t now = now_ms();

	if (touches != h->touches)
		h->quiet_ms = now + HOLD_QUIET_MS;
	if (now - h->looked_ms >= HOLD_QUIET_MS)
		look_at_processors(h, now);
	h->tick_ms = now + HOLD_TICK_MS;
	h->touches = touches;
	h->on = !slow && now < h->until_ms && (now < h->quiet_ms || h->busy);
}
