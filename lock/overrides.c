#include "lock/overrides.h"

#include "lock/semver.h"
#include "lock/spec.h"

/* How often a node's rule may change while rules spread; npm has no bound, but real trees settle
 * after two or three. */
#define CHANGES_MAX 16

struct parse {
	struct arena *arena;
	struct err *e;
	uint32_t count;
};

static int no_memory(const struct parse *p)
{
	return err_set(p->e, arena_error(p->arena), "no memory for package.json's overrides");
}

static int name_rule(struct parse *p, struct overrides *o, const char *key)
{
	const char *at = *key ? strchr(key + 1, '@') : NULL;
	size_t len = at ? (size_t)(at - key) : strlen(key);
	const char *slash = memchr(key, '/', len);

	if (len == 0)
		return err_set(p->e, -EINVAL, "package.json: an override without a name");
	if (*key == '@' && (!slash || slash == key + 1 || slash == key + len - 1))
		return err_set(p->e, -EINVAL,
			       "package.json: the override of \"%.80s\": that is no package's name",
			       key);
	o->name = arena_strndup(p->arena, key, len);
	o->key_spec = arena_strdup(p->arena, at && at[1] ? at + 1 : "*");
	return o->name && o->key_spec ? 0 : no_memory(p);
}

static int set_value(struct parse *p, struct overrides *o, const cJSON *j)
{
	const cJSON *own = cJSON_IsString(j) ? j : json_get(j, ".");

	o->value = o->key_spec;
	if (!own)
		return 0;
	if (!cJSON_IsString(own))
		return err_set(p->e, -EINVAL, "package.json: the override of %.80s is no string",
			       o->name);
	o->value = arena_strdup(p->arena, own->valuestring[0] ? own->valuestring : "*");
	return o->value ? 0 : no_memory(p);
}

/* As deep as JSON_DEPTH_MAX. */
static int parse_rules(struct parse *p, struct overrides *o, const cJSON *j)
{
	struct overrides *rules;
	const cJSON *m;
	uint32_t n = 0;
	int r = 0;

	cJSON_ArrayForEach(m, j) n += strcmp(m->string, ".") != 0;
	p->count += n;
	if (p->count > OVERRIDES_MAX)
		return err_set(p->e, -E2BIG, "package.json: more than %u overrides", OVERRIDES_MAX);
	if (n == 0)
		return 0;
	rules = arena_array(p->arena, n, sizeof *rules);
	if (!rules)
		return no_memory(p);
	o->rules = rules;
	cJSON_ArrayForEach(m, j)
	{
		struct overrides *rule = &rules[o->rule_count];

		if (strcmp(m->string, ".") == 0)
			continue;
		/* For npm numbers and booleans are objects without members. */
		if (cJSON_IsNull(m) || cJSON_IsArray(m))
			return err_set(p->e, -EINVAL,
				       "package.json: the override of %.80s is neither a string "
				       "nor an object",
				       m->string);
		o->rule_count++;
		rule->parent = o;
		r = name_rule(p, rule, m->string);
		if (r == 0)
			r = set_value(p, rule, m);
		if (r == 0 && cJSON_IsObject(m))
			r = parse_rules(p, rule, m);
		if (r < 0)
			return r;
	}
	return 0;
}

int overrides_parse(struct arena *a, const cJSON *j, const struct overrides **ret, struct err *e)
{
	struct parse p = { .arena = a, .e = e };
	struct overrides *root;
	int r;

	*ret = NULL;
	if (!cJSON_IsObject(j) || !j->child)
		return 0;
	root = arena_alloc(a, sizeof *root);
	if (!root)
		return no_memory(&p);
	r = parse_rules(&p, root, j);
	if (r < 0)
		return r;
	*ret = root;
	return 0;
}

static bool ranges_meet(struct slice x, const char *y)
{
	auto_range struct semver_range a = { 0 }, b = { 0 };

	return semver_range_parse(&a, x, 0) == 0 && semver_range_parse(&b, slice_str(y), 0) == 0 &&
	       semver_range_intersects(&a, &b);
}

/* Could this spec mean something that the rule's range means? What cannot be compared (a tag, a
 * folder, a URL) always may. */
static bool could_meet(const char *spec, const char *key_spec)
{
	auto_arena struct arena a = ARENA_INIT((size_t)1 << 20);
	enum spec_type type;
	struct spec s;

	if (spec_parse(&s, (struct slice){ 0 }, slice_str(*spec ? spec : "*"), SLICE("/"), &a,
		       NULL) < 0)
		return false;
	type = s.type == SPEC_ALIAS ? s.alias_type : s.type;
	if (type == SPEC_GIT)
		return s.git_range.ptr && ranges_meet(s.git_range, key_spec);
	return (type != SPEC_VERSION && type != SPEC_RANGE) || ranges_meet(s.fetch, key_spec);
}

