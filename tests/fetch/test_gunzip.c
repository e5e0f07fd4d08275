#include "fetch/gunzip.h"
#include "tests/lib/tarball.h"
#include "tests/lib/test.h"

#include <zlib.h>

static struct slice of(const struct buf *b)
{
	return (struct slice){ b->data, b->len };
}

static int unzip_to(struct buf *out, struct slice in, uint64_t max, struct err *e)
{
	const struct gunzip_options o = { .output_max = max };
	struct gunzipped g = { 0 };
	int r = gunzip(&g, in, &o, e);

	out->len = 0;
	if (r == 0)
		buf_add(out, g.bytes.ptr, g.bytes.len);
	gunzip_release(&g);
	return r;
}

static bool unzips_to(const struct buf *in, const char *text)
{
	auto_buf struct buf out = BUF_INIT(1 << 20);

	return unzip_to(&out, of(in), 0, NULL) == 0 && slice_eq(of(&out), slice_str(text));
}

static int unzip_error(const struct buf *in)
{
	auto_buf struct buf out = BUF_INIT(1 << 20);

	return unzip_to(&out, of(in), 0, NULL);
}

Test(gunzip, several_members_are_one_stream)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);

	tarball_gzip(SLICE("one "), &z);
	tarball_gzip(SLICE(""), &z);
	tarball_gzip(SLICE("two"), &z);
	cr_assert(unzips_to(&z, "one two"));
}

Test(gunzip, a_zlib_member_may_follow_as_zlib_itself_allows)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	uint8_t more[64];
	uLongf n = sizeof more;

	tarball_gzip(SLICE("one "), &z);
	cr_assert_eq(compress(more, &n, (const Bytef *)"two", 3), Z_OK);
	buf_add(&z, more, n);
	cr_assert(unzips_to(&z, "one two"));
}

Test(gunzip, a_zero_byte_behind_a_member_ends_the_stream)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);

	tarball_gzip(SLICE("text"), &z);
	buf_add(&z, "\0\0\0", 3);
	cr_assert(unzips_to(&z, "text"));
	buf_add(&z, "junk", 4);
	cr_assert(unzips_to(&z, "text"));
}

Test(gunzip, other_bytes_behind_a_member_are_an_error)
{
	static const char *const tails[] = { "j", "junk", "\x1f", "\x1f\x8b", "\x1f\x8b\x08" };

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		auto_buf struct buf z = BUF_INIT(1 << 20);

		tarball_gzip(SLICE("text"), &z);
		buf_addstr(&z, tails[i]);
		cr_assert_eq(unzip_error(&z), -EBADMSG);
	}
}

Test(gunzip, a_damaged_or_truncated_stream_is_an_error_at_every_byte)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	size_t len;

	tarball_gzip(SLICE("some text, some text, some more text"), &z);
	len = z.len;
	for (z.len = 4; z.len < len; z.len++)
		cr_assert_eq(unzip_error(&z), -EBADMSG);
	for (size_t i = 10; i < len; i++) {
		z.data[i] ^= 1;
		cr_assert_eq(unzip_error(&z), -EBADMSG);
		z.data[i] ^= 1;
	}
	cr_assert_eq(unzip_error(&z), 0);
}

Test(gunzip, a_header_checksum_is_checked)
{
	auto_buf struct buf z = BUF_INIT(1 << 20), h = BUF_INIT(1 << 20);
	uLong crc;

	tarball_gzip(SLICE("text"), &z);
	z.data[3] |= 2;
	crc = crc32(0, z.data, 10);
	buf_add(&h, z.data, 10);
	buf_add(&h, (uint8_t[]){ crc & 255, crc >> 8 & 255 }, 2);
	buf_add(&h, z.data + 10, z.len - 10);
	cr_assert(unzips_to(&h, "text"));
	h.data[10] ^= 1;
	cr_assert_eq(unzip_error(&h), -EBADMSG);
}

Test(gunzip, what_is_not_compressed_is_passed_on)
{
	struct gunzipped g = { 0 };
	struct slice in = SLICE("not gzip");

	cr_assert_eq(gunzip(&g, in, NULL, NULL), 0);
	cr_assert(g.bytes.ptr == in.ptr && g.bytes.len == in.len);
	gunzip_release(&g);
}

Test(gunzip, zstd_is_refused_by_name)
{
	struct gunzipped g = { 0 };
	struct err e = { 0 };

	cr_assert_eq(gunzip(&g, SLICE("\x28\xb5\x2f\xfd rest"), NULL, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "zstd") != NULL);
}

