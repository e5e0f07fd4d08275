/* semver.h - versions and ranges of versions, exactly as npm's semver 7 reads them.
 *
 * A `struct semver` is a plain value: three numbers, and the prerelease and the build as slices of
 * the text that was parsed, which must outlive it. Nothing is allocated. A `struct semver_range` is
 * parsed once, owns its memory, and is then tested without parsing or allocating.
 *
 * The rules are those of npm, with their corners: `1.2.3*` is the range 1.2.3, a loose `1.2.34.5`
 * is 1.2.3-4.5, and in a loose range a part that makes no sense is left out instead of being an
 * error. Text is UTF-8; what JavaScript takes for white space is white space here.
 *
 * Errors: -EINVAL for what npm refuses, -E2BIG past a limit of ours, -ENOMEM. */
#pragma once
#include "core/buf.h"

enum {
	/* Leading zeros, `=` and spaces in front, a prerelease without its hyphen. */
	SEMVER_LOOSE = 1,
	/* Prereleases are ordinary versions (npm's includePrerelease). Matters for ranges only. */
	SEMVER_PRERELEASE = 2,
};

#define SEMVER_LEN_MAX    256  /* npm's own limit, in UTF-16 units, before trimming */
#define SEMVER_TEXT_MAX   264  /* canonical text and NUL; loose adds a hyphen to the above */
#define SEMVER_RANGE_MAX  8192 /* ours; npm has none, and real ranges stay below 1 KiB */
#define SEMVER_NUMBER_MAX 9007199254740991ULL /* 2^53 - 1: JavaScript's last exact integer */

struct semver {
	uint64_t major, minor, patch;
	struct slice pre,
		build; /* without '-' and '+'; borrowed from the parsed text; len 0: none */
};

int semver_parse(struct semver *ret, struct slice text, unsigned flags) must_check;

/* Precedence: below 0, 0, above 0. The build does not count. */
int semver_cmp(const struct semver *a, const struct semver *b);

/* Canonical: M.m.p[-pre], without 'v', build and leading zeros. Returns the length. */
size_t semver_format(const struct semver *v, char ret[SEMVER_TEXT_MAX]);

struct semver_comparator;
struct semver_range {
	struct semver_comparator *comps; /* owned, with the text that they point at */
	unsigned count;
	unsigned flags; /* as given to parse */
};

int semver_range_parse(struct semver_range *ret, struct slice text, unsigned flags) must_check;
void semver_range_release(struct semver_range *r); /* zeroed is fine, and is what it leaves */
#define auto_range cleanup(semver_range_release)

/* Whether some alternative's comparators all hold. Unless the range was parsed with
 * SEMVER_PRERELEASE, a prerelease also needs a comparator with a prerelease of the same M.m.p
 * in that alternative. */
bool semver_range_test(const struct semver_range *r, const struct semver *v);

/* The canonical form, as npm prints it: comparators joined by ' ', alternatives by '||'; "" is any.
 * By this the tests hold our reading of ranges against npm's. */
void semver_range_format(const struct semver_range *r, struct buf *out);

/* Whether npm believes that both can be satisfied at once; the flags of `a` hold. */
bool semver_range_intersects(const struct semver_range *a, const struct semver_range *b);

/* 1 or 0; what cannot be parsed satisfies nothing. Parses the range each time. */
int semver_satisfies(struct slice version, struct slice range, unsigned flags);
