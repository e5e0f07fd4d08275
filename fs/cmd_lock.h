/* cmd_lock.h - the parts of `dx lock` that are files of their own. */
#pragma once
#include "lock/sat.h"

/* What changed from lock A to lock B, on stdout. */
int cmd_lock_diff(const char *a, const char *b, struct err *e) must_check;

/* git's merge driver: the merge of three locks goes into `ours`. -EEXIST: both sides changed the
 * same packages; nothing is written. */
int cmd_lock_merge(const char *base, const char *ours, const char *theirs,
		   struct err *e) must_check;

/* What the solver did, if it was asked, on stdout. */
void cmd_lock_solved(const struct sat_report *s);
