/* graph_priv.h - what the parts of graph.h's implementation share. */
#pragma once
#include "lock/graph.h"

/* `from` without ".", "//", a slash at the end, and with ".." taken away from what stands before
 * it; those in front stay. `out` has room for strlen(from) + 2 bytes. */
void graph_clean_path(const char *from, char *out);

/* npm's test whether a node may stand for a spec, with what it has worked out kept:
 * the same few thousand specs stand in a lock again and again. */
struct validity;
struct validity *validity_new(const struct graph *g); /* NULL: out of memory */
void validity_free(struct validity *v);
static inline void validity_freep(struct validity **v)
{
	validity_free(*v);
}
#define auto_validity cleanup(validity_freep)

/* Does an edge that has a `to` hold: spec, acceptDependencies, overrides, and that no peer stands
 * below. */
bool validity_edge(struct validity *v, const struct graph_edge *edge);
