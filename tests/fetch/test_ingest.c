#include "fetch/ingest.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/tarball.h"
#include "tests/lib/test.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- a store in a folder of its own ---- */

static char store_path[TEST_DIR_SIZE];
static struct store *store;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void open_store(void)
{
	struct err e = { 0 };

	test_dir(store_path, sizeof store_path);
	cr_assert_eq(store_open(&store, &(struct store_options){ .dir = store_path }, &e), 0);
}

static void close_store(void)
{
	store_close(store);
	store = NULL;
	nftw(store_path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A gzipped package of one file. */
static struct slice sample(struct buf *out, const char *text)
{
	auto_tarball struct tarball t = TARBALL_INIT;

	tarball_file(&t, "package/index.js", text);
	tarball_end(&t);
	tarball_gzip((struct slice){ t.bytes.data, t.bytes.len }, out);
	cr_assert_eq(buf_error(out), 0);
	return (struct slice){ out->data, out->len };
}

static struct digest digest(enum digest_alg alg, struct slice s)
{
	struct digest d = { 0 };

	cr_assert_eq(digest_of(&d, alg, s.ptr, s.len), 0);
	return d;
}

static bool serves(const struct digest *key, const char *text)
{
	struct pkg *p = NULL;
	char bytes[256];
	ssize_t n = -1;

	if (store_get(store, key, &p, NULL) == 0)
		n = pkg_read(p, dxp_lookup(pkg_dxp(p), SLICE("index.js")), DXP_PLAIN, bytes,
			     sizeof bytes, 0, NULL);
	pkg_release(p);
	return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

Test(ingest, puts_a_package_that_the_store_then_serves, .init = open_store, .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "text");
	struct digest sha512 = digest(DIGEST_SHA512, tgz);
	struct ingest_request rq = { .name = "a", .version = "1.0.0", .key = sha512 };
	struct ingest_result res;
	char integrity[DIGEST_TEXT_MAX];

	digest_format(&sha512, integrity);
	rq.integrity = integrity;
	cr_assert_eq(ingest(store, &rq, tgz, &sha512, &res, NULL), 0);
	cr_assert(!res.existed && res.files == 1 && digest_eq(&res.sha512, &sha512));
	cr_assert(serves(&sha512, "text"));
	cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, NULL), 0);
	cr_assert(res.existed);
}

Test(ingest, wrong_bytes_are_refused_and_both_digests_named, .init = open_store,
     .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "text");
	struct digest other = digest(DIGEST_SHA512, SLICE("other")),
		      sha512 = digest(DIGEST_SHA512, tgz);
	struct ingest_request rq = { .name = "a", .version = "1", .key = other };
	struct ingest_result res;
	char want[DIGEST_TEXT_MAX], have[DIGEST_TEXT_MAX];

	digest_format(&other, want);
	digest_format(&sha512, have);
	for (int i = 0; i < 2; i++) { /* by the integrity; by the key alone */
		struct err e = { 0 };

		rq.integrity = i ? NULL : want;
		cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, &e), -EBADMSG);
		cr_assert(strstr(e.msg, want) && strstr(e.msg, have));
		cr_assert(!store_has(store, &other) && !store_has(store, &sha512));
	}
}

Test(ingest, the_digest_is_checked_before_anything_is_unpacked, .init = open_store,
     .fini = close_store)
{
	struct ingest_request rq = { .integrity = "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	struct ingest_result res;
	struct err e = { 0 };

	cr_assert_eq(ingest(store, &rq, SLICE("no archive at all"), NULL, &res, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "wrong bytes") != NULL);
	rq.integrity = NULL;
	cr_assert_eq(ingest(store, &rq, SLICE("no archive at all"), NULL, &res, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "no tar archive") != NULL);
}

Test(ingest, a_sha1_of_an_old_lock_is_a_key_too, .init = open_store, .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "old");
	struct digest sha1 = digest(DIGEST_SHA1, tgz);
	struct ingest_request rq = { .name = "a", .version = "1", .key = sha1 };
	struct ingest_result res;
	char integrity[DIGEST_TEXT_MAX];

	digest_format(&sha1, integrity);
	rq.integrity = integrity;
	cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, NULL), 0);
	cr_assert(serves(&sha1, "old"));
}

Test(ingest, of_two_digests_of_one_kind_either_may_match, .init = open_store, .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "two");
	struct digest other = digest(DIGEST_SHA512, SLICE("other")),
		      sha512 = digest(DIGEST_SHA512, tgz);
	struct ingest_request rq = { .name = "a", .version = "1", .key = other };
	struct ingest_result res;
	char want[DIGEST_TEXT_MAX], have[DIGEST_TEXT_MAX], both[2 * DIGEST_TEXT_MAX];

	digest_format(&other, want);
	digest_format(&sha512, have);
	snprintf(both, sizeof both, "%s %s", want, have);
	rq.integrity = both;
	cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, NULL), 0);
	cr_assert(serves(&other, "two"));
}

Test(ingest, what_has_no_integrity_is_found_by_its_key, .init = open_store, .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "git");
	struct digest key = { .alg = DIGEST_UNPINNED, .len = 64, .bytes = { 1, 2, 3 } };
	struct ingest_request rq = { .name = "a", .version = "1", .key = key };
	struct ingest_result res;

	cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, NULL), 0);
	cr_assert(serves(&key, "git"));
}

