#include "lock/weburl.h"

/* What is percent-encoded in each part, besides control characters and all beyond ASCII. */
#define IN_HOST     ""
#define IN_HASH     " \"<>`"
#define IN_QUERY    " \"#<>"
#define IN_PATH     IN_QUERY "?`{}^"
#define IN_USERINFO IN_PATH "/:;=@[\\]|"

static const char hex[] = "0123456789ABCDEF";

static bool is_alpha(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static struct slice part(struct slice s, size_t from, size_t to)
{
	return (struct slice){ from ? s.ptr + from : s.ptr, to - from }; /* NULL + 0 is no C */
}

/* Index of the first of these characters, or the length. */
static size_t find(struct slice s, const char *chars)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '\0' || !strchr(chars, s.ptr[i])))
		i++;
	return i;
}

static bool must_encode(uint8_t c, const char *set)
{
	return c < 0x20 || c > 0x7e || strchr(set, c) != NULL;
}

static int encode(struct slice *ret, struct slice s, const char *set, struct arena *a)
{
	uint8_t *to = arena_alloc(a, s.len * 3 + 1);
	size_t n = 0;

	if (!to)
		return arena_error(a);
	for (size_t i = 0; i < s.len; i++) {
		if (!must_encode(s.ptr[i], set)) {
			to[n++] = s.ptr[i];
			continue;
		}
		to[n++] = '%';
		to[n++] = (uint8_t)hex[s.ptr[i] >> 4];
		to[n++] = (uint8_t)hex[s.ptr[i] & 15];
	}
	*ret = (struct slice){ to, n };
	return 0;
}

/* Without tabs and newlines, nor control characters and spaces at the ends. */
static int clean(struct slice *ret, struct slice text, struct arena *a)
{
	uint8_t *to;
	size_t n = 0;

	while (text.len > 0 && *text.ptr <= ' ')
		text = part(text, 1, text.len);
	while (text.len > 0 && text.ptr[text.len - 1] <= ' ')
		text.len--;
	to = arena_alloc(a, text.len + 1);
	if (!to)
		return arena_error(a);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '\t' && text.ptr[i] != '\n' && text.ptr[i] != '\r')
			to[n++] = text.ptr[i];
	}
	*ret = (struct slice){ to, n };
	return 0;
}

static int take_scheme(struct slice *ret, struct slice *text, struct arena *a)
{
	size_t n = 0;
	char *to;

	while (n < text->len && (is_alpha(text->ptr[n]) ||
				 (n > 0 && (is_digit(text->ptr[n]) || text->ptr[n] == '+' ||
					    text->ptr[n] == '-' || text->ptr[n] == '.'))))
		n++;
	if (n == 0 || n == text->len || text->ptr[n] != ':')
		return -EINVAL;
	to = arena_strndup(a, text->ptr, n);
	if (!to)
		return arena_error(a);
	for (size_t i = 0; i < n; i++) {
		if (to[i] >= 'A' && to[i] <= 'Z')
			to[i] = (char)(to[i] - 'A' + 'a');
	}
	*ret = (struct slice){ (uint8_t *)to, n };
	*text = part(*text, n + 1, text->len);
	return 0;
}

static bool is_special(struct slice scheme)
{
	static const char *const list[] = { "http", "https", "ftp", "ws", "wss", "file" };

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		if (slice_eq(scheme, slice_str(list[i])))
			return true;
	}
	return false;
}

static int take_userinfo(struct weburl *u, struct slice s, struct arena *a)
{
	size_t colon = find(s, ":");
	struct slice password = colon < s.len ? part(s, colon + 1, s.len) : (struct slice){ 0 };
	int r = encode(&u->user, part(s, 0, colon), IN_USERINFO, a);

	return r < 0 ? r : encode(&u->password, password, IN_USERINFO, a);
}

