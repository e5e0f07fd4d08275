#include "core/store_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static int check_key(const struct dxp_meta *meta, unsigned flags, struct err *e)
{
	const struct digest *key = meta_key(meta);
	bool unpinned = flags & STORE_PUT_UNPINNED;

	if (key->alg == DIGEST_NONE || unpinned != (key->alg == DIGEST_UNPINNED))
		return err_set(e, -EINVAL, "%s %s: a package needs a digest as its key", meta->name,
			       meta->version);
	return 0;
}

/* What is being put: the blob under its temporary name, and what it will be called. */
struct fresh {
	struct tmp *tmp;
	const struct dxp_meta *meta;
	struct hash128 content;
	uint64_t size;
	bool has_stale; /* stands under the key, and was found bad or missing */
	struct hash128 stale;
};

static int conflict(const struct fresh *f, struct hash128 have, struct err *e)
{
	char old_hex[HASH128_HEX_LEN + 1], new_hex[HASH128_HEX_LEN + 1], key[DIGEST_TEXT_MAX];

	hash128_hex(have, old_hex);
	hash128_hex(f->content, new_hex);
	digest_format(meta_key(f->meta), key);
	return err_set(e, -EEXIST,
		       "%s %s (%s): the store has other files under this digest: blob %s there, %s "
		       "new; refused",
		       f->meta->name, f->meta->version, key, old_hex, new_hex);
}

/* 1: the same files; they may come under another name of the package. */
static int compare(const struct fresh *f, int old_fd, struct hash128 old, struct err *e)
{
	struct dxp *a = NULL, *b = NULL;
	int r;

	if (hash128_eq(old, f->content))
		return 1;
	r = dxp_open(&a, old_fd, e);
	if (r == 0)
		r = dxp_open(&b, f->tmp->fd, e);
	if (r == 0)
		r = dxp_same_files(a, b) ? 1 : conflict(f, old, e);
	dxp_close(a);
	dxp_close(b);
	return r;
}

/* What stands under the key now, checked in full. 1: it is as good as the new one; 0: nothing
 * stands there (any more); -EEXIST: something else does. */
static int check_existing(struct store *s, struct volume *v, struct fresh *f, struct err *e)
{
	const struct digest *key = meta_key(f->meta);
	auto_close int fd = -1;
	struct hash128 old;
	struct record rec;
	struct stat st;
	uint32_t slot;
	int r;

	if (volume_find(s, v, key, &rec, &slot) <= 0)
		return 0;
	old = record_content(&rec);
	f->has_stale = true; /* if nothing better is said below */
	f->stale = old;
	r = blob_open(v, old, &fd, &st, e);
	if (r == -ENOENT) {
		volume_forget(s, v, key, old);
		return 0;
	}
	if (r == 0)
		r = dxp_verify(fd, old, e);
	if (r == -EBADMSG) {
		volume_quarantine(s, v, old, key, &st);
		return 0;
	}
	if (r < 0)
		return r;
	volume_mark(s, v, key, old);
	volume_touch(s, v, key, (uint32_t)(time(NULL) / 3600));
	return compare(f, fd, old, e);
}

static int place(const struct fresh *f, int dir)
{
	char path[BLOB_PATH_LEN], folder[BLOB_PATH_LEN];
	int r;

	blob_path(f->content, path);
	r = tmp_commit(f->tmp, path);
	if (r != -ENOENT)
		return r;
	(void)snprintf(folder, sizeof folder, "%.2s", path);
	if (mkdirat(dir, folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	(void)snprintf(folder, sizeof folder, "%.5s", path);
	if (mkdirat(dir, folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	return tmp_commit(f->tmp, path);
}

/* The folders that place() made, if nothing else has come into them. */
static void remove_folders(const struct fresh *f, int dir)
{
	char path[BLOB_PATH_LEN];

	blob_path(f->content, path);
	path[5] = '\0';
	(void)unlinkat(dir, path, AT_REMOVEDIR);
	path[2] = '\0';
	(void)unlinkat(dir, path, AT_REMOVEDIR);
}

static void unplace(const struct fresh *f, int dir)
{
	char path[BLOB_PATH_LEN];

	blob_path(f->content, path);
	(void)unlinkat(dir, path, 0);
	remove_folders(f, dir);
}

/* Rename and record. -EAGAIN: another process has put something under the key meanwhile. A
 * blob without a record that stands in the place is written over: nobody has checked it. */
static int commit(struct store *s, struct volume *v, const struct fresh *f, struct err *e)
{
	const struct digest *key = meta_key(f->meta);
	struct record have, rec = record_make(key, f->content, f->size, s->boot, 0);
	auto_unlock int lock = -1;
	uint32_t slot;
	int r = volume_lock(s, v, &lock, e);

	if (r < 0)
		return r;
	if (index_find(&v->ix, key, &have, &slot) > 0 &&
	    !(f->has_stale && hash128_eq(f->stale, record_content(&have))))
		return -EAGAIN;
	rec.used_h = htole32((uint32_t)(time(NULL) / 3600));
	r = place(f, v->dir);
	if (r < 0) {
		remove_folders(f, v->dir);
		return err_set(e, r, "cannot put %s %s into the store %s: %s", f->meta->name,
			       f->meta->version, v->path, strerror(-r));
	}
	r = volume_record(s, v, &rec, e);
	if (r < 0)
		unplace(f, v->dir);
	else
		volume_good(s, v, f->content);
	return r;
}

int store_put(struct store *s, const struct dxp_meta *meta, const struct dxp_file *files,
	      size_t count, unsigned flags, bool *ret_existed, struct err *e)
{
	struct volume *v = &s->volumes[0];
	auto_tmp struct tmp t = TMP_NONE;
	struct fresh f = { .tmp = &t, .meta = meta };
	struct stat st;
	int r = check_key(meta, flags, e);

	if (r < 0)
		return r;
	if (v->read_only)
		return err_set(e, -EROFS, "the store %s is read-only here", v->path);
	r = tmp_open(&t, v->dir, e);
	if (r == 0)
		r = dxp_write(t.fd, meta, files, count, &f.content, e);
	if (r < 0)
		return err_wrap(e, r, "%s %s", meta->name, meta->version);
	if (fchmod(t.fd, 0444) < 0 || fstat(t.fd, &st) < 0)
		return err_set(e, -errno, "cannot put %s %s into the store: %s", meta->name,
			       meta->version, strerror(errno));
	f.size = (uint64_t)st.st_size;
	do {
		r = check_existing(s, v, &f, e);
		if (r != 0)
			break;
		r = commit(s, v, &f, e);
	} while (r == -EAGAIN);
	if (r < 0)
		return r;
	*ret_existed = r == 1;
	return 0;
}
