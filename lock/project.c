#include "lock/project.h"

#include "core/file.h"
#include "core/log.h"
#include "lock/lock_priv.h"
#include "lock/manifest.h"
#include "lock/project_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define KEPT_ENDING ".dxl"

/* In npm's order; ours is last. */
static const char *const lock_files[] = { "npm-shrinkwrap.json", "package-lock.json",
					  PROJECT_LOCK };

/* ---- the folder ---- */

static int find_lock_file(struct project *p, struct err *e)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(lock_files); i++) {
		if (fstatat(p->dirfd, lock_files[i], &st, 0) < 0)
			continue;
		p->lock_file = strdup(lock_files[i]);
		return p->lock_file ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	if (fstatat(p->dirfd, "package.json", &st, 0) == 0)
		return 0;
	return err_set(e, -ENOENT,
		       "%.120s: no project: there is no package.json, package-lock.json, "
		       "npm-shrinkwrap.json or " PROJECT_LOCK,
		       p->dir);
}

int project_open(struct project *ret, const char *dir, struct err *e)
{
	auto_project struct project p = PROJECT_INIT;
	int r;

	p.dir = realpath(dir, NULL);
	if (!p.dir)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	p.dirfd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dirfd < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	r = find_lock_file(&p, e);
	if (r < 0)
		return r;
	*ret = p;
	p = (struct project)PROJECT_INIT;
	return 0;
}

void project_release(struct project *p)
{
	closep(&p->dirfd);
	free(p->dir);
	free(p->lock_file);
	*p = (struct project)PROJECT_INIT;
}

bool project_has_npm_lock(const struct project *p)
{
	return p->lock_file && strcmp(p->lock_file, PROJECT_LOCK) != 0;
}

/* ---- the fingerprint ---- */

/* Bytes with their length, so that no two files can be cut in another way. */
static void add_bytes(struct hasher *h, const void *p, size_t n)
{
	uint64_t le = htole64(n);

	hasher_add(h, &le, sizeof le);
	if (n)
		hasher_add(h, p, n);
}

static void add_text(struct hasher *h, const char *s)
{
	add_bytes(h, s, strlen(s));
}

static void add_piece(void *arg, size_t size, size_t at, const void *p, size_t n)
{
	struct hasher *h = arg;
	uint64_t le = htole64(size);

	if (at == 0) { /* as add_bytes(); and before it the name, as add_file() */
		add_text(h, "there");
		hasher_add(h, &le, sizeof le);
	}
	if (n)
		hasher_add(h, p, n);
}

/* As add_file(), for a file that is long and not needed. */
static int add_long_file(struct hasher *h, const struct project *p, const char *path, size_t limit,
			 struct err *e)
{
	struct err why = { 0 };
	int r;

	add_text(h, path);
	r = file_read_pieces(p->dirfd, path, limit, add_piece, h, &why);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_set(e, r, "%s", why.msg);
	if (r < 0)
		add_text(h, "absent");
	return 0;
}

/* A file's name and content, or that it is not there. The caller frees *ret_text. */
static int add_file(struct hasher *h, const struct project *p, const char *path, size_t limit,
		    char **ret_text, struct err *e)
{
	struct err why = { 0 };
	size_t len = 0;
	int r = file_read_all(p->dirfd, path, limit, ret_text, &len, &why);

	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_set(e, r, "%s", why.msg);
	add_text(h, path);
	add_text(h, r < 0 ? "absent" : "there");
	if (r == 0)
		add_bytes(h, *ret_text, len);
	return 0;
}

/* The folders that the workspaces' patterns find: one that came newly changes no file that is
 * hashed, but the lock does not fit any more. */
static int add_workspaces(struct hasher *h, const struct project *p, const char *manifest,
			  struct err *e)
{
	auto_arena struct arena a = ARENA_INIT((size_t)64 << 20);
	struct graph_strings found = { 0 };
	auto_json cJSON *j = NULL;
	int r;

