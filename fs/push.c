#include "fs/push.h"

#include "core/thread.h"
#include "fs/lease.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

/* What the kernel asks for with one READ; more is its read-ahead's. */
#define FILE_MAX (128u << 10)
#define JOBS_MAX 64   /* directories waited for; more readers than that have no use for it */
#define LISTED   1024 /* directories remembered, a power of two */
#define LEAD     2    /* the file that the reader has, and the one he is asking for */
#define HOLD_MS  100  /* an unmount waits so long for what is being given */

/* Of one directory: ids of files and directories, one after the other. */
struct job {
	struct conn *conn;
	uint64_t dir, from, end;
};

struct push {
	struct view_cell *shown;
	struct upper *upper; /* NULL: read-only */
	const char *project_dir;
	_Atomic uint64_t listed[LISTED]; /* ids, by their hash */
	_Atomic uint64_t reader;         /* the last id that was read */
	pthread_mutex_t mu;
	pthread_cond_t news;
	atomic_uint held;    /* do nothing */
	atomic_uint changes; /* counts push_changed() */
	/* guarded by mu */
	struct helper helper;
	bool stop, busy;
	struct job jobs[JOBS_MAX]; /* a ring */
	unsigned first, count;
};

struct push *push_new(struct view_cell *shown, struct upper *upper, const char *project_dir)
{
	struct push *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->shown = shown;
	p->upper = upper;
	p->project_dir = project_dir;
	(void)pthread_mutex_init(&p->mu, NULL);
	helper_cond(&p->news);
	return p;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	(void)pthread_cond_destroy(&p->news);
	(void)pthread_mutex_destroy(&p->mu);
	free(p);
}

static void *run(void *arg);

/* ---- what the loops' threads say ---- */

