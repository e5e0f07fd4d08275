#include "lock/npmlock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A registry that has every package, with one manifest for all. */
static int manifest(void *self, const char *name, const char *version, cJSON **ret, struct err *e)
{
	(void)self, (void)name, (void)version;
	return json_parse(ret,
			  SLICE("{\"bin\":\"./b.js\",\"dependencies\":{\"a\":\"^1\"},"
				"\"peerDependencies\":{\"b\":\"*\"}}"),
			  e);
}

/* What must hold of every lock that is taken: paths and links that a tree may be built from. */
static void check_graph(const struct graph *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];
		struct digest key;

		if (graph_find(g, n->path) != i || !n->residue || !n->name)
			abort();
		if (n->parent != GRAPH_NONE && graph_child(g, n->parent, n->name) != i)
			abort();
		if ((n->parent == GRAPH_NONE) != !!(n->flags & NODE_TOP))
			abort();
		if (n->flags & NODE_LINK && (n->link_target >= g->count || n->edge_count))
			abort();
		if (strstr(n->path, "/../") && strncmp(n->path, "../", 3) != 0)
			abort();
		for (uint32_t k = 0; k < n->bin_count; k++) {
			if (strchr(n->bins[k].name, '/') || strcmp(n->bins[k].target, "..") == 0 ||
			    strncmp(n->bins[k].target, "../", 3) == 0)
				abort();
		}
		(void)!graph_node_key(n, &key, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct catalog catalog = { .manifest = manifest };
	const struct npmlock_options o = { .catalog = &catalog };
	auto_graph struct graph *g = NULL;
	struct err e;

	if (npmlock_parse(&g, (struct slice){ data, size }, &o, &e) < 0)
		return 0;
	if (graph_edges(g, &o.graph, &e) < 0 || graph_flags(g, &e) < 0)
		return 0;
	check_graph(g);
	(void)!graph_check(g, &e);
	return 0;
}
