#include "lock/merge.h"

#include "lock/json.h"
#include "lock/render.h"

/* A lock's entries: the object "packages" of what it prints as. */
static int entries_of(const struct graph *g, cJSON **ret_whole, const cJSON **ret, struct err *e)
{
	auto_buf struct buf text = BUF_INIT((size_t)256 << 20);
	int r;

	*ret = NULL;
	if (!g)
		return 0;
	r = render_package_lock(g, &text, e);
	if (r == 0)
		r = json_parse(ret_whole, (struct slice){ text.data, text.len }, e);
	if (r == 0)
		*ret = json_get(*ret_whole, "packages");
	return r;
}

/* Entries by path, for bisection. */
struct index {
	const cJSON **items;
	size_t count;
};

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int make_index(struct index *x, const cJSON *obj, struct err *e)
{
	size_t n = 0;
	const cJSON *m;

	cJSON_ArrayForEach(m, obj) n++;
	x->items = calloc(n + 1, sizeof *x->items);
	if (!x->items)
		return err_set(e, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(m, obj) x->items[x->count++] = m;
	qsort(x->items, x->count, sizeof *x->items, by_key);
	return 0;
}

static const cJSON *look_up(const struct index *x, const char *key)
{
	size_t lo = 0, hi = x->count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(key, x->items[mid]->string);

		if (c == 0)
			return x->items[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* Flags follow from the rest, and change for packages that nobody touched. */
static bool is_flag(const char *key)
{
	static const char *const flags[] = { "dev", "devOptional", "extraneous", "optional",
					     "peer" };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strcmp(key, flags[i]) == 0)
			return true;
	}
	return false;
}

static bool has_all(const cJSON *a, const cJSON *b)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, a)
	{
		if (!is_flag(m->string) && !cJSON_Compare(m, json_get(b, m->string), true))
			return false;
	}
	return true;
}

static bool same(const cJSON *a, const cJSON *b)
{
	return a && b ? has_all(a, b) && has_all(b, a) : a == b;
}

/* ---- differences ---- */

static const char *version_of(const cJSON *entry)
{
	const char *v = json_str(entry, json_get(entry, "link") ? "resolved" : "version");

	return v ? v : "";
}

static void put_place(struct buf *b, const char *path)
{
	for (const char *s = path; *s;) {
		if (strncmp(s, "node_modules/", 13) == 0)
			s += 13;
		else
			buf_add(b, s++, 1);
	}
}

static void put_line(struct buf *b, const char *sign, const cJSON *one, const cJSON *other)
{
	size_t from = b->len;

	buf_addstr(b, sign);
	put_place(b, one->string[0] ? one->string : ".");
	buf_addf(b, " %s", version_of(one));
	if (other)
		buf_addf(b, " -> %s", version_of(other));
	buf_end_line(b, from);
}

static void put_change(struct buf *b, const cJSON *x, const cJSON *y)
{
	if (!x)
		put_line(b, "+ ", y, NULL);
	else if (!y)
		put_line(b, "- ", x, NULL);
	else if (strcmp(version_of(x), version_of(y)) != 0)
		put_line(b, "  ", x, y);
	else
		put_line(b, "~ ", y, NULL);
}

static void index_release(struct index *x)
{
	free(x->items);
}
#define auto_index cleanup(index_release)

int merge_diff(const struct graph *a, const struct graph *b, struct buf *ret, struct err *e)
{
	auto_json cJSON *wa = NULL, *wb = NULL;
	auto_index struct index x = { 0 }, y = { 0 };
	const cJSON *ea, *eb;
	size_t i = 0, k = 0;
	int r = entries_of(a, &wa, &ea, e);

	if (r == 0)
		r = entries_of(b, &wb, &eb, e);
	if (r == 0)
		r = make_index(&x, ea, e);
	if (r == 0)
		r = make_index(&y, eb, e);
	while (r == 0 && (i < x.count || k < y.count)) {
		const cJSON *m = i < x.count ? x.items[i] : NULL;
		const cJSON *n = k < y.count ? y.items[k] : NULL;
		int c = !m ? 1 : !n ? -1 : strcmp(m->string, n->string);

		m = c <= 0 ? m : NULL;
		n = c >= 0 ? n : NULL;
		i += m != NULL;
		k += n != NULL;
		if (!same(m, n))
			put_change(ret, m, n);
	}
	return r;
}

/* ---- merging ---- */

struct merge {
	struct index base, ours, theirs;
	struct buf *out, *conflicts;
	bool first;
};

