/* ahead.h - fetches what is likely to be touched next, and learns from what is touched.
 *
 * One for a server. Whenever a package is touched for the first time (parcels_on_touch), the
 * thread that asks only leaves a note; a thread of ours, there while something is touched, asks
 * foresight.h what probably follows and wants what is not here, before anything that is merely
 * fetched in the background; at its start, what was touched first of all elsewhere. The order of
 * first touches goes into the store's model (predict.h) when nothing has been touched for
 * AHEAD_QUIET_S, which also ends what belongs together, and at the end. A store that may not be
 * written is not learned into. */
#pragma once
#include "fs/park.h"
#include "fs/view.h"

#define AHEAD_QUIET_S 5
#define AHEAD_BELOW   128u /* what one HTTP/2 connection carries at once */
#define AHEAD_DEEP    512u /* where a round trip costs more than what is fetched in vain */
#define AHEAD_FAR_MS  120  /* there somebody has waited for so long */

struct ahead_config {
	struct view_cell *shown;
	struct park *park;
	struct parcels *parcels;
	const char *store_dir; /* where the model is */
	bool only_learn;       /* want nothing */
	/* All will come anyway: also what is less likely, but below a touched package by the lock's
	 * edges, the nearest AHEAD_BELOW of it (AHEAD_DEEP), comes before the rest, but for types
	 * (foresight_is_types()). It saves a round trip for each level of them, costs nothing, and
	 * is not counted as predicted. */
	bool all_comes;
};

struct ahead;
struct ahead *ahead_new(const struct ahead_config *c) must_check; /* NULL: out of memory */
int ahead_start(struct ahead *a, struct err *e) must_check;       /* after every fork */

/* How many packages have been touched so far; listing one is none. */
uint64_t ahead_touches(struct ahead *a);

/* Learns the last of it and ends the thread; before park_stop(). NULL is fine. */
void ahead_free(struct ahead *a);

/* Of the packages that are shown now: how many were wanted because they were likely, how many of
 * those have been touched since, the bytes of those that have come, and of these the bytes of
 * those that nobody has touched. Bytes are those of blobs. */
struct ahead_stats {
	uint32_t made, used;
	uint64_t bytes, bytes_in_vain;
};
void ahead_stats(const struct ahead *a, struct store *s, struct ahead_stats *ret);
