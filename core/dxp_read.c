#include "core/dxp_priv.h"
#include "core/file.h"

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* Larger than the index of nine packages in ten: one pread opens those. */
#define DXP_FIRST_READ 8192
/* Stays in the second-level cache between the copy and the hashes. */
#define DXP_CHUNK (1u << 20)

/* One allocation: this, the index as on disk, the marks. Nothing but the marks changes. */
struct dxp {
	struct dxp_meta meta; /* strings lie in the index */
	struct hash128 content;
	uint64_t size;
	uint32_t count, mended_count;
	const struct dxp_disk_entry *entries;
	const struct dxp_disk_mended *mended;
	const uint8_t *names;
	_Atomic uint8_t *verified; /* a bit an entry, then a bit a mended form */
	uint64_t index[];
};

/* Sizes of the parts of the index, from a header whose fields are in range. */
struct shape {
	uint32_t entries, mended, names;
	size_t name, version, len;
};

static bool digest_read(const struct dxp_disk_digest *d, struct digest *ret)
{
	static const uint8_t zeros[64];
	static const uint8_t lens[] = {
		[DIGEST_NONE] = 0,    [DIGEST_SHA1] = 20,   [DIGEST_SHA256] = 32,
		[DIGEST_SHA384] = 48, [DIGEST_SHA512] = 64, [DIGEST_UNPINNED] = 64
	};

	if (d->alg >= ARRAY_LEN(lens) || d->len != lens[d->alg] ||
	    memcmp(d->zero, zeros, sizeof d->zero) != 0 ||
	    memcmp(d->bytes + d->len, zeros, sizeof d->bytes - d->len) != 0)
		return false;
	*ret = (struct digest){ .alg = d->alg, .len = d->len };
	memcpy(ret->bytes, d->bytes, sizeof ret->bytes);
	return true;
}

static int check_header(const struct dxp_header *h, uint64_t file_size, struct shape *ret,
			struct err *e)
{
	struct shape s;
	uint64_t size = le64toh(h->size);

	if (memcmp(h->magic, "DXP", sizeof h->magic) != 0)
		return err_set(e, -EBADMSG, "not a package blob: wrong magic");
	if (le32toh(h->version) != DXP_VERSION)
		return err_set(e, -EPROTONOSUPPORT,
			       "a package blob of format version %u, and this program knows only "
			       "version %u: use a newer dxfs",
			       le32toh(h->version), DXP_VERSION);
	if (size != file_size || size % DXP_BLOCK)
		return err_set(e, -EBADMSG, "blob of %llu bytes, its header says %llu",
			       (unsigned long long)file_size, (unsigned long long)size);
	s.entries = le32toh(h->entries);
	s.mended = le32toh(h->mended);
	s.names = le32toh(h->names_len);
	s.name = le16toh(h->name_len);
	s.version = le16toh(h->version_len);
	if (s.entries == 0 || s.entries > DXP_ENTRIES_MAX || s.mended >= s.entries ||
	    s.names > DXP_INDEX_MAX || s.name > DXP_TEXT_MAX || s.version > DXP_TEXT_MAX)
		return err_set(e, -EBADMSG, "blob with counts out of range");
	s.len = (size_t)s.entries * sizeof(struct dxp_disk_entry) +
		(size_t)s.mended * sizeof(struct dxp_disk_mended) + s.names + s.name + 1 +
		s.version + 1;
	if (s.len > DXP_INDEX_MAX || dxp_round(sizeof *h + s.len) > size)
		return err_set(e, -EBADMSG, "blob whose index is larger than itself or the limit");
	*ret = s;
	return 0;
}

