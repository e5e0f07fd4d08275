#include "core/hash.h"
#include "lock/entry.h"
#include "lock/ideal_priv.h"
#include "lock/pinned.h"
#include "lock/published.h"
#include "lock/semver_priv.h"

/* ---- packuments, with their versions read ---- */

static struct ipack *fail_pack(struct ideal *d, struct ipack *k, int r, const struct err *e)
{
	k->failure = r;
	k->why = arena_strdup(&d->arena, e->msg);
	return k;
}

static struct ipack *load_pack(struct ideal *d, struct iname *name)
{
	const struct catalog *c = d->o->catalog;
	struct ipack *k = arena_alloc(&d->arena, sizeof *k);
	struct err e = { 0 };
	int r;

	if (!k)
		return NULL;
	if (++d->packuments >
	    (d->o->max.packuments ? d->o->max.packuments : IDEAL_PACKUMENTS_MAX)) {
		(void)ideal_too_much(d, "there are more and more of them");
		return NULL;
	}
	r = c->packument(c->self, name->text, &k->p, &e);
	return r < 0 ? fail_pack(d, k, r, &e) : k;
}

static bool version_at(const struct ipack *k, uint32_t i, struct semver *ret)
{
	return semver_parse(ret, slice_str(packument_str(k->p, k->p->versions[i].version)),
			    SEMVER_LOOSE) == 0;
}

bool ideal_read_versions(struct ideal *d, struct ipack *k)
{
	uint32_t n = k->p->head->version_count;

	if (k->v)
		return true;
	k->good = arena_array(&d->arena, (size_t)n + 1, sizeof *k->good);
	k->v = k->good ? arena_array(&d->arena, (size_t)n + 1, sizeof *k->v) : NULL;
	for (uint32_t i = 0; i < n && k->v; i++)
		k->good[i] = version_at(k, i, &k->v[i]);
	return k->v;
}

struct ipack *ideal_pack(struct ideal *d, struct iname *name)
{
	struct ipack *k = table_get(d->packs, (uintptr_t)name, 0);
	void **at;

	if (k)
		return k;
	k = load_pack(d, name);
	at = k ? table_at(d->packs, (uintptr_t)name, 0) : NULL;
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	*at = k;
	return k;
}

/* ---- npm-pick-manifest ---- */

static char yes, no;

bool ideal_in_time(const struct ideal *d, const struct packument_version *v)
{
	return !d->o->has_before || !(v->flags & PACKUMENT_TIMED) || v->time_ms <= d->o->before_ms;
}

static uint64_t text_number(const char *text)
{
	struct hash128 h = hash128_keyed(text, strlen(text), hash_seed());
	uint64_t n;

	memcpy(&n, h.b, sizeof n);
	return n;
}

/* Thousands of packages ask for the same few. */
static bool engine_fits(const struct ideal *d, const struct ipack *k, uint32_t i)
{
	const struct packument_version *v = &k->p->versions[i];
	const char *node = packument_str(k->p, v->engine_node);
	const char *npm = packument_str(k->p, v->engine_npm);
	void **at;

	if (!v->engine_node && !v->engine_npm)
		return true;
	at = table_at(d->engines, text_number(node), text_number(npm));
	if (!at)
		return platform_engines_fit(d->o->platform, node, npm);
	if (!*at)
		*at = platform_engines_fit(d->o->platform, node, npm) ? &yes : &no;
	return *at == &yes;
}

static uint32_t find_version(const struct ipack *k, const char *text)
{
	for (uint32_t i = 0; i < k->p->head->version_count; i++) {
		if (strcmp(packument_str(k->p, k->p->versions[i].version), text) == 0)
			return i;
	}
	return IDEAL_NO_VERSION;
}

unsigned ideal_rank(const struct ideal *d, const struct ipack *k, uint32_t i)
{
	bool engine = engine_fits(d, k, i);
	bool fresh = !(k->p->versions[i].flags & PACKUMENT_DEPRECATED);

	return (engine && fresh ? 4u : 0) + (engine ? 2u : 0) + (fresh ? 1u : 0);
}

