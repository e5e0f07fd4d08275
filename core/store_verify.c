#include "core/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#define VERIFY_THREADS_MAX 64

/* ---- walking ---- */

#define WALK_BUFFER 16384 /* of one folder: some 300 blobs */

/* fn for each name of a folder. A store has as many folders as blobs: readdir(3) asks the kernel
 * two more questions for each. */
static int each_name(int at, const char *folder, int (*fn)(void *arg, int fd, const char *name),
		     void *arg)
{
	auto_close int fd = openat(at, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_Alignas(struct dirent64) char buf[WALK_BUFFER];
	int r = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (r == 0 && (n = getdents64(fd, buf, sizeof buf)) != 0) {
		if (n < 0)
			return -errno;
		for (ssize_t i = 0; r == 0 && i < n;) {
			const struct dirent64 *de = (const void *)(buf + i);

			r = fn(arg, fd, de->d_name);
			i += de->d_reclen;
		}
	}
	return r;
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

struct walk {
	walk_fn *fn;
	void *arg;
	char folder[8]; /* "ab", "ab/cd" */
};

static int walk_blob(void *arg, int fd, const char *name)
{
	const struct walk *w = arg;
	char path[80];

	(void)fd;
	if (!is_blob_name(name))
		return 0;
	(void)snprintf(path, sizeof path, "%s/%.63s", w->folder, name);
	return w->fn(w->arg, path, name);
}

static int walk_quarter(void *arg, int fd, const char *name)
{
	struct walk *w = arg;
	int r;

	if (!is_hex_pair(name))
		return 0;
	(void)snprintf(w->folder + 2, sizeof w->folder - 2, "/%.2s", name);
	r = each_name(fd, name, walk_blob, w);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int walk_half(void *arg, int fd, const char *name)
{
	struct walk *w = arg;
	int r;

	if (!is_hex_pair(name))
		return 0;
	(void)snprintf(w->folder, sizeof w->folder, "%.2s", name);
	r = each_name(fd, name, walk_quarter, w);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

int volume_walk(const struct volume *v, walk_fn *fn, void *arg, struct err *e)
{
	struct walk w = { .fn = fn, .arg = arg };
	int r = each_name(v->dir, ".", walk_half, &w);

	if (r < 0)
		return err_set(e, r, "cannot list the blobs of the store %s: %s", v->path,
			       strerror(-r));
	return r;
}

static int count_one(void *arg, int fd, const char *name)
{
	uint64_t *n = arg;

	(void)fd;
	*n += name[0] != '.';
	return 0;
}

int count_folder(int dir, const char *name, uint64_t *ret)
{
	uint64_t n = 0;
	int r = each_name(dir, name, count_one, &n);

	if (r < 0 && r != -ENOENT)
		return r;
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
	bool *sound;       /* by path: it was; each by the thread that has it; owned */
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
		if (hash128_eq(record_content(&rec), content) && !record_trusted(w->s, w->v, &rec))
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

static int verify_blob(struct verify *w, const char *path, bool *ret_sound, struct err *e)
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
		*ret_sound = true;
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
		int r = verify_blob(w, w->paths[i], &w->sound[i], &e);

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

static int by_content(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hash128));
}

/* The contents of the blobs that were found sound, sorted. */
static struct hash128 *sound_ones(const struct verify *w, size_t *ret_count)
{
	struct hash128 *list = malloc((w->count + 1) * sizeof *list);
	size_t n = 0;

	for (size_t i = 0; list && i < w->count; i++)
		if (w->sound[i] && path_content(w->paths[i], &list[n]))
			n++;
	if (list)
		qsort(list, n, sizeof *list, by_content);
	*ret_count = n;
	return list;
}

/* Records whose blob has gone: by hand, by quarantine, by a power cut. Only those that this run has
 * not seen are asked for; without memory to know them, all are. */
static int drop_orphans(struct verify *w, struct err *e)
{
	auto_free struct record *records = NULL;
	size_t count = 0, sound_count;
	auto_free struct hash128 *sound = sound_ones(w, &sound_count);
	int r = volume_records(w->s, w->v, &records, &count, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct hash128 content = record_content(&records[i]);
		struct digest key = record_key(&records[i]);
		char path[BLOB_PATH_LEN];
		struct stat st;

		if (sound && bsearch(&content, sound, sound_count, sizeof content, by_content))
			continue;
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
	w.sound = calloc(w.count + 1, sizeof *w.sound);
	if (r == 0 && !w.sound)
		r = err_set(e, -ENOMEM, "out of memory");
	if (r == 0)
		run_threads(&w, threads);
	(void)pthread_mutex_destroy(&w.mu);
	if (r == 0)
		r = drop_orphans(&w, e);
	free(w.paths);
	free(w.sound);
	if (r == 0 && w.first.code)
		r = err_set(e, w.first.code, "%s", w.first.msg);
	if (r == 0)
		*ret = w.result;
	return r;
}
