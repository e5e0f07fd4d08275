/* child.h - another program (npm, git), run without a shell, a terminal or input, and bounded.
 *
 * It is the first of a session of its own: no terminal is its to ask questions on, and when it
 * takes too long or is not wanted any more, all that it started is killed with it. So it is when
 * SIGINT, SIGTERM or SIGHUP is about to end this process. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

struct child {
	const char *const *argv; /* NULL-terminated; argv[0] is looked for on $PATH */
	const char *const *env;  /* all of its environment, NULL-terminated */
	const char *dir;         /* where it runs; NULL: here */
	int timeout_ms;
	const _Atomic bool *stop; /* true ends it; NULL: nothing does */
	struct buf *out;          /* what it prints: past the buf's limit it is killed */
	struct buf *said;         /* what it says of errors, as much as fits; may be `out` */
	uint64_t dir_max;         /* bytes that the files in `dir` may have, looked at each second;
				     0: any number */
};

/* 0: it ended well. -ENOENT: there is no such program; -ETIMEDOUT; -ECANCELED; -E2BIG: more than
 * `out` may hold, unless that is `said`; -EFBIG: more than dir_max; -EREMOTEIO: it failed; -EINTR:
 * a signal ends this process. Other errno: it could not be started. */
int child_run(const struct child *c) must_check;

/* Who has more to put away than the child puts himself between these two, in any thread: a signal
 * that is to end this process ends the children at once and the process when the last has left. */
void child_enter(void);
void child_leave(void);

/* This process's environment with `set` ("KEY=value") instead of whatever it has of these keys,
 * which are compared without regard to case if `fold`. The caller frees *ret, but not the strings.
 */
int child_env(const char ***ret, const char *const *set, bool fold) must_check;
