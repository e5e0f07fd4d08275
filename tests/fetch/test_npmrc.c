#include "core/file.h"
#include "fetch/npmrc.h"
#include "lock/select.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <stdio.h>
#include <sys/stat.h>

/* A home, a prefix and a project, each with the npmrc that a test writes. */
static char dir[64], env_home[80], env_prefix[80], project[80];

static void setup(void)
{
	char path[128];

	test_dir(dir, sizeof dir);
	(void)snprintf(env_home, sizeof env_home, "HOME=%s/home", dir);
	(void)snprintf(env_prefix, sizeof env_prefix, "PREFIX=%s", dir);
	(void)snprintf(project, sizeof project, "%s/project", dir);
	cr_assert_eq(mkdir(project, 0700), 0);
	cr_assert_eq(mkdir(env_home + 5, 0700), 0);
	(void)snprintf(path, sizeof path, "%s/etc", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
}

static void put(const char *name, const char *text)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	cr_assert_eq(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static void teardown(void)
{
	static const char *const names[] = {
		"project/.npmrc", "home/.npmrc", "etc/npmrc", "project", "home", "etc", ""
	};
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		(void)remove(path);
	}
}

#define FILES .init = setup, .fini = teardown

static int try_load(struct npmrc **ret, const char *const *overrides, const char *const *more,
		    struct err *e)
{
	const char *env[16] = { env_home, env_prefix };
	struct npmrc_options o = {
		.project_dir = project, .overrides = overrides, .env = env, .public_registry = ""
	};

	for (size_t i = 2; more && *more; i++)
		env[i] = *more++;
	return npmrc_load_with(ret, &o, e);
}

static struct npmrc *load(const char *const *overrides, const char *const *more)
{
	struct npmrc *rc = NULL;
	struct err e = { 0 };

	if (try_load(&rc, overrides, more, &e) < 0)
		fprintf(stderr, "%s\n", e.msg);
	cr_assert(rc != NULL);
	return rc;
}

static bool is(const struct npmrc *rc, const char *key, const char *value)
{
	const char *v = npmrc_get(rc, key);

	return value ? v && strcmp(v, value) == 0 : !v;
}

static bool authorized(const struct npmrc *rc, const char *url, const char *registry,
		       const char *value)
{
	auto_npmrc_auth struct npmrc_auth a = { 0 };

	cr_assert_eq(npmrc_auth_for(rc, url, registry, &a, NULL), 0);
	return value ? a.authorization && strcmp(a.authorization, value) == 0 : !a.authorization;
}

Test(npmrc, sources_stand_in_npms_order, FILES)
{
	static const char *const over[] = { "a=override", NULL };
	static const char *const env[] = { "npm_config_a=env", "NPM_CONFIG_B=env",
					   "npm_config_empty=", NULL };
	struct npmrc *rc;

	put("project/.npmrc", "a=project\nb=project\nc=project\n");
	put("home/.npmrc", "a=user\nb=user\nc=user\nd=user\nempty=user\n");
	put("etc/npmrc", "a=global\nb=global\nc=global\nd=global\ne=global\n");
	rc = load(over, env);
	cr_expect(is(rc, "a", "override"));
	cr_expect(is(rc, "b", "env"));
	cr_expect(is(rc, "c", "project"));
	cr_expect(is(rc, "d", "user"));
	cr_expect(is(rc, "e", "global"));
	cr_expect(is(rc, "empty", "user"), "an empty variable is not a setting");
	cr_expect(is(rc, "none", NULL));
	npmrc_free(rc);
}

Test(npmrc, the_files_places_can_be_configured, FILES)
{
	char user[128], global[128];
	const char *env[] = { user, NULL };
	struct npmrc *rc;

	(void)snprintf(user, sizeof user, "npm_config_userconfig=%s/u", dir);
	(void)snprintf(global, sizeof global, "a=1\nglobalconfig=%s/g\n", dir);
	put("u", global);
	put("g", "b=2\n");
	put("home/.npmrc", "c=3\n");
	put("etc/npmrc", "d=4\n");
	rc = load(NULL, env);
	cr_expect(is(rc, "a", "1"));
	cr_expect(is(rc, "b", "2"));
	cr_expect(is(rc, "c", NULL));
	cr_expect(is(rc, "d", NULL));
	npmrc_free(rc);
	(void)snprintf(user, sizeof user, "%s/u", dir);
	(void)remove(user);
	(void)snprintf(user, sizeof user, "%s/g", dir);
	(void)remove(user);
}

static const struct {
	const char *line, *key, *value, *why;
} lines[] = {
	{ "a = b", "a", "b", "space around is not the value's" },
	{ "\xEF\xBB\xBF"
	  "a=b",
	  "a", "b", "a BOM is space" },
	{ "a=b ; c", "a", "b", "a comment ends a value" },
	{ "a=b\\;c\\#d", "a", "b;c#d", "an escaped sign is none" },
	{ "a=\\n", "a", "\\n", "a backslash before another character stays" },
	{ "a=\"b\\n;c\"", "a", "b\n;c", "double quotes hold a JSON string" },
	{ "a='b;c'", "a", "b;c", "single quotes go" },
	{ "a=\"b", "a", "\"b", "an open quote is a character" },
	{ "a", "a", "true", "a key alone is true" },
	{ "a=1\na=2", "a", "2", "of two the later wins" },
	{ "[s]\na=1", "a", NULL, "what stands in a section is not npm's" },
	{ "=x\na=1", "a", "1", "a line without a key is skipped" },
	{ "a=${V}/${V}", "a", "val/val", "variables are replaced" },
	{ "k${V}=1", "kval", "1", "in keys too" },
	{ "a=${W}", "a", "${W}", "one that is not there stays as it stands" },
	{ "a=x${W?}y", "a", "xy", "or goes, with a question mark" },
	{ "a=\\${V}", "a", "${V}", "an escaped one is none" },
	{ "a=\\\\\\\\${V}", "a", "\\val", "pairs of backslashes escape themselves" },
	{ "a=$V ${} ${V", "a", "$V ${} ${V", "what only looks like one stays" },
	{ "strict-ssl=", "strict-ssl", "true", "an empty boolean is true" },
	{ "strict-ssl=0", "strict-ssl", "false", "a number is one, too" },
	{ "fetch-retries=many", "fetch-retries", NULL, "what is no number is not set" },
	{ "registry=host/path", "registry", NULL, "nor what is no URL" },
	{ "registry=HTTPS://Registry.test", "registry", "https://registry.test/", "URLs" },
	{ "proxy=null", "proxy", NULL, "null is no value" },
	{ "omit[]=dev\nomit[]=x\nomit[]=peer", "omit", "dev", "a list keeps what it may have" },
	{ "cafile=/ca.pem", "cafile", "/ca.pem", "an absolute path stays" },
};

Test(npmrc, lines_are_read_as_npm_reads_them, FILES)
{
	static const char *const env[] = { "V=val", NULL };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct npmrc *rc;

		put("project/.npmrc", lines[i].line);
		rc = load(NULL, env);
		if (!is(rc, lines[i].key, lines[i].value))
			fprintf(stderr, "%s: %s\n", lines[i].why, npmrc_get(rc, lines[i].key));
		cr_expect(is(rc, lines[i].key, lines[i].value));
		npmrc_free(rc);
	}
}