static uint32_t pick_default(const struct ideal *d, const struct ipack *k,
			     const struct semver_range *range, bool any)
{
	const char *tag = d->o->default_tag ? d->o->default_tag : "latest";
	uint32_t i = packument_tagged(k->p, tag);
	struct semver v;

	if (i == k->p->head->version_count ||
	    !(any || (version_at(k, i, &v) && semver_range_test(range, &v))) ||
	    !ideal_in_time(d, &k->p->versions[i]) ||
	    k->p->versions[i].flags & PACKUMENT_DEPRECATED || !engine_fits(d, k, i))
		return IDEAL_NO_VERSION;
	return i;
}

static uint32_t pick_range(const struct ideal *d, const struct ipack *k,
			   const struct semver_range *range, bool any)
{
	uint32_t best = pick_default(d, k, range, any);
	unsigned best_rank = 0;

	if (best != IDEAL_NO_VERSION)
		return best;
	/* the highest come first */
	for (uint32_t i = 0; i < k->p->head->version_count && best_rank < IDEAL_RANK_BEST; i++) {
		struct semver v;
		unsigned r;

		if (!ideal_in_time(d, &k->p->versions[i]) || !version_at(k, i, &v) ||
		    !semver_range_test(range, &v))
			continue;
		r = ideal_rank(d, k, i);
		if (best == IDEAL_NO_VERSION || r > best_rank) {
			best = i;
			best_rank = r;
		}
	}
	return best;
}

static uint32_t pick_text(const struct ideal *d, const struct ipack *k, const char *text)
{
	auto_range struct semver_range range = { 0 };

	if (semver_range_parse(&range, slice_str(text), SEMVER_LOOSE) < 0)
		return IDEAL_NO_VERSION;
	return pick_range(d, k, &range, strcmp(text, "*") == 0);
}

static uint32_t pick_tag(struct ideal *d, const struct ipack *k, const char *tag)
{
	uint32_t i = packument_tagged(k->p, tag);
	const char *below;

	if (i == k->p->head->version_count)
		return IDEAL_NO_VERSION;
	if (ideal_in_time(d, &k->p->versions[i]))
		return i;
	below = arena_printf(&d->arena, "<=%s", packument_str(k->p, k->p->versions[i].version));
	return below ? pick_text(d, k, below) : IDEAL_NO_VERSION;
}

static uint32_t pick_version(const struct ideal *d, const struct ipack *k, struct slice text)
{
	char canonical[SEMVER_TEXT_MAX];
	struct semver v;
	uint32_t i;

	if (semver_parse(&v, semver_trim(text), SEMVER_LOOSE) < 0)
		return IDEAL_NO_VERSION;
	(void)semver_format(&v, canonical);
	i = find_version(k, canonical);
	return i != IDEAL_NO_VERSION && ideal_in_time(d, &k->p->versions[i]) ? i : IDEAL_NO_VERSION;
}

uint32_t ideal_pick(struct ideal *d, const struct ipack *k, const struct ispec *s)
{
	static const struct semver_range none;
	const char *tag;

	switch (s->type) {
	case SPEC_TAG:
		tag = arena_strndup(&d->arena, s->spec.fetch.ptr, s->spec.fetch.len);
		return tag ? pick_tag(d, k, tag) : IDEAL_NO_VERSION;
	case SPEC_VERSION:
		return pick_version(d, k, s->spec.fetch);
	default:
		if (s->any)
			return pick_text(d, k, "*");
		return s->has_range ? pick_range(d, k, s->has_range ? &s->range : &none, false)
				    : IDEAL_NO_VERSION;
	}
}

/* ---- packages ---- */

static bool read_names(struct ideal *d, const cJSON *list, struct iname ***ret, uint32_t *ret_count)
{
	uint32_t n = 0, most = cJSON_IsArray(list) ? (uint32_t)cJSON_GetArraySize(list) : 0;
	const cJSON *item;

	if (most == 0)
		return true;
	*ret = arena_array(&d->arena, most, sizeof(struct iname *));
	if (!*ret)
		return false;
	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item)) {
			(*ret)[n] = ideal_name(d, item->valuestring);
			n += (*ret)[n] != NULL;
		}
	}
	*ret_count = n;
	d->bundles = true;
	return true;
}

