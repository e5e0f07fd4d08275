#include "core/dxp.h"
#include "core/file.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define F(p, text)                                                                                 \
	{                                                                                          \
		.path = SLICE(p), .type = DXP_FILE, .mode = 0644, .bytes = SLICE(text)             \
	}

static const struct dxp_file sample[] = {
	F("package.json", "{\"name\":\"a\"}"),
	F("lib/index.js", "module.exports = 1\n"),
	F("lib/deep/er/x.js", "x"),
	F("lib-es/index.js", "module.exports = 1\n"), /* '-' sorts before '/', not here */
	F("lib/empty", ""),
	{ .path = SLICE("bin/cli"),
	  .type = DXP_FILE,
	  .mode = 0755,
	  .bytes = SLICE("#!/usr/bin/env node\r\n1"),
	  .has_mended = true,
	  .mended = SLICE("#!/usr/bin/env node\n1") },
	{ .path = SLICE("void"), .type = DXP_DIR, .mode = 0700 },
};

static struct dxp_meta sample_meta(void)
{
	struct dxp_meta m = { .name = "@s/a", .version = "1.2.3" };

	cr_assert_eq(digest_of(&m.sha512, DIGEST_SHA512, "tarball", 7), 0);
	cr_assert_eq(digest_of(&m.key, DIGEST_SHA1, "tarball", 7), 0);
	return m;
}

static int blob_fd(void)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);

	cr_assert(fd >= 0);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_size;
}

static int write_sample(struct hash128 *ret)
{
	struct dxp_meta m = sample_meta();
	int fd = blob_fd();

	cr_assert_eq(dxp_write(fd, &m, sample, ARRAY_LEN(sample), ret, NULL), 0);
	return fd;
}

Test(dxp, everything_written_is_read_back)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	struct dxp_meta m = sample_meta();
	struct dxp *p = NULL;
	char buf[64];

	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	cr_assert(hash128_eq(dxp_content(p), content));
	cr_assert_eq(dxp_size(p), (uint64_t)size_of(fd));
	cr_assert_eq(dxp_size(p) % 512, 0);
	cr_assert_str_eq(dxp_meta(p)->name, "@s/a");
	cr_assert_str_eq(dxp_meta(p)->version, "1.2.3");
	cr_assert(digest_eq(&dxp_meta(p)->sha512, &m.sha512));
	cr_assert(digest_eq(&dxp_meta(p)->key, &m.key));
	cr_assert_eq(dxp_count(p), 1 + ARRAY_LEN(sample) + 5); /* bin lib lib-es deep er */
	for (size_t i = 0; i < ARRAY_LEN(sample); i++) {
		uint32_t n = dxp_lookup(p, sample[i].path);
		struct dxp_entry x;

		cr_assert_neq(n, DXP_NONE);
		dxp_entry(p, n, &x);
		cr_assert_eq(x.type, sample[i].type);
		cr_assert_eq(x.mode, sample[i].mode);
		cr_assert_eq(x.has_mended, sample[i].has_mended);
		if (x.type == DXP_DIR)
			continue;
		cr_assert_eq(x.size, sample[i].bytes.len);
		cr_assert_eq(dxp_read(p, fd, n, DXP_PLAIN, buf, sizeof buf, 0, NULL),
			     (ssize_t)x.size);
		cr_assert_arr_eq(buf, sample[i].bytes.ptr, x.size);
		cr_assert_eq(x.mended_size, sample[i].mended.len);
	}
	cr_assert_eq(dxp_verify(fd, content, NULL), 0);
	dxp_close(p);
	dxp_close(NULL);
}

/* What every reader relies on: runs of children, sorted, under their parent. */
static void check_tree(const struct dxp *p)
{
	uint32_t seen = 1;

	for (uint32_t i = 0; i < dxp_count(p); i++) {
		struct dxp_entry x, c, last = { 0 };

		dxp_entry(p, i, &x);
		if (x.type != DXP_DIR)
			continue;
		for (uint32_t k = 0; k < x.children; k++, seen++, last = c) {
			dxp_entry(p, x.first_child + k, &c);
			cr_assert_eq(c.parent, i);
			cr_assert(k == 0 || slice_cmp(last.name, c.name) < 0);
			cr_assert_eq(dxp_child(p, i, c.name), x.first_child + k);
		}
	}
	cr_assert_eq(seen, dxp_count(p));
}

