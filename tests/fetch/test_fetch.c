#include "core/clock.h"
#include "core/file.h"
#include "fetch/fetch.h"
#include "fetch/http.h"
#include "fetch/npmrc.h"
#include "tests/lib/env.h"
#include "tests/lib/httpd.h"
#include "tests/lib/tarball.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- a store, a registry, a fetch, and what it answered ---- */

static char dir[64];
static struct store *store;
static struct npmrc *rc;
static struct httpd *registry;
static struct fetch *fetch;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static struct {
	struct digest key;
	int result;
	char why[256];
} answers[256];
static unsigned answer_count; /* guarded by mu */

static void on_done(void *arg, const struct digest *key, int result, const char *why)
{
	(void)arg;
	pthread_mutex_lock(&mu);
	cr_assert(answer_count < ARRAY_LEN(answers));
	answers[answer_count].key = *key;
	answers[answer_count].result = result;
	(void)snprintf(answers[answer_count].why, sizeof answers[0].why, "%s", why ? why : "");
	answer_count++;
	pthread_cond_broadcast(&answered);
	pthread_mutex_unlock(&mu);
}

static void await(unsigned n)
{
	pthread_mutex_lock(&mu);
	while (answer_count < n)
		pthread_cond_wait(&answered, &mu);
	pthread_mutex_unlock(&mu);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void begin(httpd_fn *fn, void *arg, const struct fetch_config *more)
{
	static const char *const env[] = { "HOME=/nowhere", NULL };
	char url[300], token[300];
	const char *over[] = { "fetch-retry-mintimeout=10",
			       "fetch-retry-maxtimeout=10",
			       "maxsockets=4",
			       token,
			       url,
			       NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = "" };
	struct fetch_config c = *more;
	struct err e = { 0 };

	test_dir(dir, sizeof dir);
	answer_count = 0;
	registry = httpd_start(fn, arg);
	(void)snprintf(url, sizeof url, "registry=%s", httpd_url(registry, "/"));
	(void)snprintf(token, sizeof token, "%s:_authToken=tok",
		       httpd_url(registry, "/") + strlen("http:"));
	cr_assert_eq(npmrc_load_with(&rc, &o, NULL), 0);
	cr_assert_eq(store_open(&store, &(struct store_options){ .dir = dir }, &e), 0);
	c.store = store;
	c.npmrc = rc;
	c.done = on_done;
	cr_assert_eq(fetch_start(&fetch, &c, &e), 0);
}

#define BEGIN(fn, arg, ...) begin(fn, arg, &(struct fetch_config){ __VA_ARGS__ })

static void end(void)
{
	if (fetch)
		fetch_stop(fetch);
	fetch = NULL;
	httpd_stop(registry);
	store_close(store);
	npmrc_free(rc);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- packages ---- */

struct sample {
	struct buf bytes;
	char integrity[DIGEST_TEXT_MAX];
	struct fetch_pkg pkg;
};
static void sample_release(struct sample *s)
{
	buf_release(&s->bytes);
}
#define auto_sample cleanup(sample_release)

static void sample_make(struct sample *s, const char *name, const char *text)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	*s = (struct sample){ .bytes = BUF_INIT(1 << 20) };
	tarball_file(&t, "package/index.js", text);
	tarball_end(&t);
	tarball_gzip((struct slice){ t.bytes.data, t.bytes.len }, &s->bytes);
	cr_assert_eq(buf_error(&s->bytes), 0);
	s->pkg = (struct fetch_pkg){ .name = name, .version = "1.0.0" };
	cr_assert_eq(digest_of(&s->pkg.key, DIGEST_SHA512, s->bytes.data, s->bytes.len), 0);
	digest_format(&s->pkg.key, s->integrity);
}

/* The strings of a sample that has been moved do not move with it. */
static const struct fetch_pkg *pkg(struct sample *s)
{
	s->pkg.integrity = s->integrity;
	return &s->pkg;
}

static void give(struct httpd_conn *c, const struct sample *s)
{
	httpd_reply(c, 200, NULL, s->bytes.data, s->bytes.len);
}

/* ---- the usual ---- */

static void usual(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	const char *auth = httpd_header(c, "authorization");
	struct sample *s = arg;

	if (!auth || strcmp(auth, "Bearer tok") != 0)
		httpd_reply(c, 401, NULL, NULL, 0);
	else if (strcmp(rq->path, "/a/-/a-1.0.0.tgz") == 0)
		give(c, s);
	else
		httpd_reply(c, 404, NULL, NULL, 0);
}

Test(fetch, a_package_comes_into_the_store)
{
	auto_sample struct sample a;
	struct fetch_stats st;

	sample_make(&a, "a", "module.exports = 1\n");
	BEGIN(usual, &a, .workers = 2);
	cr_assert_not(store_has(store, &a.pkg.key));
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, 0);
	cr_assert(digest_eq(&answers[0].key, &a.pkg.key));
	cr_assert(store_has(store, &a.pkg.key));
	/* What is here already is answered without asking. */
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(2);
	cr_assert_eq(answers[1].result, 0);
	cr_assert_eq(httpd_count(registry, NULL), 1);
	fetch_stats(fetch, &st);
	cr_assert(st.fetched == 1 && st.failed == 0 && st.bytes == a.bytes.len);
	end();
}

