#include "fetch/tar.h"
#include "tests/lib/tarball.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* The content of a folder that must be listed because it is empty. */
#define FOLDER "\1folder"

struct want {
	const char *path;
	unsigned mode;
	const char *text;
};

static bool same(const struct dxp_file *f, const struct want *w)
{
	if (!slice_eq(f->path, slice_str(w->path)))
		return false;
	if (strcmp(w->text, FOLDER) == 0)
		return f->type == DXP_DIR;
	return f->type == DXP_FILE && f->mode == w->mode && slice_eq(f->bytes, slice_str(w->text));
}

/* The archive holds these files, in any order, and nothing else. */
static bool gives(struct tarball *t, const struct want *want, size_t count)
{
	struct tar_listing l = TAR_LISTING_INIT;
	struct err e = { 0 };
	int r = buf_error(&t->bytes)
			? -ENOMEM
			: tar_read(&l, (struct slice){ t->bytes.data, t->bytes.len }, &e);
	bool ok = r == 0 && l.count == count;

	for (size_t i = 0; ok && i < count; i++) {
		bool found = false;

		for (size_t k = 0; k < l.count; k++)
			found |= same(&l.files[k], &want[i]);
		if (!found)
			fprintf(stderr, "missing: %s\n", want[i].path);
		ok = found;
	}
	if (!ok) {
		fprintf(stderr, "result %d %s\n", r, e.msg);
		for (size_t k = 0; k < l.count; k++)
			fprintf(stderr, "  %.*s %o\n", SLICE_FMT(l.files[k].path), l.files[k].mode);
	}
	tar_release(&l);
	return ok;
}

#define GIVES(t, ...)                                                                              \
	gives((t), (struct want[]){ __VA_ARGS__ },                                                 \
	      sizeof((struct want[]){ __VA_ARGS__ }) / sizeof(struct want))

static int reads(struct tarball *t, struct err *e)
{
	struct tar_listing l = TAR_LISTING_INIT;
	int r = tar_read(&l, (struct slice){ t->bytes.data, t->bytes.len }, e);

	tar_release(&l);
	return r;
}

static void add(struct tarball *t, char type, const char *path, unsigned mode, const char *text)
{
	tarball_add(t, type, path, mode, text, strlen(text));
}

/* The worked example of npm's rules. */
Test(tar, conflicts_end_as_with_npm)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	add(&t, '0', "package/a", 0755, "first");
	add(&t, '0', "package/a", 0644, "second");
	add(&t, '0', "package/b", 0755, "first");
	add(&t, '7', "package/b", 0644, "second");
	add(&t, '0', "package/c", 0644, "file");
	add(&t, '0', "package/c/d", 0644, "below");
	add(&t, '0', "package/e/f", 0644, "below");
	add(&t, '0', "package/e", 0644, "file");
	add(&t, '0', "package/g1/.gitignore", 0644, "git");
	add(&t, '0', "package/g1/.npmignore", 0755, "npm");
	add(&t, '0', "package/g2/.npmignore", 0755, "npm");
	add(&t, '0', "package/g2/.gitignore", 0644, "git");
	add(&t, '0', "other/h", 0644, "h");
	add(&t, '0', "./package/i", 0644, "i");
	add(&t, '5', "package/emptydir/", 0755, "");
	tarball_end(&t);
	cr_assert(GIVES(&t, { "a", 0755, "second" }, { "b", 0644, "second" }, { "c", 0644, "file" },
			{ "e/f", 0644, "below" }, { "g1/.npmignore", 0644, "npm" },
			{ "g2/.npmignore", 0755, "npm" }, { "h", 0644, "h" },
			{ "package/i", 0644, "i" }));
}

