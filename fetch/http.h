/* http.h - GET over HTTP/1.1 and HTTP/2: one thread, many transfers.
 *
 * One thread owns libcurl's multi handle: connections are kept and, over HTTP/2, shared.
 * http_get() queues and returns at once; the network thread starts what is queued by priority,
 * as far as the host's share allows (npm's maxsockets; more where one connection carries many
 * streams, which a host behind TLS is believed to do until it has answered: else the first two
 * round trips would bring a handful of packages), and calls `done` once for each call.
 *
 * HTTP_NOW overtakes. A part of the slots is kept free for it, and HTTP_LATER gets so few (unless
 * `bulk`), and half of those while a call of that priority is under way, that little is on the
 * line before it. What then still has more than HTTP_YIELD_MIN to bring stops where it is, if the
 * server can continue it, until nobody waits or HTTP_AGING_MS have gone. Nothing starves: a queue
 * that has not moved for HTTP_AGING_MS starts one call, whatever else is wanted.
 *
 * Bodies are collected whole, in memory up to HTTP_BODY_MEMORY_MAX and in an unlinked temporary
 * file past that, with SHA-512 computed as the bytes come. While all bodies together (under way,
 * or not yet released) take more than the budget, nothing below HTTP_NOW is started, and what is
 * under way goes to a file much earlier.
 *
 * Failures that may pass (network errors, 408, 420, 429, 5xx) are tried again fetch-retries
 * times (HTTP_RETRIES), with a pause that grows and varies; Retry-After is honoured up to
 * HTTP_RETRY_AFTER_MAX_S, for the whole host. A body that broke off is continued where it stood, if
 * the server can, and either its ETag is strong or the caller verifies the bytes anyway. A server
 * that has answered and then cannot be reached is waited for, HTTP_OUTAGE_MS at most: one call at a
 * time looks, until it has a connection, and that does not count as a try.
 *
 * Redirects (at most HTTP_REDIRECTS_MAX, to http and https only) lose credentials and client
 * certificate for good as soon as scheme, host or port differ. Down from https to http they are
 * followed only where the caller verifies the bytes. Sentences show URLs without credentials or
 * query. Settings come from npmrc.h: credentials, proxies, cafile, ca, strict-ssl, timeouts. */
#pragma once
#include "core/err.h"
#include "core/sri.h"
#include "fetch/npmrc.h"

#define HTTP_BODY_MEMORY_MAX   ((size_t)16 << 20)  /* past it a body goes to a file */
#define HTTP_BODY_SMALL        ((size_t)256 << 10) /* the same, while the budget is used up */
#define HTTP_BUDGET            ((size_t)32 << 20)  /* what a gigabit line brings in 250 ms */
#define HTTP_HEADERS_MAX       ((size_t)256 << 10) /* bytes of all headers of one answer */
#define HTTP_ERROR_BODY_MAX    ((size_t)64 << 10)  /* of an answer that is no success: not kept */
#define HTTP_REDIRECTS_MAX     20                  /* npm's limit */
#define HTTP_RETRIES_MAX       10                  /* whatever fetch-retries says */
#define HTTP_RETRIES           4  /* unless that is set: of a thousand packages all shall come */
#define HTTP_RETRIES_NOW       2  /* npm's; who waits, or has mistyped, shall be told */
#define HTTP_RETRY_AFTER_MAX_S 60 /* a server that asks for more has failed, for now */
#define HTTP_SOCKETS           15 /* npm's maxsockets, for one host */
/* For a host that speaks HTTP/2, on all connections together; at 100 ms, a thousand small packages
 * take a second. Servers allow 100 or 128 streams on a connection and often 1000 requests. When one
 * ends, all that were on it want another, and libcurl opens as many as it may: so it may not open
 * many, and they are shared from the beginning. One that the server has told to go away takes
 * nothing new while its last answers come: where maxsockets is less, there may be one more. */
#define HTTP_STREAMS      128
#define HTTP_STREAMS_BULK HTTP_ACTIVE_MAX
#define HTTP_STREAMS_EACH 64 /* on one connection */
#define HTTP_CONNECTIONS  4
#define HTTP_ACTIVE_MAX   192

/* Unless fetch-timeout and the like are set: npm's five minutes without a byte, and ten seconds
 * before a second try, are for installs; here a program may be waiting. */
#define HTTP_STALL_NOW_MS 20000
#define HTTP_STALL_MS     60000
#define HTTP_CONNECT_MS   15000
#define HTTP_RETRY_MIN_MS 1000
#define HTTP_RETRY_MAX_MS 10000
#define HTTP_RETRY_FACTOR 10
#define HTTP_TOTAL_MAX_MS (60 * 60 * 1000) /* tries and pauses together */

