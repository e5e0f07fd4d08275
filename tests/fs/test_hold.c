#include "fs/hold.h"
#include "tests/lib/test.h"

#define BEGUN 1000000 /* ms */

static struct hold hold;
static struct hold_seen seen;

/* One processor of two is idle. */
static void begin(void)
{
	seen = (struct hold_seen){ .now_ms = BEGUN, .idle_ms = 500000 };
	hold_begin(&hold, &seen);
}

static void tick(double idle)
{
	seen.now_ms += HOLD_TICK_MS;
	seen.idle_ms += (uint64_t)(idle * HOLD_TICK_MS);
	cr_assert_eq(hold.tick_ms, seen.now_ms);
	hold_look(&hold, &seen);
}

/* How long it holds yet, with so many processors idle and nothing new. */
static int64_t lasts(double idle)
{
	int64_t from = seen.now_ms;

	while (hold.on)
		tick(idle);
	return seen.now_ms - from;
}

Test(hold, ends_when_nothing_is_touched)
{
	begin();
	cr_assert_eq(lasts(1), HOLD_QUIET_MS);
}

Test(hold, goes_on_with_every_touch)
{
	begin();
	for (unsigned i = 0; i < 50; i++) {
		seen.touches += i % 5 == 0;
		tick(1);
		cr_assert(hold.on);
	}
	cr_assert_eq(lasts(1), HOLD_QUIET_MS - 4 * HOLD_TICK_MS);
}

Test(hold, goes_on_while_no_processor_is_idle_but_not_for_ever)
{
	begin();
	for (unsigned i = 0; i < 50; i++)
		tick(0.2);
	cr_assert(hold.on);
	cr_assert(lasts(1) <= 2 * HOLD_QUIET_MS);
	begin();
	cr_assert_eq(lasts(0.2), HOLD_MAX_MS);
}

Test(hold, ends_early_where_idleness_is_not_known)
{
	seen = (struct hold_seen){ .now_ms = BEGUN };
	hold_begin(&hold, &seen);
	while (hold.on) {
		tick(0);
		seen.idle_ms = 0;
	}
	cr_assert_eq(seen.now_ms - BEGUN, HOLD_QUIET_MS);
}

Test(hold, ends_when_requests_wait)
{
	begin();
	seen.any_came = true;
	seen.parked = true;
	for (unsigned i = 1; i < HOLD_WAITS; i++) {
		tick(1);
		cr_assert(hold.on);
	}
	tick(1);
	cr_assert_not(hold.on);
}

Test(hold, ends_when_requests_have_waited_for_long_in_all)
{
	begin();
	seen.any_came = true;
	for (unsigned i = 0; i < 4; i++) {
		seen.parked = !seen.parked;
		seen.touches++;
		tick(1);
	}
	cr_assert(hold.on);
	seen.waited_ms += HOLD_FAR_MS;
	tick(1);
	cr_assert_not(hold.on);
}

/* Who waits for the first package waits for the connection. */
Test(hold, the_first_wait_says_nothing)
{
	begin();
	seen.parked = true;
	for (unsigned i = 0; i < 25; i++) {
		seen.touches++;
		tick(2);
		cr_assert(hold.on);
	}
	seen.waited_ms += 500;
	seen.any_came = true;
	seen.parked = false;
	tick(2);
	cr_assert(hold.on);
}

/* The kernel's count of what waits for disks may go back. */
Test(hold, idleness_that_goes_back_is_none)
{
	begin();
	for (unsigned i = 0; hold.on && i < HOLD_QUIET_MS / HOLD_TICK_MS; i++) {
		tick(0);
		seen.idle_ms--;
	}
	cr_assert(hold.on);
}

Test(hold, the_machine_says_how_idle_it_is)
{
	cr_assert(hold_idle_ms() > 0);
}
