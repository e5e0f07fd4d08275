#include "fs/export_run.h"

#include "core/file.h"
#include "core/thread.h"
#include "fetch/fetch.h"
#include "fs/cmd_view.h"
#include "fs/progress.h"
#include "fs/state.h"

#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_MS     (1000 / PROGRESS_PER_S)
#define THREADS_MAX 16 /* more only wait for the file system's locks */

struct exporting {
	const struct export_request *q;
	struct export_counts *counts;

	char *target; /* owned: absolute */
	mode_t umask;
	struct state state;
	struct cmd_view v;

	/* Bringing what is missing. */
	struct fetch *fetch;
	bool *failed; /* by graph node */
	pthread_mutex_t mu;
	pthread_cond_t changed;
	/* guarded by mu */
	uint32_t wanted, done;
	struct parcel **lost; /* could not be had, and the tree can do without */
	uint32_t lost_count;
	int result;
	struct err e;
};

/* ---- what is missing ---- */

static void one_done(void *arg, const struct digest *key, int result, const char *why)
{
	struct exporting *x = arg;
	struct parcel *src = parcels_find(places_parcels(x->v.places), key);

	(void)pthread_mutex_lock(&x->mu);
	x->done++;
	if ((result == -ENOENT || result == -EBADMSG) && src && atomic_load(&src->optional))
		x->lost[x->lost_count++] = src;
	else if (result < 0 && x->result == 0)
		x->result = err_set(&x->e, result, "%s", why);
	(void)pthread_cond_signal(&x->changed);
	(void)pthread_mutex_unlock(&x->mu);
}

static void wait_all(struct exporting *x)
{
	struct progress progress = { .to = stderr };
	struct fetch_stats st;

	(void)pthread_mutex_lock(&x->mu);
	while (x->done < x->wanted) {
		const struct timespec until = helper_until(LOOK_MS);

		(void)pthread_cond_timedwait(&x->changed, &x->mu, &until);
		fetch_stats(x->fetch, &st);
		progress_show(&progress, x->done, x->wanted, st.bytes);
	}
	progress_hide(&progress);
	(void)pthread_mutex_unlock(&x->mu);
}

static int bring(struct exporting *x, struct err *e)
{
	struct fetch_config c = { .store = x->v.store,
				  .npmrc = x->v.project.npmrc,
				  .project_dir = x->v.project.project.dir,
				  .bulk = true,
				  .offline = x->v.project.offline,
				  .done = one_done,
				  .done_arg = x };
	size_t n;
	struct parcel *const *list = view_parcels(x->v.view, &n);
	int r;

	x->lost = calloc(n + 1, sizeof *x->lost);
	if (!x->lost)
		return err_set(e, -ENOMEM, "out of memory");
	r = fetch_start(&x->fetch, &c, e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct fetch_pkg p = { .key = list[i]->key,
				       .name = list[i]->name,
				       .version = list[i]->version,
				       .resolved = list[i]->resolved,
				       .integrity = list[i]->integrity };

		if (parcel_here(places_parcels(x->v.places), list[i]))
			continue;
		(void)pthread_mutex_lock(&x->mu);
		x->wanted++;
		(void)pthread_mutex_unlock(&x->mu);
		fetch_want(x->fetch, &p, FETCH_BACKGROUND);
	}
	if (r < 0)
		return r;
	wait_all(x);
	fetch_stop(take(&x->fetch));
	return x->result < 0 ? err_set(e, x->result, "%s", x->e.msg) : 0;
}

/* ---- the view ---- */

/* Packages that cannot be had go with their optional set, as with npm. */
static int leave_out(struct exporting *x, struct err *e)
{
	if (x->lost_count == 0)
		return 0;
	x->failed = calloc(basis_graph(view_basis(x->v.view))->count, sizeof *x->failed);
	if (!x->failed)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < x->lost_count; i++) {
		view_mark(x->v.view, x->lost[i], x->failed);
		(void)fprintf(stderr, "dx export: %s@%s is optional and cannot be had: left out\n",
			      x->lost[i]->name, x->lost[i]->version ? x->lost[i]->version : "");
	}
	return cmd_view_again(&x->v, x->failed, e);
}

