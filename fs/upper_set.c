#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

#define SET_NOTHING 3 /* beside VIEW_WAIT and UPPER_BLOCK */

/* ---- attributes ---- */

/* What of the lower would be changed to what it is: tools set modes of bins at every start. */
static bool is_same(const struct upper_change *ch, const struct view_attr *low,
		    const struct upper *u)
{
	if (ch->set & ~(unsigned)(UPPER_SET_MODE | UPPER_SET_UID | UPPER_SET_GID))
		return false;
	return (!(ch->set & UPPER_SET_MODE) || (ch->mode & 07777) == (low->mode & 07777)) &&
	       (!(ch->set & UPPER_SET_UID) || ch->uid == u->uid) &&
	       (!(ch->set & UPPER_SET_GID) || ch->gid == u->gid);
}

/* SET_NOTHING: it is as it shall be. */
static int bring_up(struct upper_call *c, uint64_t ino, const struct upper_change *ch)
{
	auto_close int fd = -1;
	struct view_attr low;
	struct spot s;
	int r = spot_open(c, ino, O_PATH, &s, &fd);

	/* a folder that was removed, and is still open: nobody will see what it is set to */
	if (r == -ENOENT && (s.flags & UNODE_ORPHAN) && (s.flags & UNODE_DIR))
		return SET_NOTHING;
	if (r != -ENOENT || !s.lower)
		return r;
	r = view_attr(c->v, s.lower, &low, c->ret_wait, c->e);
	if (r != 0)
		return r;
	if (is_same(ch, &low, c->u))
		return SET_NOTHING;
	if (S_ISDIR(low.mode))
		return upper_make_dirs(c, ino, &s, &fd);
	return upper_copy_up(c, ino, ch->set & UPPER_SET_SIZE ? (uint64_t)ch->size : UINT64_MAX);
}

static int set_size(struct upper_call *c, uint64_t ino, off_t size)
{
	bool is_cached;
	uint64_t lower;
	int fd, r = upper_file(c, ino, true, &fd, &is_cached, &lower);

	if (r != 0)
		return r;
	if (ftruncate(fd, size) < 0)
		r = -errno;
	upper_file_done(c->u, ino, fd, is_cached);
	return r;
}

/* Through the folder, which works on a symbolic link too. */
static int set_rest(struct upper_call *c, uint64_t ino, const struct upper_change *ch)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	auto_close int fd = -1;
	struct spot s;
	struct stat st;
	char path[64];
	int r = spot_open(c, ino, O_PATH, &s, &fd);

	if (r != 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if ((ch->set & (UPPER_SET_UID | UPPER_SET_GID)) &&
	    fchownat(fd, "", ch->set & UPPER_SET_UID ? ch->uid : (uid_t)-1,
		     ch->set & UPPER_SET_GID ? ch->gid : (gid_t)-1, AT_EMPTY_PATH) < 0)
		return -errno;
	if (ch->set & UPPER_SET_MODE) {
		if (S_ISLNK(st.st_mode))
			return -EOPNOTSUPP;
		(void)pthread_mutex_lock(&c->u->mode_mu);
		r = chmod(path, ch->mode & 07777) < 0 ? -errno : 0;
		(void)pthread_mutex_unlock(&c->u->mode_mu);
	}
	if (ch->set & UPPER_SET_ATIME)
		times[0] = ch->atime;
	if (ch->set & UPPER_SET_MTIME)
		times[1] = ch->mtime;
	if (r == 0 && (ch->set & (UPPER_SET_ATIME | UPPER_SET_MTIME))) {
		if (S_ISLNK(st.st_mode))
			r = utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
		else
			r = utimensat(AT_FDCWD, path, times, 0) < 0 ? -errno : 0;
	}
	return r;
}

int upper_setattr(struct upper_call *c, uint64_t ino, const struct upper_change *ch,
		  struct stat *ret)
{
	int r = ch->set ? bring_up(c, ino, ch) : SET_NOTHING;

	if (r == 0 && (ch->set & UPPER_SET_SIZE))
		r = set_size(c, ino, ch->size);
	if (r == 0 && (ch->set & ~(unsigned)UPPER_SET_SIZE))
		r = set_rest(c, ino, ch);
	if (r < 0)
		return upper_fault(c->u, r, "setting attributes");
	return r == VIEW_WAIT || r == UPPER_BLOCK ? r : upper_getattr(c, ino, ret);
}

