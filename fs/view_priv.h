/* view_priv.h - the inside of a view; view*.c only. */
#pragma once
#include "fs/view.h"

#define PLACES_ARENA_MAX ((size_t)1 << 30) /* texts and bin paths of all slots ever named */
#define PLACES_CHUNK     4096u
#define PLACES_CHUNKS    ((SLOTS_MAX / PLACES_CHUNK) + 1)

struct places_chunk {
	_Atomic(struct place *) at[PLACES_CHUNK];
};

struct places {
	struct pins *pins;
	struct parcels *parcels;
	struct slots *slots;
	struct tree_modes modes;
	bool bin_links, omit_resolved;
	int (*key)(void *arg, const struct graph_node *n, struct digest *ret, struct err *e);
	void *key_arg;
	int project_dirfd; /* owned */

	/* By slot. Untouched parts of the outer array cost no memory. */
	_Atomic(struct places_chunk *) *chunks;

	struct arena arena; /* only the thread that makes a view */
};

struct basis {
	atomic_uint refs;
	struct lock *lock;   /* owned; NULL for basis_of_graph() */
	struct graph *graph; /* owned if lock is */
	struct hash128 hash; /* of the lock's bytes */
};

/* What a view knows of a tree node beyond the tree. */
struct view_node {
	struct place *place;
	int64_t mtime_ns;
	bool absent; /* a workspace's bin without target */
};

struct view {
	atomic_uint refs;
	struct places *places;
	struct basis *basis;
	bool *present;
	struct tree *tree;
	struct view_node *nodes; /* by tree node */
	uint32_t *by_slot;       /* tree node or TREE_NONE */
	uint32_t by_slot_count;
	struct parcel **parcels;
	size_t parcel_count;
};

/* The tree node of an id: TREE_NONE when the view does not have it, or it lies inside a blob. */
uint32_t view_node_of(const struct view *v, uint64_t ino);

/* The open package of a PACKAGE place, its bins known. As parcel_open(). */
int place_open(struct places *p, struct place *place, struct pkg **ret, struct err *e) must_check;

/* The same for an answer that falls back on the lock: NULL when the blob is not here, and then
 * the parcel is marked as believed. */
int place_peek(struct places *p, struct place *place, struct pkg **ret, struct err *e) must_check;

/* Would npm have made this child of a lock-made directory? 0, 1, negative errno. */
int view_exists(struct view *v, uint32_t node, struct err *e) must_check;

/* The package whose blob has the files of a BUNDLED; or NULL. */
const struct place *place_bundler(const struct place *bundled);

/* The rendered .package-lock.json. */
int view_hidden(struct view *v, struct place *place, struct slice *ret, struct err *e) must_check;
