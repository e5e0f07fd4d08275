#include "lock/semver.h"
#include "lock/semver_priv.h"
#include "lock/spec_priv.h"

/* How the addresses of a host are read and made. */
static const struct host {
	const char *name, *domain;
	const char *schemes[7]; /* in which its addresses are understood */
	bool no_user;           /* in the addresses that are made */
	const char *suffix;     /* of the https form */
	const char *other; /* a third part of the path that is no repository; NULL: see hosts */
} hosts[] = {
	[GITHUB] = { "github",
		     "github.com",
		     { "git", "http", "git+ssh", "git+https", "ssh", "https" },
		     false,
		     ".git",
		     NULL },
	[BITBUCKET] = { "bitbucket",
			"bitbucket.org",
			{ "git+ssh", "git+https", "ssh", "https" },
			false,
			".git",
			"get" },
	[GITLAB] = { "gitlab",
		     "gitlab.com",
		     { "git+ssh", "git+https", "ssh", "https" },
		     false,
		     ".git",
		     NULL },
	[GIST] = { "gist",
		   "gist.github.com",
		   { "git", "git+ssh", "git+https", "ssh", "https" },
		   true,
		   ".git",
		   "raw" },
	[SOURCEHUT] = { "sourcehut", "git.sr.ht", { "git+ssh", "https" }, false, "", "archive" },
};

/* Schemes that are known without being followed by "//"; with those of `hosts`. */
static const char *const schemes[] = { "git+ssh", "ssh",   "git+https", "git",
				       "http",    "https", "git+http" };

static struct slice from(struct slice s, size_t n)
{
	return n ? (struct slice){ s.ptr + n, s.len - n } : s; /* NULL + 0 is no C */
}

static size_t find(struct slice s, char c)
{
	const uint8_t *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return p ? (size_t)(p - s.ptr) : s.len;
}

static bool has(struct slice s, const char *what)
{
	return s.len > 0 && memmem(s.ptr, s.len, what, strlen(what)) != NULL;
}

static bool is(struct slice s, const char *what)
{
	return slice_eq(s, slice_str(what));
}

static struct slice without_git(struct slice s)
{
	if (s.len >= 4 && memcmp(s.ptr + s.len - 4, ".git", 4) == 0)
		s.len -= 4;
	return s;
}

/* user/project, perhaps with a committish behind. Only what is before '#' is looked at, but for the
 * slash, which npm also finds behind it. */
static bool is_shorthand(struct slice s)
{
	size_t n = find(s, '#'), slash = find(s, '/');
	struct slice head = { s.ptr, n };

	if (slash == s.len || slash == 0 || s.ptr[0] == '.' || (n > 0 && head.ptr[n - 1] == '/'))
		return false;
	if (find(head, '@') < n || find(head, ':') < n)
		return false;
	if (slash < n && find(from(head, slash + 1), '/') < n - slash - 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (semver_space(head.ptr + i, head.ptr + n) > 0)
			return false;
	}
	return true;
}

static enum git_host host_by_name(struct slice name)
{
	for (unsigned i = 1; i < ARRAY_LEN(hosts); i++) {
		if (is(name, hosts[i].name))
			return i;
	}
	return GIT_HOST_NONE;
}

static enum git_host host_by_domain(struct slice domain)
{
	if (domain.len > 4 && memcmp(domain.ptr, "www.", 4) == 0)
		domain = from(domain, 4);
	for (unsigned i = 1; i < ARRAY_LEN(hosts); i++) {
		if (is(domain, hosts[i].domain))
			return i;
	}
	return GIT_HOST_NONE;
}

static struct slice join(struct arena *a, const char *head, struct slice s)
{
	return slice_str(arena_printf(a, "%s%.*s", head, SLICE_FMT(s)));
}

static bool known_scheme(struct slice s)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (is(s, schemes[i]))
			return true;
	}
	return host_by_name(s) != GIT_HOST_NONE;
}

/* `x:y` to `x://y`, and what has an '@' behind its colon to git+ssh. */
static struct slice with_slashes(struct slice s, struct arena *a)
{
	size_t colon = find(s, ':'), at = find(s, '@');
	struct slice head = { s.ptr, colon }, rest;

	if (colon < s.len && known_scheme(head))
		return s;
	rest = from(s, colon);
	if (rest.len >= 3 && memcmp(rest.ptr, "://", 3) == 0)
		return s;
	if (at < s.len)
		return at > colon || colon == s.len ? join(a, "git+ssh://", s) : s;
	if (colon == s.len)
		return join(a, "//", s);
	return slice_str(
		arena_printf(a, "%.*s://%.*s", SLICE_FMT(head), SLICE_FMT(from(s, colon + 1))));
}

