#include "core/clock.h"
#include "core/log.h"
#include "fetch/foresight.h"
#include "fs/server_priv.h"

#include <malloc.h>

static void *run(void *arg);

/* With the mutex held. 0, or why there is none. */
static int call_minder(struct server *s, struct err *e)
{
	s->trimmed = false;
	(void)pthread_cond_broadcast(&s->news); /* others wait for the same */
	return s->begun && !s->stop ? helper_call(&s->minder, &s->news, run, s, e) : 0;
}

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
	struct err e = { 0 };

	(void)pthread_mutex_lock(&s->mu);
	s->dones++;
	if (missing)
		push(&s->missing, &s->missing_count, &s->missing_cap, src);
	else if (atomic_load(&src->believed))
		push(&s->come, &s->come_count, &s->come_cap, src);
	if (call_minder(s, &e) < 0)
		log_error("%s", e.msg);
	(void)pthread_mutex_unlock(&s->mu);
}

static void correct(struct server *s, struct parcel *src)
{
	struct view *v = view_get(s->shown);
	struct err e = { 0 };

	if (view_corrections(v, src, minder_tell, s, &e) < 0)
		log_warn("%s: %s", src->name, e.msg);
	view_unref(v);
}

/* ---- what a view is for ---- */

/* All that was ever shown: programs may have files of earlier views open. */
static void keep_root(struct server *s)
{
	size_t count;
	struct digest *keys = parcels_keys(places_parcels(s->places), &count);
	struct err e = { 0 };
	int r = keys ? 0 : err_set(&e, -ENOMEM, "out of memory");

	if (r == 0 && !s->root)
		r = store_root_open(&s->root, s->c.store, s->c.root_id, &e);
	if (r == 0)
		r = store_root_set(s->root, keys, count, &e);
	if (r < 0)
		log_warn("gc will not know that this mount is in use: %s", e.msg);
	free(keys);
}

/* The nodes of a graph, each once. */
struct in_line {
	const struct graph *g;
	uint32_t *nodes;
	uint32_t count;
	bool *seen;
};

static void line_up(struct in_line *l, uint32_t node)
{
	if (node == GRAPH_NONE || l->seen[node])
		return;
	l->seen[node] = true;
	l->nodes[l->count++] = node;
}

static void line_up_deps(struct in_line *l, uint32_t node, bool dev)
{
	const struct graph_node *n = &l->g->nodes[node];

	for (uint32_t i = n->first_edge; i < n->first_edge + n->edge_count; i++)
		if ((l->g->edges[i].type == EDGE_DEV) == dev)
			line_up(l, l->g->edges[i].to);
}

/* The nearer something is to the project, the sooner a program may ask for it: what the tops
 * depend on comes first, then what that depends on; what a lock has for nobody last. */
static void line_up_all(struct in_line *l)
{
	uint32_t tops;

	for (uint32_t i = 0; i < l->g->count; i++)
		if (l->g->nodes[i].flags & NODE_TOP)
			line_up(l, i);
	tops = l->count;
	for (uint32_t i = 0; i < tops; i++)
		line_up_deps(l, l->nodes[i], false);
	for (uint32_t i = 0; i < tops; i++)
		line_up_deps(l, l->nodes[i], true);
	for (uint32_t i = tops; i < l->count; i++)
		line_up_deps(l, l->nodes[i], false);
	for (uint32_t i = 0; i < l->g->count; i++)
		line_up(l, i);
}

/* Those that are types, or those that are not; how many more there may be of at most `max`. */
static uint32_t want_in_line(struct server *s, const struct in_line *l, struct parcel *const *of,
			     bool types, uint32_t max)
{
	for (uint32_t i = 0; i < l->count && max; i++) {
		struct parcel *src = of[l->nodes[i]];

		if (!src || foresight_is_types(src->name) != types ||
		    parcel_here(places_parcels(s->places), src))
			continue;
		park_want(s->park, src, PARK_BACKGROUND);
		max--;
	}
	return max;
}

/* At most so many. No program loads types: they come last. */
static void prefetch(struct server *s, uint32_t max)
{
	/* Nobody comes: each would be a failure that no program has met. */
	if (s->c.offline && s->c.prefetch != PREFETCH_ALL)
		return;

	struct view *v = view_get(s->shown);
	const struct graph *g = basis_graph(view_basis(v));
	auto_free struct parcel **of = malloc(g->count * sizeof(struct parcel *));
	auto_free uint32_t *nodes = malloc(g->count * sizeof *nodes);
	auto_free bool *seen = calloc(g->count, sizeof *seen);
	struct in_line l = { .g = g, .nodes = nodes, .seen = seen };

	if (of && nodes && seen) {
		view_node_parcels(v, of);
		line_up_all(&l);
		max = want_in_line(s, &l, of, false, max);
		(void)want_in_line(s, &l, of, true, max);
	} else {
		log_warn("out of memory: nothing is fetched in the background");
	}
	view_unref(v);
}