Test(dxp, a_directory_is_a_sorted_run)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	struct dxp *p = NULL;
	struct dxp_entry x;

	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	check_tree(p);
	dxp_entry(p, dxp_lookup(p, SLICE("lib/deep")), &x);
	cr_assert_eq(x.mode, 0755);
	cr_assert_eq(dxp_lookup(p, SLICE("")), 0);
	cr_assert_eq(dxp_lookup(p, SLICE("lib/nothing")), DXP_NONE);
	cr_assert_eq(dxp_lookup(p, SLICE("lib/")), DXP_NONE);
	cr_assert_eq(dxp_lookup(p, SLICE("/lib")), DXP_NONE);
	cr_assert_eq(dxp_lookup(p, SLICE("lib//empty")), DXP_NONE);
	cr_assert_eq(dxp_lookup(p, SLICE("package.json/x")), DXP_NONE);
	cr_assert_eq(dxp_read(p, fd, 0, DXP_PLAIN, &x, 1, 0, NULL), -EISDIR);
	dxp_close(p);
}

Test(dxp, both_forms_of_a_mended_file)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	struct dxp *p = NULL;
	char buf[64] = "";
	uint32_t n;

	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	n = dxp_lookup(p, SLICE("bin/cli"));
	cr_assert_eq(dxp_read(p, fd, n, DXP_MENDED, buf, sizeof buf, 18, NULL), 3);
	cr_assert_arr_eq(buf, "e\n1", 3);
	cr_assert_eq(dxp_read(p, fd, n, DXP_PLAIN, buf, sizeof buf, 18, NULL), 4);
	cr_assert_arr_eq(buf, "e\r\n1", 4);
	n = dxp_lookup(p, SLICE("package.json")); /* has one form, whatever is asked */
	cr_assert_eq(dxp_read(p, fd, n, DXP_MENDED, buf, sizeof buf, 0, NULL), 12);
	dxp_close(p);
}

Test(dxp, order_of_the_files_does_not_matter)
{
	struct dxp_file shuffled[ARRAY_LEN(sample)];
	struct dxp_meta m = sample_meta();
	struct hash128 a, b;
	auto_close int fd_a = write_sample(&a), fd_b = blob_fd();
	auto_free char *x = NULL, *y = NULL;
	size_t x_len, y_len;

	for (size_t i = 0; i < ARRAY_LEN(sample); i++)
		shuffled[i] = sample[(i * 3 + 2) % ARRAY_LEN(sample)];
	cr_assert_eq(dxp_write(fd_b, &m, shuffled, ARRAY_LEN(sample), &b, NULL), 0);
	cr_assert(hash128_eq(a, b));
	cr_assert_eq(file_read_fd(fd_a, "a", 1 << 20, &x, &x_len, NULL), 0);
	cr_assert_eq(file_read_fd(fd_b, "b", 1 << 20, &y, &y_len, NULL), 0);
	cr_assert_eq(x_len, y_len);
	cr_assert_arr_eq(x, y, x_len);
}

Test(dxp, equal_payloads_are_stored_once)
{
	static char big[5000];
	struct dxp_meta m = { .name = "", .version = "" };
	struct slice bytes = { (uint8_t *)big, sizeof big };
	struct dxp_file f[] = {
		{ .path = SLICE("a"), .type = DXP_FILE, .bytes = bytes },
		{ .path = SLICE("b"), .type = DXP_FILE, .bytes = bytes },
		{ .path = SLICE("c"),
		  .type = DXP_FILE,
		  .bytes = bytes,
		  .has_mended = true,
		  .mended = bytes },
	};
	struct hash128 h;
	auto_close int one = blob_fd(), three = blob_fd();

	memset(big, 'x', sizeof big);
	cr_assert_eq(dxp_write(one, &m, f, 1, &h, NULL), 0);
	cr_assert_eq(dxp_write(three, &m, f, 3, &h, NULL), 0);
	cr_assert_eq(size_of(one), 512 + 5120);
	cr_assert_eq(size_of(three), size_of(one));
	cr_assert_eq(dxp_verify(three, h, NULL), 0);
}

