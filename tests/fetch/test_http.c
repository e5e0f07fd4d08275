#include "core/clock.h"
#include "fetch/http.h"
#include "tests/lib/httpd.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

/* A client with quick retries, whatever the test adds to its configuration, and the answers. */
static struct npmrc *rc;
static struct http *http;
static size_t budget; /* of the next client; 0: the usual */
static unsigned aging_ms;

static void client(const char *const *more)
{
	const char *over[16] = { "fetch-retry-mintimeout=20", "fetch-retry-maxtimeout=20" };
	static const char *const env[] = { "HOME=/nowhere", NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = "" };
	struct http_config c = { .budget = budget, .aging_ms = aging_ms };

	for (size_t i = 2; more && *more; i++)
		over[i] = *more++;
	cr_assert_eq(npmrc_load_with(&rc, &o, NULL), 0);
	c.npmrc = rc;
	cr_assert_eq(http_start(&http, &c, NULL), 0);
}

static void client_end(void)
{
	http_free(http);
	npmrc_free(rc);
}

struct answer {
	pthread_mutex_t mu;
	pthread_cond_t came;
	bool done;
	int result;
	unsigned asked; /* by may_begin */
	unsigned status;
	char why[256], etag[64];
	uint8_t *bytes;
	size_t len;
	struct digest sha512;
	struct http_call *call;
	struct http_body kept;
};
#define ANSWER                                                                                     \
	{                                                                                          \
		.mu = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER                  \
	}

static void on_done(void *arg, struct http_response *r)
{
	struct answer *a = arg;

	pthread_mutex_lock(&a->mu);
	cr_expect(!a->done, "called once");
	a->done = true;
	a->result = r->result;
	a->status = r->status;
	a->sha512 = r->sha512;
	(void)snprintf(a->why, sizeof a->why, "%s", r->why ? r->why : "");
	(void)snprintf(a->etag, sizeof a->etag, "%s", r->etag ? r->etag : "");
	a->len = r->body.bytes.len;
	a->bytes = malloc(a->len + 1);
	if (a->len)
		memcpy(a->bytes, r->body.bytes.ptr, a->len);
	a->bytes[a->len] = '\0';
	pthread_cond_broadcast(&a->came);
	pthread_mutex_unlock(&a->mu);
}

static void ask(struct answer *a, const char *url, struct http_request rq)
{
	rq.url = url;
	rq.done = on_done;
	rq.arg = a;
	rq.limit = rq.limit ? rq.limit : 1 << 20;
	cr_assert_eq(http_get(http, &rq, &a->call, NULL), 0);
}

static void await(struct answer *a)
{
	pthread_mutex_lock(&a->mu);
	while (!a->done)
		pthread_cond_wait(&a->came, &a->mu);
	pthread_mutex_unlock(&a->mu);
	http_call_release(a->call);
	a->call = NULL;
}

static void answer_end(struct answer *a)
{
	free(a->bytes);
}
#define auto_answer cleanup(answer_end)

static int get(struct answer *a, const char *url, struct http_request rq)
{
	ask(a, url, rq);
	await(a);
	return a->result;
}

#define FROM(...) ((struct http_request){ __VA_ARGS__ })

/* ---- answers that depend on how often one has been asked ---- */

static void plain(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	(void)arg;
	if (strcmp(rq->path, "/hello") == 0)
		httpd_reply(c, 200, "ETag: \"e1\"\r\n", "hello", 5);
	else if (strcmp(rq->path, "/empty") == 0)
		httpd_reply(c, 200, NULL, NULL, 0);
	else if (strcmp(rq->path, "/401") == 0)
		httpd_reply(c, 401, NULL, "no", 2);
	else if (strcmp(rq->path, "/500") == 0)
		httpd_reply(c, 500, NULL, "no", 2);
	else if (strcmp(rq->path, "/503once") == 0)
		httpd_reply(c, rq->nth == 1 ? 503 : 200, NULL, "then", 4);
	else if (strcmp(rq->path, "/cutonce") == 0 && rq->nth == 1)
		httpd_send(c, "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n12345", 43),
			httpd_cut(c);
	else if (strcmp(rq->path, "/cutonce") == 0)
		httpd_reply(c, 200, NULL, "1234567890", 10);
	else
		httpd_reply(c, 404, NULL, "no", 2);
}

