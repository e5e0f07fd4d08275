/* upper_priv.h - the inside of an upper; upper*.c only.
 *
 * Three things are in memory: what `removed` says (struct gone), which packages have anything in
 * pkg/ (struct area), and the nodes that the kernel knows by ids that a view would not give, or no
 * more (struct unode). All else is asked of the file system.
 *
 * No lock is held over a system call that may wait, so a path that was put together from nodes may
 * be wrong by the time that it is used. Whoever moves a name says so before and after
 * (nodes_moving, nodes_moved), and whoever opens by path looks afterwards whether anything moved
 * meanwhile, and does it again (spot_open). */
#pragma once
#include "core/log.h"
#include "fs/upper.h"

#include <limits.h>
#include <pthread.h>

#define UPPER_TEXT_MAX ((size_t)256 << 20) /* of `removed` and `names`; two million lines */
#define UPPER_NODES    4096                /* buckets */

/* ---- what is removed (upper_gone.c) ---- */

struct gone {
	pthread_mutex_t mu;
	int fd;            /* opened for appending at the first line; -1 */
	off_t size;        /* of the whole lines in the file */
	atomic_bool dirty; /* not fsynced */
	atomic_size_t count;
	/* guarded by mu */
	struct hash128 *set; /* of upper paths; open addressing, zero is free */
	size_t cap;
};
int gone_load(struct gone *g, int dirfd, struct err *e) must_check;
void gone_release(struct gone *g);
bool gone_has(struct gone *g, const char *path);
/* 0 also if it is there. -ENOSPC: the file would be longer than it may be read. */
int gone_add(struct gone *g, int dirfd, const char *path) must_check;
int gone_sync(struct gone *g) must_check;

/* Calls fn for each path of the file as it stands. */
typedef int gone_fn(void *arg, const char *path);
int gone_each(int dirfd, gone_fn *fn, void *arg, struct err *e) must_check;

/* A large file of which most says nothing, since `rm -r` names all that is in a folder before the
 * folder, is made small. Before anybody else has `g`. */
int gone_compact(struct gone *g, int dirfd, struct err *e) must_check;

/* Rewrites the file with what `keep` says true of; the set too. */
int gone_filter(struct gone *g, int dirfd, bool (*keep)(void *arg, const char *path), void *arg,
		struct err *e) must_check;

/* ---- nodes (upper_node.c) ---- */

enum unode_flag {
	UNODE_BASE = 1,    /* of the lower: the kernel had it before it came here, uncounted */
	UNODE_ORPHAN = 2,  /* no name leads to it any more */
	UNODE_INPLACE = 4, /* of the lower, where the lower has it: no parent and name here */
	UNODE_DIR = 8,
	UNODE_ALIAS = 32, /* of the lower, whose own id is taken by what was moved or removed: after
			     a reset both may be known. It lies where `lower` does; it has a name */
	UNODE_SAVED = 16, /* an orphan that lies in orphans/ (what is not was never copied up) */
};

struct unode {
	uint64_t ino, parent;
	uint64_t lower; /* ALIAS, or an ORPHAN that was one: the lower's id; else 0 */
	char *name;     /* NULL: INPLACE or ORPHAN */
	uint64_t refs;  /* of the kernel's, as far as counted */
	uint32_t kids;  /* nodes whose parent it is */
	uint32_t flags; /* enum unode_flag */
	mode_t mode;    /* of an orphan, as it was, and when it became one: a folder has no more */
	uid_t uid;
	gid_t gid;
	struct timespec when;
	uint64_t backing; /* st_ino in the upper of a file with several names, else 0 */
	struct unode *next_ino, *next_name, *next_backing;
};

struct nodes {
	pthread_mutex_t mu;
	pthread_cond_t settled;
	/* guarded by mu */
	struct unode *by_ino[UPPER_NODES], *by_name[UPPER_NODES], *by_backing[UPPER_NODES];
	uint64_t next_ino;
	unsigned moving;   /* names that are being moved now */
	uint64_t moves;    /* names that were moved */
	uint64_t *copying; /* being copied up; in-line list */
	size_t copying_count, copying_cap;
	atomic_size_t count;
};

/* ---- the upper ---- */

/* What belongs together: tree/, or the folder of one package. */
struct area {
	uint32_t slot;    /* of the package; 0: tree */
	char *dir;        /* "tree", "pkg/<key>" */
	char *long_key;   /* where dir has "~<hash>" instead */
	atomic_bool used; /* something may be in dir, or dir or more in `removed` */
	struct area *next;
};
#define AREA_BUCKETS 1024

#define FD_WAYS 4
#define FD_SETS 48 /* 192 descriptors: a soft limit is 1,024 as a rule, the store takes 100 */
struct fd_slot {
	uint64_t ino; /* 0: free */
	int fd;
	unsigned pins;
	bool dead, writes;
	uint64_t used;
};

