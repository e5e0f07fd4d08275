#include "core/hash.h"
#include "core/sri.h"
#include "lock/graph.h"
#include "lock/json_scan.h"
#include "lock/packument.h"
#include "lock/published.h"
#include "lock/semver.h"

/* ---- a table from hashes to numbers ---- */

static struct hash128 hash_of(const void *p, size_t n)
{
	return hash128_keyed(p, n, hash_seed());
}

struct seen {
	struct hash128 *keys;
	uint32_t *values;
	uint32_t count, mask; /* mask + 1 places; 0: none yet */
};

static void seen_release(struct seen *t)
{
	free(t->keys);
	free(t->values);
}

static uint32_t seen_at(const struct seen *t, struct hash128 key)
{
	static const struct hash128 none;
	uint32_t at;

	memcpy(&at, key.b, sizeof at);
	for (at &= t->mask;; at = (at + 1) & t->mask) {
		if (hash128_eq(t->keys[at], none) || hash128_eq(t->keys[at], key))
			return at;
	}
}

static bool seen_grow(struct seen *t)
{
	struct seen bigger = { .count = t->count, .mask = t->mask ? t->mask * 2 + 1 : 255 };
	static const struct hash128 none;

	bigger.keys = calloc((size_t)bigger.mask + 1, sizeof *bigger.keys);
	bigger.values = calloc((size_t)bigger.mask + 1, sizeof *bigger.values);
	if (!bigger.keys || !bigger.values) {
		seen_release(&bigger);
		return false;
	}
	for (uint32_t i = 0; t->mask && i <= t->mask; i++) {
		uint32_t at;

		if (hash128_eq(t->keys[i], none))
			continue;
		at = seen_at(&bigger, t->keys[i]);
		bigger.keys[at] = t->keys[i];
		bigger.values[at] = t->values[i];
	}
	seen_release(t);
	*t = bigger;
	return true;
}

/* The value of a key; where it is new, `fresh` is set and the value is to be filled. NULL: out of
 * memory. Valid until the next call. */
static uint32_t *seen_get(struct seen *t, struct hash128 key, bool *fresh)
{
	uint32_t at;

	if (t->count * 2 >= t->mask && !seen_grow(t))
		return NULL;
	at = seen_at(t, key);
	*fresh = !hash128_eq(t->keys[at], key);
	if (*fresh) {
		t->keys[at] = key;
		t->count++;
	}
	return &t->values[at];
}

static const uint32_t *seen_find(const struct seen *t, struct hash128 key)
{
	uint32_t at = t->mask ? seen_at(t, key) : 0;

	return t->mask && hash128_eq(t->keys[at], key) ? &t->values[at] : NULL;
}

/* Forgets all; a table that one version made large is not kept for small ones. */
static void seen_clear(struct seen *t)
{
	if (t->mask > 1023) {
		seen_release(t);
		*t = (struct seen){ 0 };
	} else if (t->count) {
		memset(t->keys, 0, ((size_t)t->mask + 1) * sizeof *t->keys);
		t->count = 0;
	}
}

/* ---- the parts ---- */

/* Of what a lock's entry says beside dependencies, in bytes of JSON, which takes thirty times as
 * many to be read; real ones have some hundred. */
#define REST_MAX ((size_t)1 << 20)

struct build {
	struct buf versions, deps, tags, digests, strings;
	struct seen string_at, list_at, rest_at, version_at;
	struct seen optional, meta; /* the members of one version's, by their keys as they stand */
	struct arena arena;         /* of one rest */
	struct buf one;             /* the dependencies of one version */
	struct buf raw;             /* what a rest is made of */
	char *text;                 /* a string, unescaped; as long as the JSON */
	/* by number in rest_at */
	struct rest {
		uint32_t text, engine_node, engine_npm, flags;
	} * rests;
	uint32_t rest_count, rest_cap;
	uint32_t version_count, dep_count, tag_count;
	uint32_t tarball, tarball_len;
	int error;
};

static uint32_t stick(struct build *b, int error)
{
	b->error = b->error ? b->error : error;
	return 0;
}