Test(npmrc, an_impossible_value_leaves_the_next_source, FILES)
{
	struct npmrc *rc;

	put("project/.npmrc", "fetch-timeout=soon\nmaxsockets=null\nhttps-proxy=null\n");
	put("home/.npmrc", "fetch-timeout=0x10\nmaxsockets=7\nhttps-proxy=http://p.test\n");
	rc = load(NULL, NULL);
	cr_expect_eq(npmrc_int(rc, "fetch-timeout", 0), 16);
	cr_expect_eq(npmrc_int(rc, "maxsockets", 0), 7);
	cr_expect(npmrc_proxy_for(rc, "https://registry.test/") == NULL, "null hides");
	npmrc_free(rc);
}

Test(npmrc, a_registry_that_is_no_url_is_told_and_not_the_next_ones_asked, FILES)
{
	static const char *const bad[] = { "npm_config_registry=127.0.0.1:4873", NULL };
	static const char *const empty[] = { "npm_config_registry=", NULL };
	static const char *const good[] = { "npm_config_registry=http://127.0.0.1:4873/", NULL };
	const char *url = NULL;
	struct err e = { 0 };
	struct npmrc *rc;

	put("project/.npmrc", "registry=https://registry.test/\n@s:registry=https://s.test/\n");
	rc = load(NULL, bad);
	cr_expect_eq(npmrc_registry_for(rc, "a", &url, &e), -EDESTADDRREQ);
	cr_expect(strstr(e.msg, "npm_config_registry sets is no URL"), "%s", e.msg);
	cr_expect_eq(npmrc_registry_for(rc, "@s/a", &url, &e), 0);
	npmrc_free(rc);
	rc = load(NULL, empty);
	cr_expect_eq(npmrc_registry_for(rc, "a", &url, &e), 0);
	cr_expect_str_eq(url, "https://registry.test/");
	npmrc_free(rc);
	put("project/.npmrc", "registry=nowhere\n");
	rc = load(NULL, good);
	cr_expect_eq(npmrc_registry_for(rc, "a", &url, &e), 0);
	npmrc_free(rc);
}

