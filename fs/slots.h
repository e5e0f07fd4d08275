/* slots.h - the numbers that a mount has given out, for good.
 *
 * A slot is a thing at a place: a package with its digest, a link with its text, a directory.
 * Its key is a hash over all that decides what the kernel may cache of it (fs/view.h makes
 * keys). The table gives each key one number and a time, the first time it is asked, and gives
 * the same again ever after: over relocks, remounts and daemons. Numbers are never reused, for
 * the kernel may still know one.
 *
 * The file "slots", little-endian, is a header of 32 bytes and records of 32 bytes, appended:
 *
 *   header   char magic[8] "DXSLOTS\0" | u32 version 1 | u32 record size 32 | u8 check[16]
 *   record   u8 key[16] | i64 time, ns since the epoch | u64 check
 *
 * `check` is XXH3-128 of what stands before it in the header or record, in records its first
 * eight bytes, taken over the record's number too. The number of a record is its place, from 1.
 * A record whose check fails keeps its number and is never found; a torn last record (power
 * cut) is such a one. A header that is not ours means an empty table.
 *
 * Not thread-safe: one thread makes views. */
#pragma once
#include "core/err.h"
#include "core/hash.h"

/* 31 bits of a node id; 0 is no slot, so that node id 1 (slot 0, entry 1) is free to be the
 * root of every mount. A file of this many records would be 64 GiB: SLOTS_LOAD_MAX comes first. */
#define SLOTS_MAX      ((1u << 31) - 1)
#define SLOTS_LOAD_MAX (1u << 22) /* records read at mount: 128 MiB of file; real ones: 10^4 */

struct slots;

/* The table of a folder; made if it is missing. NULL: numbers for this process only. More than
 * SLOTS_LOAD_MAX records: an empty table takes its place (safe at a mount, when the kernel knows no
 * number). */
int slots_open(struct slots **ret, const char *dir, struct err *e) must_check;
void slots_close(struct slots *s); /* NULL is fine; what was not saved is lost */

struct slot_id {
	uint32_t number; /* 1 .. SLOTS_MAX */
	int64_t time_ns; /* when it was first asked for; since the epoch */
};

/* The number of a key, a new one with time `now_ns` if it has none. -E2BIG past SLOTS_MAX. */
int slots_number(struct slots *s, struct hash128 key, int64_t now_ns, struct slot_id *ret,
		 struct err *e) must_check;

/* Writes all new records with one write, no fsync: a lost tail costs mtimes, not truth. Call it
 * before a number reaches the kernel. */
int slots_save(struct slots *s, struct err *e) must_check;

/* The highest number given out. */
uint32_t slots_last(const struct slots *s);
