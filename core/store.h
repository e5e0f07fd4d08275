/* store.h - package blobs on disk, found by the digest that a lock names.
 *
 *   <dir>/ab/cd/abcd....dxp   blobs, named by their content hash, mode 0444
 *   <dir>/index               the DXSTORE table: digest -> blob (a cache, rebuildable;
 *                             drawn in store_priv.h)
 *   <dir>/lock                empty; whoever changes the store holds its flock for a moment
 *   <dir>/claims              empty; locks on its bytes say who is bringing what
 *   <dir>/tmp/                files being written
 *   <dir>/quarantine/         blobs that failed a check
 *   <dir>/roots/              what mounts and locks name, for gc; each file under flock
 *
 * Several processes may use one store at once. Behind the writable one there may be
 * read-only stores, searched in turn.
 *
 * Who is believed: a folder, index or blob that is not owned by the caller or root, or that group
 * or others may write, is refused (-EPERM). A store behind may also be another user's, who is
 * believed because the caller named the store (in a user namespace everybody outside looks like
 * one such user). Then all of it must be of that user, the caller or root, and each of its blobs
 * is verified in full before its first use by a process, whatever the index says. That the bytes
 * are those of the digest is that user's word: name no store of somebody whose programs you
 * would not run.
 *
 * There is no fsync per package: a record is trusted if it was made in this boot or marked
 * synced (after syncfs); any other blob is verified in full before its first use. A power cut
 * may cost a new download, never wrong bytes. */
#pragma once
#include "core/dxp.h"

struct store;

struct store_options {
	const char *dir; /* NULL: store_default_dir() */
	/* Read-only stores, NULL-terminated; NULL: those of $DX_STORE_BEHIND, with colons between.
	 */
	const char *const *behind;
	bool read_only;    /* never write to `dir` either */
	unsigned open_max; /* descriptors kept open; 0: STORE_OPEN_MAX */
};
#define STORE_OPEN_MAX   100
#define STORE_BEHIND_MAX 8 /* each is asked for every package that none before it has */

/* $DX_STORE, else $XDG_DATA_HOME/dx/store, else $HOME/.local/share/dx/store; caller frees. */
char *store_default_dir(void) must_check;

/* Makes the folder and index if they are not there. One that is there and may not be written
 * (permissions, a read-only file system) is opened as if read_only was set. A damaged index is
 * rebuilt from the blobs; one of a later version is refused (-EPROTONOSUPPORT). */
int store_open(struct store **ret, const struct store_options *o, struct err *e) must_check;
void store_close(struct store *s); /* NULL is fine; packages must have been released */
const char *store_dir(const struct store *s);

/* ---- packages ---- */

/* An open package of a store, shared and counted. Its index stays in memory while the store
 * is open; its descriptor comes and goes (least recently used first, never while a read is
 * under way). */
struct pkg;

/* Is it here (in any of the stores)? Looks only in the indexes: no blob is opened. */
bool store_has(struct store *s, const struct digest *key);

/* The bytes of its blob, 0 when it is not here. As cheap as store_has(). */
uint64_t store_size(struct store *s, const struct digest *key);

/* -ENOENT: not here. -EBADMSG: it was here and bad; it has been quarantined and the next
 * access may fetch it anew. The blob's header must carry `key`. Thread-safe. */
int store_get(struct store *s, const struct digest *key, struct pkg **ret,
	      struct err *e) must_check;
void pkg_release(struct pkg *p);
const struct dxp *pkg_dxp(const struct pkg *p);

/* As dxp_read; on -EBADMSG the blob has been quarantined. -ENOENT: the blob has been removed
 * while its descriptor was closed (gc without our root). After both the package is out of the
 * table: release it, and the next store_get looks afresh. */
ssize_t pkg_read(struct pkg *p, uint32_t entry, enum dxp_form form, void *buf, size_t n,
		 uint64_t off, struct err *e) must_check;

/* ---- changing ---- */

#define STORE_PUT_UNPINNED 1u /* the key is DIGEST_UNPINNED: found by it, proven by nothing */

