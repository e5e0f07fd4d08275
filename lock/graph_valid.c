#include "core/hash.h"
#include "lock/graph_priv.h"
#include "lock/overrides.h"
#include "lock/semver.h"
#include "lock/spec.h"

#include <stdio.h>
#include <strings.h>

/* A spec that has been looked at. */
struct known {
	const char *text; /* NULL: a free place */
	struct spec spec;
	struct semver_range range; /* of versions, ranges, aliases, git's #semver: */
	bool good, any, has_range;
};

struct version {
	struct semver v;
	bool read, good;
};

struct validity {
	const struct graph *g;
	struct known *table; /* open addressing, by the spec's text; at most half full */
	uint32_t mask, used;
	struct version *versions;      /* by node */
	const struct overrides **rule; /* by node; NULL: there are no overrides */
	struct arena arena;            /* what the specs consist of */
};

#define KNOWN_FIRST 1024u

/* Where the project lies is not known here, and does not matter: paths are compared as if it lay
 * in this folder, deep enough for any ".." that a lock has. */
#define SOME_FOLDER "/0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/project"

#define SPECS_MEMORY_MAX ((size_t)256 << 20) /* for a lock of the largest size */

struct validity *validity_new(const struct graph *g)
{
	struct validity *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->g = g;
	v->arena = (struct arena)ARENA_INIT(SPECS_MEMORY_MAX);
	v->mask = KNOWN_FIRST - 1;
	v->table = calloc(KNOWN_FIRST, sizeof *v->table);
	v->versions = calloc(g->count, sizeof *v->versions);
	if (g->overrides)
		v->rule = overrides_spread(g);
	if (!v->table || !v->versions || (g->overrides && !v->rule)) {
		validity_free(v);
		return NULL;
	}
	return v;
}

void validity_free(struct validity *v)
{
	if (!v)
		return;
	for (uint32_t i = 0; v->table && i <= v->mask; i++)
		semver_range_release(&v->table[i].range);
	free(v->table);
	free(v->versions);
	free(v->rule);
	arena_release(&v->arena);
	free(v);
}

static struct known *place_of(struct known *table, uint32_t mask, const char *spec)
{
	uint64_t h = hash_seed(); /* FNV-1a */

	for (const char *s = spec; *s; s++)
		h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
	for (uint32_t at = (uint32_t)(h ^ h >> 32) & mask;; at = (at + 1) & mask) {
		if (!table[at].text || strcmp(table[at].text, spec) == 0)
			return &table[at];
	}
}

static bool grow(struct validity *v)
{
	uint32_t mask = v->mask * 2 + 1;
	struct known *bigger = calloc((size_t)mask + 1, sizeof *bigger);

	if (!bigger)
		return false;
	for (uint32_t i = 0; i <= v->mask; i++) {
		if (v->table[i].text)
			*place_of(bigger, mask, v->table[i].text) = v->table[i];
	}
	free(v->table);
	v->table = bigger;
	v->mask = mask;
	return true;
}

static bool is_ranged(enum spec_type t)
{
	return t == SPEC_VERSION || t == SPEC_RANGE;
}

static void look_at(struct validity *v, struct known *k, const char *text)
{
	static const struct slice star = { (const uint8_t *)"*", 1 };
	const struct spec *s = &k->spec;
	struct slice range = { 0 };

	k->text = text;
	k->good = spec_parse(&k->spec, (struct slice){ 0 }, *text ? slice_str(text) : star,
			     SLICE(SOME_FOLDER), &v->arena, NULL) == 0;
	if (!k->good)
		return;
	if (is_ranged(s->type) || (s->type == SPEC_ALIAS && is_ranged(s->alias_type)))
		range = s->fetch;
	else if (s->type == SPEC_GIT)
		range = s->git_range;
	k->any = s->type != SPEC_GIT && slice_eq(range, star);
	if (range.ptr && !k->any)
		k->has_range = semver_range_parse(&k->range, range, SEMVER_LOOSE) == 0;
}

