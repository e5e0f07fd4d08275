/* lock_priv.h - the structs of a DXL file, and what lock_write.c, lock_read.c and lock_graph.c
 * share. The layout is explained at the top of lock.h. */
#pragma once
#include "lock/lock.h"

#include <endian.h>

#define DXL_MAGIC   "DXL"
#define DXL_VERSION 1u
#define DXL_NONE    UINT32_MAX

enum dxl_section {
	DXL_HASH,
	DXL_PACKAGES,
	DXL_DEPS,
	DXL_NODES,
	DXL_EDGES,
	DXL_BINS,
	DXL_WORDS,
	DXL_STRINGS,
	DXL_SECTIONS,
};

/* header.flags: the lock's version in the low byte, then: */
enum {
	DXL_SHRINKWRAP = 1u << 8,
	DXL_CRLF = 1u << 9,
	DXL_NO_FINAL_NEWLINE = 1u << 10,
	DXL_FLAGS_KNOWN = 0x7ffu,
};

struct dxl_header {
	char magic[4];
	uint32_t version;
	uint64_t size;
	uint8_t checksum[16]; /* over the whole file but these sixteen bytes */
	uint8_t fingerprint[16];
	struct {
		uint32_t offset, count;
	} sections[DXL_SECTIONS];
	uint32_t flags;
	uint32_t root;   /* node number of the root project: 0 */
	uint32_t top;    /* word number of the top record: 0 */
	uint32_t indent; /* string */
};
_Static_assert(sizeof(struct dxl_header) == 128, "header of a DXL");
#define DXL_CHECKSUM_AT offsetof(struct dxl_header, checksum)

/* One slot of the hash over package names; `package` is DXL_NONE where it is empty. */
struct dxl_slot {
	uint32_t package;
	uint32_t tag; /* the hash's upper half */
};
_Static_assert(sizeof(struct dxl_slot) == 8, "hash slot of a DXL");

/* package.flags: enum digest_alg in the low byte, then: */
enum {
	DXL_PKG_SCRIPT = 1u << 8,
	DXL_PKG_SHRINKWRAP = 1u << 9,
	DXL_PKG_TOP = 1u << 10,  /* a project, workspace or link target: not a package to fetch */
	DXL_PKG_LINK = 1u << 11, /* what a link's entry has that its target does not say */
	DXL_PKG_KNOWN = 0xfffu,
};

struct dxl_package {
	uint32_t name, version, resolved, residue; /* strings */
	uint32_t integrity; /* string, when it is not just `digest` printed */
	uint32_t first_dep;
	uint32_t first_bin;
	uint16_t dep_count, bin_count;
	uint32_t flags;
	uint32_t limits;       /* word number of a limits record; 0: none */
	uint32_t tarball_size; /* zero: unknown */
	uint8_t digest[64];
	uint8_t content[16]; /* zero in a lock that is kept in a project */
	uint32_t reserved;
};
_Static_assert(sizeof(struct dxl_package) == 128, "package of a DXL");

enum { DXL_DEP_PEER_OPTIONAL = 1u };

struct dxl_dep {
	uint32_t name, range; /* strings */
	uint32_t target;      /* package, or DXL_NONE */
	uint8_t section, flags;
	uint16_t zero;
};
_Static_assert(sizeof(struct dxl_dep) == 16, "dependency of a DXL");

/* node.flags are enum NODE_* of graph.h, and: */
enum {
	DXL_NODE_PLAIN_LINK =
		1u << 15, /* its package is its target's, `resolved` its target's path */
	DXL_NODE_KNOWN = NODE_LINK | NODE_IN_BUNDLE | NODE_TOP | NODE_WORKSPACE |
			 DXL_NODE_PLAIN_LINK | NODE_FLAGS_COMPUTED,
};

struct dxl_node {
	uint32_t parent;  /* node; of tops the one whose folder contains it; or DXL_NONE */
	uint32_t name;    /* string: the folder's name; of tops the node's name */
	uint32_t package; /* never DXL_NONE */
	uint32_t first_child, child_count;
	uint16_t flags, edge_count;
	uint32_t target; /* links: node; tops: string, their path; else DXL_NONE */
	uint32_t order;  /* its number in the graph */
};
_Static_assert(sizeof(struct dxl_node) == 32, "node of a DXL");

/* `what`: bits 0-2 enum edge_type, 3 valid, 4 free; from bit 5 the number of a dependency
 * of the node's package, or, of a free edge, of the word where its name and spec stand. */
