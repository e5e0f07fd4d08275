#include "lock/ideal_priv.h"
#include "lock/npmlock_priv.h"

#include <stdio.h>

/* What is not a registry's word alone: tarballs named by URL or path, and what bundlers carry. npm
 * unpacks a bundler when its turn comes and takes what lies in its node_modules, whatever it is. */

/* ---- tarballs ---- */

/* "file:" and the absolute path, or the URL. */
static const char *address(struct ideal *d, const struct spec *s)
{
	return arena_printf(&d->arena, "%s%.*s", s->type == SPEC_FILE ? "file:" : "",
			    SLICE_FMT(s->fetch));
}

int ideal_load_tarball(struct ideal *d, struct iload *l, const struct spec *s,
		       const char *integrity)
{
	const struct catalog *c = d->o->catalog;
	struct catalog_contents all cleanup(catalog_contents_release) = { 0 };
	struct catalog_package pkg = { .name = l->name->text,
				       .resolved = address(d, s),
				       .integrity = integrity };
	const cJSON *mani;
	struct err e = { 0 };
	int r = -ENOENT;

	if (!pkg.resolved)
		return ideal_stick(d, -ENOMEM);
	if (c->contents)
		r = c->contents(c->self, &pkg, &all, &e);
	else
		(void)err_set(&e, r, "%s: no tarball is to be had", l->name->text);
	if (r < 0)
		return ideal_failed(d, l, r, e.msg);
	mani = json_get(all.manifests, "package.json");
	if (!mani) {
		(void)err_set(&e, -EBADMSG, "%s: %s has no package.json", l->name->text,
			      pkg.resolved);
		return ideal_failed(d, l, -EBADMSG, e.msg);
	}
	l->pkg = ideal_pkg_of(d, mani, l->name->text, true, &e);
	if (!l->pkg)
		return ideal_stick(d, -ENOMEM);
	l->pkg->file = false;
	l->pkg->resolved = pkg.resolved;
	l->pkg->integrity = arena_strdup(&d->arena, all.integrity);
	return l->pkg->integrity ? 0 : ideal_stick(d, -ENOMEM);
}

/* ---- git ---- */

int ideal_load_git(struct ideal *d, struct iload *l, const struct spec *s)
{
	const struct catalog *c = d->o->catalog;
	auto_catalog_git struct catalog_git got = { 0 };
	struct err e = { 0 };
	int r = -ENOENT;

	if (c->git)
		r = c->git(c->self, s, &got, &e);
	else
		(void)err_set(&e, r, "%s: no git repository can be asked", l->name->text);
	if (r < 0) {
		r = err_wrap(&e, r, "%s", l->name->text);
		return ideal_failed(d, l, r, e.msg);
	}
	l->pkg = ideal_pkg_of(d, got.manifest, l->name->text, true, &e);
	if (!l->pkg)
		return ideal_stick(d, -ENOMEM);
	l->pkg->file = false;
	l->pkg->resolved = arena_strdup(&d->arena, got.resolved);
	return l->pkg->resolved ? 0 : ideal_stick(d, -ENOMEM);
}

/* ---- what lies below ---- */

struct carried {
	const char *path; /* of its folder */
	const cJSON *mani;
};

static int by_length(const void *a, const void *b)
{
	const struct carried *x = a, *y = b;
	size_t m = strlen(x->path), n = strlen(y->path);

	return m != n ? (m > n) - (m < n) : strcmp(x->path, y->path);
}

/* The node that has `path` below n; NULL. */
static struct inode *below(struct ideal *d, struct inode *n, const char *path, size_t len)
{
	char name[GRAPH_PATH_MAX + 1];

	while (n && len) {
		const char *rest = path + 13, *next = strstr(rest, "/node_modules/");
		size_t name_len;
		struct iname *in;

		if (!next || (size_t)(next - path) > len)
			next = path + len;
		name_len = (size_t)(next - rest);
		memcpy(name, rest, name_len);
		name[name_len] = '\0';
		in = ideal_name(d, name);
		n = in ? ideal_child(d, n, in) : NULL;
		len -= (size_t)(next - path);
		path = next;
		if (len) {
			path++;
			len--;
		}
	}
	return n;
}

static struct catalog_package package_of(const struct inode *n)
{
	return (struct catalog_package){
		.name = n->pkg->name ? n->pkg->name->text : n->name->text,
		.version = n->pkg->version,
		.resolved = n->resolved,
		.integrity = n->integrity,
	};
}

/* A package below another: in its tarball (`bundled`), or listed by its shrinkwrap. */
static int add_below(struct ideal *d, struct inode *bundler, const struct carried *c, bool bundled,
		     struct inode **ret)
{
	const char *name = graph_folder_name(c->path);
	size_t holder = (size_t)(name - c->path) - 13;
	struct inode *parent = below(d, bundler, c->path, holder ? holder - 1 : 0), *n;
	struct ipkg *pkg;

