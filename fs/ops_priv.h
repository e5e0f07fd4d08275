/* ops_priv.h - the kernel's requests: ops*.c and server.c only.
 *
 * A request that may have to wait for a package is a `struct ask`: what was asked, so that it can
 * be asked again. ask_run() puts it to the view that is shown now; what the view cannot answer
 * without a package is parked, and asked again when the package has come. The others (readlink,
 * statfs, all that changes something) are answered where they stand. */
#pragma once
#include "fs/conn.h"
#include "fs/park.h"
#include "fs/view.h"

enum ask_kind { ASK_LOOKUP, ASK_GETATTR, ASK_READDIR, ASK_READDIRPLUS, ASK_READ };

struct ask {
	struct parked parked;
	struct conn *conn;
	fuse_req_t req;
	enum ask_kind kind;
	uint64_t ino; /* as views number it: never 1 */
	const char *name;
	size_t size;
	uint64_t off;

	bool on_heap;
	struct parcel *waited; /* for this one it has waited already */
	unsigned waits;        /* and so often */
};

/* What the ops need of a server. */
struct ops_server {
	struct view_cell *shown;
	struct park *park;
	uid_t uid;
	gid_t gid;
};
const struct ops_server *server_ops(const struct server *s);

extern const struct fuse_lowlevel_ops ops_table;

void ask_run(struct ask *a);

/* One for each kind: 0 answered; VIEW_WAIT with *ret_wait; negative errno not answered. */
int ask_lookup(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e);
int ask_getattr(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e);
int ask_list(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e);
int ask_read(struct ask *a, struct view *v, struct parcel **ret_wait, struct err *e);

/* The ops of ops_dir.c and ops_file.c. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/* The kernel's number for an id of a view, and back: the root of a mount is 1. */
uint64_t ops_to_kernel(const struct conn *c, uint64_t ino);
uint64_t ops_from_kernel(const struct conn *c, uint64_t ino);

/* "For ever": what the kernel knows is taken back by invalidation, never by time. */
#define OPS_TIMEOUT 1e9

struct stat ops_stat(const struct conn *c, const struct view_attr *a);

/* At least n bytes that this thread may use until it asks again; NULL: out of memory. */
void *ops_buffer(size_t n);
