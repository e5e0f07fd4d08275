#include "lock/entry.h"
#include "lock/npmlock_priv.h"
#include "lock/published.h"
#include "lock/semver.h"
#include "lock/spec.h"

#include <strings.h>

/* A version 1 lock nests packages in each other, says of each what it was resolved to and which
 * names it requires, and nothing of bins, platforms and peers. It is made into the "packages" of
 * version 3 in four steps: the entries, then what their `requires` resolve to, then what the
 * manifests say, and then it is read as version 3 is. */

/* Paths are made absolute by spec_parse() and relative again here; where the project lies does not
 * matter for that. */
#define SOME_FOLDER "/0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/project"

#define V1_LINKS_MAX  10000u
#define V1_MEMORY_MAX ((size_t)512 << 20)

struct v1_entry {
	const char *path;
	const char *name;      /* as a folder, alias and all */
	const char *ask_name;  /* as which the registry is asked for it */
	const cJSON *requires; /* of the old lock; NULL */
	cJSON *made;           /* in `packages` */
	bool dev, optional;
};

struct v1 {
	struct arena arena; /* paths and specs */
	struct err *e;
	cJSON *packages;
	struct v1_entry *entries; /* owned; entries[i] is node i of the graphs made from packages */
	size_t count, cap;
	const char **targets; /* owned; of links */
	size_t target_count;
};

static int no_memory(struct v1 *v)
{
	return err_set(v->e, -ENOMEM, "no memory to convert a lock of version 1");
}

static int add_entry(struct v1 *v, struct v1_entry entry)
{
	if (v->count == GRAPH_NODES_MAX)
		return err_set(v->e, -E2BIG, "the lock has more than %u entries", GRAPH_NODES_MAX);
	if (v->count == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 256;
		struct v1_entry *bigger = reallocarray(v->entries, cap, sizeof *bigger);

		if (!bigger)
			return no_memory(v);
		v->entries = bigger;
		v->cap = cap;
	}
	entry.ask_name = entry.name;
	entry.made = cJSON_CreateObject();
	if (!entry.made || !cJSON_AddItemToObject(v->packages, entry.path, entry.made)) {
		cJSON_Delete(entry.made);
		return no_memory(v);
	}
	v->entries[v->count++] = entry;
	return 0;
}

static int put_str(struct v1 *v, cJSON *to, const char *key, const char *s)
{
	return !s || cJSON_AddStringToObject(to, key, s) ? 0 : no_memory(v);
}

static int put_slice(struct v1 *v, cJSON *to, const char *key, struct slice s)
{
	const char *copy = arena_strndup(&v->arena, s.ptr, s.len);

	return copy ? put_str(v, to, key, copy) : no_memory(v);
}

static int put_true(struct v1 *v, cJSON *to, const char *key, bool is)
{
	return !is || cJSON_AddTrueToObject(to, key) ? 0 : no_memory(v);
}

/* ---- what an old entry's version means ---- */

static bool parse_spec(struct v1 *v, const char *name, const char *text, struct spec *ret)
{
	return spec_parse(ret, slice_str(name), slice_str(text ? text : "*"), SLICE(SOME_FOLDER),
			  &v->arena, NULL) == 0;
}

static bool is_registry(const struct spec *s)
{
	return s->type == SPEC_VERSION || s->type == SPEC_RANGE || s->type == SPEC_TAG ||
	       s->type == SPEC_ALIAS;
}

/* npm's order of guesses; what cannot be parsed on the way ends them. false: nothing is known. */
static bool guess_spec(struct v1 *v, const char *name, const cJSON *old, struct spec *ret)
{
	const char *version = json_str(old, "version"), *from = json_str(old, "from");
	const char *resolved = json_str(old, "resolved");

	if (version && *version) {
		if (!parse_spec(v, name, version, ret))
			return false;
		if (json_true(old, "integrity") || ret->type == SPEC_GIT)
			return true;
	}
	if (from && *from) {
		if (!parse_spec(v, name, from, ret))
			return parse_spec(v, name, version, ret);
		if (is_registry(ret) && version && *version)
			return parse_spec(v, name, version, ret);
		if (!resolved || !*resolved)
			return true;
	}
	if (resolved && *resolved && parse_spec(v, name, resolved, ret))
		return true;
	return parse_spec(v, name, version, ret);
}

