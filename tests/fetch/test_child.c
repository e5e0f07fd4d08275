#include "fetch/child.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static int run_in(const char *dir, uint64_t dir_max, const char *script, int timeout_ms,
		  struct buf *out)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	auto_buf struct buf said = BUF_INIT(4096);
	struct child c = { .argv = argv,
			   .env = (const char *const *)environ,
			   .dir = dir,
			   .dir_max = dir_max,
			   .timeout_ms = timeout_ms,
			   .out = out,
			   .said = &said };

	return child_run(&c);
}

static int run(const char *script, int timeout_ms, struct buf *out)
{
	return run_in(NULL, 0, script, timeout_ms, out);
}

/* What has our session could ask for a password on our terminal, and would wait for it. */
Test(child, has_no_terminal_to_ask_on)
{
	auto_buf struct buf out = BUF_INIT(4096);
	int pid, session;

	cr_assert_eq(run("read -r pid c s ppid group session rest </proc/$$/stat; echo $$ $session",
			 60000, &out),
		     0);
	buf_add(&out, "", 1);
	cr_assert_eq(sscanf((char *)out.data, "%d %d", &pid, &session), 2);
	cr_expect_eq(session, pid);
	cr_expect_neq(session, getsid(0));
}

Test(child, is_ended_with_all_that_it_started)
{
	auto_buf struct buf out = BUF_INIT(16), other = BUF_INIT(16);

	cr_expect_eq(run("sleep 1000 & sleep 1000", 50, &out), -ETIMEDOUT);
	cr_expect_eq(run("while :; do echo more; done", 60000, &out), -E2BIG);
	/* Also when it has closed what it prints to. */
	cr_expect_eq(run("exec >&- 2>&-; sleep 1000", 50, &other), -ETIMEDOUT);
}

Test(child, may_not_write_more_than_its_folder_is_to_hold)
{
	auto_buf struct buf out = BUF_INIT(4096);
	char dir[TEST_DIR_SIZE], file[64];

	test_dir(dir, sizeof dir);
	(void)snprintf(file, sizeof file, "%s/f", dir);
	cr_expect_eq(run_in(dir, 4096, "head -c 4096 /dev/zero >f", 60000, &out), 0);
	cr_expect_eq(run_in(dir, 4096, "head -c 4097 /dev/zero >f; sleep 1000", 60000, &out),
		     -EFBIG);
	(void)unlink(file);
	(void)rmdir(dir);
}

/* What it had open is closed when all that it started is gone. */
Test(child, ends_with_whom_a_signal_ends)
{
	int p[2], status = 0;
	char text[8];
	pid_t pid;

	cr_assert_eq(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		auto_buf struct buf out = BUF_INIT(4096);
		sigset_t set;

		(void)sigemptyset(&set);
		(void)sigaddset(&set, SIGINT);
		(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
		(void)signal(SIGINT, SIG_DFL);
		(void)close(p[0]);
		if (dup2(p[1], 9) < 0) /* a number that every sh reads */
			_exit(3);
		if (p[1] != 9)
			(void)close(p[1]);
		child_enter();
		_exit(run("echo here >&9; sleep 1000 & sleep 1000", 600000, &out) == -EINTR
			      ? (child_leave(), 1)
			      : 2);
	}
	(void)close(p[1]);
	cr_assert_eq(read(p[0], text, sizeof text), 5);
	cr_assert_eq(kill(pid, SIGINT), 0);
	cr_expect_eq(read(p[0], text, sizeof text), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	(void)close(p[0]);
}
