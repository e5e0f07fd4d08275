/* posix - does a file system keep what POSIX and Linux promise? A table says what to try.
 *
 * usage: posix --make DIR TABLE    makes the rows' folders, as many as the table has
 *        posix DIR TABLE           tries each row in its folder
 *
 * The table (posix.data) has lines "CLAIM | STATEMENT; STATEMENT; ..."; empty lines and such that
 * start with '#' do not count. A claim that starts with "user: " is not tried as root. Row n is
 * tried in DIR/r<n>, which has at first
 *   F, G     files, "f\n" and "g\n", mode 0644
 *   D        a folder with x (a file, "x\n") and y (a folder with a file z)
 * so that DIR may also be a folder out of a package, whose files nobody wrote yet.
 *
 * A statement is a call and its arguments; a last word that is an errno's name says that it fails
 * so, otherwise it must not fail. @N stands for a name of N bytes. Those that ask:
 *   is P file|dir|link|fifo|socket|none   mode P OCTAL   size P N   links P N   text P TEXT
 *   same P Q, differ P Q (the number)     list P NAME,NAME|-        aged P, fresh P
 * `age P` sets a time long ago, `aged` says that P still has it, `fresh` that it has one of today.
 * `open P FLAG,FLAG [MODE]` is what write, read (whole, from the start), seek, ftruncate, fchmod,
 * futimens, fsync, fallocate, flinks, fsize, map, mapwrite, msync, unmap are about; `swap` changes
 * to a second one and back.
 * Prints what fails, then "N passed, N failed, N skipped". Exit status 1 if one failed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS    8
#define ROWS     250 /* as many as the crafted package has */
#define LONG_AGO 1000000000

struct row {
	int fd, other;
	char *map;
	size_t map_len;
	char why[512];
};

struct statement {
	char *word[WORDS];
	int count;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct row *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(t->why, sizeof t->why, format, ap);
	va_end(ap);
	return 1;
}

static long number(const char *s)
{
	return s ? strtol(s, NULL, 0) : 0;
}

/* ---- questions: 0 yes, 1 no and why ---- */

static const char *type_of(mode_t m)
{
	return S_ISREG(m)    ? "file"
	       : S_ISDIR(m)  ? "dir"
	       : S_ISLNK(m)  ? "link"
	       : S_ISFIFO(m) ? "fifo"
	       : S_ISSOCK(m) ? "socket"
			     : "?";
}

static int ask_stat(struct row *t, const struct statement *s)
{
	const char *what = s->word[0];
	struct stat st = { 0 }, other = { 0 };
	bool there = lstat(s->word[1], &st) == 0;

	if (strcmp(what, "is") == 0) {
		const char *type = there ? type_of(st.st_mode) : "none";

		return strcmp(type, s->word[2]) == 0 ? 0 : wrong(t, "%s is %s", s->word[1], type);
	}
	if (!there)
		return wrong(t, "%s: %s", s->word[1], strerror(errno));
	if (strcmp(what, "mode") == 0)
		return (st.st_mode & 07777) == (mode_t)number(s->word[2])
			       ? 0
			       : wrong(t, "%s has mode %04o", s->word[1], st.st_mode & 07777);
	if (strcmp(what, "size") == 0)
		return st.st_size == number(s->word[2])
			       ? 0
			       : wrong(t, "%s has %lld bytes", s->word[1], (long long)st.st_size);
	if (strcmp(what, "links") == 0)
		return st.st_nlink == (nlink_t)number(s->word[2])
			       ? 0
			       : wrong(t, "%s has %lu links", s->word[1],
				       (unsigned long)st.st_nlink);
	if (strcmp(what, "aged") == 0)
		return st.st_mtim.tv_sec == LONG_AGO ? 0
						     : wrong(t, "%s has a new time", s->word[1]);
	if (strcmp(what, "fresh") == 0)
		return st.st_mtim.tv_sec > LONG_AGO ? 0
						    : wrong(t, "%s has the old time", s->word[1]);
	if (lstat(s->word[2], &other) < 0)
		return wrong(t, "%s: %s", s->word[2], strerror(errno));
	if ((st.st_ino == other.st_ino) == (strcmp(what, "same") == 0))
		return 0;
	return wrong(t, "numbers %llu and %llu", (unsigned long long)st.st_ino,
		     (unsigned long long)other.st_ino);
}

