/* store_priv.h - what the files of the store share: its index on disk and its state.
 *
 * The index, <dir>/index, all integers little-endian:
 *   0    "DXSTORE\0"        8    magic
 *   8    u32 version        4    1
 *   12   u32 record size    4    128
 *   16   u64 capacity       8    records, a power of two
 *   24   u64 generation     8    counts the files that have stood here
 *   32   check             16    XXH3-128 of the 32 bytes before
 *   48   u32 moving         4    set before this file is replaced: look whether it was
 *   52   u32 used, dead   4+4    records in use and removed, about; 4 zero
 *   64   zeros to 4096
 *   4096 records            128 each, found by the key's first bytes with linear probing:
 *     0    check            8    the first half of the XXH3-128 of bytes 8 to 119
 *     8    u32 state        4    0 never used, 1 in use, 2 removed
 *     12   u8 algorithm, u8 flags (1 synced, 2 unpinned), u16 zero
 *     16   digest          64    the key, zero-padded
 *     80   content         16    names the blob
 *     96   u64 size         8    of the blob
 *     104  boot            16    XXH3-128 of the boot's id; zero: unknown
 *     120  u32 last use     4    hours since the epoch; changes without the check
 *     124  zero             4
 *
 * The file is mapped for reading and changed with pwrite, so that a full disk is an error and
 * not a SIGBUS. Writers of all processes and threads exclude one another by flock on
 * <dir>/lock, which each opens for itself; readers take no lock and rely on the checks. A
 * table that is full is replaced by a new file. */
#pragma once
#include "core/store.h"

#include <endian.h>
#include <pthread.h>
#include <sys/stat.h>

#define INDEX_VERSION      1
#define INDEX_HEAD         4096u
#define INDEX_CAPACITY_MIN 4096u
#define INDEX_CAPACITY_MAX (1u << 24) /* 2 GiB of index; some 12 million packages */

struct index_head {
	uint8_t magic[8];
	uint32_t version, record_size;
	uint64_t capacity, generation;
	uint8_t check[16];
	uint32_t moving, used, dead, zero;
};

enum record_state { RECORD_EMPTY, RECORD_USED, RECORD_DEAD };
#define RECORD_SYNCED   1u
#define RECORD_UNPINNED 2u

struct record {
	uint8_t check[8];
	uint32_t state;
	uint8_t alg, flags;
	uint16_t zero;
	uint8_t key[64];
	uint8_t content[16];
	uint64_t size;
	uint8_t boot[16];
	uint32_t used_h;
	uint32_t zero2;
};

_Static_assert(sizeof(struct index_head) == 64, "DXSTORE header");
_Static_assert(offsetof(struct index_head, check) == 32, "DXSTORE header check");
_Static_assert(sizeof(struct record) == 128, "DXSTORE record");
_Static_assert(offsetof(struct record, used_h) == 120, "DXSTORE record check");

/* ---- the index (store_index.c) ---- */

struct index {
	int fd;             /* -1: closed */
	const uint8_t *map; /* the whole file, for reading; NULL: read each time, for a file
			     * that others may cut short would kill who has it mapped */
	size_t len;
	uint32_t capacity;
	dev_t dev;
	ino_t ino;
	bool in_memory; /* stands for one that could not be written; never replaced */
};
#define INDEX_CLOSED                                                                               \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Not `writable`: another's, not mapped. `owner` as of a volume. -ENOENT: no file; -EBADMSG:
 * garbage; -EPROTONOSUPPORT: later version; -EPERM: owner. */
int index_open(struct index *ret, int dir, uid_t owner, bool writable, struct err *e) must_check;
void index_close(struct index *ix);

/* A new file with these records in the place of <dir>/index; in memory if dir is -1. Records
 * that are not in use or fail their check are left out. Under the lock. */
int index_build(struct index *ret, int dir, const struct record *records, size_t count,
		uint64_t generation, struct err *e) must_check;

/* 1 and a copy of the record, 0 when there is none, -EAGAIN when it is just being written
 * (or damaged). */
int index_find(const struct index *ix, const struct digest *key, struct record *ret,
	       uint32_t *ret_slot);

/* The next sound record at or after *slot, which moves on; false at the end. */
bool index_next(const struct index *ix, uint32_t *slot, struct record *ret);

/* Has the file been replaced? Costs nothing unless somebody was about to. */
bool index_replaced(const struct index *ix, int dir);
uint64_t index_generation(const struct index *ix);

/* Under the lock. index_put: -EXFULL when the table must be built anew first. */
int index_put(const struct index *ix, struct record *rec) must_check;
int index_update(const struct index *ix, uint32_t slot, struct record *rec) must_check;
int index_kill(const struct index *ix, uint32_t slot) must_check;

/* Without the lock: last use is nobody's truth. */
void index_touch(const struct index *ix, uint32_t slot, uint32_t used_h);

struct record record_make(const struct digest *key, struct hash128 content, uint64_t size,
			  const uint8_t boot[16], unsigned flags);
struct digest record_key(const struct record *rec);
struct hash128 record_content(const struct record *rec);

/* ---- the store ---- */

/* One folder of blobs: the writable one or one behind it. */
struct volume {
	char *path; /* owned */
	int dir;
	uid_t owner; /* who is believed besides the caller and root; those two if no other is */
	bool read_only;
	struct index ix;     /* guarded by store.mu; replaced only under the lock as well, so
			      * that whoever holds the lock may read it without mu */
	struct hash128 *bad; /* blobs that failed and could not be moved away; guarded by mu */
	size_t bad_count;
};
#define STORE_BAD_MAX 4096 /* of a volume; a store with more is beyond use */

