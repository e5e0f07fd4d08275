#include "fetch/foresight.h"

#include "core/hash.h"

#define NONE UINT32_MAX

struct candidate {
	uint32_t pkg;
	double p;
};

struct foresight {
	struct predict *model; /* owned */
	const struct foresight_pkg *pkgs;
	uint32_t count;
	uint32_t *id;        /* by package: its name's in the model, or PREDICT_NONE */
	uint32_t *by_id;     /* the first package of each name of the model; NONE */
	uint32_t *same_name; /* by package: the next one of that name */
	bool *known;         /* by package: touched, or given */
	bool *possible;      /* by package: the project or something known depends on it */
	uint32_t *stamp;     /* by package: the search that has looked at it */
	uint32_t search;
	struct candidate *heap; /* the most probable at 0 */
	uint32_t heap_count, heap_cap;
	uint32_t given[FORESIGHT_MAX];
	uint32_t given_count;
};

void foresight_free(struct foresight *f)
{
	if (!f)
		return;
	predict_free(f->model);
	free(f->id);
	free(f->by_id);
	free(f->same_name);
	free(f->known);
	free(f->possible);
	free(f->stamp);
	free(f->heap);
	free(f);
}

int foresight_new(struct foresight **ret, struct predict *m, const struct foresight_pkg *pkgs,
		  uint32_t count)
{
	struct foresight *f = calloc(1, sizeof *f);
	size_t names = (size_t)predict_count(m) + 1, n = (size_t)count + 1;

	if (!f) {
		predict_free(m);
		return -ENOMEM;
	}
	f->model = m;
	f->pkgs = pkgs;
	f->count = count;
	f->id = malloc(n * sizeof *f->id);
	f->by_id = malloc(names * sizeof *f->by_id);
	f->same_name = malloc(n * sizeof *f->same_name);
	f->known = calloc(n, sizeof *f->known);
	f->possible = calloc(n, sizeof *f->possible);
	f->stamp = calloc(n, sizeof *f->stamp);
	if (!f->possible || !f->id || !f->by_id || !f->same_name || !f->known || !f->stamp) {
		foresight_free(f);
		return -ENOMEM;
	}
	memset(f->by_id, 0xff, names * sizeof *f->by_id);
	memset(f->same_name, 0xff, n * sizeof *f->same_name);
	for (uint32_t i = 0; i < count; i++) {
		f->possible[i] = pkgs[i].of_project;
		f->id[i] = predict_find(m, pkgs[i].name);
		if (f->id[i] == PREDICT_NONE)
			continue;
		f->same_name[i] = f->by_id[f->id[i]];
		f->by_id[f->id[i]] = i;
	}
	*ret = f;
	return 0;
}

/* ---- the heap ---- */

static void swap(struct candidate *a, struct candidate *b)
{
	struct candidate t = *a;

	*a = *b;
	*b = t;
}

/* Out of memory: it is not looked at. */
static void push(struct foresight *f, uint32_t pkg, double p)
{
	uint32_t at = f->heap_count;

	if (at == f->heap_cap) {
		uint32_t cap = at ? at * 2 : 256;
		struct candidate *grown = realloc(f->heap, cap * sizeof *grown);

		if (!grown)
			return;
		f->heap = grown;
		f->heap_cap = cap;
	}
	f->heap[f->heap_count++] = (struct candidate){ .pkg = pkg, .p = p };
	for (; at && f->heap[(at - 1) / 2].p < f->heap[at].p; at = (at - 1) / 2)
		swap(&f->heap[at], &f->heap[(at - 1) / 2]);
}

static struct candidate pop(struct foresight *f)
{
	struct candidate top = f->heap[0];
	uint32_t at = 0, child;

	f->heap[0] = f->heap[--f->heap_count];
	while ((child = 2 * at + 1) < f->heap_count) {
		child += child + 1 < f->heap_count && f->heap[child + 1].p > f->heap[child].p;
		if (f->heap[child].p <= f->heap[at].p)
			break;
		swap(&f->heap[at], &f->heap[child]);
		at = child;
	}
	return top;
}

/* ---- the search ---- */

static bool depends(const struct foresight_pkg *from, uint32_t to)
{
	for (uint32_t i = 0; i < from->dep_count; i++)
		if (from->deps[i] == to)
			return true;
	return false;
}

