/* cmd_view.h - what a mount would show now, for commands while nothing is mounted. */
#pragma once
#include "core/store.h"
#include "fs/cmd_project.h"
#include "fs/state.h"
#include "fs/view.h"

struct cmd_view {
	struct cmd_project project;
	struct store *store;
	struct places *places;
	struct view *view;
};
#define CMD_VIEW_INIT                                                                              \
	{                                                                                          \
		.project = CMD_PROJECT_INIT                                                        \
	}

/* `s` is locked by the caller, and keeps the slots that it gives out. Nothing is fetched. `ret`
 * must not move. */
int cmd_view_open(struct cmd_view *ret, const char *project_dir, const struct state *s,
		  struct err *e) must_check;
void cmd_view_release(struct cmd_view *v); /* also after a failure */
#define auto_cmd_view cleanup(cmd_view_release)