/* Reads header and index; *ret is unchecked but for sizes and hash. */
static int load(int fd, struct dxp **ret, struct dxp_header *ret_head, struct shape *ret_shape,
		struct err *e)
{
	union {
		struct dxp_header head;
		uint8_t bytes[DXP_FIRST_READ];
	} first;
	auto_free struct dxp *p = NULL;
	struct stat st;
	struct shape s;
	size_t have, marks;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot stat the blob: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof first.head)
		return err_set(e, -EBADMSG, "not a package blob: too short");
	have = (uint64_t)st.st_size < sizeof first ? (size_t)st.st_size : sizeof first;
	r = file_pread_all(fd, first.bytes, have, 0);
	if (r == 0)
		r = check_header(&first.head, (uint64_t)st.st_size, &s, e);
	else
		return err_set(e, r, "cannot read the blob: %s", strerror(-r));
	if (r < 0)
		return r;

	marks = ((size_t)s.entries + s.mended + 7) / 8;
	p = malloc(sizeof *p + s.len + marks);
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	have -= sizeof first.head;
	have = have < s.len ? have : s.len;
	memcpy(p->index, first.bytes + sizeof first.head, have);
	if (have < s.len) {
		r = file_pread_all(fd, (uint8_t *)p->index + have, s.len - have,
				   (off_t)(sizeof first.head + have));
		if (r < 0)
			return err_set(e, r, "cannot read the blob's index: %s", strerror(-r));
	}
	p->verified = (_Atomic uint8_t *)((uint8_t *)p->index + s.len);
	memset((uint8_t *)p->index + s.len, 0, marks);
	*ret_head = first.head;
	*ret_shape = s;
	*ret = take(&p);
	return 0;
}

static bool name_ok(const uint8_t *p, size_t n)
{
	return n > 0 && !memchr(p, '\0', n) && !memchr(p, '/', n) && !(n == 1 && p[0] == '.') &&
	       !(n == 2 && p[0] == '.' && p[1] == '.');
}

static struct slice name_of(const struct dxp *p, uint32_t i)
{
	const struct dxp_disk_entry *d = &p->entries[i];

	return (struct slice){ p->names + le32toh(d->name_off), d->name_len };
}

static bool payload_ok(const struct dxp *p, uint64_t first, uint32_t block, uint64_t size)
{
	uint64_t at = (uint64_t)block * DXP_BLOCK;

	if (size == 0)
		return block == 0;
	return at >= first && at < p->size && size <= p->size - at;
}

/* Names stand in order without gaps, and use up their bytes. */
static bool names_fit(const struct dxp *p, uint32_t names_len)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct dxp_disk_entry *d = &p->entries[i];

		if (le32toh(d->name_off) != at || at + d->name_len > names_len)
			return false;
		if (i == 0 ? d->name_len != 0 : !name_ok(p->names + at, d->name_len))
			return false;
		at += d->name_len;
	}
	return at == names_len;
}

static bool children_ok(const struct dxp *p, uint32_t dir, uint32_t first, uint32_t n)
{
	for (uint32_t k = first; k < first + n; k++) {
		if (le32toh(p->entries[k].parent) != dir)
			return false;
		if (k > first && slice_cmp(name_of(p, k - 1), name_of(p, k)) >= 0)
			return false;
	}
	return true;
}

/* Breadth first: the runs of children follow one another from entry 1 on, each entry is
 * reached exactly once, and from an earlier one, so the entries are a tree. */
static int check_entries(const struct dxp *p, uint64_t first_payload, struct err *e)
{
	uint32_t next = 1, mended = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct dxp_disk_entry *d = &p->entries[i];
		uint32_t at = le32toh(d->at);
		uint64_t size = le64toh(d->size);

		if (i >= next || (i == 0 && !(d->flags & DXP_F_DIR)) || le16toh(d->mode) > 07777)
			return err_set(e, -EBADMSG, "entry %u: unreachable or misformed", i);
		if (d->flags == DXP_F_DIR) {
			if (size > p->count - next || at != (size ? next : 0) ||
			    !children_ok(p, i, next, (uint32_t)size))
				return err_set(e, -EBADMSG, "entry %u: children out of order", i);
			next += (uint32_t)size;
			continue;
		}
		if ((d->flags & ~DXP_F_MENDED) || !payload_ok(p, first_payload, at, size))
			return err_set(e, -EBADMSG, "entry %u: payload past the end", i);
		if (!(d->flags & DXP_F_MENDED))
			continue;
		if (mended == p->mended_count || le32toh(p->mended[mended].entry) != i ||
		    !payload_ok(p, first_payload, le32toh(p->mended[mended].at),
				le64toh(p->mended[mended].size)))
			return err_set(e, -EBADMSG, "entry %u: mended form missing or bad", i);
		mended++;
	}
	if (next != p->count || mended != p->mended_count || le32toh(p->entries[0].parent) != 0)
		return err_set(e, -EBADMSG, "entries that belong to no directory");
	return 0;
}

