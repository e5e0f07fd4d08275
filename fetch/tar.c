#include "fetch/tar.h"

#include "fetch/tar_priv.h"

#include <math.h>

#define META_MAX (1 << 20) /* npm ignores longer pax and GNU headers */

/* The walk: where it is, and what npm's parser would remember. */
struct walk {
	struct slice in;
	size_t pos;
	struct tar_tree *tree;
	struct tar_ext ex, global;
	struct buf path; /* of the header at hand */
	double unread;   /* of the last entry whose body npm did not notice */
	bool begun;      /* anything but empty extended headers was seen */
	bool saw_entry;  /* one complete entry of any kind */
	bool saw_null;   /* the block before was null */
};

static void walk_release(struct walk *w)
{
	tar_ext_release(&w->ex);
	tar_ext_release(&w->global);
	buf_release(&w->path);
}

static int fail(const struct walk *w, int r, struct err *e)
{
	if (r == -EBADMSG)
		return err_set(e, r, "a file name in the archive contains a NUL (near byte %zu)",
			       w->pos);
	if (r == -E2BIG)
		return err_set(e, r,
			       "the archive has more files or longer names than can be kept "
			       "(%u files, %zu MiB of names)",
			       DXP_ENTRIES_MAX, TAR_MEMORY_MAX >> 20);
	return err_set(e, r, "reading the archive: %s", strerror(-r));
}

/* The header's path for a message: its start, and nothing that disturbs a terminal. */
static void shown_path(const struct walk *w, char text[80])
{
	size_t n = w->path.len < 79 ? w->path.len : 79;

	for (size_t i = 0; i < n; i++)
		text[i] = w->path.data[i] < ' ' || w->path.data[i] == 0x7f ? '?'
									   : (char)w->path.data[i];
	text[n] = '\0';
}

static int truncated(const struct walk *w, double size, struct err *e)
{
	char path[80];

	shown_path(w, path);
	return err_set(e, -EBADMSG,
		       "the archive is truncated: \"%s\" should have %.0f bytes, and %zu follow",
		       path, size, w->in.len - w->pos);
}

/* Takes the body of an entry. -EBADMSG: it is not all there. */
static int body(struct walk *w, double size, struct slice *ret, struct err *e)
{
	double room = ceil(size / TAR_BLOCK) * TAR_BLOCK;

	if (room > (double)(w->in.len - w->pos))
		return truncated(w, size, e);
	*ret = (struct slice){ w->in.ptr + w->pos, (size_t)size };
	w->pos += (size_t)room;
	w->saw_entry = true;
	w->unread = 0;
	return 0;
}

/* ---- pax and GNU headers ---- */

static int learn(struct walk *w, char type, struct slice text, struct err *e)
{
	int r;

	if (type == 'x' || type == 'X')
		r = tar_ext_pax(&w->ex, text);
	else if (type == 'g')
		r = tar_ext_pax(&w->global, text);
	else if (type == 'K')
		r = tar_ext_long(&w->ex.linkpath, &w->ex.linkpath_text, text);
	else
		r = tar_ext_long(&w->ex.path, &w->ex.path_text, text);
	return r < 0 ? fail(w, r, e) : 0;
}

/* npm takes the body's length from the header, but decides by the size that the pending headers
 * give for the file to come whether there is a body: so it overlooks one where they say 0. */
static int meta(struct walk *w, const struct tar_header *h, struct err *e)
{
	double told = w->global.size ? w->global.size_value
		      : w->ex.size   ? w->ex.size_value
				     : h->size;
	struct slice text;
	int r;

	if (told <= 0) {
		w->unread = h->size;
		w->saw_entry |= h->size <= 0;
		return 0;
	}
	w->begun = true;
	r = body(w, h->size, &text, e);
	if (r < 0 || told > META_MAX)
		return r;
	return learn(w, h->type, text, e);
}

/* ---- files ---- */

