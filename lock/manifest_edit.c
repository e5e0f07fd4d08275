#include "lock/manifest_edit.h"

#include "lock/collate.h"
#include "lock/json_scan.h"

/* A member of an object as it stands in the text. */
struct found {
	struct slice object;     /* the whole object, with its braces */
	struct json_item member; /* what was looked for */
	struct json_item before; /* the one in front of it, or in front of where it belongs */
	struct json_item last;
	bool is_there, has_before;
	unsigned count;
};

static bool key_is(struct slice key, const char *name)
{
	auto_free char *text = malloc(key.len + 3);
	ptrdiff_t n = text ? json_scan_str((struct slice){ key.ptr - 1, key.len + 2 }, text) : -1;

	return n >= 0 && (size_t)n == strlen(name) && memcmp(text, name, (size_t)n) == 0;
}

/* Finds `name`, or where it belongs. */
static int find(struct found *f, struct slice object, const char *name)
{
	struct json_scan s = json_scan(object);
	struct json_item m, prev = { 0 };
	bool ordered = true, placed = false;

	*f = (struct found){ .object = object };
	while (json_scan_next(&s, &m)) {
		int c = collate(m.key, slice_str(name));

		if (key_is(m.key, name)) {
			f->is_there = true;
			f->member = m;
			f->before = prev;
			f->has_before = f->count > 0;
		} else if (!f->is_there && !placed && c > 0) {
			placed = true;
			f->before = prev;
			f->has_before = f->count > 0;
		}
		if (f->count && collate(prev.key, m.key) > 0)
			ordered = false;
		f->last = prev = m;
		f->count++;
	}
	if (s.error || s.close != '}')
		return -EBADMSG;
	if (!f->is_there && (!ordered || !placed)) {
		f->before = f->last;
		f->has_before = f->count > 0;
	}
	return 0;
}

static size_t offset(struct slice in, const uint8_t *p)
{
	return (size_t)(p - in.ptr);
}

static const uint8_t *end_of(struct slice s)
{
	return s.ptr + s.len;
}

static void put_until(struct buf *b, const uint8_t *from, const uint8_t *to)
{
	buf_add(b, from, (size_t)(to - from));
}

/* The white space in front of an object's first member, "" for an empty one. */
static struct slice lead(struct slice object)
{
	const uint8_t *p = object.ptr + 1, *end = end_of(object);

	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	return p < end && *p == '"' ? (struct slice){ object.ptr + 1, offset(object, p) - 1 }
				    : (struct slice){ 0 };
}

/* What is behind its last member, before the brace. */
static struct slice tail(struct slice object)
{
	const uint8_t *p = end_of(object) - 1;

	while (p > object.ptr + 1 && strchr(" \t\r\n", p[-1]) && p[-1])
		p--;
	return (struct slice){ p, offset(object, end_of(object)) - offset(object, p) - 1 };
}

static void put_member(struct buf *b, const char *name, struct slice value, bool spaced)
{
	json_put_str(b, name);
	buf_addstr(b, spaced ? ": " : ":");
	buf_add(b, value.ptr, value.len);
}

/* `object` with a member more. */
static void insert(struct buf *b, const struct found *f, struct slice space, const char *name,
		   struct slice value, bool spaced)
{
	const uint8_t *at = f->has_before ? end_of(f->before.value) : f->object.ptr + 1;

	put_until(b, f->object.ptr, at);
	if (f->has_before)
		buf_addstr(b, ",");
	buf_add(b, space.ptr, space.len);
	put_member(b, name, value, spaced);
	if (!f->has_before && f->count)
		buf_addstr(b, ",");
	put_until(b, at, end_of(f->object));
}

