/* metadata.h - packuments (lock/packument.h) from a registry, kept on disk.
 *
 * What was asked for once lies in `dir`, in one file for each registry and what decides whom is
 * believed there (source_trust()), in the compact form, so that the next lock reads no JSON, and
 * nothing but what it looks at (metadata_file.h). It is used as long as the registry said
 * (Cache-Control; METADATA_FRESH_MAX_S at most), or METADATA_FRESH_S where it did not say; then
 * asked for again, with its ETag where it has one. With npm's prefer-offline it is used however old
 * it is, with offline nothing else is.
 *
 * Worker threads read the registry's JSON. Full packuments are asked for: the abbreviated form
 * lacks what a lock needs. Threads and connections begin with the first question that what is kept
 * does not answer. */
#pragma once
#include "fetch/npmrc.h"
#include "lock/packument.h"

#define METADATA_FRESH_S 300 /* as the public registry's max-age */
/* Whatever is said: a version that came must be found the next day, and a clock may be wrong. */
#define METADATA_FRESH_MAX_S (24 * 60 * 60)
#define METADATA_JSON_MAX    ((uint64_t)256 << 20) /* bytes; the largest known have 100 MB */
#define METADATA_THREAD_MAX  4
#define METADATA_HELD_MAX    ((size_t)1 << 30) /* compact, of all; 1,400 packages have 20 MB */
/* Past it one is read at a time: that may take four times its size. */
#define METADATA_LARGE ((size_t)32 << 20)

/* For how many seconds an answer is used. */
static inline int64_t metadata_fresh_s(bool said, uint64_t max_age_s)
{
	if (!said)
		return METADATA_FRESH_S;
	return max_age_s > METADATA_FRESH_MAX_S ? METADATA_FRESH_MAX_S : (int64_t)max_age_s;
}

struct metadata;

/* `rc` and `dir` are borrowed while it lives; `dir` (made when missing) may be NULL: nothing is
 * kept. */
int metadata_new(struct metadata **ret, const struct npmrc *rc, const char *dir,
		 struct err *e) must_check;
void metadata_free(struct metadata *m); /* NULL is fine; no question may be open */

/* These will be asked for. */
void metadata_hint(struct metadata *m, const char *const *names, size_t count);

/* Owned by `m` while it lives. -ENOENT: the registry does not have it; -ENETUNREACH: offline and
 * not kept; other errors of http.h. */
int metadata_get(struct metadata *m, const char *name, const struct packument **ret,
		 struct err *e) must_check;