#define HTTP_OUTAGE_MS     30000        /* a server that has answered may be gone for so long */
#define HTTP_OUTAGE_TRY_MS 200          /* the first pause then */
#define HTTP_AGING_MS      5000         /* a queue that stood still so long moves */
#define HTTP_YIELD_MIN     (128u << 10) /* bytes to come of what makes way for HTTP_NOW */
#define HTTP_BUSY_MS       100          /* between two questions to may_begin() */
#define HTTP_BUSY_MAX_MS   30000

enum http_prio { HTTP_NOW, HTTP_SOON, HTTP_LATER, HTTP_PRIOS };

struct http;
struct http_config {
	const struct npmrc *npmrc; /* borrowed while the http lives */
	const char *tmp_dir;       /* for large bodies; borrowed; NULL: anonymous memory */
	size_t budget;             /* 0: HTTP_BUDGET */
	unsigned aging_ms;         /* 0: HTTP_AGING_MS */
	bool bulk;                 /* nothing will be HTTP_NOW: HTTP_LATER gets most of the line */
};
int http_start(struct http **ret, const struct http_config *c, struct err *e) must_check;
/* Ends every call with -ECANCELED, and the thread. Bodies stay valid until http_free(). */
void http_stop(struct http *h);
void http_free(struct http *h); /* stopped, all bodies and calls released; NULL is fine */

struct http_body {
	struct slice bytes;
	struct http *owner; /* private from here on */
	void *heap;
	size_t cap, mapped, counted;
	int fd; /* valid while owner and spilled */
	bool spilled;
};
void http_body_release(struct http_body *b); /* any thread; a zeroed one is fine */

struct http_response {
	int result;                       /* 0; or negative errno, see below */
	const char *why;                  /* the sentence of a failure, names the URL */
	unsigned status;                  /* of the last answer, 0 if there was none */
	const char *etag, *last_modified; /* NULL: none */
	bool has_max_age;                 /* Cache-Control speaks of an age; no-cache is 0 */
	uint32_t max_age_s;
	struct http_body body; /* may be moved away; what is left is released */
	struct digest sha512;  /* of the body, if asked for */
};

/* On the network thread, which must not be held up. Results: -ENOENT 404 or 410, -EACCES 401,
 * 403, 407, -ETIMEDOUT a deadline passed, -EHOSTUNREACH no connection, -EKEYREJECTED the
 * certificate is not trusted, -E2BIG past a limit, -EREMOTEIO the server failed, -EPROTO it
 * answered nonsense, -ELOOP too many redirects, -ECANCELED, -EINVAL a URL or a credential
 * that cannot be used, -ENOMEM, -ENOSPC and the like for the body. */
typedef void http_done_fn(void *arg, struct http_response *r);

struct http_request {
	const char *url;
	const char
		*registry;  /* whose credentials will do on its host, see npmrc_auth_for(); NULL */
	const char *accept; /* NULL: anything */
	const char *etag;   /* asks with If-None-Match; a 304 is a success; NULL */
	enum http_prio prio;
	uint64_t limit;    /* bytes of the (decoded) body */
	bool compressed;   /* the body may come gzipped, and is decoded; never resumed */
	bool gzip;         /* it may come gzipped, and is left so, for gunzip(); never resumed */
	bool verified;     /* the caller checks a digest before it uses the bytes */
	bool sha512;       /* compute it */
	unsigned total_ms; /* from the first try on; 0: HTTP_TOTAL_MAX_MS */
	/* Asked on the network thread when the first try is due. 0: go on; -EBUSY: ask again in a
	 * moment, for HTTP_BUSY_MAX_MS at most; else the call ends with that. NULL: go on. */
	int (*may_begin)(void *arg);
	http_done_fn *done;
	void *arg;
};

/* One GET. The caller holds a reference until http_call_release(), the network thread another
 * until `done` has returned. */
struct http_call;

/* Strings are copied. -ENOMEM, -ESHUTDOWN after http_stop: then `done` is not called. */
int http_get(struct http *h, const struct http_request *rq, struct http_call **ret,
	     struct err *e) must_check;
void http_set_prio(struct http_call *c, enum http_prio prio);
bool http_drop(struct http_call *c); /* true: not begun; it never will, nor is done called */
void http_call_release(struct http_call *c); /* NULL is fine */

struct http_stats {
	uint64_t bytes, requests, retries; /* of bodies; started; tried again */
	uint32_t active, queued;
	size_t held; /* bytes of bodies */
};
void http_stats(struct http *h, struct http_stats *ret);
