#include "fetch/http_priv.h"

#include <stdio.h>

/* ---- lists and hosts ---- */

void http_list_add(struct http_list *l, struct http_call *c, bool front)
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

struct http_host *http_host_get(struct http *h, const struct url *u)
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
		*x = (struct http_host){ .next = h->hosts,
					 .name = strdup(name),
					 .streams = u->tls };
		if (!x->name) {
			free(x);
			return NULL;
		}
		h->hosts = x;
	}
	x->calls++;
	return x;
}

void http_host_put(struct http *h, struct http_host *x)
{
	if (!x || --x->calls > 0 || x->not_before_ms > now_ms())
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

void call_leave(struct http_call *c)
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
		if (c->host->probe == c)
			c->host->probe = NULL;
		if (c->easy)
			(void)curl_multi_remove_handle(h->multi, c->easy);
		transfer_end(c);
		c->host->active--;
		h->active_now -= c->rq.prio == HTTP_NOW;
		h->active_count--;
		atomic_fetch_sub(&h->stat_active, 1);
		break;
	case CALL_NEW:
	case CALL_OVER:
		break;
	}
	c->state = CALL_NEW;
}

void call_enqueue(struct http_call *c, bool front)
{
	struct http_list *l = &c->host->queue[c->rq.prio];

	if (!l->first)
		c->host->served_ms[c->rq.prio] = now_ms();
	c->state = CALL_QUEUED;
	http_list_add(l, c, front);
	atomic_fetch_add(&c->h->stat_queued, 1);
}

void call_pause(struct http_call *c, enum call_wait why, int64_t until_ms)
{
	call_leave(c);
	c->state = CALL_PAUSED;
	c->wait = why;
	c->not_before_ms = until_ms;
	http_list_add(&c->h->paused, c, false);
	atomic_fetch_add(&c->h->stat_queued, 1);
}

void call_unref(struct http_call *c)
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

bool call_decide(struct http_call *c, enum call_fate fate)
{
	enum call_fate open = FATE_OPEN;

	return atomic_compare_exchange_strong(&c->fate, &open, fate);
}

