#include "fetch/npmrc_priv.h"
#include "fetch/url.h"

#include <ctype.h>
#include <stdio.h>

enum value_type { T_ANY, T_TEXT, T_PATH, T_BOOL, T_NUMBER, T_URL, T_LIST, T_UMASK };

/* What npm's definitions say of the keys that matter here. `allowed`: words between spaces. */
static const struct key_type {
	const char *key;
	enum value_type type;
	bool nullable;
	const char *allowed;
} key_types[] = {
	{ "also", T_TEXT, true, " dev development " },
	{ "bin-links", T_BOOL, false, NULL },
	{ "ca", T_LIST, true, NULL },
	{ "cache", T_PATH, false, NULL },
	{ "cafile", T_PATH, false, NULL },
	{ "cert", T_TEXT, true, NULL },
	{ "cpu", T_TEXT, true, NULL },
	{ "dev", T_BOOL, false, NULL },
	{ "engine-strict", T_BOOL, false, NULL },
	{ "fetch-retries", T_NUMBER, false, NULL },
	{ "fetch-retry-factor", T_NUMBER, false, NULL },
	{ "fetch-retry-maxtimeout", T_NUMBER, false, NULL },
	{ "fetch-retry-mintimeout", T_NUMBER, false, NULL },
	{ "fetch-timeout", T_NUMBER, false, NULL },
	{ "force", T_BOOL, false, NULL },
	{ "git", T_TEXT, false, NULL },
	{ "globalconfig", T_PATH, false, NULL },
	{ "https-proxy", T_URL, true, NULL },
	{ "ignore-scripts", T_BOOL, false, NULL },
	{ "include", T_LIST, false, " prod dev optional peer " },
	{ "install-links", T_BOOL, false, NULL },
	{ "key", T_TEXT, true, NULL },
	{ "legacy-peer-deps", T_BOOL, false, NULL },
	{ "libc", T_TEXT, true, NULL },
	{ "maxsockets", T_NUMBER, false, NULL },
	{ "noproxy", T_LIST, false, NULL },
	{ "offline", T_BOOL, false, NULL },
	{ "omit", T_LIST, false, " dev optional peer " },
	{ "omit-lockfile-registry-resolved", T_BOOL, false, NULL },
	{ "only", T_TEXT, true, " prod production " },
	{ "optional", T_BOOL, true, NULL },
	{ "os", T_TEXT, true, NULL },
	{ "package-lock", T_BOOL, false, NULL },
	{ "prefer-offline", T_BOOL, false, NULL },
	{ "prefer-online", T_BOOL, false, NULL },
	{ "prefix", T_PATH, false, NULL },
	{ "production", T_BOOL, true, NULL },
	{ "proxy", T_URL, true, NULL },
	{ "registry", T_URL, false, NULL },
	{ "replace-registry-host", T_TEXT, false, NULL },
	{ "strict-peer-deps", T_BOOL, false, NULL },
	{ "strict-ssl", T_BOOL, false, NULL },
	{ "tag", T_TEXT, false, NULL },
	{ "umask", T_UMASK, false, NULL },
	{ "user-agent", T_TEXT, false, NULL },
	{ "userconfig", T_PATH, false, NULL },
};

static struct key_type key_type(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (strcmp(key_types[i].key, key) == 0)
			return key_types[i];
	return (struct key_type){ key, T_ANY, true, NULL };
}

const char *npmrc_env(const char *const *env, const char *name, size_t len)
{
	for (; env && *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

/* The variable at `p` ("${NAME}", "${NAME?}"): its length, or 0 if it is none. */
static size_t variable_at(const char *p, const char **ret_name, size_t *ret_len, bool *ret_or_empty)
{
	size_t n;

	if (p[0] != '$' || p[1] != '{')
		return 0;
	n = strcspn(p + 2, "${}?");
	*ret_or_empty = p[2 + n] == '?';
	if (n == 0 || p[2 + n + *ret_or_empty] != '}')
		return 0;
	*ret_name = p + 2;
	*ret_len = n;
	return n + 3 + *ret_or_empty;
}

/* Half of the backslashes before a variable go; an odd number means that it is not one. */
const char *npmrc_expand(struct arena *a, const char *text, const char *const *env)
{
	auto_buf struct buf out = BUF_INIT(NPMRC_MEMORY_MAX);

	while (*text) {
		size_t plain = strcspn(text, "\\$"), slashes, n, len = 0;
		const char *name = NULL, *value;
		bool or_empty = false;

		buf_add(&out, text, plain);
		text += plain;
		slashes = strspn(text, "\\");
		n = variable_at(text + slashes, &name, &len, &or_empty);
		if (n == 0) {
			n = slashes ? slashes : *text != '\0';
			buf_add(&out, text, n);
			text += n;
			continue;
		}
		buf_add(&out, text, slashes / 2);
		text += slashes;
		value = slashes % 2 ? NULL : npmrc_env(env, name, len);
		if (value)
			buf_addstr(&out, value);
		else if (slashes % 2 || !or_empty)
			/* Escaped, or not defined: as it stood. */
			buf_add(&out, text, n);
		text += n;
	}
	if (buf_error(&out))
		return NULL;
	return arena_strndup(a, out.data ? (const char *)out.data : "", out.len);
}

static struct slice trimmed(const char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n\v\f");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r\n\v\f", s[n - 1]))
		n--;
	return (struct slice){ (const uint8_t *)s, n };
}

