#include "opfuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A modification time before this was set on purpose and must be kept to the nanosecond. */
#define LONG_AGO 1100000000

int side_open(struct side *s, const char *name, const char *path)
{
	*s = (struct side){ .name = name, .path = path };
	for (int i = 0; i < SLOTS; i++)
		s->fd[i] = -1;
	s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->root < 0 ? -errno : 0;
}

void side_release_slots(struct side *s)
{
	for (int i = 0; i < SLOTS; i++) {
		if (s->map[i].at)
			(void)munmap(s->map[i].at, s->map[i].len);
		if (s->fd[i] >= 0)
			close(s->fd[i]);
		s->map[i] = (struct map){ 0 };
		s->fd[i] = -1;
	}
}

void side_close(struct side *s)
{
	side_release_slots(s);
	if (s->root >= 0)
		close(s->root);
	s->root = -1;
}

/* ---- the answer ---- */

struct answer {
	char *to;
	size_t len;
	const struct side *side;
};

__attribute__((format(printf, 2, 3))) static void say(struct answer *a, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(a->to + a->len, LINE_MAX - a->len, format, ap);
	va_end(ap);
	if (n > 0)
		a->len += (size_t)n;
	if (a->len >= LINE_MAX)
		a->len = LINE_MAX - 1;
}

static void say_result(struct answer *a, long r)
{
	int err = errno;

	say(a, "%s", r < 0 ? strerrorname_np(err) : "ok");
}

