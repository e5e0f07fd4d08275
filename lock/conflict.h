/* conflict.h - a lock as git left it: with the markers of a merge that did not work out.
 *
 * npm goes on with such a file: a line with seven "<" begins our side, with seven "|" what both
 * came from, with seven "=" theirs, with seven ">" what all three share again. Each of
 * the three must be JSON by itself. What we changed of the common origin is then done to
 * theirs, one change at a time, so that ours wins where both changed the same. Without "|" lines
 * the origin is what both sides have.
 *
 * The text of all three and their JSON are in memory at once: five times the file or so. */
#pragma once
#include "lock/json.h"

/* Whether there are markers of all three kinds that git always writes. Fast. */
bool conflict_is(struct slice text);

/* The merged value. *ret is the caller's to cJSON_Delete(). -EINVAL with a sentence: one of the
 * three is no JSON object; -E2BIG: more to compare than a limit; -ENOMEM. */
int conflict_merge(cJSON **ret, struct slice text, struct err *e) must_check;