Test(tar, paths_become_what_npm_makes_of_them)
{
	static const struct {
		const char *in, *out; /* NULL: dropped */
	} rows[] = {
		{ "package/x", "x" },
		{ "other/x", "x" },
		{ "./package/x", "package/x" },
		{ "../package/x", "package/x" },
		{ "/package/x", "package/x" },
		{ "package//x", "x" },
		{ "x", NULL },
		{ "package/c:/w", "w" },
		{ "package/C:w", "w" },
		{ "package/x:y", "y" },
		{ "package/ab:y", "ab:y" },
		{ "package/1:y", "1:y" },
		{ "package/a\\b", "a\\b" },
		{ "package/\\b", "b" },
		{ "package/\\\\host\\share\\b", "b" },
		{ "package/c:c:c:/d:b", "b" },
		{ "package///?/c:/b", "b" },
		{ "package//host/share/b", "host/share/b" },
		{ "package/a/../b", NULL },
		{ "package/a\\..\\b", NULL },
		{ "package/..", NULL },
		{ "package/c:..", NULL },
		{ "package/...", "..." },
		{ "package/./a/.//b/.", "a/b" },
		{ "package/.", NULL },
		{ "package/", NULL },
		{ "package/t/", NULL },
		{ "package/caf\xe9", "caf\xef\xbf\xbd" },
		{ "package/\xe2\x82.\xed\xa0\x80",
		  "\xef\xbf\xbd.\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "package/line\nend", "line\nend" },
		{ "package/.GITIGNORE", ".GITIGNORE" },
		{ "package/.gitignore", ".npmignore" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;

		tarball_file(&t, rows[i].in, "x");
		tarball_file(&t, "package/keep", "keep");
		if (rows[i].out)
			cr_assert(GIVES(&t, { rows[i].out, 0644, "x" }, { "keep", 0644, "keep" }));
		else
			cr_assert(GIVES(&t, { "keep", 0644, "keep" }));
	}
}

Test(tar, only_regular_files_arrive)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct tarball_header h;

	for (const char *c = "SAIMVZ346D"; *c; c++) {
		char name[32];

		snprintf(name, sizeof name, "package/%c", *c);
		add(&t, *c, name, 0644, "body, which is skipped");
	}
	for (char c = '1'; c <= '2'; c++) {
		tarball_header_init(&h, c, "package/link", 0777, 0);
		h.block[157] = 'x';
		tarball_header_seal(&h);
		tarball_add_header(&t, &h);
	}
	add(&t, '\0', "package/old", 0600, "old");
	add(&t, '7', "package/contiguous", 0601, "new");
	cr_assert(GIVES(&t, { "old", 0600, "old" }, { "contiguous", 0601, "new" }));
}

Test(tar, a_null_block_ends_nothing_but_two_do)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	static const uint8_t zeros[512];

	tarball_file(&t, "package/a", "a");
	buf_add(&t.bytes, zeros, sizeof zeros);
	tarball_file(&t, "package/b", "b");
	tarball_end(&t);
	tarball_file(&t, "package/c", "c");
	cr_assert(GIVES(&t, { "a", 0644, "a" }, { "b", 0644, "b" }));
}

