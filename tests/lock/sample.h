/* sample.h - small graphs for the tests of lock/: made from the text of a package-lock.json and,
 * for what package.json says of root, from that text's "" entry. */
#pragma once
#include "lock/graph.h"
#include "lock/npmlock.h"
#include "tests/lib/test.h"

/* One of nearly everything: aliases, scopes, nesting, links, bundles, platforms, flags. */
extern const char sample_text[];

/* The graph of a lock's text, with edges and flags. */
struct graph *sample_graph(const char *text);

/* Every field, dependency, bin, edge of two graphs is the same, and their look-ups agree. */
void sample_same(const struct graph *a, const struct graph *b);