struct store {
	struct volume *volumes; /* [0] is the one that is written */
	size_t volume_count;
	uint8_t boot[16];
	unsigned open_max;
	int claims; /* <dir>/claims, -1: not open; guarded by mu until it is */

	pthread_mutex_t mu;                /* taken last, never held over I/O on blobs */
	struct pkg **table;                /* by key, open addressing; guarded by mu, owned */
	uint32_t table_size, table_filled; /* guarded by mu */
	struct pkg *recent, *oldest;       /* those with a descriptor; guarded by mu */
	unsigned open_count;               /* guarded by mu */
	uint64_t hits, misses, opens;      /* guarded by mu */
};

#define BLOB_PATH_LEN 48 /* "ab/cd/" + 32 + ".dxp" + NUL, rounded up */
void blob_path(struct hash128 content, char ret[BLOB_PATH_LEN]);

/* The content hash that a blob's path names; false when it names none. */
bool path_content(const char *path, struct hash128 *ret);

/* The digest under which a blob is found. */
const struct digest *meta_key(const struct dxp_meta *m);

/* 0, or -EPERM with a sentence: not the caller's, root's or the owner's, or others may write. */
int owner_check(const struct stat *st, uid_t owner, const char *what, struct err *e) must_check;

/* Opens a blob for reading and checks its owner. -ENOENT without a sentence. */
int blob_open(const struct volume *v, struct hash128 content, int *ret_fd, struct stat *ret_st,
	      struct err *e) must_check;

/* The lock of a volume's writers, with the index as it is now. */
int volume_lock(struct store *s, struct volume *v, int *ret_lock, struct err *e) must_check;
void volume_unlock(int *lock);
#define auto_unlock cleanup(volume_unlock)

/* As index_find, in the index as it is now; takes mu. */
int volume_find(struct store *s, struct volume *v, const struct digest *key, struct record *ret,
		uint32_t *ret_slot);

/* Under the lock: adds or replaces the record; a full table is built anew. */
int volume_record(struct store *s, struct volume *v, struct record *rec, struct err *e) must_check;

/* A copy of all records, by the caller freed. */
int volume_records(struct store *s, struct volume *v, struct record **ret, size_t *ret_count,
		   struct err *e) must_check;

/* Moves a bad blob away and removes its record, or remembers it if neither can be done. `st`
 * is the file that was bad: another one that has come to its place meanwhile stays. */
void volume_quarantine(struct store *s, struct volume *v, struct hash128 content,
		       const struct digest *key, const struct stat *st);

/* Removes the record if its blob is (still) not there. */
void volume_forget(struct store *s, struct volume *v, const struct digest *key,
		   struct hash128 content);

/* Marks the record of a blob that was verified in full. */
void volume_mark(struct store *s, struct volume *v, const struct digest *key,
		 struct hash128 content);

/* Blobs that failed a check and are still in the way; they take mu. */
bool volume_bad(struct store *s, const struct volume *v, struct hash128 content);
void volume_good(struct store *s, struct volume *v, struct hash128 content);

/* How many files a folder of the store holds; none when it is not there. */
int count_folder(int dir, const char *name, uint64_t *ret) must_check;

/* Notes the last use, in hours; best effort. */
void volume_touch(struct store *s, struct volume *v, const struct digest *key, uint32_t used_h);

/* fn for each *.dxp file two folders deep; non-zero stops. -ENOENT never. */
int volume_walk(const struct volume *v, int (*fn)(void *arg, const char *path, const char *name),
		void *arg, struct err *e) must_check;

/* Records made from the headers of the blobs; the caller frees. */
int volume_salvage(const struct volume *v, struct record **ret, size_t *ret_count,
		   struct err *e) must_check;

/* Need the blob not be verified? Never so where another user has written the index. */
bool record_trusted(const struct store *s, const struct volume *v, const struct record *rec);

/* ---- temporary files (store_tmp.c): under flock while their writer lives ---- */

struct tmp {
	int dir, fd;
	char path[64]; /* relative to dir; "" when there is none (any more) */
};
#define TMP_NONE                                                                                   \
	{                                                                                          \
		.fd = -1                                                                           \
	}
int tmp_open(struct tmp *ret, int dir, struct err *e) must_check;
/* Renames it; 0 or -errno. */
int tmp_commit(struct tmp *t, const char *path) must_check;
void tmp_release(struct tmp *t); /* removes what was not committed */
#define auto_tmp cleanup(tmp_release)
void tmp_clean(int dir);

/* Sixteen hexadecimal characters that nobody else has. */
void unique_name(char ret[17]);

/* ---- packages in memory (store_pkg.c) ---- */
void packages_release(struct store *s);

/* ---- roots (store_root.c) ---- */

/* Digests, hashed. */
struct keyset {
	struct digest *keys; /* owned; algorithm 0: free */
	size_t size, count;
};
int keyset_add(struct keyset *ks, const struct digest *key) must_check;
bool keyset_has(const struct keyset *ks, const struct digest *key);
void keyset_release(struct keyset *ks);

/* Adds what the roots name that count; removes those that are over, and says that the live
 * ones live (but not in a dry run). Under the lock, so that no root is half changed. */
int roots_read(struct store *s, const struct store_gc_options *o, struct keyset *ks,
	       struct err *e) must_check;
