#include "core/file.h"
#include "core/hash.h"
#include "lock/graph_priv.h"
#include "lock/ideal_priv.h"
#include "lock/manifest.h"
#include "lock/npmlock.h"
#include "lock/published.h"

#include <fcntl.h>
#include <stdio.h>

/* The project's package.json files and the lock to keep to, as a tree. */

/* What is to be read instead of <folder>/package.json, absolute; len 0: nothing. */
static struct slice text_instead(const struct ideal *d, const char *folder)
{
	size_t n = strlen(d->o->dir);

	if (strncmp(folder, d->o->dir, n) != 0 || (folder[n] != '/' && folder[n]))
		return (struct slice){ 0 };
	return manifest_text(&d->o->manifests, folder[n] ? folder + n + 1 : "");
}

/* <folder>/package.json, absolute. */
static int read_json(struct ideal *d, const char *folder, cJSON **ret, struct err *e)
{
	auto_free char *file = NULL, *path = NULL;
	struct slice text = text_instead(d, folder);
	cJSON *j = NULL;
	int r = 0;

	if (asprintf(&path, "%s/package.json", folder) < 0) {
		path = NULL;
		return ideal_stick(d, -ENOMEM);
	}
	if (!text.len)
		r = file_read_all(AT_FDCWD, path, MANIFEST_SIZE_MAX, &file, &text.len, e);
	if (r < 0)
		return r;
	if (file)
		text.ptr = (const uint8_t *)file;
	r = json_parse(&j, text, e);
	if (r == 0 && !cJSON_IsObject(j))
		r = err_set(e, -EBADMSG, "its JSON is no object");
	if (r == 0)
		r = published_folder_bins(&d->arena, j, folder, e);
	if (r < 0) {
		cJSON_Delete(j);
		return err_wrap(e, r, "%s", path);
	}
	*ret = j;
	return 0;
}

struct inode *ideal_read_folder(struct ideal *d, struct iname *name, struct slice folder)
{
	const char *abs = arena_strndup(&d->arena, folder.ptr, folder.len);
	const char *path = spec_way(d->o->dir, folder, &d->arena);
	auto_json cJSON *j = NULL;
	struct ipkg *pkg = d->empty;
	struct inode *n;

	if (!abs || !path)
		return NULL;
	/* As for npm, what cannot be read says nothing. */
	if (read_json(d, abs, &j, NULL) == 0)
		pkg = ideal_pkg_of(d, j, NULL, true, d->e);
	n = pkg ? ideal_node(d, name, pkg) : NULL;
	if (n)
		n->path = path;
	return n;
}

/* ---- root and workspaces ---- */

static int add_workspace(struct ideal *d, const char *path)
{
	auto_json cJSON *j = NULL;
	struct err why = { 0 };
	const char *folder = arena_printf(&d->arena, "%s/%s", d->o->dir, path), *name;
	struct iworkspace *w = &d->workspaces[d->workspace_count];
	int r;

	if (!folder)
		return ideal_stick(d, -ENOMEM);
	r = read_json(d, folder, &j, &why);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return err_set(d->e, r, "%s", why.msg);
	name = json_str(j, "name");
	w->name = ideal_name(d, name && *name ? name : graph_folder_name(path));
	w->path = path;
	if (!w->name)
		return ideal_stick(d, -ENOMEM);
	for (uint32_t i = 0; i < d->workspace_count; i++) {
		if (d->workspaces[i].name == w->name)
			return err_set(d->e, -EINVAL,
				       "two workspaces have the name \"%.80s\": %.50s and %.50s",
				       w->name->text, d->workspaces[i].path, path);
	}
	d->workspace_count++;
	return 0;
}

static int read_workspaces(struct ideal *d, const cJSON *patterns)
{
	struct graph_strings paths = { 0 };
	int r = workspaces_find(&d->arena, d->o->dirfd, patterns, &paths, d->e);

	if (r < 0)
		return r;
	d->workspaces = arena_array(&d->arena, (size_t)paths.count + 1, sizeof *d->workspaces);
	if (!d->workspaces)
		return ideal_stick(d, -ENOMEM);
	for (uint32_t i = 0; i < paths.count && r == 0; i++)
		r = add_workspace(d, paths.items[i]);
	return r;
}

