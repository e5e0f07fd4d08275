#include "core/file.h"
#include "fetch/fetch_priv.h"
#include "fetch/ingest.h"
#include "fetch/pack.h"
#include "fetch/url.h"
#include "lock/json.h"

#include <fcntl.h>

static void ask(struct flight *fl, const char *url);

/* ---- what the network brought ---- */

/* The usual shape is nobody's promise: before "not there" is believed, the packument is asked,
 * which names the tarball. */
static bool may_be_elsewhere(const struct flight *fl, int result)
{
	return result == -ENOENT && fl->source.guessed && !fl->asked_for_url;
}

static void ask_packument(struct flight *fl)
{
	auto_free char *url = NULL;
	int r;

	fl->asked_for_url = true;
	fl->is_packument = true;
	r = source_packument(&url, fl->source.registry, fl->pkg.name, &fl->e);
	if (r < 0)
		flight_to_fail(fl, r);
	else
		ask(fl, url);
}

/* On the network thread. */
static void on_done(void *arg, struct http_response *r)
{
	struct flight *fl = arg;
	struct fetch *f = fl->f;
	struct http_call *call;

	(void)pthread_mutex_lock(&f->mu);
	call = take(&fl->call);
	fl->stage = STAGE_WORKED_ON;
	(void)pthread_mutex_unlock(&f->mu);
	http_call_release(call);
	if (r->result == 0) {
		fl->body = r->body;
		r->body = (struct http_body){ 0 };
		fl->sha512 = r->sha512;
		flight_to_work(fl);
	} else if (r->result == -EALREADY) {
		flight_to_fail(fl, 0); /* another process has brought it */
	} else if (may_be_elsewhere(fl, r->result)) {
		ask_packument(fl);
	} else {
		(void)err_set(&fl->e, r->result, "%s", r->why);
		flight_to_fail(fl, r->result);
	}
}

/* On the network thread: another process that fetches into this store may be bringing it. Who is
 * waited for does not wait for others. */
static int may_begin(void *arg)
{
	struct flight *fl = arg;
	struct fetch *f = fl->f;
	enum fetch_prio prio;

	if (fl->claimed)
		return 0;
	(void)pthread_mutex_lock(&f->mu);
	prio = fl->prio;
	(void)pthread_mutex_unlock(&f->mu);
	fl->claimed = store_claim(f->c.store, &fl->pkg.key);
	if (store_has(f->c.store, &fl->pkg.key))
		return -EALREADY;
	return fl->claimed || prio == FETCH_DEMAND ? 0 : -EBUSY;
}

/* http_get is called with the lock held, so that on_done finds `call` set. */
static void ask(struct flight *fl, const char *url)
{
	struct fetch *f = fl->f;
	struct http_request rq = { .url = url,
				   .registry = fl->source.registry,
				   .limit = fl->is_packument ? FETCH_PACKUMENT_MAX
							     : FETCH_TARBALL_MAX,
				   .accept = fl->is_packument ? "application/json" : NULL,
				   .compressed = fl->is_packument,
				   .sha512 = !fl->is_packument,
				   .verified = !fl->is_packument && fl->pkg.integrity,
				   .may_begin = may_begin,
				   .done = on_done,
				   .arg = fl };
	int r;

	(void)pthread_mutex_lock(&f->mu);
	rq.prio = (enum http_prio)fl->prio;
	rq.total_ms = fl->prio == FETCH_DEMAND ? FETCH_DEMAND_MS : 0;
	fl->stage = STAGE_ASKED;
	r = http_get(f->http, &rq, &fl->call, &fl->e);
	if (r < 0)
		fl->stage = STAGE_WORKED_ON;
	(void)pthread_mutex_unlock(&f->mu);
	if (r == -ESHUTDOWN)
		r = err_set(&fl->e, -ECANCELED, "cancelled");
	if (r < 0)
		flight_to_fail(fl, r);
}

/* ---- starting ---- */

_Static_assert((int)FETCH_DEMAND == HTTP_NOW && (int)FETCH_BACKGROUND == HTTP_LATER,
	       "the priorities are the same");

static int need_http(struct fetch *f, struct err *e)
{
	struct http_config c = { .npmrc = f->c.npmrc, .tmp_dir = f->tmp_dir, .bulk = f->c.bulk };
	struct http *h;
	int r;

	if (f->http)
		return 0;
	r = http_start(&h, &c, e);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&f->mu);
	f->http = h;
	(void)pthread_mutex_unlock(&f->mu);
	return 0;
}

void flight_start(struct flight *fl)
{
	struct fetch *f = fl->f;
	int r;

	if (store_has(f->c.store, &fl->pkg.key)) {
		flight_end(fl, 0);
		return;
	}
	r = source_of(&fl->source, f->c.npmrc, f->project_dir, &fl->pkg, &fl->e);
	if (r == 0 && fl->source.kind == SOURCE_FILE) {
		flight_to_work(fl);
		return;
	}
	if (r == 0 && f->c.offline)
		r = err_set(&fl->e, -ENETUNREACH,
			    "not in the store, and the network is not asked "
			    "(offline)");
	if (r == 0 && fl->source.kind == SOURCE_PACK) {
		flight_to_work(fl);
		return;
	}
	if (r == 0)
		r = need_http(f, &fl->e);
	if (r < 0)
		flight_end(fl, r);
	else
		ask(fl, fl->source.what);
}

