#include "core/dxp_priv.h"

#include <assert.h>
#include <limits.h>
#include <sys/uio.h>

/* An entry of the blob to be. The files below a directory are order[lo..hi), all with the
 * same first `prefix` bytes of path. */
struct node {
	const struct dxp_file *file; /* NULL: a directory that only paths name */
	struct slice name;
	uint32_t parent, first, children;
	uint32_t lo, hi, prefix;
	uint32_t block, mended_block;
	struct hash128 hash, mended_hash;
};

struct payload {
	const struct slice *bytes;
	struct hash128 hash;
	uint32_t block;
};

struct plan {
	const struct dxp_file **order; /* sorted by path; owned */
	struct node *nodes;            /* breadth first; owned */
	uint32_t count, cap, mended;
	struct payload *payloads; /* in the order in which they are written; owned */
	uint32_t payload_count;
	uint32_t *table; /* hash -> 1 + index in payloads; owned */
	uint32_t table_mask;
	uint8_t *index; /* as on disk; owned */
	size_t index_len, names_len;
	uint64_t blocks; /* of the whole file */
};

static void plan_release(struct plan *p)
{
	free(p->order);
	free(p->nodes);
	free(p->payloads);
	free(p->table);
	free(p->index);
}

static bool name_ok(const uint8_t *p, size_t n)
{
	return n > 0 && n <= DXP_NAME_MAX && !memchr(p, '\0', n) && !(n == 1 && p[0] == '.') &&
	       !(n == 2 && p[0] == '.' && p[1] == '.');
}

static size_t part_len(struct slice path, size_t from)
{
	const uint8_t *slash = memchr(path.ptr + from, '/', path.len - from);

	return slash ? (size_t)(slash - path.ptr) - from : path.len - from;
}

static bool path_ok(struct slice path)
{
	size_t from = 0;

	if (path.len == 0 || path.len > DXP_PATH_MAX)
		return false;
	for (;;) {
		size_t n = part_len(path, from);

		if (!name_ok(path.ptr + from, n))
			return false;
		if (from + n == path.len)
			return true;
		from += n + 1;
	}
}

/* By name at each level: '/' sorts before every byte that a name may have. */
static int path_order(const void *pa, const void *pb)
{
	struct slice a = (*(const struct dxp_file *const *)pa)->path;
	struct slice b = (*(const struct dxp_file *const *)pb)->path;
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		if (a.ptr[i] == b.ptr[i])
			continue;
		if (a.ptr[i] == '/' || b.ptr[i] == '/')
			return a.ptr[i] == '/' ? -1 : 1;
		return a.ptr[i] < b.ptr[i] ? -1 : 1;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int plan_sort(struct plan *p, const struct dxp_file *files, size_t count, struct err *e)
{
	if (count >= DXP_ENTRIES_MAX)
		return err_set(e, -E2BIG, "%zu files in a package, more than the limit of %u",
			       count, DXP_ENTRIES_MAX - 1);
	p->order = calloc(count + 1, sizeof(struct dxp_file *));
	if (!p->order)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		if (!path_ok(files[i].path))
			return err_set(e, -EINVAL, "\"%.*s\": not a clean relative path",
				       SLICE_FMT(files[i].path));
		p->order[i] = &files[i];
	}
	qsort(p->order, count, sizeof(struct dxp_file *), path_order);
	return 0;
}

static int plan_add(struct plan *p, const struct node *n, struct err *e)
{
	if (p->count == DXP_ENTRIES_MAX)
		return err_set(e, -E2BIG, "more than %u files and directories in a package",
			       DXP_ENTRIES_MAX);
	if (p->count == p->cap) {
		uint32_t cap = p->cap ? 2 * p->cap : 64;
		struct node *nodes = realloc(p->nodes, cap * sizeof *nodes);

		if (!nodes)
			return err_set(e, -ENOMEM, "out of memory");
		p->nodes = nodes;
		p->cap = cap;
	}
	p->nodes[p->count++] = *n;
	p->names_len += n->name.len;
	return 0;
}

