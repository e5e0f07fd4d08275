#include "fetch/source.h"

#include "fetch/url.h"
#include "lock/graph.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

void source_release(struct source *s)
{
	free(s->what);
	*s = (struct source){ 0 };
}

/* ---- names in URLs ---- */

/* No part of a name or version may change what the URL means: dots alone are folders, and all
 * but the plainest characters are escaped. */
static bool part_ok(const char *p, size_t n)
{
	if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] <= ' ' || p[i] == '/' || p[i] == '\\' || p[i] == 0x7f)
			return false;
	return true;
}

static void escaped(struct buf *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (isalnum(c) || strchr("-_.!~*'()@+", c))
			buf_add(b, &c, 1);
		else
			buf_addf(b, "%%%02x", c);
	}
}

struct name_parts {
	const char *scope; /* with its '@'; not NUL-terminated */
	size_t scope_len;
	const char *base;
};

static int split_name(struct name_parts *ret, const char *name, struct err *e)
{
	const char *slash = name[0] == '@' ? strchr(name, '/') : NULL;
	struct name_parts p = { name, slash ? (size_t)(slash - name) : 0,
				slash ? slash + 1 : name };
	bool ok = strlen(name) <= SOURCE_NAME_MAX && part_ok(p.base, strlen(p.base));

	if (slash)
		ok = ok && p.scope_len > 1 && part_ok(p.scope + 1, p.scope_len - 1);
	if (!ok)
		return err_set(e, -EINVAL, "no package can have such a name: %.100s", name);
	*ret = p;
	return 0;
}

/* "https://host/path" without the slashes at its end. */
static void registry_base(struct buf *b, const char *registry)
{
	size_t n = strcspn(registry, "?#");

	while (n > 0 && registry[n - 1] == '/')
		n--;
	buf_add(b, registry, n);
}