Test(fetch, a_failure_is_told_and_remembered_for_a_while)
{
	auto_sample struct sample none;

	sample_make(&none, "none", "x");
	BEGIN(usual, &none, .failure_memory_s = 600);
	fetch_want(fetch, pkg(&none), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, -ENOENT);
	cr_assert(strstr(answers[0].why, "none@1.0.0") && strstr(answers[0].why, "127.0.0.1"));
	/* The tarball's usual place and the packument; then nothing more. */
	cr_assert_eq(httpd_count(registry, "/none/-/none-1.0.0.tgz"), 1);
	cr_assert_eq(httpd_count(registry, "/none"), 1);
	fetch_want(fetch, pkg(&none), FETCH_DEMAND);
	await(2);
	cr_assert_eq(answers[1].result, -ENOENT);
	cr_assert_str_eq(answers[1].why, answers[0].why);
	cr_assert_eq(httpd_count(registry, NULL), 2);
	end();
}

Test(fetch, offline_nothing_is_asked)
{
	auto_sample struct sample a;

	sample_make(&a, "a", "x");
	BEGIN(usual, &a, .offline = true);
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, -ENETUNREACH);
	cr_assert_eq(httpd_count(registry, NULL), 0);
	end();
}

/* ---- one download for all ---- */

struct gate {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool open;
	unsigned waiting;
	char order[64];
	struct sample *samples;
};
#define GATE                                                                                       \
	{                                                                                          \
		.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER               \
	}

/* /<letter>/-/... waits until the gate is open. */
static void gated(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct gate *g = arg;
	unsigned i;

	pthread_mutex_lock(&g->mu);
	g->waiting++;
	strncat(g->order, rq->path + 1, 1);
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->mu);
	pthread_mutex_unlock(&g->mu);
	for (i = 0; g->samples[i].pkg.name[0] != rq->path[1];)
		i++;
	give(c, &g->samples[i]);
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

Test(fetch, fifty_wants_are_one_download_and_one_answer)
{
	struct sample s[1];
	struct gate g = GATE;

	sample_make(&s[0], "a", "x");
	g.samples = s;
	BEGIN(gated, &g, .workers = 2);
	for (unsigned i = 0; i < 50; i++)
		fetch_want(fetch, pkg(&s[0]), i % 2 ? FETCH_BACKGROUND : FETCH_DEMAND);
	gate_await(&g, 1);
	gate_open(&g);
	await(1);
	fetch_stop(fetch);
	fetch = NULL;
	cr_assert_eq(answer_count, 1);
	cr_assert_eq(answers[0].result, 0);
	cr_assert_eq(httpd_count(registry, NULL), 1);
	end();
	sample_release(&s[0]);
}

/* Six packages, "a" to "f", behind a gate. */
static void begin_gated(struct gate *g, struct sample s[6])
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };

	for (unsigned i = 0; i < 6; i++)
		sample_make(&s[i], names[i], names[i]);
	g->samples = s;
	BEGIN(gated, g, .workers = 2, .bulk = true);
}

