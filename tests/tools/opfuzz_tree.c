#include "opfuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_names(int root, const char *dir, struct paths *to)
{
	int fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)paths_keep(to, "%s%s%s", strcmp(dir, ".") == 0 ? "" : dir,
				 strcmp(dir, ".") == 0 ? "" : "/", e->d_name);
	}
	closedir(d);
	return 0;
}

int tree_paths(int root, struct paths *to)
{
	int r = add_names(root, ".", to);

	for (size_t i = 0; r == 0 && i < to->count; i++) {
		struct stat st;

		if (fstatat(root, to->list[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (S_ISDIR(st.st_mode))
			r = add_names(root, to->list[i], to);
		if (r == -EACCES)
			r = 0; /* its mode is compared */
	}
	if (to->count)
		qsort(to->list, to->count, sizeof *to->list, by_text);
	return r;
}

static void print_bytes(FILE *f, int root, const char *path)
{
	static unsigned char buf[65536];
	int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t h = 0xcbf29ce484222325;
	ssize_t n = fd < 0 ? -1 : 0;

	while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ buf[i]) * 0x100000001b3;
	if (n < 0)
		fprintf(f, " cannot be read: %s", strerrorname_np(errno));
	else
		fprintf(f, " bytes=%016llx", (unsigned long long)h);
	if (fd >= 0)
		close(fd);
}

struct links {
	ino_t ino;
	const char *first;
};

static void print_links(FILE *f, const struct stat *st, const char *path, struct links *known,
			size_t *count)
{
	size_t i = 0;

	while (i < *count && known[i].ino != st->st_ino)
		i++;
	if (i == *count)
		known[(*count)++] = (struct links){ .ino = st->st_ino, .first = path };
	else
		fprintf(f, " is=%s", known[i].first);
}

static void print_entry(FILE *f, int root, const char *path, const struct stat *st)
{
	char text[4097] = "";

	for (const char *s = path; *s; s++)
		if (*s == '\n')
			fputs("\\n", f);
		else
			fputc(*s, f);
	fprintf(f, ": %06o", S_ISLNK(st->st_mode) ? S_IFLNK : st->st_mode);
	if (S_ISDIR(st->st_mode))
		return;
	fprintf(f, " size=%lld links=%lu", (long long)st->st_size, (unsigned long)st->st_nlink);
	if (S_ISLNK(st->st_mode))
		fprintf(f, " to=%s",
			readlinkat(root, path, text, sizeof text - 1) < 0 ? "?" : text);
	else if (S_ISREG(st->st_mode))
		print_bytes(f, root, path);
}

char *tree_list(int root, bool with_times)
{
	struct paths all = { 0 };
	struct links *known = NULL;
	size_t len = 0, known_count = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (tree_paths(root, &all) < 0)
		fprintf(f, "a folder cannot be listed: %s\n", strerrorname_np(errno));
	known = calloc(all.count + 1, sizeof *known);
	if (!known)
		abort();
	for (size_t i = 0; i < all.count; i++) {
		struct stat st;

		if (fstatat(root, all.list[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			fprintf(f, "%s: %s\n", all.list[i], strerrorname_np(errno));
			continue;
		}
		print_entry(f, root, all.list[i], &st);
		if (!S_ISDIR(st.st_mode))
			print_links(f, &st, all.list[i], known, &known_count);
		if (with_times)
			fprintf(f, " mtime=%lld.%09ld", (long long)st.st_mtim.tv_sec,
				st.st_mtim.tv_nsec);
		fputc('\n', f);
	}
	free(known);
	paths_release(&all);
	return fclose(f) == 0 ? text : NULL;
}

/* Both are sorted, so that a merge tells; a line's order is that of its text. */
size_t tree_differences(FILE *f, const char *a_name, const char *a, const char *b_name,
			const char *b)
{
	struct paths lines[2] = { 0 };
	const char *texts[2] = { a, b }, *names[2] = { a_name, b_name };
	size_t at[2] = { 0 }, found = 0;

	for (int i = 0; i < 2; i++) {
		for (const char *s = texts[i]; *s;) {
			size_t n = strcspn(s, "\n");

			(void)paths_keep(&lines[i], "%.*s", (int)n, s);
			s += n + (s[n] == '\n');
		}
		if (lines[i].count)
			qsort(lines[i].list, lines[i].count, sizeof *lines[i].list, by_text);
	}
	while (at[0] < lines[0].count || at[1] < lines[1].count) {
		int c = at[0] == lines[0].count ? 1
			: at[1] == lines[1].count
				? -1
				: strcmp(lines[0].list[at[0]], lines[1].list[at[1]]);

		if (c != 0 && found++ < 20)
			fprintf(f, "  only in %s: %s\n", names[c > 0],
				lines[c > 0].list[at[c > 0]]);
		at[0] += c <= 0;
		at[1] += c >= 0;
	}
	paths_release(&lines[0]);
	paths_release(&lines[1]);
	return found;
}
