#include "fetch/http.h"

#include "fetch/http_priv.h"

#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

int64_t http_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- lists and hosts ---- */

static void list_add(struct http_list *l, struct http_call *c, bool front)
{
	c->prev = front ? NULL : l->last;
	c->next = front ? l->first : NULL;
	*(c->prev ? &c->prev->next : &l->first) = c;
	*(c->next ? &c->next->prev : &l->last) = c;
}

static void list_remove(struct http_list *l, struct http_call *c)
{
	*(c->prev ? &c->prev->next : &l->first) = c->next;
	*(c->next ? &c->next->prev : &l->last) = c->prev;
	c->prev = c->next = NULL;
}

static struct http_host *host_get(struct http *h, const struct url *u)
{
	char authority[512], name[528];
	struct http_host *x;

	url_authority(u, authority, sizeof authority);
	(void)snprintf(name, sizeof name, "%s://%s", u->tls ? "https" : "http", authority);
	for (x = h->hosts; x; x = x->next)
		if (strcmp(x->name, name) == 0)
			break;
	if (!x) {
		x = malloc(sizeof *x);
		if (!x)
			return NULL;
		*x = (struct http_host){ .next = h->hosts, .name = strdup(name) };
		if (!x->name) {
			free(x);
			return NULL;
		}
		h->hosts = x;
	}
	x->calls++;
	return x;
}

static void host_put(struct http *h, struct http_host *x)
{
	if (!x || --x->calls > 0 || x->not_before_ms > http_now_ms())
		return;
	for (struct http_host **p = &h->hosts; *p; p = &(*p)->next) {
		if (*p != x)
			continue;
		*p = x->next;
		free(x->name);
		free(x);
		return;
	}
}

/* ---- one call's way through the states ---- */

static void leave(struct http_call *c)
{
	struct http *h = c->h;

	switch (c->state) {
	case CALL_QUEUED:
		list_remove(&c->host->queue[c->rq.prio], c);
		atomic_fetch_sub(&h->stat_queued, 1);
		break;
	case CALL_PAUSED:
		list_remove(&h->paused, c);
		atomic_fetch_sub(&h->stat_queued, 1);
		break;
	case CALL_ACTIVE:
		list_remove(&h->active, c);
		if (c->easy)
			(void)curl_multi_remove_handle(h->multi, c->easy);
		transfer_end(c);
		c->host->active--;
		c->host->active_now -= c->rq.prio == HTTP_NOW;
		h->active_count--;
		atomic_fetch_sub(&h->stat_active, 1);
		break;
	case CALL_NEW:
	case CALL_OVER:
		break;
	}
	c->state = CALL_NEW;
}

static void enqueue(struct http_call *c, bool front)
{
	c->state = CALL_QUEUED;
	list_add(&c->host->queue[c->rq.prio], c, front);
	atomic_fetch_add(&c->h->stat_queued, 1);
}

static void call_unref(struct http_call *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	http_body_release(&c->body);
	npmrc_auth_release(&c->auth);
	url_release(&c->url);
	answer_release(&c->answer);
	digester_free(c->digester);
	free(c->body_etag);
	free((char *)c->rq.url);
	free((char *)c->rq.registry);
	free((char *)c->rq.accept);
	free((char *)c->rq.etag);
	free(c);
}

static bool decide(struct http_call *c, enum call_fate fate)
{
	enum call_fate open = FATE_OPEN;

	return atomic_compare_exchange_strong(&c->fate, &open, fate);
}

/* Once begun, always begun. */
static bool begun(struct http_call *c)
{
	return decide(c, FATE_BEGUN) || atomic_load(&c->fate) == FATE_BEGUN;
}

static void sentence(struct http_call *c, int result)
{
	char shown[URL_SHOWN_MAX];

	url_shown(c->url.text ? c->url.text : c->rq.url, shown);
	if (c->tries > 1)
		(void)err_wrap(&c->e, result, "%s, tried %u times", shown, c->tries);
	else
		(void)err_wrap(&c->e, result, "%s", shown);
}

/* The last thing that happens to a call here. */
static void finish(struct http_call *c, int result)
{
	struct http_response r = { .result = result,
				   .status = c->answer.status,
				   .etag = c->answer.etag,
				   .last_modified = c->answer.last_modified };

	leave(c);
	if (result == 0 && c->digester)
		r.result = digester_end(c->digester, &r.sha512);
	if (r.result == 0) {
		r.body = c->body;
		body_begin(&c->body, c->h);
	} else {
		sentence(c, r.result);
	}
	r.why = r.result ? c->e.msg : NULL;
	c->state = CALL_OVER;
	host_put(c->h, c->host);
	c->host = NULL;
	if (begun(c))
		c->rq.done(c->rq.arg, &r);
	http_body_release(&r.body);
	call_unref(c);
}

