/* ideal_priv.h - the tree at work: Arborist's Node, Edge and Link, as far as they decide.
 *
 * There are many small trees beside the one that becomes the lock: a "virtual root" is a made-up
 * root in which a package and its peers are tried together. `root` says in which
 * tree a node stands. Everything lives in the arena until the end; what is taken out of a tree
 * becomes a tree of its own and is forgotten. */
#pragma once
#include "lock/ideal.h"
#include "lock/overrides.h"
#include "lock/packument.h"
#include "lock/semver.h"
#include "lock/spec.h"

#define IDEAL_PEERS_DEEP 200u /* peers of peers; real chains stay below ten */

/* A name, once. */
struct iname {
	const char *text;
	uint32_t fold;              /* the same for names that differ in case alone */
	struct iname *folded;       /* the one of them in lower case */
	struct iedge *edges;        /* of the folded: of all these names, in all trees */
	struct inode *first, *last; /* nodes of the ideal tree, in the order in which they came */
};

/* A spec, once, with what it means wherever it stands. */
struct ispec {
	const char *text;
	bool good, any, has_range;
	struct spec spec; /* of paths only the type */
	enum spec_type type;
	struct semver_range range;
};

struct idep {
	struct iname *name;
	struct ispec *spec;
	uint8_t section; /* enum dep_section */
	bool peer_optional;
};

/* The edges that each node of a package has; npm's _loadDeps(). */
struct itemplate_edge {
	struct iname *name;
	struct ispec *spec, *accept;
	uint8_t type; /* enum edge_type */
};
struct itemplate {
	struct itemplate_edge *edges;
	uint32_t *sorted; /* numbers of edges, by the name's fold */
	uint32_t count;
};

struct ipkg {
	struct iname *name; /* NULL: none */
	const char *version;
	struct semver v;
	bool v_good, shrinkwrap;
	const char *resolved, *integrity;
	const struct idep *deps;
	uint32_t dep_count;
	const char *rest; /* what else its entry says: a JSON object; "" */
	struct iname **bundled;
	uint32_t bundled_count;
	struct iname **accept_names;
	struct ispec **accepts;
	uint32_t accept_count;
	struct itemplate *nested, *top, *virtual_root; /* made when first needed */
	bool empty_dev; /* it has devDependencies, and none in them */
	bool file;      /* read from the project, not published */
	bool hinted;    /* the catalog knows what it depends on */
};

struct iedge {
	struct iname *name;
	struct ispec *spec, *accept; /* as they stand; ideal_spec() knows of overrides */
	struct inode *from, *to;
	const struct overrides *rule;
	struct iedge *in_prev, *in_next; /* edges into `to` */
	struct iedge *name_next;
	uint8_t type;
	uint8_t state; /* enum edge_state: what was found out, until something changes */
	bool peer_conflicted, requested;
};
enum edge_state { STATE_UNKNOWN, STATE_OK, STATE_MISSING, STATE_PEER_LOCAL, STATE_INVALID };

enum {
	I_LINK = 1,
	I_SHRINKWRAP = 2,
	I_FAILED = 4, /* could not be loaded; has no package */
	I_SEEN = 8,
	I_QUEUED = 16,
	I_LINKED = 32,    /* on the list of links whose targets are to be looked at */
	I_IN_BUNDLE = 64, /* came out of a bundler's tarball */
	I_REMOVED = 128,
	I_OUTSIDE = 256, /* on the list of tops outside the project */
};

struct inode {
	struct inode *root, *parent, *fs_parent;
	struct inode *first_child, *last_child, *prev, *next;
	struct inode *first_fs, *last_fs, *fs_prev, *fs_next;
	struct inode *same_prev, *same_next;  /* of the name */
	struct inode *target;                 /* links */
	struct inode *first_link, *link_next; /* links to it */
	struct inode *next_outside;           /* of struct ideal's list */
	struct inode *source;                 /* virtual roots: whom they stand for */
	struct inode *virtual_root, *peer_source;
	struct iname *name;
	const char *path; /* below the project; of virtual roots their source's */
	struct ipkg *pkg;
	const struct itemplate *template;
	struct iedge *edges;
	uint64_t edge_bits; /* of their names: one that is missing tells that an edge is */
	uint32_t edge_count;
	struct iedge *in_first, *in_last;
	const struct overrides *rule;
	const char *resolved, *integrity;
	const char *why; /* I_FAILED: the sentence */
	int failure;     /* and the errno */
	uint32_t flags, depth_queued;
	uint64_t linked; /* grows from sibling to sibling */
};

