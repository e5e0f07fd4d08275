#include "lock/manifest.h"

#include "core/file.h"
#include "lock/entry.h"
#include "lock/npmlock_priv.h"
#include "lock/overrides.h"

#include <stdio.h>

static int read_text(int dirfd, const char *folder, char **ret, size_t *ret_len, struct err *e)
{
	char path[GRAPH_PATH_MAX + sizeof "/package.json"];
	int r;

	if (strlen(folder) > GRAPH_PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "%.100s: the path is too long", folder);
	(void)snprintf(path, sizeof path, "%s%spackage.json", folder, *folder ? "/" : "");
	r = file_read_all(dirfd, path, MANIFEST_SIZE_MAX, ret, ret_len, e);
	return r == -ENOTDIR ? -ENOENT : r;
}

static int parse(const char *folder, struct slice text, cJSON **ret, struct err *e)
{
	auto_json cJSON *j = NULL;
	int r = json_parse(&j, text, e);

	if (r < 0)
		return err_wrap(e, r, "%.100s%spackage.json", folder, *folder ? "/" : "");
	if (!cJSON_IsObject(j))
		return err_set(e, -EBADMSG, "%.100s%spackage.json: its JSON is no object", folder,
			       *folder ? "/" : "");
	*ret = take(&j);
	return 0;
}

struct slice manifest_text(const struct manifest_texts *t, const char *folder)
{
	for (size_t i = 0; t && i < t->count; i++) {
		if (strcmp(t->items[i].folder, folder) == 0)
			return t->items[i].text;
	}
	return (struct slice){ 0 };
}

/* A project at work: which tops have been read. */
struct project_reader {
	struct graph *g;
	int dirfd;
	bool *done;                         /* by node; owned */
	const struct manifest_texts *texts; /* instead of files; NULL: none */
	struct err *e;
};

/* <folder>/package.json ("" for root's), the caller's; -ENOENT (also where the folder is none),
 * -EBADMSG for bad JSON or JSON that is no object, -E2BIG. */
static int read_manifest(const struct project_reader *p, const char *folder, cJSON **ret,
			 struct err *e)
{
	struct slice text = manifest_text(p->texts, folder);
	auto_free char *file = NULL;
	int r = text.len ? 0 : read_text(p->dirfd, folder, &file, &text.len, e);

	if (r < 0)
		return r;
	if (file)
		text.ptr = (const uint8_t *)file;
	return parse(folder, text, ret, e);
}

/* npm links a top's bins as the lock has them, if package.json has any today: of its own, or those
 * in a folder. Locks of version 1 have none. */
static void keep_bins(const struct graph *g, struct graph_node *n, const struct graph_node *lock,
		      const cJSON *j)
{
	bool folder = !json_true(j, "bin") && json_true(json_get(j, "directories"), "bin");

	if (g->lockfile_version < 2 || !(n->bin_count || folder))
		return;
	n->bins = lock->bins;
	n->bin_count = lock->bin_count;
}

static int apply(struct project_reader *p, uint32_t i, const cJSON *j)
{
	struct graph_node *n = &p->g->nodes[i], lock = *n;
	char what[128];
	int r;

	(void)snprintf(what, sizeof what, "%.100s%spackage.json", n->path, *n->path ? "/" : "");
	p->done[i] = true;
	r = entry_read(p->g, n, j, BINS_MANIFEST, what, p->e);
	if (r < 0)
		return r;
	keep_bins(p->g, n, &lock, j);
	if (n->flags & NODE_TOP)
		n->name = n->pkg_name ? n->pkg_name : graph_folder_name(n->path);
	if (!n->pkg_name && i)
		n->pkg_name = n->name;
	return 0;
}

/* ---- workspaces ---- */

struct found_workspace {
	const char *name, *path;
};

static int by_name(const void *a, const void *b)
{
	const struct found_workspace *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int refuse_duplicates(const struct found_workspace *list, size_t n, struct err *e)
{
	auto_free struct found_workspace *sorted = calloc(n + 1, sizeof *sorted);

	if (!sorted)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	if (n)
		memcpy(sorted, list, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_name);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
			return err_set(e, -EINVAL,
				       "two workspaces have the name \"%.80s\": %.50s and %.50s",
				       sorted[i].name, sorted[i - 1].path, sorted[i].path);
	}
	return 0;
}

/* Reads a workspace's package.json: its name, and its fields if the lock has its place. Sets
 * ret->name to NULL where there is none. */
