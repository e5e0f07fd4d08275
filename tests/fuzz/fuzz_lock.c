#include "lock/lock.h"
#include "lock/lock_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct lock *l)
{
	struct lock_pkg p;
	struct lock_dep d;

	for (uint32_t i = 0; i < lock_count(l); i++) {
		lock_pkg(l, i, &p);
		if (p.name && lock_get(l, slice_str(p.name)) > i &&
		    !(p.flags & (NODE_TOP | NODE_LINK)))
			abort();
		for (uint32_t k = 0; k < p.dep_count; k++)
			lock_get_dependency(l, i, k, &d);
	}
}

/* The checksum is made good first, or nothing would ever get past it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free uint8_t *copy = malloc(size ? size : 1);
	struct lock *l = NULL;
	struct graph *g = NULL;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= sizeof(struct dxl_header)) {
		uint64_t le = htole64(size);

		memcpy(copy + offsetof(struct dxl_header, size), &le, sizeof le);
		if (dxl_checksum(copy, size, copy + DXL_CHECKSUM_AT) < 0)
			return 0;
	}
	if (lock_open_bytes(&l, (struct slice){ copy, size }, NULL) == 0) {
		walk(l);
		if (lock_graph(l, &g, NULL) == 0) {
			for (uint32_t i = 0; i < g->count; i++)
				(void)graph_resolve(g, i, g->nodes[i].name ? g->nodes[i].name : "");
			graph_free(g);
		}
		lock_close(l);
	}
	return 0;
}
