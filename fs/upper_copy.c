#include "core/file.h"
#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

#define COPY_TRIES 8
#define COPY_CHUNK ((size_t)1 << 20)

int upper_fault(struct upper *u, int r, const char *what)
{
	struct stat st;

	/* a folder that was made a moment ago is not there: somebody removed the whole upper */
	if (r == -ENOENT && fstat(u->fd, &st) == 0 && st.st_nlink == 0)
		r = -EIO;
	if (r != -ENOSPC && r != -EDQUOT && r != -EROFS && r != -EIO)
		return r;
	if (atomic_exchange(&u->complained, r) != r)
		log_error("what is written into the mount cannot be kept in %s: %s (%s); reading "
			  "goes "
			  "on",
			  u->dir,
			  r == -EIO ? "it is not there any more, or cannot be read" : strerror(-r),
			  what);
	return r;
}

void upper_temp(struct upper *u, char ret[64])
{
	(void)snprintf(ret, 64, "tmp/%llx",
		       (unsigned long long)atomic_fetch_add(&u->temp, (uint64_t)1));
}

static struct timespec low_time(const struct view_attr *a)
{
	return (struct timespec){
		.tv_sec = a->mtime_ns / 1000000000,
		.tv_nsec = a->mtime_ns % 1000000000,
	};
}

int upper_rename_new(const struct upper *u, const char *temp, int dir, const char *name)
{
	int r = renameat2(u->fd, temp, dir, name, RENAME_NOREPLACE) < 0 ? -errno : 0;

	if (r == -EINVAL) /* a file system that cannot promise it: we alone write here */
		r = renameat(u->fd, temp, dir, name) < 0 ? -errno : 0;
	return r;
}

int upper_put(struct upper *u, const char *temp, const char *path)
{
	const char *name;
	auto_close int dir = upper_open_parent(u, path, &name);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	char self[64];
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	if (fstat(dir, &st) < 0)
		return -errno;
	times[1] = st.st_mtim;
	(void)snprintf(self, sizeof self, "/proc/self/fd/%d", dir);
	r = upper_rename_new(u, temp, dir, name);
	if (r == -EACCES) {
		/* A file may be written where no name may be made. */
		(void)pthread_mutex_lock(&u->mode_mu);
		if (chmod(self, (st.st_mode & 07777) | 0300) == 0) {
			r = upper_rename_new(u, temp, dir, name);
			(void)chmod(self, st.st_mode & 07777);
		}
		(void)pthread_mutex_unlock(&u->mode_mu);
	}
	if (r == 0) {
		(void)utimensat(AT_FDCWD, self, times, 0);
		upper_changed(u, st.st_ino);
	}
	return r;
}

/* ---- folders ---- */

