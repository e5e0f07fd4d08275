#include "fs/ahead.h"

#include "core/log.h"
#include "core/thread.h"
#include "fetch/foresight.h"

#include <pthread.h>
#include <time.h>

#define NONE UINT32_MAX

/* The packages of a view, by number. */
struct known {
	struct view *view; /* a reference; NULL: nothing yet */
	struct parcel **parcels;
	struct foresight_pkg *pkgs;
	bool *reached; /* by package: one that was touched depends on it */
	bool *below;   /* by package: want_what_is_below() has had it in line */
	uint32_t *deps;
	uint32_t count;
	struct foresight *foresight; /* NULL: nothing is missing, or nothing is to be wanted */
};

struct ahead {
	struct ahead_config c;
	pthread_mutex_t mu;
	pthread_cond_t news;
	/* guarded by mu */
	struct helper helper;
	bool stop;
	struct parcel **touched;
	size_t touched_count, touched_cap;
	uint64_t touches;

	/* the thread's */
	struct known known;
	struct predict_touch log[PREDICT_LEARN_MAX]; /* names are borrowed of parcels */
	size_t log_count;
	bool begun, has_learned;
};

struct ahead *ahead_new(const struct ahead_config *c)
{
	struct ahead *a = calloc(1, sizeof *a);

	if (!a)
		return NULL;
	a->c = *c;
	(void)pthread_mutex_init(&a->mu, NULL);
	helper_cond(&a->news);
	return a;
}

static void *run(void *arg);

/* parcels_on_touch(): on a thread of the loops. Without memory or a thread it goes unnoticed. */
static void on_touch(void *arg, struct parcel *src)
{
	struct ahead *a = arg;

	(void)pthread_mutex_lock(&a->mu);
	a->touches++;
	if (a->touched_count == a->touched_cap) {
		size_t cap = a->touched_cap ? a->touched_cap * 2 : 64;
		struct parcel **grown = realloc(a->touched, cap * sizeof(struct parcel *));

		if (grown) {
			a->touched = grown;
			a->touched_cap = cap;
		}
	}
	if (a->touched_count < a->touched_cap)
		a->touched[a->touched_count++] = src;
	if (!a->stop && helper_call(&a->helper, &a->news, run, a, NULL) < 0)
		a->touched_count = 0;
	(void)pthread_mutex_unlock(&a->mu);
}

uint64_t ahead_touches(struct ahead *a)
{
	uint64_t n;

	(void)pthread_mutex_lock(&a->mu);
	n = a->touches;
	(void)pthread_mutex_unlock(&a->mu);
	return n;
}

/* ---- what the view shows ---- */

static void known_release(struct known *k)
{
	foresight_free(k->foresight);
	free(k->parcels);
	free(k->pkgs);
	free(k->reached);
	free(k->below);
	free(k->deps);
	view_unref(k->view);
	*k = (struct known){ 0 };
}

static int by_address(const void *a, const void *b)
{
	const struct parcel *x = *(struct parcel *const *)a, *y = *(struct parcel *const *)b;

	return (x > y) - (x < y);
}

static uint32_t number_of(const struct known *k, const struct parcel *src)
{
	struct parcel **at =
		src ? bsearch(&src, k->parcels, k->count, sizeof(struct parcel *), by_address)
		    : NULL;

	return at ? (uint32_t)(at - k->parcels) : NONE;
}

/* What a program that loads the one is likely to load for it. */
static bool is_needed(const struct graph_edge *edge)
{
	return edge->to != GRAPH_NONE &&
	       (edge->type == EDGE_PROD || edge->type == EDGE_PEER || edge->type == EDGE_OPTIONAL);
}

/* A package's run of deps; the nodes that are the package are chained by `next`. */
static void put_deps(struct known *k, const struct graph *g, const uint32_t *number,
		     const uint32_t *first, const uint32_t *next, uint32_t *used)
{
	for (uint32_t i = 0; i < k->count; i++) {
		k->pkgs[i].deps = k->deps + *used;
		for (uint32_t n = first[i]; n != NONE; n = next[n]) {
			const struct graph_node *node = &g->nodes[n];

			for (uint32_t j = 0; j < node->edge_count; j++) {
				const struct graph_edge *edge = &g->edges[node->first_edge + j];

				if (is_needed(edge) && number[edge->to] != NONE)
					k->deps[(*used)++] = number[edge->to];
			}
		}
		k->pkgs[i].dep_count = (uint32_t)(k->deps + *used - k->pkgs[i].deps);
	}
}

