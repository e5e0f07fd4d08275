#include "fs/upper_care.h"

#include <ftw.h>
#include <stdio.h>

#define DEPTH_MAX 32 /* folders open at once; nftw goes on deeper without them */

static int is_written(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)st;
	(void)at;
	return type != FTW_D;
}

bool upper_unused(const char *dir)
{
	static const char *const folders[] = { "tree", "pkg" };
	bool unused = true;

	for (size_t i = 0; i < ARRAY_LEN(folders) && unused; i++) {
		auto_free char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s/%s", dir, folders[i]) < 0) {
			path = NULL;
			return false;
		}
		unused = lstat(path, &st) < 0 ? errno == ENOENT
					      : nftw(path, is_written, DEPTH_MAX, FTW_PHYS) == 0;
	}
	return unused;
}