/* The start of the part that ends at `end`. */
static const char *part_before(const char *s, const char *end)
{
	while (end > s && end[-1] != '/')
		end--;
	return end;
}

/* The package's name as a registry's address has it, "<name>/-/<file>"; else `name`. */
static const char *name_in_address(struct v1 *v, const char *name, const char *where,
				   const char *file)
{
	const char *dash = file - 3, *from, *scope;

	if (strncasecmp(where, "http", 4) != 0 || file - where < 4 || memcmp(dash, "/-/", 3) != 0)
		return name;
	from = part_before(where, dash);
	scope = from > where ? part_before(where, from - 1) : from;
	if (*scope == '@')
		from = scope;
	return arena_strndup(&v->arena, from, (size_t)(dash - from));
}

/* The version in a tarball's name, name-1.2.3.tgz, and the name. */
static bool version_in_tarball(struct v1 *v, const char *name, const char *where,
			       const char **ret_name, const char **ret_version)
{
	const char *end = where + strcspn(where, "?#"), *file = part_before(where, end);
	const char *full = name_in_address(v, name, where, file), *project, *version;
	struct semver parsed;
	size_t len;

	if (!full || end - file < 5 || memcmp(end - 4, ".tgz", 4) != 0)
		return false;
	project = strrchr(full, '/') ? strrchr(full, '/') + 1 : full;
	len = strlen(project);
	if ((size_t)(end - file) < len + 5 || strncmp(file, project, len) != 0 || file[len] != '-')
		return false;
	version = arena_strndup(&v->arena, file + len + 1, (size_t)(end - file) - len - 5);
	if (!version || semver_parse(&parsed, slice_str(version), 0) < 0)
		return false;
	*ret_name = full;
	*ret_version = version;
	return true;
}

/* ---- one entry ---- */

static int put_git(struct v1 *v, cJSON *made, const struct spec *s)
{
	const char *text;

	if (s->host == GIT_HOST_NONE)
		return put_slice(v, made, "resolved", s->raw);
	text = arena_printf(&v->arena, "git+%.*s%s%.*s", SLICE_FMT(s->auth.len ? s->https : s->ssh),
			    s->committish.len ? "#" : "", SLICE_FMT(s->committish));
	return text ? put_str(v, made, "resolved", text) : no_memory(v);
}

static int put_resolved(struct v1 *v, cJSON *made, const cJSON *old, const struct spec *s)
{
	const char *path;

	if (is_registry(s))
		return put_str(v, made, "resolved", json_str(old, "resolved"));
	if (s->type != SPEC_FILE)
		return put_slice(v, made, "resolved", s->fetch);
	path = spec_way(SOME_FOLDER, s->fetch, &v->arena);
	path = path ? arena_printf(&v->arena, "file:%s", path) : NULL;
	return path ? put_str(v, made, "resolved", path) : no_memory(v);
}

static int put_version(struct v1 *v, cJSON *made, const char *name, const struct spec *s)
{
	const char *where, *real = name, *version;
	int r;

	if (s->type == SPEC_VERSION)
		return put_slice(v, made, "version", s->fetch);
	if (s->type == SPEC_ALIAS) {
		r = put_slice(v, made, "name", s->alias_name);
		return r < 0 ? r : put_slice(v, made, "version", s->fetch);
	}
	if (s->type != SPEC_FILE && s->type != SPEC_REMOTE)
		return 0;
	where = arena_strndup(&v->arena, s->fetch.ptr, s->fetch.len);
	if (!where)
		return no_memory(v);
	if (!version_in_tarball(v, name, where, &real, &version))
		return 0;
	r = strcmp(real, name) != 0 ? put_str(v, made, "name", real) : 0;
	return r < 0 ? r : put_str(v, made, "version", version);
}

