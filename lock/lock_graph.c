#include "lock/lock_priv.h"

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const struct {
	const char *prefix;
	uint8_t len;
} algorithms[] = {
	[DIGEST_SHA1] = { "sha1-", 20 },
	[DIGEST_SHA256] = { "sha256-", 32 },
	[DIGEST_SHA384] = { "sha384-", 48 },
	[DIGEST_SHA512] = { "sha512-", 64 },
};

#define SRI_ROOM 100 /* "sha512-", 88 characters, NUL, rounded up */

/* The same as digest_format, which prints one at a time; a mount prints thousands. */
static void print_digest(const struct dxl_package *p, char *to)
{
	uint32_t alg = le32toh(p->flags) & 0xff, i = 0, w;

	to = stpcpy(to, algorithms[alg].prefix);
	for (; i + 3 <= algorithms[alg].len; i += 3, to += 4) {
		w = (uint32_t)p->digest[i] << 16 | (uint32_t)p->digest[i + 1] << 8 |
		    p->digest[i + 2];
		to[0] = base64_digits[w >> 18];
		to[1] = base64_digits[w >> 12 & 63];
		to[2] = base64_digits[w >> 6 & 63];
		to[3] = base64_digits[w & 63];
	}
	if (i < algorithms[alg].len) {
		bool two = i + 1 < algorithms[alg].len;

		w = (uint32_t)p->digest[i] << 16 | (two ? (uint32_t)p->digest[i + 1] << 8 : 0);
		to[0] = base64_digits[w >> 18];
		to[1] = base64_digits[w >> 12 & 63];
		to[2] = two ? base64_digits[w >> 6 & 63] : '=';
		to[3] = '=';
		to += 4;
	}
	*to = '\0';
}

/* What the nodes point to, allocated at once: a few large pieces instead of thousands. */
struct pieces {
	struct graph_node *templates; /* one a package: what all its places have in common */
	struct graph_dep *deps;
	struct graph_bin *bins;
	const char **items; /* of lists; each stands at the number of its word */
	char *integrity;
};

static const char *integrity_of(const struct lock *l, const struct dxl_package *p, struct pieces *x)
{
	const char *text = x->integrity;

	if (p->integrity || !(le32toh(p->flags) & 0xff))
		return dxl_str(l, p->integrity);
	print_digest(p, x->integrity);
	x->integrity += SRI_ROOM;
	return text;
}

static void set_limits(const struct lock *l, const struct dxl_package *p, struct graph_node *n,
		       const char **items)
{
	struct graph_strings *lists[DXL_LISTS] = { &n->os, &n->cpu, &n->libc, &n->bundled,
						   &n->accept };
	const uint32_t *w = l->words + le32toh(p->limits);

	if (!p->limits)
		return;
	n->engine_node = dxl_str(l, htole32(le32toh(w[0]) & ~DXL_RECORD));
	n->engine_npm = dxl_str(l, w[1]);
	items += le32toh(p->limits);
	w += 2;
	for (int k = 0; k < DXL_LISTS; k++) {
		uint32_t head = le32toh(*w++), count = head & ~DXL_LIST_GIVEN;

		*lists[k] = (struct graph_strings){ .items = count ? items : NULL,
						    .count = count,
						    .given = head & DXL_LIST_GIVEN };
		for (uint32_t i = 0; i < count; i++)
			*items++ = dxl_str(l, *w++);
	}
}

static uint32_t package_flags(const struct dxl_package *p)
{
	uint32_t flags = le32toh(p->flags);

	return (flags & DXL_PKG_SCRIPT ? NODE_HAS_SCRIPT : 0) |
	       (flags & DXL_PKG_SHRINKWRAP ? NODE_HAS_SHRINKWRAP : 0);
}

