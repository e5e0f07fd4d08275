/* hash.h - XXH3-128: names blobs, checks files, indexes and locks.
 *
 * Fast and well mixed, but not safe against an attacker: what comes from outside
 * is admitted by its SHA-512 (core/sri.h) and only named and re-checked by this.
 * On x86 xxHash chooses the vector instructions at run time, where its library can.
 * Bytes are the canonical (big-endian) form, so they may be stored and printed. */
#pragma once
#include "core/buf.h"

struct hash128 {
	uint8_t b[16];
};

#define HASH128_HEX_LEN 32

struct hash128 hash128(const void *p, size_t n);

/* As hasher_new_keyed(). With hash_seed() for a table in memory in which what has the same hash is
 * taken for the same. */
struct hash128 hash128_keyed(const void *p, size_t n, uint64_t key);

/* Incremental; the state is large (576 bytes, 64-byte aligned), so it is allocated.
 * hasher_new() returns NULL when memory is out. */
struct hasher;
struct hasher *hasher_new(void);

/* The same with another function for every key: whoever does not know the key cannot prepare two
 * texts that are one here. As hash128() and hasher_new() with key 0. */
struct hasher *hasher_new_keyed(uint64_t key);
void hasher_free(struct hasher *h);  /* NULL is fine */
void hasher_reset(struct hasher *h); /* to key 0 */
void hasher_add(struct hasher *h, const void *p, size_t n);
struct hash128 hasher_end(const struct hasher *h);

/* Lower-case hex, NUL-terminated. */
void hash128_hex(struct hash128 h, char ret[HASH128_HEX_LEN + 1]);
int hash128_from_hex(struct hash128 *ret, struct slice hex) must_check; /* -EINVAL */

static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
	return memcmp(a.b, b.b, sizeof a.b) == 0;
}

/* A number that is another in each process, for tables in memory whose keys are somebody else's:
 * names that all fall on one slot cannot be prepared. Never for what is written. */
uint64_t hash_seed(void);
