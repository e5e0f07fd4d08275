#include "fetch/ingest.h"
#include "fetch/utf8.h"

/* Where the CR of a shebang line is that npm would remove; 0: nowhere. */
static size_t shebang_cr(struct slice s)
{
	size_t look = s.len < INGEST_SHEBANG_MAX ? s.len : INGEST_SHEBANG_MAX;
	const uint8_t *nl;
	size_t at;

	if (look < 5 || s.ptr[0] != '#' || s.ptr[1] != '!')
		return 0;
	nl = memchr(s.ptr, '\n', look);
	at = nl ? (size_t)(nl - s.ptr) : 0;
	return at >= 4 && s.ptr[at - 1] == '\r' ? at - 1 : 0;
}

static int mend(struct dxp_file *f, struct arena *a)
{
	struct buf b = { 0 };
	struct slice head, tail;
	size_t cr = f->type == DXP_FILE ? shebang_cr(f->bytes) : 0;

	if (cr == 0 || f->bytes.len > INGEST_MEND_MAX)
		return 0;
	head = (struct slice){ f->bytes.ptr, cr };
	tail = (struct slice){ f->bytes.ptr + cr + 1, f->bytes.len - cr - 1 };
	b.cap = b.max = (size_t)(utf8_len(head) + utf8_len(tail));
	b.data = arena_alloc(a, b.max); /* exactly as much as will be added: it never grows */
	if (!b.data)
		return arena_error(a);
	utf8_add(&b, head);
	utf8_add(&b, tail);
	f->has_mended = true;
	f->mended = (struct slice){ b.data, b.len };
	return buf_error(&b);
}

static int mend_all(struct tar_listing *l, struct err *e)
{
	for (size_t i = 0; i < l->count; i++) {
		int r = mend(&l->files[i], &l->arena);

		if (r < 0)
			return err_set(
				e, r, "no room for the mended form of %.*s: %s",
				(int)(l->files[i].path.len > 100 ? 100 : l->files[i].path.len),
				(const char *)l->files[i].path.ptr, strerror(-r));
	}
	return 0;
}

int ingest_unpack(struct ingest_files *ret, struct slice tarball, const struct gunzip_options *o,
		  struct err *e)
{
	int r = gunzip(&ret->archive, tarball, o, e);

	if (r == 0)
		r = tar_read(&ret->list, ret->archive.bytes, e);
	if (r == 0)
		r = mend_all(&ret->list, e);
	if (r < 0)
		ingest_files_release(ret);
	return r;
}

void ingest_files_release(struct ingest_files *f)
{
	tar_release(&f->list);
	gunzip_release(&f->archive);
}
