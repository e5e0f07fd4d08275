#include "lock/manifest_deps.h"

#include "lock/collate.h"
#include "lock/manifest_edit.h"
#include "lock/npmlock.h"
#include "lock/npmlock_priv.h"
#include "lock/semver.h"

/* In npm's order of looking where a name stands. */
static const struct {
	enum deps_save how;
	const char *section;
} sections[] = {
	{ DEPS_DEV, "devDependencies" },
	{ DEPS_OPTIONAL, "optionalDependencies" },
	{ DEPS_PROD, "dependencies" },
	{ DEPS_PEER, "peerDependencies" },
};

static const char *section_of(enum deps_save how)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (sections[i].how == how)
			return sections[i].section;
	}
	return "peerDependencies";
}

/* ---- members ---- */

static cJSON *member(const cJSON *obj, const char *key)
{
	return (cJSON *)json_get(obj, key);
}

static void drop(cJSON *obj, const char *key)
{
	while (member(obj, key))
		cJSON_DeleteItemFromObjectCaseSensitive(obj, key);
}

static int put(cJSON *obj, const char *key, cJSON *value)
{
	bool there = member(obj, key);

	if (value && (there ? cJSON_ReplaceItemInObjectCaseSensitive(obj, key, value)
			    : cJSON_AddItemToObject(obj, key, value)))
		return 0;
	cJSON_Delete(value);
	return -ENOMEM;
}

static int put_str(cJSON *obj, const char *key, const char *value)
{
	return put(obj, key, cJSON_CreateString(value));
}

static bool has(const cJSON *pkg, const char *section, const char *name)
{
	return member(member(pkg, section), name);
}

/* npm's deleteSubKey(). */
static bool leave(cJSON *pkg, const char *section, const char *name)
{
	cJSON *list = member(pkg, section), *meta = member(pkg, "peerDependenciesMeta");

	if (!has(pkg, section, name))
		return false;
	drop(list, name);
	if (strcmp(section, "peerDependencies") == 0 && meta) {
		drop(meta, name);
		if (!meta->child)
			drop(pkg, "peerDependenciesMeta");
	}
	if (!list->child)
		drop(pkg, section);
	return true;
}

static bool lists(const cJSON *array, const char *name)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, array)
	{
		if (cJSON_IsString(m) && strcmp(m->valuestring, name) == 0)
			return true;
	}
	return false;
}

/* ---- as npm reads it ---- */

static int keys_of(cJSON *pkg, const cJSON *obj)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *m;

	cJSON_ArrayForEach(m, obj)
	{
		cJSON *s = cJSON_CreateString(m->string);

		if (!s || !cJSON_AddItemToArray(list, s)) {
			cJSON_Delete(s);
			cJSON_Delete(list);
			return -ENOMEM;
		}
	}
	return put(pkg, "bundleDependencies", list);
}

static int normalize_bundle(cJSON *pkg)
{
	cJSON *b = member(pkg, "bundleDependencies");

	if (!b && member(pkg, "bundledDependencies")) {
		b = cJSON_Duplicate(member(pkg, "bundledDependencies"), true);
		if (!b || put(pkg, "bundleDependencies", b) < 0)
			return -ENOMEM;
		b = member(pkg, "bundleDependencies");
	}
	drop(pkg, "bundledDependencies");
	if (!b || cJSON_IsArray(b))
		return 0;
	if (cJSON_IsFalse(b))
		return put(pkg, "bundleDependencies", cJSON_CreateArray());
	if (cJSON_IsTrue(b))
		return keys_of(pkg, member(pkg, "dependencies"));
	if (cJSON_IsObject(b))
		return keys_of(pkg, b);
	drop(pkg, "bundleDependencies");
	return 0;
}

int deps_normalize(cJSON *pkg)
{
	cJSON *prod = member(pkg, "dependencies");
	const cJSON *optional = member(pkg, "optionalDependencies"), *m;
	int r = normalize_bundle(pkg);

	if (r < 0 || !cJSON_IsObject(prod) || !cJSON_IsObject(optional))
		return r;
	cJSON_ArrayForEach(m, optional) drop(prod, m->string);
	if (!prod->child)
		drop(pkg, "dependencies");
	return 0;
}

