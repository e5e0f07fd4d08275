#include "lock/tarball_url.h"

#include "lock/semver.h"

#include <strings.h>

/* Cuts the last part off, at '/' or its percent-encoded form; what is left has no separator. */
static struct slice last_part(struct slice *path)
{
	size_t from = path->len, sep = 0;
	struct slice part;

	while (from > 0 && !sep) {
		if (path->ptr[from - 1] == '/')
			sep = 1;
		else if (from >= 3 &&
			 strncasecmp((const char *)path->ptr + from - 3, "%2f", 3) == 0)
			sep = 3;
		else
			from--;
	}
	part = (struct slice){ path->ptr + from, path->len - from };
	path->len = from - sep;
	return part;
}

int tarball_url(struct arena *a, const char *url, struct slice *ret_name, struct slice *ret_version)
{
	const char *host = strstr(url, "://"), *slash;
	struct slice path, base, project, scope, version;
	char text[SEMVER_TEXT_MAX];
	struct semver v;

	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return 0;
	slash = strchr(host + 3, '/');
	if (!slash || strpbrk(slash, "?#"))
		return 0;
	path = slice_str(slash + 1);
	base = last_part(&path);
	if (base.len < 4 || memcmp(base.ptr + base.len - 4, ".tgz", 4) != 0 ||
	    !slice_eq(last_part(&path), SLICE("-")))
		return 0;
	project = last_part(&path);
	scope = last_part(&path);
	if (project.len == 0 || base.len < project.len + 5 ||
	    memcmp(base.ptr, project.ptr, project.len) != 0 || base.ptr[project.len] != '-')
		return 0;
	version = (struct slice){ base.ptr + project.len + 1, base.len - project.len - 5 };
	if (semver_parse(&v, version, 0) < 0)
		return 0;
	(void)semver_format(&v, text);
	if (scope.len && scope.ptr[0] == '@')
		project = slice_str(
			arena_printf(a, "%.*s/%.*s", SLICE_FMT(scope), SLICE_FMT(project)));
	*ret_version = slice_str(arena_strdup(a, text));
	*ret_name = project;
	return arena_error(a) ? arena_error(a) : 1;
}
