#include "lock/json_scan.h"

#include <endian.h>

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* The highest bit of each byte that is c; behind the first such byte there may be more. */
static uint64_t bytes_that_are(uint64_t eight, uint8_t c)
{
	uint64_t x = eight ^ 0x0101010101010101u * c;

	return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

/* The first quote or backslash from p on, or `end`. */
static const uint8_t *find_quote(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t eight, hits;

		memcpy(&eight, p, sizeof eight);
		eight = le64toh(eight);
		hits = bytes_that_are(eight, '"') | bytes_that_are(eight, '\\');
		if (hits)
			return p + __builtin_ctzll(hits) / 8;
	}
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Behind the string that starts at p; NULL when it does not end. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
	for (p = find_quote(p + 1, end); p < end; p = find_quote(p, end)) {
		if (*p == '"')
			return p + 1;
		if (end - p < 2)
			return NULL;
		p += 2;
	}
	return NULL;
}

static const uint8_t *skip_nested(const uint8_t *p, const uint8_t *end)
{
	uint8_t closes[JSON_DEPTH_MAX];
	unsigned depth = 0;

	while (p < end) {
		uint8_t c = *p;

		if (c == '"') {
			p = skip_string(p, end);
			if (!p)
				return NULL;
			continue;
		}
		p++;
		if (c == '{' || c == '[') {
			if (depth == JSON_DEPTH_MAX)
				return NULL;
			closes[depth++] = c == '{' ? '}' : ']';
		} else if (c == '}' || c == ']') {
			if (closes[--depth] != c)
				return NULL;
			if (depth == 0)
				return p;
		} else if (c == '\0') {
			return NULL;
		}
	}
	return NULL;
}

static const uint8_t *skip_word(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *from = p;

	while (p < end && *p && !strchr(",}] \t\r\n", *p))
		p++;
	return p > from ? p : NULL;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
	if (p == end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_nested(p, end);
	return skip_word(p, end);
}

static bool fail(struct json_scan *s)
{
	s->error = -EBADMSG;
	return false;
}

static bool begin(struct json_scan *s)
{
	s->at = skip_space(s->at, s->end);
	if (s->at == s->end || (*s->at != '{' && *s->at != '['))
		return fail(s);
	s->close = *s->at == '{' ? '}' : ']';
	s->at = skip_space(s->at + 1, s->end);
	if (s->at == s->end)
		return fail(s);
	s->more = *s->at != s->close;
	if (!s->more)
		s->at = skip_space(s->at + 1, s->end);
	return s->more || s->inside || s->at == s->end || fail(s);
}

/* Behind a value. */
static bool go_on(struct json_scan *s, const uint8_t *p)
{
	p = skip_space(p, s->end);
	if (p == s->end || (*p != ',' && *p != s->close))
		return fail(s);
	s->more = *p == ',';
	s->at = skip_space(p + 1, s->end);
	return s->more || s->inside || s->at == s->end || fail(s);
}

bool json_scan_key(struct json_scan *s, struct slice *ret)
{
	const uint8_t *p;

	*ret = (struct slice){ 0 };
	if (s->error || (!s->close && !begin(s)) || !s->more)
		return false;
	if (s->close != '}')
		return true;
	if (s->at == s->end || *s->at != '"')
		return fail(s);
	p = skip_string(s->at, s->end);
	if (!p)
		return fail(s);
	*ret = (struct slice){ s->at + 1, (size_t)(p - s->at) - 2 };
	p = skip_space(p, s->end);
	if (p == s->end || *p != ':')
		return fail(s);
	s->at = skip_space(p + 1, s->end);
	return true;
}

bool json_scan_value(struct json_scan *s, struct slice *ret)
{
	const uint8_t *p = skip_value(s->at, s->end);

	if (!p)
		return fail(s);
	*ret = (struct slice){ s->at, (size_t)(p - s->at) };
	return go_on(s, p);
}

bool json_scan_next(struct json_scan *s, struct json_item *ret)
{
	return json_scan_key(s, &ret->key) && json_scan_value(s, &ret->value);
}

bool json_scan_into(struct json_scan *s, struct json_scan *inner)
{
	if (s->at == s->end || (*s->at != '{' && *s->at != '['))
		return false;
	*inner = (struct json_scan){ .at = s->at, .end = s->end, .inside = true };
	return true;
}

bool json_scan_out(struct json_scan *s, const struct json_scan *inner)
{
	return inner->error ? fail(s) : go_on(s, inner->at);
}

struct slice json_scan_get(struct slice text, const char *key)
{
	struct json_scan s = json_scan(text);
	struct slice found = { 0 };
	struct json_item m;

	while (json_scan_next(&s, &m)) {
		if (s.close == '}' && slice_eq(m.key, slice_str(key)))
			found = m.value;
	}
	return s.error ? (struct slice){ 0 } : found;
}

bool json_scan_is_str(struct slice value)
{
	return value.len >= 2 && value.ptr[0] == '"';
}

ptrdiff_t json_scan_str(struct slice value, char *out)
{
	auto_json cJSON *j = NULL;
	size_t n;

	if (!json_scan_is_str(value) || memchr(value.ptr, '\0', value.len))
		return -EBADMSG;
	if (!memchr(value.ptr, '\\', value.len)) {
		memcpy(out, value.ptr + 1, value.len - 2);
		return (ptrdiff_t)value.len - 2;
	}
	if (json_parse(&j, value, NULL) < 0 || !cJSON_IsString(j))
		return -EBADMSG;
	n = strlen(j->valuestring);
	memcpy(out, j->valuestring, n);
	return (ptrdiff_t)n;
}
