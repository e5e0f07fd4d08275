#include "lock/graph_priv.h"
#include "lock/ideal_priv.h"

#include <stdio.h>

/* ---- bundles and shrinkwraps ---- */

static bool bundles(const struct inode *n, const struct iname *name)
{
	for (uint32_t i = 0; i < n->pkg->bundled_count; i++) {
		if (n->pkg->bundled[i] == name)
			return true;
	}
	return false;
}

#define BUNDLER_DEEP 1000u /* of the way from a node to its bundler; as deep as paths may be */

/* npm's getBundler(): the topmost parent first; then the one that names it, or that bundles
 * something which needs it. `seen` breaks cycles, as npm's list of what was looked at does. */
static struct inode *bundler_of(struct inode *n, struct iset *seen, uint32_t deep)
{
	struct inode *parent = n->parent, *above;

	if (!parent || deep > BUNDLER_DEEP || !iset_add(seen, n))
		return NULL;
	above = bundler_of(parent, seen, deep + 1);
	if (above)
		return above;
	if (bundles(parent, n->name))
		return parent;
	if (parent->pkg->bundled_count == 0)
		return NULL;
	for (struct iedge *edge = n->in_first; edge; edge = edge->in_next) {
		if (bundler_of(edge->from, seen, deep + 1) == parent)
			return parent;
	}
	return NULL;
}

struct inode *ideal_bundler(struct ideal *d, struct inode *n)
{
	auto_iset struct iset seen = { .d = d };
	bool any = false;

	for (const struct inode *p = n->parent; p && !any; p = p->parent)
		any = p->pkg->bundled_count > 0;
	return any ? bundler_of(n, &seen, 0) : NULL;
}

bool ideal_in_dep_bundle(struct ideal *d, struct inode *n)
{
	struct inode *by = d->bundles ? ideal_bundler(d, n) : NULL;

	return by && by != n->root;
}

bool ideal_in_shrinkwrap(const struct inode *n)
{
	for (n = n->parent; n; n = n->parent) {
		if (n->flags & I_SHRINKWRAP)
			return true;
	}
	return false;
}

/* ---- specs ---- */

static struct ispec *own_spec(const struct ipkg *pkg, const char *name)
{
	static const uint8_t order[] = { SECTION_DEV, SECTION_OPTIONAL, SECTION_PROD,
					 SECTION_PEER };

	for (size_t s = 0; s < ARRAY_LEN(order); s++) {
		for (uint32_t i = 0; i < pkg->dep_count; i++) {
			if (pkg->deps[i].section == order[s] &&
			    strcmp(pkg->deps[i].name->text, name) == 0)
				return pkg->deps[i].spec;
		}
	}
	return NULL;
}

static bool is_overridden(const struct iedge *edge)
{
	const struct overrides *rule = edge->rule;

	return rule && rule->parent && strcmp(rule->value, "*") != 0 &&
	       strcmp(rule->name, edge->name->text) == 0;
}

struct ispec *ideal_spec(struct ideal *d, const struct iedge *edge)
{
	struct ispec *found;

	if (!is_overridden(edge))
		return edge->spec;
	if (edge->rule->value[0] != '$') {
		found = ideal_spec_of(d, edge->rule->value);
		return found ? found : edge->spec;
	}
	found = own_spec(d->tree->pkg, edge->rule->value + 1);
	if (!found)
		found = own_spec(edge->from->pkg, edge->rule->value + 1);
	if (!found)
		(void)ideal_stick(d,
				  err_set(d->e, -EINVAL,
					  "package.json: the override of %.80s is \"%.80s\", and "
					  "no such dependency is there",
					  edge->name->text, edge->rule->value));
	return found ? found : edge->spec;
}

static const char *absolute(struct ideal *d, const char *path)
{
	char *joined = arena_printf(&d->arena, "%s/%s", d->o->dir, path);
	char *clean = joined ? arena_alloc(&d->arena, strlen(joined) + 3) : NULL;

	if (!clean)
		return "/";
	clean[0] = '/';
	graph_clean_path(joined + 1, clean + 1);
	return clean;
}

/* What came from a tarball on disk has its paths start from that one's folder, what an override
 * asks for from root's. */
const char *ideal_from_path(struct ideal *d, const struct inode *from, const struct iedge *edge)
{
	struct spec s;

	if (edge && edge->rule && edge->rule->parent &&
	    strcmp(edge->rule->name, edge->name->text) == 0)
		return absolute(d, "");
	if (from->resolved && !(from->flags & I_LINK) && strncmp(from->resolved, "file:", 5) == 0 &&
	    spec_parse(&s, (struct slice){ 0 }, slice_str(from->resolved), slice_str(d->o->dir),
		       &d->arena, NULL) == 0 &&
	    s.type == SPEC_FILE) {
		char *dir = arena_strndup(&d->arena, s.fetch.ptr, s.fetch.len);
		char *slash = dir ? strrchr(dir, '/') : NULL;

		if (slash)
			slash[slash == dir] = '\0';
		return dir ? dir : "/";
	}
	return absolute(d, from->path ? from->path : "");
}