/* Has it been loaded by those who do not depend on it? */
static bool strays(const struct foresight *f, uint32_t id)
{
	return predict_stray(f->model, id) * 2 >= predict_seen(f->model, id);
}

/* Which of the packages of a name is meant after `from`; NONE: none can be. */
static uint32_t meant(const struct foresight *f, uint32_t from, uint32_t id)
{
	uint32_t found = NONE;
	bool stray = strays(f, id);

	for (uint32_t i = f->by_id[id]; i != NONE; i = f->same_name[i]) {
		if (depends(&f->pkgs[from], i))
			return i;
		if (f->possible[i] || (stray && f->pkgs[i].hoisted && found == NONE))
			found = i;
	}
	return found;
}

static void know(struct foresight *f, uint32_t pkg)
{
	f->known[pkg] = true;
	for (uint32_t i = 0; i < f->pkgs[pkg].dep_count; i++)
		f->possible[f->pkgs[pkg].deps[i]] = true;
}

static double probability(double count, double seen, bool edge)
{
	double p = (count + FORESIGHT_WEIGHT * (edge ? FORESIGHT_EDGE : 0)) /
		   (seen + FORESIGHT_WEIGHT);

	return p < 1 ? p : 1;
}

bool foresight_is_types(const char *name)
{
	return name && strncmp(name, "@types/", 7) == 0;
}

static void consider(struct foresight *f, uint32_t pkg, double p)
{
	if (p >= FORESIGHT_LEAST && f->stamp[pkg] != f->search &&
	    !foresight_is_types(f->pkgs[pkg].name))
		push(f, pkg, p);
}

static void look_from(struct foresight *f, uint32_t pkg, double p)
{
	const struct predict_link *links = NULL;
	uint32_t count = 0, id = f->id[pkg];
	double seen = 0;

	if (id != PREDICT_NONE) {
		links = predict_links(f->model, id, &count);
		seen = predict_seen(f->model, id) / (double)PREDICT_ONE;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t to = meant(f, pkg, links[i].to);

		if (to != NONE)
			consider(f, to,
				 p * probability(links[i].count / (double)PREDICT_ONE, seen,
						 depends(&f->pkgs[pkg], to)));
	}
	/* Those edges that were counted above are worth no more than this. */
	for (uint32_t i = 0; i < f->pkgs[pkg].dep_count; i++) {
		uint32_t to = f->pkgs[pkg].deps[i];
		bool fresh = id != PREDICT_NONE && !predict_had_dep(f->model, id, f->pkgs[to].name);

		consider(f, to, p * probability(0, fresh ? 0 : seen, true));
	}
}

static void search_begin(struct foresight *f)
{
	f->given_count = 0;
	f->heap_count = 0;
	f->search++;
}

static const uint32_t *search(struct foresight *f, uint32_t *ret_count)
{
	uint32_t looked = 0;

	while (f->heap_count && looked < FORESIGHT_MAX) {
		struct candidate c = pop(f);

		if (f->stamp[c.pkg] == f->search)
			continue;
		f->stamp[c.pkg] = f->search;
		looked++;
		if (!f->known[c.pkg])
			f->given[f->given_count++] = c.pkg;
		know(f, c.pkg);
		look_from(f, c.pkg, c.p);
	}
	*ret_count = f->given_count;
	return f->given;
}

const uint32_t *foresight_touch(struct foresight *f, uint32_t pkg, uint32_t *ret_count)
{
	search_begin(f);
	know(f, pkg);
	f->stamp[pkg] = f->search;
	look_from(f, pkg, 1);
	return search(f, ret_count);
}

/* How often this package, which the project depends on, was the first. */
static double firsts(const struct foresight *f, uint32_t pkg)
{
	if (!f->pkgs[pkg].of_project || f->id[pkg] == PREDICT_NONE)
		return 0;
	return predict_first(f->model, f->id[pkg]) / (double)PREDICT_ONE;
}

const uint32_t *foresight_begin(struct foresight *f, uint32_t *ret_count)
{
	double all = 0;

	search_begin(f);
	for (uint32_t i = 0; i < f->count; i++)
		all += firsts(f, i);
	for (uint32_t i = 0; i < f->count; i++)
		consider(f, i, probability(firsts(f, i), all, false));
	return search(f, ret_count);
}