static void fail(struct http_call *c, int result, const char *why)
{
	(void)err_set(&c->e, result, "%s", why);
	finish(c, result);
}

/* ---- trying again ---- */

/* Between half and the whole of what the settings say, so that clients that failed together do
 * not come back together. */
static int64_t pause_ms(struct http *h, unsigned tries)
{
	int64_t ms = h->retry_min_ms;

	for (unsigned i = 1; i < tries && ms < h->retry_max_ms; i++)
		ms *= h->retry_factor;
	ms = ms > h->retry_max_ms ? h->retry_max_ms : ms;
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return ms / 2 + (ms > 1 ? (int64_t)(h->random % (uint64_t)(ms - ms / 2)) : 0);
}

/* Seconds, 0: none. */
static int64_t retry_after(const struct http_call *c)
{
	curl_off_t s = 0;

	if (!c->easy || curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &s) != CURLE_OK)
		return 0;
	return s > 0 ? (int64_t)s : 0;
}

static void try_again(struct http_call *c, int64_t now)
{
	struct http *h = c->h;
	int64_t after = retry_after(c);

	if (c->tries > h->retries) {
		finish(c, c->e.code);
		return;
	}
	if (after > HTTP_RETRY_AFTER_MAX_S) {
		char why[96];

		(void)snprintf(why, sizeof why,
			       "the server answered %u and asks for a pause of %lld s",
			       c->answer.status, (long long)after);
		fail(c, -EREMOTEIO, why);
		return;
	}
	c->not_before_ms = now + pause_ms(h, c->tries);
	if (after > 0) {
		int64_t until = now + after * 1000;

		if (c->not_before_ms < until)
			c->not_before_ms = until;
		if (c->host->not_before_ms < until)
			c->host->not_before_ms = until;
	}
	if (c->not_before_ms >= c->deadline_ms) {
		finish(c, c->e.code);
		return;
	}
	leave(c);
	c->state = CALL_PAUSED;
	list_add(&h->paused, c, false);
	atomic_fetch_add(&h->stat_queued, 1);
	atomic_fetch_add(&h->retried, 1);
}

static void redirect(struct http_call *c)
{
	auto_url struct url next = { 0 };
	struct http_host *host;
	int r;

	if (++c->redirects > HTTP_REDIRECTS_MAX) {
		fail(c, -ELOOP, "more redirects than any server needs");
		return;
	}
	r = url_resolve(&next, &c->url, c->answer.location, &c->e);
	if (r < 0) {
		(void)err_wrap(&c->e, r, "a redirect");
		finish(c, r);
		return;
	}
	if (c->url.tls && !next.tls && !c->rq.verified) {
		fail(c, -EPROTO, "it redirects from https to http, where anyone may answer");
		return;
	}
	host = host_get(c->h, &next);
	if (!host) {
		fail(c, -ENOMEM, "out of memory");
		return;
	}
	if (!url_same_origin(&c->url, &next))
		npmrc_auth_release(&c->auth);
	c->tries--; /* a hop is no failure */
	leave(c);
	host_put(c->h, c->host);
	c->host = host;
	url_release(&c->url);
	c->url = next;
	next = (struct url){ 0 };
	enqueue(c, true);
}

static void settle(struct http_call *c, CURLcode code)
{
	long version = 0;

	if (curl_easy_getinfo(c->easy, CURLINFO_HTTP_VERSION, &version) == CURLE_OK)
		c->host->streams |= version >= CURL_HTTP_VERSION_2_0;
	switch (transfer_verdict(c, code)) {
	case VERDICT_DONE:
		finish(c, 0);
		break;
	case VERDICT_FAILED:
		finish(c, c->e.code);
		break;
	case VERDICT_REDIRECT:
		redirect(c);
		break;
	case VERDICT_RETRY:
		try_again(c, http_now_ms());
		break;
	}
}

/* ---- starting ---- */

/* How many transfers of this host may run before one of this priority has to wait. */
static unsigned share(const struct http *h, const struct http_host *x, enum http_prio prio)
{
	unsigned all = x->streams ? HTTP_STREAMS : h->sockets;

	if (prio == HTTP_NOW)
		return all;
	if (prio == HTTP_SOON)
		return all - all / 8;
	return x->active_now ? all / 4 : all - all / 4;
}

