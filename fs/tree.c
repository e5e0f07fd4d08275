#include "fs/tree.h"

#include "core/hash.h"
#include "fs/tree_priv.h"

#include <assert.h>

static uint32_t key_hash(uint32_t dir, const char *name, size_t len)
{
	/* FNV-1a, started from the directory */
	uint64_t h = hash_seed() ^ (dir * UINT64_C(0x9e3779b97f4a7c15));

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

/* Directories that are made on demand and names in .bin are found by (directory, name): open
 * addressing, at most half full. */
static int names_grow(struct tree_maker *m)
{
	uint32_t size = m->names_mask ? (m->names_mask + 1) * 2 : 1024;
	uint32_t *old = m->names, *grown = malloc(size * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	memset(grown, 0xff, size * sizeof *grown);
	for (uint32_t i = 0; old && i <= m->names_mask; i++) {
		const struct tree_node *n;
		uint32_t at;

		if (old[i] == TREE_NONE)
			continue;
		n = &m->nodes[old[i]];
		at = key_hash(n->parent, n->name, n->name_len) & (size - 1);
		while (grown[at] != TREE_NONE)
			at = (at + 1) & (size - 1);
		grown[at] = old[i];
	}
	free(old);
	m->names = grown;
	m->names_mask = size - 1;
	return 0;
}

uint32_t *tree_name_at(struct tree_maker *m, uint32_t dir, const char *name, size_t len)
{
	uint32_t at;

	if (m->names_used * 2 >= m->names_mask && names_grow(m) < 0) {
		m->error = -ENOMEM;
		return NULL;
	}
	at = key_hash(dir, name, len) & m->names_mask;
	for (; m->names[at] != TREE_NONE; at = (at + 1) & m->names_mask) {
		const struct tree_node *n = &m->nodes[m->names[at]];

		if (n->parent == dir && n->name_len == len && memcmp(n->name, name, len) == 0)
			break;
	}
	return &m->names[at];
}

uint32_t tree_add(struct tree_maker *m, uint32_t parent, const char *name, size_t len,
		  enum tree_kind kind)
{
	if (m->count == m->cap) {
		uint32_t cap = m->cap ? m->cap * 2 : 4096;
		struct tree_node *grown = realloc(m->nodes, cap * sizeof *grown);

		if (!grown) {
			m->error = -ENOMEM;
			return TREE_NONE;
		}
		m->nodes = grown;
		m->cap = cap;
	}
	m->nodes[m->count] = (struct tree_node){
		.name = name,
		.name_len = (uint16_t)len,
		.kind = (uint8_t)kind,
		.parent = parent,
		.backing = TREE_NONE,
		.node = GRAPH_NONE,
	};
	return m->count++;
}

/* a + "/" + b, or b alone when a is empty. */
const char *tree_join(struct tree_maker *m, const char *a, const char *b, size_t b_len)
{
	size_t a_len = strlen(a);
	char *s = arena_alloc(&m->tree->arena, a_len + b_len + 2);

	if (!s) {
		m->error = -ENOMEM;
		return "";
	}
	memcpy(s, a, a_len);
	if (a_len)
		s[a_len++] = '/';
	memcpy(s + a_len, b, b_len);
	s[a_len + b_len] = '\0';
	return s;
}

/* A directory stands in the same blob as its parent, one level down. */
static void back(struct tree_maker *m, uint32_t dir)
{
	struct tree_node *n = &m->nodes[dir];
	const struct tree_node *up = &m->nodes[n->parent];

	if (up->backing == TREE_NONE)
		return;
	n->backing = up->backing;
	n->sub = tree_join(m, up->sub, n->name, n->name_len);
}

/* The directory `name` in `dir`, made if it is not there. */
uint32_t tree_dir(struct tree_maker *m, uint32_t dir, const char *name, size_t len)
{
	uint32_t *at = tree_name_at(m, dir, name, len);
	uint32_t made;

	if (!at)
		return TREE_NONE;
	if (*at != TREE_NONE)
		return *at;
	made = tree_add(m, dir, name, len, TREE_DIR);
	if (made == TREE_NONE)
		return TREE_NONE;
	*at = made;
	m->names_used++;
	back(m, made);
	return made;
}

/* May its node_modules be mounted? Not outside the project (npm does not install there), and
 * not inside another mount. */
static bool top_is_mounted(const char *path)
{
	const char *p = path;

	if (path[0] == '/' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0)
		return false;
	while ((p = strstr(p, "node_modules"))) {
		const char *end = p + strlen("node_modules");

		if ((p == path || p[-1] == '/') && (*end == '\0' || *end == '/'))
			return false;
		p = end;
	}
	return true;
}

static void add_root(struct tree_maker *m, uint32_t top)
{
	struct tree *t = m->tree;
	const char *path = m->g->nodes[top].path;
	struct tree_root *grown;
	uint32_t node;

	if (!top_is_mounted(path))
		return;
	grown = realloc(t->roots, (t->root_count + 1) * sizeof *grown);
	if (!grown) {
		m->error = -ENOMEM;
		return;
	}
	t->roots = grown;
	node = tree_add(m, TREE_NONE, "", 0, TREE_DIR);
	t->roots[t->root_count++] = (struct tree_root){
		.path = tree_join(m, path, "node_modules", strlen("node_modules")),
		.node = node,
	};
	m->modules[top] = node;
}

/* The node_modules folder of a graph node, made if it is not there; TREE_NONE where nothing is
 * laid out (outside the project, below a link). */
static uint32_t modules_of(struct tree_maker *m, uint32_t i)
{
	uint32_t at = m->at[i];

	if (m->modules[i] != TREE_NONE || m->error)
		return m->modules[i];
	if (m->g->nodes[i].flags & NODE_TOP)
		add_root(m, i);
	else if (at != TREE_NONE && m->nodes[at].kind != TREE_LINK)
		m->modules[i] = tree_dir(m, at, "node_modules", strlen("node_modules"));
	return m->modules[i];
}

/* The package in whose tarball a node came, GRAPH_NONE when it has one of its own. What a top
 * bundles was fetched like anything else: only packages are packed. */
static uint32_t bundler_of(struct tree_maker *m, uint32_t i)
{
	const struct graph_node *n = &m->g->nodes[i];

	if (!(n->flags & NODE_IN_BUNDLE))
		return GRAPH_NONE;
	if (m->g->nodes[n->parent].flags & NODE_TOP)
		return n->parent;
	return m->bundler[n->parent] != GRAPH_NONE ? m->bundler[n->parent] : n->parent;
}

/* A stray that could not be fetched again. */
static bool is_deleted(const struct tree_maker *m, uint32_t i)
{
	uint32_t up = m->g->nodes[i].parent;

	return !m->present[i] && up != GRAPH_NONE && m->present[up] && graph_is_stray(m->g, i);
}

static enum tree_kind kind_of(struct tree_maker *m, uint32_t i, uint32_t parent_dir)
{
	uint32_t bundler = m->bundler[i];

	if (is_deleted(m, i))
		return TREE_GONE;
	if (!m->present[i])
		return TREE_DIR; /* only the way to something below it */
	if (m->g->nodes[i].flags & NODE_LINK)
		return TREE_LINK;
	if (bundler == GRAPH_NONE || (m->g->nodes[bundler].flags & NODE_TOP))
		return TREE_PACKAGE;
	return m->nodes[parent_dir].backing == TREE_NONE ? TREE_DIR : TREE_BUNDLED;
}

static void lay_node(struct tree_maker *m, uint32_t i)
{
	const struct graph_node *n = &m->g->nodes[i];
	const char *name = n->name, *slash = strchr(name, '/');
	uint32_t dir = modules_of(m, n->parent), made;
	enum tree_kind kind;

	m->bundler[i] = bundler_of(m, i);
	if (dir == TREE_NONE)
		return;
	if (slash) {
		dir = tree_dir(m, dir, name, (size_t)(slash - name));
		name = slash + 1;
	}
	if (dir == TREE_NONE)
		return;
	kind = kind_of(m, i, dir);
	made = tree_add(m, dir, name, strlen(name), kind);
	if (made == TREE_NONE)
		return;
	m->at[i] = made;
	m->nodes[made].node = kind == TREE_DIR || kind == TREE_GONE ? GRAPH_NONE : i;
	if (kind == TREE_PACKAGE) {
		m->nodes[made].backing = made;
		m->nodes[made].sub = "";
	} else if (kind == TREE_LINK) {
		m->nodes[made].text = tree_link_text(m, i);
	} else if (kind != TREE_GONE) {
		back(m, made);
	}
}

/* Parents come before children when nodes are taken by the length of their paths. */
static uint32_t *order_by_length(const struct graph *g)
{
	uint32_t *order = malloc(((size_t)g->count + 1) * sizeof *order);
	uint32_t *start = calloc(GRAPH_PATH_MAX + 2, sizeof *start);

	if (!order || !start) {
		free(order);
		free(start);
		return NULL;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		size_t len = strlen(g->nodes[i].path);

		assert(len <= GRAPH_PATH_MAX);
		start[len + 1]++;
	}
	for (uint32_t i = 1; i < GRAPH_PATH_MAX + 2; i++)
		start[i] += start[i - 1];
	for (uint32_t i = 0; i < g->count; i++)
		order[start[strlen(g->nodes[i].path)]++] = i;
	free(start);
	return order;
}

static void lay_nodes(struct tree_maker *m, const uint32_t *order)
{
	const struct graph *g = m->g;

	for (uint32_t k = g->count; k-- > 0;) {
		uint32_t i = order[k], up = g->nodes[i].parent;

		m->needed[i] = m->needed[i] || m->present[i] || is_deleted(m, i);
		if (m->needed[i] && up != GRAPH_NONE)
			m->needed[up] = true;
	}
	add_root(m, 0);
	for (uint32_t k = 0; k < g->count && !m->error; k++) {
		uint32_t i = order[k];

		if (m->needed[i] && !(g->nodes[i].flags & NODE_TOP) &&
		    g->nodes[i].parent != GRAPH_NONE)
			lay_node(m, i);
	}
}

static int by_name(const void *a, const void *b, void *nodes)
{
	const struct tree_node *x = (struct tree_node *)nodes + *(const uint32_t *)a;
	const struct tree_node *y = (struct tree_node *)nodes + *(const uint32_t *)b;

	return slice_cmp((struct slice){ (const uint8_t *)x->name, x->name_len },
			 (struct slice){ (const uint8_t *)y->name, y->name_len });
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct tree_root *)a)->path, ((const struct tree_root *)b)->path);
}

