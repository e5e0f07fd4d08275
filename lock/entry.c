#include "lock/entry.h"

#include "lock/render.h"

/* Members that a reader knows, in the order of strcmp: they are found by bisection. */
enum field {
	F_ACCEPT,
	F_BIN,
	F_BUNDLE,
	F_BUNDLED,
	F_CPU,
	F_DEPS,
	F_DEV,
	F_DEV_DEPS,
	F_DEV_OPTIONAL,
	F_ENGINES,
	F_EXTRANEOUS,
	F_SCRIPT,
	F_SHRINKWRAP,
	F_IN_BUNDLE,
	F_INTEGRITY,
	F_LIBC,
	F_LINK,
	F_NAME,
	F_OPTIONAL,
	F_OPTIONAL_DEPS,
	F_OS,
	F_PEER,
	F_PEER_DEPS,
	F_PEER_META,
	F_RESOLVED,
	F_SCRIPTS,
	F_VERSION,
	FIELDS,
};

static const char *const field_names[FIELDS] = {
	[F_ACCEPT] = "acceptDependencies",
	[F_BIN] = "bin",
	[F_BUNDLE] = "bundleDependencies",
	[F_BUNDLED] = "bundledDependencies",
	[F_CPU] = "cpu",
	[F_DEPS] = "dependencies",
	[F_DEV] = "dev",
	[F_DEV_DEPS] = "devDependencies",
	[F_DEV_OPTIONAL] = "devOptional",
	[F_ENGINES] = "engines",
	[F_EXTRANEOUS] = "extraneous",
	[F_SCRIPT] = "hasInstallScript",
	[F_SHRINKWRAP] = "hasShrinkwrap",
	[F_IN_BUNDLE] = "inBundle",
	[F_INTEGRITY] = "integrity",
	[F_LIBC] = "libc",
	[F_LINK] = "link",
	[F_NAME] = "name",
	[F_OPTIONAL] = "optional",
	[F_OPTIONAL_DEPS] = "optionalDependencies",
	[F_OS] = "os",
	[F_PEER] = "peer",
	[F_PEER_DEPS] = "peerDependencies",
	[F_PEER_META] = "peerDependenciesMeta",
	[F_RESOLVED] = "resolved",
	[F_SCRIPTS] = "scripts",
	[F_VERSION] = "version",
};

