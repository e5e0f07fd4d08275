#include "fetch/tar_priv.h"
#include "fetch/utf8.h"

#include <math.h>
#include <stdio.h>

#define SAFE_MAX 9007199254740991LL /* JavaScript's largest safe integer */

/* ---- numbers ---- */

enum num { NUM_NONE, NUM_VALUE, NUM_THROWS };

/* Base-256: 0x80 and a positive number, or 0xff and two's complement over the whole field. */
static enum num big_number(const uint8_t *p, size_t n, int64_t *ret)
{
	bool neg = p[0] == 0xff;
	size_t i = 1;
	uint64_t v = 0;

	if (p[0] != 0x80 && !neg)
		return NUM_THROWS;
	while (n - i > 7)
		if (p[i++] != (neg ? 0xff : 0))
			return NUM_THROWS;
	for (; i < n; i++)
		v = v << 8 | p[i];
	if (neg) /* at most 56 bits are left, and above them only ones */
		v = ((uint64_t)1 << 56) - v;
	if (v > SAFE_MAX)
		return NUM_THROWS;
	*ret = neg ? -(int64_t)v : (int64_t)v;
	return NUM_VALUE;
}

static enum num number(const uint8_t *p, size_t n, int64_t *ret)
{
	size_t i = 0, space;
	bool neg = false, any = false;
	int64_t v = 0;

	if (p[0] & 0x80)
		return big_number(p, n, ret);
	while ((space = utf8_space(p + i, n - i)))
		i += space;
	if (i < n && (p[i] == '-' || p[i] == '+'))
		neg = p[i++] == '-';
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++, any = true)
		v = v * 8 + (p[i] - '0');
	if (!any)
		return NUM_NONE;
	*ret = neg ? -v : v;
	return NUM_VALUE;
}

/* A field whose value does not matter, only whether npm chokes on it. */
static bool chokes(const uint8_t *block, size_t at, size_t n, bool given)
{
	int64_t v;

	return !given && number(block + at, n, &v) == NUM_THROWS;
}

/* ---- JavaScript's Number(text) ---- */

static struct slice trimmed(struct slice s)
{
	size_t end = 0, space;

	while ((space = utf8_space(s.ptr, s.len))) {
		s.ptr += space;
		s.len -= space;
	}
	for (size_t i = 0; i < s.len;) {
		space = utf8_space(s.ptr + i, s.len - i);
		i += space ? space : 1;
		if (!space)
			end = i;
	}
	s.len = end;
	return s;
}

static double in_base(struct slice s, unsigned base)
{
	double v = 0;

	for (size_t i = 0; i < s.len; i++) {
		int c = s.ptr[i] | 0x20;
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(s.ptr[i] - '0')
			     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
						    : 99;

		if (d >= base)
			return NAN;
		v = v * base + d;
	}
	return s.len ? v : NAN;
}

/* Appends the digits from *i on to the number *v. Returns how many there were. */
static size_t digits(struct slice s, size_t *i, double *v)
{
	size_t from = *i;

	for (; *i < s.len && s.ptr[*i] >= '0' && s.ptr[*i] <= '9'; ++*i)
		*v = *v * 10 + (s.ptr[*i] - '0');
	return *i - from;
}

static double exponent(struct slice s, size_t *i)
{
	bool neg = *i < s.len && s.ptr[*i] == '-';
	double v = 0;

	*i += *i < s.len && (s.ptr[*i] == '+' || s.ptr[*i] == '-');
	if (digits(s, i, &v) == 0)
		return NAN;
	return neg ? -v : v;
}

