#include "lock/lock_priv.h"

/* What is looked at once, so that nothing needs to be looked at later. Every function here
 * returns NULL or what is wrong; `*at` says with which item. */

static bool str_ok(const struct lock *l, uint32_t offset)
{
	return le32toh(offset) < l->count[DXL_STRINGS];
}

/* A string that must be there. */
static bool str_given(const struct lock *l, uint32_t offset)
{
	return offset != 0 && str_ok(l, offset);
}

/* A name that can be a folder in a node_modules, with or without a scope. */
static bool name_ok(const char *s, size_t *ret_len)
{
	const char *part = s, *end = strchrnul(s, '/');
	size_t len;

	if (*end) {
		if (s[0] != '@' || (size_t)(end - s) > GRAPH_NAME_MAX)
			return false;
		part = end + 1;
		end = strchrnul(part, '/');
		if (*end)
			return false;
	} else if (s[0] == '@') {
		return false;
	}
	len = (size_t)(end - part);
	*ret_len = (size_t)(end - s);
	return len > 0 && len <= GRAPH_NAME_MAX && part[0] != '.' &&
	       !(len == strlen("node_modules") && memcmp(part, "node_modules", len) == 0);
}

/* "a/b/c": no empty part, no "." or "..", not absolute. */
static bool target_ok(const char *s)
{
	for (;;) {
		const char *end = strchrnul(s, '/');
		size_t n = (size_t)(end - s);

		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!*end)
			return true;
		s = end + 1;
	}
}

static bool bin_name_ok(const char *s)
{
	return s[0] && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
	       strlen(s) <= GRAPH_NAME_MAX;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n > 0 && *p == 0)
		p++, n--;
	return n == 0;
}

static const char *check_words(const struct lock *l, uint32_t *ret_limits, uint32_t *at)
{
	const uint32_t *w = l->words;
	uint32_t n = l->count[DXL_WORDS], i = 0;

	if (n < DXL_TOP_WORDS)
		return "top record cut off";
	for (; i < n && !(le32toh(w[i]) & DXL_RECORD); i++) {
		*at = i;
		if (!str_ok(l, w[i]))
			return "string past the end";
	}
	if (i < DXL_TOP_WORDS)
		return "top record cut off";
	*ret_limits = i;
	while (i < n) {
		*at = i;
		if (!(le32toh(w[i]) & DXL_RECORD) || n - i < 2 ||
		    (le32toh(w[i]) & ~DXL_RECORD) >= l->count[DXL_STRINGS] || !str_ok(l, w[i + 1]))
			return "limits record broken";
		i += 2;
		for (int k = 0; k < DXL_LISTS; k++) {
			uint32_t items = i < n ? le32toh(w[i]) & ~DXL_LIST_GIVEN : UINT32_MAX;

			if (items >= n - i || le32toh(w[i]) & DXL_RECORD)
				return "list past the end";
			i++;
			for (; items > 0; items--, i++) {
				if (!str_given(l, w[i]))
					return "list item broken";
			}
		}
	}
	return NULL;
}

static const char *check_package(const struct lock *l, const struct dxl_package *p, uint32_t limits)
{
	static const uint8_t digest_len[] = {
		[DIGEST_NONE] = 0,    [DIGEST_SHA1] = 20,   [DIGEST_SHA256] = 32,
		[DIGEST_SHA384] = 48, [DIGEST_SHA512] = 64,
	};
	uint32_t flags = le32toh(p->flags), alg = flags & 0xff, w = le32toh(p->limits);

	if (!str_ok(l, p->name) || !str_ok(l, p->version) || !str_ok(l, p->resolved) ||
	    !str_ok(l, p->residue) || !str_ok(l, p->integrity))
		return "string past the end";
	if (p->name == 0 && !(flags & DXL_PKG_TOP))
		return "no name";
	if (alg >= ARRAY_LEN(digest_len) || flags & ~(DXL_PKG_KNOWN | 0xffu) || p->reserved)
		return "flags that this version does not know";
	if (!all_zero(p->digest + digest_len[alg], sizeof p->digest - digest_len[alg]))
		return "digest longer than its algorithm's";
	if (w && (w < limits || w >= l->count[DXL_WORDS] || !(le32toh(l->words[w]) & DXL_RECORD)))
		return "limits are no record";
	return NULL;
}

static const char *check_packages(const struct lock *l, uint32_t limits, uint32_t *at)
{
	uint32_t deps = 0, bins = 0;
	const char *wrong;

	for (uint32_t i = 0; i < l->count[DXL_PACKAGES]; i++) {
		const struct dxl_package *p = &l->packages[i];
		uint32_t dep_count = le16toh(p->dep_count), bin_count = le16toh(p->bin_count);

		*at = i;
		wrong = check_package(l, p, limits);
		if (wrong)
			return wrong;
		if (le32toh(p->first_dep) != deps || dep_count > l->count[DXL_DEPS] - deps ||
		    le32toh(p->first_bin) != bins || bin_count > l->count[DXL_BINS] - bins)
			return "dependencies or bins are not its own";
		deps += dep_count;
		bins += bin_count;
	}
	return deps == l->count[DXL_DEPS] && bins == l->count[DXL_BINS] ? NULL : "items left over";
}

