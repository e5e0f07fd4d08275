/* ops_priv.h - the kernel's requests: ops*.c and server.c only.
 *
 * A request is a `struct ask`: what was asked, so that it can be asked again. ask_run() puts it to
 * the view that is shown now and the upper over it. What cannot be answered without a package is
 * parked, and asked again when the package has come; what may take long is asked again by one of
 * the crew. Nothing has been done by an ask that has to be asked again. */
#pragma once
#include "fs/conn.h"
#include "fs/crew.h"
#include "fs/listed.h"
#include "fs/park.h"
#include "fs/push.h"
#include "fs/upper.h"

enum ask_kind {
	ASK_LOOKUP,
	ASK_GETATTR,
	ASK_READDIR,
	ASK_READDIRPLUS,
	ASK_READ,
	ASK_READLINK,
	/* what changes something: the upper's */
	ASK_SETATTR,
	ASK_MAKE,
	ASK_SYMLINK,
	ASK_LINK,
	ASK_UNLINK,
	ASK_RMDIR,
	ASK_RENAME,
	ASK_WRITE,
	ASK_FALLOCATE,
	ASK_FSYNC,
};

struct ask {
	struct parked parked;
	struct job job;
	struct conn *conn;
	fuse_req_t req;
	enum ask_kind kind;
	uint64_t ino; /* as views and the upper number it: never 1 */
	const char *name;
	size_t size;
	uint64_t off;

	uint64_t to;         /* LINK, RENAME: the other directory */
	const char *to_name; /* RENAME; SYMLINK: its text */
	const char *data;    /* WRITE: size bytes */
	mode_t mode;         /* MAKE; FALLOCATE: its mode */
	dev_t rdev;
	unsigned flags; /* RENAME; FSYNC: 1 is data only */
	struct upper_change change;

	bool on_heap, may_block;
	struct parcel *waited; /* for this one it has waited already */
	unsigned waits;        /* and so often */
};

/* What the ops need of a server. */
struct ops_server {
	struct push *push;
	struct listed *listed; /* what those who list want to know */
	struct view_cell *shown;
	struct places *places;
	struct park *park;
	struct upper *upper; /* NULL: the mount is read-only */
	struct crew *crew;
	uid_t uid;
	gid_t gid;
};
const struct ops_server *server_ops(const struct server *s);

/* Of a mount with an upper, and of one whose superblock is read-only. */
extern const struct fuse_lowlevel_ops ops_table, ops_read_only;

/* An ask of a request, its ino in our numbers. */
struct ask ask_new(fuse_req_t req, enum ask_kind kind, fuse_ino_t ino);
void ask_run(struct ask *a);

/* One for each kind: 0 answered; VIEW_WAIT with *c->ret_wait; UPPER_BLOCK; negative errno not
 * answered. */
typedef int ask_fn(struct ask *a, struct upper_call *c);
ask_fn ask_lookup, ask_getattr, ask_list, ask_read, ask_readlink;
ask_fn ask_setattr, ask_make, ask_symlink, ask_link, ask_unlink, ask_rmdir, ask_rename;
ask_fn ask_write, ask_fallocate, ask_fsync;

/* The ops of ops_dir.c, ops_file.c and ops_change.c. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *text, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	       const char *to_name, unsigned flags);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* The kernel's number for an id of a view, and back: the root of a mount is 1, and what was deleted
 * there (struct place, deaths) has another when it is back. */
uint64_t ops_to_kernel(const struct conn *c, uint64_t ino);
uint64_t ops_from_kernel(const struct conn *c, uint64_t ino);

/* What stat(2) shows for it: always the same. */
uint64_t ops_shown_ino(const struct conn *c, uint64_t ino);

/* "For ever": what the kernel knows is taken back by invalidation, never by time. */
#define OPS_TIMEOUT 1e9

struct stat ops_stat(const struct conn *c, const struct view_attr *a);

/* Answers with an entry that was given out, and takes it back if the kernel does not get it. */
void ops_reply_entry(const struct ask *a, const struct upper_entry *entry);

/* At least n bytes that this thread may use until it asks again; NULL: out of memory. */
void *ops_buffer(size_t n);