/* ---- content ---- */

/* A file of the upper, copied up if it was not. */
static int own_file(struct upper_call *c, uint64_t ino, int *ret_fd, bool *ret_cached)
{
	uint64_t lower;
	int r = upper_file(c, ino, true, ret_fd, ret_cached, &lower);

	if (r != -ENOENT)
		return r;
	r = upper_copy_up(c, ino, UINT64_MAX);
	return r == 0 ? upper_file(c, ino, true, ret_fd, ret_cached, &lower) : r;
}

ssize_t upper_write(struct upper_call *c, uint64_t ino, const void *buf, size_t n, uint64_t off)
{
	bool is_cached;
	size_t done = 0;
	int fd, r = own_file(c, ino, &fd, &is_cached);

	if (r == VIEW_WAIT || r == UPPER_BLOCK)
		return r == VIEW_WAIT ? -EAGAIN : -EINPROGRESS;
	if (r < 0)
		return upper_fault(c->u, r, "writing");
	while (done < n && r == 0) {
		ssize_t k = pwrite(fd, (const char *)buf + done, n - done, (off_t)(off + done));

		if (k > 0)
			done += (size_t)k;
		else if (k < 0 && errno != EINTR)
			r = -errno;
	}
	upper_file_done(c->u, ino, fd, is_cached);
	if (r < 0)
		r = upper_fault(c->u, r, "writing");
	return done ? (ssize_t)done : r;
}

int upper_fallocate(struct upper_call *c, uint64_t ino, int mode, uint64_t off, uint64_t len)
{
	bool is_cached;
	int fd, r = own_file(c, ino, &fd, &is_cached);

	if (r != 0)
		return r < 0 ? upper_fault(c->u, r, "fallocate") : r;
	if (fallocate(fd, mode, (off_t)off, (off_t)len) < 0)
		r = -errno;
	upper_file_done(c->u, ino, fd, is_cached);
	return r < 0 ? upper_fault(c->u, r, "fallocate") : r;
}

/* ---- on disk ---- */

static int sync_at(const struct upper *u, const char *path, int flags, bool data_only)
{
	auto_close int fd = path[0] ? upper_openat(u, path, flags) : dup(u->fd);

	/* A folder whose mode keeps us out: all that is on the disk, then. */
	if (path[0] && fd == -EACCES)
		return syncfs(u->fd) < 0 ? -errno : 0;
	if (fd < 0)
		return path[0] ? fd : -errno;
	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

/* The folders that lead to a path, which copying up may have made a moment ago; up to the upper's
 * own. What moved away meanwhile is not there any more, and whoever moved it has to sync it. */
static int sync_up(const struct upper *u, char *path)
{
	int r = 0;

	while (path[0] && r == 0) {
		char *slash = strrchr(path, '/');

		*(slash ? slash : path) = '\0';
		r = sync_at(u, path, O_RDONLY | O_DIRECTORY, false);
	}
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

int upper_fsync(struct upper_call *c, uint64_t ino, bool data_only)
{
	auto_close int fd = -1;
	struct stat st;
	struct spot s;
	int r = spot_open(c, ino, O_PATH, &s, &fd);

	if (r != 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT && !s.lower)
		return 0; /* a folder that was removed */
	if (!c->may_block && (r == 0 || c->u->gone.dirty))
		return UPPER_BLOCK;
	if (r == 0 && fstat(fd, &st) < 0)
		return -errno;
	if (r == 0 && S_ISREG(st.st_mode)) {
		bool is_cached;
		uint64_t lower;
		int file;

		r = upper_file(c, ino, false, &file, &is_cached, &lower);
		if (r != 0)
			return r;
		r = (data_only ? fdatasync(file) : fsync(file)) < 0 ? -errno : 0;
		upper_file_done(c->u, ino, file, is_cached);
	} else if (r == 0) {
		r = sync_at(c->u, s.path, O_RDONLY | O_DIRECTORY, false);
	} else {
		r = 0;
	}
	if (r == 0)
		r = gone_sync(&c->u->gone);
	if (r == 0)
		r = sync_up(c->u, s.path);
	return r < 0 ? upper_fault(c->u, r, "fsync") : r;
}
