#include "core/store.h"
#include "fetch/fetch.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define PROGRESS_MS 200 /* between two looks at the progress on a terminal */

static const char usage[] = "usage: dx fetch [--json] [--store=DIR] [--registry=URL]\n"
			    "brings every package that the lock names into the store\n";

/* Counted by fetch threads, read by the command's. */
struct tally {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	uint32_t wanted, done, failed; /* guarded by mu */
};

struct fetching {
	struct cmd_project project;
	struct store *store;
	const struct graph *graph; /* borrowed */
	struct fetch *fetch;
	struct tally tally;
	uint32_t total; /* packages that the lock names, each once */
};

static void one_done(void *arg, const struct digest *key, int result, const char *why)
{
	struct tally *t = arg;

	(void)key;
	(void)pthread_mutex_lock(&t->mu);
	t->done++;
	t->failed += result < 0;
	if (result < 0 && result != -ECANCELED)
		(void)fprintf(stderr, "dx fetch: %s\n", why);
	(void)pthread_cond_signal(&t->changed);
	(void)pthread_mutex_unlock(&t->mu);
}

static int by_key(const void *a, const void *b)
{
	const struct fetch_pkg *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof x->key);
}

/* Every package of the selected nodes, each key once, sorted by key. */
static int collect(struct fetching *f, struct fetch_pkg **ret, uint32_t *ret_count, struct err *e)
{
	auto_free bool *present = calloc(f->graph->count, sizeof *present);
	auto_free struct fetch_pkg *list = calloc(f->graph->count, sizeof *list);
	uint32_t n = 0, unique = 0;
	int r;

	if (!present || !list)
		return err_set(e, -ENOMEM, "out of memory");
	r = select_nodes(f->graph, &f->project.select, present, e);
	for (uint32_t i = 0; r == 0 && i < f->graph->count; i++) {
		const struct graph_node *node = &f->graph->nodes[i];
		struct fetch_pkg p = { .name = node->pkg_name,
				       .version = node->version,
				       .resolved = node->resolved,
				       .integrity = node->integrity };

		if (!present[i])
			continue;
		r = fetch_key(f->project.npmrc, f->project.project.dir, node, &p.key, e);
		if (r == 0 && p.key.alg != DIGEST_NONE)
			list[n++] = p;
	}
	if (r < 0)
		return r;
	qsort(list, n, sizeof *list, by_key);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || !digest_eq(&list[i].key, &list[unique - 1].key))
			list[unique++] = list[i];
	*ret = take(&list);
	*ret_count = unique;
	return 0;
}

static void show_progress(struct fetching *f, bool last)
{
	struct fetch_stats st;

	if (!isatty(STDERR_FILENO))
		return;
	fetch_stats(f->fetch, &st);
	(void)fprintf(stderr, "\r%" PRIu32 " of %" PRIu32 " packages, %.1f MB%s", f->tally.done,
		      f->tally.wanted, (double)st.bytes / 1e6, last ? "\n" : " ");
}

static void wait_all(struct fetching *f)
{
	struct tally *t = &f->tally;

	(void)pthread_mutex_lock(&t->mu);
	while (t->done < t->wanted) {
		struct timespec until;

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&t->changed, &t->mu, &until);
		show_progress(f, false);
	}
	if (t->wanted > 0)
		show_progress(f, true);
	(void)pthread_mutex_unlock(&t->mu);
}

static int fetch_missing(struct fetching *f, struct fetch_stats *ret, struct err *e)
{
	struct fetch_config c = { .store = f->store,
				  .npmrc = f->project.npmrc,
				  .project_dir = f->project.project.dir,
				  .offline = f->project.offline,
				  .done = one_done,
				  .done_arg = &f->tally };
	auto_free struct fetch_pkg *list = NULL;
	int r = collect(f, &list, &f->total, e);

	if (r == 0)
		r = fetch_start(&f->fetch, &c, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < f->total; i++) {
		if (store_has(f->store, &list[i].key))
			continue;
		(void)pthread_mutex_lock(&f->tally.mu);
		f->tally.wanted++;
		(void)pthread_mutex_unlock(&f->tally.mu);
		fetch_want(f->fetch, &list[i], FETCH_BACKGROUND);
	}
	wait_all(f);
	fetch_stats(f->fetch, ret);
	fetch_stop(f->fetch);
	return store_sync(f->store, e);
}

static int run(struct fetching *f, const struct cmd_project_options *po,
	       const struct store_options *so, struct fetch_stats *ret, struct err *e)
{
	auto_lock struct lock *lock = NULL;
	auto_graph struct graph *g = NULL;
	int r = cmd_project_open(&f->project, po, e);

	if (r == 0)
		r = cmd_project_lock(&f->project, &lock, e);
	if (r == 0)
		r = store_open(&f->store, so, e);
	if (r == 0)
		r = lock_graph(lock, &g, e);
	if (r < 0)
		return r;
	cmd_project_select(&f->project);
	f->graph = g;
	return fetch_missing(f, ret, e);
}

int cmd_fetch(int argc, char **argv)
{
	bool json = false;
	struct cmd_project_options po = { 0 };
	struct store_options so = { 0 };
	const struct cmd_option options[] = { { "json", .given = &json },
					      { "store", .value = &so.dir },
					      { "registry", .value = &po.registry },
					      { 0 } };
	struct fetching f = { .project = CMD_PROJECT_INIT };
	struct fetch_stats st = { 0 };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 0);

	if (rc >= 0)
		return rc;
	(void)pthread_mutex_init(&f.tally.mu, NULL);
	(void)pthread_cond_init(&f.tally.changed, NULL);
	r = run(&f, &po, &so, &st, &e);
	if (r == 0)
		(void)printf(json ? "{\"packages\":%" PRIu32 ",\"fetched\":%" PRIu64
				    ",\"failed\":%" PRIu32 ",\"bytes\":%" PRIu64 "}\n"
				  : "%" PRIu32 " packages: %" PRIu64 " fetched, %" PRIu32
				    " failed, %" PRIu64 " bytes\n",
			     f.total, st.fetched, f.tally.failed, st.bytes);
	store_close(f.store);
	cmd_project_release(&f.project);
	rc = cmd_end("dx fetch", r, &e);
	return f.tally.failed ? CMD_FAILED : rc;
}
