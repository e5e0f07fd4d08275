#include "fs/conn_turns.h"

#include "core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define LOOK_US     200 /* as long as node computes between most requests of a first run */
#define HELD_UP_US  40  /* a yield that takes longer: somebody has use for this processor */
#define LOOK_FAILS  4   /* after so many looks in vain ... */
#define LOOK_EVERY  8   /* ... only one time in so many */
#define QUEUE_LONG  8   /* requests that were there at once, one after the other */
#define WATCH_NS    1000000
#define WATCH_TICKS 20 /* the watcher goes to sleep after so many without work */

/* A thread serves one connection. */
static _Thread_local struct {
	bool has_turn;
	unsigned queued, fails, skipped;
	struct pollfd poll;
} me;

/* Threads are cancelled in sem_wait(), read() and poll(). What stands on the stack there is never
 * given back as ASan sees it, and the thread's end then looks like an overflow: so frames that may
 * be cancelled have nothing whose address is taken, nor what would be inlined into them. */
#define LEAF __attribute__((noinline))

static LEAF uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static LEAF void give(struct turns *t)
{
	unsigned n = atomic_load(&t->given);

	while (n < t->max)
		if (atomic_compare_exchange_weak(&t->given, &n, n + 1)) {
			(void)sem_post(&t->turn);
			return;
		}
}

static LEAF bool give_back(struct turns *t)
{
	unsigned n = atomic_load(&t->given);

	while (n > 1)
		if (atomic_compare_exchange_weak(&t->given, &n, n - 1)) {
			me.has_turn = false;
			return true;
		}
	return false;
}

static void wait_turn(struct turns *t)
{
	while (!me.has_turn)
		me.has_turn = sem_wait(&t->turn) == 0;
	me.queued = 0;
}

static bool shall_look(const struct turns *t)
{
	return t->look_us && (me.fails < LOOK_FAILS || ++me.skipped % LOOK_EVERY == 0);
}

/* -1 and EAGAIN when nothing has come in time. Who yields and is still ready to run is not woken
 * when a request comes: where others want the processor it is better to sleep. */
static ssize_t look(const struct turns *t, void *buf, size_t len)
{
	uint64_t begun = now_ns(), last = begun, now = begun;
	ssize_t n;

	do {
		last = now;
		(void)sched_yield(); /* whoever else has something to do shall do it */
		n = read(t->fd, buf, len);
		if (n >= 0 || errno != EAGAIN) {
			me.fails = 0;
			return n;
		}
		now = now_ns();
	} while (now - begun < t->look_us * UINT64_C(1000) && now - last < HELD_UP_US * 1000);
	me.fails = now - last < HELD_UP_US * 1000 ? me.fails + 1 : LOOK_FAILS;
	errno = EAGAIN;
	return n;
}

static void rest(struct turns *t)
{
	me.poll = (struct pollfd){ .fd = t->fd, .events = POLLIN };
	atomic_store(&t->resting, true);
	(void)poll(&me.poll, 1, -1);
	atomic_store(&t->resting, false);
	if (!atomic_exchange(&t->watched, true))
		(void)sem_post(&t->watch);
}

ssize_t turns_read(struct turns *t, void *buf, size_t len)
{
	ssize_t n;

	for (;;) {
		wait_turn(t);
		n = read(t->fd, buf, len);
		if (n >= 0 || errno != EAGAIN) {
			if (++me.queued % QUEUE_LONG == 0)
				give(t);
			break;
		}
		me.queued = 0;
		if (shall_look(t)) {
			n = look(t, buf, len);
			if (n >= 0 || errno != EAGAIN)
				break;
		}
		if (!give_back(t))
			rest(t);
	}
	(void)atomic_fetch_add_explicit(&t->taken, 1, memory_order_relaxed);
	return n;
}

/* ---- the watcher ---- */

static bool is_pending(const struct turns *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void watch(struct turns *t)
{
	const struct timespec tick = { .tv_nsec = WATCH_NS };
	uint64_t seen = atomic_load(&t->taken);
	bool pending = false;

	for (unsigned quiet = 0; quiet < WATCH_TICKS && !atomic_load(&t->stop);) {
		uint64_t taken;

		(void)nanosleep(&tick, NULL);
		taken = atomic_load(&t->taken);
		quiet = atomic_load(&t->resting) ? quiet + 1 : 0;
		if (taken != seen || atomic_load(&t->resting)) {
			pending = false;
		} else if (pending && is_pending(t)) {
			give(t);
			pending = false;
		} else {
			pending = is_pending(t);
		}
		seen = taken;
	}
}

static void *run_watcher(void *arg)
{
	struct turns *t = arg;

	while (!atomic_load(&t->stop)) {
		if (sem_wait(&t->watch) < 0)
			continue;
		do {
			watch(t);
			atomic_store(&t->watched, false);
			/* Whoever went to work just now saw it awake. */
		} while (!atomic_load(&t->resting) && !atomic_load(&t->stop) &&
			 !atomic_exchange(&t->watched, true));
	}
	return NULL;
}

int turns_start(struct turns *t, int fd, unsigned max)
{
	cpu_set_t cpus;
	int flags = fcntl(fd, F_GETFL);

	*t = (struct turns){ .fd = fd, .max = max, .given = 1, .look_us = LOOK_US };
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1)
		t->look_us = 0;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	(void)sem_init(&t->turn, 0, 1);
	(void)sem_init(&t->watch, 0, 1);
	atomic_store(&t->watched, true);
	return thread_start(&t->watcher, run_watcher, t, NULL);
}

void turns_stop(struct turns *t)
{
	atomic_store(&t->stop, true);
	(void)sem_post(&t->watch);
	(void)pthread_join(t->watcher, NULL);
	(void)sem_destroy(&t->turn);
	(void)sem_destroy(&t->watch);
}
