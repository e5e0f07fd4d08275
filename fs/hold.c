#include "fs/hold.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

uint64_t hold_idle_ms(void)
{
	auto_close int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	char line[256];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	unsigned long long idle, wait;

	if (n <= 0)
		return 0;
	line[n] = '\0';
	if (sscanf(line, "cpu %*u %*u %*u %llu %llu", &idle, &wait) != 2)
		return 0;
	return (idle + wait) * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
}

void hold_begin(struct hold *h, const struct hold_seen *seen)
{
	*h = (struct hold){ .on = true,
			    .tick_ms = seen->now_ms + HOLD_TICK_MS,
			    .until_ms = seen->now_ms + HOLD_MAX_MS,
			    .quiet_ms = seen->now_ms + HOLD_QUIET_MS,
			    .last = *seen,
			    .looked_ms = seen->now_ms,
			    .idle_ms = seen->idle_ms };
}

static void look_at_processors(struct hold *h, const struct hold_seen *seen)
{
	/* Below 0, too: the kernel's count of what waits for disks may go back. */
	int64_t idle_ms = (int64_t)(seen->idle_ms - h->idle_ms);

	h->busy = seen->idle_ms &&
		  (double)idle_ms < HOLD_IDLE * (double)(seen->now_ms - h->looked_ms);
	h->idle_ms = seen->idle_ms;
	h->looked_ms = seen->now_ms;
}

/* Since the first package has come. */
static bool network_is_slow(struct hold *h, const struct hold_seen *seen)
{
	if (!h->last.any_came)
		h->waited_ms = seen->waited_ms;
	h->waits = seen->any_came && seen->parked ? h->waits + 1 : 0;
	return h->waits >= HOLD_WAITS || seen->waited_ms - h->waited_ms >= HOLD_FAR_MS;
}

void hold_look(struct hold *h, const struct hold_seen *seen)
{
	bool slow = network_is_slow(h, seen);

	if (seen->touches != h->last.touches)
		h->quiet_ms = seen->now_ms + HOLD_QUIET_MS;
	if (seen->now_ms - h->looked_ms >= HOLD_QUIET_MS)
		look_at_processors(h, seen);
	h->tick_ms = seen->now_ms + HOLD_TICK_MS;
	h->last = *seen;
	h->on = !slow && seen->now_ms < h->until_ms && (seen->now_ms < h->quiet_ms || h->busy);
}