static void make_template(const struct lock *l, uint32_t i, struct pieces *x)
{
	const struct dxl_package *p = &l->packages[i];
	struct graph_node *n = &x->templates[i];

	*n = (struct graph_node){
		.pkg_name = dxl_str(l, p->name),
		.version = dxl_str(l, p->version),
		.resolved = dxl_str(l, p->resolved),
		.integrity = integrity_of(l, p, x),
		.residue = p->residue ? dxl_str(l, p->residue) : "",
		.flags = package_flags(p),
		.deps = x->deps + le32toh(p->first_dep),
		.dep_count = le16toh(p->dep_count),
		.bins = x->bins + le32toh(p->first_bin),
		.bin_count = le16toh(p->bin_count),
	};
	set_limits(l, p, n, x->items);
}

static void fill_lists(const struct lock *l, struct pieces *x)
{
	for (uint32_t i = 0; i < l->count[DXL_DEPS]; i++) {
		const struct dxl_dep *d = &l->deps[i];

		x->deps[i] = (struct graph_dep){
			.name = dxl_str(l, d->name),
			.spec = dxl_str(l, d->range),
			.section = d->section,
			.peer_optional = d->flags & DXL_DEP_PEER_OPTIONAL,
		};
	}
	for (uint32_t i = 0; i < l->count[DXL_BINS]; i++)
		x->bins[i] = (struct graph_bin){ dxl_str(l, l->bins[i].name),
						 dxl_str(l, l->bins[i].target) };
	for (uint32_t i = 0; i < l->count[DXL_PACKAGES]; i++)
		make_template(l, i, x);
}

static int make_pieces(const struct lock *l, struct arena *a, struct pieces *x)
{
	size_t digests = 1;

	for (uint32_t i = 0; i < l->count[DXL_PACKAGES]; i++)
		digests += !l->packages[i].integrity && le32toh(l->packages[i].flags) & 0xff;
	*x = (struct pieces){
		.deps = arena_array(a, l->count[DXL_DEPS] + 1, sizeof *x->deps),
		.bins = arena_array(a, l->count[DXL_BINS] + 1, sizeof *x->bins),
		.items = arena_array(a, l->count[DXL_WORDS], sizeof *x->items),
		.integrity = arena_array(a, digests, SRI_ROOM),
		.templates = calloc(l->count[DXL_PACKAGES], sizeof *x->templates),
	};
	if (!x->deps || !x->bins || !x->items || !x->integrity || !x->templates)
		return -ENOMEM;
	fill_lists(l, x);
	return 0;
}

static const char *path_of(const struct graph *g, const struct graph_node *n, struct arena *a)
{
	static const char nm[] = "node_modules/";
	const char *up = g->nodes[n->parent].path;
	size_t up_len = strlen(up), name_len = strlen(n->name);
	char *path = arena_alloc(a, up_len + sizeof nm + name_len + 1), *at = path;

	if (!path)
		return NULL;
	if (up_len) {
		at = mempcpy(at, up, up_len);
		*at++ = '/';
	}
	at = mempcpy(at, nm, sizeof nm - 1);
	memcpy(at, n->name, name_len + 1);
	return path;
}

/* Node i of the file into its place in the graph; its parent stands there already. */
static int place_node(const struct lock *l, struct graph *g, uint32_t i, const struct pieces *x)
{
	const struct dxl_node *d = &l->nodes[i];
	const struct graph_node *t = &x->templates[le32toh(d->package)];
	struct graph_node *n = &g->nodes[le32toh(d->order)];
	uint32_t flags = le16toh(d->flags), up = le32toh(d->parent);

	if (up != DXL_NONE)
		up = le32toh(l->nodes[up].order);
	if (flags & DXL_NODE_PLAIN_LINK)
		*n = (struct graph_node){ .pkg_name = t->pkg_name, .residue = "" };
	else
		*n = *t;
	n->flags |= flags & ~(uint32_t)DXL_NODE_PLAIN_LINK;
	n->name = dxl_str(l, d->name);
	n->parent = n->fs_parent = n->link_target = GRAPH_NONE;
	n->edge_count = le16toh(d->edge_count);
	if (flags & NODE_TOP) {
		n->path = dxl_str(l, d->target);
		n->fs_parent = up;
		return 0;
	}
	n->parent = up;
	if (flags & NODE_LINK)
		n->link_target = le32toh(l->nodes[le32toh(d->target)].order);
	n->path = path_of(g, n, &g->arena);
	return n->path ? 0 : arena_error(&g->arena);
}