/* git's scp form, `git@host:user/project`, as a URL: its last colon before '#' becomes a slash. */
static struct slice scp_as_url(struct slice s, struct arena *a)
{
	struct slice head = { s.ptr, find(s, '#') };
	const uint8_t *at = head.len ? memrchr(head.ptr, '@', head.len) : NULL;
	const uint8_t *colon = head.len ? memrchr(head.ptr, ':', head.len) : NULL;
	char *copy = arena_strndup(a, s.ptr, s.len);
	struct slice c = { (uint8_t *)copy, s.len };

	if (!copy)
		return (struct slice){ 0 };
	if (colon && (!at || colon > at)) {
		copy[colon - s.ptr] = '/';
		head.ptr = c.ptr;
		colon = memrchr(head.ptr, ':', head.len);
	}
	return colon || has(c, "//") ? c : join(a, "git+ssh://", c);
}

/* The part of a path between its nth slash and the next; absent and empty are both len 0. */
static struct slice segment(struct slice path, unsigned n)
{
	while (n-- > 0) {
		size_t slash = find(path, '/');

		if (slash == path.len)
			return (struct slice){ 0 };
		path = from(path, slash + 1);
	}
	path.len = find(path, '/');
	return path;
}

/* What a shortcut (`github:user/project`) says. */
static bool from_shortcut(struct spec *s, const struct weburl *u)
{
	struct slice path = u->path;
	const uint8_t *slash;
	size_t at, n;

	if (path.len > 0 && *path.ptr == '/')
		path = from(path, 1);
	at = find(path, '@');
	if (at < path.len)
		path = from(path, at + 1);
	slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
	n = slash ? (size_t)(slash - path.ptr) : 0;
	s->user = (struct slice){ path.ptr, n };
	s->project = slash ? from(path, n + 1) : path;
	s->committish = u->hash;
	return true;
}

static bool from_gitlab(struct spec *s, const struct weburl *u)
{
	struct slice path = u->path.len ? from(u->path, 1) : u->path;
	const uint8_t *slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;

	if (!slash || has(path, "/-/") || has(path, "/archive.tar.gz"))
		return false;
	s->user = (struct slice){ path.ptr, (size_t)(slash - path.ptr) };
	s->project = without_git(from(path, s->user.len + 1));
	return s->user.len > 0 && s->project.len > 0;
}

/* What an address of a host says; false: it is of something else there. */
static bool from_address(struct spec *s, const struct weburl *u)
{
	struct slice other = segment(u->path, 3);

	s->committish = u->hash;
	if (s->host == GITLAB)
		return from_gitlab(s, u);
	s->user = segment(u->path, 1);
	s->project = segment(u->path, 2);
	if (s->host == GITHUB && other.len > 0) {
		if (!is(other, "tree"))
			return false;
		/* .../tree is what npm's own reading makes of a missing name */
		s->committish = memchr(other.ptr + other.len, '/',
				       (size_t)(u->path.ptr + u->path.len - other.ptr) - other.len)
					? segment(u->path, 4)
					: SLICE("undefined");
	}
	if (s->host != GITHUB && is(other, hosts[s->host].other))
		return false;
	if (s->host == GIST && s->project.len == 0) {
		s->project = s->user;
		s->user = (struct slice){ 0 };
	}
	s->project = without_git(s->project);
	return s->host == GIST ? segment(u->path, 1).len || segment(u->path, 2).len
			       : s->user.len > 0 && s->project.len > 0;
}

static bool host_speaks(enum git_host h, struct slice scheme)
{
	for (unsigned i = 0; i < ARRAY_LEN(hosts[h].schemes) && hosts[h].schemes[i]; i++) {
		if (is(scheme, hosts[h].schemes[i]))
			return true;
	}
	return false;
}

static bool takes_auth(struct slice scheme)
{
	return is(scheme, "git+https") || is(scheme, "git") || is(scheme, "http") ||
	       is(scheme, "https") || is(scheme, "git+http");
}

/* npm writes the word where a shortcut names no user. */
static struct slice user_of(const struct spec *s)
{
	return s->user.len ? s->user : SLICE("null");
}

/* An address in the given scheme, as git takes it. */
static struct slice address(const struct spec *s, const char *scheme, struct slice auth,
			    const char *suffix, struct arena *a)
{
	const struct host *h = &hosts[s->host];
	struct slice user = h->no_user ? SLICE("") : user_of(s);

	return slice_str(arena_printf(a, "%s://%.*s%s%s/%.*s%s%.*s%s", scheme, SLICE_FMT(auth),
				      auth.len ? "@" : "", h->domain, SLICE_FMT(user),
				      h->no_user ? "" : "/", SLICE_FMT(s->project), suffix));
}