static int fill_entry(struct v1 *v, cJSON *made, const char *name, const cJSON *old,
		      const struct spec *s)
{
	const char *version = json_str(old, "version"), *integrity = json_str(old, "integrity");
	bool named = false;
	int r = 0;

	if (integrity && *integrity)
		r = put_str(v, made, "integrity", integrity);
	if (r == 0 && s && version && *version && !(integrity && *integrity)) {
		if (s->type == SPEC_GIT)
			return put_git(v, made, s);
		named = is_registry(s) && s->type != SPEC_ALIAS;
		if (named)
			r = put_str(v, made, "version", version);
	}
	if (r == 0 && s)
		r = put_resolved(v, made, old, s);
	if (r == 0 && s && !named)
		r = put_version(v, made, name, s);
	return r < 0 ? r : put_true(v, made, "inBundle", json_true(old, "bundled"));
}

static bool is_known_target(const struct v1 *v, const char *path)
{
	for (size_t i = 0; i < v->target_count; i++) {
		if (strcmp(v->targets[i], path) == 0)
			return true;
	}
	return false;
}

/* The target of a link, once; it has what the old entry says, but no version. */
static int add_target(struct v1 *v, const char *path, const char *name, const cJSON *old)
{
	const char **bigger;

	if (*path == '\0' || is_known_target(v, path))
		return 0;
	if (v->target_count == V1_LINKS_MAX)
		return err_set(v->e, -E2BIG, "the lock has more than %u links", V1_LINKS_MAX);
	bigger = reallocarray(v->targets, v->target_count + 1, sizeof *bigger);
	if (!bigger)
		return no_memory(v);
	v->targets = bigger;
	v->targets[v->target_count++] = path;
	return add_entry(v, (struct v1_entry){ .path = path,
					       .name = name,
					       .requires = json_get(old, "requires"),
					       .dev = json_true(old, "dev"),
					       .optional = json_true(old, "optional") });
}

/* *ret_below: where what is nested in it belongs. */
static int convert_entry(struct v1 *v, const char *path, const char *name, const cJSON *old,
			 const char **ret_below)
{
	struct v1_entry entry = { .path = path,
				  .name = name,
				  .dev = json_true(old, "dev"),
				  .optional = json_true(old, "optional") };
	struct spec s;
	bool known = guess_spec(v, name, old, &s);
	cJSON *made;
	int r;

	*ret_below = path;
	entry.requires = known && s.type == SPEC_DIRECTORY ? NULL : json_get(old, "requires");
	r = add_entry(v, entry);
	if (r < 0)
		return r;
	made = v->entries[v->count - 1].made;
	/* npm asks for an alias by its own name only if the lock has no integrity of it. */
	if (known && s.type == SPEC_ALIAS && !json_true(old, "integrity")) {
		v->entries[v->count - 1].ask_name =
			arena_strndup(&v->arena, s.alias_name.ptr, s.alias_name.len);
		if (!v->entries[v->count - 1].ask_name)
			return no_memory(v);
	}
	if (!known || s.type != SPEC_DIRECTORY)
		return fill_entry(v, made, name, old, known ? &s : NULL);
	*ret_below = spec_way(SOME_FOLDER, s.fetch, &v->arena);
	if (!*ret_below)
		return no_memory(v);
	r = put_true(v, made, "link", true);
	if (r == 0)
		r = put_str(v, made, "resolved", **ret_below ? *ret_below : ".");
	return r < 0 ? r : add_target(v, *ret_below, name, old);
}

/* ---- all entries ---- */

struct level {
	const cJSON *next; /* the dependency to convert next; NULL: the level is done */
	const char *below; /* whose node_modules it goes into */
};

