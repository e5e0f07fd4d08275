#include "core/rm_tree.h"

#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_one(FTS *f, FTSENT *at)
{
	switch (at->fts_info) {
	case FTS_D:
		/* what no one may read cannot be emptied either */
		(void)chmod(at->fts_accpath, 0700);
		break;
	case FTS_DNR:
		if (at->fts_number++ == 0 && chmod(at->fts_accpath, 0700) == 0)
			(void)fts_set(f, at, FTS_AGAIN);
		break;
	case FTS_DP:
		(void)rmdir(at->fts_accpath);
		break;
	case FTS_DC:
	case FTS_ERR:
		break;
	default:
		(void)unlink(at->fts_accpath);
	}
}

void rm_tree(int dirfd, const char *name)
{
	char path[PATH_MAX + 64], *paths[] = { path, NULL };
	FTSENT *at;
	FTS *f;

	if (name[0] == '/')
		(void)snprintf(path, sizeof path, "%s", name);
	else
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dirfd, name);
	f = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	while (f && (at = fts_read(f)))
		remove_one(f, at);
	if (f)
		(void)fts_close(f);
}
