/* listed.h - what those who list directories want to know: ops_dir.c only.
 *
 * A listing can give the kernel each entry's attributes with its name (READDIRPLUS). Who goes on to
 * look at the entries (ls -l, tar, du) then asks for nothing more; but who wants names and types
 * only (ls, a shell's *, an editor's index) pays for inodes that nobody needs, which is most of
 * what a listing costs. The kernel does not say who it is. So a listing gives names only, until two
 * directories were asked for in one that was listed so: then somebody walks (find), and listings
 * give the attributes of directories, which he enters. Once two files were asked for, they give
 * all. That ends when nobody has listed anything for LISTED_QUIET_S.
 *
 * What was listed by name stays in the kernel's cache by name: who looks at it later asks once for
 * each. */
#pragma once
#include "core/base.h"

#include <stdatomic.h>

#define LISTED_QUIET_S   1
#define LISTED_KEPT_BITS 10
#define LISTED_KEPT      (1 << LISTED_KEPT_BITS) /* directories remembered */

enum listed_how { LISTED_NAMES, LISTED_DIRS, LISTED_ALL }; /* whose attributes are given */

/* All zero is a new one. Thread-safe. */
struct listed {
	_Atomic uint64_t bare[LISTED_KEPT];      /* directories without all of it, by their hash */
	_Atomic uint64_t asked[LISTED_ALL + 1];  /* where was last asked for what this would give */
	_Atomic int64_t until_s[LISTED_ALL + 1]; /* monotonic */
};

/* A directory is being listed: how? It is remembered if not all is given. */
enum listed_how listed_how(struct listed *l, uint64_t dir);

/* Something was asked for by name. True: a file, by one who has listed the directory and looks at
 * its files. */
bool listed_asked(struct listed *l, uint64_t dir, bool is_dir);
