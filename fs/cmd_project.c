#include "fs/cmd_project.h"

#include "core/file.h"
#include "fetch/npmrc.h"
#include "lock/manifest.h"

int cmd_project_open(struct cmd_project *ret, struct err *e)
{
	int r = project_open(&ret->project, ".", e);

	if (r == 0)
		r = npmrc_load(&ret->npmrc, ret->project.dir, NULL, e);
	if (r == 0)
		r = catalog_npm_new(&ret->registry, ret->npmrc, e);
	if (r < 0)
		return r;
	ret->catalog = catalog_npm(ret->registry);
	ret->options = (struct npmlock_options){
		.graph.legacy_peer_deps = npmrc_bool(ret->npmrc, "legacy-peer-deps", false),
		.catalog = &ret->catalog,
	};
	return 0;
}

void cmd_project_release(struct cmd_project *p)
{
	catalog_npm_free(p->registry);
	npmrc_free(p->npmrc);
	project_release(&p->project);
}

/* npm's lock, read without the question whether it fits. */
static int read_npm_lock(const struct cmd_project *c, struct graph **ret, struct err *e)
{
	const struct npmlock_options *o = &c->options;
	const struct project *p = &c->project;
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

static int read_dxl(const struct cmd_project *c, struct lock **ret_lock, struct graph **ret,
		    struct err *e)
{
	const struct npmlock_options *o = &c->options;
	const struct project *p = &c->project;
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

int cmd_project_graph(const struct cmd_project *c, struct lock **ret_lock, struct graph **ret,
		      struct err *e)
{
	const struct project *p = &c->project;

	if (!p->lock_file || strcmp(p->lock_file, PROJECT_LOCK) == 0)
		return read_dxl(c, ret_lock, ret, e);
	*ret_lock = NULL;
	return read_npm_lock(c, ret, e);
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
