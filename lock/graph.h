/* graph.h - what a lock says, in memory: the hub type of lock/.
 *
 * npmlock.h reads a package-lock.json into a graph, lock.h writes a graph as DXL and gives a
 * graph back from one, select.h decides which of its nodes are there on this machine, render.h
 * prints it as npm would, fs/tree.h lays it out. Each of them is graph in, graph out.
 *
 * A node is a package at a place (an entry of the lock's "packages"). Node 0 is the root
 * project (path ""). A "top" is a node that stands in no node_modules: root, a workspace, the
 * target of a link. The rules are npm's (Arborist).
 *
 * Everything is owned by the graph's arena, or borrowed from what the graph was made from
 * (said by the function that makes it). Strings are NUL-terminated UTF-8; NULL means absent.
 * Not thread-safe while it is being made; read-only afterwards. */
#pragma once
#include "core/arena.h"
#include "core/err.h"
#include "core/sri.h"

#define GRAPH_NONE UINT32_MAX

/* Limits, each far above real locks (the largest seen has about 10,000 entries). */
#define GRAPH_NODES_MAX 200000u /* entries of a lock; a million is refused with a sentence */
#define GRAPH_DEPS_MAX  20000u  /* dependencies of one package */
#define GRAPH_PATH_MAX  4096u   /* bytes of a lock key */
#define GRAPH_NAME_MAX  255u    /* bytes of a package name as a folder name, scope apart */

/* The list of package.json in which a dependency stands. */
enum dep_section { SECTION_PROD, SECTION_DEV, SECTION_OPTIONAL, SECTION_PEER, SECTION_COUNT };

enum edge_type {
	EDGE_PROD,
	EDGE_DEV,
	EDGE_OPTIONAL,
	EDGE_PEER,
	EDGE_PEER_OPTIONAL,
	EDGE_WORKSPACE,
};

enum {
	/* as the lock has them */
	NODE_LINK = 1u << 0,
	/* Bundled by a dependency: comes with the bundler's tarball, has no package of its own.
	 * From the lock first; graph_flags() computes it anew. What root alone bundles is fetched
	 * like any other package and does not have the flag. */
	NODE_IN_BUNDLE = 1u << 1,
	NODE_HAS_SCRIPT = 1u << 2,
	NODE_HAS_SHRINKWRAP = 1u << 3,
	NODE_TOP = 1u << 4,       /* has no parent: see `parent` */
	NODE_WORKSPACE = 1u << 5, /* a top that root's package.json names in `workspaces` */
	/* computed by graph_flags(), never taken from the lock */
	NODE_DEV = 1u << 8,
	NODE_OPTIONAL = 1u << 9,
	NODE_DEV_OPTIONAL = 1u << 10,
	NODE_PEER = 1u << 11,
	NODE_EXTRANEOUS = 1u << 12,
	NODE_FLAGS_COMPUTED =
		NODE_DEV | NODE_OPTIONAL | NODE_DEV_OPTIONAL | NODE_PEER | NODE_EXTRANEOUS,
};

struct graph_dep {
	const char *name, *spec;
	uint8_t section;    /* enum dep_section */
	bool peer_optional; /* peerDependenciesMeta says so */
};

struct graph_bin {
	const char *name;   /* the link's name in .bin */
	const char *target; /* path below the package's folder; clean */
};

struct graph_strings {
	const char *const *items;
	uint32_t count;
	bool given; /* the field was there (an empty list is not an absent one) */
};

struct graph_node {
	const char *path;     /* the lock's key: "node_modules/a/node_modules/@s/b"; "" for root */
	const char *name;     /* as a folder: "@s/b"; of tops: the package's name or folder name */
	const char *pkg_name; /* the package's real name (differs for aliases); never NULL but for
				 root */
	const char *version, *resolved, *integrity;

	/* Node whose node_modules it stands in; GRAPH_NONE for tops. An entry whose parent the lock
	 * does not have (or has as a link) is a top as for npm, and extraneous. */
	uint32_t parent;
	uint32_t fs_parent; /* tops but root: the node whose folder contains it; else GRAPH_NONE */
	uint32_t link_target; /* links: the target's node; else GRAPH_NONE */
	uint32_t flags;

	/* As the lock's entry has them (root and other tops: as their real package.json has them).
	 */
	const struct graph_dep *deps;
	uint32_t dep_count;
	const struct graph_bin *bins; /* normalised, in order */
	uint32_t bin_count;
	struct graph_strings os, cpu, libc;
	const char *engine_node, *engine_npm;
	struct graph_strings bundled; /* bundleDependencies, `true` resolved to names */
	struct graph_strings accept;  /* acceptDependencies as name, range, name, range ... */

	/* Compact JSON object, keys in npm's order (render.h) at every level, of everything else
	 * that the lock's entry has, and of every field above whose structured form would not print
	 * back as it stood; "" when there is nothing. render.h prints an entry so: a member that
	 * stands here wins; the others come from the fields: `name` (if pkg_name is not the
	 * folder's name), `version`, `resolved`, `integrity`, `link`, `inBundle`,
	 * `hasInstallScript`, `hasShrinkwrap`, the dependencies by section, `bin`, `os`, `cpu`,
	 * `libc`, `bundleDependencies`. The five computed flags are never in here and print from
	 * `flags`. `engines`, `peerDependenciesMeta` and `acceptDependencies` always stand here
	 * when the lock has them, for the fields above say only a part. For tops (root too) it is
	 * the lock's whole entry but for the computed flags, and their other fields, which come
	 * from package.json, do not print. */
	const char *residue;

	/* After graph_edges(): this node's edges out are edges[first_edge .. +edge_count-1]. */
	uint32_t first_edge, edge_count;
};

