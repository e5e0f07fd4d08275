#include "tests/registryd/peek.h"

#include <stdio.h>
#include <zlib.h>

#define BLOCK 512

static bool is_gzip(struct slice s)
{
	return s.len >= 2 && s.ptr[0] == 0x1f && s.ptr[1] == 0x8b;
}

/* One run of inflate over what is left; several members follow one another. */
static int gunzip(struct slice in, struct buf *out, struct err *e)
{
	uint8_t chunk[65536];
	z_stream z = { .next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len };
	int r = inflateInit2(&z, 15 + 16);

	if (r != Z_OK)
		return err_set(e, -ENOMEM, "zlib does not start");
	do {
		z.next_out = chunk;
		z.avail_out = sizeof chunk;
		r = inflate(&z, Z_NO_FLUSH);
		buf_add(out, chunk, sizeof chunk - z.avail_out);
		if (r == Z_STREAM_END && z.avail_in >= 2 && z.next_in[0] == 0x1f)
			r = inflateReset(&z);
	} while (r == Z_OK && buf_error(out) == 0);
	inflateEnd(&z);
	if (r != Z_STREAM_END)
		return err_set(e, -EBADMSG, "gzip: error %d", r);
	return buf_error(out);
}

static uint64_t number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	if (p[0] & 0x80) {
		for (size_t i = 1; i < n; i++)
			v = v << 8 | p[i];
		return v;
	}
	for (size_t i = 0; i < n && p[i]; i++)
		if (p[i] >= '0' && p[i] <= '7')
			v = v << 3 | (uint64_t)(p[i] - '0');
	return v;
}

/* The value of "path" in a pax header, into `name`. */
static void pax_path(const uint8_t *p, size_t n, char *name, size_t cap)
{
	size_t i = 0;

	while (i < n) {
		size_t len = 0, j = i;

		while (j < n && p[j] >= '0' && p[j] <= '9' && len < n)
			len = len * 10 + (size_t)(p[j++] - '0');
		if (len < 8 || len > n - i)
			return;
		if (memcmp(p + j, " path=", 6) == 0 && j + 6 < i + len)
			(void)snprintf(name, cap, "%.*s", (int)(i + len - 1 - (j + 6)), p + j + 6);
		i += len;
	}
}

static bool is_top_manifest(const char *path)
{
	const char *slash = strchr(path, '/');

	return slash && slash != path && strcmp(slash + 1, "package.json") == 0;
}

/* Walks the headers; what stands in the last matching entry is borrowed from `tar`. */
static struct slice find_manifest(struct slice tar)
{
	struct slice found = { 0 };
	char name[4096] = "";
	size_t at = 0;

	while (at + BLOCK <= tar.len) {
		const uint8_t *h = tar.ptr + at;
		uint64_t size = number(h + 124, 12);
		char type = (char)h[156];

		at += BLOCK;
		if (h[0] == 0)
			continue;
		if (size > tar.len - at)
			break;
		if (type == 'x') {
			pax_path(tar.ptr + at, size, name, sizeof name);
		} else if (type == 'L') {
			(void)snprintf(name, sizeof name, "%.*s", (int)size, tar.ptr + at);
		} else {
			if (!name[0])
				(void)snprintf(name, sizeof name, "%.100s", h);
			if ((type == '0' || type == 0) && is_top_manifest(name))
				found = (struct slice){ tar.ptr + at, size };
			name[0] = 0;
		}
		at += (size + BLOCK - 1) / BLOCK * BLOCK;
	}
	return found;
}

int peek_package_json(struct slice tarball, char **ret, size_t *ret_len, struct err *e)
{
	struct buf tar = BUF_INIT(PEEK_TAR_MAX);
	struct slice found;
	char *copy;
	int r = 0;

	if (is_gzip(tarball))
		r = gunzip(tarball, &tar, e);
	found = find_manifest(is_gzip(tarball) ? (struct slice){ tar.data, tar.len } : tarball);
	if (r == 0 && !found.ptr)
		r = err_set(e, -ENOENT, "no package.json in it");
	copy = r == 0 ? strndup((const char *)found.ptr, found.len) : NULL;
	if (r == 0 && !copy)
		r = -ENOMEM;
	buf_release(&tar);
	if (r < 0)
		return r;
	*ret_len = strlen(copy);
	*ret = copy;
	return 0;
}