static void end_gated(struct sample s[6])
{
	end();
	for (unsigned i = 0; i < 6; i++)
		sample_release(&s[i]);
}

/* False: the machine slept so long that one more was started, as it must be. */
static bool overtakes(void)
{
	struct sample s[6];
	struct gate g = GATE;
	int64_t began = now_ms();
	bool in_time;

	begin_gated(&g, s);
	/* Of four connections three may be used in the background; one is kept for demand. */
	for (unsigned i = 0; i < 5; i++)
		fetch_want(fetch, pkg(&s[i]), FETCH_BACKGROUND);
	gate_await(&g, 3);
	fetch_want(fetch, pkg(&s[4]), FETCH_DEMAND);
	gate_await(&g, 4);
	in_time = now_ms() - began < HTTP_AGING_MS;
	cr_assert(g.order[3] == 'e' || !in_time);
	fetch_want(fetch, pkg(&s[5]), FETCH_BACKGROUND);
	gate_open(&g);
	await(6);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(answers[i].result, 0);
	end_gated(s);
	return in_time;
}

Test(fetch, a_later_want_moves_a_package_forward)
{
	while (!overtakes())
		;
}

Test(fetch, what_nobody_wants_any_more_is_dropped_unless_it_was_started)
{
	struct sample s[6];
	struct gate g = GATE;

	begin_gated(&g, s);
	for (unsigned i = 0; i < 6; i++)
		fetch_want(fetch, pkg(&s[i]), FETCH_BACKGROUND);
	fetch_want(fetch, pkg(&s[4]), FETCH_GUESS);
	gate_await(&g, 3);
	cr_assert_not(fetch_drop(fetch, &s[0].pkg.key, FETCH_BACKGROUND), "under way");
	cr_assert_not(fetch_drop(fetch, &s[4].pkg.key, FETCH_GUESS), "wanted in the background");
	cr_assert_not(fetch_drop(fetch, &s[5].pkg.key, FETCH_GUESS), "never wanted so");
	cr_assert(fetch_drop(fetch, &s[5].pkg.key, FETCH_BACKGROUND));
	cr_assert_not(fetch_drop(fetch, &s[5].pkg.key, FETCH_BACKGROUND), "gone");
	gate_open(&g);
	await(5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(answers[i].result, 0);
	cr_assert_not(store_has(store, &s[5].pkg.key));
	fetch_want(fetch, pkg(&s[5]), FETCH_DEMAND);
	await(6);
	cr_assert_eq(answers[5].result, 0);
	end_gated(s);
}

Test(fetch, stopping_cancels_what_is_under_way)
{
	struct sample s[6];
	struct gate g = GATE;

	begin_gated(&g, s);
	for (unsigned i = 0; i < 6; i++)
		fetch_want(fetch, pkg(&s[i]), FETCH_DEMAND);
	gate_await(&g, 4);
	fetch_stop(fetch);
	fetch = NULL;
	cr_assert_eq(answer_count, 6);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(answers[i].result, -ECANCELED);
	gate_open(&g);
	end_gated(s);
}

/* ---- wrong bytes ---- */

struct wrong {
	struct sample *right, *other;
	unsigned times;
};

static void wrong(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct wrong *w = arg;

	give(c, rq->nth <= w->times ? w->other : w->right);
}

Test(fetch, wrong_bytes_are_fetched_anew_and_never_stored)
{
	for (unsigned times = 1; times <= 3; times++) {
		auto_sample struct sample a, b;
		struct wrong w = { &a, &b, times };

		sample_make(&a, "a", "right");
		sample_make(&b, "a", "wrong");
		BEGIN(wrong, &w, .workers = 2);
		fetch_want(fetch, pkg(&a), FETCH_DEMAND);
		await(1);
		cr_assert_eq(answers[0].result, times < 3 ? 0 : -EBADMSG);
		cr_assert_eq(store_has(store, &a.pkg.key), times < 3);
		cr_assert_not(store_has(store, &b.pkg.key));
		cr_assert_eq(httpd_count(registry, NULL), times < 3 ? times + 1 : 3);
		end();
	}
}

/* ---- a tarball that does not stand in the usual place ---- */

static void elsewhere(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	struct sample *s = arg;
	char text[512];

	if (strcmp(rq->path, "/@s%2fa") == 0) {
		int n = snprintf(text, sizeof text,
				 "{\"versions\":{\"1.0.0\":{\"dist\":{\"tarball\":\"%s\"}},"
				 "\"2.0.0\":{}}}",
				 httpd_url(registry, "/files/x.tgz"));

		httpd_reply(c, 200, NULL, text, (size_t)n);
	} else if (strcmp(rq->path, "/files/x.tgz") == 0) {
		give(c, s);
	} else {
		httpd_reply(c, 404, NULL, NULL, 0);
	}
}

Test(fetch, where_the_usual_place_is_empty_the_packument_is_asked)
{
	auto_sample struct sample a, b;

	sample_make(&a, "@s/a", "x");
	sample_make(&b, "@s/a", "y");
	b.pkg.version = "3.0.0";
	BEGIN(elsewhere, &a, .workers = 2);
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, 0);
	fetch_want(fetch, pkg(&b), FETCH_DEMAND);
	await(2);
	cr_assert_eq(answers[1].result, -ENOENT);
	end();
}