Test(dxp, paths_that_are_not_clean_are_refused)
{
	static const char *const bad[] = {
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/."
	};
	struct dxp_meta m = { .name = "", .version = "" };
	auto_close int fd = blob_fd();
	struct hash128 h;
	char longer[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct dxp_file f = { .path = slice_str(bad[i]), .type = DXP_FILE };

		cr_expect_eq(dxp_write(fd, &m, &f, 1, &h, NULL), -EINVAL);
	}
	memset(longer, 'n', sizeof longer);
	struct dxp_file name_too_long = { .path = { (uint8_t *)longer, 256 }, .type = DXP_FILE };
	struct dxp_file nul = { .path = { (const uint8_t *)"a\0b", 3 }, .type = DXP_FILE };
	struct dxp_file twice[] = { F("a", "1"), F("b", "2"), F("a", "1") };
	struct dxp_file both[] = { F("a", "1"), F("a/b", "2") };
	struct dxp_file fits[] = { { .path = { (uint8_t *)longer, 255 }, .type = DXP_FILE },
				   F("a-b", ""),
				   F("a/b", ""),
				   F("ab", "") };

	cr_assert_eq(dxp_write(fd, &m, &name_too_long, 1, &h, NULL), -EINVAL);
	cr_assert_eq(dxp_write(fd, &m, &nul, 1, &h, NULL), -EINVAL);
	cr_assert_eq(dxp_write(fd, &m, twice, 3, &h, NULL), -EINVAL);
	cr_assert_eq(dxp_write(fd, &m, both, 2, &h, NULL), -EINVAL);
	cr_assert_eq(size_of(fd), 0);
	cr_assert_eq(dxp_write(fd, &m, fits, ARRAY_LEN(fits), &h, NULL), 0);
}

Test(dxp, a_package_without_files_is_a_root)
{
	struct dxp_meta m = { .name = "", .version = "" };
	auto_close int fd = blob_fd();
	struct hash128 h;
	struct dxp *p = NULL;

	cr_assert_eq(dxp_write(fd, &m, NULL, 0, &h, NULL), 0);
	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	cr_assert_eq(dxp_count(p), 1);
	cr_assert_eq(dxp_verify(fd, h, NULL), 0);
	dxp_close(p);
}

/* A larger package, from a generator whose seed is its only input. */
Test(dxp, random_packages_keep_their_bytes)
{
	enum { N = 3000 };
	static char paths[N][64];
	static uint8_t bytes[N][700];
	static struct dxp_file f[N];
	struct dxp_meta m = { .name = "big", .version = "1.0.0" };
	auto_close int fd = blob_fd();
	struct hash128 h;
	struct dxp *p = NULL;
	uint64_t seed = 20240611;

	for (int i = 0; i < N; i++) {
		for (size_t k = 0; k < sizeof bytes[i]; k++)
			bytes[i][k] = (uint8_t)((seed = seed * 6364136223846793005u + 1) >> 56);
		(void)snprintf(paths[i], sizeof paths[i], "d%u/e%u/f%u-%d", bytes[i][0] % 7u,
			       bytes[i][1] % 5u, bytes[i][2] % 3u, i);
		f[i] = (struct dxp_file){ .path = slice_str(paths[i]),
					  .type = DXP_FILE,
					  .mode = 0600,
					  .bytes = { bytes[i], seed % 700 } };
	}
	cr_assert_eq(dxp_write(fd, &m, f, N, &h, NULL), 0);
	cr_assert_eq(dxp_verify(fd, h, NULL), 0);
	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	check_tree(p);
	for (int i = 0; i < N; i++) {
		uint8_t buf[700];
		ssize_t n = dxp_read(p, fd, dxp_lookup(p, f[i].path), DXP_PLAIN, buf, sizeof buf, 0,
				     NULL);

		cr_assert_eq(n, (ssize_t)f[i].bytes.len);
		cr_assert_arr_eq(buf, bytes[i], (size_t)n);
	}
	dxp_close(p);
}

