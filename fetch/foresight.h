/* foresight.h - what one mount will probably need next: the lock's edges and the model of
 * predict.h, over the packages that the mount shows.
 *
 * The probability that B is touched soon after A is what was counted, begun with a guess from the
 * lock: (count(A→B) + K guess) / (seen(A) + K), where the guess is FORESIGHT_EDGE for what A
 * depends on, 0 for others, and K = FORESIGHT_WEIGHT. A dependency that A did not have when it was
 * seen is as likely as the guess. From the package that is touched the search goes on from the most
 * probable one to those after it, with the product of the probabilities, down to FORESIGHT_LEAST.
 * Before anything is touched, it begins with what was the first of other mounts, as often as that
 * was so beside all others that the project depends on. Only what something depends on that is
 * touched or expected itself, or the project, can be next; that also says which version of a name
 * is meant. What was mostly a stray in other runs can also be next without, if it is hoisted.
 * Packages of types are never loaded.
 *
 * Not thread-safe. */
#pragma once
#include "fetch/predict.h"

#define FORESIGHT_EDGE   0.5
#define FORESIGHT_WEIGHT 0.25
#define FORESIGHT_LEAST  0.4
#define FORESIGHT_MAX    512u /* packages that one access makes it look at */

struct foresight_pkg {
	const char *name;
	bool of_project;      /* the project or a workspace of it depends on it */
	bool hoisted;         /* stands where every package of the project finds it */
	const uint32_t *deps; /* numbers of packages */
	uint32_t dep_count;
};

struct foresight;

/* By its name (NULL: no): only a type checker reads it, and an editor. */
bool foresight_is_types(const char *name);

/* `m` is consumed, also on failure; `pkgs` and what it points to are borrowed. -ENOMEM */
int foresight_new(struct foresight **ret, struct predict *m, const struct foresight_pkg *pkgs,
		  uint32_t count) must_check;
void foresight_free(struct foresight *f); /* NULL is fine */

/* Nothing is touched yet: as foresight_touch(), with the first ones. */
const uint32_t *foresight_begin(struct foresight *f, uint32_t *ret_count);

/* A package is touched for the first time. The numbers of those that will probably be next, the
 * most probable first, none that was touched or given before; at most FORESIGHT_MAX. Borrowed
 * until the next call. */
const uint32_t *foresight_touch(struct foresight *f, uint32_t pkg, uint32_t *ret_count);