#define SNAPS 16
struct snap_entry {
	uint64_t hash;
	uint32_t name;
};
struct snap {
	atomic_uint refs;
	mode_t mode; /* of an orphan, as it was, and when it became one: a folder has no more */
	uid_t uid;
	gid_t gid;
	struct timespec when;
	uint64_t backing; /* st_ino of the folder */
	size_t count;
	struct snap_entry *entries; /* by hash, then name */
	char *names;
};

struct upper {
	char *dir;
	int fd; /* of the folder; its flock is the upper's */
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool root;    /* we may give files away */
	bool peeking; /* opened only to look */
	atomic_uint_fast64_t temp;
	atomic_int complained; /* the errno that the log has heard of last */

	struct gone gone;
	struct nodes nodes;

	pthread_mutex_t areas_mu;
	/* guarded by areas_mu */
	struct area *areas[AREA_BUCKETS];
	struct hash128 *used_keys; /* names in pkg/ and in `removed` when it was opened, sorted */
	size_t used_count;
	struct area tree;

	pthread_mutex_t fds_mu;
	/* guarded by fds_mu */
	struct fd_slot fds[FD_SETS][FD_WAYS];
	uint64_t fd_clock;

	pthread_mutex_t snaps_mu;
	/* guarded by snaps_mu */
	struct snap *snaps[SNAPS];
	unsigned next_snap;
	atomic_uint_fast64_t changes; /* counts what makes a snap old */

	pthread_mutex_t
		mode_mu; /* held while a mode is lent to open a file, or to put one into a folder */
};

/* The folder's name in pkg/ of a package; *ret_long (if not NULL) the key when that was too long.
 */
int upper_key(const struct place *package, char ret[NAME_MAX + 1], char **ret_long) must_check;
/* NULL: out of memory. `package` NULL: tree. */
struct area *upper_area(struct upper *u, const struct place *package) must_check;

/* ---- where a node lies (upper_spot.c) ---- */

struct spot {
	char path[PATH_MAX]; /* relative to the upper's folder */
	uint64_t ino, lower; /* lower: what it is in the view, where the upper has nothing; or 0 */
	struct area *area;   /* of a node that is not in the table, else NULL */
	uint64_t top;        /* the same: view_where's */
	size_t top_len;      /* bytes of the path down to top */
	uint32_t flags;      /* of its node */
	bool known;          /* it is in the table */
	uint64_t moves;
};

int spot_find(struct upper_call *c, uint64_t ino, struct spot *ret) must_check;
/* The same, by the one who is moving names. */
int spot_find_moving(struct upper_call *c, uint64_t ino, struct spot *ret) must_check;
static inline bool spot_maybe(const struct spot *s)
{
	return s->known || atomic_load(&s->area->used);
}

/* Opens what lies there with openat(2)'s flags, never through a symbolic link. -ENOENT: the upper
 * does not have it. The spot is filled in. */
int spot_open(struct upper_call *c, uint64_t ino, int flags, struct spot *ret,
	      int *ret_fd) must_check;
/* A path in the upper, never through a symbolic link. */
int upper_openat(const struct upper *u, const char *path, int flags);
/* lstat(2) of a path in the upper; -ENOENT also where its folder is none. */
int upper_stat(const struct upper *u, const char *path, struct stat *ret) must_check;
/* The folder that a path's last name is in; *ret_name points into path. */
int upper_open_parent(const struct upper *u, const char *path, const char **ret_name);
/* A descriptor of a regular file of the upper, pinned. -ENOENT: it is not in the upper; *ret_lower
 * is what it is in the view. */
int upper_file(struct upper_call *c, uint64_t ino, bool writes, int *ret_fd, bool *ret_cached,
	       uint64_t *ret_lower) must_check;
void upper_file_done(struct upper *u, uint64_t ino, int fd, bool cached);
void upper_file_keep(struct upper *u, uint64_t ino, int fd); /* takes fd */
void upper_forget_files(struct upper *u);                    /* and all listings */
void upper_changed_all(struct upper *u);
void upper_file_drop(struct upper *u, uint64_t ino);
int path_join(char ret[PATH_MAX], const char *dir, const char *name) must_check;

/* ---- a name in a directory (upper_look.c) ---- */

struct child {
	struct view_attr low; /* if has_low */
	struct stat st;       /* if has_up */
	bool has_low;         /* the lower has it, and it is not removed */
	bool own;             /* that is a package's folder: it lies elsewhere */
	bool has_up;          /* the upper has it, and it is shown */
	bool shown;           /* there is something */
	char path[PATH_MAX];  /* in the upper: where it lies, or would */
};

int child_find(struct upper_call *c, const struct spot *dir, const char *name,
	       struct child *ret) must_check;
/* Its id, if it has one without giving one out: a node's, or the lower's; else 0. */
uint64_t child_ino(struct upper_call *c, uint64_t dir, const char *name, const struct child *ch);
/* Fills in the entry; counts it if `counted`. */
int child_entry(struct upper_call *c, uint64_t dir, const char *name, const struct child *ch,
		bool counted, struct upper_entry *ret) must_check;
mode_t child_mode(const struct child *ch);

