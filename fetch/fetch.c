#include "fetch/fetch.h"

#include "core/clock.h"
#include "core/thread.h"
#include "fetch/fetch_priv.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>

static void lock(struct fetch *f)
{
	(void)pthread_mutex_lock(&f->mu);
}

static void unlock(struct fetch *f)
{
	(void)pthread_mutex_unlock(&f->mu);
}

/* ---- lists; with f->mu held ---- */

static void list_add(struct flight_list *l, struct flight *fl)
{
	enum fetch_prio p = fl->prio;

	fl->prev = l->last[p];
	fl->next = NULL;
	*(fl->prev ? &fl->prev->next : &l->first[p]) = fl;
	l->last[p] = fl;
}

static void list_remove(struct flight_list *l, struct flight *fl)
{
	enum fetch_prio p = fl->prio;

	*(fl->prev ? &fl->prev->next : &l->first[p]) = fl->next;
	*(fl->next ? &fl->next->prev : &l->last[p]) = fl->prev;
	fl->prev = fl->next = NULL;
}

/* The first of the most urgent, if it is as urgent as `least`; one in FETCH_AGING is the first of
 * the least urgent, so that nothing starves. */
static struct flight *list_pop(struct flight_list *l, enum fetch_prio least)
{
	bool aged = least == FETCH_BACKGROUND && ++l->popped % FETCH_AGING == 0;

	for (unsigned i = 0; i <= least; i++) {
		struct flight *fl = l->first[aged ? least - i : i];

		if (!fl)
			continue;
		list_remove(l, fl);
		return fl;
	}
	return NULL;
}

static struct flight **bucket(struct fetch *f, const struct digest *key)
{
	uint32_t h;

	/* Digests are as random as a hash would be. */
	memcpy(&h, key->bytes, sizeof h);
	return &f->buckets[h % FETCH_BUCKETS];
}

static struct flight *find(struct fetch *f, const struct digest *key)
{
	struct flight *fl = *bucket(f, key);

	while (fl && !digest_eq(&fl->pkg.key, key))
		fl = fl->chain;
	return fl;
}

/* Of its bucket, when its end has come. */
static void take_out(struct fetch *f, struct flight *fl)
{
	struct flight **at = bucket(f, &fl->pkg.key);

	while (*at != fl)
		at = &(*at)->chain;
	*at = fl->chain;
	f->flights--;
}

/* ---- failures remembered; with f->mu held ---- */

static const struct failure *remembered(const struct fetch *f, const struct digest *key)
{
	int64_t now = now_ms();

	for (unsigned i = 0; f->failures && i < FETCH_FAILURES; i++)
		if (f->failures[i].until_ms > now && digest_eq(&f->failures[i].key, key))
			return &f->failures[i];
	return NULL;
}

static void remember(struct fetch *f, const struct flight *fl, int result)
{
	unsigned s = f->c.failure_memory_s ? f->c.failure_memory_s : FETCH_MEMORY_S;
	struct failure *x;

	/* What says nothing about the package need not be remembered. */
	if (result == 0 || result == -ECANCELED || result == -ENETUNREACH || result == -ENOMEM)
		return;
	if (!f->failures)
		f->failures = calloc(FETCH_FAILURES, sizeof *f->failures);
	if (!f->failures)
		return;
	x = &f->failures[f->failure_next++ % FETCH_FAILURES];
	*x = (struct failure){ .key = fl->pkg.key,
			       .until_ms = now_ms() + (int64_t)s * 1000,
			       .result = result };
	(void)snprintf(x->why, sizeof x->why, "%s", fl->e.msg);
}

/* ---- flights ---- */

static void flight_free(struct flight *fl)
{
	if (!fl)
		return;
	http_body_release(&fl->body);
	source_release(&fl->source);
	free((char *)fl->pkg.name);
	free((char *)fl->pkg.version);
	free((char *)fl->pkg.resolved);
	free((char *)fl->pkg.integrity);
	free(fl);
}

static bool copy(const char **to, const char *s)
{
	*to = s ? strdup(s) : NULL;
	return !s || *to;
}

static struct flight *flight_new(struct fetch *f, const struct fetch_pkg *p, enum fetch_prio prio)
{
	struct flight *fl = malloc(sizeof *fl);
	bool ok;

	if (!fl)
		return NULL;
	*fl = (struct flight){ .f = f, .prio = prio, .wants = 1u << prio, .pkg.key = p->key };
	ok = copy(&fl->pkg.name, p->name);
	ok &= copy(&fl->pkg.version, p->version);
	ok &= copy(&fl->pkg.resolved, p->resolved);
	ok &= copy(&fl->pkg.integrity, p->integrity);
	if (ok)
		return fl;
	flight_free(fl);
	return NULL;
}

