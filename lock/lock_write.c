#include "core/file.h"
#include "lock/lock_priv.h"

/* Interned byte strings: each once, numbered from 0 in the order in which they came. */
struct pool {
	struct pool_item {
		const uint8_t *ptr; /* in the builder's arena, NUL-terminated */
		uint32_t len;
		uint32_t offset; /* strings: in the section, once it is laid out */
	} * items;
	uint32_t count, cap;
	uint32_t *slots; /* number + 1; 0 is empty */
	uint32_t slot_count;
};

struct lock_builder {
	struct arena arena;
	struct pool strings, limits, packages;
	struct buf scratch;
	struct dxl_edge *edges;
	uint32_t edge_count;
	struct buf pairs; /* of free edges: uint32_t numbers of strings + 1, two an edge */
	uint32_t dep_count, bin_count;
};

/* A package in the pool: this, then its dependencies and bins. String fields hold the string's
 * number + 1 until the lock is written; `limits` the record's number + 1. */
struct draft {
	struct dxl_package p;
	/* struct dxl_dep deps[dep_count]; struct dxl_bin bins[bin_count]; */
};

static int pool_grow(struct pool *p)
{
	uint32_t slot_count = p->slot_count ? p->slot_count * 2 : 1024;
	uint32_t *slots = calloc(slot_count, sizeof *slots);
	struct pool_item *items = realloc(p->items, slot_count / 2 * sizeof *items);

	if (items)
		p->items = items;
	if (!slots || !items) {
		free(slots);
		return -ENOMEM;
	}
	p->cap = slot_count / 2;
	for (uint32_t i = 0; i < p->count; i++) {
		uint64_t at = dxl_hash(items[i].ptr, items[i].len) & (slot_count - 1);

		while (slots[at])
			at = (at + 1) & (slot_count - 1);
		slots[at] = i + 1;
	}
	free(p->slots);
	p->slots = slots;
	p->slot_count = slot_count;
	return 0;
}

/* The number of these bytes, kept in `a` if they are new; -ENOMEM, -E2BIG. */
static int64_t pool_put(struct pool *p, struct arena *a, const void *bytes, size_t len)
{
	uint64_t at;
	void *copy;

	if (len > LOCK_SIZE_MAX)
		return -E2BIG;
	if (p->count == p->cap && pool_grow(p) < 0)
		return -ENOMEM;
	at = dxl_hash(bytes, len) & (p->slot_count - 1);
	for (; p->slots[at]; at = (at + 1) & (p->slot_count - 1)) {
		const struct pool_item *i = &p->items[p->slots[at] - 1];

		if (i->len == len && memcmp(i->ptr, bytes, len) == 0)
			return p->slots[at] - 1;
	}
	copy = arena_strndup(a, bytes, len);
	if (!copy)
		return arena_error(a);
	p->items[p->count] = (struct pool_item){ .ptr = copy, .len = (uint32_t)len };
	p->slots[at] = ++p->count;
	return p->count - 1;
}

static void pool_release(struct pool *p)
{
	free(p->items);
	free(p->slots);
}

struct lock_builder *lock_builder_new(void)
{
	struct lock_builder *b = calloc(1, sizeof *b);

	if (b) {
		b->arena = (struct arena)ARENA_INIT(LOCK_SIZE_MAX);
		b->scratch = (struct buf)BUF_INIT(LOCK_SIZE_MAX);
		b->pairs = (struct buf)BUF_INIT(LOCK_SIZE_MAX);
	}
	return b;
}

void lock_builder_free(struct lock_builder *b)
{
	if (!b)
		return;
	pool_release(&b->strings);
	pool_release(&b->limits);
	pool_release(&b->packages);
	buf_release(&b->scratch);
	buf_release(&b->pairs);
	arena_release(&b->arena);
	free(b);
}

static void builder_freep(struct lock_builder **b)
{
	lock_builder_free(*b);
}

/* The string's number + 1, 0 for NULL. The first failure sticks in *error. */
static uint32_t intern(struct lock_builder *b, const char *s, int *error)
{
	int64_t n;

	if (!s || *error)
		return 0;
	n = pool_put(&b->strings, &b->arena, s, strlen(s));
	if (n < 0)
		*error = (int)n;
	return n < 0 ? 0 : (uint32_t)n + 1;
}

