/* catalog.h - what lock/ asks of a registry, answered by fetch/ (npm) and by tests (a folder).
 *
 * Needed for locks of version 1, which lack what a package's manifest says (bins, platforms,
 * peers), and later by the resolver. Calls block; they are never made on a FUSE thread. */
#pragma once
#include "core/err.h"
#include "lock/json.h"

struct catalog {
	/* The manifest of name@version (a version of the packument), owned by the caller.
	 * -ENOENT: the registry does not have it; other errors: it could not be asked. */
	int (*manifest)(void *self, const char *name, const char *version, cJSON **ret,
			struct err *e);
	/* These will be asked for soon: fetch them in parallel. May be NULL. */
	void (*hint)(void *self, const char *const *names, size_t count);
	void *self;
};