static int convert_all(struct v1 *v, const cJSON *lock)
{
	struct level levels[JSON_DEPTH_MAX + 1];
	const cJSON *deps = json_get(lock, "dependencies");
	int depth = 0, r;

	levels[0] = (struct level){ cJSON_IsObject(deps) ? deps->child : NULL, "" };
	while (depth >= 0) {
		const cJSON *old = levels[depth].next;
		const char *below = levels[depth].below, *path, *inside;

		if (!old) {
			depth--;
			continue;
		}
		levels[depth].next = old->next;
		if (!cJSON_IsObject(old))
			return err_set(v->e, -EINVAL,
				       "the lock's dependency \"%.80s\" is no object", old->string);
		path = arena_printf(&v->arena, "%s%snode_modules/%s", below, *below ? "/" : "",
				    old->string);
		if (!path)
			return no_memory(v);
		r = convert_entry(v, path, old->string, old, &inside);
		if (r < 0)
			return r;
		deps = json_get(old, "dependencies");
		if (cJSON_IsObject(deps) && deps->child)
			levels[++depth] = (struct level){ deps->child, inside };
	}
	return 0;
}

/* ---- requires ---- */

static cJSON *section_of(struct v1 *v, size_t i, uint32_t dep)
{
	const struct v1_entry *entry = &v->entries[i];
	const char *key = "dependencies";
	cJSON *section;

	if (dep != GRAPH_NONE && v->entries[dep].optional && !entry->optional)
		key = "optionalDependencies";
	else if (dep != GRAPH_NONE && v->entries[dep].dev && !entry->dev)
		key = "devDependencies";
	section = cJSON_GetObjectItemCaseSensitive(entry->made, key);
	return section ? section : cJSON_AddObjectToObject(entry->made, key);
}

static int put_requires(struct v1 *v, const struct graph *g, size_t i)
{
	const struct v1_entry *entry = &v->entries[i];
	const cJSON *m;

	if (!cJSON_IsObject(entry->requires))
		return 0;
	cJSON_ArrayForEach(m, entry->requires)
	{
		const char *range = cJSON_GetStringValue(m);
		cJSON *section = section_of(v, i, graph_resolve(g, (uint32_t)i, m->string));

		if (!section || !cJSON_AddStringToObject(section, m->string, range ? range : "*"))
			return no_memory(v);
	}
	return 0;
}

/* A bundled child whose parent requires it is in the parent's list of bundled names. */
static int put_bundles(struct v1 *v, const struct graph *g)
{
	for (uint32_t i = 1; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];
		cJSON *list, *name;

		if (n->parent == GRAPH_NONE || n->parent == 0 || !(n->flags & NODE_IN_BUNDLE) ||
		    g->nodes[n->parent].flags & NODE_IN_BUNDLE ||
		    !json_get(v->entries[n->parent].requires, n->name))
			continue;
		list = cJSON_GetObjectItemCaseSensitive(v->entries[n->parent].made,
							"bundleDependencies");
		if (!list)
			list = cJSON_AddArrayToObject(v->entries[n->parent].made,
						      "bundleDependencies");
		name = cJSON_CreateString(n->name);
		if (!list || !name || !cJSON_AddItemToArray(list, name)) {
			cJSON_Delete(name);
			return no_memory(v);
		}
	}
	return 0;
}

/* ---- manifests ---- */

/* As npm does, everything in a node_modules is asked for, by the folder's name and its version,
 * even an alias with integrity; what the registry does not have stays as it
 * is. */
static bool wants_manifest(const struct graph_node *n)
{
	return strncmp(n->path, "node_modules/", 13) == 0 && !(n->flags & NODE_LINK) &&
	       n->version && !(n->resolved && strncmp(n->resolved, "file:", 5) == 0);
}

static bool is_file_tarball(const struct graph_node *n)
{
	return !(n->flags & NODE_LINK) && n->version && n->resolved &&
	       strncmp(n->resolved, "file:", 5) == 0;
}

