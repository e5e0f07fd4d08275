/* tree.h - what npm would have put on disk, computed from a lock alone.
 *
 * The tree has one root for each node_modules folder that is mounted: the project's, and that
 * of every other top (workspace, link target inside the project) that has packages of its own.
 * Below a root stand directories that the lock makes (@scope, nested node_modules, .bin), the
 * folders of packages, links, and .package-lock.json. What is inside a package is not here: its
 * blob knows (core/dxp.h). Nothing is fetched or opened to build a tree, and no FUSE is known.
 *
 * A directory is filled from two sides. Its children here come first and hide what has the
 * same name in a blob. Behind them stands its backing, if it has one: a folder `sub` in the
 * blob of the package `backing`. The root folder of a package is backed by itself (sub "");
 * `X/node_modules` by "node_modules" in X's blob, because a tarball may carry one of its own;
 * a bundled package by its folder in the bundler's blob. Roots have no backing.
 *
 * A GONE is never there. Two other kinds of child may turn out not to exist once the blob is here,
 * because npm would not have made them: a BIN whose target is missing, and a BUNDLED that its
 * bundler's tarball lacks. Who asks decides that (fs/view.h); until the blob is here the lock is
 * believed.
 *
 * Immutable once built; owns its memory, but strings also borrow from the graph, which must
 * live as long. */
#pragma once
#include "lock/graph.h"

#include <sys/stat.h>

#define TREE_NONE UINT32_MAX

enum tree_kind {
	TREE_DIR,     /* a root, node_modules, @scope, .bin */
	TREE_PACKAGE, /* the root folder of a package that has a blob of its own */
	TREE_BUNDLED, /* the folder of a package that came inside another's tarball */
	TREE_LINK,    /* a workspace or file: dependency */
	TREE_BIN,     /* a link in .bin */
	TREE_HIDDEN,  /* .package-lock.json of the project's node_modules */
	TREE_GONE,    /* what npm deletes from its bundler's folder: hides that name in the blob */
};

struct tree_node {
	const char *name;                  /* last part of the path; of roots: "" */
	uint16_t name_len;                 /* in bytes */
	uint8_t kind;                      /* enum tree_kind */
	uint32_t parent;                   /* TREE_NONE for roots */
	uint32_t first_child, child_count; /* in tree.children; 0 for what is no directory */
	uint32_t backing;                  /* a PACKAGE node, or TREE_NONE; BIN: whose blob has the
					      target, TREE_NONE through a link */
	const char *sub;                   /* path in that blob; NULL without backing */
	uint32_t node;    /* PACKAGE, BUNDLED, LINK: the graph's node; BIN: the claimer's; else
			     GRAPH_NONE */
	const char *text; /* LINK, BIN: what readlink says */
};

struct tree_root {
	const char *path; /* relative to the project: "node_modules", "packages/a/node_modules" */
	uint32_t node;    /* of the tree */
};

struct tree {
	struct arena arena;
	struct tree_node *nodes;
	uint32_t count;
	uint32_t *children;      /* node numbers; each directory's run is sorted by name bytes */
	struct tree_root *roots; /* the project's first, then by path */
	uint32_t root_count;
};

/* Lays out the nodes of `g` that are there (select.h); without `bin_links` (npm's setting) there
 * is no .bin. O(nodes). -EINVAL: two things claim one name (a package called ".bin"); -ENOMEM. */
int tree_build(const struct graph *g, const bool *present, bool bin_links, struct tree **ret,
	       struct err *e) must_check;
void tree_free(struct tree *t); /* NULL is fine */

/* The child of a directory by name; TREE_NONE. */
uint32_t tree_child(const struct tree *t, uint32_t dir, struct slice name);

/* The path of a node, relative to the project; NUL-terminated, cut at `n`. The full length. */
size_t tree_path(const struct tree *t, uint32_t node, char *buf, size_t n);

/* ---- modes ---- */

struct tree_modes {
	mode_t umask;     /* of the process */
	mode_t npm_umask; /* npm's setting of that name: masks files only, and not bins */
	bool setuid;      /* root extracts, so set-id bits survive */
};

/* Whether a file is a bin. While it unpacks, npm makes the bins of a package executable whose
 * manifest it has at hand: where the lock names no URL, and for file: tarballs. */
enum tree_bin {
	TREE_NO_BIN,
	TREE_UNPACKED_BIN, /* made executable while unpacking; else as packed */
	TREE_LINKED_BIN,   /* a link in .bin leads to it: mended, 0777 but for the umask */
};

static inline bool tree_unpacks_bins(const struct graph_node *n)
{
	return !n->resolved || strncmp(n->resolved, "file:", 5) == 0;
}

static inline mode_t tree_file_mode(const struct tree_modes *m, mode_t tar_mode, enum tree_bin bin)
{
	mode_t keep = m->setuid ? 07777 : 01777, mode;

	if (bin == TREE_LINKED_BIN)
		return S_IFREG | (0777 & ~m->umask);
	mode = (((tar_mode & keep) | 0666) & ~m->npm_umask) | 0600;
	if (bin == TREE_UNPACKED_BIN)
		mode |= 0111;
	return S_IFREG | (mode & ~m->umask);
}

static inline mode_t tree_dir_mode(const struct tree_modes *m)
{
	return S_IFDIR | (0777 & ~m->umask);
}
