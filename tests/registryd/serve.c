#include "tests/registryd/serve.h"

#include "core/file.h"
#include "tests/registryd/catalog.h"
#include "tests/registryd/fault.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>

#define BODY_MAX     (512u << 20)
#define LOG_MAX      (256u << 20)
#define CATALOGS_MAX 64 /* rescans of one run; answers may still read an old catalog */

struct request {
	struct request *next, **link;
	char *path;
};

/* One of the two ports. */
struct listener {
	struct server *server;
	struct MHD_Daemon *daemon;
	unsigned port;
	const char *name;
};

struct server {
	char *dir, base[64];
	struct faults *faults;
	struct listener main, other;
	FILE *log_file;
	pthread_mutex_t mu;
	struct catalog *catalogs[CATALOGS_MAX]; /* guarded by mu; the last is served */
	unsigned ncatalogs;                     /* guarded by mu */
	struct buf log;                         /* guarded by mu */
	struct request *inflight;               /* guarded by mu */
};

/* A body on its way out; freed by its response. */
struct body {
	uint8_t *data; /* owned */
	size_t len, cut_at;
	bool cut;
	unsigned rate_bps, generation;
	struct faults *faults;
};

struct answer {
	unsigned status;
	uint8_t *data; /* malloc'd, handed to the body */
	size_t len;
	char type[64], etag[64];
};

static const struct catalog *catalog_now(struct server *s)
{
	const struct catalog *c;

	pthread_mutex_lock(&s->mu);
	c = s->ncatalogs ? s->catalogs[s->ncatalogs - 1] : NULL;
	pthread_mutex_unlock(&s->mu);
	return c;
}

/* ---- answers ---- */

static void answer_text(struct answer *a, unsigned status, const char *type, const char *text)
{
	free(a->data);
	a->status = status;
	a->data = (uint8_t *)strdup(text);
	a->len = a->data ? strlen(text) : 0;
	(void)snprintf(a->type, sizeof a->type, "%s", type);
}

static void answer_status(struct answer *a, unsigned status)
{
	char text[64];

	(void)snprintf(text, sizeof text, "{\"error\":\"status %u\"}", status);
	answer_text(a, status, "application/json", text);
}

static void answer_file(struct answer *a, const char *path)
{
	char *data;
	size_t len;

	if (file_read_all(AT_FDCWD, path, BODY_MAX, &data, &len, NULL) < 0) {
		answer_status(a, 404);
		return;
	}
	a->status = 200;
	a->data = (uint8_t *)data;
	a->len = len;
	strcpy(a->type, "application/octet-stream");
	(void)snprintf(a->etag, sizeof a->etag, "\"f%zx\"", len);
}

static void answer_packument(struct answer *a, const struct catalog *c, const char *name,
			     struct MHD_Connection *conn)
{
	const struct packument *p = catalog_packument(c, name);
	const char *accept = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Accept");
	const char *have = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "If-None-Match");
	bool brief = accept && strstr(accept, "application/vnd.npm.install-v1+json");

	if (!p) {
		answer_status(a, 404);
		return;
	}
	if (have && strstr(have, p->etag))
		answer_text(a, 304, "application/json", "");
	else
		answer_text(a, 200,
			    brief ? "application/vnd.npm.install-v1+json" : "application/json",
			    brief ? p->brief : p->full);
	(void)snprintf(a->etag, sizeof a->etag, "%s", p->etag);
}

static void answer_path(struct server *s, struct answer *a, const char *path,
			struct MHD_Connection *conn)
{
	const struct catalog *c = catalog_now(s);
	auto_free char *name = strdup(path + 1);
	char *sep = name ? strstr(name, "/-/") : NULL;
	const char *file;

	if (strcmp(path, "/-/npm/v1/keys") == 0)
		path = "/-/files/keys.json";
	if (strncmp(path, "/-/files/", 9) == 0 && !strstr(path, "..")) {
		auto_free char *full = NULL;

		if (asprintf(&full, "%s/%s", s->dir, path + 9) >= 0)
			answer_file(a, full);
	} else if (sep) {
		*sep = 0;
		file = catalog_tarball(c, name, sep + 3);
		if (file)
			answer_file(a, file);
	} else if (name) {
		answer_packument(a, c, name, conn);
	}
	if (a->status == 0)
		answer_status(a, 404);
}

