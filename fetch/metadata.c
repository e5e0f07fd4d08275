#include "fetch/metadata.h"

#include "core/file.h"
#include "core/log.h"
#include "core/sri.h"
#include "core/thread.h"
#include "fetch/gunzip.h"
#include "fetch/http.h"
#include "fetch/metadata_file.h"
#include "fetch/source.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define BUCKETS 4096u

/* SEEN: what is kept of it is young enough; nobody has looked into it yet. */
enum state { SEEN, ASKED, CAME, DONE };

/* A registry, and what is kept of it. */
struct place {
	struct place *next;
	const char *registry;       /* as npmrc has it */
	struct metadata_file *file; /* NULL: nothing is kept */
};

struct slot {
	struct slot *next;
	struct slot *job_next, **job_at; /* job_at NULL: on no list */
	struct metadata *m;
	char *name, *url;
	const struct place *place;
	struct http_call *call;
	/* guarded by m->mu */
	enum state state;
	bool hurried;
	/* whoever works on it */
	bool old;   /* `p` is what is kept, and too old */
	char *blob; /* what `p` lies in, where that is no file */
	struct packument p;
	struct http_body body;
	char *etag;
	unsigned status;
	int64_t fresh_s;
	int result;
	struct err *e; /* owned; once there is something to say */
};

struct metadata {
	const struct npmrc *rc;
	const char *dir;
	bool offline, prefer_offline;
	pthread_mutex_t mu;
	pthread_cond_t changed, work;
	struct slot *buckets[BUCKETS];
	struct place *places;
	struct slot *jobs, **jobs_end;
	size_t held;           /* bytes of packuments in memory */
	pthread_mutex_t large; /* who has it reads a large one */
	struct http *http;
	pthread_t threads[METADATA_THREAD_MAX];
	unsigned thread_count;
	bool stop, started;
};

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

/* ---- jobs; all with m->mu held ---- */

static void add_job(struct metadata *m, struct slot *s)
{
	s->job_at = s->hurried ? &m->jobs : m->jobs_end;
	s->job_next = *s->job_at;
	*s->job_at = s;
	*(s->job_next ? &s->job_next->job_at : &m->jobs_end) = &s->job_next;
	(void)pthread_cond_signal(&m->work);
}

static void take_job(struct metadata *m, struct slot *s)
{
	*s->job_at = s->job_next;
	*(s->job_next ? &s->job_next->job_at : &m->jobs_end) = s->job_at;
	s->job_at = NULL;
}

/* Where its sentence goes; NULL, which is fine, without memory. */
static struct err *said(struct slot *s)
{
	if (!s->e)
		s->e = calloc(1, sizeof *s->e);
	return s->e;
}

/* ---- what is kept ---- */

/* What tells this registry from others, and those who are believed there from those whom another
 * project believes. It is compared whole; where it may hold a password, by its digest. */
static int place_text(const struct metadata *m, const char *registry, struct buf *b)
{
	char hex[2 * sizeof((struct digest *)0)->bytes + 1];
	struct digest d;

	buf_add(b, registry, strlen(registry) + 1);
	source_trust(b, m->rc, registry);
	if (buf_error(b) < 0 || !memchr(b->data, '@', b->len))
		return buf_error(b);
	if (digest_of(&d, DIGEST_SHA256, b->data, b->len) < 0)
		return -EIO;
	for (unsigned i = 0; i < d.len; i++)
		(void)snprintf(hex + 2 * (size_t)i, 3, "%02x", d.bytes[i]);
	b->len = 0;
	buf_addf(b, "sha256 %s", hex);
	return buf_error(b);
}