struct iload {
	struct iname *name;
	struct ispec *spec;
	struct ipkg *pkg; /* NULL: failed */
	const char *why;
	int failure;
};

struct iname_slot;
struct ideal {
	const struct ideal_options *o;
	struct arena arena;
	struct err *e;
	int error; /* the first failure that could not be returned; sticky */
	struct buf *warnings;
	struct inode *tree;
	struct inode
		*outside; /* tops outside the project, of all trees: they stand below nothing */
	const struct overrides *overrides;

	struct table *names, *specs, *children, *loads, *packs, *pkgs, *engines;
	uint32_t folds, packuments;
	uint64_t links_made;
	bool bundles; /* some package bundles others */
	bool settled; /* what is optional may stand among the dependencies besides */

	struct inode **queue; /* a heap */
	uint32_t queue_count, queue_cap;
	struct inode **links;
	uint32_t link_count, link_cap;
	struct iedge **stale; /* edges to reload, while that is done */
	uint32_t stale_cap;
	struct inode **failed; /* placed, but could not be loaded */
	uint32_t failed_count, failed_cap;
	struct iname **updates;
	bool *updates_there; /* at the start */
	uint32_t update_count;
	/* Workspaces of root: name, path. */
	struct iworkspace {
		struct iname *name;
		const char *path;
	} * workspaces;
	uint32_t workspace_count;
	uint32_t peers_deep;
	uint64_t work, work_max;
	uint32_t placed;        /* nodes of the ideal tree */
	const struct inode *at; /* whose dependencies are being resolved */
	uint32_t overrides_deep;
	struct ipkg *empty; /* of what failed */
};

/* ---- ideal_names.c: what is kept once ---- */

/* A hash table from (a, b) to a pointer; keys are pointers or numbers. */
struct table;
struct table *table_new(void);
void table_free(struct table *t); /* NULL is fine */
/* The place of a key's value, NULL where it is new; NULL: out of memory. Valid until the next. */
void **table_at(struct table *t, uint64_t a, uint64_t b);
void *table_get(const struct table *t, uint64_t a, uint64_t b);
void table_remove(struct table *t, uint64_t a, uint64_t b);

struct iname *ideal_name(struct ideal *d, const char *text);
struct ispec *ideal_spec_of(struct ideal *d, const char *text);
void ideal_specs_free(struct ideal *d);

/* ---- ideal_tree.c: nodes, edges, trees ---- */

/* A node in no tree yet; `path` may be NULL. NULL: out of memory (d->error). */
struct inode *ideal_node(struct ideal *d, struct iname *name, struct ipkg *pkg);
/* Makes its edges out; after it has its place. */
int ideal_load_edges(struct ideal *d, struct inode *n, const struct itemplate *t);
const struct itemplate *ideal_template(struct ideal *d, struct ipkg *pkg, bool top);

/* npm's `node.parent = parent`: clobbers what stands there. */
void ideal_attach(struct ideal *d, struct inode *n, struct inode *parent);
/* A top in n->path of a tree. */
void ideal_attach_top(struct ideal *d, struct inode *n, struct inode *root);
void ideal_set_target(struct inode *link, struct inode *target);
/* npm's `node.root = null`. */
void ideal_remove(struct ideal *d, struct inode *n);
/* npm's replace(). */
void ideal_replace(struct ideal *d, struct inode *placed, struct inode *old);

struct inode *ideal_child(const struct ideal *d, const struct inode *n, const struct iname *name);
struct inode *ideal_resolve(const struct ideal *d, const struct inode *n, const struct iname *name);
struct iedge *ideal_edge(const struct inode *n, const struct iname *name);
void ideal_edge_reload(struct ideal *d, struct iedge *edge, bool hard);

static inline struct inode *ideal_up(const struct inode *n)
{
	return n->parent ? n->parent : n->fs_parent;
}
static inline bool ideal_is_top(const struct inode *n)
{
	return !n->parent;
}
static inline bool ideal_is_root(const struct inode *n)
{
	return n->root == n;
}
bool ideal_is_workspace(const struct inode *n);
bool ideal_is_below(const struct inode *n, const struct inode *above); /* or the same */
uint32_t ideal_depth(const struct inode *n);
struct inode *ideal_real(struct inode *n); /* a link's target, else n */

