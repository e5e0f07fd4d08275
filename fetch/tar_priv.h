/* tar_priv.h - the parts of the tar reader: headers, and the tree that is being built. */
#pragma once
#include "fetch/tar.h"

#define TAR_BLOCK 512

/* ---- headers (tar_header.c) ---- */

/* What pax and GNU headers say of an entry to come. A field that was given replaces the
 * header's, which is then not even parsed. */
struct tar_ext {
	bool path, linkpath, size, uid, gid, mtime, atime, ctime; /* given */
	double size_value; /* as JavaScript reads it: fractions and Infinity are possible */
	struct buf path_text, linkpath_text;
};

enum tar_kind {
	TAR_UNREADABLE, /* a number in it makes npm's parser throw */
	TAR_NULL,       /* nothing but zeros */
	TAR_INVALID,    /* wrong checksum, no path, a link name that should not be there */
	TAR_ENTRY,
};

struct tar_header {
	enum tar_kind kind;
	char type;     /* '0' ... as npm understands it; 0: one that it does not know */
	uint16_t mode; /* low twelve bits; 0666 where the header has none */
	double size;   /* >= 0 */
};

/* Reads the block at `block`. `path` receives the entry's path as npm's filter sees it. */
int tar_header_read(struct tar_header *ret, struct buf *path, const uint8_t *block,
		    const struct tar_ext *ex, const struct tar_ext *global) must_check;

/* Merges a pax body into x; GNU's long names replace. 0, -ENOMEM, -E2BIG. */
int tar_ext_pax(struct tar_ext *x, struct slice body) must_check;
int tar_ext_long(bool *given, struct buf *text, struct slice body) must_check;
void tar_ext_clear(struct tar_ext *x); /* forgets, keeps memory */
void tar_ext_release(struct tar_ext *x);

/* ---- paths (tar_path.c) ---- */

/* Where an entry of this path goes (a slice of it), or an empty slice: nowhere. */
struct slice tar_path_target(struct slice path);

/* A link path that pax gives to a regular file means nothing, but npm still drops the file when
 * that path would leave the package. */
bool tar_path_escapes(struct slice target, struct slice linkpath);

/* The last component as node's basename() sees it: trailing slashes do not count. */
struct slice tar_path_base(struct slice path);

/* The next component of *rest other than "" and "."; false at the end. */
bool tar_path_next(struct slice *rest, struct slice *ret_name);

/* ---- the tree (tar_tree.c) ---- */

struct tar_node {
	uint32_t parent, next; /* next in the same bucket */
	uint32_t children;
	uint32_t path_len;
	enum dxp_type type;
	uint16_t mode;
	struct slice name; /* in the arena */
	struct slice bytes;
};

struct tar_tree {
	struct arena *arena; /* borrowed: the listing's */
	struct tar_node *nodes;
	uint32_t *buckets; /* node number + 1; 0: empty */
	uint32_t count, cap, bucket_count;
	uint64_t seed;
};

int tar_tree_init(struct tar_tree *t, struct arena *arena) must_check;
void tar_tree_release(struct tar_tree *t);

/* Does what npm's unpacking does for one file: makes folders, reuses, replaces or gives up.
 * `fresh`: a file that is there is removed first instead of being written over. -EBADMSG: a NUL
 * in the path (npm fails too); -E2BIG, -ENOMEM. */
int tar_tree_put(struct tar_tree *t, struct slice path, bool fresh, uint16_t mode,
		 struct slice bytes) must_check;

/* A set of texts beside the tree. */
bool tar_tree_noted(const struct tar_tree *t, struct slice text);
int tar_tree_note(struct tar_tree *t, struct slice text) must_check;

/* The files, and the folders in which there is nothing. */
int tar_tree_list(const struct tar_tree *t, struct dxp_file **ret, size_t *ret_count) must_check;
