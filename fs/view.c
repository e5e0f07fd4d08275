#include "fs/view.h"

#include "fs/view_priv.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#define KEY_MAX ((size_t)64 << 20) /* what is hashed for one slot: its path, its bins' paths */

/* ---- basis ---- */

int basis_new(struct basis **ret, struct lock *lock, struct err *e)
{
	struct basis *b = calloc(1, sizeof *b);
	struct slice bytes = lock_bytes(lock);
	int r = b ? lock_graph(lock, &b->graph, e) : err_set(e, -ENOMEM, "out of memory");

	if (r < 0) {
		free(b);
		lock_close(lock);
		return r;
	}
	b->lock = lock;
	b->hash = hash128(bytes.ptr, bytes.len);
	atomic_store(&b->refs, 1);
	*ret = b;
	return 0;
}

int basis_of_graph(struct basis **ret, struct graph *g, struct err *e)
{
	struct basis *b = calloc(1, sizeof *b);

	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	b->graph = g;
	atomic_store(&b->refs, 1);
	*ret = b;
	return 0;
}

void basis_unref(struct basis *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	if (b->lock) {
		graph_free(b->graph);
		lock_close(b->lock);
	}
	free(b);
}

bool basis_same(const struct basis *a, const struct basis *b)
{
	return hash128_eq(a->hash, b->hash);
}

const struct graph *basis_graph(const struct basis *b)
{
	return b->graph;
}

/* ---- making a view ---- */

struct maker {
	struct view *v;
	struct places *p;
	int64_t now_ns;
	struct buf key;
	uint32_t *first_bin; /* by tree node (PACKAGE): its bins are bins[first_bin[i] ..] */
	struct place_bin *bins;
	struct parcel **of;   /* by tree node: the parcel of a PACKAGE */
	struct slot_id *slot; /* by tree node */
};

static int bin_cmp(const void *a, const void *b)
{
	const struct place_bin *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : x->bin - y->bin;
}

/* The graph node of a package whose bins are made executable while it is unpacked, or NULL. */
static const struct graph_node *unpacks_bins(const struct maker *m, uint32_t i)
{
	const struct tree_node *n = &m->v->tree->nodes[i];
	const struct graph_node *g =
		n->kind == TREE_PACKAGE ? &m->v->basis->graph->nodes[n->node] : NULL;

	return g && tree_unpacks_bins(g) ? g : NULL;
}

/* Calls put for each file of a package that is a bin. */
static void each_bin(struct maker *m, void (*put)(struct maker *, uint32_t, struct place_bin))
{
	const struct tree *t = m->v->tree;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct tree_node *n = &t->nodes[i];
		const struct graph_node *g = unpacks_bins(m, i);

		if (n->kind == TREE_BIN && n->backing != TREE_NONE)
			put(m, n->backing, (struct place_bin){ n->sub, TREE_LINKED_BIN });
		for (uint32_t k = 0; g && k < g->bin_count; k++)
			put(m, i, (struct place_bin){ g->bins[k].target, TREE_UNPACKED_BIN });
	}
}

static void count_bin(struct maker *m, uint32_t i, struct place_bin bin)
{
	(void)bin;
	m->first_bin[i + 2]++;
}

static void put_bin(struct maker *m, uint32_t i, struct place_bin bin)
{
	m->bins[m->first_bin[i + 1]++] = bin;
}

/* Every package's bins as one sorted run. */
static int gather_bins(struct maker *m)
{
	const struct tree *t = m->v->tree;

	m->first_bin = calloc(t->count + 2, sizeof *m->first_bin);
	if (!m->first_bin)
		return -ENOMEM;
	each_bin(m, count_bin);
	for (uint32_t i = 2; i < t->count + 2; i++)
		m->first_bin[i] += m->first_bin[i - 1];
	m->bins = malloc((m->first_bin[t->count + 1] + 1) * sizeof *m->bins);
	if (!m->bins)
		return -ENOMEM;
	each_bin(m, put_bin);
	for (uint32_t i = 0; i < t->count; i++)
		if (m->first_bin[i + 1] - m->first_bin[i] > 1)
			qsort(m->bins + m->first_bin[i], m->first_bin[i + 1] - m->first_bin[i],
			      sizeof *m->bins, bin_cmp);
	return 0;
}

