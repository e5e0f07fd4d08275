/* status.h - `dxfs status --json`: one object a mount, as dxfs(1) names its members. */
#pragma once
#include "core/buf.h"

#include <sys/types.h>

struct server;

struct status_facts {                                  /* what the server does not know; borrowed */
	const char *mountpoint, *lock, *store, *upper; /* upper NULL: none */
	pid_t pid;
};

void status_json(struct buf *ret, struct server *s, const struct status_facts *f);
