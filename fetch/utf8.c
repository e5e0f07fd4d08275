#include "fetch/utf8.h"

/* The lowest and highest second byte that may follow a lead byte, and how many follow. */
static unsigned lead(uint8_t c, uint8_t *lo, uint8_t *hi)
{
	*lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	*hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef)
		return 2;
	if (c >= 0xf0 && c <= 0xf4)
		return 3;
	return 0;
}

size_t utf8_step(const uint8_t *p, size_t n, bool *ret_ok)
{
	uint8_t lo, hi;
	unsigned more;

	*ret_ok = true;
	if (p[0] < 0x80)
		return 1;
	more = lead(p[0], &lo, &hi);
	*ret_ok = false;
	if (more == 0)
		return 1;
	for (unsigned i = 1; i <= more; i++) {
		if (i >= n || p[i] < lo || p[i] > hi)
			return i;
		lo = 0x80;
		hi = 0xbf;
	}
	*ret_ok = true;
	return 1 + more;
}

/* The length of the well-formed text at the start of p. */
static size_t good_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	bool ok;

	while (i < n) {
		uint64_t word;

		if (n - i >= sizeof word) {
			memcpy(&word, p + i, sizeof word);
			if (!(word & 0x8080808080808080u)) {
				i += sizeof word;
				continue;
			}
		}
		size_t step = utf8_step(p + i, n - i, &ok);

		if (!ok)
			break;
		i += step;
	}
	return i;
}

void utf8_add(struct buf *b, struct slice s)
{
	bool ok;

	for (size_t i = 0; i < s.len && !buf_error(b);) {
		size_t run = good_run(s.ptr + i, s.len - i);

		buf_add(b, s.ptr + i, run);
		i += run;
		if (i == s.len)
			break;
		i += utf8_step(s.ptr + i, s.len - i, &ok);
		buf_add(b, "\xef\xbf\xbd", 3);
	}
}

uint64_t utf8_len(struct slice s)
{
	uint64_t len = 0;
	bool ok;

	for (size_t i = 0; i < s.len;) {
		size_t run = good_run(s.ptr + i, s.len - i);

		len += run;
		i += run;
		if (i == s.len)
			break;
		i += utf8_step(s.ptr + i, s.len - i, &ok);
		len += 3;
	}
	return len;
}

size_t utf8_space(const uint8_t *p, size_t n)
{
	static const char *const wide[] = {
		"\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
		"\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87",
		"\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf",
	};

	if (n == 0)
		return 0;
	if (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r'))
		return 1;
	for (size_t i = 0; p[0] >= 0x80 && i < ARRAY_LEN(wide); i++) {
		size_t len = strlen(wide[i]);

		if (n >= len && memcmp(p, wide[i], len) == 0)
			return len;
	}
	return 0;
}

static size_t to_line_end(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\n' || p[i] == '\r' ||
		    (n - i >= 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] & 0xfe) == 0xa8))
			return i;
	return n;
}

void utf8_cut_at_nul(struct buf *b, size_t from)
{
	const uint8_t *nul = b->len > from ? memchr(b->data + from, 0, b->len - from) : NULL;
	size_t at, cut;

	if (!nul)
		return;
	at = (size_t)(nul - b->data);
	cut = to_line_end(b->data + at, b->len - at);
	memmove(b->data + at, b->data + at + cut, b->len - at - cut);
	b->len -= cut;
}