/* The end of the run of files at `lo` that share their next path component. */
static uint32_t run_end(const struct plan *p, const struct node *dir, uint32_t lo, size_t len)
{
	const uint8_t *name = p->order[lo]->path.ptr + dir->prefix;
	uint32_t k = lo + 1;

	for (; k < dir->hi; k++) {
		struct slice path = p->order[k]->path;

		if (path.len - dir->prefix < len || memcmp(path.ptr + dir->prefix, name, len) != 0)
			break;
		if (path.len > dir->prefix + len && path.ptr[dir->prefix + len] != '/')
			break;
	}
	return k;
}

/* Appends the children of directory i. */
static int plan_directory(struct plan *p, uint32_t i, struct err *e)
{
	struct node dir = p->nodes[i];
	uint32_t first = p->count;

	for (uint32_t lo = dir.lo, hi; lo < dir.hi; lo = hi) {
		const struct dxp_file *f = p->order[lo];
		size_t len = part_len(f->path, dir.prefix);
		struct node n = { .name = { f->path.ptr + dir.prefix, len }, .parent = i };
		int r;

		hi = run_end(p, &dir, lo, len);
		n.lo = lo;
		n.hi = hi;
		n.prefix = dir.prefix + (uint32_t)len + 1;
		if (f->path.len == dir.prefix + len) {
			n.file = f;
			n.lo++;
			if (hi - lo > 1 && p->order[lo + 1]->path.len == f->path.len)
				return err_set(e, -EINVAL, "\"%.*s\" stands twice",
					       SLICE_FMT(f->path));
			if (hi - lo > 1 && f->type != DXP_DIR)
				return err_set(e, -EINVAL, "\"%.*s\" is a file and a directory",
					       SLICE_FMT(f->path));
		}
		r = plan_add(p, &n, e);
		if (r < 0)
			return r;
	}
	p->nodes[i].children = p->count - first;
	p->nodes[i].first = p->nodes[i].children ? first : 0;
	return 0;
}

static bool is_dir(const struct node *n)
{
	return !n->file || n->file->type == DXP_DIR;
}

static int plan_entries(struct plan *p, uint32_t files, struct err *e)
{
	int r = plan_add(p, &(struct node){ .hi = files }, e);

	for (uint32_t i = 0; r == 0 && i < p->count; i++) {
		if (is_dir(&p->nodes[i]))
			r = plan_directory(p, i, e);
		else if (p->nodes[i].file->has_mended)
			p->mended++;
	}
	return r;
}

/* The block of a payload, which is a new one unless equal bytes have theirs already. */
static int place(struct plan *p, const struct slice *bytes, struct hash128 *ret_hash,
		 uint32_t *ret_block, struct err *e)
{
	struct hash128 hash = hash128(bytes->ptr, bytes->len);
	uint32_t at;

	*ret_hash = hash;
	*ret_block = 0;
	if (bytes->len == 0)
		return 0;
	memcpy(&at, hash.b, sizeof at);
	for (at &= p->table_mask; p->table[at]; at = (at + 1) & p->table_mask) {
		const struct payload *have = &p->payloads[p->table[at] - 1];

		if (hash128_eq(have->hash, hash) && slice_eq(*have->bytes, *bytes)) {
			*ret_block = have->block;
			return 0;
		}
	}
	if (bytes->len / DXP_BLOCK >= UINT32_MAX - p->blocks - 1)
		return err_set(e, -E2BIG, "a package of more than two terabytes");
	*ret_block = (uint32_t)p->blocks;
	p->payloads[p->payload_count] = (struct payload){ bytes, hash, (uint32_t)p->blocks };
	p->table[at] = ++p->payload_count;
	p->blocks += dxp_round(bytes->len) / DXP_BLOCK;
	return 0;
}

static int plan_payloads(struct plan *p, struct err *e)
{
	size_t most = (size_t)p->count + p->mended, size = 4;
	int r = 0;

	while (size < 2 * most)
		size *= 2;
	p->payloads = calloc(most, sizeof *p->payloads);
	p->table = calloc(size, sizeof *p->table);
	if (!p->payloads || !p->table)
		return err_set(e, -ENOMEM, "out of memory");
	p->table_mask = (uint32_t)size - 1;
	for (uint32_t i = 0; r == 0 && i < p->count; i++) {
		struct node *n = &p->nodes[i];

		if (is_dir(n))
			continue;
		r = place(p, &n->file->bytes, &n->hash, &n->block, e);
		if (r == 0 && n->file->has_mended)
			r = place(p, &n->file->mended, &n->mended_hash, &n->mended_block, e);
	}
	return r;
}

