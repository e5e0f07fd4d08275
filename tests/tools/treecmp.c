/* treecmp - are two trees the same: names, types, permission bits, symlinks' texts, bytes?
 *
 * usage: treecmp [-n MAX] A B
 * Prints the first MAX (20) differences, a line each, then a line that counts. Exit status 0
 * same, 1 different or unreadable, 2 usage. Owners, times and link counts are not compared.
 * What readdir says of an entry's type and number must be what stat says of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK     (256 * 1024)
#define DEPTH_MAX 1000 /* npm's reader drops paths of more than 1024 parts */

struct name {
	char *text;
	unsigned char type;
	ino_t ino;
};

struct names {
	struct name *list;
	size_t count, cap;
};

static unsigned long differences, entries, limit = 20;
static unsigned long long bytes_read;
static char path[1 << 16]; /* of the entry being compared */

__attribute__((format(printf, 1, 2))) static void differ(const char *fmt, ...)
{
	va_list ap;

	if (differences++ >= limit)
		return;
	printf("%s: ", path[0] ? path : ".");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static void names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i].text);
	free(n->list);
}

/* Sorted; out of memory ends the program, as nothing useful could follow. */
static void names_read(struct names *n, int dirfd, const char *side)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	*n = (struct names){ 0 };
	if (!d) {
		differ("cannot list it in %s: %s", side, strerror(errno));
		return;
	}
	while ((void)(errno = 0), (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (n->count == n->cap) {
			n->cap = n->cap ? n->cap * 2 : 32;
			n->list = realloc(n->list, n->cap * sizeof *n->list);
			if (!n->list)
				abort();
		}
		n->list[n->count].text = strdup(e->d_name);
		n->list[n->count].type = e->d_type;
		n->list[n->count].ino = e->d_ino;
		if (!n->list[n->count++].text)
			abort();
	}
	if (errno)
		differ("cannot list it in %s: %s", side, strerror(errno));
	closedir(d);
	if (n->count)
		qsort(n->list, n->count, sizeof *n->list, by_text);
}

static const char *type_name(mode_t m)
{
	return S_ISREG(m)   ? "a file"
	       : S_ISDIR(m) ? "a directory"
	       : S_ISLNK(m) ? "a symlink"
			    : "special";
}

static ssize_t read_full(int fd, char *to, size_t n)
{
	size_t got = 0;
	ssize_t r = 1;

	while (got < n && (r = read(fd, to + got, n - got)) > 0)
		got += (size_t)r;
	return r < 0 ? -1 : (ssize_t)got;
}

