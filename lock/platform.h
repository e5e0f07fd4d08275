/* platform.h - this machine as npm sees it, and whether a package is meant for it.
 *
 * A platform is a parameter of a view, never of a lock. The values are node's: process.platform,
 * process.arch. The rules are those of npm-install-checks. */
#pragma once
#include "core/err.h"
#include "lock/graph.h"

#define PLATFORM_NPM_VERSION "11.19.1" /* the npm whose behaviour is followed */
#define PLATFORM_VERSION_MAX 264       /* a canonical version and NUL */

/* A plain value, to be copied at will. The strings are literals, or what the caller put there. */
struct platform {
	const char *os;          /* "linux" */
	const char *cpu;         /* "x64", "arm64", ... */
	const char *libc;        /* "glibc", "musl", or NULL: none known */
	const char *npm_version; /* NULL: engines.npm is not checked */
	/* Without 'v'. "" where there is no node that answers: npm would not run at all then, and
	 * engines.node is not checked. */
	char node_version[PLATFORM_VERSION_MAX];
};

/* Looks at this machine. The libc is what /usr/bin/ldd says, for npm asks it; where that cannot be
 * read, the one that we run on.
 *
 * node is the first on PATH. Asking it costs up to 100 ms, so its answer is kept in the file
 * `node-version` of `cache_dir` (made if missing; NULL: none kept) by the binary's device, inode,
 * size and mtime, and node is run once for each binary. A script, or a shim of a version manager,
 * may mean another node each time, so it is asked each time. A cache that cannot be read or written
 * only costs time. Never fails. */
void platform_detect(struct platform *ret, const char *cache_dir);

/* The same in two steps, so that a node which must be asked finds its answer meanwhile. What was
 * begun is ended by platform_detect_end(), or dropped; zeroed, nothing has begun. Not thread-safe.
 */
struct platform_asking {
	bool begun;
	char version[PLATFORM_VERSION_MAX]; /* found in the cache, or "" */
	int pid, fd;                        /* pid > 0: node runs, and this is what it says */
	char *cache;                        /* the file to keep it in; owned; NULL: none */
	char key[128];                      /* of this node in that file */
};
void platform_detect_begin(struct platform_asking *a, const char *cache_dir);
void platform_detect_end(struct platform_asking *a, struct platform *ret);
void platform_detect_drop(struct platform_asking *a);

/* The parts of platform_detect(), for tests and for who needs one of them. */
const char *platform_cpu_of(const char *machine); /* uname's; unknown ones are themselves */
const char *platform_libc_of(struct slice ldd);   /* the content of ldd */
/* The version of the first node in `path` (as PATH); "" if none answers. */
void platform_node_version(const char *path, const char *cache_dir, char ret[PLATFORM_VERSION_MAX]);

/* --os, --cpu, --libc; NULL leaves a value alone. Only linux has a libc that is not given. */
void platform_override(struct platform *p, const char *os, const char *cpu, const char *libc);

/* npm's checkList: "any", names, or names behind '!'. `value` may be NULL. An empty list fits. */
bool platform_list_fits(const char *value, const struct graph_strings *list);

/* os, cpu and libc. A package that names a libc does not fit where none is known. */
bool platform_fits(const struct platform *p, const struct graph_strings *os,
		   const struct graph_strings *cpu, const struct graph_strings *libc);

/* engines; NULL or "" demands nothing. Prereleases of node count as versions. */
bool platform_engines_fit(const struct platform *p, const char *node, const char *npm);