/* ---- changes ---- */

static enum deps_save found(const cJSON *pkg, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (!has(pkg, sections[i].section, name))
			continue;
		if (sections[i].how == DEPS_PEER &&
		    json_true(json_get(json_get(pkg, "peerDependenciesMeta"), name), "optional"))
			return DEPS_PEER_OPTIONAL;
		return sections[i].how;
	}
	return DEPS_PROD;
}

/* Out of the lists that it may not stand in besides. */
static void leave_others(cJSON *pkg, const char *name, enum deps_save how)
{
	if (how == DEPS_PROD)
		(void)leave(pkg, "devDependencies", name);
	if (how == DEPS_PROD || how == DEPS_OPTIONAL)
		(void)leave(pkg, "peerDependencies", name);
	if (how == DEPS_DEV || how == DEPS_PEER || how == DEPS_PEER_OPTIONAL)
		(void)leave(pkg, "dependencies", name);
	if (how == DEPS_PEER || how == DEPS_PEER_OPTIONAL)
		(void)leave(pkg, "optionalDependencies", name);
}

static int object(cJSON *pkg, const char *key, cJSON **ret)
{
	int r = member(pkg, key) ? 0 : put(pkg, key, cJSON_CreateObject());

	if (r == 0)
		*ret = member(pkg, key);
	return r;
}

static int say_optional(cJSON *pkg, const char *name, bool optional)
{
	cJSON *meta = NULL, *own = NULL;
	int r;

	if (!optional &&
	    !json_true(json_get(json_get(pkg, "peerDependenciesMeta"), name), "optional"))
		return 0;
	r = object(pkg, "peerDependenciesMeta", &meta);
	if (r == 0)
		r = object(meta, name, &own);
	return r == 0 ? put(own, "optional", cJSON_CreateBool(optional)) : r;
}

static int add_peer(cJSON *pkg, const char *name, bool optional)
{
	cJSON *dev = member(pkg, "devDependencies");
	const char *spec = json_str(json_get(pkg, "peerDependencies"), name);
	int r = say_optional(pkg, name, optional);

	return r == 0 && has(pkg, "devDependencies", name) ? put_str(dev, name, spec ? spec : "*")
							   : r;
}

static int by_alphabet(const void *a, const void *b)
{
	return collate(slice_str(*(const char *const *)a), slice_str(*(const char *const *)b));
}

/* Sorted, each once. */
static int add_bundled(cJSON *pkg, const char *name)
{
	const cJSON *old = json_get(pkg, "bundleDependencies"), *m;
	auto_free const char **names = calloc((size_t)cJSON_GetArraySize(old) + 1, sizeof *names);
	cJSON *list;
	int n = 0;

	if (lists(old, name))
		return 0;
	if (!names)
		return -ENOMEM;
	names[n++] = name;
	cJSON_ArrayForEach(m, old)
	{
		if (cJSON_IsString(m))
			names[n++] = m->valuestring;
	}
	qsort(names, (size_t)n, sizeof *names, by_alphabet);
	list = cJSON_CreateStringArray(names, n);
	return list ? put(pkg, "bundleDependencies", list) : -ENOMEM;
}

int deps_add(cJSON *pkg, const char *name, const char *spec, enum deps_save how, bool bundle)
{
	bool peer;
	cJSON *list = NULL, *prod = NULL;
	int r;

	if (how == DEPS_AS_IS)
		how = found(pkg, name);
	peer = how == DEPS_PEER || how == DEPS_PEER_OPTIONAL;
	leave_others(pkg, name, how);
	r = object(pkg, section_of(how), &list);
	if (r == 0 && (strcmp(spec, "*") != 0 || !member(list, name)))
		r = put_str(list, name, spec);
	/* npm says it twice in memory, for older ones, and in the lock. */
	if (r == 0 && how == DEPS_OPTIONAL)
		r = object(pkg, "dependencies", &prod);
	if (r == 0 && prod)
		r = put_str(prod, name, json_str(list, name) ? json_str(list, name) : "*");
	if (r == 0 && peer)
		r = add_peer(pkg, name, how == DEPS_PEER_OPTIONAL);
	return r == 0 && bundle && !peer ? add_bundled(pkg, name) : r;
}

