/* project_priv.h - what the parts of project.h's implementation share. */
#pragma once
#include "core/hash.h"
#include "lock/project.h"

bool project_has_npm_lock(const struct project *p);

/* What a DXL of this project must carry now. */
int project_fingerprint(const struct project *p, const struct graph *g,
			const struct npmlock_options *o, struct hash128 *ret,
			struct err *e) must_check;

/* Writes the project's dx.lock as file_rewrite() does. -EPERM: it is a symlink to what is none. */
int project_put_dxl(const struct project *p, const struct buf *dxl, struct err *e) must_check;
