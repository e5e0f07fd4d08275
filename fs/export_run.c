#include "fs/export_run.h"

#include "core/file.h"
#include "fetch/fetch.h"
#include "fs/state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define PROGRESS_MS 200 /* between two looks at the progress on a terminal */
#define THREADS_MAX 16  /* more only wait for the file system's locks */

struct exporting {
	const struct export_request *q;
	struct export_counts *counts;

	char *target; /* owned: absolute */
	mode_t umask;
	struct cmd_project project;
	struct state state;
	struct store *store;
	struct places *places;
	struct basis *basis;
	struct view *view;

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
	struct parcel *src = parcels_find(places_parcels(x->places), key);

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
	bool terminal = isatty(STDERR_FILENO);

	(void)pthread_mutex_lock(&x->mu);
	while (x->done < x->wanted) {
		struct timespec until;

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&x->changed, &x->mu, &until);
		if (terminal)
			(void)fprintf(stderr, "\r%" PRIu32 " of %" PRIu32 " packages fetched%s",
				      x->done, x->wanted, x->done == x->wanted ? "\n" : "");
	}
	(void)pthread_mutex_unlock(&x->mu);
}

static int bring(struct exporting *x, struct err *e)
{
	struct fetch_config c = { .store = x->store,
				  .npmrc = x->project.npmrc,
				  .project_dir = x->project.project.dir,
				  .offline = x->project.offline,
				  .done = one_done,
				  .done_arg = x };
	size_t n;
	struct parcel *const *list = view_parcels(x->view, &n);
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

		if (parcel_here(places_parcels(x->places), list[i]))
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

static int key_of(void *arg, const struct graph_node *n, struct digest *ret, struct err *e)
{
	const struct exporting *x = arg;

	return fetch_key(x->project.npmrc, x->project.project.dir, n, ret, e);
}

static int make_view(struct exporting *x, struct err *e)
{
	size_t count = basis_graph(x->basis)->count;
	auto_free bool *present = calloc(count, sizeof *present);
	struct view *v;
	int r;

	if (!present)
		return err_set(e, -ENOMEM, "out of memory");
	r = select_nodes(basis_graph(x->basis), &x->project.select, present, e);
	if (r == 0)
		r = view_new(&v, x->places, x->basis, present, e);
	if (r < 0)
		return r;
	view_unref(x->view);
	x->view = v;
	return 0;
}

/* Packages that cannot be had go with their optional set, as with npm. */
static int leave_out(struct exporting *x, struct err *e)
{
	if (x->lost_count == 0)
		return 0;
	x->failed = calloc(basis_graph(x->basis)->count, sizeof *x->failed);
	if (!x->failed)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < x->lost_count; i++) {
		view_mark(x->view, x->lost[i], x->failed);
		(void)fprintf(stderr, "dx export: %s@%s is optional and cannot be had: left out\n",
			      x->lost[i]->name, x->lost[i]->version ? x->lost[i]->version : "");
	}
	x->project.select.failed = x->failed;
	return make_view(x, e);
}

static int open_places(struct exporting *x, struct err *e)
{
	const struct npmrc *rc = x->project.npmrc;
	struct places_config c = {
		.store = x->store,
		.state_dir = x->state.dir,
		.fleeting = true,
		.project_dirfd = x->project.project.dirfd,
		.bin_links = npmrc_bool(rc, "bin-links", true),
		.omit_resolved = npmrc_bool(rc, "omit-lockfile-registry-resolved", false),
		.key = key_of,
		.key_arg = x,
		.modes = { .umask = x->umask,
			   .npm_umask = npmrc_umask(rc),
			   .setuid = geteuid() == 0 },
	};

	return places_open(&x->places, &c, e);
}

/* What a mount of the project would have to know: the pins are the project's, wherever it goes. */
static int open_state(struct exporting *x, struct err *e)
{
	auto_free char *mountpoint = NULL;

	if (asprintf(&mountpoint, "%s/node_modules", x->project.project.dir) < 0) {
		mountpoint = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return state_open(&x->state, mountpoint, true, e);
}

static int open_all(struct exporting *x, struct err *e)
{
	struct lock *lock = NULL;
	int r = cmd_project_open(&x->project, &x->q->project, e);

	if (r == 0)
		r = open_state(x, e);
	if (r < 0)
		return r;
	cmd_project_select(&x->project);
	r = cmd_project_lock(&x->project, &lock, e);
	if (r == 0)
		r = basis_new(&x->basis, lock, e);
	if (r == 0)
		r = store_open(&x->store, &x->q->store, e);
	if (r == 0)
		r = open_places(x, e);
	return r == 0 ? make_view(x, e) : r;
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
	uint64_t root = view_root_ino(x->view, 0);
	auto_free char *path = NULL, *have = NULL, *want = NULL;
	struct view_attr a;
	struct parcel *wait;
	size_t len;

	if (asprintf(&path, "%s/.package-lock.json", x->target) < 0) {
		path = NULL;
		return false;
	}
	if (view_lookup(x->view, root, SLICE(".package-lock.json"), &a, &wait, NULL) != 0 ||
	    file_read_all(AT_FDCWD, path, a.size + 1, &have, &len, NULL) < 0 || len != a.size)
		return false;
	want = malloc(len + 1);
	return want && view_read(x->view, a.ino, want, len, 0, &wait, NULL) == (ssize_t)len &&
	       memcmp(have, want, len) == 0;
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
	r = export_view(x->view, x->target, threads, x->counts, e);
	(void)umask(x->umask);
	return r;
}

static void release(struct exporting *x)
{
	view_unref(x->view);
	basis_unref(x->basis);
	places_close(x->places);
	fetch_stop(x->fetch);
	store_close(x->store);
	state_release(&x->state);
	cmd_project_release(&x->project);
	free(x->failed);
	free(x->lost);
	free(x->target);
}

int export_run(const struct export_request *q, struct export_counts *counts, struct err *e)
{
	struct exporting x = { .q = q,
			       .counts = counts,
			       .project = CMD_PROJECT_INIT,
			       .state = STATE_INIT,
			       .mu = PTHREAD_MUTEX_INITIALIZER,
			       .changed = PTHREAD_COND_INITIALIZER };
	int r = run(&x, e);

	release(&x);
	return r;
}
