/* utf8.h - bytes as JavaScript reads them.
 *
 * npm turns the names in a tarball (and a script whose first line it mends) into JavaScript
 * strings and back. What is not UTF-8 comes out as U+FFFD, one for each maximal part of a
 * sequence that could have become a character (the WHATWG decoder's rule). */
#pragma once
#include "core/buf.h"

/* How many of the n >= 1 bytes at p form the next character, or the next wrong part (*ret_ok). */
size_t utf8_step(const uint8_t *p, size_t n, bool *ret_ok);

/* Appends the bytes of s with every wrong part replaced. At most three times as long. */
void utf8_add(struct buf *b, struct slice s);

/* The length of that, without making it. */
uint64_t utf8_len(struct slice s);

/* How many bytes at p are one JavaScript white space or line end (0: none). */
size_t utf8_space(const uint8_t *p, size_t n);

/* npm cuts a text at its first NUL, but only up to the end of that line: what follows LF, CR,
 * U+2028 or U+2029 stays, and that character too. Does so with the text from `from` on. */
void utf8_cut_at_nul(struct buf *b, size_t from);
