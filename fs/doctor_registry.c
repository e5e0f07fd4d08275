#include "fetch/http.h"
#include "fs/doctor.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

struct asking {
	int done_fd; /* an eventfd */
	unsigned status;
	int result;
	char why[200];
};

static void on_done(void *arg, struct http_response *r)
{
	struct asking *a = arg;

	a->status = r->status;
	a->result = r->result;
	(void)snprintf(a->why, sizeof a->why, "%s", r->why ? r->why : "");
	(void)!write(a->done_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* Any answer of HTTP will do, but for one that refuses us. */
static int ask(const struct npmrc *rc, const char *url, struct asking *a, struct err *e)
{
	const struct http_config c = { .npmrc = rc };
	const struct http_request rq = { .url = url,
					 .registry = url,
					 .prio = HTTP_NOW,
					 .limit = HTTP_BODY_SMALL,
					 .total_ms = DOCTOR_REGISTRY_MS,
					 .done = on_done,
					 .arg = a };
	struct pollfd p = { .fd = a->done_fd, .events = POLLIN };
	struct http_call *call = NULL;
	struct http *h = NULL;
	int r = http_start(&h, &c, e);

	if (r < 0)
		return r;
	r = http_get(h, &rq, &call, e);
	/* A resolver may hang longer than any deadline of a transfer. */
	if (r == 0 && poll(&p, 1, DOCTOR_REGISTRY_MS + 500) <= 0)
		r = err_set(e, -ETIMEDOUT, "no answer within %d s", DOCTOR_REGISTRY_MS / 1000);
	http_stop(h);
	http_call_release(call);
	http_free(h);
	return r;
}

static void judge(struct doctor_check *c, const char *url, const struct asking *a)
{
	c->finding = FINDING_OK;
	(void)snprintf(c->found, sizeof c->found, "%.150s answers", url);
	if (a->result == 0 || a->result == -ENOENT || a->result == -E2BIG)
		return;
	c->finding = FINDING_NOTE;
	(void)snprintf(c->found, sizeof c->found, "%s", a->why);
	if (a->result == -EACCES)
		(void)snprintf(c->advice, sizeof c->advice,
			       "log in with `npm login`, or set its token in .npmrc");
	else if (a->result == -EKEYREJECTED)
		(void)snprintf(c->advice, sizeof c->advice,
			       "set cafile in .npmrc; look at the clock");
	else
		(void)snprintf(c->advice, sizeof c->advice,
			       "what the store has works; for the rest look at registry, proxy and "
			       "https-proxy in .npmrc (`npm config list`)");
}

void doctor_registry(struct doctor_check *c)
{
	struct asking a = { .done_fd = eventfd(0, EFD_CLOEXEC) };
	struct npmrc *rc = NULL;
	const char *url = NULL;
	struct err e = { 0 };
	int r;

	*c = (struct doctor_check){ .name = "registry", .finding = FINDING_NOTE };
	r = a.done_fd < 0 ? err_set(&e, -errno, "%s", strerror(errno))
			  : npmrc_load(&rc, ".", NULL, &e);
	if (r == 0)
		r = npmrc_registry_for(rc, NULL, &url, &e);
	if (r == 0 && npmrc_bool(rc, "offline", false))
		(void)snprintf(c->found, sizeof c->found, "offline is set: not asked");
	else if (r == 0)
		r = ask(rc, url, &a, &e);
	if (r < 0) {
		(void)snprintf(c->found, sizeof c->found, "%.190s", e.msg);
		(void)snprintf(c->advice, sizeof c->advice,
			       "what the store has works; set `registry` in .npmrc for the rest");
	} else if (!c->found[0]) {
		judge(c, url, &a);
	}
	npmrc_free(rc);
	closep(&a.done_fd);
}
