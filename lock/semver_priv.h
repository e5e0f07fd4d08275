/* semver_priv.h - the one matcher behind all of semver's regular expressions. */
#pragma once
#include "lock/semver.h"

/* Any of these flags may be added to SEMVER_LOOSE for semver_match(). */
enum {
	MATCH_XRANGE = 16,     /* numbers may be x, X, *, and the second and third may be missing */
	MATCH_OPEN_END = 32,   /* the longest match at the start; otherwise the whole text */
	MATCH_HYPHEN_END = 64, /* must be followed by " - " */
	MATCH_SPACE_END = 128, /* one space may follow before the end */
};

/* What was captured; ptr NULL where the text has no such part. */
struct semver_parts {
	struct slice major, minor, patch, pre, build;
};

/* Matches at text.ptr; returns the length of the match or -1. Optional `v` in front (strict), or
 * any run of 'v', '=' and white space (loose, and all x-ranges). */
ptrdiff_t semver_match(struct slice text, unsigned flags, struct semver_parts *ret);

/* [0-9A-Za-z-] */
bool semver_is_word(uint8_t c);

/* The numbers and slices of a match. -EINVAL for numbers past SEMVER_NUMBER_MAX. */
int semver_from_parts(struct semver *ret, const struct semver_parts *p);

/* Same canonical text of the prereleases. */
bool semver_pre_same(struct slice a, struct slice b);

/* The length of the white space character at p, as JavaScript's \s; 0 if it is none. */
size_t semver_space(const uint8_t *p, const uint8_t *end);
struct slice semver_trim(struct slice text);

/* The value of decimal digits, saturated at SEMVER_NUMBER_MAX + 1. */
uint64_t semver_number(struct slice digits);