static bool read_accepts(struct ideal *d, struct ipkg *pkg, const cJSON *obj)
{
	uint32_t n = 0, most = cJSON_IsObject(obj) ? (uint32_t)cJSON_GetArraySize(obj) : 0;
	const cJSON *m;

	if (most == 0)
		return true;
	pkg->accept_names = arena_array(&d->arena, most, sizeof *pkg->accept_names);
	pkg->accepts = arena_array(&d->arena, most, sizeof *pkg->accepts);
	if (!pkg->accept_names || !pkg->accepts)
		return false;
	cJSON_ArrayForEach(m, obj)
	{
		if (!cJSON_IsString(m))
			continue;
		pkg->accept_names[n] = ideal_name(d, m->string);
		pkg->accepts[n] = ideal_spec_of(d, m->valuestring[0] ? m->valuestring : "*");
		n++;
	}
	pkg->accept_count = n;
	return true;
}

/* What of a rest decides. */
static bool read_rest(struct ideal *d, struct ipkg *pkg)
{
	auto_json cJSON *j = NULL;

	if (json_parse(&j, slice_str(pkg->rest), NULL) < 0)
		return true;
	return read_names(d, json_get(j, "bundleDependencies"), &pkg->bundled,
			  &pkg->bundled_count) &&
	       read_accepts(d, pkg, json_get(j, "acceptDependencies"));
}

static struct ipkg *make_pkg(struct ideal *d, struct iname *name, const struct ipack *k, uint32_t i)
{
	const struct packument *p = k->p;
	const struct packument_version *v = &p->versions[i];
	struct ipkg *pkg = arena_alloc(&d->arena, sizeof *pkg);
	struct idep *deps = arena_array(&d->arena, (size_t)v->dep_count + 1, sizeof *deps);

	if (!pkg || !deps || packument_resolved(p, v, &d->arena, &pkg->resolved) < 0 ||
	    packument_integrity(p, v, &d->arena, &pkg->integrity) < 0)
		return NULL;
	pkg->name = v->name ? ideal_name(d, packument_str(p, v->name)) : name;
	pkg->version = packument_str(p, v->version);
	pkg->v_good = version_at(k, i, &pkg->v);
	pkg->shrinkwrap = v->flags & PACKUMENT_SHRINKWRAP;
	pkg->rest = packument_str(p, v->rest);
	for (uint32_t n = 0; n < v->dep_count; n++) {
		const struct packument_dep *dep = &p->deps[v->first_dep + n];

		deps[n] = (struct idep){ .name = ideal_name(d, packument_str(p, dep->name)),
					 .spec = ideal_spec_of(d, packument_str(p, dep->spec)),
					 .section = (uint8_t)dep->section,
					 .peer_optional = dep->peer_optional };
		if (!deps[n].name || !deps[n].spec)
			return NULL;
	}
	pkg->deps = deps;
	pkg->dep_count = v->dep_count;
	if (v->flags & (PACKUMENT_BUNDLES | PACKUMENT_ACCEPTS) && !read_rest(d, pkg))
		return NULL;
	return pkg;
}

struct ipkg *ideal_pkg_at(struct ideal *d, struct iname *name, const struct ipack *k, uint32_t i)
{
	struct ipkg *pkg = table_get(d->pkgs, (uintptr_t)k, i);
	void **at;

	if (pkg)
		return pkg;
	pkg = make_pkg(d, name, k, i);
	at = pkg ? table_at(d->pkgs, (uintptr_t)k, i) : NULL;
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	*at = pkg;
	return pkg;
}

