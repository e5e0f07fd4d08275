#include "tests/lib/disklog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum what { MAKE, LINK, REMOVE, MOVE, SWAP, BYTES, SIZE, MODE, SYNC };

struct event {
	enum what what;
	unsigned id, dir, dir2;
	char name[256], name2[256];
	mode_t mode;
	long long off;
	size_t len;
	char *bytes; /* of BYTES; a symbolic link's text of MAKE */
};

/* A file while it lasts: numbers are used again, ids are not. */
struct known {
	ino_t ino;
	unsigned id;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static bool recording;
static dev_t device;
static struct event *events;
static size_t count, cap, first; /* the events before `first` made what was there */
static struct known *known;
static size_t known_count;

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "disklog: %s: %s\n", what, strerror(errno));
	abort();
}

/* ---- noting ---- */

static unsigned id_of(ino_t ino)
{
	for (size_t i = known_count; i > 0; i--)
		if (known[i - 1].ino == ino)
			return known[i - 1].id;
	return 0;
}

static unsigned new_id(ino_t ino)
{
	known = realloc(known, (known_count + 1) * sizeof *known);
	need(known != NULL, "memory");
	known[known_count] = (struct known){ ino, (unsigned)known_count + 1 };
	return known[known_count++].id;
}

static struct event *add(enum what what)
{
	if (count == cap) {
		cap = cap ? cap * 2 : 256;
		events = realloc(events, cap * sizeof *events);
		need(events != NULL, "memory");
	}
	memset(&events[count], 0, sizeof *events);
	events[count].what = what;
	return &events[count++];
}

/* The folder that a path's last name is in; 0 if it is none of ours. */
static unsigned parent_id(int at, const char *path, char name[256])
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct stat st;

	(void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1,
		       slash ? path : ".");
	(void)snprintf(name, 256, "%s", slash ? slash + 1 : path);
	if (fstatat(at, dir[0] ? dir : "/", &st, 0) < 0 || st.st_dev != device)
		return 0;
	return id_of(st.st_ino);
}

