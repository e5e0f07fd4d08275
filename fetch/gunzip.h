/* gunzip.h - a tarball's container: gzip, or nothing.
 *
 * The first bytes decide, as for npm: 1f 8b is gzip, 28 b5 2f fd is zstd (refused: -EBADMSG),
 * anything else is taken as it is. Several gzip members in a row are one stream; a zero byte
 * behind a member ends it, whatever follows; other bytes behind a member are an error.
 *
 * The output is one contiguous slice. What is small is inflated in memory by libdeflate. Where
 * the archive or its contents are larger (GUNZIP_MEMORY_MAX), or libdeflate does not like it,
 * zlib inflates into an unlinked temporary file that is then mapped: resident memory stays
 * bounded, and zlib, which npm uses too, has the last word on what is an error. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

/* More than 1000:1 is refused, as by npm, counted against the input read so far in pieces of
 * 64 KiB. Deflate's own limit is 1032:1, so nothing but long runs of one byte comes near. */
#define GUNZIP_RATIO_MAX 1000
/* Past this much output zlib takes over. What is denser than ordinary packages ever are must be
 * smaller: at 1000:1 it takes a full piece of input to get so far, so that the check on the whole,
 * which is all that libdeflate allows, is npm's check. */
#define GUNZIP_MEMORY_MAX ((size_t)128 << 20)
#define GUNZIP_DENSE_MAX  ((size_t)62 << 20)
#define GUNZIP_DENSE      100                /* output : input */
#define GUNZIP_GUESS_MAX  ((size_t)8 << 20)  /* where the archive does not tell its size */
#define GUNZIP_INPUT_MAX  ((size_t)16 << 20) /* larger input goes to zlib at once */
/* The most that one archive may hold. npm has no such limit; the largest packages known have
 * less than a tenth of it. Runs of zeros take no room in the temporary file. */
#define GUNZIP_OUTPUT_MAX ((uint64_t)4 << 30)

/* Memory for one archive after the other, so that each finds it warm. One thread's; zeroed before
 * use. Takes as much memory as the largest archive that was in it, GUNZIP_SCRATCH at most. */
#define GUNZIP_SCRATCH ((size_t)8 << 20) /* more than 99 of 100 packages hold */
struct gunzip_scratch {
	uint8_t *p;
	bool busy; /* a struct gunzipped has it */
	struct libdeflate_decompressor *inflater;
};
void gunzip_scratch_release(struct gunzip_scratch *s); /* not while it is busy */

struct gunzip_options {
	const char *tmp_dir;            /* for the temporary file; NULL: anonymous memory (memfd) */
	uint64_t output_max;            /* 0: GUNZIP_OUTPUT_MAX */
	struct gunzip_scratch *scratch; /* used if it is not busy; must outlive the result; NULL */
};

/* Zero it before use; gunzip_release() may be called on a zeroed one. */
struct gunzipped {
	struct slice bytes;             /* borrowed from the input when that is not compressed */
	void *heap;                     /* owned */
	struct gunzip_scratch *scratch; /* borrowed, and busy; NULL */
	void *map;                      /* owned, map_len bytes */
	size_t map_len;
};

/* -EBADMSG: damaged, truncated, zstd, or past the ratio; -E2BIG: past the limit; -ENOMEM, -ENOSPC
 * and the like. `o` may be NULL. */
int gunzip(struct gunzipped *ret, struct slice in, const struct gunzip_options *o,
	   struct err *e) must_check;

/* How much memory that takes at most; 0: none to speak of. */
size_t gunzip_memory(struct slice in);

void gunzip_release(struct gunzipped *g);
