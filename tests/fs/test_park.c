#include "core/clock.h"
#include "fs/park.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* What is parked here, and how it ended. */
struct waiter {
	struct parked p;
	pthread_mutex_t mu;
	pthread_cond_t ended;
	int result; /* 1 while it waits; guarded by mu */
	int times;
};

struct wants {
	struct park *park;
	int demand, background, dropped;
	int answer_at_once; /* 1: no; else the result */
};

static void on_resume(struct parked *p, int result)
{
	struct waiter *w = (void *)((char *)p - offsetof(struct waiter, p));

	(void)pthread_mutex_lock(&w->mu);
	w->result = result;
	w->times++;
	(void)pthread_cond_signal(&w->ended);
	(void)pthread_mutex_unlock(&w->mu);
}

static void on_want(void *arg, struct parcel *src, enum park_prio prio)
{
	struct wants *w = arg;

	w->demand += prio == PARK_DEMAND;
	w->background += prio == PARK_BACKGROUND;
	if (w->answer_at_once != 1)
		park_done(w->park, src, w->answer_at_once, "because", false);
}

static struct waiter waiter(pid_t pid)
{
	return (struct waiter){ .p = { .resume = on_resume, .pid = pid },
				.mu = PTHREAD_MUTEX_INITIALIZER,
				.ended = PTHREAD_COND_INITIALIZER,
				.result = 1 };
}

static int wait_for(struct waiter *w)
{
	(void)pthread_mutex_lock(&w->mu);
	while (w->result == 1)
		(void)pthread_cond_wait(&w->ended, &w->mu);
	(void)pthread_mutex_unlock(&w->mu);
	return w->result;
}

static struct park *new_park(struct wants *w, unsigned deadline_ms)
{
	struct park_config c = {
		.want = on_want,
		.arg = w,
		.deadline_ms = deadline_ms,
		.tick_ms = 5,
	};

	w->park = park_new(&c);
	cr_assert(w->park);
	return w->park;
}

static struct parcel parcel(const char *name)
{
	return (struct parcel){ .name = name,
				.version = "1.0.0",
				.resolved = "https://me:secret@registry.test/x/-/x-1.0.0.tgz?k=v" };
}

Test(park, one_fetch_for_many_who_wait_and_all_are_resumed_once)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct parcel src = parcel("x");
	struct waiter a = waiter(1), b = waiter(2);

	park_wait(p, &src, &a.p);
	park_wait(p, &src, &b.p);
	cr_assert_eq(w.demand, 1);
	cr_assert_eq(park_count(p), 2);
	cr_expect(park_on_its_way(p, &src));
	park_done(p, &src, 0, NULL, false);
	cr_assert_eq(a.result, 0);
	cr_assert_eq(b.result, 0);
	cr_assert_eq(a.times + b.times, 2);
	cr_assert_eq(park_count(p), 0);
	cr_expect(!park_on_its_way(p, &src));
	park_free(p);
}

Test(park, a_demand_moves_a_background_fetch_forward_but_not_the_other_way)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct parcel src = parcel("x");
	struct waiter a = waiter(1);

	park_want(p, &src, PARK_BACKGROUND);
	park_want(p, &src, PARK_BACKGROUND);
	cr_assert_eq(w.background, 1);
	park_wait(p, &src, &a.p);
	cr_assert_eq(w.demand, 1);
	park_want(p, &src, PARK_BACKGROUND);
	cr_assert_eq(w.background, 1);
	park_done(p, &src, 0, NULL, false);
	park_want(p, &src, PARK_BACKGROUND);
	cr_assert_eq(w.background, 2);
	park_stop(p);
	park_free(p);
}

Test(park, an_answer_that_comes_before_the_want_returns_is_not_lost)
{
	struct wants w = { .answer_at_once = 0 };
	struct park *p = new_park(&w, 0);
	struct parcel src = parcel("x");
	struct waiter a = waiter(1);

	park_wait(p, &src, &a.p);
	cr_assert_eq(a.result, 0);
	cr_assert_eq(a.times, 1);
	park_free(p);
}

