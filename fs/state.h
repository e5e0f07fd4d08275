/* state.h - where a mount keeps what outlives its daemon.
 *
 *   $XDG_STATE_HOME/dxfs/<id>/        (default $HOME/.local/state; mode 0700)
 *     mountpoint   the absolute path, one line
 *     lock         under flock while a daemon serves the mount
 *     ctl          the daemon's control socket (fs/ctl.h)
 *     log          what the daemon had to say
 *     log.1        the one before, once a log has grown past 1 MiB
 *     slots        fs/slots.h
 *     pins         fs/pins.h
 *     upper/       what was written into the mount (fs/upper.h), unless that is elsewhere
 *     rebuild.log  what install scripts printed, of the last dx rebuild
 *   $XDG_STATE_HOME/dxfs/cache/   for all of them
 *     *.dxl, key   locks derived from npm's (lock/project.h)
 *     node-version what node answered (lock/platform.h)
 *
 * <id> is 16 hex digits of the XXH3-128 of the mount point's path, so that the same place finds
 * its state again. A folder that is not ours, or that others may write, is refused, as is one
 * that says that it is another mount point's (-EEXIST). */
#pragma once
#include "core/err.h"

#define STATE_ID_LEN 16
#define STATE_UPPER  "upper"
#define STATE_CACHE  "cache"

struct state {
	int dirfd;        /* owned */
	int lock_fd;      /* owned; -1 until state_lock() */
	char *dir;        /* owned */
	char *mountpoint; /* owned: absolute, symlinks resolved but for the last name */
	char id[STATE_ID_LEN + 1];
};
#define STATE_INIT                                                                                 \
	{                                                                                          \
		.dirfd = -1, .lock_fd = -1                                                         \
	}

/* The state of a mount point, whose parent folder must exist. `create` makes the folder;
 * without it a mount point that was never used gives -ENOENT. Works on a mount point whose
 * daemon is dead: the mount point itself is never touched. */
int state_open(struct state *ret, const char *mountpoint, bool create, struct err *e) must_check;
void state_release(struct state *s);

/* Takes the lock that says "I serve this mount" (and is inherited over fork). -EBUSY: somebody
 * else has it. `wait_ms` > 0 waits so long for it. */
int state_lock(struct state *s, unsigned wait_ms, struct err *e) must_check;

/* Calls fn for every mount point that has a state folder; stops when fn returns non-zero. */
int state_each(int (*fn)(void *arg, const char *mountpoint), void *arg, struct err *e) must_check;

/* The same, with the state folders' paths. */
int state_folders(int (*fn)(void *arg, const char *dir, const char *mountpoint), void *arg,
		  struct err *e) must_check;

/* ---- projects that are gone (state_gone.c) ----
 *
 * The state of a mount point whose project's folder is not there any more is worth nothing, unless
 * something was written into the mount (upper_unused(), or an upper set aside) or packages without
 * integrity were pinned: that stays until somebody deletes it. */

/* Removes what is worth nothing and what no daemon serves. A worktree more or less each minute
 * leaves no heap: a daemon does it once it serves. */
void state_tidy(void);

/* Calls fn for each of those that stay, with what was written into the mount and where it is. */
int state_each_gone(int (*fn)(void *arg, const char *dir, const char *mountpoint), void *arg,
		    struct err *e) must_check;

/* The folder of what can be made again, made if it is missing; the caller frees. NULL: there is
 * none that is ours alone, or no memory. */
char *state_cache(void) must_check;

/* The folder that all of it is in, which need not be there yet. Owned by the caller; NULL: no
 * memory. */
char *state_base(void) must_check;

/* "<dir>/<name>"; the caller frees. */
char *state_path(const struct state *s, const char *name) must_check;
