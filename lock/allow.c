#include "lock/allow.h"

#include "lock/semver.h"
#include "lock/spec.h"
#include "lock/tarball_url.h"

#include <ctype.h>

#define ALLOW_MEMORY_MAX   ((size_t)16 << 20)  /* of the keys */
#define MATCHER_MEMORY_MAX ((size_t)256 << 20) /* for some 100,000 edges with long addresses */

struct key {
	struct spec spec;
	bool yes;
	bool any_version;          /* of a registry's package */
	struct semver_range range; /* RANGE without any_version */
};

struct allow {
	struct arena arena;
	struct key *keys;
	size_t count, cap;
	const char *dir;
};

struct matcher {
	struct arena arena;
	const char *dir;
};

/* What can be believed of a registry's package. */
struct identity {
	bool registry;        /* all who depend on it ask a registry for it */
	bool asked;           /* somebody depends on it */
	struct slice name;    /* len 0: unknown */
	struct slice version; /* canonical; len 0: unknown */
};

struct allow *allow_new(const char *project_dir)
{
	struct allow *a = calloc(1, sizeof *a);

	if (!a)
		return NULL;
	a->arena = (struct arena)ARENA_INIT(ALLOW_MEMORY_MAX);
	a->dir = arena_strdup(&a->arena, project_dir);
	if (a->dir)
		return a;
	allow_free(a);
	return NULL;
}

void allow_free(struct allow *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++)
		semver_range_release(&a->keys[i].range);
	free(a->keys);
	arena_release(&a->arena);
	free(a);
}

/* ---- keys ---- */

/* Begins with letters and a colon, "git+" in front or not. */
static bool is_url(struct slice s)
{
	size_t i = 0;

	if (s.len > 4 && strncasecmp((const char *)s.ptr, "git+", 4) == 0)
		i = 4;
	for (size_t from = i; i < s.len; i++)
		if (!isalpha(s.ptr[i]))
			return i > from && s.ptr[i] == ':';
	return false;
}

