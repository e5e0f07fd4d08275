#include "core/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#define VERIFY_THREADS_MAX 64

/* ---- walking ---- */

static int list_folder(int at, const char *name, DIR **ret)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		int r = -errno;

		closep(&fd);
		return r;
	}
	*ret = d;
	return 0;
}

static bool is_hex_pair(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static bool is_blob_name(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && n < 64 && strcmp(name + n - 4, ".dxp") == 0;
}

typedef int walk_fn(void *arg, const char *path, const char *name);

static int walk_files(int at, const char *folder, walk_fn *fn, void *arg)
{
	DIR *d = NULL;
	int r = list_folder(at, folder, &d);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	for (struct dirent *de; r == 0 && (de = readdir(d));) {
		char path[80];

		if (!is_blob_name(de->d_name))
			continue;
		(void)snprintf(path, sizeof path, "%s/%.63s", folder, de->d_name);
		r = fn(arg, path, de->d_name);
	}
	closedir(d);
	return r;
}

static int walk_half(int at, const char *half, walk_fn *fn, void *arg)
{
	DIR *d = NULL;
	int r = list_folder(at, half, &d);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	for (struct dirent *de; r == 0 && (de = readdir(d));) {
		char path[8];

		if (!is_hex_pair(de->d_name))
			continue;
		(void)snprintf(path, sizeof path, "%.2s/%.2s", half, de->d_name);
		r = walk_files(at, path, fn, arg);
	}
	closedir(d);
	return r;
}

int volume_walk(const struct volume *v, walk_fn *fn, void *arg, struct err *e)
{
	DIR *d = NULL;
	int r = list_folder(v->dir, ".", &d);

	if (r < 0)
		return err_set(e, r, "cannot list the store %s: %s", v->path, strerror(-r));
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (is_hex_pair(de->d_name))
			r = walk_half(v->dir, de->d_name, fn, arg);
	closedir(d);
	if (r < 0)
		return err_set(e, r, "cannot list the blobs of the store %s: %s", v->path,
			       strerror(-r));
	return r;
}

int count_folder(int dir, const char *name, uint64_t *ret)
{
	uint64_t n = 0;
	DIR *d = NULL;
	int r = list_folder(dir, name, &d);

	if (r < 0)
		return r == -ENOENT ? (*ret = 0, 0) : r;
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	closedir(d);
	*ret = n;
	return 0;
}

bool path_content(const char *path, struct hash128 *ret)
{
	char right[BLOB_PATH_LEN];

	if (strlen(path) < 6 + HASH128_HEX_LEN ||
	    hash128_from_hex(ret, (struct slice){ (const uint8_t *)path + 6, HASH128_HEX_LEN }) < 0)
		return false;
	blob_path(*ret, right);
	return strcmp(path, right) == 0;
}

/* ---- records from blobs ---- */

struct salvage {
	const struct volume *v;
	struct record *records; /* owned */
	size_t count, cap;
};

static int salvage_add(struct salvage *s, const struct record *rec)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct record *more = realloc(s->records, cap * sizeof *more);

		if (!more)
			return -ENOMEM;
		s->records = more;
		s->cap = cap;
	}
	s->records[s->count++] = *rec;
	return 0;
}

/* A record of no boot: whoever uses the blob verifies it first. What cannot be opened is left
 * to store_verify. */
