/* state_priv.h - what the parts of state.h's implementation share. */
#pragma once
#include "fs/state.h"

/* Opens the state folder `dir` and the folder that it is in, before something is removed. -EPERM
 * unless both are the caller's alone and `dir` has the name that this mount point's state has: a
 * file `mountpoint` makes no folder ours. */
int state_folder_open(const char *dir, const char *mountpoint, int *ret_base,
		      int *ret_fd) must_check;