static uint64_t hash(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

/* The time of a folder that the lock makes is never before the lock's, whatever it was set to; of
 * one without a path, we do not know which it is. */
static bool time_may_differ(const struct side *s, const struct stat *st, const char *path)
{
	const char *name = path && strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	if (s->no_times)
		return true;
	if (S_ISREG(st->st_mode))
		return s->loose_times;
	if (!S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return true; /* a fifo that was written to */
	return S_ISDIR(st->st_mode) &&
	       (!name || strcmp(name, ".") == 0 || strcmp(name, ".bin") == 0 ||
		strcmp(name, "node_modules") == 0 || name[0] == '@');
}

static void say_stat(struct answer *a, const struct stat *st, const char *path)
{
	bool dir = S_ISDIR(st->st_mode);

	if (dir && st->st_nlink == 0) {
		say(a, " a removed folder");
		return;
	}
	say(a, " %06o", st->st_mode);
	/* A directory's size and links are its file system's own business. */
	if (!dir)
		say(a, " size=%lld links=%lu", (long long)st->st_size, (unsigned long)st->st_nlink);
	if (st->st_mtim.tv_sec < LONG_AGO && !time_may_differ(a->side, st, path))
		say(a, " mtime=%lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	say(a, " owner=%u:%u", st->st_uid, st->st_gid);
}

/* Of a path that an operation names: how it was before, and what became of it. */
struct seen {
	const char *path;
	char buf[8192];
	bool there;
	struct stat st;
};

static void look(struct seen *s, int root, const char *path)
{
	s->path = path;
	s->there = path && fstatat(root, path, &s->st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void look_at_parent(struct seen *s, int root, const char *path)
{
	char *slash;

	(void)snprintf(s->buf, sizeof s->buf, "%s", path ? path : "");
	slash = strrchr(s->buf, '/');
	if (slash)
		*slash = 0;
	look(s, root, !path ? NULL : slash ? s->buf : ".");
}

static void say_seen(struct answer *a, const char *label, int root, const struct seen *before)
{
	struct seen now;

	if (!before->path)
		return;
	look(&now, root, before->path);
	say(a, "; %s", label);
	if (!now.there) {
		say(a, before->there ? " went" : " none");
		return;
	}
	say_stat(a, &now.st, before->path);
	say(a, !before->there                       ? " came"
	       : now.st.st_ino != before->st.st_ino ? " another"
						    : " same");
}

/* ---- bytes ---- */

/* Touching what a truncation took away raises SIGBUS, on both sides. */
static sigjmp_buf on_bus;
static volatile sig_atomic_t touching;

static void bus(int sig)
{
	if (touching)
		siglongjmp(on_bus, 1);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void fill(unsigned char *to, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0)
			(void)gen_next(&seed);
		to[i] = (unsigned char)(seed >> (i % 8 * 8));
	}
}

static unsigned char buffer[1200000];

static void run_map(struct side *s, const struct op *o, struct answer *a)
{
	struct map *m = &s->map[o->slot];
	struct stat st;

	if (m->at) {
		say(a, "mapped already");
		return;
	}
	if (fstat(s->fd[o->slot], &st) < 0 || st.st_size == 0 || !S_ISREG(st.st_mode)) {
		say(a, "nothing to map");
		return;
	}
	m->len = (size_t)st.st_size;
	m->at = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd[o->slot], 0);
	say_result(a, m->at == MAP_FAILED ? -1 : 0);
	if (m->at == MAP_FAILED)
		*m = (struct map){ 0 };
}

static void touch(const struct op *o, unsigned char *at, size_t n, struct answer *a)
{
	if (sigsetjmp(on_bus, 1) == 0) {
		touching = 1;
		if (o->kind == OP_MAPWRITE)
			fill(at, n, o->seed);
		else
			say(a, "%016llx ", (unsigned long long)hash(at, n));
		say(a, "touched %zu", n);
	} else {
		say(a, "SIGBUS");
	}
	touching = 0;
}

static void run_touch(struct side *s, const struct op *o, struct answer *a)
{
	const struct map *m = &s->map[o->slot];
	struct sigaction act = { .sa_handler = bus }, old;

	if (!m->at || o->x >= m->len) {
		say(a, "not mapped there");
		return;
	}
	if (o->kind == OP_MAPWRITE)
		s->loose_times = true;
	(void)sigaction(SIGBUS, &act, &old);
	touch(o, (unsigned char *)m->at + o->x, o->y < m->len - o->x ? o->y : m->len - o->x, a);
	(void)sigaction(SIGBUS, &old, NULL);
}

static void run_unmap(struct side *s, const struct op *o, struct answer *a)
{
	struct map *m = &s->map[o->slot];

	if (!m->at) {
		say(a, "not mapped");
		return;
	}
	say_result(a, o->x ? msync(m->at, m->len, MS_SYNC) : 0);
	(void)munmap(m->at, m->len);
	*m = (struct map){ 0 };
}

static void run_read(struct side *s, const struct op *o, struct answer *a)
{
	ssize_t n =
		pread(s->fd[o->slot], buffer, o->y < sizeof buffer ? o->y : sizeof buffer, o->x);

	say_result(a, n);
	if (n >= 0)
		say(a, " %zd bytes %016llx", n, (unsigned long long)hash(buffer, (size_t)n));
}

static void run_write(struct side *s, const struct op *o, struct answer *a)
{
	size_t len = o->y < sizeof buffer ? o->y : sizeof buffer;
	ssize_t n;

	fill(buffer, len, o->seed);
	n = o->kind == OP_WRITE ? write(s->fd[o->slot], buffer, len)
				: pwrite(s->fd[o->slot], buffer, len, o->x);
	say_result(a, n);
	if (n >= 0)
		say(a, " %zd bytes", n);
}

static void run_open(struct side *s, const struct op *o, struct answer *a)
{
	int at = o->kind == OP_OPENAT ? s->fd[o->slot2] : s->root;
	/* A fifo must not be waited for. */
	int fd = openat(at, o->path, (int)o->x | O_NONBLOCK | O_CLOEXEC, (mode_t)o->y);

	say_result(a, fd);
	if (fd < 0)
		return;
	if (s->fd[o->slot] >= 0)
		close(s->fd[o->slot]);
	s->fd[o->slot] = fd;
}

/* ---- names ---- */

struct dirent64_ {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names but `without`, with their types; a name that comes twice is an error. With
 * `without`, that name is made and removed between the reads. */
static void run_list(struct side *s, const struct op *o, struct answer *a)
{
	const char *without = o->kind == OP_LISTWHILE ? o->path2 : NULL;
	int fd = openat(s->root, o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *names[4096];
	char buf[8192] __attribute__((aligned(8)));
	size_t count = 0, size = without ? 320 : sizeof buf;
	long n = 0;
	uint64_t h = 0;

	say_result(a, fd);
	if (fd < 0)
		return;
	for (int round = 0; (n = syscall(SYS_getdents64, fd, buf, size)) > 0; round++) {
		for (long at = 0; at < n; at += ((struct dirent64_ *)(void *)(buf + at))->len) {
			struct dirent64_ *d = (void *)(buf + at);

			if (count == 4096 || (without && strcmp(d->name, without) == 0))
				continue;
			if (asprintf(&names[count], "%s %u", d->name, d->type) < 0)
				abort();
			count++;
		}
		if (without && round == 0) {
			int made =
				openat(fd, without, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

			if (made >= 0) {
				close(made);
				(void)unlinkat(fd, without, 0);
			}
		}
	}
	if (n < 0)
		say(a, " then %s", strerrorname_np(errno));
	close(fd);
	if (count)
		qsort(names, count, sizeof *names, by_text);
	for (size_t i = 0; i < count; i++) {
		if (i && strcmp(names[i], names[i - 1]) == 0)
			say(a, " TWICE:%s", names[i]);
		h = h * 31 + hash(names[i], strlen(names[i]));
		if (count <= 12)
			say(a, " %s,", names[i]);
	}
	say(a, " %zu names %016llx", count, (unsigned long long)h);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
}

static void run_readlink(struct side *s, const struct op *o, struct answer *a)
{
	char text[4097] = "";
	ssize_t n = readlinkat(s->root, o->path, text, sizeof text - 1);

	say_result(a, n);
	if (n >= 0)
		say(a, " \"%s\"", text);
}

static void run_stat(struct side *s, const struct op *o, struct answer *a)
{
	struct stat st;
	int r = o->kind == OP_STAT ? fstatat(s->root, o->path, &st, 0) : fstat(s->fd[o->slot], &st);

	say_result(a, r);
	if (r == 0)
		say_stat(a, &st, NULL);
}

static int run_utimens(struct side *s, const struct op *o)
{
	static const struct timespec times[4][2] = {
		{ { 1000000000, 0 }, { 1000000000, 0 } },
		{ { 0, UTIME_OMIT }, { 1000000001, 123456789 } },
		{ { 0, UTIME_NOW }, { 0, UTIME_NOW } },
		{ { 900000000, 1 }, { 0, UTIME_OMIT } },
	};

	return o->kind == OP_FUTIMENS
		       ? futimens(s->fd[o->slot], times[o->x])
		       : utimensat(s->root, o->path, times[o->x], AT_SYMLINK_NOFOLLOW);
}

static long run_simple(struct side *s, const struct op *o)
{
	int fd = s->fd[o->slot];

	switch (o->kind) {
	case OP_CLOSE:
		s->fd[o->slot] = -1;
		return close(fd);
	case OP_SEEK:
		return lseek(fd, o->x, SEEK_SET);
	case OP_TRUNCATE: {
		/* There is no truncateat. */
		char path[8192];

		(void)snprintf(path, sizeof path, "%s/%s", s->path, o->path);
		return truncate(path, o->x);
	}
	case OP_FTRUNCATE:
		return ftruncate(fd, o->x);
	case OP_FALLOCATE:
		return fallocate(fd, o->mode, o->x, o->y);
	case OP_FSYNC:
		return o->x ? fsync(fd) : fdatasync(fd);
	case OP_MKDIR:
		return mkdirat(s->root, o->path, (mode_t)o->y);
	case OP_RMDIR:
		return unlinkat(s->root, o->path, AT_REMOVEDIR);
	case OP_UNLINK:
		return unlinkat(s->root, o->path, 0);
	case OP_RENAME:
		return renameat2(s->root, o->path, s->root, o->path2, o->x);
	case OP_LINK:
		return linkat(s->root, o->path, s->root, o->path2, (int)o->x);
	case OP_SYMLINK:
		return symlinkat(o->path2, s->root, o->path);
	case OP_MKNOD:
		return mknodat(s->root, o->path, (mode_t)o->y, 0);
	case OP_CHMOD:
		return fchmodat(s->root, o->path, (mode_t)o->y, 0);
	case OP_FCHMOD:
		return fchmod(fd, (mode_t)o->y);
	case OP_CHOWN:
		return fchownat(s->root, o->path, (uid_t)-1, o->x ? getegid() : (gid_t)-1,
				AT_SYMLINK_NOFOLLOW);
	case OP_UTIMENS:
	case OP_FUTIMENS:
		return run_utimens(s, o);
	case OP_ACCESS:
		return faccessat(s->root, o->path, R_OK | W_OK, 0);
	default:
		(void)umask((mode_t)o->y);
		return 0;
	}
}

static void run(struct side *s, const struct op *o, struct answer *a)
{
	switch (o->kind) {
	case OP_OPEN:
	case OP_OPENAT:
		run_open(s, o, a);
		return;
	case OP_WRITE:
	case OP_PWRITE:
		run_write(s, o, a);
		return;
	case OP_PREAD:
		run_read(s, o, a);
		return;
	case OP_LIST:
	case OP_LISTWHILE:
		run_list(s, o, a);
		return;
	case OP_READLINK:
		run_readlink(s, o, a);
		return;
	case OP_STAT:
	case OP_FSTAT:
		run_stat(s, o, a);
		return;
	case OP_MAP:
		run_map(s, o, a);
		return;
	case OP_MAPWRITE:
	case OP_MAPREAD:
		run_touch(s, o, a);
		return;
	case OP_UNMAP:
		run_unmap(s, o, a);
		return;
	default:
		say_result(a, run_simple(s, o));
	}
}

static bool names_a_path(const struct op *o)
{
	switch (o->kind) {
	case OP_OPEN:
	case OP_TRUNCATE:
	case OP_STAT:
	case OP_ACCESS:
	case OP_LIST:
	case OP_LISTWHILE:
		return true;
	default:
		return o->kind >= OP_MKDIR && o->kind <= OP_UTIMENS && o->kind != OP_FCHMOD;
	}
}

void op_run(struct side *s, const struct op *o, char *to)
{
	static struct seen seen[4];
	bool two = o->kind == OP_RENAME || o->kind == OP_LINK;
	const char *path = names_a_path(o) ? o->path : NULL, *path2 = two ? o->path2 : NULL;
	struct answer a = { .to = to, .side = s };
	struct stat st;

	look(&seen[0], s->root, path);
	look_at_parent(&seen[1], s->root, path);
	look(&seen[2], s->root, path2);
	look_at_parent(&seen[3], s->root, path2);
	run(s, o, &a);
	say_seen(&a, "it:", s->root, &seen[0]);
	say_seen(&a, "its folder:", s->root, &seen[1]);
	say_seen(&a, "to:", s->root, &seen[2]);
	say_seen(&a, "folder of that:", s->root, &seen[3]);
	if (!path && o->kind != OP_UMASK && fstat(s->fd[o->slot], &st) == 0) {
		say(&a, "; open:");
		say_stat(&a, &st, NULL);
	}
}