static int field_of(const char *key)
{
	int lo = 0, hi = FIELDS;

	while (lo < hi) {
		int mid = (lo + hi) / 2, c = strcmp(key, field_names[mid]);

		if (c == 0)
			return mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

static void members(const cJSON *j, const cJSON *f[FIELDS])
{
	const cJSON *m;

	memset(f, 0, FIELDS * sizeof *f);
	cJSON_ArrayForEach(m, j)
	{
		int i = m->string ? field_of(m->string) : -1;

		if (i >= 0)
			f[i] = m;
	}
}

static bool truthy(const cJSON *j)
{
	if (!j || cJSON_IsNull(j) || cJSON_IsFalse(j))
		return false;
	if (cJSON_IsNumber(j))
		return j->valuedouble != 0;
	return !cJSON_IsString(j) || j->valuestring[0];
}

/* What is being read, passed along. */
struct reader {
	struct graph *g;
	struct graph_node *n;
	const char *what;
	struct err *e;
};

static int no_memory(const struct reader *r)
{
	return err_set(r->e, arena_error(&r->g->arena), "%.100s: no memory", r->what);
}

/* A string, or nothing when it is absent, null or empty. */
static int get_text(const struct reader *r, const cJSON *j, const char **ret)
{
	*ret = NULL;
	if (!truthy(j))
		return 0;
	if (!cJSON_IsString(j))
		return err_set(r->e, -EINVAL, "%.100s: \"%.30s\" is not a string", r->what,
			       j->string);
	*ret = arena_strdup(&r->g->arena, j->valuestring);
	return *ret ? 0 : no_memory(r);
}

/* A list of strings; a string is a list of one, other values are none. */
static int get_list(const struct reader *r, const cJSON *j, struct graph_strings *ret)
{
	const cJSON *item;
	const char **items;
	uint32_t n = 0;
	int size = cJSON_IsString(j) ? 1 : cJSON_IsArray(j) ? cJSON_GetArraySize(j) : 0;

	*ret = (struct graph_strings){ .given = cJSON_IsString(j) || cJSON_IsArray(j) };
	if (size == 0)
		return 0;
	if (size > (int)GRAPH_DEPS_MAX)
		return err_set(r->e, -E2BIG, "%.100s: \"%.30s\" has %d items, more than %u",
			       r->what, j->string, size, GRAPH_DEPS_MAX);
	items = arena_array(&r->g->arena, (size_t)size, sizeof *items);
	if (!items)
		return no_memory(r);
	if (cJSON_IsString(j)) {
		items[n++] = arena_strdup(&r->g->arena, j->valuestring);
	} else {
		cJSON_ArrayForEach(item, j)
		{
			if (cJSON_IsString(item))
				items[n++] = arena_strdup(&r->g->arena, item->valuestring);
		}
	}
	ret->items = items;
	ret->count = n;
	return arena_error(&r->g->arena) ? no_memory(r) : 0;
}

/* The keys of an object, and their values too where `values`. */
static int get_keys(const struct reader *r, const cJSON *j, bool values, struct graph_strings *ret)
{
	uint32_t n = 0, size = cJSON_IsObject(j) ? (uint32_t)cJSON_GetArraySize(j) : 0;
	const char **items;
	const cJSON *m;

	*ret = (struct graph_strings){ .given = cJSON_IsObject(j) };
	if (size == 0)
		return 0;
	if (size > GRAPH_DEPS_MAX)
		return err_set(r->e, -E2BIG, "%.100s: \"%.30s\" has %u members, more than %u",
			       r->what, j->string, size, GRAPH_DEPS_MAX);
	items = arena_array(&r->g->arena, (size_t)size * 2, sizeof *items);
	if (!items)
		return no_memory(r);
	cJSON_ArrayForEach(m, j)
	{
		if (values && !cJSON_IsString(m))
			continue;
		items[n++] = arena_strdup(&r->g->arena, m->string);
		if (values)
			items[n++] = arena_strdup(&r->g->arena, m->valuestring);
	}
	ret->items = items;
	ret->count = n;
	return arena_error(&r->g->arena) ? no_memory(r) : 0;
}

static int get_bundled(const struct reader *r, const cJSON *f[FIELDS])
{
	const cJSON *j = f[F_BUNDLE] ? f[F_BUNDLE] : f[F_BUNDLED];

	if (cJSON_IsTrue(j))
		return get_keys(r, f[F_DEPS], false, &r->n->bundled);
	if (cJSON_IsObject(j))
		return get_keys(r, j, false, &r->n->bundled);
	return get_list(r, cJSON_IsArray(j) ? j : NULL, &r->n->bundled);
}

static const struct {
	enum field field;
	enum dep_section section;
} sections[] = {
	{ F_DEPS, SECTION_PROD },
	{ F_DEV_DEPS, SECTION_DEV },
	{ F_OPTIONAL_DEPS, SECTION_OPTIONAL },
	{ F_PEER_DEPS, SECTION_PEER },
};

static int add_section(const struct reader *r, const cJSON *j, enum dep_section section,
		       struct graph_dep *deps)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, j)
	{
		struct graph_dep *d = &deps[r->n->dep_count];

		if (!cJSON_IsString(m))
			return err_set(r->e, -EINVAL,
				       "%.100s: the dependency \"%.60s\" has no string for a range",
				       r->what, m->string);
		d->name = arena_strdup(&r->g->arena, m->string);
		d->spec = arena_strdup(&r->g->arena, m->valuestring);
		d->section = (uint8_t)section;
		if (!d->name || !d->spec)
			return no_memory(r);
		r->n->dep_count++;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* peerDependenciesMeta: sorted once, since both lists may be long. */
static int mark_peers(const struct reader *r, const cJSON *meta, struct graph_dep *deps)
{
	auto_free const char **names = NULL;
	const cJSON *m;
	size_t n = 0;

	if (!cJSON_IsObject(meta) || !meta->child)
		return 0;
	names = calloc((size_t)cJSON_GetArraySize(meta), sizeof *names);
	if (!names)
		return err_set(r->e, -ENOMEM, "%.100s: no memory", r->what);
	cJSON_ArrayForEach(m, meta)
	{
		if (json_true(m, "optional"))
			names[n++] = m->string;
	}
	qsort(names, n, sizeof *names, by_name);
	for (uint32_t i = 0; i < r->n->dep_count; i++) {
		if (deps[i].section == SECTION_PEER && n)
			deps[i].peer_optional =
				bsearch(&deps[i].name, names, n, sizeof *names, by_name) != NULL;
	}
	return 0;
}

static int get_deps(const struct reader *r, const cJSON *f[FIELDS])
{
	struct graph_dep *deps;
	size_t total = 0;
	int rc;

	r->n->deps = NULL;
	r->n->dep_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (cJSON_IsObject(f[sections[i].field]))
			total += (size_t)cJSON_GetArraySize(f[sections[i].field]);
	}
	if (total == 0)
		return 0;
	if (total > GRAPH_DEPS_MAX)
		return err_set(r->e, -E2BIG, "%.100s: %zu dependencies, more than %u", r->what,
			       total, GRAPH_DEPS_MAX);
	deps = arena_array(&r->g->arena, total, sizeof *deps);
	if (!deps)
		return no_memory(r);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (!cJSON_IsObject(f[sections[i].field]))
			continue;
		rc = add_section(r, f[sections[i].field], sections[i].section, deps);
		if (rc < 0)
			return rc;
	}
	r->n->deps = deps;
	return mark_peers(r, f[F_PEER_META], deps);
}

