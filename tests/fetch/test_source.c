#include "core/file.h"
#include "fetch/source.h"
#include "fetch/url.h"
#include "lock/graph.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define PUBLIC "https://registry.test/"

static struct npmrc *settings(const char *const *over)
{
	static const char *const env[] = { "HOME=/nowhere", NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = PUBLIC };
	struct npmrc *rc = NULL;

	cr_assert_eq(npmrc_load_with(&rc, &o, NULL), 0);
	return rc;
}

static int source(struct source *s, const char *setting, const struct fetch_pkg *p)
{
	const char *over[] = { "registry=http://127.0.0.1:4873/npm",
			       "@s:registry=https://scope.test", setting, NULL };
	struct npmrc *rc = settings(over);
	struct err e = { 0 };
	int r = source_of(s, rc, "/project", p, &e);

	cr_expect(r == 0 || e.msg[0] != '\0');
	npmrc_free(rc);
	return r;
}

static const struct {
	const char *setting, *resolved, *want, *why;
} urls[] = {
	{ NULL, "https://registry.test/a/-/a-1.0.0.tgz?x=1",
	  "http://127.0.0.1:4873/npm/a/-/a-1.0.0.tgz?x=1", "the public registry's is replaced" },
	{ NULL, "https://other.test/a.tgz", "https://other.test/a.tgz", "no other is" },
	{ NULL, "https://registry.test.evil.test/a.tgz", "https://registry.test.evil.test/a.tgz",
	  "nor one that only begins so" },
	{ NULL, "https://registry.test/npm/a.tgz", "http://127.0.0.1:4873/npm/a.tgz",
	  "a prefix that is there is not doubled" },
	{ NULL, "https://registry.test/npmx/a.tgz", "http://127.0.0.1:4873/npm/npmx/a.tgz",
	  "but a segment is whole" },
	{ "replace-registry-host=never", "https://registry.test/a.tgz",
	  "https://registry.test/a.tgz", "never" },
	{ "replace-registry-host=always", "https://other.test:8/a.tgz",
	  "http://127.0.0.1:4873/npm/a.tgz", "always" },
	{ "replace-registry-host=other.test", "http://Other.test/a.tgz",
	  "http://127.0.0.1:4873/npm/a.tgz", "a host" },
	{ "replace-registry-host=other.test", "https://registry.test/a.tgz",
	  "https://registry.test/a.tgz", "then the public one is like any other" },
	{ "replace-registry-host=https://other.test/old/", "https://other.test/old/a.tgz",
	  "http://127.0.0.1:4873/npm/a.tgz", "a prefix is swapped" },
	{ "replace-registry-host=https://other.test/old/", "https://other.test/older/a.tgz",
	  "https://other.test/older/a.tgz", "where it fits" },
	{ "replace-registry-host=word", "https://registry.test/a.tgz",
	  "http://127.0.0.1:4873/npm/a.tgz", "the keyword" },
};

Test(source, a_host_is_replaced_only_as_npm_says)
{
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		auto_source struct source s = { 0 };
		struct fetch_pkg p = { .name = "a",
				       .version = "1.0.0",
				       .resolved = urls[i].resolved };

		cr_assert_eq(source(&s, urls[i].setting, &p), 0);
		if (strcmp(s.what, urls[i].want) != 0)
			fprintf(stderr, "%s: %s\n", urls[i].why, s.what);
		cr_expect(strcmp(s.what, urls[i].want) == 0);
		cr_expect(s.kind == SOURCE_URL && !s.guessed);
	}
}

static const struct {
	const char *name, *version, *want;
} shapes[] = {
	{ "a", "1.0.0", "http://127.0.0.1:4873/npm/a/-/a-1.0.0.tgz" },
	{ "@s/b", "1.0.0-rc.1", "https://scope.test/@s/b/-/b-1.0.0-rc.1.tgz" },
	{ "@t/b", "2.0.0", "http://127.0.0.1:4873/npm/@t/b/-/b-2.0.0.tgz" },
	{ "a?b#c%", "1.0.0", "http://127.0.0.1:4873/npm/a%3fb%23c%25/-/a%3fb%23c%25-1.0.0.tgz" },
	{ "..", "1.0.0", NULL },
	{ "@s/..", "1.0.0", NULL },
	{ "@/a", "1.0.0", NULL },
	{ "a/b", "1.0.0", NULL },
	{ "a", "../../x", NULL },
	{ "a", "", NULL },
	{ "a b", "1.0.0", NULL },
};

Test(source, without_a_url_it_has_the_usual_shape_on_the_scopes_registry)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_source struct source s = { 0 };
		struct fetch_pkg p = { .name = shapes[i].name, .version = shapes[i].version };
		int r = source(&s, NULL, &p);

		cr_expect_eq(r, shapes[i].want ? 0 : -EINVAL);
		if (shapes[i].want && r == 0) {
			cr_assert_str_eq(s.what, shapes[i].want);
			cr_expect(s.guessed);
		}
	}
}

static const struct {
	const char *resolved;
	int result;
	enum source_kind kind;
	const char *what;
} kinds[] = {
	{ "file:../x/a.tgz", 0, SOURCE_FILE, "/project/../x/a.tgz" },
	{ "file:a%23b.tar.gz", 0, SOURCE_FILE, "/project/a#b.tar.gz" },
	{ "file:///abs/a.TAR", 0, SOURCE_FILE, "/abs/a.TAR" },
	{ "file:folder", 0, SOURCE_PACK, "/project/folder" },
	{ "git+ssh://git@host.test/u/r.git#abc", 0, SOURCE_PACK,
	  "git+ssh://git@host.test/u/r.git#abc" },
	{ "github:u/r#abc", 0, SOURCE_PACK, "github:u/r#abc" },
	{ "ftp://host.test/a.tgz", -EOPNOTSUPP, SOURCE_URL, NULL },
	{ "https://", -EINVAL, SOURCE_URL, NULL },
};