static uint32_t put_text(struct build *b, const char *s, size_t n)
{
	uint32_t *value, at;
	bool fresh;

	if (n == 0)
		return 0;
	value = seen_get(&b->string_at, hash_of(s, n), &fresh);
	if (!value)
		return stick(b, -ENOMEM);
	if (!fresh)
		return *value;
	*value = at = (uint32_t)b->strings.len;
	buf_add(&b->strings, s, n);
	buf_add(&b->strings, "", 1);
	return at;
}

/* A JSON string's text; 0 for what is none. */
static uint32_t put_json_text(struct build *b, struct slice value)
{
	ptrdiff_t n = json_scan_str(value, b->text);

	return n > 0 ? put_text(b, b->text, (size_t)n) : 0;
}

/* A key as it stands between its quotes. */
static uint32_t put_key(struct build *b, struct slice key)
{
	return put_json_text(b, (struct slice){ key.ptr - 1, key.len + 2 });
}

/* ---- dependencies ---- */

static bool is_truthy(struct slice v)
{
	return v.len && !slice_eq(v, SLICE("false")) && !slice_eq(v, SLICE("null")) &&
	       !slice_eq(v, SLICE("0")) && !slice_eq(v, SLICE("\"\""));
}

/* The keys of an object, each with whether its value (or that member of it) is true. */
static void index_members(struct build *b, struct seen *t, struct slice object, const char *member)
{
	struct json_scan s = json_scan(object);
	struct json_item m;

	seen_clear(t);
	while (object.len && object.ptr[0] == '{' && json_scan_next(&s, &m)) {
		struct slice v = member ? json_scan_get(m.value, member) : m.value;
		bool fresh;
		uint32_t *at = seen_get(t, hash_of(m.key.ptr, m.key.len), &fresh);

		if (at)
			*at = is_truthy(v);
		else
			(void)stick(b, -ENOMEM);
	}
}

static void add_deps(struct build *b, struct slice object, enum dep_section section)
{
	struct json_scan s = json_scan(object);
	struct json_item m;

	if (!object.len || object.ptr[0] != '{')
		return;
	while (b->one.len <= GRAPH_DEPS_MAX * sizeof(struct packument_dep) &&
	       json_scan_next(&s, &m)) {
		struct packument_dep d = { .section = (unsigned)section & 7 };
		struct hash128 key = hash_of(m.key.ptr, m.key.len);
		const uint32_t *optional;

		if (!json_scan_is_str(m.value) ||
		    (section == SECTION_PROD && seen_find(&b->optional, key)))
			continue;
		optional = section == SECTION_PEER ? seen_find(&b->meta, key) : NULL;
		d.peer_optional = optional && *optional;
		d.name = put_key(b, m.key);
		d.spec = put_json_text(b, m.value) & 0xfffffff;
		if (d.name)
			buf_add(&b->one, &d, sizeof d);
	}
}

/* The list in `one`: where it stands already, or at the end. */
static void put_deps(struct build *b, struct packument_version *v)
{
	uint32_t *value;
	bool fresh;

	v->dep_count = (uint16_t)(b->one.len / sizeof(struct packument_dep));
	if (v->dep_count == 0)
		return;
	value = seen_get(&b->list_at, hash_of(b->one.data, b->one.len), &fresh);
	if (!value) {
		(void)stick(b, -ENOMEM);
		return;
	}
	if (fresh) {
		*value = b->dep_count;
		b->dep_count += v->dep_count;
		buf_add(&b->deps, b->one.data, b->one.len);
	}
	v->first_dep = *value;
}

/* ---- one version ---- */

enum field {
	F_SHRINKWRAP,
	F_ACCEPT,
	F_BIN,
	F_BUNDLE,
	F_BUNDLED,
	F_CPU,
	F_DEPS,
	F_DEPRECATED,
	F_DIST,
	F_ENGINES,
	F_FUNDING,
	F_SCRIPT,
	F_LIBC,
	F_LICENSE,
	F_NAME,
	F_OPTIONAL,
	F_OS,
	F_PEER,
	F_PEER_META,
	F_SCRIPTS,
	F_VERSION,
	F_WORKSPACES,
	FIELDS,
};