static const char *check_deps(const struct lock *l, uint32_t *at)
{
	for (uint32_t i = 0; i < l->count[DXL_DEPS]; i++) {
		const struct dxl_dep *d = &l->deps[i];
		uint32_t target = le32toh(d->target);

		*at = i;
		if (!str_given(l, d->name) || !str_given(l, d->range))
			return "string past the end";
		if (target != DXL_NONE && target >= l->count[DXL_PACKAGES])
			return "target past the end";
		if (d->section >= SECTION_COUNT || d->flags & ~DXL_DEP_PEER_OPTIONAL || d->zero)
			return "flags that this version does not know";
	}
	return NULL;
}

static const char *check_bins(const struct lock *l, uint32_t *at)
{
	for (uint32_t i = 0; i < l->count[DXL_BINS]; i++) {
		const struct dxl_bin *b = &l->bins[i];

		*at = i;
		if (!str_given(l, b->name) || !str_given(l, b->target))
			return "string past the end";
		if (!bin_name_ok(l->strings + le32toh(b->name)) ||
		    !target_ok(l->strings + le32toh(b->target)))
			return "name or target is not clean";
	}
	return NULL;
}

struct tree_check {
	uint32_t tops;
	uint32_t *path_len; /* of each node */
	uint8_t *seen;      /* numbers of the graph that were given */
};

/* One node, when its own parent has been checked, and so its name. */
static const char *check_node(const struct lock *l, const struct tree_check *t, uint32_t i)
{
	const struct dxl_node *n = &l->nodes[i];
	uint32_t flags = le16toh(n->flags), target = le32toh(n->target);
	bool top = i < t->tops;

	if (flags & ~(uint32_t)DXL_NODE_KNOWN || !(flags & NODE_TOP) == top)
		return "flags do not fit";
	if (le32toh(n->package) >= l->count[DXL_PACKAGES] || !str_ok(l, n->name) ||
	    (n->name == 0 && i > 0))
		return "package or name past the end";
	if (le32toh(n->order) >= l->count[DXL_NODES] || t->seen[le32toh(n->order)] ||
	    (i == 0 && n->order != 0))
		return "number taken twice";
	if (top)
		return flags & NODE_LINK          ? "a link that stands in no node_modules"
		       : !str_given(l, n->target) ? "path past the end"
		       : i == 0 && l->strings[target] != '\0' ? "root has a path"
							      : NULL;
	if (!(flags & NODE_LINK) != (target == DXL_NONE) ||
	    (target != DXL_NONE &&
	     (target >= l->count[DXL_NODES] || le16toh(l->nodes[target].flags) & NODE_LINK)) ||
	    (flags & DXL_NODE_PLAIN_LINK && !(flags & NODE_LINK)))
		return "link target does not fit";
	return flags & NODE_LINK && n->child_count ? "a link with children" : NULL;
}

static const char *check_children(const struct lock *l, struct tree_check *t, uint32_t i,
				  uint32_t *cursor)
{
	const struct dxl_node *n = &l->nodes[i];
	uint32_t count = le32toh(n->child_count);
	const char *before = NULL;

	/* A node that no run has reached would be its own ancestor. */
	if (i >= *cursor)
		return "not reached from a top";
	if (le32toh(n->first_child) != *cursor || count > l->count[DXL_NODES] - *cursor)
		return "children are not its own";
	for (uint32_t k = *cursor; k < *cursor + count; k++) {
		const struct dxl_node *c = &l->nodes[k];
		const char *name = l->strings + le32toh(c->name);
		size_t len;

		if (le32toh(c->parent) != i || !str_given(l, c->name))
			return "a child does not know its parent";
		if (!name_ok(name, &len))
			return "a child's name is not clean";
		if (before && strcmp(before, name) >= 0)
			return "children out of order";
		t->path_len[k] =
			t->path_len[i] + (uint32_t)strlen("/node_modules/") + (uint32_t)len;
		if (t->path_len[k] > GRAPH_PATH_MAX)
			return "path too long";
		before = name;
	}
	*cursor += count;
	return NULL;
}

/* Tops but root: sorted by path, and the node whose folder contains one hangs from an earlier
 * top, so that going up always ends at a top that hangs from nothing. */
static const char *check_tops(const struct lock *l, const struct tree_check *t, uint32_t *at)
{
	const char *before = "";

	if (le32toh(l->nodes[0].parent) != DXL_NONE)
		return "root has a parent";
	for (uint32_t i = 1; i < t->tops; i++) {
		const char *path = l->strings + le32toh(l->nodes[i].target);
		uint32_t up = le32toh(l->nodes[i].parent);

		*at = i;
		if (graph_check_path(path, NULL) < 0 || strcmp(before, path) >= 0)
			return "path is not clean, or out of order";
		if (up != DXL_NONE && up >= l->count[DXL_NODES])
			return "parent past the end";
		while (up != DXL_NONE && up >= t->tops)
			up = le32toh(l->nodes[up].parent);
		if (up != DXL_NONE && up >= i)
			return "contained in what comes after it";
		before = path;
	}
	return NULL;
}

