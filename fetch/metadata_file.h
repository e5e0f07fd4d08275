/* metadata_file.h - packuments (lock/packument.h) of one registry on disk, all in one file.
 *
 *   <dir>/<place>               the table: which packuments there are, where they lie in the other
 *                               file, how old they are; replaced whole, by rename
 *   <dir>/<place>-<generation>  the packuments, one after the other: only ever appended to
 *
 * A lock reads a thousand packuments: a file for each would be most of its time. Whoever has the
 * files open sees what was there when it opened them. Writers take turns (flock of the folder) and
 * add to what is there by then; when half of what lies there is no longer in the table, the rest
 * goes to a new generation. What a killed writer leaves behind is in no table. Nothing is synced:
 * the table has a checksum, and so has each packument, which packument_open() compares.
 *
 * What cannot be read is not there, and what cannot be written is not kept: both cost time only. */
#pragma once
#include "core/err.h"
#include "core/hash.h"

#define METADATA_FILE_MAX  ((uint64_t)4 << 30)  /* past it all is forgotten; 1,400 have 20 MB */
#define METADATA_TABLE_MAX ((size_t)64 << 20)   /* a million packuments */
#define METADATA_WASTE_MAX ((uint64_t)16 << 20) /* may lie there unused whatever else does */
#define METADATA_WRITE     ((size_t)4 << 20)    /* so much waits before it is written */

struct metadata_entry {
	struct hash128 name;
	uint64_t at; /* in the other file */
	uint32_t size, zero;
	int64_t fetched_s, fresh_until_s; /* seconds since the epoch */
};
_Static_assert(sizeof(struct metadata_entry) == 48, "on disk");

struct metadata_table {
	uint64_t generation;
	uint32_t count;
	const struct metadata_entry *entries; /* by name */
};

#define METADATA_TABLE_CHECKED_FROM 32u /* after the checksum, of 16 bytes */

/* The bytes, aligned to 8, of a table of that place, borrowed. -EBADMSG: not one, of another place
 * or format, or damaged. Where entries point is not checked. */
int metadata_table_open(struct metadata_table *ret, struct slice bytes,
			struct slice place) must_check;

struct metadata_file;

/* `place`: what tells this registry from others, as one text; `dir` stands. -ENOMEM */
int metadata_file_open(struct metadata_file **ret, const char *dir, struct slice place) must_check;
void metadata_file_free(struct metadata_file *f); /* NULL is fine; what waits is written */

/* The packument of that name as it was when the file was opened; the bytes, unchecked, live as long
 * as `f`. */
bool metadata_file_find(const struct metadata_file *f, const char *name, struct slice *ret,
			int64_t *ret_fresh_until_s);

/* Keeps these bytes, borrowed until metadata_file_free(); len 0: what is there is younger than it
 * says. Any thread. */
void metadata_file_put(struct metadata_file *f, const char *name, struct slice bytes,
		       int64_t fetched_s, int64_t fresh_until_s);
