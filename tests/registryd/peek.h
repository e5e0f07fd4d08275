/* peek.h - the package.json of a tarball, as a registry reads it at publish time.
 *
 * Deliberately not fetch/'s tar reader: the test registry must not share the mistakes
 * of the program it tests. It reads gzip (several members too) or a raw tar. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

#define PEEK_TAR_MAX (1024u << 20) /* the largest real tarballs unpack to some 200 MiB */

/* The bytes of `<any folder>/package.json`, the last one if it stands there twice.
 * -ENOENT when there is none, -EBADMSG when gzip cannot read it; the caller frees. */
int peek_package_json(struct slice tarball, char **ret, size_t *ret_len, struct err *e) must_check;