/* With m->mu held. NULL: out of memory. */
static const struct place *place_of(struct metadata *m, const char *registry)
{
	auto_buf struct buf text = BUF_INIT((size_t)1 << 20);
	struct place *p = m->places;

	while (p && p->registry != registry)
		p = p->next;
	if (p)
		return p;
	p = malloc(sizeof *p);
	if (!p)
		return NULL;
	*p = (struct place){ .next = m->places, .registry = registry };
	m->places = p;
	if (m->dir && place_text(m, registry, &text) == 0 &&
	    metadata_file_open(&p->file, m->dir, (struct slice){ text.data, text.len }) < 0)
		p->file = NULL;
	return p;
}

/* What is kept, if it is sound and of that name. */
static bool read_kept(struct slot *s, struct slice bytes)
{
	struct err e = { 0 };

	if (packument_open(&s->p, bytes, &e) == 0 &&
	    strcmp(packument_str(&s->p, s->p.head->name), s->name) == 0)
		return true;
	log_line(LOG_DEBUG, "%s: %s; asked for again", s->name, e.msg);
	return false;
}

static void keep(const struct slot *s, struct slice bytes)
{
	int64_t now = now_s();

	if (s->place->file)
		metadata_file_put(s->place->file, s->name, bytes, now, now + s->fresh_s);
}

/* ---- the registry ---- */

/* On the network thread. */
static void on_done(void *arg, struct http_response *r)
{
	struct slot *s = arg;
	struct metadata *m = s->m;

	(void)pthread_mutex_lock(&m->mu);
	s->result = r->result;
	s->status = r->status;
	if (r->result < 0)
		(void)err_set(said(s), r->result, "%s", r->why);
	s->fresh_s = metadata_fresh_s(r->has_max_age, r->max_age_s);
	s->etag = r->etag ? strdup(r->etag) : NULL;
	s->body = r->body;
	r->body = (struct http_body){ 0 };
	s->state = CAME;
	add_job(m, s);
	(void)pthread_mutex_unlock(&m->mu);
}

/* With m->mu held. */
static int need_http(struct metadata *m, struct err *e)
{
	const struct http_config hc = { .npmrc = m->rc, .tmp_dir = m->dir };

	return m->http ? 0 : http_start(&m->http, &hc, e);
}

static int hold(struct slot *s, size_t n)
{
	struct metadata *m = s->m;
	bool fits;

	(void)pthread_mutex_lock(&m->mu);
	fits = m->held + n <= METADATA_HELD_MAX;
	m->held += fits ? n : 0;
	(void)pthread_mutex_unlock(&m->mu);
	return fits ? 0
		    : err_set(said(s), -E2BIG,
			      "%s: what the registry says of all packages together has more than "
			      "%zu MiB",
			      s->name, METADATA_HELD_MAX >> 20);
}

/* Second step: what came, made compact. */
static int compact(struct slot *s)
{
	struct buf b = BUF_INIT(PACKUMENT_BLOB_MAX);
	struct packument_origin from = { .name = s->name, .etag = s->etag };
	const struct gunzip_options o = { .tmp_dir = s->m->dir, .output_max = METADATA_JSON_MAX };
	struct gunzipped json cleanup(gunzip_release) = { 0 };
	struct slice body = s->body.bytes;
	bool large = body.len > METADATA_LARGE || gunzip_memory(body) > METADATA_LARGE;
	int r;

	if (large)
		(void)pthread_mutex_lock(&s->m->large);
	r = gunzip(&json, body, &o, said(s));
	if (r < 0)
		(void)err_wrap(said(s), r, "%s: what the registry says of it", s->name);
	else
		r = packument_build(&b, json.bytes, &from, said(s));
	gunzip_release(&json);
	if (large)
		(void)pthread_mutex_unlock(&s->m->large);
	if (r == -EBADMSG)
		r = err_set(said(s), r,
			    "%s: what %s answered is not valid JSON; a proxy or a login page may "
			    "answer in its place",
			    s->name, s->url);
	if (r == 0)
		r = hold(s, b.len);
	if (r == 0)
		r = packument_open(&s->p, (struct slice){ b.data, b.len }, said(s));
	if (r < 0) {
		buf_release(&b);
		return r;
	}
	s->blob = (char *)b.data;
	keep(s, (struct slice){ b.data, b.len });
	return 0;
}