static void make_addresses(struct spec *s, const struct weburl *u, bool shortcut, struct arena *a)
{
	bool gist = s->host == GIST;
	const char *suffix = hosts[s->host].suffix;
	struct slice no_auth = { 0 };

	s->https = address(s, "https", gist || s->host == SOURCEHUT ? no_auth : s->auth, suffix, a);
	s->ssh = address(s, "ssh", SLICE("git"), ".git", a);
	if (shortcut)
		return;
	if (is(u->scheme, "https") || is(u->scheme, "git+https"))
		s->fetch = s->https;
	else if (is(u->scheme, "git"))
		s->fetch = address(s, "git", gist ? no_auth : s->auth, ".git", a);
	else
		s->fetch = s->ssh;
}

static int decode_names(struct spec *s, struct arena *a)
{
	int r = weburl_decode(&s->user, s->user, a);

	r = r ? r : weburl_decode(&s->project, s->project, a);
	return r ? r : weburl_decode(&s->committish, s->committish, a);
}

/* 1: `u` is of a known host, and said in *s. */
static int read_address(struct spec *s, const struct weburl *u, struct arena *a)
{
	bool shortcut = true;
	int r;

	s->host = host_by_name(u->scheme);
	if (s->host == GIT_HOST_NONE) {
		shortcut = false;
		s->host = host_by_domain(u->host);
	}
	if (s->host == GIT_HOST_NONE || (!shortcut && !host_speaks(s->host, u->scheme)))
		return 0;
	if (!(shortcut ? from_shortcut(s, u) : from_address(s, u)))
		return 0;
	if (takes_auth(u->scheme) && (u->user.len || u->password.len))
		s->auth =
			slice_str(arena_printf(a, "%.*s%s%.*s", SLICE_FMT(u->user),
					       u->password.len ? ":" : "", SLICE_FMT(u->password)));
	r = decode_names(s, a);
	if (r == -EINVAL)
		return 0; /* npm takes a bad '%' for a sign that it is something else */
	if (shortcut)
		s->project = without_git(s->project);
	make_addresses(s, u, shortcut, a);
	return r < 0 ? r : 1;
}

int spec_take_hosted(struct spec *ret, struct arena *a, struct err *e)
{
	struct spec s = *ret;
	struct slice text = is_shorthand(s.raw) ? join(a, "github:", s.raw) : s.raw;
	struct weburl u;
	int r;

	if (s.raw.len == 0)
		return 0;
	text = with_slashes(text, a);
	r = weburl_parse(&u, text, a);
	if (r == -EINVAL)
		r = weburl_parse(&u, scp_as_url(text, a), a);
	if (r == 0)
		r = read_address(&s, &u, a);
	if (arena_error(a))
		return err_set(e, arena_error(a), "'%.*s': out of memory", SLICE_FMT(ret->raw));
	if (r <= 0)
		return r == -EINVAL ? 0 : r;
	s.type = SPEC_GIT;
	text = s.committish;
	s.committish = (struct slice){ 0 };
	r = spec_take_committish(&s, text, a, e);
	if (r < 0)
		return r;
	*ret = s;
	return 1;
}

static int twice(const struct spec *s, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "'%.*s' names more than one %s behind '#'; keep one",
		       SLICE_FMT(s->raw), what);
}

/* One part of what is behind '#'. */
static int take_part(struct spec *s, struct slice part, struct arena *a, struct err *e)
{
	size_t colon = find(part, ':');
	struct slice key = { part.ptr, colon }, value;
	char *dir;

	if (colon == part.len) {
		if (s->git_range.len || s->committish.len)
			return twice(s, "commit, branch, tag or range", e);
		s->committish = part;
		return 0;
	}
	value = from(part, colon + 1);
	value.len = find(value, ':');
	if (is(key, "semver")) {
		if (s->git_range.len || s->committish.len)
			return twice(s, "commit, branch, tag or range", e);
		if (weburl_decode(&s->git_range, value, a) == 0)
			return 0;
		return err_set(e, -EINVAL, "'%.*s': the range behind '#semver:' has a bad '%%'",
			       SLICE_FMT(s->raw));
	}
	if (!is(key, "path"))
		return 0;
	if (s->git_subdir.len)
		return twice(s, "path", e);
	dir = arena_printf(a, "/%.*s", SLICE_FMT(value));
	s->git_subdir = slice_str(dir);
	return dir ? 0 : err_set(e, arena_error(a), "out of memory");
}

int spec_take_committish(struct spec *ret, struct slice text, struct arena *a, struct err *e)
{
	for (bool more = text.len > 0; more;) {
		const uint8_t *sep = text.len ? memmem(text.ptr, text.len, "::", 2) : NULL;
		size_t n = sep ? (size_t)(sep - text.ptr) : text.len;
		int r = take_part(ret, (struct slice){ text.ptr, n }, a, e);

		if (r < 0)
			return r;
		more = sep != NULL;
		text = from(text, sep ? n + 2 : n);
	}
	return 0;
}
