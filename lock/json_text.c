#include "lock/json_text.h"

/* Past the closing quote of the string that starts at s; NULL when it does not end. */
static const char *skip_string(const char *s)
{
	for (s++; *s != '"'; s++) {
		if ((uint8_t)*s < 0x20 || (*s == '\\' && *++s == '\0'))
			return NULL;
	}
	return s + 1;
}

static const char *skip_scalar(const char *s)
{
	const char *start = s;

	if (*s == '"')
		return skip_string(s);
	while ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '-' || *s == '+' ||
	       *s == '.' || *s == 'E')
		s++;
	return s > start ? s : NULL;
}

/* "key": */
static const char *skip_key(const char *s)
{
	s = *s == '"' ? skip_string(s) : NULL;
	return s && *s == ':' ? s + 1 : NULL;
}

/* After a value inside brackets: the closing ones, as many as come, then the comma and, in an
 * object, the next key. */
static const char *skip_after(const char *s, char *stack, unsigned *depth)
{
	while (*depth && *s == stack[*depth - 1]) {
		s++;
		--*depth;
	}
	if (*depth == 0)
		return s;
	if (*s != ',')
		return NULL;
	return stack[*depth - 1] == '}' ? skip_key(s + 1) : s + 1;
}

/* Past the value that starts at s; NULL when it is none. */
static const char *skip_value(const char *s)
{
	char stack[JSON_DEPTH_MAX]; /* the bracket that closes each level */
	unsigned depth = 0;

	do {
		if (*s == '{' || *s == '[') {
			char closing = *s++ == '{' ? '}' : ']';

			if (*s == closing) {
				s++;
			} else {
				if (depth == JSON_DEPTH_MAX)
					return NULL;
				stack[depth++] = closing;
				s = closing == '}' ? skip_key(s) : s;
				if (!s)
					return NULL;
				continue;
			}
		} else {
			s = skip_scalar(s);
		}
		if (s && depth)
			s = skip_after(s, stack, &depth);
	} while (s && depth);
	return s;
}

static bool end_of_object(struct json_text *t)
{
	if (*t->at == '}' && t->at[1] == '\0')
		t->at++;
	else if (*t->at)
		t->error = -EBADMSG;
	return false;
}

bool json_text_next(struct json_text *t, struct json_member *ret)
{
	const char *key, *value, *end;

	if (t->error || *t->at == '\0' || (t->started && *t->at == '}'))
		return t->error ? false : end_of_object(t);
	if (*t->at != (t->started ? ',' : '{')) {
		t->error = -EBADMSG;
		return false;
	}
	if (!t->started && t->at[1] == '}') {
		t->at++;
		return end_of_object(t);
	}
	t->started = true;
	key = t->at + 1;
	value = skip_key(key);
	end = value ? skip_value(value) : NULL;
	if (!end || (*end != ',' && *end != '}')) {
		t->error = -EBADMSG;
		return false;
	}
	*ret = (struct json_member){
		.key = { (const uint8_t *)key + 1, (size_t)(value - key) - 3 },
		.value = { (const uint8_t *)value, (size_t)(end - value) },
		.is_object = *value == '{',
	};
	t->at = end;
	return true;
}

bool json_text_true(struct slice v)
{
	static const struct slice nothing[] = { SLICE("null"), SLICE("false"), SLICE("0"),
						SLICE("\"\""), SLICE("{}"),    SLICE("[]") };

	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		if (slice_eq(v, nothing[i]))
			return false;
	}
	return true;
}

size_t json_text_plain(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		if (s[i] == '"') {
			for (i++; i < len && s[i] != '"'; i++)
				i += s[i] == '\\';
			i++;
		} else if (s[i] == '{' || s[i] == '}' || s[i] == '[' || s[i] == ']' ||
			   s[i] == ',' || s[i] == ':') {
			break;
		} else {
			i++;
		}
	}
	return i < len ? i : len;
}