Test(park, a_failure_is_an_io_error_and_is_listed)
{
	struct wants w = { .answer_at_once = -ENETUNREACH };
	struct park *p = new_park(&w, 0);
	struct park_error errors[PARK_ERRORS];
	struct parcel src = parcel("x");
	struct waiter a = waiter(1);

	park_wait(p, &src, &a.p);
	cr_assert_eq(a.result, -EIO);
	cr_expect(atomic_load(&src.failed));
	cr_assert_eq(park_errors(p, errors), 1);
	cr_assert_str_eq(errors[0].package, "x@1.0.0");
	cr_assert_str_eq(errors[0].reason, "because");
	park_free(p);
}

Test(park, only_the_last_errors_are_kept_oldest_first)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct park_error errors[PARK_ERRORS];
	struct parcel src = parcel("x");

	for (int i = 0; i < PARK_ERRORS + 5; i++) {
		char why[16];

		snprintf(why, sizeof why, "%d", i);
		park_done(p, &src, -EIO, why, false);
	}
	cr_assert_eq(park_errors(p, errors), PARK_ERRORS);
	cr_assert_str_eq(errors[0].reason, "5");
	cr_assert_str_eq(errors[PARK_ERRORS - 1].reason, "36");
	park_free(p);
}

Test(park, an_optional_package_that_is_not_there_is_no_error)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct park_error errors[PARK_ERRORS];
	struct parcel src = parcel("x");
	struct waiter a = waiter(1);

	park_wait(p, &src, &a.p);
	park_done(p, &src, -ENOENT, "404", true);
	cr_assert_eq(a.result, -ENOENT);
	cr_assert_eq(park_errors(p, errors), 0);
	/* Nor one that cannot be unpacked; but that is told. */
	park_wait(p, &src, &a.p);
	park_done(p, &src, -EBADMSG, "wrong bytes", true);
	cr_assert_eq(a.result, -ENOENT);
	cr_assert(!atomic_load(&src.failed));
	cr_assert_eq(park_errors(p, errors), 1);
	park_free(p);
}

Test(park, a_wait_ends_at_its_deadline_with_one_error_without_credentials)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 20);
	struct park_error errors[PARK_ERRORS];
	struct parcel src = parcel("x");
	struct waiter a = waiter(getpid()), b = waiter(getpid());

	park_wait(p, &src, &a.p);
	park_wait(p, &src, &b.p);
	park_start(p);
	cr_assert_eq(wait_for(&a), -EIO);
	cr_assert_eq(wait_for(&b), -EIO);
	park_stop(p);
	cr_assert_eq(park_errors(p, errors), 1);
	cr_expect(strstr(errors[0].reason, "https://registry.test/x/-/x-1.0.0.tgz within"));
	cr_expect(!strstr(errors[0].reason, "secret"));
	park_free(p);
}