static int check_meta(struct dxp *p, const struct dxp_header *h, const struct shape *s,
		      struct err *e)
{
	const char *name = (const char *)p->names + s->names;
	const char *version = name + s->name + 1;

	if (strnlen(name, s->name + 1) != s->name || strnlen(version, s->version + 1) != s->version)
		return err_set(e, -EBADMSG, "blob with a misformed name or version");
	p->meta = (struct dxp_meta){ .name = name, .version = version };
	if (!digest_read(&h->sha512, &p->meta.sha512) || !digest_read(&h->key, &p->meta.key))
		return err_set(e, -EBADMSG, "blob with a misformed digest");
	return 0;
}

static int check_index_hash(const struct dxp *p, const struct dxp_header *h, const struct shape *s,
			    struct err *e)
{
	struct hasher *hasher = hasher_new();
	struct hash128 hash;

	if (!hasher)
		return err_set(e, -ENOMEM, "out of memory");
	hash = dxp_index_hash(hasher, h, p->index, s->len);
	hasher_free(hasher);
	if (memcmp(hash.b, h->index_hash, sizeof hash.b) != 0)
		return err_set(e, -EBADMSG, "the blob's index does not match its hash");
	return 0;
}

int dxp_open(struct dxp **ret, int fd, struct err *e)
{
	auto_free struct dxp *p = NULL;
	struct dxp_header head;
	struct shape s;
	int r = load(fd, &p, &head, &s, e);

	if (r == 0)
		r = check_index_hash(p, &head, &s, e);
	if (r < 0)
		return r;
	memcpy(p->content.b, head.content, sizeof p->content.b);
	p->size = le64toh(head.size);
	p->count = s.entries;
	p->mended_count = s.mended;
	p->entries = (const void *)p->index;
	p->mended = (const void *)(p->entries + s.entries);
	p->names = (const uint8_t *)(p->mended + s.mended);
	r = check_meta(p, &head, &s, e);
	if (r < 0)
		return r;
	if (!names_fit(p, s.names))
		return err_set(e, -EBADMSG, "blob with misformed names");
	r = check_entries(p, dxp_round(sizeof head + s.len), e);
	if (r < 0)
		return r;
	*ret = take(&p);
	return 0;
}

void dxp_close(struct dxp *p)
{
	free(p);
}

const struct dxp_meta *dxp_meta(const struct dxp *p)
{
	return &p->meta;
}

struct hash128 dxp_content(const struct dxp *p)
{
	return p->content;
}

uint64_t dxp_size(const struct dxp *p)
{
	return p->size;
}

uint32_t dxp_count(const struct dxp *p)
{
	return p->count;
}

static void mark_all(const struct dxp *p, uint8_t marks)
{
	for (size_t i = 0; i < ((size_t)p->count + p->mended_count + 7) / 8; i++)
		atomic_store_explicit(&p->verified[i], marks, memory_order_relaxed);
}

void dxp_forget(const struct dxp *p)
{
	mark_all(p, 0);
}

/* All but where the payloads lie: that depends on the length of the package's name. */
bool dxp_same_files(const struct dxp *a, const struct dxp *b)
{
	size_t names = (size_t)((const uint8_t *)a->meta.name - a->names);

	if (a->count != b->count || a->mended_count != b->mended_count ||
	    names != (size_t)((const uint8_t *)b->meta.name - b->names) ||
	    memcmp(a->names, b->names, names) != 0)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		struct dxp_disk_entry x = a->entries[i], y = b->entries[i];

		if (!(x.flags & DXP_F_DIR))
			x.at = y.at;
		if (memcmp(&x, &y, sizeof x) != 0)
			return false;
	}
	for (uint32_t i = 0; i < a->mended_count; i++) {
		struct dxp_disk_mended x = a->mended[i], y = b->mended[i];

		x.at = y.at;
		if (memcmp(&x, &y, sizeof x) != 0)
			return false;
	}
	return true;
}

