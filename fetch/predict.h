/* predict.h - which packages are likely to be touched after which: what mounts have seen so far.
 *
 * A Markov chain over package names. For each name it counts how often it was seen, and which names
 * followed within the next PREDICT_WINDOW first accesses, and how often. Names and not versions,
 * because what a tool does first is the same from version to version and from project to project.
 * With each name goes how often it was the first of a mount, and which dependencies it has had: one
 * that a later version brings has not been left alone so far, it was not there. And how often it
 * was a stray: loaded by those who do not depend on it, as they do who try what may be there.
 *
 * It is kept in <store>/predict, shared by all mounts, and bounded: PREDICT_NAMES_MAX names (the
 * longest unseen go first), PREDICT_LINKS followers each (the rarest go first). Counts of a name
 * are halved when they reach PREDICT_SEEN_MAX, so that new habits outweigh old ones. The file is a
 * cache: one that is damaged or of another version is said so once, and made anew.
 *
 * The file, all integers little-endian:
 *   0   "DXGUESS\0"      8
 *   8   u32 version      4   2
 *   12  u32 size         4   of the file
 *   16  check           16   XXH3-128 of all bytes from 32 on
 *   32  u32 names, links, text, clock   text: bytes; clock: counts how often something was learned
 *   48  zero            16
 *   64  names           40 each: u32 text offset, u32 first link, u16 text length, u16 links,
 *                          u32 seen, u32 last (the clock when it was last seen), u32 first (how
 *                          often of a mount), u64 dependencies (predict_dep() of each, or'ed),
 *                          u32 stray (how often), u32 zero
 *       links            8 each: u32 name, u32 count; a name's run follows that of the name before
 *       text                names, one behind the other, no NUL
 * Counts are in sixteenths. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

#define PREDICT_NAMES_MAX 8192u /* of real projects all tools together name some 3,000 */
#define PREDICT_LINKS     32u
#define PREDICT_WINDOW    24u
#define PREDICT_ONE       16u /* a count of one */
#define PREDICT_SEEN_MAX  (64u * PREDICT_ONE)
#define PREDICT_NAME_MAX  255u
#define PREDICT_LEARN_MAX 4096u /* accesses that one call learns from; a store has fewer */
#define PREDICT_FILE_MAX  ((size_t)6 << 20) /* what the limits above allow, rounded up */
#define PREDICT_NONE      UINT32_MAX

struct predict;
struct predict *predict_new(void) must_check; /* empty; NULL: out of memory */
void predict_free(struct predict *m);         /* NULL is fine */

/* The whole file's bytes, checked. -EBADMSG, -EPROTONOSUPPORT: a later version, -ENOMEM. */
int predict_parse(struct predict **ret, struct slice bytes, struct err *e) must_check;
int predict_render(const struct predict *m, struct buf *ret) must_check; /* -ENOMEM, -E2BIG */

/* <dir>/predict; an empty one when there is none. As predict_parse; -EPERM: others may write it. */
int predict_load(struct predict **ret, const char *dir, struct err *e) must_check;

/* What was touched for the first time, in this order. */
struct predict_touch {
	const char *name; /* NULL separates what had nothing to do with one another */
	uint64_t deps;    /* predict_dep() of each; all ones: not known */
	bool stray;       /* nobody who was touched depends on it, nor does the project */
};
struct predict_run {
	const struct predict_touch *touches;
	size_t count;    /* those past PREDICT_LEARN_MAX are left out */
	bool from_mount; /* the first was the first of its mount */
};

/* A dependency as one bit of 64. Two names may share it, and one that is new then counts as known:
 * no harm but a guess less. */
uint64_t predict_dep(const char *name);

int predict_learn(struct predict *m, const struct predict_run *run) must_check; /* -ENOMEM */

/* The same into the file, under a lock, so that daemons that write at once lose nothing of one
 * another; -EBUSY when the lock is not to be had within seconds. A damaged file is replaced. The
 * errors of the file system, also -EROFS and -EACCES for who may only read the store. */
int predict_learn_file(const char *dir, const struct predict_run *run, struct err *e) must_check;

/* ---- questions ---- */

struct predict_link {
	uint32_t to, count;
};

uint32_t predict_count(const struct predict *m);
uint32_t predict_find(const struct predict *m, const char *name); /* PREDICT_NONE */
uint32_t predict_seen(const struct predict *m, uint32_t id);
uint32_t predict_first(const struct predict *m, uint32_t id);
uint32_t predict_stray(const struct predict *m, uint32_t id);

/* Has a version of it that was seen depended on this one, as far as is known? */
bool predict_had_dep(const struct predict *m, uint32_t id, const char *name);

/* Borrowed until the next predict_learn. */
const struct predict_link *predict_links(const struct predict *m, uint32_t id, uint32_t *ret_count);