static const struct known *known(struct validity *v, const char *spec)
{
	struct known *k = place_of(v->table, v->mask, spec);

	if (k->text)
		return k;
	if (v->used * 2 > v->mask) {
		if (!grow(v))
			return NULL;
		k = place_of(v->table, v->mask, spec);
	}
	v->used++;
	look_at(v, k, spec);
	return k;
}

static const struct graph_node *behind_link(const struct graph *g, uint32_t i)
{
	return g->nodes[i].flags & NODE_LINK ? &g->nodes[g->nodes[i].link_target] : &g->nodes[i];
}

static bool in_range(struct validity *v, uint32_t to, const struct semver_range *range)
{
	struct version *version = &v->versions[to];

	if (!version->read) {
		const char *text = behind_link(v->g, to)->version;

		version->read = true;
		version->good =
			text && semver_parse(&version->v, slice_str(text), SEMVER_LOOSE) == 0;
	}
	return version->good && semver_range_test(range, &version->v);
}

/* A path of the lock as spec_parse() would make it absolute. */
static bool absolute(const char *path, char ret[GRAPH_PATH_MAX + 64])
{
	char joined[GRAPH_PATH_MAX + 64];

	if (strlen(path) > GRAPH_PATH_MAX)
		return false;
	(void)snprintf(joined, sizeof joined, "%s/%s", &SOME_FOLDER[1], path);
	ret[0] = '/';
	graph_clean_path(joined, ret + 1);
	return true;
}

static bool is_tarball(const char *resolved)
{
	size_t n = strlen(resolved);

	return (n > 4 && strcasecmp(resolved + n - 4, ".tgz") == 0) ||
	       (n > 7 && strcasecmp(resolved + n - 7, ".tar.gz") == 0) ||
	       (n > 4 && strcasecmp(resolved + n - 4, ".tar") == 0);
}

/* The folder that a relative path in this node's dependencies starts from: the node's own, but for
 * what came from a tarball on disk that one's, and for overrides root. */
static bool base_folder(const struct graph_node *from, bool overridden,
			char ret[GRAPH_PATH_MAX + 64])
{
	if (overridden)
		return absolute("", ret);
	if (!from->resolved || from->flags & NODE_LINK ||
	    strncmp(from->resolved, "file:", 5) != 0 || !is_tarball(from->resolved))
		return absolute(from->path, ret);
	if (!absolute(from->resolved + 5, ret))
		return false;
	*strrchr(ret, '/') = '\0';
	return true;
}

/* Does the path in `k`, said in nodes[from], lead to `place` (of the lock)? Absolute paths cannot
 * be told without the project's own, and are believed. */
static bool leads_to(struct validity *v, uint32_t from, const struct known *k, bool overridden,
		     const char *place)
{
	char base[GRAPH_PATH_MAX + 64], want[GRAPH_PATH_MAX + 64];
	const char *path = k->text + strspn(k->text, " ");
	struct spec s;

	if (strncasecmp(path, "file:", 5) == 0)
		path += 5;
	if ((path[0] == '/' && path[strspn(path, "/")] != '.') || path[0] == '~')
		return true;
	return base_folder(&v->g->nodes[from], overridden, base) && absolute(place, want) &&
	       spec_parse(&s, (struct slice){ 0 }, slice_str(k->text), slice_str(base), &v->arena,
			  NULL) == 0 &&
	       slice_eq(s.fetch, slice_str(want));
}

static bool folder_valid(struct validity *v, const struct graph_edge *edge, const struct known *k,
			 bool overridden)
{
	const struct graph_node *to = &v->g->nodes[edge->to];

	return to->flags & NODE_LINK &&
	       leads_to(v, edge->from, k, overridden, v->g->nodes[to->link_target].path);
}

static bool tarball_valid(struct validity *v, const struct graph_edge *edge, const struct known *k,
			  bool overridden)
{
	const struct graph_node *to = &v->g->nodes[edge->to];

	if (to->flags & NODE_LINK || !to->resolved || strncmp(to->resolved, "file:", 5) != 0)
		return false;
	return to->resolved[5] == '/' || leads_to(v, edge->from, k, overridden, to->resolved + 5);
}