static void add_word(struct lock_builder *b, uint32_t w)
{
	buf_add(&b->scratch, &w, sizeof w);
}

static uint32_t add_limits(struct lock_builder *b, const struct graph_node *n, int *error)
{
	const struct graph_strings *lists[DXL_LISTS] = { &n->os, &n->cpu, &n->libc, &n->bundled,
							 &n->accept };
	bool any = n->engine_node || n->engine_npm;
	int64_t r;

	b->scratch.len = 0;
	add_word(b, intern(b, n->engine_node, error) | DXL_RECORD);
	add_word(b, intern(b, n->engine_npm, error));
	for (int k = 0; k < DXL_LISTS; k++) {
		add_word(b, lists[k]->count | (lists[k]->given ? DXL_LIST_GIVEN : 0));
		for (uint32_t i = 0; i < lists[k]->count; i++)
			add_word(b, intern(b, lists[k]->items[i], error));
		any |= lists[k]->given || lists[k]->count;
	}
	if (!any || *error)
		return 0;
	r = buf_error(&b->scratch);
	if (r == 0)
		r = pool_put(&b->limits, &b->arena, b->scratch.data, b->scratch.len);
	if (r < 0)
		*error = (int)r;
	return r < 0 ? 0 : (uint32_t)r + 1;
}

/* The digest, and the text too when printing the digest would not give it back. */
static int add_integrity(struct lock_builder *b, struct dxl_package *p, const char *text)
{
	char printed[DIGEST_TEXT_MAX];
	struct sri sri;
	int error = 0;

	if (!text)
		return 0;
	if (sri_parse(&sri, slice_str(text), NULL) == 0) {
		p->flags |= sri.digests[0].alg;
		memcpy(p->digest, sri.digests[0].bytes, sizeof p->digest);
		digest_format(&sri.digests[0], printed);
		if (strcmp(printed, text) == 0)
			return 0;
	}
	p->integrity = intern(b, text, &error);
	return error;
}

static int draft_package(struct lock_builder *b, const struct graph_node *n, struct dxl_package *p)
{
	int error = 0;

	*p = (struct dxl_package){
		.name = intern(b, n->pkg_name, &error),
		.version = intern(b, n->version, &error),
		.resolved = intern(b, n->resolved, &error),
		.residue = intern(b, n->residue && *n->residue ? n->residue : NULL, &error),
		.dep_count = (uint16_t)n->dep_count,
		.bin_count = (uint16_t)n->bin_count,
		.limits = add_limits(b, n, &error),
		.flags = (n->flags & NODE_HAS_SCRIPT ? DXL_PKG_SCRIPT : 0) |
			 (n->flags & NODE_HAS_SHRINKWRAP ? DXL_PKG_SHRINKWRAP : 0) |
			 (n->flags & NODE_TOP ? DXL_PKG_TOP : 0) |
			 (n->flags & NODE_LINK ? DXL_PKG_LINK : 0),
	};
	return error ? error : add_integrity(b, p, n->integrity);
}

static int draft_runs(struct lock_builder *b, const struct graph_node *n)
{
	int error = 0;

	for (uint32_t i = 0; i < n->dep_count; i++) {
		const struct graph_dep *d = &n->deps[i];
		struct dxl_dep out = {
			.name = intern(b, d->name, &error),
			.range = intern(b, d->spec, &error),
			.target = DXL_NONE,
			.section = d->section,
			.flags = d->peer_optional ? DXL_DEP_PEER_OPTIONAL : 0,
		};

		buf_add(&b->scratch, &out, sizeof out);
	}
	for (uint32_t i = 0; i < n->bin_count; i++) {
		struct dxl_bin out = { .name = intern(b, n->bins[i].name, &error),
				       .target = intern(b, n->bins[i].target, &error) };

		buf_add(&b->scratch, &out, sizeof out);
	}
	return error ? error : buf_error(&b->scratch);
}

static const char *node_label(const struct graph_node *n)
{
	return n->path && *n->path ? n->path : n->pkg_name ? n->pkg_name : "the project";
}