/* Where in the table of mended forms entry i has its; it has one. */
static uint32_t mended_of(const struct dxp *p, uint32_t i)
{
	uint32_t lo = 0, hi = p->mended_count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (le32toh(p->mended[mid].entry) <= i)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void dxp_entry(const struct dxp *p, uint32_t i, struct dxp_entry *ret)
{
	assert(i < p->count);

	const struct dxp_disk_entry *d = &p->entries[i];

	*ret = (struct dxp_entry){
		.name = name_of(p, i),
		.type = d->flags & DXP_F_DIR ? DXP_DIR : DXP_FILE,
		.mode = le16toh(d->mode),
		.has_mended = d->flags & DXP_F_MENDED,
		.parent = le32toh(d->parent),
	};
	if (ret->type == DXP_DIR) {
		ret->first_child = le32toh(d->at);
		ret->children = (uint32_t)le64toh(d->size);
		return;
	}
	ret->size = le64toh(d->size);
	if (ret->has_mended)
		ret->mended_size = le64toh(p->mended[mended_of(p, i)].size);
}

uint32_t dxp_child(const struct dxp *p, uint32_t dir, struct slice name)
{
	assert(dir < p->count);

	const struct dxp_disk_entry *d = &p->entries[dir];
	uint32_t lo, hi;

	if (!(d->flags & DXP_F_DIR))
		return DXP_NONE;
	lo = le32toh(d->at);
	hi = lo + (uint32_t)le64toh(d->size);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = slice_cmp(name, name_of(p, mid));

		if (c == 0)
			return mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return DXP_NONE;
}

uint32_t dxp_lookup(const struct dxp *p, struct slice path)
{
	uint32_t at = 0;

	while (path.len > 0 && at != DXP_NONE) {
		const uint8_t *slash = memchr(path.ptr, '/', path.len);
		size_t n = slash ? (size_t)(slash - path.ptr) : path.len;

		at = dxp_child(p, at, (struct slice){ path.ptr, n });
		path.ptr += n + (slash != NULL);
		path.len -= n + (slash != NULL);
		if (slash && path.len == 0)
			return DXP_NONE; /* "a/" names nothing */
	}
	return at;
}

/* The bytes of one form of a file, and the bit that says they have been checked. */
struct extent {
	uint64_t at, size;
	const uint8_t *hash;
	size_t bit;
};

static struct extent extent_of(const struct dxp *p, uint32_t i, enum dxp_form form)
{
	const struct dxp_disk_entry *d = &p->entries[i];

	if (form == DXP_MENDED && (d->flags & DXP_F_MENDED)) {
		uint32_t k = mended_of(p, i);
		const struct dxp_disk_mended *m = &p->mended[k];

		return (struct extent){ (uint64_t)le32toh(m->at) * DXP_BLOCK, le64toh(m->size),
					m->hash, (size_t)p->count + k };
	}
	return (struct extent){ (uint64_t)le32toh(d->at) * DXP_BLOCK, le64toh(d->size), d->hash,
				i };
}

static bool is_verified(const struct dxp *p, size_t bit)
{
	return atomic_load_explicit(&p->verified[bit / 8], memory_order_relaxed) & (1u << bit % 8);
}

static void set_verified(const struct dxp *p, size_t bit)
{
	atomic_fetch_or_explicit(&p->verified[bit / 8], (uint8_t)(1u << bit % 8),
				 memory_order_relaxed);
}

static ssize_t bad_file(const struct dxp *p, uint32_t i, struct err *e)
{
	return err_set(e, -EBADMSG, "%s %s: the bytes of \"%.*s\" do not match their hash",
		       p->meta.name, p->meta.version, SLICE_FMT(name_of(p, i)));
}

static ssize_t bad_pread(const struct dxp *p, int r, struct err *e)
{
	return err_set(e, r, "%s %s: cannot read its blob: %s", p->meta.name, p->meta.version,
		       r == -EBADMSG ? "it is shorter than it was" : strerror(-r));
}

/* Hashes the whole file in chunks, and keeps what the caller wants as it passes. */
static ssize_t read_and_check(const struct dxp *p, int fd, uint32_t i, const struct extent *x,
			      uint8_t *to, size_t n, uint64_t off, struct err *e)
{
	size_t chunk = x->size < DXP_CHUNK ? (size_t)x->size : DXP_CHUNK;
	auto_free uint8_t *scratch = malloc(chunk);
	struct hasher *h = hasher_new();
	struct hash128 hash;
	int r = scratch && h ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < x->size; at += chunk) {
		size_t len = x->size - at < chunk ? (size_t)(x->size - at) : chunk;
		uint64_t lo = off > at ? off : at;
		uint64_t hi = off + n < at + len ? off + n : at + len;

		r = file_pread_all(fd, scratch, len, (off_t)(x->at + at));
		if (r < 0)
			break;
		hasher_add(h, scratch, len);
		if (lo < hi)
			memcpy(to + (lo - off), scratch + (lo - at), (size_t)(hi - lo));
	}
	if (r == 0)
		hash = hasher_end(h);
	hasher_free(h);
	if (r < 0)
		return bad_pread(p, r, e);
	if (memcmp(hash.b, x->hash, sizeof hash.b) != 0)
		return bad_file(p, i, e);
	return (ssize_t)n;
}