static _Atomic uint64_t *remembered(struct push *p, uint64_t dir)
{
	return &p->listed[(dir * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static void add_job(struct push *p, const struct job *j)
{
	(void)pthread_mutex_lock(&p->mu);
	if (p->count < JOBS_MAX) {
		p->jobs[(p->first + p->count) % JOBS_MAX] = *j;
		p->count++;
		if (!p->stop && helper_call(&p->helper, &p->news, run, p, NULL) < 0)
			p->count--;
	}
	(void)pthread_mutex_unlock(&p->mu);
}

void push_changed(struct push *p)
{
	if (p)
		(void)atomic_fetch_add(&p->changes, 1);
}

void push_listed(struct push *p, uint64_t dir)
{
	if (p)
		atomic_store_explicit(remembered(p, dir), dir, memory_order_relaxed);
}

void push_read(struct push *p, struct conn *c, struct view *v, uint64_t ino)
{
	struct job j = { .conn = c, .from = ino + LEAD };
	uint64_t dir, first;

	if (!p)
		return;
	atomic_store_explicit(&p->reader, ino, memory_order_relaxed);
	dir = view_parent(v, ino);
	/* Once for each listing. */
	if (!dir || !atomic_compare_exchange_strong(remembered(p, dir), &(uint64_t){ dir }, 0))
		return;
	j.dir = dir;
	if (view_run(v, dir, &first, &j.end) && j.from < j.end)
		add_job(p, &j);
}

/* ---- the thread ---- */

static bool next_job(struct push *p, struct job *ret)
{
	bool go_on;

	(void)pthread_mutex_lock(&p->mu);
	p->busy = false;
	if (atomic_load(&p->held)) /* who holds it waits for that */
		(void)pthread_cond_broadcast(&p->news);
	while (!p->stop && p->count == 0 && helper_wait(&p->news, &p->mu))
		;
	go_on = !p->stop && p->count > 0;
	p->helper.here = p->busy = go_on;
	if (go_on) {
		*ret = p->jobs[p->first];
		p->first = (p->first + 1) % JOBS_MAX;
		p->count--;
	}
	(void)pthread_mutex_unlock(&p->mu);
	return go_on;
}

/* What one job works with. */
struct giver {
	struct push *p;
	const struct job *j;
	struct view *v;
	void *buf;
	int dirfd; /* of the directory, in the mount; -1: nothing can be written there */
};

/* 0, also for what is not to be given; or what the kernel says. */
static int store(const struct giver *g, uint64_t ino, size_t size)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(0);

	bytes.buf[0].mem = g->buf;
	bytes.buf[0].size = size;
	return fuse_lowlevel_notify_store(g->j->conn->session, ino, 0, &bytes, 0);
}

/* The same of bytes that were read after `changes` was. Others may have come since, and the kernel
 * may have been told so before it was given these. */
static int store_unless_changed(const struct giver *g, uint64_t ino, size_t size, unsigned changes)
{
	int r;

	if (atomic_load(&g->p->changes) != changes)
		return 0;
	r = store(g, ino, size);
	if (atomic_load(&g->p->changes) == changes)
		return r;
	return fuse_lowlevel_notify_inval_inode(g->j->conn->session, ino, 0, 0);
}

static int give(const struct giver *g, uint64_t ino)
{
	struct parcel *wait = NULL;
	struct view_attr a;
	struct err e;

	if (view_attr(g->v, ino, &a, &wait, &e) != 0 || !S_ISREG(a.mode) || a.size == 0 ||
	    a.size > FILE_MAX ||
	    view_read(g->v, ino, g->buf, a.size, 0, &wait, &e) != (ssize_t)a.size)
		return 0;
	return store(g, ino, a.size);
}

/* The same where it can be written: nobody does so until the lease is closed. */
static int give_leased(const struct giver *g, uint64_t ino)
{
	struct parcel *wait = NULL;
	struct err e = { 0 };
	struct upper_call c = { .u = g->p->upper, .v = g->v, .ret_wait = &wait, .e = &e };
	auto_close int fd = -1;
	struct view_attr a;
	struct slice name;
	char text[NAME_MAX + 1];
	unsigned changes;
	struct stat st;

	if (view_attr(g->v, ino, &a, &wait, &e) != 0 || !S_ISREG(a.mode) ||
	    !view_name(g->v, ino, &name) || name.len >= sizeof text)
		return 0;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	fd = lease_take(g->dirfd, text, ino);
	if (fd == -EBUSY || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	changes = atomic_load(&g->p->changes);
	if (upper_getattr(&c, ino, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
	    st.st_size > FILE_MAX ||
	    upper_read(&c, ino, g->buf, (size_t)st.st_size, 0) != (ssize_t)st.st_size ||
	    !lease_stands(fd))
		return 0;
	return store_unless_changed(g, ino, (size_t)st.st_size, changes);
}

static int open_dir(const struct push *p, struct view *v, const struct job *j)
{
	struct parcel *wait = NULL;
	auto_free char *path = NULL;
	struct view_where w;

	if (view_where(v, j->dir, &w, &wait, NULL) != 0 || !w.package)
		return -ENOENT;
	if (asprintf(&path, "%s/%s%s%s", p->project_dir, w.package->path, w.path[0] ? "/" : "",
		     w.path) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return lease_dir(j->conn, path);
}

/* Until the kernel does not know a file: it was no listing with attributes, or it has forgotten. */
static void run_job(struct push *p, const struct job *j, void *buf)
{
	struct giver g = { .p = p, .j = j, .v = view_get(p->shown), .buf = buf, .dirfd = -1 };
	uint64_t ino = j->from;
	int r = 0;

	if (p->upper)
		r = g.dirfd = open_dir(p, g.v, j);
	for (; r >= 0 && ino < j->end && !atomic_load(&p->held); ino++) {
		uint64_t reader = atomic_load_explicit(&p->reader, memory_order_relaxed);

		if (reader + LEAD > ino && reader < j->end)
			ino = reader + LEAD;
		if (ino < j->end)
			r = p->upper ? give_leased(&g, ino) : give(&g, ino);
	}
	closep(&g.dirfd);
	view_unref(g.v);
}

static void *run(void *arg)
{
	struct push *p = arg;
	auto_free void *buf = malloc(FILE_MAX);
	struct job j;

	while (next_job(p, &j))
		if (buf)
			run_job(p, &j, buf);
	return NULL;
}

void push_hold(struct push *p, bool held)
{
	struct timespec until = helper_until(HOLD_MS);

	if (!p || !p->upper)
		return;
	(void)pthread_mutex_lock(&p->mu);
	(void)atomic_fetch_add(&p->held, held ? 1u : -1u);
	while (held && p->busy && pthread_cond_timedwait(&p->news, &p->mu, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&p->mu);
}

void push_stop(struct push *p)
{
	if (!p)
		return;
	(void)pthread_mutex_lock(&p->mu);
	p->stop = true;
	(void)pthread_cond_signal(&p->news);
	(void)pthread_mutex_unlock(&p->mu);
	helper_join(&p->helper);
}
