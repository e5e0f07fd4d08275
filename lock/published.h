/* published.h - a published manifest (of a registry, a tarball, a folder) as a lock's entry says
 * it: npm's normalisation of the members that go into a lock (npm.md §1.2, §5.2).
 *
 * Private to lock/. */
#pragma once
#include "core/arena.h"
#include "lock/json.h"

/* Puts into `made` what `mani` says that an entry of a lock says too, but for name, version,
 * resolved and integrity: those members of `made` are replaced, or removed where `mani` has
 * nothing. `name` names a bin where the manifest itself has no name. -E2BIG, -ENOMEM. */
int published_entry(struct arena *a, cJSON *made, const cJSON *mani, const char *name,
		    struct err *e) must_check;
