#include "fetch/tar_priv.h"

#define PARTS_MAX 1024 /* npm skips what lies deeper, counting empty components too */

static bool is_sep(uint8_t c)
{
	return c == '/' || c == '\\';
}

static struct slice from(struct slice s, size_t n)
{
	return (struct slice){ s.ptr + n, s.len - n };
}

/* The next run of separators (or of others), from i on. */
static size_t run(struct slice s, size_t i, bool seps)
{
	while (i < s.len && is_sep(s.ptr[i]) == seps)
		i++;
	return i;
}

/* The length of \\server\share\ at the start, of its first separator if that is all. */
static size_t unc_root(struct slice s)
{
	size_t server, share, end;

	if (s.len < 2 || !is_sep(s.ptr[1]))
		return 1;
	server = run(s, 2, false);
	if (server == s.len || server == 2)
		return 1;
	share = run(s, server, true);
	if (share == s.len)
		return 1;
	end = run(s, share, false);
	return end == s.len ? end : end + 1;
}

/* How long the root of a path is by the rules of Windows, which npm applies everywhere. */
static size_t root_len(struct slice s)
{
	if (s.len == 0)
		return 0;
	if (s.ptr[0] == '/' && !(s.len >= 4 && memcmp(s.ptr, "//?/", 4) == 0))
		return 1;
	if (is_sep(s.ptr[0]))
		return unc_root(s);
	if (s.len >= 2 && (s.ptr[0] | 0x20) >= 'a' && (s.ptr[0] | 0x20) <= 'z' && s.ptr[1] == ':')
		return s.len >= 3 && is_sep(s.ptr[2]) ? 3 : 2;
	return 0;
}

static struct slice strip_roots(struct slice s)
{
	size_t n;

	while ((n = root_len(s)))
		s = from(s, n);
	return s;
}

static bool dots(const uint8_t *p, size_t n)
{
	return n == 2 && p[0] == '.' && p[1] == '.';
}

static bool has_dotdot(struct slice s)
{
	for (size_t i = 0; i <= s.len;) {
		size_t end = run(s, i, false);

		if (dots(s.ptr + i, end - i))
			return true;
		i = end + 1;
	}
	return false;
}

struct slice tar_path_target(struct slice path)
{
	const uint8_t *slash = path.len ? memchr(path.ptr, '/', path.len) : NULL;
	const struct slice nowhere = { NULL, 0 };
	size_t parts = 1;

	if (!slash)
		return nowhere;
	path = from(path, (size_t)(slash + 1 - path.ptr));
	for (size_t i = 0; i < path.len; i++)
		parts += path.ptr[i] == '/';
	path = strip_roots(path);
	return parts > PARTS_MAX || path.len == 0 || has_dotdot(path) ? nowhere : path;
}

struct slice tar_path_base(struct slice path)
{
	size_t start;

	while (path.len > 0 && path.ptr[path.len - 1] == '/')
		path.len--;
	for (start = path.len; start > 0 && path.ptr[start - 1] != '/';)
		start--;
	return from(path, start);
}

bool tar_path_next(struct slice *rest, struct slice *ret_name)
{
	while (rest->len > 0) {
		const uint8_t *slash = memchr(rest->ptr, '/', rest->len);
		size_t n = slash ? (size_t)(slash - rest->ptr) : rest->len;
		struct slice name = { rest->ptr, n };

		*rest = from(*rest, n + (slash != NULL));
		if (n > 0 && !(n == 1 && name.ptr[0] == '.')) {
			*ret_name = name;
			return true;
		}
	}
	return false;
}

bool tar_path_escapes(struct slice target, struct slice linkpath)
{
	struct slice dir, name;
	size_t depth = 0;

	linkpath = strip_roots(linkpath);
	if (linkpath.len == 0 || !has_dotdot(linkpath))
		return false;
	while (target.len > 0 && target.ptr[target.len - 1] == '/')
		target.len--;
	dir = (struct slice){ target.ptr, target.len - tar_path_base(target).len };
	while (tar_path_next(&dir, &name))
		depth++;
	for (size_t i = 0; i < linkpath.len;) {
		size_t end = run(linkpath, i, false), n = end - i;
		const uint8_t *p = linkpath.ptr + i;

		i = end + 1;
		if (n == 0 || (n == 1 && p[0] == '.'))
			continue;
		if (!dots(p, n))
			depth++;
		else if (depth-- == 0)
			return true;
	}
	return false;
}