static int number_nodes(struct known *k, const struct graph *g)
{
	auto_free struct parcel **of = malloc(g->count * sizeof(struct parcel *));
	auto_free uint32_t *number = malloc(g->count * sizeof *number);
	auto_free uint32_t *next = malloc(g->count * sizeof *next);
	auto_free uint32_t *first = malloc((k->count + 1) * sizeof *first);
	uint32_t used = 0;

	if (!of || !number || !next || !first)
		return -ENOMEM;
	memset(first, 0xff, (k->count + 1) * sizeof *first);
	view_node_parcels(k->view, of);
	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t at = number[i] = number_of(k, of[i]);

		if (at == NONE)
			continue;
		k->pkgs[at].hoisted |= g->nodes[i].parent == 0;
		next[i] = first[at];
		first[at] = i;
	}
	put_deps(k, g, number, first, next, &used);
	for (uint32_t i = 0; i < g->edge_count; i++)
		if (g->nodes[g->edges[i].from].flags & NODE_TOP && g->edges[i].to != GRAPH_NONE &&
		    number[g->edges[i].to] != NONE)
			k->pkgs[number[g->edges[i].to]].of_project = true;
	return 0;
}

static bool all_here(const struct ahead *a, const struct known *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (!parcel_here(a->c.parcels, k->parcels[i]))
			return false;
	return true;
}

static int foresee(struct ahead *a, struct known *k)
{
	struct predict *model = NULL;
	struct err e = { 0 };
	int r = predict_load(&model, a->c.store_dir, &e);

	if (r < 0) {
		log_warn("%s; predicting from the lock alone", e.msg);
		model = predict_new();
		r = model ? 0 : -ENOMEM;
	}
	return r < 0 ? r : foresight_new(&k->foresight, model, k->pkgs, k->count);
}

/* Takes over the reference. */
static int known_make(struct ahead *a, struct known *k, struct view *v)
{
	const struct graph *g = basis_graph(view_basis(v));
	struct parcel *const *parcels;
	size_t count;

	known_release(k);
	k->view = v;
	parcels = view_parcels(v, &count);
	k->count = (uint32_t)count;
	k->parcels = malloc((count + 1) * sizeof(struct parcel *));
	k->pkgs = calloc(count + 1, sizeof *k->pkgs);
	k->reached = calloc(count + 1, sizeof *k->reached);
	k->below = calloc(count + 1, sizeof *k->below);
	k->deps = malloc((g->edge_count + 1) * sizeof *k->deps);
	if (!k->parcels || !k->pkgs || !k->reached || !k->below || !k->deps)
		return -ENOMEM;
	memcpy(k->parcels, parcels, count * sizeof(struct parcel *));
	qsort(k->parcels, count, sizeof(struct parcel *), by_address);
	for (size_t i = 0; i < count; i++)
		k->pkgs[i] =
			(struct foresight_pkg){ .name = k->parcels[i]->name ? k->parcels[i]->name
									    : "" };
	if (number_nodes(k, g) < 0)
		return -ENOMEM;
	return a->c.only_learn || all_here(a, k) ? 0 : foresee(a, k);
}

/* What is shown now. Out of memory: nothing is known of it. */
static void look(struct ahead *a)
{
	struct known *k = &a->known;
	struct view *v = view_get(a->c.shown);

	if (v == k->view) {
		view_unref(v);
	} else if (known_make(a, k, v) < 0) {
		foresight_free(take(&k->foresight));
		k->count = 0;
	}
}

static void want(struct ahead *a, const uint32_t *pkgs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct parcel *p = a->known.parcels[pkgs[i]];

		if (atomic_load(&p->touched) || parcel_here(a->c.parcels, p))
			continue;
		atomic_store(&p->predicted, true);
		park_want(a->c.park, p, PARK_PREDICTED);
	}
}

static void want_what_is_first(struct ahead *a)
{
	const uint32_t *pkgs;
	uint32_t count;

	look(a);
	if (!a->known.foresight)
		return;
	pkgs = foresight_begin(a->known.foresight, &count);
	want(a, pkgs, count);
}

/* Level by level; what was in line before is there with what it depends on. */
static void want_what_is_below(struct ahead *a, uint32_t touched)
{
	struct known *k = &a->known;
	uint32_t line[AHEAD_DEEP], count = 0;
	uint32_t max = park_longest_ms(a->c.park) >= AHEAD_FAR_MS ? AHEAD_DEEP : AHEAD_BELOW;

	line[count++] = touched;
	k->below[touched] = true;
	for (uint32_t i = 0; i < count; i++) {
		const struct foresight_pkg *p = &k->pkgs[line[i]];

		for (uint32_t j = 0; j < p->dep_count && count < max; j++) {
			if (k->below[p->deps[j]] || foresight_is_types(k->pkgs[p->deps[j]].name))
				continue;
			k->below[p->deps[j]] = true;
			line[count++] = p->deps[j];
		}
	}
	for (uint32_t i = 1; i < count; i++)
		if (!parcel_here(a->c.parcels, k->parcels[line[i]]))
			park_want(a->c.park, k->parcels[line[i]], PARK_PREDICTED);
}