static int compare_bytes(struct row *t, int fd, const char *want)
{
	char got[256] = "";
	ssize_t n = pread(fd, got, sizeof got - 1, 0);

	if (n < 0)
		return wrong(t, "reading: %s", strerror(errno));
	if (n > 0 && got[n - 1] == '\n')
		got[n - 1] = 0;
	return strcmp(got, want ? want : "") == 0 ? 0 : wrong(t, "it reads \"%s\"", got);
}

static int ask_text(struct row *t, const struct statement *s)
{
	int fd = open(s->word[1], O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return wrong(t, "%s: %s", s->word[1], strerror(errno));
	r = compare_bytes(t, fd, s->word[2]);
	close(fd);
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int ask_list(struct row *t, const struct statement *s)
{
	char *names[64], all[1024] = "";
	DIR *d = opendir(s->word[1]);
	struct dirent *e;
	size_t n = 0;

	if (!d)
		return wrong(t, "%s: %s", s->word[1], strerror(errno));
	while ((e = readdir(d)) != NULL && n < 64)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			names[n++] = strdup(e->d_name);
	closedir(d);
	if (n)
		qsort(names, n, sizeof *names, by_text);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "," : "",
			       names[i]);
		free(names[i]);
	}
	return strcmp(n ? all : "-", s->word[2]) == 0 ? 0 : wrong(t, "%s has %s", s->word[1], all);
}

static int ask_open_file(struct row *t, const struct statement *s)
{
	struct stat st;

	if (fstat(t->fd, &st) < 0)
		return wrong(t, "fstat: %s", strerror(errno));
	if (strcmp(s->word[0], "flinks") == 0)
		return st.st_nlink == (nlink_t)number(s->word[1])
			       ? 0
			       : wrong(t, "it has %lu links", (unsigned long)st.st_nlink);
	return st.st_size == number(s->word[1])
		       ? 0
		       : wrong(t, "it has %lld bytes", (long long)st.st_size);
}

/* ---- calls: -1 and errno, as the call itself ---- */

static int call_open(struct row *t, const struct statement *s)
{
	static const struct {
		const char *name;
		int flag;
	} flags[] = {
		{ "r", O_RDONLY },          { "w", O_WRONLY },
		{ "rw", O_RDWR },           { "creat", O_CREAT },
		{ "excl", O_EXCL },         { "trunc", O_TRUNC },
		{ "append", O_APPEND },     { "directory", O_DIRECTORY },
		{ "nofollow", O_NOFOLLOW }, { "nonblock", O_NONBLOCK },
	};
	int f = O_CLOEXEC, fd;

	for (char *save, *w = strtok_r(s->word[2], ",", &save); w; w = strtok_r(NULL, ",", &save))
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
			if (strcmp(w, flags[i].name) == 0)
				f |= flags[i].flag;
	fd = open(s->word[1], f, (mode_t)(s->count > 3 ? number(s->word[3]) : 0644));
	if (fd < 0)
		return -1;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = fd;
	return 0;
}

static int call_map(struct row *t)
{
	struct stat st;

	if (fstat(t->fd, &st) < 0)
		return -1;
	t->map_len = (size_t)st.st_size;
	t->map = mmap(NULL, t->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->map != MAP_FAILED)
		return 0;
	t->map = NULL;
	return -1;
}

static int call_times(const struct statement *s)
{
	time_t sec = number(s->word[2]);
	struct timespec ts[2] = { { sec, 5 }, { sec, 123456789 } };

	if (strcmp(s->word[0], "age") == 0)
		ts[0] = ts[1] = (struct timespec){ LONG_AGO, 0 };
	if (strcmp(s->word[0], "touch") == 0)
		return utimensat(AT_FDCWD, s->word[1], NULL, AT_SYMLINK_NOFOLLOW);
	return utimensat(AT_FDCWD, s->word[1], ts, AT_SYMLINK_NOFOLLOW);
}