/* A file of several chunks, read from within before it has been checked. */
Test(dxp, the_first_read_of_a_part_checks_the_whole)
{
	enum { SIZE = 700001 };
	static uint8_t big[SIZE], got[SIZE];
	struct dxp_file f = { .path = SLICE("big"), .type = DXP_FILE, .bytes = { big, SIZE } };
	struct dxp_meta m = { .name = "big", .version = "1.0.0" };
	auto_close int fd = blob_fd();
	struct hash128 h;
	struct err e = { 0 };
	struct dxp *p = NULL;

	for (int i = 0; i < SIZE; i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	cr_assert_eq(dxp_write(fd, &m, &f, 1, &h, NULL), 0);
	for (int k = 0; k < 3; k++) {
		static const size_t off[] = { 0, 262100, 699000 }, len[] = { 131072, 300000, 5000 };
		size_t want = len[k] < SIZE - off[k] ? len[k] : SIZE - off[k];

		cr_assert_eq(dxp_open(&p, fd, NULL), 0);
		for (int again = 0; again < 2; again++) {
			memset(got, 0, sizeof got);
			cr_assert_eq(dxp_read(p, fd, 1, DXP_PLAIN, got, len[k], off[k], NULL),
				     (ssize_t)want);
			cr_assert_arr_eq(got, big + off[k], want);
		}
		cr_assert_eq(dxp_read(p, fd, 1, DXP_PLAIN, got, 1, SIZE, NULL), 0);
		dxp_close(p);
	}
	cr_assert_eq(pwrite(fd, "!", 1, 512 + 650000), 1);
	cr_assert_eq(dxp_open(&p, fd, NULL), 0);
	cr_assert_eq(dxp_read(p, fd, 1, DXP_PLAIN, got, 100, 0, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "big 1.0.0") != NULL);
	cr_assert_eq(dxp_read(p, fd, 1, DXP_PLAIN, got, SIZE, 0, &e), -EBADMSG);
	cr_assert_eq(ftruncate(fd, 512 + 100), 0);
	cr_assert_eq(dxp_read(p, fd, 1, DXP_PLAIN, got, 1000, 0, &e), -EBADMSG);
	dxp_close(p);
}

Test(dxp, marks_are_set_by_a_full_check_and_can_be_forgotten)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	struct dxp *p = NULL;
	char buf[8];
	uint32_t n;

	cr_assert_eq(dxp_open_verified(&p, fd, content, NULL), 0);
	n = dxp_lookup(p, SLICE("package.json"));
	for (off_t at = 512; at < size_of(fd); at += 512)
		cr_assert_eq(pwrite(fd, "!", 1, at), 1);
	cr_assert_eq(dxp_read(p, fd, n, DXP_PLAIN, buf, sizeof buf, 0, NULL), 8);
	dxp_forget(p);
	cr_assert_eq(dxp_read(p, fd, n, DXP_PLAIN, buf, sizeof buf, 0, NULL), -EBADMSG);
	dxp_close(p);
}

Test(dxp, same_files_whatever_the_package_is_called)
{
	struct dxp_meta m = sample_meta();
	struct dxp_file other[ARRAY_LEN(sample)];
	struct hash128 h;
	struct dxp *a = NULL, *b = NULL;
	auto_close int fd_a = write_sample(&h);

	m.name = "another";
	memcpy(other, sample, sizeof sample);
	for (size_t k = 0; k <= ARRAY_LEN(sample); k++) {
		auto_close int fd_b = blob_fd();

		if (k < ARRAY_LEN(sample))
			other[k].mode ^= 1;
		cr_assert_eq(dxp_write(fd_b, &m, other, ARRAY_LEN(sample), &h, NULL), 0);
		cr_assert_eq(dxp_open(&a, fd_a, NULL), 0);
		cr_assert_eq(dxp_open(&b, fd_b, NULL), 0);
		cr_assert_eq(dxp_same_files(a, b), k == ARRAY_LEN(sample));
		dxp_close(a);
		dxp_close(b);
		if (k < ARRAY_LEN(sample))
			other[k].mode ^= 1;
	}
	other[1].bytes = SLICE("module.exports = 2\n");
	auto_close int fd_b = blob_fd();

	cr_assert_eq(dxp_write(fd_b, &m, other, ARRAY_LEN(sample), &h, NULL), 0);
	cr_assert_eq(dxp_open(&a, fd_a, NULL), 0);
	cr_assert_eq(dxp_open(&b, fd_b, NULL), 0);
	cr_assert_not(dxp_same_files(a, b));
	dxp_close(a);
	dxp_close(b);
}

Test(dxp, any_flipped_byte_is_noticed)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	off_t size = size_of(fd);

	for (off_t at = 0; at < size; at++) {
		uint8_t was, bad;
		struct dxp *p = NULL;
		int r;

		cr_assert_eq(pread(fd, &was, 1, at), 1);
		bad = was ^ (uint8_t)(1u << at % 8);
		cr_assert_eq(pwrite(fd, &bad, 1, at), 1);
		r = dxp_verify(fd, content, NULL);
		cr_assert(r == -EBADMSG || r == -EPROTONOSUPPORT);
		if (at < 208 && (at < 8 || at >= 24)) /* the header, less the content hash */
			cr_assert(dxp_open(&p, fd, NULL) < 0);
		cr_assert_eq(pwrite(fd, &was, 1, at), 1);
	}
	cr_assert_eq(dxp_verify(fd, content, NULL), 0);
}