int64_t lock_add_package(struct lock_builder *b, const struct graph_node *n, struct err *e)
{
	struct dxl_package p;
	uint32_t before = b->packages.count;
	int64_t r;

	if (n->dep_count > GRAPH_DEPS_MAX || n->bin_count > UINT16_MAX)
		return err_set(e, -E2BIG, "%s: %u dependencies and %u bins are too many",
			       node_label(n), n->dep_count, n->bin_count);
	r = draft_package(b, n, &p);
	b->scratch.len = 0;
	buf_add(&b->scratch, &p, sizeof p);
	if (r == 0)
		r = draft_runs(b, n);
	if (r == 0)
		r = pool_put(&b->packages, &b->arena, b->scratch.data, b->scratch.len);
	if (r < 0)
		return err_set(e, (int)r, "%s: cannot add it to the lock: %s", node_label(n),
			       strerror((int)-r));
	if (b->packages.count > before) {
		b->dep_count += n->dep_count;
		b->bin_count += n->bin_count;
	}
	return r;
}

static struct dxl_package *draft_at(const struct lock_builder *b, uint32_t i)
{
	return (struct dxl_package *)(void *)(uintptr_t)b->packages.items[i].ptr;
}

static struct dxl_dep *draft_deps(struct dxl_package *p)
{
	return (struct dxl_dep *)(p + 1);
}

static struct dxl_bin *draft_bins(struct dxl_package *p)
{
	return (struct dxl_bin *)(draft_deps(p) + p->dep_count);
}

/* ---- the tree ---- */

struct layout {
	const struct graph *g;
	uint32_t *package; /* of each node of the graph */
	uint32_t *seq;     /* nodes of the graph in the order of the file */
	uint32_t *number;  /* and back */
	uint32_t *kids;    /* nodes that are no tops, sorted by parent and name */
	uint32_t tops, kid_count;
	struct dxl_node *nodes; /* in the order of the file */
};

static void layout_release(struct layout *l)
{
	free(l->package);
	free(l->seq);
	free(l->number);
	free(l->kids);
	free(l->nodes);
}

static int by_parent_and_name(const void *a, const void *b, void *arg)
{
	const struct graph_node *nodes = arg;
	const struct graph_node *x = &nodes[*(const uint32_t *)a],
				*y = &nodes[*(const uint32_t *)b];

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_path(const void *a, const void *b, void *arg)
{
	const struct graph_node *nodes = arg;

	return strcmp(nodes[*(const uint32_t *)a].path, nodes[*(const uint32_t *)b].path);
}

static bool plain_link(const struct graph *g, const struct graph_node *n)
{
	const struct graph_node *t;

	if (!(n->flags & NODE_LINK) || n->link_target == GRAPH_NONE)
		return false;
	t = &g->nodes[n->link_target];
	return n->resolved && strcmp(n->resolved, t->path) == 0 && n->pkg_name && t->pkg_name &&
	       strcmp(n->pkg_name, t->pkg_name) == 0 && !n->version && !n->integrity &&
	       !n->dep_count && !n->bin_count && !n->os.given && !n->cpu.given && !n->libc.given &&
	       !n->bundled.given && !n->accept.given && !n->engine_node && !n->engine_npm &&
	       !(n->residue && *n->residue) &&
	       !(n->flags & (NODE_HAS_SCRIPT | NODE_HAS_SHRINKWRAP));
}

static int add_packages(struct lock_builder *b, struct layout *l, struct err *e)
{
	const struct graph *g = l->g;

	for (uint32_t i = 0; i < g->count; i++) {
		int64_t r = plain_link(g, &g->nodes[i]) ? DXL_NONE
							: lock_add_package(b, &g->nodes[i], e);

		if (r < 0)
			return (int)r;
		l->package[i] = (uint32_t)r;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		if (l->package[i] == DXL_NONE)
			l->package[i] = l->package[g->nodes[i].link_target];
	}
	return 0;
}

/* Root, the other tops by path, then the children of each node in turn, by name. So the children
 * of a node are one run, and a parent always stands before them. */
static int order_nodes(struct layout *l, struct err *e)
{
	const struct graph *g = l->g;
	auto_free uint32_t *first = calloc((size_t)g->count + 1, sizeof *first);
	uint32_t n = 0;

	if (!first)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].parent == GRAPH_NONE)
			l->seq[l->tops++] = i;
		else
			l->kids[l->kid_count++] = i;
	}
	qsort_r(l->seq + 1, l->tops - 1, sizeof *l->seq, by_path, g->nodes);
	qsort_r(l->kids, l->kid_count, sizeof *l->kids, by_parent_and_name, g->nodes);
	for (uint32_t k = l->kid_count; k-- > 0;)
		first[g->nodes[l->kids[k]].parent] = k;

	n = l->tops;
	for (uint32_t i = 0; i < n; i++) {
		struct dxl_node *out = &l->nodes[i];

		l->number[l->seq[i]] = i;
		out->first_child = n;
		for (uint32_t k = first[l->seq[i]];
		     k < l->kid_count && g->nodes[l->kids[k]].parent == l->seq[i]; k++)
			l->seq[n++] = l->kids[k];
		out->child_count = n - out->first_child;
	}
	if (n != g->count)
		return err_set(e, -EINVAL, "the lock's tree is not one tree");
	return 0;
}