Test(npmrc, scopes_have_registries_and_none_is_an_error_that_helps, FILES)
{
	const char *url = NULL;
	struct err e = { 0 };
	struct npmrc *rc;

	put("project/.npmrc", "@s:registry=http://127.0.0.1:4873/s\n");
	rc = load(NULL, NULL);
	cr_assert_eq(npmrc_registry_for(rc, "@s/a", &url, &e), 0);
	cr_assert_str_eq(url, "http://127.0.0.1:4873/s");
	cr_assert_eq(npmrc_registry_for(rc, "@t/a", &url, &e), -EDESTADDRREQ);
	cr_assert(strstr(e.msg, "npm_config_registry") != NULL);
	npmrc_free(rc);

	put("project/.npmrc", "registry=https://registry.test\n");
	rc = load(NULL, NULL);
	cr_assert_eq(npmrc_registry_for(rc, "@s/a", &url, &e), 0);
	cr_assert_str_eq(url, "https://registry.test/");
	npmrc_free(rc);
}

Test(npmrc, credentials_belong_to_the_longest_path, FILES)
{
	static const char *const env[] = { "npm_config_//e.test/:_authToken=fromenv", "T=tok",
					   NULL };
	struct npmrc *rc;

	put("home/.npmrc", "//registry.test/:_authToken=${T}\n"
			   "//registry.test/deep/er:_auth=YTpi\n"
			   "//registry.test:8443/:username=u\n"
			   "//registry.test:8443/:_password=cMOk\n");
	rc = load(NULL, env);
	cr_expect(authorized(rc, "https://registry.test/a", NULL, "Bearer tok"));
	cr_expect(authorized(rc, "https://REGISTRY.test:443/deep/a", NULL, "Bearer tok"));
	cr_expect(authorized(rc, "https://registry.test/deep/er/a.tgz", NULL, "Basic YTpi"));
	cr_expect(authorized(rc, "https://registry.test:8443/a", NULL, "Basic dTpww6Q="));
	cr_expect(authorized(rc, "https://e.test/x", NULL, "Bearer fromenv"));
	cr_expect(authorized(rc, "https://other.test/a", NULL, NULL));
	cr_expect(authorized(rc, "https://registry.test.evil.test/a", NULL, NULL));
	cr_expect(authorized(rc, "https://u:p@other.test/a", NULL, "Basic dTpw"));
	npmrc_free(rc);
}

Test(npmrc, the_registrys_credentials_serve_its_host_only, FILES)
{
	struct npmrc *rc;

	put("home/.npmrc", "//registry.test/npm/:_authToken=tok\n");
	rc = load(NULL, NULL);
	cr_expect(authorized(rc, "https://registry.test/files/a.tgz", "https://registry.test/npm/",
			     "Bearer tok"));
	cr_expect(authorized(rc, "https://registry.test/files/a.tgz", NULL, NULL));
	cr_expect(authorized(rc, "https://cdn.test/a.tgz", "https://registry.test/npm/", NULL));
	cr_expect(
		authorized(rc, "https://registry.test:444/a", "https://registry.test/npm/", NULL));
	npmrc_free(rc);
}

/* The scheme of a URL is the lock's choice. */
Test(npmrc, what_is_for_tls_does_not_go_out_in_the_clear, FILES)
{
	struct npmrc *rc;

	put("home/.npmrc", "registry=https://registry.test/\n@s:registry=http://plain.test/\n"
			   "//registry.test/:_authToken=tok\n//plain.test/:_authToken=open\n"
			   "//free.test/:_authToken=free\n");
	rc = load(NULL, NULL);
	cr_expect(authorized(rc, "https://registry.test/a", NULL, "Bearer tok"));
	cr_expect(authorized(rc, "http://registry.test/a", NULL, NULL));
	cr_expect(authorized(rc, "http://registry.test/a", "https://registry.test/", NULL));
	cr_expect(authorized(rc, "http://registry.test/a", "http://registry.test/", NULL));
	cr_expect(authorized(rc, "http://plain.test/a", NULL, "Bearer open"));
	cr_expect(authorized(rc, "http://free.test/a", NULL, "Bearer free"));
	npmrc_free(rc);

	put("home/.npmrc", "registry=http://registry.test/\n@s:registry=https://registry.test/\n"
			   "//registry.test/:_authToken=tok\n");
	rc = load(NULL, NULL);
	cr_expect(authorized(rc, "http://registry.test/a", NULL, "Bearer tok"));
	npmrc_free(rc);
}