static int call_on_open_file(struct row *t, const struct statement *s)
{
	const char *what = s->word[0];

	if (strcmp(what, "close") == 0) {
		int fd = t->fd;

		t->fd = -1;
		return close(fd);
	}
	if (strcmp(what, "write") == 0)
		return (int)write(t->fd, s->word[1], strlen(s->word[1]));
	if (strcmp(what, "pwrite") == 0)
		return (int)pwrite(t->fd, s->word[2], strlen(s->word[2]), number(s->word[1]));
	if (strcmp(what, "seek") == 0)
		return (int)lseek(t->fd, number(s->word[1]), SEEK_SET);
	if (strcmp(what, "ftruncate") == 0)
		return ftruncate(t->fd, number(s->word[1]));
	if (strcmp(what, "fchmod") == 0)
		return fchmod(t->fd, (mode_t)number(s->word[1]));
	if (strcmp(what, "futimens") == 0)
		return futimens(t->fd, (struct timespec[2]){ { LONG_AGO, 0 }, { LONG_AGO, 0 } });
	if (strcmp(what, "fsync") == 0)
		return fsync(t->fd);
	if (strcmp(what, "fallocate") == 0)
		return fallocate(t->fd, 0, number(s->word[1]), number(s->word[2]));
	if (strcmp(what, "map") == 0)
		return call_map(t);
	if (strcmp(what, "mapwrite") == 0) {
		memcpy(t->map + number(s->word[1]), s->word[2], strlen(s->word[2]));
		return 0;
	}
	if (strcmp(what, "msync") == 0)
		return msync(t->map, t->map_len, MS_SYNC);
	if (strcmp(what, "unmap") == 0) {
		int r = munmap(t->map, t->map_len);

		t->map = NULL;
		return r;
	}
	if (strcmp(what, "swap") == 0) {
		int fd = t->fd;

		t->fd = t->other;
		t->other = fd;
		return 0;
	}
	return -2;
}

static int call_on_names(const struct statement *s)
{
	const char *what = s->word[0], *a = s->word[1], *b = s->word[2];

	if (strcmp(what, "rename") == 0)
		return rename(a, b);
	if (strcmp(what, "noreplace") == 0)
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
	if (strcmp(what, "exchange") == 0)
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	if (strcmp(what, "link") == 0)
		return link(a, b);
	if (strcmp(what, "symlink") == 0)
		return symlink(a, b);
	if (strcmp(what, "readlink") == 0) {
		char text[256] = "";
		ssize_t n = readlink(a, text, sizeof text - 1);

		if (n >= 0 && b && strcmp(text, b) != 0) {
			errno = EBADMSG;
			return -1;
		}
		return n < 0 ? -1 : 0;
	}
	if (strcmp(what, "unlink") == 0)
		return unlink(a);
	if (strcmp(what, "rmdir") == 0)
		return rmdir(a);
	if (strcmp(what, "mkdir") == 0)
		return mkdir(a, (mode_t)(b ? number(b) : 0755));
	if (strcmp(what, "mkfifo") == 0)
		return mkfifo(a, 0644);
	if (strcmp(what, "mksocket") == 0)
		return mknod(a, S_IFSOCK | 0644, 0);
	if (strcmp(what, "truncate") == 0)
		return truncate(a, number(b));
	if (strcmp(what, "chmod") == 0)
		return chmod(a, (mode_t)number(b));
	if (strcmp(what, "chown") == 0)
		return lchown(a, (uid_t)-1, (gid_t)number(b));
	if (strcmp(what, "access") == 0)
		return access(a, strchr(b, 'w') ? W_OK : strchr(b, 'x') ? X_OK : R_OK);
	if (strcmp(what, "umask") == 0) {
		(void)umask((mode_t)number(a));
		return 0;
	}
	if (strcmp(what, "age") == 0 || strcmp(what, "utimens") == 0 || strcmp(what, "touch") == 0)
		return call_times(s);
	return -2;
}

/* ---- a row ---- */