static int fill_nodes(struct lock_builder *b, struct layout *l, struct err *e)
{
	int error = 0;

	for (uint32_t i = 0; i < l->g->count; i++) {
		const struct graph_node *n = &l->g->nodes[l->seq[i]];
		struct dxl_node *out = &l->nodes[i];
		uint32_t up = n->parent != GRAPH_NONE ? n->parent : n->fs_parent;

		if (n->edge_count > UINT16_MAX)
			return err_set(e, -E2BIG, "%s: %u dependencies are too many", node_label(n),
				       n->edge_count);
		out->parent = up == GRAPH_NONE ? DXL_NONE : l->number[up];
		out->name = intern(b, n->name, &error);
		out->package = l->package[l->seq[i]];
		out->flags =
			(uint16_t)(n->flags & ~(uint32_t)(NODE_HAS_SCRIPT | NODE_HAS_SHRINKWRAP)) |
			(plain_link(l->g, n) ? DXL_NODE_PLAIN_LINK : 0);
		out->edge_count = (uint16_t)n->edge_count;
		out->order = l->seq[i];
		if (n->parent == GRAPH_NONE)
			out->target = intern(b, n->path, &error);
		else
			out->target =
				n->link_target == GRAPH_NONE ? DXL_NONE : l->number[n->link_target];
	}
	return error ? err_set(e, error, "cannot make the lock: %s", strerror(-error)) : 0;
}

/* Which dependency of its node an edge is. The edges of a node come in runs of its dependencies'
 * order, so the search goes on where the last one ended. */
static uint32_t dep_of_edge(const struct graph_node *n, const struct graph_edge *x, uint32_t *at)
{
	for (uint32_t tries = 0; tries < n->dep_count; tries++) {
		uint32_t k = (*at + tries) % n->dep_count;

		if ((n->deps[k].name == x->name || strcmp(n->deps[k].name, x->name) == 0) &&
		    (n->deps[k].spec == x->spec || strcmp(n->deps[k].spec, x->spec) == 0)) {
			*at = k + 1;
			return k;
		}
	}
	return DXL_NONE;
}

static uint32_t free_edge(struct lock_builder *b, const struct graph_edge *x, int *error)
{
	uint32_t pair[2] = { intern(b, x->name, error), intern(b, x->spec, error) };
	uint32_t word = DXL_TOP_WORDS + (uint32_t)(b->pairs.len / sizeof(uint32_t));

	buf_add(&b->pairs, pair, sizeof pair);
	return word;
}

static int fill_edges(struct lock_builder *b, struct layout *l, struct err *e)
{
	const struct graph *g = l->g;
	int error = 0;

	b->edges = arena_array(&b->arena, g->edge_count ? g->edge_count : 1, sizeof *b->edges);
	if (!b->edges)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[l->seq[i]];
		uint32_t at = 0;

		for (uint32_t k = 0; k < n->edge_count; k++) {
			const struct graph_edge *x = &g->edges[n->first_edge + k];
			uint32_t dep = dep_of_edge(n, x, &at);
			uint32_t what = (uint32_t)x->type | (x->valid ? DXL_EDGE_VALID : 0);

			if (dep == DXL_NONE)
				what |= DXL_EDGE_FREE | free_edge(b, x, &error) << DXL_EDGE_SHIFT;
			else
				what |= dep << DXL_EDGE_SHIFT;
			b->edges[b->edge_count++] = (struct dxl_edge){
				.to = x->to == GRAPH_NONE ? DXL_NONE : l->number[x->to],
				.what = what,
			};
		}
	}
	error = error ? error : buf_error(&b->pairs);
	return error ? err_set(e, error, "cannot make the lock: %s", strerror(-error)) : 0;
}

