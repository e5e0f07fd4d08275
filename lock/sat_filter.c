#include "lock/sat_priv.h"

struct filtered {
	const char *name;
	const struct ipack *pack;
	uint32_t best; /* the version that is to be taken first */
	unsigned weight;
	struct packument p;
	struct packument_head head;
	struct packument_version *versions; /* owned */
	struct packument_tag *tags;         /* owned */
};

struct sat_filter {
	const struct catalog *inner;
	struct filtered *list; /* by name; owned */
	size_t count;
};

void sat_filter_free(struct sat_filter *f)
{
	for (size_t i = 0; f && i < f->count; i++) {
		free(f->list[i].versions);
		free(f->list[i].tags);
	}
	if (f)
		free(f->list);
	free(f);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct filtered *)a)->name, ((const struct filtered *)b)->name);
}

static int to_name(const void *name, const void *b)
{
	return strcmp(name, ((const struct filtered *)b)->name);
}

static struct filtered *find(const struct sat_filter *f, const char *name)
{
	return bsearch(name, f->list, f->count, sizeof *f->list, to_name);
}

/* ---- making ---- */

static int copy(struct filtered *x)
{
	const struct packument *p = x->pack->p;
	uint32_t n = p->head->version_count, tags = p->head->tag_count;

	x->head = *p->head;
	x->head.tag_count++;
	x->versions = calloc((size_t)n + 1, sizeof *x->versions);
	x->tags = calloc((size_t)tags + 1, sizeof *x->tags);
	if (!x->versions || !x->tags)
		return -ENOMEM;
	if (n)
		memcpy(x->versions, p->versions, n * sizeof *x->versions);
	if (tags)
		memcpy(x->tags, p->tags, tags * sizeof *x->tags);
	for (uint32_t i = 0; i < n; i++)
		x->versions[i].flags |= PACKUMENT_DEPRECATED;
	x->p = (struct packument){ .head = &x->head,
				   .versions = x->versions,
				   .deps = p->deps,
				   .tags = x->tags,
				   .digests = p->digests,
				   .strings = p->strings };
	return 0;
}

static int list_packs(const struct sat *m, const struct sat_found *found, struct sat_filter *f)
{
	size_t n = 0;

	f->list = calloc((size_t)m->group_count + 1, sizeof *f->list);
	if (!f->list)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->group_count; i++) {
		const struct sat_cand *c = &m->cands[m->groups[i].first];

		if (found->chosen[i] && c->pack)
			f->list[n++] = (struct filtered){
				.name = packument_str(c->pack->p, c->pack->p->head->name),
				.pack = c->pack,
			};
	}
	qsort(f->list, n, sizeof *f->list, by_name);
	for (size_t i = 0; i < n; i++) {
		if (f->count == 0 || strcmp(f->list[f->count - 1].name, f->list[i].name) != 0)
			f->list[f->count++] = f->list[i];
	}
	for (size_t i = 0; i < f->count; i++) {
		if (copy(&f->list[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What stands in root's node_modules goes before what npm would take first. */
static void choose(const struct sat *m, const struct sat_found *found, struct sat_filter *f)
{
	for (uint32_t i = 0; i < m->cand_count; i++) {
		const struct sat_cand *c = &m->cands[i];
		struct filtered *x;
		unsigned weight;

		if (!c->pack || !found->chosen[c->group])
			continue;
		x = find(f, packument_str(c->pack->p, c->pack->p->head->name));
		if (!x)
			continue;
		x->versions[c->index].flags &= ~(uint32_t)PACKUMENT_DEPRECATED;
		x->versions[c->index].engine_node = x->versions[c->index].engine_npm = 0;
		weight = 1 + (strcmp(m->classes[c->class].name->text, x->name) == 0) +
			 (found->at_root[i] ? 2 : 0);
		if (weight > x->weight ||
		    (weight == x->weight &&
		     semver_cmp(&c->pack->v[c->index], &c->pack->v[x->best]) > 0)) {
			x->weight = weight;
			x->best = c->index;
		}
	}
	for (size_t i = 0; i < f->count; i++) {
		struct filtered *x = &f->list[i];

		x->tags[x->head.tag_count - 1] =
			(struct packument_tag){ 0, x->versions[x->best].version };
	}
}

/* Takes out what was not chosen. */
static void hide(struct filtered *x)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->head.version_count; i++) {
		if (!(x->versions[i].flags & PACKUMENT_DEPRECATED))
			x->versions[n++] = x->versions[i];
	}
	x->head.version_count = n;
}

int sat_filter_new(const struct sat *m, const struct sat_found *found, bool fallback,
		   struct sat_filter **ret, struct err *e)
{
	auto_filter struct sat_filter *f = calloc(1, sizeof *f);

	if (!f || list_packs(m, found, f) < 0)
		return err_set(e, -ENOMEM, "no memory to resolve the dependencies");
	f->inner = m->d.o->catalog;
	choose(m, found, f);
	for (size_t i = 0; i < f->count && !fallback; i++)
		hide(&f->list[i]);
	*ret = take(&f);
	return 0;
}

/* ---- being asked ---- */

static int manifest(void *self, const char *name, const char *version, cJSON **ret, struct err *e)
{
	const struct catalog *c = ((struct sat_filter *)self)->inner;

	return c->manifest(c->self, name, version, ret, e);
}

static void hint(void *self, const char *const *names, size_t count)
{
	const struct catalog *c = ((struct sat_filter *)self)->inner;

	c->hint(c->self, names, count);
}

static int files(void *self, const struct catalog_package *pkg, const char *const *paths,
		 size_t count, cJSON **ret, struct err *e)
{
	const struct catalog *c = ((struct sat_filter *)self)->inner;

	return c->files(c->self, pkg, paths, count, ret, e);
}

static int contents(void *self, const struct catalog_package *pkg, struct catalog_contents *ret,
		    struct err *e)
{
	const struct catalog *c = ((struct sat_filter *)self)->inner;

	return c->contents(c->self, pkg, ret, e);
}

static int packument(void *self, const char *name, const struct packument **ret, struct err *e)
{
	const struct sat_filter *f = self;
	const struct filtered *x = find(f, name);

	if (!x)
		return f->inner->packument(f->inner->self, name, ret, e);
	*ret = &x->p;
	return 0;
}

struct catalog sat_filter_catalog(struct sat_filter *f)
{
	const struct catalog *c = f->inner;

	return (struct catalog){ .manifest = c->manifest ? manifest : NULL,
				 .hint = c->hint ? hint : NULL,
				 .files = c->files ? files : NULL,
				 .contents = c->contents ? contents : NULL,
				 .packument = packument,
				 .self = f };
}
