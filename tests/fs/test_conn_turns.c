#include "fs/conn_turns.h"
#include "tests/lib/test.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 4

/* Sockets stand for /dev/fuse and for its answers: a thread sends back what it got. What is 'h' it
 * holds until there is something to read in `hold`. */
static struct turns turns;
static int ask[2], answer[2], hold[2];

static void *serve(void *arg)
{
	static _Thread_local char c, go; /* cancelled threads leave ASan's marks on their stacks */

	(void)arg;
	while (turns_read(&turns, &c, 1) == 1) {
		if (c == 'h' && read(hold[0], &go, 1) != 1)
			break;
		if (write(answer[1], &c, 1) != 1)
			break;
	}
	return NULL;
}

static void start(pthread_t threads[THREADS])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ask), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, answer), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, hold), 0);
	cr_assert_eq(turns_start(&turns, ask[0], THREADS), 0);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, serve, NULL), 0);
}

/* The end of the file, as ENODEV on /dev/fuse, is seen by whoever has the turn; the others are
 * cancelled, as libfuse does it. */
static void stop(pthread_t threads[THREADS])
{
	(void)close(ask[1]);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_cancel(threads[i]);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	turns_stop(&turns);
	(void)close(ask[0]);
	for (int i = 0; i < 2; i++) {
		(void)close(answer[i]);
		(void)close(hold[i]);
	}
}

static void send_one(char c)
{
	cr_assert_eq(write(ask[1], &c, 1), 1);
}

static char take_one(void)
{
	char c = 0;

	cr_assert_eq(read(answer[0], &c, 1), 1);
	return c;
}

Test(turns, one_after_the_other)
{
	pthread_t threads[THREADS];

	start(threads);
	for (int i = 0; i < 1000; i++) {
		send_one('x');
		cr_assert_eq(take_one(), 'x');
	}
	stop(threads);
}

Test(turns, a_thread_that_is_held_up_holds_nobody_up)
{
	pthread_t threads[THREADS];

	start(threads);
	for (int i = 0; i < THREADS - 1; i++)
		send_one('h');
	send_one('x');
	cr_assert_eq(take_one(), 'x', "the last thread takes what the others cannot");
	for (int i = 0; i < THREADS - 1; i++)
		cr_assert_eq(write(hold[1], "g", 1), 1);
	for (int i = 0; i < THREADS - 1; i++)
		cr_assert_eq(take_one(), 'h');
	stop(threads);
}

Test(turns, those_with_nothing_to_do_give_their_turn_back)
{
	pthread_t threads[THREADS];

	start(threads);
	send_one('h');
	send_one('x');
	cr_assert_eq(take_one(), 'x');
	cr_assert_eq(write(hold[1], "g", 1), 1);
	cr_assert_eq(take_one(), 'h');
	while (atomic_load(&turns.given) > 1 || !atomic_load(&turns.resting))
		(void)sched_yield();
	send_one('y');
	cr_assert_eq(take_one(), 'y', "and the one that is left works");
	stop(threads);
}

Test(turns, a_queue_is_everybodys)
{
	enum { COUNT = 100 };
	pthread_t threads[THREADS];

	start(threads);
	for (int i = 0; i < COUNT; i++)
		send_one('x');
	for (int i = 0; i < COUNT; i++)
		cr_assert_eq(take_one(), 'x');
	stop(threads);
}