void flight_end(struct flight *fl, int result)
{
	struct fetch *f = fl->f;

	if (result < 0) {
		const char *name = fl->pkg.name ? fl->pkg.name : "a package";

		if (fl->pkg.version)
			(void)err_wrap(&fl->e, result, "%.80s@%.40s", name, fl->pkg.version);
		else
			(void)err_wrap(&fl->e, result, "%.120s", name);
	}
	if (fl->claimed)
		store_unclaim(f->c.store, &fl->pkg.key);
	lock(f);
	take_out(f, fl);
	remember(f, fl, result);
	unlock(f);
	if (result < 0)
		atomic_fetch_add(&f->failed, 1);
	f->c.done(f->c.done_arg, &fl->pkg.key, result, result < 0 ? fl->e.msg : NULL);
	flight_free(fl);
}

static void *dispatcher(void *arg);
static void *worker(void *arg);

/* With f->mu held. */
static int call_dispatcher(struct fetch *f, struct err *e)
{
	if (f->no_more_starts)
		return 0; /* fetch_stop() answers what is left */
	return helper_call(&f->dispatcher, &f->to_start, dispatcher, f, e);
}

/* The list has one more of this priority. With f->mu held. Fails when nobody is there to take it,
 * nor can be had. */
static int wake_worker(struct fetch *f, enum fetch_prio prio, struct err *e)
{
	struct fetch_worker *w = f->workers;
	bool any = false;

	if (prio == FETCH_DEMAND)
		any = helper_call(&w->helper, &f->to_work_demand, worker, w, e) == 0;
	if (f->waiting > f->signalled) {
		f->signalled++;
		(void)pthread_cond_signal(&f->to_work);
		return 0;
	}
	for (unsigned i = 1; i < f->worker_count; i++) {
		any |= w[i].helper.here;
		if (!w[i].helper.here)
			return helper_call(&w[i].helper, &f->to_work, worker, &w[i], e) == 0 || any
				       ? 0
				       : -EAGAIN;
	}
	return 0;
}

static void fail(struct flight *fl, int result)
{
	struct fetch *f = fl->f;

	fl->result = result;
	fl->stage = STAGE_FAILED;
	list_add(&f->starting, fl);
	(void)!call_dispatcher(f, NULL); /* it is there while there are flights */
}

void flight_to_work(struct flight *fl)
{
	struct fetch *f = fl->f;
	int r;

	lock(f);
	fl->stage = STAGE_BYTES;
	list_add(&f->working, fl);
	r = wake_worker(f, fl->prio, &fl->e);
	if (r < 0) {
		list_remove(&f->working, fl);
		fail(fl, r);
	}
	unlock(f);
}

void flight_to_fail(struct flight *fl, int result)
{
	struct fetch *f = fl->f;

	lock(f);
	fail(fl, result);
	unlock(f);
}

/* ---- wanting ---- */

/* Its list, if it waits in one. With f->mu held. */
static struct flight_list *list_of(struct fetch *f, const struct flight *fl)
{
	switch (fl->stage) {
	case STAGE_NEW:
	case STAGE_FAILED:
		return &f->starting;
	case STAGE_BYTES:
		return &f->working;
	case STAGE_ASKED:
	case STAGE_WORKED_ON:
		break;
	}
	return NULL;
}

/* With f->mu held. */
static void set_prio(struct fetch *f, struct flight *fl, enum fetch_prio prio)
{
	struct flight_list *l = list_of(f, fl);

	if (prio == fl->prio)
		return;
	if (l)
		list_remove(l, fl);
	fl->prio = prio;
	if (l)
		list_add(l, fl);
	if (l == &f->working)
		(void)!wake_worker(f, prio, NULL); /* somebody is there: it was taken in */
	if (fl->stage == STAGE_ASKED && fl->call)
		http_set_prio(fl->call, (enum http_prio)prio);
}

