/* merge.h - what differs between two locks, and the lock that two changes of one make together.
 *
 * Locks are compared entry by entry: which package stands at which place, and what the lock says of
 * it. A graph may be NULL: the empty lock. */
#pragma once
#include "lock/graph.h"

/* One line a place, sorted: "+ a 1.0.0", "- a 1.0.0", "  a 1.0.0 -> 2.0.0", "~ a 1.0.0" (the same
 * version, other words); places without "node_modules/". */
int merge_diff(const struct graph *a, const struct graph *b, struct buf *ret,
	       struct err *e) must_check;

/* The merge as a package-lock.json's text. Where both sides changed an entry in different ways, a
 * line goes into ret_conflicts, and the text is not to be used. The entries of root and workspaces,
 * which come from package.json, are merged member by member, and theirs wins. What is merged may
 * lack packages that only both changes together need: `dx lock` finds them. */
int merge_locks(const struct graph *base, const struct graph *ours, const struct graph *theirs,
		struct buf *ret, struct buf *ret_conflicts, struct err *e) must_check;