static int take_port(struct weburl *u, struct slice s, struct arena *a)
{
	unsigned long n = 0;
	char *text;

	if (s.len == 0)
		return 0;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.ptr[i]))
			return -EINVAL;
		n = n * 10 + (s.ptr[i] - '0');
		if (n > 65535)
			return -EINVAL;
	}
	text = arena_printf(a, "%lu", n);
	if (!text)
		return arena_error(a);
	u->port = slice_str(text);
	return 0;
}

/* A host of http and its like: decoded, in lower case, and without what no domain has. */
static int take_domain(struct weburl *u, struct slice s, struct arena *a)
{
	static const char never[] = " #/:<>?@[\\]^|%\177";
	struct slice host;
	int r = weburl_decode(&host, s, a);

	if (r < 0)
		return r;
	for (size_t i = 0; i < host.len; i++) {
		uint8_t *c = (uint8_t *)&host.ptr[i];

		if (*c < 0x20 || strchr(never, *c))
			return -EINVAL;
		if (*c >= 'A' && *c <= 'Z')
			*c = (uint8_t)(*c - 'A' + 'a');
	}
	u->host = host;
	return 0;
}

static int take_host(struct weburl *u, struct slice s, bool special, struct arena *a)
{
	bool bracket = s.len > 0 && s.ptr[0] == '[';
	size_t from = bracket ? find(s, "]") : 0, colon;
	struct slice host;
	int r;

	if (from == s.len && bracket)
		return -EINVAL;
	colon = from + find(part(s, from, s.len), ":");
	host = part(s, 0, colon);
	if (!bracket && (find(host, " #/:<>?@[\\]^|") < host.len || memchr(host.ptr, 0, host.len)))
		return -EINVAL;
	r = special && !bracket ? take_domain(u, host, a) : encode(&u->host, host, IN_HOST, a);
	if (r < 0)
		return r;
	return colon < s.len ? take_port(u, part(s, colon + 1, s.len), a) : 0;
}

static int take_authority(struct weburl *u, struct slice s, bool special, struct arena *a)
{
	const uint8_t *at = s.len ? memrchr(s.ptr, '@', s.len) : NULL;
	size_t n = at ? (size_t)(at - s.ptr) : 0;
	struct slice host = at ? part(s, n + 1, s.len) : s;
	int r;

	u->authority = true;
	if (at) {
		r = take_userinfo(u, part(s, 0, n), a);
		if (r < 0)
			return r;
	}
	/* No host is fine only in `x:///path`. */
	if (host.len == 0 ? special || at : host.ptr[0] == ':')
		return -EINVAL;
	return take_host(u, host, special, a);
}

/* "." 1, ".." 2, in any spelling; otherwise 0. */
static int dots(struct slice s)
{
	int n = 0;

	while (s.len > 0) {
		bool coded = s.len >= 3 && s.ptr[0] == '%' && s.ptr[1] == '2' &&
			     (s.ptr[2] | 0x20) == 'e';

		if (!coded && s.ptr[0] != '.')
			return 0;
		s = part(s, coded ? 3 : 1, s.len);
		n++;
	}
	return n <= 2 ? n : 0;
}

/* An absolute path with its dots resolved. */
static int take_path(struct weburl *u, struct slice s, bool special, struct arena *a)
{
	uint8_t *to = arena_alloc(a, s.len + 2);
	const char *seps = special ? "/\\" : "/";
	size_t n = 0;

	if (!to)
		return arena_error(a);
	if (s.len > 0 && find(part(s, 0, 1), seps) == 0)
		s = part(s, 1, s.len);
	else if (s.len == 0 && !special)
		return 0;
	for (;;) {
		size_t end = find(s, seps);
		struct slice segment = part(s, 0, end);
		int d = dots(segment);

		while (d == 2 && n > 0 && to[--n] != '/')
			;
		if (d == 0) {
			to[n++] = '/';
			if (end > 0)
				memcpy(to + n, segment.ptr, end);
			n += end;
		}
		if (end == s.len) {
			if (d > 0)
				to[n++] = '/';
			break;
		}
		s = part(s, end + 1, s.len);
	}
	return encode(&u->path, (struct slice){ to, n }, IN_PATH, a);
}

