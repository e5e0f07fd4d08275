/* catalog.h - what lock/ asks of a registry, answered by fetch/ (npm) and by tests (a folder).
 *
 * Needed for locks of version 1, which lack what a package's manifest says (bins, platforms,
 * peers), and by the resolver. Calls block; they are never made on a FUSE thread. */
#pragma once
#include "core/err.h"
#include "lock/json.h"
#include "lock/packument.h"

/* A package as a lock names it; absent members are NULL. */
struct catalog_package {
	const char *name, *version, *resolved, *integrity;
};

/* What a tarball says: the package.json of the package itself and of all that it carries. */
struct catalog_contents {
	cJSON *manifests; /* path of a package.json below the package's folder -> its object */
	char *integrity;  /* of the tarball, sha512 */
};
static inline void catalog_contents_release(struct catalog_contents *c)
{
	cJSON_Delete(c->manifests);
	free(c->integrity);
}

/* What a git dependency means today. */
struct catalog_git {
	char *resolved;  /* for the lock: the address and the commit */
	cJSON *manifest; /* the package.json there, with what it says of folders of bins worked out
			  */
};
static inline void catalog_git_release(struct catalog_git *g)
{
	free(g->resolved);
	cJSON_Delete(g->manifest);
}
#define auto_catalog_git cleanup(catalog_git_release)

struct spec;
struct catalog {
	/* The manifest of name@version (a version of the packument), owned by the caller.
	 * -ENOENT: the registry does not have it; other errors: it could not be asked. */
	int (*manifest)(void *self, const char *name, const char *version, cJSON **ret,
			struct err *e);
	/* These will be asked for soon: fetch them in parallel. May be NULL. */
	void (*hint)(void *self, const char *const *names, size_t count);
	/* The JSON of files in a package's tarball, by their paths below its folder; ret[i] is
	 * owned by the caller, NULL where there is no such file or it is no object. -ENOENT: this
	 * package is not to be had, or only as npm packs it; -EBADMSG: wrong bytes.
	 * May be NULL: no tarball is to be had. */
	int (*files)(void *self, const struct catalog_package *pkg, const char *const *paths,
		     size_t count, cJSON **ret, struct err *e);
	/* The same without asking for paths, owned by the caller: what stands in the package's own
	 * folder or as a package in a node_modules of it. May be NULL. */
	int (*contents)(void *self, const struct catalog_package *pkg, struct catalog_contents *ret,
			struct err *e);
	/* All versions of a package, owned by the catalog while it lives. -ENOENT as above. May be
	 * NULL: nothing can be resolved. */
	int (*packument)(void *self, const char *name, const struct packument **ret, struct err *e);
	/* A spec of type SPEC_GIT; *ret is owned by the caller. -ENOENT: the repository does not
	 * have it; other errors: it could not be asked. May be NULL: there is no git. */
	int (*git)(void *self, const struct spec *s, struct catalog_git *ret, struct err *e);
	void *self;
};