static const struct {
	const char *key;
	bool rest; /* goes into `rest` */
} fields[FIELDS] = {
	[F_SHRINKWRAP] = { "_hasShrinkwrap", false },
	[F_ACCEPT] = { "acceptDependencies", true },
	[F_BIN] = { "bin", true },
	[F_BUNDLE] = { "bundleDependencies", true },
	[F_BUNDLED] = { "bundledDependencies", true },
	[F_CPU] = { "cpu", true },
	[F_DEPS] = { "dependencies", false },
	[F_DEPRECATED] = { "deprecated", true },
	[F_DIST] = { "dist", false },
	[F_ENGINES] = { "engines", true },
	[F_FUNDING] = { "funding", true },
	[F_SCRIPT] = { "hasInstallScript", true },
	[F_LIBC] = { "libc", true },
	[F_LICENSE] = { "license", true },
	[F_NAME] = { "name", false },
	[F_OPTIONAL] = { "optionalDependencies", false },
	[F_OS] = { "os", true },
	[F_PEER] = { "peerDependencies", false },
	[F_PEER_META] = { "peerDependenciesMeta", true },
	[F_SCRIPTS] = { "scripts", false },
	[F_VERSION] = { "version", false },
	[F_WORKSPACES] = { "workspaces", true },
};