/* The package to which each dependency leads, where it is the same at all of its places. */
static int fill_targets(struct lock_builder *b, struct layout *l, struct err *e)
{
	const struct graph *g = l->g;
	auto_free bool *seen = calloc(b->packages.count + 1, sizeof *seen);

	if (!seen)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0, at = 0; i < g->count; i++) {
		struct dxl_package *p = draft_at(b, l->package[l->seq[i]]);
		struct dxl_dep *deps = draft_deps(p);
		bool first = !seen[l->package[l->seq[i]]];

		if (g->nodes[l->seq[i]].flags & NODE_LINK) {
			at += l->nodes[i].edge_count;
			continue;
		}
		for (uint32_t k = 0; k < l->nodes[i].edge_count; k++, at++) {
			const struct dxl_edge *x = &b->edges[at];
			uint32_t to, dep = x->what >> DXL_EDGE_SHIFT;

			if (x->what & DXL_EDGE_FREE)
				continue;
			to = x->to == DXL_NONE ? DXL_NONE : l->package[l->seq[x->to]];
			if (first)
				deps[dep].target = to;
			else if (deps[dep].target != to)
				deps[dep].target = DXL_NONE;
		}
		seen[l->package[l->seq[i]]] = true;
	}
	return 0;
}

/* ---- the file ---- */

static int by_bytes(const void *a, const void *b)
{
	const struct pool_item *x = *(const struct pool_item *const *)a,
			       *y = *(const struct pool_item *const *)b;

	return slice_cmp((struct slice){ x->ptr, x->len }, (struct slice){ y->ptr, y->len });
}

/* Sorts the strings by bytes and gives each its offset. The section starts with a NUL, so that
 * no string has offset 0, which means none. */
static int place_strings(struct lock_builder *b, struct pool_item ***ret, uint32_t *ret_size)
{
	struct pool_item **sorted = calloc((size_t)b->strings.count + 1, sizeof(void *));
	uint64_t at = 1;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->strings.count; i++)
		sorted[i] = &b->strings.items[i];
	qsort(sorted, b->strings.count, sizeof *sorted, by_bytes);
	for (uint32_t i = 0; i < b->strings.count; i++) {
		sorted[i]->offset = (uint32_t)at;
		at += sorted[i]->len + 1;
		if (at > LOCK_SIZE_MAX) {
			free(sorted);
			return -E2BIG;
		}
	}
	*ret = sorted;
	*ret_size = (uint32_t)at;
	return 0;
}

/* A string's offset, little-endian, from its number + 1. */
static uint32_t offset_of(const struct lock_builder *b, uint32_t number)
{
	return htole32(number ? b->strings.items[number - 1].offset : 0);
}

static void *section(uint8_t *file, const struct dxl_header *h, enum dxl_section s)
{
	return file + le32toh(h->sections[s].offset);
}

static uint32_t limits_words(const struct lock_builder *b)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < b->limits.count; i++)
		bytes += b->limits.items[i].len;
	return (uint32_t)(bytes / sizeof(uint32_t));
}

static void write_words(struct lock_builder *b, const uint32_t top[DXL_TOP_WORDS], uint32_t *out)
{
	uint32_t *start = out;

	for (int i = 0; i < DXL_TOP_WORDS; i++)
		*out++ = offset_of(b, top[i]);
	for (size_t i = 0; i < b->pairs.len; i += sizeof(uint32_t)) {
		uint32_t w;

		memcpy(&w, b->pairs.data + i, sizeof w);
		*out++ = offset_of(b, w);
	}
	for (uint32_t i = 0; i < b->limits.count; i++) {
		const uint32_t *in = (const void *)b->limits.items[i].ptr;

		b->limits.items[i].offset = (uint32_t)(out - start);
		*out++ = offset_of(b, *in++ & ~DXL_RECORD) | htole32(DXL_RECORD);
		*out++ = offset_of(b, *in++);
		for (int k = 0; k < DXL_LISTS; k++) {
			uint32_t n = *in & ~DXL_LIST_GIVEN;

			*out++ = htole32(*in++);
			while (n--)
				*out++ = offset_of(b, *in++);
		}
	}
}