static void place_edges(const struct lock *l, struct graph *g, const struct pieces *x)
{
	uint32_t first = 0, k = 0;

	for (uint32_t i = 0; i < g->count; i++) {
		g->nodes[i].first_edge = first;
		first += g->nodes[i].edge_count;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t from = le32toh(l->nodes[i].order);
		const struct dxl_package *p = &l->packages[le32toh(l->nodes[i].package)];
		const struct graph_dep *deps = x->deps + le32toh(p->first_dep);
		struct graph_edge *out = g->edges + g->nodes[from].first_edge;

		for (uint32_t n = g->nodes[from].edge_count; n > 0; n--, k++, out++) {
			uint32_t what = le32toh(l->edges[k].what), to = le32toh(l->edges[k].to);
			uint32_t item = what >> DXL_EDGE_SHIFT;
			bool own = !(what & DXL_EDGE_FREE);

			*out = (struct graph_edge){
				.name = own ? deps[item].name : dxl_str(l, l->words[item]),
				.spec = own ? deps[item].spec : dxl_str(l, l->words[item + 1]),
				.from = from,
				.to = to == DXL_NONE ? GRAPH_NONE : le32toh(l->nodes[to].order),
				.type = what & DXL_EDGE_TYPE,
				.valid = what & DXL_EDGE_VALID,
			};
		}
	}
}

static void set_top(const struct lock *l, struct graph *g)
{
	uint32_t flags = le32toh(l->header->flags);

	g->lockfile_version = flags & 0xff;
	g->shrinkwrap = flags & DXL_SHRINKWRAP;
	g->style.crlf = flags & DXL_CRLF;
	g->style.no_final_newline = flags & DXL_NO_FINAL_NEWLINE;
	strcpy(g->style.indent, dxl_str(l, l->header->indent));
	g->name = dxl_str(l, l->words[0]);
	g->version = dxl_str(l, l->words[1]);
	g->top_residue = l->words[2] ? dxl_str(l, l->words[2]) : "";
}

static int fill_graph(const struct lock *l, struct graph *g, struct pieces *x, struct err *e)
{
	auto_free uint32_t *order = calloc(l->count[DXL_NODES], sizeof *order);
	struct arena *a = &g->arena;

	g->count = l->count[DXL_NODES];
	g->edge_count = l->count[DXL_EDGES];
	g->nodes = arena_array(a, g->count, sizeof *g->nodes);
	g->edges = arena_array(a, g->edge_count + 1, sizeof *g->edges);
	if (!order || !g->nodes || !g->edges || make_pieces(l, a, x) < 0)
		return err_set(e, -ENOMEM, "no memory for the lock's %u entries", g->count);
	for (uint32_t i = 0; i < g->count; i++) {
		int r = place_node(l, g, i, x);

		if (r < 0)
			return err_set(e, r, "no memory for the lock's %u entries", g->count);
		order[i] = le32toh(l->nodes[i].order);
	}
	for (uint32_t i = 0; i < g->count; i++) {
		struct graph_node *n = &g->nodes[i];

		if (n->flags & NODE_LINK && !n->resolved)
			n->resolved = g->nodes[n->link_target].path;
	}
	place_edges(l, g, x);
	set_top(l, g);
	return graph_index_placed(g, order, e);
}

int lock_graph(const struct lock *l, struct graph **ret, struct err *e)
{
	auto_graph struct graph *g = graph_new();
	struct pieces x = { 0 };
	int r;

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	r = fill_graph(l, g, &x, e);
	free(x.templates);
	if (r < 0)
		return r;
	*ret = take(&g);
	return 0;
}