static int check_names(const struct tree *t, struct err *e)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const uint32_t *c = t->children + t->nodes[i].first_child;

		for (uint32_t k = 1; k < t->nodes[i].child_count; k++) {
			char path[GRAPH_PATH_MAX];

			if (by_name(&c[k - 1], &c[k], t->nodes) != 0)
				continue;
			tree_path(t, c[k], path, sizeof path);
			return err_set(e, -EINVAL, "two things in the lock want the place %s",
				       path);
		}
	}
	return 0;
}

/* Every directory's children as one run, sorted. */
static int link_children(struct tree *t, struct err *e)
{
	uint32_t at = 0;

	t->children = malloc(((size_t)t->count + 1) * sizeof *t->children);
	if (!t->children)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++)
		if (t->nodes[i].parent != TREE_NONE)
			t->nodes[t->nodes[i].parent].child_count++;
	for (uint32_t i = 0; i < t->count; i++) {
		t->nodes[i].first_child = at;
		at += t->nodes[i].child_count;
		t->nodes[i].child_count = 0;
	}
	for (uint32_t i = 0; i < t->count; i++) {
		struct tree_node *up;

		if (t->nodes[i].parent == TREE_NONE)
			continue;
		up = &t->nodes[t->nodes[i].parent];
		t->children[up->first_child + up->child_count++] = i;
	}
	for (uint32_t i = 0; i < t->count; i++)
		if (t->nodes[i].child_count > 1)
			qsort_r(t->children + t->nodes[i].first_child, t->nodes[i].child_count,
				sizeof *t->children, by_name, t->nodes);
	return check_names(t, e);
}

