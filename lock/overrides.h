/* overrides.h - `overrides` of the root's package.json (Arborist's override-set.js), as far as it
 * decides whether an edge of a lock holds.
 *
 * A rule is "name[@range]" with a value and rules below it; the set of all of them is the root
 * rule. A node of the graph has the rule of the edge that leads to it, so that nested rules apply
 * below the package that they name. */
#pragma once
#include "lock/graph.h"
#include "lock/json.h"

#define OVERRIDES_MAX 10000u /* rules of a project; real ones have below a hundred */

struct overrides {
	const char *name;     /* NULL for the root rule */
	const char *key_spec; /* "*" when the key has no range; NULL for the root rule */
	const char *value;    /* what is asked for instead; "*": nothing else */
	const struct overrides *parent;
	const struct overrides *rules; /* below this one, rule_count of them */
	uint32_t rule_count;
};

/* *ret is in the arena; NULL when `j` is absent or empty. -EINVAL with a sentence. */
int overrides_parse(struct arena *a, const cJSON *j, const struct overrides **ret,
		    struct err *e) must_check;

/* The rule for a dependency on name@spec of a node that has the rule `of`. */
const struct overrides *overrides_rule(const struct overrides *of, const char *name,
				       const char *spec);

/* What `rule` makes of an edge's spec: that, another one, or NULL for a `$name` that root and the
 * edge's own package do not have. */
const char *overrides_spec(const struct graph *g, const struct overrides *rule,
			   const struct graph_edge *edge);

/* -EINVAL (npm's EOVERRIDE) when a rule gives a direct dependency of root another spec than
 * package.json does. After the edges are made. */
int overrides_check(const struct graph *g, struct err *e) must_check;

/* The rule of every node that root reaches, NULL for the others; g->count pointers that the caller
 * frees. After the edges have their ends. NULL: out of memory. */
const struct overrides **overrides_spread(const struct graph *g);