static void note_made(int at, const char *path, const char *text)
{
	struct stat st;
	char name[256];
	unsigned dir = parent_id(at, path, name);

	if (!dir || fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct event *e = add(MAKE);
	e->id = new_id(st.st_ino);
	e->dir = dir;
	e->mode = st.st_mode;
	memcpy(e->name, name, sizeof name);
	e->bytes = text ? strdup(text) : NULL;
}

static void note_file(enum what what, const struct stat *st, long long off, const void *bytes,
		      size_t len)
{
	unsigned id = st->st_dev == device ? id_of(st->st_ino) : 0;

	if (!id)
		return;
	struct event *e = add(what);
	e->id = id;
	e->mode = st->st_mode;
	e->off = off;
	e->len = len;
	if (len && bytes) {
		e->bytes = malloc(len);
		need(e->bytes != NULL, "memory");
		memcpy(e->bytes, bytes, len);
	}
}

static void note_fd(enum what what, int fd, long long off, const void *bytes, size_t len)
{
	struct stat st;

	(void)pthread_mutex_lock(&mu);
	if (recording && fstat(fd, &st) == 0)
		note_file(what, &st, off, bytes, len);
	(void)pthread_mutex_unlock(&mu);
}

static void note_path(enum what what, int at, const char *path, int flags)
{
	struct stat st;

	(void)pthread_mutex_lock(&mu);
	if (recording && fstatat(at, path, &st, flags) == 0)
		note_file(what, &st, 0, NULL, 0);
	(void)pthread_mutex_unlock(&mu);
}

/* ---- the calls, in the C library's place ---- */

int openat64(int at, const char *path, int flags, ...)
{
	struct stat st;
	mode_t mode = 0;
	bool was;
	int fd;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	(void)pthread_mutex_lock(&mu);
	was = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	if (recording && fd >= 0 && (flags & O_CREAT) && !was)
		note_made(at, path, NULL);
	else if (recording && fd >= 0 && (flags & O_TRUNC))
		note_file(SIZE, &st, 0, NULL, 0);
	(void)pthread_mutex_unlock(&mu);
	return fd;
}

static int made(int r, int at, const char *path, const char *text)
{
	if (r == 0 && recording)
		note_made(at, path, text);
	(void)pthread_mutex_unlock(&mu);
	return r;
}

int mkdirat(int at, const char *path, mode_t mode)
{
	(void)pthread_mutex_lock(&mu);
	return made((int)syscall(SYS_mkdirat, at, path, mode), at, path, NULL);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int mknodat(int at, const char *path, mode_t mode, dev_t dev)
{
	(void)pthread_mutex_lock(&mu);
	return made((int)syscall(SYS_mknodat, at, path, mode, dev), at, path, NULL);
}

int symlinkat(const char *text, int at, const char *path)
{
	(void)pthread_mutex_lock(&mu);
	return made((int)syscall(SYS_symlinkat, text, at, path), at, path, text);
}

int linkat(int at, const char *path, int at2, const char *path2, int flags)
{
	struct stat st;
	char name[256];
	int r;

	(void)pthread_mutex_lock(&mu);
	r = (int)syscall(SYS_linkat, at, path, at2, path2, flags);
	if (r == 0 && recording && fstatat(at2, path2, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    id_of(st.st_ino)) {
		unsigned dir = parent_id(at2, path2, name);
		struct event *e = add(LINK);

		e->id = id_of(st.st_ino);
		e->dir = dir;
		memcpy(e->name, name, sizeof name);
	}
	(void)pthread_mutex_unlock(&mu);
	return r;
}

int unlinkat(int at, const char *path, int flags)
{
	char name[256];
	unsigned dir;
	int r;

	(void)pthread_mutex_lock(&mu);
	dir = recording ? parent_id(at, path, name) : 0;
	r = (int)syscall(SYS_unlinkat, at, path, flags);
	if (r == 0 && dir) {
		struct event *e = add(REMOVE);

		e->dir = dir;
		memcpy(e->name, name, sizeof name);
	}
	(void)pthread_mutex_unlock(&mu);
	return r;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int renameat2(int at, const char *path, int at2, const char *path2, unsigned flags)
{
	char name[256], name2[256];
	unsigned dir, dir2;
	int r;

	(void)pthread_mutex_lock(&mu);
	dir = recording ? parent_id(at, path, name) : 0;
	dir2 = recording ? parent_id(at2, path2, name2) : 0;
	r = (int)syscall(SYS_renameat2, at, path, at2, path2, flags);
	if (r == 0 && dir && dir2) {
		struct event *e = add(flags & RENAME_EXCHANGE ? SWAP : MOVE);

		e->dir = dir;
		e->dir2 = dir2;
		memcpy(e->name, name, sizeof name);
		memcpy(e->name2, name2, sizeof name2);
	}
	(void)pthread_mutex_unlock(&mu);
	return r;
}

int renameat(int at, const char *path, int at2, const char *path2)
{
	return renameat2(at, path, at2, path2, 0);
}

int rename(const char *path, const char *path2)
{
	return renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t off)
{
	ssize_t r = syscall(SYS_pwrite64, fd, bytes, n, off);

	if (r > 0)
		note_fd(BYTES, fd, off, bytes, (size_t)r);
	return r;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	long long off = lseek(fd, 0, SEEK_CUR);
	ssize_t r = syscall(SYS_write, fd, bytes, n);

	if (r > 0 && off >= 0) {
		/* of an appending descriptor, only the end tells */
		long long end = lseek(fd, 0, SEEK_CUR);

		note_fd(BYTES, fd, end - r, bytes, (size_t)r);
	}
	return r;
}

int ftruncate64(int fd, off64_t size)
{
	int r = (int)syscall(SYS_ftruncate, fd, size);

	if (r == 0)
		note_fd(SIZE, fd, size, NULL, 0);
	return r;
}

int fchmod(int fd, mode_t mode)
{
	int r = (int)syscall(SYS_fchmod, fd, mode);

	if (r == 0)
		note_fd(MODE, fd, 0, NULL, 0);
	return r;
}

int fchmodat(int at, const char *path, mode_t mode, int flags)
{
	int r = (int)syscall(SYS_fchmodat, at, path, mode);

	if (r == 0)
		note_path(MODE, at, path, flags);
	return r;
}

int chmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, 0);
}

int fsync(int fd)
{
	int r = (int)syscall(SYS_fsync, fd);

	if (r == 0)
		note_fd(SYNC, fd, 0, NULL, 0);
	return r;
}

/* A new size goes with it, and all that came before that. */
int fdatasync(int fd)
{
	return fsync(fd);
}

/* ---- from the start ---- */

static void note_folder(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *entry;

	need(d != NULL, path);
	while ((entry = readdir(d))) {
		char child[4096];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
		note_made(AT_FDCWD, child, NULL);
		need(lstat(child, &st) == 0, child);
		if (S_ISDIR(st.st_mode)) {
			note_folder(child);
		} else if (S_ISREG(st.st_mode)) {
			char text[4096];
			int fd = open(child, O_RDONLY | O_CLOEXEC);
			ssize_t n = read(fd, text, sizeof text);

			need(n >= 0 && n < (ssize_t)sizeof text, child);
			note_file(BYTES, &st, 0, text, (size_t)n);
			note_file(SYNC, &st, 0, NULL, 0);
			(void)close(fd);
		}
	}
	(void)closedir(d);
}

void disklog_start(const char *dir)
{
	struct stat st;

	(void)pthread_mutex_lock(&mu);
	need(stat(dir, &st) == 0, dir);
	device = st.st_dev;
	(void)new_id(st.st_ino); /* 1 */
	note_folder(dir);
	note_file(SYNC, &st, 0, NULL, 0);
	first = count;
	recording = true;
	(void)pthread_mutex_unlock(&mu);
}

void disklog_stop(void)
{
	recording = false;
}

size_t disklog_count(void)
{
	return count - first;
}

void disklog_free(void)
{
	for (size_t i = 0; i < count; i++)
		free(events[i].bytes);
	free(events);
	free(known);
	events = NULL;
	known = NULL;
	count = cap = first = known_count = 0;
	recording = false;
}

/* ---- what is left ---- */

struct file {
	mode_t mode;
	const char *text; /* of a symbolic link */
	char *bytes;
	size_t len;
};

struct entry {
	unsigned dir, id;
	char name[256];
};

struct disk {
	struct file *files; /* by id */
	struct entry *entries;
	size_t entry_count;
};

static struct entry *find(struct disk *d, unsigned dir, const char *name)
{
	for (size_t i = 0; i < d->entry_count; i++)
		if (d->entries[i].dir == dir && strcmp(d->entries[i].name, name) == 0)
			return &d->entries[i];
	return NULL;
}

static void enter(struct disk *d, unsigned dir, const char *name, unsigned id)
{
	struct entry *e = find(d, dir, name);

	if (!e) {
		e = &d->entries[d->entry_count++];
		e->dir = dir;
		memcpy(e->name, name, strlen(name) + 1);
	}
	e->id = id;
}

static void leave(struct disk *d, unsigned dir, const char *name)
{
	struct entry *e = find(d, dir, name);

	need(e != NULL, name);
	*e = d->entries[--d->entry_count];
}

static void apply_name(struct disk *d, const struct event *e)
{
	struct entry *a, *b;
	unsigned id;

	switch (e->what) {
	case MAKE:
		d->files[e->id] = (struct file){ .mode = e->mode, .text = e->bytes };
		enter(d, e->dir, e->name, e->id);
		break;
	case LINK:
		enter(d, e->dir, e->name, e->id);
		break;
	case REMOVE:
		leave(d, e->dir, e->name);
		break;
	case MOVE:
		a = find(d, e->dir, e->name);
		need(a != NULL, e->name);
		id = a->id;
		leave(d, e->dir, e->name);
		enter(d, e->dir2, e->name2, id);
		break;
	case SWAP:
		a = find(d, e->dir, e->name);
		b = find(d, e->dir2, e->name2);
		need(a && b, e->name);
		id = a->id;
		a->id = b->id;
		b->id = id;
		break;
	case MODE:
		d->files[e->id].mode = e->mode;
		break;
	default:
		break;
	}
}

static void resize(struct file *f, size_t len)
{
	f->bytes = realloc(f->bytes, len + 1);
	need(f->bytes != NULL, "memory");
	if (len > f->len)
		memset(f->bytes + f->len, 0, len - f->len);
	f->len = len;
}

static void apply_bytes(struct disk *d, const struct event *e)
{
	struct file *f = &d->files[e->id];

	if (e->what == SIZE)
		resize(f, (size_t)e->off);
	if (e->what != BYTES)
		return;
	if (f->len < (size_t)e->off + e->len)
		resize(f, (size_t)e->off + e->len);
	memcpy(f->bytes + e->off, e->bytes, e->len);
}

static void write_out(const struct disk *d, unsigned dir, const char *to)
{
	need(syscall(SYS_mkdirat, AT_FDCWD, to, 0700) == 0, to);
	for (size_t i = 0; i < d->entry_count; i++) {
		const struct entry *e = &d->entries[i];
		const struct file *f = &d->files[e->id];
		char path[4096];

		if (e->dir != dir)
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", to, e->name);
		if (S_ISDIR(f->mode)) {
			write_out(d, e->id, path);
			need(syscall(SYS_fchmodat, AT_FDCWD, path, f->mode & 07777) == 0, path);
		} else if (S_ISLNK(f->mode)) {
			need(symlink(f->text ? f->text : "?", path) == 0, path);
		} else {
			int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
					      O_WRONLY | O_CREAT | O_EXCL, 0600);

			need(fd >= 0 && syscall(SYS_write, fd, f->bytes ? f->bytes : "", f->len) ==
						(long)f->len,
			     path);
			need(syscall(SYS_fchmod, fd, f->mode & 07777) == 0, path);
			(void)close(fd);
		}
	}
}

void disklog_leave(size_t n, enum disklog_kept kept, const char *to)
{
	struct disk d = { calloc(known_count + 2, sizeof *d.files),
			  calloc(count + 1, sizeof *d.entries), 0 };
	size_t names = first + n;

	need(d.files && d.entries, "memory");
	n += first;
	if (kept == DISKLOG_SYNCED)
		while (names > 0 && events[names - 1].what != SYNC)
			names--;
	for (size_t i = 0; i < names; i++)
		apply_name(&d, &events[i]);
	for (size_t i = 0; i < n; i++) {
		bool durable = kept == DISKLOG_ALL;

		for (size_t k = i + 1; k < n && !durable; k++)
			durable = events[k].what == SYNC && events[k].id == events[i].id;
		if (durable)
			apply_bytes(&d, &events[i]);
	}
	write_out(&d, 1, to);
	for (size_t i = 0; i <= known_count + 1; i++)
		free(d.files[i].bytes);
	free(d.files);
	free(d.entries);
}
