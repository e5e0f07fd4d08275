/* ctl.h - talking to a mount's daemon: one line there, one answer back.
 *
 *   <state>/ctl   a unix stream socket, mode 0600; only the same user and root are heard
 *   request       one line, at most 4 KiB: "ping", "status", "stop" (unmount and end; an error if
 *                 it is in use), "stop lazy" (detach, end when the last program lets go), "scripts"
 *                 (look anew whose install scripts failed), "relock" (look at the lock now), "diff"
 *                 (fs/changes.h), "reset" and "reset PATH" (relative to the project; the answer is
 *                 how many changes were taken back)
 *   answer        "ok\n" or "error SENTENCE\n", then, where there is more (status, diff: JSON),
 *                 that, until the daemon closes
 *
 * One can drive it by hand: `echo status | nc -U ctl`. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

#define CTL_REQUEST_MAX 4096
#define CTL_ANSWER_MAX  ((size_t)256 << 20) /* a diff of a million files */

/* ---- daemon's side ---- */

/* Answers one request; what it adds to `answer` follows "ok". An error's sentence is sent
 * instead. Runs on the control thread. */
typedef int ctl_fn(void *arg, struct slice request, struct buf *answer, struct err *e);

struct ctl;
/* Binds before any thread is made (the descriptor survives a fork); listens from then on. */
int ctl_listen(struct ctl **ret, int state_dirfd, struct err *e) must_check;
/* Starts the control thread. */
int ctl_start(struct ctl *c, ctl_fn *fn, void *arg, struct err *e) must_check;
/* Stops the thread, removes the socket, frees. NULL is fine. Not from the control thread. */
void ctl_close(struct ctl *c);

/* ---- the other side ---- */

/* Sends a request, waits at most `timeout_ms` for the whole answer; the caller frees *ret
 * (NUL-terminated, without the "ok" line). -ENOENT or -ECONNREFUSED: no daemon. */
int ctl_ask(int state_dirfd, const char *request, unsigned timeout_ms, char **ret,
	    struct err *e) must_check;