/* "bytes=N-" and "bytes=N-M" of a whole 200; anything else is answered whole. */
static void answer_range(struct answer *a, struct MHD_Connection *conn, char *content_range,
			 size_t cap)
{
	const char *range = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Range");
	const char *same = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "If-Range");
	size_t from, to = a->len - 1;

	if (a->status != 200 || !range || strncmp(range, "bytes=", 6) != 0 || a->len == 0)
		return;
	if (same && strcmp(same, a->etag) != 0)
		return;
	if (sscanf(range + 6, "%zu-%zu", &from, &to) < 1 || range[6] == '-')
		return;
	to = to < a->len - 1 ? to : a->len - 1;
	if (from >= a->len || from > to) {
		answer_status(a, 416);
		return;
	}
	(void)snprintf(content_range, cap, "bytes %zu-%zu/%zu", from, to, a->len);
	memmove(a->data, a->data + from, to - from + 1);
	a->len = to - from + 1;
	a->status = 206;
}

static int garbage_behind(struct answer *a, unsigned n)
{
	uint8_t *grown = realloc(a->data, a->len + n + 1);

	if (!grown)
		return -ENOMEM;
	memset(grown + a->len, 0xa5, n);
	a->data = grown;
	a->len += n;
	return 0;
}

/* ---- sending ---- */

static ssize_t body_read(void *cls, uint64_t at, char *to, size_t max)
{
	struct body *b = cls;
	size_t n;

	if (b->cut && at >= b->cut_at)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (at >= b->len)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = b->len - at < max ? b->len - at : max;
	if (b->cut && n > b->cut_at - at)
		n = b->cut_at - at;
	if (b->rate_bps) {
		size_t slice = b->rate_bps / 20 ? b->rate_bps / 20 : 1;

		n = n < slice ? n : slice;
		faults_wait(b->faults, b->generation, 50);
	}
	memcpy(to, b->data + at, n);
	return (ssize_t)n;
}

static void body_free(void *cls)
{
	struct body *b = cls;

	free(b->data);
	free(b);
}

static struct MHD_Response *make_response(struct server *s, struct answer *a,
					  const struct effects *fx)
{
	static char nothing[1];
	struct body *b = calloc(1, sizeof *b);
	struct MHD_Response *r;

	if (!b)
		return NULL;
	*b = (struct body){ .data = take(&a->data),
			    .len = a->len,
			    .cut = fx->cut,
			    .cut_at = fx->cut_at,
			    .rate_bps = fx->rate_bps,
			    .generation = fx->generation,
			    .faults = s->faults };
	if (a->len == 0) {
		body_free(b);
		return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
	}
	r = MHD_create_response_from_callback(a->len, 64 * 1024, body_read, b, body_free);
	if (!r)
		body_free(b);
	return r;
}

static enum MHD_Result send_answer(struct server *s, struct MHD_Connection *conn, struct answer *a,
				   const struct effects *fx, const char *location,
				   const char *content_range)
{
	struct MHD_Response *r = make_response(s, a, fx);
	enum MHD_Result done;
	char seconds[16];

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", a->type);
	if (a->status == 200 || a->status == 206)
		MHD_add_response_header(r, "Accept-Ranges", "bytes");
	if (a->etag[0])
		MHD_add_response_header(r, "ETag", a->etag);
	if (content_range && content_range[0])
		MHD_add_response_header(r, "Content-Range", content_range);
	if (location && location[0])
		MHD_add_response_header(r, "Location", location);
	if (a->status == 401)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"test\"");
	if (fx->has_retry_after) {
		(void)snprintf(seconds, sizeof seconds, "%u", fx->retry_after);
		MHD_add_response_header(r, "Retry-After", seconds);
	}
	done = MHD_queue_response(conn, a->status, r);
	MHD_destroy_response(r);
	return done;
}

static void log_request(struct listener *l, const char *method, const char *path, unsigned status,
			const char *auth)
{
	struct server *s = l->server;

	pthread_mutex_lock(&s->mu);
	buf_addf(&s->log, "%s %s %u auth=%d port=%s\n", method, path, status, auth != NULL,
		 l->name);
	if (s->log_file) {
		fprintf(s->log_file, "%s %s %u auth=%d port=%s\n", method, path, status,
			auth != NULL, l->name);
		(void)fflush(s->log_file);
	}
	pthread_mutex_unlock(&s->mu);
}

/* ---- control ---- */

struct pairs {
	const char *keys[16], *values[16];
	unsigned n;
};

static enum MHD_Result collect(void *cls, enum MHD_ValueKind kind, const char *key,
			       const char *value)
{
	struct pairs *p = cls;

	(void)kind;
	if (p->n < ARRAY_LEN(p->keys)) {
		p->keys[p->n] = key;
		p->values[p->n++] = value;
	}
	return MHD_YES;
}

static void control_fault(struct server *s, struct MHD_Connection *conn, const char *method,
			  struct answer *a)
{
	struct pairs p = { .n = 0 };
	struct err e = { 0 };

