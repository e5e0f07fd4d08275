#include "lock/semver_priv.h"

/* npm rewrites its regular expressions so that they stay linear: runs of digits and of
 * identifier characters have these limits, and a longer run does not match. */
#define DIGITS_MAX 256
#define WORD_MAX   250

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

bool semver_is_word(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

size_t semver_space(const uint8_t *p, const uint8_t *end)
{
	size_t n = (size_t)(end - p);

	if (n == 0)
		return 0;
	if (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r'))
		return 1;
	if (n >= 2 && p[0] == 0xc2 && p[1] == 0xa0)
		return 2;
	if (n < 3)
		return 0;
	switch (p[0] << 8 | p[1]) {
	case 0xe19a: /* U+1680 */
		return p[2] == 0x80 ? 3 : 0;
	case 0xe280: /* U+2000..200A, 2028, 2029, 202F */
		return (p[2] >= 0x80 && p[2] <= 0x8a) || p[2] == 0xa8 || p[2] == 0xa9 ||
				       p[2] == 0xaf
			       ? 3
			       : 0;
	case 0xe281: /* U+205F */
		return p[2] == 0x9f ? 3 : 0;
	case 0xe380: /* U+3000 */
		return p[2] == 0x80 ? 3 : 0;
	case 0xefbb: /* U+FEFF */
		return p[2] == 0xbf ? 3 : 0;
	}
	return 0;
}

struct slice semver_trim(struct slice text)
{
	const uint8_t *p, *end;
	size_t n;

	if (text.len == 0)
		return SLICE("");
	p = text.ptr;
	end = p + text.len;
	while ((n = semver_space(p, end)) > 0)
		p += n;
	for (bool again = true; again && end > p;) {
		again = false;
		for (size_t len = 1; len <= 3 && len <= (size_t)(end - p); len++) {
			if (semver_space(end - len, end) == len) {
				end -= len;
				again = true;
				break;
			}
		}
	}
	return (struct slice){ p, (size_t)(end - p) };
}

uint64_t semver_number(struct slice digits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < digits.len; i++) {
		n = n * 10 + (digits.ptr[i] - '0');
		if (n > SEMVER_NUMBER_MAX)
			return SEMVER_NUMBER_MAX + 1;
	}
	return n;
}

static size_t digits_run(const uint8_t *p, const uint8_t *end)
{
	size_t n = 0;

	while (n < DIGITS_MAX && p + n < end && is_digit(p[n]))
		n++;
	return n;
}

/* A number of a version: the length, or 0. */
static size_t match_number(const uint8_t *p, const uint8_t *end, unsigned flags)
{
	if (p == end)
		return 0;
	if ((flags & MATCH_XRANGE) && (*p == 'x' || *p == 'X' || *p == '*'))
		return 1;
	if (!is_digit(*p))
		return 0;
	if (flags & SEMVER_LOOSE)
		return digits_run(p, end);
	return *p == '0' ? 1 : 1 + digits_run(p + 1, end);
}

/* One identifier of a prerelease. */
static size_t match_identifier(const uint8_t *p, const uint8_t *end, unsigned flags)
{
	size_t digits = digits_run(p, end), n = digits;

	if (p + n < end && semver_is_word(p[n]) && !is_digit(p[n])) {
		for (n++; p + n < end && semver_is_word(p[n]) && n - digits <= WORD_MAX;)
			n++;
		return n;
	}
	return match_number(p, end, flags & SEMVER_LOOSE);
}

static size_t match_build_identifier(const uint8_t *p, const uint8_t *end)
{
	size_t n = 0;

	while (n < WORD_MAX && p + n < end && semver_is_word(p[n]))
		n++;
	return n;
}

/* Identifiers joined by dots. */
static size_t match_identifiers(const uint8_t *p, const uint8_t *end, unsigned flags, bool build)
{
	size_t len = 0, at = 0, n;

	for (;;) {
		n = build ? match_build_identifier(p + at, end)
			  : match_identifier(p + at, end, flags);
		if (n == 0)
			return len;
		len = at + n;
		if (p + len == end || p[len] != '.')
			return len;
		at = len + 1;
	}
}

static bool tail_fits(const uint8_t *p, const uint8_t *end, unsigned flags)
{
	size_t left = (size_t)(end - p);

	if (flags & MATCH_OPEN_END)
		return true;
	if (flags & MATCH_HYPHEN_END)
		return left >= 3 && memcmp(p, " - ", 3) == 0;
	if (flags & MATCH_SPACE_END)
		return left == 0 || (left == 1 && *p == ' ');
	return left == 0;
}

/* What may follow the third number; returns where the match ends, or NULL. */
static const uint8_t *match_rest(const uint8_t *p, const uint8_t *end, unsigned flags,
				 struct semver_parts *ret)
{
	size_t hyphen = p < end && *p == '-', n = 0;

	if (hyphen || (flags & SEMVER_LOOSE))
		n = match_identifiers(p + hyphen, end, flags, false);
	if (n == 0 && hyphen && (flags & SEMVER_LOOSE)) {
		/* The hyphen is optional and also a letter: `1.2.3-` has the prerelease `-`. */
		hyphen = 0;
		n = match_identifiers(p, end, flags, false);
	}
	ret->pre = (struct slice){ n ? p + hyphen : NULL, n };
	if (n)
		p += hyphen + n;
	n = p < end && *p == '+' ? match_identifiers(p + 1, end, flags, true) : 0;
	ret->build = (struct slice){ n ? p + 1 : NULL, n };
	if (n)
		p += 1 + n;
	return tail_fits(p, end, flags) ? p : NULL;
}

static const uint8_t *skip_prefix(const uint8_t *p, const uint8_t *end, unsigned flags)
{
	size_t n;

	if (!(flags & (SEMVER_LOOSE | MATCH_XRANGE)))
		return p < end && *p == 'v' ? p + 1 : p;
	for (; p < end; p += n) {
		n = *p == 'v' || *p == '=' ? 1 : semver_space(p, end);
		if (n == 0)
			break;
	}
	return p;
}

/* The third number and what follows. Loose, a number may give its last digit to the prerelease
 * where the text fits only so: `1.2.34.5` is 1.2.3-4.5. */
static const uint8_t *match_patch(const uint8_t *p, const uint8_t *end, unsigned flags,
				  struct semver_parts *ret)
{
	size_t n = match_number(p, end, flags);
	const uint8_t *at;

	if (n == 0)
		return NULL;
	ret->patch = (struct slice){ p, n };
	at = match_rest(p + n, end, flags, ret);
	if (at || !(flags & SEMVER_LOOSE) || n < 2)
		return at;
	ret->patch.len = n - 1;
	return match_rest(p + n - 1, end, flags, ret);
}

ptrdiff_t semver_match(struct slice text, unsigned flags, struct semver_parts *ret)
{
	const uint8_t *end = text.ptr + text.len, *p = skip_prefix(text.ptr, end, flags), *at;
	struct slice *numbers[] = { &ret->major, &ret->minor };
	bool xrange = flags & MATCH_XRANGE;

	*ret = (struct semver_parts){ 0 };
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		size_t n = match_number(p, end, flags);

		if (n == 0) { /* the dot before it was not part of the match */
			p -= i > 0;
			return xrange && i > 0 && tail_fits(p, end, flags) ? p - text.ptr : -1;
		}
		*numbers[i] = (struct slice){ p, n };
		p += n;
		if (p == end || *p != '.')
			return xrange && tail_fits(p, end, flags) ? p - text.ptr : -1;
		p++;
	}
	at = match_patch(p, end, flags, ret);
	if (at)
		return at - text.ptr;
	ret->patch = ret->pre = ret->build = (struct slice){ 0 };
	return xrange && tail_fits(p - 1, end, flags) ? p - 1 - text.ptr : -1;
}

