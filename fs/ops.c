#include "core/log.h"
#include "fs/ops_priv.h"

#include <pthread.h>

/* Once for the fetch that is missing, and once more for a blob that came and was bad. */
#define WAITS_MAX 2

/* ---- helpers ---- */

/* Above all of ours: how often it has died, which begins anew after 1,024 times. */
#define LIVES_SHIFT 53
#define LIVES_MASK  1023u

uint64_t ops_shown_ino(const struct conn *c, uint64_t ino)
{
	return ino == c->root_ino ? FUSE_ROOT_ID : ino;
}

uint64_t ops_to_kernel(const struct conn *c, uint64_t ino)
{
	const struct place *place = NULL;

	if (ino == c->root_ino)
		return FUSE_ROOT_ID;
	if (view_ino_entry(ino) == 0 && ino < UPPER_INO_FIRST)
		place = places_get(server_ops(c->server)->places, view_ino_slot(ino));
	if (place)
		ino |= (uint64_t)(atomic_load(&place->deaths) & LIVES_MASK) << LIVES_SHIFT;
	return ino;
}

uint64_t ops_from_kernel(const struct conn *c, uint64_t ino)
{
	return ino == FUSE_ROOT_ID ? c->root_ino : ino & (((uint64_t)1 << LIVES_SHIFT) - 1);
}

struct stat ops_stat(const struct conn *c, const struct view_attr *a)
{
	const struct ops_server *s = server_ops(c->server);
	struct stat st = view_stat(a, s->uid, s->gid);

	st.st_ino = ops_shown_ino(c, a->ino);
	return st;
}

