/* pinned.h - what another tool's lock pins: which package answered which demand.
 *
 * A yarn.lock (version 1) or bun.lock does not say where npm would put things, but it knows what
 * was chosen for each dependency that somebody has: "name@range" -> version, address, digest. The
 * resolver asks here before it asks the registry for the newest, and the rest is as ever.
 *
 * yarn.lock: as npm reads it (Arborist's yarn-lock.js), with git's conflict markers as yarn reads
 * them: both sides count, theirs where both pin the same demand. The digest behind '#' of a
 * tarball's address is left away, a commit is kept. bun.lock: JSON with comments and commas before
 * closing brackets. Its packages stand at places; a demand of a package at a place is answered by
 * what its name means there. Of two answers to the same demand that of the shallower place counts.
 * Demands that its `overrides` replace count as what replaces them.
 *
 * Nothing in it is believed but that it was written: whether the registry has the version, and
 * the same bytes, is asked when it is used. */
#pragma once
#include "core/arena.h"
#include "core/err.h"

#define PINNED_SIZE_MAX    ((size_t)64 << 20) /* bytes of a lock; real ones stay below 5 MB */
#define PINNED_DEMANDS_MAX 500000u            /* a large monorepo has some 20,000 */

struct pin {
	const char *name;      /* of the package, where it is not the one that is asked for; NULL */
	const char *version;   /* NULL: only its address is known */
	const char *resolved;  /* what it was got from; NULL: the registry of its name */
	const char *integrity; /* NULL: none */
};

struct pinned;

/* The format is told by the text. -EBADMSG: a sentence with the line; -ENOTSUP: another tool's
 * lock, or another version of it, which the sentence names; -E2BIG. `file` is for sentences, and
 * kept. */
int pinned_parse(struct pinned **ret, struct slice text, const char *file,
		 struct err *e) must_check;
void pinned_free(struct pinned *p); /* NULL is fine */
static inline void pinned_freep(struct pinned **p)
{
	pinned_free(*p);
}
#define auto_pinned cleanup(pinned_freep)

/* What answered the demand for `name` as `spec`; NULL: nothing is pinned. Valid while `p` is. */
const struct pin *pinned_find(const struct pinned *p, const char *name, const char *spec);
uint32_t pinned_count(const struct pinned *p); /* demands */
const char *pinned_file(const struct pinned *p);

/* Sentences, one a line, about what the lock says and this does not do (patches, say); "". */
const char *pinned_remarks(const struct pinned *p);
