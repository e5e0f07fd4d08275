#include "fs/listed.h"

#include <time.h>

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

static _Atomic uint64_t *remembered(struct listed *l, uint64_t dir)
{
	return &l->bare[(dir * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - LISTED_KEPT_BITS)];
}

static void go_on(struct listed *l, enum listed_how how, int64_t now)
{
	atomic_store_explicit(&l->until_s[how], now + LISTED_QUIET_S + 1, memory_order_relaxed);
}

static bool wanted(struct listed *l, enum listed_how how)
{
	int64_t until = atomic_load_explicit(&l->until_s[how], memory_order_relaxed), now;

	if (!until)
		return false;
	now = now_s();
	if (now >= until)
		return false;
	go_on(l, how, now);
	return true;
}

enum listed_how listed_how(struct listed *l, uint64_t dir)
{
	if (wanted(l, LISTED_ALL))
		return LISTED_ALL;
	atomic_store_explicit(remembered(l, dir), dir, memory_order_relaxed);
	return wanted(l, LISTED_DIRS) ? LISTED_DIRS : LISTED_NAMES;
}

bool listed_asked(struct listed *l, uint64_t dir, bool is_dir)
{
	enum listed_how how = is_dir ? LISTED_DIRS : LISTED_ALL;

	if (atomic_load_explicit(remembered(l, dir), memory_order_relaxed) != dir)
		return false;
	if (atomic_exchange_explicit(&l->asked[how], dir, memory_order_relaxed) != dir)
		return false;
	go_on(l, how, now_s());
	return !is_dir;
}