void ideal_hint(struct ideal *d, struct ipkg *pkg)
{
	const struct catalog *c = d->o->catalog;
	const char *names[64];
	size_t n = 0;

	if (pkg->hinted || !c->hint)
		return;
	pkg->hinted = true;
	for (uint32_t i = 0; i < pkg->dep_count; i++) {
		const struct idep *dep = &pkg->deps[i];
		const struct ispec *s = dep->spec;
		const char *name = dep->name->text;

		if (!s->good || s->type > SPEC_TAG || dep->peer_optional)
			continue;
		if (s->spec.type == SPEC_ALIAS)
			name = arena_strndup(&d->arena, s->spec.alias_name.ptr,
					     s->spec.alias_name.len);
		if (!name)
			continue;
		names[n++] = name;
		if (n == ARRAY_LEN(names)) {
			c->hint(c->self, names, n);
			n = 0;
		}
	}
	if (n)
		c->hint(c->self, names, n);
}

/* ---- loading ---- */

int ideal_failed(struct ideal *d, struct iload *l, int failure, const char *why)
{
	l->failure = failure;
	l->why = arena_strdup(&d->arena, why);
	return 0;
}

static int load_registry(struct ideal *d, struct iload *l)
{
	const struct ispec *s = l->spec;
	struct iname *name = l->name;
	struct ipack *k;
	struct err e = { 0 };
	uint32_t i;

	if (s->spec.type == SPEC_ALIAS) {
		const char *real =
			arena_strndup(&d->arena, s->spec.alias_name.ptr, s->spec.alias_name.len);

		name = real ? ideal_name(d, real) : NULL;
	}
	k = name ? ideal_pack(d, name) : NULL;
	if (!k)
		return ideal_stick(d, -ENOMEM);
	if (k->failure)
		return ideal_failed(d, l, k->failure, k->why);
	i = ideal_pick(d, k, s);
	if (i == IDEAL_NO_VERSION) {
		(void)err_set(&e, -ENOENT, "%s: the registry has no version that fits \"%s\"%s",
			      name->text, s->text,
			      d->o->has_before ? " before the date that was given" : "");
		return ideal_failed(d, l, -ENOENT, e.msg);
	}
	l->pkg = ideal_pkg_at(d, name, k, i);
	return l->pkg ? 0 : d->error;
}

/* What no registry has. A path means another place for each who says it. */
static int load_other(struct ideal *d, struct iload *l, const char *where)
{
	struct err e = { 0 };
	struct spec here;

	if (l->spec->good && spec_parse(&here, slice_str(l->name->text), slice_str(l->spec->text),
					slice_str(where), &d->arena, &e) == 0) {
		if (here.type == SPEC_REMOTE || here.type == SPEC_FILE)
			return ideal_load_tarball(d, l, &here, NULL);
		if (here.type == SPEC_GIT)
			return ideal_load_git(d, l, &here);
	}
	(void)err_set(&e, -EOPNOTSUPP, "%s: \"%s\" is nothing that can be resolved", l->name->text,
		      l->spec->text);
	return ideal_failed(d, l, -EOPNOTSUPP, e.msg);
}

const struct iload *ideal_load_pkg(struct ideal *d, struct iname *name, struct ispec *spec,
				   const char *where)
{
	const struct pin *pin = d->o->pinned && spec->good && !ideal_updates(d, name)
					? pinned_find(d->o->pinned, name->text, spec->text)
					: NULL;

	return pin ? ideal_load_pinned(d, name, spec, pin, where)
		   : ideal_load_plain(d, name, spec, where);
}

const struct iload *ideal_load_plain(struct ideal *d, struct iname *name, struct ispec *spec,
				     const char *where)
{
	bool keep = spec->type != SPEC_FILE;
	struct iload *l = keep ? table_get(d->loads, (uintptr_t)name, (uintptr_t)spec) : NULL;
	void **at;
	int r;

	if (l)
		return l;
	l = arena_alloc(&d->arena, sizeof *l);
	if (!l) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	l->name = name;
	l->spec = spec;
	if (spec->good && spec->type <= SPEC_TAG)
		r = load_registry(d, l);
	else
		r = load_other(d, l, where);
	if (r == 0 && !keep)
		return l;
	at = r == 0 ? table_at(d->loads, (uintptr_t)name, (uintptr_t)spec) : NULL;
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	*at = l;
	return l;
}

/* ---- manifests that are no registry's ---- */

