#include "fs/push.h"

#include "core/thread.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/stat.h>

/* What the kernel asks for with one READ; more is its read-ahead's. */
#define FILE_MAX (128u << 10)
#define JOBS_MAX 64   /* directories waited for; more readers than that have no use for it */
#define LISTED   1024 /* directories remembered, a power of two */
#define LEAD     2    /* the file that the reader has, and the one he is asking for */

/* Of one directory: ids of files and directories, one after the other. */
struct job {
	struct conn *conn;
	uint64_t from, end;
};

struct push {
	struct view_cell *shown;
	_Atomic uint64_t listed[LISTED]; /* ids, by their hash */
	_Atomic uint64_t reader;         /* the last id that was read */
	pthread_mutex_t mu;
	pthread_cond_t news;
	/* guarded by mu */
	struct helper helper;
	bool stop;
	struct job jobs[JOBS_MAX]; /* a ring */
	unsigned first, count;
};

struct push *push_new(struct view_cell *shown)
{
	struct push *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->shown = shown;
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
	if (view_run(v, dir, &first, &j.end) && j.from < j.end)
		add_job(p, &j);
}

/* ---- the thread ---- */

static bool next_job(struct push *p, struct job *ret)
{
	bool go_on;

	(void)pthread_mutex_lock(&p->mu);
	while (!p->stop && p->count == 0 && helper_wait(&p->news, &p->mu))
		;
	go_on = !p->stop && p->count > 0;
	p->helper.here = go_on;
	if (go_on) {
		*ret = p->jobs[p->first];
		p->first = (p->first + 1) % JOBS_MAX;
		p->count--;
	}
	(void)pthread_mutex_unlock(&p->mu);
	return go_on;
}

/* 0, also for what is not to be given; or what the kernel says. */
static int give(const struct job *j, struct view *v, uint64_t ino, void *buf)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(0);
	struct parcel *wait = NULL;
	struct view_attr a;
	struct err e;

	if (view_attr(v, ino, &a, &wait, &e) != 0 || !S_ISREG(a.mode) || a.size == 0 ||
	    a.size > FILE_MAX || view_read(v, ino, buf, a.size, 0, &wait, &e) != (ssize_t)a.size)
		return 0;
	bytes.buf[0].mem = buf;
	bytes.buf[0].size = a.size;
	return fuse_lowlevel_notify_store(j->conn->session, ino, 0, &bytes, 0);
}

/* Until the kernel does not know a file: it was no listing with attributes, or it has forgotten. */
static void run_job(struct push *p, const struct job *j, void *buf)
{
	struct view *v = view_get(p->shown);

	for (uint64_t ino = j->from; ino < j->end; ino++) {
		uint64_t reader = atomic_load_explicit(&p->reader, memory_order_relaxed);

		if (reader + LEAD > ino && reader < j->end)
			ino = reader + LEAD;
		if (ino >= j->end || give(j, v, ino, buf) < 0)
			break;
	}
	view_unref(v);
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
