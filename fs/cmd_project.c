#include "fs/cmd_project.h"

#include "core/file.h"
#include "fetch/npmrc.h"
#include "lock/manifest.h"

int cmd_project(struct project *ret, struct npmlock_options *ret_options, struct err *e)
{
	auto_project struct project p = PROJECT_INIT;
	struct npmrc *rc = NULL;
	int r = project_open(&p, ".", e);

	if (r == 0)
		r = npmrc_load(&rc, p.dir, NULL, e);
	if (r < 0)
		return r;
	*ret_options = (struct npmlock_options){
		.graph.legacy_peer_deps = npmrc_bool(rc, "legacy-peer-deps", false),
	};
	npmrc_free(rc);
	*ret = p;
	p = (struct project)PROJECT_INIT;
	return 0;
}

/* npm's lock, read without the question whether it fits. */
static int read_npm_lock(const struct project *p, const struct npmlock_options *o,
			 struct graph **ret, struct err *e)
{
	auto_graph struct graph *g = NULL;
	auto_free char *text = NULL;
	size_t len;
	int r = file_read_all(p->dirfd, p->lock_file, NPMLOCK_SIZE_MAX, &text, &len, e);

	if (r == 0)
		r = npmlock_parse(&g, (struct slice){ (const uint8_t *)text, len }, o, e);
	if (r == 0)
		r = manifest_project(g, p->dirfd, e);
	if (r == 0)
		r = graph_edges(g, &o->graph, e);
	if (r == 0)
		r = graph_flags(g, e);
	if (r < 0)
		return r;
	*ret = take(&g);
	return 0;
}

static int read_dxl(const struct project *p, const struct npmlock_options *o,
		    struct lock **ret_lock, struct graph **ret, struct err *e)
{
	auto_lock struct lock *l = NULL;
	auto_graph struct graph *g = NULL;
	bool derived;
	int r = project_lock(p, NULL, o, &l, &derived, e);

	if (r == 0)
		r = lock_graph(l, &g, e);
	if (r == 0)
		r = manifest_project(g, p->dirfd, e);
	if (r == 0)
		r = graph_edges(g, &o->graph, e);
	if (r == 0)
		r = graph_flags(g, e);
	if (r < 0)
		return r;
	*ret_lock = take(&l);
	*ret = take(&g);
	return 0;
}

int cmd_project_graph(const struct project *p, const struct npmlock_options *o,
		      struct lock **ret_lock, struct graph **ret, struct err *e)
{
	if (!p->lock_file || strcmp(p->lock_file, PROJECT_LOCK) == 0)
		return read_dxl(p, o, ret_lock, ret, e);
	*ret_lock = NULL;
	return read_npm_lock(p, o, ret, e);
}

void cmd_node_id(struct buf *b, const struct graph *g, uint32_t node)
{
	const struct graph_node *n = &g->nodes[node], *m = n;

	if (n->flags & NODE_LINK)
		m = &g->nodes[n->link_target];
	if (node == 0)
		buf_addf(b, "%s@%s", m->pkg_name ? m->pkg_name : "", m->version ? m->version : "");
	else if (m->pkg_name && strcmp(m->pkg_name, n->name) != 0)
		buf_addf(b, "%s@npm:%s@%s", n->name, m->pkg_name, m->version ? m->version : "");
	else
		buf_addf(b, "%s@%s", n->name, m->version ? m->version : "");
}