Test(tar, a_block_that_is_no_header_is_skipped_alone)
{
	static const struct {
		const char *what;
		size_t at;
		char put[13];
		size_t n;
	} rows[] = {
		{ "a wrong checksum", 148, "000001", 6 },
		{ "a checksum that runs into the type", 148, "00000000", 8 },
		{ "no name", 0, "\0", 1 },
		{ "a file with a link name", 157, "x", 1 },
		{ "a number that is neither octal nor base 256", 108, "\x81", 1 },
		{ "a size past the safe integers", 124, "\x80\0\0\0\0\x20", 6 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;
		struct tarball_header h;

		tarball_header_init(&h, '0', "package/bad", 0644, 512);
		memcpy(h.block + rows[i].at, rows[i].put, rows[i].n);
		if (rows[i].at != 148)
			tarball_header_seal(&h);
		tarball_add_header(&t, &h);
		/* Where the body would be, there is the next header. */
		tarball_file(&t, "package/next", rows[i].what);
		cr_assert(GIVES(&t, { "next", 0644, rows[i].what }));
	}
}

Test(tar, an_unreadable_block_between_two_null_blocks_does_not_part_them)
{
	static const uint8_t zeros[512];

	for (int unreadable = 0; unreadable < 2; unreadable++) {
		auto_tarball struct tarball t = TARBALL_INIT;
		struct tarball_header h;

		tarball_file(&t, "package/a", "a");
		buf_add(&t.bytes, zeros, sizeof zeros);
		tarball_header_init(&h, '0', "package/bad", 0644, 0);
		h.block[unreadable ? 108 : 148] = 0x81;
		if (unreadable)
			tarball_header_seal(&h);
		else
			memcpy(h.block + 148, "1234567", 7);
		tarball_add_header(&t, &h);
		buf_add(&t.bytes, zeros, sizeof zeros);
		tarball_file(&t, "package/b", "b");
		if (unreadable)
			cr_assert(GIVES(&t, { "a", 0644, "a" }));
		else
			cr_assert(GIVES(&t, { "a", 0644, "a" }, { "b", 0644, "b" }));
	}
}

Test(tar, numbers_are_read_as_npm_reads_them)
{
	static const struct {
		char mode[9];
		unsigned is;
	} rows[] = {
		{ "0000755", 0755 },
		{ "    755 ", 0755 },
		{ "755 x", 0755 },
		{ "+755", 0755 },
		{ "\t\r755", 0755 },
		{ "100777", 0777 },
		{ "04755", 04755 },
		{ "-1", 07777 },
		{ "8", 0666 },
		{ "", 0666 },
		{ "\x80\0\0\0\0\0\1\xed", 0755 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff", 07777 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;
		struct tarball_header h;

		tarball_header_init(&h, '0', "package/a", 0, 0);
		memcpy(h.block + 100, rows[i].mode, 8);
		tarball_header_seal(&h);
		tarball_add_header(&t, &h);
		cr_assert(GIVES(&t, { "a", rows[i].is, "" }));
	}
}

Test(tar, a_posix_prefix_comes_in_front)
{
	static const struct {
		const char *prefix, *magic, *out;
	} rows[] = {
		{ "package/deep",
		  "ustar\0"
		  "00",
		  "deep/x/y" },
		{ "package/deep", "ustar  ", "y" },
		{ "",
		  "ustar\0"
		  "00",
		  "y" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;
		struct tarball_header h;

		tarball_header_init(&h, '0', "x/y", 0644, 0);
		memcpy(h.block + 345, rows[i].prefix, strlen(rows[i].prefix));
		memcpy(h.block + 257, rows[i].magic, 8);
		tarball_header_seal(&h);
		tarball_add_header(&t, &h);
		cr_assert(GIVES(&t, { rows[i].out, 0644, "" }));
	}
}

Test(tar, byte_475_decides_how_long_a_prefix_is)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct tarball_header h;
	char shorter[200], longer[200];

	tarball_header_init(&h, '0', "x", 0644, 0);
	memcpy(h.block + 345, "package/", 8);
	memset(h.block + 353, 'p', 122);
	tarball_header_seal(&h);
	tarball_add_header(&t, &h);
	memset(h.block + 475, 'r', 25);
	tarball_header_seal(&h);
	tarball_add_header(&t, &h);
	memset(longer, 'p', 122);
	memset(longer + 122, 'r', 25);
	strcpy(longer + 147, "/x");
	snprintf(shorter, sizeof shorter, "%.122s/x", longer);
	cr_assert(GIVES(&t, { shorter, 0644, "" }, { longer, 0644, "" }));
}

Test(tar, a_pax_header_names_and_sizes_the_next_entry_only)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	tarball_pax(&t, 'x', "path", "package/renamed");
	tarball_pax(&t, 'x', "size", "2");
	add(&t, '0', "package/x", 0644, "abcdef");
	tarball_pax(&t, 'x', "mode", "511");
	tarball_file(&t, "package/plain", "p");
	cr_assert(GIVES(&t, { "renamed", 0644, "ab" }, { "plain", 0644, "p" }));
}

Test(tar, a_global_pax_header_gives_no_path_but_a_size_to_all)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	tarball_pax(&t, 'g', "path", "package/never");
	tarball_pax(&t, 'g', "size", "1");
	tarball_file(&t, "package/a", "abc");
	tarball_file(&t, "package/b", "def");
	cr_assert(GIVES(&t, { "a", 0644, "a" }, { "b", 0644, "d" }));
}

