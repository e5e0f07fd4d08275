#include "lock/collate.h"
#include "lock/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#define PATTERNS_MAX 1000u /* of one package.json, braces expanded */

/* ---- matching ---- */

static bool segment_match(const char *p, size_t plen, const char *s, size_t slen, bool dot)
{
	char pattern[WORKSPACE_PATTERN + 1], name[GRAPH_NAME_MAX + 1];

	if (plen >= sizeof pattern || slen >= sizeof name)
		return false;
	memcpy(pattern, p, plen);
	pattern[plen] = '\0';
	memcpy(name, s, slen);
	name[slen] = '\0';
	return fnmatch(pattern, name, FNM_EXTMATCH | (dot ? 0 : FNM_PERIOD)) == 0;
}

static const char *next_segment(const char *s, size_t len)
{
	return s[len] ? s + len + 1 : s + len;
}

/* As for `*` among letters, it is enough to come back to the last `**`. */
bool workspaces_match(const char *pattern, const char *path, bool dot)
{
	const char *p = pattern, *s = path, *back_p = NULL, *back_s = NULL;

	for (;;) {
		size_t plen = strcspn(p, "/"), slen = strcspn(s, "/");

		if (*p && plen == 2 && memcmp(p, "**", 2) == 0) {
			p = next_segment(p, plen);
			back_p = p;
			back_s = s;
			continue;
		}
		if (*p && *s && segment_match(p, plen, s, slen, dot)) {
			p = next_segment(p, plen);
			s = next_segment(s, slen);
			continue;
		}
		if (!*p && !*s)
			return true;
		if (!back_p || !*back_s || (!dot && *back_s == '.'))
			return false;
		back_s = next_segment(back_s, strcspn(back_s, "/"));
		p = back_p;
		s = back_s;
	}
}

/* ---- the list of patterns ---- */

struct patterns {
	struct arena *arena;
	struct err *e;
	const char *positive[PATTERNS_MAX], *negative[PATTERNS_MAX];
	uint32_t positives, negatives;
};

static int no_memory(struct arena *a, struct err *e)
{
	return err_set(e, arena_error(a), "no memory for the workspaces");
}

static void drop(const char **list, uint32_t *count, uint32_t at)
{
	memmove(list + at, list + at + 1, (*count - at - 1) * sizeof *list);
	--*count;
}

/* One pattern without braces. A later positive pattern takes back the negative ones that match
 * it. */
static int add_pattern(struct patterns *ps, const char *text, bool negative)
{
	uint32_t *count = negative ? &ps->negatives : &ps->positives;
	char *copy;
	size_t len;

	for (const char *s = text; *s; s = next_segment(s, strcspn(s, "/"))) {
		if (strcspn(s, "/") == 2 && s[0] == '.' && s[1] == '.')
			return err_set(ps->e, -EINVAL,
				       "package.json: the workspace pattern \"%.80s\" leads out of "
				       "the project",
				       text);
	}
	if (*count == PATTERNS_MAX)
		return err_set(ps->e, -E2BIG, "package.json: more than %u workspace patterns",
			       PATTERNS_MAX);
	copy = arena_strdup(ps->arena, text);
	if (!copy)
		return no_memory(ps->arena, ps->e);
	len = strlen(copy);
	while (len && copy[len - 1] == '/')
		copy[--len] = '\0';
	if (negative) {
		ps->negative[ps->negatives++] = copy;
		return 0;
	}
	for (uint32_t i = 0; i < ps->negatives;) {
		if (workspaces_match(ps->negative[i], copy, false))
			drop(ps->negative, &ps->negatives, i);
		else
			i++;
	}
	ps->positive[ps->positives++] = copy;
	return 0;
}

/* The end of the brace group that opens at s, and whether it has a comma at its own level. */
static const char *group_end(const char *s, bool *ret_comma)
{
	unsigned depth = 0;

	*ret_comma = false;
	for (; *s; s++) {
		if (*s == '{')
			depth++;
		else if (*s == '}' && --depth == 0)
			return s;
		else if (*s == ',' && depth == 1)
			*ret_comma = true;
	}
	return NULL;
}

static const char *first_group(const char *text, const char **ret_end)
{
	bool comma;

	for (const char *s = strchr(text, '{'); s; s = strchr(s + 1, '{')) {
		*ret_end = group_end(s, &comma);
		if (*ret_end && comma)
			return s;
	}
	return NULL;
}