/* `object` without the member. */
static void cut(struct buf *b, const struct found *f)
{
	const uint8_t *end = end_of(f->member.value), *key = f->member.key.ptr - 1;

	if (f->has_before) {
		put_until(b, f->object.ptr, end_of(f->before.value));
		put_until(b, end, end_of(f->object));
		return;
	}
	/* The first: what stands in front of it stays for the next. */
	put_until(b, f->object.ptr, key);
	if (f->count > 1) {
		end = (const uint8_t *)memchr(end, ',',
					      offset(f->object, end_of(f->object)) -
						      offset(f->object, end)) +
		      1;
		while (strchr(" \t\r\n", *end))
			end++;
	}
	put_until(b, end, end_of(f->object));
}

/* The same without the only one: nothing stays between the braces, as npm has it. */
static void cut_last(struct buf *b, const struct found *f)
{
	if (f->count > 1)
		cut(b, f);
	else
		buf_addstr(b, "{}");
}

/* ---- sections ---- */

static bool is_spaced(struct slice text, const struct found *f)
{
	const uint8_t *p = f->count ? end_of(f->last.key) + 1 : NULL;

	return !p || (p + 1 < end_of(text) && *p == ':' && p[1] == ' ');
}

/* A section of one dependency, indented as the file is. */
static void new_section(struct buf *b, struct slice outer, struct slice last, const char *name,
			const char *spec, bool spaced)
{
	const uint8_t *unit = last.len ? memrchr(outer.ptr, '\n', outer.len) : NULL;

	buf_addstr(b, "{");
	buf_add(b, outer.ptr, outer.len);
	if (unit)
		put_until(b, unit + 1, end_of(outer));
	json_put_str(b, name);
	buf_addstr(b, spaced ? ": " : ":");
	json_put_str(b, spec);
	if (outer.len)
		buf_add(b, outer.ptr, outer.len);
	buf_addstr(b, "}");
}

static void stand_last(struct found *f)
{
	f->before = f->last;
	f->has_before = f->count > 0;
}

static int add_section(struct buf *ret, struct slice root, const char *section, const char *name,
		       const char *spec)
{
	auto_buf struct buf made = BUF_INIT((size_t)1 << 20);
	struct found f;
	struct slice space = lead(root), last = tail(root);
	bool spaced;

	if (find(&f, root, section) < 0)
		return -EBADMSG;
	stand_last(&f);
	spaced = is_spaced(root, &f);
	if (!f.count)
		space = last = SLICE("\n  ");
	new_section(&made, space, last, name, spec, spaced);
	if (f.count) {
		insert(ret, &f, space, section, (struct slice){ made.data, made.len }, spaced);
	} else {
		buf_addstr(ret, "{\n  ");
		put_member(ret, section, (struct slice){ made.data, made.len }, spaced);
		buf_addstr(ret, "\n}");
	}
	return buf_error(&made);
}

static int change_section(struct buf *ret, struct slice object, const char *name, const char *spec)
{
	auto_buf struct buf value = BUF_INIT((size_t)1 << 20);
	struct found f;
	struct slice space = lead(object);

	if (find(&f, object, name) < 0)
		return -EBADMSG;
	if (!spec) {
		cut(ret, &f);
		return 0;
	}
	json_put_str(&value, spec);
	if (f.is_there) {
		put_until(ret, object.ptr, f.member.value.ptr);
		buf_add(ret, value.data, value.len);
		put_until(ret, end_of(f.member.value), end_of(object));
	} else {
		insert(ret, &f, space, name, (struct slice){ value.data, value.len },
		       is_spaced(object, &f));
	}
	return buf_error(&value);
}