static int get_engines(const struct reader *r, const cJSON *j)
{
	int rc = 0;

	r->n->engine_node = r->n->engine_npm = NULL;
	if (!cJSON_IsObject(j))
		return 0;
	if (json_str(j, "node"))
		rc = get_text(r, json_get(j, "node"), &r->n->engine_node);
	if (rc == 0 && json_str(j, "npm"))
		rc = get_text(r, json_get(j, "npm"), &r->n->engine_npm);
	return rc;
}

static bool has_install_script(const cJSON *f[FIELDS])
{
	return truthy(f[F_SCRIPT]) || json_true(f[F_SCRIPTS], "install") ||
	       json_true(f[F_SCRIPTS], "preinstall") || json_true(f[F_SCRIPTS], "postinstall");
}

static int read_lock_fields(const struct reader *r, const cJSON *f[FIELDS])
{
	int rc = get_text(r, f[F_RESOLVED], &r->n->resolved);

	if (rc == 0)
		rc = get_text(r, f[F_INTEGRITY], &r->n->integrity);
	r->n->flags &= ~(uint32_t)(NODE_LINK | NODE_IN_BUNDLE | NODE_HAS_SHRINKWRAP);
	if (truthy(f[F_LINK]))
		r->n->flags |= NODE_LINK;
	if (truthy(f[F_IN_BUNDLE]))
		r->n->flags |= NODE_IN_BUNDLE;
	if (truthy(f[F_SHRINKWRAP]))
		r->n->flags |= NODE_HAS_SHRINKWRAP;
	return rc;
}

static int read_common_fields(const struct reader *r, const cJSON *f[FIELDS])
{
	int rc = get_text(r, f[F_NAME], &r->n->pkg_name);

	if (rc == 0)
		rc = get_text(r, f[F_VERSION], &r->n->version);
	if (rc == 0)
		rc = get_list(r, f[F_OS], &r->n->os);
	if (rc == 0)
		rc = get_list(r, f[F_CPU], &r->n->cpu);
	if (rc == 0)
		rc = get_list(r, f[F_LIBC], &r->n->libc);
	if (rc == 0)
		rc = get_engines(r, f[F_ENGINES]);
	if (rc == 0)
		rc = get_deps(r, f);
	if (rc == 0)
		rc = get_bundled(r, f);
	if (rc == 0)
		rc = get_keys(r, f[F_ACCEPT], true, &r->n->accept);
	return rc;
}

