/* ingest.h - from the bytes of a tarball to a package in the store.
 *
 * The digest is checked before anything is unpacked; then gunzip.h, tar.h, and each script whose
 * first line ends in CR LF is kept mended too, as npm rewrites it where it is a bin. The bytes
 * decide what is in a package, never its package.json; bundled dependencies are folders like
 * any other.
 *
 * Everything here is called by a worker thread: it takes as long as unpacking takes, and memory
 * of about the unpacked size up to GUNZIP_MEMORY_MAX (what is larger goes through an unnamed file
 * in the store's folder). Sentences do not name the package; the caller puts that in front. */
#pragma once
#include "core/store.h"
#include "fetch/gunzip.h"
#include "fetch/tar.h"

/* npm looks for the shebang line in so much of a file. */
#define INGEST_SHEBANG_MAX 2048
/* Larger files are not mended. Scripts with a shebang line are thousands of times smaller. */
#define INGEST_MEND_MAX ((size_t)64 << 20)

/* ---- unpacking alone ---- */

struct ingest_files {
	struct gunzipped archive;
	struct tar_listing list; /* list.files, list.count; bytes are slices of the archive */
};
#define INGEST_FILES_INIT                                                                          \
	{                                                                                          \
		.list = TAR_LISTING_INIT                                                           \
	}

/* The tarball must outlive the files. `o` may be NULL. -EBADMSG: damaged, not an archive, or
 * one over which npm fails too; -E2BIG past a limit; -ENOMEM, -ENOSPC and the like. On failure
 * nothing is held. */
int ingest_unpack(struct ingest_files *ret, struct slice tarball, const struct gunzip_options *o,
		  struct err *e) must_check;
void ingest_files_release(struct ingest_files *f);
#define auto_ingest_files cleanup(ingest_files_release)

/* ---- into the store ---- */

struct ingest_request {
	const char *name, *version;     /* for the blob's header; NULL is "" */
	const char *integrity;          /* the lock's text, NULL if it has none */
	struct digest key;              /* under which it will be looked up; zeroed: its SHA-512 */
	struct gunzip_scratch *scratch; /* the thread's; NULL */
};

struct ingest_result {
	struct digest sha512; /* of the tarball */
	bool existed;         /* the store had it already */
	size_t files;
};

/* `sha512` of the tarball where it was computed while the bytes came, else NULL. An integrity
 * must be understood (-EINVAL) and match; a key that is a digest must match too, or stand in the
 * integrity beside one that does; DIGEST_UNPINNED keys are taken as they are. -EBADMSG: another
 * digest, the sentence names both; else as ingest_unpack and store_put. */
int ingest(struct store *s, const struct ingest_request *rq, struct slice tarball,
	   const struct digest *sha512, struct ingest_result *ret, struct err *e) must_check;