static int find_parcel(struct maker *m, uint32_t i, struct err *e)
{
	struct graph_node n = m->v->basis->graph->nodes[m->v->tree->nodes[i].node];
	struct digest key;
	int r;

	n.flags &= ~(unsigned)NODE_IN_BUNDLE; /* what a top bundles has a package of its own */
	r = m->p->key ? m->p->key(m->p->key_arg, &n, &key, e) : graph_node_key(&n, &key, e);
	if (r < 0)
		return r;
	m->of[i] = parcels_add(m->p->parcels, &key, &n);
	return m->of[i] ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* All that decides what the kernel may keep of a slot. A directory's content is not in it: the
 * kernel is told when that changes. */
static int number_node(struct maker *m, uint32_t i, struct err *e)
{
	const struct tree_node *n = &m->v->tree->nodes[i];
	const struct tree_modes *modes = &m->p->modes;
	uint8_t kind = n->kind;
	char path[GRAPH_PATH_MAX + 512];

	m->key.len = 0;
	tree_path(m->v->tree, i, path, sizeof path);
	buf_add(&m->key, &kind, 1);
	buf_add(&m->key, path, strlen(path) + 1);
	if (n->kind == TREE_PACKAGE) {
		uint32_t fixed[3] = { modes->umask, modes->npm_umask, modes->setuid };

		buf_add(&m->key, &m->of[i]->key, sizeof m->of[i]->key);
		buf_add(&m->key, fixed, sizeof fixed);
		for (uint32_t k = m->first_bin[i]; k < m->first_bin[i + 1]; k++)
			buf_addf(&m->key, "%c%s%c", '0' + m->bins[k].bin, m->bins[k].path, 0);
	} else if (n->text) {
		buf_addstr(&m->key, n->text);
	} else if (n->backing != TREE_NONE) {
		/* parents were numbered before; names that the blob lacks are cached below it */
		buf_add(&m->key, &m->slot[n->backing].number, sizeof m->slot[0].number);
	} else if (n->kind == TREE_HIDDEN) {
		buf_add(&m->key, &m->p->omit_resolved, sizeof m->p->omit_resolved);
		buf_add(&m->key, m->v->basis->hash.b, sizeof m->v->basis->hash.b);
		buf_add(&m->key, m->v->present, m->v->basis->graph->count);
	}
	if (buf_error(&m->key))
		return err_set(e, buf_error(&m->key), "%s: its bins cannot be kept in mind", path);
	return slots_number(m->p->slots, hash128(m->key.data, m->key.len), m->now_ns, &m->slot[i],
			    e);
}

static int copy_bins(struct maker *m, uint32_t i, struct place *place)
{
	uint32_t first = m->first_bin[i], count = m->first_bin[i + 1] - first;
	struct place_bin *bins;

	if (m->v->tree->nodes[i].kind != TREE_PACKAGE || count == 0)
		return 0;
	bins = arena_array(&m->p->arena, count, sizeof *bins);
	for (uint32_t k = 0; bins && k < count; k++)
		bins[k] = (struct place_bin){
			.path = arena_strdup(&m->p->arena, m->bins[first + k].path),
			.bin = m->bins[first + k].bin,
		};
	place->bins = bins;
	place->bin_count = count;
	return arena_error(&m->p->arena);
}

/* The place of a slot: the one of an earlier view, or a new one. */
static struct place *make_place(struct maker *m, uint32_t i)
{
	const struct tree_node *n = &m->v->tree->nodes[i];
	uint32_t slot = m->slot[i].number;
	_Atomic(struct places_chunk *) *at = &m->p->chunks[slot / PLACES_CHUNK];
	struct places_chunk *chunk = atomic_load(at);
	struct place *place;

	if (!chunk) {
		chunk = calloc(1, sizeof *chunk);
		if (!chunk)
			return NULL;
		atomic_store_explicit(at, chunk, memory_order_release);
	}
	place = atomic_load(&chunk->at[slot % PLACES_CHUNK]);
	if (place)
		return place;
	place = arena_alloc(&m->p->arena, sizeof *place);
	if (!place)
		return NULL;
	place->slot = slot;
	place->kind = n->kind;
	place->time_ns = m->slot[i].time_ns;
	place->parcel = m->of[i];
	place->text = n->text ? arena_strdup(&m->p->arena, n->text) : NULL;
	place->name = arena_strdup(&m->p->arena, n->name);
	place->up = n->parent == TREE_NONE ? NULL : m->v->nodes[n->parent].place;
	for (uint32_t r = 0; n->parent == TREE_NONE && r < m->v->tree->root_count; r++)
		if (m->v->tree->roots[r].node == i)
			place->name = arena_strdup(&m->p->arena, m->v->tree->roots[r].path);
	if (n->kind == TREE_PACKAGE) {
		char path[GRAPH_PATH_MAX + 512];

		tree_path(m->v->tree, i, path, sizeof path);
		place->path = arena_strdup(&m->p->arena, path);
	}
	if (copy_bins(m, i, place) < 0 || arena_error(&m->p->arena))
		return NULL;
	atomic_store_explicit(&chunk->at[slot % PLACES_CHUNK], place, memory_order_release);
	return place;
}

/* Slots are found by a hash that is quick and not safe against whoever writes a lock: what has the
 * number of something else is refused, before anybody takes the one for the other. */
static bool is_of(const struct place *place, const struct maker *m, uint32_t i)
{
	const struct tree_node *n = &m->v->tree->nodes[i];
	bool has_files = n->kind == TREE_DIR || n->kind == TREE_BUNDLED;

	return m->v->by_slot[place->slot] == TREE_NONE && place->kind == n->kind &&
	       place->parcel == m->of[i] && !place->text == !n->text &&
	       (!n->text || strcmp(place->text, n->text) == 0) &&
	       (n->parent == TREE_NONE || strcmp(place->name, n->name) == 0) &&
	       (!has_files || n->parent == TREE_NONE || place->up == m->v->nodes[n->parent].place);
}

/* npm looks for a workspace's bin when it installs: a dist/cli.js that is not built gets no
 * link. What stands below a node_modules may be our own mount, so it is believed. */
static bool bin_is_missing(struct maker *m, uint32_t i)
{
	const struct graph *g = m->v->basis->graph;
	const struct tree_node *n = &m->v->tree->nodes[i];
	const struct graph_node *link;
	struct buf path = BUF_INIT(3 * GRAPH_PATH_MAX);
	auto_free char *text = NULL;
	struct stat st;

	if (n->kind != TREE_BIN || n->backing != TREE_NONE || m->p->project_dirfd < 0)
		return false;
	link = &g->nodes[n->node];
	/* "../<name>/<target>", where <name> is a link to the target's folder */
	buf_addf(&path, "%s/%s", g->nodes[link->link_target].path,
		 n->text + strlen("../") + strlen(link->name) + 1);
	text = buf_steal_str(&path);
	if (!text || strstr(text, "node_modules"))
		return false;
	return fstatat(m->p->project_dirfd, text, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	       (errno == ENOENT || errno == ENOTDIR);
}

/* A directory is as new as the newest thing that came to stand in it; the hidden lockfile is as
 * new as the newest directory, or npm would not believe it. */
static void set_times(struct view *v)
{
	const struct tree *t = v->tree;
	int64_t newest = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct tree_node *n = &t->nodes[i];
		int64_t *time = &v->nodes[i].mtime_ns;

		if (n->kind == TREE_BUNDLED)
			*time = v->nodes[n->backing].place->time_ns;
		else if (*time < v->nodes[i].place->time_ns)
			*time = v->nodes[i].place->time_ns;
		if (n->parent != TREE_NONE && t->nodes[n->parent].kind == TREE_DIR &&
		    v->nodes[n->parent].mtime_ns < v->nodes[i].place->time_ns)
			v->nodes[n->parent].mtime_ns = v->nodes[i].place->time_ns;
	}
	for (uint32_t i = 0; i < t->count; i++)
		if (newest < v->nodes[i].mtime_ns)
			newest = v->nodes[i].mtime_ns;
	for (uint32_t i = 0; i < t->count; i++)
		if (t->nodes[i].kind == TREE_HIDDEN)
			v->nodes[i].mtime_ns = newest;
}

static int parcel_cmp(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static void distinct_parcels(struct maker *m)
{
	struct view *v = m->v;
	size_t n = 0;

	for (uint32_t i = 0; i < v->tree->count; i++)
		if (m->of[i])
			v->parcels[n++] = m->of[i];
	for (size_t i = 0; i < n; i++)
		atomic_store(&v->parcels[i]->optional, true);
	for (uint32_t i = 0; i < v->tree->count; i++)
		if (m->of[i] &&
		    !(v->basis->graph->nodes[v->tree->nodes[i].node].flags & NODE_OPTIONAL))
			atomic_store(&m->of[i]->optional, false);
	qsort(v->parcels, n, sizeof *v->parcels, parcel_cmp);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || v->parcels[i] != v->parcels[i - 1])
			v->parcels[v->parcel_count++] = v->parcels[i];
}

static int fill(struct maker *m, struct err *e)
{
	struct view *v = m->v;
	uint32_t count = v->tree->count;
	int r = gather_bins(m);

	m->of = calloc(count, sizeof *m->of);
	m->slot = calloc(count, sizeof *m->slot);
	v->nodes = calloc(count, sizeof *v->nodes);
	v->parcels = calloc(count, sizeof *v->parcels);
	if (r < 0 || !m->of || !m->slot || !v->nodes || !v->parcels)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < count && r == 0; i++) {
		if (v->tree->nodes[i].kind == TREE_PACKAGE)
			r = find_parcel(m, i, e);
		if (r == 0)
			r = number_node(m, i, e);
	}
	if (r == 0)
		r = slots_save(m->p->slots, e);
	if (r < 0)
		return r;
	v->by_slot_count = slots_last(m->p->slots) + 1;
	v->by_slot = malloc(v->by_slot_count * sizeof *v->by_slot);
	if (!v->by_slot)
		return err_set(e, -ENOMEM, "out of memory");
	memset(v->by_slot, 0xff, v->by_slot_count * sizeof *v->by_slot);
	for (uint32_t i = 0; i < count; i++) {
		v->nodes[i].place = make_place(m, i);
		if (!v->nodes[i].place)
			return err_set(e, -ENOMEM, "out of memory");
		if (!is_of(v->nodes[i].place, m, i))
			return err_set(e, -EINVAL,
				       "%s: something else in the lock has its number; such a lock "
				       "does not come about by chance",
				       v->tree->nodes[i].name);
		v->nodes[i].absent = bin_is_missing(m, i);
		v->by_slot[m->slot[i].number] = i;
	}
	set_times(v);
	distinct_parcels(m);
	return 0;
}

