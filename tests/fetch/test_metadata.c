#include "core/rm_tree.h"
#include "fetch/metadata.h"
#include "tests/lib/env.h"
#include "tests/lib/httpd.h"
#include "tests/lib/tarball.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

static struct httpd *registry;
static struct npmrc *rc;
static struct metadata *metadata;
static char dir[64];

/* `torn`: all but its end. */
static void reply_gzipped(struct httpd_conn *c, struct slice text, bool torn)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);
	const char *accept = httpd_header(c, "Accept-Encoding");

	cr_expect(accept && strcmp(accept, "gzip") == 0);
	tarball_gzip(text, &b);
	httpd_reply(c, 200, "Content-Encoding: gzip\r\n", b.data, b.len - (torn ? 12 : 0));
}

static void serve(void *arg, struct httpd_conn *c, const struct httpd_request *rq)
{
	static const char a[] =
		"{\"name\":\"a\",\"dist-tags\":{\"latest\":\"1.0.0\"},\"versions\":{"
		"\"1.0.0\":{\"name\":\"a\",\"version\":\"1.0.0\",\"dist\":{"
		"\"tarball\":\"http://registry.test/a.tgz\"}}}}";
	const char *etag = httpd_header(c, "If-None-Match");

	(void)arg;
	if (strcmp(rq->path, "/never") == 0)
		httpd_reply(c, 200, "Cache-Control: max-age=0\r\n", a, sizeof a - 1);
	else if (strcmp(rq->path, "/ever") == 0)
		httpd_reply(c, 200, "Cache-Control: max-age=4000000000\r\n", a, sizeof a - 1);
	else if (strcmp(rq->path, "/tagged") == 0 && etag && strcmp(etag, "\"x\"") == 0)
		httpd_reply(c, 304, "Cache-Control: max-age=0\r\n", NULL, 0);
	else if (strcmp(rq->path, "/tagged") == 0)
		httpd_reply(c, 200, "Cache-Control: max-age=0\r\nETag: \"x\"\r\n", a, sizeof a - 1);
	else if (strcmp(rq->path, "/a") == 0)
		httpd_reply(c, 200, NULL, a, sizeof a - 1);
	else if (strcmp(rq->path, "/zipped") == 0 || strcmp(rq->path, "/torn") == 0)
		reply_gzipped(c, (struct slice){ (const uint8_t *)a, sizeof a - 1 },
			      strcmp(rq->path, "/torn") == 0);
	else if (strcmp(rq->path, "/broken") == 0)
		httpd_reply(c, 200, NULL, "{\"versions\":", 12);
	else
		httpd_reply(c, 404, NULL, NULL, 0);
}

/* As the next dx does. */
static void again(const char *more)
{
	static const char *const env[] = { "HOME=/nowhere", NULL };
	char url[300];
	const char *over[] = { url, "fetch-retries=0", more, NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = "" };

	metadata_free(metadata);
	npmrc_free(rc);
	(void)snprintf(url, sizeof url, "registry=%s", httpd_url(registry, "/"));
	cr_assert_eq(npmrc_load_with(&rc, &o, NULL), 0);
	cr_assert_eq(metadata_new(&metadata, rc, dir, NULL), 0);
}

static void begin(void)
{
	metadata = NULL;
	rc = NULL;
	test_dir(dir, sizeof dir);
	registry = httpd_start(serve, NULL);
	again(NULL);
}

static void end(void)
{
	metadata_free(metadata);
	npmrc_free(rc);
	httpd_stop(registry);
	rm_tree(AT_FDCWD, dir);
}

static int get(const char *name)
{
	const struct packument *p = NULL;
	struct err e = { 0 };
	int r = metadata_get(metadata, name, &p, &e);

	if (r == 0)
		cr_expect_str_eq(packument_tag(p, "latest"), "1.0.0");
	else
		cr_expect(e.msg[0] != '\0');
	return r;
}