static const char *check_tree(const struct lock *l, uint32_t *at)
{
	uint32_t n = l->count[DXL_NODES];
	auto_free uint32_t *path_len = calloc(n, sizeof *path_len);
	auto_free uint8_t *seen = calloc(n, 1);
	struct tree_check t = { .path_len = path_len, .seen = seen };
	uint32_t cursor;
	const char *wrong;

	if (!path_len || !seen)
		return "out of memory";
	while (t.tops < n && le16toh(l->nodes[t.tops].flags) & NODE_TOP)
		t.tops++;
	if (t.tops == 0)
		return "no root";
	cursor = t.tops;
	for (uint32_t i = 0; i < n; i++) {
		*at = i;
		wrong = check_node(l, &t, i);
		if (!wrong && i < t.tops)
			path_len[i] = (uint32_t)strlen(l->strings + le32toh(l->nodes[i].target));
		if (!wrong)
			wrong = check_children(l, &t, i, &cursor);
		if (wrong)
			return wrong;
		seen[le32toh(l->nodes[i].order)] = 1;
	}
	return cursor == n ? check_tops(l, &t, at) : "nodes left over";
}

static const char *check_edges(const struct lock *l, uint32_t limits, uint32_t *at)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < l->count[DXL_NODES]; i++) {
		const struct dxl_node *n = &l->nodes[i];
		uint32_t deps = le16toh(l->packages[le32toh(n->package)].dep_count);
		uint32_t end = k + le16toh(n->edge_count);

		*at = i;
		if (end > l->count[DXL_EDGES])
			return "edges past the end";
		for (; k < end; k++) {
			uint32_t to = le32toh(l->edges[k].to), what = le32toh(l->edges[k].what);
			uint32_t item = what >> DXL_EDGE_SHIFT;

			if ((to != DXL_NONE && to >= l->count[DXL_NODES]) ||
			    (what & DXL_EDGE_TYPE) > EDGE_WORKSPACE)
				return "edge to nowhere";
			if (!(what & DXL_EDGE_FREE) && item >= deps)
				return "edge of no dependency";
			if (what & DXL_EDGE_FREE &&
			    (item < DXL_TOP_WORDS || limits < 2 || item > limits - 2 ||
			     !l->words[item] || !l->words[item + 1]))
				return "edge without a name";
		}
	}
	return k == l->count[DXL_EDGES] ? NULL : "edges left over";
}

/* The table must be just what the writer makes of these packages. */
static const char *check_hash(const struct lock *l)
{
	uint32_t count = l->count[DXL_HASH];
	auto_free struct dxl_slot *slots = NULL;

	if (count != dxl_slot_count(l->count[DXL_PACKAGES]))
		return "its size does not fit";
	slots = malloc(count * sizeof *slots);
	if (!slots)
		return "out of memory";
	memset(slots, 0xff, count * sizeof *slots);
	for (uint32_t i = 0; i < l->count[DXL_PACKAGES]; i++) {
		const struct dxl_package *p = &l->packages[i];

		if (p->name && !(le32toh(p->flags) & (DXL_PKG_TOP | DXL_PKG_LINK)))
			dxl_slot_put(slots, count, i, l->strings + le32toh(p->name));
	}
	return memcmp(slots, l->slots, count * sizeof *slots) == 0
		       ? NULL
		       : "it is not that of the packages";
}

int dxl_check(const struct lock *l, struct err *e)
{
	uint32_t flags = le32toh(l->header->flags), limits = 0, at = 0;
	const char *what = "header", *wrong = NULL;

	if (l->count[DXL_STRINGS] == 0 || l->strings[0] != '\0' ||
	    l->strings[l->count[DXL_STRINGS] - 1] != '\0')
		wrong = "strings do not end";
	else if (flags & ~(DXL_FLAGS_KNOWN | 0xffu) || l->header->root || l->header->top)
		wrong = "flags that this version does not know";
	else if (!str_given(l, l->header->indent) ||
		 strlen(l->strings + le32toh(l->header->indent)) >=
			 sizeof((struct json_style *)0)->indent)
		wrong = "indentation does not fit";
	if (!wrong)
		what = "word", wrong = check_words(l, &limits, &at);
	if (!wrong)
		what = "package", wrong = check_packages(l, limits, &at);
	if (!wrong)
		what = "dependency", wrong = check_deps(l, &at);
	if (!wrong)
		what = "bin", wrong = check_bins(l, &at);
	if (!wrong)
		what = "node", wrong = check_tree(l, &at);
	if (!wrong)
		what = "edges of node", wrong = check_edges(l, limits, &at);
	if (!wrong)
		what = "hash table", at = 0, wrong = check_hash(l);
	if (wrong)
		return err_set(e, -EBADMSG, "%s %u: %s; make the lock anew with `dx lock`", what,
			       at, wrong);
	return 0;
}