ssize_t dxp_read(const struct dxp *p, int fd, uint32_t i, enum dxp_form form, void *buf, size_t n,
		 uint64_t off, struct err *e)
{
	assert(i < p->count);

	struct extent x = extent_of(p, i, form);
	struct hash128 hash;
	ssize_t got;
	int r;

	if (p->entries[i].flags & DXP_F_DIR)
		return err_set(e, -EISDIR, "\"%.*s\" is a directory", SLICE_FMT(name_of(p, i)));
	if (off >= x.size || n == 0)
		return 0;
	if (n > x.size - off)
		n = (size_t)(x.size - off);
	if (n > SSIZE_MAX)
		n = SSIZE_MAX;
	if (!is_verified(p, x.bit) && n < x.size) {
		got = read_and_check(p, fd, i, &x, buf, n, off, e);
		if (got >= 0)
			set_verified(p, x.bit);
		return got;
	}
	r = file_pread_all(fd, buf, n, (off_t)(x.at + off));
	if (r < 0)
		return bad_pread(p, r, e);
	if (!is_verified(p, x.bit)) {
		hash = hash128(buf, n);
		if (memcmp(hash.b, x.hash, sizeof hash.b) != 0)
			return bad_file(p, i, e);
		set_verified(p, x.bit);
	}
	return (ssize_t)n;
}

/* ---- the whole blob ---- */

static int extent_order(const void *pa, const void *pb)
{
	const struct extent *a = pa, *b = pb;

	return (a->at > b->at) - (a->at < b->at);
}

/* Every non-empty payload once, in the order of the file. */
static int list_extents(const struct dxp *p, struct extent **ret, size_t *ret_count, struct err *e)
{
	struct extent *x = calloc((size_t)p->count + p->mended_count, sizeof *x);
	size_t n = 0, kept = 0;

	if (!x)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->entries[i].flags & DXP_F_DIR)
			continue;
		x[n] = extent_of(p, i, DXP_PLAIN);
		n += x[n].size > 0;
		if (!(p->entries[i].flags & DXP_F_MENDED))
			continue;
		x[n] = extent_of(p, i, DXP_MENDED);
		n += x[n].size > 0;
	}
	qsort(x, n, sizeof *x, extent_order);
	for (size_t i = 0; i < n; i++) {
		const struct extent *last = kept ? &x[kept - 1] : NULL;

		if (!last || x[i].at != last->at) {
			x[kept++] = x[i];
			continue;
		}
		if (x[i].size != last->size || memcmp(x[i].hash, last->hash, 16) != 0) {
			free(x);
			return err_set(e, -EBADMSG, "payloads that overlap");
		}
	}
	*ret = x;
	*ret_count = kept;
	return 0;
}

/* One pass over the file: everything goes into the content hash, each payload into its own. */
struct walk {
	struct hasher *content, *payload; /* owned */
	uint8_t *chunk;                   /* owned */
	struct extent *x;                 /* owned */
	size_t count, at_extent;
	uint64_t index_end; /* the zeros up to the first payload begin here */
};