Test(tar, of_several_names_the_last_counts)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	tarball_pax(&t, 'x', "path", "package/one");
	add(&t, 'L', "././@LongLink", 0, "package/two");
	tarball_file(&t, "package/a", "a");
	add(&t, 'L', "././@LongLink", 0, "package/three");
	tarball_pax(&t, 'x', "path", "package/four");
	tarball_file(&t, "package/b", "b");
	cr_assert(GIVES(&t, { "two", 0644, "a" }, { "four", 0644, "b" }));
}

Test(tar, malformed_pax_records_are_passed_over)
{
	static const char *const bodies[] = {
		"23 path=package/wrong\n",  /* one too many */
		"21 path=package/two\nl\n", /* a value with a line end */
		"20 path=package/l\xe9g\n", /* its length changes when it is decoded */
		" 23 path=package/wrong\n", /* white space shifts what is cut off */
		"path=package/wrong\n",     "",
	};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;

		add(&t, 'x', "PaxHeader/x", 0, bodies[i]);
		tarball_file(&t, "package/header", "x");
		cr_assert(GIVES(&t, { "header", 0644, "x" }));
	}
}

Test(tar, sizes_in_pax_are_javascript_numbers)
{
	static const struct {
		const char *size, *text;
	} rows[] = {
		{ " 3 ", "abc" },   { "3.7", "abc" },  { "0x3", "abc" },    { "30e-1", "abc" },
		{ ".3e1", "abc" },  { "", "" },        { "0b11", "abc" },   { "0o3", "abc" },
		{ "-1", "abcdef" }, { "x", "abcdef" }, { "1_0", "abcdef" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;

		tarball_pax(&t, 'x', "size", rows[i].size);
		tarball_file(&t, "package/a", "abcdef");
		cr_assert(GIVES(&t, { "a", 0644, rows[i].text }));
	}
}

Test(tar, text_behind_a_nul_goes_only_to_the_end_of_its_line)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	static const char name[] = "package/a\0junk\nb\0c";

	tarball_add(&t, 'L', "././@LongLink", 0, "package/a\0junk", 14);
	tarball_file(&t, "package/x", "1");
	tarball_add(&t, 'L', "././@LongLink", 0, "package/a\0junk\rb", 16);
	tarball_file(&t, "package/x", "2");
	tarball_add(&t, 'L', "././@LongLink", 0, name, 16);
	tarball_file(&t, "package/x", "3");
	cr_assert(GIVES(&t, { "a", 0644, "1" }, { "a\rb", 0644, "2" }, { "a\nb", 0644, "3" }));
}

Test(tar, a_nul_left_in_a_name_fails_as_it_does_npm)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct err e = { 0 };

	tarball_add(&t, 'L', "././@LongLink", 0, "package/a\0junk\nb\0c", 18);
	tarball_file(&t, "package/x", "1");
	cr_assert_eq(reads(&t, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "NUL") != NULL);
}

Test(tar, a_link_name_in_pax_that_leaves_the_package_drops_a_file)
{
	static const struct {
		const char *link;
		bool kept;
	} rows[] = {
		{ "else", true },        { "/etc/x", true },     { "../b", true },
		{ "../../b", false },    { "..\\..\\b", false }, { "d/../../../b", false },
		{ "c:../../..", false }, { "", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tarball struct tarball t = TARBALL_INIT;

		tarball_pax(&t, 'x', "linkpath", rows[i].link);
		tarball_file(&t, "package/d/a", "a");
		tarball_file(&t, "package/keep", "k");
		if (rows[i].kept)
			cr_assert(GIVES(&t, { "d/a", 0644, "a" }, { "keep", 0644, "k" }));
		else
			cr_assert(GIVES(&t, { "keep", 0644, "k" }));
	}
}

Test(tar, a_name_that_no_file_system_takes_leaves_its_folder_behind)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	char path[300] = "package/d/e/";

	memset(path + 12, 'n', 256);
	tarball_file(&t, path, "x");
	cr_assert(GIVES(&t, { "d/e", 0, FOLDER }));
	/* An empty folder makes way for a file. */
	tarball_file(&t, "package/d/e", "file");
	cr_assert(GIVES(&t, { "d/e", 0644, "file" }));
}