Test(http, gives_the_body_its_digest_and_its_etag)
{
	auto_answer struct answer a = ANSWER, empty = ANSWER;
	struct httpd *d = httpd_start(plain, NULL);
	struct digest want;

	client(NULL);
	cr_assert_eq(get(&a, httpd_url(d, "/hello"), FROM(.sha512 = true)), 0);
	cr_assert(a.len == 5 && memcmp(a.bytes, "hello", 5) == 0);
	cr_assert_eq(digest_of(&want, DIGEST_SHA512, "hello", 5), 0);
	cr_assert(digest_eq(&a.sha512, &want));
	cr_assert_str_eq(a.etag, "\"e1\"");
	cr_assert_eq(get(&empty, httpd_url(d, "/empty"), FROM(.sha512 = true)), 0);
	cr_assert_eq(empty.len, 0);
	cr_assert_eq(digest_of(&want, DIGEST_SHA512, "", 0), 0);
	cr_assert(digest_eq(&empty.sha512, &want));
	client_end();
	httpd_stop(d);
}

Test(http, failures_are_told_apart_and_only_those_that_may_pass_are_tried_again)
{
	static const struct {
		const char *path;
		int result;
		unsigned asked;
		const char *says;
	} t[] = {
		{ "/404?token=verysecret", -ENOENT, 1, "404" },
		{ "/401", -EACCES, 1, "no credentials" },
		{ "/500", -EREMOTEIO, 3, "tried 3 times" },
		{ "/503once", 0, 2, "" },
		{ "/cutonce", 0, 2, "" },
	};
	struct httpd *d = httpd_start(plain, NULL);

	client(NULL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		auto_answer struct answer a = ANSWER;

		cr_expect_eq(get(&a, httpd_url(d, t[i].path), FROM(.limit = 100)), t[i].result);
		cr_expect_eq(httpd_count(d, t[i].path), t[i].asked);
		cr_expect(strstr(a.why, t[i].says) != NULL);
		cr_expect(strstr(a.why, "verysecret") == NULL);
	}
	client_end();
	httpd_stop(d);
}

Test(http, bad_urls_and_dead_hosts_are_answered_too)
{
	auto_answer struct answer file = ANSWER, none = ANSWER, dead = ANSWER;
	struct httpd *d = httpd_start(plain, NULL);
	char url[128];

	client((const char *const[]){ "fetch-retries=0", NULL });
	(void)snprintf(url, sizeof url, "%s", httpd_url(d, "/hello"));
	httpd_stop(d);
	cr_expect_eq(get(&file, "file:///etc/passwd", FROM(.limit = 9)), -EPROTONOSUPPORT);
	cr_expect_eq(get(&none, "not a url", FROM(.limit = 9)), -EINVAL);
	cr_expect_eq(get(&dead, url, FROM(.limit = 9)), -EHOSTUNREACH);
	client_end();
}

/* ---- limits ---- */

static void endless(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	char line[1024];

	(void)arg;
	memset(line, 'x', sizeof line);
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	httpd_send(c, "HTTP/1.1 200 x\r\n", 16);
	if (strcmp(rq->path, "/body") == 0)
		httpd_send(c, "\r\n", 2);
	/* Until the client hangs up: the send that fails ends the connection. */
	for (int i = 0; i < 64 << 10; i++)
		httpd_send(c, line, sizeof line);
	httpd_cut(c);
}

Test(http, no_body_and_no_header_goes_past_its_limit)
{
	auto_answer struct answer body = ANSWER, head = ANSWER;
	struct httpd *d = httpd_start(endless, NULL);

	client(NULL);
	cr_expect_eq(get(&body, httpd_url(d, "/body"), FROM(.limit = 100000)), -E2BIG);
	cr_expect_eq(get(&head, httpd_url(d, "/head"), FROM(.limit = 100000)), -E2BIG);
	cr_expect_eq(httpd_count(d, NULL), 2);
	client_end();
	httpd_stop(d);
}

#define LARGE ((size_t)20 << 20)

static void large(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	(void)rq;
	httpd_reply(c, 200, NULL, arg, LARGE);
}

Test(http, a_large_body_goes_through_a_file_and_comes_out_the_same)
{
	auto_answer struct answer a = ANSWER;
	auto_free uint8_t *bytes = malloc(LARGE);
	struct http_stats stats;
	struct httpd *d;
	struct digest want;

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	d = httpd_start(large, bytes);
	client(NULL);
	cr_assert_eq(get(&a, httpd_url(d, "/"), FROM(.limit = LARGE, .sha512 = true)), 0);
	cr_assert(a.len == LARGE && memcmp(a.bytes, bytes, LARGE) == 0);
	cr_assert_eq(digest_of(&want, DIGEST_SHA512, bytes, LARGE), 0);
	cr_assert(digest_eq(&a.sha512, &want));
	http_stop(http);
	http_stats(http, &stats);
	cr_assert_eq(stats.held, 0);
	cr_assert_eq(stats.bytes, LARGE);
	client_end();
	httpd_stop(d);
}

