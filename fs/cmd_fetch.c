#include "core/store.h"
#include "fetch/fetch.h"
#include "fs/cmd.h"
#include "fs/load.h"

#include <getopt.h>
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
	struct loaded loaded;
	struct store *store;
	struct graph *graph;
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
	struct select_params sp = { .platform = &f->loaded.platform,
				    .machine = &f->loaded.machine,
				    .omit = f->loaded.omit };
	auto_free bool *present = calloc(f->graph->count, sizeof *present);
	auto_free struct fetch_pkg *list = calloc(f->graph->count, sizeof *list);
	uint32_t n = 0, unique = 0;
	int r;

	if (!present || !list)
		return err_set(e, -ENOMEM, "out of memory");
	r = select_nodes(f->graph, &sp, present, e);
	for (uint32_t i = 0; r == 0 && i < f->graph->count; i++) {
		const struct graph_node *node = &f->graph->nodes[i];
		struct fetch_pkg p = { .name = node->pkg_name,
				       .version = node->version,
				       .resolved = node->resolved,
				       .integrity = node->integrity };

		if (!present[i])
			continue;
		r = fetch_key(f->loaded.npmrc, f->loaded.project.dir, node, &p.key, e);
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
				  .npmrc = f->loaded.npmrc,
				  .project_dir = f->loaded.project.dir,
				  .offline = f->loaded.offline,
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

int cmd_fetch(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "store", required_argument, NULL, 's' },
					       { "registry", required_argument, NULL, 'g' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct load_options lo = { .project_dir = "." };
	struct fetching f = { .loaded.project = PROJECT_INIT };
	struct store_options so = { 0 };
	struct fetch_stats st = { 0 };
	struct err e = { 0 };
	bool json = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'j') {
			json = true;
		} else if (c == 's') {
			so.dir = optarg;
		} else if (c == 'g') {
			lo.registry = optarg;
		} else {
			(void)fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? CMD_OK : CMD_USAGE;
		}
	}
	if (optind != argc) {
		(void)fputs(usage, stderr);
		return CMD_USAGE;
	}
	(void)pthread_mutex_init(&f.tally.mu, NULL);
	(void)pthread_cond_init(&f.tally.changed, NULL);
	r = load_project(&f.loaded, &lo, &e);
	if (r == 0)
		r = store_open(&f.store, &so, &e);
	if (r == 0)
		r = lock_graph(f.loaded.lock, &f.graph, &e);
	if (r == 0)
		r = fetch_missing(&f, &st, &e);
	if (r < 0)
		(void)fprintf(stderr, "dx fetch: %s\n", e.msg);
	else
		(void)printf(json ? "{\"packages\":%" PRIu32 ",\"fetched\":%" PRIu64
				    ",\"failed\":%" PRIu32 ",\"bytes\":%" PRIu64 "}\n"
				  : "%" PRIu32 " packages: %" PRIu64 " fetched, %" PRIu32
				    " failed, %" PRIu64 " bytes\n",
			     f.total, st.fetched, f.tally.failed, st.bytes);
	graph_free(f.graph);
	store_close(f.store);
	loaded_release(&f.loaded);
	return r < 0 || f.tally.failed ? CMD_FAILED : CMD_OK;
}
