/* patch.h - one changed file as git writes it into a patch, which is what patch-package reads.
 *
 * The words are those of `git diff --no-color`: "diff --git", modes 100644 and 100755 and no
 * others, "new file mode", "deleted file mode", "index", "---", "+++" and hunks (core/linediff.h).
 * Paths stand as they are, because patch-package does not know git's quotes. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

struct patch_side {
	bool there, executable;
	struct slice bytes;
};

/* Appends what leads from one to the other: 1, or 0 if nothing differs. -EOPNOTSUPP: nobody could
 * read it from a patch, and nothing was appended; the sentence says why (a binary file, of which
 * patch-package would make an empty one; a path with control characters or quotes). */
int patch_add(struct buf *out, const char *path, const struct patch_side *old,
	      const struct patch_side *fresh, struct err *e) must_check;