int semver_from_parts(struct semver *ret, const struct semver_parts *p)
{
	struct semver v = { .major = semver_number(p->major),
			    .minor = semver_number(p->minor),
			    .patch = semver_number(p->patch),
			    .pre = p->pre,
			    .build = p->build };

	if (v.major > SEMVER_NUMBER_MAX || v.minor > SEMVER_NUMBER_MAX ||
	    v.patch > SEMVER_NUMBER_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

static size_t utf16_len(struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += (text.ptr[i] & 0xc0) != 0x80;
	return n;
}

int semver_parse(struct semver *ret, struct slice text, unsigned flags)
{
	struct semver_parts parts;

	if (text.len > SEMVER_LEN_MAX && utf16_len(text) > SEMVER_LEN_MAX)
		return -EINVAL;
	if (semver_match(semver_trim(text), flags & SEMVER_LOOSE, &parts) < 0)
		return -EINVAL;
	return semver_from_parts(ret, &parts);
}

/* The identifier up to the next dot, and the rest after that dot. */
static struct slice next_identifier(struct slice *rest)
{
	const uint8_t *dot = rest->len ? memchr(rest->ptr, '.', rest->len) : NULL;
	struct slice id = { rest->ptr, dot ? (size_t)(dot - rest->ptr) : rest->len };

	*rest = dot ? (struct slice){ dot + 1, rest->len - id.len - 1 } : (struct slice){ 0 };
	return id;
}

static bool is_numeric(struct slice id)
{
	for (size_t i = 0; i < id.len; i++) {
		if (!is_digit(id.ptr[i]))
			return false;
	}
	return id.len > 0;
}

/* Past 2^53 the digits are what JavaScript makes of them: a double. */
static double big_number(struct slice digits)
{
	char text[SEMVER_TEXT_MAX];
	size_t n = digits.len < sizeof text - 1 ? digits.len : sizeof text - 1;

	memcpy(text, digits.ptr, n);
	text[n] = '\0';
	return strtod(text, NULL);
}

static int cmp_numbers(struct slice a, struct slice b)
{
	uint64_t m = semver_number(a), n = semver_number(b);

	if (m <= SEMVER_NUMBER_MAX || n <= SEMVER_NUMBER_MAX)
		return (m > n) - (m < n);
	return (big_number(a) > big_number(b)) - (big_number(a) < big_number(b));
}

/* Whether npm keeps this identifier as a number, so that leading zeros do not count. */
static bool kept_as_number(struct slice id)
{
	return is_numeric(id) && semver_number(id) < SEMVER_NUMBER_MAX;
}

static bool identifier_same(struct slice a, struct slice b)
{
	if (slice_eq(a, b))
		return true;
	return kept_as_number(a) && kept_as_number(b) && semver_number(a) == semver_number(b);
}

static int cmp_identifier(struct slice a, struct slice b)
{
	bool an = is_numeric(a), bn = is_numeric(b);

	if (an && bn)
		return cmp_numbers(a, b);
	if (an != bn)
		return an ? -1 : 1;
	return slice_cmp(a, b);
}

static int cmp_identifiers(struct slice a, struct slice b)
{
	while (a.len > 0 && b.len > 0) {
		struct slice m = next_identifier(&a), n = next_identifier(&b);

		if (!identifier_same(m, n))
			return cmp_identifier(m, n);
	}
	return (a.len > 0) - (b.len > 0);
}

bool semver_pre_same(struct slice a, struct slice b)
{
	if (slice_eq(a, b))
		return true;
	while (a.len > 0 && b.len > 0) {
		if (!identifier_same(next_identifier(&a), next_identifier(&b)))
			return false;
	}
	return a.len == 0 && b.len == 0;
}

int semver_cmp(const struct semver *a, const struct semver *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	if (a->patch != b->patch)
		return a->patch < b->patch ? -1 : 1;
	if (a->pre.len == 0 || b->pre.len == 0)
		return (a->pre.len == 0) - (b->pre.len == 0);
	return cmp_identifiers(a->pre, b->pre);
}

static size_t put_number(char *ret, uint64_t n)
{
	char digits[20];
	size_t len = 0;

	do {
		digits[sizeof digits - ++len] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	memcpy(ret, digits + sizeof digits - len, len);
	return len;
}

size_t semver_format(const struct semver *v, char ret[SEMVER_TEXT_MAX])
{
	const uint64_t numbers[] = { v->major, v->minor, v->patch };
	struct slice rest = v->pre;
	size_t len = 0;
	char sep = '-';

	for (unsigned i = 0; i < 3; i++) {
		if (i > 0)
			ret[len++] = '.';
		len += put_number(ret + len, numbers[i]);
	}
	for (; rest.len > 0; sep = '.') {
		struct slice id = next_identifier(&rest);

		ret[len++] = sep;
		if (kept_as_number(id)) {
			len += put_number(ret + len, semver_number(id));
		} else {
			memcpy(ret + len, id.ptr, id.len);
			len += id.len;
		}
	}
	ret[len] = '\0';
	return len;
}