static void put_entry(struct merge *m, const char *key, const cJSON *entry)
{
	buf_addstr(m->out, m->first ? "" : ",");
	m->first = false;
	json_put_str(m->out, key);
	buf_addstr(m->out, ":");
	json_put(m->out, entry);
}

/* Of objects that come from package.json: each member by itself. Where both changed one, theirs. */
static cJSON *merge_members(const cJSON *base, const cJSON *ours, const cJSON *theirs,
			    unsigned deep)
{
	cJSON *made = cJSON_CreateObject(), *copy;
	const cJSON *lists[] = { ours, theirs }, *m;

	for (size_t i = 0; i < 2 && made; i++) {
		cJSON_ArrayForEach(m, lists[i])
		{
			const cJSON *b = json_get(base, m->string), *o = json_get(ours, m->string);
			const cJSON *t = json_get(theirs, m->string), *take_it = t;

			if (i == 1 && o)
				continue; /* was merged with ours */
			if (cJSON_IsObject(o) && cJSON_IsObject(t) && deep < 2) {
				copy = merge_members(b, o, t, deep + 1);
			} else {
				if (t == b || (b && t && cJSON_Compare(b, t, true)))
					take_it = o;
				copy = take_it ? cJSON_Duplicate(take_it, true) : NULL;
				if (!take_it)
					continue;
			}
			if (!copy || !cJSON_AddItemToObject(made, m->string, copy)) {
				cJSON_Delete(copy);
				cJSON_Delete(made);
				return NULL;
			}
		}
	}
	return made;
}

/* Does the entry say what a package.json of the project says? */
static bool is_top(const char *key)
{
	return !strstr(key, "node_modules/");
}

static int merge_entry(struct merge *m, const char *key, struct err *e)
{
	const cJSON *b = look_up(&m->base, key), *o = look_up(&m->ours, key);
	const cJSON *t = look_up(&m->theirs, key), *win = NULL;
	auto_json cJSON *made = NULL;

	if (same(o, t) || same(b, t)) {
		win = o;
	} else if (same(b, o)) {
		win = t;
	} else if (o && t && is_top(key)) {
		made = merge_members(b, o, t, 0);
		if (!made)
			return err_set(e, -ENOMEM, "out of memory");
		win = made;
	} else {
		put_change(m->conflicts, b, o);
		put_change(m->conflicts, b, t);
		return 0;
	}
	if (win)
		put_entry(m, key, win);
	return 0;
}

static int merge_all(struct merge *m, struct err *e)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < m->ours.count || k < m->theirs.count)) {
		const cJSON *o = i < m->ours.count ? m->ours.items[i] : NULL;
		const cJSON *t = k < m->theirs.count ? m->theirs.items[k] : NULL;
		int c = !o ? 1 : !t ? -1 : strcmp(o->string, t->string);

		i += c <= 0;
		k += c >= 0;
		r = merge_entry(m, c <= 0 ? o->string : t->string, e);
	}
	return r;
}

int merge_locks(const struct graph *base, const struct graph *ours, const struct graph *theirs,
		struct buf *ret, struct buf *ret_conflicts, struct err *e)
{
	auto_json cJSON *wb = NULL, *wo = NULL, *wt = NULL;
	struct merge m = { .out = ret, .conflicts = ret_conflicts, .first = true };
	const cJSON *eb, *eo, *et;
	int r = entries_of(base, &wb, &eb, e);

	if (r == 0)
		r = entries_of(ours, &wo, &eo, e);
	if (r == 0)
		r = entries_of(theirs, &wt, &et, e);
	if (r == 0)
		r = make_index(&m.base, eb, e);
	if (r == 0)
		r = make_index(&m.ours, eo, e);
	if (r == 0)
		r = make_index(&m.theirs, et, e);
	buf_addstr(ret, "{\"name\":");
	json_put_str(ret, ours->name ? ours->name : "");
	if (ours->version) {
		buf_addstr(ret, ",\"version\":");
		json_put_str(ret, ours->version);
	}
	buf_addstr(ret, ",\"lockfileVersion\":3,\"requires\":true,\"packages\":{");
	if (r == 0)
		r = merge_all(&m, e);
	buf_addstr(ret, "}}");
	free(m.base.items);
	free(m.ours.items);
	free(m.theirs.items);
	if (r == 0 && (buf_error(ret) < 0 || buf_error(ret_conflicts) < 0))
		r = err_set(e, -ENOMEM, "out of memory");
	return r;
}