/* ---- breaking off ---- */

struct resume {
	const char *etag; /* header line or "" */
	bool ranges, lies;
	char range[64], if_range[64];
	unsigned served_whole;
};

static void breaking(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct resume *s = arg;
	char head[256];
	const char *v = httpd_header(c, "range");

	(void)snprintf(s->range, sizeof s->range, "%s", v ? v : "");
	v = httpd_header(c, "if-range");
	(void)snprintf(s->if_range, sizeof s->if_range, "%s", v ? v : "");
	if (rq->nth == 1) {
		int n = snprintf(head, sizeof head,
				 "HTTP/1.1 200 x\r\nContent-Length: 10\r\n%s%s\r\nabcde", s->etag,
				 s->ranges ? "Accept-Ranges: bytes\r\n" : "");

		httpd_send(c, head, (size_t)n);
		httpd_cut(c);
	} else if (s->range[0] && s->lies) {
		s->lies = false;
		httpd_reply(c, 206, "Content-Range: bytes 3-9/10\r\n", "defghij", 7);
	} else if (s->range[0]) {
		httpd_reply(c, 206, "Content-Range: bytes 5-9/10\r\n", "fghij", 5);
	} else {
		s->served_whole++;
		httpd_reply(c, 200, NULL, "abcdefghij", 10);
	}
}

Test(http, a_body_that_broke_off_is_continued_only_where_that_is_safe)
{
	static const struct {
		const char *etag;
		bool ranges, lies, verified;
		const char *range, *if_range;
		const char *why;
	} t[] = {
		{ "ETag: \"s\"\r\n", true, false, false, "bytes=5-", "\"s\"", "strong ETag" },
		{ "ETag: W/\"s\"\r\n", true, false, false, "", "", "weak, not verified" },
		{ "ETag: W/\"s\"\r\n", true, false, true, "bytes=5-", "", "weak, verified" },
		{ "", true, false, true, "bytes=5-", "", "none, verified" },
		{ "", false, false, true, "", "", "the server has no ranges" },
		{ "", true, true, true, "", "", "it sends another part: all anew" },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		auto_answer struct answer a = ANSWER;
		struct resume s = { .etag = t[i].etag, .ranges = t[i].ranges, .lies = t[i].lies };
		struct httpd *d = httpd_start(breaking, &s);
		struct digest want;

		client(NULL);
		cr_expect_eq(get(&a, httpd_url(d, "/"),
				 FROM(.limit = 10, .verified = t[i].verified, .sha512 = true)),
			     0);
		httpd_stop(d);
		client_end();
		cr_assert(a.len == 10 && memcmp(a.bytes, "abcdefghij", 10) == 0);
		cr_assert_eq(digest_of(&want, DIGEST_SHA512, "abcdefghij", 10), 0);
		cr_assert(digest_eq(&a.sha512, &want));
		cr_assert_str_eq(s.range, t[i].range);
		cr_assert_str_eq(s.if_range, t[i].if_range);
		cr_assert_eq(s.served_whole, t[i].range[0] ? 0 : 1);
	}
}

static void stalling(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	(void)arg;
	if (strncmp(rq->path, "/half", 5) == 0)
		httpd_send(c, "HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n12345", 43);
	httpd_hang(c);
}

/* A busy machine may give a call up before its server has run: then it is given more time. */
#define PATIENCE_MAX_MS 60000

/* Until the server has seen each try of a call that is never answered, and no other. */
static void given_up(struct httpd *d, const char *path, unsigned tries)
{
	for (unsigned ms = 60, seen = 0; seen != tries; ms *= 4) {
		auto_answer struct answer a = ANSWER;
		char timeout[32], url[32];

		(void)snprintf(timeout, sizeof timeout, "fetch-timeout=%u", ms);
		(void)snprintf(url, sizeof url, "%s-%u", path, ms);
		client((const char *const[]){ timeout, "fetch-retries=1", NULL });
		cr_expect_eq(get(&a, httpd_url(d, url), FROM(.limit = 10)), -ETIMEDOUT);
		client_end();
		seen = httpd_count(d, url);
		cr_assert(seen <= tries);
		cr_assert(ms < PATIENCE_MAX_MS, "%s: seen %u of %u times", path, seen, tries);
		if (seen == tries)
			cr_expect(strstr(a.why, "not a byte") != NULL);
	}
}

