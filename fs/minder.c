#include "core/log.h"
#include "fs/server_priv.h"

#include <malloc.h>
#include <signal.h>
#include <time.h>

/* So long after the last fetch the memory that unpacking took goes back to the system: a daemon
 * stays for days. */
#define TRIM_AFTER_S 2

static void push(struct parcel ***list, size_t *count, size_t *cap, struct parcel *src)
{
	struct parcel **grown;

	if (*count == *cap) {
		size_t more = *cap ? *cap * 2 : 64;

		grown = realloc(*list, more * sizeof(struct parcel *));
		if (!grown)
			return; /* a name stays as the lock has it */
		*list = grown;
		*cap = more;
	}
	(*list)[(*count)++] = src;
}

void minder_come(struct server *s, struct parcel *src, bool missing)
{
	(void)pthread_mutex_lock(&s->mu);
	s->dones++;
	if (missing)
		push(&s->missing, &s->missing_count, &s->missing_cap, src);
	else if (atomic_load(&src->believed))
		push(&s->come, &s->come_count, &s->come_cap, src);
	(void)pthread_cond_broadcast(&s->news);
	(void)pthread_mutex_unlock(&s->mu);
}

/* ---- telling the kernel ---- */

static struct conn *conn_of(struct server *s, uint64_t root)
{
	for (unsigned i = 0; i < s->mount_count; i++)
		if (s->mounts[i].conn.session && s->mounts[i].conn.root_ino == root)
			return &s->mounts[i].conn;
	return NULL;
}

/* -ENOENT is success: the kernel did not know it. */
static void tell(void *arg, uint64_t root, uint64_t dir, const char *name, size_t name_len)
{
	struct conn *c = conn_of(arg, root);
	uint64_t ino;
	int r;

	if (!c)
		return;
	ino = ops_to_kernel(c, dir);
	r = name ? fuse_lowlevel_notify_inval_entry(c->session, ino, name, name_len)
		 : fuse_lowlevel_notify_inval_inode(c->session, ino, 0, 0);
	if (r < 0 && r != -ENOENT && r != -ENOTCONN && r != -ENODEV)
		log_debug("the kernel did not take back %.*s: %s", (int)name_len, name ? name : "",
			  strerror(-r));
}

static void correct(struct server *s, struct parcel *src)
{
	struct view *v = view_get(s->shown);
	struct err e = { 0 };

	if (view_corrections(v, src, tell, s, &e) < 0)
		log_warn("%s: %s", src->name, e.msg);
	view_unref(v);
}

/* ---- packages that the registry does not have ---- */

/* npm leaves an optional package that it cannot get away, with all that only it needs. */
static void leave_out(struct server *s, struct parcel *src)
{
	struct view *old = view_get(s->shown), *fresh;
	const struct graph *g = basis_graph(view_basis(old));
	struct select_params params = s->c.select;
	bool *present = malloc(g->count * sizeof *present);
	struct err e = { 0 };
	int r;

	view_mark(old, src, s->failed);
	params.failed = s->failed;
	r = present ? select_nodes(g, &params, present, &e) : err_set(&e, -ENOMEM, "out of memory");
	if (r >= 0)
		r = view_new(&fresh, s->places, view_basis(old), present, &e);
	free(present);
	if (r < 0) {
		atomic_store(&src->failed, true);
		park_note_error(s->park, src, e.msg);
		view_unref(old);
		return;
	}
	log_warn("%s@%s is optional and the registry does not have it: left out", src->name,
		 src->version ? src->version : "?");
	view_unref(view_swap(s->shown, view_ref(fresh)));
	(void)atomic_fetch_add(&s->generation, 1);
	view_changes(old, fresh, tell, s);
	view_unref(fresh);
	view_unref(old);
}

/* ---- the thread ---- */

/* Wakes server_wait_local(). */
static void count_done(struct server *s)
{
	(void)pthread_mutex_lock(&s->mu);
	s->dones++;
	(void)pthread_cond_broadcast(&s->news);
	(void)pthread_mutex_unlock(&s->mu);
}

static void keep_root(struct server *s, struct store_root **root)
{
	struct view *v = view_get(s->shown);
	size_t count;
	struct parcel *const *parcels = view_parcels(v, &count);
	struct digest *keys = malloc((count + 1) * sizeof *keys);
	struct err e = { 0 };
	int r = keys ? 0 : err_set(&e, -ENOMEM, "out of memory");

	for (size_t i = 0; keys && i < count; i++)
		keys[i] = parcels[i]->key;
	if (r == 0)
		r = store_root_open(root, s->c.store, s->c.root_id, &e);
	if (r == 0)
		r = store_root_set(*root, keys, count, &e);
	if (r < 0)
		log_warn("gc will not know that this mount is in use: %s", e.msg);
	free(keys);
	view_unref(v);
}

static void prefetch(struct server *s)
{
	struct view *v = view_get(s->shown);
	size_t count;
	struct parcel *const *parcels = view_parcels(v, &count);

	for (size_t i = 0; i < count; i++)
		if (!parcel_here(places_parcels(s->places), parcels[i]))
			park_want(s->park, parcels[i]);
	view_unref(v);
}

/* Under the mutex: waits for news, and trims when fetching has been quiet for a while. */
static void wait_for_news(struct server *s)
{
	uint64_t seen = s->dones;
	struct timespec until;

	if (seen == s->trimmed) {
		(void)pthread_cond_wait(&s->news, &s->mu);
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TRIM_AFTER_S;
	if (pthread_cond_timedwait(&s->news, &s->mu, &until) != ETIMEDOUT || s->dones != seen)
		return;
	s->trimmed = seen;
	(void)pthread_mutex_unlock(&s->mu);
	(void)malloc_trim(0);
	(void)pthread_mutex_lock(&s->mu);
}

/* The next piece of news; false when it is time to stop. */
static bool next_news(struct server *s, struct parcel **ret, bool *ret_missing)
{
	bool stop;

	(void)pthread_mutex_lock(&s->mu);
	while (!s->stop && !s->come_count && !s->missing_count)
		wait_for_news(s);
	stop = s->stop;
	*ret_missing = s->missing_count > 0;
	if (stop)
		;
	else if (*ret_missing)
		*ret = s->missing[--s->missing_count];
	else
		*ret = s->come[--s->come_count];
	(void)pthread_mutex_unlock(&s->mu);
	return !stop;
}

static void *run(void *arg)
{
	struct server *s = arg;
	struct store_root *root = NULL;
	struct parcel *src;
	bool missing;

	if (s->c.root_id)
		keep_root(s, &root);
	if (s->c.prefetch != PREFETCH_NONE)
		prefetch(s);
	while (next_news(s, &src, &missing)) {
		if (missing) {
			leave_out(s, src);
			count_done(s);
		} else {
			correct(s, src);
		}
	}
	if (root)
		store_root_close(root);
	return NULL;
}

int minder_start(struct server *s, struct err *e)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->minder, NULL, run, s);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->minding = r == 0;
	return r == 0 ? 0 : err_set(e, -r, "cannot start a thread: %s", strerror(r));
}

void minder_stop(struct server *s)
{
	(void)pthread_mutex_lock(&s->mu);
	s->stop = true;
	(void)pthread_cond_broadcast(&s->news);
	(void)pthread_mutex_unlock(&s->mu);
	if (s->minding)
		(void)pthread_join(s->minder, NULL);
	s->minding = false;
}
