#include "lock/published.h"

#include "lock/bins.h"

/* What a manifest says that a lock of version 3 says too. */
static const char *const manifest_keys[] = {
	"acceptDependencies",
	"bin",
	"bundleDependencies",
	"cpu",
	"dependencies",
	"deprecated",
	"engines",
	"funding",
	"hasInstallScript",
	"libc",
	"license",
	"optionalDependencies",
	"os",
	"peerDependencies",
	"peerDependenciesMeta",
	"workspaces",
};

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "no memory for a manifest");
}

static bool is_filled(const cJSON *j)
{
	if (!j || cJSON_IsNull(j) || cJSON_IsFalse(j))
		return false;
	if (cJSON_IsString(j))
		return j->valuestring[0] != '\0';
	return !(cJSON_IsObject(j) || cJSON_IsArray(j)) || j->child;
}

static int put_bins(struct arena *a, cJSON *made, const cJSON *mani, const char *name,
		    struct err *e)
{
	const char *own = json_str(mani, "name");
	const struct graph_bin *bins;
	cJSON *object;
	uint32_t n;
	int r = bins_normalize(a, json_get(mani, "bin"), own ? own : name, BINS_MANIFEST, &bins, &n,
			       e);

	if (r < 0 || n == 0)
		return r;
	object = cJSON_AddObjectToObject(made, "bin");
	if (!object)
		return no_memory(e);
	for (uint32_t i = 0; i < n; i++) {
		if (!cJSON_AddStringToObject(object, bins[i].name, bins[i].target))
			return no_memory(e);
	}
	return 0;
}

static cJSON *keys_of(const cJSON *obj)
{
	cJSON *list = cJSON_CreateArray(), *name;
	const cJSON *m;

	cJSON_ArrayForEach(m, obj)
	{
		name = cJSON_CreateString(m->string);
		if (!list || !name || !cJSON_AddItemToArray(list, name)) {
			cJSON_Delete(name);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

/* One member as npm normalises it for a lock. */
static cJSON *normal_member(const char *key, const cJSON *value, const cJSON *mani)
{
	cJSON *made;

	if (strcmp(key, "license") == 0 && json_str(value, "type"))
		return cJSON_CreateString(json_str(value, "type"));
	if (strcmp(key, "bundleDependencies") == 0 && cJSON_IsTrue(value))
		return keys_of(json_get(mani, "dependencies"));
	if (strcmp(key, "bundleDependencies") == 0 && cJSON_IsObject(value))
		return keys_of(value);
	if (strcmp(key, "funding") == 0 && cJSON_IsString(value)) {
		made = cJSON_CreateObject();
		if (made && !cJSON_AddStringToObject(made, "url", value->valuestring)) {
			cJSON_Delete(made);
			made = NULL;
		}
		return made;
	}
	return cJSON_Duplicate(value, true);
}

/* A full manifest has the scripts themselves, an abbreviated one says that there are some. */
static bool has_scripts(const cJSON *mani)
{
	const cJSON *scripts = json_get(mani, "scripts");

	return json_true(scripts, "preinstall") || json_true(scripts, "install") ||
	       json_true(scripts, "postinstall");
}

static const cJSON *member(const cJSON *mani, const char *key)
{
	const cJSON *value = json_get(mani, key);

	if (!value && strcmp(key, "bundleDependencies") == 0)
		value = json_get(mani, "bundledDependencies");
	return value;
}

static int put_member(cJSON *made, const char *key, const cJSON *mani, struct err *e)
{
	const cJSON *value = member(mani, key), *m;
	cJSON *copy;

	cJSON_DeleteItemFromObjectCaseSensitive(made, key);
	if (!is_filled(value) || strcmp(key, "bin") == 0)
		return 0;
	copy = normal_member(key, value, mani);
	if (!copy)
		return no_memory(e);
	if (strcmp(key, "dependencies") == 0) {
		cJSON_ArrayForEach(m, json_get(mani, "optionalDependencies"))
			cJSON_DeleteItemFromObjectCaseSensitive(copy, m->string);
	}
	if (!is_filled(copy)) {
		cJSON_Delete(copy);
		return 0;
	}
	if (cJSON_AddItemToObject(made, key, copy))
		return 0;
	cJSON_Delete(copy);
	return no_memory(e);
}

int published_entry(struct arena *a, cJSON *made, const cJSON *mani, const char *name,
		    struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < sizeof manifest_keys / sizeof *manifest_keys && r == 0; i++)
		r = put_member(made, manifest_keys[i], mani, e);
	if (r < 0)
		return r;
	cJSON_DeleteItemFromObjectCaseSensitive(made, "devDependencies");
	if (has_scripts(mani) && !json_get(made, "hasInstallScript") &&
	    !cJSON_AddTrueToObject(made, "hasInstallScript"))
		return no_memory(e);
	return put_bins(a, made, mani, name, e);
}
