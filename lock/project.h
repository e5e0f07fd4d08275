/* project.h - a project folder and its lock, wherever it stands.
 *
 * Where package-lock.json or npm-shrinkwrap.json stands, it is the truth, and a DXL is a copy
 * derived from it: <project>/dx.lock if it was made from just these inputs, else one kept in
 * `cache_dir`, made anew when it is missing or stale. Where none stands, dx.lock is the lock.
 *
 * The fingerprint is XXH3-128 over the bytes of the lock file, of package.json, of the
 * package.json of each top that the lock names, and the options that matter, so a stale DXL is
 * noticed by content, not by time. */
#pragma once
#include "lock/lock.h"
#include "lock/npmlock.h"

struct project {
	int dirfd;       /* the project's folder; owned */
	char *dir;       /* absolute, real path; owned */
	char *lock_file; /* "package-lock.json", "npm-shrinkwrap.json", "dx.lock"; owned */
};

/* The project of a folder: `dir` itself if package.json or a lock stands in it. -ENOENT with a
 * sentence that says what was looked for. */
int project_open(struct project *ret, const char *dir, struct err *e) must_check;
void project_release(struct project *p);

/* The lock, fresh. `cache_dir` may be NULL (then nothing is kept). *ret_derived says that it had
 * to be made anew (and why, in the log at debug). An unsound cached DXL is made anew; an unsound
 * dx.lock that is the only lock is an error. */
int project_lock(const struct project *p, const char *cache_dir, const struct npmlock_options *o,
		 struct lock **ret, bool *ret_derived, struct err *e) must_check;

/* What a DXL of this project must carry now. */
int project_fingerprint(const struct project *p, const struct graph *g,
			const struct npmlock_options *o, struct hash128 *ret,
			struct err *e) must_check;