static int salvage_blob(void *arg, const char *path, const char *name)
{
	static const uint8_t no_boot[16];
	struct salvage *s = arg;
	auto_close int fd = -1;
	struct hash128 content;
	struct record rec;
	struct stat st;
	struct dxp *p;
	int r;

	(void)name;
	if (!path_content(path, &content) || blob_open(s->v, content, &fd, &st, NULL) < 0)
		return 0;
	r = dxp_open(&p, fd, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	rec = record_make(meta_key(dxp_meta(p)), content, dxp_size(p), no_boot, 0);
	rec.used_h = htole32((uint32_t)(st.st_mtime / 3600));
	r = rec.alg != DIGEST_NONE && hash128_eq(dxp_content(p), content);
	dxp_close(p);
	return r ? salvage_add(s, &rec) : 0;
}

int volume_salvage(const struct volume *v, struct record **ret, size_t *ret_count, struct err *e)
{
	struct salvage s = { .v = v };
	int r = volume_walk(v, salvage_blob, &s, e);

	if (r < 0) {
		free(s.records);
		return r;
	}
	*ret = s.records;
	*ret_count = s.count;
	return 0;
}

/* ---- verifying ---- */

struct verify {
	struct store *s;
	struct volume *v;
	char (*paths)[80]; /* owned */
	size_t count, cap;
	_Atomic size_t next;

	pthread_mutex_t mu; /* guards what follows; held while fn is called */
	void (*fn)(void *arg, const char *blob, const char *what);
	void *arg;
	struct store_verify_result result;
	struct err first; /* of what kept a blob from being checked */
};

static int collect(void *arg, const char *path, const char *name)
{
	struct verify *w = arg;

	(void)name;
	if (w->count == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 256;
		void *more = realloc(w->paths, cap * sizeof *w->paths);

		if (!more)
			return -ENOMEM;
		w->paths = more;
		w->cap = cap;
	}
	(void)snprintf(w->paths[w->count++], sizeof *w->paths, "%s", path);
	return 0;
}

static void report_bad(struct verify *w, const char *path, const char *what)
{
	pthread_mutex_lock(&w->mu);
	w->result.bad++;
	if (w->fn)
		w->fn(w->arg, path, what);
	pthread_mutex_unlock(&w->mu);
}

/* A file whose name is no blob's, or that may not be opened: moved as it stands. */
static void move_stray(struct verify *w, const char *path)
{
	char name[17], to[40];

	if (w->v->read_only)
		return;
	unique_name(name);
	(void)snprintf(to, sizeof to, "quarantine/stray.%s", name);
	(void)renameat(w->v->dir, path, w->v->dir, to);
}

/* A blob that is sound: its record is made or marked. */
static int adopt(struct verify *w, struct hash128 content, const struct dxp *p, struct err *e)
{
	const struct digest *key = meta_key(dxp_meta(p));
	auto_unlock int lock = -1;
	struct record rec;
	uint32_t slot;
	int r;

	if (w->v->read_only || key->alg == DIGEST_NONE)
		return 0;
	if (volume_find(w->s, w->v, key, &rec, &slot) > 0) {
		if (hash128_eq(record_content(&rec), content) && !record_trusted(w->s, &rec))
			volume_mark(w->s, w->v, key, content);
		return 0;
	}
	r = volume_lock(w->s, w->v, &lock, e);
	if (r < 0 || index_find(&w->v->ix, key, &rec, &slot) > 0)
		return r;

	char path[BLOB_PATH_LEN];
	struct stat st;

	blob_path(content, path);
	if (fstatat(w->v->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gc was here */
	rec = record_make(key, content, dxp_size(p), w->s->boot, 0);
	rec.used_h = htole32((uint32_t)(st.st_mtime / 3600));
	return volume_record(w->s, w->v, &rec, e);
}

static int verify_blob(struct verify *w, const char *path, struct err *e)
{
	auto_close int fd = -1;
	struct hash128 content;
	struct dxp *p = NULL;
	struct stat st;
	int r;

	if (!path_content(path, &content)) {
		report_bad(w, path, "not a blob's name");
		move_stray(w, path);
		return 0;
	}
	r = blob_open(w->v, content, &fd, &st, e);
	if (r == -ENOENT)
		return 0; /* gc was here */
	if (r == -EPERM) {
		report_bad(w, path, e->msg);
		move_stray(w, path);
		return 0;
	}
	if (r == 0)
		r = dxp_open_verified(&p, fd, content, e);
	if (r == -EBADMSG) {
		volume_quarantine(w->s, w->v, content, NULL, &st);
		report_bad(w, path, e->msg);
		return 0;
	}
	if (r == 0) {
		pthread_mutex_lock(&w->mu);
		w->result.blobs++;
		w->result.bytes += dxp_size(p);
		pthread_mutex_unlock(&w->mu);
		r = adopt(w, content, p, e);
	}
	dxp_close(p);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

static void *verify_some(void *arg)
{
	struct verify *w = arg;
	size_t i;

	while ((i = atomic_fetch_add(&w->next, 1)) < w->count) {
		struct err e = { 0 };
		int r = verify_blob(w, w->paths[i], &e);

		if (r == 0)
			continue;
		pthread_mutex_lock(&w->mu);
		if (!w->first.code) {
			w->first = e;
			w->first.code = r;
		}
		pthread_mutex_unlock(&w->mu);
	}
	return NULL;
}

/* Records whose blob has gone: by hand, by quarantine, by a power cut. */
static int drop_orphans(struct verify *w, struct err *e)
{
	auto_free struct record *records = NULL;
	size_t count = 0;
	int r = volume_records(w->s, w->v, &records, &count, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct hash128 content = record_content(&records[i]);
		struct digest key = record_key(&records[i]);
		char path[BLOB_PATH_LEN];
		struct stat st;

		blob_path(content, path);
		if (fstatat(w->v->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			continue;
		volume_forget(w->s, w->v, &key, content);
	}
	return r;
}

static void run_threads(struct verify *w, unsigned n)
{
	pthread_t threads[VERIFY_THREADS_MAX];
	unsigned started = 0;

	n = n < VERIFY_THREADS_MAX ? n : VERIFY_THREADS_MAX;
	while (started + 1 < n && pthread_create(&threads[started], NULL, verify_some, w) == 0)
		started++;
	(void)verify_some(w); /* this thread works too, and alone if it must */
	while (started > 0)
		(void)pthread_join(threads[--started], NULL);
}

int store_verify(struct store *s, unsigned threads,
		 void (*fn)(void *arg, const char *blob, const char *what), void *arg,
		 struct store_verify_result *ret, struct err *e)
{
	struct verify w = { .s = s, .v = &s->volumes[0], .fn = fn, .arg = arg };
	int r;

	(void)pthread_mutex_init(&w.mu, NULL);
	r = volume_walk(w.v, collect, &w, e);
	if (r == 0)
		run_threads(&w, threads);
	free(w.paths);
	(void)pthread_mutex_destroy(&w.mu);
	if (r == 0)
		r = drop_orphans(&w, e);
	if (r == 0 && w.first.code)
		r = err_set(e, w.first.code, "%s", w.first.msg);
	if (r == 0)
		*ret = w.result;
	return r;
}
