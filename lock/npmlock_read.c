#include "core/file.h"
#include "lock/manifest.h"
#include "lock/npmlock_priv.h"
#include "lock/overrides.h"

static const char *const lock_files[] = { "npm-shrinkwrap.json", "package-lock.json" };

/* The first of the two that is there: npm 11's order. */
static int read_text(int dirfd, char **ret, size_t *ret_len, const char **ret_name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(lock_files); i++) {
		struct err why = { 0 };
		int r = file_read_all(dirfd, lock_files[i], NPMLOCK_SIZE_MAX, ret, ret_len, &why);

		*ret_name = lock_files[i];
		if (r != -ENOENT)
			return r < 0 ? err_set(e, r, "%s", why.msg) : 0;
	}
	return err_set(e, -ENOENT,
		       "neither package-lock.json nor npm-shrinkwrap.json is there; make one with "
		       "`npm install --package-lock-only`");
}

static int read_lock(struct graph **ret, int dirfd, const struct npmlock_options *o, struct err *e)
{
	auto_graph struct graph *g = NULL;
	auto_free char *text = NULL;
	const char *name;
	size_t len;
	int r = read_text(dirfd, &text, &len, &name, e);

	if (r < 0)
		return r;
	r = npmlock_parse(&g, (struct slice){ (const uint8_t *)text, len }, o, e);
	if (r < 0)
		return err_wrap(e, r, "%s", name);
	g->shrinkwrap = name == lock_files[0];
	*ret = take(&g);
	return 0;
}

/* A lock of version 1 does not say which version a repository has, or a tarball whose name does not
 * say it. npm asks them, finds that the lock says another, which is none, and refuses it. */
static int refuse_unversioned(const struct graph *g, struct err *e)
{
	for (uint32_t i = 1; i < g->count && g->lockfile_version < 2; i++) {
		const struct graph_node *n = &g->nodes[i];

		if (!(n->flags & (NODE_LINK | NODE_TOP)) && !n->version && n->resolved)
			return err_set(e, -ESTALE,
				       "a lock of version 1 does not say which version %.80s is, "
				       "and npm ci wants to know; make it anew with `npm install "
				       "--package-lock-only`",
				       n->path);
	}
	return 0;
}

/* Does it stand in the node's own node_modules? */
static bool is_own(const struct graph *g, uint32_t node, uint32_t i)
{
	return i != GRAPH_NONE && g->nodes[i].parent == node;
}

/* npm unpacks a package that brings its own shrinkwrap before it knows what stands below. A lock
 * that npm wrote lists that too; one that does not cannot be laid out without the tarball. */
static int refuse_unlisted(const struct graph *g, struct err *e)
{
	for (uint32_t k = 0; k < g->edge_count; k++) {
		const struct graph_edge *edge = &g->edges[k];
		const struct graph_node *from = &g->nodes[edge->from];

		if (from->flags & NODE_HAS_SHRINKWRAP && !(from->flags & NODE_EXTRANEOUS) &&
		    !is_own(g, edge->from, edge->to) && edge->type == EDGE_PROD)
			return err_set(e, -EOPNOTSUPP,
				       "%.80s brings its own npm-shrinkwrap.json, and the lock "
				       "does not list what that names (%.60s); make the lock anew "
				       "with `npm install --package-lock-only`",
				       from->path, edge->name);
	}
	return 0;
}

int npmlock_read(struct graph **ret, int dirfd, const struct npmlock_options *o, struct err *e)
{
	auto_graph struct graph *g = NULL;
	int r = read_lock(&g, dirfd, o, e);

	if (r == 0)
		r = manifest_project(g, dirfd, e);
	if (r == 0)
		r = graph_edges(g, &o->graph, e);
	if (r == 0)
		r = overrides_check(g, e);
	if (r == 0)
		r = graph_flags(g, e);
	if (r == 0)
		r = graph_check(g, e);
	if (r == 0)
		r = refuse_unlisted(g, e);
	if (r == 0)
		r = refuse_unversioned(g, e);
	if (r < 0)
		return r;
	*ret = take(&g);
	return 0;
}