Test(dxp, any_truncation_is_noticed)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);
	struct dxp *p = NULL;

	for (off_t size = size_of(fd) - 1; size >= 0; size--) {
		cr_assert_eq(ftruncate(fd, size), 0);
		cr_assert_eq(dxp_open(&p, fd, NULL), -EBADMSG);
		cr_assert_eq(dxp_verify(fd, content, NULL), -EBADMSG);
	}
}

/* The same header fields, made consistent again: what the index hash cannot catch. */
static int reopen_with(int fd, off_t at, const void *bytes, size_t n)
{
	uint8_t head[208];
	auto_free char *data = NULL;
	size_t len, index_end = 512; /* the sample's index fits one block or two */
	struct hasher *h = hasher_new();
	struct hash128 hash;
	struct dxp *p = NULL;
	uint32_t c[3];
	uint16_t l[2];
	int r;

	cr_assert(h != NULL);
	cr_assert_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
	cr_assert_eq(file_read_fd(fd, "blob", 1 << 20, &data, &len, NULL), 0);
	memcpy(head, data, sizeof head);
	memcpy(c, head + 48, sizeof c);
	memcpy(l, head + 60, sizeof l);
	index_end = 208 + 40 * (size_t)c[0] + 32 * (size_t)c[1] + c[2] + l[0] + l[1] + 2u;
	if (index_end > len)
		index_end = len;
	hasher_add(h, data, 8);
	hasher_add(h, data + 40, index_end - 40);
	hash = hasher_end(h);
	hasher_free(h);
	cr_assert_eq(pwrite(fd, hash.b, 16, 24), 16);
	r = dxp_open(&p, fd, NULL);
	dxp_close(p);
	return r;
}

/* The content hash made right too: the whole file's, less the field itself. */
static int verify_with(int fd, off_t at, const void *bytes, size_t n)
{
	auto_free char *data = NULL;
	struct hasher *h = hasher_new();
	struct hash128 content;
	size_t len;

	cr_assert(h != NULL);
	(void)reopen_with(fd, at, bytes, n);
	cr_assert_eq(file_read_fd(fd, "blob", 1 << 20, &data, &len, NULL), 0);
	hasher_add(h, data, 8);
	hasher_add(h, data + 24, len - 24);
	content = hasher_end(h);
	hasher_free(h);
	cr_assert_eq(pwrite(fd, content.b, sizeof content.b, 8), (ssize_t)sizeof content.b);
	return dxp_verify(fd, content, NULL);
}

/* Equal bytes have equal names only if nothing can be hidden between them. */
Test(dxp, a_full_check_refuses_gaps_and_what_is_hidden_in_padding)
{
	struct hash128 content;
	uint64_t size;
	uint32_t version = 1, moved;

	{
		auto_close int fd = write_sample(&content);

		size = (uint64_t)size_of(fd);
		cr_assert_eq(verify_with(fd, 4, &version, 4), 0);
		cr_assert_eq(verify_with(fd, (off_t)size - 1, "x", 1), -EBADMSG);
	}
	{
		auto_close int fd = write_sample(&content);

		/* Behind the index, before the first payload. */
		cr_assert_eq(verify_with(fd, 1023, "x", 1), -EBADMSG);
	}
	{
		auto_close int fd = write_sample(&content);

		/* A block of zeros that belongs to nobody, at the end. */
		size += 512;
		cr_assert_eq(ftruncate(fd, (off_t)size), 0);
		cr_assert_eq(verify_with(fd, 40, &size, 8), -EBADMSG);
	}
	{
		auto_close int fd = write_sample(&content);
		struct dxp *p = NULL;
		uint8_t last[512];

		/* And between: the last payload (the one of lib/deep/er/x.js) a block later. */
		cr_assert_eq(dxp_open(&p, fd, NULL), 0);
		cr_assert_eq(pread(fd, last, sizeof last, (off_t)size - 1024),
			     (ssize_t)sizeof last);
		cr_assert_eq(last[0], 'x');
		cr_assert_eq(pwrite(fd, last, sizeof last, (off_t)size - 512),
			     (ssize_t)sizeof last);
		memset(last, 0, sizeof last);
		cr_assert_eq(pwrite(fd, last, sizeof last, (off_t)size - 1024),
			     (ssize_t)sizeof last);
		moved = (uint32_t)(size / 512 - 1);
		cr_assert_eq(pwrite(fd, &size, 8, 40), 8);
		cr_assert_eq(
			verify_with(fd,
				    208 + 40 * (off_t)dxp_lookup(p, SLICE("lib/deep/er/x.js")) + 12,
				    &moved, 4),
			-EBADMSG);
		dxp_close(p);
	}
}

