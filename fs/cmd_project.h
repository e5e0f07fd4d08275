/* cmd_project.h - how the subcommands come to the lock of the project that they stand in. */
#pragma once
#include "lock/project.h"

/* The project of the current folder, and npm's settings that decide how its lock is read. */
int cmd_project(struct project *ret, struct npmlock_options *ret_options, struct err *e) must_check;

/* Its lock as a graph, whether it fits package.json or not. `*ret_lock` holds the graph's strings
 * and is NULL where none is needed; close it last. */
int cmd_project_graph(const struct project *p, const struct npmlock_options *o,
		      struct lock **ret_lock, struct graph **ret, struct err *e) must_check;

/* "name@1.0.0", of an alias "alias@npm:name@1.0.0", as npm names a package at its place. */
void cmd_node_id(struct buf *b, const struct graph *g, uint32_t node);
