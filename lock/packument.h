/* packument.h - what a registry says of a package, as far as locks are made of it, in a compact
 * form that is used in place: no JSON is read a second time.
 *
 *   head      magic, version, counts, when and how it came, XXH3 of all that follows the check
 *   versions  in the registry's order
 *   deps      of versions; equal lists are one
 *   tags      dist-tags: name, version
 *   strings   NUL-terminated, each once; offset 0 is ""
 *
 * Numbers are little-endian. It is made by packument_build() from the registry's JSON, which is
 * checked and limited there, and checked again by packument_open(), since it may have lain in a
 * cache. Texts are other people's. */
#pragma once
#include "lock/json.h"

#define PACKUMENT_JSON_MAX     ((size_t)512 << 20) /* the largest known have 100 MB */
#define PACKUMENT_BLOB_MAX     ((size_t)256 << 20)
#define PACKUMENT_VERSIONS_MAX 100000u  /* the largest known has 20,000 */
#define PACKUMENT_DEPS_MAX     5000000u /* of all versions together */

enum {
	PACKUMENT_DEPRECATED = 1,
	PACKUMENT_SHRINKWRAP = 2, /* its tarball has a shrinkwrap of its own */
	PACKUMENT_BUNDLES = 4,    /* `rest` has bundleDependencies */
	PACKUMENT_ACCEPTS = 8,    /* `rest` has acceptDependencies */
	PACKUMENT_TIMED = 16,     /* the registry says when it was published */
};

/* Offsets are into the strings. */
struct packument_version {
	uint32_t version;
	uint32_t name;      /* as its own package.json has it */
	uint32_t resolved;  /* URL of the tarball; "" if it does not say */
	uint32_t integrity; /* also from a bare sha1; "" */
	uint32_t rest;      /* what else a lock's entry says of it: a JSON object, compact; "" */
	uint32_t engine_node, engine_npm;
	uint32_t first_dep, dep_count;
	uint32_t flags;
	int64_t time_ms; /* of publishing, since the epoch */
};

struct packument_dep {
	uint32_t name, spec;
	uint32_t section; /* enum dep_section, by which they are sorted */
	uint32_t peer_optional;
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
	uint32_t version_count, dep_count, tag_count, string_bytes;
	uint32_t name, etag;
	int64_t fetched_s, fresh_until_s; /* seconds since the epoch */
};
#define PACKUMENT_MAGIC  "DXPKMNT\n"
#define PACKUMENT_FORMAT 1u

struct packument {
	const struct packument_head *head;
	const struct packument_version *versions;
	const struct packument_dep *deps;
	const struct packument_tag *tags;
	const char *strings;
};

/* How it came, to be kept with it. */
struct packument_origin {
	const char *name; /* as it was asked for */
	const char *etag; /* NULL: none */
	int64_t fetched_s, fresh_until_s;
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