/* The manifest of a tarball on disk is in it. */
static int ask_tarball(struct v1 *v, const struct graph *g, const struct catalog *catalog,
		       uint32_t i)
{
	static const char *const path = "package.json";
	const struct graph_node *n = &g->nodes[i];
	const struct catalog_package pkg = { n->pkg_name, n->version, n->resolved, n->integrity };
	auto_json cJSON *mani = NULL;
	int r = catalog->files(catalog->self, &pkg, &path, 1, &mani, v->e);

	if (r == -ENOENT || (r == 0 && !mani))
		return 0;
	if (r < 0)
		return err_wrap(v->e, r, "a lock of version 1 needs its packages' manifests");
	return published_entry(&v->arena, v->entries[i].made, mani, v->entries[i].name, v->e);
}

/* Where the lock has none, npm takes the manifest's for what it is; so do we, if that speaks of the
 * same tarball. */
static int put_integrity(struct v1 *v, cJSON *made, const cJSON *mani)
{
	const cJSON *dist = json_get(mani, "dist");
	const char *resolved = json_str(made, "resolved"), *tarball = json_str(dist, "tarball");

	if (json_get(made, "integrity") ||
	    (resolved && (!tarball || strcmp(resolved, tarball) != 0)))
		return 0;
	return put_str(v, made, "integrity", json_str(dist, "integrity"));
}

