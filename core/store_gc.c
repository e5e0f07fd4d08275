#include "core/clock.h"
#include "core/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

/* Blobs removed while the lock is held once: a few milliseconds, for which puts wait. */
#define GC_BATCH 64

struct gc {
	struct store *s;
	struct volume *v;
	const struct store_gc_options *o;
	void (*fn)(void *arg, const struct store_item *gone);
	void *arg;
	struct keyset keep;     /* owned */
	struct record *records; /* owned; candidates first */
	struct hash128 *known;  /* sorted: the blobs that have a record; owned */
	size_t count;
	struct hash128 *orphans; /* old blobs without a record; owned */
	size_t orphan_count, orphan_cap;
	time_t now;
	struct store_gc_result result;
};

static void gc_release(struct gc *g)
{
	keyset_release(&g->keep);
	free(g->records);
	free(g->known);
	free(g->orphans);
}

/* Time since the blob was put or last used, whichever is less. */
static bool is_young(const struct gc *g, const struct stat *st, uint32_t used_h)
{
	time_t last = st->st_mtime, used = (time_t)used_h * 3600;

	if (used > last)
		last = used;
	return last + (time_t)g->o->grace_s > g->now;
}

static int hash_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hash128));
}

/* `item`: with the names, if the blob could still say them. */
static void report(struct gc *g, const struct record *rec, struct store_item *item)
{
	g->result.removed++;
	g->result.removed_bytes += item->size;
	if (!g->fn)
		return;
	if (rec) {
		item->key = record_key(rec);
		item->used_s = (int64_t)le32toh(rec->used_h) * 3600;
		item->synced = rec->flags & RECORD_SYNCED;
		item->unpinned = rec->flags & RECORD_UNPINNED;
	}
	g->fn(g->arg, item);
}

/* What the blob's header says, while it is there. */
static void read_names(const struct gc *g, struct hash128 content, struct store_item *ret)
{
	auto_close int fd = -1;
	struct stat st;
	struct dxp *p;

	if (!g->fn || blob_open(g->v, content, &fd, &st, NULL) < 0 || dxp_open(&p, fd, NULL) < 0)
		return;
	(void)snprintf(ret->name, sizeof ret->name, "%s", dxp_meta(p)->name);
	(void)snprintf(ret->version, sizeof ret->version, "%s", dxp_meta(p)->version);
	dxp_close(p);
}

/* The record first: without its blob it would send readers to nothing. `listed` is as it was
 * before the lock was let go. Whether it went. */
static int remove_record(struct gc *g, const struct record *listed, bool *ret_gone,
			 struct store_item *ret, struct err *e)
{
	struct digest key = record_key(listed);
	struct hash128 content = record_content(listed);
	char path[BLOB_PATH_LEN];
	struct record rec;
	struct stat st;
	uint32_t slot;
	bool there;
	int r;

