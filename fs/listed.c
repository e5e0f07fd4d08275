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
	return &l->by_name[(dir * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static void give_all(struct listed *l)
{
	atomic_store_explicit(&l->all_until, now_s() + LISTED_QUIET_S + 1, memory_order_relaxed);
}

bool listed_all(struct listed *l, uint64_t dir)
{
	int64_t until = atomic_load_explicit(&l->all_until, memory_order_relaxed);

	if (until && now_s() < until) {
		give_all(l);
		return true;
	}
	atomic_store_explicit(remembered(l, dir), dir, memory_order_relaxed);
	return false;
}

bool listed_asked(struct listed *l, uint64_t dir)
{
	if (atomic_load_explicit(remembered(l, dir), memory_order_relaxed) != dir)
		return false;
	if (atomic_exchange_explicit(&l->asked, dir, memory_order_relaxed) != dir)
		return false;
	give_all(l);
	return true;
}
