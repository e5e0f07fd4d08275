#include "lock/published.h"

#include "lock/bins.h"
#include "lock/graph_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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

/* ---- folders of bins ---- */

bool published_has_folder_bins(struct arena *a, const cJSON *mani, const char **ret)
{
	const char *folder = json_str(json_get(mani, "directories"), "bin");
	char *clean;

	if (!folder || !*folder || json_true(mani, "bin") || strlen(folder) > GRAPH_PATH_MAX)
		return false;
	clean = arena_alloc(a, strlen(folder) + 2);
	if (!clean)
		return false;
	graph_clean_path(folder + strspn(folder, "/"), clean);
	while (strncmp(clean, "../", 3) == 0)
		clean += 3;
	*ret = strcmp(clean, "..") == 0 ? "" : clean;
	return true;
}

int published_folder_bin(cJSON *mani, const char *folder, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	cJSON *bins = cJSON_GetObjectItemCaseSensitive(mani, "bin");
	char target[2 * GRAPH_PATH_MAX];

	/* What is below a name with a dot is not looked at either. */
	if (path[0] == '.' || strstr(path, "/.") || strlen(path) > GRAPH_PATH_MAX)
		return 0;
	if (!cJSON_IsObject(bins)) {
		cJSON_DeleteItemFromObjectCaseSensitive(mani, "bin");
		bins = cJSON_AddObjectToObject(mani, "bin");
	}
	(void)snprintf(target, sizeof target, "%s%s%s", folder, *folder ? "/" : "", path);
	cJSON_DeleteItemFromObjectCaseSensitive(bins, name);
	if (!bins || !cJSON_AddStringToObject(bins, name, target))
		return no_memory(e);
	return 0;
}

#define FOLDER_BINS_DEEP 32 /* folders in folders of bins */

static void close_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* `path` is below `folder`; "" for itself. What cannot be read has nothing in it. */
static int walk(cJSON *mani, const char *folder, int dirfd, const char *path, unsigned deep,
		unsigned *count, struct err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d cleanup(close_dir) = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;

	if (!d && fd >= 0)
		(void)close(fd);
	while (r == 0 && d && (item = readdir(d))) {
		char below[GRAPH_PATH_MAX];
		struct stat st;
		int sub;

		if (item->d_name[0] == '.' ||
		    strlen(path) + strlen(item->d_name) + 2 > sizeof below)
			continue;
		if (++*count > BINS_MAX)
			return err_set(e, -E2BIG, "a folder of bins has more than %u", BINS_MAX);
		(void)snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", item->d_name);
		r = published_folder_bin(mani, folder, below, e);
		if (r < 0 || deep == FOLDER_BINS_DEEP ||
		    fstatat(fd, item->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		sub = openat(fd, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			continue;
		r = walk(mani, folder, sub, below, deep + 1, count, e);
		(void)close(sub);
	}
	return r;
}

int published_folder_bins(struct arena *a, cJSON *mani, const char *package, struct err *e)
{
	auto_close int dir = -1, fd = -1;
	const char *folder;
	unsigned count = 0;

	if (!published_has_folder_bins(a, mani, &folder))
		return 0;
	dir = open(package, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		fd = openat(dir, *folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? 0 : walk(mani, folder, fd, "", 0, &count, e);
}