/* Not rounded in the last place: sizes are whole numbers, and those below 2^53 come out exact. */
static double decimal(struct slice s)
{
	bool neg = s.ptr[0] == '-';
	size_t i = neg || s.ptr[0] == '+', n, after = 0;
	double v = 0, e = 0;

	n = digits(s, &i, &v);
	if (i < s.len && s.ptr[i] == '.') {
		i++;
		after = digits(s, &i, &v);
	}
	if (n + after == 0)
		return NAN;
	if (i < s.len && (s.ptr[i] | 0x20) == 'e') {
		i++;
		e = exponent(s, &i);
	}
	if (i < s.len || isnan(e))
		return NAN;
	e -= (double)after;
	v = v == 0 ? 0 : e < 0 ? v / pow(10, -e) : v * pow(10, e);
	return neg ? -v : v;
}

static double js_number(struct slice s)
{
	static const struct {
		char letter;
		unsigned base;
	} prefix[] = { { 'x', 16 }, { 'o', 8 }, { 'b', 2 } };

	s = trimmed(s);
	if (s.len == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(prefix); i++)
		if (s.len >= 2 && s.ptr[0] == '0' && (s.ptr[1] | 0x20) == prefix[i].letter)
			return in_base((struct slice){ s.ptr + 2, s.len - 2 }, prefix[i].base);
	if (slice_eq(s, SLICE("Infinity")) || slice_eq(s, SLICE("+Infinity")))
		return INFINITY;
	return decimal(s);
}

/* ---- pax ---- */

/* The leading number of a line, as parseInt reads it; 0 where it cannot be a line's length.
 * *ret_digits: how many digits it has when written out. */
static size_t line_number(struct slice line, size_t *ret_digits)
{
	size_t i = 0, space, v = 0;
	char text[24];

	while ((space = utf8_space(line.ptr + i, line.len - i)))
		i += space;
	if (i < line.len && line.ptr[i] == '+')
		i++;
	for (; i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++) {
		if (v > ((size_t)1 << 40))
			return 0;
		v = v * 10 + (size_t)(line.ptr[i] - '0');
	}
	*ret_digits = (size_t)snprintf(text, sizeof text, "%zu", v);
	return v;
}

/* Drops n UTF-16 units from the front; false if that would cut a character in two. */
static bool skip_units(struct slice *s, size_t n)
{
	bool ok;

	while (n > 0 && s->len > 0) {
		size_t step = utf8_step(s->ptr, s->len, &ok);
		size_t units = step == 4 ? 2 : 1;

		if (units > n)
			return false;
		s->ptr += step;
		s->len -= step;
		n -= units;
	}
	return true;
}

static int set_text(bool *given, struct buf *b, struct slice s)
{
	b->len = 0;
	buf_add(b, s.ptr, s.len);
	utf8_cut_at_nul(b, 0);
	*given = true;
	return buf_error(b);
}

static int set_size(struct tar_ext *x, struct slice value)
{
	auto_buf struct buf b = BUF_INIT(value.len);
	double v;

	buf_add(&b, value.ptr, value.len);
	utf8_cut_at_nul(&b, 0);
	if (buf_error(&b))
		return buf_error(&b);
	v = js_number((struct slice){ b.data, b.len });
	if (v >= 0) {
		x->size = true;
		x->size_value = v;
	}
	return 0;
}

static int set_key(struct tar_ext *x, struct slice key, struct slice value)
{
	struct {
		struct slice key;
		bool *given;
	} flags[] = {
		{ SLICE("uid"), &x->uid },     { SLICE("gid"), &x->gid },
		{ SLICE("mtime"), &x->mtime }, { SLICE("atime"), &x->atime },
		{ SLICE("ctime"), &x->ctime },
	};

	if (slice_eq(key, SLICE("path")))
		return set_text(&x->path, &x->path_text, value);
	if (slice_eq(key, SLICE("linkpath")))
		return set_text(&x->linkpath, &x->linkpath_text, value);
	if (slice_eq(key, SLICE("size")))
		return set_size(x, value);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (slice_eq(key, flags[i].key))
			*flags[i].given = true;
	return 0;
}

