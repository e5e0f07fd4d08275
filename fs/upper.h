/* upper.h - the writable layer of one mount: only what differs from the lower.
 *
 * The lower is what a view shows (fs/view.h): packages out of their blobs, and what the lock makes.
 * It is never written. What programs change lies in a folder, the upper, in a layout that a person
 * can read and that is its own truth: no database can disagree with it.
 *
 *   <upper>/
 *     identity            whose it is, see below
 *     tree/<path>         what lies between packages; <path> is relative to the project:
 *                         tree/node_modules/.cache/x, tree/packages/a/node_modules/.bin/tsc
 *     pkg/<key>/<path>    what lies in a package, <path> relative to its folder. <key> is
 *                         <place>@<version>~<8 hex digits of the store's key>; the place is the
 *                         package's path in the project with '/' as '+', and '+' and '%' as %2B
 *                         and %25: pkg/node_modules+@babel+core@7.1.0~0123abcd/lib/index.js.
 *                         Nested node_modules folders (and what a package bundles) lie in the
 *                         package that they stand in; the packages in them have a pkg/ of their own
 *     removed             what of the lower is gone: upper paths ("pkg/<key>/lib/a.js", "pkg/<key>"
 *                         for a whole package, "tree/node_modules/.bin/tsc"), one a line, '\n' and
 *                         '\\' in names escaped with a backslash; appended to. A last line without
 *                         its newline (power cut) does not count
 *     names               the keys that are longer than a file name may be: lines
 *                         "~<32 hex> <key>"; pkg/ then has ~<32 hex>
 *     scripts             whose install scripts have run (fs/built.h)
 *     tmp/, orphans/      files being copied up; files unlinked that somebody still has open. Both
 *                         are emptied when the upper is opened
 *
 * What a name shows: if it is not in `removed`, the lower's, and over it the upper's: two
 * directories merge, otherwise the upper hides the lower. If it is in `removed`, the upper's alone:
 * a directory made anew where one was removed does not merge, so no directory needs a mark that it
 * is opaque. A package's own folder is hidden only by its own line in `removed`: what stands in
 * tree/ at the place of a package that is there is set aside, not shown.
 *
 * From this follows that every operation has one moment at which it happens, whatever is killed:
 *
 *   unlink, rmdir  the line in `removed` (the name stays as it was while the upper has it), then
 *                  unlink(2) or rmdir(2)
 *   copy-up        a whole file in tmp/ with mode, owner and times, fsynced, then rename(2)
 *   rename         copy-up of the source, the lines in `removed` (which change nothing that
 *                  is seen), then rename(2)
 *
 * A relock needs nothing: other packages have other keys, so what was changed in foo 1 is set aside
 * while foo 2 stands there, and is back with foo 1. Nothing is walked when an upper is opened: the
 * names in pkg/ are read, and `removed`.
 *
 * fsync(2) makes a file and the folders that lead to it durable, fsync of a directory also
 * `removed`. What was not fsynced may be lost in a power cut, as on any file system; then a file of
 * a package that was renamed may stand at both names.
 *
 * `identity` has two lines, "dxfs upper 1" and "project <inode> <birth time, ns> <device>". An
 * upper whose project is another one (deleted, cloned anew) is renamed to <upper>.aside-<n> and a
 * fresh one begun, if there is a file in it; the device counts only where there is no birth time.
 * A version that is not ours is refused. The folder is under flock while it is open: two mounts
 * cannot use one upper.
 *
 * Node ids. What was copied up in place keeps the id that the view gave it; where it lies follows
 * from the id. Nodes that the lower does not have get ids from UPPER_INO_FIRST up, new in every
 * mount, which are in a table while the kernel knows them: upper_forget() counts. Files of the
 * lower that were renamed or unlinked in this mount are in the table too; an unlinked one that is
 * still known is read and written by its id until the last FORGET.
 *
 * No FUSE here; thread-safe. Changes in one directory must come one at a time, as the kernel has
 * them come. */
#pragma once
#include "fs/view.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#define UPPER_INO_FIRST ((uint64_t)1 << 52)
#define UPPER_BLOCK     2 /* the answer "ask again where it may take long" */

struct upper;

struct upper_config {
	const char *dir;         /* made if missing (mode 0700), its parent is not */
	const char *project_dir; /* whose it is */
	uid_t uid;               /* owner of everything in the lower */
	gid_t gid;
	mode_t umask; /* of this process */
};

/* -EBUSY: another mount or command has it open; -EROFS, -EACCES, -ENOSPC ... as the file system
 * says; the sentence says what to do. *ret_aside (may be NULL) is set to where the upper of another
 * project was moved, else NULL; the caller frees. */
