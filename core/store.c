#include "core/file.h"
#include "core/store_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

char *store_default_dir(void)
{
	const char *own = getenv("DX_STORE"), *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	char *ret = NULL;
	int n;

	if (own && *own)
		return strdup(own);
	if (data && *data == '/') /* the XDG specification: relative ones are invalid */
		n = asprintf(&ret, "%s/dx/store", data);
	else if (home && *home)
		n = asprintf(&ret, "%s/.local/share/dx/store", home);
	else
		return NULL;
	return n < 0 ? NULL : ret;
}

/* ---- opening ---- */

static void boot_id(uint8_t ret[16])
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	struct hash128 h;

	if (n <= 0)
		return; /* all zero: no record counts as of this boot */
	h = hash128(text, (size_t)n);
	memcpy(ret, h.b, 16);
}

static void volume_release(struct volume *v)
{
	index_close(&v->ix);
	free(v->bad);
	free(v->path);
	closep(&v->dir);
}

static int make_folders(const struct volume *v, struct err *e)
{
	static const char *const names[] = { "tmp", "quarantine", "roots" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (mkdirat(v->dir, names[i], 0755) < 0 && errno != EEXIST)
			return err_set(e, -errno, "cannot make a folder in the store %s: %s",
				       v->path, strerror(errno));
	return 0;
}

static int open_dir(struct volume *v, bool behind, struct err *e)
{
	struct stat st;

	if (!v->read_only) {
		int r = mkdir_p(v->path, 0755, e);

		if (r < 0)
			return r;
	}
	v->dir = open(v->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dir < 0 || fstat(v->dir, &st) < 0)
		return err_set(e, -errno, "cannot open the store %s: %s", v->path, strerror(errno));
	if (faccessat(v->dir, ".", W_OK, AT_EACCESS) < 0 && (errno == EROFS || errno == EACCES))
		v->read_only = true;
	if (behind && st.st_uid != 0)
		v->owner = st.st_uid;
	if (v->owner == geteuid() && st.st_uid != v->owner && st.st_uid != 0)
		return err_set(e, -EPERM,
			       "it belongs to user %u, neither you nor root: not trusted; if you "
			       "trust that user, give it with --store-behind or DX_STORE_BEHIND",
			       (unsigned)st.st_uid);
	return owner_check(&st, v->owner, v->path, e);
}

static bool index_lost(int r)
{
	return r == -ENOENT || r == -EBADMSG;
}

/* Makes the index from the blobs; under the lock, unless it stays in memory. */
static int rebuild(struct volume *v, struct index *ret, struct err *e)
{
	auto_free struct record *records = NULL;
	struct timespec now = { 0 };
	size_t count = 0;
	int r = volume_salvage(v, &records, &count, e);

	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return index_build(ret, v->read_only ? -1 : v->dir, records, count, (uint64_t)now.tv_sec,
			   e);
}

static int open_index(struct store *s, struct volume *v, struct err *e)
{
	auto_unlock int lock = -1;
	int r = index_open(&v->ix, v->dir, v->owner, !v->read_only, e);

	if (!index_lost(r))
		return r;
	if (v->read_only)
		return rebuild(v, &v->ix, e);
	return volume_lock(s, v, &lock, e); /* rebuilds what is (still) lost */
}

static int volume_open(struct store *s, struct volume *v, const char *path, bool behind,
		       bool read_only, struct err *e)
{
	int r;

	*v = (struct volume){
		.dir = -1, .owner = geteuid(), .read_only = behind || read_only, .ix = INDEX_CLOSED
	};
	v->path = path ? strdup(path) : store_default_dir();
	if (!v->path)
		return err_set(e, path ? -ENOMEM : -ENOENT,
			       "no place for the store: set DX_STORE or HOME, or give --store");
	r = open_dir(v, behind, e);
	if (r == 0 && !v->read_only)
		r = make_folders(v, e);
	if (r == 0)
		r = open_index(s, v, e);
	if (r < 0)
		return err_wrap(e, r, "store %s", v->path);
	if (!v->read_only)
		tmp_clean(v->dir);
	return 0;
}

/* $DX_STORE_BEHIND, cut up in *ret_copy, which the caller frees. */
static int behind_from_env(const char *ret[STORE_BEHIND_MAX + 1], char **ret_copy, struct err *e)
{
	const char *list = getenv("DX_STORE_BEHIND");
	char *copy = strdup(list ? list : ""), *save = NULL;
	size_t n = 0;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	for (char *w = strtok_r(copy, ":", &save); w; w = strtok_r(NULL, ":", &save)) {
		if (n == STORE_BEHIND_MAX) {
			free(copy);
			return err_set(e, -E2BIG, "DX_STORE_BEHIND names more than %d stores",
				       STORE_BEHIND_MAX);
		}
		ret[n++] = w;
	}
	ret[n] = NULL;
	*ret_copy = copy;
	return 0;
}

int store_open(struct store **ret, const struct store_options *o, struct err *e)
{
	const char *from_env[STORE_BEHIND_MAX + 1] = { 0 };
	const char *const *behind = o->behind ? o->behind : from_env;
	auto_free char *copy = NULL;
	struct store *s;
	size_t count = 0;
	int r = o->behind ? 0 : behind_from_env(from_env, &copy, e);

	if (r < 0)
		return r;
	s = calloc(1, sizeof *s);
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	(void)pthread_mutex_init(&s->mu, NULL);
	while (behind[count])
		count++;
	s->open_max = o->open_max ? o->open_max : STORE_OPEN_MAX;
	s->claims = -1;
	s->volumes = calloc(count + 1, sizeof *s->volumes);
	r = s->volumes ? 0 : err_set(e, -ENOMEM, "out of memory");
	boot_id(s->boot);
	for (size_t i = 0; r == 0 && i <= count; i++) {
		s->volume_count++;
		r = volume_open(s, &s->volumes[i], i ? behind[i - 1] : o->dir, i > 0, o->read_only,
				e);
	}
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	packages_release(s);
	closep(&s->claims);
	for (size_t i = 0; i < s->volume_count; i++)
		volume_release(&s->volumes[i]);
	free(s->volumes);
	(void)pthread_mutex_destroy(&s->mu);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->volumes[0].path;
}

/* ---- volumes ---- */

void blob_path(struct hash128 content, char ret[BLOB_PATH_LEN])
{
	char hex[HASH128_HEX_LEN + 1];

	hash128_hex(content, hex);
	(void)snprintf(ret, BLOB_PATH_LEN, "%.2s/%.2s/%s.dxp", hex, hex + 2, hex);
}

const struct digest *meta_key(const struct dxp_meta *m)
{
	return m->key.alg != DIGEST_NONE ? &m->key : &m->sha512;
}

int owner_check(const struct stat *st, uid_t owner, const char *what, struct err *e)
{
	if (st->st_uid != geteuid() && st->st_uid != 0 && st->st_uid != owner)
		return err_set(e, -EPERM,
			       "%s belongs to user %u, neither you nor root: not trusted", what,
			       (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, -EPERM, "%s may be written by others: not trusted (chmod go-w)",
			       what);
	return 0;
}

int blob_open(const struct volume *v, struct hash128 content, int *ret_fd, struct stat *ret_st,
	      struct err *e)
{
	char path[BLOB_PATH_LEN];
	struct stat st;
	int r;

	blob_path(content, path);

	auto_close int fd = openat(v->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP)
		return err_set(e, -EPERM, "%s/%s is a symbolic link: not trusted", v->path, path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot open %s/%s: %s", v->path, path, strerror(errno));
	r = owner_check(&st, v->owner, path, e);
	if (r < 0)
		return err_wrap(e, r, "%s", v->path);
	*ret_st = st;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static bool index_current(const struct volume *v)
{
	struct stat st;

	return v->ix.fd >= 0 && fstatat(v->dir, "index", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == v->ix.ino && st.st_dev == v->ix.dev;
}

static void swap_index(struct store *s, struct volume *v, struct index ix)
{
	struct index old;

	pthread_mutex_lock(&s->mu);
	old = v->ix;
	v->ix = ix;
	pthread_mutex_unlock(&s->mu);
	index_close(&old);
}

/* Takes over an index that somebody else has put in place of ours. */
static int refresh(struct store *s, struct volume *v, struct err *e)
{
	struct index ix = INDEX_CLOSED;
	int r = index_open(&ix, v->dir, v->owner, !v->read_only, e);

	if (r == 0)
		swap_index(s, v, ix);
	return r;
}

static int refresh_locked(struct store *s, struct volume *v, struct err *e)
{
	struct index ix = INDEX_CLOSED;
	int r;

	if (index_current(v))
		return 0;
	r = refresh(s, v, e);
	if (!index_lost(r))
		return r;
	r = rebuild(v, &ix, e);
	if (r == 0)
		swap_index(s, v, ix);
	return r;
}

/* `create`: O_CREAT, or 0 for -ENOENT in a store that has been removed. */
static int flock_volume(struct volume *v, int create, int *ret_lock, struct err *e)
{
	auto_close int fd = openat(v->dir, "lock", O_RDWR | create | O_CLOEXEC | O_NOFOLLOW, 0644);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "cannot lock the store %s: %s", v->path,
				       strerror(errno));
	if (fd < 0)
		return err_set(e, -errno, "cannot lock the store %s: %s", v->path, strerror(errno));
	*ret_lock = fd;
	fd = -1;
	return 0;
}

int volume_lock(struct store *s, struct volume *v, int *ret_lock, struct err *e)
{
	auto_unlock int lock = -1;
	int r = flock_volume(v, O_CREAT, &lock, e);

	if (r == 0)
		r = refresh_locked(s, v, e);
	if (r < 0)
		return r;
	*ret_lock = lock;
	lock = -1;
	return 0;
}

void volume_unlock(int *lock)
{
	closep(lock);
	*lock = -1;
}

static int find_once(struct store *s, struct volume *v, const struct digest *key,
		     struct record *ret, uint32_t *ret_slot, bool *ret_replaced)
{
	int r;

	pthread_mutex_lock(&s->mu);
	r = index_find(&v->ix, key, ret, ret_slot);
	*ret_replaced = r <= 0 && index_replaced(&v->ix, v->dir);
	pthread_mutex_unlock(&s->mu);
	return r;
}

int volume_find(struct store *s, struct volume *v, const struct digest *key, struct record *ret,
		uint32_t *ret_slot)
{
	bool replaced;
	int r = find_once(s, v, key, ret, ret_slot, &replaced);

	if (r > 0 || (r == 0 && !replaced))
		return r;
	if (v->read_only) {
		if (replaced && refresh(s, v, NULL) < 0)
			return 0;
	} else {
		auto_unlock int lock = -1; /* ends a write that was under way, and refreshes */

		if (volume_lock(s, v, &lock, NULL) < 0)
			return 0;
	}
	r = find_once(s, v, key, ret, ret_slot, &replaced);
	return r > 0;
}

int volume_records(struct store *s, struct volume *v, struct record **ret, size_t *ret_count,
		   struct err *e)
{
	struct record *all = NULL, rec;
	size_t n = 0, cap = 0;
	uint32_t slot = 0;
	int r = 0;

	pthread_mutex_lock(&s->mu);
	while (r == 0 && index_next(&v->ix, &slot, &rec)) {
		if (n == cap) {
			struct record *more;

			cap = cap ? 2 * cap : 256;
			more = realloc(all, cap * sizeof *all);
			if (!more) {
				r = err_set(e, -ENOMEM, "out of memory");
				break;
			}
			all = more;
		}
		all[n++] = rec;
	}
	pthread_mutex_unlock(&s->mu);
	if (r < 0) {
		free(all);
		return r;
	}
	*ret = all;
	*ret_count = n;
	return 0;
}

/* A new table with the records of the full one. The old one says first that it may be
 * replaced, so that its readers look; a process that dies in between costs them a stat. */
static int grow(struct store *s, struct volume *v, struct err *e)
{
	static const uint32_t one = 1;
	auto_free struct record *records = NULL;
	struct index ix = INDEX_CLOSED;
	size_t count = 0;
	int r = volume_records(s, v, &records, &count, e);

	if (r < 0)
		return r;
	r = file_pwrite_all(v->ix.fd, &one, sizeof one, offsetof(struct index_head, moving));
	if (r < 0)
		return err_set(e, r, "cannot write the store's index: %s", strerror(-r));
	r = index_build(&ix, v->dir, records, count, index_generation(&v->ix) + 1, e);
	if (r == 0)
		swap_index(s, v, ix);
	return r;
}

int volume_record(struct store *s, struct volume *v, struct record *rec, struct err *e)
{
	int r = index_put(&v->ix, rec);

	if (r == -EXFULL) {
		r = grow(s, v, e);
		if (r < 0)
			return r;
		r = index_put(&v->ix, rec);
	}
	if (r < 0)
		return err_set(e, r, "cannot write the store's index: %s", strerror(-r));
	return 0;
}

bool record_trusted(const struct store *s, const struct volume *v, const struct record *rec)
{
	static const uint8_t unknown[16];

	if (v->owner != geteuid())
		return false;
	if (rec->flags & RECORD_SYNCED)
		return true;
	return memcmp(rec->boot, s->boot, sizeof rec->boot) == 0 &&
	       memcmp(rec->boot, unknown, sizeof rec->boot) != 0;
}

/* ---- bad, gone, proven ---- */

static void remember_bad(struct store *s, struct volume *v, struct hash128 content)
{
	pthread_mutex_lock(&s->mu);
	if (v->bad_count < STORE_BAD_MAX) {
		struct hash128 *bad = realloc(v->bad, (v->bad_count + 1) * sizeof *bad);

		if (bad) {
			v->bad = bad;
			v->bad[v->bad_count++] = content;
		}
	}
	pthread_mutex_unlock(&s->mu);
}

/* The record of this key, if it still names this blob; under the lock. */
static bool same_record(const struct volume *v, const struct digest *key, struct hash128 content,
			struct record *ret, uint32_t *ret_slot)
{
	return index_find(&v->ix, key, ret, ret_slot) > 0 &&
	       hash128_eq(record_content(ret), content);
}

static int move_away(const struct volume *v, struct hash128 content, const struct stat *st)
{
	char path[BLOB_PATH_LEN], hex[HASH128_HEX_LEN + 1], name[17], to[80];
	struct stat now;

	blob_path(content, path);
	if (fstatat(v->dir, path, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (now.st_ino != st->st_ino || now.st_dev != st->st_dev)
		return -ESTALE;
	hash128_hex(content, hex);
	unique_name(name);
	(void)snprintf(to, sizeof to, "quarantine/%s.%s", hex, name);
	if (renameat(v->dir, path, v->dir, to) == 0)
		return 0;
	if (errno != ENOENT || mkdirat(v->dir, "quarantine", 0755) < 0)
		return -errno;
	return renameat(v->dir, path, v->dir, to) < 0 ? -errno : 0;
}

void volume_quarantine(struct store *s, struct volume *v, struct hash128 content,
		       const struct digest *key, const struct stat *st)
{
	auto_unlock int lock = -1;
	struct record rec;
	uint32_t slot;
	int r = v->read_only ? -EROFS : volume_lock(s, v, &lock, NULL);

	if (r == 0)
		r = move_away(v, content, st);
	if (r == 0 && key && same_record(v, key, content, &rec, &slot))
		r = index_kill(&v->ix, slot);
	if (r < 0 && r != -ESTALE)
		remember_bad(s, v, content);
}

void volume_forget(struct store *s, struct volume *v, const struct digest *key,
		   struct hash128 content)
{
	auto_unlock int lock = -1;
	char path[BLOB_PATH_LEN];
	struct record rec;
	struct stat st;
	uint32_t slot;

	if (v->read_only || volume_lock(s, v, &lock, NULL) < 0)
		return;
	blob_path(content, path);
	if (fstatat(v->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	    same_record(v, key, content, &rec, &slot))
		(void)!index_kill(&v->ix, slot);
}

void volume_mark(struct store *s, struct volume *v, const struct digest *key,
		 struct hash128 content)
{
	auto_unlock int lock = -1;
	struct record rec;
	uint32_t slot;

	if (v->read_only || volume_lock(s, v, &lock, NULL) < 0)
		return;
	if (!same_record(v, key, content, &rec, &slot) || record_trusted(s, v, &rec))
		return;
	/* It was written in another boot, and has just been read from the disk. */
	rec.flags |= RECORD_SYNCED;
	(void)!index_update(&v->ix, slot, &rec);
}

/* Under mu and not under the lock: a wrong hour in a record that takes this one's place does
 * no harm, and readers must not wait for writers. */
void volume_touch(struct store *s, struct volume *v, const struct digest *key, uint32_t used_h)
{
	struct record rec;
	uint32_t slot;

	pthread_mutex_lock(&s->mu);
	if (!v->read_only && index_find(&v->ix, key, &rec, &slot) > 0 &&
	    le32toh(rec.used_h) < used_h)
		index_touch(&v->ix, slot, used_h);
	pthread_mutex_unlock(&s->mu);
}

static bool is_bad(const struct volume *v, struct hash128 content)
{
	for (size_t i = 0; i < v->bad_count; i++)
		if (hash128_eq(v->bad[i], content))
			return true;
	return false;
}

bool volume_bad(struct store *s, const struct volume *v, struct hash128 content)
{
	bool bad;

	pthread_mutex_lock(&s->mu);
	bad = is_bad(v, content);
	pthread_mutex_unlock(&s->mu);
	return bad;
}

void volume_good(struct store *s, struct volume *v, struct hash128 content)
{
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < v->bad_count; i++)
		if (hash128_eq(v->bad[i], content))
			v->bad[i--] = v->bad[--v->bad_count];
	pthread_mutex_unlock(&s->mu);
}

/* In any of the volumes, and not known to be bad. */
static bool find_good(struct store *s, const struct digest *key, struct record *ret)
{
	uint32_t slot;

	for (size_t i = 0; i < s->volume_count; i++)
		if (volume_find(s, &s->volumes[i], key, ret, &slot) > 0 &&
		    !volume_bad(s, &s->volumes[i], record_content(ret)))
			return true;
	return false;
}

bool store_has(struct store *s, const struct digest *key)
{
	struct record rec;

	return find_good(s, key, &rec);
}

uint64_t store_size(struct store *s, const struct digest *key)
{
	struct record rec;

	return find_good(s, key, &rec) ? rec.size : 0;
}

/* ---- sync, list, stats ---- */

int store_sync(struct store *s, struct err *e)
{
	struct volume *v = &s->volumes[0];
	auto_free struct record *records = NULL;
	auto_unlock int lock = -1;
	size_t count = 0;
	int r = 0;

	if (v->read_only)
		return err_set(e, -EROFS, "the store %s is read-only here", v->path);
	/* A record is made after its blob's rename: what is listed now is covered by syncfs. */
	r = volume_records(s, v, &records, &count, e);
	if (r < 0)
		return r;
	if (syncfs(v->dir) < 0)
		return err_set(e, -errno, "cannot sync the store %s: %s", v->path, strerror(errno));
	/* Whoever removes the store meanwhile must not find a new file in a folder that was empty.
	 */
	r = flock_volume(v, 0, &lock, e);
	if (r == 0 && !index_current(v))
		r = refresh(s, v, e);
	if (r == -ENOENT)
		return 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct digest key = record_key(&records[i]);
		struct record rec;
		uint32_t slot;

		if ((records[i].flags & RECORD_SYNCED) || !record_trusted(s, v, &records[i]) ||
		    !same_record(v, &key, record_content(&records[i]), &rec, &slot))
			continue;
		rec.flags |= RECORD_SYNCED;
		r = index_update(&v->ix, slot, &rec);
		if (r < 0)
			return err_set(e, r, "cannot write the store's index: %s", strerror(-r));
	}
	return r;
}

static void item_of(const struct record *rec, struct store_item *ret)
{
	*ret = (struct store_item){ .key = record_key(rec),
				    .content = record_content(rec),
				    .size = le64toh(rec->size),
				    .used_s = (int64_t)le32toh(rec->used_h) * 3600,
				    .synced = rec->flags & RECORD_SYNCED,
				    .unpinned = rec->flags & RECORD_UNPINNED };
}

static void item_names(const struct volume *v, struct store_item *item)
{
	auto_close int fd = -1;
	struct stat st;
	struct dxp *p;

	if (blob_open(v, item->content, &fd, &st, NULL) < 0 || dxp_open(&p, fd, NULL) < 0)
		return;
	(void)snprintf(item->name, sizeof item->name, "%s", dxp_meta(p)->name);
	(void)snprintf(item->version, sizeof item->version, "%s", dxp_meta(p)->version);
	dxp_close(p);
}

int store_list(struct store *s, bool open_blobs,
	       int (*fn)(void *arg, const struct store_item *item), void *arg, struct err *e)
{
	auto_free struct record *records = NULL;
	struct store_item item;
	size_t count = 0;
	int r = volume_records(s, &s->volumes[0], &records, &count, e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		item_of(&records[i], &item);
		if (open_blobs)
			item_names(&s->volumes[0], &item);
		r = fn(arg, &item);
	}
	return r;
}

static int count_item(void *arg, const struct store_item *item)
{
	struct store_stats *st = arg;

	st->packages++;
	st->bytes += item->size;
	return 0;
}

int store_stats(struct store *s, struct store_stats *ret, struct err *e)
{
	struct store_stats st = { 0 };
	int r = store_list(s, false, count_item, &st, e);

	if (r == 0)
		r = count_folder(s->volumes[0].dir, "quarantine", &st.quarantined);
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mu);
	st.hits = s->hits;
	st.misses = s->misses;
	st.opens = s->opens;
	pthread_mutex_unlock(&s->mu);
	*ret = st;
	return 0;
}