static int pax_line(struct tar_ext *x, struct slice line)
{
	size_t n_digits = 0;
	const uint8_t *eq;
	struct slice key;

	if (line.len == 0 || line_number(line, &n_digits) != line.len + 1)
		return 0;
	if (!skip_units(&line, n_digits + 1) || line.len == 0)
		return 0;
	eq = memchr(line.ptr, '=', line.len);
	key = (struct slice){ line.ptr, eq ? (size_t)(eq - line.ptr) : line.len };
	line.ptr += key.len + (eq != NULL);
	line.len -= key.len + (eq != NULL);
	return set_key(x, key, line);
}

int tar_ext_pax(struct tar_ext *x, struct slice body)
{
	auto_buf struct buf text = BUF_INIT(TAR_MEMORY_MAX);
	struct slice rest;
	int r;

	utf8_add(&text, body);
	r = buf_error(&text);
	rest = (struct slice){ text.data, text.len };
	while (r == 0 && rest.len > 0) {
		const uint8_t *nl = memchr(rest.ptr, '\n', rest.len);
		size_t n = nl ? (size_t)(nl - rest.ptr) : rest.len;

		r = pax_line(x, (struct slice){ rest.ptr, n });
		rest.ptr += n + (nl != NULL);
		rest.len -= n + (nl != NULL);
	}
	return r;
}

int tar_ext_long(bool *given, struct buf *text, struct slice body)
{
	text->len = 0;
	utf8_add(text, body);
	utf8_cut_at_nul(text, 0);
	*given = true;
	return buf_error(text);
}

void tar_ext_clear(struct tar_ext *x)
{
	x->path = x->linkpath = x->size = false;
	x->uid = x->gid = x->mtime = x->atime = x->ctime = false;
}

void tar_ext_release(struct tar_ext *x)
{
	buf_release(&x->path_text);
	buf_release(&x->linkpath_text);
	tar_ext_clear(x);
}

/* ---- the header ---- */

static void add_text(struct buf *b, const uint8_t *p, size_t n)
{
	const uint8_t *nul = memchr(p, 0, n);
	size_t from = b->len, rest = nul ? (size_t)(p + n - nul) : 0;

	/* Nearly always nothing but NULs follow one: no line end that would bring more. */
	if (rest > 0 && memcmp(nul, nul + 1, rest - 1) == 0)
		n -= rest;
	utf8_add(b, (struct slice){ p, n });
	utf8_cut_at_nul(b, from);
}

static bool is_posix(const uint8_t *block)
{
	return memcmp(block + 257,
		      "ustar\0"
		      "00",
		      8) == 0;
}

/* Which blocks npm's parser gives up on: it reads all these numbers before anything else. */
static bool unreadable(const uint8_t *block, const struct tar_ext *x, const struct tar_ext *g,
		       const struct tar_ext *any_x, const struct tar_ext *any_g)
{
	if (chokes(block, 100, 8, false) || chokes(block, 108, 8, x->uid || g->uid) ||
	    chokes(block, 116, 8, x->gid || g->gid) || chokes(block, 124, 12, x->size || g->size) ||
	    chokes(block, 136, 12, x->mtime || g->mtime) || chokes(block, 148, 12, false))
		return true;
	if (!is_posix(block))
		return false;
	if (chokes(block, 329, 8, false) || chokes(block, 337, 8, false))
		return true;
	return block[475] == 0 && (chokes(block, 476, 12, any_x->atime || any_g->atime) ||
				   chokes(block, 488, 12, any_x->ctime || any_g->ctime));
}

static unsigned checksum(const uint8_t *block)
{
	const uint64_t low = 0x00ff00ff00ff00ffu;
	uint64_t sums = 0; /* four of 16 bits: of 128 bytes each at most */
	unsigned sum = 8 * ' ';

	for (size_t i = 0; i < TAR_BLOCK; i += 8) {
		uint64_t word;

		memcpy(&word, block + i, sizeof word);
		sums += (word & low) + (word >> 8 & low);
	}
	for (unsigned shift = 0; shift < 64; shift += 16)
		sum += sums >> shift & 0xffff;
	for (size_t i = 148; i < 156; i++) /* its own field counts as spaces */
		sum -= block[i];
	return sum;
}