int upper_open(struct upper **ret, const struct upper_config *c, char **ret_aside,
	       struct err *e) must_check;
void upper_close(struct upper *u); /* NULL is fine */

/* Makes whose it is last over a power cut: once, soon after opening, where nobody waits. */
void upper_settle(struct upper *u);
const char *upper_dir(const struct upper *u);

/* ---- what a mount asks ---- */

/* One question: who asks, over which view. */
struct upper_call {
	struct upper *u;
	struct view *v;
	uid_t uid; /* new files become theirs, when we are root */
	gid_t gid;
	bool may_block; /* fsync and long copies are done; else they answer UPPER_BLOCK */
	struct parcel **ret_wait;
	struct err *e; /* a sentence for -EIO and the like; may be NULL */
};

struct upper_entry {
	uint64_t ino;
	struct stat st; /* st_ino is ino */
	bool bare;      /* as in view_attr */
};

/* All of them: 0, VIEW_WAIT with the parcel in *ret_wait, UPPER_BLOCK, or the negative errno that
 * the program gets; those that count bytes say VIEW_WAIT by -EAGAIN, UPPER_BLOCK by -EINPROGRESS.
 * What has not answered has done nothing and may be asked again. Those that give an entry out count
 * it: an answer that did not reach the kernel is taken back by upper_forget(u, ino, 1). */
int upper_lookup(struct upper_call *c, uint64_t dir, const char *name,
		 struct upper_entry *ret) must_check;
int upper_getattr(struct upper_call *c, uint64_t ino, struct stat *ret) must_check;
int upper_readlink(struct upper_call *c, uint64_t ino, char *buf, size_t n) must_check;
ssize_t upper_read(struct upper_call *c, uint64_t ino, void *buf, size_t n,
		   uint64_t off) must_check;

enum upper_list {
	UPPER_LIST_PLAIN, /* nothing is given out; what is not known has the ino 0xffffffff */
	/* Each entry that fn takes is given out, but "." and ".." and bare ones. Bare is, of what
	 * the upper has no part in: */
	UPPER_LIST_NAMES, /* everything */
	UPPER_LIST_DIRS,  /* all but directories */
	UPPER_LIST_ALL,   /* nothing but what the view says */
};

/* As view_list(). */
typedef bool upper_emit_fn(void *arg, const char *name, const struct upper_entry *entry,
			   uint64_t cookie);
int upper_list(struct upper_call *c, uint64_t dir, uint64_t cookie, enum upper_list how,
	       upper_emit_fn *fn, void *arg) must_check;

/* mode has the type: regular, fifo, socket, directory (rdev is 0 for these), or a device. */
int upper_make(struct upper_call *c, uint64_t dir, const char *name, mode_t mode, dev_t rdev,
	       struct upper_entry *ret) must_check;
int upper_symlink(struct upper_call *c, uint64_t dir, const char *name, const char *text,
		  struct upper_entry *ret) must_check;
int upper_link(struct upper_call *c, uint64_t ino, uint64_t dir, const char *name,
	       struct upper_entry *ret) must_check;
int upper_unlink(struct upper_call *c, uint64_t dir, const char *name) must_check;
int upper_rmdir(struct upper_call *c, uint64_t dir, const char *name) must_check;

/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. -EXDEV: a directory that the lower has a part in. */
int upper_rename(struct upper_call *c, uint64_t dir, const char *name, uint64_t to_dir,
		 const char *to_name, unsigned flags) must_check;

enum upper_set {
	UPPER_SET_MODE = 1,
	UPPER_SET_UID = 2,
	UPPER_SET_GID = 4,
	UPPER_SET_SIZE = 8,
	UPPER_SET_ATIME = 16, /* tv_nsec may be UTIME_NOW */
	UPPER_SET_MTIME = 32,
};
struct upper_change {
	unsigned set; /* enum upper_set */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t size;
	struct timespec atime, mtime;
};
int upper_setattr(struct upper_call *c, uint64_t ino, const struct upper_change *change,
		  struct stat *ret) must_check;
ssize_t upper_write(struct upper_call *c, uint64_t ino, const void *buf, size_t n,
		    uint64_t off) must_check;
int upper_fallocate(struct upper_call *c, uint64_t ino, int mode, uint64_t off,
		    uint64_t len) must_check;
int upper_fsync(struct upper_call *c, uint64_t ino, bool data_only) must_check;
int upper_statfs(struct upper *u, struct statvfs *ret) must_check;
void upper_forget(struct upper *u, uint64_t ino, uint64_t nlookup);
