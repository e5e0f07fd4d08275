#include "lock/conflict.h"

#include "core/arena.h"

#define SIDE_MAX    ((size_t)256 << 20) /* bytes of one side: no more than a lock may have */
#define CHANGES_MAX ((size_t)512 << 20) /* bytes of memory for the list of changes */

/* Names that may be looked at while one is searched; real merges need a few thousand. */
#define STEPS_MAX ((size_t)1 << 26)

enum side { BASE, OURS, THEIRS, SIDES, ALL = SIDES };

static const char marks[] = { [BASE] = '|', [OURS] = '<', [THEIRS] = '=', [ALL] = '>' };

/* Looks for one character first, since a lock without conflicts hardly has them. */
static bool has_mark(struct slice s, char c)
{
	const char mark[] = { c, c, c, c, c, c, c };
	const uint8_t *p = s.ptr, *end = s.ptr + s.len;

	while (p < end && (p = memchr(p, c, (size_t)(end - p)))) {
		if ((size_t)(end - p) >= sizeof mark && memcmp(p, mark, sizeof mark) == 0)
			return true;
		p++;
	}
	return false;
}

bool conflict_is(struct slice text)
{
	return has_mark(text, '<') && has_mark(text, '=') && has_mark(text, '>');
}

/* ---- the three sides ---- */

/* What the line begins, or -1. */
static int begins(struct slice line)
{
	for (int s = BASE; s <= ALL; s++) {
		if (has_mark(line, marks[s]))
			return s;
	}
	return -1;
}

/* As in npm, lines are joined without a line end. */
static int split(struct slice text, struct buf sides[SIDES])
{
	size_t at = 0;
	int in = ALL;

	if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0)
		at = 3;
	while (at < text.len) {
		struct slice line = { text.ptr + at, 0 };
		int next;

		while (at + line.len < text.len && line.ptr[line.len] != '\n' &&
		       line.ptr[line.len] != '\r')
			line.len++;
		at += line.len + 1;
		next = begins(line);
		in = next < 0 ? in : next;
		for (int s = BASE; s < SIDES && next < 0; s++) {
			if (in == ALL || in == s)
				buf_add(&sides[s], line.ptr, line.len);
		}
	}
	for (int s = BASE; s < SIDES; s++) {
		if (buf_error(&sides[s]))
			return buf_error(&sides[s]);
	}
	return 0;
}

/* ---- members ---- */

struct item {
	const cJSON *value;
	size_t place;
};

/* The items of an object or array: in their order, or (objects) by name. */
struct items {
	struct item *at; /* owned */
	size_t count;
};

static void items_release(struct items *i)
{
	free(i->at);
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = strcmp(x->value->string, y->value->string);

	return r ? r : (x->place > y->place) - (x->place < y->place);
}

static int to_name(const void *name, const void *item)
{
	return strcmp(name, ((const struct item *)item)->value->string);
}

static int list_items(const cJSON *of, struct items *ret)
{
	const cJSON *m;
	size_t n = 0;

	cJSON_ArrayForEach(m, of) n++;
	ret->at = calloc(n + 1, sizeof *ret->at);
	if (!ret->at)
		return -ENOMEM;
	cJSON_ArrayForEach(m, of)
	{
		ret->at[ret->count] = (struct item){ m, ret->count };
		ret->count++;
	}
	if (cJSON_IsObject(of))
		qsort(ret->at, n, sizeof *ret->at, by_name);
	return 0;
}

static const cJSON *find_name(const struct items *in, const char *name)
{
	const struct item *found = bsearch(name, in->at, in->count, sizeof *in->at, to_name);

	return found ? found->value : NULL;
}

static bool is_container(const cJSON *j)
{
	return cJSON_IsObject(j) || cJSON_IsArray(j);
}

/* Of a name that stands twice the last value counts, in the first one's place. */
static int drop_twins(cJSON *of)
{
	struct items items cleanup(items_release) = { 0 };
	cJSON *m;
	int r = cJSON_IsObject(of) ? list_items(of, &items) : 0;

	for (size_t i = 1; i < items.count && r == 0; i++) {
		cJSON *first = (cJSON *)items.at[i - 1].value, *last = (cJSON *)items.at[i].value;

		if (strcmp(first->string, last->string) != 0)
			continue;
		cJSON_DetachItemViaPointer(of, last);
		cJSON_ReplaceItemViaPointer(of, first, last);
	}
	for (m = of->child; m && r == 0; m = m->next)
		r = is_container(m) ? drop_twins(m) : 0;
	return r;
}

/* ---- what changed between two values ---- */

struct path {
	const struct path *up; /* NULL: the whole value */
	const char *key;       /* of arrays: the index in digits */
};