static void write_packages(struct lock_builder *b, uint8_t *file, const struct dxl_header *h)
{
	struct dxl_package *out = section(file, h, DXL_PACKAGES);
	struct dxl_dep *deps = section(file, h, DXL_DEPS), *dep = deps;
	struct dxl_bin *bins = section(file, h, DXL_BINS), *bin = bins;

	for (uint32_t i = 0; i < b->packages.count; i++, out++) {
		struct dxl_package *p = draft_at(b, i);
		const struct dxl_dep *d = draft_deps(p);
		const struct dxl_bin *x = draft_bins(p);

		*out = *p;
		out->name = offset_of(b, p->name);
		out->version = offset_of(b, p->version);
		out->resolved = offset_of(b, p->resolved);
		out->residue = offset_of(b, p->residue);
		out->integrity = offset_of(b, p->integrity);
		out->first_dep = htole32((uint32_t)(dep - deps));
		out->first_bin = htole32((uint32_t)(bin - bins));
		out->dep_count = htole16(p->dep_count);
		out->bin_count = htole16(p->bin_count);
		out->flags = htole32(p->flags);
		out->limits = htole32(p->limits ? b->limits.items[p->limits - 1].offset : 0);
		for (uint32_t k = 0; k < p->dep_count; k++, d++) {
			*dep = *d;
			dep->name = offset_of(b, d->name);
			dep->range = offset_of(b, d->range);
			dep++->target = htole32(d->target);
		}
		for (uint32_t k = 0; k < p->bin_count; k++, x++)
			*bin++ = (struct dxl_bin){ offset_of(b, x->name), offset_of(b, x->target) };
	}
}

static void write_tree(const struct lock_builder *b, const struct layout *l, uint8_t *file,
		       const struct dxl_header *h)
{
	struct dxl_node *out = section(file, h, DXL_NODES);
	struct dxl_edge *edges = section(file, h, DXL_EDGES);

	for (uint32_t i = 0; i < l->g->count; i++, out++) {
		const struct dxl_node *n = &l->nodes[i];

		*out = (struct dxl_node){
			.parent = htole32(n->parent),
			.name = offset_of(b, n->name),
			.package = htole32(n->package),
			.first_child = htole32(n->first_child),
			.child_count = htole32(n->child_count),
			.flags = htole16(n->flags),
			.edge_count = htole16(n->edge_count),
			.target = i < l->tops ? offset_of(b, n->target) : htole32(n->target),
			.order = htole32(n->order),
		};
	}
	for (uint32_t i = 0; i < b->edge_count; i++)
		edges[i] = (struct dxl_edge){ htole32(b->edges[i].to), htole32(b->edges[i].what) };
}

static void write_hash(const struct lock_builder *b, struct dxl_slot *slots, uint32_t count)
{
	memset(slots, 0xff, count * sizeof *slots);
	for (uint32_t i = 0; i < b->packages.count; i++) {
		const struct dxl_package *p = draft_at(b, i);

		if (p->name && !(p->flags & (DXL_PKG_TOP | DXL_PKG_LINK)))
			dxl_slot_put(slots, count, i,
				     (const char *)b->strings.items[p->name - 1].ptr);
	}
}

static int place_sections(const struct lock_builder *b, const struct layout *l, uint32_t strings,
			  struct dxl_header *h, uint64_t *ret_size)
{
	const uint64_t counts[DXL_SECTIONS] = {
		[DXL_HASH] = dxl_slot_count(b->packages.count),
		[DXL_PACKAGES] = b->packages.count,
		[DXL_DEPS] = b->dep_count,
		[DXL_NODES] = l->g->count,
		[DXL_EDGES] = b->edge_count,
		[DXL_BINS] = b->bin_count,
		[DXL_WORDS] = DXL_TOP_WORDS + b->pairs.len / sizeof(uint32_t) + limits_words(b),
		[DXL_STRINGS] = strings,
	};
	uint64_t at = sizeof *h;

	for (int s = 0; s < DXL_SECTIONS; s++) {
		at = (at + 7) & ~(uint64_t)7;
		h->sections[s].offset = htole32((uint32_t)at);
		h->sections[s].count = htole32((uint32_t)counts[s]);
		at += counts[s] * dxl_item_size[s];
		if (at > LOCK_SIZE_MAX)
			return -E2BIG;
	}
	*ret_size = at;
	return 0;
}

