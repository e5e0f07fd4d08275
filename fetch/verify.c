#include "fetch/verify.h"

#include "fetch/catalog_npm.h"
#include "fetch/http.h"
#include "fetch/signature.h"
#include "fetch/source.h"

#include <pthread.h>
#include <stdio.h>

#define REGISTRIES_MAX 32 /* a project with more scopes than this has other worries */
#define UNDER_WAY_MAX  32 /* answers that may wait to be read */

struct registry {
	const char *url;           /* borrowed from the npmrc */
	struct signing_keys *keys; /* NULL: it has none, or could not be asked */
	int result;
	char why[sizeof(((struct err *)0)->msg)];
};

/* One question, and what came. The network thread fills it in and puts it into the list. */
struct question {
	struct verifying *v;
	size_t first, count; /* packages of one name */
	struct registry *registry;
	struct http_call *call;
	struct question *next; /* guarded by mu */
	int result;
	char why[sizeof(((struct err *)0)->msg)];
	struct http_body body;
};

struct verifying {
	const struct npmrc *rc;
	const struct fetch_pkg *pkgs;
	size_t count;
	verify_fn *fn;
	void *arg;
	struct http *http;
	struct registry registries[REGISTRIES_MAX];
	unsigned registry_count, under_way;
	pthread_mutex_t mu;
	pthread_cond_t came;
	struct question *answers; /* guarded by mu */
};

/* ---- asking ---- */

static void on_done(void *arg, struct http_response *r)
{
	struct question *q = arg;
	struct verifying *v = q->v;

	q->result = r->result;
	if (r->result < 0)
		(void)snprintf(q->why, sizeof q->why, "%s", r->why);
	q->body = r->body;
	r->body = (struct http_body){ 0 };
	(void)pthread_mutex_lock(&v->mu);
	q->next = v->answers;
	v->answers = q;
	(void)pthread_cond_signal(&v->came);
	(void)pthread_mutex_unlock(&v->mu);
}

/* Consumes q when it fails. */
static int ask(struct question *q, const char *url, const char *registry, uint64_t limit,
	       struct err *e)
{
	struct http_request rq = { .url = url,
				   .registry = registry,
				   .accept = "application/json",
				   .prio = HTTP_SOON,
				   .limit = limit,
				   .compressed = true,
				   .done = on_done,
				   .arg = q };
	int r = http_get(q->v->http, &rq, &q->call, e);

	if (r < 0)
		free(q);
	else
		q->v->under_way++;
	return r;
}

static struct question *next_answer(struct verifying *v)
{
	struct question *q;

	(void)pthread_mutex_lock(&v->mu);
	while (!v->answers)
		(void)pthread_cond_wait(&v->came, &v->mu);
	q = v->answers;
	v->answers = q->next;
	(void)pthread_mutex_unlock(&v->mu);
	v->under_way--;
	return q;
}

static void question_free(struct question *q)
{
	http_body_release(&q->body);
	http_call_release(q->call);
	free(q);
}

static struct question *question_new(struct verifying *v, struct registry *r)
{
	struct question *q = calloc(1, sizeof *q);

	if (q) {
		q->v = v;
		q->registry = r;
	}
	return q;
}

/* ---- keys ---- */

