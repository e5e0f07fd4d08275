/* parcel.h - the packages that a server may have to show: one for each key of the store.
 *
 * A parcel is what several places of the tree may share: the blob, how to fetch it, and who
 * waits for it. It is made when a view first names it and lives as long as the table, so that
 * pointers to it may be kept by anybody. Thread-safe. */
#pragma once
#include "core/store.h"
#include "lock/graph.h"

#include <stdatomic.h>

struct parked;
struct pins;

struct parcel {
	struct digest key;
	const char *name, *version, *resolved, *integrity; /* as in fetch_pkg; owned */

	/* Published once it has been opened, so that a hit takes no lock. */
	_Atomic(struct pkg *) pkg;

	/* An answer has been given from the lock while the blob was not here; when it comes, the
	 * kernel must be told what was wrong. Set before the store is asked for the last time. */
	atomic_bool believed;
	atomic_bool failed;   /* the last fetch failed */
	atomic_bool optional; /* the shown view can do without it, wherever it stands */

	atomic_bool touched;   /* something inside has been asked for */
	atomic_bool predicted; /* it was wanted before that (fs/ahead.h), and was not here */
	atomic_bool exported;  /* begun to be written, at one place at least (fs/export.h) */

	/* guarded by the park's mutex (fs/park.h) */
	struct parked *waiting;
	uint8_t wanted; /* 0, or the fetch under way: enum park_prio */

	struct parcel *next; /* in the table */
};

struct parcels;
/* `pins` is borrowed, and asked for packages without integrity; NULL: they are believed. NULL: out
 * of memory. */
struct parcels *parcels_new(struct store *store, struct pins *pins) must_check;
void parcels_free(struct parcels *s); /* releases the packages; NULL is fine */

/* The parcel of a graph node that has a package of its own; strings are copied. `key` is
 * graph_node_key() of it. NULL: out of memory. */
struct parcel *parcels_add(struct parcels *s, const struct digest *key,
			   const struct graph_node *n) must_check;
/* The keys of all that was ever added; the caller frees. NULL: out of memory. */
struct digest *parcels_keys(struct parcels *s, size_t *ret_count) must_check;
struct parcel *parcels_find(struct parcels *s, const struct digest *key); /* or NULL */

/* Is the blob in a store? */
bool parcel_here(const struct parcels *s, const struct parcel *src);

/* The open package, borrowed until parcels_free(). -ENOENT: not here. -EBADMSG: it was bad, has
 * been quarantined, and may be fetched anew. -EKEYREJECTED: the pins say that it was another.
 * Others: the store cannot be read. */
int parcel_open(struct parcels *s, struct parcel *src, struct pkg **ret, struct err *e) must_check;

/* Something inside a package is asked for: a name, bytes, or (`listed`) what there is. The first
 * time, and if it is no listing, parcels_on_touch()'s function is called, on the asking thread:
 * programs that walk through everything announce nothing. Costs a load otherwise. */
void parcel_touch(struct parcels *s, struct parcel *src, bool listed);
void parcels_on_touch(struct parcels *s, void (*fn)(void *arg, struct parcel *src), void *arg);

/* pkg_read() said -EBADMSG or -ENOENT: the next parcel_open asks the store again. The package stays
 * valid for those who still use it. */
void parcel_bad(struct parcels *s, struct parcel *src, struct pkg *bad);
