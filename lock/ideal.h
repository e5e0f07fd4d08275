/* ideal.h - from package.json to a lock, as npm does it: the "ideal tree".
 *
 * The same versions at the same places as `npm install --package-lock-only` (npm 11.19) gives for
 * the same package.json files, lock, registry and settings. A lock that is there is kept to: only
 * what does not hold any more is resolved anew.
 *
 * The answer is a graph as npmlock_read() makes it. */
#pragma once
#include "lock/catalog.h"
#include "lock/graph.h"
#include "lock/manifest.h"
#include "lock/platform.h"
#include "lock/select.h"

struct pinned;
struct ideal_result;

#define IDEAL_MEMORY_MAX ((size_t)1 << 30) /* 1,500 packages take 10 MB */
/* Names of packages in one lock; the largest known projects have 6,000. A registry may have no end:
 * one that makes up what is asked for. */
#define IDEAL_PACKUMENTS_MAX 30000u
/* Nodes and edges that are looked at while nodes find their places. Some ways of depending on one
 * another, peers in circles or versions crosswise, have more than anyone lives to see, here as with
 * npm. A project of 1,500 packages takes 800,000, one of 15,000 would take a hundred times as many.
 */
#define IDEAL_WORK_MAX UINT64_C(1000000000)

struct ideal_options {
	const struct catalog *catalog;
	const struct platform *platform; /* whose node and npm the engines are compared with */
	const char *dir;                 /* the project's absolute real path */
	int dirfd;                       /* the same, open */
	struct manifest_texts manifests; /* package.json files to be, instead of what they are */
	/* Whether what is resolved may be installed here (EBADPLATFORM); NULL: not asked. */
	const struct select_params *select;
	bool has_before;
	int64_t before_ms;       /* nothing younger than this */
	const char *default_tag; /* NULL: "latest" */
	bool legacy_peer_deps, strict_peer_deps, force, prefer_dedupe;
	bool omit_resolved; /* npm's omit-lockfile-registry-resolved */
	bool as_placed;     /* give the tree also where it does not hold: the caller looks at it */
	bool prune; /* without what nothing needs; npm does so only of a tree that was a lock */
	/* Of the npm lock that project_resolve() writes: 1, 2 or 3; 0: as it is, and 1 becomes 3.
	 */
	unsigned lockfile_version;
	/* What another tool's lock pins (pinned.h), which is kept to where there is no lock; NULL.
	 */
	const struct pinned *pinned;
	/* URLs of registries from which a tarball that it names may as well come by name: the
	 * configured one, the public one; NULL-terminated; NULL: none. */
	const char *const *registries;
	/* Names to resolve anew wherever they stand, NULL-terminated; NULL: none. One that nothing
	 * has is an error (-EINVAL). */
	const char *const *update;
	bool update_all; /* the lock is not kept to at all */
	/* Direct dependencies of root or a workspace that were asked for just now. */
	const struct ideal_request {
		const char *folder, *name;
	} * requested;
	size_t requested_count;
	/* Where to give up; 0: as below. */
	struct {
		size_t memory;
		uint64_t work;
		uint32_t packuments;
	} max;
	/* May be NULL. Called when all is resolved: what package.json files are to say in the end,
	 * which stands in the lock's entries of them and decides no more. count 0: what they said.
	 */
	int (*settle)(void *arg, const struct graph *g, struct manifest_texts *ret, struct err *e);
	void *settle_arg;
	/* How project_resolve() is to resolve; NULL: ideal_build(). */
	int (*build)(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		     void *arg, struct err *e);
	void *build_arg;
};

struct ideal_result {
	struct graph *graph; /* indexed, with manifests, edges and flags; owned */
	/* Sentences about peers that conflict and were let be, one a line. */
	struct buf warnings;
	uint32_t packuments; /* that were looked at */
};
#define IDEAL_RESULT_INIT                                                                          \
	{                                                                                          \
		.warnings = BUF_INIT((size_t)1 << 20)                                              \
	}
void ideal_result_release(struct ideal_result *r);
#define auto_ideal_result cleanup(ideal_result_release)

/* `lock` is the text of the package-lock.json to keep to, of version 2 or 3; len 0: none. -ENOENT:
 * the registry lacks a package or version that is needed; -EINVAL: package.json asks for something
 * that npm refuses; -ENOTSUP: peers conflict (npm's ERESOLVE), or, with `force` not set, what came
 * of it does not hold by graph_sound(), as npm; -ENOEXEC: not for this machine. */
int ideal_build(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		struct err *e) must_check;