static struct dxp_disk_entry disk_entry(const struct node *n, uint32_t name_off)
{
	struct dxp_disk_entry d = {
		.name_off = htole32(name_off),
		.name_len = (uint8_t)n->name.len,
		.mode = htole16(n->file ? n->file->mode & 07777 : 0755),
		.parent = htole32(n->parent),
	};

	if (is_dir(n)) {
		d.flags = DXP_F_DIR;
		d.at = htole32(n->first);
		d.size = htole64(n->children);
		return d;
	}
	d.flags = n->file->has_mended ? DXP_F_MENDED : 0;
	d.at = htole32(n->block);
	d.size = htole64(n->file->bytes.len);
	memcpy(d.hash, n->hash.b, sizeof d.hash);
	return d;
}

/* Fills the index, whose length is known, in the order of the file. */
static void fill_index(struct plan *p, struct slice name, struct slice version)
{
	struct dxp_disk_entry *entries = (void *)p->index;
	struct dxp_disk_mended *mended = (void *)(entries + p->count);
	uint8_t *names = (uint8_t *)(mended + p->mended), *at = names;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct node *n = &p->nodes[i];

		entries[i] = disk_entry(n, (uint32_t)(at - names));
		if (n->name.len)
			memcpy(at, n->name.ptr, n->name.len);
		at += n->name.len;
		if (is_dir(n) || !n->file->has_mended)
			continue;
		*mended = (struct dxp_disk_mended){ .entry = htole32(i),
						    .at = htole32(n->mended_block),
						    .size = htole64(n->file->mended.len) };
		memcpy(mended->hash, n->mended_hash.b, sizeof mended->hash);
		mended++;
	}
	memcpy(at, name.ptr, name.len);
	at += name.len + 1;
	memcpy(at, version.ptr, version.len);
	assert(at + version.len + 1 == p->index + p->index_len);
}

static struct dxp_disk_digest disk_digest(const struct digest *d)
{
	struct dxp_disk_digest ret = { .alg = d->alg, .len = d->len };

	memcpy(ret.bytes, d->bytes, sizeof ret.bytes);
	return ret;
}

/* Header and content hash, once the plan is complete. */
static int finish(struct plan *p, const struct dxp_meta *meta, struct dxp_header *ret,
		  struct err *e)
{
	static const uint8_t zeros[DXP_BLOCK];
	struct hasher *h = hasher_new();
	struct dxp_header head = {
		.magic = "DXP",
		.version = htole32(DXP_VERSION),
		.size = htole64(p->blocks * DXP_BLOCK),
		.entries = htole32(p->count),
		.mended = htole32(p->mended),
		.names_len = htole32((uint32_t)p->names_len),
		.name_len = htole16((uint16_t)strlen(meta->name)),
		.version_len = htole16((uint16_t)strlen(meta->version)),
		.sha512 = disk_digest(&meta->sha512),
		.key = disk_digest(&meta->key),
	};
	uint64_t index_end = sizeof head + p->index_len;
	struct hash128 hash;

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	hash = dxp_index_hash(h, &head, p->index, p->index_len);
	memcpy(head.index_hash, hash.b, sizeof head.index_hash);

	hasher_reset(h);
	hasher_add(h, &head, DXP_CONTENT_AT);
	hasher_add(h, (uint8_t *)&head + DXP_HASH_AT, sizeof head - DXP_HASH_AT);
	hasher_add(h, p->index, p->index_len);
	hasher_add(h, zeros, dxp_round(index_end) - index_end);
	for (uint32_t i = 0; i < p->payload_count; i++) {
		const struct slice *b = p->payloads[i].bytes;

		hasher_add(h, b->ptr, b->len);
		hasher_add(h, zeros, dxp_round(b->len) - b->len);
	}
	hash = hasher_end(h);
	memcpy(head.content, hash.b, sizeof head.content);
	hasher_free(h);
	*ret = head;
	return 0;
}

