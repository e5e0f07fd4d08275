#include "fs/changes.h"

#include "lock/json.h"

#include <stdio.h>

static const char *const kinds[] = {
	[UPPER_ADDED] = "added",
	[UPPER_CHANGED] = "changed",
	[UPPER_REMOVED] = "removed",
	[UPPER_WROTE] = "wrote",
};

static const char *type_of(mode_t mode)
{
	return S_ISREG(mode)   ? "file"
	       : S_ISDIR(mode) ? "directory"
	       : S_ISLNK(mode) ? "link"
			       : "other";
}

static int one(void *arg, const struct upper_item *item)
{
	struct buf *b = arg;

	buf_addf(b, "%s{\"kind\":\"%s\",\"path\":", b->data[b->len - 1] == '[' ? "" : ",\n",
		 kinds[item->kind]);
	json_put_str(b, item->path);
	if (item->kind != UPPER_REMOVED)
		buf_addf(b, ",\"type\":\"%s\"", type_of(item->type));
	if (item->place) {
		buf_addstr(b, ",\"package\":");
		json_put_str(b, item->place);
		buf_addstr(b, ",\"version\":");
		json_put_str(b, item->version ? item->version : "");
		buf_addf(b, ",\"aside\":%s", item->aside ? "true" : "false");
	}
	buf_addstr(b, "}");
	return buf_error(b);
}

int changes_json(struct buf *ret, struct upper *u, struct view *v, struct err *e)
{
	int r;

	buf_addstr(ret, "[");
	r = buf_error(ret);
	if (r == 0)
		r = upper_each(u, v, one, ret, e);
	buf_addstr(ret, "]\n");
	if (r == -E2BIG)
		return err_set(e, r, "there are too many changes to list");
	return r;
}

static int one_aside(void *arg, const char *place, const char *version)
{
	struct buf *b = arg;
	auto_free char *id = NULL;

	if (asprintf(&id, "%s@%s", place, version) < 0) {
		id = NULL;
		return -ENOMEM;
	}
	buf_addstr(b, b->data[b->len - 1] == '[' ? "" : ",");
	json_put_str(b, id);
	return buf_error(b);
}

int changes_aside_json(struct buf *ret, struct upper *u, struct view *v, struct err *e)
{
	int r;

	buf_addstr(ret, "[");
	r = buf_error(ret);
	if (r == 0)
		r = upper_aside(u, v, one_aside, ret, e);
	buf_addstr(ret, "]");
	return r;
}