int view_new(struct view **ret, struct places *p, struct basis *b, const bool *present,
	     struct err *e)
{
	struct maker m = { .p = p, .key = BUF_INIT(KEY_MAX) };
	struct timespec now;
	struct view *v = calloc(1, sizeof *v);
	int r = v ? 0 : err_set(e, -ENOMEM, "out of memory");

	(void)clock_gettime(CLOCK_REALTIME, &now);
	m.now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	m.v = v;
	if (r == 0) {
		atomic_store(&v->refs, 1);
		atomic_fetch_add(&b->refs, 1);
		v->basis = b;
		v->places = p;
		v->present = malloc(b->graph->count * sizeof *v->present);
		r = v->present ? tree_build(b->graph, present, p->bin_links, &v->tree, e)
			       : err_set(e, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		memcpy(v->present, present, b->graph->count * sizeof *v->present);
		r = fill(&m, e);
	}
	buf_release(&m.key);
	free(m.first_bin);
	free(m.bins);
	free(m.of);
	free(m.slot);
	if (r < 0)
		view_unref(v);
	else
		*ret = v;
	return r;
}

struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	tree_free(v->tree);
	basis_unref(v->basis);
	free(v->present);
	free(v->nodes);
	free(v->by_slot);
	free(v->parcels);
	free(v);
}

