/* tarball.h - builds tar archives and tarballs in memory, well formed or not.
 *
 * Errors stick in the buf (core/buf.h); look once, at the end. */
#pragma once
#include "core/buf.h"

struct tarball {
	struct buf bytes;
};
#define TARBALL_INIT                                                                               \
	{                                                                                          \
		.bytes = BUF_INIT((size_t)1 << 30)                                                 \
	}
void tarball_release(struct tarball *t);
#define auto_tarball cleanup(tarball_release)

/* A header that can be bent before it is sealed. */
struct tarball_header {
	uint8_t block[512];
};

/* A POSIX header; a path of over 100 bytes is cut. */
void tarball_header_init(struct tarball_header *h, char type, const char *path, unsigned mode,
			 uint64_t size);
void tarball_header_seal(struct tarball_header *h); /* the checksum */

void tarball_add_header(struct tarball *t, const struct tarball_header *h); /* as it is */
void tarball_add_body(struct tarball *t, const void *p, size_t n);          /* padded to 512 */

/* Sealed header and body. */
void tarball_add(struct tarball *t, char type, const char *path, unsigned mode, const void *p,
		 size_t n);
/* A regular file of mode 0644 with a text for its content; a path of over 100 bytes gets a pax
 * header. */
void tarball_file(struct tarball *t, const char *path, const char *text);

/* A pax header (type 'x' or 'g') of one record. */
void tarball_pax(struct tarball *t, char type, const char *key, const char *value);

/* Two null blocks. */
void tarball_end(struct tarball *t);

/* One gzip member of it, appended to `out`. */
void tarball_gzip(struct slice in, struct buf *out);