enum { DXL_EDGE_TYPE = 7u, DXL_EDGE_VALID = 8u, DXL_EDGE_FREE = 16u, DXL_EDGE_SHIFT = 5 };

struct dxl_edge {
	uint32_t to; /* node, or DXL_NONE */
	uint32_t what;
};
_Static_assert(sizeof(struct dxl_edge) == 8, "edge of a DXL");

struct dxl_bin {
	uint32_t name, target; /* strings */
};
_Static_assert(sizeof(struct dxl_bin) == 8, "bin of a DXL");

static const uint32_t dxl_item_size[DXL_SECTIONS] = {
	[DXL_HASH] = sizeof(struct dxl_slot),  [DXL_PACKAGES] = sizeof(struct dxl_package),
	[DXL_DEPS] = sizeof(struct dxl_dep),   [DXL_NODES] = sizeof(struct dxl_node),
	[DXL_EDGES] = sizeof(struct dxl_edge), [DXL_BINS] = sizeof(struct dxl_bin),
	[DXL_WORDS] = sizeof(uint32_t),        [DXL_STRINGS] = 1,
};

/* The words: the top record (name, version, residue), pairs of free edges (name, spec), and
 * limits records: engines.node (with DXL_RECORD, which stands on no other word), engines.npm,
 * then os, cpu, libc, bundled, accept, each a count (with DXL_LIST_GIVEN if the field was there)
 * in front of so many strings. */
enum { DXL_TOP_WORDS = 3, DXL_LISTS = 5 };
#define DXL_RECORD     (1u << 31)
#define DXL_LIST_GIVEN (1u << 30)
_Static_assert(LOCK_SIZE_MAX <= DXL_LIST_GIVEN, "a string's offset leaves both bits free");

struct lock {
	const struct dxl_header *header;
	const struct dxl_slot *slots;
	const struct dxl_package *packages;
	const struct dxl_dep *deps;
	const struct dxl_node *nodes;
	const struct dxl_edge *edges;
	const struct dxl_bin *bins;
	const uint32_t *words;
	const char *strings;
	uint32_t count[DXL_SECTIONS];
	size_t size;
	void *own;   /* owned memory; NULL when the bytes are the caller's */
	bool mapped; /* `own` is a mapping */
};

/* Slots for so many packages: a power of two, at most half full. */
static inline uint32_t dxl_slot_count(uint32_t packages)
{
	uint32_t n = 8;

	while (n < packages * 2)
		n *= 2;
	return n;
}

static inline uint64_t dxl_load(const uint8_t *p, size_t n)
{
	uint64_t w = 0;
	uint32_t low, high;

	if (n >= 8) {
		memcpy(&w, p, 8);
		return le64toh(w);
	}
	if (n >= 4) {
		memcpy(&low, p, 4);
		memcpy(&high, p + n - 4, 4);
		return (uint64_t)le32toh(high) << 32 | le32toh(low);
	}
	return n ? (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1] : 0;
}

/* The hash of a name: eight bytes at a time, the last ones overlapping those before them. Of fewer
 * than eight, the first and the last four; of fewer than four, the first, middle and last one. */
static inline uint64_t dxl_hash(const void *p, size_t len)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ len;
	const uint8_t *at = p;

	for (size_t left = len; left > 8; left -= 8, at += 8) {
		h = (h ^ dxl_load(at, 8)) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	at = len > 8 ? (const uint8_t *)p + len - 8 : p;
	h = (h ^ dxl_load(at, len < 8 ? len : 8)) * 0xff51afd7ed558ccdu;
	h ^= h >> 32;
	return (h * 0xc4ceb9fe1a85ec53u) ^ h >> 29;
}

/* Puts a package's name into the table; there is always an empty slot. */
static inline void dxl_slot_put(struct dxl_slot *slots, uint32_t slot_count, uint32_t package,
				const char *name)
{
	uint64_t h = dxl_hash(name, strlen(name));
	uint32_t at = (uint32_t)h & (slot_count - 1);

	while (slots[at].package != DXL_NONE)
		at = (at + 1) & (slot_count - 1);
	slots[at] = (struct dxl_slot){ htole32(package), htole32((uint32_t)(h >> 32)) };
}

/* The checksum of a whole file, its own field left out. NULL memory: -ENOMEM. */
int dxl_checksum(const void *bytes, size_t size, uint8_t ret[16]) must_check;

/* Checks everything but the checksum. lock_check.c */
int dxl_check(const struct lock *l, struct err *e) must_check;

static inline const char *dxl_str(const struct lock *l, uint32_t offset)
{
	return offset ? l->strings + le32toh(offset) : NULL;
}
