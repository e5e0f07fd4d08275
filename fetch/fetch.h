/* fetch.h - bring packages into a store: the only header of fetch/ that fs/ needs for that.
 *
 * One thread owns the network (curl multi); a few ingest workers check, unpack and put, one of
 * them only what is wanted on demand. Threads come with the wants, and but for the network's they
 * go when nothing has been wanted for a while. A package that is wanted several times at once is
 * downloaded once; a later want with a higher priority moves it forward. Whoever waits is told
 * through the done function.
 *
 * Memory does not depend on how much is wanted or how large it is. Bodies take 32 MiB
 * (HTTP_BUDGET), and what was under way when that was reached 48 MiB more at the very most;
 * unpacking takes 128 MiB (GUNZIP_MEMORY_MAX) in all workers together, and one package more if
 * somebody waits for it; each keeps up to 8 MiB of it (GUNZIP_SCRATCH) for the next one. What is
 * larger goes through unnamed files in the store's folder. */
#pragma once
#include "core/store.h"

/* How urgent a want is: somebody waits for it; it will probably be touched soon; some day. */
enum fetch_prio { FETCH_DEMAND, FETCH_GUESS, FETCH_BACKGROUND };

/* What must be known to get a package. Strings are borrowed by fetch_want() only while it runs. */
struct fetch_pkg {
	struct digest key;     /* fetch_key(): identity, and the store's key */
	const char *name;      /* real name, for the standard URL, scope's registry, messages */
	const char *version;   /* may be NULL for tarball URLs */
	const char *resolved;  /* URL, "file:...", "git+..."; NULL: by name and version */
	const char *integrity; /* the lock's, NULL if it has none */
};

/* Called on a fetch thread that holds no lock (during fetch_stop also on its caller's). result: 0;
 * -ENOENT the registry does not have it (404), -EACCES it refused us, -ENETUNREACH offline,
 * -ETIMEDOUT, -EBADMSG wrong bytes, again and again, -EOPNOTSUPP a source that nobody can fetch
 * here, -EDESTADDRREQ no registry is configured, what http.h says of the network, and -ENOSPC and
 * the like as they came; `why` names package, URL without credentials, reason. */
typedef void fetch_done_fn(void *arg, const struct digest *key, int result, const char *why);

struct npmrc;
struct graph_node;

/* The key under which a store has the package of a node: graph_node_key(), but where the lock has
 * no integrity, over what would be asked for it with these settings: its URL, by which proxy, and
 * whose certificates are believed; or the file in its project, with its inode, size and time, so
 * that a tarball which is packed anew is noticed by the next mount. So two projects that would ask
 * different registries for one name and version never get each other's answer out of a store that
 * they share. */
int fetch_key(const struct npmrc *rc, const char *project_dir, const struct graph_node *n,
	      struct digest *ret, struct err *e) must_check;

struct fetch_config {
	struct store *store;
	const struct npmrc *npmrc; /* borrowed while the fetch lives */
	const char *project_dir;   /* for file: and git; also where nothing may be written */
	bool bulk;                 /* nobody will wait for a package, only for all of them */
	bool offline;              /* nothing is asked: -ENETUNREACH at once */
	unsigned workers;          /* ingest threads; 0: number of processors, at most 8 */
	unsigned failure_memory_s; /* how long a failure is remembered; 0: 5 seconds */
	fetch_done_fn *done;
	void *done_arg;
};

struct fetch_stats {
	uint64_t fetched, failed, bytes; /* packages, packages, bytes from the network */
	uint32_t queued, active;
};

struct fetch;
int fetch_start(struct fetch **ret, const struct fetch_config *c, struct err *e) must_check;

/* Never blocks. Every want is answered by one call of `done` for its key (joined wants by one
 * call for all). A failure remembered is answered at once, from a fetch thread. */
void fetch_want(struct fetch *f, const struct fetch_pkg *pkg, enum fetch_prio prio);

/* Takes back the wants of this priority for a package. True: nobody else wanted it and it had not
 * been started; it is forgotten, and `done` will not be called. False: it is under way, or wanted
 * otherwise too (then it is as urgent as that from now on), or not wanted at all. Never blocks,
 * and calls nobody back, so the caller may hold its own locks. */
bool fetch_drop(struct fetch *f, const struct digest *key, enum fetch_prio prio);

void fetch_stats(struct fetch *f, struct fetch_stats *ret);

/* Cancels what is queued or under way (reported as -ECANCELED), waits for the threads, frees.
 * NULL is fine. */
void fetch_stop(struct fetch *f);