Test(http, a_server_that_goes_silent_is_given_up)
{
	struct httpd *d = httpd_start(stalling, NULL);

	given_up(d, "/none", 2);
	given_up(d, "/half", 2);
	httpd_stop(d);
}

Test(http, a_call_that_has_had_its_time_is_not_tried_again)
{
	struct httpd *d = httpd_start(stalling, NULL);

	client(NULL);
	for (unsigned ms = 50, seen = 0; seen == 0; ms *= 4) {
		auto_answer struct answer a = ANSWER;
		char url[32];

		(void)snprintf(url, sizeof url, "/total-%u", ms);
		cr_expect_eq(get(&a, httpd_url(d, url), FROM(.total_ms = ms)), -ETIMEDOUT);
		seen = httpd_count(d, url);
		cr_assert(seen <= 1);
		cr_assert(ms < PATIENCE_MAX_MS / 4, "never seen");
	}
	client_end();
	httpd_stop(d);
}

static void too_many(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	(void)arg;
	if (strcmp(rq->path, "/long") == 0)
		httpd_reply(c, 429, "Retry-After: 86400\r\n", NULL, 0);
	else if (rq->nth == 1)
		httpd_reply(c, 429, "Retry-After: 1\r\n", NULL, 0);
	else
		httpd_reply(c, 200, NULL, "ok", 2);
}

Test(http, retry_after_is_honoured_within_reason)
{
	auto_answer struct answer once = ANSWER, forever = ANSWER;
	struct httpd *d = httpd_start(too_many, NULL);
	int64_t start = now_ms();

	client(NULL);
	cr_expect_eq(get(&forever, httpd_url(d, "/long"), FROM(.limit = 10)), -EREMOTEIO);
	cr_expect_eq(httpd_count(d, "/long"), 1);
	cr_expect(strstr(forever.why, "86400") != NULL);
	cr_expect_eq(get(&once, httpd_url(d, "/once"), FROM(.limit = 10)), 0);
	cr_expect(now_ms() - start >= 990);
	client_end();
	httpd_stop(d);
}

/* ---- redirects ---- */

struct hop {
	char to[256];    /* Location of /go */
	char seen[128];  /* Authorization at /end */
	char first[128]; /* Authorization at /go */
};

static void hopping(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct hop *s = arg;
	char location[320];
	const char *auth = httpd_header(c, "authorization");

	if (strcmp(rq->path, "/go") == 0) {
		(void)snprintf(s->first, sizeof s->first, "%s", auth ? auth : "none");
		(void)snprintf(location, sizeof location, "Location: %s\r\n", s->to);
		httpd_reply(c, 302, location, NULL, 0);
	} else if (strcmp(rq->path, "/loop") == 0) {
		httpd_reply(c, 307, "Location: /loop\r\n", NULL, 0);
	} else {
		(void)snprintf(s->seen, sizeof s->seen, "%s", auth ? auth : "none");
		httpd_reply(c, 200, NULL, "end", 3);
	}
}

static void with_token(struct httpd *d, char *ret, size_t n)
{
	(void)snprintf(ret, n, "%s:_authToken=verysecret", httpd_url(d, "/") + strlen("http:"));
}

Test(http, credentials_go_to_their_host_and_to_no_other)
{
	auto_answer struct answer here = ANSWER, there = ANSWER, back = ANSWER;
	struct hop first = { .to = "/end" }, second = { 0 };
	struct httpd *d = httpd_start(hopping, &first), *other = httpd_start(hopping, &second);
	char token[256], user[300];

	with_token(d, token, sizeof token);
	client((const char *const[]){ token, NULL });
	cr_expect_eq(get(&here, httpd_url(d, "/go"), FROM(.limit = 10)), 0);
	cr_assert_str_eq(first.first, "Bearer verysecret");
	cr_assert_str_eq(first.seen, "Bearer verysecret");

	/* Another port is another host. Nor does a way back bring them back. */
	(void)snprintf(first.to, sizeof first.to, "%s", httpd_url(other, "/end"));
	cr_expect_eq(get(&there, httpd_url(d, "/go"), FROM(.limit = 10)), 0);
	cr_assert_str_eq(first.first, "Bearer verysecret");
	cr_assert_str_eq(second.seen, "none");
	(void)snprintf(first.to, sizeof first.to, "%s", httpd_url(other, "/go"));
	(void)snprintf(user, sizeof user, "http://u:p@%s", httpd_url(d, "/end") + 7);
	(void)snprintf(second.to, sizeof second.to, "%.200s", user);
	cr_expect_eq(get(&back, httpd_url(d, "/go"), FROM(.limit = 10)), 0);
	cr_assert_str_eq(second.first, "none");
	cr_assert_str_eq(first.seen, "none");
	client_end();
	httpd_stop(d);
	httpd_stop(other);
}