void fetch_want(struct fetch *f, const struct fetch_pkg *pkg, enum fetch_prio prio)
{
	struct flight *fl, **at;
	bool lost = false;

	lock(f);
	fl = find(f, &pkg->key);
	if (fl) {
		fl->wants |= 1u << prio;
		if (prio < fl->prio)
			set_prio(f, fl, prio);
		unlock(f);
		return;
	}
	fl = flight_new(f, pkg, prio);
	if (fl) {
		at = bucket(f, &pkg->key);
		fl->chain = *at;
		*at = fl;
		f->flights++;
		list_add(&f->starting, fl);
		if (call_dispatcher(f, NULL) < 0) {
			lost = true;
			list_remove(&f->starting, fl);
			take_out(f, fl);
		}
	} else if (f->lost_count < FETCH_LOST) {
		f->lost[f->lost_count++] = pkg->key;
	} else {
		lost = true;
	}
	lost |= !fl && call_dispatcher(f, NULL) < 0;
	unlock(f);
	if (!lost)
		return;
	/* Better on the wrong thread than never. */
	f->c.done(f->c.done_arg, &pkg->key, -ENOMEM, "out of memory, or of threads");
	flight_free(fl);
}

/* With f->mu held. False: it has been started. */
static bool take_unstarted(struct fetch *f, struct flight *fl)
{
	if (fl->stage == STAGE_NEW)
		list_remove(&f->starting, fl);
	else if (fl->stage != STAGE_ASKED || !fl->call || !http_drop(fl->call))
		return false;
	take_out(f, fl);
	return true;
}

bool fetch_drop(struct fetch *f, const struct digest *key, enum fetch_prio prio)
{
	struct flight *fl;
	bool gone = false;

	lock(f);
	fl = find(f, key);
	if (fl && fl->wants & 1u << prio) {
		fl->wants &= ~(1u << prio);
		if (fl->wants)
			set_prio(f, fl, (enum fetch_prio)__builtin_ctz(fl->wants));
		else
			gone = take_unstarted(f, fl);
		if (!gone && !fl->wants)
			fl->wants = 1u << prio; /* what has been started is ended */
	}
	unlock(f);
	if (gone) {
		http_call_release(fl->call);
		flight_free(fl);
	}
	return gone;
}

/* ---- threads ---- */

static bool is_remembered(struct flight *fl)
{
	struct fetch *f = fl->f;
	const struct failure *x;

	lock(f);
	x = remembered(f, &fl->pkg.key);
	if (x) {
		fl->result = x->result;
		(void)snprintf(fl->e.msg, sizeof fl->e.msg, "%s", x->why);
	}
	unlock(f);
	return x != NULL;
}

/* A failure told again: not counted again, nor remembered for longer. */
static void end_remembered(struct flight *fl)
{
	struct fetch *f = fl->f;

	lock(f);
	take_out(f, fl);
	unlock(f);
	f->c.done(f->c.done_arg, &fl->pkg.key, fl->result, fl->e.msg);
	flight_free(fl);
}

static void dispatch(struct flight *fl, enum stage stage)
{
	if (stage == STAGE_FAILED)
		flight_end(fl, fl->result);
	else if (fl->f->stopping)
		flight_end(fl, err_set(&fl->e, -ECANCELED, "cancelled"));
	else if (is_remembered(fl))
		end_remembered(fl);
	else
		flight_start(fl);
}

static void answer_lost(struct fetch *f)
{
	struct digest keys[FETCH_LOST];
	unsigned n;

	lock(f);
	n = f->lost_count;
	memcpy(keys, f->lost, n * sizeof *keys);
	f->lost_count = 0;
	unlock(f);
	for (unsigned i = 0; i < n; i++)
		f->c.done(f->c.done_arg, &keys[i], -ENOMEM, "out of memory");
}

static void *dispatcher(void *arg)
{
	struct fetch *f = arg;

	for (;;) {
		enum stage stage = STAGE_NEW;
		struct flight *fl;
		bool go_on;

		lock(f);
		while (!(fl = list_pop(&f->starting, FETCH_BACKGROUND)) && !f->lost_count &&
		       !f->no_more_starts && (helper_wait(&f->to_start, &f->mu) || f->flights))
			;
		if (fl) {
			stage = fl->stage;
			fl->stage = STAGE_WORKED_ON;
		}
		go_on = fl || f->lost_count;
		f->dispatcher.here = go_on;
		unlock(f);
		if (!go_on)
			return NULL;
		answer_lost(f);
		if (fl)
			dispatch(fl, stage);
	}
}

/* NULL: there is nothing more to do. With f->mu held. */
static struct flight *next_work(struct fetch_worker *w)
{
	enum fetch_prio least = w->demand_only ? FETCH_DEMAND : FETCH_BACKGROUND;
	struct fetch *f = w->f;
	struct flight *fl;
	bool stay = true;

	while (!(fl = list_pop(&f->working, least)) && !f->no_more_work && stay) {
		if (w->demand_only) {
			stay = helper_wait(&f->to_work_demand, &f->mu);
			continue;
		}
		f->waiting++;
		stay = helper_wait(&f->to_work, &f->mu);
		f->waiting--;
		f->signalled -= f->signalled > 0;
	}
	return fl;
}