static int read_workspace(struct project_reader *p, const char *path, struct found_workspace *ret)
{
	auto_json cJSON *j = NULL;
	uint32_t node = graph_find(p->g, path);
	const char *name;
	int r = read_manifest(p, path, &j, p->e);

	ret->name = NULL;
	ret->path = path;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	name = json_str(j, "name");
	ret->name = name && *name ? arena_strdup(&p->g->arena, name) : graph_folder_name(path);
	if (!ret->name)
		return err_set(p->e, arena_error(&p->g->arena), "no memory for the workspaces");
	if (node == GRAPH_NONE || !(p->g->nodes[node].flags & NODE_TOP))
		return 0;
	p->g->nodes[node].flags |= NODE_WORKSPACE;
	return apply(p, node, j);
}

/* Is it a link at root, by this name, in the lock? */
static bool is_linked(const struct graph *g, const struct found_workspace *w)
{
	uint32_t link = graph_child(g, 0, w->name);

	return link != GRAPH_NONE && g->nodes[link].flags & NODE_LINK &&
	       strcmp(g->nodes[g->nodes[link].link_target].path, w->path) == 0;
}

static int note_lost(struct graph *g, const struct found_workspace *list, size_t n, struct err *e)
{
	const char **items = arena_array(&g->arena, 2 * n + 1, sizeof *items);
	uint32_t lost = 0;

	if (!items)
		return err_set(e, arena_error(&g->arena), "no memory for the workspaces");
	for (size_t i = 0; i < n; i++) {
		if (is_linked(g, &list[i]))
			continue;
		items[lost++] = list[i].name;
		items[lost++] = list[i].path;
	}
	g->lost_workspaces =
		(struct graph_strings){ .items = items, .count = lost, .given = lost > 0 };
	return 0;
}

static int read_workspaces(struct project_reader *p, const cJSON *patterns)
{
	auto_free struct found_workspace *list = NULL;
	struct graph_strings paths;
	size_t n = 0;
	int r = workspaces_find(&p->g->arena, p->dirfd, patterns, &paths, p->e);

	if (r < 0)
		return r;
	list = calloc((size_t)paths.count + 1, sizeof *list);
	if (!list)
		return err_set(p->e, -ENOMEM, "no memory for the workspaces");
	for (uint32_t i = 0; i < paths.count; i++) {
		r = read_workspace(p, paths.items[i], &list[n]);
		if (r < 0)
			return r;
		n += list[n].name != NULL;
	}
	r = refuse_duplicates(list, n, p->e);
	return r < 0 ? r : note_lost(p->g, list, n, p->e);
}

/* ---- root and link targets ---- */

struct json_style manifest_style(struct slice root)
{
	struct json_style style = npmlock_style(root);

	/* npm's own, if this has none. */
	return style.indent[0] ? style : (struct json_style){ .indent = "  " };
}

static int read_root(struct project_reader *p)
{
	auto_json cJSON *j = NULL;
	auto_free char *file = NULL;
	struct slice text = manifest_text(p->texts, "");
	int r = text.len ? 0 : read_text(p->dirfd, "", &file, &text.len, p->e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (file)
		text.ptr = (const uint8_t *)file;
	r = parse("", text, &j, p->e);
	if (r < 0)
		return r;
	p->g->style = manifest_style(text);
	r = apply(p, 0, j);
	if (r == 0)
		r = overrides_parse(&p->g->arena, json_get(j, "overrides"), &p->g->overrides, p->e);
	if (r == 0 && json_true(j, "workspaces"))
		r = read_workspaces(p, json_get(j, "workspaces"));
	return r;
}

static bool is_outside(const char *path)
{
	return strncmp(path, "../", 3) == 0;
}

/* As for npm, a target whose package.json cannot be read is what the lock says. */
static int read_target(struct project_reader *p, uint32_t i)
{
	const struct graph_node *n = &p->g->nodes[i];
	auto_json cJSON *j = NULL;
	int r;

	if (p->done[i] || !(n->flags & NODE_TOP) || is_outside(n->path))
		return 0;
	r = read_manifest(p, n->path, &j, NULL);
	if (r == -ENOMEM)
		return err_set(p->e, r, "no memory for the packages that are linked");
	if (r < 0)
		return 0;
	return apply(p, i, j);
}

int manifest_project(struct graph *g, int dirfd, struct err *e)
{
	return manifest_project_as(g, dirfd, NULL, e);
}

int manifest_project_as(struct graph *g, int dirfd, const struct manifest_texts *texts,
			struct err *e)
{
	auto_free bool *done = calloc(g->count, sizeof *done);
	struct project_reader p = { .g = g, .dirfd = dirfd, .done = done, .texts = texts, .e = e };
	int r;

	if (!done)
		return err_set(e, -ENOMEM, "no memory for the project's packages");
	r = read_root(&p);
	for (uint32_t i = 0; i < g->count && r == 0; i++) {
		if (g->nodes[i].flags & NODE_LINK)
			r = read_target(&p, g->nodes[i].link_target);
	}
	return r;
}