const struct tree *view_tree(const struct view *v)
{
	return v->tree;
}

struct basis *view_basis(const struct view *v)
{
	return v->basis;
}

struct parcel *const *view_parcels(const struct view *v, size_t *ret_count)
{
	*ret_count = v->parcel_count;
	return v->parcels;
}

void view_mark(const struct view *v, const struct parcel *src, bool *mark)
{
	for (uint32_t i = 0; i < v->tree->count; i++)
		if (v->tree->nodes[i].kind == TREE_PACKAGE && v->nodes[i].place->parcel == src)
			mark[v->tree->nodes[i].node] = true;
}

void view_node_parcels(const struct view *v, struct parcel **ret)
{
	memset(ret, 0, v->basis->graph->count * sizeof(struct parcel *));
	for (uint32_t i = 0; i < v->tree->count; i++)
		if (v->tree->nodes[i].kind == TREE_PACKAGE)
			ret[v->tree->nodes[i].node] = v->nodes[i].place->parcel;
}

uint64_t view_root_ino(const struct view *v, uint32_t root)
{
	return view_ino(v->nodes[v->tree->roots[root].node].place->slot, 0);
}

uint32_t view_node_of(const struct view *v, uint64_t ino)
{
	uint32_t slot = view_ino_slot(ino);

	return view_ino_entry(ino) == 0 && slot < v->by_slot_count ? v->by_slot[slot] : TREE_NONE;
}

/* ---- cell ---- */

struct view_cell {
	pthread_mutex_t mu;
	struct view *view; /* guarded by mu */
};

struct view_cell *view_cell_new(struct view *v)
{
	struct view_cell *c = malloc(sizeof *c);

	if (!c) {
		view_unref(v);
		return NULL;
	}
	(void)pthread_mutex_init(&c->mu, NULL);
	c->view = v;
	return c;
}

void view_cell_free(struct view_cell *c)
{
	if (!c)
		return;
	view_unref(c->view);
	(void)pthread_mutex_destroy(&c->mu);
	free(c);
}

struct view *view_get(struct view_cell *c)
{
	struct view *v;

	(void)pthread_mutex_lock(&c->mu);
	v = view_ref(c->view);
	(void)pthread_mutex_unlock(&c->mu);
	return v;
}

struct view *view_swap(struct view_cell *c, struct view *fresh)
{
	struct view *old;

	(void)pthread_mutex_lock(&c->mu);
	old = c->view;
	c->view = fresh;
	(void)pthread_mutex_unlock(&c->mu);
	return old;
}