static int maker_init(struct tree_maker *m, const struct graph *g, const bool *present)
{
	size_t n = g->count;

	*m = (struct tree_maker){ .g = g, .present = present };
	m->tree = calloc(1, sizeof *m->tree);
	m->at = malloc(n * 3 * sizeof *m->at);
	m->needed = calloc(n, sizeof *m->needed);
	if (!m->tree || !m->at || !m->needed)
		return -ENOMEM;
	m->tree->arena = (struct arena)ARENA_INIT(TREE_ARENA_MAX);
	memset(m->at, 0xff, n * 3 * sizeof *m->at);
	m->modules = m->at + n;
	m->bundler = m->at + 2 * n;
	return 0;
}

static int finish(struct tree_maker *m, struct err *e)
{
	struct tree *t = m->tree;
	struct tree_node *fit;

	if (!m->error && t->root_count) {
		uint32_t hidden = tree_add(m, t->roots[0].node, ".package-lock.json",
					   strlen(".package-lock.json"), TREE_HIDDEN);

		(void)hidden;
	}
	if (!m->error && arena_error(&t->arena))
		m->error = arena_error(&t->arena);
	if (m->error)
		return m->error;
	fit = realloc(m->nodes, m->count * sizeof *fit);
	t->nodes = fit ? fit : m->nodes;
	t->count = m->count;
	m->nodes = NULL;
	qsort(t->roots + 1, t->root_count - 1, sizeof *t->roots, by_path);
	return link_children(t, e);
}