/* The type as npm names it: its letter, or 0 for one that it does not know. */
static char type_of(uint8_t c)
{
	if (c == 0)
		return '0';
	return memchr("01234567gxADIKLMNSVX", c, 20) ? (char)c : 0;
}

/* Types for which a pending extended header counts. */
static bool takes_ext(char type)
{
	return (type >= '0' && type <= '7') || type == 'D';
}

static double size_of(const uint8_t *block, const struct tar_ext *x, const struct tar_ext *g)
{
	int64_t v = 0;

	if (x->size)
		return x->size_value;
	if (g->size)
		return g->size_value;
	return number(block + 124, 12, &v) == NUM_VALUE && v > 0 ? (double)v : 0;
}

/* The path with the prefix that a POSIX header has. */
static void add_prefixed(struct buf *path, const uint8_t *block, const struct tar_ext *x)
{
	if (is_posix(block)) {
		bool wide = block[475] != 0;

		add_text(path, block + 345, wide ? 155 : 130);
		if (wide || path->len > 0)
			buf_add(path, "/", 1);
	}
	if (x->path)
		buf_add(path, x->path_text.data, x->path_text.len);
	else
		add_text(path, block, 100);
}

static bool ends_in_slash(const uint8_t *block, const struct tar_ext *x, struct buf *scratch)
{
	scratch->len = 0;
	if (x->path)
		buf_add(scratch, x->path_text.data, x->path_text.len);
	else
		add_text(scratch, block, 100);
	return scratch->len > 0 && scratch->data[scratch->len - 1] == '/';
}

/* A link must have a name to link to, and nothing else may, but for pax headers. The pax and GNU
 * link names do not count here. */
static bool link_name_wrong(const uint8_t *block, char type, struct buf *scratch)
{
	bool is_link = type == '1' || type == '2';

	scratch->len = 0;
	add_text(scratch, block + 157, 100);
	return is_link ? scratch->len == 0 : type != 'x' && type != 'g' && scratch->len > 0;
}

int tar_header_read(struct tar_header *ret, struct buf *path, const uint8_t *block,
		    const struct tar_ext *ex, const struct tar_ext *global)
{
	static const struct tar_ext none = { 0 };
	struct tar_header h = { .type = type_of(block[156]) };
	const struct tar_ext *x = takes_ext(h.type) ? ex : &none;
	const struct tar_ext *g = takes_ext(h.type) ? global : &none;
	unsigned sum = checksum(block);
	int64_t claimed = -1, mode = 0666;
	enum num has_sum = number(block + 148, 12, &claimed);

	if (unreadable(block, x, g, ex, global))
		goto out;
	h.kind = has_sum == NUM_NONE && sum == 8 * ' ' ? TAR_NULL : TAR_INVALID;
	if (h.kind == TAR_NULL || claimed != (int64_t)sum)
		goto out;
	if (h.type == '0' && ends_in_slash(block, x, path))
		h.type = '5';
	h.size = h.type == '5' ? 0 : size_of(block, x, g);
	if (number(block + 100, 8, &mode) == NUM_VALUE)
		mode &= 07777;
	h.mode = (uint16_t)mode;
	if (link_name_wrong(block, h.type, path))
		goto out;
	path->len = 0;
	add_prefixed(path, block, x);
	if (path->len > 0)
		h.kind = TAR_ENTRY;
	if (x->path) { /* the prefix only decided whether there is a path */
		path->len = 0;
		buf_add(path, x->path_text.data, x->path_text.len);
	}
out:
	*ret = h;
	return buf_error(path);
}