Test(http, redirects_have_a_limit_and_two_protocols)
{
	auto_answer struct answer loop = ANSWER, file = ANSWER;
	struct hop s = { .to = "file:///etc/passwd" };
	struct httpd *d = httpd_start(hopping, &s);

	client(NULL);
	cr_expect_eq(get(&loop, httpd_url(d, "/loop"), FROM(.limit = 10)), -ELOOP);
	cr_expect_eq(httpd_count(d, "/loop"), 1 + HTTP_REDIRECTS_MAX);
	cr_expect_eq(get(&file, httpd_url(d, "/go"), FROM(.limit = 10)), -EPROTONOSUPPORT);
	client_end();
	httpd_stop(d);
}

/* ---- order ---- */

struct gate {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool open;
	char order[64];
	unsigned waiting;
};
#define GATE                                                                                       \
	{                                                                                          \
		.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER               \
	}

static void gated(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct gate *g = arg;

	pthread_mutex_lock(&g->mu);
	strncat(g->order, rq->path + 1, 2);
	g->waiting++;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->mu);
	pthread_mutex_unlock(&g->mu);
	httpd_reply(c, 200, NULL, "x", 1);
}

static void gate_await(struct gate *g, unsigned n)
{
	pthread_mutex_lock(&g->mu);
	while (g->waiting < n)
		pthread_cond_wait(&g->changed, &g->mu);
	pthread_mutex_unlock(&g->mu);
}

static void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->mu);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mu);
}

#define NO_AGING 3600000 /* ms; more than any machine sleeps */

Test(http, what_is_wanted_now_comes_before_what_is_wanted_later)
{
	auto_answer struct answer a = ANSWER, b = ANSWER, c = ANSWER, n = ANSWER;
	struct gate g = GATE;
	struct httpd *d = httpd_start(gated, &g);

	aging_ms = NO_AGING;
	client((const char *const[]){ "maxsockets=1", NULL });
	aging_ms = 0;
	ask(&a, httpd_url(d, "/a"), FROM(.prio = HTTP_LATER));
	gate_await(&g, 1); /* the one connection is busy now */
	ask(&b, httpd_url(d, "/b"), FROM(.prio = HTTP_LATER));
	ask(&c, httpd_url(d, "/c"), FROM(.prio = HTTP_LATER));
	ask(&n, httpd_url(d, "/n"), FROM(.prio = HTTP_NOW));
	http_set_prio(c.call, HTTP_SOON);
	gate_open(&g);
	await(&a);
	await(&b);
	await(&c);
	await(&n);
	cr_assert_str_eq(g.order, "ancb");
	client_end();
	httpd_stop(d);
}

static void on_done_keep(void *arg, struct http_response *r)
{
	struct answer *a = arg;
	struct http_body body = r->body;

	r->body = (struct http_body){ 0 };
	on_done(a, r);
	pthread_mutex_lock(&a->mu);
	a->kept = body;
	pthread_cond_broadcast(&a->came);
	pthread_mutex_unlock(&a->mu);
}

/* /big breaks off its first answer in the middle and waits; /now waits for the client to let go
 * of that. */
struct line {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool let_go;
	char big[1 << 20];
};

