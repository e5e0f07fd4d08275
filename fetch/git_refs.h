/* git_refs.h - what `git ls-remote` prints, and npm's rules for picking from it. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

#define GIT_SHA_MAX 64 /* hex digits; 40 of SHA-1 */

struct git_ref {
	char sha[GIT_SHA_MAX + 1];
	const char *name; /* "refs/heads/main", "HEAD" */
};

struct git_refs {
	struct git_ref *list; /* owned */
	size_t count;
};
void git_refs_release(struct git_refs *r);
#define auto_git_refs cleanup(git_refs_release)

/* Lines of other forms are skipped. `text` is changed and borrowed. A tag that is an object of its
 * own gets the commit that it stands for. */
int git_refs_parse(struct git_refs *ret, char *text, size_t len, struct err *e) must_check;

/* "main", "v1.0.0", "pull/12", "refs/heads/main", "HEAD"; of several the last. NULL: none. */
const struct git_ref *git_refs_named(const struct git_refs *r, const char *name);

/* By versions of tags ("v1.2.3", "release-1.2.3"), but for overlong ones. NULL: none fits. */
const struct git_ref *git_refs_pick(const struct git_refs *r, struct slice range);

/* 40 to 64 hexadecimal digits. */
bool git_is_sha(struct slice s);
