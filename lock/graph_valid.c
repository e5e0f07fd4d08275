#include "lock/graph_priv.h"
#include "lock/overrides.h"
#include "lock/semver.h"
#include "lock/spec_kind.h"

#include <ctype.h>
#include <strings.h>

/* A spec that has been looked at. */
struct known {
	const char *spec; /* NULL: a free place */
	struct spec_kind kind;
	struct semver_range range;
	bool any, has_range;
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
};

#define KNOWN_FIRST 1024u

struct validity *validity_new(const struct graph *g)
{
	struct validity *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->g = g;
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
	free(v);
}

static struct known *place_of(struct known *table, uint32_t mask, const char *spec)
{
	uint32_t h = 2166136261u;

	for (const char *s = spec; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	for (uint32_t at = (h ^ h >> 15) & mask;; at = (at + 1) & mask) {
		if (!table[at].spec || strcmp(table[at].spec, spec) == 0)
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
		if (v->table[i].spec)
			*place_of(bigger, mask, v->table[i].spec) = v->table[i];
	}
	free(v->table);
	v->table = bigger;
	v->mask = mask;
	return true;
}

static void look_at(struct known *k, const char *spec)
{
	const char *range;

	k->spec = spec;
	k->kind = spec_kind(spec);
	if (k->kind.kind == SPEC_KIND_REGISTRY) {
		range = k->kind.rest;
		k->any = *range == '\0' || strcmp(range, "*") == 0;
	} else {
		range = k->kind.range;
	}
	if (range && !k->any)
		k->has_range = semver_range_parse(&k->range, slice_str(range), SEMVER_LOOSE) == 0;
}

static const struct known *known(struct validity *v, const char *spec)
{
	struct known *k = place_of(v->table, v->mask, spec);

	if (k->spec)
		return k;
	if (v->used * 2 > v->mask) {
		if (!grow(v))
			return NULL;
		k = place_of(v->table, v->mask, spec);
	}
	v->used++;
	look_at(k, spec);
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

/* Where a relative path in this node's dependencies starts: at the node, but for what came from a
 * tarball in a folder at that folder, and for overrides at root. */
static void base_folder(const struct graph_node *from, bool overridden, char *out)
{
	char *slash;

	*out = '\0';
	if (overridden)
		return;
	if (!from->resolved || strncmp(from->resolved, "file:", 5) != 0 ||
	    spec_kind(from->resolved).kind != SPEC_KIND_TARBALL) {
		graph_clean_path(from->path, out);
		return;
	}
	if (strlen(from->resolved) > GRAPH_PATH_MAX)
		return;
	graph_clean_path(from->resolved + 5, out);
	slash = strrchr(out, '/');
	*(slash ? slash : out) = '\0';
}

/* Does `path`, said in nodes[from], lead to `place` (relative to root, clean)? Absolute paths
 * cannot be told without the project's own, and are believed. */
static bool leads_to(const struct graph *g, uint32_t from, const char *path, bool overridden,
		     const char *place)
{
	char joined[2 * GRAPH_PATH_MAX + 4], clean[2 * GRAPH_PATH_MAX + 6];
	size_t len;

	if (path[0] == '/' || path[0] == '~' || (isalpha((unsigned char)path[0]) && path[1] == ':'))
		return true;
	base_folder(&g->nodes[from], overridden, joined);
	len = strlen(joined);
	if (strlen(path) > GRAPH_PATH_MAX)
		return false;
	joined[len] = '/';
	strcpy(joined + len + 1, path);
	graph_clean_path(joined, clean);
	return strcmp(clean, place) == 0;
}

static bool folder_valid(const struct graph *g, uint32_t from, uint32_t to, const char *path,
			 bool overridden)
{
	const struct graph_node *n = &g->nodes[to];

	return n->flags & NODE_LINK &&
	       leads_to(g, from, path, overridden, g->nodes[n->link_target].path);
}

static bool tarball_valid(const struct graph *g, uint32_t from, uint32_t to, const char *path,
			  bool overridden)
{
	const struct graph_node *n = &g->nodes[to];
	char place[GRAPH_PATH_MAX + 2];

	if (n->flags & NODE_LINK || !n->resolved || strncmp(n->resolved, "file:", 5) != 0 ||
	    strlen(n->resolved) > GRAPH_PATH_MAX)
		return false;
	if (n->resolved[5] == '/')
		return true;
	graph_clean_path(n->resolved + 5, place);
	return leads_to(g, from, path, overridden, place);
}

/* The last two parts of a repository's address, "user/repo". */
static struct slice repository(const char *spec)
{
	size_t len = strcspn(spec, "#"), at;
	unsigned parts = 0;

	while (len > 0 && spec[len - 1] == '/')
		len--;
	if (len > 4 && strncasecmp(spec + len - 4, ".git", 4) == 0)
		len -= 4;
	for (at = len; at > 0; at--) {
		if ((spec[at - 1] == '/' || spec[at - 1] == ':') && ++parts == 2)
			break;
	}
	return (struct slice){ (const uint8_t *)spec + at, len - at };
}

static bool is_commit(const char *s)
{
	size_t n = strspn(s, "0123456789abcdefABCDEF");

	return n >= 40 && n <= 64 && s[n] == '\0';
}

/* That a branch or tag still means the commit of the lock cannot be told here. */
static bool git_valid(struct validity *v, uint32_t to, const struct known *k)
{
	const char *resolved = v->g->nodes[to].resolved, *hash, *has;
	struct slice want, have;

	if (!resolved)
		return false;
	want = repository(k->spec);
	have = repository(resolved);
	if (want.len != have.len ||
	    strncasecmp((const char *)want.ptr, (const char *)have.ptr, want.len) != 0)
		return false;
	if (k->kind.range)
		return k->has_range && in_range(v, to, &k->range);
	hash = strchr(k->spec, '#');
	has = strchr(resolved, '#');
	if (!hash || !is_commit(hash + 1))
		return true;
	return has && strcasecmp(hash, has) == 0;
}

/* A tag holds for npm if the package came from a URL. A lock may leave out the URLs of registry
 * packages, and then npm asks the registry; here the lock is believed. */
static bool tag_valid(const struct graph_node *to)
{
	return !(to->flags & NODE_LINK) &&
	       (!to->resolved || spec_kind(to->resolved).kind == SPEC_KIND_REMOTE);
}

static bool test(struct validity *v, uint32_t from, uint32_t to, const char *spec, bool overridden)
{
	const struct graph_node *n = &v->g->nodes[to];
	const struct known *k = known(v, spec);

	if (!k)
		return false;
	switch (k->kind.kind) {
	case SPEC_KIND_REGISTRY:
		if (k->any)
			return true;
		return k->has_range ? in_range(v, to, &k->range) : tag_valid(n);
	case SPEC_KIND_REMOTE:
		return n->resolved && strcmp(n->resolved, k->kind.rest) == 0;
	case SPEC_KIND_FOLDER:
		return folder_valid(v->g, from, to, k->kind.rest, overridden);
	case SPEC_KIND_TARBALL:
		return tarball_valid(v->g, from, to, k->kind.rest, overridden);
	case SPEC_KIND_GIT:
		return git_valid(v, to, k);
	case SPEC_KIND_BAD:
		break;
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

	if (test(v, edge->from, edge->to, spec, overridden))
		return true;
	accept = accepted(&v->g->nodes[edge->from], edge->name);
	return accept && test(v, edge->from, edge->to, accept, false);
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