/* Without m->mu, which is taken at the end. */
static void came(struct slot *s)
{
	struct metadata *m = s->m;
	int r = s->result;

	if (r == -ENOENT)
		(void)err_set(said(s), r, "%s: the registry does not have it", s->name);
	else if (r == 0 && s->status == 304 && s->old)
		keep(s, (struct slice){ 0 });
	else if (r == 0)
		r = compact(s);
	http_body_release(&s->body);
	(void)pthread_mutex_lock(&m->mu);
	s->result = r;
	s->state = DONE;
	(void)pthread_cond_broadcast(&m->changed);
}

/* ---- threads ---- */

static void *run(void *arg)
{
	struct metadata *m = arg;

	(void)pthread_mutex_lock(&m->mu);
	while (!m->stop) {
		struct slot *s = m->jobs;

		if (!s) {
			(void)pthread_cond_wait(&m->work, &m->mu);
			continue;
		}
		take_job(m, s);
		(void)pthread_mutex_unlock(&m->mu);
		came(s);
	}
	(void)pthread_mutex_unlock(&m->mu);
	return NULL;
}

/* With m->mu held. */
static int start(struct metadata *m, struct err *e)
{
	unsigned want;
	long cpus;

	if (m->started)
		return 0;
	m->started = true;
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	want = cpus > METADATA_THREAD_MAX ? METADATA_THREAD_MAX : cpus < 1 ? 1 : (unsigned)cpus;
	while (m->thread_count < want &&
	       thread_start(&m->threads[m->thread_count], run, m, NULL) == 0)
		m->thread_count++;
	return m->thread_count ? 0 : err_set(e, -EAGAIN, "no thread could be started");
}

/* ---- questions ---- */

/* With m->mu held. */
static int ask(struct slot *s, const char *etag)
{
	struct metadata *m = s->m;
	struct http_request rq = { .registry = s->place->registry,
				   .accept = "application/json",
				   .etag = etag && *etag ? etag : NULL,
				   .prio = s->hurried ? HTTP_NOW : HTTP_SOON,
				   .limit = METADATA_JSON_MAX,
				   .gzip = true,
				   .done = on_done,
				   .arg = s };
	int r;

	if (m->offline)
		return err_set(said(s), -ENETUNREACH,
			       "%s: offline, and what the registry says of it is not kept here",
			       s->name);
	r = source_packument(&s->url, rq.registry, s->name, said(s));
	if (r == 0)
		r = need_http(m, said(s));
	if (r == 0)
		r = start(m, said(s));
	if (r < 0)
		return r;
	rq.url = s->url;
	s->state = ASKED;
	return http_get(m->http, &rq, &s->call, said(s));
}

/* First step: is it here, and young enough? What nobody waits for is not looked into then. With
 * m->mu held. */
static void look(struct slot *s, bool now)
{
	struct metadata *m = s->m;
	struct slice kept = { 0 };
	int64_t until = 0;
	bool here = s->place->file && metadata_file_find(s->place->file, s->name, &kept, &until);
	bool young = here && (m->offline || m->prefer_offline || until > now_s());
	int r;

	if (young && !now) {
		s->state = SEEN;
		return;
	}
	here = here && read_kept(s, kept);
	if (here && young) {
		s->state = DONE;
		return;
	}
	s->old = here;
	r = ask(s, here ? packument_str(&s->p, s->p.head->etag) : NULL);
	if (r < 0) {
		s->result = r;
		s->state = DONE;
	}
}

static void slot_free(struct slot *s)
{
	http_call_release(s->call);
	http_body_release(&s->body);
	free(s->name);
	free(s->url);
	free(s->blob);
	free(s->etag);
	free(s->e);
	free(s);
}

