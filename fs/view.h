/* view.h - one lock as a mount shows it: names to node ids, and what a node id means.
 *
 * A node id is (slot << 21 | entry). The slot says what and where: a package at a place, a
 * directory that the lock makes, a link. The entry is the file's number in the package's blob,
 * 0 for all else and for the package's root folder. What a slot means never changes and is kept
 * in `struct places` as long as the server lives, because the kernel may ask for an id of a view
 * that is gone. A view only adds what is in which directory; a relock replaces it whole.
 *
 * Nothing here knows FUSE, waits, or locks. Questions are answered from the lock wherever it
 * can; those that only the blob can answer give VIEW_WAIT and the parcel to wait for. No
 * question about a child of a directory that the lock makes ever gives VIEW_WAIT: what is
 * believed there meanwhile is corrected by view_corrections() once the blob has come. */
#pragma once
#include "fs/parcel.h"
#include "fs/slots.h"
#include "fs/tree.h"
#include "lock/lock.h"

#include <limits.h>

#define VIEW_ENTRY_BITS 21
#define VIEW_WAIT       1

static inline uint64_t view_ino(uint32_t slot, uint32_t entry)
{
	return (uint64_t)slot << VIEW_ENTRY_BITS | entry;
}
static inline uint32_t view_ino_slot(uint64_t ino)
{
	return (uint32_t)(ino >> VIEW_ENTRY_BITS);
}
static inline uint32_t view_ino_entry(uint64_t ino)
{
	return (uint32_t)(ino & ((1u << VIEW_ENTRY_BITS) - 1));
}

/* ---- what slots mean ---- */

struct place_bin {
	const char *path; /* in the blob */
	uint8_t bin;      /* enum tree_bin */
};

/* One for each slot that a view of this server has named. */
struct place {
	uint32_t slot;
	uint8_t kind; /* enum tree_kind */
	int64_t time_ns;
	const char *name;             /* last part of the path; of roots: all of it */
	const struct place *up;       /* where it stood when it was first named; of roots: NULL */
	struct parcel *parcel;        /* PACKAGE */
	const char *path;             /* PACKAGE; relative to the project */
	const struct place_bin *bins; /* PACKAGE; sorted by path */
	uint32_t bin_count;
	/* Made when the blob is opened: the count, then (number << 2 | enum tree_bin), sorted. */
	_Atomic(uint32_t *) bin_entries;
	const char *text;       /* LINK, BIN */
	_Atomic(char *) hidden; /* HIDDEN: the bytes, once rendered */
	_Atomic size_t hidden_len;
	/* Counts how often the kernel was told that it is deleted (minder_tell.c): what is dead
	 * there stays dead as long as a program holds it, and must not be met again under this
	 * number. */
	atomic_uint deaths;
};

struct places_config {
	struct store *store;
	const char *state_dir;
	bool fleeting;     /* slots are for this process only: nothing shows them to a kernel */
	int project_dirfd; /* where workspaces' bins are looked for; -1: they are believed */
	struct tree_modes modes;
	bool bin_links;     /* npm's setting; true is its default */
	bool omit_resolved; /* npm's setting omit-lockfile-registry-resolved */
	/* The store's key of a node's package; NULL: graph_node_key(). */
	int (*key)(void *arg, const struct graph_node *n, struct digest *ret, struct err *e);
	void *key_arg;
};

struct places;
int places_open(struct places **ret, const struct places_config *c, struct err *e) must_check;
void places_close(struct places *p); /* after all views; NULL is fine */
struct parcels *places_parcels(const struct places *p);

/* What an id means; NULL for a slot that no view of this server has named. Thread-safe. */
const struct place *places_get(const struct places *p, uint32_t slot);

/* May a question about a name in a directory wait now: for the package whose files it has? */
bool place_may_wait(const struct place *dir);

/* ---- views ---- */

/* A lock and its graph, shared by the views made from it. */
struct basis;
/* `lock` is consumed, also on failure. */
int basis_new(struct basis **ret, struct lock *lock, struct err *e) must_check;
/* Over a graph that somebody else keeps alive longer. */
int basis_of_graph(struct basis **ret, struct graph *g, struct err *e) must_check;
/* Of the same lock, byte for byte? */
bool basis_same(const struct basis *a, const struct basis *b);
void basis_unref(struct basis *b); /* NULL is fine */
const struct graph *basis_graph(const struct basis *b);

struct view;

/* Gives numbers to everything in the tree of the nodes that are there (graph order, select.h)
 * and saves them. Views are made by one thread at a time. The view counts as one user of the
 * basis. */
int view_new(struct view **ret, struct places *p, struct basis *b, const bool *present,
	     struct err *e) must_check;
struct view *view_ref(struct view *v);
void view_unref(struct view *v); /* NULL is fine */
const struct tree *view_tree(const struct view *v);
struct basis *view_basis(const struct view *v);

/* The distinct packages of the view. */
struct parcel *const *view_parcels(const struct view *v, size_t *ret_count);