/* ---- does a node satisfy a spec ---- */

static const struct ipkg *behind(const struct inode *n)
{
	return n->flags & I_LINK && n->target ? n->target->pkg : n->pkg;
}

static bool in_range(const struct inode *n, const struct ispec *s)
{
	const struct ipkg *pkg = behind(n);

	return s->has_range && pkg->v_good && semver_range_test(&s->range, &pkg->v);
}

static bool is_commit(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr("0123456789abcdefABCDEF", s.ptr[i]))
			return false;
	}
	return s.len >= 40 && s.len <= 64;
}

static bool git_valid(struct ideal *d, const struct inode *n, const struct ispec *s)
{
	const struct ispec *have = n->resolved ? ideal_spec_of(d, n->resolved) : NULL;

	if (!have || !have->good || have->spec.type != SPEC_GIT)
		return false;
	if (have->spec.host == GIT_HOST_NONE ? !slice_eq(have->spec.fetch, s->spec.fetch)
					     : !slice_eq(have->spec.ssh, s->spec.ssh))
		return false;
	if (s->spec.git_range.ptr)
		return in_range(n, s);
	return !is_commit(s->spec.committish) ||
	       slice_eq(s->spec.committish, have->spec.committish);
}

/* A path's meaning depends on who says it. */
static bool path_valid(struct ideal *d, const struct inode *n, const struct ispec *s,
		       const struct iedge *edge)
{
	const char *where = ideal_from_path(d, edge->from, edge);
	struct spec here;

	if (spec_parse(&here, (struct slice){ 0 }, slice_str(s->text), slice_str(where), &d->arena,
		       NULL) < 0)
		return false;
	if (here.type == SPEC_DIRECTORY)
		return n->flags & I_LINK &&
		       slice_eq(here.fetch,
				slice_str(absolute(d, n->target ? n->target->path : n->resolved)));
	if (n->flags & I_LINK || !n->resolved || strncmp(n->resolved, "file:", 5) != 0)
		return false;
	return slice_eq(
		here.fetch,
		slice_str(n->resolved[5] == '/' ? n->resolved + 5 : absolute(d, n->resolved + 5)));
}

static bool spec_holds(struct ideal *d, const struct inode *n, const struct ispec *s,
		       const struct iedge *edge)
{
	if (!s->good)
		return false;
	switch (s->spec.type == SPEC_ALIAS ? s->spec.alias_type : s->spec.type) {
	case SPEC_RANGE:
	case SPEC_VERSION:
		return s->any || in_range(n, s);
	case SPEC_TAG:
		return !(n->flags & I_LINK) && n->resolved && strncmp(n->resolved, "http", 4) == 0;
	case SPEC_REMOTE:
		return n->resolved && slice_eq(slice_str(n->resolved), s->spec.fetch);
	case SPEC_GIT:
		return git_valid(d, n, s);
	case SPEC_FILE:
	case SPEC_DIRECTORY:
		return path_valid(d, n, s, edge);
	case SPEC_ALIAS:
		break;
	}
	return false;
}

static bool either(struct ideal *d, const struct inode *n, const struct ispec *s,
		   const struct iedge *edge)
{
	return spec_holds(d, n, s, edge) || (edge->accept && spec_holds(d, n, edge->accept, edge));
}

bool ideal_satisfies(struct ideal *d, const struct inode *n, struct iedge *edge)
{
	const struct ispec *key;

	if (n->name != edge->name)
		return false;
	if (!edge->rule || !edge->rule->parent)
		return either(d, n, edge->spec, edge);
	if (n->flags & I_SHRINKWRAP || ideal_in_shrinkwrap(n) ||
	    (d->bundles && ideal_bundler(d, (struct inode *)n)))
		return either(d, n, edge->spec, edge);
	if (either(d, n, ideal_spec(d, edge), edge))
		return true;
	if (!either(d, n, edge->spec, edge))
		return false;
	key = ideal_spec_of(d, edge->rule->key_spec);
	return !key || !either(d, n, key, edge);
}

/* ---- overrides on their way ---- */

static bool is_at_or_below(const struct overrides *o, const struct overrides *above)
{
	for (; o; o = o->parent) {
		if (o == above)
			return true;
	}
	return false;
}

static bool ranges_meet(struct ideal *d, const char *a, const char *b)
{
	const struct ispec *x = ideal_spec_of(d, a), *y = ideal_spec_of(d, b);

	if (!x || !y || !x->good || !y->good ||
	    (x->spec.type != SPEC_RANGE && x->spec.type != SPEC_VERSION) ||
	    (y->spec.type != SPEC_RANGE && y->spec.type != SPEC_VERSION) || x->any || y->any)
		return true;
	return !x->has_range || !y->has_range || semver_range_intersects(&x->range, &y->range);
}