static void start_one(struct http_call *c, int64_t now)
{
	struct http *h = c->h;
	int r;

	if (!begun(c)) {
		finish(c, -ECANCELED);
		return;
	}
	leave(c);
	c->state = CALL_ACTIVE;
	list_add(&h->active, c, false);
	c->host->active++;
	c->host->active_now += c->rq.prio == HTTP_NOW;
	h->active_count++;
	atomic_fetch_add(&h->stat_active, 1);
	atomic_fetch_add(&h->requests, 1);
	c->last_byte_ms = now;
	if (c->deadline_ms == 0)
		c->deadline_ms = now + (c->rq.total_ms ? c->rq.total_ms : HTTP_TOTAL_MAX_MS);
	c->tries++;
	r = transfer_begin(c);
	if (r == 0 && curl_multi_add_handle(h->multi, c->easy) != CURLM_OK)
		r = err_set(&c->e, -ENOMEM, "libcurl: out of memory");
	if (r < 0)
		finish(c, r);
}

static void start_some(struct http *h, int64_t now)
{
	for (enum http_prio p = HTTP_NOW; p < HTTP_PRIOS; p++) {
		if (p != HTTP_NOW && atomic_load(&h->held) > h->c.budget)
			return;
		for (struct http_host *x = h->hosts, *next; x; x = next) {
			next = x->next; /* finish() may free x */
			x->calls++;
			while (x->queue[p].first && x->not_before_ms <= now &&
			       x->active < share(h, x, p) && h->active_count < HTTP_ACTIVE_MAX)
				start_one(x->queue[p].first, now);
			host_put(h, x);
		}
	}
}

/* ---- what other threads ask ---- */

static void take_in(struct http *h, struct http_call *c)
{
	int r = url_parse(&c->url, c->rq.url, &c->e);

	if (r < 0) {
		finish(c, r);
		return;
	}
	c->host = host_get(h, &c->url);
	if (!c->host) {
		fail(c, -ENOMEM, "out of memory");
		return;
	}
	enqueue(c, false);
}

static void change(struct http *h, struct http_call *c, bool cancelled, enum http_prio wanted)
{
	static const long weights[HTTP_PRIOS] = { 256, 64, 16 };
	bool queued = c->state == CALL_QUEUED;

	if (c->state == CALL_OVER)
		return;
	if (cancelled) {
		fail(c, -ECANCELED, "cancelled");
		return;
	}
	if (wanted != c->rq.prio) {
		if (queued)
			leave(c);
		if (c->state == CALL_ACTIVE)
			c->host->active_now += (wanted == HTTP_NOW) - (c->rq.prio == HTTP_NOW);
		c->rq.prio = wanted;
		if (queued)
			enqueue(c, false);
		if (c->state == CALL_ACTIVE)
			(void)curl_easy_setopt(c->easy, CURLOPT_STREAM_WEIGHT, weights[wanted]);
	}
	if (c->state == CALL_NEW)
		take_in(h, c);
}

static bool take_inbox(struct http *h)
{
	struct http_call *c, *list = NULL;
	bool stopping;

	(void)pthread_mutex_lock(&h->mu);
	for (; (c = h->inbox); list = c) {
		h->inbox = c->inbox_next;
		c->inbox_next = list; /* newest first becomes oldest first */
	}
	stopping = h->stopping;
	(void)pthread_mutex_unlock(&h->mu);

	while ((c = list)) {
		bool cancelled;
		enum http_prio wanted;

		list = c->inbox_next;
		(void)pthread_mutex_lock(&h->mu);
		c->in_inbox = false;
		cancelled = c->cancelled;
		wanted = c->wanted;
		(void)pthread_mutex_unlock(&h->mu);
		change(h, c, cancelled || stopping, wanted);
		call_unref(c);
	}
	return stopping;
}

/* ---- the thread ---- */

static void wake_due(struct http *h, int64_t now)
{
	for (struct http_call *c = h->paused.first, *next; c; c = next) {
		next = c->next;
		if (c->not_before_ms > now)
			continue;
		leave(c);
		enqueue(c, true);
	}
}