Test(ingest, an_integrity_that_says_nothing_is_an_error, .init = open_store, .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "x");
	struct ingest_request rq = { .integrity = "md7-abc" };
	struct ingest_result res;

	cr_assert_eq(ingest(store, &rq, tgz, NULL, &res, NULL), -EINVAL);
}

Test(ingest, bundled_packages_are_folders_of_the_bundler, .init = open_store, .fini = close_store)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	struct ingest_request rq = { .name = "a", .version = "1" };
	struct ingest_result res;
	struct pkg *p = NULL;

	tarball_file(&t, "package/node_modules/b/index.js", "b");
	struct slice tar = { t.bytes.data, t.bytes.len };

	cr_assert_eq(ingest(store, &rq, tar, NULL, &res, NULL), 0);
	cr_assert_eq(store_get(store, &res.sha512, &p, NULL), 0);
	cr_assert(dxp_lookup(pkg_dxp(p), SLICE("node_modules/b/index.js")) != DXP_NONE);
	cr_assert(dxp_lookup(pkg_dxp(p), SLICE("package.json")) == DXP_NONE);
	pkg_release(p);
}

/* ---- unpacking alone ---- */

Test(ingest_unpack, a_shebang_line_that_ends_in_crlf_is_kept_mended_too)
{
	static const char long_line[] = "#!/bin/sh \r\n";
	char near[2100], far[2100];
	struct {
		const char *bytes, *mended; /* NULL: as it is */
	} rows[] = {
		{ "#!/usr/bin/env node\r\nconsole.log(1)\r\n",
		  "#!/usr/bin/env node\nconsole.log(1)\r\n" },
		{ "#!/usr/bin/env node\r\n// caf\xe9\r\n",
		  "#!/usr/bin/env node\n// caf\xef\xbf\xbd\r\n" },
		{ "#!/bin/sh\r\r\nx\n", "#!/bin/sh\r\nx\n" },
		{ "\xef\xbb\xbf#!/usr/bin/env node\r\n", NULL },
		{ "#!/bin/sh\nx\r\n", NULL },
		{ "#!\r\n", NULL },
		{ "#!\r\r\n", "#!\r\n" },
		{ "#!x\r\n", "#!x\n" },
		{ "#! x\r", NULL },
		{ "x#!x\r\n", NULL },
		{ "", NULL },
		{ near, "" },
		{ far, NULL },
	};

	memset(near, 'x', sizeof near);
	memcpy(near, long_line, 2);
	memcpy(near + 2046, "\r\n", 3);
	memcpy(far, near, sizeof far);
	memcpy(far + 2046, "x\r\n", 4);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_ingest_files struct ingest_files f = INGEST_FILES_INIT;
		auto_tarball struct tarball t = TARBALL_INIT;
		char want[2100];

		snprintf(want, sizeof want, "%.2046s\n", near);
		tarball_file(&t, "package/x", rows[i].bytes);
		cr_assert_eq(
			ingest_unpack(&f, (struct slice){ t.bytes.data, t.bytes.len }, NULL, NULL),
			0);
		cr_assert_eq(f.list.count, 1);
		cr_assert(slice_eq(f.list.files[0].bytes, slice_str(rows[i].bytes)));
		cr_assert_eq(f.list.files[0].has_mended, rows[i].mended != NULL);
		if (rows[i].mended)
			cr_assert(slice_eq(f.list.files[0].mended,
					   slice_str(*rows[i].mended ? rows[i].mended : want)));
	}
}

Test(ingest_unpack, a_failure_holds_nothing)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct ingest_files f = INGEST_FILES_INIT;
	struct err e = { 0 };

	tarball_gzip(SLICE("gzip, but no archive in it"), &z);
	cr_assert_eq(ingest_unpack(&f, (struct slice){ z.data, z.len }, NULL, &e), -EBADMSG);
	cr_assert(f.archive.map == NULL && f.archive.heap == NULL && f.list.files == NULL);
}

/* ---- when a call fails ---- */

static int unpack_once(struct slice tgz)
{
	auto_ingest_files struct ingest_files f = INGEST_FILES_INIT;
	int r = ingest_unpack(&f, tgz, NULL, NULL);

	cr_assert(r == 0 ? f.list.count == 300 : !f.archive.heap && !f.list.files);
	return r;
}

Test(ingest_unpack, out_of_memory_is_reported_and_nothing_leaks)
{
	auto_tarball struct tarball t = TARBALL_INIT;
	auto_buf struct buf z = BUF_INIT(1 << 20);
	char path[64];

	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "package/%d", i);
		tarball_pax(&t, 'x', "path", path);
		tarball_file(&t, "package/x", i ? "x" : "#!x\r\ny");
	}
	tarball_gzip((struct slice){ t.bytes.data, t.bytes.len }, &z);
	fault_each(unpack_once((struct slice){ z.data, z.len }), -ENOMEM);
}

static int ingest_once(struct slice tgz)
{
	struct ingest_request rq = { .name = "a", .version = "1" };
	struct ingest_result res;

	return ingest(store, &rq, tgz, NULL, &res, NULL);
}

Test(ingest, a_failing_call_leaves_a_store_that_takes_it_later, .init = open_store,
     .fini = close_store)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct slice tgz = sample(&z, "text");
	struct digest sha512 = digest(DIGEST_SHA512, tgz);

	fault_each(ingest_once(tgz), -fault_errno);
	cr_assert(serves(&sha512, "text"));
}