void upper_stat_low(const struct upper *u, const struct view_attr *a, struct stat *ret);
void upper_stat_up(struct stat *st, uint64_t ino, const struct view_attr *low, uint32_t flags);

/* ---- nodes ---- */

void nodes_init(struct nodes *n);
void nodes_release(struct nodes *n);
struct unode *nodes_get(struct nodes *n, uint64_t ino); /* under mu */
/* Under mu: what the upper has by a name (lower 0), or the alias of a thing of the lower. */
struct unode *nodes_named(struct nodes *n, uint64_t parent, const char *name, uint64_t lower);
struct unode *nodes_backed(struct nodes *n, uint64_t backing);                       /* under mu */
struct unode *nodes_add(struct nodes *n, uint64_t ino, uint32_t flags) must_check;   /* under mu */
int nodes_name(struct nodes *n, struct unode *u, uint64_t parent, const char *name); /* under mu */
void nodes_unname(struct nodes *n, struct unode *u);                                 /* under mu */
void nodes_back(struct nodes *n, struct unode *u, uint64_t backing);                 /* under mu */
void nodes_settle(struct nodes *n, struct unode *u); /* under mu: frees it if nobody knows it */
void nodes_moving(struct nodes *n);
void nodes_moved(struct nodes *n); /* after the table is right again; takes mu */

/* ---- changing ---- */

/* The upper's folder for a directory, made with its parents if it is the lower's; an O_PATH
 * descriptor. */
int upper_make_dirs(struct upper_call *c, uint64_t dir, struct spot *ret, int *ret_fd) must_check;
/* Copies a file or link up, of a file at most `limit` bytes. 0 also if it is there. */
int upper_copy_up(struct upper_call *c, uint64_t ino, uint64_t limit) must_check;
/* A new name in tmp/, relative to the upper. */
void upper_temp(struct upper *u, char ret[64]);
/* Renames a finished thing out of tmp/, never over anything. */
int upper_rename_new(const struct upper *u, const char *temp, int dir, const char *name) must_check;
/* The same to where nothing is, leaving its folder's times. */
int upper_put(struct upper *u, const char *temp, const char *path) must_check;
void upper_orphan_path(uint64_t ino, char ret[64]);
/* A name of the upper goes out of sight, into orphans/, where its node finds it while the kernel
 * knows it; `ino` 0: nobody does. Between nodes_moving() and nodes_moved(). */
int upper_bury(struct upper *u, int dirfd, const char *name, uint64_t ino);
/* Whether a file is found by its id without this name: by the one that its node has, by its place
 * in the lower, or in orphans/. */
bool upper_reached(struct upper *u, uint64_t ino, uint64_t dir, const char *name,
		   const struct child *ch);
/* The node of a child has lost its name: under no lock, between the same two. */
int upper_orphan(struct upper *u, uint64_t ino, uint32_t flags, const struct child *ch) must_check;
/* What stands in tree/ at the place of a package, set aside while that is there, goes out of sight.
 */
int upper_bury_aside(struct upper_call *c, const struct spot *dir, const char *name) must_check;
/* The name of a node goes, while its bytes stay for who has it open; between the same two. It does
 * only directories, or only what is none. */
int upper_orphan_by_id(struct upper *u, struct view *v, uint64_t ino, bool dirs) must_check;
/* A line in `removed`; a package's folder that is set aside in its place goes out of sight first.
 */
int upper_hide(struct upper_call *c, const struct spot *dir, const char *name,
	       const struct child *ch) must_check;
/* -ENOTEMPTY when anything is seen in a directory. */
int upper_is_empty(struct upper_call *c, uint64_t dir) must_check;
/* The same for what is in a folder and has a name that begins with `prefix` ("": all); the folder
 * stays, for to remove and make one costs the file system a transaction each. */
void upper_empty(int dirfd, const char *name, const char *prefix);
void snap_unref(struct snap *s); /* NULL is fine */
/* A listing of the folder with this st_ino is old. */
void upper_changed(struct upper *u, uint64_t backing);
void upper_changed_fd(struct upper *u, int dirfd);
/* What a program gets of a failure of the upper's file system; the first of a kind is logged. */
int upper_fault(struct upper *u, int r, const char *what);

/* ---- by people's paths (upper_home.c, upper_reset.c) ---- */

/* What the name of a folder in pkg/ says. */
struct upper_home {
	char *place;   /* owned; relative to the project */
	char *version; /* in the same memory */
};
/* The folder in `pkg` that a line of `removed` is about; false: of none. */
bool upper_folder_of(const char *line, char ret[NAME_MAX + 1]);
int upper_home(const struct upper *u, const char *folder, struct upper_home *ret) must_check;
void upper_home_release(struct upper_home *h);
bool upper_home_shown(struct view *v, const struct upper_home *h, const char *folder);

/* A path of the lower, relative to the project: what it is, the directory that it is in (0: it is a
 * root), the root of the mount. Never waits: VIEW_WAIT. */
struct upper_low {
	struct view_attr attr;
	uint64_t dir, root;
};
int upper_lower_at(struct view *v, const char *path, struct upper_low *ret) must_check;