/* The number of those that it ended. */
static unsigned check_deadlines(struct http *h, int64_t now)
{
	unsigned n = 0;

	for (struct http_call *c = h->active.first, *next; c; c = next) {
		unsigned stall = transfer_stall_ms(c);

		next = c->next;
		if (now >= c->deadline_ms) {
			fail(c, -ETIMEDOUT, "not done when its time was up");
			n++;
		} else if (now - c->last_byte_ms >= stall) {
			(void)snprintf(c->curl_error, sizeof c->curl_error,
				       "not a byte came for %u ms", stall);
			settle(c, CURLE_OPERATION_TIMEDOUT);
			n++;
		}
	}
	return n;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int next_timer(const struct http *h, int64_t now)
{
	int64_t at = now + 60000;

	for (const struct http_call *c = h->active.first; c; c = c->next) {
		at = earlier(at, c->deadline_ms);
		at = earlier(at, c->last_byte_ms + transfer_stall_ms(c));
	}
	for (const struct http_call *c = h->paused.first; c; c = c->next)
		at = earlier(at, c->not_before_ms);
	for (const struct http_host *x = h->hosts; x; x = x->next)
		if (x->not_before_ms > now)
			at = earlier(at, x->not_before_ms);
	return at > now ? (int)(at - now) : 0;
}

static void end_all(struct http *h)
{
	while (h->active.first)
		fail(h->active.first, -ECANCELED, "cancelled");
	while (h->paused.first)
		fail(h->paused.first, -ECANCELED, "cancelled");
	for (struct http_host *x = h->hosts, *next; x; x = next) {
		x->calls++;
		for (unsigned p = 0; p < HTTP_PRIOS; p++)
			while (x->queue[p].first)
				fail(x->queue[p].first, -ECANCELED, "cancelled");
		next = x->next;
		x->not_before_ms = 0;
		host_put(h, x);
	}
}

/* What has ended; the number of them. */
static unsigned read_messages(struct http *h)
{
	unsigned n = 0;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_call *c = NULL;

		if (m->msg == CURLMSG_DONE &&
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c) == CURLE_OK && c) {
			settle(c, m->data.result);
			n++;
		}
	}
	return n;
}

static void *network(void *arg)
{
	struct http *h = arg;

	while (!take_inbox(h)) {
		int64_t now = http_now_ms();
		unsigned ended;
		int running;

		wake_due(h, now);
		start_some(h, now);
		(void)curl_multi_perform(h->multi, &running);
		ended = read_messages(h);
		now = http_now_ms();
		ended += check_deadlines(h, now);
		/* What has ended made room: no waiting before that is used. */
		(void)curl_multi_poll(h->multi, NULL, 0, ended ? 0 : next_timer(h, now), NULL);
	}
	end_all(h);
	return NULL;
}

/* ---- the front ---- */

static void settings(struct http *h)
{
	const struct npmrc *rc = h->c.npmrc;
	int64_t sockets = npmrc_int(rc, "maxsockets", HTTP_SOCKETS);
	int64_t retries = npmrc_int(rc, "fetch-retries", 2);

	h->sockets = sockets < 1                 ? 1
		     : sockets > HTTP_ACTIVE_MAX ? HTTP_ACTIVE_MAX
						 : (unsigned)sockets;
	h->retries = retries < 0                  ? 0
		     : retries > HTTP_RETRIES_MAX ? HTTP_RETRIES_MAX
						  : (unsigned)retries;
	h->retry_min_ms = npmrc_int(rc, "fetch-retry-mintimeout", HTTP_RETRY_MIN_MS);
	h->retry_max_ms = npmrc_int(rc, "fetch-retry-maxtimeout", HTTP_RETRY_MAX_MS);
	h->retry_factor = npmrc_int(rc, "fetch-retry-factor", HTTP_RETRY_FACTOR);
	h->stall_ms = npmrc_int(rc, "fetch-timeout", 0);
	if (h->retry_max_ms < 0 || h->retry_max_ms > HTTP_TOTAL_MAX_MS)
		h->retry_max_ms = HTTP_RETRY_MAX_MS;
	if (h->retry_min_ms < 0 || h->retry_min_ms > h->retry_max_ms)
		h->retry_min_ms = h->retry_max_ms;
	if (h->retry_factor < 1 || h->retry_factor > 1000)
		h->retry_factor = HTTP_RETRY_FACTOR;
	if (h->stall_ms < 0 || h->stall_ms > HTTP_TOTAL_MAX_MS)
		h->stall_ms = 0;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int begin(struct http *h, struct err *e)
{
	sigset_t all, old;
	int r = tls_load(h, e);

	if (r < 0)
		return r;
	h->multi = curl_multi_init();
	if (!h->multi)
		return err_set(e, -ENOMEM, "libcurl: out of memory");
	(void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)h->sockets);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)HTTP_STREAMS);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->sockets + 16);
	if (getrandom(&h->random, sizeof h->random, GRND_NONBLOCK) != sizeof h->random)
		h->random = (uint64_t)http_now_ms();
	h->random |= 1;
	/* Signals are for the program's own threads. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&h->thread, NULL, network, h);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r ? err_set(e, -r, "a thread for the network: %s", strerror(r)) : 0;
}

int http_start(struct http **ret, const struct http_config *c, struct err *e)
{
	int r = curl_need(e);
	struct http *h = r < 0 ? NULL : malloc(sizeof *h);

	if (!h)
		return r < 0 ? r : err_set(e, -ENOMEM, "out of memory");
	(void)pthread_once(&curl_once, init_curl);
	*h = (struct http){ .c = *c };
	h->c.budget = c->budget ? c->budget : HTTP_BUDGET;
	(void)pthread_mutex_init(&h->mu, NULL);
	settings(h);
	r = begin(h, e);
	if (r < 0) {
		h->stopped = true;
		http_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void http_stop(struct http *h)
{
	if (h->stopped)
		return;
	(void)pthread_mutex_lock(&h->mu);
	h->stopping = true;
	(void)pthread_mutex_unlock(&h->mu);
	(void)curl_multi_wakeup(h->multi);
	(void)pthread_join(h->thread, NULL);
	h->stopped = true;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	http_stop(h);
	if (h->multi)
		(void)curl_multi_cleanup(h->multi);
	(void)pthread_mutex_destroy(&h->mu);
	free(h->ca_pem);
	free(h);
}

/* With h->mu held. */
static void into_inbox(struct http_call *c)
{
	if (c->in_inbox)
		return;
	c->in_inbox = true;
	c->inbox_next = c->h->inbox;
	c->h->inbox = c;
	atomic_fetch_add(&c->refs, 1);
}