Test(metadata, what_was_asked_for_is_kept_and_used_while_it_is_fresh)
{
	begin();
	cr_expect_eq(get("a"), 0);
	cr_expect_eq(get("a"), 0);
	again(NULL);
	cr_expect_eq(get("a"), 0);
	cr_expect_eq(httpd_count(registry, "/a"), 1);
	end();
}

Test(metadata, what_is_stale_is_asked_for_again_with_its_etag)
{
	begin();
	cr_expect_eq(get("never"), 0);
	cr_expect_eq(get("tagged"), 0);
	again(NULL);
	cr_expect_eq(get("never"), 0);
	cr_expect_eq(get("tagged"), 0);
	cr_expect_eq(httpd_count(registry, "/never"), 2);
	cr_expect_eq(httpd_count(registry, "/tagged"), 2);
	again("prefer-offline=true");
	cr_expect_eq(get("never"), 0);
	cr_expect_eq(httpd_count(registry, "/never"), 2);
	again("offline=true");
	cr_expect_eq(get("never"), 0);
	cr_expect_eq(get("a"), -ENETUNREACH);
	end();
}

/* Changes the byte there of all files that are kept. */
static void damage(off_t at)
{
	DIR *d = opendir(dir);

	cr_assert(d);
	for (struct dirent *e; (e = readdir(d));) {
		int fd = openat(dirfd(d), e->d_name, O_RDWR | O_CLOEXEC);
		char c;

		if (fd < 0)
			continue;
		cr_assert_eq(pread(fd, &c, 1, at), 1);
		c ^= 1;
		cr_assert_eq(pwrite(fd, &c, 1, at), 1);
		(void)close(fd);
	}
	(void)closedir(d);
}

Test(metadata, what_is_damaged_is_asked_for_again)
{
	begin();
	cr_expect_eq(get("a"), 0);
	again("offline=true");
	cr_expect_eq(get("a"), 0);
	again(NULL);
	damage(100);
	cr_expect_eq(get("a"), 0);
	cr_expect_eq(httpd_count(registry, "/a"), 2);
	again("offline=true");
	cr_expect_eq(get("a"), 0);
	again(NULL);
	damage(0);
	again("offline=true");
	cr_expect_eq(get("a"), -ENETUNREACH);
	end();
}

Test(metadata, answers_may_be_gzipped)
{
	begin();
	cr_expect_eq(get("zipped"), 0);
	again("offline=true");
	cr_expect_eq(get("zipped"), 0);
	end();
}

/* What decides who is believed is part of what is kept. */
Test(metadata, other_settings_of_trust_have_other_answers)
{
	begin();
	cr_expect_eq(get("a"), 0);
	again("strict-ssl=false");
	cr_expect_eq(get("a"), 0);
	cr_expect_eq(httpd_count(registry, "/a"), 2);
	again(NULL);
	cr_expect_eq(get("a"), 0);
	cr_expect_eq(httpd_count(registry, "/a"), 2);
	end();
}

/* Its file says until when; a registry cannot make that a hundred years. */
Test(metadata, fresh_is_a_day_at_most)
{
	begin();
	cr_expect_eq(get("ever"), 0);
	again(NULL);
	cr_expect_eq(get("ever"), 0);
	cr_expect_eq(httpd_count(registry, "/ever"), 1);
	cr_expect(metadata_fresh_s(true, 4000000000u) == METADATA_FRESH_MAX_S);
	cr_expect(metadata_fresh_s(true, 60) == 60);
	cr_expect(metadata_fresh_s(false, 60) == METADATA_FRESH_S);
	end();
}

Test(metadata, failures)
{
	begin();
	cr_expect_eq(get("nowhere"), -ENOENT);
	cr_expect(get("broken") < 0);
	cr_expect_eq(get("torn"), -EBADMSG);
	cr_expect(get("../up") < 0);
	again(NULL);
	cr_expect(get("broken") < 0);
	cr_expect_eq(httpd_count(registry, "/broken"), 2);
	end();
}