/* The rule of that key which `o` knows of, nearest first. */
static const struct overrides *rule_by_key(const struct overrides *o, const struct overrides *like)
{
	for (; o; o = o->parent) {
		for (uint32_t i = 0; i < o->rule_count; i++) {
			if (strcmp(o->rules[i].name, like->name) == 0 &&
			    strcmp(o->rules[i].key_spec, like->key_spec) == 0)
				return &o->rules[i];
		}
		if (o->parent && strcmp(o->name, like->name) == 0 &&
		    strcmp(o->key_spec, like->key_spec) == 0)
			return o;
	}
	return NULL;
}

static bool rules_clash(struct ideal *d, const struct overrides *a, const struct overrides *b)
{
	return a && b && a != b && a->value[0] != '$' && b->value[0] != '$' &&
	       !ranges_meet(d, a->value, b->value);
}

/* Do two sets ask for different things of one package? */
static bool sets_conflict(struct ideal *d, const struct overrides *first,
			  const struct overrides *second)
{
	for (const struct overrides *o = first; o; o = o->parent) {
		for (uint32_t i = 0; i < o->rule_count; i++) {
			const struct overrides *own = rule_by_key(first, &o->rules[i]);

			if (rules_clash(d, own, rule_by_key(second, &o->rules[i])))
				return true;
		}
		if (o->parent && rules_clash(d, rule_by_key(first, o), rule_by_key(second, o)))
			return true;
	}
	return false;
}

/* npm's findSpecificOverrideSet(): the more specific of the two, else the nearest above both.
 * false: they conflict. */
static bool specific(struct ideal *d, const struct overrides *first, const struct overrides *second,
		     const struct overrides **ret)
{
	if (is_at_or_below(second, first)) {
		*ret = second;
		return true;
	}
	if (is_at_or_below(first, second)) {
		*ret = first;
		return true;
	}
	if (sets_conflict(d, first, second))
		return false;
	for (*ret = second; *ret && !is_at_or_below(first, *ret);)
		*ret = (*ret)->parent;
	return true;
}

bool ideal_valid(struct ideal *d, struct iedge *edge)
{
	const struct overrides *ignored;
	struct inode *to = edge->to;

	if (edge->state != STATE_UNKNOWN)
		return edge->state == STATE_OK;
	if (!to) {
		if (iedge_is_optional(edge))
			return true;
		edge->state = STATE_MISSING;
	} else if (iedge_is_peer(edge) && edge->from == to->parent && !ideal_is_top(edge->from)) {
		edge->state = STATE_PEER_LOCAL;
	} else if (!ideal_satisfies(d, to, edge) ||
		   (edge->rule && to->rule && to->edge_count &&
		    !specific(d, edge->rule, to->rule, &ignored))) {
		edge->state = STATE_INVALID;
	} else {
		edge->state = STATE_OK;
	}
	return edge->state == STATE_OK;
}

#define RULES_DEEP 20000u /* of the spreading of overrides, each level a dependency */

/* Does some edge that can be reached from `n` have a rule of its own? */
static bool rule_matters(struct ideal *d, struct inode *n, const struct overrides *rule)
{
	auto_iset struct iset seen = { .d = d };

	(void)iset_add(&seen, ideal_real(n));
	for (uint32_t i = 0; i < seen.count; i++) {
		struct inode *at = seen.items[i];

		for (uint32_t k = 0; k < at->edge_count; k++) {
			struct iedge *edge = &at->edges[k];
			const struct overrides *o =
				overrides_rule(rule, edge->name->text, edge->spec->text);

			if (o->parent && strcmp(o->name, edge->name->text) == 0)
				return true;
			if (edge->to)
				(void)iset_add(&seen, ideal_real(edge->to));
		}
	}
	return false;
}

static void respread(struct ideal *d, struct inode *n)
{
	if (++d->overrides_deep > RULES_DEEP) {
		(void)ideal_stick(d, err_set(d->e, -E2BIG, "overrides: too many packages deep"));
	} else if (n->flags & I_LINK) {
		if (n->target && n->rule && rule_matters(d, n->target, n->rule))
			ideal_rule_added(d, n->target, n->rule);
	} else {
		for (uint32_t i = 0; i < n->edge_count; i++) {
			struct iedge *edge = &n->edges[i];

			ideal_edge_reload(d, edge, true);
			if (edge->to)
				ideal_rule_added(d, edge->to, edge->rule);
		}
	}
	d->overrides_deep--;
}

void ideal_rule_added(struct ideal *d, struct inode *n, const struct overrides *rule)
{
	const struct overrides *now;

	if (!rule || n->rule == rule)
		return;
	if (!n->rule)
		now = rule;
	else if (!specific(d, n->rule, rule, &now) || !now || now == n->rule)
		return;
	n->rule = now;
	respread(d, n);
}

void ideal_rule_removed(struct ideal *d, struct inode *n, const struct overrides *rule)
{
	const struct overrides *now = NULL, *both;

	if (!n->rule || n->rule != rule)
		return;
	for (struct iedge *edge = n->in_first; edge; edge = edge->in_next) {
		if (now && edge->rule)
			now = specific(d, edge->rule, now, &both) ? both : NULL;
		else
			now = edge->rule;
	}
	if (now == n->rule)
		return;
	n->rule = now;
	if (now)
		respread(d, n);
}