static int ask_keys(struct verifying *v, struct registry *r, struct err *e)
{
	struct question *q = question_new(v, r);
	auto_free char *url = NULL;
	const char *slash = r->url[strlen(r->url) - 1] == '/' ? "" : "/";
	struct err why = { 0 };
	int status;

	if (!q || asprintf(&url, "%s%s-/npm/v1/keys", r->url, slash) < 0) {
		free(q);
		url = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	status = ask(q, url, r->url, SIGNATURE_KEYS_LEN, e);
	if (status < 0)
		return status;
	q = next_answer(v);
	r->result = q->result;
	(void)snprintf(r->why, sizeof r->why, "%s",
		       q->result == -ENOENT ? "its registry has no signing keys" : q->why);
	if (q->result == 0) {
		r->result = signing_keys_parse(&r->keys, q->body.bytes, &why);
		(void)snprintf(r->why, sizeof r->why, "%s", why.msg);
	}
	question_free(q);
	return 0;
}

static int registry_of(struct verifying *v, const char *name, struct registry **ret, struct err *e)
{
	struct registry *r;
	const char *url;
	int status = npmrc_registry_for(v->rc, name, &url, e);

	if (status < 0)
		return status;
	for (unsigned i = 0; i < v->registry_count; i++) {
		if (strcmp(v->registries[i].url, url) == 0) {
			*ret = &v->registries[i];
			return 0;
		}
	}
	if (v->registry_count == REGISTRIES_MAX)
		return err_set(e, -E2BIG, "more than %u registries", REGISTRIES_MAX);
	r = &v->registries[v->registry_count++];
	r->url = url;
	*ret = r;
	return ask_keys(v, r, e);
}

/* ---- packages ---- */

static void tell_all(struct verifying *v, size_t first, size_t count, enum verify_state state,
		     const char *why)
{
	for (size_t i = first; i < first + count; i++)
		v->fn(v->arg, &v->pkgs[i], state, why);
}

static void check(struct verifying *v, const struct question *q)
{
	static const enum verify_state of[] = { [SIGNATURE_GOOD] = VERIFY_GOOD,
						[SIGNATURE_MISSING] = VERIFY_MISSING,
						[SIGNATURE_BAD] = VERIFY_BAD };
	auto_json cJSON *packument = NULL;
	struct err e = { 0 };

	if (q->result < 0) {
		tell_all(v, q->first, q->count, VERIFY_NOT_ASKED, q->why);
		return;
	}
	if (json_parse(&packument, q->body.bytes, &e) < 0) {
		tell_all(v, q->first, q->count, VERIFY_NOT_ASKED, e.msg);
		return;
	}
	for (size_t i = q->first; i < q->first + q->count; i++) {
		const struct fetch_pkg *p = &v->pkgs[i];
		struct err why = { 0 };
		enum signature_state s = signature_check(q->registry->keys, packument, p->name,
							 p->version, p->integrity, &why);

		v->fn(v->arg, p, of[s], s == SIGNATURE_GOOD ? NULL : why.msg);
	}
}

static void check_next(struct verifying *v)
{
	struct question *q = next_answer(v);

	check(v, q);
	question_free(q);
}

static int ask_name(struct verifying *v, size_t first, size_t count, struct err *e)
{
	struct registry *r = NULL;
	auto_free char *url = NULL;
	struct question *q;
	int status = registry_of(v, v->pkgs[first].name, &r, e);

	if (status < 0)
		return status;
	if (!r->keys) {
		tell_all(v, first, count, r->result == -ENOENT ? VERIFY_NO_KEYS : VERIFY_NOT_ASKED,
			 r->why);
		return 0;
	}
	status = source_packument(&url, r->url, v->pkgs[first].name, e);
	if (status < 0)
		return status;
	while (v->under_way >= UNDER_WAY_MAX)
		check_next(v);
	q = question_new(v, r);
	if (!q)
		return err_set(e, -ENOMEM, "out of memory");
	q->first = first;
	q->count = count;
	return ask(q, url, r->url, CATALOG_PACKUMENT_MAX, e);
}

static int run(struct verifying *v, struct err *e)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < v->count && r == 0; i += n) {
		for (n = 1; i + n < v->count && strcmp(v->pkgs[i].name, v->pkgs[i + n].name) == 0;)
			n++;
		r = ask_name(v, i, n, e);
	}
	while (v->under_way > 0)
		check_next(v);
	return r;
}

int verify_packages(const struct npmrc *rc, const struct fetch_pkg *pkgs, size_t count,
		    verify_fn *fn, void *arg, struct err *e)
{
	struct verifying v = { .rc = rc,
			       .pkgs = pkgs,
			       .count = count,
			       .fn = fn,
			       .arg = arg,
			       .mu = PTHREAD_MUTEX_INITIALIZER,
			       .came = PTHREAD_COND_INITIALIZER };
	struct http_config c = { .npmrc = rc };
	int r = http_start(&v.http, &c, e);

	if (r < 0)
		return r;
	r = run(&v, e);
	http_stop(v.http);
	http_free(v.http);
	for (unsigned i = 0; i < v.registry_count; i++)
		signing_keys_free(v.registries[i].keys);
	return r;
}
