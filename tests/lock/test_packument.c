#include "lock/packument.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define SHA512                                                                                     \
	"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+" \
	"SfaPg=="

static const char json[] =
	"{\"name\":\"a\",\"dist-tags\":{\"latest\":\"1.10.0\",\"gone\":\"7.0.0\"},\"versions\":{"
	"\"1.2.0\":{\"name\":\"a\",\"version\":\"1.2.0\",\"dist\":{\"tarball\":"
	"\"http://registry.test/a/-/a-1.2.0.tgz\",\"shasum\":"
	"\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"}},"
	"\"odd\":{\"name\":\"a\",\"version\":\"odd\"},"
	"\"1.10.0\":{\"name\":\"a\",\"version\":\"1.10.0\",\"dist\":{\"tarball\":"
	"\"http://registry.test/a/-/a-1.10.0.tgz\",\"integrity\":\"" SHA512 "\"}},"
	"\"1.10.0-b\":{\"name\":\"a\",\"version\":\"1.10.0-b\",\"dist\":{\"tarball\":"
	"\"http://other.test/a-1.10.0-b.tgz\",\"integrity\":\"" SHA512 " sha1-AAAA\"}},"
	"\"1.2.0+x\":{\"name\":\"a\",\"version\":\"1.2.0+x\"}}}";

static struct buf blob;

static void open_it(struct packument *ret)
{
	const struct packument_origin from = { .name = "a", .etag = "\"1\"" };

	blob = (struct buf)BUF_INIT(1 << 20);
	cr_assert_eq(packument_build(&blob, slice_str(json), &from, NULL), 0);
	cr_assert_eq(packument_open(ret, (struct slice){ blob.data, blob.len }, NULL), 0);
}

Test(packument, versions_are_sorted_and_of_equals_the_registry_says)
{
	static const char *const want[] = { "1.10.0", "1.10.0-b", "1.2.0", "1.2.0+x", "odd" };
	struct packument p;

	open_it(&p);
	cr_assert_eq(p.head->version_count, ARRAY_LEN(want));
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++)
		cr_expect_str_eq(packument_str(&p, p.versions[i].version), want[i]);
	cr_expect_eq(packument_tagged(&p, "latest"), 0);
	cr_expect_eq(packument_tagged(&p, "gone"), ARRAY_LEN(want));
	cr_expect_eq(packument_tagged(&p, "never"), ARRAY_LEN(want));
	cr_expect_str_eq(packument_tag(&p, "gone"), "7.0.0");
	cr_expect(!packument_tag(&p, "never"));
	buf_release(&blob);
}

Test(packument, addresses_and_digests_are_as_the_registry_wrote_them)
{
	static const struct {
		const char *resolved, *integrity;
	} want[] = {
		{ "http://registry.test/a/-/a-1.10.0.tgz", SHA512 },
		{ "http://other.test/a-1.10.0-b.tgz", SHA512 " sha1-AAAA" },
		{ "http://registry.test/a/-/a-1.2.0.tgz", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" },
		{ NULL, NULL },
	};
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	struct packument p;

	open_it(&p);
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
		const char *resolved = "", *integrity = "";

		cr_assert_eq(packument_resolved(&p, &p.versions[i], &a, &resolved), 0);
		cr_assert_eq(packument_integrity(&p, &p.versions[i], &a, &integrity), 0);
		if (want[i].resolved) {
			cr_expect_str_eq(resolved, want[i].resolved);
			cr_expect_str_eq(integrity, want[i].integrity);
		} else {
			cr_expect(!resolved);
			cr_expect(!integrity);
		}
	}
	buf_release(&blob);
}

Test(packument, each_changed_byte_is_noticed)
{
	struct packument p;

	open_it(&p);
	for (size_t i = 0; i < blob.len; i++) {
		blob.data[i] ^= 1;
		cr_expect_eq(packument_open(&p, (struct slice){ blob.data, blob.len }, NULL),
			     -EBADMSG, "byte %zu", i);
		blob.data[i] ^= 1;
	}
	cr_expect_eq(packument_open(&p, (struct slice){ blob.data, blob.len - 1 }, NULL), -EBADMSG);
	buf_release(&blob);
}
