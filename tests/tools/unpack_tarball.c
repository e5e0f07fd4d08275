/* unpack_tarball - writes what ingest finds in tarballs, as npm would.
 *
 *   unpack_tarball ARCHIVE DIR     one archive; exit status 1 and a sentence when it is bad
 *   unpack_tarball                 lines "ARCHIVE<TAB>DIR" from stdin, for each a line "ok" or
 *                                  "error: ..." to stdout
 *
 * DIR is made. Files that npm would mend as bins are written mended below DIR.mended too. */
#include "core/file.h"
#include "fetch/ingest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static bool next_part(struct slice *rest, char name[TAR_NAME_MAX + 1], bool *ret_last)
{
	const uint8_t *slash = memchr(rest->ptr, '/', rest->len);
	size_t n = slash ? (size_t)(slash - rest->ptr) : rest->len;

	if (n == 0 || n > TAR_NAME_MAX)
		return false;
	memcpy(name, rest->ptr, n);
	name[n] = '\0';
	*ret_last = !slash;
	rest->ptr += n + !*ret_last;
	rest->len -= n + !*ret_last;
	return true;
}

static int write_file(int dirfd, const char *name, uint16_t mode, struct slice bytes)
{
	auto_close int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
				   (mode | 0666u) & 07777u);

	return fd < 0 ? -errno : file_write_all(fd, bytes.ptr, bytes.len);
}

/* Step by step, since the whole path may be longer than the kernel takes at once. */
static int put(const char *dir, const struct dxp_file *f, struct slice bytes)
{
	auto_close int fd = open(dir, O_DIRECTORY | O_PATH);
	struct slice rest = f->path;
	char name[TAR_NAME_MAX + 1];
	bool last = false;

	while (fd >= 0 && !last) {
		int sub;

		if (!next_part(&rest, name, &last))
			return -EINVAL;
		if (last && f->type == DXP_FILE)
			return write_file(fd, name, f->mode, bytes);
		if (mkdirat(fd, name, 0777) < 0 && errno != EEXIST)
			return -errno;
		sub = openat(fd, name, O_DIRECTORY | O_PATH | O_NOFOLLOW);
		close(fd);
		fd = sub;
	}
	return fd < 0 ? -errno : 0;
}

static int put_all(const struct ingest_files *f, const char *dir, struct err *e)
{
	char mended[4096];
	int r = mkdir_p(dir, 0777, e);

	snprintf(mended, sizeof mended, "%s.mended", dir);
	for (size_t i = 0; r == 0 && i < f->list.count; i++) {
		const struct dxp_file *file = &f->list.files[i];

		r = put(dir, file, file->bytes);
		if (r == 0 && file->has_mended)
			r = mkdir_p(mended, 0777, e);
		if (r == 0 && file->has_mended)
			r = put(mended, file, file->mended);
		if (r < 0)
			err_set(e, r, "%.*s: %s", SLICE_FMT(file->path), strerror(-r));
	}
	return r;
}

static int unpack(const char *archive, const char *dir, struct err *e)
{
	auto_ingest_files struct ingest_files f = INGEST_FILES_INIT;
	auto_free char *bytes = NULL;
	size_t len;
	int r = file_read_all(AT_FDCWD, archive, (size_t)1 << 30, &bytes, &len, e);

	if (r == 0)
		r = ingest_unpack(&f, (struct slice){ (uint8_t *)bytes, len }, NULL, e);
	return r < 0 ? r : put_all(&f, dir, e);
}

static int unpack_lines(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		char *tab = strchr(line, '\t');
		struct err e = { 0 };

		line[n - (line[n - 1] == '\n')] = '\0';
		if (!tab)
			break;
		*tab = '\0';
		if (unpack(line, tab + 1, &e) == 0)
			puts("ok");
		else
			printf("error: %s\n", e.msg);
		fflush(stdout);
	}
	free(line);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	umask(022);
	if (argc == 1)
		return unpack_lines();
	if (argc != 3) {
		fputs("usage: unpack_tarball [ARCHIVE DIR]\n", stderr);
		return 2;
	}
	if (unpack(argv[1], argv[2], &e) == 0)
		return 0;
	fprintf(stderr, "%s: %s\n", argv[1], e.msg);
	return 1;
}