Test(dxp, a_liar_with_a_correct_hash_is_refused)
{
	enum { ENTRY = 40, AT = 208 };
	static const struct {
		const char *why;
		off_t at;
		uint32_t value;
		size_t size;
		int r;
	} rows[] = {
		{ "nothing changed", 4, 1, 4, 0 },
		{ "later version", 4, 2, 4, -EPROTONOSUPPORT },
		{ "size in the header", 40, 1 << 20, 4, -EBADMSG },
		{ "no entries", 48, 0, 4, -EBADMSG },
		{ "too many entries", 48, UINT32_MAX, 4, -EBADMSG },
		{ "more mended forms than entries", 52, 1000, 4, -EBADMSG },
		{ "names past the end", 56, 1 << 24, 4, -EBADMSG },
		{ "a long name", 60, 65535, 2, -EBADMSG },
		{ "an unknown algorithm", 64, 99, 1, -EBADMSG },
		{ "a digest of another length", 65, 20, 1, -EBADMSG },
		{ "root is a file", AT + 5, 0, 1, -EBADMSG },
		{ "root has a parent", AT + 8, 1, 4, -EBADMSG },
		{ "root's children elsewhere", AT + 12, 2, 4, -EBADMSG },
		{ "root has more children", AT + 16, 12, 4, -EBADMSG },
		{ "root has fewer children", AT + 16, 4, 4, -EBADMSG },
		{ "children beyond 32 bits", AT + 20, 1, 4, -EBADMSG },
		{ "a child of another", AT + ENTRY + 8, 3, 4, -EBADMSG },
		{ "unknown flag", AT + ENTRY + 5, 5, 1, -EBADMSG },
		{ "mode of more than twelve bits", AT + ENTRY + 6, 010000, 2, -EBADMSG },
		{ "name elsewhere", AT + ENTRY, 1, 4, -EBADMSG },
		{ "name longer", AT + ENTRY + 4, 4, 1, -EBADMSG },
		{ "payload past the end", AT + 4 * ENTRY + 12, 4000, 4, -EBADMSG },
		{ "payload in the index", AT + 4 * ENTRY + 12, 1, 4, -EBADMSG },
		{ "size past the end", AT + 4 * ENTRY + 16, 1 << 20, 4, -EBADMSG },
		{ "mended form of another entry", AT + 13 * ENTRY, 5, 4, -EBADMSG },
		{ "mended form past the end", AT + 13 * ENTRY + 4, 4000, 4, -EBADMSG },
		{ "name with a slash", AT + 13 * ENTRY + 32, '/', 1, -EBADMSG },
		{ "name with a NUL", AT + 13 * ENTRY + 32, 0, 1, -EBADMSG },
		{ "names out of order", AT + 13 * ENTRY + 32, 'z', 1, -EBADMSG },
	};
	struct hash128 content;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_close int fd = write_sample(&content);
		int r = reopen_with(fd, rows[i].at, &rows[i].value, rows[i].size);

		if (r != rows[i].r)
			fprintf(stderr, "row: %s gives %d\n", rows[i].why, r);
		cr_expect_eq(r, rows[i].r);
	}
}

static int write_then_check(const struct dxp_meta *m)
{
	auto_close int fd = blob_fd();
	struct hash128 h;
	int r = dxp_write(fd, m, sample, ARRAY_LEN(sample), &h, NULL);

	return r < 0 ? r : dxp_verify(fd, h, NULL);
}

Test(dxp, every_failure_of_memory_and_disk_is_reported)
{
	struct dxp_meta m = sample_meta();

	fault_each(write_then_check(&m), -fault_errno);
}

static int open_and_read(int fd)
{
	struct dxp *p = NULL;
	char buf[8];
	int r = dxp_open(&p, fd, NULL);

	if (r == 0)
		r = (int)dxp_read(p, fd, dxp_lookup(p, SLICE("lib/index.js")), DXP_PLAIN, buf,
				  sizeof buf, 3, NULL);
	dxp_close(p);
	return r < 0 ? r : 0;
}

Test(dxp, every_failure_of_reading_is_reported)
{
	struct hash128 content;
	auto_close int fd = write_sample(&content);

	fault_each(open_and_read(fd), -fault_errno);
}
