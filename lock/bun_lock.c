#include "lock/json.h"
#include "lock/pinned_priv.h"
#include "lock/semver.h"

#include <stdio.h>

/* bun.lock: where bun's hoister has put what. That shape is not npm's and is not kept; it is only
 * walked to see which package each dependency came to mean.
 *
 *	"workspaces": { "": { "dependencies": { "a": "^1" } }, "ws/w": {...} },
 *	"packages": {
 *		"a": ["a@1.2.3", "", { "dependencies": { "b": "^2" } }, "sha512-..."],
 *		"a/b": [...] } */

#define BUN_VERSION_MAX  2u
#define BUN_PACKAGES_MAX 200000u
#define BUN_PLACE_MAX    4096u /* bytes of a key: names of what stands in what */
#define BUN_DEEP_MAX     200u  /* names of a key; real ones have five */
#define BUN_INSTEAD_MAX  5000u /* overrides */

struct place {
	const char *key;
	const cJSON *info;     /* what it depends on; may be NULL */
	const struct pin *pin; /* NULL: no package of a registry or other address */
	uint32_t depth, order;
};

struct bun {
	struct pinned *p;
	struct place *places; /* by key; owned */
	uint32_t count;
	const cJSON *overrides;
	struct err *e;
};

/* ---- JSON with comments and commas ---- */

static void blank(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '\n' && s[i] != '\r')
			s[i] = ' ';
	}
}

/* Bytes of the comment that begins here; 0: none. */
static size_t comment(const char *s, size_t n)
{
	const char *end;

	if (n < 2 || s[0] != '/')
		return 0;
	if (s[1] == '/') {
		end = memchr(s, '\n', n);
		return end ? (size_t)(end - s) : n;
	}
	if (s[1] != '*')
		return 0;
	end = memmem(s + 2, n - 2, "*/", 2);
	return end ? (size_t)(end + 2 - s) : n;
}

/* Blanks what JSON does not have, so that lines and columns stay. */
static void clean(char *s, size_t n)
{
	size_t comma = n; /* the last one, with nothing but white space behind; n: none */

	for (size_t i = 0; i < n;) {
		size_t skip = comment(s + i, n - i);

		if (skip) {
			blank(s + i, skip);
			i += skip;
			continue;
		}
		if ((s[i] == '}' || s[i] == ']') && comma < n)
			s[comma] = ' ';
		if (s[i] == ',')
			comma = i;
		else if (!strchr(" \t\r\n", s[i]))
			comma = n;
		if (s[i++] != '"')
			continue;
		while (i < n && s[i] != '"')
			i += s[i] == '\\' ? 2 : 1;
		i++;
	}
}

static int parse(struct slice text, cJSON **ret, struct err *e)
{
	auto_free char *copy = NULL;
	int r;

	copy = strndup((const char *)text.ptr, text.len);
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	clean(copy, text.len);
	r = json_parse(ret, (struct slice){ (const uint8_t *)copy, text.len }, e);
	if (r == 0 && !cJSON_IsObject(*ret)) {
		cJSON_Delete(take(ret));
		r = err_set(e, -EBADMSG, "its JSON is no object");
	}
	return r;
}

/* ---- packages ---- */

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends_tgz(const char *s)
{
	size_t n = strlen(s);

	return n > 4 && strcmp(s + n - 4, ".tgz") == 0;
}

/* "<registry>/@s/n/-/n-1.2.3.tgz", if the registry is named. */
static const char *address(struct arena *a, const char *registry, const char *name,
			   const char *version)
{
	const char *base = strrchr(name, '/');
	size_t n = strlen(registry);

	if (!n || ends_tgz(registry))
		return n ? arena_strdup(a, registry) : NULL;
	while (n && registry[n - 1] == '/')
		n--;
	return arena_printf(a, "%.*s/%s/-/%s-%s.tgz", (int)n, registry, name,
			    base ? base + 1 : name, version);
}