Test(npmrc, without_any_credentials_only_those_of_the_url_count, FILES)
{
	struct npmrc *rc;

	put("home/.npmrc", "registry=https://registry.test/\n");
	rc = load(NULL, NULL);
	cr_expect(authorized(rc, "https://registry.test/@s/a/-/a-1.tgz", NULL, NULL));
	cr_expect(authorized(rc, "https://registry.test?u:p@other.test/", NULL, NULL));
	cr_expect(authorized(rc, "https://u:p@registry.test/@s/a", NULL, "Basic dTpw"));
	cr_expect(authorized(rc, "https:///u:p@registry.test/a", NULL, "Basic dTpw"));
	cr_expect(authorized(rc, "HTTPS://u:p@registry.test/a", NULL, "Basic dTpw"));
	npmrc_free(rc);
}

Test(npmrc, credentials_that_no_header_may_have_are_refused, FILES)
{
	struct npmrc_auth a = { 0 };
	struct err e = { 0 };
	struct npmrc *rc;

	put("home/.npmrc", "//registry.test/:_authToken=\"a\\r\\nHost: b\"\n");
	rc = load(NULL, NULL);
	cr_assert_eq(npmrc_auth_for(rc, "https://registry.test/", NULL, &a, &e), -EINVAL);
	cr_assert(strstr(e.msg, "control character") != NULL);
	npmrc_free(rc);
}

Test(npmrc, credentials_without_a_host_are_refused, FILES)
{
	struct npmrc *rc = NULL;
	struct err e = { 0 };

	put("home/.npmrc", "_authToken=verysecret\n");
	cr_assert_eq(try_load(&rc, NULL, NULL, &e), -EINVAL);
	cr_assert(strstr(e.msg, "_authToken") && !strstr(e.msg, "verysecret"));
}

Test(npmrc, proxies_and_who_goes_round_them, FILES)
{
	static const char *const env[] = { "HTTPS_PROXY=http://envs.test:1",
					   "http_proxy=http://env.test:2", "NO_PROXY=no.test",
					   NULL };
	static const char *const over[] = { "noproxy=.inner.test, 127.0.0.1", "proxy=http://p.test",
					    NULL };
	struct npmrc *rc = load(NULL, env);

	cr_assert_str_eq(npmrc_proxy_for(rc, "https://registry.test/"), "http://envs.test:1");
	cr_expect(npmrc_proxy_for(rc, "http://a.no.test/") == NULL);
	cr_expect(npmrc_proxy_for(rc, "http://ano.test/") != NULL);
	npmrc_free(rc);

	rc = load(over, env);
	cr_assert_str_eq(npmrc_proxy_for(rc, "http://a.no.test/"), "http://p.test/");
	cr_expect(npmrc_proxy_for(rc, "http://x.inner.test/") == NULL);
	cr_expect(npmrc_proxy_for(rc, "http://127.0.0.1:80/") == NULL);
	npmrc_free(rc);
}

Test(npmrc, what_is_left_out_comes_from_many_keys, FILES)
{
	static const struct {
		const char *text, *env;
		unsigned omit;
	} t[] = {
		{ "", NULL, 0 },
		{ "", "NODE_ENV=production", OMIT_DEV },
		{ "omit[]=peer", "NODE_ENV=production", OMIT_PEER },
		{ "include=dev", "NODE_ENV=production", 0 },
		{ "omit=dev", "npm_config_omit=optional\n\npeer", OMIT_OPTIONAL | OMIT_PEER },
		{ "production=true", NULL, OMIT_DEV },
		{ "omit[]=dev\nomit[]=optional\ninclude[]=dev", NULL, OMIT_OPTIONAL },
		{ "optional=false", NULL, OMIT_OPTIONAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const char *env[] = { t[i].env, NULL };
		struct npmrc *rc;

		put("project/.npmrc", t[i].text);
		rc = load(NULL, env);
		cr_expect_eq(npmrc_omit(rc), t[i].omit);
		npmrc_free(rc);
	}
}

Test(npmrc, limits_hold, FILES)
{
	static char many[NPMRC_LINES_MAX * 4 + 64];
	struct npmrc *rc = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i <= NPMRC_LINES_MAX; i++)
		memcpy(many + i * 4, "a=1\n", 4);
	put("project/.npmrc", many);
	cr_assert_eq(try_load(&rc, NULL, NULL, &e), -E2BIG);
	cr_assert(strstr(e.msg, "project/.npmrc") != NULL);
}

Test(npmrc, umask_is_octal_with_a_nought_in_front, FILES)
{
	static const struct {
		const char *text;
		unsigned umask;
	} t[] = { { "umask=027", 027 },
		  { "umask=0o077", 077 },
		  { "umask=18", 022 },
		  { "umask=9x", 0 },
		  { "x=y", 0 } };

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct npmrc *rc;

		put("project/.npmrc", t[i].text);
		rc = load(NULL, NULL);
		cr_expect_eq(npmrc_umask(rc), t[i].umask);
		npmrc_free(rc);
	}
}
