#include "core/file.h"
#include "lock/json.h"
#include "lock/manifest.h"
#include "lock/project.h"

/* <folder>/package.json, or root's for "". */
static int read_manifest(const struct project *p, struct arena *a, const char *folder, cJSON **ret,
			 struct err *e)
{
	const char *path = arena_printf(a, "%s%spackage.json", folder, *folder ? "/" : "");
	auto_free char *text = NULL;
	size_t len = 0;
	int r;

	if (!path)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	r = file_read_all(p->dirfd, path, MANIFEST_SIZE_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(ret, (struct slice){ (const uint8_t *)text, len }, e);
	return r;
}

/* What has no package.json is none. */
static int add(const struct project *p, struct arena *a, const char *folder,
	       struct project_workspace *list, size_t *count, struct err *e)
{
	auto_json cJSON *j = NULL;
	struct err why = { 0 };
	int r = read_manifest(p, a, folder, &j, &why);
	const char *name;

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return err_set(e, r, "%.100s: %s", folder, why.msg);
	name = json_str(j, "name");
	name = arena_strdup(a, name && *name ? name : graph_folder_name(folder));
	if (!name)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	list[(*count)++] = (struct project_workspace){ name, folder };
	return 0;
}

int project_workspaces(const struct project *p, struct arena *a, struct project_workspace **ret,
		       size_t *ret_count, struct err *e)
{
	struct graph_strings found = { 0 };
	struct project_workspace *list;
	auto_json cJSON *j = NULL;
	size_t count = 0;
	int r = read_manifest(p, a, "", &j, e);

	if (r == 0 && json_true(j, "workspaces"))
		r = workspaces_find(a, p->dirfd, json_get(j, "workspaces"), &found, e);
	if (r < 0)
		return r;
	list = arena_array(a, (size_t)found.count + 1, sizeof *list);
	if (!list)
		return err_set(e, -ENOMEM, "no memory for the workspaces");
	for (uint32_t i = 0; i < found.count && r == 0; i++)
		r = add(p, a, found.items[i], list, &count, e);
	if (r < 0)
		return r;
	*ret = list;
	*ret_count = count;
	return 0;
}
