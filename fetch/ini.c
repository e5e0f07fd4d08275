#include "fetch/ini.h"

#include "lock/json.h"

#include <cjson/cJSON.h>

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* JavaScript's trim() takes a BOM and a no-break space, too. */
static size_t space_at(struct slice s)
{
	if (s.len >= 1 && is_space(s.ptr[0]))
		return 1;
	if (s.len >= 2 && memcmp(s.ptr, "\xC2\xA0", 2) == 0)
		return 2;
	if (s.len >= 3 && memcmp(s.ptr, "\xEF\xBB\xBF", 3) == 0)
		return 3;
	return 0;
}

static struct slice trim(struct slice s)
{
	size_t n;

	while ((n = space_at(s)) > 0)
		s = (struct slice){ s.ptr + n, s.len - n };
	for (;;) {
		if (s.len >= 1 && is_space(s.ptr[s.len - 1]))
			s.len--;
		else if (s.len >= 2 && memcmp(s.ptr + s.len - 2, "\xC2\xA0", 2) == 0)
			s.len -= 2;
		else if (s.len >= 3 && memcmp(s.ptr + s.len - 3, "\xEF\xBB\xBF", 3) == 0)
			s.len -= 3;
		else
			return s;
	}
}

static bool quoted_by(struct slice s, uint8_t q)
{
	return s.len >= 1 && s.ptr[0] == q && s.ptr[s.len - 1] == q;
}

/* Up to the first comment sign that is not escaped. */
static size_t unescape(struct slice s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c == ';' || c == '#')
			break;
		if (c == '\\' && i + 1 < s.len) {
			uint8_t next = s.ptr[++i];

			if (next != '\\' && next != ';' && next != '#')
				out[n++] = '\\';
			c = next;
		}
		out[n++] = (char)c;
	}
	return n;
}

static size_t copy(const void *p, size_t n, char *out)
{
	if (n)
		memcpy(out, p, n);
	return n;
}

/* `out` has room for raw.len + 1 bytes: no form decodes to more than it was. */
static void decode(struct slice raw, char *out)
{
	struct slice s = trim(raw);
	size_t n;

	if (!quoted_by(s, '"') && !quoted_by(s, '\'')) {
		struct slice t;

		n = unescape(s, out);
		t = trim((struct slice){ (const uint8_t *)out, n });
		memmove(out, t.ptr, t.len);
		out[t.len] = '\0';
		return;
	}
	if (s.ptr[0] == '\'') {
		s.ptr++;
		s.len = s.len >= 2 ? s.len - 2 : 0;
	}

	auto_json cJSON *j = NULL;

	if (quoted_by(s, '"') && json_parse(&j, s, NULL) == 0 && cJSON_IsString(j) &&
	    strlen(j->valuestring) <= s.len)
		n = copy(j->valuestring, strlen(j->valuestring), out);
	else
		n = copy(s.ptr, s.len, out);
	out[n] = '\0';
}

static int setting(struct slice line, char *key, char *value, ini_fn *fn, void *arg, struct err *e)
{
	const uint8_t *eq = memchr(line.ptr, '=', line.len);
	struct slice k = { line.ptr, eq ? (size_t)(eq - line.ptr) : line.len };
	bool element;
	size_t n;

	if (k.len == 0)
		return 0;
	decode(k, key);
	n = strlen(key);
	element = n > 2 && strcmp(key + n - 2, "[]") == 0;
	if (element)
		key[n - 2] = '\0';
	if (!eq)
		strcpy(value, "true");
	else
		decode((struct slice){ eq + 1, line.len - k.len - 1 }, value);
	return fn(arg, key, element, value, e);
}

static bool is_section(struct slice line)
{
	struct slice t = trim(line);

	return line.len > 0 && line.ptr[0] == '[' && t.len >= 2 &&
	       memchr(t.ptr, ']', t.len) == t.ptr + t.len - 1;
}

static bool is_comment(struct slice line)
{
	struct slice t = trim(line);

	return t.len == 0 || t.ptr[0] == ';' || t.ptr[0] == '#';
}

static size_t line_length(struct slice text)
{
	size_t n = 0;

	while (n < text.len && text.ptr[n] != '\n' && text.ptr[n] != '\r')
		n++;
	return n;
}

int ini_parse(struct slice text, unsigned lines_max, ini_fn *fn, void *arg, struct err *e)
{
	/* "true" is longer than the shortest line. */
	auto_free char *key = malloc(text.len + 8), *value = malloc(text.len + 8);
	bool in_section = false;
	unsigned lines = 0;
	int r;

	if (!key || !value)
		return err_set(e, -ENOMEM, "out of memory");
	while (text.len > 0) {
		struct slice line = { text.ptr, line_length(text) };
		size_t step = line.len < text.len ? line.len + 1 : line.len;

		text = (struct slice){ text.ptr + step, text.len - step };
		if (is_comment(line))
			continue;
		if (++lines > lines_max)
			return err_set(e, -E2BIG, "more than %u settings", lines_max);
		if (is_section(line)) {
			in_section = true;
			continue;
		}
		if (in_section)
			continue;
		r = setting(line, key, value, fn, arg, e);
		if (r)
			return r;
	}
	return 0;
}
