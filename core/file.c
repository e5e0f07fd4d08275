#include "core/file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

int file_write_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

int file_pwrite_all(int fd, const void *p, size_t n, off_t at)
{
	const uint8_t *from = p;

	while (n > 0) {
		ssize_t w = pwrite(fd, from, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		from += w;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

int file_pread_all(int fd, void *p, size_t n, off_t at)
{
	uint8_t *to = p;

	while (n > 0) {
		ssize_t r = pread(fd, to, n, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EBADMSG;
		to += r;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

static int regular_size(int fd, const char *name, size_t limit, size_t *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: not a regular file", name);
	if ((uint64_t)st.st_size > limit)
		return err_set(e, -E2BIG, "%s: %lld bytes, more than the limit of %zu", name,
			       (long long)st.st_size, limit);
	*ret = (size_t)st.st_size;
	return 0;
}

static int not_read(const char *name, int r, struct err *e)
{
	return err_set(e, r, "%s: %s", name,
		       r == -EBADMSG ? "it shrank while it was read" : strerror(-r));
}

int file_read_fd(int fd, const char *name, size_t limit, char **ret, size_t *ret_len, struct err *e)
{
	auto_free char *data = NULL;
	size_t size = 0;
	int r = regular_size(fd, name, limit, &size, e);

	if (r < 0)
		return r;
	data = malloc(size + 1);
	if (!data)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	r = file_pread_all(fd, data, size, 0);
	if (r < 0)
		return not_read(name, r, e);
	data[size] = '\0';
	*ret_len = size;
	*ret = take(&data);
	return 0;
}

int file_read_all(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_len,
		  struct err *e)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return file_read_fd(fd, path, limit, ret, ret_len, e);
}

int file_read_pieces(int dirfd, const char *path, size_t limit, file_piece_fn *fn, void *arg,
		     struct err *e)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	auto_free char *piece = malloc(FILE_PIECE);
	size_t size = 0, at = 0;
	int r;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	r = piece ? regular_size(fd, path, limit, &size, e)
		  : err_set(e, -ENOMEM, "%s: out of memory", path);
	if (r < 0)
		return r;
	do {
		size_t n = size - at < FILE_PIECE ? size - at : FILE_PIECE;

		r = file_pread_all(fd, piece, n, (off_t)at);
		if (r < 0)
			return not_read(path, r, e);
		fn(arg, size, at, piece, n);
		at += n;
	} while (at < size);
	return 0;
}

#define LOCK_PAUSE_MS 10

int file_lock_soon(int fd)
{
	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited >= FILE_LOCK_MS)
			return -EBUSY;
		(void)poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

static int sync_folder_of(const char *path)
{
	auto_free char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!folder)
		return -ENOMEM;
	if (slash)
		slash[slash == folder] = '\0';

	auto_close int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Some file systems cannot sync a folder (EINVAL); the rename stands all the same. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return -errno;
	return 0;
}

/* `owner`: whose it is to be, where we may give it away; NULL: ours. */
static int replace(const char *path, const void *p, size_t n, mode_t mode, bool sync,
		   const struct stat *owner, struct err *e)
{
	auto_free char *tmp = NULL;
	int r = 0;

	if (asprintf(&tmp, "%s.XXXXXX", path) < 0) {
		tmp = NULL;
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	}

	auto_close int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "cannot write beside %s: %s", path, strerror(errno));
	/* Who may not give a file away may still leave it to a group of theirs. */
	if (owner && fchown(fd, owner->st_uid, owner->st_gid) < 0)
		(void)!fchown(fd, (uid_t)-1, owner->st_gid);
	if (fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0)
		r = file_write_all(fd, p, n);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return err_set(e, r, "cannot write %s: %s", path, strerror(-r));
	}
	r = sync ? sync_folder_of(path) : 0;
	if (r < 0)
		return err_set(e, r, "cannot sync the folder of %s: %s", path, strerror(-r));
	return 0;
}

int file_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace(path, p, n, mode, true, NULL, e);
}

int file_rewrite(const char *path, const void *p, size_t n, struct err *e)
{
	auto_free char *real = realpath(path, NULL);
	struct stat at, to;

	if (!real || stat(real, &to) < 0 || lstat(path, &at) < 0)
		return errno == ENOENT
			       ? file_replace(path, p, n, 0644, e)
			       : err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
	if (!S_ISREG(to.st_mode))
		return err_set(e, -EINVAL, "cannot write %s: %s is not a regular file", path, real);
	if (at.st_uid != to.st_uid && at.st_uid != geteuid() && at.st_uid != 0)
		return err_set(e, -EPERM,
			       "cannot write %s: a symlink of another user to %s, which is not "
			       "theirs; replace it by a file",
			       path, real);
	return replace(real, p, n, to.st_mode & 0777, true, &to, e);
}

int file_replace_unsynced(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace(path, p, n, mode, false, NULL, e);
}

int mkdir_p(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof part)
		return err_set(e, -ENAMETOOLONG, "%s: path too long or empty", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST && errno != EISDIR) {
			int saved = errno;
			struct stat st;

			if (stat(part, &st) == 0 && S_ISDIR(st.st_mode))
				continue;
			return err_set(e, -saved, "cannot make the folder %s: %s", part,
				       strerror(saved));
		}
	}
	return 0;
}