	if (!manifest || !strstr(manifest, "\"workspaces\""))
		return 0;
	/* What cannot be read is refused later, with a better sentence. */
	if (json_parse(&j, slice_str(manifest), NULL) < 0 || !json_true(j, "workspaces"))
		return 0;
	r = workspaces_find(&a, p->dirfd, json_get(j, "workspaces"), &found, NULL);
	if (r == -ENOMEM)
		return err_set(e, r, "out of memory");
	for (uint32_t i = 0; r == 0 && i < found.count; i++)
		add_text(h, found.items[i]);
	return 0;
}

static int add_top(struct hasher *h, const struct project *p, const char *path, struct err *e)
{
	auto_free char *file = NULL, *text = NULL;

	if (strncmp(path, "../", 3) == 0)
		return 0;
	if (asprintf(&file, "%s/package.json", path) < 0) {
		file = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return add_file(h, p, file, MANIFEST_SIZE_MAX, &text, e);
}

/* All but the tops. */
static int add_project(struct hasher *h, const struct project *p, const struct npmlock_options *o,
		       struct err *e)
{
	const uint32_t head[] = { htole32(DXL_VERSION), htole32(o->graph.legacy_peer_deps) };
	auto_free char *manifest = NULL;
	int r = 0;

	hasher_add(h, head, sizeof head);
	if (project_has_npm_lock(p))
		r = add_long_file(h, p, p->lock_file, NPMLOCK_SIZE_MAX, e);
	if (r == 0)
		r = add_file(h, p, "package.json", MANIFEST_SIZE_MAX, &manifest, e);
	return r == 0 ? add_workspaces(h, p, manifest, e) : r;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void hasher_freep(struct hasher **h)
{
	hasher_free(*h);
}

/* What a DXL of this project must carry now. */
int project_fingerprint(const struct project *p, const struct graph *g,
			const struct npmlock_options *o, struct hash128 *ret, struct err *e)
{
	struct hasher *h cleanup(hasher_freep) = hasher_new();
	auto_free const char **tops = calloc((size_t)g->count + 1, sizeof *tops);
	uint32_t n = 0;
	int r;

	if (!h || !tops)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 1; i < g->count; i++) {
		if (g->nodes[i].flags & NODE_TOP)
			tops[n++] = g->nodes[i].path;
	}
	/* As they stand in a DXL, whose tops are at hand without a graph. */
	qsort(tops, n, sizeof *tops, by_bytes);
	r = add_project(h, p, o, e);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = add_top(h, p, tops[i], e);
	if (r == 0)
		*ret = hasher_end(h);
	return r;
}

/* The same, for a lock that may be the one. */
static int fingerprint_of(const struct project *p, const struct lock *l,
			  const struct npmlock_options *o, struct hash128 *ret, struct err *e)
{
	struct hasher *h cleanup(hasher_freep) = hasher_new();
	int r;

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	r = add_project(h, p, o, e);
	for (uint32_t i = 1; r == 0 && i < l->count[DXL_NODES]; i++) {
		if (!(le16toh(l->nodes[i].flags) & NODE_TOP))
			break;
		r = add_top(h, p, dxl_str(l, l->nodes[i].target), e);
	}
	if (r == 0)
		*ret = hasher_end(h);
	return r;
}

/* ---- the lock ---- */

#define KEPT_MAX 32 /* locks in a cache: the branches of a few projects; some 400 kB each */
#define KEPT_KEY "key"

/* The cache's key, made if there is none yet. Without it a repository could carry a lock whose copy
 * has the name of another project's. Two that make it at once leave one copy too many. */
static int cache_key(const char *cache_dir, uint64_t *ret)
{
	auto_free char *path = NULL, *text = NULL;
	size_t len = 0;
	uint64_t key;
	int r;

	if (asprintf(&path, "%s/" KEPT_KEY, cache_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (file_read_all(AT_FDCWD, path, sizeof key, &text, &len, NULL) == 0 &&
	    len == sizeof key) {
		memcpy(ret, text, sizeof key);
		return 0;
	}
	if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key)
		return -EIO;
	r = mkdir_p(cache_dir, 0700, NULL);
	if (r == 0)
		r = file_replace_unsynced(path, &key, sizeof key, 0600, NULL);
	if (r == 0)
		*ret = key;
	return r;
}

/* Opens a lock if it is made from what stands there now. -ESTALE when it is not. */
static int open_fresh(const struct project *p, const char *path, const struct npmlock_options *o,
		      struct lock **ret, struct err *e)
{
	auto_lock struct lock *l = NULL;
	struct hash128 now;
	int r = lock_open_mapped(&l, path, e);

	if (r == 0)
		r = fingerprint_of(p, l, o, &now, e);
	if (r < 0)
		return r;
	if (!hash128_eq(now, lock_fingerprint(l)))
		return err_set(e, -ESTALE,
			       "%.120s: was made from what stood there before; make it anew with "
			       "`dx lock`",
			       path);
	*ret = take(&l);
	return 0;
}

/* The same for a copy that can be made anew: *ret stays NULL when it must be. */
static int try_copy(const struct project *p, const char *path, const struct npmlock_options *o,
		    struct lock **ret, struct err *e)
{
	struct err why = { 0 };
	int r = open_fresh(p, path, o, ret, &why);

	if (r == -ENOMEM)
		return err_set(e, r, "%s", why.msg);
	if (r < 0 && r != -ENOENT)
		log_line(LOG_DEBUG, "%s", why.msg);
	return 0;
}

/* Everything but the tops' files, hashed. */
static int hash_project(const struct project *p, const struct npmlock_options *o, uint64_t key,
			struct hash128 *ret, struct err *e)
{
	struct hasher *h cleanup(hasher_freep) = hasher_new_keyed(key);
	int r = h ? add_project(h, p, o, e) : err_set(e, -ENOMEM, "out of memory");

	if (r == 0)
		*ret = hasher_end(h);
	return r;
}

#define CLOCK_TICK_NS 20000000 /* file times come from a clock that ticks every 1 to 10 ms */

/* Was the package.json of a top written after `since`, or may it have been? */
static bool tops_changed(const struct project *p, const struct graph *g,
			 const struct timespec *since)
{
	int64_t from = (int64_t)since->tv_sec * 1000000000 + since->tv_nsec - CLOCK_TICK_NS;

	for (uint32_t i = 1; i < g->count; i++) {
		char file[GRAPH_PATH_MAX + 32];
		struct stat st;

		if (!(g->nodes[i].flags & NODE_TOP))
			continue;
		(void)snprintf(file, sizeof file, "%s/package.json", g->nodes[i].path);
		if (fstatat(p->dirfd, file, &st, 0) == 0 &&
		    (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec >= from)
			return true;
	}
	return false;
}

#define DERIVE_TRIES 5 /* somebody writes the files just now */

/* Reads npm's lock into a DXL. A fingerprint must be that of what was read, so the project's own
 * files are hashed before and after, and those of its tops must not be brand-new (their names are
 * known only afterwards). A file that always is, by a clock that runs ahead, is let through. */
static int derive(const struct project *p, const struct npmlock_options *o, struct buf *ret,
		  struct err *e)
{
	for (int tries = 1;; tries++) {
		auto_graph struct graph *g = NULL;
		struct hash128 before, after, fingerprint;
		struct timespec start;
		int r = hash_project(p, o, 0, &before, e);

		(void)clock_gettime(CLOCK_REALTIME, &start);
		if (r == 0)
			r = npmlock_read(&g, p->dirfd, o, e);
		if (r == 0)
			r = project_fingerprint(p, g, o, &fingerprint, e);
		if (r == 0)
			r = hash_project(p, o, 0, &after, e);
		if (r < 0)
			return r;
		if (hash128_eq(before, after) &&
		    (tries == DERIVE_TRIES || !tops_changed(p, g, &start)))
			return lock_build(g, fingerprint, ret, e);
		if (tries == DERIVE_TRIES)
			return err_set(e, -EBUSY,
				       "%.120s: package.json or the lock changes all the time",
				       p->dir);
	}
}

static bool is_kept(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name), end = strlen(KEPT_ENDING);

	return n > end && strcmp(entry->d_name + n - end, KEPT_ENDING) == 0;
}

/* Removes the lock that was used longest ago, if there are too many. */
static void make_room(const char *cache_dir)
{
	DIR *dir = opendir(cache_dir);
	char oldest[NAME_MAX + 1] = "";
	const struct dirent *entry;
	time_t used = 0;
	unsigned count = 0;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (!is_kept(entry) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		count++;
		if (*oldest && st.st_mtime >= used)
			continue;
		used = st.st_mtime;
		(void)snprintf(oldest, sizeof oldest, "%s", entry->d_name);
	}
	if (count > KEPT_MAX)
		(void)unlinkat(dirfd(dir), oldest, 0);
	if (dir)
		(void)closedir(dir);
}

static void keep(const char *cache_dir, const char *path, struct slice bytes)
{
	struct err e = { 0 };
	int r = mkdir_p(cache_dir, 0700, &e);

	if (r == 0)
		r = file_replace_unsynced(path, bytes.ptr, bytes.len, 0600, &e);
	if (r < 0)
		log_line(LOG_DEBUG, "the lock is not kept: %s", e.msg);
	else
		make_room(cache_dir);
}

/* The cached lock of a project: named by what its own files say, so that all checkouts of one state
 * have one. *ret NULL: nothing can be kept. */
static int cache_path(const struct project *p, const char *cache_dir,
		      const struct npmlock_options *o, char **ret, struct err *e)
{
	char hex[HASH128_HEX_LEN + 1], *path;
	struct hash128 files;
	uint64_t key = 0;
	int r;

	*ret = NULL;
	if (!cache_dir)
		return 0;
	r = cache_key(cache_dir, &key);
	if (r < 0) {
		log_line(LOG_DEBUG, "%s: no lock is kept: %s", cache_dir, strerror(-r));
		return 0;
	}
	r = hash_project(p, o, key, &files, e);
	if (r < 0)
		return r;
	hash128_hex(files, hex);
	if (asprintf(&path, "%s/%s" KEPT_ENDING, cache_dir, hex) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = path;
	return 0;
}

static int derived_lock(const struct project *p, const char *cache_dir,
			const struct npmlock_options *o, struct lock **ret, bool *ret_derived,
			struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	auto_free char *path = NULL;
	struct lock *l = NULL;
	bool derived;
	int r = cache_path(p, cache_dir, o, &path, e);

	if (r == 0 && path)
		r = try_copy(p, path, o, &l, e);
	derived = r == 0 && !l;
	if (l)
		(void)utimensat(AT_FDCWD, path, NULL, 0); /* it is in use */
	if (derived)
		r = derive(p, o, &bytes, e);
	if (derived && r == 0)
		r = lock_open_copy(&l, (struct slice){ bytes.data, bytes.len }, e);
	if (r < 0)
		return r;
	if (derived && path)
		keep(cache_dir, path, (struct slice){ bytes.data, bytes.len });
	*ret = l;
	*ret_derived = derived;
	return 0;
}

int project_fresh(const struct project *p, const struct npmlock_options *o, struct lock **ret,
		  struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	auto_lock struct lock *l = NULL;
	int r = lock_open(&l, p->dirfd, PROJECT_LOCK, e);

	if (r == 0 && project_has_npm_lock(p)) {
		r = derive(p, o, &bytes, e);
		if (r == 0 && !slice_eq(lock_bytes(l), (struct slice){ bytes.data, bytes.len }))
			r = err_set(e, -ESTALE,
				    PROJECT_LOCK ": is not what %s gives now; make it anew with "
						 "`dx lock`",
				    p->lock_file);
	}
	if (r == 0)
		*ret = take(&l);
	return r;
}

static int no_lock(const struct project *p, struct err *e)
{
	auto_free char *root = NULL, *workspace = NULL;

	if (project_find(p->dir, &root, &workspace, NULL) == 0 && workspace)
		return err_set(e, -ENOENT,
			       "%.100s: is a workspace of %.100s, whose lock it shares, and whose "
			       "node_modules is the one to mount",
			       p->dir, root);
	return err_set(e, -ENOENT, "%.100s: there is no lock; make one with `dx lock`", p->dir);
}

int project_lock(const struct project *p, const char *cache_dir, const struct npmlock_options *o,
		 struct lock **ret, bool *ret_derived, struct err *e)
{
	int r;

	if (project_has_npm_lock(p))
		return derived_lock(p, cache_dir, o, ret, ret_derived, e);
	if (!p->lock_file)
		return no_lock(p, e);
	r = lock_open(ret, p->dirfd, PROJECT_LOCK, e);
	if (r == 0)
		*ret_derived = false;
	return r;
}

int project_check(const struct project *p, const struct lock *l, const struct npmlock_options *o,
		  struct err *e)
{
	auto_graph struct graph *g = NULL;
	int r = lock_graph(l, &g, e);

	if (r == 0)
		r = manifest_project(g, p->dirfd, e);
	if (r == 0)
		r = graph_edges(g, &o->graph, e);
	if (r == 0)
		r = graph_flags(g, e);
	return r == 0 ? graph_check(g, e) : r;
}

int project_fits(const struct project *p, const struct lock *l, const struct npmlock_options *o,
		 struct err *e)
{
	struct hash128 now;
	int r = fingerprint_of(p, l, o, &now, e);

	if (r < 0 || hash128_eq(now, lock_fingerprint(l)))
		return r;
	return project_check(p, l, o, e);
}

/* A repository may come with a symlink to any file of ours, and what a lock says comes from others,
 * too: only a DXL is written over through one. */
static int check_link(const struct project *p, struct err *e)
{
	char magic[sizeof DXL_MAGIC] = "";
	struct stat st;

	if (fstatat(p->dirfd, PROJECT_LOCK, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
		return 0;

	auto_close int fd = openat(p->dirfd, PROJECT_LOCK, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0 && file_pread_all(fd, magic, sizeof magic, 0) == 0 &&
	    memcmp(magic, DXL_MAGIC, sizeof magic) == 0)
		return 0;
	return err_set(e, -EPERM,
		       "%s/" PROJECT_LOCK " is a symlink to what is no " PROJECT_LOCK
		       ", which is left as it is; remove the symlink",
		       p->dir);
}

int project_put_dxl(const struct project *p, const struct buf *dxl, struct err *e)
{
	auto_free char *path = NULL;
	int r = check_link(p, e);

	if (r < 0)
		return r;
	if (asprintf(&path, "%s/" PROJECT_LOCK, p->dir) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return file_rewrite(path, dxl->data, dxl->len, e);
}

int project_write_lock(const struct project *p, const struct npmlock_options *o, struct lock **ret,
		       struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	auto_lock struct lock *l = NULL;
	int r;

	if (!project_has_npm_lock(p))
		return err_set(e, -ENOENT, "%.100s: there is no package-lock.json", p->dir);
	r = derive(p, o, &bytes, e);
	if (r == 0)
		r = lock_open_copy(&l, (struct slice){ bytes.data, bytes.len }, e);
	if (r == 0)
		r = project_put_dxl(p, &bytes, e);
	if (r == 0)
		*ret = take(&l);
	return r;
}
