#include "fs/park.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define DYING_BATCH 64 /* callers looked at in one tick; the rest in the next */

struct park {
	struct park_config c;
	pthread_mutex_t mu;
	pthread_cond_t more; /* something was parked, or stop */
	/* guarded by mu, like the parked lists of all parcels */
	struct helper helper;
	bool started, stop;
	struct parked *all; /* every parked request */
	unsigned looked;    /* marked requests that the last ticks have looked at */
	unsigned count;
	uint64_t waited_ms, longest_ms;
	struct park_error errors[PARK_ERRORS];
	unsigned error_count, error_next;
};

struct park *park_new(const struct park_config *c)
{
	struct park *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->c = *c;
	if (!p->c.deadline_ms)
		p->c.deadline_ms = PARK_DEADLINE_MS;
	if (!p->c.tick_ms)
		p->c.tick_ms = PARK_TICK_MS;
	(void)pthread_mutex_init(&p->mu, NULL);
	helper_cond(&p->more);
	return p;
}

void park_free(struct park *p)
{
	if (!p)
		return;
	(void)pthread_cond_destroy(&p->more);
	(void)pthread_mutex_destroy(&p->mu);
	free(p);
}

/* ---- lists; all under the mutex ---- */

static void link_in(struct park *p, struct parcel *src, struct parked *r)
{
	r->parcel = src;
	r->deadline_ms = now_ms() + p->c.deadline_ms;
	r->next_of_parcel = src->waiting;
	src->waiting = r;
	r->prev = NULL;
	r->next = p->all;
	if (p->all)
		p->all->prev = r;
	p->all = r;
	p->count++;
}

static void link_out(struct park *p, struct parked *r)
{
	struct parked **at = &r->parcel->waiting;
	uint64_t waited_ms;

	while (*at != r)
		at = &(*at)->next_of_parcel;
	*at = r->next_of_parcel;
	if (r->prev)
		r->prev->next = r->next;
	else
		p->all = r->next;
	if (r->next)
		r->next->prev = r->prev;
	p->count--;
	waited_ms = (uint64_t)(now_ms() + p->c.deadline_ms - r->deadline_ms);
	p->waited_ms += waited_ms;
	p->longest_ms = waited_ms > p->longest_ms ? waited_ms : p->longest_ms;
}

/* One whose caller is gone or has waited for too long. */
static void give_up(struct park *p, struct parked *r)
{
	struct parcel *src = r->parcel;

	link_out(p, r);
	if (!src->waiting && src->wanted == PARK_DEMAND && p->c.drop)
		src->wanted = p->c.drop(p->c.arg, src) ? 0 : PARK_BACKGROUND;
}

/* What has been taken out is chained by next_of_parcel. */
static void resume_all(struct parked *list, int result)
{
	for (struct parked *r = list, *next; r; r = next) {
		next = r->next_of_parcel;
		r->resume(r, result);
	}
}

/* ---- errors ---- */

static void note(struct park *p, const struct parcel *src, const char *reason)
{
	struct park_error *slot = &p->errors[p->error_next];
	size_t n;

	snprintf(slot->package, sizeof slot->package, "%s%s%s", src->name ? src->name : "?",
		 src->version ? "@" : "", src->version ? src->version : "");
	n = strlen(slot->package);
	/* A fetch's sentence starts with the package, for the log. */
	if (strncmp(reason, slot->package, n) == 0 && strncmp(reason + n, ": ", 2) == 0)
		reason += n + 2;
	snprintf(slot->reason, sizeof slot->reason, "%s", reason);
	text_clean(slot->package, strlen(slot->package));
	text_clean(slot->reason, strlen(slot->reason));
	slot->time_s = time(NULL);
	p->error_next = (p->error_next + 1) % PARK_ERRORS;
	p->error_count += p->error_count < PARK_ERRORS;
}

void park_note_error(struct park *p, const struct parcel *src, const char *reason)
{
	(void)pthread_mutex_lock(&p->mu);
	note(p, src, reason);
	(void)pthread_mutex_unlock(&p->mu);
	log_error("%s%s%s: %s", src->name, src->version ? "@" : "",
		  src->version ? src->version : "", reason);
}

void park_forget_errors(struct park *p, const char *what)
{
	struct park_error kept[PARK_ERRORS];
	unsigned count = 0, first;

	(void)pthread_mutex_lock(&p->mu);
	first = (p->error_next + PARK_ERRORS - p->error_count) % PARK_ERRORS;
	for (unsigned i = 0; i < p->error_count; i++) {
		const struct park_error *one = &p->errors[(first + i) % PARK_ERRORS];

		if (strcmp(one->package, what) != 0)
			kept[count++] = *one;
	}
	for (unsigned i = 0; i < count; i++)
		p->errors[i] = kept[i];
	p->error_count = count;
	p->error_next = count % PARK_ERRORS;
	(void)pthread_mutex_unlock(&p->mu);
}