static int steal(char **ret, struct buf *b, struct err *e)
{
	int r = buf_error(b);

	if (r)
		return err_set(e, r, "a URL of more than %u bytes", URL_MAX);
	*ret = buf_steal_str(b);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int source_packument(char **ret, const char *registry, const char *name, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(URL_MAX);
	struct name_parts p;
	int r = split_name(&p, name, e);

	if (r < 0)
		return r;
	registry_base(&b, registry);
	buf_addstr(&b, "/");
	escaped(&b, p.scope, p.scope_len);
	if (p.scope_len)
		buf_addstr(&b, "%2f");
	escaped(&b, p.base, strlen(p.base));
	return steal(ret, &b, e);
}

/* <registry>/@s/n/-/n-<version>.tgz */
static int usual_shape(char **ret, const char *registry, const char *name, const char *version,
		       struct err *e)
{
	auto_buf struct buf b = BUF_INIT(URL_MAX);
	struct name_parts p;
	int r = split_name(&p, name, e);

	if (r < 0)
		return r;
	if (strlen(version) > SOURCE_VERSION_MAX || !part_ok(version, strlen(version)))
		return err_set(e, -EINVAL, "not a version: %.100s", version);
	registry_base(&b, registry);
	buf_addstr(&b, "/");
	escaped(&b, p.scope, p.scope_len);
	if (p.scope_len)
		buf_addstr(&b, "/");
	escaped(&b, p.base, strlen(p.base));
	buf_addstr(&b, "/-/");
	escaped(&b, p.base, strlen(p.base));
	buf_addstr(&b, "-");
	escaped(&b, version, strlen(version));
	buf_addstr(&b, ".tgz");
	return steal(ret, &b, e);
}

/* ---- replace-registry-host ---- */

/* Length of a path without a slash at its end. */
static size_t path_len(const char *path)
{
	size_t n = strlen(path);

	return n > 0 && path[n - 1] == '/' ? n - 1 : n;
}

static bool has_prefix(const char *path, const char *prefix, size_t n)
{
	return strncmp(path, prefix, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_public_host(const struct npmrc *rc, const char *host)
{
	const char *registry = npmrc_public_registry(rc);
	auto_url struct url u = { 0 };

	return registry && url_parse(&u, registry, NULL) == 0 && strcmp(u.host, host) == 0;
}

/* Does the setting name this URL's host, or a prefix of it? *ret_prefix: bytes of its path that
 * the registry's path takes the place of, or -1. The keyword that means the public registry is a
 * single word, so any single word means it, besides a host of that name. */
static bool matches(const struct npmrc *rc, const struct url *u, ssize_t *ret_prefix)
{
	const char *setting = npmrc_get(rc, "replace-registry-host");
	auto_url struct url prefix = { 0 };

	*ret_prefix = -1;
	if (!setting || !*setting)
		return is_public_host(rc, u->host);
	if (strcmp(setting, "never") == 0)
		return false;
	if (strcmp(setting, "always") == 0)
		return true;
	if (strstr(setting, "://") && url_parse(&prefix, setting, NULL) == 0) {
		size_t n = path_len(prefix.path);

		if (strcmp(prefix.host, u->host) != 0 || !has_prefix(u->path, prefix.path, n))
			return false;
		*ret_prefix = n ? (ssize_t)n : -1;
		return true;
	}
	if (strcasecmp(setting, u->host) == 0)
		return true;
	return !strchr(setting, '.') && strcmp(setting, "localhost") != 0 &&
	       is_public_host(rc, u->host);
}

static int replaced(char **ret, const struct url *u, ssize_t prefix, const char *registry,
		    struct err *e)
{
	auto_buf struct buf b = BUF_INIT(URL_MAX);
	auto_url struct url reg = { 0 };
	const char *path = u->path, *query = strchr(u->text, '?');
	char authority[512];
	size_t n;
	int r = url_parse(&reg, registry, e);

	if (r < 0)
		return err_wrap(e, r, "the configured registry");
	n = path_len(reg.path);
	url_authority(&reg, authority, sizeof authority);
	buf_addf(&b, "%s://%s", reg.tls ? "https" : "http", authority);
	if (prefix >= 0)
		path += prefix;
	if (prefix >= 0 || !has_prefix(path, reg.path, n))
		buf_add(&b, reg.path, n);
	buf_addstr(&b, path);
	if (query)
		buf_addstr(&b, query);
	return steal(ret, &b, e);
}

int source_rewrite(char **ret, const struct npmrc *rc, const char *url, struct err *e)
{
	auto_url struct url u = { 0 };
	const char *registry;
	ssize_t prefix;
	int r = url_parse(&u, url, e);

	if (r < 0)
		return r;
	if (matches(rc, &u, &prefix)) {
		r = npmrc_registry_for(rc, NULL, &registry, e);
		return r < 0 ? r : replaced(ret, &u, prefix, registry, e);
	}
	/* With its credentials, if it has some: http.h takes them out. */
	*ret = strdup(url);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* ---- kinds ---- */

static bool starts(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		unsigned v;

		if (*s == '%' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2]) &&
		    sscanf(s + 1, "%2x", &v) == 1 && v) {
			*to++ = (char)v;
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* npm escapes '#' and '%' in such paths; older locks did not. */
static int of_file(struct source *s, const char *project_dir, const char *spec, struct err *e)
{
	const char *path = spec + 5;
	struct stat st;

	while (path[0] == '/' && path[1] == '/')
		path++;
	if (path[0] != '/' && !project_dir)
		return err_set(e, -EINVAL, "%.160s is relative, and there is no project", spec);
	if (asprintf(&s->what, "%s%s%s", path[0] == '/' ? "" : project_dir,
		     path[0] == '/' ? "" : "/", path) < 0) {
		s->what = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (stat(s->what, &st) < 0)
		unescape(s->what);
	s->kind = ends(path, ".tgz") || ends(path, ".tar.gz") || ends(path, ".tar") ? SOURCE_FILE
										    : SOURCE_PACK;
	return 0;
}

static bool is_git(const char *spec)
{
	static const char *const prefixes[] = { "git+",    "git:",       "git@",  "github:",
						"gitlab:", "bitbucket:", "gist:", "sourcehut:" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (starts(spec, prefixes[i]))
			return true;
	return false;
}

static int of_resolved(struct source *s, const struct npmrc *rc, const char *project_dir,
		       const struct fetch_pkg *p, struct err *e)
{
	char shown[URL_SHOWN_MAX];

	if (starts(p->resolved, "http:") || starts(p->resolved, "https:")) {
		/* Credentials for the registry's own host; without a registry there are none. */
		if (npmrc_registry_for(rc, p->name, &s->registry, NULL) < 0)
			s->registry = NULL;
		return source_rewrite(&s->what, rc, p->resolved, e);
	}
	if (starts(p->resolved, "file:"))
		return of_file(s, project_dir, p->resolved, e);
	if (is_git(p->resolved)) {
		s->kind = SOURCE_PACK;
		s->what = strdup(p->resolved);
		return s->what ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	url_shown(p->resolved, shown);
	return err_set(e, -EOPNOTSUPP, "a source that npm cannot fetch either: %s", shown);
}

int source_of(struct source *ret, const struct npmrc *rc, const char *project_dir,
	      const struct fetch_pkg *p, struct err *e)
{
	auto_source struct source s = { .kind = SOURCE_URL };
	int r;

	if (p->resolved && *p->resolved) {
		r = of_resolved(&s, rc, project_dir, p, e);
	} else if (!p->name || !p->version || !*p->version) {
		r = err_set(e, -EINVAL, "the lock gives neither a URL nor a version");
	} else {
		s.guessed = true;
		r = npmrc_registry_for(rc, p->name, &s.registry, e);
		if (r == 0)
			r = usual_shape(&s.what, s.registry, p->name, p->version, e);
	}
	if (r < 0)
		return r;
	*ret = s;
	s.what = NULL;
	return 0;
}

void source_trust(struct buf *b, const struct npmrc *rc, const char *url)
{
	const char *const *ca, *text[] = { npmrc_proxy_for(rc, url), npmrc_get(rc, "cafile"),
					   npmrc_bool(rc, "strict-ssl", true) ? "" : "any" };
	size_t n = npmrc_list(rc, "ca", &ca);

	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		buf_add(b, text[i] ? text[i] : "", text[i] ? strlen(text[i]) + 1 : 1);
	for (size_t i = 0; i < n; i++)
		buf_add(b, ca[i], strlen(ca[i]) + 1);
}

/* A file that another was put in place of is another package. */
static void add_file(struct buf *b, const char *path)
{
	struct stat st;
	uint64_t marks[5] = { 0 };

	if (stat(path, &st) == 0) {
		marks[0] = (uint64_t)st.st_dev;
		marks[1] = (uint64_t)st.st_ino;
		marks[2] = (uint64_t)st.st_size;
		marks[3] = (uint64_t)st.st_mtim.tv_sec;
		marks[4] = (uint64_t)st.st_mtim.tv_nsec;
	}
	buf_add(b, marks, sizeof marks);
}

int fetch_key(const struct npmrc *rc, const char *project_dir, const struct graph_node *n,
	      struct digest *ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT((size_t)1 << 20);
	struct source src cleanup(source_release) = { 0 };
	struct fetch_pkg p = { .name = n->pkg_name,
			       .version = n->version,
			       .resolved = n->resolved };
	const char *parts[4] = { NULL, NULL, n->pkg_name, n->version };
	struct digest key;
	int r = graph_node_key(n, &key, e);

	/* What cannot be asked for is never put either. */
	if (r < 0 || key.alg != DIGEST_UNPINNED || source_of(&src, rc, project_dir, &p, NULL) < 0) {
		if (r == 0)
			*ret = key;
		return r;
	}
	parts[0] = src.kind == SOURCE_URL ? "url" : project_dir;
	parts[1] = src.what;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_add(&b, parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) + 1 : 1);
	if (src.kind == SOURCE_URL)
		source_trust(&b, rc, src.what);
	else if (src.kind == SOURCE_FILE)
		add_file(&b, src.what);
	r = buf_error(&b);
	if (r == 0)
		r = digest_of(&key, DIGEST_SHA512, b.data, b.len);
	if (r < 0)
		return err_set(e, r, "%.100s: no key could be made of it", n->path);
	key.alg = DIGEST_UNPINNED;
	*ret = key;
	return 0;
}
