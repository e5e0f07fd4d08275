/* A lock's `resolved` and a server's Location are anybody's text: parsed, resolved, rewritten and
 * shown, they must keep their credentials to themselves. */
#include "fetch/source.h"
#include "fetch/url.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct url *u)
{
	auto_url struct url again = { 0 };
	const char *authority = strstr(u->text, "://") + 3;

	must(!memchr(authority, '@', strcspn(authority, "/?#")));
	must(u->path[0] == '/' && u->host[0] != '\0');
	must(strpbrk(u->text, " \r\n") == NULL);
	/* What is asked for is what was checked. */
	must(url_parse(&again, u->text, NULL) == 0);
	must(url_same_origin(u, &again) && !again.userinfo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const env[] = { "HOME=/nowhere", NULL };
	static const char *const over[] = { "registry=http://127.0.0.1:4873/npm",
					    "replace-registry-host=always", NULL };
	struct npmrc_options o = { .overrides = over, .env = env, .public_registry = "" };
	auto_free char *text = strndup((const char *)data, size), *rewritten = NULL;
	auto_url struct url base = { 0 }, u = { 0 }, next = { 0 };
	auto_source struct source s = { 0 };
	struct fetch_pkg p = { .name = text, .version = text };
	static struct npmrc *rc;
	char shown[URL_SHOWN_MAX];

	if (!rc && npmrc_load_with(&rc, &o, NULL) < 0)
		return 0;
	must(url_parse(&base, "https://registry.test/a/b?c", NULL) == 0);
	url_shown(text, shown);
	must(strlen(shown) < sizeof shown);
	if (url_parse(&u, text, NULL) == 0)
		check(&u);
	if (url_resolve(&next, &base, text, NULL) == 0)
		check(&next);
	if (source_rewrite(&rewritten, rc, text, NULL) == 0)
		must(strncmp(rewritten, "http://127.0.0.1:4873/npm", 25) == 0 &&
		     strchr("/?", rewritten[25]) != NULL);
	/* As a name and as a version it stays below the registry. */
	if (source_of(&s, rc, NULL, &p, NULL) == 0)
		must(strncmp(s.what, "http://127.0.0.1:4873/npm/", 26) == 0 &&
		     strstr(s.what, "/../") == NULL);
	return 0;
}