static void busy_line(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct line *l = arg;
	const char *range = httpd_header(c, "range");
	char head[128];

	if (strcmp(rq->path, "/now") == 0) {
		pthread_mutex_lock(&l->mu);
		while (!l->let_go)
			pthread_cond_wait(&l->changed, &l->mu);
		pthread_mutex_unlock(&l->mu);
		httpd_reply(c, 200, NULL, "now", 3);
	} else if (range) {
		size_t from = strtoul(range + strlen("bytes="), NULL, 10);

		(void)snprintf(head, sizeof head, "Content-Range: bytes %zu-%zu/%zu\r\n", from,
			       sizeof l->big - 1, sizeof l->big);
		httpd_reply(c, 206, head, l->big + from, sizeof l->big - from);
	} else {
		(void)snprintf(head, sizeof head,
			       "HTTP/1.1 200 x\r\nAccept-Ranges: bytes\r\n"
			       "Content-Length: %zu\r\n\r\n",
			       sizeof l->big);
		httpd_send(c, head, strlen(head));
		httpd_send(c, l->big, 100000);
		httpd_hang(c);
		pthread_mutex_lock(&l->mu);
		l->let_go = true;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->mu);
		httpd_cut(c);
	}
}

Test(http, what_takes_long_makes_way_for_who_waits_and_goes_on_where_it_stood)
{
	static struct line l = { .mu = PTHREAD_MUTEX_INITIALIZER,
				 .changed = PTHREAD_COND_INITIALIZER };
	auto_answer struct answer big = ANSWER, now = ANSWER;
	struct httpd *d = httpd_start(busy_line, &l);
	struct http_stats st;

	for (size_t i = 0; i < sizeof l.big; i++)
		l.big[i] = (char)(i * 7 + i / 251);
	client(NULL);
	ask(&big, httpd_url(d, "/big"),
	    FROM(.prio = HTTP_LATER, .verified = true, .limit = 2 << 20));
	cr_expect_eq(get(&now, httpd_url(d, "/now"), FROM(.prio = HTTP_NOW)), 0);
	await(&big);
	cr_expect_eq(big.result, 0);
	cr_assert_eq(big.len, sizeof l.big);
	cr_expect_eq(memcmp(big.bytes, l.big, sizeof l.big), 0);
	cr_expect_eq(httpd_count(d, "/big"), 2);
	http_stats(http, &st);
	cr_expect_eq(st.retries, 0);
	client_end();
	httpd_stop(d);
}

/* Asks again and again for what is wanted now. */
struct flood {
	const char *url;
	sem_t answered; /* once for each answer */
};

static void flood_ask(struct flood *f);

static void flood_done(void *arg, struct http_response *r)
{
	struct flood *f = arg;

	if (r->result == 0) {
		(void)sem_post(&f->answered);
		flood_ask(f);
	}
}

static void flood_ask(struct flood *f)
{
	struct http_request rq = {
		.url = f->url, .prio = HTTP_NOW, .limit = 10, .done = flood_done, .arg = f
	};
	struct http_call *call = NULL;

	if (http_get(http, &rq, &call, NULL) == 0)
		http_call_release(call);
}

Test(http, nothing_starves)
{
	auto_answer struct answer later = ANSWER, soon = ANSWER;
	struct httpd *d = httpd_start(plain, NULL);
	struct flood f = { .url = httpd_url(d, "/hello") };

	cr_assert_eq(sem_init(&f.answered, 0, 0), 0);
	aging_ms = 20;
	client((const char *const[]){ "maxsockets=1", NULL });
	aging_ms = 0;
	/* Three at one connection: there is always one that waits. */
	for (int i = 0; i < 3; i++)
		flood_ask(&f);
	cr_expect_eq(get(&later, httpd_url(d, "/empty"), FROM(.prio = HTTP_LATER)), 0);
	cr_expect_eq(get(&soon, httpd_url(d, "/empty"), FROM(.prio = HTTP_SOON)), 0);
	while (sem_trywait(&f.answered) == 0)
		;
	/* Nor has the flood come to an end. */
	for (int i = 0; i < 4; i++)
		(void)sem_wait(&f.answered);
	client_end();
	(void)sem_destroy(&f.answered);
	httpd_stop(d);
}

static int busy_twice(void *arg)
{
	struct answer *a = arg;

	return a->asked++ < 2 ? -EBUSY : 0;
}

static int here_already(void *arg)
{
	(void)arg;
	return -EALREADY;
}

Test(http, a_call_begins_when_it_may)
{
	auto_answer struct answer a = ANSWER, b = ANSWER;
	struct httpd *d = httpd_start(plain, NULL);

	client(NULL);
	cr_expect_eq(get(&a, httpd_url(d, "/hello"), FROM(.may_begin = busy_twice)), 0);
	cr_expect_eq(a.asked, 3);
	cr_expect_eq(get(&b, httpd_url(d, "/hello"), FROM(.may_begin = here_already)), -EALREADY);
	cr_expect_eq(httpd_count(d, "/hello"), 1);
	client_end();
	httpd_stop(d);
}

