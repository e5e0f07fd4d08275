/* npmrc.h - the configuration that npm would have here, read without running npm.
 *
 * Sources, highest first, as npm's: overrides of the caller (the command line),
 * npm_config_* of the environment, <project>/.npmrc, the user's file, the global file, npm's own
 * npmrc beside its program, and then npm's defaults for the few keys that have an accessor below.
 * A value that its key cannot have (a number that is none, a URL without host) counts as not set,
 * and the next source decides, as in npm. Credentials without a host in a file are an error, as
 * in npm: they would be sent to whatever registry is configured.
 *
 * The global file is <prefix>/etc/npmrc (or `globalconfig`), and the prefix is the `prefix` of
 * the sources above but the project, else $PREFIX, else the parent of the folder of the program
 * `node` that $PATH finds, links resolved: npm's own rule, with the node that would run it.
 * Relative paths count from the project's folder.
 *
 * Immutable once loaded, so threads may share it. Values may be secrets: never log one. */
#pragma once
#include "core/err.h"

#define NPMRC_SIZE_MAX    ((size_t)1 << 20)  /* bytes of a file; with CA certificates ~10 KB */
#define NPMRC_LINES_MAX   5000u              /* of a file; keys are searched one by one then */
#define NPMRC_MEMORY_MAX  ((size_t)16 << 20) /* all sources, after ${VAR} */
#define NPMRC_SECRET_MAX  8192u              /* characters of a token; a header has to carry it */
#define NPMRC_URL_MAX     8192u              /* bytes of a URL that is looked up */
#define NPMRC_ENV_KEY_MAX 1024u              /* bytes of the name of an npm_config_* variable */

struct npmrc;

struct npmrc_options {
	const char *project_dir;      /* its .npmrc; NULL: no project file */
	const char *const *overrides; /* "key=value", NULL-terminated, of two the last; or NULL */
	const char *const *env;       /* NULL: this process's */
	/* The public registry, for which locks are written as if it were any registry, and which
	 * is the last resort. NULL: what npm said when this program was built; "": none. */
	const char *public_registry;
};

/* Borrows nothing. A file that is not there is no error; one that cannot be read, or is past a
 * limit, is. */
int npmrc_load_with(struct npmrc **ret, const struct npmrc_options *o, struct err *e) must_check;
int npmrc_load(struct npmrc **ret, const char *project_dir, const char *const *overrides,
	       struct err *e) must_check;
void npmrc_free(struct npmrc *rc); /* NULL is fine */

/* The value, as npm understands it: booleans are "true" or "false", paths absolute. NULL: not
 * set in any source, or null. Of a list the first. Borrowed from rc, as all strings below. */
const char *npmrc_get(const struct npmrc *rc, const char *key);
size_t npmrc_list(const struct npmrc *rc, const char *key, const char *const **ret);
bool npmrc_bool(const struct npmrc *rc, const char *key, bool otherwise);
int64_t npmrc_int(const struct npmrc *rc, const char *key, int64_t otherwise);

/* npm's own setting, 0 unless set: masks the modes of files, beside the process's umask. */
unsigned npmrc_umask(const struct npmrc *rc);

/* What omit, include, production, dev, optional, only, also and NODE_ENV leave out: OMIT_* of
 * lock/select.h. */
unsigned npmrc_omit(const struct npmrc *rc);

/* The registry of a package, by its scope; name NULL: the default one. -EDESTADDRREQ with a
 * sentence that says what to set, when none is known, or the highest source that has one has no URL
 * (npm would ask the next source's). */
int npmrc_registry_for(const struct npmrc *rc, const char *name, const char **ret,
		       struct err *e) must_check;

/* The public registry's URL, or NULL when none is known. */
const char *npmrc_public_registry(const struct npmrc *rc);

struct npmrc_auth {
	char *authorization;            /* the header's value ("Bearer ..."), or NULL; owned */
	const char *certfile, *keyfile; /* both or neither */
};

/* What is to be sent with a request for `url`: the keys of its own path, upward to its host;
 * none there, and `registry` (may be NULL) stands on the same host and port, then those of the
 * registry. Where a configured registry speaks TLS, nothing goes to its host without. A name and
 * password in the URL itself do when nothing else does. -EINVAL: not a URL, if there are
 * any credentials, or a secret with characters that no header may have. */
int npmrc_auth_for(const struct npmrc *rc, const char *url, const char *registry,
		   struct npmrc_auth *ret, struct err *e) must_check;
void npmrc_auth_release(struct npmrc_auth *a);
#define auto_npmrc_auth cleanup(npmrc_auth_release)

/* The proxy for a URL, NULL: none. https-proxy, then proxy, then the environment; noproxy and
 * NO_PROXY by segments from the right. */
const char *npmrc_proxy_for(const struct npmrc *rc, const char *url);
