/* published.h - a published manifest (of a registry, a tarball, a folder) as a lock's entry says
 * it: npm's normalisation of the members that go into a lock. */
#pragma once
#include "core/arena.h"
#include "lock/json.h"

/* Puts into `made` what `mani` says that an entry of a lock says too, but for name, version,
 * resolved and integrity: those members of `made` are replaced, or removed where `mani` has
 * nothing. `name` names a bin where the manifest itself has no name. -E2BIG, -ENOMEM. */
int published_entry(struct arena *a, cJSON *made, const cJSON *mani, const char *name,
		    struct err *e) must_check;

/* Where a manifest has no `bin` but `directories.bin`, npm makes links of all that lies in that
 * folder, folders too, but for names that begin with a dot. False: this manifest is none such. Else
 * *ret is the folder's path below the package's, clean; in the arena. */
bool published_has_folder_bins(struct arena *a, const cJSON *mani, const char **ret);

/* One thing that lies there, by its path below that folder. */
int published_folder_bin(cJSON *mani, const char *folder, const char *path,
			 struct err *e) must_check;

/* All of it, of a package's folder on disk (absolute). */
int published_folder_bins(struct arena *a, cJSON *mani, const char *package,
			  struct err *e) must_check;