void ops_reply_entry(const struct ask *a, const struct upper_entry *entry)
{
	struct fuse_entry_param p = {
		.ino = ops_to_kernel(a->conn, entry->ino),
		.attr = entry->st,
		.attr_timeout = OPS_TIMEOUT,
		.entry_timeout = OPS_TIMEOUT,
	};
	struct upper *u = server_ops(a->conn->server)->upper;

	p.attr.st_ino = ops_shown_ino(a->conn, entry->ino);
	if (fuse_reply_entry(a->req, &p) != 0 && u)
		upper_forget(u, entry->ino, 1);
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

struct ask ask_new(fuse_req_t req, enum ask_kind kind, fuse_ino_t ino)
{
	struct conn *c = fuse_req_userdata(req);

	return (struct ask){
		.conn = c,
		.req = req,
		.kind = kind,
		.ino = ops_from_kernel(c, ino),
	};
}

static void finish(struct ask *a)
{
	if (a->on_heap)
		free(a);
}

/* The one place where a failure becomes an errno for a program. What is neither of the tree's
 * making nor the upper's file system's is EIO, and has a line in the log. */
static void fail(struct ask *a, int r, const struct err *e)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -EINVAL:
	case -ESTALE:
	case -EINTR:
	case -ENAMETOOLONG:
	case -ENOMEM:
		break;
	default:
		if (e && e->code)
			log_error("%s", e->msg);
		if (!server_ops(a->conn->server)->upper || (e && e->code))
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

static void on_crew(struct job *j)
{
	struct ask *a = (void *)((char *)j - offsetof(struct ask, job));

	a->may_block = true;
	ask_run(a);
}

static char *put_bytes(char **at, const char *bytes, size_t len)
{
	char *to = *at;

	if (!bytes)
		return NULL;
	memcpy(to, bytes, len);
	*at += len;
	return to;
}

/* One that outlives its request's buffer. */
static struct ask *keep(struct ask *a)
{
	size_t name_len = a->name ? strlen(a->name) + 1 : 0;
	size_t to_len = a->to_name ? strlen(a->to_name) + 1 : 0;
	size_t data_len = a->data ? a->size : 0;
	struct ask *kept;
	char *at;

	if (a->on_heap)
		return a;
	kept = malloc(sizeof *kept + name_len + to_len + data_len);
	if (!kept)
		return NULL;
	*kept = *a;
	at = (char *)(kept + 1);
	kept->name = put_bytes(&at, a->name, name_len);
	kept->to_name = put_bytes(&at, a->to_name, to_len);
	kept->data = put_bytes(&at, a->data, data_len);
	kept->on_heap = true;
	kept->parked.resume = on_resume;
	kept->parked.pid = fuse_req_ctx(a->req)->pid;
	kept->job.run = on_crew;
	return kept;
}

static void wait_for(struct ask *a, struct parcel *src)
{
	struct park *park = server_ops(a->conn->server)->park;
	struct ask *kept;

	a->waits = a->waited == src ? a->waits + 1 : 1;
	a->waited = src;
	if (a->waits > WAITS_MAX) {
		park_note_error(park, src,
				"came and could not be used, twice; `dx store verify` says more");
		fail(a, -EIO, NULL);
		return;
	}
	kept = keep(a);
	if (!kept) {
		fail(a, -ENOMEM, NULL);
		return;
	}
	kept->may_block = false; /* it is resumed by any thread */
	fuse_req_interrupt_func(kept->req, on_interrupt, kept);
	park_wait(park, src, &kept->parked);
}

static void hand_to_crew(struct ask *a)
{
	struct ask *kept = keep(a);

	if (kept)
		crew_do(server_ops(a->conn->server)->crew, &kept->job);
	else
		fail(a, -ENOMEM, NULL);
}

void ask_run(struct ask *a)
{
	static ask_fn *const run[] = {
		[ASK_LOOKUP] = ask_lookup,       [ASK_GETATTR] = ask_getattr,
		[ASK_READDIR] = ask_list,        [ASK_READDIRPLUS] = ask_list,
		[ASK_READ] = ask_read,           [ASK_READLINK] = ask_readlink,
		[ASK_SETATTR] = ask_setattr,     [ASK_MAKE] = ask_make,
		[ASK_SYMLINK] = ask_symlink,     [ASK_LINK] = ask_link,
		[ASK_UNLINK] = ask_unlink,       [ASK_RMDIR] = ask_rmdir,
		[ASK_RENAME] = ask_rename,       [ASK_WRITE] = ask_write,
		[ASK_FALLOCATE] = ask_fallocate, [ASK_FSYNC] = ask_fsync,
	};
	const struct ops_server *s = server_ops(a->conn->server);
	const struct fuse_ctx *who = fuse_req_ctx(a->req);
	struct parcel *wait = NULL;
	struct err e = { 0 };
	struct upper_call c = {
		.u = s->upper,
		.v = view_get(s->shown),
		.uid = who->uid,
		.gid = who->gid,
		.may_block = a->may_block,
		.ret_wait = &wait,
		.e = &e,
	};
	int r = run[a->kind](a, &c);

	view_unref(c.v);
	if (r == 0)
		finish(a);
	else if (r == VIEW_WAIT)
		wait_for(a, wait);
	else if (r == UPPER_BLOCK)
		hand_to_crew(a);
	else
		fail(a, r, &e);
}

/* ---- the connection ---- */

/* Which features of the kernel are wanted. Without HANDLE_KILLPRIV the kernel
 * itself takes set-id bits away before a write, by SETATTR, from whom they must be taken. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned yes = FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
			     FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_PARALLEL_DIROPS |
			     FUSE_CAP_ASYNC_READ;
	const unsigned no = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC |
			    FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
			    FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_HANDLE_KILLPRIV;
	struct conn *c = userdata;

	atomic_store(&c->kernel_minor, conn->proto_minor);
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

/* Ids of the lower are a pure function of place and entry: the upper counts its own. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	const struct conn *c = fuse_req_userdata(req);
	struct upper *u = server_ops(c->server)->upper;

	if (u)
		upper_forget(u, ops_from_kernel(c, ino), nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	const struct conn *c = fuse_req_userdata(req);
	struct upper *u = server_ops(c->server)->upper;

	for (size_t i = 0; u && i < count; i++)
		upper_forget(u, ops_from_kernel(c, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

/* Once a mount: the kernel then opens without asking, and keeps pages and listings. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

/* Left NULL on purpose: create (the kernel falls back on mknod), flush, access, release,
 * releasedir, xattrs, locks, lseek, poll, statx, copy_file_range: each costs one message a mount or
 * none. */
#define OPS_THAT_READ                                                                              \
	.init = op_init, .lookup = op_lookup, .forget = op_forget,                                 \
	.forget_multi = op_forget_multi, .getattr = op_getattr, .readlink = op_readlink,           \
	.open = op_open, .read = op_read, .statfs = op_statfs, .opendir = op_open,                 \
	.readdir = op_readdir, .readdirplus = op_readdirplus

const struct fuse_lowlevel_ops ops_read_only = { OPS_THAT_READ };

const struct fuse_lowlevel_ops ops_table = {
	OPS_THAT_READ,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsync,
	.fallocate = op_fallocate,
};