int entry_read(struct graph *g, struct graph_node *n, const cJSON *j, enum bins_source from,
	       const char *what, struct err *e)
{
	const struct reader r = { g, n, what, e };
	const cJSON *f[FIELDS];
	const char *bin_name;
	int rc;

	members(j, f);
	rc = read_common_fields(&r, f);
	if (rc == 0 && from == BINS_LOCK)
		rc = read_lock_fields(&r, f);
	if (rc < 0)
		return rc;
	n->flags &= ~(uint32_t)NODE_HAS_SCRIPT;
	if (has_install_script(f))
		n->flags |= NODE_HAS_SCRIPT;
	bin_name = n->pkg_name ? n->pkg_name : graph_folder_name(n->path);
	rc = bins_normalize(&g->arena, f[F_BIN], bin_name, from, &n->bins, &n->bin_count, e);
	return rc < 0 ? err_wrap(e, rc, "%.100s", what) : 0;
}

/* A member on its way into a residue; `order` makes of equal keys the last one win. */
struct member {
	const cJSON *j;
	size_t order;
};

static int by_key(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int c = strcmp(x->j->string, y->j->string);

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int by_npm(const void *a, const void *b)
{
	const cJSON *x = ((const struct member *)a)->j, *y = ((const struct member *)b)->j;

	return render_order(slice_str(x->string), cJSON_IsObject(x), slice_str(y->string),
			    cJSON_IsObject(y));
}

/* Of equal keys only the last stays; the rest in npm's order. Returns how many. */
static size_t sort_members(struct member *m, size_t n)
{
	size_t kept = 0;

	if (n < 2)
		return n;
	qsort(m, n, sizeof *m, by_key);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 == n || strcmp(m[i].j->string, m[i + 1].j->string) != 0)
			m[kept++] = m[i];
	}
	qsort(m, kept, sizeof *m, by_npm);
	return kept;
}

static void put_canonical(struct buf *b, const cJSON *j);

static void put_members(struct buf *b, struct member *m, size_t n)
{
	const char *sep = "";

	n = sort_members(m, n);
	buf_addstr(b, "{");
	for (size_t i = 0; i < n; i++) {
		buf_addstr(b, sep);
		json_put_str(b, m[i].j->string);
		buf_addstr(b, ":");
		put_canonical(b, m[i].j);
		sep = ",";
	}
	buf_addstr(b, "}");
}

/* As deep as JSON_DEPTH_MAX, no deeper. */
static void put_canonical(struct buf *b, const cJSON *j)
{
	auto_free struct member *m = NULL;
	const char *sep = "";
	const cJSON *item;
	size_t n = 0;

	if (cJSON_IsArray(j)) {
		buf_addstr(b, "[");
		cJSON_ArrayForEach(item, j)
		{
			buf_addstr(b, sep);
			put_canonical(b, item);
			sep = ",";
		}
		buf_addstr(b, "]");
		return;
	}
	if (!cJSON_IsObject(j)) {
		json_put(b, j);
		return;
	}
	m = calloc((size_t)cJSON_GetArraySize(j) + 1, sizeof *m);
	if (!m) {
		b->error = b->error ? b->error : -ENOMEM;
		return;
	}
	cJSON_ArrayForEach(item, j)
	{
		m[n] = (struct member){ item, n };
		n++;
	}
	put_members(b, m, n);
}

/* Does a section print back from deps: a filled object, no name twice? (That its values are
 * strings, entry_read() has seen to.) */
static bool section_prints_back(const cJSON *j)
{
	auto_free const char **names = NULL;
	const cJSON *m;
	bool ascending = true;
	size_t n = 0;

	if (!cJSON_IsObject(j) || !j->child)
		return false;
	for (m = j->child; m->next && ascending; m = m->next)
		ascending = strcmp(m->string, m->next->string) < 0;
	if (ascending)
		return true;
	names = calloc((size_t)cJSON_GetArraySize(j), sizeof *names);
	if (!names)
		return false;
	cJSON_ArrayForEach(m, j) names[n++] = m->string;
	qsort(names, n, sizeof *names, by_name);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return false;
	}
	return true;
}

