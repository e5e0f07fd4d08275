/* upper_care.h - what an upper holds, and taking it back: for commands, and for a live daemon.
 *
 * Paths here are as people see them: relative to the project, "node_modules/foo/lib/a.js". */
#pragma once
#include "fs/upper.h"

/* How one path differs from the lower. */
enum upper_kind {
	UPPER_ADDED,   /* the lower has nothing there */
	UPPER_CHANGED, /* the lower has it, with other content, mode or times */
	UPPER_REMOVED, /* the lower has it, the mount does not */
	UPPER_WROTE,   /* added or changed: the lower cannot be asked (no view, no blob) */
};

struct upper_item {
	enum upper_kind kind;
	const char *path;  /* of the file, link or directory */
	const char *upper; /* relative to the upper's folder; for UPPER_REMOVED the line's path */
	mode_t type;       /* S_IFREG ...; 0 of what is removed */

	/* Of what lies in a package, else NULL: its place ("node_modules/foo") and version. */
	const char *place, *version;
	bool aside; /* another package stands there now (or none): kept, not shown */
};

/* Calls fn for each item, in the order of the paths as bytes, a directory before what is in it. A
 * directory that was only made to lead to something is no item, unless its mode was changed. What
 * lies below a removed directory is not told. Stops when fn returns non-zero, and returns that.
 * With `v` NULL nothing is said to be aside. Needs no lock: what is being written meanwhile may be
 * missed. Strings last until fn returns. */
typedef int upper_item_fn(void *arg, const struct upper_item *item);
int upper_each(struct upper *u, struct view *v, upper_item_fn *fn, void *arg,
	       struct err *e) must_check;

/* Was no file written into this upper? Only things removed, perhaps, or folders made; or there is
 * no upper. */
bool upper_unused(const char *dir);

/* Opens what lies at a path relative to the upper's folder, as open(2) with these flags; the
 * descriptor, or a negative errno. Never through a symbolic link, which a program may have put
 * where a folder was: then, as where a folder is none, -ENOENT. With O_PATH it may be one itself.
 */
int upper_item_open(const struct upper *u, const char *upper, int flags) must_check;

/* Calls fn for each package of which something is set aside; nothing is walked. */
typedef int upper_aside_fn(void *arg, const char *place, const char *version);
int upper_aside(struct upper *u, struct view *v, upper_aside_fn *fn, void *arg,
		struct err *e) must_check;

/* Opens an upper only to look, with no lock on it: for upper_each() while a daemon has it.
 * -ENOENT: there is none. upper_close() closes it. */
int upper_peek(struct upper **ret, const char *dir, struct err *e) must_check;

/* Takes back all that was changed at `path` and below (NULL: everything, what is aside too): the
 * lower shows again. In a package the version that `v` shows; with `v` NULL, or where `v` shows no
 * package, every version. *ret_count: how many items went. -ENOENT: nothing was changed there.
 * Bytes go at once for what nobody has open. `tell` (may be NULL) is called afterwards as
 * view_changes() calls it, for a live mount: the kernel must be told, by a thread that may wait for
 * it. */
int upper_reset(struct upper *u, struct view *v, const char *path, view_change_fn *tell, void *arg,
		uint64_t *ret_count, struct err *e) must_check;
