/* collate.h - the order in which npm sorts names and paths: JavaScript's localeCompare(b, 'en').
 *
 * Exact for ASCII: punctuation before digits before letters, capitals count only where nothing
 * else differs (lower case first), control characters do not count at all. Other characters follow
 * the ASCII letters by code point, which is not ICU's order but a total one; package names are
 * ASCII in practice. */
#pragma once
#include "core/buf.h"

/* Below 0, 0, above 0. Zero means "the same to ICU", which texts that differ only in control
 * characters are. */
int collate(struct slice a, struct slice b);
