/* mountinfo.h - is this folder a mount of ours, and does its daemon live? Looks only into
 * /proc/self/mountinfo, so a dead mount cannot hold the question up. */
#pragma once
#include "core/err.h"

#define DXFS_FSTYPE "fuse.dxfs"

struct mountinfo {
	unsigned count;        /* mounts stacked on this very path */
	bool ours;             /* the topmost is of type fuse.dxfs */
	unsigned major, minor; /* of the topmost; minor names /sys/fs/fuse/connections/<minor> */
};

/* `path` is absolute with symlinks resolved (state.h gives such a one). */
int mountinfo_find(const char *path, struct mountinfo *ret, struct err *e) must_check;

/* Calls fn with the path of each fuse.dxfs mount below the folder `below` ("" for all). */
int mountinfo_each(const char *below, void (*fn)(void *arg, const char *path), void *arg,
		   struct err *e) must_check;

/* False when the mount's daemon is gone (ENOTCONN). It asks the daemon, so first find out whether
 * that lives in a way that cannot wait (state_lock) where the state is at hand. */
bool mount_answers(const char *path);

/* May the caller mount for other users too (root, or as /etc/fuse.conf says)? */
bool mount_may_allow_other(void);

/* Detaches the topmost mount on `path`: umount2 as root, fusermount3 otherwise. `lazy` detaches
 * it although it is in use. -EBUSY with a sentence. */
int mount_detach(const char *path, bool lazy, struct err *e) must_check;
