#include "core/file.h"
#include "core/log.h"
#include "fs/state.h"
#include "fs/upper_care.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DEPTH_MAX 16 /* folders open at once while a state is removed, which is four deep */

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
	auto_free char *pattern = NULL;
	glob_t found = { 0 };
	int r;

	if (asprintf(&pattern, "%s/" STATE_UPPER ".aside-*", dir) < 0) {
		pattern = NULL;
		return true;
	}
	r = glob(pattern, GLOB_NOSORT, NULL, &found);
	globfree(&found);
	return r != GLOB_NOMATCH;
}

static bool is_worth_keeping(const char *dir)
{
	auto_free char *upper = NULL, *pins = NULL;
	struct stat st;

	if (asprintf(&upper, "%s/" STATE_UPPER, dir) < 0 || asprintf(&pins, "%s/pins", dir) < 0)
		return true;
	return !upper_unused(upper) || has_aside(dir) || (stat(pins, &st) == 0 && st.st_size > 0);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int tidy_one(void *arg, const char *dir, const char *mountpoint)
{
	auto_free char *file = NULL;
	auto_close int lock = -1;

	(void)arg;
	if (!is_gone(mountpoint) || asprintf(&file, "%s/lock", dir) < 0)
		return 0;
	lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A daemon may still serve a copy of the mount. Who mounts there now has made the folder.
	 */
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || !is_gone(mountpoint) ||
	    is_worth_keeping(dir))
		return 0;
	if (nftw(dir, drop, DEPTH_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0)
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