bool deps_remove(cJSON *pkg, const char *name)
{
	cJSON *bundled = member(pkg, "bundleDependencies");
	bool was = false;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		was |= leave(pkg, sections[i].section, name);
	for (int i = cJSON_GetArraySize(bundled); i-- > 0;) {
		const cJSON *m = cJSON_GetArrayItem(bundled, i);

		if (cJSON_IsString(m) && strcmp(m->valuestring, name) == 0)
			cJSON_DeleteItemFromArray(bundled, i);
	}
	if (bundled && !bundled->child)
		drop(pkg, "bundleDependencies");
	return was;
}

/* What is no range intersects with nothing. */
static bool intersects(const char *a, const char *b)
{
	auto_range struct semver_range x = { 0 }, y = { 0 };

	return b && semver_range_parse(&x, slice_str(a), 0) == 0 &&
	       semver_range_parse(&y, slice_str(b), 0) == 0 && semver_range_intersects(&x, &y);
}

static int set_if(cJSON *pkg, const char *section, const char *name, const char *spec)
{
	return has(pkg, section, name) ? put_str(member(pkg, section), name, spec) : 0;
}

int deps_settle(cJSON *pkg, const char *name, const char *spec, enum deps_save how, bool local)
{
	static const char *const others[] = { "peerDependencies", "optionalDependencies" };
	cJSON *list = NULL;
	bool dev = has(pkg, "devDependencies", name);
	int r;

	if (how != DEPS_AS_IS) {
		r = object(pkg, section_of(how), &list);
		if (r == 0)
			r = put_str(list, name, spec);
		if (how == DEPS_PROD && member(pkg, "optionalDependencies"))
			drop(member(pkg, "optionalDependencies"), name);
		return r;
	}
	r = set_if(pkg, "dependencies", name, spec);
	if (r == 0)
		r = set_if(pkg, "devDependencies", name, spec);
	for (size_t i = 0; i < ARRAY_LEN(others) && r == 0; i++) {
		/* Beside a dev dependency they stay if they still fit. */
		if (!dev || local || !intersects(spec, json_str(json_get(pkg, others[i]), name)))
			r = set_if(pkg, others[i], name, spec);
	}
	return r;
}

/* ---- the text ---- */

struct rewriting {
	char *text; /* owned */
	size_t len;
	const cJSON *before; /* the file, */
	const cJSON *pkg;    /* what it is to say */
	struct err *e;
};

static int rewrite(struct rewriting *w, struct buf *b, int r)
{
	if (r < 0)
		return r;
	free(w->text);
	w->len = b->len;
	w->text = buf_steal_str(b);
	return w->text ? 0 : err_set(w->e, -ENOMEM, "out of memory");
}

static int set(struct rewriting *w, const char *section, const char *name, const char *spec)
{
	auto_buf struct buf b = BUF_INIT(MANIFEST_SIZE_MAX);
	struct slice text = { (const uint8_t *)w->text, w->len };

	return rewrite(w, &b, manifest_edit(&b, text, section, name, spec, w->e));
}

static int set_list(struct rewriting *w, const char *key, const cJSON *list)
{
	auto_buf struct buf b = BUF_INIT(MANIFEST_SIZE_MAX);
	struct slice text = { (const uint8_t *)w->text, w->len };

	return rewrite(w, &b, manifest_edit_list(&b, text, key, list, w->e));
}

/* What the file is to say of a name in a section; NULL: nothing. What is optional stands there
 * alone; what was a peer and a dependency stays both. */