/* Once begun, always begun. */
bool call_begun(struct http_call *c)
{
	return call_decide(c, FATE_BEGUN) || atomic_load(&c->fate) == FATE_BEGUN;
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

static void answer(struct http_call *c, int result)
{
	struct http_response r = { .result = result,
				   .status = c->answer.status,
				   .etag = c->answer.etag,
				   .last_modified = c->answer.last_modified,
				   .has_max_age = c->answer.has_max_age,
				   .max_age_s = c->answer.max_age_s };

	if (result == 0 && c->digester)
		r.result = digester_end(c->digester, &r.sha512);
	if (r.result == 0) {
		r.body = c->body;
		body_begin(&c->body, c->h);
	} else {
		sentence(c, r.result);
	}
	r.why = r.result ? c->e.msg : NULL;
	if (call_begun(c))
		c->rq.done(c->rq.arg, &r);
	http_body_release(&r.body);
}

void call_deliver(struct http_call *c)
{
	int r = body_finish(&c->body, &c->e);

	c->delivered = true;
	answer(c, r);
}

/* The last thing that happens to a call here. */
void call_finish(struct http_call *c, int result)
{
	call_leave(c);
	c->state = CALL_OVER;
	http_host_put(c->h, c->host);
	c->host = NULL;
	if (!c->delivered)
		answer(c, result);
	call_unref(c);
}

void call_fail(struct http_call *c, int result, const char *why)
{
	(void)err_set(&c->e, result, "%s", why);
	call_finish(c, result);
}

/* ---- trying again ---- */

/* Between half and the whole of what the settings say, so that clients that failed together do
 * not come back together. */
static int64_t pause_ms(struct http *h, int64_t first_ms, unsigned tries)
{
	int64_t ms = first_ms;

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

static void end_outage(struct http_host *x)
{
	x->down_ms = 0;
	x->probe = NULL;
}

void call_connected(struct http_call *c, bool is_new)
{
	struct http_host *x = c->host;

	if (x->down_ms == 0)
		return;
	if (is_new)
		end_outage(x);
	else if (x->probe == c)
		x->probe = NULL;
	c->h->roused = true;
}

/* Nobody has come back: those that wait for the host need not find that out one by one. */
static void give_up_host(struct http *h, struct http_host *x)
{
	x->calls++;
	x->answered = false;
	end_outage(x);
	for (unsigned p = 0; p < HTTP_PRIOS; p++)
		while (x->queue[p].first)
			call_fail(x->queue[p].first, -EHOSTUNREACH,
				  "the server cannot be reached any more");
	http_host_put(h, x);
}

/* A server that was there will be back, unless it stays away for long: meanwhile one call at a
 * time asks, and none is counted as tried. False: the call's own tries count. */
static bool wait_for_host(struct http_call *c, int64_t now)
{
	struct http *h = c->h;
	struct http_host *x = c->host;

	if (!c->unreachable || !x->answered || h->retries == 0)
		return false;
	if (x->down_ms == 0) {
		x->down_ms = now;
		x->down_tries = 0;
	}
	if (now - x->down_ms >= HTTP_OUTAGE_MS || now >= c->deadline_ms) {
		give_up_host(h, x);
		return false;
	}
	x->not_before_ms = now + pause_ms(h, HTTP_OUTAGE_TRY_MS, x->down_tries++ ? 2 : 1);
	c->tries--;
	atomic_fetch_add(&h->retried, 1);
	call_leave(c);
	call_enqueue(c, true);
	return true;
}

static unsigned tries_max(const struct http_call *c)
{
	if (c->h->retries_set)
		return c->h->retries + 1;
	if (c->rq.prio == HTTP_NOW || (c->unreachable && !c->host->answered))
		return 1 + HTTP_RETRIES_NOW;
	return 1 + HTTP_RETRIES;
}

static void try_again(struct http_call *c, int64_t now)
{
	struct http *h = c->h;
	int64_t after = retry_after(c);

	if (wait_for_host(c, now))
		return;
	if (c->tries >= tries_max(c)) {
		call_finish(c, c->e.code);
		return;
	}
	if (after > HTTP_RETRY_AFTER_MAX_S) {
		char why[96];

		(void)snprintf(why, sizeof why,
			       "the server answered %u and asks for a pause of %lld s",
			       c->answer.status, (long long)after);
		call_fail(c, -EREMOTEIO, why);
		return;
	}
	c->not_before_ms = now + pause_ms(h, h->retry_min_ms, c->tries);
	if (after > 0) {
		int64_t until = now + after * 1000;

		if (c->not_before_ms < until)
			c->not_before_ms = until;
		if (c->host->not_before_ms < until)
			c->host->not_before_ms = until;
	}
	if (c->not_before_ms >= c->deadline_ms) {
		call_finish(c, c->e.code);
		return;
	}
	call_pause(c, WAIT_RETRY, c->not_before_ms);
	atomic_fetch_add(&h->retried, 1);
}

static void redirect(struct http_call *c)
{
	auto_url struct url next = { 0 };
	struct http_host *host;
	int r;

	if (++c->redirects > HTTP_REDIRECTS_MAX) {
		call_fail(c, -ELOOP, "more redirects than any server needs");
		return;
	}
	r = url_resolve(&next, &c->url, c->answer.location, &c->e);
	if (r < 0) {
		(void)err_wrap(&c->e, r, "a redirect");
		call_finish(c, r);
		return;
	}
	if (c->url.tls && !next.tls && !c->rq.verified) {
		call_fail(c, -EPROTO, "it redirects from https to http, where anyone may answer");
		return;
	}
	host = http_host_get(c->h, &next);
	if (!host) {
		call_fail(c, -ENOMEM, "out of memory");
		return;
	}
	if (!url_same_origin(&c->url, &next))
		npmrc_auth_release(&c->auth);
	c->tries--; /* a hop is no failure */
	call_leave(c);
	http_host_put(c->h, c->host);
	c->host = host;
	url_release(&c->url);
	c->url = next;
	next = (struct url){ 0 };
	call_enqueue(c, true);
}

void call_settle(struct http_call *c, CURLcode code)
{
	long version = 0, status = 0;

	if (curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status) {
		c->host->answered = true;
		end_outage(c->host);
	}
	if (curl_easy_getinfo(c->easy, CURLINFO_HTTP_VERSION, &version) == CURLE_OK && version)
		c->host->streams = version >= CURL_HTTP_VERSION_2_0;
	if (c->delivered) {
		call_finish(c, 0);
		return;
	}
	switch (transfer_verdict(c, code)) {
	case VERDICT_DONE:
		call_finish(c, 0);
		break;
	case VERDICT_FAILED:
		call_finish(c, c->e.code);
		break;
	case VERDICT_REDIRECT:
		redirect(c);
		break;
	case VERDICT_RETRY:
		try_again(c, now_ms());
		break;
	case VERDICT_AGAIN:
		c->tries--;
		call_leave(c);
		call_enqueue(c, true);
		break;
	}
}