/* *ret stays NULL for what stands in the project. */
static int read_pin(struct bun *b, const char *key, const cJSON *entry, struct place *ret)
{
	struct arena *a = &b->p->arena;
	const cJSON *id = cJSON_GetArrayItem(entry, 0), *registry = cJSON_GetArrayItem(entry, 1);
	const char *at, *what, *name;
	struct semver v;
	struct pin *pin;
	const cJSON *m;

	if (!cJSON_IsArray(entry) || !cJSON_IsString(id) || !id->valuestring[0] ||
	    !(at = strchr(id->valuestring + 1, '@')))
		return err_set(b->e, -EBADMSG,
			       "the package \"%.100s\" does not begin with "
			       "\"name@version\"",
			       key);
	what = at + 1;
	cJSON_ArrayForEach(m, entry)
	{
		if (cJSON_IsObject(m) && !ret->info)
			ret->info = m;
	}
	if (starts(what, "workspace:") || starts(what, "link:") || starts(what, "root:") ||
	    starts(what, "file:"))
		return 0;
	name = arena_strndup(a, id->valuestring, (size_t)(at - id->valuestring));
	pin = arena_alloc(a, sizeof *pin);
	if (!name || !pin)
		return err_set(b->e, -ENOMEM, "out of memory");
	pin->name = name;
	m = cJSON_GetArrayItem(entry, cJSON_GetArraySize(entry) - 1);
	if (semver_parse(&v, slice_str(what), SEMVER_LOOSE) == 0) {
		pin->version = arena_strdup(a, what);
		if (cJSON_IsString(registry))
			pin->resolved = address(a, registry->valuestring, name, what);
	} else {
		pin->resolved = arena_strdup(a, what);
	}
	if (m != id && cJSON_IsString(m) && starts(m->valuestring, "sha"))
		pin->integrity = arena_strdup(a, m->valuestring);
	ret->pin = pin;
	return arena_error(a) ? err_set(b->e, arena_error(a), "out of memory") : 0;
}

/* Bytes of the place that this one stands in: "a/@s/b" -> "a". */
static size_t holder(const char *key, size_t len)
{
	size_t last = len, before;

	while (last && key[last - 1] != '/')
		last--;
	if (!last)
		return 0;
	before = --last;
	while (before && key[before - 1] != '/')
		before--;
	if (key[before] == '@')
		last = before ? before - 1 : 0;
	return last;
}

static uint32_t depth_of(const char *key)
{
	uint32_t n = 0;

	for (size_t len = strlen(key); len; len = holder(key, len))
		n++;
	return n;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct place *)a)->key, ((const struct place *)b)->key);
}

