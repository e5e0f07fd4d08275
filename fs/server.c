#include "fs/server.h"

#include "core/log.h"
#include "fs/built.h"
#include "fs/changes.h"
#include "fs/server_priv.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define CREW_THREADS 3 /* fsyncs at once; each also waits for the disk, not for a processor */

const struct ops_server *server_ops(const struct server *s)
{
	return &s->ops;
}

/* ---- fetching ---- */

static void on_done(void *arg, const struct digest *key, int result, const char *why)
{
	struct server *s = arg;
	struct parcel *src = parcels_find(places_parcels(s->places), key);
	bool left_out;

	if (!src)
		return;
	/* npm goes on without an optional package that fails in whatever way. A mount stays for
	 * longer than a network is down: only what asking again would not mend counts. */
	left_out = (result == -ENOENT || result == -EBADMSG) && atomic_load(&src->optional);
	park_done(s->park, src, result, why, left_out);
	minder_come(s, src, left_out);
}

static struct fetch_pkg fetch_pkg_of(const struct parcel *src)
{
	return (struct fetch_pkg){
		.key = src->key,
		.name = src->name,
		.version = src->version,
		.resolved = src->resolved,
		.integrity = src->integrity,
	};
}

static void on_want(void *arg, struct parcel *src, enum park_prio prio)
{
	static const enum fetch_prio of[] = { [PARK_BACKGROUND] = FETCH_BACKGROUND,
					      [PARK_PREDICTED] = FETCH_GUESS,
					      [PARK_DEMAND] = FETCH_DEMAND };
	const struct fetch_pkg pkg = fetch_pkg_of(src);
	struct server *s = arg;
	char why[256];

	if (s->fetch) {
		fetch_want(s->fetch, &pkg, of[prio]);
		return;
	}
	snprintf(why, sizeof why, "%s@%s is not in the store, and nothing is fetched here",
		 src->name, src->version ? src->version : "?");
	on_done(s, &src->key, -ENETUNREACH, why);
}

/* Where the whole lock is to come, it comes with the rest. */
static bool on_drop(void *arg, struct parcel *src)
{
	const struct fetch_pkg pkg = fetch_pkg_of(src);
	struct server *s = arg;

	if (s->fetch && s->c.prefetch != PREFETCH_NONE)
		fetch_want(s->fetch, &pkg, FETCH_BACKGROUND);
	return s->fetch && fetch_drop(s->fetch, &src->key, FETCH_DEMAND);
}

/* ---- making ---- */