static void want_what_follows(struct ahead *a, const struct parcel *src)
{
	uint32_t at = number_of(&a->known, src), count;
	const uint32_t *pkgs;

	if (!a->known.foresight || at == NONE)
		return;
	pkgs = foresight_touch(a->known.foresight, at, &count);
	want(a, pkgs, count);
	if (a->c.all_comes)
		want_what_is_below(a, at);
}

/* ---- learning ---- */

static void learn(struct ahead *a)
{
	struct predict_run run = { .touches = a->log,
				   .count = a->log_count,
				   .from_mount = !a->has_learned };
	struct err e = { 0 };

	if (a->log_count > 1 && predict_learn_file(a->c.store_dir, &run, &e) < 0)
		log_debug("nothing learned: %s", e.msg);
	a->has_learned |= a->log_count > 0;
	a->log_count = 0;
}

static struct predict_touch describe(struct known *k, const struct parcel *src)
{
	struct predict_touch t = { .name = src->name, .deps = UINT64_MAX };
	uint32_t at = number_of(k, src);

	if (at == NONE)
		return t;
	t.deps = 0;
	t.stray = !k->pkgs[at].of_project && !k->reached[at];
	for (uint32_t i = 0; i < k->pkgs[at].dep_count; i++) {
		uint32_t to = k->pkgs[at].deps[i];

		t.deps |= predict_dep(k->pkgs[to].name);
		k->reached[to] = true;
	}
	return t;
}

static void note(struct ahead *a, const struct parcel *src)
{
	if (a->log_count == PREDICT_LEARN_MAX)
		learn(a);
	if (src->name)
		a->log[a->log_count++] = describe(&a->known, src);
}

/* ---- the thread ---- */

enum next { NEXT_TOUCHED, NEXT_LEARN, NEXT_GO };

/* Until something is touched, it has been quiet for long enough to learn, or there is nothing more
 * to do. */
static enum next next_batch(struct ahead *a, struct parcel ***ret, size_t *ret_count)
{
	struct timespec until = helper_until(AHEAD_QUIET_S * INT64_C(1000));
	enum next next;
	int r = 0;

	(void)pthread_mutex_lock(&a->mu);
	while (a->log_count && !a->touched_count && !a->stop && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&a->news, &a->mu, &until);
	while (!a->log_count && !a->touched_count && !a->stop && helper_wait(&a->news, &a->mu))
		;
	*ret = take(&a->touched);
	*ret_count = a->touched_count;
	a->touched_count = a->touched_cap = 0;
	next = *ret_count ? NEXT_TOUCHED : a->log_count ? NEXT_LEARN : NEXT_GO;
	if (next == NEXT_GO)
		known_release(&a->known);
	a->helper.here = next != NEXT_GO;
	(void)pthread_mutex_unlock(&a->mu);
	return next;
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	struct parcel **batch;
	enum next next;
	size_t count;

	if (!a->begun && !a->c.only_learn)
		want_what_is_first(a);
	a->begun = true;
	while ((next = next_batch(a, &batch, &count)) != NEXT_GO) {
		if (next == NEXT_LEARN)
			learn(a);
		for (size_t i = 0; i < count; i++) {
			look(a);
			want_what_follows(a, batch[i]);
			note(a, batch[i]);
		}
		free(batch);
	}
	return NULL;
}

int ahead_start(struct ahead *a, struct err *e)
{
	int r;

	parcels_on_touch(a->c.parcels, on_touch, a);
	(void)pthread_mutex_lock(&a->mu);
	r = helper_call(&a->helper, &a->news, run, a, e);
	(void)pthread_mutex_unlock(&a->mu);
	return r;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	(void)pthread_mutex_lock(&a->mu);
	a->stop = true;
	(void)pthread_cond_signal(&a->news);
	(void)pthread_mutex_unlock(&a->mu);
	helper_join(&a->helper);
	known_release(&a->known);
	free(a->touched);
	(void)pthread_cond_destroy(&a->news);
	(void)pthread_mutex_destroy(&a->mu);
	free(a);
}

void ahead_stats(const struct ahead *a, struct store *s, struct ahead_stats *ret)
{
	struct view *v = view_get(a->c.shown);
	size_t count;
	struct parcel *const *parcels = view_parcels(v, &count);

	*ret = (struct ahead_stats){ 0 };
	for (size_t i = 0; i < count; i++) {
		bool touched = atomic_load(&parcels[i]->touched);
		uint64_t size;

		if (!atomic_load(&parcels[i]->predicted))
			continue;
		size = store_size(s, &parcels[i]->key);
		ret->made++;
		ret->used += touched;
		ret->bytes += size;
		ret->bytes_in_vain += touched ? 0 : size;
	}
	view_unref(v);
}
