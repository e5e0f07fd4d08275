#include "core/log.h"
#include "fs/ops_priv.h"

#include <pthread.h>

/* Once for the fetch that is missing, and once more for a blob that came and was bad. */
#define WAITS_MAX 2

/* ---- helpers ---- */

uint64_t ops_to_kernel(const struct conn *c, uint64_t ino)
{
	return ino == c->root_ino ? FUSE_ROOT_ID : ino;
}

uint64_t ops_from_kernel(const struct conn *c, uint64_t ino)
{
	return ino == FUSE_ROOT_ID ? c->root_ino : ino;
}

struct stat ops_stat(const struct conn *c, const struct view_attr *a)
{
	const struct ops_server *s = server_ops(c->server);
	struct timespec time = {
		.tv_sec = a->mtime_ns / 1000000000,
		.tv_nsec = a->mtime_ns % 1000000000,
	};

	return (struct stat){
		.st_ino = ops_to_kernel(c, a->ino),
		.st_mode = a->mode,
		.st_nlink = 1,
		.st_uid = s->uid,
		.st_gid = s->gid,
		.st_size = (off_t)a->size,
		.st_blksize = 4096,
		.st_blocks = S_ISREG(a->mode) ? (blkcnt_t)((a->size + 511) / 512) : 0,
		.st_atim = time,
		.st_mtim = time,
		.st_ctim = time,
	};
}

struct scratch {
	size_t size;
	max_align_t bytes[];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void make_scratch_key(void)
{
	(void)pthread_key_create(&scratch_key, free);
}

void *ops_buffer(size_t n)
{
	struct scratch *have;

	(void)pthread_once(&scratch_once, make_scratch_key);
	have = pthread_getspecific(scratch_key);
	if (have && have->size >= n)
		return have->bytes;
	free(have);
	n = (n + 65535) & ~(size_t)65535;
	have = malloc(sizeof *have + n);
	if (have)
		have->size = n;
	(void)pthread_setspecific(scratch_key, have);
	return have ? have->bytes : NULL;
}

/* ---- asking, waiting, asking again ---- */

static void finish(struct ask *a)
{
	if (a->on_heap)
		free(a);
}

/* The one place where a failure becomes an errno for a program. What is not of the tree's making
 * is EIO, and has a line in the log. */
static void fail(struct ask *a, int r, const struct err *e)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -EINVAL:
	case -ESTALE:
	case -EINTR:
	case -ENOMEM:
		break;
	default:
		if (e && e->code)
			log_error("%s", e->msg);
		r = -EIO;
	}
	(void)fuse_reply_err(a->req, -r);
	finish(a);
}

/* libfuse calls it holding the request's lock, so it only leaves a mark (park.h). */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct ask *a = data;

	(void)req;
	park_interrupt(&a->parked);
}

static void on_resume(struct parked *p, int result)
{
	struct ask *a = (void *)((char *)p - offsetof(struct ask, parked));

	/* Waits until a mark that is being made is made; none comes afterwards. */
	fuse_req_interrupt_func(a->req, NULL, NULL);
	if (result == 0)
		ask_run(a);
	else
		fail(a, result, NULL);
}

static struct ask *keep(const struct ask *a)
{
	size_t name_len = a->name ? strlen(a->name) + 1 : 0;
	struct ask *kept = malloc(sizeof *kept + name_len);

	if (!kept)
		return NULL;
	*kept = *a;
	if (a->name) {
		memcpy(kept + 1, a->name, name_len);
		kept->name = (const char *)(kept + 1);
	}
	kept->on_heap = true;
	kept->parked.resume = on_resume;
	kept->parked.pid = fuse_req_ctx(a->req)->pid;
	return kept;
}

static void wait_for(struct ask *a, struct parcel *src)
{
	struct park *park = server_ops(a->conn->server)->park;

	a->waits = a->waited == src ? a->waits + 1 : 1;
	a->waited = src;
	if (a->waits > WAITS_MAX) {
		park_note_error(park, src,
				"came and could not be used, twice; `dx store verify` says more");
		fail(a, -EIO, NULL);
		return;
	}
	if (!a->on_heap) {
		struct ask *kept = keep(a);

		if (!kept) {
			fail(a, -ENOMEM, NULL);
			return;
		}
		a = kept;
	}
	fuse_req_interrupt_func(a->req, on_interrupt, a);
	park_wait(park, src, &a->parked);
}

void ask_run(struct ask *a)
{
	static int (*const run[])(struct ask *, struct view *, struct parcel **, struct err *) = {
		[ASK_LOOKUP] = ask_lookup,    [ASK_GETATTR] = ask_getattr, [ASK_READDIR] = ask_list,
		[ASK_READDIRPLUS] = ask_list, [ASK_READ] = ask_read,
	};
	struct view *v = view_get(server_ops(a->conn->server)->shown);
	struct parcel *wait = NULL;
	struct err e = { 0 };
	int r = run[a->kind](a, v, &wait, &e);

	view_unref(v);
	if (r == 0)
		finish(a);
	else if (r == VIEW_WAIT)
		wait_for(a, wait);
	else
		fail(a, r, &e);
}

/* ---- the connection ---- */

/* Which features of the kernel are wanted, and why: fuse.md §3. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned yes = FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
			     FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_PARALLEL_DIROPS |
			     FUSE_CAP_ASYNC_READ;
	const unsigned no = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC |
			    FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
			    FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;

	(void)userdata;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	for (unsigned bit = 1; bit; bit <<= 1) {
		if (yes & bit)
			(void)fuse_set_feature_flag(conn, bit);
		if (no & bit)
			fuse_unset_feature_flag(conn, bit);
	}
#else
	conn->want |= conn->capable & yes;
	conn->want &= ~no;
#endif
	/* Read-ahead counts as background; the kernel's own limit of 12 would hold up walkers. */
	conn->max_background = 64;
	conn->congestion_threshold = 48;
}

/* Ids are a pure function of place and entry: nothing is counted, nothing is forgotten. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino;
	(void)nlookup;
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

/* Once a mount: the kernel then opens without asking, and keeps pages and listings. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

/* ---- what would change something: EACCES, on which tools fall back ---- */

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)attr;
	(void)to_set;
	(void)fi;
	(void)fuse_reply_err(req, EACCES);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)dev;
	(void)fuse_reply_err(req, EACCES);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)fuse_reply_err(req, EACCES);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	(void)fuse_reply_err(req, EACCES);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	(void)parent;
	(void)name;
	(void)fuse_reply_err(req, EACCES);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	(void)parent;
	(void)name;
	(void)new_parent;
	(void)new_name;
	(void)flags;
	(void)fuse_reply_err(req, EACCES);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	(void)fuse_reply_err(req, EACCES);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)size;
	(void)off;
	(void)fi;
	(void)fuse_reply_err(req, EACCES);
}

/* Left NULL on purpose: create (the kernel falls back on mknod), flush, access, release,
 * releasedir, xattrs, locks, lseek, poll, statx: each costs one message a mount or none
 * (fuse.md §3, §4.2). fsync: there is never anything to write. */
const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.statfs = op_statfs,
	.opendir = op_open,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
};