/* Writes a package and its record: temporary file, rename, record. A package that is here
 * already is checked and kept, and the new one dropped (*ret_existed). The same key with
 * other content is refused: -EEXIST, the sentence names both; the same files under another
 * name of the package (an alias) are not other content. -ENOSPC, -EROFS, -EDQUOT from
 * the file system leave the store as it was. Under `meta->key` (else `meta->sha512`). */
int store_put(struct store *s, const struct dxp_meta *meta, const struct dxp_file *files,
	      size_t count, unsigned flags, bool *ret_existed, struct err *e) must_check;

/* Several processes that bring packages into one store share the work: who is about to bring one
 * claims it until it has been put. 1: it is the caller's (also where nobody can be asked); 0:
 * another process has it. One claim a process; it ends with the process, whatever happened.
 * Claims are advice: store_put() never needs one. */
int store_claim(struct store *s, const struct digest *key);
void store_unclaim(struct store *s, const struct digest *key);

/* syncfs, then every record made in this boot is marked synced. A store that has been removed
 * meanwhile is nothing to sync (0), and nothing is made in it. */
int store_sync(struct store *s, struct err *e) must_check;

struct store_item {
	struct digest key;
	struct hash128 content;
	uint64_t size;  /* bytes of the blob */
	int64_t used_s; /* last use, seconds since the epoch; coarse (an hour) */
	bool synced, unpinned;
	char name[256], version[128]; /* from the blob's header; "" if nobody asked, or it is bad */
};

/* Every record of the writable store; with `open_blobs` each blob's header is read for name
 * and version. fn returning non-zero stops with that. */
int store_list(struct store *s, bool open_blobs,
	       int (*fn)(void *arg, const struct store_item *item), void *arg,
	       struct err *e) must_check;

struct store_verify_result {
	uint64_t blobs, bytes, bad;
};
/* Checks every blob in full with `threads` threads; a bad one is reported through fn (its
 * name, what is wrong) and moved to quarantine; blobs without a record get one. Safe beside
 * mounts and fetches. */
int store_verify(struct store *s, unsigned threads,
		 void (*fn)(void *arg, const char *blob, const char *what), void *arg,
		 struct store_verify_result *ret, struct err *e) must_check;

/* Removes the blobs that no root names, in small batches: others put and read meanwhile. A
 * blob is as young as its last put or first use by a process, whichever is later (to the
 * hour). Roots that count are those held by a process, however old, and those left less than
 * root_age_s ago; the others are removed. A root that is held and damaged: -EBADMSG, nothing
 * is removed. Quarantined files older than root_age_s go as well. */
struct store_gc_options {
	unsigned grace_s;    /* younger blobs stay; a day is usual */
	unsigned root_age_s; /* roots whose owner is gone count for so long; 30 days is usual */
	bool dry_run;
};
struct store_gc_result {
	uint64_t kept, removed, removed_bytes;
};
int store_gc(struct store *s, const struct store_gc_options *o,
	     void (*fn)(void *arg, const struct store_item *gone), void *arg,
	     struct store_gc_result *ret, struct err *e) must_check;

/* ---- roots ---- */

/* A root says "these are needed": <dir>/roots/<id>, digests, held under flock while the owner
 * lives. store_root_set replaces its content whole. Several processes may hold one id: the last
 * to set it decides. Closing keeps the file: a project that is not mounted now is still wanted
 * for a while, until gc finds the root too old. */
struct store_root;
#define STORE_ROOT_ID_MAX 128 /* letters, digits, '.', '_', '-'; no '.' at the start */
int store_root_open(struct store_root **ret, struct store *s, const char *id,
		    struct err *e) must_check;
int store_root_set(struct store_root *r, const struct digest *keys, size_t count,
		   struct err *e) must_check;
void store_root_close(struct store_root *r);

struct store_stats {
	uint64_t packages, bytes, quarantined;
	uint64_t hits, misses, opens; /* of this process */
};
int store_stats(struct store *s, struct store_stats *ret, struct err *e) must_check;
