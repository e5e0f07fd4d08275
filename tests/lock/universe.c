#include "tests/lock/universe.h"

#include "lock/semver.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* Nothing is unpacked here. */
#define NO_DIGEST                                                                                  \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"     \
	"AA=="

struct world {
	struct world *next;
	char *name;
	cJSON *json;
	struct buf blob;
	struct packument p;
	bool built;
};

struct universe {
	struct world *worlds;
	unsigned asked;
};

static struct world *world_of(struct universe *u, const char *name, bool make)
{
	struct world *w;

	for (w = u->worlds; w && strcmp(w->name, name) != 0;)
		w = w->next;
	if (w || !make)
		return w;
	w = calloc(1, sizeof *w);
	cr_assert(w);
	w->name = strdup(name);
	w->blob = (struct buf)BUF_INIT((size_t)1 << 20);
	w->json = cJSON_CreateObject();
	(void)cJSON_AddStringToObject(w->json, "name", name);
	(void)cJSON_AddObjectToObject(w->json, "dist-tags");
	(void)cJSON_AddObjectToObject(w->json, "versions");
	(void)cJSON_AddObjectToObject(w->json, "time");
	w->next = u->worlds;
	u->worlds = w;
	return w;
}

static cJSON *section(cJSON *v, const char *key)
{
	cJSON *s = cJSON_GetObjectItemCaseSensitive(v, key);

	return s ? s : cJSON_AddObjectToObject(v, key);
}

static void set_tag(struct world *w, const char *tag, const char *version)
{
	cJSON *tags = cJSON_GetObjectItemCaseSensitive(w->json, "dist-tags");

	cJSON_DeleteItemFromObjectCaseSensitive(tags, tag);
	(void)cJSON_AddStringToObject(tags, tag, version);
}

static void add_dep(cJSON *v, const char *key, char *what)
{
	char *at = strchr(what + 1, '@');

	cr_assert(at);
	*at = '\0';
	for (char *c = at + 1; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	(void)cJSON_AddStringToObject(section(v, key), what, at + 1);
}

static void add_what(struct world *w, cJSON *v, const char *version, char *what)
{
	if (strncmp(what, "peer:", 5) == 0) {
		add_dep(v, "peerDependencies", what + 5);
	} else if (strncmp(what, "popt:", 5) == 0) {
		add_dep(v, "peerDependencies", what + 5);
		(void)cJSON_AddTrueToObject(section(section(v, "peerDependenciesMeta"), what + 5),
					    "optional");
	} else if (strncmp(what, "opt:", 4) == 0) {
		add_dep(v, "optionalDependencies", what + 4);
	} else if (strncmp(what, "bundles:", 8) == 0) {
		add_dep(v, "dependencies", what + 8);
		if (!cJSON_GetObjectItemCaseSensitive(v, "bundleDependencies"))
			(void)cJSON_AddArrayToObject(v, "bundleDependencies");
		cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(v, "bundleDependencies"),
				     cJSON_CreateString(what + 8));
	} else if (strncmp(what, "node:", 5) == 0) {
		(void)cJSON_AddStringToObject(section(v, "engines"), "node", what + 5);
	} else if (strncmp(what, "at:", 3) == 0) {
		(void)cJSON_AddStringToObject(section(w->json, "time"), version, what + 3);
	} else if (strncmp(what, "tag:", 4) == 0) {
		set_tag(w, what + 4, version);
	} else if (strcmp(what, "deprecated") == 0) {
		(void)cJSON_AddStringToObject(v, "deprecated", "old");
	} else {
		add_dep(v, "dependencies", what);
	}
}

static void add_version(struct universe *u, char *line)
{
	char *save = NULL, *name = strtok_r(line, " ", &save), *version, *what;
	struct world *w;
	cJSON *v, *dist;
	char url[256];

	if (!name)
		return;
	version = strtok_r(NULL, " ", &save);
	cr_assert(version);
	w = world_of(u, name, true);
	v = section(cJSON_GetObjectItemCaseSensitive(w->json, "versions"), version);
	(void)cJSON_AddStringToObject(v, "name", name);
	(void)cJSON_AddStringToObject(v, "version", version);
	dist = section(v, "dist");
	(void)snprintf(url, sizeof url, "http://registry.test/%s/-/%s.tgz", name, version);
	(void)cJSON_AddStringToObject(dist, "tarball", url);
	set_tag(w, "latest", version);
	while ((what = strtok_r(NULL, " ", &save)))
		add_what(w, v, version, what);
}

struct universe *universe_new(const char *text)
{
	struct universe *u = calloc(1, sizeof *u);
	char *copy = strdup(text), *save = NULL;

	cr_assert(u && copy);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_version(u, line);
	free(copy);
	return u;
}

void universe_free(struct universe *u)
{
	for (struct world *w = u->worlds, *next; w; w = next) {
		next = w->next;
		cJSON_Delete(w->json);
		buf_release(&w->blob);
		free(w->name);
		free(w);
	}
	free(u);
}

static int packument(void *self, const char *name, const struct packument **ret, struct err *e)
{
	struct universe *u = self;
	struct world *w = world_of(u, name, false);
	const struct packument_origin from = { .name = name };
	char *text;
	int r;

	u->asked++;
	if (!w)
		return err_set(e, -ENOENT, "%s: the registry does not have it", name);
	if (!w->built) {
		text = cJSON_Print(w->json);
		r = packument_build(&w->blob, slice_str(text), &from, e);
		if (r == 0)
			r = packument_open(&w->p, (struct slice){ w->blob.data, w->blob.len }, e);
		free(text);
		cr_assert(r == 0);
		w->built = true;
	}
	*ret = &w->p;
	return 0;
}

static cJSON *manifest_of(struct universe *u, const char *name, const char *version)
{
	struct world *w = world_of(u, name, false);
	cJSON *versions = w ? cJSON_GetObjectItemCaseSensitive(w->json, "versions") : NULL;

	return cJSON_GetObjectItemCaseSensitive(versions, version);
}

static int contents(void *self, const struct catalog_package *pkg, struct catalog_contents *ret,
		    struct err *e)
{
	const cJSON *m = manifest_of(self, pkg->name, pkg->version), *name;
	const cJSON *deps = cJSON_GetObjectItemCaseSensitive(m, "dependencies");

	if (!m)
		return err_set(e, -ENOENT, "%s: no such tarball", pkg->name);
	ret->manifests = cJSON_CreateObject();
	cJSON_AddItemToObject(ret->manifests, "package.json", cJSON_Duplicate(m, true));
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(m, "bundleDependencies"))
	{
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(deps, name->valuestring);
		char path[256];

		m = manifest_of(self, name->valuestring, v->valuestring);
		cr_assert(m);
		(void)snprintf(path, sizeof path, "node_modules/%s/package.json",
			       name->valuestring);
		cJSON_AddItemToObject(ret->manifests, path, cJSON_Duplicate(m, true));
	}
	ret->integrity = strdup("sha512-" NO_DIGEST);
	return 0;
}

struct catalog universe_catalog(struct universe *u)
{
	return (struct catalog){ .packument = packument, .contents = contents, .self = u };
}

cJSON *universe_json(const struct universe *u)
{
	cJSON *all = cJSON_CreateObject();

	for (const struct world *w = u->worlds; w; w = w->next)
		cJSON_AddItemToObject(all, w->name, cJSON_Duplicate(w->json, true));
	return all;
}

unsigned universe_asked(const struct universe *u)
{
	return u->asked;
}
