#include "fetch/catalog_npm.h"
#include "tests/lib/httpd.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdio.h>

static struct httpd *registry;
static struct npmrc *rc;
static struct catalog_npm *catalog;

static void serve(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	static const char a[] = "{\"versions\":{\"1.0.0\":{\"bin\":{\"a\":\"x.js\"}}}}";

	(void)arg;
	if (strcmp(rq->path, "/a") == 0 || strcmp(rq->path, "/@s%2fb") == 0)
		httpd_reply(c, 200, NULL, a, sizeof a - 1);
	else if (strcmp(rq->path, "/broken") == 0)
		httpd_reply(c, 200, NULL, "{\"versions\":", 12);
	else
		httpd_reply(c, 404, NULL, NULL, 0);
}

static void begin(const char *more)
{
	static const char *const env[] = { "HOME=/nowhere", NULL };
	char url[300];
	const char *over[] = { url, more, NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = "" };

	registry = httpd_start(serve, NULL);
	(void)snprintf(url, sizeof url, "registry=%s", httpd_url(registry, "/"));
	cr_assert_eq(npmrc_load_with(&rc, &o, NULL), 0);
	cr_assert_eq(catalog_npm_new(&catalog, rc, "/", NULL), 0);
}

static void end(void)
{
	catalog_npm_free(catalog);
	npmrc_free(rc);
	httpd_stop(registry);
}

Test(catalog_npm, gives_a_versions_manifest_and_asks_once)
{
	auto_json cJSON *one = NULL, *two = NULL;
	struct catalog k;

	begin(NULL);
	k = catalog_npm(catalog);
	cr_assert_eq(k.manifest(k.self, "a", "1.0.0", &one, NULL), 0);
	cr_assert_str_eq(json_str(json_get(one, "bin"), "a"), "x.js");
	cr_assert_eq(k.manifest(k.self, "a", "1.0.0", &two, NULL), 0);
	cr_assert_eq(httpd_count(registry, "/a"), 1);
	end();
}

Test(catalog_npm, failures_say_what_is_missing)
{
	struct err e = { 0 };
	cJSON *m = NULL;
	struct catalog k;

	begin(NULL);
	k = catalog_npm(catalog);
	cr_assert_eq(k.manifest(k.self, "a", "2.0.0", &m, &e), -ENOENT);
	cr_assert(strstr(e.msg, "2.0.0") != NULL);
	cr_assert_eq(k.manifest(k.self, "none", "1.0.0", &m, &e), -ENOENT);
	cr_assert_eq(k.manifest(k.self, "broken", "1.0.0", &m, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "broken") != NULL);
	cr_assert_eq(k.manifest(k.self, "../a", "1.0.0", &m, &e), -EINVAL);
	end();
}

Test(catalog_npm, offline_nothing_is_asked)
{
	cJSON *m = NULL;
	struct catalog k;

	begin("offline=true");
	k = catalog_npm(catalog);
	cr_assert_eq(k.manifest(k.self, "a", "1.0.0", &m, NULL), -ENETUNREACH);
	cr_assert_eq(httpd_count(registry, NULL), 0);
	end();
}

static void *ask(void *arg)
{
	struct catalog k = catalog_npm(catalog);
	auto_json cJSON *m = NULL;

	return k.manifest(k.self, arg, "1.0.0", &m, NULL) == 0 ? NULL : arg;
}

Test(catalog_npm, hints_and_threads_share_one_question)
{
	static const char *const names[] = { "a", "@s/b" };
	pthread_t threads[8];
	struct catalog k;

	begin(NULL);
	k = catalog_npm(catalog);
	k.hint(k.self, names, 2);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ask, (void *)names[i % 2]), 0);
	for (unsigned i = 0; i < 8; i++) {
		void *failed = NULL;

		pthread_join(threads[i], &failed);
		cr_expect(failed == NULL);
	}
	cr_assert_eq(httpd_count(registry, "/a"), 1);
	cr_assert_eq(httpd_count(registry, "/@s%2fb"), 1);
	end();
}
