/* lock.h - DXL, the binary lock: builder and reader.
 *
 * A lock is opened once, checked whole, and then read in place: no accessor can fail. The same
 * graph gives the same bytes on every machine. A DXL is neutral of platform: which nodes are
 * there on a machine is select.h's decision.
 *
 *   offset          size        what
 *        0             4        magic "DXL\0"
 *        4             4        format version, 1
 *        8             8        size of the file
 *       16            16        checksum: XXH3-128 (canonical form) of all but these 16 bytes
 *       32            16        fingerprint: what the lock was made from (project.h)
 *       48            64        eight sections {u32 offset, u32 count}, in the order below
 *      112             4        flags: the lock's version in the low byte, 8 shrinkwrap,
 *                               9 CR LF, 10 no newline at the end
 *      116             4        root node: 0
 *      120             4        word number of the top record: 0
 *      124             4        string: indentation of the JSON
 *      128         8 x 2^n      hash table: name -> package {u32 package, u32 tag}, linear
 *                               probing, at most half full; empty slots are all ones
 *               128 x packages  packages, each distinct one once: what an entry says wherever it
 *                               stands
 *                16 x deps      dependencies, a run for each package
 *                32 x nodes     root, the other tops by path, then the children of each node in
 *                               turn by name: the children of a node are one run
 *                 8 x edges     what each dependency of each node resolves to, a run a node
 *                 8 x bins      {u32 name, u32 target}, a run for each package
 *                 4 x words     {name, version, residue} of the lock, {name, spec} of edges that
 *                               are no dependency, records of engines, os, cpu, libc, bundles
 *                     strings   NUL-terminated, sorted by bytes, each once; offset 0 is "none"
 *
 * This program takes whole locks (lock_graph, lock_build). lock_get*, lock_verify,
 * lock_write and lock_add_package are for others that link this layer, and for tests.
 *
 * All integers are little-endian. A section begins where the one before it ends, rounded up to
 * eight bytes of zeros. The structs stand in lock_priv.h. What cannot be looked up in this order
 * of nodes, the order of the lock that npm wrote, each node carries as a number. */
#pragma once
#include "core/hash.h"
#include "lock/graph.h"

#define LOCK_SIZE_MAX ((size_t)1 << 30)

struct lock;

/* Reads the file into private memory (a file in a working tree may be rewritten under us, so it
 * is not mapped) and checks it. -ENOENT; -EBADMSG: not a whole, sound lock; -EPROTONOSUPPORT: made
 * by a later version. */
int lock_open(struct lock **ret, int dirfd, const char *path, struct err *e) must_check;
/* The same over the file's own pages, which all who open it share: for a file in a folder that only
 * we write, and only by replacing files. */
int lock_open_mapped(struct lock **ret, const char *path, struct err *e) must_check;
/* The same over bytes that the caller keeps alive. */
int lock_open_bytes(struct lock **ret, struct slice bytes, struct err *e) must_check;
/* Over a copy of the bytes that the lock owns. */
int lock_open_copy(struct lock **ret, struct slice bytes, struct err *e) must_check;
void lock_close(struct lock *l); /* NULL is fine */
static inline void lock_closep(struct lock **l)
{
	lock_close(*l);
}
#define auto_lock cleanup(lock_closep)

/* Everything once more (checksum and structure). */
int lock_verify(const struct lock *l, struct err *e) must_check;

struct hash128 lock_fingerprint(const struct lock *l);
struct slice lock_bytes(const struct lock *l);

struct lock_pkg {
	const char *name, *version, *resolved; /* borrowed; version and resolved may be NULL */
	struct digest digest;                  /* DIGEST_NONE when the lock has none */
	/* NODE_HAS_SCRIPT, NODE_HAS_SHRINKWRAP; NODE_TOP: the project itself or another folder of
	 * the user's; NODE_LINK: what a link's entry says beyond its target. Only those that are
	 * neither are found by name. */
	uint32_t flags;
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
 * and flags, as after graph_edges() and graph_flags(); without `overrides` and
 * `lost_workspaces`, which only those need. -ENOMEM; -EBADMSG for two nodes at one path. */
int lock_graph(const struct lock *l, struct graph **ret, struct err *e) must_check;

/* ---- building ---- */

struct lock_builder;
struct lock_builder *lock_builder_new(void) must_check; /* NULL: out of memory */
void lock_builder_free(struct lock_builder *b);

/* Adds the package of `n`, or finds the equal one: its number, or negative errno. Strings are
 * copied. */
int64_t lock_add_package(struct lock_builder *b, const struct graph_node *n,
			 struct err *e) must_check;

/* Appends the finished lock: the packages added so far, then those of `g` (with edges and
 * flags), and its tree. Only lock_builder_free() may follow. */
int lock_builder_finish(struct lock_builder *b, const struct graph *g, struct hash128 fingerprint,
			struct buf *ret, struct err *e) must_check;

/* The lock of a whole graph. */
int lock_build(const struct graph *g, struct hash128 fingerprint, struct buf *ret,
	       struct err *e) must_check;

/* lock_build, then written atomically (file_replace). */
int lock_write(const struct graph *g, struct hash128 fingerprint, const char *path,
	       struct err *e) must_check;