static void *worker(void *arg)
{
	struct fetch_worker *w = arg;
	struct gunzip_scratch scratch = { 0 };
	struct fetch *f = w->f;

	/* Programs, and who waits, shall have the processors first. */
	if (!w->demand_only && !f->c.bulk)
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), FETCH_NICE);
	for (;;) {
		struct flight *fl;
		bool idle;

		lock(f);
		fl = next_work(w);
		w->helper.here = fl != NULL;
		if (fl) {
			fl->stage = STAGE_WORKED_ON;
			f->busy++;
		}
		unlock(f);
		if (!fl)
			break;
		if (f->stopping)
			flight_end(fl, err_set(&fl->e, -ECANCELED, "cancelled"));
		else
			flight_work(fl, &scratch);
		lock(f);
		f->busy--;
		idle = f->flights == 0;
		unlock(f);
		/* A daemon may live for weeks after its last package. */
		if (idle) {
			gunzip_scratch_release(&scratch);
			(void)malloc_trim(0);
		}
	}
	gunzip_scratch_release(&scratch);
	return NULL;
}

/* ---- the life of it all ---- */

static unsigned worker_count(const struct fetch_config *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = c->workers ? c->workers : cpus > 0 ? (unsigned)cpus : 1;

	return n > FETCH_WORKERS_MAX ? FETCH_WORKERS_MAX : n;
}

int fetch_start(struct fetch **ret, const struct fetch_config *c, struct err *e)
{
	struct fetch *f = malloc(sizeof *f);
	int r = 0;

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	*f = (struct fetch){ .c = *c };
	(void)pthread_mutex_init(&f->mu, NULL);
	helper_cond(&f->to_start);
	helper_cond(&f->to_work);
	helper_cond(&f->to_work_demand);
	(void)pthread_cond_init(&f->to_unpack, NULL);
	f->project_dir = c->project_dir ? strdup(c->project_dir) : NULL;
	if ((c->project_dir && !f->project_dir) ||
	    asprintf(&f->tmp_dir, "%s/tmp", store_dir(c->store)) < 0) {
		f->tmp_dir = NULL;
		r = err_set(e, -ENOMEM, "out of memory");
	}
	f->worker_count = worker_count(c) + 1;
	for (unsigned i = 0; i < f->worker_count; i++)
		f->workers[i] = (struct fetch_worker){ .f = f, .demand_only = i == 0 };
	if (r < 0) {
		fetch_stop(f);
		return r;
	}
	*ret = f;
	return 0;
}

/* The dispatcher first, so that nothing new is asked for; then the network, which hands over or
 * cancels; then the workers, to whom it handed over; and the answers of what failed last. */
void fetch_stop(struct fetch *f)
{
	struct flight *fl;

	if (!f)
		return;
	atomic_store(&f->stopping, true);
	lock(f);
	f->no_more_starts = true;
	(void)pthread_cond_broadcast(&f->to_start);
	unlock(f);
	helper_join(&f->dispatcher);
	if (f->http)
		http_stop(f->http);
	lock(f);
	f->no_more_work = true;
	(void)pthread_cond_broadcast(&f->to_work);
	(void)pthread_cond_broadcast(&f->to_work_demand);
	unlock(f);
	for (unsigned i = 0; i < f->worker_count; i++)
		helper_join(&f->workers[i].helper);
	while ((fl = list_pop(&f->starting, FETCH_BACKGROUND))) {
		if (fl->stage != STAGE_FAILED)
			fl->result = err_set(&fl->e, -ECANCELED, "cancelled");
		flight_end(fl, fl->result);
	}
	http_free(f->http);
	(void)pthread_cond_destroy(&f->to_start);
	(void)pthread_cond_destroy(&f->to_work);
	(void)pthread_cond_destroy(&f->to_work_demand);
	(void)pthread_cond_destroy(&f->to_unpack);
	(void)pthread_mutex_destroy(&f->mu);
	free(f->failures);
	free(f->project_dir);
	free(f->tmp_dir);
	free(f);
}

void fetch_stats(struct fetch *f, struct fetch_stats *ret)
{
	struct http_stats net = { 0 };
	struct fetch_stats st = { .fetched = f->fetched, .failed = f->failed };

	lock(f);
	if (f->http)
		http_stats(f->http, &net);
	st.active = net.active + f->busy;
	st.queued = f->flights > st.active ? f->flights - st.active : 0;
	unlock(f);
	st.bytes = net.bytes;
	*ret = st;
}
