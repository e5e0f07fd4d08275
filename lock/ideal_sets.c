#include "lock/ideal_priv.h"

/* ---- sets ---- */

static uint32_t *slot(const struct iset *s, const struct inode *n)
{
	uint64_t h = (uintptr_t)n * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	for (uint32_t at = (uint32_t)h & s->mask;; at = (at + 1) & s->mask) {
		uint32_t i = s->hash[at];

		if (i == 0 || s->items[i - 1] == n)
			return &s->hash[at];
	}
}

static bool grow(struct iset *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 16;
	struct inode **items = reallocarray(s->items, cap, sizeof(struct inode *));

	if (!items)
		return false;
	s->items = items;
	free(s->hash);
	s->hash = calloc((size_t)cap * 2, sizeof *s->hash);
	s->cap = s->hash ? cap : 0;
	s->mask = cap * 2 - 1;
	for (uint32_t i = 0; s->hash && i < s->count; i++) {
		if (s->items[i])
			*slot(s, s->items[i]) = i + 1;
	}
	return s->hash != NULL;
}

bool iset_add(struct iset *s, struct inode *n)
{
	uint32_t *at;

	(void)ideal_work(s->d, 1);
	if (s->count == s->cap && !grow(s)) {
		(void)ideal_stick(s->d, -ENOMEM);
		return false;
	}
	at = slot(s, n);
	if (*at)
		return false;
	s->items[s->count++] = n;
	*at = s->count;
	s->alive++;
	return true;
}

bool iset_has(const struct iset *s, const struct inode *n)
{
	return s->cap && *slot(s, n) != 0;
}

/* Its place in the hash stays taken, so that others behind it are found. */
void iset_drop(struct iset *s, struct inode *n)
{
	uint32_t *at = s->cap ? slot(s, n) : NULL;

	if (at && *at) {
		s->items[*at - 1] = NULL;
		s->alive--;
	}
}

void iset_release(struct iset *s)
{
	free(s->items);
	free(s->hash);
}

void ideal_gather(struct iset *s, iedge_test *test, const void *arg)
{
	bool changed = true;

	for (uint32_t i = 0; i < s->count; i++) {
		struct inode *n = s->items[i];

		for (uint32_t k = 0; k < n->edge_count; k++) {
			if (n->edges[k].to && test(s->d, arg, &n->edges[k]))
				(void)iset_add(s, n->edges[k].to);
		}
	}
	while (changed && s->alive) {
		changed = false;
		for (uint32_t i = 0; i < s->count; i++) {
			struct inode *n = s->items[i];

			for (struct iedge *e = n ? n->in_first : NULL; e; e = e->in_next) {
				if (!ideal_work(s->d, 1))
					return;
				if (!iset_has(s, e->from) && test(s->d, arg, e)) {
					changed = true;
					iset_drop(s, n);
					break;
				}
			}
		}
	}
}

bool ideal_leads_elsewhere(struct ideal *d, const void *arg, struct iedge *edge)
{
	(void)d;
	return edge->to != arg;
}

bool ideal_leads_elsewhere_valid(struct ideal *d, const void *arg, struct iedge *edge)
{
	return edge->to != arg && ideal_valid(d, edge);
}

/* ---- questions about nodes ---- */

