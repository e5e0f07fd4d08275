/* verify.h - asks registries for the signatures of packages, and checks them (signature.h).
 *
 * Each registry is asked for its keys once, and, if it has any, for the packument of each name. */
#pragma once
#include "fetch/fetch.h"
#include "fetch/npmrc.h"

enum verify_state {
	VERIFY_GOOD,
	VERIFY_NO_KEYS,   /* the registry has no signing keys */
	VERIFY_MISSING,   /* it has, but no signature for this package */
	VERIFY_BAD,       /* a signature that does not hold */
	VERIFY_NOT_ASKED, /* the registry could not be asked */
	VERIFY_STATES,
};

/* One call for each package, on the caller's thread; `why` is a sentence without the package's
 * name, NULL when it is good. */
typedef void verify_fn(void *arg, const struct fetch_pkg *p, enum verify_state state,
		       const char *why);

/* `pkgs` sorted by name; only name, version and integrity count. -EDESTADDRREQ: no registry is
 * known; -ENOMEM and the like. */
int verify_packages(const struct npmrc *rc, const struct fetch_pkg *pkgs, size_t count,
		    verify_fn *fn, void *arg, struct err *e) must_check;