static const char *wanted(const struct rewriting *w, const char *section, const char *name)
{
	const char *now = json_str(json_get(w->pkg, section), name);
	const char *peer = json_str(json_get(w->pkg, "peerDependencies"), name);

	if (strcmp(section, "dependencies") != 0)
		return now;
	if (peer && has(w->before, "dependencies", name) &&
	    has(w->before, "peerDependencies", name))
		return peer;
	return has(w->pkg, "optionalDependencies", name) ? NULL : now;
}

/* What it says more, or otherwise. */
static int put_section(struct rewriting *w, const char *section)
{
	const cJSON *before = json_get(w->before, section), *now = json_get(w->pkg, section), *m;
	int r = 0;

	for (int pass = 0; pass < 2; pass++) {
		/* What it has, then what it had as a dependency that is a peer now. */
		const cJSON *list = pass ? before : now;

		cJSON_ArrayForEach(m, list)
		{
			const char *spec = m->string ? wanted(w, section, m->string) : NULL;
			const char *old = spec ? json_str(before, m->string) : NULL;

			if (r == 0 && spec && !(old && strcmp(old, spec) == 0))
				r = set(w, section, m->string, spec);
		}
	}
	return r;
}

/* What it says no more. An empty section goes, too. */
static int cut_section(struct rewriting *w, const char *section)
{
	const cJSON *before = json_get(w->before, section), *now = json_get(w->pkg, section), *m;
	int r = 0;

	cJSON_ArrayForEach(m, before)
	{
		bool odd = !cJSON_IsString(m) && m->string && json_get(now, m->string);

		if (r == 0 && m->string && !odd && !wanted(w, section, m->string))
			r = set(w, section, m->string, NULL);
	}
	if (r == 0 && cJSON_IsObject(before) && !before->child && !(now && now->child))
		r = set_list(w, section, NULL);
	return r;
}

static int rewrite_bundle(struct rewriting *w)
{
	const cJSON *now = json_get(w->pkg, "bundleDependencies");
	const cJSON *before = json_get(w->before, "bundleDependencies");

	if ((!now && !before) || (now && before && cJSON_Compare(now, before, true)) ||
	    (now && !before &&
	     cJSON_Compare(now, json_get(w->before, "bundledDependencies"), true)))
		return 0;
	return set_list(w, "bundleDependencies", now);
}

/* The last lines as npm writes them. */
static void put_whole(struct buf *ret, const struct rewriting *w, struct json_style style)
{
	struct slice text = { (const uint8_t *)w->text, w->len };

	if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0)
		text = (struct slice){ text.ptr + 3, text.len - 3 };
	while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
		text.len--;
	buf_add(ret, text.ptr, text.len);
	if (!style.no_final_newline)
		buf_addstr(ret, style.crlf ? "\r\n" : "\n");
}

static void rewriting_release(struct rewriting *w)
{
	free(w->text);
}

int deps_text(struct buf *ret, struct slice text, const cJSON *pkg, struct err *e)
{
	static const char *const order[] = { "dependencies", "optionalDependencies",
					     "devDependencies", "peerDependencies" };
	auto_json cJSON *before = NULL;
	struct rewriting w cleanup(rewriting_release) = { .pkg = pkg, .len = text.len, .e = e };
	int r = json_parse(&before, text, e);

	if (r < 0)
		return err_wrap(e, r, "package.json");
	w.before = before;
	w.text = strndup((const char *)text.ptr, text.len);
	if (!w.text)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(order) && r == 0; i++)
		r = put_section(&w, order[i]);
	for (size_t i = 0; i < ARRAY_LEN(order) && r == 0; i++)
		r = cut_section(&w, order[i]);
	if (r == 0)
		r = rewrite_bundle(&w);
	if (r < 0)
		return r;
	if (w.len == text.len && memcmp(w.text, text.ptr, text.len) == 0)
		buf_add(ret, text.ptr, text.len);
	else
		put_whole(ret, &w, npmlock_style(text));
	return buf_error(ret) ? err_set(e, buf_error(ret), "no memory for package.json") : 0;
}