static void walk_release(struct walk *w)
{
	hasher_free(w->content);
	hasher_free(w->payload);
	free(w->chunk);
	free(w->x);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* The next piece of the payload that is due; `whole`: there is no other. */
static int walk_payload(struct walk *w, const uint8_t *p, size_t len, bool whole, bool last,
			struct err *e)
{
	const struct extent *x = &w->x[w->at_extent];
	struct hash128 hash;

	if (!whole)
		hasher_add(w->payload, p, len);
	if (!last)
		return 0;
	hash = whole ? hash128(p, len) : hasher_end(w->payload);
	if (memcmp(hash.b, x->hash, sizeof hash.b) != 0)
		return err_set(e, -EBADMSG, "the payload at %llu does not match its hash",
			       (unsigned long long)x->at);
	if (!whole)
		hasher_reset(w->payload);
	w->at_extent++;
	return 0;
}

/* Bytes [at, at+n) of the file that lie past the index: payloads and padding in turn. */
static int walk_payloads(struct walk *w, const uint8_t *p, uint64_t at, size_t n, struct err *e)
{
	while (n > 0) {
		const struct extent *x = w->at_extent < w->count ? &w->x[w->at_extent] : NULL;
		uint64_t until = !x ? UINT64_MAX : at < x->at ? x->at : x->at + x->size;
		size_t len = until - at < n ? (size_t)(until - at) : n;

		if (!x || at < x->at) {
			if (!all_zero(p, len))
				return err_set(e, -EBADMSG, "padding at %llu is not zero",
					       (unsigned long long)at);
		} else {
			int r = walk_payload(w, p, len, len == x->size, at + len == until, e);

			if (r < 0)
				return r;
		}
		p += len;
		at += len;
		n -= len;
	}
	return 0;
}

static int walk_file(struct walk *w, int fd, uint64_t size, struct err *e)
{
	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < DXP_CHUNK ? (size_t)(size - at) : DXP_CHUNK;
		int r = file_pread_all(fd, w->chunk, n, (off_t)at);
		size_t skip = 0;

		if (r < 0)
			return err_set(e, r, "cannot read the blob: %s", strerror(-r));
		if (at == 0) { /* a blob has at least one block */
			hasher_add(w->content, w->chunk, DXP_CONTENT_AT);
			skip = DXP_HASH_AT;
		}
		hasher_add(w->content, w->chunk + skip, n - skip);
		if (at + n > w->index_end) {
			skip = at < w->index_end ? (size_t)(w->index_end - at) : 0;
			r = walk_payloads(w, w->chunk + skip, at + skip, n - skip, e);
			if (r < 0)
				return r;
		}
		at += n;
	}
	return 0;
}

/* Payloads follow one another, from the first block after the index to the end. */
static bool no_gaps(const struct walk *w, uint64_t size)
{
	uint64_t at = dxp_round(w->index_end);

	for (size_t i = 0; i < w->count; i++) {
		if (w->x[i].at != at)
			return false;
		at = dxp_round(at + w->x[i].size);
	}
	return at == size;
}

static int verify(const struct dxp *p, int fd, struct hash128 expect, struct err *e)
{
	cleanup(walk_release) struct walk w = { 0 };
	int r;

	if (!hash128_eq(p->content, expect))
		return err_set(e, -EBADMSG,
			       "the blob's header has another content hash than its name");
	w.index_end = (uint64_t)((const uint8_t *)(p->meta.version + strlen(p->meta.version) + 1) -
				 (const uint8_t *)p->index) +
		      sizeof(struct dxp_header);
	w.content = hasher_new();
	w.payload = hasher_new();
	w.chunk = malloc(p->size < DXP_CHUNK ? (size_t)p->size : DXP_CHUNK);
	if (!w.content || !w.payload || !w.chunk)
		return err_set(e, -ENOMEM, "out of memory");
	r = list_extents(p, &w.x, &w.count, e);
	if (r == 0 && !no_gaps(&w, p->size))
		r = err_set(e, -EBADMSG, "payloads with gaps or overlaps");
	if (r == 0)
		r = walk_file(&w, fd, p->size, e);
	if (r == 0 && !hash128_eq(hasher_end(w.content), expect))
		r = err_set(e, -EBADMSG, "the blob's bytes do not match its name");
	return r;
}

int dxp_open_verified(struct dxp **ret, int fd, struct hash128 expect, struct err *e)
{
	struct dxp *p;
	int r = dxp_open(&p, fd, e);

	if (r < 0)
		return r;
	r = verify(p, fd, expect, e);
	if (r < 0) {
		dxp_close(p);
		return r;
	}
	mark_all(p, 0xff);
	*ret = p;
	return 0;
}

int dxp_verify(int fd, struct hash128 expect, struct err *e)
{
	struct dxp *p = NULL;
	int r = dxp_open_verified(&p, fd, expect, e);

	dxp_close(p);
	return r;
}