Test(tar, what_is_too_deep_is_dropped)
{
	for (int parts = 1024; parts <= 1025; parts++) {
		auto_tarball struct tarball t = TARBALL_INIT;
		auto_buf struct buf path = BUF_INIT(8192);

		buf_addstr(&path, "package/");
		for (int i = 1; i < parts; i++)
			buf_addstr(&path, i == 1 ? "d/" : "/");
		buf_add(&path, "x", 2);
		tarball_file(&t, (char *)path.data, "x");
		tarball_file(&t, "package/keep", "k");
		if (parts == 1024)
			cr_assert(GIVES(&t, { "d/x", 0644, "x" }, { "keep", 0644, "k" }));
		else
			cr_assert(GIVES(&t, { "keep", 0644, "k" }));
	}
}

Test(tar, what_is_no_archive_is_an_error)
{
	static const uint8_t junk[1024] = "junk";
	struct err e = { 0 };

	for (size_t n = 0; n <= 1024; n += 256) {
		auto_tarball struct tarball t = TARBALL_INIT;

		buf_add(&t.bytes, junk, n);
		cr_assert_eq(reads(&t, &e), -EBADMSG);
	}
	auto_tarball struct tarball t = TARBALL_INIT;

	tarball_end(&t);
	cr_assert_eq(reads(&t, &e), -EBADMSG);
	/* Empty extended headers alone count for nothing. */
	t.bytes.len = 0;
	add(&t, 'x', "PaxHeader/x", 0, "");
	cr_assert_eq(reads(&t, &e), -EBADMSG);
	/* A folder is an entry, though nothing arrives. */
	add(&t, '5', "package/d/", 0755, "");
	cr_assert_eq(reads(&t, &e), 0);
}

Test(tar, a_truncated_body_is_an_error_padding_included)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct err e = { 0 };

	tarball_file(&t, "package/a", "abc");
	for (size_t cut = 1; cut < 512; cut += 51) {
		t.bytes.len = 1024 - cut;
		cr_assert_eq(reads(&t, &e), -EBADMSG);
	}
	cr_assert(strstr(e.msg, "package/a") != NULL);
	t.bytes.len = 1024;
	cr_assert_eq(reads(&t, &e), 0);
}

Test(tar, a_long_header_that_pax_calls_empty_is_not_noticed)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct err e = { 0 };

	tarball_file(&t, "package/a", "a");
	tarball_pax(&t, 'x', "size", "0");
	add(&t, 'L', "././@LongLink", 0, "package/long");
	cr_assert_eq(reads(&t, &e), -EBADMSG); /* its body was never taken: truncated, for npm */
	tarball_file(&t, "package/b", "");
	cr_assert(GIVES(&t, { "a", 0644, "a" }, { "b", 0644, "" }));
}

Test(tar, an_extended_header_over_a_mebibyte_is_ignored)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	auto_free char *value = malloc((1 << 20) + 1);

	memset(value, 'c', 1 << 20);
	value[1 << 20] = '\0';
	memcpy(value, "package/a/", 10);
	tarball_pax(&t, 'x', "path", value);
	tarball_file(&t, "package/b", "b");
	cr_assert(GIVES(&t, { "b", 0644, "b" }));
}

Test(tar, many_files_in_many_folders)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct tar_listing l = TAR_LISTING_INIT;
	char path[64];

	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof path, "package/d%d/e%d/f%d", i % 50, i % 7, i);
		tarball_file(&t, path, path);
	}
	cr_assert_eq(tar_read(&l, (struct slice){ t.bytes.data, t.bytes.len }, NULL), 0);
	cr_assert_eq(l.count, 5000);
	for (size_t i = 0; i < l.count; i++)
		cr_assert(slice_eq(l.files[i].path, (struct slice){ l.files[i].bytes.ptr + 8,
								    l.files[i].bytes.len - 8 }));
	tar_release(&l);
}
