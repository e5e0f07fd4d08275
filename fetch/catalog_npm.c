#include "fetch/catalog_npm.h"

#include "core/file.h"
#include "fetch/git.h"
#include "fetch/http.h"
#include "fetch/ingest.h"
#include "fetch/metadata.h"
#include "fetch/pack.h"
#include "fetch/source.h"
#include "lock/graph.h"
#include "lock/published.h"

#include <fcntl.h>
#include <pthread.h>

#define BUCKETS 4096u

/* Bytes of a package that bundles others; npm itself, the largest known, has 3 MB. */
#define CATALOG_TARBALL_MAX ((uint64_t)256 << 20)

struct asked {
	struct asked *next;
	struct catalog_npm *catalog;
	char *name;
	struct http_call *call;
	/* guarded by catalog->mu */
	bool came, parsed;
	unsigned parsing; /* threads that are about to parse or do */
	struct http_body body;
	cJSON *json;
	int result;
	struct err e;
};

struct catalog_npm {
	const struct npmrc *rc;
	const char *project_dir;
	struct metadata *metadata; /* what resolving needs; NULL until then */
	pthread_mutex_t mu;
	pthread_cond_t changed;
	struct http *http;              /* guarded by mu until made */
	struct asked *buckets[BUCKETS]; /* guarded by mu */
};

/* FNV-1a */
static uint32_t bucket(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h % BUCKETS;
}

/* On the network thread. */
static void on_done(void *arg, struct http_response *r)
{
	struct asked *p = arg;
	struct catalog_npm *c = p->catalog;

	(void)pthread_mutex_lock(&c->mu);
	p->came = true;
	p->result = r->result;
	if (r->result < 0) {
		(void)err_set(&p->e, r->result, "%s", r->why);
	} else {
		p->body = r->body;
		r->body = (struct http_body){ 0 };
	}
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->mu);
}

/* With c->mu held. */
static int need_http(struct catalog_npm *c, struct err *e)
{
	struct http_config hc = { .npmrc = c->rc };

	if (c->http)
		return 0;
	if (npmrc_bool(c->rc, "offline", false))
		return err_set(e, -ENETUNREACH, "offline: the registry is not asked");
	return http_start(&c->http, &hc, e);
}

/* With c->mu held. */
static int request(struct asked *p, enum http_prio prio, struct err *e)
{
	struct catalog_npm *c = p->catalog;
	struct http_request rq = { .accept = "application/json",
				   .prio = prio,
				   .limit = CATALOG_PACKUMENT_MAX,
				   .compressed = true,
				   .done = on_done,
				   .arg = p };
	auto_free char *url = NULL;
	int r = need_http(c, e);

	if (r == 0)
		r = npmrc_registry_for(c->rc, p->name, &rq.registry, e);
	if (r == 0)
		r = source_packument(&url, rq.registry, p->name, e);
	if (r < 0)
		return r;
	rq.url = url;
	return http_get(c->http, &rq, &p->call, e);
}

/* The packument's place, its question asked. NULL: out of memory. A question that could not even
 * be asked has come, with that as its result. */
static struct asked *wanted(struct catalog_npm *c, const char *name, enum http_prio prio)
{
	struct asked **at, *p;
	int r;

	(void)pthread_mutex_lock(&c->mu);
	at = &c->buckets[bucket(name)];
	for (p = *at; p && strcmp(p->name, name) != 0;)
		p = p->next;
	if (p) {
		if (!p->came && prio == HTTP_NOW)
			http_set_prio(p->call, prio);
		goto out;
	}
	p = malloc(sizeof *p);
	if (!p)
		goto out;
	*p = (struct asked){ .next = *at, .catalog = c, .name = strdup(name) };
	if (!p->name) {
		free(take(&p));
		goto out;
	}
	*at = p;
	r = request(p, prio, &p->e);
	if (r < 0) {
		p->came = true;
		p->result = r;
	}
out:
	(void)pthread_mutex_unlock(&c->mu);
	return p;
}