static inline bool iedge_is_peer(const struct iedge *e)
{
	return e->type == EDGE_PEER || e->type == EDGE_PEER_OPTIONAL;
}
static inline bool iedge_is_optional(const struct iedge *e)
{
	return e->type == EDGE_OPTIONAL || e->type == EDGE_PEER_OPTIONAL;
}

/* ---- ideal_valid.c: does an edge hold ---- */

bool ideal_satisfies(struct ideal *d, const struct inode *n, struct iedge *edge);
bool ideal_valid(struct ideal *d, struct iedge *edge);
/* What an edge asks for, overrides considered. */
struct ispec *ideal_spec(struct ideal *d, const struct iedge *edge);
/* The folder from which the edge's paths start, absolute, in the arena. */
const char *ideal_from_path(struct ideal *d, const struct inode *from, const struct iedge *edge);
struct inode *ideal_bundler(struct ideal *d, struct inode *n); /* NULL: none */
bool ideal_in_dep_bundle(struct ideal *d, struct inode *n);
bool ideal_in_shrinkwrap(const struct inode *n);

/* overrides on their way through the tree */
void ideal_rule_added(struct ideal *d, struct inode *n, const struct overrides *rule);
void ideal_rule_removed(struct ideal *d, struct inode *n, const struct overrides *rule);

/* ---- ideal_sets.c: sets of nodes ---- */

struct iset {
	struct inode **items; /* in the order in which they came; NULL: taken out again */
	uint32_t count, cap, alive;
	uint32_t *hash;
	uint32_t mask;
	struct ideal *d;
};
bool iset_add(struct iset *s, struct inode *n); /* true: it is new */
bool iset_has(const struct iset *s, const struct inode *n);
void iset_drop(struct iset *s, struct inode *n);
void iset_release(struct iset *s);
#define auto_iset cleanup(iset_release)

typedef bool iedge_test(struct ideal *d, const void *arg, struct iedge *edge);
/* npm's gatherDepSet: `s` holds the start, and afterwards the set. */
void ideal_gather(struct iset *s, iedge_test *test, const void *arg);
iedge_test ideal_leads_elsewhere;       /* edge->to is not `arg` */
iedge_test ideal_leads_elsewhere_valid; /* and the edge holds */

struct inode *ideal_deepest(struct inode *start, const struct iname *name);
bool ideal_matches(const struct inode *a, const struct inode *b);
/* May x stand for y? `ignore` is a tree whose root's children's names are ignored; NULL. */
bool ideal_can_replace(struct ideal *d, struct inode *x, struct inode *y,
		       const struct inode *ignore);
bool ideal_can_dedupe(struct ideal *d, struct inode *n, bool requested);
bool ideal_overridden(const struct inode *n);

/* npm's peerEntrySets: calls fn for each; it returns true to stop. */
typedef bool ientry_fn(struct ideal *d, void *arg, struct iedge *entry, struct iset *set);
bool ideal_entry_sets(struct ideal *d, struct inode *n, ientry_fn *fn, void *arg);

/* ---- ideal_place.c ---- */

struct iplace_hooks {
	/* For each node that was placed, parents first. `ok`: nothing stood there. */
	void (*placed)(struct ideal *d, struct inode *n, struct iedge *edge, bool ok);
	void (*evaluate)(struct ideal *d, struct inode *n);
};
int ideal_place(struct ideal *d, struct iedge *edge, struct inode *dep,
		const struct iplace_hooks *hooks);

/* ---- ideal_pick.c: packages ---- */

/* The package that the spec means, or why there is none; paths start from `where`. NULL: out of
 * memory. */
const struct iload *ideal_load_pkg(struct ideal *d, struct iname *name, struct ispec *spec,
				   const char *where);
/* The same whatever is pinned. */
const struct iload *ideal_load_plain(struct ideal *d, struct iname *name, struct ispec *spec,
				     const char *where);