enum kind { REMOVE, REPLACE, ADD, KINDS };

struct change {
	struct change *next;
	const struct path *path;
	const cJSON *value; /* borrowed from ours */
	enum kind kind;
};

struct changes {
	struct arena arena;
	struct change *first[KINDS], **end[KINDS];
};

static const struct path *below(struct changes *c, const struct path *up, const char *key)
{
	struct path *p = arena_alloc(&c->arena, sizeof *p);

	if (p)
		*p = (struct path){ up, key };
	return p;
}

static const struct path *below_index(struct changes *c, const struct path *up, size_t i)
{
	return below(c, up, arena_printf(&c->arena, "%zu", i));
}

/* Removals are done last first, so that they do not move what is still to be removed. */
static void note(struct changes *c, enum kind kind, const struct path *path, const cJSON *value)
{
	struct change *change = arena_alloc(&c->arena, sizeof *change);

	if (!change)
		return;
	*change = (struct change){ .path = path, .value = value, .kind = kind };
	if (kind == REMOVE) {
		change->next = c->first[kind];
		c->first[kind] = change;
	} else {
		*c->end[kind] = change;
		c->end[kind] = &change->next;
	}
}

static bool same_scalar(const cJSON *a, const cJSON *b)
{
	if (cJSON_IsString(a) && cJSON_IsString(b))
		return strcmp(a->valuestring, b->valuestring) == 0;
	if (cJSON_IsNumber(a) && cJSON_IsNumber(b))
		return a->valuedouble == b->valuedouble;
	return (a->type & 0xff) == (b->type & 0xff) && !is_container(a) && !cJSON_IsString(a) &&
	       !cJSON_IsNumber(a);
}

/* Do two elements look the same to JavaScript when printed? All objects do. */
static bool look_same(const cJSON *a, const cJSON *b)
{
	return (cJSON_IsObject(a) && cJSON_IsObject(b)) || same_scalar(a, b) ||
	       (cJSON_IsArray(a) && cJSON_IsArray(b) && cJSON_Compare(a, b, true));
}

/* An array that became shorter lost its first elements when more of the last are the same. */
static bool lost_its_head(const struct items *a, const struct items *b)
{
	size_t lost = a->count - b->count, left = 0, right = 1;

	while (left < b->count && look_same(a->at[left].value, b->at[left].value))
		left++;
	for (size_t i = b->count; i-- > 1 && look_same(a->at[i + lost].value, b->at[i].value);)
		right++;
	return left < right;
}

static int compare(struct changes *c, const cJSON *a, const cJSON *b, const struct path *path,
		   const struct path *removals);

/* `a` is NULL when it was not there. */
static int compare_at(struct changes *c, const cJSON *a, const cJSON *b, const struct path *path,
		      const struct path *removals)
{
	if (!path || !removals)
		return arena_error(&c->arena);
	if (!a)
		note(c, ADD, path, b);
	else if (is_container(a) && cJSON_IsArray(a) == cJSON_IsArray(b) && is_container(b))
		return compare(c, a, b, path, removals);
	else if (!same_scalar(a, b))
		note(c, REPLACE, path, b);
	return arena_error(&c->arena);
}

static int compare_arrays(struct changes *c, const struct items *a, const struct items *b,
			  const struct path *path, const struct path *removals)
{
	size_t lost = a->count > b->count ? a->count - b->count : 0, head = 0;
	int r = 0;

	if (lost && lost_its_head(a, b))
		head = lost;
	for (size_t i = 0; i < lost; i++)
		note(c, REMOVE, below_index(c, removals, head ? i : b->count + i), NULL);
	for (size_t i = 0; i < b->count && r == 0; i++)
		r = compare_at(c, i + head < a->count ? a->at[i + head].value : NULL,
			       b->at[i].value, below_index(c, path, i),
			       below_index(c, path, i + head));
	return r;
}

static int compare(struct changes *c, const cJSON *a, const cJSON *b, const struct path *path,
		   const struct path *removals)
{
	struct items in_a cleanup(items_release) = { 0 }, in_b cleanup(items_release) = { 0 };
	const cJSON *m;
	int r = list_items(a, &in_a);

	if (r == 0)
		r = list_items(b, &in_b);
	if (r == 0 && cJSON_IsArray(a))
		return compare_arrays(c, &in_a, &in_b, path, removals);
	for (m = a->child; m && r == 0; m = m->next) {
		if (!find_name(&in_b, m->string))
			note(c, REMOVE, below(c, removals, m->string), NULL);
	}
	for (m = b->child; m && r == 0; m = m->next) {
		const struct path *p = below(c, path, m->string);

		r = compare_at(c, find_name(&in_a, m->string), m, p, p);
	}
	return r < 0 ? r : arena_error(&c->arena);
}