static uint32_t header_flags(const struct graph *g)
{
	return (g->lockfile_version & 0xff) | (g->shrinkwrap ? DXL_SHRINKWRAP : 0) |
	       (g->style.crlf ? DXL_CRLF : 0) |
	       (g->style.no_final_newline ? DXL_NO_FINAL_NEWLINE : 0);
}

static int write_file(struct lock_builder *b, const struct layout *l, struct hash128 fingerprint,
		      struct buf *ret)
{
	const struct graph *g = l->g;
	struct dxl_header h = { .magic = DXL_MAGIC, .version = htole32(DXL_VERSION) };
	auto_free struct pool_item **sorted = NULL;
	auto_free uint8_t *file = NULL;
	uint32_t top[DXL_TOP_WORDS], indent, strings = 0;
	uint64_t size = 0;
	int r = 0;

	top[0] = intern(b, g->name, &r);
	top[1] = intern(b, g->version, &r);
	top[2] = intern(b, g->top_residue && *g->top_residue ? g->top_residue : NULL, &r);
	indent = intern(b, g->style.indent, &r);
	if (r == 0)
		r = place_strings(b, &sorted, &strings);
	if (r == 0)
		r = place_sections(b, l, strings, &h, &size);
	if (r < 0)
		return r;
	file = calloc(1, size);
	if (!file)
		return -ENOMEM;
	h.size = htole64(size);
	h.flags = htole32(header_flags(g));
	h.indent = offset_of(b, indent);
	memcpy(h.fingerprint, fingerprint.b, sizeof h.fingerprint);
	write_words(b, top, section(file, &h, DXL_WORDS));
	write_packages(b, file, &h);
	write_tree(b, l, file, &h);
	write_hash(b, section(file, &h, DXL_HASH), le32toh(h.sections[DXL_HASH].count));
	for (uint32_t i = 0; i < b->strings.count; i++)
		memcpy((uint8_t *)section(file, &h, DXL_STRINGS) + sorted[i]->offset,
		       sorted[i]->ptr, sorted[i]->len);
	memcpy(file, &h, sizeof h);
	r = dxl_checksum(file, size, file + DXL_CHECKSUM_AT);
	if (r < 0)
		return r;
	buf_add(ret, file, size);
	return buf_error(ret);
}

static int layout_init(struct layout *l, const struct graph *g)
{
	size_t n = (size_t)g->count + 1;

	*l = (struct layout){
		.g = g,
		.package = calloc(n, sizeof *l->package),
		.seq = calloc(n, sizeof *l->seq),
		.number = calloc(n, sizeof *l->number),
		.kids = calloc(n, sizeof *l->kids),
		.nodes = calloc(n, sizeof *l->nodes),
	};
	return l->package && l->seq && l->number && l->kids && l->nodes ? 0 : -ENOMEM;
}

int lock_builder_finish(struct lock_builder *b, const struct graph *g, struct hash128 fingerprint,
			struct buf *ret, struct err *e)
{
	struct layout l cleanup(layout_release) = { 0 };
	int r;

	if (g->count == 0 || g->nodes[0].parent != GRAPH_NONE || g->count > GRAPH_NODES_MAX)
		return err_set(e, -EINVAL, "the lock has no root project, or too many entries");
	r = layout_init(&l, g);
	if (r < 0)
		return err_set(e, r, "cannot make the lock: out of memory");
	r = add_packages(b, &l, e);
	if (r == 0)
		r = order_nodes(&l, e);
	if (r == 0)
		r = fill_nodes(b, &l, e);
	if (r == 0)
		r = fill_edges(b, &l, e);
	if (r == 0)
		r = fill_targets(b, &l, e);
	if (r < 0)
		return r;
	r = write_file(b, &l, fingerprint, ret);
	return r < 0 ? err_set(e, r, "cannot make the lock: %s", strerror(-r)) : 0;
}

int lock_build(const struct graph *g, struct hash128 fingerprint, struct buf *ret, struct err *e)
{
	struct lock_builder *b cleanup(builder_freep) = lock_builder_new();

	if (!b)
		return err_set(e, -ENOMEM, "cannot make the lock: out of memory");
	return lock_builder_finish(b, g, fingerprint, ret, e);
}

int lock_write(const struct graph *g, struct hash128 fingerprint, const char *path, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	int r = lock_build(g, fingerprint, &bytes, e);

	return r < 0 ? r : file_replace(path, bytes.data, bytes.len, 0644, e);
}