	if (strcmp(method, "DELETE") == 0) {
		faults_clear(s->faults);
		answer_text(a, 200, "text/plain", "cleared\n");
		return;
	}
	MHD_get_connection_values(conn, MHD_GET_ARGUMENT_KIND, collect, &p);
	if (faults_add(s->faults, p.keys, p.values, p.n, &e) < 0)
		answer_text(a, 400, "text/plain", e.msg);
	else
		answer_text(a, 200, "text/plain", "added\n");
}

static void control_rescan(struct server *s, struct answer *a)
{
	struct catalog *c = NULL;
	struct err e = { 0 };
	int r = catalog_open(&c, s->dir, s->base, &e);

	pthread_mutex_lock(&s->mu);
	if (r == 0 && s->ncatalogs < CATALOGS_MAX)
		s->catalogs[s->ncatalogs++] = take(&c);
	pthread_mutex_unlock(&s->mu);
	if (r < 0 || c)
		answer_text(a, 500, "text/plain", c ? "too many rescans" : e.msg);
	else
		answer_text(a, 200, "text/plain", "done\n");
	catalog_close(c);
}

static void control_log(struct server *s, const char *method, struct answer *a)
{
	char *text;

	pthread_mutex_lock(&s->mu);
	if (strcmp(method, "DELETE") == 0)
		s->log.len = 0;
	text = strndup(s->log.data ? (char *)s->log.data : "", s->log.len);
	pthread_mutex_unlock(&s->mu);
	answer_text(a, 200, "text/plain", text ? text : "");
	free(text);
}

static void control_inflight(struct server *s, struct answer *a)
{
	struct buf b = BUF_INIT(1 << 20);
	char *text;

	pthread_mutex_lock(&s->mu);
	for (const struct request *r = s->inflight; r; r = r->next)
		if (r->path)
			buf_addf(&b, "%s\n", r->path);
	pthread_mutex_unlock(&s->mu);
	text = buf_steal_str(&b);
	answer_text(a, 200, "text/plain", text ? text : "");
	free(text);
}

static bool control(struct server *s, struct MHD_Connection *conn, const char *path,
		    const char *method, struct answer *a)
{
	if (strcmp(path, "/-/fault") == 0)
		control_fault(s, conn, method, a);
	else if (strcmp(path, "/-/rescan") == 0)
		control_rescan(s, a);
	else if (strcmp(path, "/-/log") == 0)
		control_log(s, method, a);
	else if (strcmp(path, "/-/inflight") == 0)
		control_inflight(s, a);
	else if (strcmp(path, "/-/ping") == 0)
		answer_text(a, 200, "application/json", "{}");
	else
		return false;
	return true;
}

/* ---- requests ---- */

static void redirect_to(struct listener *l, const char *to, const char *path, char *ret, size_t cap)
{
	const struct server *s = l->server;

	if (strncmp(to, "http", 4) == 0)
		(void)snprintf(ret, cap, "%s/-/via%s", to, path);
	else
		(void)snprintf(ret, cap, "http://127.0.0.1:%u/-/via%s",
			       strcmp(to, "other") == 0 ? s->other.port : l->port, path);
}

static enum MHD_Result answer_request(struct listener *l, struct MHD_Connection *conn,
				      const char *url, const char *method)
{
	const char *auth = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Authorization");
	bool via = strncmp(url, "/-/via/", 7) == 0;
	const char *path = via ? url + 6 : url;
	struct server *s = l->server;
	struct answer a = { 0 };
	struct effects fx;
	char location[4096] = "", content_range[96] = "";

	if (!catalog_now(s)) /* a stranger's request, before we told anyone where we listen */
		return MHD_NO;
	faults_apply(s->faults, path, auth, &fx);
	if (fx.delay_ms)
		faults_wait(s->faults, fx.generation, fx.delay_ms);
	if (fx.hang)
		faults_wait(s->faults, fx.generation, 0);
	if (fx.reset || fx.hang) {
		log_request(l, method, url, 0, auth);
		return MHD_NO;
	}
	if (fx.status) {
		answer_status(&a, fx.status);
	} else if (fx.redirect[0] && !via) {
		answer_status(&a, 302);
		redirect_to(l, fx.redirect, path, location, sizeof location);
	} else if (fx.body_type[0]) {
		answer_text(&a, 200, fx.body_type, fx.body);
	} else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		answer_status(&a, 405);
	} else {
		answer_path(s, &a, path, conn);
		if (fx.flip && a.len)
			a.data[a.len / 2] ^= 1;
		if (fx.garbage && garbage_behind(&a, fx.garbage) < 0)
			return MHD_NO;
		answer_range(&a, conn, content_range, sizeof content_range);
	}
	log_request(l, method, url, a.status, auth);
	return send_answer(s, conn, &a, &fx, location, content_range);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **state)
{
	struct listener *l = cls;
	struct request *req = *state;
	struct effects none = { 0 };
	struct answer a = { 0 };

	(void)version;
	(void)upload;
	if (!req->path) { /* the headers are in; the body may follow */
		req->path = strdup(url);
		return req->path ? MHD_YES : MHD_NO;
	}
	if (*upload_len) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (control(l->server, conn, url, method, &a))
		return send_answer(l->server, conn, &a, &none, NULL, NULL);
	return answer_request(l, conn, url, method);
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct server *s = ((struct listener *)cls)->server;
	struct request *req = calloc(1, sizeof *req);

	(void)uri;
	(void)conn;
	if (!req)
		return NULL;
	pthread_mutex_lock(&s->mu);
	req->next = s->inflight;
	req->link = &s->inflight;
	if (req->next)
		req->next->link = &req->next;
	s->inflight = req;
	pthread_mutex_unlock(&s->mu);
	return req;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **state,
			 enum MHD_RequestTerminationCode why)
{
	struct server *s = ((struct listener *)cls)->server;
	struct request *req = *state;