static bool is_tarball(struct slice s)
{
	static const char *const ends[] = { ".tgz", ".tar.gz", ".tar" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t n = strlen(ends[i]);

		if (s.len >= n && strncasecmp((const char *)s.ptr + s.len - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

/* "name@spec" as npm cuts what stands on its command line; a name alone is any version. */
static void cut(struct slice key, struct slice *name, struct slice *spec)
{
	const uint8_t *at = key.len > 1 ? memchr(key.ptr + 1, '@', key.len - 1) : NULL;
	struct slice first = { key.ptr, at ? (size_t)(at - key.ptr) : key.len };

	*name = (struct slice){ 0 };
	*spec = key;
	if (is_url(key) ||
	    (key.ptr[0] != '@' && (memchr(first.ptr, '/', first.len) || is_tarball(first))))
		return;
	*name = first;
	*spec = at ? (struct slice){ at + 1, key.len - first.len - 1 } : SLICE("*");
	if (spec->len == 0)
		*spec = SLICE("*");
}

/* "1.2.3 || 1.2.4": nothing but exact versions. */
static bool only_versions(struct slice s)
{
	while (true) {
		const uint8_t *bar = memmem(s.ptr, s.len, "||", 2);
		struct slice part = { s.ptr, bar ? (size_t)(bar - s.ptr) : s.len };
		struct semver v;

		while (part.len && isspace(part.ptr[0])) {
			part.ptr++;
			part.len--;
		}
		while (part.len && isspace(part.ptr[part.len - 1]))
			part.len--;
		if (part.len == 0 || semver_parse(&v, part, 0) < 0)
			return false;
		if (!bar)
			return true;
		s.len -= (size_t)(bar + 2 - s.ptr);
		s.ptr = bar + 2;
	}
}

static int understand(struct allow *a, struct key *k, const char *text, struct err *e)
{
	struct slice whole = slice_str(arena_strdup(&a->arena, text)), name, raw;
	int r;

	if (whole.len == 0)
		return err_set(e, whole.ptr ? -EINVAL : -ENOMEM, "an empty key of allowScripts");
	cut(whole, &name, &raw);
	r = spec_parse(&k->spec, name, raw, slice_str(a->dir), &a->arena, e);
	if (r < 0)
		return err_wrap(e, r, "allowScripts: \"%.100s\"", text);
	if (k->spec.type == SPEC_TAG)
		return err_set(e, -EINVAL,
			       "allowScripts: \"%.100s\" is left out: a tag says nothing of what "
			       "is run; write exact versions, or the name alone",
			       text);
	if (k->spec.type != SPEC_RANGE)
		return 0;
	k->any_version = k->spec.fetch.len == 0 || slice_eq(k->spec.fetch, SLICE("*"));
	if (k->any_version)
		return 0;
	if (!only_versions(k->spec.fetch))
		return err_set(e, -EINVAL,
			       "allowScripts: \"%.100s\" is left out: a range would allow what "
			       "nobody has seen; write exact versions joined by ||, or the name "
			       "alone",
			       text);
	return semver_range_parse(&k->range, k->spec.fetch, SEMVER_LOOSE);
}

int allow_add(struct allow *a, const char *key, bool yes, struct err *e)
{
	struct key k = { .yes = yes };
	int r;

	if (a->count == ALLOW_KEYS_MAX)
		return err_set(e, -E2BIG, "allowScripts has more than %u keys", ALLOW_KEYS_MAX);
	if (a->count == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 16;
		struct key *grown = realloc(a->keys, cap * sizeof *grown);

		if (!grown)
			return err_set(e, -ENOMEM, "out of memory");
		a->keys = grown;
		a->cap = cap;
	}
	r = understand(a, &k, key, e);
	if (r < 0)
		return r;
	a->keys[a->count++] = k;
	return 0;
}

/* ---- who a package is ---- */

static int identify_url(struct arena *a, struct identity *id, const char *url)
{
	int r = tarball_url(a, url, &id->name, &id->version);

	return r < 0 ? r : 0;
}

/* What one who depends on it asks for. */
static int note_edge(struct matcher *m, struct identity *id, const struct graph_edge *edge)
{
	struct spec s;
	int r = spec_parse(&s, slice_str(edge->name), slice_str(edge->spec), slice_str(m->dir),
			   &m->arena, NULL);

	if (r == -ENOMEM)
		return r;
	id->registry &= r == 0 && (s.type == SPEC_VERSION || s.type == SPEC_RANGE ||
				   s.type == SPEC_TAG || s.type == SPEC_ALIAS);
	if (id->registry && id->name.len == 0)
		id->name = s.type == SPEC_ALIAS ? s.alias_name : s.name;
	id->asked = true;
	return 0;
}

static int identify(struct matcher *m, const struct graph *g, struct identity *ids)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < g->count; i++) {
		ids[i].registry = true;
		if (g->nodes[i].resolved)
			r = identify_url(&m->arena, &ids[i], g->nodes[i].resolved);
	}
	for (uint32_t i = 0; r == 0 && i < g->edge_count; i++)
		if (g->edges[i].to != GRAPH_NONE)
			r = note_edge(m, &ids[g->edges[i].to], &g->edges[i]);
	/* Where the lock has no URL, the registry is asked for the lock's name of it. */
	for (uint32_t i = 0; i < g->count; i++)
		if (!g->nodes[i].resolved &&
		    !slice_eq(slice_str(g->nodes[i].pkg_name), ids[i].name))
			ids[i].registry = false;
	return r;
}

/* ---- matching ---- */

static bool matches_registry(const struct key *k, const struct identity *id)
{
	struct semver v;

	if (!id->registry || !id->asked || id->name.len == 0 || !slice_eq(k->spec.name, id->name))
		return false;
	if (k->any_version)
		return true;
	if (id->version.len == 0)
		return !k->yes;
	if (k->spec.type == SPEC_VERSION)
		return slice_eq(k->spec.fetch, id->version);
	return semver_parse(&v, id->version, 0) == 0 && semver_range_test(&k->range, &v);
}

static bool matches_git(struct matcher *m, const struct key *k, const struct graph_node *n)
{
	const struct spec *key = &k->spec;
	struct spec is;

	if (!n->resolved || strncmp(n->resolved, "git", 3) != 0 ||
	    spec_parse(&is, (struct slice){ 0 }, slice_str(n->resolved), slice_str(m->dir),
		       &m->arena, NULL) < 0 ||
	    is.type != SPEC_GIT)
		return false;
	if (key->host != is.host)
		return false;
	if (key->host != GIT_HOST_NONE ? !slice_eq(key->ssh, is.ssh)
				       : !slice_eq(key->fetch, is.fetch))
		return false;
	if (key->committish.len == 0)
		return true;
	return is.committish.len >= key->committish.len &&
	       memcmp(is.committish.ptr, key->committish.ptr, key->committish.len) == 0;
}

/* A tarball on disk: the same file, however its path is written. */
static bool matches_file(struct matcher *m, const struct key *k, const struct graph_node *n)
{
	struct spec is;

	return n->resolved && strncmp(n->resolved, "file:", 5) == 0 &&
	       spec_parse(&is, (struct slice){ 0 }, slice_str(n->resolved), slice_str(m->dir),
			  &m->arena, NULL) == 0 &&
	       slice_eq(is.fetch, k->spec.fetch);
}

static bool matches(struct matcher *m, const struct key *k, const struct graph_node *n,
		    const struct identity *id)
{
	switch (k->spec.type) {
	case SPEC_VERSION:
	case SPEC_RANGE:
		return matches_registry(k, id);
	case SPEC_GIT:
		return matches_git(m, k, n);
	case SPEC_REMOTE:
		return n->resolved && slice_eq(slice_str(n->resolved), k->spec.fetch);
	case SPEC_FILE:
	case SPEC_DIRECTORY:
		return matches_file(m, k, n);
	case SPEC_TAG:
	case SPEC_ALIAS:
		break;
	}
	return false;
}

static enum allow_answer answer(struct matcher *m, const struct allow *a,
				const struct graph_node *n, const struct identity *id)
{
	enum allow_answer r = ALLOW_UNREVIEWED;

	if (n->flags & NODE_IN_BUNDLE)
		return r;
	for (size_t i = 0; i < a->count; i++) {
		if (r == ALLOW_YES && a->keys[i].yes)
			continue;
		if (!matches(m, &a->keys[i], n, id))
			continue;
		if (!a->keys[i].yes)
			return ALLOW_NO;
		r = ALLOW_YES;
	}
	return r;
}

int allow_nodes(const struct allow *a, const struct graph *g, enum allow_answer *ret, struct err *e)
{
	auto_free struct identity *ids = calloc(g->count, sizeof *ids);
	struct matcher m = { .arena = ARENA_INIT(MATCHER_MEMORY_MAX), .dir = a->dir };
	int r = ids ? identify(&m, g, ids) : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < g->count; i++)
		ret[i] = answer(&m, a, &g->nodes[i], &ids[i]);
	if (r == 0)
		r = arena_error(&m.arena);
	arena_release(&m.arena);
	return r < 0 ? err_set(e, r, "allowScripts: %s", strerror(-r)) : 0;
}
