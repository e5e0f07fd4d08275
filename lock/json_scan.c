#include "lock/json_scan.h"

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Behind the string that starts at p; NULL when it does not end. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
	for (p++; p < end;) {
		const uint8_t *quote = memchr(p, '"', (size_t)(end - p));
		const uint8_t *slash;

		if (!quote)
			return NULL;
		slash = memchr(p, '\\', (size_t)(quote - p));
		if (!slash)
			return quote + 1;
		p = slash + 2;
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
	s->more = s->at < s->end && *s->at != s->close;
	if (!s->more && (s->at == s->end || skip_space(s->at + 1, s->end) != s->end))
		return fail(s);
	return true;
}

static bool take_key(struct json_scan *s, struct json_item *ret)
{
	const uint8_t *p;

	ret->key = (struct slice){ 0 };
	if (s->close != '}')
		return true;
	if (s->at == s->end || *s->at != '"')
		return fail(s);
	p = skip_string(s->at, s->end);
	if (!p)
		return fail(s);
	ret->key = (struct slice){ s->at + 1, (size_t)(p - s->at) - 2 };
	p = skip_space(p, s->end);
	if (p == s->end || *p != ':')
		return fail(s);
	s->at = skip_space(p + 1, s->end);
	return true;
}

bool json_scan_next(struct json_scan *s, struct json_item *ret)
{
	const uint8_t *p;

	if (s->error || (!s->close && !begin(s)) || !s->more || !take_key(s, ret))
		return false;
	p = skip_value(s->at, s->end);
	if (!p)
		return fail(s);
	ret->value = (struct slice){ s->at, (size_t)(p - s->at) };
	p = skip_space(p, s->end);
	if (p == s->end || (*p != ',' && *p != s->close))
		return fail(s);
	s->more = *p == ',';
	s->at = skip_space(p + 1, s->end);
	if (!s->more && s->at != s->end)
		return fail(s);
	return true;
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