unsigned park_errors(struct park *p, struct park_error ret[PARK_ERRORS])
{
	unsigned count, first;

	(void)pthread_mutex_lock(&p->mu);
	count = p->error_count;
	first = (p->error_next + PARK_ERRORS - count) % PARK_ERRORS;
	for (unsigned i = 0; i < count; i++)
		ret[i] = p->errors[(first + i) % PARK_ERRORS];
	(void)pthread_mutex_unlock(&p->mu);
	return count;
}

/* ---- waiting ---- */

static void *run(void *arg);

/* Where it cannot be had, the next to be parked calls it again. With the mutex held. */
static void call_ender(struct park *p)
{
	if (p->started && helper_call(&p->helper, &p->more, run, p, NULL) < 0)
		log_error("no thread can be started: waits for packages go on until they come");
}

/* A want under way is one call of park_done() to come; one at a higher priority joins it. */
static void want(struct park *p, struct parcel *src, enum park_prio prio, struct parked *r)
{
	bool needed, stopped;

	(void)pthread_mutex_lock(&p->mu);
	stopped = p->stop;
	needed = !stopped && src->wanted < prio;
	if (needed)
		src->wanted = (uint8_t)prio;
	if (r && !stopped) {
		link_in(p, src, r);
		call_ender(p);
	}
	(void)pthread_mutex_unlock(&p->mu);
	if (needed)
		p->c.want(p->c.arg, src, prio);
	if (r && stopped)
		r->resume(r, -EIO);
}

void park_wait(struct park *p, struct parcel *src, struct parked *r)
{
	want(p, src, PARK_DEMAND, r);
}

void park_want(struct park *p, struct parcel *src, enum park_prio prio)
{
	want(p, src, prio, NULL);
}

void park_interrupt(struct parked *r)
{
	atomic_store(&r->interrupted, true);
}

void park_done(struct park *p, struct parcel *src, int result, const char *why, bool left_out)
{
	bool quiet = result == 0 || result == -ECANCELED || (left_out && result == -ENOENT);
	struct parked *list;

	(void)pthread_mutex_lock(&p->mu);
	list = src->waiting;
	for (struct parked *r = list, *next; r; r = next) {
		next = r->next_of_parcel;
		link_out(p, r);
		r->next_of_parcel = next;
	}
	src->wanted = 0;
	atomic_store(&src->failed, result < 0 && !left_out);
	if (!quiet)
		note(p, src, why ? why : strerror(-result));
	(void)pthread_mutex_unlock(&p->mu);
	if (!quiet)
		log_error("%s", why ? why : strerror(-result));
	resume_all(list, result == 0 ? 0 : left_out ? -ENOENT : -EIO);
}

unsigned park_count(struct park *p)
{
	unsigned n;

	(void)pthread_mutex_lock(&p->mu);
	n = p->count;
	(void)pthread_mutex_unlock(&p->mu);
	return n;
}

uint64_t park_waited_ms(struct park *p)
{
	uint64_t ms;

	(void)pthread_mutex_lock(&p->mu);
	ms = p->waited_ms;
	(void)pthread_mutex_unlock(&p->mu);
	return ms;
}

uint64_t park_longest_ms(struct park *p)
{
	uint64_t ms;

	(void)pthread_mutex_lock(&p->mu);
	ms = p->longest_ms;
	(void)pthread_mutex_unlock(&p->mu);
	return ms;
}

bool park_on_its_way(struct park *p, const struct parcel *src)
{
	bool yes;

	(void)pthread_mutex_lock(&p->mu);
	yes = src->wanted != 0;
	(void)pthread_mutex_unlock(&p->mu);
	return yes;
}

/* ---- the thread that ends waits ---- */