/* What is between the scheme and the query. */
static int take_middle(struct weburl *u, struct slice s, struct arena *a)
{
	bool special = is_special(u->scheme), file = slice_eq(u->scheme, SLICE("file"));
	size_t end;
	int r;

	if (special && !file) {
		while (s.len > 0 && (*s.ptr == '/' || *s.ptr == '\\'))
			s = part(s, 1, s.len);
	} else if (s.len >= 2 && memcmp(s.ptr, "//", 2) == 0) {
		s = part(s, 2, s.len);
	} else if (file || (s.len > 0 && *s.ptr == '/')) {
		return take_path(u, s, special, a);
	} else {
		return encode(&u->path, s, IN_HOST, a);
	}
	end = find(s, special ? "/\\" : "/");
	r = take_authority(u, part(s, 0, end), special && !file, a);
	return r < 0 ? r : take_path(u, part(s, end, s.len), special, a);
}

int weburl_parse(struct weburl *ret, struct slice text, struct arena *a)
{
	struct weburl u = { 0 };
	size_t at;
	int r;

	if (text.len > URL_LEN_MAX)
		return -E2BIG;
	r = clean(&text, text, a);
	if (r == 0)
		r = take_scheme(&u.scheme, &text, a);
	if (r < 0)
		return r;
	at = find(text, "#");
	if (at < text.len)
		r = encode(&u.hash, part(text, at + 1, text.len), IN_HASH, a);
	text.len = at;
	at = find(text, "?");
	if (r == 0 && at < text.len)
		r = encode(&u.query, part(text, at + 1, text.len), IN_QUERY, a);
	text.len = at;
	if (r == 0)
		r = take_middle(&u, text, a);
	if (r == 0)
		*ret = u;
	return r;
}

char *weburl_without_hash(const struct weburl *u, struct arena *a)
{
	bool user = u->user.len || u->password.len;

	return arena_printf(a, "%.*s:%s%.*s%s%.*s%s%.*s%s%.*s%s%.*s%s%.*s", SLICE_FMT(u->scheme),
			    u->authority ? "//" : "", SLICE_FMT(u->user),
			    u->password.len ? ":" : "", SLICE_FMT(u->password), user ? "@" : "",
			    SLICE_FMT(u->host), u->port.len ? ":" : "", SLICE_FMT(u->port),
			    !u->authority && u->path.len > 1 && u->path.ptr[0] == '/' &&
					    u->path.ptr[1] == '/'
				    ? "/."
				    : "",
			    SLICE_FMT(u->path), u->query.ptr ? "?" : "", SLICE_FMT(u->query));
}

static int hex_value(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the UTF-8 sequence at p; 0 if it is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n = *p < 0x80   ? 1
		   : *p < 0xc2 ? 0
		   : *p < 0xe0 ? 2
		   : *p < 0xf0 ? 3
		   : *p < 0xf5 ? 4
			       : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

int weburl_decode(struct slice *ret, struct slice text, struct arena *a)
{
	uint8_t *to = arena_alloc(a, text.len + 1);
	size_t n = 0;

	if (!to)
		return arena_error(a);
	for (size_t i = 0; i < text.len; i++) {
		int high, low;

		if (text.ptr[i] != '%') {
			to[n++] = text.ptr[i];
			continue;
		}
		high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
		low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
		if (high < 0 || low < 0)
			return -EINVAL;
		to[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_len(to + i, n - i);
		if (len == 0)
			return -EINVAL;
	}
	*ret = (struct slice){ to, n };
	return 0;
}

static bool is_plain(uint8_t c)
{
	return is_alpha(c) || is_digit(c) || (c && strchr("-_.!~*'()", c));
}

bool weburl_is_plain(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_plain(text.ptr[i]))
			return false;
	}
	return true;
}
