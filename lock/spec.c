#include "lock/semver.h"
#include "lock/semver_priv.h"
#include "lock/spec_priv.h"

#include <strings.h>

static struct slice from(struct slice s, size_t n)
{
	return n ? (struct slice){ s.ptr + n, s.len - n } : s; /* NULL + 0 is no C */
}

static bool is_alpha(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool starts(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= n && memcmp(s.ptr, with, n) == 0;
}

/* In any case. */
static bool starts_as(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= n && strncasecmp((const char *)s.ptr, with, n) == 0;
}

static bool ends_as(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= n && strncasecmp((const char *)s.ptr + s.len - n, with, n) == 0;
}

static bool is_tarball(struct slice s)
{
	return ends_as(s, ".tgz") || ends_as(s, ".tar.gz") || ends_as(s, ".tar");
}

static bool has(struct slice s, char c)
{
	return s.len > 0 && memchr(s.ptr, c, s.len) != NULL;
}

static bool is_path(struct slice s)
{
	return starts_as(s, "file:") || starts(s, ".") || starts(s, "~/") || starts(s, "/") ||
	       (s.len >= 2 && is_alpha(s.ptr[0]) && s.ptr[1] == ':');
}

/* A scheme of letters, perhaps behind "git+". */
static bool is_url(struct slice s)
{
	size_t n = 0;

	if (starts_as(s, "git+"))
		s = from(s, 4);
	while (n < s.len && is_alpha(s.ptr[n]))
		n++;
	return n > 0 && n < s.len && s.ptr[n] == ':';
}

/* ---- names ---- */

static bool is_one_of(struct slice s, const char *a, const char *b)
{
	return (s.len == strlen(a) && starts_as(s, a)) || (s.len == strlen(b) && starts_as(s, b));
}

/* Whether npm takes this for the name of a package, old ones included. */
static bool name_ok(struct slice name)
{
	const uint8_t *slash = name.len ? memchr(name.ptr, '/', name.len) : NULL;
	struct slice scope, rest;

	if (name.len == 0 || strchr(".-_", name.ptr[0]) ||
	    is_one_of(name, "node_modules", "favicon.ico"))
		return false;
	if (weburl_is_plain(name))
		return true;
	if (name.ptr[0] != '@' || !slash)
		return false;
	scope = (struct slice){ name.ptr + 1, (size_t)(slash - name.ptr) - 1 };
	rest = from(name, scope.len + 2);
	return scope.len > 0 && rest.len > 0 && rest.ptr[0] != '.' && weburl_is_plain(scope) &&
	       weburl_is_plain(rest);
}

/* ---- paths ---- */

/* Appends the parts of a path, resolving dots as URLs do: an empty part counts for "..". */
static void put_path(struct buf *b, struct slice s)
{
	if (starts(s, "/"))
		s = from(s, 1);
	for (bool more = s.len > 0; more;) {
		size_t n = has(s, '/') ? (size_t)((uint8_t *)memchr(s.ptr, '/', s.len) - s.ptr)
				       : s.len;
		struct slice part = { s.ptr, n };

		more = n < s.len;
		s = from(s, more ? n + 1 : n);
		if (slice_eq(part, SLICE("..")) && buf_error(b) == 0) {
			while (b->len > 0 && b->data[--b->len] != '/')
				;
		} else if (!slice_eq(part, SLICE(".")) && !slice_eq(part, SLICE(".."))) {
			buf_add(b, "/", 1);
			buf_add(b, part.ptr, n);
		}
	}
}

/* One slash between parts, none at the end. */
static struct slice squeeze(struct buf *b, struct arena *a)
{
	size_t len = 0;
	char *copy;

	for (size_t i = 0; i < b->len; i++) {
		if (b->data[i] != '/' || (i + 1 < b->len && b->data[i + 1] != '/'))
			b->data[len++] = b->data[i];
	}
	copy = len ? arena_strndup(a, b->data, len) : arena_strdup(a, "/");
	return slice_str(copy);
}

/* The path in a file: URL, which npm reads more kindly than the standard: `file:x` and `file:/../x`
 * are relative, `file://x` is `/x`. */
static struct slice path_of(struct slice raw)
{
	struct slice s = starts(raw, "file:") ? from(raw, 5) : raw, rest = s;
	size_t slashes = 0;

	while (rest.len > 0 && *rest.ptr == '/') {
		rest = from(rest, 1);
		slashes++;
	}
	if (slashes == 0 || slashes > 3)
		return s;
	if (starts(rest, "./") || starts(rest, "../") || slice_eq(rest, SLICE(".")) ||
	    slice_eq(rest, SLICE("..")))
		return rest;
	return (struct slice){ rest.ptr - 1, rest.len + 1 };
}

static int take_path(struct spec *s, struct slice where, struct arena *a, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(2 * SPEC_LEN_MAX + 4096),
			    home = BUF_INIT(SPEC_LEN_MAX + 8);
	struct slice path = path_of(s->raw);
	bool drive = path.len >= 2 && is_alpha(path.ptr[0]) && path.ptr[1] == ':' &&
		     (path.len == 2 || path.ptr[2] == '/');

	s->type = is_tarball(s->raw) ? SPEC_FILE : SPEC_DIRECTORY;
	put_path(&home, path);
	if (buf_error(&home) == 0 && home.len >= 2 && memcmp(home.data, "/~", 2) == 0 &&
	    (home.len == 2 || home.data[2] == '/')) {
		const char *dir = getenv("HOME");

		path = (struct slice){ home.data + 2, home.len - 2 };
		if (!starts(path, "//"))
			put_path(&b, slice_str(dir ? dir : "/"));
	} else if (!drive && !starts(path, "/")) {
		put_path(&b, where);
	}
	put_path(&b, path);
	if (buf_error(&b) < 0 || buf_error(&home) < 0)
		return err_set(e, -E2BIG, "the path '%.*s' is too long", SLICE_FMT(s->raw));
	s->fetch = squeeze(&b, a);
	return s->fetch.ptr ? 0 : err_set(e, arena_error(a), "out of memory");
}

/* ---- URLs ---- */

/* `user@host:path`, which git takes for ssh; a colon and a number are a port, and then it is not.
 */
static bool is_scp(struct slice s)
{
	const uint8_t *colon = memchr(s.ptr, ':', s.len);
	bool port = false;

	if (!colon || colon == s.ptr || colon + 1 == s.ptr + s.len)
		return false;
	for (size_t i = 0; i < s.len && !port; i++) {
		size_t n = i + 1;

		while (s.ptr[i] == ':' && n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
			n++;
		port = n > i + 1 && (n == s.len || s.ptr[n] == '/');
	}
	return !port;
}

static int take_git_url(struct spec *s, const struct weburl *u, struct arena *a, struct err *e)
{
	char *text = weburl_without_hash(u, a);

	if (!text)
		return err_set(e, arena_error(a), "out of memory");
	s->type = SPEC_GIT;
	s->fetch = slice_str(text);
	if (starts(s->fetch, "git+"))
		s->fetch = from(s->fetch, 4);
	return spec_take_committish(s, u->hash, a, e);
}

static bool is_git_scheme(struct slice scheme)
{
	static const char *const list[] = { "git",     "git+http", "git+https", "git+rsync",
					    "git+ftp", "git+file", "git+ssh" };

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		if (slice_eq(scheme, slice_str(list[i])))
			return true;
	}
	return false;
}

static int take_url(struct spec *s, struct arena *a, struct err *e)
{
	struct weburl u;
	int r;

	if (starts(s->raw, "git+ssh://")) {
		struct slice rest = from(s->raw, 10);
		const uint8_t *hash = memchr(rest.ptr, '#', rest.len);
		struct slice head = { rest.ptr, hash ? (size_t)(hash - rest.ptr) : rest.len };

		if (head.len > 0 && is_scp(head)) {
			s->type = SPEC_GIT;
			s->fetch = head;
			return spec_take_committish(s, from(rest, head.len + (hash != NULL)), a, e);
		}
	}
	r = weburl_parse(&u, s->raw, a);
	if (r < 0)
		return err_set(e, r, "'%.*s' is not a URL; correct it in package.json",
			       SLICE_FMT(s->raw));
	if (is_git_scheme(u.scheme))
		return take_git_url(s, &u, a, e);
	if (!slice_eq(u.scheme, SLICE("http")) && !slice_eq(u.scheme, SLICE("https")))
		return err_set(e, -EINVAL,
			       "'%.*s': npm does not know the protocol '%.*s:'; use a version, a "
			       "range, a tag, npm:, file:, git or http(s)",
			       SLICE_FMT(s->raw), SLICE_FMT(u.scheme));
	s->type = SPEC_REMOTE;
	s->fetch = s->raw;
	return 0;
}

/* ---- what the registry has ---- */

static int take_registry(struct spec *s, struct err *e)
{
	auto_range struct semver_range range = { 0 };
	struct semver version;
	int r;

	s->fetch = semver_trim(s->raw);
	if (semver_parse(&version, s->fetch, SEMVER_LOOSE) == 0) {
		s->type = SPEC_VERSION;
		return 0;
	}
	r = semver_range_parse(&range, s->fetch, SEMVER_LOOSE);
	if (r == 0) {
		s->type = SPEC_RANGE;
		return 0;
	}
	if (r != -EINVAL)
		return err_set(e, r, "the range '%.*s' cannot be read", SLICE_FMT(s->fetch));
	if (!weburl_is_plain(s->fetch))
		return err_set(e, -EINVAL,
			       "'%.*s' is no version or range, and a tag has only letters, digits "
			       "and -_.!~*'()",
			       SLICE_FMT(s->fetch));
	s->type = SPEC_TAG;
	return 0;
}

static int refuse_alias(const struct spec *s, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "the alias '%.*s' %s; write npm:NAME@RANGE", SLICE_FMT(s->raw),
		       why);
}

