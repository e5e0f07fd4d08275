#include "lock/spec_kind.h"

#include <ctype.h>
#include <strings.h>

static bool starts(const char *s, const char *with)
{
	return strncasecmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcasecmp(s + n - k, with) == 0;
}

static bool is_tarball(const char *s)
{
	return ends(s, ".tgz") || ends(s, ".tar.gz") || ends(s, ".tar");
}

static struct spec_kind file_kind(const char *path)
{
	const char *after = path + strspn(path, "/");

	/* "file:///abs" is absolute; "file:/./x" and "file://../x" are relative all the same. */
	if (after > path && after[0] != '.')
		path = after - 1;
	else
		path = after;
	return (struct spec_kind){ is_tarball(path) ? SPEC_KIND_TARBALL : SPEC_KIND_FOLDER, path,
				   NULL };
}

static bool looks_like_path(const char *s)
{
	return s[0] == '.' || s[0] == '/' || (s[0] == '~' && s[1] == '/') ||
	       (isalpha((unsigned char)s[0]) && s[1] == ':');
}

/* The length of "scheme:" in front, 0 when there is none. */
static size_t scheme_len(const char *s)
{
	size_t n = starts(s, "git+") ? 4 : 0, start = n;

	while (isalpha((unsigned char)s[n]))
		n++;
	return n > start && s[n] == ':' ? n + 1 : 0;
}

/* "user/repo" and nothing that another form would have. */
static bool is_shorthand(const char *s)
{
	size_t len = strcspn(s, "#");
	const char *slash = memchr(s, '/', len);

	if (!slash || slash == s || slash == s + len - 1 || s[0] == '.' || s[0] == '@')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '@' || s[i] == ':' || isspace((unsigned char)s[i]) ||
		    (s[i] == '/' && s + i != slash))
			return false;
	}
	return true;
}

/* A repository's page on a host that npm knows, as opposed to a file there. */
static bool is_repository_url(const char *s)
{
	static const char *const hosts[] = { "github.com/", "gitlab.com/", "bitbucket.org/",
					     "gist.github.com/", "git.sr.ht/" };
	const char *host = strstr(s, "://"), *at;

	if (!host)
		return false;
	host += 3;
	at = strchr(host, '@');
	if (at && at < host + strcspn(host, "/#"))
		host = at + 1;
	if (starts(host, "www."))
		host += 4;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		const char *path = host + strlen(hosts[i]);
		size_t slashes = 0;

		if (!starts(host, hosts[i]))
			continue;
		for (const char *p = path; *p && *p != '#' && *p != '?'; p++)
			slashes += *p == '/' && p[1] && p[1] != '#';
		return slashes <= 1 || strstr(path, "/tree/");
	}
	return false;
}

static struct spec_kind git_kind(const char *spec)
{
	const char *range = strstr(spec, "#semver:");

	return (struct spec_kind){ SPEC_KIND_GIT, spec, range ? range + 8 : NULL };
}

static struct spec_kind url_kind(const char *spec)
{
	static const char *const git[] = { "git:",       "git+",  "github:",    "gitlab:",
					   "bitbucket:", "gist:", "sourcehut:", "ssh:" };

	for (size_t i = 0; i < ARRAY_LEN(git); i++) {
		if (starts(spec, git[i]))
			return git_kind(spec);
	}
	if (starts(spec, "http:") || starts(spec, "https:")) {
		if (is_repository_url(spec))
			return git_kind(spec);
		return (struct spec_kind){ SPEC_KIND_REMOTE, spec, NULL };
	}
	return (struct spec_kind){ SPEC_KIND_BAD, spec, NULL };
}

/* git@host:path */
static bool is_scp(const char *s)
{
	const char *at = strchr(s, '@'), *colon = at ? strchr(at, ':') : NULL;

	return at && at != s && colon && memchr(at, '.', (size_t)(colon - at)) && colon[1];
}

struct spec_kind spec_kind(const char *spec)
{
	while (isspace((unsigned char)*spec))
		spec++;
	if (starts(spec, "file:"))
		return file_kind(spec + 5);
	if (looks_like_path(spec))
		return (struct spec_kind){ is_tarball(spec) ? SPEC_KIND_TARBALL : SPEC_KIND_FOLDER,
					   spec, NULL };
	if (starts(spec, "npm:")) {
		const char *at = spec[4] ? strchr(spec + 5, '@') : NULL;

		return (struct spec_kind){ SPEC_KIND_REGISTRY, at ? at + 1 : "*", NULL };
	}
	if (is_shorthand(spec) || is_scp(spec))
		return git_kind(spec);
	if (scheme_len(spec))
		return url_kind(spec);
	if (strchr(spec, '/') || is_tarball(spec))
		return (struct spec_kind){ is_tarball(spec) ? SPEC_KIND_TARBALL : SPEC_KIND_FOLDER,
					   spec, NULL };
	return (struct spec_kind){ SPEC_KIND_REGISTRY, spec, NULL };
}
