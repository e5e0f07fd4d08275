#include "fetch/http.h"

#include "core/thread.h"
#include "fetch/http_priv.h"

#include <stdio.h>
#include <sys/random.h>

/* ---- what other threads ask ---- */

static void take_in(struct http *h, struct http_call *c)
{
	int r = url_parse(&c->url, c->rq.url, &c->e);

	if (r < 0) {
		call_finish(c, r);
		return;
	}
	c->host = http_host_get(h, &c->url);
	if (!c->host) {
		call_fail(c, -ENOMEM, "out of memory");
		return;
	}
	call_enqueue(c, false);
}

static void change(struct http *h, struct http_call *c, bool cancelled, enum http_prio wanted)
{
	bool queued = c->state == CALL_QUEUED ||
		      (c->state == CALL_PAUSED && c->wait != WAIT_RETRY && wanted == HTTP_NOW);

	if (c->state == CALL_OVER)
		return;
	if (cancelled) {
		call_fail(c, -ECANCELED, "cancelled");
		return;
	}
	if (wanted != c->rq.prio) {
		if (queued)
			call_leave(c);
		if (c->state == CALL_ACTIVE)
			h->active_now += (wanted == HTTP_NOW) - (c->rq.prio == HTTP_NOW);
		c->rq.prio = wanted;
		if (queued)
			call_enqueue(c, false);
		if (c->state == CALL_ACTIVE)
			(void)curl_easy_setopt(c->easy, CURLOPT_STREAM_WEIGHT,
					       transfer_weight(wanted));
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

static void end_all(struct http *h)
{
	while (h->active.first)
		call_fail(h->active.first, -ECANCELED, "cancelled");
	while (h->paused.first)
		call_fail(h->paused.first, -ECANCELED, "cancelled");
	for (struct http_host *x = h->hosts, *next; x; x = next) {
		x->calls++;
		for (unsigned p = 0; p < HTTP_PRIOS; p++)
			while (x->queue[p].first)
				call_fail(x->queue[p].first, -ECANCELED, "cancelled");
		next = x->next;
		x->not_before_ms = 0;
		http_host_put(h, x);
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
			call_settle(c, m->data.result);
			n++;
		}
	}
	return n;
}

static void *network(void *arg)
{
	struct http *h = arg;

	while (!take_inbox(h)) {
		int64_t now = now_ms();
		unsigned ended;
		int running;

		sched_wake(h, now);
		sched_yield_line(h, now);
		sched_start(h, now);
		(void)curl_multi_perform(h->multi, &running);
		ended = read_messages(h);
		now = now_ms();
		ended += sched_deadlines(h, now);
		/* What has ended made room: no waiting before that is used. */
		(void)curl_multi_poll(h->multi, NULL, 0,
				      ended || h->roused ? 0 : sched_timer(h, now), NULL);
		h->roused = false;
	}
	end_all(h);
	return NULL;
}

/* ---- the front ---- */

static void settings(struct http *h)
{
	const struct npmrc *rc = h->c.npmrc;
	int64_t sockets = npmrc_int(rc, "maxsockets", HTTP_SOCKETS);
	int64_t retries = npmrc_int(rc, "fetch-retries", -1);

	h->sockets = sockets < 1                 ? 1
		     : sockets > HTTP_ACTIVE_MAX ? HTTP_ACTIVE_MAX
						 : (unsigned)sockets;
	h->retries_set = retries >= 0;
	h->retries = retries < 0                  ? HTTP_RETRIES
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
	int r = tls_load(h, e);

	if (r < 0)
		return r;
	h->multi = curl_multi_init();
	if (!h->multi)
		return err_set(e, -ENOMEM, "libcurl: out of memory");
	(void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)HTTP_STREAMS_EACH);
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->sockets + 16);
	if (getrandom(&h->random, sizeof h->random, GRND_NONBLOCK) != sizeof h->random)
		h->random = (uint64_t)now_ms();
	h->random |= 1;
	return thread_start(&h->thread, network, h, e);
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
	h->c.aging_ms = c->aging_ms ? c->aging_ms : HTTP_AGING_MS;
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

/* With h->mu held. True: the network thread must be woken; whoever found the inbox not empty can
 * rely on the one before, as the thread takes it whole. */
static bool into_inbox(struct http_call *c)
{
	bool was_empty = !c->h->inbox;

	if (c->in_inbox)
		return false;
	c->in_inbox = true;
	c->inbox_next = c->h->inbox;
	c->h->inbox = c;
	atomic_fetch_add(&c->refs, 1);
	return was_empty;
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
	bool stopping, wake = false;

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
		wake = into_inbox(c);
	}
	(void)pthread_mutex_unlock(&h->mu);
	if (stopping) {
		call_unref(c);
		return err_set(e, -ESHUTDOWN, "fetching has been stopped");
	}
	if (wake)
		(void)curl_multi_wakeup(h->multi);
	*ret = c;
	return 0;
}

static void tell(struct http_call *c, bool cancel, enum http_prio prio)
{
	struct http *h = c->h;
	bool wake = false;

	(void)pthread_mutex_lock(&h->mu);
	c->cancelled |= cancel;
	if (prio < HTTP_PRIOS)
		c->wanted = prio;
	if (!h->stopping)
		wake = into_inbox(c);
	(void)pthread_mutex_unlock(&h->mu);
	if (wake)
		(void)curl_multi_wakeup(h->multi);
}

void http_set_prio(struct http_call *c, enum http_prio prio)
{
	tell(c, false, prio);
}

bool http_drop(struct http_call *c)
{
	if (!call_decide(c, FATE_DROPPED))
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
