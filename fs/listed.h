/* listed.h - what those who list directories want to know: ops_dir.c only.
 *
 * A listing can give the kernel each entry's attributes with its name (READDIRPLUS). Who goes on to
 * look at the files (ls -l, tar, du) then asks for nothing more; but who wants names and types only
 * (find, a shell's *, an editor's index) pays for inodes that nobody needs: a third of all that
 * find costs. The kernel does not say who it is. So listings give the attributes of directories
 * only, which walkers enter, until something is asked about two files in a directory that was
 * listed so; then they give all, until nobody has listed anything for LISTED_QUIET_S.
 *
 * A directory that was listed by name stays in the kernel's cache by name: who looks at its files
 * later asks once for each. */
#pragma once
#include "core/base.h"

#include <stdatomic.h>

#define LISTED_QUIET_S 1
#define LISTED_KEPT    1024 /* directories remembered, a power of two */

/* All zero is a new one. Thread-safe. */
struct listed {
	_Atomic uint64_t by_name[LISTED_KEPT]; /* ids of directories, by their hash */
	_Atomic uint64_t asked;    /* the last of them in which something was asked for */
	_Atomic int64_t all_until; /* seconds, monotonic */
};

/* A directory is being listed: with all attributes? Else it is remembered. */
bool listed_all(struct listed *l, uint64_t dir);

/* Something that is no directory was asked for by name. True: by one who has listed the directory
 * and looks at its files. */
bool listed_asked(struct listed *l, uint64_t dir);
