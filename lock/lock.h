/* lock.h - DXL, the binary lock: builder and reader.
 *
 * (The layout is drawn here by lock_priv.h's author; design §4.3 has the sizes: header 128,
 * package 128, dependency 16, node 32, all little-endian; a hash table over packages with
 * linear probing; a metadata section; XXH3-128 over everything but the checksum field.)
 *
 * A lock is opened once, checked whole, and then read in place: no accessor can fail. The same
 * graph gives the same bytes on every machine. A DXL is neutral of platform: which nodes are
 * there on a machine is select.h's decision. */
#pragma once
#include "core/hash.h"
#include "lock/graph.h"

#define LOCK_SIZE_MAX ((size_t)1 << 30)

struct lock;

/* Maps the file (copied into a sealed memfd first: a file in a working tree may be rewritten
 * under us) and checks it. -ENOENT; -EBADMSG: not a whole, sound lock; -EPROTONOSUPPORT: made by
 * a later version. */
int lock_open(struct lock **ret, int dirfd, const char *path, struct err *e) must_check;
/* The same over bytes that the caller keeps alive. */
int lock_open_bytes(struct lock **ret, struct slice bytes, struct err *e) must_check;
void lock_close(struct lock *l); /* NULL is fine */

/* Everything once more (checksum and structure), for `dx lock --check` and tests. */
int lock_verify(const struct lock *l, struct err *e) must_check;

struct hash128 lock_fingerprint(const struct lock *l);
struct slice lock_bytes(const struct lock *l);

struct lock_pkg {
	const char *name, *version, *resolved; /* borrowed; version and resolved may be NULL */
	struct digest digest;                  /* DIGEST_NONE when the lock has none */
	uint32_t flags;                        /* NODE_HAS_SCRIPT, NODE_HAS_SHRINKWRAP */
	uint32_t first_dep, dep_count;
};
struct lock_dep {
	const char *name, *range;
	uint32_t target; /* package number; GRAPH_NONE where it differs by place or is absent */
	uint8_t section; /* enum dep_section */
	bool peer_optional;
};

/* list_all: packages 0 .. lock_count()-1, each once however often it stands in the tree. */
uint32_t lock_count(const struct lock *l);
void lock_pkg(const struct lock *l, uint32_t i, struct lock_pkg *ret); /* i < count, asserted */

/* By name (the lowest number of that name) and by name and version; GRAPH_NONE when absent.
 * No allocation; nanoseconds. */
uint32_t lock_get(const struct lock *l, struct slice name);
uint32_t lock_get_version(const struct lock *l, struct slice name, struct slice version);

/* Dependency k of package i (k < dep_count). */
void lock_get_dependency(const struct lock *l, uint32_t i, uint32_t k, struct lock_dep *ret);

/* The whole lock as a graph: strings borrow from the lock, which must outlive it. With edges
 * and flags, as after graph_edges() and graph_flags(). */
int lock_graph(const struct lock *l, struct graph **ret, struct err *e) must_check;

/* ---- building ---- */

struct lock_builder;
struct lock_builder *lock_builder_new(void) must_check; /* NULL: out of memory */
void lock_builder_free(struct lock_builder *b);

/* Adds the package of `n`, or finds the equal one: its number, or negative errno. Strings are
 * copied. */
int64_t lock_add_package(struct lock_builder *b, const struct graph_node *n,
			 struct err *e) must_check;

/* The lock of a whole graph (with edges and flags). */
int lock_build(const struct graph *g, struct hash128 fingerprint, struct buf *ret,
	       struct err *e) must_check;

/* lock_build, then written atomically (file_replace). */
int lock_write(const struct graph *g, struct hash128 fingerprint, const char *path,
	       struct err *e) must_check;
