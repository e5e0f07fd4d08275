/* export.h - a view laid out as real files, for where nothing can be mounted.
 *
 * What a mount would show is written into ordinary folders: the same paths, types, bytes, links
 * and permission bits. Every package must be in a store already. Each root of the
 * view (fs/tree.h) is made under a temporary name beside its place and renamed there when it is
 * whole, so that a folder either stands complete or is not there at all; what a failure leaves is
 * removed, what a killed process left (".<name>.dxfs-<6 letters>") may be deleted.
 *
 * Bytes are copied, never linked: the store's blobs hold many files each, and a file that is
 * edited must not change anybody else's. Each file's hash is checked as it is read. */
#pragma once
#include "fs/view.h"

struct export_counts {
	_Atomic uint64_t files, dirs, links, bytes;
	_Atomic uint64_t packages, packages_done; /* all, and those begun at one place at least */
};

/* Writes the view's roots: node_modules to `dir`, an absolute path whose parent folder exists;
 * the others beside it as they lie in the project (for dir "/p/node_modules" root
 * "packages/a/node_modules" becomes "/p/packages/a/node_modules", folders above it made if
 * missing). -EEXIST: something that is not an empty folder stands there; -EBUSY: a mount does.
 * `counts` may be read meanwhile. The process's umask must be 0: the view's modes are final. */
int export_view(struct view *v, const char *dir, unsigned threads, struct export_counts *counts,
		struct err *e) must_check;
