/* tarball_url.h - who a package is by the address of its tarball at a registry:
 * "<registry>/@scope/name/-/name-1.2.3.tgz". No other URL says so. */
#pragma once
#include "core/arena.h"

/* 1 and both, in the arena or borrowed from `url`; 0: the URL does not say; -ENOMEM. */
int tarball_url(struct arena *a, const char *url, struct slice *ret_name,
		struct slice *ret_version) must_check;