static bool is_errno(const char *w)
{
	return w[0] == 'E' && w[1] &&
	       strspn(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == strlen(w);
}

static int run_call(struct row *t, const struct statement *s, const char *want)
{
	int r = strcmp(s->word[0], "open") == 0 ? call_open(t, s) : call_on_open_file(t, s);
	int err;

	if (r == -2)
		r = call_on_names(s);
	err = errno;
	if (r == -2)
		return wrong(t, "what is `%s`?", s->word[0]);
	if (r >= 0)
		return want ? wrong(t, "%s works", s->word[0]) : 0;
	if (!want || strcmp(want, strerrorname_np(err)) != 0)
		return wrong(t, "%s gives %s", s->word[0], strerrorname_np(err));
	return 0;
}

static int run_statement(struct row *t, struct statement *s)
{
	static const struct {
		const char *name;
		int (*ask)(struct row *, const struct statement *);
	} questions[] = {
		{ "is", ask_stat },    { "mode", ask_stat },        { "size", ask_stat },
		{ "links", ask_stat }, { "same", ask_stat },        { "differ", ask_stat },
		{ "aged", ask_stat },  { "fresh", ask_stat },       { "text", ask_text },
		{ "list", ask_list },  { "flinks", ask_open_file }, { "fsize", ask_open_file },
	};
	const char *want =
		s->count > 1 && is_errno(s->word[s->count - 1]) ? s->word[s->count - 1] : NULL;

	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
		if (strcmp(s->word[0], questions[i].name) == 0)
			return questions[i].ask(t, s);
	if (strcmp(s->word[0], "read") == 0)
		return compare_bytes(t, t->fd, s->word[1]);
	if (want)
		s->word[--s->count] = NULL;
	return run_call(t, s, want);
}

/* @255 becomes a name of that length, after whatever stands before it. */
static char *expand(const char *w)
{
	const char *at = strchr(w, '@');
	size_t n = at ? (size_t)number(at + 1) : 0, before = at ? (size_t)(at - w) : strlen(w);
	char *s = malloc(before + n + 1);

	if (!s)
		abort();
	memcpy(s, w, before);
	memset(s + before, 'n', n);
	s[before + n] = 0;
	return s;
}

static int run_text(struct row *t, char *text)
{
	int r = 0, n = 0;

	for (char *save, *one = strtok_r(text, ";", &save); one && r == 0;
	     one = strtok_r(NULL, ";", &save)) {
		struct statement s = { 0 };
		char *mine[WORDS] = { 0 }, *inner;

		n++;
		for (char *w = strtok_r(one, " \t\n", &inner); w && s.count < WORDS - 1;
		     w = strtok_r(NULL, " \t\n", &inner)) {
			mine[s.count] = expand(w);
			s.word[s.count] = mine[s.count];
			s.count++;
		}
		if (s.count)
			r = run_statement(t, &s);
		for (int i = 0; i < WORDS; i++)
			free(mine[i]);
	}
	return r ? n : 0;
}

static void run_row(const char *dir, int nr, const char *claim, char *text, int *passed,
		    int *failed)
{
	struct row t = { .fd = -1, .other = -1 };
	char path[4096], *copy = strdup(text);
	int r;

	(void)snprintf(path, sizeof path, "%s/r%d", dir, nr);
	(void)umask(022);
	if (chdir(path) < 0)
		r = wrong(&t, "%s: %s", path, strerror(errno));
	else
		r = run_text(&t, text);
	if (t.map)
		(void)munmap(t.map, t.map_len);
	if (t.fd >= 0)
		close(t.fd);
	if (t.other >= 0)
		close(t.other);
	(void)umask(022);
	*(r ? failed : passed) += 1;
	if (r)
		printf("FAIL %s: statement %d: %s\n     of r%d:%s", claim, r, t.why, nr, copy);
	free(copy);
}

static void make_file(const char *dir, int nr, const char *name, const char *text)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/r%d/%s", dir, nr, name);
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		exit(2);
	}
}

static void make_row(const char *dir, int nr)
{
	static const char *const dirs[] = { "", "/D", "/D/y" };
	char path[4096];

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof path, "%s/r%d%s", dir, nr, dirs[i]);
		if (mkdir(path, 0755) < 0) {
			perror(path);
			exit(2);
		}
	}
	make_file(dir, nr, "F", "f\n");
	make_file(dir, nr, "G", "g\n");
	make_file(dir, nr, "D/x", "x\n");
	make_file(dir, nr, "D/y/z", "z\n");
}

int main(int argc, char **argv)
{
	bool make = argc == 4 && strcmp(argv[1], "--make") == 0;
	char *line = NULL, *dir;
	size_t cap = 0;
	int nr = 0, passed = 0, failed = 0, skipped = 0;
	FILE *f;

	(void)umask(022);
	if (!make && argc != 3) {
		fputs("usage: posix [--make] DIR TABLE\n", stderr);
		return 2;
	}
	f = fopen(argv[argc - 1], "re");
	dir = realpath(argv[argc - 2], NULL);
	if (!f || !dir) {
		perror(f ? argv[argc - 2] : argv[argc - 1]);
		return 2;
	}
	while (getline(&line, &cap, f) > 0) {
		char *bar = strstr(line, " | ");

		if (!bar || line[0] == '#')
			continue;
		*bar = 0;
		if (nr == ROWS) {
			fputs("posix: more rows than the crafted package has\n", stderr);
			return 2;
		}
		if (make)
			make_row(dir, nr);
		else if (geteuid() == 0 && strncmp(line, "user: ", 6) == 0)
			skipped++;
		else
			run_row(dir, nr, line, bar + 2, &passed, &failed);
		nr++;
	}
	free(line);
	free(dir);
	(void)fclose(f);
	if (!make)
		printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed != 0;
}