struct inode *ideal_deepest(struct inode *start, const struct iname *name)
{
	for (struct inode *n = start;; n = ideal_up(n)) {
		const struct iedge *edge;

		if (ideal_is_root(n) || !ideal_up(n))
			return n;
		edge = name ? ideal_edge(n, name) : NULL;
		if (!edge || !iedge_is_peer(edge))
			return n;
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool ideal_matches(const struct inode *a, const struct inode *b)
{
	if (a == b)
		return true;
	if (a->name != b->name)
		return false;
	if (a->flags & I_LINK)
		return b->flags & I_LINK && a->target && b->target &&
		       (a->target == b->target || same_text(a->target->path, b->target->path));
	if (ideal_is_root(a) && ideal_is_root(b))
		return same_text(a->path, b->path);
	if (a->integrity && b->integrity)
		return strcmp(a->integrity, b->integrity) == 0;
	if (a->resolved && b->resolved)
		return strcmp(a->resolved, b->resolved) == 0;
	return a->pkg->name && a->pkg->name == b->pkg->name &&
	       same_text(a->pkg->version, b->pkg->version) && a->pkg->version[0];
}

bool ideal_can_replace(struct ideal *d, struct inode *x, struct inode *y,
		       const struct inode *ignore)
{
	auto_iset struct iset own = { .d = d };

	if (x->name != y->name || x->pkg->name != y->pkg->name)
		return false;
	if (y->edge_count && x->rule != y->rule)
		return false;
	(void)iset_add(&own, y);
	ideal_gather(&own, ideal_leads_elsewhere_valid, y);
	for (struct iedge *e = y->in_first; e; e = e->in_next) {
		if (!ideal_work(d, 1))
			return false;
		if (ignore && !ideal_is_top(y) && e->from->parent == y->parent &&
		    iedge_is_peer(e)) {
			const struct inode *c = ideal_child(d, ignore, e->from->name);

			if (c && c->name == e->from->name)
				continue;
		}
		if (!iset_has(&own, e->from) && !ideal_satisfies(d, x, e))
			return false;
	}
	return true;
}

bool ideal_overridden(const struct inode *n)
{
	if (!n->rule || !n->rule->parent || strcmp(n->rule->name, n->name->text) != 0)
		return false;
	for (const struct iedge *e = n->in_first; e; e = e->in_next) {
		if (e->rule && e->rule->parent && strcmp(e->rule->name, n->name->text) == 0 &&
		    same_text(e->rule->value, n->pkg->version) && e->rule != e->from->rule)
			return true;
	}
	return false;
}

bool ideal_can_dedupe(struct ideal *d, struct inode *n, bool requested)
{
	struct inode *up = ideal_up(n), *other;
	const struct ipkg *mine = ideal_real(n)->pkg, *theirs;

	if (ideal_in_dep_bundle(d, n) || ideal_in_shrinkwrap(n))
		return false;
	if (!up || !ideal_up(up))
		return false;
	if (!n->in_first)
		return true;
	other = ideal_resolve(d, ideal_up(up), n->name);
	if (!other)
		return false;
	if (ideal_matches(other, n))
		return true;
	if (!ideal_can_replace(d, other, n, NULL))
		return false;
	theirs = ideal_real(other)->pkg;
	if (d->o->prefer_dedupe)
		return true;
	if (mine->v_good && theirs->v_good) {
		int c = semver_cmp(&theirs->v, &mine->v);

		if (c == 0 || (c > 0 && !ideal_overridden(n)))
			return true;
	}
	return requested;
}

/* ---- peer sets ---- */

static void add_peers(struct ideal *d, struct iset *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct inode *n = s->items[i];

		for (uint32_t k = 0; k < n->edge_count; k++) {
			struct iedge *e = &n->edges[k];

			if (e->to && iedge_is_peer(e) && ideal_valid(d, e))
				(void)iset_add(s, e->to);
		}
	}
}

bool ideal_entry_sets(struct ideal *d, struct inode *n, ientry_fn *fn, void *arg)
{
	auto_iset struct iset all = { .d = d };

	(void)iset_add(&all, n);
	for (uint32_t i = 0; i < all.count; i++) {
		struct inode *at = all.items[i];

		for (uint32_t k = 0; k < at->edge_count; k++) {
			struct iedge *e = &at->edges[k];

			if (e->to && iedge_is_peer(e) && ideal_valid(d, e))
				(void)iset_add(&all, e->to);
		}
		for (struct iedge *e = at->in_first; e; e = e->in_next) {
			if (!ideal_work(d, 1))
				return false;
			if (iedge_is_peer(e) && ideal_valid(d, e))
				(void)iset_add(&all, e->from);
		}
	}
	for (uint32_t i = 0; i < all.count; i++) {
		for (struct iedge *e = all.items[i]->in_first; e; e = e->in_next) {
			auto_iset struct iset sub = { .d = d };

			if (!ideal_valid(d, e) || (iedge_is_peer(e) && !ideal_is_top(e->from)))
				continue;
			(void)iset_add(&sub, all.items[i]);
			add_peers(d, &sub);
			if (iset_has(&sub, n) && fn(d, arg, e, &sub))
				return true;
		}
	}
	return false;
}