/* ---- another view ---- */

/* Shows what is there now in place of what was, by the lock of `b`. */
static int show_anew(struct server *s, struct view *old, struct basis *b, struct err *e)
{
	const struct graph *g = basis_graph(b);
	bool *present = malloc(g->count * sizeof *present);
	struct view *fresh;
	int r = present ? server_select(s, g, present, e) : err_set(e, -ENOMEM, "out of memory");

	if (r >= 0)
		r = view_new(&fresh, s->places, b, present, e);
	free(present);
	if (r < 0)
		return r;
	view_unref(view_swap(s->shown, view_ref(fresh)));
	minder_tell_changes(s, old, fresh);
	mounts_follow(s, fresh);
	(void)atomic_fetch_add(&s->generation, 1); /* who waits for it shall see nothing else */
	view_unref(fresh);
	return 0;
}

/* npm leaves an optional package that it cannot get away, with all that only it needs. */
static void leave_out(struct server *s, struct parcel *src)
{
	struct view *old = view_get(s->shown);
	struct err e = { 0 };

	view_mark(old, src, s->failed);
	if (show_anew(s, old, view_basis(old), &e) < 0) {
		atomic_store(&src->failed, true);
		park_note_error(s->park, src, e.msg);
	} else {
		log_warn("%s@%s is optional and the registry does not have it: left out", src->name,
			 src->version ? src->version : "?");
	}
	view_unref(old);
}

/* Which packages the registry lacks is found out anew for another lock. */
static int show_lock(struct server *s, struct view *old, struct basis *b, struct err *e)
{
	bool *failed = s->failed;
	int r;

	s->failed = calloc(basis_graph(b)->count, sizeof *s->failed);
	r = s->failed ? show_anew(s, old, b, e) : err_set(e, -ENOMEM, "out of memory");
	if (r < 0) {
		free(s->failed);
		s->failed = failed;
		return r;
	}
	free(failed);
	log_info("%s: the lock has changed: generation %u is shown", s->c.project_dir,
		 atomic_load(&s->generation));
	return 0;
}

/* Answers all that have asked so far. */
static void look_again(struct server *s)
{
	struct view *old = view_get(s->shown);
	struct basis *next = NULL;
	struct err e = { 0 };
	unsigned asked;
	int r;

	(void)pthread_mutex_lock(&s->mu);
	asked = s->asked;
	next = take(&s->next);
	(void)pthread_mutex_unlock(&s->mu);
	r = next ? show_lock(s, old, next, &e) : show_anew(s, old, view_basis(old), &e);
	if (r == 0 && next) {
		if (s->c.root_id)
			keep_root(s);
		if (s->c.prefetch >= PREFETCH_BACKGROUND)
			prefetch(s, UINT32_MAX);
	}
	basis_unref(next);
	view_unref(old);
	(void)pthread_mutex_lock(&s->mu);
	s->answer = r;
	s->answer_err = e;
	s->answered = asked;
	(void)pthread_cond_broadcast(&s->news);
	(void)pthread_mutex_unlock(&s->mu);
}

/* `next` is handed over; NULL: by the lock that is shown. */
static int ask(struct server *s, struct basis *next, struct err *e)
{
	unsigned mine;
	int r;

	(void)pthread_mutex_lock(&s->mu);
	mine = ++s->asked;
	if (next) {
		basis_unref(s->next);
		s->next = next;
	}
	r = call_minder(s, e);
	while (r == 0 && !s->stop && (int)(s->answered - mine) < 0)
		(void)pthread_cond_wait(&s->news, &s->mu);
	if (r == 0 && !s->stop && s->answer < 0)
		*e = s->answer_err;
	if (r == 0)
		r = s->stop ? err_set(e, -ECANCELED, "the mount ends") : s->answer;
	(void)pthread_mutex_unlock(&s->mu);
	return r;
}

int server_scripts(struct server *s, struct err *e)
{
	return ask(s, NULL, e);
}

int server_relock(struct server *s, struct lock *lock, struct err *e)
{
	struct view *now = view_get(s->shown);
	struct basis *b;
	int r = basis_new(&b, lock, e);

	if (r == 0 && basis_same(view_basis(now), b))
		basis_unref(b);
	else if (r == 0)
		r = ask(s, b, e);
	view_unref(now);
	return r;
}

void server_note_error(struct server *s, const char *what, const char *reason)
{
	park_note_error(s->park, &(struct parcel){ .name = what }, reason);
}