/* ---- the packument ---- */

/* versions[version].dist.tarball */
static int tarball_url(struct flight *fl, char **ret)
{
	auto_json cJSON *j = NULL;
	const cJSON *version;
	const char *url;
	int r = json_parse(&j, fl->body.bytes, &fl->e);

	http_body_release(&fl->body);
	if (r < 0)
		return err_wrap(&fl->e, r, "what the registry says of it");
	version = json_get(json_get(j, "versions"), fl->pkg.version);
	url = json_str(json_get(version, "dist"), "tarball");
	if (!version)
		return err_set(&fl->e, -ENOENT,
			       "the registry has the package, but not this version");
	if (!url)
		return err_set(&fl->e, -EBADMSG, "the registry names no tarball for this version");
	return source_rewrite(ret, fl->f->c.npmrc, url, &fl->e);
}

static void work_packument(struct flight *fl)
{
	char shown[URL_SHOWN_MAX];
	auto_free char *url = NULL;
	int r = tarball_url(fl, &url);

	fl->is_packument = false;
	if (r < 0) {
		flight_end(fl, r);
		return;
	}
	if (strcmp(url, fl->source.what) == 0) {
		url_shown(url, shown);
		flight_end(fl, err_set(&fl->e, -ENOENT,
				       "%s: the registry names this tarball, but does not have "
				       "it (404)",
				       shown));
		return;
	}
	free(fl->source.what);
	fl->source.what = take(&url);
	ask(fl, fl->source.what);
}

/* ---- the tarball ---- */

/* Waits until there is memory to unpack into. Who is waited for goes ahead of the others, as long
 * as only one package makes it too much. */
static void room_take(struct flight *fl, size_t n)
{
	struct fetch *f = fl->f;

	(void)pthread_mutex_lock(&f->mu);
	while (f->unpacking > 0 && f->unpacking + (fl->prio == FETCH_DEMAND ? 0 : n) > FETCH_ROOM)
		(void)pthread_cond_wait(&f->to_unpack, &f->mu);
	f->unpacking += n;
	(void)pthread_mutex_unlock(&f->mu);
}

static void room_give(struct fetch *f, size_t n)
{
	(void)pthread_mutex_lock(&f->mu);
	f->unpacking -= n;
	(void)pthread_cond_broadcast(&f->to_unpack);
	(void)pthread_mutex_unlock(&f->mu);
}

static int put(struct flight *fl, struct slice bytes, const struct digest *sha512,
	       struct gunzip_scratch *s)
{
	struct fetch *f = fl->f;
	struct ingest_request rq = { .name = fl->pkg.name,
				     .version = fl->pkg.version,
				     .integrity = fl->pkg.integrity,
				     .key = fl->pkg.key,
				     .scratch = s };
	struct ingest_result done;
	size_t memory = gunzip_memory(bytes);
	int r;

	room_take(fl, memory);
	r = ingest(f->c.store, &rq, bytes, sha512, &done, &fl->e);
	room_give(f, memory);
	if (r == 0)
		atomic_fetch_add(&f->fetched, 1);
	/* Only a registry may say that there is no such package. */
	return r == -ENOENT ? -EIO : r;
}

static void from_bytes(struct flight *fl, struct gunzip_scratch *s)
{
	char shown[URL_SHOWN_MAX];
	int r = put(fl, fl->body.bytes, &fl->sha512, s);

	http_body_release(&fl->body);
	if (r == 0) {
		flight_end(fl, 0);
		return;
	}
	/* A broken proxy or a bad sector on the way is more likely than an attack: asked anew, as
	 * npm does. */
	if (r == -EBADMSG && fl->anew < FETCH_ANEW) {
		fl->anew++;
		ask(fl, fl->source.what);
		return;
	}
	url_shown(fl->source.what, shown);
	flight_end(fl, err_wrap(&fl->e, r, "%s", shown));
}

static void from_here(struct flight *fl, struct gunzip_scratch *s)
{
	struct fetch *f = fl->f;
	auto_free char *bytes = NULL;
	size_t len = 0;
	int r;

	if (fl->source.kind == SOURCE_PACK)
		r = pack(&bytes, &len, fl->source.what, f->tmp_dir, &f->stopping, &fl->e);
	else
		r = file_read_all(AT_FDCWD, fl->source.what, FETCH_TARBALL_MAX, &bytes, &len,
				  &fl->e);
	if (r == -ENOENT && fl->source.kind == SOURCE_FILE)
		r = err_set(&fl->e, -EIO, "there is no file %.160s", fl->source.what);
	if (r == 0)
		r = put(fl, (struct slice){ (const uint8_t *)bytes, len }, NULL, s);
	flight_end(fl, r);
}

void flight_work(struct flight *fl, struct gunzip_scratch *s)
{
	if (fl->source.kind != SOURCE_URL)
		from_here(fl, s);
	else if (fl->is_packument)
		work_packument(fl);
	else
		from_bytes(fl, s);
}