/* The milliseconds from the release of what used the budget up to the answer that waited for it. */
static int64_t waits_for_the_budget(void)
{
	auto_answer struct answer kept = ANSWER, later = ANSWER, now = ANSWER;
	struct httpd *d = httpd_start(plain, NULL);
	struct http_request rq = { .limit = 10, .done = on_done_keep, .arg = &kept };
	int64_t released;

	budget = 1;
	client(NULL);
	budget = 0;
	rq.url = httpd_url(d, "/hello");
	cr_assert_eq(http_get(http, &rq, &kept.call, NULL), 0);
	pthread_mutex_lock(&kept.mu);
	while (!kept.kept.owner)
		pthread_cond_wait(&kept.came, &kept.mu);
	pthread_mutex_unlock(&kept.mu);
	ask(&later, httpd_url(d, "/empty"), FROM(.prio = HTTP_LATER));
	cr_expect_eq(get(&now, httpd_url(d, "/hello"), FROM(.prio = HTTP_NOW)), 0);
	cr_expect_eq(httpd_count(d, "/empty"), 0);
	cr_expect_eq(kept.kept.bytes.len, 5);
	released = now_ms();
	http_body_release(&kept.kept);
	await(&later);
	released = now_ms() - released;
	cr_expect_eq(later.result, 0);
	await(&kept);
	client_end();
	httpd_stop(d);
	return released;
}

/* The network thread looks once a minute, whoever wakes it: so late it has not been woken. Nor need
 * it be where it was about to look, so there is more than one round; and a machine may sleep, but
 * not twice. */
#define WOKEN_MS 50000
#define ROUNDS   6

Test(http, while_the_budget_is_used_up_only_what_is_wanted_now_is_started)
{
	unsigned late = 0;

	for (unsigned i = 0; i < ROUNDS && late < 2; i++)
		late += waits_for_the_budget() > WOKEN_MS;
	cr_expect(late < 2);
}

Test(http, what_is_dropped_never_begins_and_stopping_ends_the_rest)
{
	auto_answer struct answer a = ANSWER, b = ANSWER, c = ANSWER;
	struct gate g = GATE;
	struct httpd *d = httpd_start(gated, &g);
	struct http_stats stats;

	client((const char *const[]){ "maxsockets=1", NULL });
	ask(&a, httpd_url(d, "/a"), FROM(.prio = HTTP_NOW));
	gate_await(&g, 1);
	ask(&b, httpd_url(d, "/b"), FROM(.prio = HTTP_NOW));
	cr_expect(http_drop(b.call));
	http_call_release(b.call);
	cr_expect(!http_drop(a.call));
	ask(&c, httpd_url(d, "/c"), FROM(.prio = HTTP_NOW));
	http_stop(http);
	await(&a);
	cr_expect_eq(a.result, -ECANCELED);
	await(&c);
	cr_expect_eq(c.result, -ECANCELED);
	http_stats(http, &stats);
	cr_expect(stats.active == 0 && stats.queued == 0 && stats.held == 0);
	gate_open(&g);
	client_end();
	httpd_stop(d);
}

/* ---- outages ---- */

static int count_tries(void *arg)
{
	struct answer *a = arg;

	pthread_mutex_lock(&a->mu);
	a->asked++;
	pthread_cond_broadcast(&a->came);
	pthread_mutex_unlock(&a->mu);
	return 0;
}

/* The second try comes when the first has failed. */
static void await_second_try(struct answer *a)
{
	pthread_mutex_lock(&a->mu);
	while (a->asked < 2)
		pthread_cond_wait(&a->came, &a->mu);
	pthread_mutex_unlock(&a->mu);
}

/* All wait at the gate, but "/first", which takes its connection with it. */
static void gated_but_first(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	if (strcmp(rq->path, "/first") == 0) {
		httpd_reply(c, 200, NULL, "x", 1);
		httpd_cut(c);
	} else {
		gated(arg, c, rq);
	}
}

static int busy(void *arg)
{
	(void)arg;
	return -EBUSY;
}

/* The host has answered, which is remembered while there is a call for it, and then is gone. */
static void begin_outage(struct httpd *d)
{
	auto_answer struct answer first = ANSWER;

	cr_assert_eq(get(&first, httpd_url(d, "/first"), FROM(.limit = 10)), 0);
	httpd_gone(d);
}

#define NO_STALL "fetch-timeout=3600000"

