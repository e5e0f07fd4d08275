/* dxp.h - a package, unpacked, in one file: reader and writer of the .dxp format.
 *
 *   0    "DXP\0"                         4    magic
 *   4    u32 version                     4    1
 *   8    content hash                   16    of every byte of the file but these 16
 *   24   index hash                     16    of header and index but these 16 and those 16
 *   40   u64 size                        8    of the whole file, a multiple of 512
 *   48   u32 entries, mended            4+4
 *   56   u32 bytes of names              4
 *   60   u16 bytes of name, of version  2+2   of the package
 *   64   digest sha512                  72    u8 algorithm, u8 length, 6 zero, 64 bytes
 *   136  digest key                     72    the same; zero when the lock names the sha512
 *   208  entries                        40 each:
 *          u32 name offset, u8 name length, u8 flags (1 directory, 2 has a mended form),
 *          u16 mode, u32 parent, u32 first block of 512 (directory: first child),
 *          u64 size (directory: number of children), 16 XXH3-128 of the bytes
 *        mended forms                   32 each, sorted by entry:
 *          u32 entry, u32 first block, u64 size, 16 XXH3-128
 *        names                          of the entries, in their order, without separators
 *        name NUL, version NUL          of the package
 *        zeros to a multiple of 512
 *        payloads                       each followed by zeros to a multiple of 512
 *
 * Integers are little-endian, hashes in canonical form. Entries stand breadth first. An empty
 * payload has block 0; an empty directory has first child 0. Payloads follow one another
 * without gaps, in the order of the entries that first use them (a mended form after its
 * plain one).
 *
 * A blob is immutable. Entry 0 is the package's root directory; a directory's children are
 * one contiguous run, sorted by name bytes. Payloads are uncompressed, start at multiples of
 * 512 bytes and are zero-padded to the next one, so that EROFS can serve the same file one
 * day. Equal payloads are stored once. Modes are the tar header's low twelve bits as they
 * stood there; npm's formula is applied where they are shown.
 *
 * A file whose first line is a shebang that ends in CR LF is kept both ways: npm rewrites it
 * when it is a bin's target, and the tree decides which one is shown. */
#pragma once
#include "core/err.h"
#include "core/hash.h"
#include "core/sri.h"

#define DXP_ENTRIES_MAX (1u << 21) /* an entry's number has 21 bits in a node id */
#define DXP_NONE        UINT32_MAX

enum dxp_type { DXP_DIR, DXP_FILE };
enum dxp_form { DXP_PLAIN, DXP_MENDED }; /* as packed; with the shebang line mended */

/* ---- writing ---- */

struct dxp_file {
	struct slice path;  /* relative, '/'-separated, checked by ingest; no ".", "..", "" parts */
	enum dxp_type type; /* DXP_DIR only for directories that would be empty */
	uint16_t mode;      /* low twelve bits of the tar header's mode */
	struct slice bytes; /* borrowed until dxp_write returns */
	bool has_mended;    /* mended holds the file as npm rewrites it for a bin */
	struct slice mended;
};

struct dxp_meta {
	const char *name, *version; /* of the package, UTF-8, may be "" */
	struct digest sha512;       /* of the tarball's bytes as they came */
	struct digest key;          /* the lock's own digest, when it is another; else zero */
};

/* Writes a blob to `fd` (an empty file) and gives its content hash. Deterministic: the same
 * files in any order and the same meta give the same bytes. Directories that no file names
 * have mode 0755. -EINVAL for a path that is not clean (a name has at most 255 bytes) or
 * stands twice, or a file used as a directory; -E2BIG past DXP_ENTRIES_MAX; -ENOSPC and the
 * like from write. Payloads are written from where they lie. Memory: about a hundred bytes
 * an entry. */
int dxp_write(int fd, const struct dxp_meta *meta, const struct dxp_file *files, size_t count,
	      struct hash128 *ret_content, struct err *e) must_check;

/* ---- reading ---- */

/* An opened blob: header and index in memory, checked whole; the descriptor is not kept.
 * Immutable but for the marks of files already verified (atomic), so threads may share it. */
struct dxp;

struct dxp_entry {
	struct slice name; /* "" for the root; borrowed from the dxp */
	enum dxp_type type;
	uint16_t mode;
	bool has_mended;
	uint32_t parent;                /* entry number; 0 for the root itself */
	uint32_t first_child, children; /* directories: entries first_child .. +children-1 */
	uint64_t size;                  /* DXP_PLAIN form */
	uint64_t mended_size;           /* if has_mended */
};

/* Checks magic, version, sizes, every offset, names, order, and the hash over header and
 * index. `fd` is borrowed. -EBADMSG: not a whole, sound blob (the sentence says what);
 * -EPROTONOSUPPORT: a version that this program does not know. */
int dxp_open(struct dxp **ret, int fd, struct err *e) must_check;
void dxp_close(struct dxp *p); /* NULL is fine */

/* Forgets which files were verified: the next read of each checks its hash again. */
void dxp_forget(const struct dxp *p);

/* Do two blobs hold the same files (names, modes, bytes by their hashes), whatever name and
 * digests their packages have? */
bool dxp_same_files(const struct dxp *a, const struct dxp *b);

const struct dxp_meta *dxp_meta(const struct dxp *p);
struct hash128 dxp_content(const struct dxp *p); /* as the header claims; dxp_verify proves */
uint64_t dxp_size(const struct dxp *p);          /* of the whole file, in bytes */
uint32_t dxp_count(const struct dxp *p);         /* entries, the root included; >= 1 */
void dxp_entry(const struct dxp *p, uint32_t i, struct dxp_entry *ret); /* i < count */

/* By name in a directory, by path from the root ("a/b/c"); DXP_NONE when there is none. */
uint32_t dxp_child(const struct dxp *p, uint32_t dir, struct slice name);
uint32_t dxp_lookup(const struct dxp *p, struct slice path);

/* Reads up to n bytes of file i at `off` from the blob's descriptor: the count, 0 at the end.
 * The first read of a file checks the whole file's hash: -EBADMSG when it does not match.
 * Thread-safe. */
ssize_t dxp_read(const struct dxp *p, int fd, uint32_t i, enum dxp_form form, void *buf, size_t n,
		 uint64_t off, struct err *e) must_check;

/* Checks the whole blob: content hash, every payload, padding. */
int dxp_verify(int fd, struct hash128 expect, struct err *e) must_check;

/* Both in one: every file of the dxp counts as verified. */
int dxp_open_verified(struct dxp **ret, int fd, struct hash128 expect, struct err *e) must_check;