	*ret_gone = false;
	blob_path(content, path);
	there = fstatat(g->v->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (keyset_has(&g->keep, &key) || index_find(&g->v->ix, &key, &rec, &slot) <= 0 ||
	    !hash128_eq(record_content(&rec), content) ||
	    (there && is_young(g, &st, le32toh(rec.used_h))))
		return 0;
	*ret_gone = true;
	*ret = (struct store_item){ .content = content, .size = le64toh(rec.size) };
	if (there)
		read_names(g, content, ret);
	if (g->o->dry_run)
		return 0;
	r = index_kill(&g->v->ix, slot);
	if (r == 0 && there && unlinkat(g->v->dir, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r < 0)
		return err_set(e, r, "cannot remove %s/%s: %s", g->v->path, path, strerror(-r));
	return 0;
}

static int roots_now(struct gc *g, struct err *e)
{
	keyset_release(&g->keep);
	return roots_read(g->s, g->o, &g->keep, e);
}

/* Between two batches others may put, and name in their roots what is here: so the roots are
 * read again for each. fn is called when the lock is free again. */
static int batch(struct gc *g, size_t from, size_t n, struct err *e)
{
	auto_free struct store_item *items = malloc(GC_BATCH * sizeof *items);
	bool gone[GC_BATCH] = { false };
	int r;

	if (!items)
		return err_set(e, -ENOMEM, "out of memory");
	{
		auto_unlock int lock = -1;

		r = volume_lock(g->s, g->v, &lock, e);
		if (r == 0)
			r = roots_now(g, e);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = remove_record(g, &g->records[from + i], &gone[i], &items[i], e);
	}
	for (size_t i = 0; i < n; i++) {
		const struct record *rec = &g->records[from + i];

		if (gone[i])
			report(g, rec, &items[i]);
		else
			g->result.kept++;
	}
	return r;
}

static int collect_orphan(void *arg, const char *path, const char *name)
{
	struct gc *g = arg;
	struct hash128 content;
	struct stat st;

	(void)name;
	if (!path_content(path, &content) ||
	    bsearch(&content, g->known, g->count, sizeof content, hash_order) ||
	    fstatat(g->v->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_young(g, &st, 0))
		return 0;
	if (g->orphan_count == g->orphan_cap) {
		size_t cap = g->orphan_cap ? 2 * g->orphan_cap : 64;
		struct hash128 *more = realloc(g->orphans, cap * sizeof *more);

		if (!more)
			return -ENOMEM;
		g->orphans = more;
		g->orphan_cap = cap;
	}
	g->orphans[g->orphan_count++] = content;
	return 0;
}

/* Under the lock: has anything come to name this blob since it was listed? Its header says
 * under which key that would be. */
static bool has_record(const struct gc *g, struct hash128 content)
{
	auto_close int fd = -1;
	struct record rec;
	struct stat st;
	struct dxp *p;
	uint32_t slot;
	bool has;

	if (blob_open(g->v, content, &fd, &st, NULL) < 0 || dxp_open(&p, fd, NULL) < 0)
		return false;
	has = index_find(&g->v->ix, meta_key(dxp_meta(p)), &rec, &slot) > 0 &&
	      hash128_eq(record_content(&rec), content);
	dxp_close(p);
	return has;
}

static int remove_orphans(struct gc *g, struct err *e)
{
	for (size_t i = 0; i < g->orphan_count; i++) {
		auto_unlock int lock = -1;
		struct store_item item = { .content = g->orphans[i] };
		char path[BLOB_PATH_LEN];
		struct stat st;
		int r = volume_lock(g->s, g->v, &lock, e);

		if (r < 0)
			return r;
		blob_path(g->orphans[i], path);
		if (fstatat(g->v->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    has_record(g, g->orphans[i]))
			continue;
		read_names(g, g->orphans[i], &item);
		if (!g->o->dry_run && unlinkat(g->v->dir, path, 0) < 0 && errno != ENOENT)
			return err_set(e, -errno, "cannot remove %s/%s: %s", g->v->path, path,
				       strerror(errno));
		volume_unlock(&lock);
		item.size = (uint64_t)st.st_size;
		report(g, NULL, &item);
	}
	return 0;
}

/* What was moved away is looked at by somebody soon, or never. */
static void clean_quarantine(const struct gc *g)
{
	int fd = openat(g->v->dir, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	if (!d) {
		closep(&fd);
		return;
	}
	for (struct dirent *de; (de = readdir(d));)
		if (de->d_name[0] != '.' &&
		    fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ctime + (time_t)g->o->root_age_s <= g->now)
			(void)unlinkat(fd, de->d_name, 0);
	closedir(d);
}

static int gc_run(struct gc *g, struct err *e)
{
	int r = volume_records(g->s, g->v, &g->records, &g->count, e);

	if (r < 0)
		return r;
	g->known = calloc(g->count + 1, sizeof *g->known);
	if (!g->known)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < g->count; i++)
		g->known[i] = record_content(&g->records[i]);
	qsort(g->known, g->count, sizeof *g->known, hash_order);
	r = volume_walk(g->v, collect_orphan, g, e);
	for (size_t i = 0; r == 0 && i < g->count; i += GC_BATCH)
		r = batch(g, i, g->count - i < GC_BATCH ? g->count - i : GC_BATCH, e);
	if (r == 0)
		r = remove_orphans(g, e);
	if (r == 0 && !g->o->dry_run)
		clean_quarantine(g);
	return r;
}

int store_gc(struct store *s, const struct store_gc_options *o,
	     void (*fn)(void *arg, const struct store_item *gone), void *arg,
	     struct store_gc_result *ret, struct err *e)
{
	cleanup(gc_release) struct gc g = {
		.s = s, .v = &s->volumes[0], .o = o, .fn = fn, .arg = arg, .now = wall_s()
	};
	int r;

	if (g.v->read_only)
		return err_set(e, -EROFS, "the store %s is read-only here", g.v->path);
	r = gc_run(&g, e);
	if (r == 0)
		*ret = g.result;
	return r;
}
