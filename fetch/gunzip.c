#include "fetch/gunzip.h"

#include "core/file.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <sys/mman.h>
#include <zlib.h>

#define PIECE       65536 /* of input, between two looks at the ratio */
#define FIRST_GUESS 4     /* output : input of ordinary packages */
#define GZIP_MIN    18    /* header and trailer */
#define FLAG_HCRC   2     /* libdeflate does not check a header's own checksum */
#define WINDOW_AUTO (15 + 32)

static int too_dense(struct err *e)
{
	return err_set(e, -EBADMSG,
		       "the archive expands to more than %d times its size; it is refused as a "
		       "decompression bomb",
		       GUNZIP_RATIO_MAX);
}

static int too_large(struct err *e, uint64_t max)
{
	return err_set(e, -E2BIG, "the archive unpacks to more than %llu bytes, which is the limit",
		       (unsigned long long)max);
}

/* ---- in memory ---- */

/* The last four bytes of a single member tell its size; of anything else they tell nothing, so
 * they are only believed when they are plausible. 0: not told. */
static size_t told(struct slice in)
{
	const uint8_t *t = in.ptr + in.len - 4;
	size_t n = (size_t)t[0] | (size_t)t[1] << 8 | (size_t)t[2] << 16 | (size_t)t[3] << 24;

	return n >= in.len / 2 && n / GUNZIP_RATIO_MAX <= in.len ? n : 0;
}

static bool is_gzip(struct slice in)
{
	return in.len >= 4 && memcmp(in.ptr, "\x1f\x8b", 2) == 0;
}

size_t gunzip_memory(struct slice in)
{
	size_t n, max = GUNZIP_MEMORY_MAX;

	if (!is_gzip(in) || in.len > GUNZIP_INPUT_MAX)
		return 0;
	n = told(in);
	if (n / GUNZIP_DENSE > in.len)
		max = GUNZIP_DENSE_MAX;
	if (n > max)
		return 0;
	return n > GUNZIP_GUESS_MAX ? n : GUNZIP_GUESS_MAX;
}

static size_t first_cap(struct slice in, size_t max)
{
	size_t n = told(in), cap = n ? n : in.len * FIRST_GUESS;

	return cap > max ? max : cap ? cap : 1;
}

/* One member of gzip (or zlib, which zlib's detection lets follow). */
static enum libdeflate_result member(struct libdeflate_decompressor *d, struct slice in,
				     uint8_t *out, size_t room, size_t *used, size_t *made)
{
	if (in.len >= 2 && in.ptr[0] == 0x1f && in.ptr[1] == 0x8b) {
		if (in.len >= GZIP_MIN && (in.ptr[3] & FLAG_HCRC))
			return LIBDEFLATE_BAD_DATA;
		return libdeflate_gzip_decompress_ex(d, in.ptr, in.len, out, room, used, made);
	}
	return libdeflate_zlib_decompress_ex(d, in.ptr, in.len, out, room, used, made);
}

/* Where the output goes: at first into the scratch memory, if there is some and it may do. */
struct room {
	uint8_t *p, *heap; /* heap: owned; NULL: p is the scratch memory */
	size_t cap, max;
	struct gunzip_scratch *scratch; /* NULL: not used */
};

