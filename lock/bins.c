#include "lock/bins.h"

struct list {
	struct arena *arena;
	struct graph_bin *items;
	uint32_t count, cap;
	bool changed_key_wins;
};

static bool is_separator(char c, bool colon)
{
	return c == '/' || c == '\\' || (colon && c == ':');
}

/* The path below "/" that `s` leads to: ".." stops at the top. "" when nothing is left. */
static char *below_root(struct arena *a, const char *s, bool colon)
{
	char *out = arena_alloc(a, strlen(s) + 2);
	size_t len = 0;

	if (!out)
		return NULL;
	while (*s) {
		size_t n = 0;

		while (s[n] && !is_separator(s[n], colon))
			n++;
		if (n == 2 && s[0] == '.' && s[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && s[0] == '.')) {
			if (len)
				out[len++] = '/';
			memcpy(out + len, s, n);
			len += n;
		}
		s += n + (s[n] != '\0');
	}
	out[len] = '\0';
	return out;
}

/* The last part of a key, after npm's two readers: for a manifest ".." is taken as a step first,
 * for a lock it is a name of which nothing is left. */
static char *base_name(struct arena *a, const char *key, enum bins_source from)
{
	size_t end = strlen(key), start;
	char *clean, *slash;

	if (from == BINS_MANIFEST) {
		clean = below_root(a, key, true);
		slash = clean ? strrchr(clean, '/') : NULL;
		return slash ? slash + 1 : clean;
	}
	while (end > 0 && is_separator(key[end - 1], true))
		end--;
	start = end;
	while (start > 0 && !is_separator(key[start - 1], true))
		start--;
	clean = arena_strndup(a, key + start, end - start);
	if (clean && (strcmp(clean, ".") == 0 || strcmp(clean, "..") == 0))
		*clean = '\0';
	return clean;
}

static void put(struct list *l, const char *name, const char *target, bool key_changed)
{
	for (uint32_t i = 0; i < l->count; i++) {
		if (strcmp(l->items[i].name, name) != 0)
			continue;
		if (!l->changed_key_wins || key_changed)
			l->items[i].target = target;
		return;
	}
	l->items[l->count++] = (struct graph_bin){ name, target };
}

static int add(struct list *l, const char *key, const cJSON *value, enum bins_source from,
	       struct err *e)
{
	const char *name, *target, *text = cJSON_GetStringValue(value);

	if (!text)
		return 0;
	name = base_name(l->arena, key, from);
	target = below_root(l->arena, text, from == BINS_MANIFEST);
	if (!name || !target)
		return err_set(e, arena_error(l->arena), "no memory for a package's bins");
	if (*name && *target && strlen(name) <= GRAPH_NAME_MAX)
		put(l, name, target, strcmp(name, key) != 0);
	return 0;
}

/* The key that an element of an array stands under: its base name, of which npm takes "/" alone
 * for a separator. */
static const char *element_key(const char *s)
{
	const char *slash = strrchr(s, '/');

	return slash && slash[1] ? slash + 1 : s;
}

int bins_normalize(struct arena *a, const cJSON *bin, const char *pkg_name, enum bins_source from,
		   const struct graph_bin **ret, uint32_t *ret_count, struct err *e)
{
	struct list l = { .arena = a, .changed_key_wins = from == BINS_MANIFEST };
	const cJSON *item;
	int n = cJSON_IsString(bin) ? 1 : bin ? cJSON_GetArraySize(bin) : 0;
	int r = 0;

	if (n > (int)BINS_MAX)
		return err_set(e, -E2BIG, "%s has %d bins, more than %u",
			       pkg_name ? pkg_name : "a package", n, BINS_MAX);
	if (n > 0) {
		l.items = arena_array(a, (size_t)n, sizeof *l.items);
		if (!l.items)
			return err_set(e, arena_error(a), "no memory for a package's bins");
	}
	if (cJSON_IsString(bin) && pkg_name) {
		r = add(&l, pkg_name, bin, from, e);
	} else if (cJSON_IsObject(bin) || cJSON_IsArray(bin)) {
		cJSON_ArrayForEach(item, bin)
		{
			const char *key = item->string;

			if (cJSON_IsArray(bin))
				key = cJSON_IsString(item) ? element_key(item->valuestring) : "";
			r = add(&l, key, item, from, e);
			if (r < 0)
				return r;
		}
	}
	if (r < 0)
		return r;
	*ret = l.count ? l.items : NULL;
	*ret_count = l.count;
	return 0;
}

bool bins_equal(const cJSON *bin, const struct graph_bin *bins, uint32_t count)
{
	const cJSON *item;
	uint32_t i = 0;

	if (!cJSON_IsObject(bin))
		return false;
	cJSON_ArrayForEach(item, bin)
	{
		if (i == count || !cJSON_IsString(item) ||
		    strcmp(item->string, bins[i].name) != 0 ||
		    strcmp(item->valuestring, bins[i].target) != 0)
			return false;
		i++;
	}
	return i == count && count > 0;
}