/* The state is what a mount of the project has: the pins are the project's, wherever it goes. */
static int open_all(struct exporting *x, struct err *e)
{
	auto_project struct project p = PROJECT_INIT;
	auto_free char *mountpoint = NULL;
	int r = project_open(&p, x->q->project.dir ? x->q->project.dir : ".", e);

	if (r < 0)
		return r;
	if (asprintf(&mountpoint, "%s/node_modules", p.dir) < 0) {
		mountpoint = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = state_open(&x->state, mountpoint, true, e);
	return r == 0 ? cmd_view_open(&x->v, &x->q->project, &x->q->store, &x->state, true, e) : r;
}

/* ---- where to ---- */

/* Its parent must stand; the folder itself need not. */
static int find_target(struct exporting *x, struct err *e)
{
	auto_free char *a = strdup(x->q->dir), *b = strdup(x->q->dir), *parent = NULL;
	const char *name;

	if (!a || !b)
		return err_set(e, -ENOMEM, "out of memory");
	name = basename(b);
	if (strcmp(name, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, -EINVAL, "%s: name the folder that is to be made", x->q->dir);
	parent = realpath(dirname(a), NULL);
	if (!parent)
		return err_set(e, -errno, "the folder above %s: %s", x->q->dir, strerror(errno));
	if (asprintf(&x->target, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0) {
		x->target = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* The folder that is there shows this lock: so its hidden lockfile says. */
static bool stands(const struct exporting *x)
{
	uint64_t root = view_root_ino(x->v.view, 0);
	auto_free char *path = NULL, *have = NULL, *want = NULL;
	struct view_attr a;
	struct parcel *wait;
	size_t len;

	if (asprintf(&path, "%s/.package-lock.json", x->target) < 0) {
		path = NULL;
		return false;
	}
	if (view_lookup(x->v.view, root, SLICE(".package-lock.json"), &a, &wait, NULL) != 0 ||
	    file_read_all(AT_FDCWD, path, a.size + 1, &have, &len, NULL) < 0 || len != a.size)
		return false;
	want = malloc(len + 1);
	return want && view_read(x->v.view, a.ino, want, len, 0, &wait, NULL) == (ssize_t)len &&
	       memcmp(have, want, len) == 0;
}

/* Shows how far the threads that write are. */
struct watching {
	struct export_counts *counts;
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t ended;
	bool end; /* guarded by mu */
};

static void *watch(void *arg)
{
	struct watching *w = arg;
	struct progress progress = { .to = stderr };

	(void)pthread_mutex_lock(&w->mu);
	while (!w->end) {
		const struct timespec until = helper_until(LOOK_MS);

		if (pthread_cond_timedwait(&w->ended, &w->mu, &until) == ETIMEDOUT)
			progress_show(&progress, w->counts->packages_done, w->counts->packages,
				      w->counts->bytes);
	}
	(void)pthread_mutex_unlock(&w->mu);
	progress_hide(&progress);
	return NULL;
}

/* Without the thread it goes on, and says nothing. */
static int export_watched(struct exporting *x, unsigned threads, struct err *e)
{
	struct watching w = { .counts = x->counts, .mu = PTHREAD_MUTEX_INITIALIZER };
	bool watched;
	int r;

	helper_cond(&w.ended);
	watched = thread_start(&w.thread, watch, &w, NULL) == 0;
	r = export_view(x->v.view, x->target, threads, x->counts, e);
	(void)pthread_mutex_lock(&w.mu);
	w.end = true;
	(void)pthread_cond_signal(&w.ended);
	(void)pthread_mutex_unlock(&w.mu);
	if (watched)
		(void)pthread_join(w.thread, NULL);
	return r;
}

static int run(struct exporting *x, struct err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
	int r = find_target(x, e);

	x->umask = umask(022);
	(void)umask(x->umask);
	if (r == 0)
		r = open_all(x, e);
	if (r == 0 && x->q->keep_same && stands(x))
		return 1;
	if (r == 0)
		r = bring(x, e);
	if (r == 0)
		r = leave_out(x, e);
	if (r < 0)
		return r;
	(void)umask(0);
	r = export_watched(x, threads, e);
	(void)umask(x->umask);
	return r;
}

static void release(struct exporting *x)
{
	fetch_stop(x->fetch);
	cmd_view_release(&x->v);
	state_release(&x->state);
	free(x->failed);
	free(x->lost);
	free(x->target);
}

int export_run(const struct export_request *q, struct export_counts *counts, struct err *e)
{
	struct exporting x = { .q = q,
			       .counts = counts,
			       .v = CMD_VIEW_INIT,
			       .state = STATE_INIT,
			       .mu = PTHREAD_MUTEX_INITIALIZER };
	int r;

	helper_cond(&x.changed);
	r = run(&x, e);
	release(&x);
	return r;
}