int tree_build(const struct graph *g, const bool *present, bool bin_links, struct tree **ret,
	       struct err *e)
{
	struct tree_maker m;
	uint32_t *order = order_by_length(g);
	int r = maker_init(&m, g, present);

	if (r == 0 && !order)
		r = -ENOMEM;
	if (r == 0) {
		lay_nodes(&m, order);
		if (bin_links)
			tree_claim_bins(&m);
		r = finish(&m, e);
	}
	free(order);
	free(m.names);
	free(m.nodes);
	free(m.at);
	free(m.needed);
	if (r == -ENOMEM)
		err_set(e, r, "out of memory while laying out %u packages", g->count);
	if (r < 0)
		tree_free(m.tree);
	else
		*ret = m.tree;
	return r;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	arena_release(&t->arena);
	free(t->nodes);
	free(t->children);
	free(t->roots);
	free(t);
}

uint32_t tree_child(const struct tree *t, uint32_t dir, struct slice name)
{
	const uint32_t *c = t->children + t->nodes[dir].first_child;
	uint32_t lo = 0, hi = t->nodes[dir].child_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct tree_node *n = &t->nodes[c[mid]];
		int r = slice_cmp(name, (struct slice){ (const uint8_t *)n->name, n->name_len });

		if (r == 0)
			return c[mid];
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return TREE_NONE;
}

/* Written from the end, so that no path needs a second buffer. */
size_t tree_path(const struct tree *t, uint32_t node, char *buf, size_t n)
{
	size_t len = 0, at;
	uint32_t root = node;

	for (; t->nodes[root].parent != TREE_NONE; root = t->nodes[root].parent)
		len += t->nodes[root].name_len + 1u;
	for (uint32_t i = 0; i < t->root_count; i++) {
		if (t->roots[i].node != root)
			continue;
		at = strlen(t->roots[i].path);
		len += at;
		for (size_t k = 0; k < at && k + 1 < n; k++)
			buf[k] = t->roots[i].path[k];
	}
	at = len;
	for (uint32_t i = node; t->nodes[i].parent != TREE_NONE; i = t->nodes[i].parent) {
		at -= t->nodes[i].name_len;
		for (size_t k = 0; k < t->nodes[i].name_len && at + k + 1 < n; k++)
			buf[at + k] = t->nodes[i].name[k];
		at--;
		if (at + 1 < n)
			buf[at] = '/';
	}
	if (n)
		buf[len < n ? len : n - 1] = '\0';
	return len;
}