static bool applies(const struct overrides *rule, const char *name, const char *spec)
{
	return strcmp(rule->name, name) == 0 &&
	       (strcmp(rule->key_spec, "*") == 0 || could_meet(spec, rule->key_spec));
}

const struct overrides *overrides_rule(const struct overrides *of, const char *name,
				       const char *spec)
{
	for (const struct overrides *o = of; o; o = o->parent) {
		for (uint32_t i = 0; i < o->rule_count; i++) {
			if (applies(&o->rules[i], name, spec))
				return &o->rules[i];
		}
		if (o->parent && applies(o, name, spec))
			return o;
	}
	return of;
}

static const char *own_spec(const struct graph_node *n, const char *name)
{
	static const uint8_t order[] = { SECTION_DEV, SECTION_OPTIONAL, SECTION_PROD,
					 SECTION_PEER };

	for (size_t s = 0; s < ARRAY_LEN(order); s++) {
		for (uint32_t i = 0; i < n->dep_count; i++) {
			if (n->deps[i].section == order[s] && strcmp(n->deps[i].name, name) == 0)
				return n->deps[i].spec;
		}
	}
	return NULL;
}

const char *overrides_spec(const struct graph *g, const struct overrides *rule,
			   const struct graph_edge *edge)
{
	const char *found;

	if (!rule || !rule->parent || strcmp(rule->name, edge->name) != 0 ||
	    strcmp(rule->value, "*") == 0)
		return edge->spec;
	if (rule->value[0] != '$')
		return rule->value;
	found = own_spec(&g->nodes[0], rule->value + 1);
	return found ? found : own_spec(&g->nodes[edge->from], rule->value + 1);
}

static bool is_below(const struct overrides *o, const struct overrides *above)
{
	for (; o; o = o->parent) {
		if (o == above)
			return true;
	}
	return false;
}

/* Of two rules that lead to one node, the one that is kept: the more specific, else the nearest
 * that both stand below. */
static const struct overrides *both(const struct overrides *a, const struct overrides *b)
{
	if (!a || is_below(b, a))
		return b;
	if (is_below(a, b))
		return a;
	while (a && !is_below(b, a))
		a = a->parent;
	return a;
}

const struct overrides **overrides_spread(const struct graph *g)
{
	const struct overrides **rule = calloc(g->count, sizeof *rule);
	auto_free uint32_t *list = calloc((size_t)g->count * (CHANGES_MAX + 1), sizeof *list);
	auto_free uint8_t *changes = calloc(g->count, 1);
	uint32_t count = 0;

	if (!rule || !list || !changes) {
		free(rule);
		return NULL;
	}
	rule[0] = g->overrides;
	list[count++] = 0;
	while (count) {
		uint32_t i = list[--count];
		const struct graph_node *n = &g->nodes[i];
		uint32_t edges = n->flags & NODE_LINK ? 1 : n->edge_count;

		for (uint32_t k = 0; k < edges; k++) {
			const struct graph_edge *edge = &g->edges[n->first_edge + k];
			bool link = n->flags & NODE_LINK;
			uint32_t to = link ? n->link_target : edge->to;
			const struct overrides *now;

			if (to == GRAPH_NONE || to == 0)
				continue;
			now = both(rule[to],
				   link ? rule[i]
					: overrides_rule(rule[i], edge->name, edge->spec));
			if (now == rule[to] || changes[to] == CHANGES_MAX)
				continue;
			rule[to] = now;
			changes[to]++;
			list[count++] = to;
		}
	}
	return rule;
}

int overrides_check(const struct graph *g, struct err *e)
{
	const struct graph_node *root = &g->nodes[0];

	for (uint32_t k = root->first_edge; k < root->first_edge + root->edge_count; k++) {
		const struct graph_edge *edge = &g->edges[k];
		const char *spec;

		spec = overrides_spec(g, overrides_rule(g->overrides, edge->name, edge->spec),
				      edge);
		if (spec && strcmp(spec, edge->spec) == 0)
			continue;
		return err_set(
			e, -EINVAL,
			"package.json: the override of %.60s (%.40s) conflicts with the direct "
			"dependency on %.40s (EOVERRIDE); make them the same, or say \"$%.60s\"",
			edge->name, spec ? spec : "no such dependency", edge->spec, edge->name);
	}
	return 0;
}
