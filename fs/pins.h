/* pins.h - what a package turned out to be for which the lock has no integrity.
 *
 * Such a package is found by what would be asked for it, and nothing proves its bytes. So the
 * SHA-512 of the tarball that a project was first given is kept in the mount's state, one line a
 * package in the file `pins`, and whatever comes under that key later must be the same: the
 * shared store's word alone is never enough. Deleting the file forgets. */
#pragma once
#include "core/sri.h"

#define PINS_SIZE_MAX ((size_t)16 << 20) /* bytes of the file: some 70,000 packages */

struct pins;

/* Reads the file in the folder if it is there; lines that make no sense are passed over. */
int pins_open(struct pins **ret, const char *state_dir, struct err *e) must_check;
void pins_close(struct pins *p); /* NULL is fine */

/* 0: `sha512` is what was seen before, or nothing was and it is kept from now on. -EKEYREJECTED:
 * it is another; the sentence says what to do. Thread-safe. */
int pins_check(struct pins *p, const struct digest *key, const struct digest *sha512,
	       struct err *e) must_check;
