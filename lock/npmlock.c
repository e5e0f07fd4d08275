#include "lock/conflict.h"
#include "lock/entry.h"
#include "lock/npmlock_priv.h"

#define TAB_OR_SPACE(c) ((c) == ' ' || (c) == '\t')

/* -EINVAL with "not a lock of npm: <what>". */
static int unreadable(struct err *e, const char *what)
{
	return err_set(e, -EINVAL, "not a lock of npm: %s; make it anew with `npm install`", what);
}

/* JSON.stringify cuts an indentation at ten characters; what a file has between is npm's guess:
 * the white space in front of the first member. */
struct json_style npmlock_style(struct slice text)
{
	const char *p = (const char *)text.ptr, *end = p + text.len;
	struct json_style none = { .no_final_newline = true }, style = { .indent = "  " };
	size_t n = 0;

	if (text.len >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
		p += 3;
	if (end - p >= 2 && (memcmp(p, "{}", 2) == 0 || memcmp(p, "[]", 2) == 0)) {
		for (const char *q = p + 2; q < end; q++) {
			if (*q != '\r' && *q != '\n')
				return none;
		}
		style.crlf = end - p > 2 && p[2] == '\r';
		return style;
	}
	while (p < end && (TAB_OR_SPACE(*p) || *p == '\r' || *p == '\n'))
		p++;
	if (p < end)
		p++; /* the brace */
	if (p == end || (*p != '\r' && *p != '\n'))
		return none;
	style.crlf = *p == '\r';
	while (p < end && (*p == '\r' || *p == '\n'))
		p++;
	while (p + n < end && TAB_OR_SPACE(p[n]))
		n++;
	if (n == 0)
		return none;
	n = n < 10 ? n : 10;
	memcpy(style.indent, p, n);
	style.indent[n] = '\0';
	return style;
}

static const char *const entry_extras[] = { "patched", "packageExtensionsApplied",
					    "npmExtensionApplied", "packageExtensionsHash",
					    "npmExtensionHash" };

static int refuse_extras(const cJSON *entry, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(entry_extras); i++) {
		if (json_true(entry, entry_extras[i]))
			return err_set(e, -EPROTONOSUPPORT,
				       "the lock's entry \"%.80s\" uses npm 12's \"%s\", which is "
				       "not supported",
				       entry->string, entry_extras[i]);
	}
	return 0;
}

static int read_entries(struct graph *g, const cJSON *packages, const cJSON **entries,
			struct err *e)
{
	const cJSON *m;
	uint32_t at = 1;
	int r;

	g->nodes[0].path = "";
	cJSON_ArrayForEach(m, packages)
	{
		bool root = m->string[0] == '\0';
		struct graph_node *n = &g->nodes[root ? 0 : at];

		if (!cJSON_IsObject(m))
			return err_set(e, -EINVAL, "the lock's entry \"%.100s\" is no object",
				       m->string);
		if (root && entries[0])
			return err_set(e, -EINVAL, "the lock has two entries for the root");
		n->path = arena_strdup(&g->arena, m->string);
		if (!n->path)
			return err_set(e, arena_error(&g->arena), "no memory for the lock");
		r = refuse_extras(m, e);
		if (r == 0)
			r = entry_read(g, n, m, BINS_LOCK, root ? "the root's entry" : n->path, e);
		if (r < 0)
			return r;
		entries[root ? 0 : at++] = m;
	}
	return 0;
}

static int read_residues(struct graph *g, const cJSON *const *entries, struct err *e)
{
	int r;

	for (uint32_t i = 0; i < g->count; i++) {
		struct graph_node *n = &g->nodes[i];

		n->residue = "";
		if (!entries[i])
			continue;
		r = entry_residue(g, n, entries[i], &n->residue, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int npmlock_packages(struct graph *g, const cJSON *packages, struct err *e)
{
	auto_free const cJSON **entries = NULL;
	const cJSON *m;
	size_t count = 1; /* root, whether it has an entry or not */
	int r;

	cJSON_ArrayForEach(m, packages) count += m->string[0] != '\0';
	if (count > GRAPH_NODES_MAX)
		return err_set(e, -E2BIG, "the lock has %zu entries, more than the limit of %u",
			       count, GRAPH_NODES_MAX);
	entries = calloc(count, sizeof *entries);
	g->nodes = arena_array(&g->arena, count, sizeof *g->nodes);
	if (!entries || !g->nodes)
		return err_set(e, -ENOMEM, "no memory for the lock's %zu entries", count);
	g->count = (uint32_t)count;
	r = read_entries(g, packages, entries, e);
	if (r == 0)
		r = graph_index(g, e);
	if (r == 0)
		r = read_residues(g, entries, e);
	return r;
}

/* The version, and what cannot be printed from fields of its own. */
static int read_top(struct graph *g, const cJSON *j, struct err *e)
{
	static const char *const own[] = { "name", "version", "lockfileVersion", "packages", NULL };
	const cJSON *version = json_get(j, "lockfileVersion");
	const char *name = json_str(j, "name"), *v = json_str(j, "version");

	if (version && (!cJSON_IsNumber(version) || version->valuedouble < 0 ||
			version->valuedouble > UINT32_MAX))
		return unreadable(e, "\"lockfileVersion\" is no number");
	g->lockfile_version = version ? (unsigned)version->valuedouble : 0;
	if (g->lockfile_version > 3)
		return err_set(e, -EPROTONOSUPPORT,
			       "the lock is of version %u; versions 1 to 3 are known, a newer dx "
			       "may know it",
			       g->lockfile_version);
	if (name)
		g->name = arena_strdup(&g->arena, name);
	if (v)
		g->version = arena_strdup(&g->arena, v);
	if (arena_error(&g->arena))
		return err_set(e, arena_error(&g->arena), "no memory for the lock");
	return entry_canonical(&g->arena, j, own, &g->top_residue, e);
}

static int parse_into(struct graph *g, struct slice text, const struct npmlock_options *o,
		      struct err *e)
{
	auto_json cJSON *j = NULL;
	struct err why = { 0 };
	const cJSON *packages;
	bool merged = conflict_is(text);
	int r = merged ? conflict_merge(&j, text, e) : json_parse(&j, text, &why);

	if (r < 0 && !merged)
		return err_set(e, r, "%.160s; restore it, or make it anew with `npm install`",
			       why.msg);
	if (r < 0)
		return r;
	if (!cJSON_IsObject(j))
		return unreadable(e, "its JSON is no object");
	/* npm joins the lines of a side, and then sees no indentation. */
	g->style = merged ? (struct json_style){ .no_final_newline = true } : npmlock_style(text);
	r = read_top(g, j, e);
	if (r < 0)
		return r;
	packages = json_get(j, "packages");
	if (packages && !cJSON_IsObject(packages))
		return unreadable(e, "\"packages\" is no object");
	if (packages)
		return npmlock_packages(g, packages, e);
	return npmlock_v1(g, j, o, e);
}

int npmlock_parse(struct graph **ret, struct slice text, const struct npmlock_options *o,
		  struct err *e)
{
	auto_graph struct graph *g = graph_new();
	int r;

	if (!g)
		return err_set(e, -ENOMEM, "no memory for the lock");
	if (text.len > NPMLOCK_SIZE_MAX)
		return err_set(e, -E2BIG, "the lock has %zu bytes, more than %zu", text.len,
			       NPMLOCK_SIZE_MAX);
	r = parse_into(g, text, o, e);
	if (r < 0)
		return r;
	*ret = take(&g);
	return 0;
}