/* JavaScript's Number(text), as far as a configuration needs it; false: not a number. */
static bool to_number(const char *s, double *ret)
{
	char *end;

	if (strspn(s, "0123456789.eE+-xXabcdefABCDEF") != strlen(s) && strcmp(s, "Infinity") != 0)
		return false;
	*ret = strtod(s, &end);
	return *end == '\0' &&
	       (*s == '\0' || isxdigit((unsigned char)end[-1]) || end[-1] == '.' || end[-1] == 'y');
}

static const char *to_bool(const char *s)
{
	double d;

	if (*s == '\0')
		return "true";
	if (to_number(s, &d))
		return d != 0 ? "true" : "false";
	return strcmp(s, "false") == 0 || strcmp(s, "null") == 0 ? "false" : "true";
}

static bool is_umask(const char *s)
{
	size_t digits = s[0] == '0' ? (s[1] == 'o' ? 2 : 1) : 0;
	const char *set = s[0] == '0' ? "01234567" : "0123456789";

	return s[digits] != '\0' && strspn(s + digits, set) == strlen(s + digits);
}

/* Scheme and host in lower case and never an empty path; NULL: no URL with a host. */
static const char *to_url(struct arena *a, const char *s)
{
	const char *host = strstr(s, "://");
	size_t head = host ? (size_t)(host - s) + 3 : 0;
	size_t end = head + strcspn(s + head, "/?#");
	size_t at = head;
	char *out;

	if (!host || host == s || end == head || strlen(s) > NPMRC_URL_MAX)
		return NULL;
	out = s[end] ? arena_strdup(a, s) : arena_printf(a, "%s/", s);
	if (!out)
		return NULL;
	for (size_t i = head; i < end; i++)
		if (out[i] == '@')
			at = i + 1;
	for (size_t i = 0; i < end; i++)
		if (i < head || i >= at)
			out[i] = (char)tolower((unsigned char)out[i]);
	return out;
}

static const char *to_path(struct arena *a, const char *s, const struct npmrc_context *c)
{
	if (s[0] == '~' && s[1] == '/' && c->home)
		return arena_printf(a, "%s/%s", c->home, s + 2);
	if (s[0] == '/' || !c->base)
		return s;
	return s[0] ? arena_printf(a, "%s/%s", c->base, s) : c->base;
}

static bool word_in(const char *word, const char *allowed)
{
	char w[64];

	return (size_t)snprintf(w, sizeof w, " %s ", word) < sizeof w && strstr(allowed, w);
}

static int add_value(struct npmrc *rc, struct npmrc_entry *to, const char *v)
{
	if (to->count == to->cap) {
		uint32_t cap = to->cap ? to->cap * 2 : 4;
		const char **more = arena_array(&rc->arena, cap, sizeof *more);

		if (!more)
			return -ENOMEM;
		if (to->count)
			memcpy(more, to->values, to->count * sizeof *more);
		to->values = more;
		to->cap = cap;
	}
	to->values[to->count++] = v;
	return 0;
}

/* A text that is no array has its elements between blank lines. */
static int convert_list(struct npmrc *rc, struct npmrc_entry *x, const struct key_type *t,
			const struct npmrc_context *c)
{
	struct npmrc_entry out = { 0 };

	for (uint32_t i = 0; i < x->count; i++) {
		const char *p = x->values[i];

		while (p) {
			const char *end = x->array ? NULL : strstr(p, "\n\n");
			const char *one =
				arena_strndup(&rc->arena, p, end ? (size_t)(end - p) : strlen(p));
			struct slice s = one ? trimmed(one) : (struct slice){ 0 };

			one = one ? arena_strndup(&rc->arena, s.ptr, s.len) : NULL;
			one = one ? npmrc_expand(&rc->arena, one, c->env) : NULL;
			if (!one)
				return -ENOMEM;
			p = end ? end + 2 : NULL;
			if (t->allowed && !word_in(one, t->allowed))
				continue;
			if (add_value(rc, &out, one) < 0)
				return -ENOMEM;
		}
	}
	x->values = out.values;
	x->count = out.count;
	x->cap = out.cap;
	return 0;
}

/* NULL: the key cannot have this value. */
static const char *typed(struct npmrc *rc, const char *v, const struct key_type *t,
			 const struct npmrc_context *c)
{
	double d;

	switch (t->type) {
	case T_BOOL:
		return to_bool(v);
	case T_NUMBER:
		return to_number(v, &d) ? v : NULL;
	case T_UMASK:
		return is_umask(v) ? v : NULL;
	case T_URL:
		return to_url(&rc->arena, v);
	case T_PATH:
		return to_path(&rc->arena, v, c);
	case T_TEXT:
		return !t->allowed || word_in(v, t->allowed) ? v : NULL;
	case T_ANY:
	case T_LIST:
		break;
	}
	return v;
}

int npmrc_convert(struct npmrc *rc, struct npmrc_entry *x, const struct npmrc_context *c)
{
	struct key_type t = key_type(x->key);
	struct slice s;
	const char *v;

	if (x->count == 1 && t.nullable && !x->array) {
		s = trimmed(x->values[0]);
		x->null = slice_eq(s, SLICE("null")) || slice_eq(s, SLICE("undefined")) ||
			  (t.type == T_URL && slice_eq(s, SLICE("false")));
	}
	if (x->null)
		return 0;
	if (t.type == T_LIST)
		return convert_list(rc, x, &t, c);
	if (x->array || x->count != 1)
		return 0;
	s = trimmed(x->values[0]);
	v = arena_strndup(&rc->arena, s.ptr, s.len);
	v = v ? npmrc_expand(&rc->arena, v, c->env) : NULL;
	if (!v)
		return -ENOMEM;
	x->values[0] = typed(rc, v, &t, c);
	x->given = *v != '\0';
	x->dropped = !x->values[0];
	return arena_error(&rc->arena);
}
