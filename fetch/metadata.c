#include "fetch/metadata.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/sri.h"
#include "core/thread.h"
#include "fetch/http.h"
#include "fetch/source.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define BUCKETS 4096u

/* A worker is woken for look-ups only when so many wait for each that is up: one takes less time
 * than waking does. */
#define LOOKS_PER_WORKER 8u

enum state { LOOK, LOOKING, ASKED, CAME, DONE };

/* What files are read into: one fault a huge page, not one a page. */
#define REGION_SIZE ((size_t)32 << 20)
struct region {
	struct region *next;
	size_t used, size; /* with this head */
};

struct slot {
	struct slot *next;
	struct slot *job_next, **job_at; /* job_at NULL: on no list */
	struct metadata *m;
	char *name, *url, *path; /* path: of its file, NULL where nothing is kept */
	const char *registry;
	struct http_call *call;
	/* guarded by m->mu */
	enum state state;
	bool hurried;
	/* whoever works on it */
	const char *old; /* what the cache has, in a region, and is too old */
	char *blob;      /* what `p` lies in, where that is no region */
	struct packument p;
	struct http_body body;
	char *etag;
	unsigned status;
	int64_t fresh_s;
	int result;
	struct err e;
};

struct metadata {
	const struct npmrc *rc;
	const char *dir;
	bool offline, prefer_offline;
	pthread_mutex_t mu;
	pthread_cond_t changed, work;
	struct slot *buckets[BUCKETS];
	struct slot *jobs, **jobs_end;
	unsigned queued, busy; /* jobs; workers that are up */
	size_t held;           /* bytes of packuments in memory */
	pthread_mutex_t large; /* who has it reads a large one */
	struct region *regions;
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
	s->job_at = s->hurried || s->state == LOOK ? &m->jobs : m->jobs_end;
	s->job_next = *s->job_at;
	*s->job_at = s;
	*(s->job_next ? &s->job_next->job_at : &m->jobs_end) = &s->job_next;
	m->queued++;
	if (s->state == CAME || m->queued > LOOKS_PER_WORKER * m->busy)
		(void)pthread_cond_signal(&m->work);
}

static void take_job(struct metadata *m, struct slot *s)
{
	*s->job_at = s->job_next;
	*(s->job_next ? &s->job_next->job_at : &m->jobs_end) = s->job_at;
	s->job_at = NULL;
	m->queued--;
}

static void done(struct slot *s, int result)
{
	struct metadata *m = s->m;

	(void)pthread_mutex_lock(&m->mu);
	s->result = result;
	s->state = DONE;
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->mu);
}

/* ---- the cache ---- */

/* With m->mu held. NULL: out of memory, or too much already. */
static char *region_take(struct metadata *m, size_t n)
{
	struct region *r = m->regions;
	size_t size = n + sizeof *r > REGION_SIZE ? n + sizeof *r : REGION_SIZE;
	char *p;

	n = (n + 7) & ~(size_t)7;
	if (m->held + n > METADATA_HELD_MAX)
		return NULL;
	if (!r || r->size - r->used < n) {
		r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r == MAP_FAILED)
			return NULL;
		(void)madvise(r, size, MADV_HUGEPAGE);
		*r = (struct region){ .next = m->regions, .used = sizeof *r, .size = size };
		m->regions = r;
	}
	p = (char *)r + r->used;
	r->used += n;
	m->held += n;
	return p;
}

/* NULL: it cannot be read. */
static char *read_file(struct metadata *m, const char *path, size_t *ret_len)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    (uint64_t)st.st_size > PACKUMENT_BLOB_MAX)
		return NULL;
	(void)pthread_mutex_lock(&m->mu);
	p = region_take(m, (size_t)st.st_size);
	(void)pthread_mutex_unlock(&m->mu);
	*ret_len = (size_t)st.st_size;
	return p && pread(fd, p, *ret_len, 0) == (ssize_t)*ret_len ? p : NULL;
}

/* What lies there, if it is sound and of that name; in a region. NULL: nothing. */
static const char *read_cached(const struct slot *s, struct packument *ret)
{
	size_t len;
	struct err e = { 0 };
	const char *p = s->path ? read_file(s->m, s->path, &len) : NULL;

	if (!p || (packument_open(ret, (struct slice){ (const uint8_t *)p, len }, &e) == 0 &&
		   strcmp(packument_str(ret, ret->head->name), s->name) == 0))
		return p;
	log_line(LOG_DEBUG, "%s: %s; asked for again", s->path, e.msg);
	return NULL;
}

/* A cache that cannot be written only costs time. A file is there whole or not at all; that it has
 * reached the disk does not matter, since it is checked when it is read. */