/* One thread parses, without the lock: a large one takes seconds. */
static void parse(struct asked *p)
{
	struct catalog_npm *c = p->catalog;
	struct http_body body = p->body;
	cJSON *json = NULL;
	int r;

	p->body = (struct http_body){ 0 };
	p->parsing++;
	(void)pthread_mutex_unlock(&c->mu);
	r = json_parse(&json, body.bytes, &p->e);
	if (r == 0 && !cJSON_IsObject(json))
		r = err_set(&p->e, -EBADMSG, "not an object");
	if (r < 0)
		(void)err_wrap(&p->e, r, "%s: what the registry says of it", p->name);
	http_body_release(&body);
	(void)pthread_mutex_lock(&c->mu);
	p->parsing--;
	p->json = json;
	p->result = r;
	p->parsed = true;
	(void)pthread_cond_broadcast(&c->changed);
}

/* All that the registry says of a package, borrowed from the catalog. */
static int packument_of(struct catalog_npm *c, const char *name, const cJSON **ret, struct err *e)
{
	struct asked *p = wanted(c, name, HTTP_NOW);
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	(void)pthread_mutex_lock(&c->mu);
	while (!p->came || p->parsing)
		(void)pthread_cond_wait(&c->changed, &c->mu);
	if (p->result == 0 && !p->parsed)
		parse(p);
	r = p->result;
	(void)pthread_mutex_unlock(&c->mu);
	if (r < 0)
		return err_set(e, r, "%s", p->e.msg);
	*ret = p->json;
	return 0;
}

