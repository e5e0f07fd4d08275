/* source.h - where the bytes of a package come from, as npm decides it.
 *
 *   resolved is http(s)   that URL; its host is replaced by the configured registry's only as
 *                         replace-registry-host says (by default: only the public registry's),
 *                         for anything freer would be dependency confusion
 *   file:...tgz           a file, relative to the project's folder
 *   git..., a folder      `npm pack` makes the tarball
 *   none                  the usual shape on the registry of the name's scope; since nobody
 *                         promised that shape, a 404 there means: ask the packument */
#pragma once
#include "fetch/fetch.h"
#include "fetch/npmrc.h"

#define SOURCE_NAME_MAX    512u /* bytes of a name with its scope; npm allows 214 */
#define SOURCE_VERSION_MAX 256u /* semver's own limit */

enum source_kind { SOURCE_URL, SOURCE_FILE, SOURCE_PACK };

struct source {
	enum source_kind kind;
	char *what;           /* the URL; the file's path; the spec for npm pack. Owned */
	const char *registry; /* whose credentials may go with it; borrowed from the npmrc; NULL */
	bool guessed;         /* of the usual shape: a 404 is not the last word */
};

/* -EINVAL: nothing that can be asked for, -EDESTADDRREQ: no registry is known, -EOPNOTSUPP: a kind
 * of source that neither this nor npm fetches. The sentence does not name the package. */
int source_of(struct source *ret, const struct npmrc *rc, const char *project_dir,
	      const struct fetch_pkg *p, struct err *e) must_check;
void source_release(struct source *s);
#define auto_source cleanup(source_release)

/* Adds to a key by which answers of this URL are kept what of the settings decides who may give
 * them (proxy, CAs, strict-ssl): what a project's .npmrc says of that is the project's own risk,
 * and must not reach others that share the store. */
void source_trust(struct buf *b, const struct npmrc *rc, const char *url);

/* The same replacement for a URL that a packument gave; the caller frees *ret. */
int source_rewrite(char **ret, const struct npmrc *rc, const char *url, struct err *e) must_check;

/* <registry>/<name>, with the scope's slash escaped; the caller frees. */
int source_packument(char **ret, const char *registry, const char *name, struct err *e) must_check;
