#include "fs/tree_priv.h"
#include "lock/collate.h"

/* The parts that two paths have in common at their start: the offset after the last common
 * '/', in both of them. */
static size_t common_parts(const char *a, size_t a_len, const char *b)
{
	size_t common = 0, i = 0;

	for (; i < a_len && b[i] == a[i]; i++)
		if (a[i] == '/')
			common = i + 1;
	if (i == a_len && b[i] == '/')
		common = i + 1;
	return common;
}

const char *tree_link_text(struct tree_maker *m, uint32_t link)
{
	const struct graph_node *n = &m->g->nodes[link];
	const char *to = m->g->nodes[n->link_target].path, *slash = strrchr(n->path, '/');
	size_t from_len = slash ? (size_t)(slash - n->path) : 0;
	size_t common = common_parts(n->path, from_len, to), ups = 0, len;
	char *text, *w;

	for (size_t i = common; i < from_len; i++)
		ups += i == common || n->path[i] == '/';
	len = strlen(to + common);
	text = arena_alloc(&m->tree->arena, ups * 3 + len + 2);
	if (!text) {
		m->error = -ENOMEM;
		return "";
	}
	w = text;
	for (size_t i = 0; i < ups; i++, w += 3)
		memcpy(w, "../", 3);
	memcpy(w, to + common, len + 1);
	if (len == 0 && ups)
		w[-1] = '\0'; /* the target is a folder above: no '/' at the end */
	else if (len == 0)
		memcpy(w, ".", 2);
	return text;
}

struct claimer {
	const struct graph *g;
	uint32_t node;  /* the graph's: where it stands */
	uint32_t bins;  /* the graph's: whose bins (a link's are its target's) */
	uint32_t depth; /* levels of node_modules */
	bool is_link;
};

static int claimer_cmp(const void *pa, const void *pb)
{
	const struct claimer *a = pa, *b = pb;

	if (a->is_link != b->is_link)
		return a->is_link - b->is_link;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return collate(slice_str(a->g->nodes[a->node].path), slice_str(b->g->nodes[b->node].path));
}

static uint32_t depth_of(const struct graph *g, uint32_t i)
{
	uint32_t depth = 0;

	for (; g->nodes[i].parent != GRAPH_NONE; i = g->nodes[i].parent)
		depth++;
	return depth;
}

/* Everything that is there, is no top, and has bins, in npm's order. */
static struct claimer *claimers(struct tree_maker *m, size_t *ret_count)
{
	const struct graph *g = m->g;
	struct claimer *list = malloc((g->count + 1) * sizeof *list);
	bool *through_link = calloc(g->count + 1, 1);
	size_t count = 0;

	if (!list || !through_link)
		m->error = -ENOMEM;
	for (uint32_t i = 0; i < g->count && !m->error; i++)
		if (m->at[i] != TREE_NONE && m->nodes[m->at[i]].kind == TREE_LINK)
			through_link[g->nodes[i].link_target] = true;
	for (uint32_t i = 0; i < g->count && !m->error; i++) {
		const struct graph_node *n = &g->nodes[i];
		bool is_link = n->flags & NODE_LINK;
		uint32_t bins = is_link ? n->link_target : i;

		if (m->at[i] == TREE_NONE || !m->present[i] || through_link[i] ||
		    g->nodes[bins].bin_count == 0)
			continue;
		list[count++] = (struct claimer){
			.g = g,
			.node = i,
			.bins = bins,
			.depth = depth_of(g, i),
			.is_link = is_link,
		};
	}
	free(through_link);
	if (!m->error)
		qsort(list, count, sizeof *list, claimer_cmp);
	*ret_count = count;
	return list;
}

static bool name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static void claim(struct tree_maker *m, const struct claimer *c, const struct graph_bin *bin)
{
	const struct graph_node *n = &m->g->nodes[c->node];
	const struct tree_node *at = &m->nodes[m->at[c->node]];
	size_t target_len = strlen(bin->target), len = strlen(bin->name);
	const char *up = tree_join(m, "..", n->name, strlen(n->name)), *sub = NULL;
	uint32_t backing = at->backing, dir, *place, made;

	if (!name_ok(bin->name) || target_len == 0)
		return;
	if (backing != TREE_NONE)
		sub = tree_join(m, at->sub, bin->target, target_len);
	dir = tree_dir(m, m->modules[n->parent], ".bin", 4);
	place = dir == TREE_NONE ? NULL : tree_name_at(m, dir, bin->name, len);
	if (!place || *place != TREE_NONE)
		return; /* the first claimer has it */
	made = tree_add(m, dir, bin->name, len, TREE_BIN);
	if (made == TREE_NONE)
		return;
	*place = made;
	m->names_used++;
	m->nodes[made].node = c->node;
	m->nodes[made].text = tree_join(m, up, bin->target, target_len);
	m->nodes[made].backing = backing;
	m->nodes[made].sub = sub;
}

void tree_claim_bins(struct tree_maker *m)
{
	size_t count = 0;
	struct claimer *list = m->error ? NULL : claimers(m, &count);

	for (size_t i = 0; i < count && !m->error; i++) {
		const struct graph_node *n = &m->g->nodes[list[i].bins];

		for (uint32_t k = 0; k < n->bin_count && !m->error; k++)
			claim(m, &list[i], &n->bins[k]);
	}
	free(list);
}
