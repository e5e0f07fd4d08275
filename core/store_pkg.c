#include "core/store_priv.h"

#include <assert.h>
#include <time.h>

/* All but `dxp` and what identifies the blob is guarded by store.mu. */
struct pkg {
	struct store *store;
	struct volume *volume;
	struct dxp *dxp; /* owned */
	dev_t dev;       /* the file that was opened last; guarded by mu */
	ino_t ino;
	struct timespec ctime;
	int fd;           /* -1: closed for now */
	unsigned refs;    /* pkg_release; a package without any stays in the table */
	unsigned reading; /* reads under way: the descriptor must stay */
	bool gone;        /* out of the table: freed with its last reference */
	struct pkg *newer, *older;
};

/* ---- the table ---- */

static struct pkg removed; /* stands where one was, so that probing goes on */

static uint32_t slot_of(const struct store *s, const struct digest *key)
{
	uint32_t h;

	memcpy(&h, key->bytes, sizeof h);
	return h & (s->table_size - 1);
}

static struct pkg **table_find(const struct store *s, const struct digest *key)
{
	if (!s->table_size)
		return NULL;
	for (uint32_t i = slot_of(s, key); s->table[i]; i = (i + 1) & (s->table_size - 1))
		if (s->table[i] != &removed && digest_eq(meta_key(dxp_meta(s->table[i]->dxp)), key))
			return &s->table[i];
	return NULL;
}

static void table_put(struct store *s, struct pkg *p)
{
	uint32_t i = slot_of(s, meta_key(dxp_meta(p->dxp)));

	while (s->table[i])
		i = (i + 1) & (s->table_size - 1);
	s->table[i] = p;
	s->table_filled++;
}

/* Room for one more; what was removed is dropped on the way. */
static int table_reserve(struct store *s)
{
	uint32_t old_size = s->table_size, size = 64, live = 1;
	struct pkg **old = s->table, **table;

	if ((s->table_filled + 1) * 2 <= s->table_size)
		return 0;
	for (uint32_t i = 0; i < old_size; i++)
		live += old[i] && old[i] != &removed;
	while (size < live * 4)
		size *= 2;
	table = calloc(size, sizeof(struct pkg *));
	if (!table)
		return -ENOMEM;
	s->table = table;
	s->table_size = size;
	s->table_filled = 0;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i] && old[i] != &removed)
			table_put(s, old[i]);
	free(old);
	return 0;
}

/* ---- descriptors, the most recently used first ---- */

static void recent_remove(struct pkg *p)
{
	struct store *s = p->store;

	*(p->newer ? &p->newer->older : &s->recent) = p->older;
	*(p->older ? &p->older->newer : &s->oldest) = p->newer;
	p->newer = p->older = NULL;
}

static void recent_add(struct pkg *p)
{
	struct store *s = p->store;

	p->older = s->recent;
	*(s->recent ? &s->recent->newer : &s->oldest) = p;
	s->recent = p;
}

static void fd_close(struct pkg *p)
{
	if (p->fd < 0)
		return;
	recent_remove(p);
	(void)close(p->fd);
	p->fd = -1;
	p->store->open_count--;
}

/* More may be open while more are being read; those go when their reads end. */
static void evict(struct store *s)
{
	for (struct pkg *p = s->oldest, *next; p && s->open_count > s->open_max; p = next) {
		next = p->newer;
		if (p->reading == 0)
			fd_close(p);
	}
}

static void fd_install(struct pkg *p, int fd, const struct stat *st)
{
	p->fd = fd;
	p->dev = st->st_dev;
	p->ino = st->st_ino;
	p->ctime = st->st_ctim;
	p->store->open_count++;
	recent_add(p);
}

static void pkg_free(struct pkg *p)
{
	fd_close(p);
	dxp_close(p->dxp);
	free(p);
}

static void detach(struct pkg *p)
{
	struct pkg **at;

	if (p->gone)
		return;
	at = table_find(p->store, meta_key(dxp_meta(p->dxp)));
	if (at && *at == p)
		*at = &removed;
	p->gone = true;
}