static void write_cached(const struct slot *s, struct slice blob)
{
	auto_free char *tmp = NULL;
	auto_close int fd = -1;

	if (!s->path)
		return;
	if (asprintf(&tmp, "%s.%d-XXXXXX", s->path, getpid()) < 0) {
		tmp = NULL;
		return;
	}
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return;
	if (file_write_all(fd, blob.ptr, blob.len) < 0 || rename(tmp, s->path) < 0) {
		log_line(LOG_DEBUG, "%s: not kept: %s", s->path, strerror(errno));
		(void)unlink(tmp);
	}
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
		(void)err_set(&s->e, r->result, "%s", r->why);
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

static int ask(struct slot *s, const char *etag)
{
	struct metadata *m = s->m;
	struct http_request rq = { .url = s->url,
				   .registry = s->registry,
				   .accept = "application/json",
				   .etag = etag && *etag ? etag : NULL,
				   .limit = METADATA_JSON_MAX,
				   .compressed = true,
				   .done = on_done,
				   .arg = s };
	int r;

	if (m->offline)
		return err_set(&s->e, -ENETUNREACH,
			       "%s: offline, and what the registry says of it is not kept here",
			       s->name);
	(void)pthread_mutex_lock(&m->mu);
	rq.prio = s->hurried ? HTTP_NOW : HTTP_SOON;
	r = need_http(m, &s->e);
	if (r == 0) {
		s->state = ASKED;
		r = http_get(m->http, &rq, &s->call, &s->e);
	}
	(void)pthread_mutex_unlock(&m->mu);
	return r;
}

/* First step: is it here, and young enough? */
static void look(struct slot *s)
{
	struct metadata *m = s->m;
	const char *here = read_cached(s, &s->p);
	int r;

	if (here && (m->offline || m->prefer_offline || s->p.head->fresh_until_s > now_s())) {
		done(s, 0);
		return;
	}
	s->old = here;
	r = ask(s, here ? packument_str(&s->p, s->p.head->etag) : NULL);
	if (r < 0)
		done(s, r);
}

/* What the cache has is still true, and younger than it says. */
static int renew(struct slot *s)
{
	const size_t checked = offsetof(struct packument_head, version_count);
	const size_t size = s->p.head->size;
	char *copy = malloc(size);
	struct packument_head *h = (void *)copy;
	struct hash128 check;

	if (!copy)
		return err_set(&s->e, -ENOMEM, "out of memory");
	memcpy(copy, s->old, size);
	s->blob = copy;
	h->fetched_s = now_s();
	h->fresh_until_s = h->fetched_s + s->fresh_s;
	check = hash128(copy + checked, size - checked);
	memcpy(h->check, check.b, sizeof check.b);
	write_cached(s, (struct slice){ (const uint8_t *)copy, size });
	return packument_open(&s->p, (struct slice){ (const uint8_t *)copy, size }, &s->e);
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
		    : err_set(&s->e, -E2BIG,
			      "%s: what the registry says of all packages together has more than "
			      "%zu MiB",
			      s->name, METADATA_HELD_MAX >> 20);
}

/* Second step: what came, made compact. */
static int compact(struct slot *s)
{
	struct buf b = BUF_INIT(PACKUMENT_BLOB_MAX);
	struct packument_origin from = { .name = s->name, .etag = s->etag, .fetched_s = now_s() };
	int r;

	from.fresh_until_s = from.fetched_s + s->fresh_s;
	if (s->body.bytes.len > METADATA_LARGE)
		(void)pthread_mutex_lock(&s->m->large);
	r = packument_build(&b, s->body.bytes, &from, &s->e);
	if (s->body.bytes.len > METADATA_LARGE)
		(void)pthread_mutex_unlock(&s->m->large);
	if (r == 0)
		r = hold(s, b.len);
	if (r == 0)
		r = packument_open(&s->p, (struct slice){ b.data, b.len }, &s->e);
	if (r < 0) {
		buf_release(&b);
		return r;
	}
	write_cached(s, (struct slice){ b.data, b.len });
	s->blob = (char *)b.data;
	return 0;
}

static void came(struct slot *s)
{
	int r = s->result;

	if (r == -ENOENT)
		(void)err_set(&s->e, r, "%s: the registry does not have it", s->name);
	else if (r == 0)
		r = s->status == 304 && s->old ? renew(s) : compact(s);
	http_body_release(&s->body);
	done(s, r);
}

/* ---- threads ---- */

/* A slot's next step; with m->mu held, which is let go meanwhile. */
static void work_on(struct metadata *m, struct slot *s)
{
	bool first = s->state == LOOK;

	if (s->job_at)
		take_job(m, s);
	if (first)
		s->state = LOOKING;
	(void)pthread_mutex_unlock(&m->mu);
	if (first)
		look(s);
	else
		came(s);
	(void)pthread_mutex_lock(&m->mu);
}

static void *run(void *arg)
{
	struct metadata *m = arg;

	(void)pthread_mutex_lock(&m->mu);
	m->busy++;
	while (!m->stop) {
		struct slot *s = m->jobs;

		if (!s) {
			m->busy--;
			(void)pthread_cond_wait(&m->work, &m->mu);
			m->busy++;
			continue;
		}
		work_on(m, s);
	}
	m->busy--;
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

static void slot_free(struct slot *s)
{
	http_call_release(s->call);
	http_body_release(&s->body);
	free(s->name);
	free(s->url);
	free(s->path);
	free(s->blob);
	free(s->etag);
	free(s);
}

/* NULL: nothing is kept. */
static char *cache_path(const struct metadata *m, const char *url)
{
	auto_buf struct buf key = BUF_INIT((size_t)1 << 20);
	char hex[2 * sizeof((struct digest *)0)->bytes + 1], *path;
	struct digest d;

	buf_add(&key, url, strlen(url) + 1);
	source_trust(&key, m->rc, url);
	/* a project's settings are in it: nobody may find others with the same digest */
	if (!m->dir || buf_error(&key) < 0 || digest_of(&d, DIGEST_SHA256, key.data, key.len) < 0)
		return NULL;
	for (unsigned i = 0; i < d.len; i++)
		(void)snprintf(hex + 2 * (size_t)i, 3, "%02x", d.bytes[i]);
	return asprintf(&path, "%s/%s", m->dir, hex) < 0 ? NULL : path;
}

static struct slot *slot_new(struct metadata *m, const char *name)
{
	struct slot *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return NULL;
	s->m = m;
	s->name = strdup(name);
	r = npmrc_registry_for(m->rc, name, &s->registry, &s->e);
	if (r == 0)
		r = source_packument(&s->url, s->registry, name, &s->e);
	if (r == 0)
		s->path = cache_path(m, s->url);
	if (!s->name) {
		slot_free(s);
		return NULL;
	}
	s->result = r;
	s->state = r < 0 ? DONE : LOOK;
	return s;
}

/* With m->mu held. Where it is wanted now the first step is the caller's. NULL: out of memory. */
static struct slot *wanted(struct metadata *m, const char *name, bool now, struct err *e)
{
	struct hash128 h = hash128(name, strlen(name));
	struct slot **at, *s;

	at = &m->buckets[(h.b[0] | (unsigned)h.b[1] << 8) % BUCKETS];
	for (s = *at; s && strcmp(s->name, name) != 0;)
		s = s->next;
	if (s) {
		if (now && s->state == ASKED && !s->hurried)
			http_set_prio(s->call, HTTP_NOW);
		s->hurried = s->hurried || now;
		return s;
	}
	if (start(m, e) < 0)
		return NULL;
	s = slot_new(m, name);
	if (!s) {
		(void)err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->next = *at;
	*at = s;
	s->hurried = now;
	if (s->state == LOOK && !now)
		add_job(m, s);
	return s;
}

void metadata_hint(struct metadata *m, const char *const *names, size_t count)
{
	(void)pthread_mutex_lock(&m->mu);
	for (size_t i = 0; i < count; i++)
		(void)wanted(m, names[i], false, NULL);
	(void)pthread_mutex_unlock(&m->mu);
}

int metadata_get(struct metadata *m, const char *name, const struct packument **ret, struct err *e)
{
	struct slot *s;
	int r = -ENOMEM;

	(void)pthread_mutex_lock(&m->mu);
	s = wanted(m, name, true, e);
	/* What nobody looks at yet is not waited for. */
	if (s && s->state == LOOK)
		work_on(m, s);
	while (s && s->state != DONE)
		(void)pthread_cond_wait(&m->changed, &m->mu);
	if (s)
		r = s->result;
	(void)pthread_mutex_unlock(&m->mu);
	if (r == 0)
		*ret = &s->p;
	else if (s)
		(void)err_set(e, r, "%s", s->e.msg);
	return r;
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
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct slot *s = m->buckets[i], *next; s; s = next) {
			next = s->next;
			slot_free(s);
		}
	for (struct region *r = m->regions, *next; r; r = next) {
		next = r->next;
		(void)munmap(r, r->size);
	}
	http_free(m->http);
	(void)pthread_cond_destroy(&m->changed);
	(void)pthread_cond_destroy(&m->work);
	(void)pthread_mutex_destroy(&m->large);
	(void)pthread_mutex_destroy(&m->mu);
	free(m);
}