static int read_root(struct ideal *d)
{
	auto_json cJSON *j = NULL;
	const char *folder = strrchr(d->o->dir, '/');
	struct err why = { 0 };
	struct ipkg *pkg;
	int r = read_json(d, d->o->dir, &j, &why);

	if (r < 0)
		return err_set(d->e, r, "%s", why.msg);
	r = overrides_parse(&d->arena, json_get(j, "overrides"), &d->overrides, d->e);
	if (r == 0 && json_true(j, "workspaces"))
		r = read_workspaces(d, json_get(j, "workspaces"));
	if (r < 0)
		return r;
	pkg = ideal_pkg_of(d, j, NULL, true, d->e);
	d->tree = pkg ? ideal_node(d, ideal_name(d, folder && folder[1] ? folder + 1 : "root"), pkg)
		      : NULL;
	if (!d->tree)
		return ideal_stick(d, -ENOMEM);
	d->tree->path = "";
	d->tree->rule = d->overrides;
	return 0;
}

struct inode *ideal_top_in(const struct ideal *d, const char *folder)
{
	struct inode *n = d->tree->first_fs;

	while (n && strcmp(n->path, folder) != 0) {
		size_t len = strlen(n->path);

		/* Tops stand below the top in whose folder they lie. */
		if (strncmp(folder, n->path, len) == 0 && folder[len] == '/')
			n = n->first_fs;
		else
			n = n->fs_next;
	}
	return *folder ? n : d->tree;
}

int ideal_reread(struct ideal *d, const struct manifest_texts *texts)
{
	d->settled = true;
	for (size_t i = 0; i < texts->count; i++) {
		struct inode *n = ideal_top_in(d, texts->items[i].folder);
		auto_json cJSON *j = NULL;
		struct ipkg *pkg;
		int r = n ? json_parse(&j, texts->items[i].text, d->e) : 0;

		if (r < 0)
			return r;
		pkg = n ? ideal_pkg_of(d, j, NULL, true, d->e) : NULL;
		if (n && !pkg)
			return ideal_stick(d, -ENOMEM);
		if (n)
			n->pkg = pkg;
	}
	d->settled = false;
	return 0;
}

/* ---- the lock ---- */

/* "a/node_modules/@s/b" is b's place in a's. NULL: stands in no node_modules. */
static const char *split(const char *path, size_t *ret_holder)
{
	const char *name = graph_folder_name(path);
	size_t before = (size_t)(name - path);

	if (before < 13 || memcmp(name - 13, "node_modules/", 13) != 0 ||
	    (before > 13 && name[-14] != '/'))
		return NULL;
	*ret_holder = before == 13 ? 0 : before - 14;
	return name;
}

static struct inode *find(struct ideal *d, const char *path, size_t len)
{
	struct hash128 h = hash128_keyed(path, len, hash_seed());
	uint64_t k[2];

	if (len == 0)
		return d->tree;
	memcpy(k, h.b, sizeof k);
	return table_get(d->loads, k[0], k[1]);
}

static int remember(struct ideal *d, struct inode *n)
{
	struct hash128 h = hash128_keyed(n->path, strlen(n->path), hash_seed());
	uint64_t k[2];
	void **at;

	memcpy(k, h.b, sizeof k);
	at = table_at(d->loads, k[0], k[1]);
	if (!at)
		return ideal_stick(d, -ENOMEM);
	*at = n;
	return 0;
}

static const char *absolute_file(struct ideal *d, const char *resolved)
{
	if (!resolved || strncmp(resolved, "file:", 5) != 0 || resolved[5] == '/')
		return resolved;
	return arena_printf(&d->arena, "file:%s/%s", d->o->dir, resolved + 5);
}

