#include "fs/parcel.h"

#include "core/arena.h"
#include "core/log.h"
#include "fs/pins.h"

#include <pthread.h>

#define PARCELS_ARENA_MAX ((size_t)1 << 30) /* URLs and names of all packages ever seen */

struct retired {
	struct pkg *pkg;
	struct retired *next;
};

struct parcels {
	struct store *store;
	struct pins *pins;
	void (*on_touch)(void *arg, struct parcel *src); /* NULL: nobody asked */
	void *on_touch_arg;
	pthread_mutex_t mu;
	/* guarded by mu */
	struct arena arena;
	struct parcel **hash; /* chains */
	size_t size, count;
	struct retired *retired;
};

struct parcels *parcels_new(struct store *store, struct pins *pins)
{
	struct parcels *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->store = store;
	s->pins = pins;
	s->arena = (struct arena)ARENA_INIT(PARCELS_ARENA_MAX);
	s->size = 4096;
	s->hash = calloc(s->size, sizeof(struct parcel *));
	if (!s->hash) {
		free(s);
		return NULL;
	}
	(void)pthread_mutex_init(&s->mu, NULL);
	return s;
}

void parcels_free(struct parcels *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->size; i++)
		for (struct parcel *src = s->hash[i]; src; src = src->next)
			if (atomic_load(&src->pkg))
				pkg_release(atomic_load(&src->pkg));
	for (struct retired *r = s->retired; r; r = r->next)
		pkg_release(r->pkg);
	arena_release(&s->arena);
	free(s->hash);
	(void)pthread_mutex_destroy(&s->mu);
	free(s);
}

/* The bytes are a digest: any four of them are as good as a hash. */
static struct parcel **bucket(const struct parcels *s, const struct digest *key)
{
	uint32_t h;

	memcpy(&h, key->bytes, sizeof h);
	return &s->hash[h & (s->size - 1)];
}

static struct parcel *find(const struct parcels *s, const struct digest *key)
{
	struct parcel *src = *bucket(s, key);

	while (src && !digest_eq(&src->key, key))
		src = src->next;
	return src;
}

static const char *copy(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

static void grow(struct parcels *s)
{
	struct parcel **old = s->hash, **grown = calloc(s->size * 4, sizeof(struct parcel *));
	size_t old_size = s->size;

	if (!grown)
		return; /* longer chains will do */
	s->hash = grown;
	s->size *= 4;
	for (size_t i = 0; i < old_size; i++) {
		for (struct parcel *src = old[i], *next; src; src = next) {
			struct parcel **b = bucket(s, &src->key);

			next = src->next;
			src->next = *b;
			*b = src;
		}
	}
	free(old);
}

struct digest *parcels_keys(struct parcels *s, size_t *ret_count)
{
	struct digest *keys;
	size_t n = 0;

	(void)pthread_mutex_lock(&s->mu);
	keys = malloc((s->count + 1) * sizeof *keys);
	for (size_t i = 0; keys && i < s->size; i++)
		for (const struct parcel *src = s->hash[i]; src; src = src->next)
			keys[n++] = src->key;
	(void)pthread_mutex_unlock(&s->mu);
	*ret_count = n;
	return keys;
}

static struct parcel *make(struct parcels *s, const struct digest *key, const struct graph_node *n)
{
	struct parcel *src = arena_alloc(&s->arena, sizeof *src);

	if (!src)
		return NULL;
	src->key = *key;
	src->name = copy(&s->arena, n->pkg_name ? n->pkg_name : n->name);
	src->version = copy(&s->arena, n->version);
	src->resolved = copy(&s->arena, n->resolved);
	src->integrity = copy(&s->arena, n->integrity);
	if (arena_error(&s->arena))
		return NULL;
	if (s->count >= s->size)
		grow(s);
	src->next = *bucket(s, key);
	*bucket(s, key) = src;
	s->count++;
	return src;
}

struct parcel *parcels_add(struct parcels *s, const struct digest *key, const struct graph_node *n)
{
	struct parcel *src;

	(void)pthread_mutex_lock(&s->mu);
	src = find(s, key);
	if (!src)
		src = make(s, key, n);
	(void)pthread_mutex_unlock(&s->mu);
	return src;
}

struct parcel *parcels_find(struct parcels *s, const struct digest *key)
{
	struct parcel *src;

	(void)pthread_mutex_lock(&s->mu);
	src = find(s, key);
	(void)pthread_mutex_unlock(&s->mu);
	return src;
}

bool parcel_here(const struct parcels *s, const struct parcel *src)
{
	return atomic_load_explicit(&src->pkg, memory_order_acquire) ||
	       store_has(s->store, &src->key);
}

int parcel_open(struct parcels *s, struct parcel *src, struct pkg **ret, struct err *e)
{
	struct pkg *have = atomic_load_explicit(&src->pkg, memory_order_acquire), *mine;
	int r;

	if (have) {
		*ret = have;
		return 0;
	}
	r = store_get(s->store, &src->key, &mine, e);
	if (r == -EBADMSG)
		log_warn("%s@%s: %s; it is fetched anew", src->name,
			 src->version ? src->version : "?", e->msg);
	if (r < 0 && r != -ENOENT)
		return err_wrap(e, r, "%s@%s", src->name, src->version ? src->version : "?");
	if (r < 0)
		return r;
	if (src->key.alg == DIGEST_UNPINNED && s->pins) {
		r = pins_check(s->pins, &src->key, &dxp_meta(pkg_dxp(mine))->sha512, e);
		if (r < 0) {
			pkg_release(mine);
			return err_wrap(e, r, "%s@%s", src->name,
					src->version ? src->version : "?");
		}
	}
	if (!atomic_compare_exchange_strong(&src->pkg, &have, mine)) {
		pkg_release(mine);
		mine = have;
	}
	*ret = mine;
	return 0;
}

void parcels_on_touch(struct parcels *s, void (*fn)(void *arg, struct parcel *src), void *arg)
{
	s->on_touch = fn;
	s->on_touch_arg = arg;
}

void parcel_touch(struct parcels *s, struct parcel *src, bool listed)
{
	if (atomic_load_explicit(&src->touched, memory_order_relaxed) ||
	    atomic_exchange(&src->touched, true))
		return;
	if (!listed && s->on_touch)
		s->on_touch(s->on_touch_arg, src);
}

void parcel_bad(struct parcels *s, struct parcel *src, struct pkg *bad)
{
	struct retired *r;

	if (!atomic_compare_exchange_strong(&src->pkg, &bad, NULL))
		return; /* another thread saw it first */
	(void)pthread_mutex_lock(&s->mu);
	r = arena_alloc(&s->arena, sizeof *r);
	if (r) {
		*r = (struct retired){ .pkg = bad, .next = s->retired };
		s->retired = r;
	}
	(void)pthread_mutex_unlock(&s->mu);
}