Test(http, after_an_outage_nobody_waits_for_the_answer_of_who_came_first)
{
	auto_answer struct answer keeper = ANSWER, a = ANSWER, b = ANSWER;
	struct gate g = GATE;
	struct httpd *d = httpd_start(gated_but_first, &g);

	client((const char *const[]){ NO_STALL, NULL });
	ask(&keeper, httpd_url(d, "/k"), FROM(.may_begin = busy));
	begin_outage(d);
	ask(&a, httpd_url(d, "/a"), FROM(.may_begin = count_tries));
	await_second_try(&a);
	ask(&b, httpd_url(d, "/b"), FROM(.limit = 10));
	httpd_back(d);
	gate_await(&g, 2);
	gate_open(&g);
	await(&a);
	await(&b);
	cr_expect_eq(a.result, 0);
	cr_expect_eq(b.result, 0);
	http_stop(http);
	await(&keeper);
	client_end();
	httpd_stop(d);
}

Test(http, an_answer_that_does_not_come_keeps_nobody_from_seeing_that_an_outage_is_over)
{
	auto_answer struct answer keeper = ANSWER, a = ANSWER;
	struct gate g = GATE;
	struct httpd *d = httpd_start(gated_but_first, &g);

	client((const char *const[]){ NO_STALL, NULL });
	ask(&keeper, httpd_url(d, "/k"), FROM(.limit = 10));
	gate_await(&g, 1); /* on a connection that lives on */
	begin_outage(d);
	ask(&a, httpd_url(d, "/a"), FROM(.may_begin = count_tries));
	await_second_try(&a);
	httpd_back(d);
	gate_await(&g, 2);
	gate_open(&g);
	await(&a);
	await(&keeper);
	cr_expect_eq(a.result, 0);
	cr_expect_eq(keeper.result, 0);
	client_end();
	httpd_stop(d);
}

/* ---- a proxy is asked with the whole URL ---- */

static void proxying(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	(void)arg;
	httpd_reply(c, 200, NULL, rq->path, strlen(rq->path));
}

Test(http, a_proxy_is_asked_for_what_noproxy_does_not_name)
{
	auto_answer struct answer a = ANSWER, b = ANSWER;
	struct httpd *d = httpd_start(proxying, NULL);
	char proxy[128];

	(void)snprintf(proxy, sizeof proxy, "proxy=%s", httpd_url(d, "/"));
	client((const char *const[]){ proxy, "noproxy=127.0.0.1", NULL });
	cr_expect_eq(get(&a, "http://registry.test/a", FROM(.limit = 99)), 0);
	cr_assert_str_eq((char *)a.bytes, "http://registry.test/a");
	cr_expect_eq(get(&b, httpd_url(d, "/b"), FROM(.limit = 99)), 0);
	cr_assert_str_eq((char *)b.bytes, "/b");
	client_end();
	httpd_stop(d);
}

/* ---- gzip ---- */

/* "{}" and a megabyte of blanks, gzipped */
static void gzipped(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	static const uint8_t json[] = { 0x1f, 0x8b, 8, 0,    0,    0,    0,    0, 2, 3, 0xab,
					0xae, 5,    0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0 };
	const char *accept = httpd_header(c, "accept-encoding");

	(void)arg;
	if (strcmp(rq->path, "/asked") == 0)
		cr_expect(accept && strcmp(accept, "gzip") == 0);
	httpd_reply(c, 200, accept ? "Content-Encoding: gzip\r\n" : NULL, json, sizeof json);
}

Test(http, only_what_may_be_compressed_is_decoded)
{
	auto_answer struct answer a = ANSWER, b = ANSWER, c = ANSWER, raw = ANSWER;
	struct httpd *d = httpd_start(gzipped, NULL);

	client(NULL);
	cr_expect_eq(get(&a, httpd_url(d, "/"), FROM(.compressed = true)), 0);
	cr_assert_str_eq((char *)a.bytes, "{}");
	cr_expect_eq(get(&b, httpd_url(d, "/"), FROM(.limit = 99)), 0);
	cr_assert_eq(b.len, 22);
	cr_expect_eq(get(&c, httpd_url(d, "/"), FROM(.compressed = true, .limit = 1)), -E2BIG);
	cr_expect_eq(get(&raw, httpd_url(d, "/asked"), FROM(.gzip = true)), 0);
	cr_assert_eq(raw.len, 22);
	cr_expect_eq(raw.bytes[0], 0x1f);
	client_end();
	httpd_stop(d);
}
