/* packument.h - what a registry says of a package, as far as locks are made of it, in a compact
 * form that is used in place: no JSON is read a second time.
 *
 *   head      magic, format, size, XXH3 of all that follows the check
 *   versions  highest first; of those with the same precedence in the registry's order; last what
 *             is no version
 *   deps      of versions; equal lists are one
 *   tags      dist-tags: name, version
 *   digests   of tarballs, as bytes
 *   strings   NUL-terminated, each once; offset 0 is ""
 *
 * Numbers are little-endian. It is made by packument_build() from the registry's JSON, which is
 * checked and limited there, and checked again by packument_open(), since it may have lain in a
 * cache. Texts are other people's. */
#pragma once
#include "core/arena.h"
#include "lock/json.h"

#define PACKUMENT_JSON_MAX     ((size_t)512 << 20) /* the largest known have 100 MB */
#define PACKUMENT_BLOB_MAX     ((size_t)256 << 20) /* 28 bits: packument_dep.spec */
#define PACKUMENT_VERSIONS_MAX 100000u             /* the largest known has 20,000 */
#define PACKUMENT_DEPS_MAX     5000000u            /* of all versions together */

enum {
	PACKUMENT_DEPRECATED = 1,
	PACKUMENT_SHRINKWRAP = 2, /* its tarball has a shrinkwrap of its own */
	PACKUMENT_BUNDLES = 4,    /* `rest` has bundleDependencies */
	PACKUMENT_ACCEPTS = 8,    /* `rest` has acceptDependencies */
	PACKUMENT_TIMED = 16,     /* the registry says when it was published */
	PACKUMENT_USUAL = 32,     /* its tarball is where head->tarball says */
	PACKUMENT_SHA1 = 64,      /* `integrity` is an offset into the digests, of 20 bytes */
	PACKUMENT_SHA512 = 128,   /* or of 64 */
};

/* Offsets are into the strings. */
struct packument_version {
	uint32_t version;
	uint32_t name;      /* as its own package.json has it */
	uint32_t resolved;  /* packument_resolved() */
	uint32_t integrity; /* packument_integrity() */
	uint32_t rest;      /* what else a lock's entry says of it: a JSON object, compact; "" */
	uint32_t engine_node, engine_npm;
	uint32_t first_dep;
	uint32_t flags;
	uint16_t dep_count, zero;
	int64_t time_ms; /* of publishing, since the epoch */
};

struct packument_dep {
	uint32_t name;
	uint32_t spec : 28;
	uint32_t section : 3; /* enum dep_section, by which they are sorted */
	uint32_t peer_optional : 1;
};

struct packument_tag {
	uint32_t name, version;
};

struct packument_head {
	char magic[8];
	uint32_t format;
	uint32_t size; /* of the whole */
	uint8_t check[16];
	/* checked from here on */
	uint32_t version_count, dep_count, tag_count, digest_bytes, string_bytes;
	uint32_t name, etag;
	uint32_t tarball; /* what stands before "<version>.tgz" in the usual URL */
};
#define PACKUMENT_MAGIC  "DXPKMNT\n"
#define PACKUMENT_FORMAT 2u

_Static_assert(sizeof(struct packument_version) == 48, "on disk");
_Static_assert(sizeof(struct packument_dep) == 8, "on disk");
_Static_assert(sizeof(struct packument_head) == 64, "on disk");

struct packument {
	const struct packument_head *head;
	const struct packument_version *versions;
	const struct packument_dep *deps;
	const struct packument_tag *tags;
	const uint8_t *digests;
	const char *strings;
};

/* How it came, to be kept with it. */
struct packument_origin {
	const char *name; /* as it was asked for */
	const char *etag; /* NULL: none */
};

/* From the registry's JSON, full or abbreviated. A version that makes no sense is left out, as if
 * the registry did not have it. -EBADMSG: not a packument; -E2BIG, -ENOMEM. */
int packument_build(struct buf *ret, struct slice json, const struct packument_origin *from,
		    struct err *e) must_check;

/* The bytes must be aligned to 8 and outlive it. -EBADMSG: not one, or damaged; the name is the
 * caller's to compare. */
int packument_open(struct packument *ret, struct slice bytes, struct err *e) must_check;

/* An ISO 8601 date, with or without a time. -EINVAL */
int packument_time(const char *text, int64_t *ret_ms) must_check;

static inline const char *packument_str(const struct packument *p, uint32_t at)
{
	return p->strings + at;
}

/* The version that a tag names, NULL when there is no such tag. */
const char *packument_tag(const struct packument *p, const char *tag);

/* The number of that version, version_count when there is none. */
uint32_t packument_tagged(const struct packument *p, const char *tag);

/* URL of the tarball, and its digest as SRI, also where the registry has a bare sha1; in the arena
 * or borrowed. NULL where it does not say. -ENOMEM */
int packument_resolved(const struct packument *p, const struct packument_version *v,
		       struct arena *a, const char **ret) must_check;
int packument_integrity(const struct packument *p, const struct packument_version *v,
			struct arena *a, const char **ret) must_check;