/* Expands the first group; what comes of it waits in a list, so nothing recurses. */
static int add_expanded(struct patterns *ps, const char *text, bool negative)
{
	const char *waiting[PATTERNS_MAX];
	uint32_t count = 0;

	waiting[count++] = text;
	while (count) {
		const char *now = waiting[--count], *end, *open = first_group(now, &end);
		const char *from;
		unsigned depth = 0;
		int r;

		if (!open) {
			r = add_pattern(ps, now, negative);
			if (r < 0)
				return r;
			continue;
		}
		from = open + 1;
		for (const char *s = open; s <= end; s++) {
			depth += *s == '{';
			if (depth == 1 && (*s == ',' || s == end)) {
				if (count == PATTERNS_MAX)
					return err_set(ps->e, -E2BIG,
						       "package.json: more than %u workspace "
						       "patterns",
						       PATTERNS_MAX);
				waiting[count] =
					arena_printf(ps->arena, "%.*s%.*s%s", (int)(open - now),
						     now, (int)(s - from), from, end + 1);
				if (!waiting[count++])
					return no_memory(ps->arena, ps->e);
				from = s + 1;
			}
			depth -= *s == '}';
		}
	}
	return 0;
}

static int read_patterns(struct patterns *ps, const cJSON *j)
{
	const cJSON *item;

	if (cJSON_IsObject(j) && cJSON_IsArray(json_get(j, "packages")))
		j = json_get(j, "packages");
	if (!cJSON_IsArray(j))
		return err_set(ps->e, -EINVAL, "package.json: \"workspaces\" is no list");
	cJSON_ArrayForEach(item, j)
	{
		const char *text = cJSON_GetStringValue(item);
		bool negative = false;
		int r;

		if (!text || strlen(text) > WORKSPACE_PATTERN)
			return err_set(ps->e, -EINVAL,
				       "package.json: a workspace pattern is no string, or longer "
				       "than %u bytes",
				       WORKSPACE_PATTERN);
		for (; *text == '!'; text++)
			negative = !negative;
		if (text[0] == '.' && text[1] == '/')
			text++;
		while (*text == '/')
			text++;
		r = add_expanded(ps, text, negative);
		if (r < 0)
			return r;
	}
	return 0;
}

static void drop_negated(struct patterns *ps)
{
	for (uint32_t n = 0; n < ps->negatives; n++) {
		for (uint32_t i = 0; i < ps->positives;) {
			if (workspaces_match(ps->negative[n], ps->positive[i], false))
				drop(ps->positive, &ps->positives, i);
			else
				i++;
		}
	}
}

/* ---- looking into folders ---- */

struct step {
	const char *path; /* folder found so far, "" for the project */
	const char *rest; /* of the pattern */
};

struct search {
	struct arena *arena;
	struct err *e;
	int dirfd;
	const struct patterns *patterns;
	struct step *steps; /* owned; a stack */
	const char **found; /* owned */
	size_t step_count, step_cap, found_count, found_cap;
	uint32_t dirs;
};

static int grow(void *list, size_t *cap, size_t size, struct err *e)
{
	void **p = list, *bigger;
	size_t want = *cap ? *cap * 2 : 64;

	bigger = reallocarray(*p, want, size);
	if (!bigger)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	*p = bigger;
	*cap = want;
	return 0;
}

static int push(struct search *s, const char *path, const char *name, size_t len, const char *rest)
{
	const char *joined = path;
	int r;

	if (len) {
		joined = *path ? arena_printf(s->arena, "%s/%.*s", path, (int)len, name)
			       : arena_strndup(s->arena, name, len);
		if (!joined)
			return no_memory(s->arena, s->e);
	}
	if (s->step_count == s->step_cap) {
		r = grow(&s->steps, &s->step_cap, sizeof *s->steps, s->e);
		if (r < 0)
			return r;
	}
	s->steps[s->step_count++] = (struct step){ joined, rest };
	return 0;
}

