#include "core/file.h"
#include "core/log.h"
#include "core/rm_tree.h"
#include "fs/state_priv.h"
#include "fs/upper_care.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define ASIDE STATE_UPPER ".aside-"

static bool is_gone(const char *mountpoint)
{
	auto_free char *project = strdup(mountpoint);
	char *slash = project ? strrchr(project, '/') : NULL;
	struct stat st;

	if (!slash || slash == project)
		return false;
	*slash = '\0';
	return stat(project, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static bool has_aside(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	bool has = !d;

	while (!has && (entry = readdir(d)))
		has = strncmp(entry->d_name, ASIDE, strlen(ASIDE)) == 0;
	if (d)
		(void)closedir(d);
	return has;
}

static bool is_worth_keeping(const char *dir)
{
	auto_free char *upper = NULL, *pins = NULL;
	struct stat st;

	if (asprintf(&upper, "%s/" STATE_UPPER, dir) < 0 || asprintf(&pins, "%s/pins", dir) < 0)
		return true;
	return !upper_unused(upper) || has_aside(dir) || (stat(pins, &st) == 0 && st.st_size > 0);
}

static int tidy_one(void *arg, const char *dir, const char *mountpoint)
{
	auto_close int lock = -1, fd = -1, base = -1;
	char path[32];

	(void)arg;
	if (!is_gone(mountpoint) || state_folder_open(dir, mountpoint, &base, &fd) < 0)
		return 0;
	/* By the descriptors: of a path, a folder further up may be somebody else's. */
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A daemon may still serve a copy of the mount. Who mounts there now has made the folder.
	 */
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || !is_gone(mountpoint) ||
	    is_worth_keeping(path))
		return 0;
	rm_tree(base, strrchr(dir, '/') + 1);
	log_debug("%s: its project is gone, and so is its state %s", mountpoint, dir);
	return 0;
}

void state_tidy(void)
{
	struct err e = { 0 };

	if (state_folders(tidy_one, NULL, &e) < 0)
		log_debug("%s", e.msg);
}

struct each {
	int (*fn)(void *arg, const char *dir, const char *mountpoint);
	void *arg;
};

static int each_gone(void *arg, const char *dir, const char *mountpoint)
{
	const struct each *each = arg;

	return is_gone(mountpoint) && is_worth_keeping(dir) ? each->fn(each->arg, dir, mountpoint)
							    : 0;
}

int state_each_gone(int (*fn)(void *arg, const char *dir, const char *mountpoint), void *arg,
		    struct err *e)
{
	struct each each = { .fn = fn, .arg = arg };

	return state_folders(each_gone, &each, e);
}