/* ---- files ---- */

Test(fetch, a_files_tarball_is_read_from_the_project)
{
	auto_sample struct sample a, none;
	char path[128];

	sample_make(&a, "a", "x");
	sample_make(&none, "none", "y");
	BEGIN(usual, &a, .offline = true, .project_dir = "/");
	(void)snprintf(path, sizeof path, "%s/a.tgz", dir);
	cr_assert_eq(file_replace(path, a.bytes.data, a.bytes.len, 0600, NULL), 0);
	(void)snprintf(path, sizeof path, "file:%s/a.tgz", dir + 1);
	a.pkg.resolved = path;
	none.pkg.resolved = "file:none.tgz";
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, 0);
	fetch_want(fetch, pkg(&none), FETCH_DEMAND);
	await(2);
	cr_assert_eq(answers[1].result, -EIO);
	cr_assert(strstr(answers[1].why, "none.tgz") != NULL);
	end();
}

/* ---- workers ---- */

Test(fetch, demand_does_not_wait_for_a_worker_that_is_busy_in_the_background)
{
	auto_free char *path = strdup(getenv("PATH"));
	auto_sample struct sample a, git;
	char bin[TEST_DIR_SIZE], name[128], script[256];
	int fd;

	/* npm hangs until somebody opens the other end and closes it again. */
	test_dir(bin, sizeof bin);
	(void)snprintf(name, sizeof name, "%s/fifo", bin);
	cr_assert_eq(mkfifo(name, 0600), 0);
	(void)snprintf(script, sizeof script, "#!/bin/sh\nread line <%s\nexit 1\n", name);
	(void)snprintf(name, sizeof name, "%s/npm", bin);
	cr_assert_eq(file_replace(name, script, strlen(script), 0755, NULL), 0);
	cr_assert_eq(setenv("PATH", bin, 1), 0);

	sample_make(&a, "a", "x");
	sample_make(&git, "git", "y");
	git.pkg.resolved = "git+ssh://git@host.test/u/r.git#abc";
	BEGIN(usual, &a, .workers = 1);
	fetch_want(fetch, pkg(&git), FETCH_BACKGROUND);
	(void)snprintf(name, sizeof name, "%s/fifo", bin);
	fd = open(name, O_WRONLY | O_CLOEXEC); /* returns when npm reads */
	cr_assert(fd >= 0);
	fetch_want(fetch, pkg(&a), FETCH_DEMAND);
	await(1);
	cr_assert_eq(answers[0].result, 0);
	cr_assert(digest_eq(&answers[0].key, &a.pkg.key));
	close(fd);
	await(2);
	cr_assert_eq(answers[1].result, -EREMOTEIO);
	(void)setenv("PATH", path, 1);
	end();
	nftw(bin, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
