#include "core/thread.h"
#include "fs/ctl.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TIMES 200

/* Hears who calls and hangs up at once, as a daemon that is being killed does. */
static void *hang_up(void *arg)
{
	const int *listener = arg;

	for (int i = 0; i < TIMES; i++) {
		int fd = accept(*listener, NULL, NULL);

		if (fd >= 0)
			(void)close(fd);
	}
	return NULL;
}

Test(ctl, a_daemon_that_hangs_up_is_an_error_and_no_signal)
{
	char dir[TEST_DIR_SIZE];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), dirfd;
	pthread_t thread;
	struct err e = { 0 };

	test_dir(dir, sizeof dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/ctl", dir);
	cr_assert_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	cr_assert_eq(listen(listener, 1), 0);
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert(dirfd >= 0);
	cr_assert_eq(thread_start(&thread, hang_up, &listener, &e), 0);
	for (int i = 0; i < TIMES; i++) {
		char *answer = NULL;

		cr_assert(ctl_ask(dirfd, "ping", 5000, &answer, &e) < 0);
		cr_assert_not(answer);
	}
	(void)pthread_join(thread, NULL);
	(void)close(listener);
	(void)close(dirfd);
	(void)unlink(a.sun_path);
	(void)rmdir(dir);
}