/* .gitignore becomes .npmignore, unless that came before. Sets *ret_skip. */
static int ignore_files(struct walk *w, bool *ret_skip, struct err *e)
{
	static const char git[] = ".gitignore", npm[] = ".npmignore";
	struct slice path = { w->path.data, w->path.len }, base = tar_path_base(path);
	int r = 0;

	*ret_skip = false;
	if (slice_eq(base, slice_str(npm))) {
		r = tar_tree_note(w->tree, path);
	} else if (slice_eq(base, slice_str(git))) {
		if (base.ptr + base.len == path.ptr + path.len)
			memcpy(w->path.data + (base.ptr - path.ptr), npm, sizeof npm - 1);
		*ret_skip = tar_tree_noted(w->tree, path);
	}
	return r < 0 ? fail(w, r, e) : 0;
}

static int put_file(struct walk *w, const struct tar_header *h, const struct slice *linkpath,
		    struct slice bytes, struct err *e)
{
	struct slice target;
	bool skip;
	int r = ignore_files(w, &skip, e);

	if (r < 0 || skip)
		return r;
	target = tar_path_target((struct slice){ w->path.data, w->path.len });
	if (target.len == 0 || (linkpath && tar_path_escapes(target, *linkpath)))
		return 0;
	r = tar_tree_put(w->tree, target, h->type == '7', h->mode, bytes);
	return r < 0 ? fail(w, r, e) : 0;
}

static int entry(struct walk *w, const struct tar_header *h, struct err *e)
{
	struct buf *text = w->global.linkpath ? &w->global.linkpath_text : &w->ex.linkpath_text;
	bool linked = w->global.linkpath || w->ex.linkpath;
	struct slice bytes, linkpath = { text->data, text->len };
	int r;

	w->begun = true;
	tar_ext_clear(&w->ex);
	r = body(w, h->size, &bytes, e);
	if (r < 0 || (h->type != '0' && h->type != '7'))
		return r;
	return put_file(w, h, linked ? &linkpath : NULL, bytes, e);
}

/* ---- */

static bool is_meta(char type)
{
	return type && strchr("xXgLNK", type);
}

/* One block that should be a header. *ret_end: the archive says that it ends. */
static int step(struct walk *w, bool *ret_end, struct err *e)
{
	struct tar_header h;
	int r = tar_header_read(&h, &w->path, w->in.ptr + w->pos, &w->ex, &w->global);

	if (r < 0)
		return fail(w, r, e);
	w->pos += TAR_BLOCK;
	switch (h.kind) {
	case TAR_UNREADABLE: /* does not come between two null blocks, for npm */
		return 0;
	case TAR_NULL:
		w->begun |= w->saw_null;
		*ret_end = w->saw_null;
		w->saw_null = true;
		return 0;
	case TAR_INVALID:
		w->saw_null = false;
		return 0;
	case TAR_ENTRY:
		w->saw_null = false;
		return is_meta(h.type) ? meta(w, &h, e) : entry(w, &h, e);
	}
	return 0;
}

static int walk(struct walk *w, struct err *e)
{
	bool end = false;

	while (!end && w->in.len - w->pos >= TAR_BLOCK) {
		int r = step(w, &end, e);

		if (r < 0)
			return r;
	}
	if (w->unread > 0)
		return truncated(w, w->unread, e);
	if (!w->begun || !w->saw_entry)
		return err_set(e, -EBADMSG, "this is no tar archive: it has no valid entry");
	return 0;
}

int tar_read(struct tar_listing *ret, struct slice archive, struct err *e)
{
	struct tar_tree tree;
	struct walk w = {
		.in = archive,
		.tree = &tree,
		.ex = { .path_text = BUF_INIT(TAR_MEMORY_MAX),
			.linkpath_text = BUF_INIT(TAR_MEMORY_MAX) },
		.global = { .path_text = BUF_INIT(TAR_MEMORY_MAX),
			    .linkpath_text = BUF_INIT(TAR_MEMORY_MAX) },
		.path = BUF_INIT(TAR_MEMORY_MAX),
	};
	int r = tar_tree_init(&tree, &ret->arena);

	if (r == 0)
		r = walk(&w, e);
	else
		(void)fail(&w, r, e);
	if (r == 0) {
		r = tar_tree_list(&tree, &ret->files, &ret->count);
		if (r < 0)
			(void)fail(&w, r, e);
	}
	walk_release(&w);
	tar_tree_release(&tree);
	if (r < 0)
		tar_release(ret);
	return r;
}

void tar_release(struct tar_listing *l)
{
	free(l->files);
	l->files = NULL;
	l->count = 0;
	arena_release(&l->arena);
}