void packages_release(struct store *s)
{
	for (uint32_t i = 0; i < s->table_size; i++) {
		if (!s->table[i] || s->table[i] == &removed)
			continue;
		assert(s->table[i]->refs == 0);
		pkg_free(s->table[i]);
	}
	free(s->table);
}

/* ---- getting one ---- */

static int check_blob(struct store *s, const struct volume *v, const struct record *rec,
		      const struct digest *key, int fd, const struct stat *st, struct dxp **ret,
		      struct err *e)
{
	struct hash128 content = record_content(rec);
	struct dxp *p;
	int r;

	if ((uint64_t)st->st_size != le64toh(rec->size))
		return err_set(e, -EBADMSG, "a blob of %lld bytes, its record says %llu",
			       (long long)st->st_size, (unsigned long long)le64toh(rec->size));
	r = record_trusted(s, v, rec) ? dxp_open(&p, fd, e) : dxp_open_verified(&p, fd, content, e);
	if (r < 0)
		return r;
	if (!hash128_eq(dxp_content(p), content))
		r = err_set(e, -EBADMSG,
			    "the blob's header has another content hash than its name");
	else if (!digest_eq(meta_key(dxp_meta(p)), key))
		r = err_set(e, -EBADMSG, "the blob is of another package (%s %s)",
			    dxp_meta(p)->name, dxp_meta(p)->version);
	if (r < 0) {
		dxp_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

static int wrap_quarantined(struct hash128 content, struct err *e)
{
	char hex[HASH128_HEX_LEN + 1];

	hash128_hex(content, hex);
	return err_wrap(e, -EBADMSG, "blob %s was bad and is in quarantine", hex);
}

/* From one volume, not yet in the table. */
static int load(struct store *s, struct volume *v, const struct digest *key, struct pkg **ret,
		struct err *e)
{
	auto_close int fd = -1;
	uint32_t slot, now_h = (uint32_t)(time(NULL) / 3600);
	struct hash128 content;
	struct record rec;
	struct stat st;
	struct pkg *p;
	int r;

	if (volume_find(s, v, key, &rec, &slot) <= 0)
		return -ENOENT;
	content = record_content(&rec);
	if (volume_bad(s, v, content))
		return -ENOENT;
	r = blob_open(v, content, &fd, &st, e);
	if (r == -ENOENT)
		volume_forget(s, v, key, content);
	if (r < 0)
		return r;
	p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	r = check_blob(s, v, &rec, key, fd, &st, &p->dxp, e);
	if (r < 0) {
		free(p);
		if (r != -EBADMSG)
			return err_wrap(e, r, "store %s", v->path);
		volume_quarantine(s, v, content, key, &st);
		return wrap_quarantined(content, e);
	}
	if (!record_trusted(s, v, &rec))
		volume_mark(s, v, key, content);
	if (!v->read_only && le32toh(rec.used_h) < now_h)
		volume_touch(s, v, key, now_h);
	p->store = s;
	p->volume = v;
	p->fd = -1;
	pthread_mutex_lock(&s->mu);
	s->opens++;
	fd_install(p, fd, &st);
	pthread_mutex_unlock(&s->mu);
	fd = -1;
	*ret = p;
	return 0;
}

/* Into the table, unless another thread was quicker: then that one is used. */
static int publish(struct store *s, struct pkg *fresh, const struct digest *key, struct pkg **ret,
		   struct err *e)
{
	struct pkg **have, *p = fresh;
	int r = 0;

	pthread_mutex_lock(&s->mu);
	have = table_find(s, key);
	if (have) {
		p = *have;
		pkg_free(fresh);
	} else {
		r = table_reserve(s);
		if (r == 0)
			table_put(s, fresh);
		else
			pkg_free(fresh);
	}
	if (r == 0) {
		p->refs++;
		s->hits++;
		evict(s);
	}
	pthread_mutex_unlock(&s->mu);
	if (r < 0)
		return err_set(e, r, "out of memory");
	*ret = p;
	return 0;
}

int store_get(struct store *s, const struct digest *key, struct pkg **ret, struct err *e)
{
	struct pkg **have, *p = NULL;
	struct err bad = { 0 };
	int r;

	pthread_mutex_lock(&s->mu);
	have = table_find(s, key);
	if (have) {
		p = *have;
		p->refs++;
		s->hits++;
	}
	pthread_mutex_unlock(&s->mu);
	if (p) {
		*ret = p;
		return 0;
	}
	/* A store that cannot give it does not keep the next from doing so. */
	for (size_t i = 0; i < s->volume_count; i++) {
		struct err why = { 0 };

		r = load(s, &s->volumes[i], key, &p, &why);
		if (r == 0)
			return publish(s, p, key, ret, e);
		if (r != -ENOENT && !bad.code)
			bad = why;
	}
	if (bad.code)
		return err_set(e, bad.code, "%s", bad.msg);

	char text[DIGEST_TEXT_MAX];

	pthread_mutex_lock(&s->mu);
	s->misses++;
	pthread_mutex_unlock(&s->mu);
	digest_format(key, text);
	return err_set(e, -ENOENT, "%s is not in the store", text);
}

void pkg_release(struct pkg *p)
{
	struct store *s;

	if (!p)
		return;
	s = p->store;
	pthread_mutex_lock(&s->mu);
	assert(p->refs > 0);
	p->refs--;
	if (p->gone && p->refs == 0)
		pkg_free(p);
	pthread_mutex_unlock(&s->mu);
}

const struct dxp *pkg_dxp(const struct pkg *p)
{
	return p->dxp;
}

/* ---- reading ---- */

static bool same_file(const struct pkg *p, const struct stat *st)
{
	return p->dev == st->st_dev && p->ino == st->st_ino &&
	       p->ctime.tv_sec == st->st_ctim.tv_sec && p->ctime.tv_nsec == st->st_ctim.tv_nsec;
}

/* Opens the blob again. Another file in its place must prove each of its files anew. */
static int reopen(struct pkg *p, struct err *e)
{
	struct store *s = p->store;
	struct stat st;
	int fd, r = blob_open(p->volume, dxp_content(p->dxp), &fd, &st, e);

	pthread_mutex_lock(&s->mu);
	if (r == 0) {
		s->opens++;
		if (!same_file(p, &st))
			dxp_forget(p->dxp);
		if (p->fd < 0)
			fd_install(p, fd, &st);
		else
			(void)close(fd);
	} else if (r == -ENOENT) {
		detach(p);
	}
	pthread_mutex_unlock(&s->mu);
	if (r == -ENOENT)
		return err_set(e, r, "%s %s: its blob has been removed from the store",
			       dxp_meta(p->dxp)->name, dxp_meta(p->dxp)->version);
	return r;
}

/* The descriptor, pinned until unpin(). */
static int pin(struct pkg *p, struct err *e)
{
	struct store *s = p->store;

	for (;;) {
		int fd, r;

		pthread_mutex_lock(&s->mu);
		fd = p->fd;
		if (fd >= 0) {
			p->reading++;
			if (s->recent != p) {
				recent_remove(p);
				recent_add(p);
			}
			evict(s);
		}
		pthread_mutex_unlock(&s->mu);
		if (fd >= 0)
			return fd;
		r = reopen(p, e);
		if (r < 0)
			return r;
	}
}

static void unpin(struct pkg *p, bool bad, struct stat *ret_st)
{
	struct store *s = p->store;

	pthread_mutex_lock(&s->mu);
	p->reading--;
	if (bad) {
		*ret_st = (struct stat){ .st_dev = p->dev, .st_ino = p->ino };
		detach(p);
	}
	if (s->open_count > s->open_max)
		evict(s);
	pthread_mutex_unlock(&s->mu);
}

ssize_t pkg_read(struct pkg *p, uint32_t entry, enum dxp_form form, void *buf, size_t n,
		 uint64_t off, struct err *e)
{
	struct hash128 content = dxp_content(p->dxp);
	struct stat st;
	ssize_t got;
	int fd = pin(p, e);

	if (fd < 0)
		return fd;
	got = dxp_read(p->dxp, fd, entry, form, buf, n, off, e);
	unpin(p, got == -EBADMSG, &st);
	if (got == -EBADMSG) {
		volume_quarantine(p->store, p->volume, content, meta_key(dxp_meta(p->dxp)), &st);
		return wrap_quarantined(content, e);
	}
	return got;
}
