#include "lock/json.h"

#include <math.h>
#include <stdio.h>

/* Depth, and NULs: cJSON would end a string there, so that two different names became one. */
static int check_text(struct slice text, struct err *e)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		if (c == '\0')
			return err_set(e, -EBADMSG, "not valid JSON: a zero byte at offset %zu", i);
		if (in_string) {
			if (c == '\\') {
				if (text.len - i >= 6 && memcmp(text.ptr + i, "\\u0000", 6) == 0)
					return err_set(e, -EBADMSG,
						       "a string in the JSON contains a NUL "
						       "character (offset %zu)",
						       i);
				i++;
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return err_set(e, -E2BIG, "JSON nested deeper than %d levels",
					       JSON_DEPTH_MAX);
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

/* Where cJSON stands when it wanted a name and found something else: behind its first character. */
static bool is_behind(struct slice text, size_t off)
{
	size_t at = off - 1;

	if (off == 0 || off > text.len || strchr("\" \t\r\n0123456789", text.ptr[at]))
		return false;
	while (at > 0 && strchr(" \t\r\n", text.ptr[at - 1]))
		at--;
	return at > 0 && (text.ptr[at - 1] == '{' || text.ptr[at - 1] == ',');
}

/* The line, from 1 on, on which git began to say that it could not merge; 0: none. */
static unsigned conflict_line(struct slice text)
{
	static const char mark[] = "<<<<<<< ";
	const uint8_t *end = text.ptr + text.len;
	unsigned line = 1;

	for (const uint8_t *p = text.ptr, *next; p < end; p = next, line++) {
		if ((size_t)(end - p) >= strlen(mark) && memcmp(p, mark, strlen(mark)) == 0)
			return line;
		next = memchr(p, '\n', (size_t)(end - p));
		next = next ? next + 1 : end;
	}
	return 0;
}

static int syntax_error(struct slice text, const char *at, struct err *e)
{
	unsigned conflict = conflict_line(text);
	size_t off = at && (const uint8_t *)at >= text.ptr
			     ? (size_t)((const uint8_t *)at - text.ptr)
			     : 0;
	unsigned line = 1, column = 1;

	if (conflict)
		return err_set(e, -EBADMSG,
			       "not valid JSON: a merge conflict stands in it, from line %u on; "
			       "resolve it first",
			       conflict);
	off -= is_behind(text, off);
	for (size_t i = 0; i < off && i < text.len; i++) {
		if (text.ptr[i] == '\n') {
			line++;
			column = 1;
		} else {
			column++;
		}
	}
	return err_set(e, -EBADMSG, "not valid JSON: line %u, column %u", line, column);
}

int json_parse(cJSON **ret, struct slice text, struct err *e)
{
	const char *end = NULL;
	cJSON *j;
	int r;

	if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0)
		text = (struct slice){ text.ptr + 3, text.len - 3 };
	r = check_text(text, e);
	if (r < 0)
		return r;
	j = cJSON_ParseWithLengthOpts((const char *)text.ptr, text.len, &end, 0);
	if (!j)
		return syntax_error(text, end, e);
	for (const uint8_t *p = (const uint8_t *)end; p < text.ptr + text.len; p++) {
		if (*p != ' ' && *p != '\t' && *p != '\n' && *p != '\r') {
			cJSON_Delete(j);
			return syntax_error(text, (const char *)p, e);
		}
	}
	*ret = j;
	return 0;
}

const cJSON *json_get(const cJSON *obj, const char *key)
{
	const cJSON *found = NULL, *item;

	if (!cJSON_IsObject(obj))
		return NULL;
	cJSON_ArrayForEach(item, obj)
	{
		if (item->string && strcmp(item->string, key) == 0)
			found = item;
	}
	return found;
}

const char *json_str(const cJSON *obj, const char *key)
{
	return cJSON_GetStringValue(json_get(obj, key));
}

bool json_true(const cJSON *obj, const char *key)
{
	const cJSON *j = json_get(obj, key);

	if (!j || cJSON_IsNull(j) || cJSON_IsFalse(j))
		return false;
	if (cJSON_IsNumber(j))
		return j->valuedouble != 0 && !isnan(j->valuedouble);
	if (cJSON_IsString(j))
		return j->valuestring[0] != '\0';
	return true;
}

void json_put_str(struct buf *b, const char *s)
{
	buf_add(b, "\"", 1);
	for (const char *p = s; *p;) {
		size_t plain = 0;

		while ((unsigned char)p[plain] >= 0x20 && p[plain] != '"' && p[plain] != '\\')
			plain++;
		buf_add(b, p, plain);
		p += plain;
		switch (*p) {
		case '\0':
			break;
		case '"':
			buf_add(b, "\\\"", 2), p++;
			break;
		case '\\':
			buf_add(b, "\\\\", 2), p++;
			break;
		case '\b':
			buf_add(b, "\\b", 2), p++;
			break;
		case '\f':
			buf_add(b, "\\f", 2), p++;
			break;
		case '\n':
			buf_add(b, "\\n", 2), p++;
			break;
		case '\r':
			buf_add(b, "\\r", 2), p++;
			break;
		case '\t':
			buf_add(b, "\\t", 2), p++;
			break;
		default:
			buf_addf(b, "\\u%04x", (unsigned char)*p), p++;
		}
	}
	buf_add(b, "\"", 1);
}

static void put_number(struct buf *b, double d)
{
	char text[40];

	if (isnan(d) || isinf(d)) {
		buf_addstr(b, "null");
		return;
	}
	if (d == floor(d) && fabs(d) < 1e21) {
		buf_addf(b, "%.0f", d == 0 ? 0.0 : d);
		return;
	}
	/* The shortest form that reads back the same. */
	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	buf_addstr(b, text);
}

void json_put(struct buf *b, const cJSON *value)
{
	const cJSON *item;
	const char *sep = "";

	if (cJSON_IsString(value)) {
		json_put_str(b, value->valuestring);
	} else if (cJSON_IsNumber(value)) {
		put_number(b, value->valuedouble);
	} else if (cJSON_IsBool(value)) {
		buf_addstr(b, cJSON_IsTrue(value) ? "true" : "false");
	} else if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
		bool object = cJSON_IsObject(value);

		buf_addstr(b, object ? "{" : "[");
		cJSON_ArrayForEach(item, value)
		{
			buf_addstr(b, sep);
			if (object) {
				json_put_str(b, item->string);
				buf_addstr(b, ":");
			}
			json_put(b, item);
			sep = ",";
		}
		buf_addstr(b, object ? "}" : "]");
	} else {
		buf_addstr(b, "null");
	}
}
