/* fault.h - what the test registry is told to do wrong.
 *
 * A fault is a list of key=value: on the command line joined by commas
 * (--fault match=foo,kind=status,code=500,count=2), over HTTP as the query of
 * POST /-/fault. Keys:
 *   match   a piece of the request's path; absent: every request
 *   count   how often it happens; absent: always
 *   skip    how many matching requests pass first
 *   kind    delay   answer after `ms`
 *           rate    send `bps` bytes a second
 *           status  answer `code`, with "Retry-After: retry_after" if that is given
 *           cut     promise the whole body, close the connection after `bytes`
 *           flip    one bit of the body's middle is wrong
 *           garbage `bytes` bytes (default 64) behind the body, the length in accordance
 *           redirect  302 to the same path at `to`: same (default), other (the second port), or
 *                   a URL's beginning
 *           auth    401 unless "Authorization" is exactly `value`
 *           hang    accept and never answer, until the fault is cleared
 *           reset   close the connection instead of answering
 *           type    send the body as content type `value` (status 200), body replaced by `body`
 *           chaos   `percent` of the answers (default 5) are wrong in one of these ways: 500, 429
 *                   with Retry-After: 0, cut, flip, reset, hang. Which ones follows from `seed`,
 *                   the path, and how often that has been asked for
 * All that match apply; of those that decide the answer the first. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

struct effects {
	unsigned delay_ms, rate_bps, status, retry_after, garbage;
	bool cut, flip, hang, reset, has_retry_after;
	size_t cut_at;
	char redirect[256]; /* "", "same", "other", "http://..." */
	char body_type[64], body[256];
	unsigned generation; /* what faults_wait() is told */
};

struct faults;
struct faults *faults_new(void);
void faults_free(struct faults *f);

/* -EINVAL with a sentence for an unknown key or kind. */
int faults_add(struct faults *f, const char *const *keys, const char *const *values, unsigned n,
	       struct err *e) must_check;
int faults_add_text(struct faults *f, const char *text, struct err *e) must_check;

/* Forgets all; bumps the generation, which ends hangs and delays. */
void faults_clear(struct faults *f);

/* What shall happen to this request; counts it. `auth` may be NULL. */
void faults_apply(struct faults *f, const char *path, const char *auth, struct effects *ret);

/* Waits ms (0: for ever), but no longer than to the first faults_clear() since the effects of this
 * generation were found out. */
void faults_wait(struct faults *f, unsigned generation, unsigned ms);
