#include "fs/lease.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define WAITS_FOR_PAGES 44 /* minor number of FUSE's protocol 7 in Linux 6.16 */

static int open_how(int dirfd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = resolve | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
}

static int open_cached(int dirfd, const char *path, int flags)
{
	return open_how(dirfd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_CACHED);
}

/* From the kernel's memory: no message is sent. */
static bool is_same(int fd, dev_t dev, uint64_t ino)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       st.stx_ino == ino && (!dev || makedev(st.stx_dev_major, st.stx_dev_minor) == dev);
}

int lease_dir(const struct conn *c, const char *path)
{
	size_t len = strlen(c->dir);
	auto_close int root = -1;

	if (atomic_load(&c->kernel_minor) < WAITS_FOR_PAGES)
		return -EOPNOTSUPP;
	if (!c->dev || strncmp(path, c->dir, len) != 0 || (path[len] && path[len] != '/'))
		return -ENOENT;
	root = open_how(AT_FDCWD, c->dir, O_PATH | O_DIRECTORY, 0);
	if (root < 0)
		return root;
	if (!is_same(root, c->dev, FUSE_ROOT_ID))
		return -ENOENT;
	return open_cached(root, path[len] ? path + len + 1 : ".", O_PATH | O_DIRECTORY);
}

int lease_take(int dirfd, const char *name, uint64_t ino)
{
	auto_close int fd = open_cached(dirfd, name, O_RDONLY | O_NONBLOCK);
	int leased;

	if (fd < 0)
		return fd;
	if (!is_same(fd, 0, ino))
		return -EBUSY;
	/* Who wants to write is told to us by a signal, SIGIO if it is not one that nobody minds.
	 */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return -EOPNOTSUPP;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN ? -EBUSY : -EOPNOTSUPP;
	leased = fd;
	fd = -1;
	return leased;
}

bool lease_stands(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_RDLCK;
}
