/* serve.h - the HTTP side of the test registry.
 *
 *   GET /<name>, /@scope/<name>, /@scope%2f<name>   the packument (ETag; brief if asked for)
 *   GET /<name>/-/<base>-<version>.tgz              the tarball (Range: bytes=N- too)
 *   GET /-/files/<path>                             any file of the folder, as it is
 *   GET /-/npm/v1/keys                              the folder's keys.json
 *   GET /-/ping                                     {}
 *   GET /-/log, DELETE /-/log                       the request log; forget it
 *   GET /-/inflight                                 paths that were asked for and not yet answered
 *   POST /-/fault?kind=...&match=..., DELETE /-/fault   see fault.h
 *   POST /-/rescan                                  read the folder again
 * Control requests are not logged and never faulted. A redirected request comes back as
 * /-/via/<path>, which is the same path without another redirect.
 *
 * A log line: METHOD PATH STATUS auth=0|1 port=main|other, one for each request, written before
 * its answer leaves. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

struct server;

struct server_config {
	const char *dir;
	const char *log_path; /* or NULL */
	unsigned port;        /* 0: any */
};

int server_start(struct server **ret, const struct server_config *c, struct err *e) must_check;
unsigned server_port(const struct server *s);
unsigned server_other_port(const struct server *s);
int server_add_fault(struct server *s, const char *text, struct err *e) must_check;

/* Ends hangs and delays, answers what is in flight, joins every thread. */
void server_stop(struct server *s);