Test(source, files_and_git_are_kinds_of_their_own)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		auto_source struct source s = { 0 };
		struct fetch_pkg p = { .name = "a", .resolved = kinds[i].resolved };
		int r = source(&s, NULL, &p);

		cr_expect_eq(r, kinds[i].result);
		if (r == 0 && kinds[i].what) {
			cr_expect_eq(s.kind, kinds[i].kind);
			cr_assert_str_eq(s.what, kinds[i].what);
		}
	}
}

Test(source, a_packuments_url_escapes_the_scopes_slash)
{
	auto_free char *plain = NULL, *scoped = NULL;
	char *none = NULL;

	cr_assert_eq(source_packument(&plain, "https://registry.test/npm//", "a", NULL), 0);
	cr_assert_str_eq(plain, "https://registry.test/npm/a");
	cr_assert_eq(source_packument(&scoped, "https://registry.test", "@s/a", NULL), 0);
	cr_assert_str_eq(scoped, "https://registry.test/@s%2fa");
	cr_assert_eq(source_packument(&none, "https://registry.test", "../a", NULL), -EINVAL);
}

static const struct {
	const char *text, *shown;
} shown[] = {
	{ "https://registry.test/a?token=x#y", "https://registry.test/a" },
	{ "https://u:p@registry.test:8/@s/a", "https://registry.test:8/@s/a" },
	{ "https://registry.test:8/@s/a", "https://registry.test:8/@s/a" },
	{ "https://u:p/w@registry.test/a", "https://registry.test/a" },
	{ "http://[::1]:8/@s/a", "http://[::1]:8/@s/a" },
	{ "git+ssh://git@host.test/u/r.git#abc", "git+ssh://host.test/u/r.git" },
	{ "https://u@", "https://" },
	{ "file:../a\n.tgz", "file:../a?.tgz" },
	{ "", "" },
};

Test(source, what_a_message_shows_has_no_secrets)
{
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		char text[URL_SHOWN_MAX];

		url_shown(shown[i].text, text);
		cr_assert_str_eq(text, shown[i].shown);
	}
}

static struct digest key_with(const char *registry, const struct graph_node *n)
{
	char text[128];
	const char *over[] = { text, NULL };
	struct digest key = { 0 };
	struct npmrc *rc;

	(void)snprintf(text, sizeof text, "registry=%s", registry);
	rc = settings(over);
	cr_assert_eq(fetch_key(rc, "/project", n, &key, NULL), 0);
	npmrc_free(rc);
	return key;
}

Test(source, without_integrity_a_key_tells_one_registry_from_another)
{
	struct graph_node n = { .path = "node_modules/a", .pkg_name = "a", .version = "1.0.0" };
	struct digest one = key_with("https://one.test/", &n),
		      two = key_with("https://two.test/", &n);

	cr_assert_eq(one.alg, DIGEST_UNPINNED);
	cr_assert(!digest_eq(&one, &two));
	two = key_with("https://one.test/", &n);
	cr_assert(digest_eq(&one, &two));
	n.integrity = "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	one = key_with("https://one.test/", &n);
	two = key_with("https://two.test/", &n);
	cr_assert_eq(one.alg, DIGEST_SHA1);
	cr_assert(digest_eq(&one, &two));
}

/* A hostile project's settings may make anybody the registry: what came so is for it alone. */
Test(source, without_integrity_a_key_tells_who_was_believed)
{
	static const char *const trust[] = { "proxy=http://proxy.test:8/", "strict-ssl=false",
					     "cafile=/project/ca.pem", "ca=PEM" };
	struct graph_node n = { .path = "node_modules/a",
				.pkg_name = "a",
				.version = "1.0.0",
				.resolved = "https://one.test/a.tgz" };
	struct digest plain = key_with("https://one.test/", &n);

	for (size_t i = 0; i < ARRAY_LEN(trust); i++) {
		const char *over[] = { "registry=https://one.test/", trust[i], NULL };
		struct npmrc *rc = settings(over);
		struct digest key;

		cr_assert_eq(fetch_key(rc, "/project", &n, &key, NULL), 0);
		cr_expect(!digest_eq(&key, &plain), "%s", trust[i]);
		npmrc_free(rc);
	}
}

Test(source, a_tarball_on_disk_without_integrity_is_another_once_it_is_packed_anew)
{
	char dir[TEST_DIR_SIZE], path[64];
	struct graph_node n = { .path = "node_modules/a",
				.pkg_name = "a",
				.version = "1.0.0",
				.resolved = "file:a.tgz" };
	struct npmrc *rc = settings(NULL);
	struct digest none, first, same, second;

	test_dir(dir, sizeof dir);
	(void)snprintf(path, sizeof path, "%s/a.tgz", dir);
	cr_assert_eq(fetch_key(rc, dir, &n, &none, NULL), 0);
	cr_assert_eq(file_replace(path, "one", 3, 0644, NULL), 0);
	cr_assert_eq(fetch_key(rc, dir, &n, &first, NULL), 0);
	cr_assert_eq(fetch_key(rc, dir, &n, &same, NULL), 0);
	cr_assert_eq(file_replace(path, "two", 3, 0644, NULL), 0);
	cr_assert_eq(fetch_key(rc, dir, &n, &second, NULL), 0);
	cr_expect(!digest_eq(&none, &first));
	cr_expect(digest_eq(&first, &same));
	cr_expect(!digest_eq(&first, &second));
	npmrc_free(rc);
	(void)unlink(path);
	(void)rmdir(dir);
}