static bool is_commit(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr("0123456789abcdefABCDEF", s.ptr[i]))
			return false;
	}
	return s.len >= 40 && s.len <= 64;
}

/* That a branch or tag still means the commit of the lock cannot be told here. Of a repository that
 * is on none of the hosts that npm knows, it does not compare commits either. */
static bool git_valid(struct validity *v, uint32_t to, const struct known *k)
{
	const char *resolved = v->g->nodes[to].resolved;
	const struct known *have = resolved ? known(v, resolved) : NULL;

	if (!have || !have->good || have->spec.type != SPEC_GIT)
		return false;
	if (have->spec.host == GIT_HOST_NONE ? !slice_eq(have->spec.fetch, k->spec.fetch)
					     : !slice_eq(have->spec.ssh, k->spec.ssh))
		return false;
	if (k->spec.git_range.ptr)
		return k->has_range && in_range(v, to, &k->range);
	return have->spec.host == GIT_HOST_NONE || !is_commit(k->spec.committish) ||
	       slice_eq(k->spec.committish, have->spec.committish);
}

/* A tag holds for npm if the package came from a URL. A lock may leave out the URLs of registry
 * packages, and then npm asks the registry; here the lock is believed. */
static bool tag_valid(const struct graph_node *to)
{
	return !(to->flags & NODE_LINK) &&
	       (!to->resolved || strncasecmp(to->resolved, "http", 4) == 0);
}

/* Does edge->to satisfy `text`? */
static bool test(struct validity *v, const struct graph_edge *edge, const char *text,
		 bool overridden)
{
	const struct graph_node *to = &v->g->nodes[edge->to];
	const struct known *found = known(v, text);
	struct known k;

	if (!found || !found->good)
		return false;
	k = *found; /* the table may grow below */
	switch (k.spec.type) {
	case SPEC_VERSION:
	case SPEC_RANGE:
		return k.any || (k.has_range && in_range(v, edge->to, &k.range));
	case SPEC_ALIAS:
		if (k.spec.alias_type == SPEC_TAG)
			return tag_valid(to);
		return k.any || (k.has_range && in_range(v, edge->to, &k.range));
	case SPEC_TAG:
		return tag_valid(to);
	case SPEC_REMOTE:
		return to->resolved && slice_eq(slice_str(to->resolved), k.spec.fetch);
	case SPEC_DIRECTORY:
		return folder_valid(v, edge, &k, overridden);
	case SPEC_FILE:
		return tarball_valid(v, edge, &k, overridden);
	case SPEC_GIT:
		return git_valid(v, edge->to, &k);
	}
	return false;
}

static const char *accepted(const struct graph_node *from, const char *name)
{
	for (uint32_t i = 0; i + 1 < from->accept.count; i += 2) {
		if (strcmp(from->accept.items[i], name) == 0)
			return from->accept.items[i + 1];
	}
	return NULL;
}

/* The spec, or the range of acceptDependencies. */
static bool either(struct validity *v, const struct graph_edge *edge, const char *spec,
		   bool overridden)
{
	const char *accept;

	if (test(v, edge, spec, overridden))
		return true;
	accept = accepted(&v->g->nodes[edge->from], edge->name);
	return accept && test(v, edge, accept, false);
}

bool validity_edge(struct validity *v, const struct graph_edge *edge)
{
	const struct graph_node *from = &v->g->nodes[edge->from], *to = &v->g->nodes[edge->to];
	const struct overrides *rule = NULL;
	const char *spec;

	if ((edge->type == EDGE_PEER || edge->type == EDGE_PEER_OPTIONAL) &&
	    to->parent == edge->from && !(from->flags & NODE_TOP))
		return false;
	if (v->rule && !(to->flags & (NODE_IN_BUNDLE | NODE_HAS_SHRINKWRAP)))
		rule = overrides_rule(v->rule[edge->from], edge->name, edge->spec);
	if (!rule || !rule->parent)
		return either(v, edge, edge->spec, false);
	spec = overrides_spec(v->g, rule, edge);
	if (spec && either(v, edge, spec, spec != edge->spec))
		return true;
	return either(v, edge, edge->spec, false) && !either(v, edge, rule->key_spec, false);
}