static int copy_config(struct server *s, const struct server_config *c, struct err *e)
{
	s->c = *c;
	s->c.lock = NULL;
	s->c.project_dir = strdup(c->project_dir);
	s->c.state_dir = strdup(c->state_dir);
	s->c.root_id = c->root_id ? strdup(c->root_id) : NULL;
	s->c.upper_dir = c->upper_dir ? strdup(c->upper_dir) : NULL;
	if (!s->c.project_dir || !s->c.state_dir || (c->root_id && !s->c.root_id) ||
	    (c->upper_dir && !s->c.upper_dir))
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

static int key_of(void *arg, const struct graph_node *n, struct digest *ret, struct err *e)
{
	const struct server *s = arg;

	return s->c.npmrc ? fetch_key(s->c.npmrc, s->c.project_dir, n, ret, e)
			  : graph_node_key(n, ret, e);
}

static int open_places(struct server *s, struct err *e)
{
	auto_close int dirfd = open(s->c.project_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct places_config c = {
		.store = s->c.store,
		.state_dir = s->c.state_dir,
		.project_dirfd = dirfd,
		.bin_links = !s->c.no_bin_links,
		.omit_resolved = s->c.omit_resolved,
		.key = key_of,
		.key_arg = s,
		.modes = {
			.umask = s->c.umask,
			.npm_umask = s->c.npm_umask,
			.setuid = s->c.uid == 0,
		},
	};

	if (dirfd < 0)
		return err_set(e, -errno, "cannot open %s: %s", s->c.project_dir, strerror(errno));
	return places_open(&s->places, &c, e);
}

int server_select(struct server *s, const struct graph *g, bool *present, struct err *e)
{
	auto_free bool *failed = malloc(g->count * sizeof *failed);
	struct select_params params = s->c.select;
	auto_built struct built built = { 0 };
	int r = 0;

	if (!failed)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(failed, s->failed, g->count * sizeof *failed);
	if (s->c.upper_dir)
		r = built_read(&built, s->c.upper_dir, e);
	if (r == 0)
		r = built_mark_failed(&built, g, key_of, s, failed, e);
	params.failed = failed;
	return r < 0 ? r : select_nodes(g, &params, present, e);
}

static int open_upper(struct server *s, struct err *e)
{
	struct upper_config c = {
		.dir = s->c.upper_dir,
		.project_dir = s->c.project_dir,
		.uid = s->c.uid,
		.gid = s->c.gid,
		.umask = s->c.umask,
	};
	auto_free char *aside = NULL;
	int r;

	if (!c.dir)
		return 0;
	s->crew = crew_new();
	r = s->crew ? upper_open(&s->upper, &c, &aside, e) : err_set(e, -ENOMEM, "out of memory");
	if (aside)
		log_warn("what was written into the mount of a project that stood here before is "
			 "in %s now, and is not shown",
			 aside);
	return r;
}

static int first_view(struct server *s, struct basis *b, struct err *e)
{
	const struct graph *g = basis_graph(b);
	auto_free bool *present = malloc(g->count * sizeof *present);
	struct view *v;
	int r;

	s->failed = calloc(g->count, sizeof *s->failed);
	if (!present || !s->failed)
		return err_set(e, -ENOMEM, "out of memory");
	r = server_select(s, g, present, e);
	if (r >= 0)
		r = view_new(&v, s->places, b, present, e);
	if (r < 0)
		return r;
	s->shown = view_cell_new(v);
	return s->shown ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int build(struct server *s, struct lock *lock, struct err *e)
{
	struct park_config park = {
		.want = on_want,
		.drop = on_drop,
		.arg = s,
	};
	struct basis *b = NULL;
	int r = basis_new(&b, lock, e);

	if (r < 0)
		return r;
	s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->park = park_new(&park);
	if (s->ended_fd < 0 || !s->park)
		r = err_set(e, s->park ? -errno : -ENOMEM, "cannot start serving");
	if (r == 0)
		r = open_places(s, e);
	if (r == 0)
		r = open_upper(s, e);
	if (r == 0)
		r = first_view(s, b, e);
	basis_unref(b);
	if (r == 0)
		r = mounts_make(s, e);
	if (r == 0) {
		s->push = push_new(s->shown, s->upper, s->c.project_dir);
		if (!s->push)
			r = err_set(e, -ENOMEM, "out of memory");
	}
	s->ops = (struct ops_server){
		.push = s->push,
		.listed = &s->listed,
		.shown = s->shown,
		.places = s->places,
		.park = s->park,
		.upper = s->upper,
		.crew = s->crew,
		.uid = s->c.uid,
		.gid = s->c.gid,
	};
	return r;
}

int server_new(struct server **ret, const struct server_config *c, struct err *e)
{
	struct server *s = calloc(1, sizeof *s);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r;

	if (!s) {
		lock_close(c->lock);
		return err_set(e, -ENOMEM, "out of memory");
	}
	(void)pthread_mutex_init(&s->mu, NULL);
	(void)pthread_mutex_init(&s->mounting, NULL);
	helper_cond(&s->news);
	helper_cond(&s->late_news);
	s->ended_fd = -1;
	s->threads = cores > 4 ? (unsigned)cores : 4;
	r = copy_config(s, c, e);
	if (r < 0)
		lock_close(c->lock);
	else
		r = build(s, c->lock, e);
	if (r < 0)
		server_free(s);
	else
		*ret = s;
	return r;
}

void server_free(struct server *s)
{
	struct err e = { 0 };

	if (!s)
		return;
	for (unsigned i = 0; i < s->mount_count; i++)
		if (conn_unmount(&s->mounts[i].conn, true, &e) < 0)
			log_warn("%s", e.msg);
	mounts_join(s);
	push_stop(s->push);
	ahead_free(s->ahead); /* it and the minder may be wanting packages */
	minder_stop(s);
	if (s->fetch)
		fetch_stop(s->fetch);
	if (s->crew)
		crew_stop(s->crew);
	if (s->park)
		park_stop(s->park);
	minder_late_stop(s);
	for (unsigned i = 0; i < s->mount_count; i++) {
		conn_release(&s->mounts[i].conn);
		free(s->paths[i]);
	}
	free(s->paths);
	free(s->mounts);
	view_cell_free(s->shown);
	places_close(s->places);
	upper_close(s->upper);
	crew_free(s->crew);
	push_free(s->push);
	park_free(s->park);
	free(s->failed);
	basis_unref(s->next);
	free(s->come);
	free(s->missing);
	closep(&s->ended_fd);
	free((char *)s->c.project_dir);
	free((char *)s->c.state_dir);
	free((char *)s->c.root_id);
	free((char *)s->c.upper_dir);
	(void)pthread_cond_destroy(&s->news);
	(void)pthread_cond_destroy(&s->late_news);
	(void)pthread_mutex_destroy(&s->mu);
	(void)pthread_mutex_destroy(&s->mounting);
	free(s);
}

/* ---- serving ---- */

static int start_ahead(struct server *s, struct err *e)
{
	struct ahead_config c = {
		.shown = s->shown,
		.park = s->park,
		.parcels = places_parcels(s->places),
		.store_dir = store_dir(s->c.store),
		.only_learn = s->c.prefetch == PREFETCH_NONE || !s->fetch || s->c.offline,
		.all_comes = s->c.prefetch >= PREFETCH_BACKGROUND,
	};

	s->ahead = ahead_new(&c);
	return s->ahead ? ahead_start(s->ahead, e) : err_set(e, -ENOMEM, "out of memory");
}

static int start_fetch(struct server *s, struct err *e)
{
	struct fetch_config c = {
		.store = s->c.store,
		.npmrc = s->c.npmrc,
		.project_dir = s->c.project_dir,
		.bulk = s->c.prefetch == PREFETCH_ALL,
		.offline = s->c.offline,
		.done = on_done,
		.done_arg = s,
	};

	return s->c.npmrc ? fetch_start(&s->fetch, &c, e) : 0;
}

int server_start(struct server *s, struct err *e)
{
	int r;

	/* Fixed, because glibc raises it to the largest tarball that was freed, and then keeps
	 * such memory: 26 MB instead of 11 after fetching 1,260 packages. */
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	r = start_fetch(s, e);

	park_start(s->park);
	if (s->crew)
		crew_start(s->crew, CREW_THREADS);
	if (r == 0)
		r = start_ahead(s, e);
	for (unsigned i = 0; i < s->mount_count && r == 0; i++)
		if (s->mounts[i].conn.session)
			r = mounts_serve(&s->mounts[i], e);
	return r == 0 ? minder_start(s, e) : r;
}

int server_fd(const struct server *s)
{
	return s->ended_fd;
}

void server_wait(struct server *s)
{
	struct pollfd p = { .fd = s->ended_fd, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	mounts_join(s);
}

bool server_wait_ms(struct server *s, unsigned wait_ms)
{
	const struct timespec until = helper_until(wait_ms);
	bool ended = true;

	for (unsigned i = 0; i < s->mount_count; i++) {
		struct mount *m = &s->mounts[i];

		if (m->running &&
		    pthread_clockjoin_np(m->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
			m->running = false;
		ended &= !m->running;
	}
	return ended;
}

static int with_upper(struct server *s, struct buf *ret, struct err *e,
		      int (*print)(struct buf *ret, struct upper *u, struct view *v, struct err *e))
{
	struct view *v;
	int r;

	if (!s->upper) {
		buf_addstr(ret, "[]");
		return buf_error(ret);
	}
	v = view_get(s->shown);
	r = print(ret, s->upper, v, e);
	view_unref(v);
	return r;
}

int server_changes(struct server *s, struct buf *ret, struct err *e)
{
	return with_upper(s, ret, e, changes_json);
}

int server_aside(struct server *s, struct buf *ret, struct err *e)
{
	return with_upper(s, ret, e, changes_aside_json);
}

int server_reset(struct server *s, const char *path, uint64_t *ret_count, struct err *e)
{
	struct view *v;
	int r;

	if (!s->upper)
		return err_set(e, -EROFS, "it is mounted read-only: nothing was written");
	v = view_get(s->shown);
	r = upper_reset(s->upper, v, path, minder_tell, s, ret_count, e);
	view_unref(v);
	return r;
}

/* ---- status ---- */

static void count_packages(struct server *s, struct server_status *ret)
{
	struct view *v = view_get(s->shown);
	size_t count;
	struct parcel *const *parcels = view_parcels(v, &count);

	ret->packages = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		if (parcel_here(places_parcels(s->places), parcels[i]))
			ret->local++;
		else if (park_on_its_way(s->park, parcels[i]))
			ret->fetching++;
		else if (atomic_load(&parcels[i]->failed))
			ret->failed++;
	}
	ret->offline_safe = ret->local == ret->packages;
	view_unref(v);
}

#define WAIT_LOCAL_MS 100 /* how late the wait for all packages sees that it shall end */

/* Until a fetch has ended, or for a moment. */
static void wait_done(struct server *s, uint64_t seen)
{
	struct timespec until = helper_until(WAIT_LOCAL_MS);

	(void)pthread_mutex_lock(&s->mu);
	while (s->dones == seen && pthread_cond_timedwait(&s->news, &s->mu, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&s->mu);
}

int server_wait_local(struct server *s, struct pollfd *stop, unsigned count, struct err *e)
{
	struct server_status now;
	uint64_t seen;

	for (;;) {
		(void)pthread_mutex_lock(&s->mu);
		seen = s->dones;
		(void)pthread_mutex_unlock(&s->mu);
		now = (struct server_status){ 0 };
		count_packages(s, &now);
		if (now.local + now.failed >= now.packages)
			break;
		if (poll(stop, count, 0) != 0)
			return err_set(
				e, -EINTR, "unmounted when %u of %u package%s had not come yet",
				now.packages - now.local, now.packages, plural(now.packages));
		wait_done(s, seen);
	}
	if (now.failed)
		return err_set(e, -EIO,
			       "%u of %u package%s could not be brought; it is mounted all the "
			       "same, and `dxfs status` says what was wrong",
			       now.failed, now.packages, plural(now.packages));
	return 0;
}

void server_status(struct server *s, struct server_status *ret)
{
	struct fetch_stats fetch = { 0 };

	*ret = (struct server_status){ 0 };
	count_packages(s, ret);
	if (s->fetch)
		fetch_stats(s->fetch, &fetch);
	ret->bytes_fetched = fetch.bytes;
	ret->parked = park_count(s->park);
	ret->parked_ms = park_waited_ms(s->park);
	if (s->ahead)
		ahead_stats(s->ahead, s->c.store, &ret->ahead);
	ret->generation = atomic_load(&s->generation);
	for (unsigned i = 0; i < s->mount_count; i++)
		for (unsigned k = 0; k < SERVER_OPCODES; k++)
			ret->messages[k] += atomic_load_explicit(&s->mounts[i].conn.messages[k],
								 memory_order_relaxed);
	ret->error_count = park_errors(s->park, ret->errors);
}
