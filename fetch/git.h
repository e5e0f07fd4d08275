/* git.h - what a git dependency means: a commit, and the package.json there.
 *
 * As npm's pacote finds it, by the program git: the refs of the repository are asked for; a range
 * picks among tags that end in a version (the one at HEAD first, as npm's `latest`), a name is a
 * ref, nothing is HEAD. What no ref is named is looked for in a whole clone. The commit alone is
 * fetched into a folder of its own, where nothing is checked out, and removed again; neither hooks
 * nor filters nor submodules of the repository are looked at.
 *
 * Only git:, http(s):, ssh: and file: are spoken, whatever git could. Nobody is asked for a
 * password; keys and helpers that git is configured with are used. No text of a repository's
 * reaches an option of git's. */
#pragma once
#include "lock/catalog.h"
#include "lock/spec.h"

#define GIT_TIMEOUT_MS (5 * 60 * 1000)    /* of each of the two or three runs of git */
#define GIT_REFS_MAX   ((size_t)64 << 20) /* bytes; the largest known repositories list 20 MB */

/* `s` is a SPEC_GIT. -ENOENT: no such commit, or no package.json there; -EOPNOTSUPP: git is not
 * here; -EINVAL: an address that is refused; -EREMOTEIO: git failed, and the sentence has what it
 * said; -ETIMEDOUT; -E2BIG; -EBADMSG: package.json is no JSON. */
int git_package(const struct spec *s, struct catalog_git *ret, struct err *e) must_check;
