/* httpd.h - an HTTP/1.1 server in the test's own process, for answers that no real one gives.
 *
 * Each connection has a thread that reads a request and calls the handler, which answers in any
 * way it likes, byte by byte, breaks off, or never answers. Failures of the server itself abort
 * the test. Paths are compared as they stand in the request line. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct httpd;
struct httpd_conn;

struct httpd_request {
	const char *path;
	const char *headers; /* the lines behind the request line, as they came */
	unsigned nth;        /* 1 for the first request of this path */
};
typedef void httpd_fn(void *arg, struct httpd_conn *c, const struct httpd_request *rq);

/* On a free port of 127.0.0.1. */
struct httpd *httpd_start(httpd_fn *fn, void *arg);
void httpd_stop(struct httpd *h);                         /* ends what hangs, waits, frees */
const char *httpd_url(struct httpd *h, const char *path); /* one of eight turning buffers */
unsigned httpd_count(struct httpd *h, const char *path);  /* requests so far; NULL: of all */

/* Nothing listens any more, so that connecting is refused; the port stays ours, and connections
 * live on; and again, which must be before httpd_stop(). */
void httpd_gone(struct httpd *h);
void httpd_back(struct httpd *h);

/* ---- for the handler ---- */

/* The value of a header, or NULL; valid for the call. */
const char *httpd_header(struct httpd_conn *c, const char *name);
/* Status, extra header lines ("A: b\r\n", or NULL), Content-Length, body. */
void httpd_reply(struct httpd_conn *c, int status, const char *headers, const void *body, size_t n);
void httpd_send(struct httpd_conn *c, const void *p, size_t n); /* as it is */
void httpd_cut(struct httpd_conn *c);  /* the connection ends after this handler */
void httpd_hang(struct httpd_conn *c); /* returns when the other side has gone, or at httpd_stop */
