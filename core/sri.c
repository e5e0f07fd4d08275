#include "core/sri.h"

#include "core/crypto.h"

static const struct {
	const char *name;
	uint8_t len;
	const EVP_MD *(**md)(void); /* once crypto_need() has succeeded */
} algs[] = {
	[DIGEST_SHA1] = { "sha1", 20, &EVP_sha1 },
	[DIGEST_SHA256] = { "sha256", 32, &EVP_sha256 },
	[DIGEST_SHA384] = { "sha384", 48, &EVP_sha384 },
	[DIGEST_SHA512] = { "sha512", 64, &EVP_sha512 },
	[DIGEST_UNPINNED] = { "unpinned", 64, &EVP_sha512 },
};

static bool alg_known(unsigned alg)
{
	return alg > DIGEST_NONE && alg < ARRAY_LEN(algs);
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A digit's value plus one; 0 is none. */
static const uint8_t base64_values[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
	['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

/* Exactly `len` bytes in the one canonical spelling: padded, no stray bits. ssri compares
 * digests as text, so any other spelling never matches there either. */
static bool base64_decode(struct slice s, uint8_t *to, size_t len)
{
	size_t chars = (len * 8 + 5) / 6, got = 0, i = 0;
	unsigned acc = 0, bits = 0;

	if (s.len != (len + 2) / 3 * 4)
		return false;
	for (; got + 3 <= len; i += 4, got += 3) {
		unsigned a = base64_values[s.ptr[i]], b = base64_values[s.ptr[i + 1]];
		unsigned c = base64_values[s.ptr[i + 2]], d = base64_values[s.ptr[i + 3]];
		unsigned v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);

		if (a == 0 || b == 0 || c == 0 || d == 0)
			return false;
		to[got] = (uint8_t)(v >> 16);
		to[got + 1] = (uint8_t)(v >> 8);
		to[got + 2] = (uint8_t)v;
	}
	for (; i < chars; i++) {
		unsigned v = base64_values[s.ptr[i]];

		if (v == 0)
			return false;
		acc = acc << 6 | (v - 1);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[got++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	for (; i < s.len; i++)
		if (s.ptr[i] != '=')
			return false;
	return acc == 0;
}

static void base64_encode(const uint8_t *p, size_t n, char *to)
{
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
			     (i + 2 < n ? p[i + 2] : 0);

		*to++ = base64_digits[v >> 18];
		*to++ = base64_digits[v >> 12 & 63];
		*to++ = i + 1 < n ? base64_digits[v >> 6 & 63] : '=';
		*to++ = i + 2 < n ? base64_digits[v & 63] : '=';
	}
	*to = '\0';
}

/* One white-space separated part; false when it is unknown or malformed. */
static bool parse_part(struct slice part, struct digest *ret)
{
	const uint8_t *dash = memchr(part.ptr, '-', part.len);
	const uint8_t *options = memchr(part.ptr, '?', part.len);
	struct digest d = { 0 };

	if (!dash || (options && options < dash))
		return false;

	const uint8_t *end = options ? options : part.ptr + part.len;
	struct slice name = { part.ptr, (size_t)(dash - part.ptr) };
	struct slice text = { dash + 1, (size_t)(end - dash - 1) };

	for (unsigned alg = DIGEST_SHA1; alg <= DIGEST_SHA512; alg++) {
		if (!slice_eq(name, slice_str(algs[alg].name)))
			continue;
		d.alg = (uint8_t)alg;
		d.len = algs[alg].len;
		if (!base64_decode(text, d.bytes, d.len))
			return false;
		*ret = d;
		return true;
	}
	return false;
}

/* JavaScript's \s as far as ASCII goes; beyond it nothing that follows could be understood. */
static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct slice next_part(struct slice *rest)
{
	struct slice part;
	size_t n = 0;

	while (rest->len && is_space(*rest->ptr)) {
		rest->ptr++;
		rest->len--;
	}
	while (n < rest->len && !is_space(rest->ptr[n]))
		n++;
	part = (struct slice){ rest->ptr, n };
	rest->ptr += n;
	rest->len -= n;
	return part;
}

int sri_parse(struct sri *ret, struct slice text, struct err *e)
{
	struct sri sri = { 0 };
	struct digest d;

	if (text.len > SRI_TEXT_MAX)
		return err_set(e, -E2BIG, "integrity of %zu bytes, more than the limit of %d",
			       text.len, SRI_TEXT_MAX);
	for (struct slice rest = text, part; (part = next_part(&rest)).len > 0;) {
		if (!parse_part(part, &d) || (sri.count && d.alg < sri.digests[0].alg))
			continue;
		if (sri.count && d.alg > sri.digests[0].alg)
			sri = (struct sri){ 0 };
		if (sri_has(&sri, &d))
			continue;
		if (sri.count == SRI_DIGESTS_MAX)
			return err_set(e, -E2BIG, "integrity with more than %d %s digests",
				       SRI_DIGESTS_MAX, algs[d.alg].name);
		sri.digests[sri.count++] = d;
	}
	if (sri.count == 0)
		return err_set(e, -EINVAL,
			       "integrity \"%.*s\" has no sha512, sha384, sha256 or sha1 digest",
			       (int)(text.len < 120 ? text.len : 120), (const char *)text.ptr);
	*ret = sri;
	return 0;
}

bool sri_has(const struct sri *sri, const struct digest *d)
{
	for (unsigned i = 0; i < sri->count; i++)
		if (digest_eq(&sri->digests[i], d))
			return true;
	return false;
}

void digest_format(const struct digest *d, char ret[DIGEST_TEXT_MAX])
{
	size_t n;

	_Static_assert(sizeof "unpinned-" - 1 + 88 + 1 <= DIGEST_TEXT_MAX, "the longest text fits");
	if (!alg_known(d->alg) || d->len != algs[d->alg].len) {
		memcpy(ret, "none", sizeof "none");
		return;
	}
	n = strlen(algs[d->alg].name);
	memcpy(ret, algs[d->alg].name, n);
	ret[n] = '-';
	base64_encode(d->bytes, d->len, ret + n + 1);
}

/* The context of libcrypto and what to call its result. */
struct digester {
	EVP_MD_CTX *ctx; /* owned */
	uint8_t alg;
	bool failed;
};

struct digester *digester_new(enum digest_alg alg)
{
	struct digester *d = alg_known(alg) && crypto_need() == 0 ? calloc(1, sizeof *d) : NULL;

	if (!d)
		return NULL;
	d->alg = (uint8_t)alg;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, (*algs[alg].md)(), NULL) != 1) {
		digester_free(d);
		return NULL;
	}
	return d;
}

void digester_add(struct digester *d, const void *p, size_t n)
{
	if (n && EVP_DigestUpdate(d->ctx, p, n) != 1)
		d->failed = true;
}

int digester_end(struct digester *d, struct digest *ret)
{
	struct digest out = { .alg = d->alg, .len = algs[d->alg].len };
	unsigned len = 0;

	if (d->failed || EVP_DigestFinal_ex(d->ctx, out.bytes, &len) != 1 || len != out.len)
		return -EIO;
	*ret = out;
	return 0;
}

void digester_free(struct digester *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

int digest_of(struct digest *ret, enum digest_alg alg, const void *p, size_t n)
{
	struct digester *d;
	int r;

	if (!alg_known(alg))
		return -EINVAL;
	d = digester_new(alg);
	if (!d)
		return -ENOMEM;
	digester_add(d, p, n);
	r = digester_end(d, ret);
	digester_free(d);
	return r;
}
