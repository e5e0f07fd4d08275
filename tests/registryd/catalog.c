#include "tests/registryd/catalog.h"

#include "core/file.h"
#include "lock/json.h"
#include "tests/registryd/peek.h"

#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <stdio.h>

#define TARBALL_MAX  (512u << 20)
#define MANIFEST_MAX (16u << 20)

struct version {
	char *name, *number, *path, *file; /* file: "<base>-<version>.tgz" */
	cJSON *manifest;
};

struct package {
	const char *name;
	struct packument doc;
	char *full, *brief, etag[40];
};

struct catalog {
	char *dir, *base;
	cJSON *tags;
	struct version *versions;
	unsigned nversions, cap;
	struct package *packages;
	unsigned npackages;
};

/* ---- versions ---- */

static const char *version_rest(const char *v, unsigned long n[3])
{
	char *end = (char *)v;

	for (int i = 0; i < 3; i++) {
		n[i] = strtoul(end, &end, 10);
		if (*end == '.')
			end++;
	}
	return end;
}

/* By number; a prerelease stands before its release. Enough for tests' versions. */
static int version_cmp(const char *a, const char *b)
{
	unsigned long x[3], y[3];
	const char *ra = version_rest(a, x), *rb = version_rest(b, y);

	for (int i = 0; i < 3; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	if ((*ra == '-') != (*rb == '-'))
		return *ra == '-' ? -1 : 1;
	return strverscmp(ra, rb);
}

static int version_order(const void *pa, const void *pb)
{
	const struct version *a = pa, *b = pb;
	int r = strcmp(a->name, b->name);

	if (r == 0)
		r = version_cmp(a->number, b->number);
	return r ? r : strcmp(a->path, b->path);
}

static void version_release(struct version *v)
{
	free(v->name);
	free(v->number);
	free(v->path);
	free(v->file);
	cJSON_Delete(v->manifest);
}

/* ---- one tarball ---- */

static char *digest_text(const EVP_MD *alg, struct slice bytes, bool hex)
{
	unsigned char md[EVP_MAX_MD_SIZE], b64[128];
	unsigned int n = 0;
	char text[160];

	if (!EVP_Digest(bytes.ptr, bytes.len, md, &n, alg, NULL))
		return NULL;
	if (!hex) {
		EVP_EncodeBlock(b64, md, (int)n);
		(void)snprintf(text, sizeof text, "sha512-%s", (char *)b64);
		return strdup(text);
	}
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(text + (size_t)2 * i, 3, "%02x", md[i]);
	return strdup(text);
}

static void set_unless_said(cJSON *obj, const char *key, const char *value)
{
	cJSON *said = cJSON_GetObjectItemCaseSensitive(obj, key);

	if (cJSON_IsNull(said))
		cJSON_DeleteItemFromObjectCaseSensitive(obj, key);
	else if (!said && value)
		cJSON_AddStringToObject(obj, key, value);
}

static void add_dist(const struct catalog *c, struct version *v, struct slice bytes)
{
	auto_free char *sha1 = digest_text(EVP_sha1(), bytes, true);
	auto_free char *sri = digest_text(EVP_sha512(), bytes, false);
	auto_free char *url = NULL;
	cJSON *dist = cJSON_GetObjectItemCaseSensitive(v->manifest, "dist");

	if (!cJSON_IsObject(dist)) {
		cJSON_DeleteItemFromObjectCaseSensitive(v->manifest, "dist");
		dist = cJSON_AddObjectToObject(v->manifest, "dist");
	}
	if (asprintf(&url, "%s/%s/-/%s", c->base, v->name, v->file) < 0)
		url = NULL;
	set_unless_said(dist, "integrity", sri);
	set_unless_said(dist, "shasum", sha1);
	set_unless_said(dist, "tarball", url);
}

/* The side file if there is one, else what the tarball holds. */
static int read_manifest(const char *path, struct slice bytes, cJSON **ret, struct err *e)
{
	auto_free char *side = NULL, *text = NULL;
	size_t len = 0;
	int r;

	if (asprintf(&side, "%.*s.json", (int)strlen(path) - 4, path) < 0)
		return -ENOMEM;
	r = file_read_all(AT_FDCWD, side, MANIFEST_MAX, &text, &len, NULL);
	if (r == -ENOENT)
		r = peek_package_json(bytes, &text, &len, e);
	if (r < 0)
		return r;
	return json_parse(ret, (struct slice){ (uint8_t *)text, len }, e);
}

static int read_tarball(const struct catalog *c, const char *path, struct version *v, struct err *e)
{
	auto_free char *bytes = NULL;
	const char *base;
	size_t len = 0;
	int r = file_read_all(AT_FDCWD, path, TARBALL_MAX, &bytes, &len, e);

	if (r < 0)
		return r;
	r = read_manifest(path, (struct slice){ (uint8_t *)bytes, len }, &v->manifest, e);
	if (r < 0)
		return r;
	if (!json_str(v->manifest, "name") || !json_str(v->manifest, "version"))
		return err_set(e, -EINVAL, "no name or version");
	v->name = strdup(json_str(v->manifest, "name"));
	v->number = strdup(json_str(v->manifest, "version"));
	v->path = strdup(path);
	if (!v->name || !v->number || !v->path)
		return -ENOMEM;
	base = strrchr(v->name, '/');
	if (asprintf(&v->file, "%s-%s.tgz", base ? base + 1 : v->name, v->number) < 0)
		return -ENOMEM;
	add_dist(c, v, (struct slice){ (uint8_t *)bytes, len });
	return 0;
}

static int add_tarball(struct catalog *c, const char *path)
{
	struct err e = { 0 };
	struct version v = { 0 };
	int r;

	if (c->nversions == c->cap) {
		unsigned cap = c->cap ? c->cap * 2 : 64;
		struct version *grown = realloc(c->versions, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		c->versions = grown;
		c->cap = cap;
	}
	r = read_tarball(c, path, &v, &e);
	if (r < 0) {
		fprintf(stderr, "test-registry: %s: left out: %s\n", path,
			e.msg[0] ? e.msg : strerror(-r));
		version_release(&v);
		return r == -ENOMEM ? r : 0;
	}
	c->versions[c->nversions++] = v;
	return 0;
}

static int scan(struct catalog *c, struct err *e)
{
	char *paths[] = { c->dir, NULL };
	FTS *fts = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	FTSENT *f;
	int r = 0;

	if (!fts)
		return err_set(e, -errno, "%s: %s", c->dir, strerror(errno));
	while (r == 0 && (f = fts_read(fts)) != NULL)
		if (f->fts_info == FTS_F && f->fts_namelen > 4 &&
		    strcmp(f->fts_name + f->fts_namelen - 4, ".tgz") == 0)
			r = add_tarball(c, f->fts_accpath);
	fts_close(fts);
	return r;
}

/* ---- documents ---- */

static cJSON *brief_version(const cJSON *m)
{
	static const char *const keep[] = { "name",
					    "version",
					    "dependencies",
					    "devDependencies",
					    "optionalDependencies",
					    "peerDependencies",
					    "peerDependenciesMeta",
					    "bundleDependencies",
					    "bundledDependencies",
					    "acceptDependencies",
					    "bin",
					    "directories",
					    "dist",
					    "engines",
					    "os",
					    "cpu",
					    "libc",
					    "deprecated",
					    "funding",
					    "license",
					    "_hasShrinkwrap" };
	static const char *const events[] = { "preinstall", "install", "postinstall" };
	const cJSON *scripts = json_get(m, "scripts");
	cJSON *out = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_LEN(keep); i++)
		if (json_get(m, keep[i]))
			cJSON_AddItemToObject(out, keep[i],
					      cJSON_Duplicate(json_get(m, keep[i]), 1));
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (json_get(scripts, events[i]) && !json_get(out, "hasInstallScript"))
			cJSON_AddTrueToObject(out, "hasInstallScript");
	return out;
}

static cJSON *make_tags(const struct catalog *c, const struct version *v, unsigned n)
{
	const cJSON *own = json_get(c->tags, v->name), *t;
	cJSON *tags = cJSON_CreateObject();
	const char *latest = v[n - 1].number;

	for (unsigned i = n; i-- > 0;)
		if (!strchr(v[i].number, '-')) {
			latest = v[i].number;
			break;
		}
	if (!json_get(own, "latest"))
		cJSON_AddStringToObject(tags, "latest", latest);
	cJSON_ArrayForEach(t, own) cJSON_AddItemToObject(tags, t->string, cJSON_Duplicate(t, 1));
	return tags;
}

static char *make_doc(const struct catalog *c, const struct version *v, unsigned n, bool brief)
{
	auto_json cJSON *doc = cJSON_CreateObject();
	cJSON *versions, *times = brief ? NULL : cJSON_CreateObject();

	if (!brief)
		cJSON_AddStringToObject(doc, "_id", v->name);
	cJSON_AddStringToObject(doc, "name", v->name);
	cJSON_AddItemToObject(doc, "dist-tags", make_tags(c, v, n));
	versions = cJSON_AddObjectToObject(doc, "versions");
	for (unsigned i = 0; i < n; i++) {
		const cJSON *m = v[i].manifest;

		cJSON_AddItemToObject(versions, v[i].number,
				      brief ? brief_version(m) : cJSON_Duplicate(m, 1));
		if (times && json_str(m, "_time"))
			cJSON_AddStringToObject(times, v[i].number, json_str(m, "_time"));
	}
	if (times)
		cJSON_AddItemToObject(doc, "time", times);
	return cJSON_PrintUnformatted(doc);
}

static int add_package(struct catalog *c, const struct version *v, unsigned n)
{
	struct package *p = &c->packages[c->npackages];
	auto_free char *hex = NULL;

	p->name = v->name;
	p->full = make_doc(c, v, n, false);
	p->brief = make_doc(c, v, n, true);
	c->npackages++;
	if (p->full)
		hex = digest_text(EVP_sha1(), slice_str(p->full), true);
	if (!p->brief || !hex)
		return -ENOMEM;
	(void)snprintf(p->etag, sizeof p->etag, "\"%.32s\"", hex);
	p->doc = (struct packument){ .full = p->full, .brief = p->brief, .etag = p->etag };
	return 0;
}

/* Sorted by name and version; of equals the last stays. */
static void sort_versions(struct catalog *c)
{
	unsigned n = 0;

	qsort(c->versions, c->nversions, sizeof *c->versions, version_order);
	for (unsigned i = 0; i < c->nversions; i++) {
		struct version *v = &c->versions[i], *last = n ? &c->versions[n - 1] : NULL;

		if (last && strcmp(last->name, v->name) == 0 &&
		    strcmp(last->number, v->number) == 0) {
			version_release(last);
			*last = *v;
		} else {
			c->versions[n++] = *v;
		}
	}
	c->nversions = n;
}

static int make_packages(struct catalog *c)
{
	unsigned i = 0;
	int r = 0;

	if (c->nversions == 0)
		return 0;
	sort_versions(c);
	c->packages = calloc(c->nversions, sizeof *c->packages);
	if (!c->packages)
		return -ENOMEM;
	while (r == 0 && i < c->nversions) {
		unsigned n = 1;

		while (i + n < c->nversions &&
		       strcmp(c->versions[i].name, c->versions[i + n].name) == 0)
			n++;
		r = add_package(c, c->versions + i, n);
		i += n;
	}
	return r;
}

static int read_tags(struct catalog *c, struct err *e)
{
	auto_free char *path = NULL, *text = NULL;
	size_t len = 0;
	int r;

	if (asprintf(&path, "%s/dist-tags.json", c->dir) < 0)
		return -ENOMEM;
	r = file_read_all(AT_FDCWD, path, MANIFEST_MAX, &text, &len, e);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : json_parse(&c->tags, (struct slice){ (uint8_t *)text, len }, e);
}

int catalog_open(struct catalog **ret, const char *dir, const char *base, struct err *e)
{
	struct catalog *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return -ENOMEM;
	c->dir = strdup(dir);
	c->base = strdup(base);
	r = c->dir && c->base ? read_tags(c, e) : -ENOMEM;
	if (r == 0)
		r = scan(c, e);
	if (r == 0)
		r = make_packages(c);
	if (r < 0) {
		catalog_close(c);
		return err_wrap(e, r, "%s", dir);
	}
	*ret = c;
	return 0;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->nversions; i++)
		version_release(&c->versions[i]);
	for (unsigned i = 0; i < c->npackages; i++) {
		free(c->packages[i].full);
		free(c->packages[i].brief);
	}
	free(c->versions);
	free(c->packages);
	cJSON_Delete(c->tags);
	free(c->dir);
	free(c->base);
	free(c);
}

static int package_by_name(const void *key, const void *p)
{
	return strcmp(key, ((const struct package *)p)->name);
}

const struct packument *catalog_packument(const struct catalog *c, const char *name)
{
	const struct package *p = NULL;

	if (c->npackages)
		p = bsearch(name, c->packages, c->npackages, sizeof *p, package_by_name);
	return p ? &p->doc : NULL;
}

const char *catalog_tarball(const struct catalog *c, const char *name, const char *file)
{
	for (unsigned i = 0; i < c->nversions; i++)
		if (strcmp(c->versions[i].name, name) == 0 &&
		    strcmp(c->versions[i].file, file) == 0)
			return c->versions[i].path;
	return NULL;
}