static bool list_prints_back(const cJSON *j)
{
	const cJSON *item;

	if (!cJSON_IsArray(j) || !j->child)
		return false;
	cJSON_ArrayForEach(item, j)
	{
		if (!cJSON_IsString(item))
			return false;
	}
	return true;
}

/* Is this member said by n's fields (or computed), so that the residue need not say it? */
static bool said_by_fields(const struct graph_node *n, int field, const cJSON *j)
{
	switch (field) {
	case F_DEV:
	case F_DEV_OPTIONAL:
	case F_EXTRANEOUS:
	case F_OPTIONAL:
	case F_PEER:
		return true;
	default:
		break;
	}
	if (n->flags & NODE_TOP)
		return false;
	switch (field) {
	case F_NAME:
		return n->pkg_name && cJSON_IsString(j) && strcmp(n->pkg_name, n->name) != 0;
	case F_VERSION:
	case F_RESOLVED:
	case F_INTEGRITY:
		return cJSON_IsString(j) && j->valuestring[0];
	case F_LINK:
	case F_IN_BUNDLE:
	case F_SCRIPT:
	case F_SHRINKWRAP:
		return cJSON_IsTrue(j);
	case F_DEPS:
	case F_DEV_DEPS:
	case F_OPTIONAL_DEPS:
	case F_PEER_DEPS:
		return section_prints_back(j);
	case F_BIN:
		return bins_equal(j, n->bins, n->bin_count);
	case F_OS:
	case F_CPU:
	case F_LIBC:
	case F_BUNDLE:
		return list_prints_back(j);
	default:
		return false;
	}
}

static int finish(struct arena *a, struct member *m, size_t n, const char **ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT((size_t)64 << 20);
	const char *text = "";
	int r;

	if (n) {
		put_members(&b, m, n);
		r = buf_error(&b);
		if (r < 0)
			return err_set(e, r, "no memory for what the lock says besides");
		text = arena_strndup(a, b.data, b.len);
		if (!text)
			return err_set(e, arena_error(a), "no memory for the lock's entries");
	}
	*ret = text;
	return 0;
}

#define MEMBERS_INLINE 32 /* real entries have below twenty members */

/* keep(arg, member) chooses. */
static int canonical(struct arena *a, const cJSON *obj, bool (*keep)(const void *, const cJSON *),
		     const void *arg, const char **ret, struct err *e)
{
	struct member few[MEMBERS_INLINE], *m = few;
	auto_free struct member *many = NULL;
	const cJSON *item;
	size_t n = 0, seen = 0;

	cJSON_ArrayForEach(item, obj) seen += keep(arg, item);
	if (seen > MEMBERS_INLINE) {
		m = many = calloc(seen, sizeof *m);
		if (!m)
			return err_set(e, -ENOMEM, "no memory for the lock's entries");
	}
	cJSON_ArrayForEach(item, obj)
	{
		if (keep(arg, item)) {
			m[n] = (struct member){ item, n };
			n++;
		}
	}
	return finish(a, m, n, ret, e);
}

static bool not_said(const void *arg, const cJSON *member)
{
	return !said_by_fields(arg, field_of(member->string), member);
}

int entry_residue(struct graph *g, const struct graph_node *n, const cJSON *j, const char **ret,
		  struct err *e)
{
	return canonical(&g->arena, j, not_said, n, ret, e);
}

static bool not_dropped(const void *arg, const cJSON *member)
{
	for (const char *const *d = arg; *d; d++) {
		if (strcmp(*d, member->string) == 0)
			return false;
	}
	return true;
}

int entry_canonical(struct arena *a, const cJSON *obj, const char *const *drop, const char **ret,
		    struct err *e)
{
	return canonical(a, obj, not_dropped, drop, ret, e);
}