/* A child that blocks in a pipe with SIGALRM or SIGTERM pending and blocked or not. */
static pid_t child_with(int sig, bool blocked)
{
	int ready[2];
	char c;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		sigset_t set;

		(void)sigemptyset(&set);
		(void)sigaddset(&set, sig);
		if (blocked)
			(void)sigprocmask(SIG_BLOCK, &set, NULL);
		(void)raise(blocked ? sig : 0);
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

Test(park, a_blocked_signal_does_not_end_a_wait_and_a_dead_caller_does)
{
	pid_t alive = child_with(SIGTERM, true);

	cr_expect(!park_is_dying(alive));
	cr_expect(!park_is_dying(getpid()));
	(void)kill(alive, SIGKILL);
	cr_assert_eq(waitpid(alive, NULL, 0), alive);
	cr_expect(park_is_dying(alive));
	cr_expect(park_is_dying(0));
}

Test(park, a_stopped_caller_with_a_pending_interrupt_is_dying)
{
	pid_t child = child_with(SIGALRM, false);

	/* A stopped process keeps what is sent to it pending. */
	(void)kill(child, SIGSTOP);
	cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
	cr_expect(!park_is_dying(child));
	(void)kill(child, SIGALRM);
	cr_expect(!park_is_dying(child));
	(void)kill(child, SIGINT);
	cr_expect(park_is_dying(child));
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

Test(park, only_a_marked_request_of_a_dying_caller_is_interrupted)
{
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct parcel src = parcel("x");
	pid_t child = child_with(SIGALRM, false);
	struct waiter a = waiter(child), b = waiter(getpid()), c = waiter(child);

	park_wait(p, &src, &a.p);
	park_wait(p, &src, &b.p);
	park_wait(p, &src, &c.p);
	park_start(p);
	park_interrupt(&a.p);
	park_interrupt(&b.p);
	(void)kill(child, SIGSTOP);
	cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
	(void)kill(child, SIGTERM);
	cr_assert_eq(wait_for(&a), -EINTR);
	cr_assert_eq(b.result, 1);
	cr_assert_eq(c.result, 1);
	park_stop(p);
	cr_assert_eq(b.result, -EIO);
	cr_assert_eq(c.result, -EIO);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	park_free(p);
}

/* Marked requests of those who live on do not keep one of a dying caller from being looked at. */
Test(park, a_crowd_of_marked_requests_hides_nobody)
{
	enum { CROWD = 300 };
	struct wants w = { .answer_at_once = 1 };
	struct park *p = new_park(&w, 0);
	struct parcel src = parcel("x");
	pid_t child = child_with(SIGALRM, false);
	struct waiter a = waiter(child), crowd[CROWD];

	(void)kill(child, SIGSTOP);
	cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
	(void)kill(child, SIGTERM);
	park_wait(p, &src, &a.p);
	park_interrupt(&a.p);
	for (size_t i = 0; i < CROWD; i++) {
		crowd[i] = waiter(getpid());
		park_wait(p, &src, &crowd[i].p);
		park_interrupt(&crowd[i].p);
	}
	park_start(p);
	cr_assert_eq(wait_for(&a), -EINTR);
	park_stop(p);
	for (size_t i = 0; i < CROWD; i++)
		cr_assert_eq(crowd[i].result, -EIO);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	park_free(p);
}

static bool on_drop(void *arg, struct parcel *src)
{
	struct wants *w = arg;

	(void)src;
	return ++w->dropped == 1;
}

/* False: the machine slept so long that the first wait was over when the second began. */
static bool two_wait(struct park *p, struct parcel *src, int64_t deadline_ms)
{
	struct waiter a = waiter(0), b = waiter(0);
	int64_t began = now_ms();
	bool both;

	park_wait(p, src, &a.p);
	park_wait(p, src, &b.p);
	both = now_ms() - began < deadline_ms;
	cr_assert_eq(wait_for(&a), -EIO);
	cr_assert_eq(wait_for(&b), -EIO);
	return both;
}

static bool two_wait_thrice(unsigned deadline_ms)
{
	struct wants w = { .answer_at_once = 1 };
	struct park_config c = { .want = on_want,
				 .drop = on_drop,
				 .arg = &w,
				 .deadline_ms = deadline_ms,
				 .tick_ms = 5 };
	struct park *p = park_new(&c);
	struct parcel src = parcel("x");
	bool both = true;

	cr_assert(p != NULL);
	w.park = p;
	park_start(p);
	for (int round = 1; both && round <= 3; round++) {
		both = two_wait(p, &src, deadline_ms);
		if (!both)
			break;
		cr_expect_eq(w.dropped, round, "for the last of them only");
		cr_expect_eq(w.demand, round, "each time it is asked for again");
		cr_expect_eq(park_on_its_way(p, &src), round > 1);
	}
	park_stop(p);
	park_free(p);
	return both;
}

Test(park, what_nobody_waits_for_any_more_is_not_wanted_any_more)
{
	unsigned deadline_ms = 100;

	while (!two_wait_thrice(deadline_ms)) {
		deadline_ms *= 4;
		cr_assert(deadline_ms < 60000, "no two calls come after another here");
	}
}
