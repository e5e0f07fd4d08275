/* cmd_view.h - what a mount would show now, for commands that do not mount. */
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

/* `s` is the state of the project's mount. With `fleeting` it need not be locked; without, it is,
 * by the caller, and keeps the slots that are given out. Nothing is fetched. `ret` must not move.
 */
int cmd_view_open(struct cmd_view *ret, const struct cmd_project_options *po,
		  const struct store_options *so, const struct state *s, bool fleeting,
		  struct err *e) must_check;

/* The view again, without the graph nodes that are marked in `failed`. */
int cmd_view_again(struct cmd_view *v, const bool *failed, struct err *e) must_check;
void cmd_view_release(struct cmd_view *v); /* also after a failure */
#define auto_cmd_view cleanup(cmd_view_release)
