/* cmd_project.h - how the subcommands that read locks come to the one of the current folder. */
#pragma once
#include "fetch/catalog_npm.h"
#include "lock/project.h"

struct cmd_project {
	struct project project;
	struct npmlock_options options; /* npm's settings that decide how its lock is read */
	struct npmrc *npmrc;
	struct catalog_npm *registry; /* asked only for locks of version 1 */
	struct catalog catalog;
};
#define CMD_PROJECT_INIT                                                                           \
	{                                                                                          \
		.project = PROJECT_INIT                                                            \
	}

/* The project of the current folder. `ret` must not move afterwards. */
int cmd_project_open(struct cmd_project *ret, struct err *e) must_check;
void cmd_project_release(struct cmd_project *p); /* also when opening it failed */
#define auto_cmd_project cleanup(cmd_project_release)

/* Its lock as a graph, whether it fits package.json or not. `*ret_lock` holds the graph's strings
 * and is NULL where none is needed; close it last. */
int cmd_project_graph(const struct cmd_project *p, struct lock **ret_lock, struct graph **ret,
		      struct err *e) must_check;

/* "name@1.0.0", of an alias "alias@npm:name@1.0.0", as npm names a package at its place. */
void cmd_node_id(struct buf *b, const struct graph *g, uint32_t node);