static int ask(struct v1 *v, const struct graph *g, const struct catalog *catalog, uint32_t i)
{
	const struct graph_node *n = &g->nodes[i];
	auto_json cJSON *mani = NULL;
	int r;

	r = catalog->manifest(catalog->self, v->entries[i].ask_name, n->version, &mani, v->e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_wrap(v->e, r, "a lock of version 1 needs the registry");
	r = published_entry(&v->arena, v->entries[i].made, mani, v->entries[i].name, v->e);
	return r < 0 ? r : put_integrity(v, v->entries[i].made, mani);
}

static int put_manifests(struct v1 *v, const struct graph *g, const struct catalog *catalog)
{
	auto_free const char **names = calloc((size_t)g->count + 1, sizeof *names);
	size_t n = 0;
	int r = 0;

	if (!names)
		return no_memory(v);
	for (uint32_t i = 1; i < g->count; i++) {
		if (wants_manifest(&g->nodes[i]))
			names[n++] = v->entries[i].ask_name;
	}
	if (n && !catalog)
		return err_set(v->e, -ENETUNREACH,
			       "a lock of version 1 says nothing of bins and platforms, and no "
			       "registry can be asked; make it anew with `npm install "
			       "--package-lock-only`");
	if (n && catalog->hint)
		catalog->hint(catalog->self, names, n);
	for (uint32_t i = 1; i < g->count && r == 0; i++) {
		if (wants_manifest(&g->nodes[i]))
			r = ask(v, g, catalog, i);
		else if (is_file_tarball(&g->nodes[i]) && catalog && catalog->files)
			r = ask_tarball(v, g, catalog, i);
	}
	return r;
}

/* ---- what bundlers carry ---- */

/* npm reads what was bundled from the disk, where the tarball put it, whatever the registry says of
 * a package of that name and version. */
struct carried {
	const char **paths; /* in the tarball */
	uint32_t *nodes;
	cJSON **manifests; /* owned */
	uint32_t count;
};

static void carried_release(struct carried *c)
{
	for (uint32_t i = 0; i < c->count && c->manifests; i++)
		cJSON_Delete(c->manifests[i]);
	free(c->paths);
	free(c->nodes);
	free(c->manifests);
}

static int list_carried(struct v1 *v, const struct graph *g, uint32_t bundler, struct carried *c)
{
	const char *path = g->nodes[bundler].path;
	size_t len = strlen(path);

	c->paths = calloc(g->count, sizeof *c->paths);
	c->nodes = calloc(g->count, sizeof *c->nodes);
	c->manifests = calloc(g->count, sizeof *c->manifests);
	if (!c->paths || !c->nodes || !c->manifests)
		return no_memory(v);
	for (uint32_t i = 1; i < g->count; i++) {
		const struct graph_node *n = &g->nodes[i];

		if (!(n->flags & NODE_IN_BUNDLE) || strncmp(n->path, path, len) != 0 ||
		    strncmp(n->path + len, "/node_modules/", 14) != 0)
			continue;
		c->paths[c->count] = arena_printf(&v->arena, "%s/package.json", n->path + len + 1);
		if (!c->paths[c->count])
			return no_memory(v);
		c->nodes[c->count++] = i;
	}
	return 0;
}

static int put_carried(struct v1 *v, const struct graph *g, const struct catalog *catalog,
		       uint32_t bundler)
{
	const struct graph_node *n = &g->nodes[bundler];
	const struct catalog_package pkg = { n->pkg_name, n->version, n->resolved, n->integrity };
	struct carried c cleanup(carried_release) = { 0 };
	int r = list_carried(v, g, bundler, &c);

	if (r < 0 || c.count == 0)
		return r;
	r = catalog->files(catalog->self, &pkg, c.paths, c.count, c.manifests, v->e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_wrap(v->e, r, "a lock of version 1 needs what is bundled");
	for (uint32_t i = 0; i < c.count && r == 0; i++) {
		struct v1_entry *entry = &v->entries[c.nodes[i]];

		if (!c.manifests[i])
			continue;
		cJSON_DeleteItemFromObjectCaseSensitive(entry->made, "integrity");
		r = published_entry(&v->arena, entry->made, c.manifests[i], entry->name, v->e);
	}
	return r;
}

static int put_all_carried(struct v1 *v, const struct graph *g, const struct catalog *catalog)
{
	int r = 0;

	for (uint32_t i = 1; i < g->count && r == 0 && catalog && catalog->files; i++) {
		const struct graph_node *n = &g->nodes[i];

		if (wants_manifest(n) && !(n->flags & NODE_IN_BUNDLE) &&
		    json_get(v->entries[i].made, "bundleDependencies"))
			r = put_carried(v, g, catalog, i);
	}
	return r;
}

static int add_root(struct v1 *v, const cJSON *lock)
{
	const char *name = json_str(lock, "name"), *version = json_str(lock, "version");
	int r = add_entry(v, (struct v1_entry){ .path = "", .name = "" });

	if (r == 0)
		r = put_str(v, v->entries[0].made, "name", name);
	return r < 0 ? r : put_str(v, v->entries[0].made, "version", version);
}

/* What the lock itself says; `places` is filled with what was known before edges were. */
static int convert_bare(struct v1 *v, struct graph *places, const cJSON *lock)
{
	int r;

	v->packages = cJSON_CreateObject();
	if (!places || !v->packages)
		return no_memory(v);
	r = add_root(v, lock);
	if (r == 0)
		r = convert_all(v, lock);
	if (r == 0)
		r = npmlock_packages(places, v->packages, v->e);
	for (size_t i = 1; i < v->count && r == 0; i++)
		r = put_requires(v, places, i);
	return r == 0 ? put_bundles(v, places) : r;
}

static int convert(struct v1 *v, struct graph *g, const cJSON *lock,
		   const struct npmlock_options *o)
{
	auto_graph struct graph *places = graph_new();
	int r = convert_bare(v, places, lock);

	if (r == 0)
		r = put_manifests(v, places, o->catalog);
	if (r == 0)
		r = put_all_carried(v, places, o->catalog);
	return r < 0 ? r : npmlock_packages(g, v->packages, v->e);
}

static void release(struct v1 *v)
{
	cJSON_Delete(v->packages);
	free(v->entries);
	free(v->targets);
	arena_release(&v->arena);
}

int npmlock_v1_bare(cJSON **ret, const cJSON *lock, struct err *e)
{
	struct v1 v = { .arena = ARENA_INIT(V1_MEMORY_MAX), .e = e };
	auto_graph struct graph *places = graph_new();
	int r = convert_bare(&v, places, lock);

	if (r == 0)
		*ret = take(&v.packages);
	release(&v);
	return r;
}

int npmlock_v1(struct graph *g, const cJSON *lock, const struct npmlock_options *o, struct err *e)
{
	struct v1 v = { .arena = ARENA_INIT(V1_MEMORY_MAX), .e = e };
	int r = convert(&v, g, lock, o);

	release(&v);
	return r;
}