void server_forget_errors(struct server *s, const char *what)
{
	park_forget_errors(s->park, what);
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

static bool is_quiet(const struct server *s)
{
	return !s->stop && !s->come_count && !s->missing_count && s->answered == s->asked;
}

/* Before it goes, once: the memory that mounting, unpacking or relocking took goes back to the
 * system, for a daemon stays for days. True: it was done, and there may be news meanwhile. */
static bool trim(struct server *s)
{
	if (s->trimmed)
		return false;
	s->trimmed = true;
	(void)pthread_mutex_unlock(&s->mu);
	(void)malloc_trim(0);
	(void)pthread_mutex_lock(&s->mu);
	return true;
}

/* With the mutex held. False: there is nothing to wait for. */
static bool wait_news(struct server *s)
{
	int64_t left = s->hold.tick_ms - now_ms();
	struct timespec until = helper_until(left);

	if (!s->hold.on)
		return helper_wait(&s->news, &s->mu) || trim(s);
	return left > 0 && pthread_cond_timedwait(&s->news, &s->mu, &until) != ETIMEDOUT;
}

enum news { NEWS_STOP, NEWS_COME, NEWS_MISSING, NEWS_ASKED, NEWS_TICK };

/* Waits for the next piece of news; with the package that it is about, if it is about one. */
static enum news next_news(struct server *s, struct parcel **ret)
{
	enum news news;

	(void)pthread_mutex_lock(&s->mu);
	while (is_quiet(s) && wait_news(s))
		;
	if (!s->stop && is_quiet(s) && s->hold.on) {
		news = NEWS_TICK;
	} else if (s->stop || is_quiet(s)) {
		news = NEWS_STOP;
	} else if (s->answered != s->asked) {
		news = NEWS_ASKED;
	} else if (s->missing_count) {
		news = NEWS_MISSING;
		*ret = s->missing[--s->missing_count];
	} else {
		news = NEWS_COME;
		*ret = s->come[--s->come_count];
	}
	s->minder.here = news != NEWS_STOP;
	(void)pthread_mutex_unlock(&s->mu);
	return news;
}

static struct hold_seen look_around(struct server *s)
{
	struct hold_seen seen = { .now_ms = now_ms(),
				  .touches = ahead_touches(s->ahead),
				  .waited_ms = park_waited_ms(s->park),
				  .parked = park_count(s->park) > 0 };

	if (seen.now_ms - s->hold.looked_ms >= HOLD_QUIET_MS)
		seen.idle_ms = hold_idle_ms();
	(void)pthread_mutex_lock(&s->mu);
	seen.any_came = s->dones > 0;
	(void)pthread_mutex_unlock(&s->mu);
	return seen;
}

static void hold_on(struct server *s)
{
	struct hold_seen seen = look_around(s);

	hold_look(&s->hold, &seen);
	if (!s->hold.on)
		prefetch(s, UINT32_MAX);
}

static void *run(void *arg)
{
	struct server *s = arg;
	struct parcel *src = NULL;
	enum news news;

	while ((news = next_news(s, &src)) != NEWS_STOP) {
		if (news == NEWS_MISSING) {
			leave_out(s, src);
			count_done(s);
		} else if (news == NEWS_ASKED) {
			look_again(s);
		} else if (news == NEWS_TICK) {
			hold_on(s);
		} else {
			correct(s, src);
		}
	}
	return NULL;
}

/* What a mount begins with, and the caller need not wait for. */
static void *begin(void *arg)
{
	struct server *s = arg;
	struct hold_seen seen = look_around(s);

	if (s->c.prefetch == PREFETCH_BACKGROUND)
		hold_begin(&s->hold, &seen);
	if (s->c.prefetch >= PREFETCH_BACKGROUND)
		prefetch(s, s->hold.on ? HOLD_FIRST : UINT32_MAX);
	if (s->upper)
		upper_settle(s->upper);
	if (s->c.root_id)
		keep_root(s);
	return run(s);
}

int minder_start(struct server *s, struct err *e)
{
	int r;

	(void)pthread_mutex_lock(&s->mu);
	r = helper_call(&s->minder, &s->news, begin, s, e);
	s->begun = r == 0;
	(void)pthread_mutex_unlock(&s->mu);
	return r;
}

void minder_stop(struct server *s)
{
	(void)pthread_mutex_lock(&s->mu);
	s->stop = true;
	(void)pthread_cond_broadcast(&s->news);
	(void)pthread_cond_broadcast(&s->late_news);
	(void)pthread_mutex_unlock(&s->mu);
	helper_join(&s->minder);
	if (s->root)
		store_root_close(s->root);
	s->root = NULL;
}
