/* pack.h - tarballs that only npm can make: git repositories and folders.
 *
 * `npm pack --ignore-scripts` is run in a folder of its own, without a shell, without install
 * scripts, and killed when it takes too long. It brings git, the hosts' shortcuts, "prepare"
 * apart, and npm-packlist, none of which is worth a second implementation. */
#pragma once
#include "core/err.h"

#define PACK_TIMEOUT_MS  (5 * 60 * 1000)
#define PACK_TARBALL_MAX ((size_t)1 << 30) /* bytes; npm's registry takes far less */

/* The tarball's bytes; the caller frees *ret. `spec` never reaches an option of npm's: it is
 * refused if it begins with '-'. -EOPNOTSUPP: there is no npm here; -ETIMEDOUT; -EREMOTEIO: npm
 * failed, the sentence has what it said; `tmp_dir` NULL: /tmp. A `stop` that becomes true ends
 * it with -ECANCELED. */
int pack(char **ret, size_t *ret_len, const char *spec, const char *tmp_dir,
	 const _Atomic bool *stop, struct err *e) must_check;
