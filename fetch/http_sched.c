#include "fetch/http_priv.h"

#include <stdio.h>

/* ---- starting ---- */

static unsigned slots(const struct http *h, const struct http_host *x)
{
	if (!x->streams)
		return h->sockets;
	return h->c.bulk ? HTTP_STREAMS_BULK : HTTP_STREAMS;
}

/* How many transfers of this host may run before one of this priority has to wait. */
static unsigned share(const struct http *h, const struct http_host *x, enum http_prio prio)
{
	unsigned all = slots(h, x);

	if (prio == HTTP_NOW || all == 1)
		return all;
	if (prio == HTTP_SOON)
		return all - all / 8;
	if (h->c.bulk)
		return h->active_now ? all / 4 : all - all / 4;
	if (x->streams)
		return h->active_now ? all / 8 : all / 4;
	return h->active_now ? all / 4 : all / 2;
}

static bool has_slot(const struct http *h, const struct http_host *x, enum http_prio prio)
{
	if (x->down_ms)
		return !x->probe && x->active < slots(h, x);
	return x->active < share(h, x, prio);
}

static bool has_room(const struct http *h, enum http_prio prio)
{
	if (prio == HTTP_NOW)
		return h->active_count < HTTP_ACTIVE_MAX;
	return h->active_count < HTTP_ACTIVE_MAX - HTTP_ACTIVE_MAX / 8 &&
	       atomic_load(&h->held) <= h->c.budget;
}

/* Asked before the first attempt only. False: it was paused or ended instead. */
static bool may_begin(struct http_call *c, int64_t now)
{
	int r = c->tries == 0 && c->rq.may_begin ? c->rq.may_begin(c->rq.arg) : 0;

	if (r == -EBUSY && c->wait_until_ms == 0)
		c->wait_until_ms = now + HTTP_BUSY_MAX_MS;
	if (r == 0 || (r == -EBUSY && now >= c->wait_until_ms))
		return true;
	if (r == -EBUSY) {
		call_pause(c, WAIT_BUSY, now + HTTP_BUSY_MS);
		atomic_store(&c->fate, FATE_OPEN);
	} else {
		call_fail(c, r, strerror(-r));
	}
	return false;
}

static void start_one(struct http_call *c, int64_t now)
{
	struct http *h = c->h;
	int r;

	if (!call_begun(c)) {
		call_finish(c, -ECANCELED);
		return;
	}
	if (!may_begin(c, now))
		return;
	call_leave(c);
	c->state = CALL_ACTIVE;
	http_list_add(&h->active, c, false);
	c->host->active++;
	if (c->host->down_ms)
		c->host->probe = c;
	c->host->served_ms[c->rq.prio] = now;
	h->active_now += c->rq.prio == HTTP_NOW;
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
		call_finish(c, r);
}

/* A queue that has stood still for long moves by one, whatever else is wanted. */
static void start_aged(struct http *h, struct http_host *x, enum http_prio p, int64_t now)
{
	if (p != HTTP_NOW && x->queue[p].first && now - x->served_ms[p] >= h->c.aging_ms &&
	    x->not_before_ms <= now && has_slot(h, x, HTTP_NOW) && has_room(h, p))
		start_one(x->queue[p].first, now);
}

static void start_queue(struct http *h, struct http_host *x, enum http_prio p, int64_t now)
{
	while (x->queue[p].first && x->not_before_ms <= now && has_slot(h, x, p) && has_room(h, p))
		start_one(x->queue[p].first, now);
}

static bool has_connection(const struct http_call *c)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	return curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
	       fd != CURL_SOCKET_BAD;
}

/* It was believed to speak HTTP/2, and does not: what would wait in libcurl for one of its
 * connections waits here again, where priorities count. */
static void put_back(struct http *h, struct http_host *x)
{
	for (struct http_call *c = h->active.last, *prev; c && x->active > h->sockets; c = prev) {
		prev = c->prev;
		if (c->host != x || has_connection(c))
			continue;
		c->tries--; /* no failure */
		call_leave(c);
		call_enqueue(c, true);
	}
}

