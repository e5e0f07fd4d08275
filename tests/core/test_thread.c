#include "core/clock.h"
#include "core/thread.h"
#include "tests/lib/test.h"

/* By the wall clock a time of the other one is long past, and no wait would last. */
Test(thread, helpers_wait_by_the_clock_that_nobody_sets)
{
	pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
	int64_t start = now_ms();
	struct timespec until = helper_until(1050);
	pthread_cond_t cond;
	int r;

	cr_expect(until.tv_nsec < 1000000000);
	until = helper_until(50);
	helper_cond(&cond);
	(void)pthread_mutex_lock(&mu);
	do
		r = pthread_cond_timedwait(&cond, &mu, &until);
	while (r == 0);
	(void)pthread_mutex_unlock(&mu);
	cr_expect_eq(r, ETIMEDOUT);
	cr_expect(now_ms() - start >= 49, "%lld ms", (long long)(now_ms() - start));
	(void)pthread_cond_destroy(&cond);
}
