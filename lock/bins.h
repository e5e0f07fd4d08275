/* bins.h - the "bin" of a manifest or a lock entry as a list of links.
 *
 * Two readers of npm differ: a package.json is normalised when it is read (':' is a separator
 * in targets too, and of two keys that become one the one that had to be changed wins), a lock's
 * entry only when it is linked (the later one wins). Both end in names without a slash and in
 * targets below the package's folder, without "." and "..". Pairs of which nothing is left are
 * dropped, as npm does, and so are names of more than 255 bytes, which no folder can hold. */
#pragma once
#include "lock/graph.h"
#include "lock/json.h"

#define BINS_MAX 5000u /* of one package; the largest real one has some 150 */

enum bins_source { BINS_LOCK, BINS_MANIFEST };

/* *ret is in the arena; NULL and 0 when there are none. `pkg_name` (may be NULL) names the link
 * where `bin` is a string. -E2BIG, -ENOMEM. */
int bins_normalize(struct arena *a, const cJSON *bin, const char *pkg_name, enum bins_source from,
		   const struct graph_bin **ret, uint32_t *ret_count, struct err *e) must_check;

/* Is `bin` an object that says just these bins, in this order? */
bool bins_equal(const cJSON *bin, const struct graph_bin *bins, uint32_t count) must_check;