/* n bytes, compressed, without holding them. */
static void deflate_much(struct buf *z, size_t n, bool random)
{
	static uint8_t piece[1 << 16], out[1 << 16];
	z_stream s = { 0 };
	uint32_t x = 1;

	cr_assert_eq(deflateInit2(&s, random ? 1 : 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY),
		     Z_OK);
	for (size_t done = 0; done < n; done += sizeof piece) {
		for (size_t i = 0; random && i < sizeof piece; i++)
			piece[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
		s.next_in = piece;
		s.avail_in = sizeof piece;
		do {
			s.next_out = out;
			s.avail_out = sizeof out;
			(void)deflate(&s, done + sizeof piece >= n ? Z_FINISH : Z_NO_FLUSH);
			buf_add(z, out, sizeof out - s.avail_out);
		} while (s.avail_out == 0);
	}
	(void)deflateEnd(&s);
	memset(piece, 0, sizeof piece);
}

Test(gunzip, more_than_a_thousand_to_one_is_refused)
{
	auto_buf struct buf z = BUF_INIT(1 << 26), out = BUF_INIT(1 << 26);
	struct err e = { 0 };

	/* Zeros alone are more; with something before them, they are not. */
	deflate_much(&z, 1 << 22, false);
	cr_assert(z.len < (1 << 22) / 1000);
	cr_assert_eq(unzip_to(&out, of(&z), 0, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "1000 times") != NULL);
	z.len = 0;
	deflate_much(&z, 1 << 16, true);
	deflate_much(&z, 1 << 22, false);
	cr_assert_eq(unzip_to(&out, of(&z), 0, &e), 0);
}

Test(gunzip, what_is_too_large_for_memory_goes_through_a_file)
{
	auto_buf struct buf z = BUF_INIT(1 << 28);
	const struct gunzip_options o = { .tmp_dir = "." };
	struct gunzipped g = { 0 };
	struct err e = { 0 };
	size_t n = (size_t)64 << 20;

	deflate_much(&z, (size_t)20 << 20, true);
	for (int i = 0; i < 2; i++) { /* large input; large output of small input */
		cr_assert_eq(gunzip(&g, of(&z), i ? NULL : &o, &e), 0);
		cr_assert(g.map != NULL && g.heap == NULL);
		cr_assert(g.bytes.len == (i ? n : (size_t)20 << 20));
		gunzip_release(&g);
		z.len = 0;
		deflate_much(&z, 1 << 16, true);
		deflate_much(&z, n - (1 << 16), false);
	}
}

Test(gunzip, scratch_memory_is_used_again_and_never_twice_at_once)
{
	auto_buf struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20), large = BUF_INIT(1 << 28),
			    more = BUF_INIT(1 << 28);
	struct gunzip_scratch s = { 0 };
	const struct gunzip_options o = { .scratch = &s };
	struct gunzipped first = { 0 }, second = { 0 };

	tarball_gzip(SLICE("one"), &a);
	tarball_gzip(SLICE("two, longer"), &b);
	cr_assert_eq(gunzip(&first, of(&a), &o, NULL), 0);
	cr_assert(first.bytes.ptr == s.p && first.heap == NULL);
	cr_assert_eq(gunzip(&second, of(&b), &o, NULL), 0);
	cr_assert(second.bytes.ptr != s.p && second.heap != NULL);
	cr_assert(slice_eq(first.bytes, SLICE("one")));
	cr_assert(slice_eq(second.bytes, SLICE("two, longer")));
	gunzip_release(&second);
	gunzip_release(&first);
	cr_assert_eq(gunzip(&first, of(&b), &o, NULL), 0);
	cr_assert(first.bytes.ptr == s.p && slice_eq(first.bytes, SLICE("two, longer")));
	gunzip_release(&first);

	/* One that says so, and one whose last member tells nothing of what came before. */
	deflate_much(&large, GUNZIP_SCRATCH + (1 << 16), true);
	deflate_much(&more, 1 << 20, true);
	tarball_gzip(SLICE("end"), &more);
	cr_assert_eq(gunzip(&first, of(&large), &o, NULL), 0);
	cr_assert(first.heap != NULL && first.bytes.len == GUNZIP_SCRATCH + (1 << 16));
	gunzip_release(&first);
	cr_assert_eq(gunzip(&first, of(&more), &o, NULL), 0);
	cr_assert_eq(first.bytes.len, (1 << 20) + 3);
	cr_assert_eq(memcmp(first.bytes.ptr + (1 << 20), "end", 3), 0);
	gunzip_release(&first);

	/* What fails leaves it free. */
	b.data[b.len - 6] ^= 1;
	cr_assert_eq(gunzip(&first, of(&b), &o, NULL), -EBADMSG);
	cr_assert_eq(gunzip(&first, of(&a), &o, NULL), 0);
	cr_assert(first.bytes.ptr == s.p);
	gunzip_release(&first);
	gunzip_scratch_release(&s);
}

Test(gunzip, ten_gigabytes_of_zeros_are_refused_early)
{
	auto_buf struct buf z = BUF_INIT(1 << 20), all = BUF_INIT(1 << 26);
	struct gunzipped g = { 0 };
	struct err e = { 0 };

	deflate_much(&z, (size_t)64 << 20, false);
	for (int i = 0; i < 160; i++)
		buf_add(&all, z.data, z.len);
	cr_assert_eq(buf_error(&all), 0);
	cr_assert_eq(gunzip(&g, of(&all), NULL, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "bomb") != NULL);
	cr_assert(g.map == NULL && g.heap == NULL);
}

Test(gunzip, runs_of_zeros_keep_their_length_in_a_file)
{
	auto_buf struct buf z = BUF_INIT(1 << 20);
	struct gunzipped g = { 0 };
	size_t n = (size_t)64 << 20;

	deflate_much(&z, 1 << 16, true);
	deflate_much(&z, n - (1 << 16), false);
	cr_assert_eq(gunzip(&g, of(&z), NULL, NULL), 0);
	cr_assert_eq(g.bytes.len, n);
	cr_assert(g.bytes.ptr[0] || g.bytes.ptr[1]);
	cr_assert(g.bytes.ptr[1 << 16] == 0 && g.bytes.ptr[n - 1] == 0);
	gunzip_release(&g);
}

Test(gunzip, past_the_limit_it_stops_and_says_so)
{
	auto_buf struct buf z = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct err e = { 0 };

	tarball_gzip(SLICE("0123456789"), &z);
	cr_assert_eq(unzip_to(&out, of(&z), 10, &e), 0);
	cr_assert_eq(unzip_to(&out, of(&z), 9, &e), -E2BIG);
	cr_assert(strstr(e.msg, "limit") != NULL);
}