static const struct {
	const char *key;
	enum dep_section section;
} sections[] = {
	{ "dependencies", SECTION_PROD },
	{ "devDependencies", SECTION_DEV },
	{ "optionalDependencies", SECTION_OPTIONAL },
	{ "peerDependencies", SECTION_PEER },
};

static bool read_deps(struct ideal *d, struct ipkg *pkg, const cJSON *mani)
{
	const cJSON *optional = json_get(mani, "optionalDependencies");
	const cJSON *meta = json_get(mani, "peerDependenciesMeta"), *m;
	struct idep *deps;
	size_t most = 1;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		most += (size_t)cJSON_GetArraySize(json_get(mani, sections[i].key));
	deps = most <= GRAPH_DEPS_MAX ? arena_array(&d->arena, most, sizeof *deps) : NULL;
	if (!deps)
		return false;
	pkg->deps = deps;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		cJSON_ArrayForEach(m, json_get(mani, sections[i].key))
		{
			if (!cJSON_IsString(m) || !m->string ||
			    (sections[i].section == SECTION_PROD && !d->settled &&
			     json_get(optional, m->string)))
				continue;
			*deps = (struct idep){ .name = ideal_name(d, m->string),
					       .spec = ideal_spec_of(d, m->valuestring),
					       .section = (uint8_t)sections[i].section };
			if (!deps->name || !deps->spec)
				return false;
			if (sections[i].section == SECTION_PEER)
				deps->peer_optional =
					json_true(json_get(meta, m->string), "optional");
			deps++;
		}
	}
	pkg->dep_count = (uint32_t)(deps - pkg->deps);
	return true;
}

/* The entry's other members: of a package.json as npm would write them. */
static int rest_of(struct ideal *d, const cJSON *mani, bool is_file, const char **ret,
		   struct err *e)
{
	static const char *const said[] = { "name",
					    "version",
					    "resolved",
					    "integrity",
					    "link",
					    "inBundle",
					    "dependencies",
					    "optionalDependencies",
					    "devDependencies",
					    "peerDependencies",
					    "dev",
					    "optional",
					    "devOptional",
					    "peer",
					    "extraneous",
					    "hasShrinkwrap",
					    NULL };
	auto_json cJSON *made = NULL;
	int r = 0;

	if (is_file) {
		made = cJSON_CreateObject();
		if (!made)
			return err_set(e, -ENOMEM, "out of memory");
		r = published_entry(&d->arena, made, mani, NULL, e);
	}
	return r < 0 ? r : entry_canonical(&d->arena, made ? made : mani, said, ret, e);
}

struct ipkg *ideal_pkg_of(struct ideal *d, const cJSON *mani, const char *fallback_name,
			  bool is_file, struct err *e)
{
	struct ipkg *pkg = arena_alloc(&d->arena, sizeof *pkg);
	const char *name = json_str(mani, "name"), *version = json_str(mani, "version");
	const char *resolved = json_str(mani, "resolved"), *sri = json_str(mani, "integrity");

	if (!pkg)
		return NULL;
	name = name && *name ? name : fallback_name;
	pkg->name = name ? ideal_name(d, name) : NULL;
	pkg->version = arena_strdup(&d->arena, version ? version : "");
	if (!pkg->version || !read_deps(d, pkg, mani) ||
	    rest_of(d, mani, is_file, &pkg->rest, e) < 0)
		return NULL;
	pkg->v_good = semver_parse(&pkg->v, slice_str(pkg->version), SEMVER_LOOSE) == 0;
	pkg->file = is_file;
	pkg->empty_dev = is_file && cJSON_IsObject(json_get(mani, "devDependencies")) &&
			 !json_get(mani, "devDependencies")->child;
	if (!is_file) {
		pkg->resolved = resolved ? arena_strdup(&d->arena, resolved) : NULL;
		pkg->integrity = sri ? arena_strdup(&d->arena, sri) : NULL;
		pkg->shrinkwrap = json_true(mani, "hasShrinkwrap");
	}
	return *pkg->rest && !read_rest(d, pkg) ? NULL : pkg;
}
