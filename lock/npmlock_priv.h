/* npmlock_priv.h - what the parts of the lock reader share. */
#pragma once
#include "lock/npmlock.h"

/* How npm would write JSON that stood so: indentation and line ends. */
struct json_style npmlock_style(struct slice text);

/* Nodes, index and residues from a "packages" object; of versions 2 and 3 it is the lock's, of
 * version 1 what npmlock_v1() makes. */
int npmlock_packages(struct graph *g, const cJSON *packages, struct err *e) must_check;

/* Version 1 and older: `lock` is the whole file. */
int npmlock_v1(struct graph *g, const cJSON *lock, const struct npmlock_options *o,
	       struct err *e) must_check;

/* The "packages" that it stands for, as npm reads a shrinkwrap inside a package: nobody is asked
 * for what it leaves out. The caller cJSON_Delete()s *ret. */
int npmlock_v1_bare(cJSON **ret, const cJSON *lock, struct err *e) must_check;
