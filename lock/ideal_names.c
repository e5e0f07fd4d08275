#include "core/hash.h"
#include "lock/ideal_priv.h"

/* ---- tables ---- */

struct place {
	uint64_t a, b;
	void *value; /* NULL: was removed, or is about to be filled */
	bool used;
};

struct table {
	struct place *places;
	uint64_t mask, used;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);

	return h ^ h >> 29;
}

static struct place *place_of(const struct table *t, uint64_t a, uint64_t b)
{
	for (uint64_t at = mix(a, b) & t->mask;; at = (at + 1) & t->mask) {
		struct place *p = &t->places[at];

		if (!p->used || (p->a == a && p->b == b))
			return p;
	}
}

struct table *table_new(void)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->mask = 1023;
	t->places = calloc(t->mask + 1, sizeof *t->places);
	if (!t->places)
		free(take(&t));
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	free(t->places);
	free(t);
}

static bool grow(struct table *t)
{
	struct table bigger = { .mask = t->mask * 2 + 1 };

	bigger.places = calloc(bigger.mask + 1, sizeof *bigger.places);
	if (!bigger.places)
		return false;
	for (uint64_t i = 0; i <= t->mask; i++) {
		struct place *p = &t->places[i];

		if (p->used && p->value) {
			*place_of(&bigger, p->a, p->b) = *p;
			bigger.used++;
		}
	}
	free(t->places);
	*t = bigger;
	return true;
}

void **table_at(struct table *t, uint64_t a, uint64_t b)
{
	struct place *p;

	if (t->used * 2 > t->mask && !grow(t))
		return NULL;
	p = place_of(t, a, b);
	if (!p->used) {
		*p = (struct place){ .a = a, .b = b, .used = true };
		t->used++;
	}
	return &p->value;
}

void *table_get(const struct table *t, uint64_t a, uint64_t b)
{
	struct place *p = place_of(t, a, b);

	return p->used ? p->value : NULL;
}

void table_remove(struct table *t, uint64_t a, uint64_t b)
{
	struct place *p = place_of(t, a, b);

	if (p->used)
		p->value = NULL;
}

/* ---- names ---- */

static struct hash_key {
	uint64_t a, b;
} key_of(const char *text, size_t n)
{
	struct hash128 h = hash128_keyed(text, n, hash_seed());
	struct hash_key k;

	memcpy(&k, h.b, sizeof k);
	return k;
}

/* npm folds all of Unicode; names beyond ASCII are no valid package names. */
static void fold(struct ideal *d, struct iname *name, const char *text)
{
	size_t n = strlen(text);
	char *folded = arena_strndup(&d->arena, text, n);
	bool changed = false;
	struct iname *same = NULL;

	for (size_t i = 0; folded && i < n; i++) {
		if (folded[i] >= 'A' && folded[i] <= 'Z') {
			folded[i] = (char)(folded[i] + ('a' - 'A'));
			changed = true;
		}
	}
	if (folded && changed)
		same = ideal_name(d, folded);
	name->folded = same ? same : name;
	name->fold = same ? same->fold : ++d->folds;
}

struct iname *ideal_name(struct ideal *d, const char *text)
{
	struct hash_key k = key_of(text, strlen(text));
	struct iname *name = table_get(d->names, k.a, k.b);
	void **at;

	if (name)
		return name;
	name = arena_alloc(&d->arena, sizeof *name);
	if (name) {
		name->text = arena_strdup(&d->arena, text);
		fold(d, name, text);
	}
	at = name && name->text ? table_at(d->names, k.a, k.b) : NULL;
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	*at = name;
	return name;
}

/* ---- specs ---- */

static void look_at(struct ideal *d, struct ispec *s)
{
	static const struct slice star = { (const uint8_t *)"*", 1 };
	struct slice range = { 0 };

	s->good = spec_parse(&s->spec, (struct slice){ 0 }, *s->text ? slice_str(s->text) : star,
			     SLICE("/"), &d->arena, NULL) == 0;
	if (!s->good)
		return;
	s->type = s->spec.type == SPEC_ALIAS ? s->spec.alias_type : s->spec.type;
	if (s->type == SPEC_VERSION || s->type == SPEC_RANGE)
		range = s->spec.fetch;
	else if (s->type == SPEC_GIT)
		range = s->spec.git_range;
	s->any = s->type == SPEC_RANGE && slice_eq(range, star);
	if (range.ptr && !s->any)
		s->has_range = semver_range_parse(&s->range, range, SEMVER_LOOSE) == 0;
}

struct ispec *ideal_spec_of(struct ideal *d, const char *text)
{
	struct hash_key k = key_of(text, strlen(text));
	struct ispec *s = table_get(d->specs, k.a, k.b);
	void **at;

	if (s)
		return s;
	s = arena_alloc(&d->arena, sizeof *s);
	if (s)
		s->text = arena_strdup(&d->arena, text);
	at = s && s->text ? table_at(d->specs, k.a, k.b) : NULL;
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	look_at(d, s);
	*at = s;
	return s;
}

/* The ranges own memory of their own. */
void ideal_specs_free(struct ideal *d)
{
	for (uint64_t i = 0; d->specs && i <= d->specs->mask; i++) {
		struct ispec *s = d->specs->places[i].value;

		if (s)
			semver_range_release(&s->range);
	}
}
