/* cmd_upper.h - how the commands about changes come to the upper of a mount, live or not. */
#pragma once
#include "fs/state.h"

struct cmd_upper {
	struct state state; /* locked when nothing is mounted, so that nobody mounts meanwhile */
	bool live;          /* a daemon has it: what changes is its to do */
	char *upper;        /* the upper's folder */
	char *store;        /* the daemon's; NULL: as configured */
	char *project_dir;
};
#define CMD_UPPER_INIT                                                                             \
	{                                                                                          \
		.state = STATE_INIT                                                                \
	}

/* `dir` is the mount point. `upper` (may be NULL) is --upper: where it was mounted with that and
 * is not mounted now. -ENOENT: it was never mounted; -EROFS: it is mounted for reading only. */
int cmd_upper_find(struct cmd_upper *ret, const char *dir, const char *upper,
		   struct err *e) must_check;
void cmd_upper_release(struct cmd_upper *u);
#define auto_cmd_upper cleanup(cmd_upper_release)
