/* live - reads the packages of tests/fixtures/live.js while they are switched, and says what cannot
 * be: a file of two versions, a folder of two, a name that both branches have and that is not there
 * or there twice, an error that is no ENOENT.
 *
 * usage: live paths|folders|listing|kept DIR A.set B.set STOP
 *          until the file STOP is there, or something is wrong:
 *          paths    opens files by path, reads them whole
 *          folders  opens a package's folder, and all that it lists by that descriptor: one version
 *          listing  lists DIR: what both have once, nothing that none has
 *          kept     reads files that are open and mapped, again and again, their pages dropped
 *                   before: always the bytes of the version that was opened
 *        live now DIR A.set B.set
 *          DIR is just what A.set says, nothing of B.set
 *
 * Prints what is wrong, or how much was looked at. Exit status 1 if something was wrong. */
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

#define RECORD   64
#define KEPT     8  /* files open at once */
#define REREAD   40 /* times that a kept file is read */
#define PLACES   4096
#define NAME_LEN 256

struct place {
	char path[NAME_LEN], id[2][NAME_LEN]; /* as A and B have it; "": not */
};

static struct place places[PLACES];
static size_t place_count;
static const char *top;
static unsigned long looks, absent;

__attribute__((format(printf, 1, 2))) static bool wrong(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vprintf(format, ap);
	(void)puts("");
	va_end(ap);
	return false;
}

static void read_set(const char *file, int side)
{
	FILE *f = fopen(file, "r");
	char path[NAME_LEN], id[NAME_LEN];

	if (!f) {
		perror(file);
		exit(2);
	}
	while (fscanf(f, "%255s %255s", path, id) == 2) {
		size_t i = 0;

		while (i < place_count && strcmp(places[i].path, path) != 0)
			i++;
		if (i == PLACES)
			exit(2);
		if (i == place_count)
			strcpy(places[place_count++].path, path);
		strcpy(places[i].id[side], id);
	}
	(void)fclose(f);
}

static bool both_have(const struct place *p)
{
	return p->id[0][0] && p->id[1][0];
}

/* ---- files ---- */

struct file {
	char id[NAME_LEN];
	int files; /* in its package */
};

/* Records that all say the same, and count. Of *f what is filled in must agree. */
static bool whole(const char *name, const char *bytes, size_t len, struct file *f)
{
	size_t n = len / RECORD; /* what is behind the last one is code */
	char id[RECORD + 1], file[RECORD + 1], first[RECORD + 1];
	int files, number;

	if (n == 0)
		return wrong("%s: %zu bytes", name, len);
	for (size_t i = 0; i < n; i++) {
		char line[RECORD + 1] = { 0 };

		memcpy(line, bytes + i * RECORD, RECORD);
		if (strncmp(line, "exports.", 8) == 0)
			break;
		if (sscanf(line, "//%64s %64s %d %d", id, file, &files, &number) != 4)
			return wrong("%s: no record at %zu: %s", name, i * RECORD, line);
		if (!f->id[0]) {
			strcpy(f->id, id);
			f->files = files;
		}
		if (i == 0)
			strcpy(first, file);
		if (strcmp(f->id, id) != 0 || strcmp(first, file) != 0 || files != f->files ||
		    number != (int)i)
			return wrong("%s: %s and then, at %zu: %s", name, f->id, i * RECORD, line);
	}
	looks++;
	return true;
}

