#include "fs/built.h"

#include "core/file.h"

#include <fcntl.h>
#include <stdio.h>

#define BUILT_MAX ((size_t)64 << 20) /* bytes; every package of the largest lock, long paths */

static const char *const words[] = { [BUILT_RAN] = "ran ", [BUILT_FAILED] = "failed " };

/* A line, without its newline. */
struct line {
	struct slice id;
	enum built_state state;
};

/* False at the end. What makes no sense is BUILT_NOT. */
static bool next_line(const char **at, struct line *ret)
{
	const char *start = *at, *end;

	if (!start || !*start)
		return false;
	end = strchr(start, '\n');
	*ret = (struct line){ 0 };
	if (!end) { /* a line that was not finished does not count */
		*at = NULL;
		return true;
	}
	*at = end + 1;
	for (enum built_state s = BUILT_RAN; s <= BUILT_FAILED; s++) {
		size_t n = strlen(words[s]);

		if (strncmp(start, words[s], n) == 0) {
			ret->state = s;
			ret->id = (struct slice){ (const uint8_t *)start + n,
						  (size_t)(end - start) - n };
		}
	}
	return true;
}

int built_read(struct built *ret, const char *upper_dir, struct err *e)
{
	auto_free char *path = NULL, *text = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%s/scripts", upper_dir) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = file_read_all(AT_FDCWD, path, BUILT_MAX, &text, &len, e);
	if (r < 0 && r != -ENOENT)
		return r;
	ret->text = r == 0 ? take(&text) : NULL;
	return 0;
}

void built_release(struct built *b)
{
	free(take(&b->text));
}

char *built_id(const struct graph_node *n, const struct digest *key)
{
	char *id;

	return asprintf(&id, "%s@%s~%02x%02x%02x%02x", n->path, n->version ? n->version : "",
			key->bytes[0], key->bytes[1], key->bytes[2], key->bytes[3]) < 0
		       ? NULL
		       : id;
}

enum built_state built_state(const struct built *b, const char *id)
{
	enum built_state state = BUILT_NOT;
	const char *at = b->text;
	struct line l;

	while (next_line(&at, &l))
		if (l.state != BUILT_NOT && slice_eq(l.id, slice_str(id)))
			state = l.state;
	return state;
}

/* Where a package of this id would stand. */
static struct slice place_of(struct slice id)
{
	const uint8_t *tilde = memrchr(id.ptr, '~', id.len);
	size_t n = tilde ? (size_t)(tilde - id.ptr) : id.len;
	const uint8_t *at = memrchr(id.ptr, '@', n);

	return (struct slice){ id.ptr, at ? (size_t)(at - id.ptr) : n };
}

int built_mark_failed(const struct built *b, const struct graph *g,
		      int (*key)(void *arg, const struct graph_node *n, struct digest *ret,
				 struct err *e),
		      void *arg, bool *mark, struct err *e)
{
	const char *at = b->text;
	struct line l;

	while (next_line(&at, &l)) {
		char place[GRAPH_PATH_MAX + 1];
		struct slice path = place_of(l.id);
		auto_free char *id = NULL;
		struct digest d;
		uint32_t i;
		int r;

		if (l.state != BUILT_FAILED || path.len > GRAPH_PATH_MAX)
			continue;
		memcpy(place, path.ptr, path.len);
		place[path.len] = '\0';
		i = graph_find(g, place);
		if (i == GRAPH_NONE || !(g->nodes[i].flags & NODE_OPTIONAL))
			continue;
		r = key(arg, &g->nodes[i], &d, e);
		if (r < 0)
			return r;
		id = built_id(&g->nodes[i], &d);
		if (!id)
			return err_set(e, -ENOMEM, "out of memory");
		mark[i] |= slice_eq(l.id, slice_str(id));
	}
	return 0;
}

static bool writable(const char *id)
{
	for (const char *c = id; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return false;
	return true;
}

/* Is "a" the same as "a/b", or above it? */
static bool is_above(struct slice a, struct slice b)
{
	return a.len <= b.len && memcmp(a.ptr, b.ptr, a.len) == 0 &&
	       (a.len == b.len || b.ptr[a.len] == '/');
}

typedef bool drop_fn(const char *what, struct slice id);

static bool drop_id(const char *what, struct slice id)
{
	return slice_eq(slice_str(what), id);
}

static bool drop_path(const char *what, struct slice id)
{
	struct slice place = place_of(id), path = slice_str(what);

	return !what || is_above(path, place) || is_above(place, path);
}

/* Writes the file anew without what `drop` takes, and with a line more if `state` is one. */
static int rewrite(const char *upper_dir, drop_fn *drop, const char *what, enum built_state state,
		   struct err *e)
{
	auto_buf struct buf out = BUF_INIT(BUILT_MAX);
	auto_built struct built b = { 0 };
	auto_free char *path = NULL;
	const char *at;
	struct line l;
	int r = built_read(&b, upper_dir, e);

	if (r < 0 || (!b.text && state == BUILT_NOT))
		return r;
	for (at = b.text; next_line(&at, &l);)
		if (l.state != BUILT_NOT && !drop(what, l.id))
			buf_addf(&out, "%s%.*s\n", words[l.state], SLICE_FMT(l.id));
	if (state != BUILT_NOT)
		buf_addf(&out, "%s%s\n", words[state], what);
	if (buf_error(&out) < 0 || asprintf(&path, "%s/scripts", upper_dir) < 0)
		return err_set(e, -ENOMEM, "%s/scripts: too long", upper_dir);
	return file_replace(path, out.data ? (const char *)out.data : "", out.len, 0600, e);
}

int built_set(const char *upper_dir, const char *id, enum built_state state, struct err *e)
{
	return writable(id) ? rewrite(upper_dir, drop_id, id, state, e) : 0;
}

int built_forget(const char *upper_dir, const char *path, struct err *e)
{
	return rewrite(upper_dir, drop_path, path, BUILT_NOT, e);
}