static uint64_t mask_in(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

bool park_is_dying(pid_t pid)
{
	const uint64_t ends = 1ull << (SIGKILL - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1) |
			      1ull << (SIGHUP - 1) | 1ull << (SIGQUIT - 1);
	char path[64], status[8192];
	uint64_t pending, blocked;
	auto_close int fd = -1;
	ssize_t n;

	if (pid <= 0)
		return true;
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
	if (n <= 0)
		return true; /* it is gone */
	status[n] = '\0';
	pending = mask_in(status, "\nSigPnd:") | mask_in(status, "\nShdPnd:");
	blocked = mask_in(status, "\nSigBlk:");
	return pending & ~blocked & ends;
}

/* /proc is read without the mutex: callers are noted, looked at, and then searched for again. Each
 * tick goes on where the last one had enough: many who only got a SIGALRM hide nobody. */
static struct parked *take_dying(struct park *p)
{
	pid_t pids[DYING_BATCH];
	unsigned count = 0, dying = 0, marked = 0;
	struct parked *list = NULL;

	(void)pthread_mutex_lock(&p->mu);
	for (struct parked *r = p->all; r && count < DYING_BATCH; r = r->next)
		if (atomic_load(&r->interrupted) && marked++ >= p->looked)
			pids[count++] = r->pid;
	p->looked = count == DYING_BATCH ? p->looked + count : 0;
	(void)pthread_mutex_unlock(&p->mu);
	for (unsigned i = 0; i < count; i++)
		if (park_is_dying(pids[i]))
			pids[dying++] = pids[i];
	if (!dying)
		return NULL;
	(void)pthread_mutex_lock(&p->mu);
	for (struct parked *r = p->all, *next; r; r = next) {
		bool found = false;

		next = r->next;
		for (unsigned i = 0; i < dying && atomic_load(&r->interrupted); i++)
			found = found || pids[i] == r->pid;
		if (!found)
			continue;
		give_up(p, r);
		r->next_of_parcel = list;
		list = r;
	}
	(void)pthread_mutex_unlock(&p->mu);
	return list;
}

/* The URL as it may be shown: without user and password, and without a query. */
static void url_for_people(const char *url, char *ret, size_t n)
{
	const char *host = strstr(url, "://"), *slash, *at;
	int scheme = 0;

	if (host) {
		host += 3;
		scheme = (int)(host - url);
		slash = host + strcspn(host, "/?#");
		at = memrchr(host, '@', (size_t)(slash - host));
		url = at ? at + 1 : host;
		host -= scheme;
	}
	snprintf(ret, n, "%.*s%.*s", scheme, host ? host : "", (int)strcspn(url, "?#"), url);
}

/* One line for each package, however many waited for it. */
static struct parked *take_late(struct park *p)
{
	struct parked *list = NULL;
	int64_t now = now_ms();

	(void)pthread_mutex_lock(&p->mu);
	for (struct parked *r = p->all, *next; r; r = next) {
		next = r->next;
		if (r->deadline_ms > now)
			continue;
		give_up(p, r);
		r->next_of_parcel = list;
		list = r;
	}
	(void)pthread_mutex_unlock(&p->mu);
	for (struct parked *r = list; r; r = r->next_of_parcel) {
		char reason[256], url[160] = "its registry";
		bool said = false;

		for (struct parked *o = list; o != r && !said; o = o->next_of_parcel)
			said = o->parcel == r->parcel;
		if (said)
			continue;
		if (r->parcel->resolved)
			url_for_people(r->parcel->resolved, url, sizeof url);
		snprintf(reason, sizeof reason, "did not come from %s within %u seconds", url,
			 p->c.deadline_ms / 1000);
		park_note_error(p, r->parcel, reason);
	}
	return list;
}

/* A tick later, if anybody waits; false: it is time to go. */
static bool tick(struct park *p)
{
	struct timespec until;
	bool go_on;

	(void)pthread_mutex_lock(&p->mu);
	while (!p->all && !p->stop && helper_wait(&p->more, &p->mu))
		;
	go_on = p->all && !p->stop;
	until = helper_until(p->c.tick_ms);
	while (go_on && pthread_cond_timedwait(&p->more, &p->mu, &until) != ETIMEDOUT)
		go_on = !p->stop;
	p->helper.here = go_on;
	(void)pthread_mutex_unlock(&p->mu);
	return go_on;
}

static void *run(void *arg)
{
	struct park *p = arg;

	while (tick(p)) {
		resume_all(take_dying(p), -EINTR);
		resume_all(take_late(p), -EIO);
	}
	return NULL;
}

void park_start(struct park *p)
{
	(void)pthread_mutex_lock(&p->mu);
	p->started = true;
	if (p->all)
		call_ender(p);
	(void)pthread_mutex_unlock(&p->mu);
}

void park_stop(struct park *p)
{
	struct parked *list = NULL;

	(void)pthread_mutex_lock(&p->mu);
	p->stop = true;
	while (p->all) {
		struct parked *r = p->all;

		link_out(p, r);
		r->next_of_parcel = list;
		list = r;
	}
	(void)pthread_cond_broadcast(&p->more);
	(void)pthread_mutex_unlock(&p->mu);
	resume_all(list, -EIO);
	helper_join(&p->helper);
}