struct graph_edge {
	const char *name, *spec;
	uint32_t from;
	uint32_t to;  /* GRAPH_NONE: nothing of that name in reach */
	uint8_t type; /* enum edge_type */
	bool valid;   /* by Arborist's dep-valid.js */
};

/* How the lock's JSON was written, to write it the same way again. */
struct json_style {
	char indent[12]; /* "" (one line), spaces or a tab; at most 10 characters as in npm */
	bool crlf;
	bool no_final_newline;
};

struct overrides; /* lock/overrides.h */

struct graph {
	struct arena arena;
	struct graph_node *nodes;
	uint32_t count;
	struct graph_edge *edges; /* NULL before graph_edges() */
	uint32_t edge_count;

	unsigned lockfile_version;  /* as it stood: 1, 2, 3 */
	bool shrinkwrap;            /* came from npm-shrinkwrap.json */
	const char *name, *version; /* top level of the lock; NULL if absent */
	const char *top_residue; /* JSON object of the other top-level keys of the lock, "" if none
				  * (for v2 also its legacy "dependencies") */
	struct json_style style;

	/* From root's package.json; of no use to who only lays out or fetches. */
	const struct overrides *overrides; /* NULL: none */
	/* Its workspaces that the lock does not have as a link at root: name, path, name, path ...
	 */
	struct graph_strings lost_workspaces;

	/* Private to graph.c: hashes of all paths, tables path -> node and (parent, name) -> node.
	 */
	uint64_t *path_hash;
	uint32_t *by_path, *by_child;
	uint32_t table_mask;
};

/* An empty graph with an arena limit; graph_free() takes NULL. */
struct graph *graph_new(void) must_check;
void graph_free(struct graph *g);
static inline void graph_freep(struct graph **g)
{
	graph_free(*g);
}
#define auto_graph cleanup(graph_freep)

/* Node by lock key, GRAPH_NONE when there is none. After graph_index(). */
uint32_t graph_find(const struct graph *g, const char *path);

/* Checks every path (clean, relative, no "..", names valid as folder names), fills name, parent,
 * fs_parent, link_target, NODE_TOP, and the path index. A path that stands twice, a link without
 * target (EMISSINGTARGET), too many nodes: -EINVAL or -E2BIG with a sentence. Cycles cannot arise
 * from paths. */
int graph_index(struct graph *g, struct err *e) must_check;

/* Is the path one of packages in a node_modules of packages in a node_modules, and so on? */
bool graph_is_installed(const char *path);

/* npm's name of a folder: its base name, with the folder above when that is a scope. */
const char *graph_folder_name(const char *path);

/* For a graph whose every field stands already (lock_graph): makes the private hashes alone.
 * `order` has all nodes, each parent before its children. -EBADMSG: a path stands twice. */
int graph_index_placed(struct graph *g, const uint32_t *order, struct err *e) must_check;

/* The rules of graph_index() for one path. -EINVAL */
int graph_check_path(const char *path, struct err *e) must_check;

/* The child of `node` (not through fs_parent) named `name`, GRAPH_NONE; and npm's resolve():
 * own child, else that of the resolve parent (parent, else fs_parent), and so on up. */
uint32_t graph_child(const struct graph *g, uint32_t node, const char *name);
uint32_t graph_resolve(const struct graph *g, uint32_t node, const char *name);

struct graph_options {
	bool legacy_peer_deps;
};

/* Makes edges from deps (order and replacement as in Arborist's node.js; workspace edges come from
 * links at root whose target is a workspace of root's package.json, see manifest.h), with `to` and
 * `valid`. */
int graph_edges(struct graph *g, const struct graph_options *o, struct err *e) must_check;

/* Recomputes the five flags for all nodes from the edges, as Arborist's calc-dep-flags.js. */
int graph_flags(struct graph *g, struct err *e) must_check;

/* Whether a node is a stray: something that a bundler's tarball carries in its node_modules
 * without need, or that stands in such. npm's lock names it without a source. npm
 * fetches it anew by name and version, and deletes it where the registry does not have it. After
 * graph_flags(). */
bool graph_is_stray(const struct graph *g, uint32_t node);

/* The checks by which `npm ci` refuses a lock that does not fit package.json.
 * -ESTALE with npm's kind of sentence ("Missing: x@^1 from lock file"), the first few named. */
int graph_check(struct graph *g, struct err *e) must_check;

/* How strictly a tree is looked at before it is written. */
enum graph_sound {
	/* What npm would change when it is given this tree is wrong; a peer that conflicts and that
	 * npm lets be is not. */
	GRAPH_AS_NPM,
	/* What `npm ls` calls invalid or missing is wrong. */
	GRAPH_ALL_HOLDS,
	/* And what it calls extraneous. Where something there is for an optional peer alone, it is
	 * that, though without it the peer might be another package further up, and invalid. */
	GRAPH_NOTHING_MORE,
};

/* Does the tree hold? Every dependency that needs an end has one where npm looks from its place,
 * and that does for what is asked for. Optional ones may lack it, and what comes in a tarball with
 * its own packages is taken as it is. -ENOTSUP: no, and what does not, the first few named. After
 * graph_flags(). */
int graph_sound(const struct graph *g, enum graph_sound how, struct err *e) must_check;

/* The key under which the store has a node's package: the first digest of the strongest
 * algorithm of its integrity, else DIGEST_UNPINNED over kind, resolved, name and version. Nodes
 * that have no package of their own (links, tops, bundled) give DIGEST_NONE. -EINVAL: an
 * integrity that cannot be understood. */
int graph_node_key(const struct graph_node *n, struct digest *ret, struct err *e) must_check;