/* One that carries many streams is worth many that do not: as few of those as do, so that they
 * do not all begin with a handshake when a server ends one in the middle. Such a one takes nothing
 * new, but counts until its last answer is here: hence one more than is asked for. libcurl has one
 * limit for all hosts. */
static void limit_connections(struct http *h)
{
	long n = h->sockets < HTTP_CONNECTIONS ? h->sockets + 1 : HTTP_CONNECTIONS;

	for (const struct http_host *x = h->hosts; x; x = x->next)
		if (!x->streams || (!x->answered && n > (long)h->sockets))
			n = h->sockets;
	if (n != h->connections)
		(void)curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, n);
	h->connections = n;
}

typedef void host_fn(struct http *h, struct http_host *x, enum http_prio p, int64_t now);

static void each_host(struct http *h, host_fn *fn, enum http_prio p, int64_t now)
{
	for (struct http_host *x = h->hosts, *next; x; x = next) {
		x->calls++; /* an ended call shall not free it */
		fn(h, x, p, now);
		next = x->next;
		http_host_put(h, x);
	}
}

void sched_start(struct http *h, int64_t now)
{
	limit_connections(h);
	for (struct http_host *x = h->hosts; x; x = x->next)
		if (!x->streams)
			put_back(h, x);
	each_host(h, start_aged, HTTP_LATER, now);
	each_host(h, start_aged, HTTP_SOON, now);
	for (enum http_prio p = HTTP_NOW; p < HTTP_PRIOS; p++)
		each_host(h, start_queue, p, now);
}

/* ---- making way ---- */

static bool shall_yield(const struct http_call *c)
{
	unsigned status = c->answer.status;

	return c->rq.prio != HTTP_NOW && c->wait_until_ms == 0 && c->answer.begun &&
	       (status == 200 || status == 206) && c->can_resume &&
	       c->total > c->body.bytes.len + HTTP_YIELD_MIN;
}

/* While somebody waits, the line is not for what will take long: it stops where it is and goes on
 * from there afterwards. Once only, so that it comes to an end. */
void sched_yield_line(struct http *h, int64_t now)
{
	if (h->active_now == 0)
		return;
	for (struct http_call *c = h->active.first, *next; c; c = next) {
		next = c->next;
		if (!shall_yield(c))
			continue;
		c->wait_until_ms = now + h->c.aging_ms;
		c->tries--; /* no failure */
		call_pause(c, WAIT_LINE, now);
	}
}

void sched_wake(struct http *h, int64_t now)
{
	for (struct http_call *c = h->paused.first, *next; c; c = next) {
		next = c->next;
		if (c->not_before_ms > now)
			continue;
		if (c->wait == WAIT_LINE && h->active_now && now < c->wait_until_ms)
			continue;
		call_leave(c);
		call_enqueue(c, true);
	}
}

/* ---- timers ---- */

unsigned sched_deadlines(struct http *h, int64_t now)
{
	unsigned n = 0;

	for (struct http_call *c = h->active.first, *next; c; c = next) {
		unsigned stall = transfer_stall_ms(c);

		next = c->next;
		if (now >= c->deadline_ms) {
			call_fail(c, -ETIMEDOUT, "not done when its time was up");
			n++;
		} else if (now - c->last_byte_ms >= stall) {
			(void)snprintf(c->curl_error, sizeof c->curl_error,
				       "not a byte came for %u ms", stall);
			call_settle(c, CURLE_OPERATION_TIMEDOUT);
			n++;
		}
	}
	return n;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int sched_timer(const struct http *h, int64_t now)
{
	int64_t at = now + 60000;

	for (const struct http_call *c = h->active.first; c; c = c->next) {
		at = earlier(at, c->deadline_ms);
		at = earlier(at, c->last_byte_ms + transfer_stall_ms(c));
	}
	for (const struct http_call *c = h->paused.first; c; c = c->next)
		at = earlier(at, c->wait == WAIT_LINE && h->active_now ? c->wait_until_ms
								       : c->not_before_ms);
	for (const struct http_host *x = h->hosts; x; x = x->next)
		if (x->not_before_ms > now)
			at = earlier(at, x->not_before_ms);
	return at > now ? (int)(at - now) : 0;
}