static bool copy_strings(struct http_call *c, const struct http_request *rq)
{
	c->rq.url = strdup(rq->url);
	c->rq.registry = rq->registry ? strdup(rq->registry) : NULL;
	c->rq.accept = rq->accept ? strdup(rq->accept) : NULL;
	c->rq.etag = rq->etag ? strdup(rq->etag) : NULL;
	return c->rq.url && !c->rq.registry == !rq->registry && !c->rq.accept == !rq->accept &&
	       !c->rq.etag == !rq->etag;
}

int http_get(struct http *h, const struct http_request *rq, struct http_call **ret, struct err *e)
{
	struct http_call *c = malloc(sizeof *c);
	bool stopping;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	*c = (struct http_call){ .h = h, .rq = *rq, .wanted = rq->prio };
	atomic_init(&c->refs, 1);
	body_begin(&c->body, h);
	if (!copy_strings(c, rq)) {
		call_unref(c);
		return err_set(e, -ENOMEM, "out of memory");
	}
	(void)pthread_mutex_lock(&h->mu);
	stopping = h->stopping;
	if (!stopping) {
		atomic_fetch_add(&c->refs, 1); /* the network thread's, until done */
		into_inbox(c);
	}
	(void)pthread_mutex_unlock(&h->mu);
	if (stopping) {
		call_unref(c);
		return err_set(e, -ESHUTDOWN, "fetching has been stopped");
	}
	(void)curl_multi_wakeup(h->multi);
	*ret = c;
	return 0;
}

static void tell(struct http_call *c, bool cancel, enum http_prio prio)
{
	struct http *h = c->h;

	(void)pthread_mutex_lock(&h->mu);
	c->cancelled |= cancel;
	if (prio < HTTP_PRIOS)
		c->wanted = prio;
	if (!h->stopping)
		into_inbox(c);
	(void)pthread_mutex_unlock(&h->mu);
	(void)curl_multi_wakeup(h->multi);
}

void http_set_prio(struct http_call *c, enum http_prio prio)
{
	tell(c, false, prio);
}

void http_cancel(struct http_call *c)
{
	tell(c, true, HTTP_PRIOS);
}

bool http_drop(struct http_call *c)
{
	if (!decide(c, FATE_DROPPED))
		return false;
	tell(c, true, HTTP_PRIOS);
	return true;
}

void http_call_release(struct http_call *c)
{
	if (c)
		call_unref(c);
}

void http_stats(struct http *h, struct http_stats *ret)
{
	*ret = (struct http_stats){ .bytes = atomic_load(&h->bytes),
				    .requests = atomic_load(&h->requests),
				    .retries = atomic_load(&h->retried),
				    .active = atomic_load(&h->stat_active),
				    .queued = atomic_load(&h->stat_queued),
				    .held = atomic_load(&h->held) };
}
