#include "core/thread.h"

#include <signal.h>
#include <time.h>

int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, struct err *e)
{
	sigset_t all, old;
	pthread_t thread;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return err_set(e, -r, "cannot start a thread: %s", strerror(r));
	*ret = thread;
	return 0;
}

void helper_cond(pthread_cond_t *ret)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(ret, &attr);
	(void)pthread_condattr_destroy(&attr);
}

struct timespec helper_until(int64_t ms)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

int helper_call(struct helper *h, pthread_cond_t *cond, void *(*fn)(void *), void *arg,
		struct err *e)
{
	int r;

	if (h->here) {
		(void)pthread_cond_signal(cond);
		return 0;
	}
	helper_join(h); /* it has nothing left to do but to return */
	r = thread_start(&h->thread, fn, arg, e);
	h->made = h->here = r == 0;
	return r;
}

bool helper_wait(pthread_cond_t *cond, pthread_mutex_t *mu)
{
	struct timespec until = helper_until(HELPER_IDLE_S * INT64_C(1000));

	return pthread_cond_timedwait(cond, mu, &until) != ETIMEDOUT;
}

void helper_join(struct helper *h)
{
	if (h->made)
		(void)pthread_join(h->thread, NULL);
	h->made = false;
}