	*ret = NULL;
	if (!parent)
		return 0;
	pkg = ideal_pkg_of(d, c->mani, name, bundled, d->e);
	n = pkg ? ideal_node(d, ideal_name(d, name), pkg) : NULL;
	if (!n)
		return ideal_stick(d, -ENOMEM);
	pkg->file = false;
	if (bundled || json_true(c->mani, "inBundle"))
		n->flags |= I_IN_BUNDLE;
	ideal_attach(d, n, parent);
	*ret = n;
	return d->error;
}

/* Packages below one; those that hold others first. */
static int add_list(struct ideal *d, struct inode *holder, struct carried *list, size_t count,
		    bool bundled)
{
	auto_iset struct iset added = { .d = d };
	int r = 0;

	qsort(list, count, sizeof *list, by_length);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct inode *made;

		r = add_below(d, holder, &list[i], bundled, &made);
		if (r == 0 && made)
			(void)iset_add(&added, made);
	}
	for (uint32_t i = 0; i < added.count && r == 0; i++)
		r = ideal_load_edges(d, added.items[i],
				     ideal_template(d, added.items[i]->pkg, false));
	return r;
}

static int add_all_carried(struct ideal *d, struct inode *bundler, const cJSON *manifests)
{
	auto_free struct carried *list =
		calloc((size_t)cJSON_GetArraySize(manifests) + 1, sizeof *list);
	const cJSON *m;
	size_t n = 0;

	if (!list)
		return ideal_stick(d, -ENOMEM);
	cJSON_ArrayForEach(m, manifests)
	{
		size_t len = strlen(m->string);

		if (strncmp(m->string, "node_modules/", 13) != 0)
			continue;
		list[n].path = arena_strndup(&d->arena, m->string, len - strlen("/package.json"));
		list[n].mani = m;
		if (!list[n++].path)
			return ideal_stick(d, -ENOMEM);
	}
	return add_list(d, bundler, list, n, true);
}

/* ---- shrinkwraps ---- */

/* What the shrinkwrap lists stands below its package, whatever else there is. Links and folders in
 * it would be other packages' of the same tarball; they are left to the tarball. */
static int add_listed(struct ideal *d, struct inode *wrapper, const cJSON *packages)
{
	auto_free struct carried *list =
		calloc((size_t)cJSON_GetArraySize(packages) + 1, sizeof *list);
	const cJSON *m;
	size_t n = 0;

	if (!list)
		return ideal_stick(d, -ENOMEM);
	cJSON_ArrayForEach(m, packages)
	{
		if (cJSON_IsObject(m) && graph_is_installed(m->string) && !json_true(m, "link"))
			list[n++] = (struct carried){ m->string, m };
	}
	return add_list(d, wrapper, list, n, false);
}

int ideal_open_shrinkwrap(struct ideal *d, struct inode *n)
{
	static const char *const names[] = { "npm-shrinkwrap.json", "package-lock.json" };
	const struct catalog *c = d->o->catalog;
	const struct catalog_package pkg = package_of(n);
	cJSON *files[ARRAY_LEN(names)] = { 0 };
	auto_json cJSON *made = NULL;
	const cJSON *lock, *packages;
	int r;

	if (!(n->flags & I_SHRINKWRAP) || n == d->tree || n->flags & I_LINK || !n->resolved ||
	    n->first_child || !c->files)
		return 0;
	r = c->files(c->self, &pkg, names, ARRAY_LEN(names), files, d->e);
	lock = files[0] ? files[0] : files[1];
	packages = json_get(lock, "packages");
	if (r == 0 && lock && !cJSON_IsObject(packages)) {
		r = npmlock_v1_bare(&made, lock, d->e);
		packages = made;
	}
	if (r == 0)
		r = add_listed(d, n, packages);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		cJSON_Delete(files[i]);
	return r < 0 ? err_wrap(d->e, r, "%s@%s: its own shrinkwrap", pkg.name, pkg.version) : 0;
}

/* ---- bundles ---- */

int ideal_open_bundle(struct ideal *d, struct inode *n)
{
	const struct catalog *c = d->o->catalog;
	struct catalog_contents all cleanup(catalog_contents_release) = { 0 };
	const struct catalog_package pkg = package_of(n);
	int r;

	if (n->pkg->bundled_count == 0 || n == d->tree || n->flags & I_LINK || !n->resolved ||
	    !c->contents)
		return 0;
	r = c->contents(c->self, &pkg, &all, d->e);
	return r < 0 ? r : add_all_carried(d, n, all.manifests);
}