/* user@host.domain:path, as npm guesses it before it looks for a name. */
static bool looks_like_git(struct slice s)
{
	const uint8_t *at = s.len ? memchr(s.ptr, '@', s.len) : NULL, *end = s.ptr + s.len, *p;

	if (!at || at == s.ptr)
		return false;
	for (p = at + 1; p < end && *p != ':' && *p != '.'; p++)
		;
	if (p == at + 1 || p == end || *p != '.')
		return false;
	p++;
	at = memchr(p, ':', (size_t)(end - p));
	return at && at > p && at + 1 < end;
}

static int take_alias(struct spec *s, struct arena *a, struct err *e)
{
	struct slice rest = from(s->raw, 4);
	const uint8_t *at = rest.len > 1 ? memchr(rest.ptr + 1, '@', rest.len - 1) : NULL;
	size_t n = at ? (size_t)(at - rest.ptr) : rest.len;
	struct slice name = { rest.ptr, n }, value = at ? from(rest, n + 1) : SLICE("*");
	struct spec sub = { .name = name, .raw = value.len ? value : SLICE("*") };
	int r;

	if (is_url(rest) || looks_like_git(rest) ||
	    (!starts(name, "@") && (has(name, '/') || is_tarball(name))) || is_path(sub.raw))
		return refuse_alias(s, "does not stand for a package of a registry", e);
	if (!name_ok(name))
		return refuse_alias(s, "names no package", e);
	if (starts_as(sub.raw, "npm:"))
		return refuse_alias(s, "stands for another alias", e);
	r = spec_take_hosted(&sub, a, e);
	if (r < 0)
		return r;
	if (r > 0 || is_url(sub.raw) || has(sub.raw, '/') || is_tarball(sub.raw))
		return refuse_alias(s, "does not stand for a package of a registry", e);
	r = take_registry(&sub, e);
	if (r < 0)
		return r;
	s->type = SPEC_ALIAS;
	s->alias_name = name;
	s->alias_type = sub.type;
	s->fetch = sub.fetch;
	return 0;
}

