#include "tests/lib/tarball.h"

#include <libdeflate.h>
#include <stdio.h>

void tarball_release(struct tarball *t)
{
	buf_release(&t->bytes);
}

static void put_octal(uint8_t *at, int width, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof text, "%0*llo", width - 1, (unsigned long long)v);
	memcpy(at, text, (size_t)width);
}

void tarball_header_init(struct tarball_header *h, char type, const char *path, unsigned mode,
			 uint64_t size)
{
	size_t n = strlen(path);

	memset(h, 0, sizeof *h);
	memcpy(h->block, path, n < 100 ? n : 100);
	put_octal(h->block + 100, 8, mode);
	put_octal(h->block + 108, 8, 0);
	put_octal(h->block + 116, 8, 0);
	put_octal(h->block + 124, 12, size);
	put_octal(h->block + 136, 12, 499162500);
	h->block[156] = (uint8_t)type;
	memcpy(h->block + 257,
	       "ustar\0"
	       "00",
	       8);
	tarball_header_seal(h);
}

void tarball_header_seal(struct tarball_header *h)
{
	unsigned sum = 0;
	char text[8];

	memset(h->block + 148, ' ', 8);
	for (size_t i = 0; i < sizeof h->block; i++)
		sum += h->block[i];
	snprintf(text, sizeof text, "%06o", sum & 0777777);
	memcpy(h->block + 148, text, 7);
}

void tarball_add_header(struct tarball *t, const struct tarball_header *h)
{
	buf_add(&t->bytes, h->block, sizeof h->block);
}

void tarball_add_body(struct tarball *t, const void *p, size_t n)
{
	static const uint8_t zeros[512];

	buf_add(&t->bytes, p, n);
	buf_add(&t->bytes, zeros, (512 - n % 512) % 512);
}

void tarball_add(struct tarball *t, char type, const char *path, unsigned mode, const void *p,
		 size_t n)
{
	struct tarball_header h;

	tarball_header_init(&h, type, path, mode, n);
	tarball_add_header(t, &h);
	tarball_add_body(t, p, n);
}

void tarball_file(struct tarball *t, const char *path, const char *text)
{
	if (strlen(path) > 100)
		tarball_pax(t, 'x', "path", path);
	tarball_add(t, '0', path, 0644, text, strlen(text));
}

void tarball_pax(struct tarball *t, char type, const char *key, const char *value)
{
	struct buf line = BUF_INIT((size_t)1 << 24);
	size_t rest = strlen(key) + strlen(value) + 3, n = rest, last;
	char digits[24];

	do { /* the number counts its own digits */
		last = n;
		n = rest + (size_t)snprintf(digits, sizeof digits, "%zu", last);
	} while (n != last);
	buf_addf(&line, "%zu %s=%s\n", n, key, value);
	if (buf_error(&line))
		t->bytes.error = buf_error(&line);
	else
		tarball_add(t, type, "PaxHeader/x", 0644, line.data, line.len);
	buf_release(&line);
}

void tarball_end(struct tarball *t)
{
	static const uint8_t zeros[1024];

	buf_add(&t->bytes, zeros, sizeof zeros);
}

void tarball_gzip(struct slice in, struct buf *out)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
	size_t cap = c ? libdeflate_gzip_compress_bound(c, in.len) : 0, n = 0;
	auto_free uint8_t *p = malloc(cap ? cap : 1);

	if (c && p)
		n = libdeflate_gzip_compress(c, in.ptr, in.len, p, cap);
	if (n)
		buf_add(out, p, n);
	else
		out->error = -ENOMEM;
	libdeflate_free_compressor(c);
}