static char *read_fd(int fd, size_t *ret_len)
{
	struct stat st;
	char *bytes;
	ssize_t n = 0;

	if (fstat(fd, &st) < 0)
		return NULL;
	bytes = malloc((size_t)st.st_size + 1);
	*ret_len = 0;
	while (bytes && (n = pread(fd, bytes + *ret_len, (size_t)st.st_size - *ret_len,
				   (off_t)*ret_len)) > 0)
		*ret_len += (size_t)n;
	if (bytes && (n < 0 || *ret_len != (size_t)st.st_size)) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

static bool file_is_whole(int fd, const char *name, struct file *f)
{
	size_t len;
	char *bytes = read_fd(fd, &len);
	bool ok = bytes ? whole(name, bytes, len, f) : wrong("%s: %s", name, strerror(errno));

	free(bytes);
	return ok;
}

static int drop(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static bool belongs(const struct place *p, const struct file *f)
{
	return strcmp(f->id, p->id[0]) == 0 || strcmp(f->id, p->id[1]) == 0 ||
	       wrong("%s: of %s, which neither has there", p->path, f->id);
}

static bool paths(struct place *p)
{
	static const char *const names[] = { "v.txt", "lib/a.txt", "lib/deep/c.txt", "mid.bin" };
	char path[4 * NAME_LEN];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct file f = { 0 };
		bool ok, may_lack = !both_have(p) || i >= 2;
		int fd;

		(void)snprintf(path, sizeof path, "%s/%s/%s", top, p->path, names[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && may_lack) {
			absent++;
			continue;
		}
		if (fd < 0)
			return wrong("%s: %s", path, strerror(errno));
		ok = drop(fd) == 0 && file_is_whole(fd, path, &f) && belongs(p, &f);
		(void)close(fd);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- folders ---- */

/* Counts the files below, but those of other packages. -1: wrong was said; -2: something that was
 * listed is gone. */
static int folder(int dirfd, const char *name, struct file *f);

static int entry_of(int dirfd, const char *name, const struct dirent *entry, struct file *f)
{
	bool is_dir = entry->d_type == DT_DIR;
	int fd, n = 1;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
	    strcmp(entry->d_name, "node_modules") == 0)
		return 0;
	fd = openat(dirfd, entry->d_name, O_RDONLY | O_CLOEXEC | (is_dir ? O_DIRECTORY : 0));
	if (fd < 0 && errno == ENOENT)
		return -2;
	if (fd < 0)
		n = -1 + wrong("%s/%s is listed: %s", name, entry->d_name, strerror(errno));
	else if (is_dir)
		n = folder(fd, name, f);
	else if (strcmp(entry->d_name, "package.json") != 0)
		n = file_is_whole(fd, name, f) ? 1 : -1;
	if (fd >= 0)
		(void)close(fd);
	return n;
}

static int folder(int dirfd, const char *name, struct file *f)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0, n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return errno == ENOENT ? -2 : -1 + wrong("%s: %s", name, strerror(errno));
	for (errno = 0; n >= 0 && (entry = readdir(d)); errno = 0) {
		n = entry_of(dirfd, name, entry, f);
		count += n;
	}
	if (n >= 0 && errno)
		n = errno == ENOENT ? -2 : -1 + wrong("%s: %s", name, strerror(errno));
	(void)closedir(d);
	return n < 0 ? n : count;
}

static bool folders(struct place *p)
{
	char path[4 * NAME_LEN];
	struct file f = { 0 };
	int fd, n;

	(void)snprintf(path, sizeof path, "%s/%s", top, p->path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return (errno == ENOENT && !both_have(p)) || wrong("%s: %s", path, strerror(errno));
	n = folder(fd, path, &f);
	(void)close(fd);
	if (n == -2 && !both_have(p))
		return ++absent;
	if (n < 0)
		return n == -2 ? wrong("%s: something in its open folder is gone", path) : false;
	if (n != f.files)
		return wrong("%s: %d files of %d of %s", path, n, f.files, f.id);
	return belongs(p, &f);
}

/* ---- the listing ---- */

static bool is_top(const struct place *p)
{
	return !strchr(p->path, '/');
}

/* `side` -1: of either. */
static bool listing(int side)
{
	static unsigned char seen[PLACES];
	const struct dirent *entry;
	DIR *d = opendir(top);
	bool ok = true;

	if (!d)
		return wrong("%s: %s", top, strerror(errno));
	memset(seen, 0, sizeof seen);
	while (ok && (entry = readdir(d))) {
		size_t i = 0;

		if (entry->d_name[0] == '.' || entry->d_name[0] == '@')
			continue;
		while (i < place_count && strcmp(places[i].path, entry->d_name) != 0)
			i++;
		if (i == place_count || (side >= 0 && !places[i].id[side][0]))
			ok = wrong("%s is listed", entry->d_name);
		else if (seen[i]++)
			ok = wrong("%s is listed twice", entry->d_name);
	}
	for (size_t i = 0; i < place_count && ok; i++)
		if (is_top(&places[i]) && !seen[i] &&
		    (side < 0 ? both_have(&places[i]) : places[i].id[side][0] != '\0'))
			ok = wrong("%s is not listed", places[i].path);
	(void)closedir(d);
	looks++;
	return ok;
}

/* ---- kept open ---- */

struct kept {
	int fd;
	char *map;
	size_t len;
	struct file f;
	unsigned left;
	char name[4 * NAME_LEN];
};

static void close_kept(struct kept *k)
{
	if (k->map)
		(void)munmap(k->map, k->len);
	if (k->fd >= 0)
		(void)close(k->fd);
	*k = (struct kept){ .fd = -1 };
}

static bool open_kept(struct kept *k, const struct place *p)
{
	struct stat st;

	(void)snprintf(k->name, sizeof k->name, "%s/%s/big.bin", top, p->path);
	k->fd = open(k->name, O_RDONLY | O_CLOEXEC);
	if (k->fd < 0 && errno == ENOENT) {
		(void)snprintf(k->name, sizeof k->name, "%s/%s/lib/b.txt", top, p->path);
		k->fd = open(k->name, O_RDONLY | O_CLOEXEC);
	}
	if (k->fd < 0)
		return errno == ENOENT && !(both_have(p) && is_top(p))
			       ? true
			       : wrong("%s: %s", k->name, strerror(errno));
	if (fstat(k->fd, &st) < 0)
		return wrong("%s: %s", k->name, strerror(errno));
	k->len = (size_t)st.st_size;
	k->map = mmap(NULL, k->len, PROT_READ, MAP_SHARED, k->fd, 0);
	if (k->map == MAP_FAILED) {
		k->map = NULL;
		return wrong("%s: mmap: %s", k->name, strerror(errno));
	}
	k->left = REREAD;
	return true;
}

static bool kept_is_same(struct kept *k)
{
	return madvise(k->map, k->len, MADV_DONTNEED) == 0 && drop(k->fd) == 0 &&
	       whole(k->name, k->map, k->len, &k->f) && drop(k->fd) == 0 &&
	       file_is_whole(k->fd, k->name, &k->f);
}

static bool kept(struct place *p)
{
	static struct kept all[KEPT];
	static bool begun;
	static unsigned next;

	for (unsigned i = 0; i < KEPT && !begun; i++)
		all[i].fd = -1;
	begun = true;
	for (unsigned i = 0; i < KEPT; i++) {
		if (all[i].fd < 0)
			continue;
		if (!kept_is_same(&all[i]))
			return false;
		if (--all[i].left == 0)
			close_kept(&all[i]);
	}
	next = (next + 1) % KEPT;
	return all[next].fd >= 0 || open_kept(&all[next], p);
}

/* ---- all of it, now ---- */

static bool is_now(struct place *p)
{
	char path[4 * NAME_LEN];
	struct file f = { 0 };
	bool ok;
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s/v.txt", top, p->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (errno == ENOENT && !p->id[0][0]) || wrong("%s: %s", path, strerror(errno));
	ok = file_is_whole(fd, path, &f);
	(void)close(fd);
	return ok && (strcmp(f.id, p->id[0]) == 0 ||
		      wrong("%s: %s, not %s", path, f.id, p->id[0][0] ? p->id[0] : "nothing"));
}

static bool now(void)
{
	bool ok = listing(0);

	for (size_t i = 0; i < place_count && ok; i++)
		ok = is_now(&places[i]);
	return ok;
}

int main(int argc, char **argv)
{
	const char *what = argc >= 5 ? argv[1] : "";
	bool (*look)(struct place *) = strcmp(what, "paths") == 0     ? paths
				       : strcmp(what, "folders") == 0 ? folders
				       : strcmp(what, "kept") == 0    ? kept
								      : NULL;
	bool ok = true;

	if (argc < 5 || (strcmp(what, "now") != 0 && argc < 6)) {
		(void)fputs(
			"usage: live paths|folders|listing|kept DIR A B STOP; live now DIR A B\n",
			stderr);
		return 2;
	}
	top = argv[2];
	read_set(argv[3], 0);
	read_set(argv[4], 1);
	if (strcmp(what, "now") == 0)
		return now() ? 0 : 1;
	for (size_t i = (size_t)getpid(); ok && access(argv[5], F_OK) < 0; i++)
		ok = look ? look(&places[i % place_count]) : listing(-1);
	(void)printf("%s: %lu looks, %lu times not there\n", what, looks, absent);
	return ok ? 0 : 1;
}