static int manifest(void *self, const char *name, const char *version, cJSON **ret, struct err *e)
{
	const cJSON *packument = NULL, *m;
	int r = packument_of(self, name, &packument, e);

	if (r < 0)
		return r;
	m = json_get(json_get(packument, "versions"), version);
	if (!cJSON_IsObject(m))
		return err_set(e, -ENOENT, "the registry has %s, but no version %s of it", name,
			       version);
	*ret = cJSON_Duplicate(m, true);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static void hint(void *self, const char *const *names, size_t count)
{
	struct catalog_npm *c = self;

	if (c->metadata) {
		metadata_hint(c->metadata, names, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		(void)wanted(self, names[i], HTTP_SOON);
}

/* ---- what is in a tarball ---- */

struct download {
	struct catalog_npm *catalog;
	bool came; /* guarded by catalog->mu, as is all below */
	struct http_body body;
	int result;
	struct err e;
};

/* On the network thread. */
static void on_tarball(void *arg, struct http_response *r)
{
	struct download *d = arg;
	struct catalog_npm *c = d->catalog;

	(void)pthread_mutex_lock(&c->mu);
	d->came = true;
	d->result = r->result < 0 ? err_set(&d->e, r->result, "%s", r->why) : 0;
	d->body = r->body;
	r->body = (struct http_body){ 0 };
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->mu);
}

static int download(struct catalog_npm *c, const struct source *from, bool verified,
		    struct http_body *ret, struct err *e)
{
	struct download d = { .catalog = c };
	struct http_request rq = { .url = from->what,
				   .registry = from->registry,
				   .prio = HTTP_NOW,
				   .limit = CATALOG_TARBALL_MAX,
				   .verified = verified,
				   .done = on_tarball,
				   .arg = &d };
	struct http_call *call = NULL;
	int r;

	(void)pthread_mutex_lock(&c->mu);
	r = need_http(c, e);
	if (r == 0)
		r = http_get(c->http, &rq, &call, e);
	while (r == 0 && !d.came)
		(void)pthread_cond_wait(&c->changed, &c->mu);
	(void)pthread_mutex_unlock(&c->mu);
	http_call_release(call);
	if (r < 0)
		return r;
	if (d.result < 0) {
		http_body_release(&d.body);
		return err_set(e, d.result, "%s", d.e.msg);
	}
	*ret = d.body;
	return 0;
}

static int check_bytes(const char *integrity, struct slice bytes, struct err *e)
{
	struct digest actual;
	struct sri sri;
	int r;

	if (!integrity)
		return 0;
	r = sri_parse(&sri, slice_str(integrity), e);
	if (r == 0)
		r = digest_of(&actual, sri.digests[0].alg, bytes.ptr, bytes.len);
	if (r < 0 || sri_has(&sri, &actual))
		return r;
	return err_set(e, -EBADMSG, "its tarball is not the one that the lock names");
}

static cJSON *file_json(const struct tar_listing *list, const char *path)
{
	cJSON *j = NULL;

	for (size_t i = 0; i < list->count && !j; i++) {
		const struct dxp_file *f = &list->files[i];

		if (slice_eq(f->path, slice_str(path)) && json_parse(&j, f->bytes, NULL) < 0)
			return NULL;
	}
	if (j && !cJSON_IsObject(j)) {
		cJSON_Delete(j);
		return NULL;
	}
	return j;
}

/* A tarball, unpacked. */
struct tarball {
	struct ingest_files files;
	struct http_body body;
	char *local; /* of one on disk */
	struct slice bytes;
};

static void tarball_release(struct tarball *t)
{
	ingest_files_release(&t->files);
	http_body_release(&t->body);
	free(t->local);
}
#define auto_tarball cleanup(tarball_release)

static int get_tarball(struct catalog_npm *c, const struct catalog_package *pkg, bool may_pack,
		       struct tarball *ret, struct err *e)
{
	const struct fetch_pkg p = { .name = pkg->name,
				     .version = pkg->version,
				     .resolved = pkg->resolved,
				     .integrity = pkg->integrity };
	auto_source struct source from = { 0 };
	int r = source_of(&from, c->rc, c->project_dir, &p, e);

	if (r == 0 && from.kind == SOURCE_PACK && !may_pack)
		return err_set(e, -ENOENT, "only npm can pack it");
	if (r == 0 && from.kind == SOURCE_PACK)
		r = pack(&ret->local, &ret->bytes.len, from.what, NULL, NULL, e);
	else if (r == 0 && from.kind == SOURCE_URL)
		r = download(c, &from, pkg->integrity, &ret->body, e);
	else if (r == 0)
		r = file_read_all(AT_FDCWD, from.what, CATALOG_TARBALL_MAX, &ret->local,
				  &ret->bytes.len, e);
	if (ret->local)
		ret->bytes.ptr = (const uint8_t *)ret->local;
	else
		ret->bytes = ret->body.bytes;
	if (r == 0)
		r = check_bytes(pkg->integrity, ret->bytes, e);
	return r == 0 ? ingest_unpack(&ret->files, ret->bytes, NULL, e) : r;
}

static int files(void *self, const struct catalog_package *pkg, const char *const *paths,
		 size_t count, cJSON **ret, struct err *e)
{
	auto_tarball struct tarball t = { .files = INGEST_FILES_INIT };
	int r = get_tarball(self, pkg, false, &t, e);

	for (size_t i = 0; i < count && r == 0; i++)
		ret[i] = file_json(&t.files.list, paths[i]);
	return r < 0 ? err_wrap(e, r, "%s", pkg->name) : 0;
}

/* "package.json", or that of a package in a node_modules of node_modules. */
static bool is_manifest(struct slice path)
{
	static const char name[] = "package.json";
	char text[GRAPH_PATH_MAX];
	size_t n = sizeof name - 1;

	if (path.len < n || path.len >= sizeof text ||
	    memcmp(path.ptr + path.len - n, name, n) != 0)
		return false;
	if (path.len == n)
		return true;
	if (path.ptr[path.len - n - 1] != '/')
		return false;
	memcpy(text, path.ptr, path.len - n - 1);
	text[path.len - n - 1] = '\0';
	return graph_is_installed(text);
}

/* Files of a tarball, and the folders that they are in, that `directories.bin` means. */
static int add_folder_bins(cJSON *mani, struct slice manifest, const struct tar_listing *list,
			   struct err *e)
{
	auto_arena struct arena a = ARENA_INIT((size_t)1 << 20);
	auto_buf struct buf prefix = BUF_INIT(GRAPH_PATH_MAX * 2);
	const char *folder;
	int r = 0;

	if (!published_has_folder_bins(&a, mani, &folder))
		return 0;
	buf_add(&prefix, manifest.ptr, manifest.len - strlen("package.json"));
	buf_addf(&prefix, "%s%s", folder, *folder ? "/" : "");
	for (size_t i = 0; i < list->count && r == 0; i++) {
		struct slice path = list->files[i].path;
		auto_free char *below = NULL;

		if (path.len <= prefix.len || memcmp(path.ptr, prefix.data, prefix.len) != 0)
			continue;
		below = strndup((const char *)path.ptr + prefix.len, path.len - prefix.len);
		if (!below)
			return err_set(e, -ENOMEM, "out of memory");
		for (char *s = strchr(below, '/'); s && r == 0; s = strchr(s + 1, '/')) {
			*s = '\0';
			r = published_folder_bin(mani, folder, below, e);
			*s = '/';
		}
		if (r == 0)
			r = published_folder_bin(mani, folder, below, e);
	}
	return r < 0 ? r : buf_error(&prefix);
}

static int contents(void *self, const struct catalog_package *pkg, struct catalog_contents *ret,
		    struct err *e)
{
	auto_tarball struct tarball t = { .files = INGEST_FILES_INIT };
	struct catalog_contents made cleanup(catalog_contents_release) = {
		.manifests = cJSON_CreateObject(), .integrity = malloc(DIGEST_TEXT_MAX)
	};
	struct digest d;
	int r = get_tarball(self, pkg, true, &t, e);

	if (!made.manifests || !made.integrity)
		return err_set(e, -ENOMEM, "out of memory");
	if (r == 0)
		r = digest_of(&d, DIGEST_SHA512, t.bytes.ptr, t.bytes.len);
	for (size_t i = 0; r == 0 && i < t.files.list.count; i++) {
		const struct dxp_file *f = &t.files.list.files[i];
		auto_free char *path = NULL;
		cJSON *j;

		if (!is_manifest(f->path))
			continue;
		path = strndup((const char *)f->path.ptr, f->path.len);
		j = path ? file_json(&t.files.list, path) : NULL;
		if (j)
			r = add_folder_bins(j, f->path, &t.files.list, e);
		if (j && !cJSON_AddItemToObject(made.manifests, path, j)) {
			cJSON_Delete(j);
			r = err_set(e, -ENOMEM, "out of memory");
		}
	}
	if (r < 0)
		return err_wrap(e, r, "%s", pkg->name);
	digest_format(&d, made.integrity);
	*ret = made;
	made = (struct catalog_contents){ 0 };
	return 0;
}

static int packument(void *self, const char *name, const struct packument **ret, struct err *e)
{
	struct catalog_npm *c = self;

	return metadata_get(c->metadata, name, ret, e);
}

static int git(void *self, const struct spec *s, struct catalog_git *ret, struct err *e)
{
	const struct catalog_npm *c = self;

	if (npmrc_bool(c->rc, "offline", false))
		return err_set(e, -ENETUNREACH, "offline: no git repository is asked");
	return git_package(s, ret, e);
}

struct catalog catalog_npm(struct catalog_npm *c)
{
	return (struct catalog){ .manifest = manifest,
				 .hint = hint,
				 .files = files,
				 .contents = contents,
				 .packument = c->metadata ? packument : NULL,
				 .git = git,
				 .self = c };
}

int catalog_npm_resolving(struct catalog_npm *c, const char *dir, struct err *e)
{
	return c->metadata ? 0 : metadata_new(&c->metadata, c->rc, dir, e);
}

int catalog_npm_new(struct catalog_npm **ret, const struct npmrc *rc, const char *project_dir,
		    struct err *e)
{
	struct catalog_npm *c = malloc(sizeof *c);

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	*c = (struct catalog_npm){ .rc = rc, .project_dir = project_dir };
	(void)pthread_mutex_init(&c->mu, NULL);
	(void)pthread_cond_init(&c->changed, NULL);
	*ret = c;
	return 0;
}

static void packument_free(struct asked *p)
{
	http_call_release(p->call);
	http_body_release(&p->body);
	cJSON_Delete(p->json);
	free(p->name);
	free(p);
}

void catalog_npm_free(struct catalog_npm *c)
{
	if (!c)
		return;
	metadata_free(c->metadata);
	if (c->http)
		http_stop(c->http);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct asked *p = c->buckets[i], *next; p; p = next) {
			next = p->next;
			packument_free(p);
		}
	http_free(c->http);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->mu);
	free(c);
}