/* One of our own, that only leads somewhere. */
static int plain_folder(struct upper *u, const char *path)
{
	return mkdirat(u->fd, path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int folder_like(struct upper *u, const struct view_attr *low, const char *path)
{
	struct timespec times[2] = { low_time(low), low_time(low) };
	struct stat st;
	char temp[64];
	int r = upper_stat(u, path, &st);

	if (r != -ENOENT)
		return r;
	upper_temp(u, temp);
	if (mkdirat(u->fd, temp, 0700) < 0)
		return -errno;
	if (fchmodat(u->fd, temp, low->mode & 07777, 0) < 0 ||
	    utimensat(u->fd, temp, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else
		r = upper_put(u, temp, path);
	if (r < 0)
		(void)unlinkat(u->fd, temp, AT_REMOVEDIR);
	return r == -EEXIST ? 0 : r;
}

/* A key that is no file name is written down once. */
static int note_long_key(struct upper *u, const struct area *a)
{
	auto_close int fd = -1;
	auto_buf struct buf line = BUF_INIT(5 * PATH_MAX);
	struct stat st;

	if (!a->long_key || fstatat(u->fd, a->dir, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	buf_addf(&line, "%s %s\n", a->dir + strlen("pkg/"), a->long_key);
	if (buf_error(&line) < 0)
		return buf_error(&line);
	fd = openat(u->fd, "names", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : file_write_all(fd, line.data, line.len);
}

/* From the top of a mount or package down, name by name. */
static int make_down(struct upper_call *c, const struct spot *s)
{
	uint64_t at = s->top;
	size_t len = s->top_len;
	struct view_attr low;
	char path[PATH_MAX];
	int r = view_attr(c->v, at, &low, c->ret_wait, c->e);

	if (r == 0 && s->area->slot)
		r = note_long_key(c->u, s->area);
	for (size_t i = strlen(s->area->dir); r == 0 && !s->area->slot && i < len; i++) {
		if (s->path[i] != '/')
			continue;
		memcpy(path, s->path, i);
		path[i] = '\0';
		r = plain_folder(c->u, path);
	}
	atomic_store(&s->area->used, true);
	while (r == 0) {
		size_t end = len + 1 + strcspn(s->path + len + 1, "/");

		memcpy(path, s->path, len);
		path[len] = '\0';
		r = folder_like(c->u, &low, path);
		if (r != 0 || s->path[len] == '\0')
			break;
		r = view_lookup(c->v, at,
				(struct slice){ (const uint8_t *)s->path + len + 1, end - len - 1 },
				&low, c->ret_wait, c->e);
		at = low.ino;
		len = end;
	}
	return r;
}

int upper_make_dirs(struct upper_call *c, uint64_t dir, struct spot *ret, int *ret_fd)
{
	int r = spot_open(c, dir, O_PATH | O_DIRECTORY, ret, ret_fd);

	if (r != -ENOENT)
		return r;
	if (!ret->area || (ret->flags & UNODE_ORPHAN))
		return upper_fault(c->u, -ENOENT, "a folder");
	r = make_down(c, ret);
	if (r == 0)
		r = spot_open(c, dir, O_PATH | O_DIRECTORY, ret, ret_fd);
	return r < 0 ? upper_fault(c->u, r, "a folder") : r;
}

/* ---- files ---- */

/* True: nobody else copies it up, and nobody will until end_copy(). False: somebody did just now.
 */
static int begin_copy(struct upper_call *c, uint64_t ino)
{
	struct nodes *n = &c->u->nodes;
	int r = 1;

	(void)pthread_mutex_lock(&n->mu);
	for (size_t i = 0; i < n->copying_count && r == 1; i++)
		if (n->copying[i] == ino)
			r = c->may_block ? 0 : -EINPROGRESS;
	while (r == 0) {
		size_t i = 0;

		while (i < n->copying_count && n->copying[i] != ino)
			i++;
		if (i == n->copying_count)
			break;
		(void)pthread_cond_wait(&n->settled, &n->mu);
	}
	if (r == 1 && n->copying_count == n->copying_cap) {
		size_t more = n->copying_cap ? n->copying_cap * 2 : 16;
		uint64_t *grown = realloc(n->copying, more * sizeof *grown);

		if (grown) {
			n->copying = grown;
			n->copying_cap = more;
		} else {
			r = -ENOMEM;
		}
	}
	if (r == 1)
		n->copying[n->copying_count++] = ino;
	(void)pthread_mutex_unlock(&n->mu);
	return r;
}

static void end_copy(struct upper_call *c, uint64_t ino)
{
	struct nodes *n = &c->u->nodes;
	size_t i = 0;

	(void)pthread_mutex_lock(&n->mu);
	while (n->copying[i] != ino)
		i++;
	n->copying[i] = n->copying[--n->copying_count];
	(void)pthread_cond_broadcast(&n->settled);
	(void)pthread_mutex_unlock(&n->mu);
}

static int copy_bytes(struct upper_call *c, uint64_t ino, uint64_t size, int fd)
{
	size_t chunk = size < COPY_CHUNK ? (size_t)size : COPY_CHUNK;
	auto_free char *buf = malloc(chunk + 1);

	if (!buf)
		return -ENOMEM;
	for (uint64_t at = 0; at < size;) {
		size_t want = size - at < chunk ? (size_t)(size - at) : chunk;
		ssize_t n = view_read(c->v, ino, buf, want, at, c->ret_wait, c->e);
		int r;

		if (n == 0)
			return -EIO;
		if (n < 0)
			return n == -EAGAIN ? VIEW_WAIT : (int)n;
		r = file_pwrite_all(fd, buf, (size_t)n, (off_t)at);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

static int copy_file(struct upper_call *c, const struct spot *s, const struct view_attr *low,
		     uint64_t limit)
{
	struct timespec times[2] = { low_time(low), low_time(low) };
	auto_close int fd = -1;
	char temp[64];
	int r;

	upper_temp(c->u, temp);
	fd = openat(c->u->fd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = copy_bytes(c, s->lower, low->size < limit ? low->size : limit, fd);
	if (r == 0 && (fchmod(fd, low->mode & 07777) < 0 || futimens(fd, times) < 0))
		r = -errno;
	/* From the rename on it hides what the package has: a power cut must not leave it empty. */
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = upper_put(c->u, temp, s->path);
	if (r != 0) {
		(void)unlinkat(c->u->fd, temp, 0);
		return r;
	}
	upper_file_keep(c->u, s->ino, fd);
	fd = -1;
	return 0;
}

static int copy_link(struct upper_call *c, const struct spot *s, const struct view_attr *low)
{
	struct timespec times[2] = { low_time(low), low_time(low) };
	const char *text;
	char temp[64];
	int r = view_readlink(c->v, s->lower, &text, c->e);

	if (r < 0)
		return r;
	upper_temp(c->u, temp);
	if (symlinkat(text, c->u->fd, temp) < 0)
		return -errno;
	(void)utimensat(c->u->fd, temp, times, AT_SYMLINK_NOFOLLOW);
	r = upper_put(c->u, temp, s->path);
	if (r < 0)
		(void)unlinkat(c->u->fd, temp, 0);
	return r;
}

/* The directory that a thing of the lower is in. */
static int make_parent(struct upper_call *c, const struct spot *s)
{
	struct spot dir = *s;
	char *slash = strrchr(dir.path, '/');

	if (s->flags & UNODE_ORPHAN)
		return 0;
	*slash = '\0';
	return make_down(c, &dir);
}

static void mark_saved(struct upper *u, uint64_t ino)
{
	struct unode *n;

	(void)pthread_mutex_lock(&u->nodes.mu);
	n = nodes_get(&u->nodes, ino);
	if (n && (n->flags & UNODE_ORPHAN))
		n->flags |= UNODE_SAVED;
	(void)pthread_mutex_unlock(&u->nodes.mu);
}

static int copy_now(struct upper_call *c, const struct spot *s, uint64_t limit)
{
	struct view_attr low;
	int r = view_attr(c->v, s->lower, &low, c->ret_wait, c->e);

	if (r != 0)
		return r;
	if (!S_ISREG(low.mode) && !S_ISLNK(low.mode))
		return -EISDIR;
	if (S_ISREG(low.mode) && !c->may_block)
		return UPPER_BLOCK;
	r = make_parent(c, s);
	if (r == 0)
		r = S_ISREG(low.mode) ? copy_file(c, s, &low, limit) : copy_link(c, s, &low);
	if (r == 0 && (s->flags & UNODE_ORPHAN))
		mark_saved(c->u, s->ino);
	return r;
}

int upper_copy_up(struct upper_call *c, uint64_t ino, uint64_t limit)
{
	for (unsigned i = 0; i < COPY_TRIES; i++) {
		auto_close int fd = -1;
		struct spot s;
		int r = spot_open(c, ino, O_PATH, &s, &fd), mine;

		if (r != -ENOENT)
			return r;
		if (!s.lower)
			return upper_fault(c->u, -EIO, "a file");
		mine = begin_copy(c, ino);
		if (mine < 0)
			return mine == -EINPROGRESS ? UPPER_BLOCK : mine;
		if (mine == 0)
			continue;
		/* it may have been done between the look and the claim */
		r = spot_open(c, ino, O_PATH, &s, &fd);
		if (r == -ENOENT)
			r = copy_now(c, &s, limit);
		end_copy(c, ino);
		if (r == -EEXIST)
			continue; /* by somebody, or by something, between the two */
		return r < 0 ? upper_fault(c->u, r, "copying a file up") : r;
	}
	return upper_fault(c->u, -EIO, "copying a file up");
}