/* ---- doing them to theirs ---- */

/* Where a name was found last, by depth: the next is mostly beside it. Forgotten below whatever is
 * taken out. */
struct merge {
	cJSON *theirs;
	const cJSON *ours;
	struct {
		const cJSON *in;
		cJSON *item;
	} last[JSON_DEPTH_MAX + 2];
	size_t steps;
};

static void forget(struct merge *m, size_t depth)
{
	memset(&m->last[depth], 0, (ARRAY_LEN(m->last) - depth) * sizeof m->last[0]);
}

/* The index that a key is to an array; SIZE_MAX: none. */
static size_t index_of(const char *key)
{
	size_t i = 0;

	if (!*key || strlen(key) > 9 || (key[0] == '0' && key[1]))
		return SIZE_MAX;
	for (; *key; key++) {
		if (*key < '0' || *key > '9')
			return SIZE_MAX;
		i = i * 10 + (size_t)(*key - '0');
	}
	return i;
}

static cJSON *find(struct merge *m, const cJSON *in, const char *key)
{
	cJSON *item = in->child;

	if (cJSON_IsArray(in)) {
		size_t i = index_of(key);

		for (; item && i > 0; i--, m->steps++)
			item = item->next;
		return item;
	}
	for (; item && strcmp(item->string, key) != 0; m->steps++)
		item = item->next;
	return item;
}

static cJSON *find_theirs(struct merge *m, const cJSON *in, const char *key, size_t depth)
{
	cJSON *last = m->last[depth].in == in ? m->last[depth].item : NULL, *item = NULL;
	cJSON *const near[] = { last, last ? last->next : NULL, last ? last->prev : NULL };

	for (size_t i = 0; i < ARRAY_LEN(near) && !item && cJSON_IsObject(in); i++) {
		if (near[i] && strcmp(near[i]->string, key) == 0)
			item = near[i];
	}
	item = item ? item : find(m, in, key);
	m->last[depth].in = in;
	m->last[depth].item = item;
	return item;
}

/* Puts a copy of `value` in the place of `old`, or, where there is none, under the key; a name that
 * is no index cannot be put into an array, and is lost as in npm. */
static int put(struct merge *m, cJSON *in, const char *key, cJSON *old, const cJSON *value,
	       size_t depth)
{
	cJSON *copy;
	bool done;

	if (!old && cJSON_IsArray(in) && index_of(key) == SIZE_MAX)
		return 0;
	copy = cJSON_Duplicate(value, true);
	if (copy && old && !copy->string)
		copy->string = strdup(key);
	if (!copy || (old && !copy->string)) {
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	forget(m, depth + 1);
	m->last[depth].in = in;
	m->last[depth].item = copy;
	if (old)
		done = cJSON_ReplaceItemViaPointer(in, old, copy);
	else if (cJSON_IsArray(in))
		done = cJSON_AddItemToArray(in, copy);
	else
		done = cJSON_AddItemToObject(in, key, copy);
	return done ? 0 : -ENOMEM;
}

/* The first child's `prev` is the last one, which is as near as any. */
static void take_out(struct merge *m, cJSON *in, cJSON *old, size_t depth)
{
	cJSON *near = old->next ? old->next : old->prev;

	forget(m, depth + 1);
	m->last[depth].in = in;
	m->last[depth].item = near == old ? NULL : near;
	cJSON_Delete(cJSON_DetachItemViaPointer(in, old));
}

/* -ENOENT: theirs has nothing that could be changed so. */
static int change_theirs(struct merge *m, const struct change *c, const char *const *keys, size_t n)
{
	cJSON *in = m->theirs, *item;
	size_t i;

	for (i = 0; i + 1 < n; i++) {
		if (!is_container(in) || strcmp(keys[i], "prototype") == 0)
			return -ENOENT;
		item = find_theirs(m, in, keys[i], i);
		if (!item) {
			cJSON empty = { .type = cJSON_Object };
			int r = put(m, in, keys[i], NULL, &empty, i);

			if (r < 0)
				return r;
			item = find(m, in, keys[i]);
		}
		if (!item)
			return c->kind == ADD ? 0 : -ENOENT;
		in = item;
	}
	if (cJSON_IsNull(in) || strcmp(keys[i], "prototype") == 0)
		return -ENOENT;
	item = is_container(in) ? find_theirs(m, in, keys[i], i) : NULL;
	if (!item && c->kind != ADD)
		return -ENOENT;
	if (c->kind != REMOVE)
		return is_container(in) ? put(m, in, keys[i], item, c->value, i) : 0;
	take_out(m, in, item, i);
	return 0;
}

/* What cannot be changed is taken from ours, as far up as the two differ in kind. What ours does
 * not have either, both removed: npm keeps the name without a value, and refuses a lock that lacks
 * the value of an entry. */
static int copy_ours(struct merge *m, const char *const *keys, size_t n)
{
	const cJSON *from = m->ours, nothing = { .type = cJSON_NULL };
	cJSON *to = m->theirs;

	for (size_t i = 0; i < n; i++) {
		cJSON *t = find_theirs(m, to, keys[i], i);
		const cJSON *f = find(m, from, keys[i]);

		if (!f || !t || !is_container(t) || !is_container(f) ||
		    cJSON_IsArray(t) != cJSON_IsArray(f))
			return put(m, to, keys[i], t, f ? f : &nothing, i);
		to = t;
		from = f;
	}
	return 0;
}

/* Names that every JavaScript object has; npm does not merge what stands under one. */
static bool is_builtin(const char *key)
{
	static const char *const names[] = {
		"__defineGetter__", "__defineSetter__", "__lookupGetter__",
		"__lookupSetter__", "__proto__",        "constructor",
		"hasOwnProperty",   "isPrototypeOf",    "propertyIsEnumerable",
		"toLocaleString",   "toString",         "valueOf",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(key, names[i]) == 0)
			return true;
	}
	return false;
}

