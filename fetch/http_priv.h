/* http_priv.h - between http.c (the front and the thread), http_sched.c (who is next), http_call.c
 * (what becomes of one call), http_transfer.c (one attempt with libcurl) and http_body.c (what
 * came). Everything here belongs to the network thread unless said. */
#pragma once
#include "core/clock.h"
#include "fetch/curl.h"
#include "fetch/http.h"
#include "fetch/url.h"

#include <pthread.h>
#include <stdatomic.h>

struct http_list {
	struct http_call *first, *last;
};

/* One authority; lives while calls name it. */
struct http_host {
	struct http_host *next;
	char *name; /* "https://host:port"; owned */
	struct http_list queue[HTTP_PRIOS];
	int64_t served_ms[HTTP_PRIOS]; /* when the queue last moved, or came to be */
	unsigned calls, active;
	bool streams;    /* it speaks HTTP/2; believed of TLS until it has answered */
	bool answered;   /* it has answered at all */
	int64_t down_ms; /* since when there is no connection to be had, after that; 0 */
	unsigned down_tries;
	struct http_call *probe; /* meanwhile: who looks, and has no connection yet; NULL */
	int64_t not_before_ms;   /* its Retry-After */
};

/* A call is begun or dropped, whichever comes first. */
enum call_fate { FATE_OPEN, FATE_BEGUN, FATE_DROPPED };

enum call_state { CALL_NEW, CALL_QUEUED, CALL_PAUSED, CALL_ACTIVE, CALL_OVER };

/* Why a call is paused. */
enum call_wait {
	WAIT_RETRY,
	WAIT_BUSY /* may_begin() said so */,
	WAIT_LINE /* gave way to HTTP_NOW */
};

/* The answer that is coming in; begun anew by each status line. */
struct http_answer {
	unsigned status;
	size_t header_bytes;
	uint64_t range_from;
	bool has_range, has_encoding, ranges, begun;
	bool has_max_age;
	uint32_t max_age_s;
	char *location, *etag, *last_modified; /* owned */
};

struct http_call {
	struct http *h;
	atomic_uint refs; /* the caller's and the network thread's */
	_Atomic(enum call_fate) fate;

	/* guarded by h->mu */
	struct http_call *inbox_next;
	bool in_inbox, cancelled;
	enum http_prio wanted;

	struct http_call *prev, *next; /* in the list that `state` says */
	enum call_state state;
	struct http_host *host;

	struct http_request rq; /* strings owned */
	struct url url;         /* of this hop */
	struct npmrc_auth auth;
	bool auth_known;
	unsigned tries, redirects;
	int64_t deadline_ms, not_before_ms, last_byte_ms;
	enum call_wait wait;   /* while CALL_PAUSED */
	int64_t wait_until_ms; /* not longer than that for others; 0: has not waited */

	CURL *easy; /* while active */
	struct curl_slist *headers;
	char curl_error[CURL_ERROR_SIZE];
	struct http_answer answer;
	struct http_body body;
	char *body_etag; /* strong validator of what body has so far; owned */
	uint64_t resume; /* this attempt asked for the body from here on */
	bool can_resume; /* the server said that it has ranges */
	uint64_t total;  /* bytes of the whole body, as announced; 0: unknown */
	struct digester *digester;
	bool delivered;   /* `done` has been called, though libcurl still has the transfer */
	bool folder_only; /* the last attempt believed the folder alone */
	bool unreachable; /* the last attempt found nobody */
	int error;        /* what a callback found, as negative errno; its sentence is in e */
	struct err e;
};

struct http {
	struct http_config c;
	pthread_t thread;
	pthread_mutex_t mu;
	struct http_call *inbox; /* guarded by mu */
	bool stopping;           /* guarded by mu */
	bool stopped;            /* the thread has been joined */

