/* linediff.h - the lines in which two texts differ, as the hunks of a unified diff.
 *
 * A shortest edit script (Myers), with three lines of context, in the form that git prints: counts
 * of 1 left out, behind the second @@ the last line in front of the hunk that looks like the start
 * of a function, "\ No newline at end of file" where there is none. Lines end in '\n' and are
 * compared as bytes. Where so much differs that the search would take too long, all that lies
 * between the common beginning and the common end is replaced: longer, and just as true. */
#pragma once
#include "core/buf.h"

#define LINEDIFF_LINES_MAX 10000000u /* of both texts together */

/* Appends the hunks; none where the texts are equal. -E2BIG, -ENOMEM. */
int linediff(struct buf *out, struct slice old, struct slice fresh) must_check;

/* As git decides it: a zero byte near the start. */
bool linediff_is_binary(struct slice text);