static int edit(struct buf *ret, struct slice root, const char *section, const char *name,
		const char *spec)
{
	struct found f, in;
	int r;

	if (find(&f, root, section) < 0)
		return -EBADMSG;
	if (!f.is_there) {
		if (spec)
			return add_section(ret, root, section, name, spec);
		buf_add(ret, root.ptr, root.len);
		return 0;
	}
	if (find(&in, f.member.value, name) < 0)
		return -EBADMSG;
	if (!spec && !in.is_there) {
		buf_add(ret, root.ptr, root.len);
		return 0;
	}
	if ((!spec && in.count == 1) || (spec && in.count == 0)) {
		auto_buf struct buf without = BUF_INIT(ret->max);

		cut_last(&without, &f);
		r = buf_error(&without);
		if (r < 0 || spec)
			return r < 0 ? r
				     : add_section(ret, (struct slice){ without.data, without.len },
						   section, name, spec);
		buf_add(ret, without.data, without.len);
		return 0;
	}
	put_until(ret, root.ptr, f.member.value.ptr);
	r = change_section(ret, f.member.value, name, spec);
	put_until(ret, end_of(f.member.value), end_of(root));
	return r;
}

/* The strings, one a line if the file has lines. */
static void put_list(struct buf *b, const cJSON *list, struct slice outer)
{
	const uint8_t *unit = outer.len ? memrchr(outer.ptr, '\n', outer.len) : NULL;
	const cJSON *m;

	buf_addstr(b, "[");
	cJSON_ArrayForEach(m, list)
	{
		if (m != list->child)
			buf_addstr(b, ",");
		buf_add(b, outer.ptr, outer.len);
		if (unit)
			put_until(b, unit + 1, end_of(outer));
		json_put(b, m);
	}
	if (list->child)
		buf_add(b, outer.ptr, outer.len);
	buf_addstr(b, "]");
}

static int edit_list(struct buf *ret, struct slice root, const char *key, const cJSON *list)
{
	auto_buf struct buf value = BUF_INIT((size_t)1 << 20);
	struct slice space = lead(root);
	struct found f;

	if (find(&f, root, key) < 0)
		return -EBADMSG;
	if (!list) {
		if (f.is_there)
			cut_last(ret, &f);
		else
			buf_add(ret, root.ptr, root.len);
		return 0;
	}
	put_list(&value, list, space);
	if (f.is_there) {
		put_until(ret, root.ptr, f.member.value.ptr);
		buf_add(ret, value.data, value.len);
		put_until(ret, end_of(f.member.value), end_of(root));
	} else {
		stand_last(&f);
		insert(ret, &f, space, key, (struct slice){ value.data, value.len },
		       is_spaced(root, &f));
	}
	return buf_error(&value);
}

struct change {
	const char *section, *name, *spec;
	const cJSON *list;
};

static int change(struct buf *ret, struct slice text, const struct change *c, bool is_list,
		  struct err *e)
{
	const uint8_t *from = memchr(text.ptr, '{', text.len);
	const uint8_t *to = memrchr(text.ptr, '}', text.len);
	auto_json cJSON *whole = NULL;
	struct slice root;
	int r = json_parse(&whole, text, e);

	if (r < 0)
		return err_wrap(e, r, "package.json");
	if (!cJSON_IsObject(whole) || !from || !to)
		return err_set(e, -EBADMSG, "package.json: its JSON is no object");
	root = (struct slice){ from, (size_t)(to - from) + 1 };
	put_until(ret, text.ptr, from);
	r = is_list ? edit_list(ret, root, c->section, c->list)
		    : edit(ret, root, c->section, c->name, c->spec);
	put_until(ret, to + 1, end_of(text));
	if (r == 0)
		r = buf_error(ret);
	if (r == -EBADMSG)
		return err_set(e, r, "package.json: \"%.40s\" is no object", c->section);
	return r < 0 ? err_set(e, r, "package.json: no memory to change it") : 0;
}

int manifest_edit(struct buf *ret, struct slice text, const char *section, const char *name,
		  const char *spec, struct err *e)
{
	return change(ret, text, &(struct change){ section, name, spec, NULL }, false, e);
}

int manifest_edit_list(struct buf *ret, struct slice text, const char *key, const cJSON *list,
		       struct err *e)
{
	return change(ret, text, &(struct change){ key, NULL, NULL, list }, true, e);
}