int spec_parse(struct spec *ret, struct slice name, struct slice raw, struct slice where,
	       struct arena *a, struct err *e)
{
	struct spec s = { .name = name, .raw = raw };
	int r;

	if (raw.len > SPEC_LEN_MAX)
		return err_set(e, -E2BIG, "the value of dependency '%.*s' is longer than %d bytes",
			       SLICE_FMT(name), SPEC_LEN_MAX);
	if (name.len > 0 && !name_ok(name))
		return err_set(e, -EINVAL, "'%.*s' is not a name that a package can have",
			       SLICE_FMT(name));
	if (is_path(raw)) {
		r = take_path(&s, where, a, e);
	} else if (starts_as(raw, "npm:")) {
		r = take_alias(&s, a, e);
	} else {
		r = spec_take_hosted(&s, a, e);
		if (r == 0 && is_url(raw))
			r = take_url(&s, a, e);
		else if (r == 0 && (has(raw, '/') || is_tarball(raw)))
			r = take_path(&s, where, a, e);
		else if (r == 0)
			r = take_registry(&s, e);
	}
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

char *spec_way(const char *where, struct slice to, struct arena *a)
{
	auto_buf struct buf b = BUF_INIT((size_t)SPEC_LEN_MAX * 4);
	const char *s = arena_strndup(a, to.ptr, to.len);
	size_t same = 0;

	if (!s)
		return NULL;
	for (size_t i = 0;; i++) {
		if ((where[i] == '/' || !where[i]) && (s[i] == '/' || !s[i]))
			same = i;
		if (where[i] != s[i] || !where[i])
			break;
	}
	for (size_t i = same; where[i]; i++) {
		if (where[i] == '/' && where[i + 1])
			buf_addstr(&b, "../");
	}
	buf_addstr(&b, s[same] == '/' ? s + same + 1 : s + same);
	if (buf_error(&b))
		return NULL;
	if (b.len && b.data[b.len - 1] == '/')
		b.len--;
	return arena_strndup(a, b.data, b.len);
}