/* ret[i] = the package of the graph's node i, NULL for those without; room for all nodes. */
void view_node_parcels(const struct view *v, struct parcel **ret);

/* mark[i] = true for the graph nodes i that are this package. */
void view_mark(const struct view *v, const struct parcel *src, bool *mark);

/* The id of the root folder `root` of the tree. It is stable over views. */
uint64_t view_root_ino(const struct view *v, uint32_t root);

/* ---- the shown view ---- */

/* A place for the view that is shown now: the loops get it, one thread swaps it. */
struct view_cell;
struct view_cell *view_cell_new(struct view *v) must_check; /* takes the view over */
void view_cell_free(struct view_cell *c);
struct view *view_get(struct view_cell *c);                      /* a reference */
struct view *view_swap(struct view_cell *c, struct view *fresh); /* takes, and gives the old */

/* ---- questions ---- */

struct view_attr {
	uint64_t ino;
	mode_t mode;
	uint64_t size;
	int64_t mtime_ns;
	bool bare; /* in a listing only: name and type, a look-up gives the rest */
};

/* The same for stat(2). */
struct stat view_stat(const struct view_attr *a, uid_t uid, gid_t gid);

/* All of them: 0; VIEW_WAIT with the parcel in *ret_wait; -ENOENT not there; -ENOTDIR and the
 * like; -ESTALE an id that this server never gave out; -EIO, with the sentence in e. */
int view_attr(struct view *v, uint64_t ino, struct view_attr *ret, struct parcel **ret_wait,
	      struct err *e) must_check;
int view_lookup(struct view *v, uint64_t dir, struct slice name, struct view_attr *ret,
		struct parcel **ret_wait, struct err *e) must_check;
int view_readlink(struct view *v, uint64_t ino, const char **ret, struct err *e) must_check;

/* The count of bytes read, 0 at the end, or as above; VIEW_WAIT comes as -EAGAIN here. */
ssize_t view_read(struct view *v, uint64_t ino, void *buf, size_t n, uint64_t off,
		  struct parcel **ret_wait, struct err *e) must_check;

/* Of what lies in a package that is here: the directory of something (0 for all else), and the ids
 * of what a directory has, one after the other in the order of listings (false for all else). They
 * open nothing. */
uint64_t view_parent(const struct view *v, uint64_t ino);
bool view_run(const struct view *v, uint64_t dir, uint64_t *ret_first, uint64_t *ret_end);
/* Its name there, borrowed from the package. */
bool view_name(const struct view *v, uint64_t ino, struct slice *ret);

/* A directory after `cookie` (0: from the start), "." and ".." included. `fn` gets each entry
 * with the cookie that continues after it, and returns false when it has no room for it. A listing
 * may begin with one view and go on with another: what both have comes once. The
 * ino of "..", of which attr has nothing else but the mode, is right for all but roots. */
typedef bool view_emit_fn(void *arg, struct slice name, const struct view_attr *attr,
			  uint64_t cookie);
int view_list(struct view *v, uint64_t dir, uint64_t cookie, view_emit_fn *fn, void *arg,
	      struct parcel **ret_wait, struct err *e) must_check;

/* Is it something that stands in the lock of an older view and not in this one's? What is said of
 * the names in such a directory is not to be remembered, for it may come again. */
bool view_is_past(const struct view *v, uint64_t dir);

/* What the slot of an id means, as places_get(). */
const struct place *view_place(const struct view *v, uint64_t ino);

/* Where a thing stands, by names. */
struct view_where {
	const struct place *package; /* the innermost package that it is, or lies in; or NULL */
	uint64_t top;                /* the package's folder, or the root folder of the mount */
	size_t top_len;              /* bytes of the path that are top's own: 0 in a package */
	char path[PATH_MAX];         /* relative to the package's folder ("" is the folder), or to
					the project */
};

/* For what an older view had and this one does not: where it stood then. -ENAMETOOLONG. */
int view_where(struct view *v, uint64_t ino, struct view_where *ret, struct parcel **ret_wait,
	       struct err *e) must_check;

/* ---- what the kernel must be told ---- */

/* A name in a directory means something else now (name NULL: the directory's listing and
 * attributes do). `root` is the ino of the mount's root folder. */
typedef void view_change_fn(void *arg, uint64_t root, uint64_t dir, const char *name,
			    size_t name_len);

/* Between two views: the names in a directory, then the directory. Telling a name waits for those
 * who are listing the directory or looking something up in it, so that what they bring of the old
 * view is not kept: therefore this order. Directories that go are emptied, and those that come are
 * told as if they had all changed, if an earlier view had them: a program may have held them open
 * all the time, and the kernel what it knew of them. */
void view_changes(struct view *old, struct view *fresh, view_change_fn *fn, void *arg);

/* The blob of `src` has come: where the lock had been believed, and the blob says otherwise. */
int view_corrections(struct view *v, struct parcel *src, view_change_fn *fn, void *arg,
		     struct err *e) must_check;