	(void)conn;
	(void)why;
	if (!req)
		return;
	pthread_mutex_lock(&s->mu);
	*req->link = req->next;
	if (req->next)
		req->next->link = req->link;
	pthread_mutex_unlock(&s->mu);
	free(req->path);
	free(req);
	*state = NULL;
}

/* ---- life ---- */

static int listener_start(struct server *s, struct listener *l, const char *name, unsigned port,
			  struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const union MHD_DaemonInfo *info;

	l->server = s;
	l->name = name;
	l->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL,
		(uint16_t)port, NULL, NULL, on_request, l, MHD_OPTION_SOCK_ADDR,
		(struct sockaddr *)&at, MHD_OPTION_URI_LOG_CALLBACK, on_uri, l,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_CONNECTION_LIMIT, 512u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)256 * 1024, MHD_OPTION_END);
	if (!l->daemon)
		return err_set(e, -EADDRINUSE, "cannot listen on 127.0.0.1:%u", port);
	info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_BIND_PORT);
	l->port = info ? info->port : port;
	return 0;
}

/* The port is known only once we listen, and the catalog's URLs carry it; nobody has been
 * told the port yet, so nobody asks in between. */
static int start_all(struct server *s, const struct server_config *c, struct err *e)
{
	int r = listener_start(s, &s->main, "main", c->port, e);

	if (r == 0)
		r = listener_start(s, &s->other, "other", 0, e);
	if (r < 0)
		return r;
	(void)snprintf(s->base, sizeof s->base, "http://127.0.0.1:%u", s->main.port);
	r = catalog_open(&s->catalogs[0], s->dir, s->base, e);
	if (r == 0)
		s->ncatalogs = 1;
	return r;
}

int server_start(struct server **ret, const struct server_config *c, struct err *e)
{
	struct server *s = calloc(1, sizeof *s);
	int r = 0;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->mu, NULL);
	s->log.max = LOG_MAX;
	s->dir = strdup(c->dir);
	s->faults = faults_new();
	if (!s->dir || !s->faults)
		r = -ENOMEM;
	if (r == 0 && c->log_path && !(s->log_file = fopen(c->log_path, "we")))
		r = err_set(e, -errno, "%s: %s", c->log_path, strerror(errno));
	if (r == 0)
		r = start_all(s, c, e);
	if (r < 0) {
		server_stop(s);
		return r;
	}
	*ret = s;
	return 0;
}

unsigned server_port(const struct server *s)
{
	return s->main.port;
}

unsigned server_other_port(const struct server *s)
{
	return s->other.port;
}

int server_add_fault(struct server *s, const char *text, struct err *e)
{
	return faults_add_text(s->faults, text, e);
}

void server_stop(struct server *s)
{
	if (s->faults)
		faults_clear(s->faults);
	if (s->main.daemon)
		MHD_stop_daemon(s->main.daemon);
	if (s->other.daemon)
		MHD_stop_daemon(s->other.daemon);
	faults_free(s->faults);
	for (unsigned i = 0; i < s->ncatalogs; i++)
		catalog_close(s->catalogs[i]);
	buf_release(&s->log);
	if (s->log_file)
		(void)fclose(s->log_file);
	pthread_mutex_destroy(&s->mu);
	free(s->dir);
	free(s);
}