static bool is_folder(int dirfd, const struct dirent *d, bool follow)
{
	struct stat st;

	if (d->d_type == DT_DIR)
		return true;
	if (d->d_type != DT_UNKNOWN && (d->d_type != DT_LNK || !follow))
		return false;
	return fstatat(dirfd, d->d_name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* The children of a folder that a wildcard may go into. `**` does not go through symlinks. */
static int look_into(struct search *s, const struct step *at, const char *seg, size_t len,
		     const char *rest)
{
	bool deep = len == 2 && memcmp(seg, "**", 2) == 0;
	int fd = openat(s->dirfd, *at->path ? at->path : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	const struct dirent *d;
	int r = 0;
	DIR *dir;

	if (fd < 0)
		return 0; /* as for npm, what is not there matches nothing */
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return err_set(s->e, -errno, "%.100s: cannot be listed", at->path);
	}
	if (++s->dirs > WORKSPACE_DIRS)
		r = err_set(s->e, -E2BIG,
			    "package.json: the workspace patterns look into more than %u folders",
			    WORKSPACE_DIRS);
	while (r == 0 && (d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    strcmp(d->d_name, "node_modules") == 0 || n > GRAPH_NAME_MAX)
			continue;
		if (deep ? d->d_name[0] == '.' : !segment_match(seg, len, d->d_name, n, false))
			continue;
		if (is_folder(fd, d, !deep))
			r = push(s, at->path, d->d_name, n, rest);
	}
	(void)closedir(dir);
	return r;
}

static bool is_ignored(const struct search *s, const char *path)
{
	char below[GRAPH_PATH_MAX + 3];

	for (uint32_t i = 0; i < s->patterns->negatives; i++) {
		const char *negative = s->patterns->negative[i];
		size_t n = strlen(negative);

		if (workspaces_match(negative, path, true))
			return true;
		/* What hides all below x hides x itself too. */
		if (n > 3 && n < sizeof below && strcmp(negative + n - 3, "/**") == 0) {
			memcpy(below, negative, n - 3);
			below[n - 3] = '\0';
			if (workspaces_match(below, path, true))
				return true;
		}
	}
	return false;
}

static int found(struct search *s, const char *path)
{
	struct stat st;
	int r;

	if (!*path || strlen(path) > GRAPH_PATH_MAX || is_ignored(s, path) ||
	    fstatat(s->dirfd, path, &st, 0) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (s->found_count == WORKSPACES_MAX)
		return err_set(s->e, -E2BIG, "package.json: more than %u folders are workspaces",
			       WORKSPACES_MAX);
	if (s->found_count == s->found_cap) {
		r = grow(&s->found, &s->found_cap, sizeof *s->found, s->e);
		if (r < 0)
			return r;
	}
	s->found[s->found_count++] = path;
	return 0;
}

static int step(struct search *s, const struct step *at)
{
	size_t len = strcspn(at->rest, "/");
	const char *rest = next_segment(at->rest, len);
	int r;

	if (!*at->rest)
		return found(s, at->path);
	if (len == 0 || (len == 1 && at->rest[0] == '.'))
		return push(s, at->path, "", 0, rest);
	if (len == 2 && memcmp(at->rest, "**", 2) == 0) {
		r = push(s, at->path, "", 0, rest);
		return r < 0 ? r : look_into(s, at, at->rest, len, at->rest);
	}
	if (!memchr(at->rest, '*', len) && !memchr(at->rest, '?', len) &&
	    !memchr(at->rest, '[', len) && !memchr(at->rest, '(', len))
		return push(s, at->path, at->rest, len, rest);
	return look_into(s, at, at->rest, len, rest);
}

static int by_collation(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	int c = collate(slice_str(x), slice_str(y));

	return c ? c : strcmp(x, y);
}

static int hand_over(struct search *s, struct graph_strings *ret)
{
	const char **items = arena_array(s->arena, s->found_count + 1, sizeof *items);
	uint32_t n = 0;

	if (!items)
		return no_memory(s->arena, s->e);
	if (s->found_count)
		qsort(s->found, s->found_count, sizeof *s->found, by_collation);
	for (size_t i = 0; i < s->found_count; i++) {
		if (n == 0 || strcmp(items[n - 1], s->found[i]) != 0)
			items[n++] = s->found[i];
	}
	*ret = (struct graph_strings){ .items = items, .count = n, .given = true };
	return 0;
}

static int search_all(struct search *s)
{
	int r = 0;

	for (uint32_t i = 0; i < s->patterns->positives && r == 0; i++) {
		r = push(s, "", "", 0, s->patterns->positive[i]);
		while (r == 0 && s->step_count) {
			struct step at = s->steps[--s->step_count];

			r = step(s, &at);
		}
	}
	return r;
}

int workspaces_find(struct arena *a, int dirfd, const cJSON *patterns, struct graph_strings *ret,
		    struct err *e)
{
	auto_free struct patterns *ps = calloc(1, sizeof *ps);
	struct search s = { .arena = a, .e = e, .dirfd = dirfd, .patterns = ps };
	int r;

	if (!ps)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	ps->arena = a;
	ps->e = e;
	r = read_patterns(ps, patterns);
	if (r < 0)
		return r;
	drop_negated(ps);
	r = search_all(&s);
	if (r == 0)
		r = hand_over(&s, ret);
	free(s.steps);
	free(s.found);
	return r;
}