static void compare_bytes(int a, int b, const char *name)
{
	static char x[CHUNK], y[CHUNK];
	int fa = openat(a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int ea = errno, fb = openat(b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	unsigned long long at = 0;
	ssize_t n = 1, m = 1;

	if (fa < 0 || fb < 0)
		differ("cannot open it in %s: %s", fa < 0 ? "A" : "B",
		       strerror(fa < 0 ? ea : errno));
	while (fa >= 0 && fb >= 0 && n > 0) {
		n = read_full(fa, x, CHUNK);
		m = read_full(fb, y, CHUNK);
		if (n < 0 || m < 0) {
			differ("cannot read it in %s: %s", n < 0 ? "A" : "B", strerror(errno));
			break;
		}
		if (n != m || memcmp(x, y, (size_t)n) != 0) {
			ssize_t i = 0;

			while (i < n && i < m && x[i] == y[i])
				i++;
			differ("bytes differ at %llu", at + (unsigned long long)i);
			break;
		}
		at += (unsigned long long)n;
	}
	bytes_read += at;
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
}

static void compare_links(int a, int b, const char *name)
{
	char x[4097] = "", y[4097] = "";
	ssize_t n = readlinkat(a, name, x, sizeof x - 1);
	ssize_t m = readlinkat(b, name, y, sizeof y - 1);

	if (n < 0 || m < 0)
		differ("cannot read the link in %s: %s", n < 0 ? "A" : "B", strerror(errno));
	else if (n != m || memcmp(x, y, (size_t)n) != 0)
		differ("link to \"%s\" in A, to \"%s\" in B", x, y);
}

static void check_dirent(const struct name *n, const struct stat *st, const char *side)
{
	if (n->type != DT_UNKNOWN && n->type != IFTODT(st->st_mode))
		differ("readdir in %s says type %u, stat %s", side, n->type,
		       type_name(st->st_mode));
	if (n->ino != st->st_ino)
		differ("readdir in %s says number %llu, stat %llu", side,
		       (unsigned long long)n->ino, (unsigned long long)st->st_ino);
}

static void compare_dirs(int a, int b, unsigned depth);

static void compare_entry(int a, int b, const struct name *na, const struct name *nb,
			  unsigned depth)
{
	struct stat x, y;
	const char *name = na->text;

	entries++;
	if (fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) < 0) {
		differ("cannot stat it in A: %s", strerror(errno));
		return;
	}
	if (fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) < 0) {
		differ("cannot stat it in B: %s", strerror(errno));
		return;
	}
	check_dirent(na, &x, "A");
	check_dirent(nb, &y, "B");
	if ((x.st_mode & S_IFMT) != (y.st_mode & S_IFMT)) {
		differ("%s in A, %s in B", type_name(x.st_mode), type_name(y.st_mode));
		return;
	}
	if (!S_ISLNK(x.st_mode) && (x.st_mode & 07777) != (y.st_mode & 07777))
		differ("mode %04o in A, %04o in B", x.st_mode & 07777, y.st_mode & 07777);
	if (S_ISLNK(x.st_mode)) {
		compare_links(a, b, name);
	} else if (S_ISREG(x.st_mode)) {
		if (x.st_size != y.st_size)
			differ("%lld bytes in A, %lld in B", (long long)x.st_size,
			       (long long)y.st_size);
		compare_bytes(a, b, name);
	} else if (S_ISDIR(x.st_mode)) {
		int da = openat(a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int db = openat(b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (da < 0 || db < 0)
			differ("cannot open it in %s: %s", da < 0 ? "A" : "B", strerror(errno));
		else
			compare_dirs(da, db, depth + 1);
		if (da >= 0)
			close(da);
		if (db >= 0)
			close(db);
	}
}

static void compare_dirs(int a, int b, unsigned depth)
{
	size_t len = strlen(path), i = 0, j = 0;
	struct names na, nb;

	if (depth > DEPTH_MAX) {
		differ("too deep");
		return;
	}
	names_read(&na, a, "A");
	names_read(&nb, b, "B");
	while (i < na.count || j < nb.count) {
		int c = i == na.count ? 1 : j == nb.count ? -1 : by_text(&na.list[i], &nb.list[j]);
		const struct name *n = c <= 0 ? &na.list[i] : &nb.list[j];

		(void)snprintf(path + len, sizeof path - len, "%s%s", len ? "/" : "", n->text);
		if (c == 0)
			compare_entry(a, b, &na.list[i], &nb.list[j], depth);
		else
			differ("only in %s", c < 0 ? "A" : "B");
		path[len] = 0;
		i += c <= 0;
		j += c >= 0;
	}
	names_release(&na);
	names_release(&nb);
}

static int open_top(const char *dir, struct stat *st)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0) {
		fprintf(stderr, "treecmp: %s: %s\n", dir, strerror(errno));
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct stat x, y;
	int a, b, c;

	while ((c = getopt(argc, argv, "n:")) != -1) {
		if (c != 'n')
			return 2;
		limit = strtoul(optarg, NULL, 10);
	}
	if (argc - optind != 2) {
		(void)fputs("usage: treecmp [-n MAX] A B\n", stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* two descriptors a level */
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	a = open_top(argv[optind], &x);
	b = open_top(argv[optind + 1], &y);
	if ((x.st_mode & 07777) != (y.st_mode & 07777))
		differ("mode %04o in A, %04o in B", x.st_mode & 07777, y.st_mode & 07777);
	compare_dirs(a, b, 0);
	close(a);
	close(b);
	printf("%lu entries in both, %llu bytes, %lu differences\n", entries, bytes_read,
	       differences);
	return differences != 0;
}