static int load_node(struct ideal *d, const char *path, const cJSON *entry)
{
	size_t holder = 0;
	const char *name = split(path, &holder);
	struct inode *parent = name ? find(d, path, holder) : NULL, *n;
	struct ipkg *pkg;

	if (!name)
		name = graph_folder_name(path);
	else if (!parent)
		return 0; /* stands in nothing: npm would drop it as extraneous */
	pkg = ideal_pkg_of(d, entry, name, false, d->e);
	n = pkg ? ideal_node(d, ideal_name(d, name), pkg) : NULL;
	if (!n)
		return ideal_stick(d, -ENOMEM);
	n->resolved = absolute_file(d, n->resolved);
	if (json_true(entry, "inBundle"))
		n->flags |= I_IN_BUNDLE;
	if (parent) {
		ideal_attach(d, n, parent);
	} else {
		n->path = arena_strdup(&d->arena, path);
		ideal_attach_top(d, n, d->tree);
	}
	return d->error ? d->error : remember(d, n);
}

static int load_link(struct ideal *d, const char *path, const cJSON *entry)
{
	const char *resolved = json_str(entry, "resolved"), *name;
	char clean[GRAPH_PATH_MAX + 2];
	struct inode *parent, *target, *n;
	auto_json cJSON *j = NULL;
	const char *folder;
	size_t holder = 0;

	name = split(path, &holder);
	parent = name ? find(d, path, holder) : NULL;
	if (!parent || !resolved || strlen(resolved) > GRAPH_PATH_MAX)
		return 0;
	graph_clean_path(resolved, clean);
	target = find(d, clean, strlen(clean));
	if (!target)
		return err_set(d->e, -EINVAL,
			       "the lock's entry \"%.60s\" links to \"%.60s\", which the lock does "
			       "not have (EMISSINGTARGET); remove it to make it anew",
			       path, clean);
	/* What the user may have changed is read anew. */
	if (!target->parent && target != d->tree) {
		folder = arena_printf(&d->arena, "%s/%s", d->o->dir, target->path);
		if (folder && read_json(d, folder, &j, NULL) == 0) {
			struct ipkg *pkg = ideal_pkg_of(d, j, NULL, true, d->e);

			if (!pkg)
				return ideal_stick(d, -ENOMEM);
			target->pkg = pkg;
			target->resolved = target->integrity = NULL;
		}
	}
	n = ideal_node(d, ideal_name(d, name), target->pkg);
	if (!n)
		return d->error;
	n->flags |= I_LINK;
	n->resolved = target->path;
	n->integrity = NULL;
	ideal_set_target(n, target);
	ideal_attach(d, n, parent);
	return d->error ? d->error : remember(d, n);
}

static int load_edges(struct ideal *d, struct inode *n)
{
	int r = 0;

	if (!(n->flags & I_LINK) && n != d->tree)
		r = ideal_load_edges(d, n, ideal_template(d, n->pkg, ideal_is_top(n)));
	for (struct inode *c = n->first_child; c && r == 0; c = c->next)
		r = load_edges(d, c);
	for (struct inode *c = n->first_fs; c && r == 0; c = c->fs_next)
		r = load_edges(d, c);
	return r;
}

static int load_lock(struct ideal *d, struct slice text)
{
	auto_json cJSON *j = NULL;
	const cJSON *packages, *m;
	int r = json_parse(&j, text, d->e);

	if (r < 0)
		return r;
	packages = json_get(j, "packages");
	cJSON_ArrayForEach(m, packages)
	{
		if (r == 0 && m->string[0] && !json_true(m, "link"))
			r = load_node(d, m->string, m);
	}
	cJSON_ArrayForEach(m, packages)
	{
		if (r == 0 && m->string[0] && json_true(m, "link"))
			r = load_link(d, m->string, m);
	}
	/* The table is for packages from here on. */
	table_free(d->loads);
	d->loads = table_new();
	if (!d->loads)
		return ideal_stick(d, -ENOMEM);
	return r;
}

int ideal_read_project(struct ideal *d, struct slice lock)
{
	int r = read_root(d);

	if (r == 0 && lock.len)
		r = load_lock(d, lock);
	if (r == 0)
		r = ideal_load_edges(d, d->tree, ideal_template(d, d->tree->pkg, true));
	if (r == 0)
		r = load_edges(d, d->tree);
	return r < 0 ? r : d->error;
}