static int read_packages(struct bun *b, const cJSON *packages)
{
	uint32_t n = (uint32_t)cJSON_GetArraySize(packages);
	const cJSON *m;
	int r = 0;

	if (n > BUN_PACKAGES_MAX)
		return err_set(b->e, -E2BIG, "more than %u packages", BUN_PACKAGES_MAX);
	b->places = calloc((size_t)n + 1, sizeof *b->places);
	if (!b->places)
		return err_set(b->e, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(m, packages)
	{
		struct place *at = &b->places[b->count];

		at->key = m->string;
		at->depth = strlen(m->string) > BUN_PLACE_MAX ? UINT32_MAX : depth_of(m->string);
		if (at->depth > BUN_DEEP_MAX)
			return err_set(b->e, -E2BIG, "a place of more than %u bytes or %u names",
				       BUN_PLACE_MAX, BUN_DEEP_MAX);
		at->order = b->count;
		r = read_pin(b, m->string, m, at);
		if (r < 0)
			return r;
		b->count++;
	}
	qsort(b->places, b->count, sizeof *b->places, by_key);
	return 0;
}

/* ---- demands ---- */

static const struct place *find(const struct bun *b, const char *key)
{
	const struct place want = { .key = key };

	return bsearch(&want, b->places, b->count, sizeof want, by_key);
}

/* What a name means at a place (len 0: in the project), nearest first. */
static const struct place *meaning(const struct bun *b, const char *from, size_t len,
				   const char *name)
{
	char key[BUN_PLACE_MAX * 2 + 2];

	for (;; len = holder(from, len)) {
		const struct place *at;

		if (strlen(name) > BUN_PLACE_MAX)
			return NULL;
		(void)snprintf(key, sizeof key, "%.*s%s%s", (int)len, from, len ? "/" : "", name);
		at = find(b, key);
		if (at || len == 0)
			return at;
	}
}

static int add(struct bun *b, const char *name, const char *spec, const struct pin *pin)
{
	return pinned_add(b->p, arena_printf(&b->p->arena, "%s@%s", name, spec), pin, b->e);
}

static int add_demands(struct bun *b, const char *from, const cJSON *info)
{
	static const char *const sections[] = { "peerDependencies", "devDependencies",
						"optionalDependencies", "dependencies" };
	const cJSON *m;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		cJSON_ArrayForEach(m, json_get(info, sections[i]))
		{
			const struct place *to;
			const char *instead;

			if (!cJSON_IsString(m) || !m->string)
				continue;
			to = meaning(b, from, strlen(from), m->string);
			if (!to || !to->pin)
				continue;
			instead = json_str(b->overrides, m->string);
			r = add(b, m->string, m->valuestring, to->pin);
			if (r == 0 && instead)
				r = add(b, m->string, instead, to->pin);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int deepest_first(const void *a, const void *b)
{
	const struct place *x = *(const struct place *const *)a;
	const struct place *y = *(const struct place *const *)b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? 1 : -1;
	return (x->order < y->order) - (x->order > y->order);
}

static int add_all(struct bun *b, const cJSON *workspaces)
{
	auto_free const struct place **order = calloc((size_t)b->count + 1, sizeof *order);
	const cJSON *m;
	int r = 0;

	if (!order)
		return err_set(b->e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < b->count; i++)
		order[i] = &b->places[i];
	qsort(order, b->count, sizeof *order, deepest_first);
	for (uint32_t i = 0; i < b->count && r == 0; i++)
		r = add_demands(b, order[i]->key, order[i]->info);
	cJSON_ArrayForEach(m, workspaces)
	{
		const char *name = json_str(m, "name");

		if (r == 0 && m->string[0])
			r = add_demands(b, name && strlen(name) <= BUN_PLACE_MAX ? name : "", m);
	}
	return r == 0 ? add_demands(b, "", json_get(workspaces, "")) : r;
}

/* ---- the whole ---- */

static int check_version(const cJSON *j, struct err *e)
{
	const cJSON *v = json_get(j, "lockfileVersion");

	if (!cJSON_IsNumber(v))
		return err_set(e, -ENOTSUP, "this is no bun.lock: it has no lockfileVersion");
	if (v->valuedouble < 0 || v->valuedouble > BUN_VERSION_MAX ||
	    cJSON_IsTrue(json_get(j, "requires")))
		return err_set(e, -ENOTSUP,
			       "version %g of such a lock is not read, only bun's up "
			       "to %u",
			       v->valuedouble, BUN_VERSION_MAX);
	return 0;
}

static void remark(struct bun *b, const cJSON *j)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, json_get(j, "patchedDependencies"))
	{
		size_t from = b->p->remarks.len;

		buf_addf(&b->p->remarks, "%s: bun patches %.100s; that is not done here",
			 b->p->file, m->string);
		buf_end_line(&b->p->remarks, from);
	}
	if (json_get(j, "catalog") || json_get(j, "catalogs"))
		buf_addf(&b->p->remarks,
			 "%s: npm knows no catalogs; what asks for \"catalog:\" does not resolve\n",
			 b->p->file);
}

int pinned_read_bun(struct pinned *p, struct slice text, struct err *e)
{
	struct bun b = { .p = p, .e = e };
	auto_json cJSON *j = NULL;
	int r = parse(text, &j, e);

	if (r == 0)
		r = check_version(j, e);
	if (r == 0) {
		b.overrides = json_get(j, "overrides");
		if (cJSON_GetArraySize(b.overrides) > (int)BUN_INSTEAD_MAX)
			r = err_set(e, -E2BIG, "more than %u overrides", BUN_INSTEAD_MAX);
	}
	if (r == 0)
		r = read_packages(&b, json_get(j, "packages"));
	if (r == 0)
		r = add_all(&b, json_get(j, "workspaces"));
	if (r == 0)
		remark(&b, j);
	free(b.places);
	return r;
}
