#include "fetch/child.h"
#include "tests/lib/test.h"

#include <stdio.h>

static int run(const char *script, int timeout_ms, struct buf *out)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	auto_buf struct buf said = BUF_INIT(4096);
	struct child c = { .argv = argv,
			   .env = (const char *const *)environ,
			   .timeout_ms = timeout_ms,
			   .out = out,
			   .said = &said };

	return child_run(&c);
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
	auto_buf struct buf out = BUF_INIT(16);

	cr_expect_eq(run("sleep 1000 & sleep 1000", 50, &out), -ETIMEDOUT);
	cr_expect_eq(run("while :; do echo more; done", 60000, &out), -E2BIG);
}