/* Why there is none; 0. */
int ideal_failed(struct ideal *d, struct iload *l, int failure, const char *why);
/* And what `pin` says the spec means (ideal_pinned.c), if that can be. */
struct pin;
const struct iload *ideal_load_pinned(struct ideal *d, struct iname *name, struct ispec *spec,
				      const struct pin *pin, const char *where);
/* What the registry has of a name; `failure`: nothing. NULL: no memory. */
struct ipack {
	const struct packument *p;
	struct semver *v; /* all versions, once somebody wanted them read; and which are some */
	bool *good;
	int failure;
	const char *why;
};
struct ipack *ideal_pack(struct ideal *d, struct iname *name);
bool ideal_read_versions(struct ideal *d, struct ipack *k); /* false: no memory */
bool ideal_in_time(const struct ideal *d, const struct packument_version *v);
/* How good a version is to npm-pick-manifest, 0 to 7; of equal ones the newer comes first. */
#define IDEAL_RANK_BEST 7u
unsigned ideal_rank(const struct ideal *d, const struct ipack *k, uint32_t i);
#define IDEAL_NO_VERSION UINT32_MAX
uint32_t ideal_pick(struct ideal *d, const struct ipack *k, const struct ispec *s);
struct ipkg *ideal_pkg_at(struct ideal *d, struct iname *name, const struct ipack *k, uint32_t i);
/* From a manifest that is no registry's: a package.json, a lock's entry. */
struct ipkg *ideal_pkg_of(struct ideal *d, const cJSON *mani, const char *fallback_name,
			  bool is_file, struct err *e);
void ideal_hint(struct ideal *d, struct ipkg *pkg);

/* ---- ideal_carry.c: what lies in tarballs ---- */

/* Fills `l` from a tarball at a URL or path, which must have the digest (NULL: any). */
int ideal_load_tarball(struct ideal *d, struct iload *l, const struct spec *s,
		       const char *integrity);
/* And from a repository. */
int ideal_load_git(struct ideal *d, struct iload *l, const struct spec *s);
/* Puts what a bundler's tarball carries below it. */
int ideal_open_bundle(struct ideal *d, struct inode *n);
/* And what a package's own shrinkwrap lists, if it has one. */
int ideal_open_shrinkwrap(struct ideal *d, struct inode *n);

/* ---- ideal_peers.c: virtual roots, nodes from edges ---- */

struct inode *ideal_virtual_root(struct ideal *d, struct inode *n, bool reuse);
int ideal_node_from_edge(struct ideal *d, struct iedge *edge, struct inode *parent,
			 struct iedge *second, struct iset *required, struct inode **ret);

/* ---- ideal_read.c, ideal_write.c ---- */

int ideal_read_project(struct ideal *d, struct slice lock);
/* The entries of other package.json files than those that were resolved. */
int ideal_reread(struct ideal *d, const struct manifest_texts *texts);
/* Root ("") or the top in a folder below it; NULL: there is none. */
struct inode *ideal_top_in(const struct ideal *d, const char *folder);
/* The target of a link in an absolute folder: a node in no tree, without edges yet. */
struct inode *ideal_read_folder(struct ideal *d, struct iname *name, struct slice folder);
/* As a package-lock.json, in no order; `without`: leave out what is extraneous in that; NULL. */
int ideal_write(struct ideal *d, const struct graph *without, struct buf *ret);

/* ---- ideal_build.c: an empty one, with `o` and `e`; and its end ---- */

int ideal_start(struct ideal *d);
void ideal_release(struct ideal *d);

/* ---- failures ---- */

int ideal_stick(struct ideal *d, int error);
int ideal_too_much(struct ideal *d, const char *what);
/* So many nodes or edges were looked at. false: too much already; d->error says so. */
static inline bool ideal_work(struct ideal *d, uint32_t steps)
{
	d->work += steps;
	if (d->work < d->work_max)
		return true;
	if (!d->error)
		(void)ideal_too_much(d, "their dependencies multiply without end");
	return false;
}
/* ERESOLVE. */
int ideal_conflict(struct ideal *d, const struct iedge *edge, const struct inode *dep,
		   const char *what);
void ideal_warn(struct ideal *d, const struct iedge *edge, const struct inode *dep);
void ideal_queue(struct ideal *d, struct inode *n);
void ideal_note_link(struct ideal *d, struct inode *n);
bool ideal_updates(const struct ideal *d, const struct iname *name);