	CURLM *multi;
	struct http_host *hosts;
	struct http_list active, paused;
	unsigned active_count, active_now; /* active_now: of HTTP_NOW */
	unsigned sockets, retries;
	long connections; /* that libcurl may have to one host; 0: not told yet */
	bool retries_set; /* by npm's settings */
	int64_t retry_min_ms, retry_max_ms, retry_factor, stall_ms; /* stall_ms 0: not set */
	const char *cafile; /* borrowed from the npmrc; NULL */
	bool own_ca;        /* cafile or ca is set: the system's do not count */
	bool folder_only;   /* of the system's, the folder will do until it does not */
	bool roused;  /* a callback of libcurl has made room: no waiting before that is used */
	char *ca_pem; /* owned; NULL: a file, or the system's */
	size_t ca_pem_len;
	uint64_t random;

	atomic_size_t held;
	atomic_uint_fast64_t bytes, requests, retried;
	atomic_uint stat_active, stat_queued;
};

/* http_call.c: a call's way through its states. Each of these may free it, but call_leave(),
 * call_pause() and call_enqueue(). */
void http_list_add(struct http_list *l, struct http_call *c, bool front);
struct http_host *http_host_get(struct http *h, const struct url *u); /* NULL: out of memory */
void http_host_put(struct http *h, struct http_host *x);              /* NULL is fine */
void call_leave(struct http_call *c); /* whatever list it is in, and its transfer */
void call_enqueue(struct http_call *c, bool front);
void call_pause(struct http_call *c, enum call_wait why, int64_t until_ms);
bool call_decide(struct http_call *c, enum call_fate fate); /* any thread; false: too late */
bool call_begun(struct http_call *c); /* begins it; false: it has been dropped */
/* All bytes are here: hands them over now, from a callback of libcurl, which will not say that the
 * transfer has ended before it has read all else that has come on the connection. */
void call_deliver(struct http_call *c);
/* Its request is about to go out. A new connection ends an outage of the host, as far as it goes;
 * one from before proves nothing, but somebody else may look then: its answer may never come. */
void call_connected(struct http_call *c, bool is_new);
void call_finish(struct http_call *c, int result);
void call_fail(struct http_call *c, int result, const char *why);
void call_settle(struct http_call *c, CURLcode code);
void call_unref(struct http_call *c); /* any thread */

/* http_sched.c */
void sched_wake(struct http *h, int64_t now);
void sched_start(struct http *h, int64_t now);
void sched_yield_line(struct http *h, int64_t now);
unsigned sched_deadlines(struct http *h, int64_t now); /* the number of those that it ended */
int sched_timer(const struct http *h, int64_t now);    /* ms until something is due */

/* http_transfer.c */
long transfer_weight(enum http_prio prio);          /* of a stream */
int transfer_begin(struct http_call *c) must_check; /* sets up c->easy; sentence in c->e */
void transfer_end(struct http_call *c);             /* drops c->easy and its headers */
unsigned transfer_stall_ms(const struct http_call *c);

enum verdict { VERDICT_DONE, VERDICT_FAILED, VERDICT_REDIRECT, VERDICT_RETRY, VERDICT_AGAIN };
/* What an attempt came to. FAILED and RETRY leave result and sentence in c->e. AGAIN: at once, and
 * it does not count. */
enum verdict transfer_verdict(struct http_call *c, CURLcode code);
void answer_release(struct http_answer *a);

/* http_body.c */
void body_begin(struct http_body *b, struct http *h);
/* So many bytes are said to come. No promise: it only saves growing. */
void body_expect(struct http_body *b, uint64_t n);
int body_add(struct http_body *b, const void *p, size_t n, const char *tmp_dir,
	     struct err *e) must_check;
void body_reset(struct http_body *b);                           /* empty again */
int body_finish(struct http_body *b, struct err *e) must_check; /* bytes become readable */

/* http_tls.c: the CA certificates that npm would trust, where one file is not all of it. */
int tls_load(struct http *h, struct err *e) must_check;
