#include "fs/pins.h"
#include "fs/view_priv.h"
#include "lock/render.h"

#include <fcntl.h>

/* The rendered lockfile of 200,000 packages is some 100 MB. */
#define HIDDEN_MAX ((size_t)512 << 20)

int places_open(struct places **ret, const struct places_config *c, struct err *e)
{
	struct places *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->modes = c->modes;
	p->bin_links = c->bin_links;
	p->omit_resolved = c->omit_resolved;
	p->key = c->key;
	p->key_arg = c->key_arg;
	p->project_dirfd = -1;
	p->arena = (struct arena)ARENA_INIT(PLACES_ARENA_MAX);
	p->chunks = calloc(PLACES_CHUNKS, sizeof *p->chunks);
	r = pins_open(&p->pins, c->state_dir, e);
	p->parcels = r == 0 ? parcels_new(c->store, p->pins) : NULL;
	if (r == 0 && !(p->chunks && p->parcels))
		r = err_set(e, -ENOMEM, "out of memory");
	if (r == 0 && c->project_dirfd >= 0) {
		p->project_dirfd = fcntl(c->project_dirfd, F_DUPFD_CLOEXEC, 3);
		if (p->project_dirfd < 0)
			r = err_set(e, -errno, "the project's folder: %s", strerror(errno));
	}
	if (r == 0)
		r = slots_open(&p->slots, c->fleeting ? NULL : c->state_dir, e);
	if (r < 0)
		places_close(p);
	else
		*ret = p;
	return r;
}

static void release_chunk(struct places_chunk *chunk)
{
	for (uint32_t i = 0; i < PLACES_CHUNK; i++) {
		struct place *place = atomic_load(&chunk->at[i]);

		if (!place)
			continue;
		free(atomic_load(&place->bin_entries));
		free(atomic_load(&place->hidden));
	}
	free(chunk);
}

void places_close(struct places *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->slots && i <= slots_last(p->slots) / PLACES_CHUNK; i++)
		if (atomic_load(&p->chunks[i]))
			release_chunk(atomic_load(&p->chunks[i]));
	free(p->chunks);
	parcels_free(p->parcels);
	pins_close(p->pins);
	slots_close(p->slots);
	closep(&p->project_dirfd);
	arena_release(&p->arena);
	free(p);
}

struct parcels *places_parcels(const struct places *p)
{
	return p->parcels;
}

const struct place *places_get(const struct places *p, uint32_t slot)
{
	struct places_chunk *chunk;

	if (slot > SLOTS_MAX)
		return NULL;
	chunk = atomic_load_explicit(&p->chunks[slot / PLACES_CHUNK], memory_order_acquire);
	return chunk ? atomic_load_explicit(&chunk->at[slot % PLACES_CHUNK], memory_order_acquire)
		     : NULL;
}

const struct place *place_bundler(const struct place *bundled)
{
	const struct place *p = bundled->up;

	while (p && p->kind != TREE_PACKAGE)
		p = p->up;
	return p;
}

bool place_may_wait(const struct place *dir)
{
	if (dir && dir->kind == TREE_BUNDLED)
		dir = place_bundler(dir);
	return dir && dir->kind == TREE_PACKAGE && !atomic_load(&dir->parcel->pkg);
}

static int entry_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Bins by entry number, first their count. Two threads may do this at once; one wins. */
static int find_bins(struct place *place, const struct dxp *dxp)
{
	uint32_t *list = malloc((place->bin_count + 1) * sizeof *list), *none = NULL, n = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < place->bin_count; i++) {
		uint32_t entry = dxp_lookup(dxp, slice_str(place->bins[i].path));

		if (entry != DXP_NONE)
			list[++n] = entry << 2 | place->bins[i].bin;
	}
	list[0] = n;
	qsort(list + 1, n, sizeof *list, entry_cmp);
	if (!atomic_compare_exchange_strong(&place->bin_entries, &none, list))
		free(list);
	return 0;
}

int place_open(struct places *p, struct place *place, struct pkg **ret, struct err *e)
{
	int r = parcel_open(p->parcels, place->parcel, ret, e);

	if (r == 0 && place->bin_count && !atomic_load(&place->bin_entries)) {
		r = find_bins(place, pkg_dxp(*ret));
		if (r < 0)
			err_set(e, r, "out of memory");
	}
	return r;
}

/* The mark is set before the last question, so that whoever brings the blob after that question
 * sees the mark. */
int place_peek(struct places *p, struct place *place, struct pkg **ret, struct err *e)
{
	int r = place_open(p, place, ret, e);

	if ((r == -ENOENT || r == -EBADMSG) && !atomic_exchange(&place->parcel->believed, true))
		r = place_open(p, place, ret, e);
	if (r == -ENOENT || r == -EBADMSG) {
		*ret = NULL;
		return 0;
	}
	return r;
}

int view_hidden(struct view *v, struct place *place, struct slice *ret, struct err *e)
{
	struct buf b = BUF_INIT(HIDDEN_MAX);
	char *have = atomic_load(&place->hidden), *mine;
	int r;

	if (!have && view_node_of(v, view_ino(place->slot, 0)) == TREE_NONE)
		return err_set(e, -ESTALE, "a .package-lock.json that is no more");
	if (!have) {
		r = render_hidden(v->basis->graph, v->present, v->places->omit_resolved, &b, e);
		if (r < 0) {
			buf_release(&b);
			return r;
		}
		atomic_store(&place->hidden_len, b.len);
		mine = buf_steal_str(&b);
		if (!mine)
			return err_set(e, -ENOMEM, "out of memory");
		if (atomic_compare_exchange_strong(&place->hidden, &have, mine))
			have = mine;
		else
			free(mine);
	}
	*ret = (struct slice){ (uint8_t *)have, atomic_load(&place->hidden_len) };
	return 0;
}
