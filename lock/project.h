/* project.h - a project folder and its lock, wherever it stands.
 *
 * Where package-lock.json or npm-shrinkwrap.json stands, it is the truth, and a DXL is a copy
 * derived from it, kept in `cache_dir` and made anew when it is missing or stale; equal checkouts
 * of a project share one, and the 32 last used of all projects stay. A file beside them, `key`, is
 * in their names, so that nobody can prepare a lock that is taken for another project's.
 * <project>/dx.lock is then nobody's source: it comes with the repository, and may carry the right
 * fingerprint and other packages than a reviewer of package-lock.json has seen. Where neither
 * stands, dx.lock is the lock.
 *
 * The fingerprint is XXH3-128 over the bytes of the lock file, of package.json, of the
 * package.json of each top that the lock names, the folders that `workspaces` finds, and the
 * options that matter, so a stale DXL is noticed by content, not by time. Looking costs reading
 * these files and no more: nothing is parsed (but package.json, where it names workspaces). */
#pragma once
#include "lock/lock.h"
#include "lock/manifest_deps.h"
#include "lock/npmlock.h"

#define PROJECT_LOCK "dx.lock" /* the DXL that is kept in a project */

struct project {
	int dirfd;       /* the project's folder; owned */
	char *dir;       /* absolute, real path; owned */
	char *lock_file; /* "npm-shrinkwrap.json", "package-lock.json", "dx.lock"; NULL where there
			  * is only a package.json; owned */
};
#define PROJECT_INIT                                                                               \
	{                                                                                          \
		.dirfd = -1                                                                        \
	}

/* The folder that a command works on which was given none, as npm finds it: the nearest one, from
 * `from` upwards, with a package.json, a lock or a node_modules; where that is a workspace of a
 * project further up, that project, and *ret_workspace is the workspace's folder, else NULL. `from`
 * itself where there is none. Further up, files of other users than the caller, root and the owner
 * of `from` do not count: a package.json that somebody puts into /tmp makes no project of the
 * folders in it.
 * Absolute, real paths, the caller's to free. */
int project_find(const char *from, char **ret, char **ret_workspace, struct err *e) must_check;

/* The project of a folder: `dir` itself if package.json or a lock stands in it. -ENOENT with a
 * sentence that says what was looked for. */
int project_open(struct project *ret, const char *dir, struct err *e) must_check;
void project_release(struct project *p); /* twice is fine */
#define auto_project cleanup(project_release)

/* The lock, fresh. `cache_dir` may be NULL (then nothing is kept); only the caller may write it.
 * *ret_derived says that it had to be made anew (and why, in the log at debug). An unsound cached
 * DXL is made anew; an unsound dx.lock that is the only lock is an error. -ENOENT: there is no
 * lock; -ESTALE: the lock does not fit package.json. A dx.lock that is the only lock is taken as it
 * is: project_fits(). */
int project_lock(const struct project *p, const char *cache_dir, const struct npmlock_options *o,
		 struct lock **ret, bool *ret_derived, struct err *e) must_check;

/* Does a dx.lock that is the only lock fit package.json? One that was made from what stands there
 * now does, by its fingerprint; another is project_check()'s to say, whose errors these are. */
int project_fits(const struct project *p, const struct lock *l, const struct npmlock_options *o,
		 struct err *e) must_check;

/* Does the lock fit what the package.json files say today? As `npm ci` asks.
 * 0, or -ESTALE with npm's kind of sentence. */
int project_check(const struct project *p, const struct lock *l, const struct npmlock_options *o,
		  struct err *e) must_check;

/* Makes <project>/dx.lock from npm's lock, whatever stood there: the lock, opened. -ENOENT: npm's
 * lock is not there; -ESTALE as above. */
int project_write_lock(const struct project *p, const struct npmlock_options *o, struct lock **ret,
		       struct err *e) must_check;

struct ideal_options;
struct ideal_result;

/* What package.json is to ask for, or no more. */
struct project_edit {
	const char *name; /* NULL: as the package at `spec` calls itself */
	const char *spec; /* "": the newest, or what it asks for now; NULL: no more */
	bool was_absent;  /* filled in: nowhere was anything to take out */
};
struct project_edits {
	struct project_edit *list;
	size_t count;
	const char *prefix; /* npm's save-prefix; NULL: "^" */
	const char *cwd; /* from where paths in specs start, absolute; NULL: the project's folder */
	/* Of whose package.json: folders below the project, "" for root, NULL-terminated; NULL:
	 * root's. */
	const char *const *folders;
	enum deps_save how;
	bool bundle;
	/* What is updated (all, or ideal_options.update) is saved as if it had been asked for: `npm
	 * update --save`; `list` is empty. */
	bool update;
};

/* Resolves package.json anew (ideal.h), keeping to the lock that is there, and writes: npm's lock,
 * as npm would have, where it stands, and dx.lock in either case. `edits` (may be NULL) change
 * package.json files first, which keep their formatting. `io` needs no `dir` and `dirfd`. Nothing
 * is written when it cannot be resolved, and no file of which nothing changed. *ret_changed: npm's
 * lock, or the dx.lock that is the only one, says something else now. */
int project_resolve(const struct project *p, const struct npmlock_options *o,
		    const struct ideal_options *io, const struct project_edits *edits,
		    struct ideal_result *ret, struct lock **ret_lock, bool *ret_changed,
		    struct err *e) must_check;

struct project_workspace {
	const char *name, *folder; /* below the project */
};

/* The workspaces that root's package.json names, in the arena. -EINVAL for what npm refuses too;
 * errors of reading. */
int project_workspaces(const struct project *p, struct arena *a, struct project_workspace **ret,
		       size_t *ret_count, struct err *e) must_check;

struct pinned;

/* What another tool's lock pins: that of `file` (below the current folder), or with NULL the
 * project's yarn.lock, bun.lock, or what pinned_parse() refuses with -ENOTSUP (bun.lockb,
 * pnpm-lock.yaml), where it has no lock of npm's or ours; *ret NULL: none. Errors of
 * pinned_parse(), and of reading. */
int project_pinned(const struct project *p, const char *file, struct pinned **ret,
		   struct err *e) must_check;

/* Is dx.lock sound, and byte for byte what npm's lock gives now? 0; -ESTALE, -ENOENT, -EBADMSG with
 * a sentence. Without npm's lock, that is project_check()'s to say. */
int project_fresh(const struct project *p, const struct npmlock_options *o, struct lock **ret,
		  struct err *e) must_check;
