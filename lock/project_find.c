#include "core/arena.h"
#include "core/file.h"
#include "lock/json.h"
#include "lock/manifest.h"
#include "lock/project.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANYBODY ((uid_t)-1)

/* `whose`: who is believed besides the caller and root. */
static bool has(int dirfd, const char *name, mode_t type, uid_t whose)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && (st.st_mode & S_IFMT) == type &&
	       (whose == ANYBODY || st.st_uid == whose || st.st_uid == geteuid() || st.st_uid == 0);
}

static bool is_project(int dirfd, uid_t whose)
{
	return has(dirfd, "package.json", S_IFREG, whose) ||
	       has(dirfd, "package-lock.json", S_IFREG, whose) ||
	       has(dirfd, "npm-shrinkwrap.json", S_IFREG, whose) ||
	       has(dirfd, PROJECT_LOCK, S_IFREG, whose) ||
	       has(dirfd, "node_modules", S_IFDIR, whose);
}

/* Is `path`, relative to the folder, one of its package.json's workspaces? What cannot be read says
 * no: whoever works there gets the sentence. */
static bool is_workspace_of(int dirfd, const char *path)
{
	auto_arena struct arena a = ARENA_INIT((size_t)64 << 20);
	struct graph_strings found = { 0 };
	auto_json cJSON *j = NULL;
	auto_free char *text = NULL;
	size_t len = 0;

	if (file_read_all(dirfd, "package.json", MANIFEST_SIZE_MAX, &text, &len, NULL) < 0 ||
	    !strstr(text, "\"workspaces\"") ||
	    json_parse(&j, (struct slice){ (const uint8_t *)text, len }, NULL) < 0 ||
	    !json_true(j, "workspaces") ||
	    workspaces_find(&a, dirfd, json_get(j, "workspaces"), &found, NULL) < 0)
		return false;
	for (uint32_t i = 0; i < found.count; i++)
		if (strcmp(found.items[i], path) == 0)
			return true;
	return false;
}

int project_find(const char *from, char **ret, char **ret_workspace, struct err *e)
{
	auto_free char *start = realpath(from, NULL), *at = start ? strdup(start) : NULL;
	auto_free char *found = NULL, *root = NULL;
	uid_t whose = ANYBODY; /* in the folder itself; further up its owner */
	struct stat st;

	if (!start || !at || stat(start, &st) < 0)
		return err_set(e, -errno, "%s: %s", from, strerror(errno));
	for (;;) {
		auto_close int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char *slash = strrchr(at, '/');
		size_t n = strcmp(at, "/") == 0 ? 1 : strlen(at) + 1;

		if (fd >= 0 && !found && is_project(fd, whose)) {
			found = strdup(at);
			if (!found)
				return err_set(e, -ENOMEM, "out of memory");
		} else if (fd >= 0 && found && has(fd, "package.json", S_IFREG, whose) &&
			   is_workspace_of(fd, found + n)) {
			root = strdup(at);
			if (!root)
				return err_set(e, -ENOMEM, "out of memory");
			*ret_workspace = take(&found);
			*ret = take(&root);
			return 0;
		}
		if (strcmp(at, "/") == 0)
			break;
		slash[slash == at] = '\0';
		whose = st.st_uid;
	}
	*ret_workspace = NULL;
	*ret = found ? take(&found) : take(&start);
	return 0;
}
