/* tar.h - from the bytes of a tar archive to the files that npm would leave on disk.
 *
 * What npm does with an archive is the specification, oddities included: which blocks are
 * headers, which entries count, what their paths become, who wins when two entries claim one
 * path. Only regular files survive; the first component of each path goes; an entry that npm
 * would warn about and skip is skipped. Nothing is copied: the files' bytes are slices of the
 * archive. */
#pragma once
#include "core/arena.h"
#include "core/dxp.h"

/* Names and the tree while it is built. An archive of a million files needs half of it. */
#define TAR_MEMORY_MAX ((size_t)256 << 20)
/* Linux refuses longer path names (PATH_MAX, its NUL and the leading slash counted), so npm
 * skips such entries wherever it unpacks. */
#define TAR_PATH_MAX 4094
#define TAR_NAME_MAX 255 /* of a file system; longer names: npm skips the entry */

struct tar_listing {
	struct dxp_file *files; /* owned; in no promised order */
	size_t count;
	struct arena arena; /* the paths; for the caller too, same life */
};
#define TAR_LISTING_INIT                                                                           \
	{                                                                                          \
		.arena = ARENA_INIT(TAR_MEMORY_MAX)                                                \
	}

/* Reads a whole archive; `archive` must outlive the listing. has_mended is false everywhere.
 * -EBADMSG: not a tar archive, truncated, or one over which npm fails too; -E2BIG: more entries
 * or longer names than the limits; -ENOMEM. On failure the listing is empty. */
int tar_read(struct tar_listing *ret, struct slice archive, struct err *e) must_check;
void tar_release(struct tar_listing *l);