static int field_of(struct slice key)
{
	int lo = 0, hi = FIELDS;

	while (lo < hi) {
		int mid = (lo + hi) / 2, c = slice_cmp(key, slice_str(fields[mid].key));

		if (c == 0)
			return mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

static bool rest_fits(const struct slice f[FIELDS])
{
	size_t n = f[F_NAME].len;

	for (size_t i = 0; i < FIELDS; i++) {
		if (fields[i].rest || i == F_DEPS)
			n += f[i].len;
	}
	return n <= REST_MAX;
}

static void add_raw(struct build *b, const char *key, struct slice value)
{
	buf_addf(&b->raw, "%s\"%s\":", b->raw.len > 1 ? "," : "", key);
	buf_add(&b->raw, value.ptr, value.len);
}

/* The members that a rest is made of, as they stand. Of the scripts only whether one of those is
 * there that are run at an install. */
static void collect_raw(struct build *b, const struct slice f[FIELDS])
{
	static const char *const install[] = { "preinstall", "install", "postinstall" };

	b->raw.len = 0;
	buf_addstr(&b->raw, "{");
	for (size_t i = 0; i < FIELDS; i++) {
		if (fields[i].rest && f[i].len)
			add_raw(b, fields[i].key, f[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(install) && f[F_SCRIPTS].len; i++) {
		if (is_truthy(json_scan_get(f[F_SCRIPTS], install[i]))) {
			add_raw(b, "scripts", SLICE("{\"install\":\"x\"}"));
			break;
		}
	}
	/* A lone `bin` is named by the package, and `true` bundles the dependencies. */
	if (f[F_BIN].len && json_scan_is_str(f[F_BIN]) && f[F_NAME].len)
		add_raw(b, "name", f[F_NAME]);
	if (slice_eq(f[F_BUNDLE], SLICE("true")) || slice_eq(f[F_BUNDLED], SLICE("true")))
		add_raw(b, "dependencies", f[F_DEPS].len ? f[F_DEPS] : SLICE("{}"));
	buf_addstr(&b->raw, "}");
}

static uint32_t put_member_text(struct build *b, const cJSON *obj, const char *key)
{
	const char *s = json_str(obj, key);

	return s ? put_text(b, s, strlen(s)) : 0;
}

static int make_rest(struct build *b, struct rest *ret)
{
	auto_json cJSON *mani = NULL, *made = cJSON_CreateObject();
	auto_buf struct buf text = BUF_INIT(PACKUMENT_BLOB_MAX);
	const cJSON *engines;
	int r;

	if (!made)
		return -ENOMEM;
	r = json_parse(&mani, (struct slice){ b->raw.data, b->raw.len }, NULL);
	if (r == 0)
		r = published_entry(&b->arena, made, mani, NULL, NULL);
	arena_release(&b->arena);
	if (r < 0)
		return r;
	cJSON_DeleteItemFromObjectCaseSensitive(made, "dependencies");
	engines = json_get(made, "engines");
	*ret = (struct rest){ .engine_node = put_member_text(b, engines, "node"),
			      .engine_npm = put_member_text(b, engines, "npm") };
	if (json_get(made, "deprecated"))
		ret->flags |= PACKUMENT_DEPRECATED;
	if (json_get(made, "bundleDependencies"))
		ret->flags |= PACKUMENT_BUNDLES;
	if (json_get(made, "acceptDependencies"))
		ret->flags |= PACKUMENT_ACCEPTS;
	if (made->child)
		json_put(&text, made);
	ret->text = put_text(b, (const char *)text.data, text.len);
	return buf_error(&text);
}

/* Most versions of a package say the same: each is made once. */
static int put_rest(struct build *b, const struct slice f[FIELDS], struct packument_version *v)
{
	struct rest made = { 0 };
	uint32_t *value;
	bool fresh;
	int r;

	collect_raw(b, f);
	r = buf_error(&b->raw);
	if (r < 0)
		return r;
	value = seen_get(&b->rest_at, hash_of(b->raw.data, b->raw.len), &fresh);
	if (!value)
		return -ENOMEM;
	if (fresh) {
		if (b->rest_count == b->rest_cap) {
			uint32_t cap = b->rest_cap ? b->rest_cap * 2 : 64;
			struct rest *bigger = reallocarray(b->rests, cap, sizeof *bigger);

			if (!bigger)
				return -ENOMEM;
			b->rests = bigger;
			b->rest_cap = cap;
		}
		*value = b->rest_count;
		r = make_rest(b, &made);
		/* One that makes no sense says nothing. */
		b->rests[b->rest_count++] = r < 0 && r != -ENOMEM ? (struct rest){ 0 } : made;
		if (r == -ENOMEM)
			return r;
		made = b->rests[b->rest_count - 1];
	} else {
		made = b->rests[*value];
	}
	v->rest = made.text;
	v->engine_node = made.engine_node;
	v->engine_npm = made.engine_npm;
	v->flags |= made.flags;
	return 0;
}

static int hex_digit(char c)
{
	const char *at = c ? strchr("0123456789abcdef", c) : NULL;

	return at ? (int)(at - "0123456789abcdef") : -1;
}

/* A bare sha1. */
static bool read_sha1(const char *hex, ptrdiff_t n, struct digest *ret)
{
	struct digest d = { .alg = DIGEST_SHA1, .len = 20 };

	if (n != 40)
		return false;
	for (size_t i = 0; i < 20; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		d.bytes[i] = (uint8_t)(hi * 16 + lo);
	}
	*ret = d;
	return true;
}

/* One digest whose text is what digest_format() makes of it. */
static bool read_sri(const char *text, size_t n, struct digest *ret)
{
	char again[DIGEST_TEXT_MAX];
	struct sri sri;

	if (n >= DIGEST_TEXT_MAX ||
	    sri_parse(&sri, (struct slice){ (const uint8_t *)text, n }, NULL) < 0)
		return false;
	digest_format(&sri.digests[0], again);
	*ret = sri.digests[0];
	return strlen(again) == n && memcmp(again, text, n) == 0 &&
	       (ret->alg == DIGEST_SHA512 || ret->alg == DIGEST_SHA1);
}

static void put_digest(struct build *b, const struct digest *d, struct packument_version *v)
{
	v->flags |= d->alg == DIGEST_SHA512 ? PACKUMENT_SHA512 : PACKUMENT_SHA1;
	v->integrity = (uint32_t)b->digests.len;
	buf_add(&b->digests, d->bytes, d->len);
}

/* The URL in b->text, of n bytes. The first that ends as usual says how they begin. */
static void put_tarball(struct build *b, size_t n, struct packument_version *v)
{
	const char *version = (const char *)b->strings.data + v->version;
	size_t len = strlen(version), before = n - len - 4;

	if (n > len + 4 && memcmp(b->text + before, version, len) == 0 &&
	    memcmp(b->text + n - 4, ".tgz", 4) == 0) {
		if (!b->tarball) {
			b->tarball = put_text(b, b->text, before);
			b->tarball_len = (uint32_t)before;
		}
		if (b->tarball && b->tarball_len == before && !buf_error(&b->strings) &&
		    memcmp(b->text, b->strings.data + b->tarball, before) == 0) {
			v->flags |= PACKUMENT_USUAL;
			return;
		}
	}
	v->resolved = put_text(b, b->text, n);
}

static void put_dist(struct build *b, struct slice dist, struct packument_version *v)
{
	struct digest d;
	ptrdiff_t n;

	if (!dist.len || dist.ptr[0] != '{')
		return;
	n = json_scan_str(json_scan_get(dist, "tarball"), b->text);
	if (n > 0 && !b->error && !buf_error(&b->strings))
		put_tarball(b, (size_t)n, v);
	n = json_scan_str(json_scan_get(dist, "integrity"), b->text);
	if (n > 0) {
		if (read_sri(b->text, (size_t)n, &d))
			put_digest(b, &d, v);
		else
			v->integrity = put_text(b, b->text, (size_t)n);
		return;
	}
	n = json_scan_str(json_scan_get(dist, "shasum"), b->text);
	if (read_sha1(b->text, n, &d))
		put_digest(b, &d, v);
}

/* The fields that matter of the version at which `all` stands. false: it is no object. */
static bool read_fields(struct json_scan *all, struct slice f[FIELDS])
{
	struct json_scan s;
	struct json_item m;

	if (!json_scan_into(all, &s)) {
		(void)json_scan_value(all, &m.value);
		return false;
	}
	while (json_scan_next(&s, &m)) {
		int i = field_of(m.key);

		if (i >= 0)
			f[i] = m.value;
	}
	return json_scan_out(all, &s);
}

static int put_version(struct build *b, struct slice key, struct json_scan *all)
{
	struct slice f[FIELDS] = { 0 };
	struct packument_version v = { 0 };
	uint32_t *value;
	bool fresh;
	int r;

	if (!read_fields(all, f))
		return 0;
	v.version = put_key(b, key);
	if (!v.version || !put_json_text(b, f[F_VERSION]))
		return 0;
	v.name = put_json_text(b, f[F_NAME]);
	if (is_truthy(f[F_SHRINKWRAP]))
		v.flags |= PACKUMENT_SHRINKWRAP;
	b->one.len = 0;
	index_members(b, &b->optional, f[F_OPTIONAL], NULL);
	index_members(b, &b->meta, f[F_PEER_META], "optional");
	add_deps(b, f[F_DEPS], SECTION_PROD);
	add_deps(b, f[F_OPTIONAL], SECTION_OPTIONAL);
	add_deps(b, f[F_PEER], SECTION_PEER);
	if (b->one.len > GRAPH_DEPS_MAX * sizeof(struct packument_dep) || !rest_fits(f))
		return 0;
	put_deps(b, &v);
	put_dist(b, f[F_DIST], &v);
	r = put_rest(b, f, &v);
	if (r < 0)
		return r;
	value = seen_get(&b->version_at, hash_of(&v.version, sizeof v.version), &fresh);
	if (!value)
		return -ENOMEM;
	if (!fresh) {
		memcpy(b->versions.data + (size_t)*value * sizeof v, &v, sizeof v);
		return 0;
	}
	*value = b->version_count++;
	buf_add(&b->versions, &v, sizeof v);
	return b->version_count > PACKUMENT_VERSIONS_MAX || b->dep_count > PACKUMENT_DEPS_MAX
		       ? -E2BIG
		       : b->error;
}

/* ---- times ---- */

static bool digits(const char **s, unsigned n, int64_t *ret)
{
	int64_t v = 0;

	for (; n; n--, ++*s) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return true;
}

static bool taken(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

/* Days from 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, of_era, of_year;

	y -= m <= 2;
	era = y / 400;
	of_era = y - era * 400;
	of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t zone_ms(const char **s)
{
	int64_t h, m, sign = **s == '-' ? -1 : 1;

	if (**s != '+' && **s != '-')
		return 0;
	++*s;
	if (!digits(s, 2, &h))
		return 0;
	(void)taken(s, ':');
	return digits(s, 2, &m) ? sign * (h * 60 + m) * 60000 : 0;
}

int packument_time(const char *s, int64_t *ret_ms)
{
	int64_t y, mo, d, h = 0, mi = 0, sec = 0, ms = 0, unit = 100;

	if (!digits(&s, 4, &y) || !taken(&s, '-') || !digits(&s, 2, &mo) || !taken(&s, '-') ||
	    !digits(&s, 2, &d))
		return -EINVAL;
	if (*s == 'T' || *s == ' ') {
		s++;
		if (!digits(&s, 2, &h) || !taken(&s, ':') || !digits(&s, 2, &mi))
			return -EINVAL;
		if (taken(&s, ':') && !digits(&s, 2, &sec))
			return -EINVAL;
		if (taken(&s, '.')) {
			for (; *s >= '0' && *s <= '9'; s++, unit /= 10)
				ms += (*s - '0') * unit;
		}
	}
	(void)taken(&s, 'Z');
	*ret_ms = (((days(y, mo, d) * 24 + h) * 60 + mi) * 60 + sec) * 1000 + ms - zone_ms(&s);
	return *s ? -EINVAL : 0;
}

static void put_times(struct build *b, struct slice object)
{
	struct json_scan s = json_scan(object);
	struct packument_version *all = (void *)b->versions.data;
	struct json_item m;

	while (object.len && object.ptr[0] == '{' && json_scan_next(&s, &m)) {
		ptrdiff_t n =
			json_scan_str((struct slice){ m.key.ptr - 1, m.key.len + 2 }, b->text);
		const uint32_t *at, *i;
		struct packument_version *v;

		at = n > 0 ? seen_find(&b->string_at, hash_of(b->text, (size_t)n)) : NULL;
		i = at ? seen_find(&b->version_at, hash_of(at, sizeof *at)) : NULL;
		n = json_scan_str(m.value, b->text);
		if (!i || n <= 0)
			continue;
		b->text[n] = '\0';
		v = &all[*i];
		v->flags |= PACKUMENT_TIMED;
		if (packument_time(b->text, &v->time_ms) < 0)
			v->time_ms = INT64_MAX;
	}
}

static void put_tags(struct build *b, struct slice object)
{
	struct json_scan s = json_scan(object);
	struct json_item m;

	while (object.len && object.ptr[0] == '{' && json_scan_next(&s, &m)) {
		struct packument_tag t = { put_key(b, m.key), put_json_text(b, m.value) };

		if (!t.name || !t.version || b->tag_count >= PACKUMENT_VERSIONS_MAX)
			continue;
		buf_add(&b->tags, &t, sizeof t);
		b->tag_count++;
	}
}

/* ---- their order ---- */

struct place {
	struct semver v;
	uint32_t at;
	bool good;
};

static int by_precedence(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int c = x->good != y->good ? y->good - x->good : x->good ? semver_cmp(&y->v, &x->v) : 0;

	return c ? c : (x->at > y->at) - (x->at < y->at);
}

static int sort_versions(struct build *b)
{
	struct packument_version *all = (void *)b->versions.data;
	auto_free struct place *places = calloc((size_t)b->version_count + 1, sizeof *places);
	auto_free struct packument_version *sorted =
		malloc(((size_t)b->version_count + 1) * sizeof *sorted);
	int r = b->error ? b->error : buf_error(&b->versions);

	r = r ? r : buf_error(&b->strings);
	if (r || !places || !sorted)
		return r ? r : -ENOMEM;
	for (uint32_t i = 0; i < b->version_count; i++) {
		struct slice text = slice_str((const char *)b->strings.data + all[i].version);

		places[i].at = i;
		places[i].good = semver_parse(&places[i].v, text, SEMVER_LOOSE) == 0;
	}
	qsort(places, b->version_count, sizeof *places, by_precedence);
	for (uint32_t i = 0; i < b->version_count; i++)
		sorted[i] = all[places[i].at];
	if (b->version_count)
		memcpy(all, sorted, b->version_count * sizeof *sorted);
	return 0;
}

/* ---- the whole ---- */

/* Where `all` stands; of two the last counts. */
static int put_versions(struct build *b, struct json_scan *all)
{
	struct json_scan s;
	struct slice key;
	int r = 0;

	b->versions.len = b->version_count = 0;
	seen_clear(&b->version_at);
	if (all->at == all->end || *all->at != '{' || !json_scan_into(all, &s)) {
		(void)json_scan_value(all, &key);
		return 0;
	}
	while (r == 0 && json_scan_key(&s, &key))
		r = put_version(b, key, &s);
	if (r == 0)
		(void)json_scan_out(all, &s);
	return r;
}

static int assemble(struct build *b, const struct packument_origin *from, struct buf *ret)
{
	struct packument_head h = { .magic = PACKUMENT_MAGIC,
				    .format = PACKUMENT_FORMAT,
				    .version_count = b->version_count,
				    .dep_count = b->dep_count,
				    .tag_count = b->tag_count,
				    .digest_bytes = (uint32_t)b->digests.len,
				    .tarball = b->tarball };
	const struct buf *parts[] = { &b->versions, &b->deps, &b->tags, &b->digests, &b->strings };
	const size_t checked = offsetof(struct packument_head, version_count);
	struct hash128 check;
	size_t size = sizeof h;
	int r = b->error;

	h.name = put_text(b, from->name, strlen(from->name));
	h.etag = from->etag ? put_text(b, from->etag, strlen(from->etag)) : 0;
	h.string_bytes = (uint32_t)b->strings.len;
	for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++) {
		r = buf_error(parts[i]);
		size += parts[i]->len;
	}
	if (r < 0 || size > PACKUMENT_BLOB_MAX)
		return r < 0 ? r : -E2BIG;
	h.size = (uint32_t)size;
	buf_add(ret, &h, sizeof h);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_add(ret, parts[i]->data, parts[i]->len);
	r = buf_error(ret);
	if (r < 0)
		return r;
	check = hash128(ret->data + checked, ret->len - checked);
	memcpy(ret->data + offsetof(struct packument_head, check), check.b, sizeof check.b);
	return 0;
}

static int build(struct build *b, struct slice json, const struct packument_origin *from,
		 struct buf *ret)
{
	struct json_scan s = json_scan(json);
	struct slice tags = { 0 }, time = { 0 };
	struct json_item m;
	int r = 0;

	while (r == 0 && json_scan_key(&s, &m.key)) {
		if (slice_eq(m.key, SLICE("versions")))
			r = put_versions(b, &s);
		else if (!json_scan_value(&s, &m.value))
			break;
		else if (slice_eq(m.key, SLICE("dist-tags")))
			tags = m.value;
		else if (slice_eq(m.key, SLICE("time")))
			time = m.value;
	}
	if (r < 0)
		return r;
	if (s.error || s.close != '}')
		return -EBADMSG;
	put_times(b, time);
	put_tags(b, tags);
	r = sort_versions(b);
	return r < 0 ? r : assemble(b, from, ret);
}

int packument_build(struct buf *ret, struct slice json, const struct packument_origin *from,
		    struct err *e)
{
	struct build b = { .versions = BUF_INIT(PACKUMENT_BLOB_MAX),
			   .deps = BUF_INIT(PACKUMENT_BLOB_MAX),
			   .tags = BUF_INIT(PACKUMENT_BLOB_MAX),
			   .digests = BUF_INIT(PACKUMENT_BLOB_MAX),
			   .strings = BUF_INIT(PACKUMENT_BLOB_MAX),
			   .arena = ARENA_INIT((size_t)64 << 20),
			   .one = BUF_INIT((size_t)16 << 20),
			   .raw = BUF_INIT((size_t)16 << 20) };
	int r;

	if (json.len > PACKUMENT_JSON_MAX)
		return err_set(e, -E2BIG, "%s: what the registry says of it has %zu bytes",
			       from->name, json.len);
	b.text = malloc(json.len + 1);
	buf_add(&b.strings, "", 1);
	r = b.text ? build(&b, json, from, ret) : -ENOMEM;
	buf_release(&b.versions);
	buf_release(&b.deps);
	buf_release(&b.tags);
	buf_release(&b.digests);
	buf_release(&b.strings);
	buf_release(&b.one);
	buf_release(&b.raw);
	seen_release(&b.string_at);
	seen_release(&b.list_at);
	seen_release(&b.rest_at);
	seen_release(&b.version_at);
	seen_release(&b.optional);
	seen_release(&b.meta);
	free(b.rests);
	free(b.text);
	arena_release(&b.arena);
	if (r == -EBADMSG)
		return err_set(e, r, "%s: what the registry says of it is not valid JSON",
			       from->name);
	if (r == -E2BIG)
		return err_set(e, r,
			       "%s: what the registry says of it has more versions or dependencies "
			       "than can be true",
			       from->name);
	return r < 0 ? err_set(e, r, "%s: what the registry says of it: %s", from->name,
			       strerror(-r))
		     : 0;
}