/* With m->mu held. Where it is wanted now it is looked into. NULL: out of memory. */
static struct slot *wanted(struct metadata *m, const char *name, bool now)
{
	struct hash128 h = hash128(name, strlen(name));
	const char *registry;
	struct slot **at, *s;
	int r;

	at = &m->buckets[(h.b[0] | (unsigned)h.b[1] << 8) % BUCKETS];
	for (s = *at; s && strcmp(s->name, name) != 0;)
		s = s->next;
	if (s) {
		if (now && s->state == ASKED && !s->hurried)
			http_set_prio(s->call, HTTP_NOW);
		s->hurried = s->hurried || now;
		if (now && s->state == SEEN)
			look(s, true);
		return s;
	}
	s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->m = m;
	s->hurried = now;
	s->name = strdup(name);
	r = npmrc_registry_for(m->rc, name, &registry, NULL);
	s->place = r == 0 ? place_of(m, registry) : NULL;
	if (!s->name || (r == 0 && !s->place) || (r < 0 && !said(s))) {
		slot_free(s);
		return NULL;
	}
	s->next = *at;
	*at = s;
	if (r < 0) {
		s->result = npmrc_registry_for(m->rc, name, &registry, said(s));
		s->state = DONE;
	} else {
		look(s, now);
	}
	return s;
}

void metadata_hint(struct metadata *m, const char *const *names, size_t count)
{
	(void)pthread_mutex_lock(&m->mu);
	for (size_t i = 0; i < count; i++)
		(void)wanted(m, names[i], false);
	(void)pthread_mutex_unlock(&m->mu);
}

int metadata_get(struct metadata *m, const char *name, const struct packument **ret, struct err *e)
{
	struct slot *s;
	int r;

	(void)pthread_mutex_lock(&m->mu);
	s = wanted(m, name, true);
	while (s && s->state != DONE)
		(void)pthread_cond_wait(&m->changed, &m->mu);
	r = s ? s->result : -ENOMEM;
	(void)pthread_mutex_unlock(&m->mu);
	if (r < 0)
		return err_set(e, r, "%s", s && s->e ? s->e->msg : "out of memory");
	*ret = &s->p;
	return 0;
}

int metadata_new(struct metadata **ret, const struct npmrc *rc, const char *dir, struct err *e)
{
	struct metadata *m = calloc(1, sizeof *m);
	struct err why = { 0 };

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->rc = rc;
	m->jobs_end = &m->jobs;
	m->offline = npmrc_bool(rc, "offline", false);
	m->prefer_offline = npmrc_bool(rc, "prefer-offline", false);
	if (dir && mkdir_p(dir, 0700, &why) == 0)
		m->dir = dir;
	else if (dir)
		log_line(LOG_DEBUG, "%s", why.msg);
	(void)pthread_mutex_init(&m->mu, NULL);
	(void)pthread_mutex_init(&m->large, NULL);
	(void)pthread_cond_init(&m->changed, NULL);
	(void)pthread_cond_init(&m->work, NULL);
	*ret = m;
	return 0;
}

void metadata_free(struct metadata *m)
{
	if (!m)
		return;
	if (m->http)
		http_stop(m->http);
	(void)pthread_mutex_lock(&m->mu);
	m->stop = true;
	(void)pthread_cond_broadcast(&m->work);
	(void)pthread_mutex_unlock(&m->mu);
	for (unsigned i = 0; i < m->thread_count; i++)
		(void)pthread_join(m->threads[i], NULL);
	/* what waits to be written lies in the slots */
	for (struct place *p = m->places, *next; p; p = next) {
		next = p->next;
		metadata_file_free(p->file);
		free(p);
	}
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct slot *s = m->buckets[i], *next; s; s = next) {
			next = s->next;
			slot_free(s);
		}
	http_free(m->http);
	(void)pthread_cond_destroy(&m->changed);
	(void)pthread_cond_destroy(&m->work);
	(void)pthread_mutex_destroy(&m->large);
	(void)pthread_mutex_destroy(&m->mu);
	free(m);
}