static int apply(struct merge *m, const struct change *c)
{
	const char *keys[JSON_DEPTH_MAX + 1];
	size_t at = ARRAY_LEN(keys);
	int r;

	for (const struct path *p = c->path; p; p = p->up) {
		if (is_builtin(p->key))
			return 0;
		if (at == 0)
			return -E2BIG;
		keys[--at] = p->key;
	}
	r = change_theirs(m, c, keys + at, ARRAY_LEN(keys) - at);
	if (r == -ENOENT)
		r = copy_ours(m, keys + at, ARRAY_LEN(keys) - at);
	return r == 0 && m->steps > STEPS_MAX ? -E2BIG : r;
}

static int merge(cJSON *sides[SIDES])
{
	struct changes c = { .arena = ARENA_INIT(CHANGES_MAX) };
	struct merge m = { .theirs = sides[THEIRS], .ours = sides[OURS] };
	int r;

	for (int k = 0; k < KINDS; k++)
		c.end[k] = &c.first[k];
	r = compare(&c, sides[BASE], sides[OURS], NULL, NULL);
	for (int k = 0; k < KINDS; k++) {
		for (const struct change *x = c.first[k]; x && r == 0; x = x->next)
			r = apply(&m, x);
	}
	arena_release(&c.arena);
	return r;
}

/* ---- the whole ---- */

static int parse_sides(cJSON *ret[SIDES], const struct buf text[SIDES], struct err *e)
{
	static const char *const names[] = { "the common origin", "our side", "their side" };

	for (int s = BASE; s < SIDES; s++) {
		struct err why = { 0 };
		int r = json_parse(&ret[s], (struct slice){ text[s].data, text[s].len }, &why);

		if (r == -ENOMEM)
			return err_set(e, r, "%s", why.msg);
		if (r < 0 || !cJSON_IsObject(ret[s]))
			return err_set(e, -EINVAL,
				       "a merge conflict stands in the lock, and %s is no JSON%s; "
				       "resolve it, or run `npm install --package-lock-only`",
				       names[s], r < 0 ? "" : " object");
		r = drop_twins(ret[s]);
		if (r < 0)
			return err_set(e, r, "no memory to merge the lock");
	}
	return 0;
}

static int merge_text(cJSON *sides[SIDES], struct slice text, struct err *e)
{
	struct buf parts[SIDES] = { BUF_INIT(SIDE_MAX), BUF_INIT(SIDE_MAX), BUF_INIT(SIDE_MAX) };
	int r = split(text, parts);

	r = r < 0 ? err_set(e, r, "no memory to merge the lock") : parse_sides(sides, parts, e);
	for (int s = BASE; s < SIDES; s++)
		buf_release(&parts[s]);
	if (r < 0)
		return r;
	r = merge(sides);
	if (r == -E2BIG)
		return err_set(e, r,
			       "the lock's merge conflict is too large; resolve it, or run "
			       "`npm install --package-lock-only`");
	return r < 0 ? err_set(e, r, "no memory to merge the lock") : 0;
}

int conflict_merge(cJSON **ret, struct slice text, struct err *e)
{
	cJSON *sides[SIDES] = { NULL };
	int r = merge_text(sides, text, e);

	if (r == 0) {
		*ret = sides[THEIRS];
		sides[THEIRS] = NULL;
	}
	for (int s = BASE; s < SIDES; s++)
		cJSON_Delete(sides[s]);
	return r;
}
