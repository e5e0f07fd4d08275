#include "fetch/git_refs.h"

#include "lock/semver.h"

#define TAG_MAX 1024u /* bytes; no file system holds longer ones, and looking is quadratic */

void git_refs_release(struct git_refs *r)
{
	free(r->list);
	*r = (struct git_refs){ 0 };
}

bool git_is_sha(struct slice s)
{
	if (s.len < 40 || s.len > GIT_SHA_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("0123456789abcdef", s.ptr[i]) || !s.ptr[i])
			return false;
	return true;
}

/* ---- reading ---- */

static bool strip(const char *name, const char *prefix, const char **ret)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) != 0)
		return false;
	*ret = name + n;
	return true;
}

static bool is_peeled(const char *name, const char *tag)
{
	size_t n = strlen(tag);

	return strncmp(name, tag, n) == 0 && strcmp(name + n, "^{}") == 0;
}

int git_refs_parse(struct git_refs *ret, char *text, size_t len, struct err *e)
{
	auto_git_refs struct git_refs made = { 0 };
	size_t lines = 1;
	char *line, *rest = text;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	made.list = calloc(lines, sizeof *made.list);
	if (!made.list)
		return err_set(e, -ENOMEM, "out of memory");
	while ((line = strsep(&rest, "\n"))) {
		size_t n = strcspn(line, "\t");
		struct git_ref *at = &made.list[made.count];

		if (!line[n] || !git_is_sha((struct slice){ (const uint8_t *)line, n }))
			continue;
		memcpy(at->sha, line, n);
		at->name = line + n + 1;
		if (made.count && is_peeled(at->name, at[-1].name)) {
			memcpy(at[-1].sha, at->sha, sizeof at->sha);
			at->sha[n] = '\0';
			continue;
		}
		made.count++;
	}
	*ret = made;
	made = (struct git_refs){ 0 };
	return 0;
}

/* ---- picking ---- */

/* As somebody would name it. */
static bool is_named(const char *full, const char *name)
{
	const char *part;

	if (strcmp(full, name) == 0)
		return true;
	if (strip(full, "refs/tags/", &part) || strip(full, "refs/heads/", &part))
		return strcmp(part, name) == 0;
	if (strip(full, "refs/", &part) && strncmp(part, "pull/", 5) == 0) {
		size_t n = strlen(part);

		if (n > 5 && strcmp(part + n - 5, "/head") == 0)
			n -= 5;
		return strlen(name) == n && strncmp(part, name, n) == 0;
	}
	return false;
}

const struct git_ref *git_refs_named(const struct git_refs *r, const char *name)
{
	for (size_t i = r->count; i-- > 0;)
		if (is_named(r->list[i].name, name))
			return &r->list[i];
	return NULL;
}

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* Does "1.2.3" stand here, with nothing behind it but "-..." or "+..."? */
static bool ends_in_version(const char *s)
{
	for (int i = 0; i < 3; i++) {
		size_t n = digits(s);

		if (n == 0 || (i < 2 && s[n] != '.'))
			return false;
		s += n + (i < 2);
	}
	return *s == '\0' || ((*s == '-' || *s == '+') && s[1]);
}

/* The version that a tag's name ends in. */
static bool version_of(const struct git_ref *ref, struct semver *ret)
{
	const char *s;

	if (!strip(ref->name, "refs/tags/", &s) || strnlen(s, TAG_MAX + 1) > TAG_MAX)
		return false;
	while (*s && !ends_in_version(s))
		s++;
	return *s && semver_parse(ret, slice_str(s), SEMVER_LOOSE) == 0;
}

/* npm's tag `latest`: what has the commit of a ref of that name, else of HEAD; of several the last.
 */
static const struct git_ref *latest_of(const struct git_refs *r)
{
	const struct git_ref *at = git_refs_named(r, "latest"), *found = NULL;
	struct semver v;

	at = at ? at : git_refs_named(r, "HEAD");
	for (size_t i = 0; at && i < r->count; i++)
		if (strcmp(r->list[i].sha, at->sha) == 0 && version_of(&r->list[i], &v))
			found = &r->list[i];
	return found;
}

const struct git_ref *git_refs_pick(const struct git_refs *r, struct slice range)
{
	auto_range struct semver_range want = { 0 };
	const struct git_ref *best = latest_of(r);
	struct semver v, best_v;

	if (range.len == 0)
		range = SLICE("*");
	if (semver_range_parse(&want, range, SEMVER_LOOSE) < 0)
		return NULL;
	if (best && version_of(best, &v) &&
	    (slice_eq(range, SLICE("*")) || semver_range_test(&want, &v)))
		return best;
	best = NULL;
	for (size_t i = 0; i < r->count; i++) {
		if (!version_of(&r->list[i], &v) || !semver_range_test(&want, &v) ||
		    (best && semver_cmp(&v, &best_v) < 0))
			continue;
		best = &r->list[i];
		best_v = v;
	}
	return best;
}
