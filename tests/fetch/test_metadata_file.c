#include "core/file.h"
#include "core/rm_tree.h"
#include "fetch/metadata_file.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define HERE SLICE("https://registry.test/")

static char dir[64];

static void begin(void)
{
	test_dir(dir, sizeof dir);
}

static void end(void)
{
	rm_tree(AT_FDCWD, dir);
}

static struct metadata_file *file_at(struct slice place)
{
	struct metadata_file *f;

	cr_assert_eq(metadata_file_open(&f, dir, place), 0);
	return f;
}

/* One writer, from its beginning to its end. */
static void put(const char *name, const char *text, int64_t until)
{
	struct metadata_file *f = file_at(HERE);

	metadata_file_put(f, name, slice_str(text), 1, until);
	metadata_file_free(f);
}

static bool has(const struct metadata_file *f, const char *name, const char *text, int64_t until)
{
	struct slice got;
	int64_t is;

	return metadata_file_find(f, name, &got, &is) && slice_eq(got, slice_str(text)) &&
	       is == until;
}

static bool is_kept(const char *name, const char *text, int64_t until)
{
	struct metadata_file *f = file_at(HERE);
	bool is = has(f, name, text, until);

	metadata_file_free(f);
	return is;
}

/* The name of the file in which the packuments are ('-' in it), or of the table; and how many files
 * there are. */
static unsigned files(bool data, char ret[400])
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	cr_assert(d);
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if ((strchr(e->d_name, '-') != NULL) == data)
			(void)snprintf(ret, 400, "%s/%s", dir, e->d_name);
	}
	(void)closedir(d);
	return n;
}

Test(metadata_file, what_was_put_is_there_for_the_next)
{
	struct metadata_file *f;

	begin();
	f = file_at(HERE);
	cr_expect(!has(f, "a", "one", 10));
	metadata_file_put(f, "a", slice_str("one"), 1, 10);
	metadata_file_put(f, "b", slice_str("two"), 1, 20);
	metadata_file_free(f);
	cr_expect(is_kept("a", "one", 10));
	cr_expect(is_kept("b", "two", 20));
	cr_expect(!is_kept("c", "", 0));
	f = file_at(SLICE("https://other.test/"));
	cr_expect(!has(f, "a", "one", 10));
	metadata_file_free(f);
	end();
}

Test(metadata_file, of_a_name_the_last_counts_and_its_age_is_renewed_alone)
{
	char path[400];
	struct stat before, after;

	begin();
	put("a", "one", 10);
	put("a", "three", 20);
	cr_expect(is_kept("a", "three", 20));
	(void)files(true, path);
	cr_assert_eq(stat(path, &before), 0);
	put("a", "", 30);
	cr_expect(is_kept("a", "three", 30));
	cr_assert_eq(stat(path, &after), 0);
	cr_expect_eq(before.st_size, after.st_size);
	put("never", "", 30);
	cr_expect(!is_kept("never", "", 30));
	end();
}

Test(metadata_file, writers_add_to_what_others_wrote_meanwhile)
{
	struct metadata_file *x, *y;

	begin();
	x = file_at(HERE);
	y = file_at(HERE);
	metadata_file_put(x, "a", slice_str("one"), 1, 10);
	metadata_file_put(y, "b", slice_str("two"), 1, 20);
	metadata_file_free(x);
	metadata_file_free(y);
	cr_expect(is_kept("a", "one", 10));
	cr_expect(is_kept("b", "two", 20));
	end();
}

Test(metadata_file, what_nobody_needs_goes_and_who_reads_it_still_can)
{
	size_t size = (size_t)6 << 20;
	char *text = malloc(size + 1), path[400];
	struct metadata_file *reader;
	struct stat st;

	begin();
	cr_assert(text);
	put("small", "one", 10);
	reader = file_at(HERE);
	memset(text, 'x', size);
	text[size] = '\0';
	for (unsigned i = 0; i < 8; i++) {
		text[0] = (char)('0' + i);
		put("a", text, i);
	}
	cr_expect_eq(files(true, path), 2);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect((uint64_t)st.st_size < METADATA_WASTE_MAX + 2 * size + 1000);
	cr_expect(is_kept("a", text, 7));
	cr_expect(is_kept("small", "one", 10));
	cr_expect(has(reader, "small", "one", 10));
	metadata_file_free(reader);
	free(text);
	end();
}

Test(metadata_file, files_of_former_versions_go)
{
	char path[400], old[sizeof dir + 80];

	begin();
	(void)snprintf(old, sizeof old, "%s/%064d", dir, 7);
	cr_assert_eq(file_replace_unsynced(old, "DXPKMNT\n\1", 9, 0600, NULL), 0);
	cr_expect(!is_kept("a", "", 0));
	put("a", "one", 10);
	cr_expect_eq(files(true, path), 2);
	cr_expect_eq(access(old, F_OK), -1);
	end();
}

Test(metadata_file, damage_is_absence)
{
	static const size_t at[] = { 0, 8, 12, 16, 32, 40, 48, 90 };
	char path[400], *text;
	size_t len;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		put("a", "one", 10);
		cr_assert(is_kept("a", "one", 10));
		(void)files(false, path);
		cr_assert_eq(file_read_all(AT_FDCWD, path, 1 << 20, &text, &len, NULL), 0);
		text[at[i]] ^= 1;
		cr_assert_eq(file_replace_unsynced(path, text, len, 0600, NULL), 0);
		cr_expect(!is_kept("a", "one", 10), "byte %zu", at[i]);
		cr_assert_eq(file_replace_unsynced(path, text, len / 2, 0600, NULL), 0);
		cr_expect(!is_kept("a", "one", 10));
		free(text);
	}
	put("a", "one", 10);
	(void)files(true, path);
	cr_assert_eq(truncate(path, 1), 0);
	cr_expect(!is_kept("a", "one", 10));
	put("b", "two", 20);
	cr_expect(is_kept("b", "two", 20));
	cr_assert_eq(unlink(path), 0);
	cr_expect(!is_kept("b", "two", 20));
	put("b", "two", 20);
	cr_expect(is_kept("b", "two", 20));
	end();
}

Test(metadata_file, who_holds_the_folder_holds_nobody_up)
{
	struct metadata_file *f;
	int fd;

	begin();
	put("a", "one", 10);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	f = file_at(HERE);
	metadata_file_put(f, "b", slice_str("two"), 1, 20);
	metadata_file_free(f);
	cr_expect(!is_kept("b", "two", 20));
	(void)close(fd);
	cr_expect(is_kept("a", "one", 10));
	put("b", "two", 20);
	cr_expect(is_kept("b", "two", 20));
	end();
}

Test(metadata_file, a_pipe_is_no_file_and_nobody_waits_for_its_writer)
{
	char path[400];

	begin();
	put("a", "one", 10);
	(void)files(true, path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect(!is_kept("a", "one", 10));
	put("a", "one", 10);
	cr_expect(is_kept("a", "one", 10));
	end();
}

static int put_with_faults(void)
{
	struct metadata_file *f;
	int r = metadata_file_open(&f, dir, HERE);

	if (r < 0)
		return r;
	metadata_file_put(f, "a", slice_str("one"), 1, 10);
	metadata_file_free(f);
	return 0;
}

Test(metadata_file, failures_lose_nothing_that_was_there)
{
	begin();
	put("b", "two", 20);
	fault_each(put_with_faults(), -ENOMEM);
	cr_expect(is_kept("a", "one", 10));
	cr_expect(is_kept("b", "two", 20));
	end();
}