static bool scratch_begin(struct gunzip_scratch *s)
{
	if (s->busy)
		return false;
	if (!s->p) {
		void *p = mmap(NULL, GUNZIP_SCRATCH, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return false;
		s->p = p;
	}
	return true;
}

void gunzip_scratch_release(struct gunzip_scratch *s)
{
	if (s->p)
		(void)munmap(s->p, GUNZIP_SCRATCH);
	libdeflate_free_decompressor(s->inflater);
	*s = (struct gunzip_scratch){ 0 };
}

static int room_begin(struct room *m, struct slice in, size_t max, struct gunzip_scratch *s)
{
	*m = (struct room){ .cap = first_cap(in, max), .max = max };
	if (s && m->cap <= GUNZIP_SCRATCH && scratch_begin(s)) {
		m->scratch = s;
		m->p = s->p;
		m->cap = max < GUNZIP_SCRATCH ? max : GUNZIP_SCRATCH;
		return 0;
	}
	m->p = m->heap = malloc(m->cap);
	return m->p ? 0 : -ENOMEM;
}

static int room_grow(struct room *m, size_t len)
{
	size_t n = m->cap > m->max / 2 ? m->max : m->cap * 2;
	uint8_t *q;

	if (m->cap >= m->max)
		return -E2BIG;
	q = realloc(m->heap, n);
	if (!q)
		return -ENOMEM;
	if (!m->heap)
		memcpy(q, m->p, len);
	m->scratch = NULL;
	m->p = m->heap = q;
	m->cap = n;
	return 0;
}

/* 0, -ENOMEM, or -EAGAIN: zlib shall decide. */
static int all_members(struct libdeflate_decompressor *d, struct slice in, struct room *m,
		       size_t *ret_len)
{
	size_t len = 0, used, made;

	while (in.len > 0 && in.ptr[0] != 0) {
		enum libdeflate_result res = member(d, in, m->p + len, m->cap - len, &used, &made);

		if (res == LIBDEFLATE_INSUFFICIENT_SPACE) {
			int r = room_grow(m, len);

			if (r < 0)
				return r == -E2BIG ? -EAGAIN : r;
			continue;
		}
		if (res != LIBDEFLATE_SUCCESS)
			return -EAGAIN;
		len += made;
		in.ptr += used;
		in.len -= used;
	}
	*ret_len = len;
	return 0;
}

static struct libdeflate_decompressor *inflater_of(struct gunzip_scratch *s)
{
	if (!s)
		return libdeflate_alloc_decompressor();
	if (!s->inflater)
		s->inflater = libdeflate_alloc_decompressor();
	return s->inflater;
}

static int in_memory(struct gunzipped *ret, struct slice in, size_t max, struct gunzip_scratch *s,
		     struct err *e)
{
	struct libdeflate_decompressor *d = inflater_of(s);
	struct room m = { 0 };
	size_t len = 0;
	int r = d ? room_begin(&m, in, max, s) : -ENOMEM;

	if (r == 0)
		r = all_members(d, in, &m, &len);
	if (!s)
		libdeflate_free_decompressor(d);
	if (r == -ENOMEM)
		r = err_set(e, r, "no memory to unpack the archive");
	if (r == 0 && len > (uint64_t)GUNZIP_RATIO_MAX * in.len)
		r = too_dense(e);
	if (r < 0) {
		free(m.heap);
		return r;
	}
	ret->bytes = (struct slice){ m.p, len };
	ret->heap = m.heap;
	ret->scratch = m.scratch;
	if (m.scratch)
		m.scratch->busy = true;
	return 0;
}

/* ---- through a file ---- */

struct stream {
	z_stream z;
	struct slice in;
	size_t fed;    /* of `in` */
	uint64_t made; /* bytes written */
	int fd;
	uint64_t max;
	bool over; /* a zero byte followed a member */
	bool done; /* at the end of a member */
};

static int temp_file(const char *dir, struct err *e)
{
	int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
		     : memfd_create("dx-unpack", MFD_CLOEXEC);

	if (fd < 0 && dir && (errno == EOPNOTSUPP || errno == EISDIR))
		fd = memfd_create("dx-unpack", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "no temporary file to unpack into in %s: %s",
			       dir ? dir : "memory", strerror(errno));
	return fd;
}

static int bad_stream(struct stream *s, int zr, struct err *e)
{
	if (zr == Z_MEM_ERROR)
		return err_set(e, -ENOMEM, "no memory to unpack the archive");
	return err_set(e, -EBADMSG, "the archive is damaged: %s", s->z.msg ? s->z.msg : "bad gzip");
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Zeros become a hole, so that an archive which is little else does not fill the disk. */
static int emit(struct stream *s, const uint8_t *out, size_t n, struct err *e)
{
	uint64_t at = s->made;
	int r = 0;

	s->made += n;
	if (s->made > (uint64_t)GUNZIP_RATIO_MAX * s->fed)
		return too_dense(e);
	if (s->made > s->max)
		return too_large(e, s->max);
	if (!all_zero(out, n))
		r = file_pwrite_all(s->fd, out, n, (off_t)at);
	return r < 0 ? err_set(e, r, "writing the temporary file: %s", strerror(-r)) : 0;
}

/* Inflates what of the current piece there is. */
static int inflate_piece(struct stream *s, uint8_t *out, size_t size, struct err *e)
{
	do {
		int zr, r;

		if (s->done && s->z.avail_in > 0) {
			if (*s->z.next_in == 0)
				s->over = true;
			if (s->over)
				return 0;
			(void)inflateReset(&s->z);
			s->done = false;
		}
		s->z.next_out = out;
		s->z.avail_out = (uInt)size;
		zr = inflate(&s->z, Z_NO_FLUSH);
		if (zr != Z_OK && zr != Z_STREAM_END && zr != Z_BUF_ERROR)
			return bad_stream(s, zr, e);
		s->done = zr == Z_STREAM_END;
		r = emit(s, out, size - s->z.avail_out, e);
		if (r < 0)
			return r;
	} while (s->z.avail_in > 0 || s->z.avail_out == 0);
	return 0;
}

static int inflate_all(struct stream *s, struct err *e)
{
	auto_free uint8_t *out = malloc(PIECE);

	if (!out)
		return err_set(e, -ENOMEM, "no memory to unpack the archive");
	while (s->fed < s->in.len && !s->over) {
		size_t n = s->in.len - s->fed < PIECE ? s->in.len - s->fed : PIECE;
		int r;

		s->z.next_in = (Bytef *)(uintptr_t)(s->in.ptr + s->fed);
		s->z.avail_in = (uInt)n;
		s->fed += n;
		r = inflate_piece(s, out, PIECE, e);
		if (r < 0)
			return r;
	}
	if (!s->done)
		return err_set(e, -EBADMSG, "the archive is truncated: its gzip stream has no end");
	if (ftruncate(s->fd, (off_t)s->made) < 0)
		return err_set(e, -errno, "the temporary file: %s", strerror(errno));
	return 0;
}

static int map_output(struct gunzipped *ret, int fd, uint64_t len, struct err *e)
{
	void *p;

	if (len == 0) {
		ret->bytes = (struct slice){ NULL, 0 };
		return 0;
	}
	p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, -errno, "mapping the unpacked archive: %s", strerror(errno));
	ret->map = p;
	ret->map_len = len;
	ret->bytes = (struct slice){ p, len };
	return 0;
}

static int through_file(struct gunzipped *ret, struct slice in, const char *tmp_dir, uint64_t max,
			struct err *e)
{
	struct stream s = { .in = in, .max = max };
	auto_close int fd = temp_file(tmp_dir, e);
	int r;

	if (fd < 0)
		return fd;
	s.fd = fd;
	if (inflateInit2(&s.z, WINDOW_AUTO) != Z_OK)
		return err_set(e, -ENOMEM, "no memory to unpack the archive");
	r = inflate_all(&s, e);
	(void)inflateEnd(&s.z);
	return r < 0 ? r : map_output(ret, fd, s.made, e);
}

/* ---- */

int gunzip(struct gunzipped *ret, struct slice in, const struct gunzip_options *o, struct err *e)
{
	uint64_t max = o && o->output_max ? o->output_max : GUNZIP_OUTPUT_MAX;
	size_t memory = gunzip_memory(in);

	if (in.len >= 4 && memcmp(in.ptr, "\x28\xb5\x2f\xfd", 4) == 0)
		return err_set(e, -EBADMSG, "zstd archives are not supported");
	if (!is_gzip(in)) {
		ret->bytes = in;
		return 0;
	}
	if (memory > 0) {
		int r = in_memory(ret, in, memory < max ? memory : (size_t)max,
				  o ? o->scratch : NULL, e);

		if (r != -EAGAIN)
			return r;
	}
	return through_file(ret, in, o ? o->tmp_dir : NULL, max, e);
}

void gunzip_release(struct gunzipped *g)
{
	free(g->heap);
	if (g->scratch)
		g->scratch->busy = false;
	if (g->map)
		(void)munmap(g->map, g->map_len);
	*g = (struct gunzipped){ 0 };
}
