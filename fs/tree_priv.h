/* tree_priv.h - a tree while it is being laid out; tree.c and tree_bins.c only. */
#pragma once
#include "fs/tree.h"

/* Names and link texts of a tree: far above GRAPH_NODES_MAX nodes with usual names. */
#define TREE_ARENA_MAX ((size_t)1 << 30)

struct tree_maker {
	const struct graph *g;
	const bool *present;
	struct tree *tree;

	struct tree_node *nodes; /* grows; becomes tree->nodes */
	uint32_t count, cap;

	/* by graph node; TREE_NONE, GRAPH_NONE where there is none */
	uint32_t *at;      /* its tree node; owns the memory of the two others */
	uint32_t *modules; /* its node_modules folder */
	uint32_t *bundler; /* graph node */
	bool *needed;      /* is there, or something below it is */

	uint32_t *names; /* hash: directories made on demand and names in .bin */
	uint32_t names_mask, names_used;
	int error; /* the first failure sticks */
};

/* NULL or TREE_NONE only after m->error has been set. */
uint32_t *tree_name_at(struct tree_maker *m, uint32_t dir, const char *name, size_t len);
uint32_t tree_add(struct tree_maker *m, uint32_t parent, const char *name, size_t len,
		  enum tree_kind kind);
uint32_t tree_dir(struct tree_maker *m, uint32_t dir, const char *name, size_t len);
const char *tree_join(struct tree_maker *m, const char *a, const char *b, size_t b_len);

/* What a link dependency's symlink says: the way from its folder to the target. */
const char *tree_link_text(struct tree_maker *m, uint32_t link);

/* All of .bin. */
void tree_claim_bins(struct tree_maker *m);