/* Slices on their way to the file, many in one writev. */
struct gather {
	int fd, error;
	int count;
	struct iovec iov[256]; /* well below IOV_MAX, 4 KiB of stack */
};

static void gather_flush(struct gather *g)
{
	struct iovec *v = g->iov;

	while (g->count > 0 && g->error == 0) {
		ssize_t w = writev(g->fd, v, g->count);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			g->error = -errno;
		while (w > 0 && (size_t)w >= v->iov_len) {
			w -= (ssize_t)v->iov_len;
			v++;
			g->count--;
		}
		if (w > 0) {
			v->iov_base = (uint8_t *)v->iov_base + w;
			v->iov_len -= (size_t)w;
		}
	}
	g->count = 0;
}

static void gather_add(struct gather *g, const void *p, size_t n)
{
	_Static_assert(ARRAY_LEN(g->iov) <= IOV_MAX, "one writev takes them all");
	if (n == 0)
		return;
	if (g->count == (int)ARRAY_LEN(g->iov))
		gather_flush(g);
	g->iov[g->count++] = (struct iovec){ (void *)p, n };
}

static int write_out(int fd, const struct plan *p, const struct dxp_header *head)
{
	static const uint8_t zeros[DXP_BLOCK];
	uint64_t index_end = sizeof *head + p->index_len;
	struct gather g = { .fd = fd };

	gather_add(&g, head, sizeof *head);
	gather_add(&g, p->index, p->index_len);
	gather_add(&g, zeros, dxp_round(index_end) - index_end);
	for (uint32_t i = 0; i < p->payload_count && g.error == 0; i++) {
		const struct slice *b = p->payloads[i].bytes;

		gather_add(&g, b->ptr, b->len);
		gather_add(&g, zeros, dxp_round(b->len) - b->len);
	}
	gather_flush(&g);
	return g.error;
}

static int plan_make(struct plan *p, const struct dxp_meta *meta, const struct dxp_file *files,
		     size_t count, struct err *e)
{
	size_t name_len = strlen(meta->name), version_len = strlen(meta->version);
	int r;

	if (name_len > DXP_TEXT_MAX || version_len > DXP_TEXT_MAX)
		return err_set(e, -E2BIG, "a package name or version of more than %u bytes",
			       DXP_TEXT_MAX);
	r = plan_sort(p, files, count, e);
	if (r == 0)
		r = plan_entries(p, (uint32_t)count, e);
	if (r < 0)
		return r;
	p->index_len = p->count * sizeof(struct dxp_disk_entry) +
		       p->mended * sizeof(struct dxp_disk_mended) + p->names_len + name_len + 1 +
		       version_len + 1;
	if (p->index_len > DXP_INDEX_MAX)
		return err_set(e, -E2BIG, "an index of %zu bytes, more than the limit of %u",
			       p->index_len, DXP_INDEX_MAX);
	p->index = calloc(1, p->index_len);
	if (!p->index)
		return err_set(e, -ENOMEM, "out of memory");
	p->blocks = dxp_round(sizeof(struct dxp_header) + p->index_len) / DXP_BLOCK;
	r = plan_payloads(p, e);
	if (r == 0)
		fill_index(p, slice_str(meta->name), slice_str(meta->version));
	return r;
}

int dxp_write(int fd, const struct dxp_meta *meta, const struct dxp_file *files, size_t count,
	      struct hash128 *ret_content, struct err *e)
{
	cleanup(plan_release) struct plan p = { 0 };
	struct dxp_header head;
	int r = plan_make(&p, meta, files, count, e);

	if (r == 0)
		r = finish(&p, meta, &head, e);
	if (r < 0)
		return r;
	r = write_out(fd, &p, &head);
	if (r < 0)
		return err_set(e, r, "cannot write the package: %s", strerror(-r));
	memcpy(ret_content->b, head.content, sizeof ret_content->b);
	return 0;
}
