#include "core/clock.h"
#include "core/file.h"
#include "core/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

/* roots/<id>: this, then `count` digests of 72 bytes (u8 algorithm, u8 length, 6 zero, 64
 * bytes), then 16 bytes of XXH3-128 over all before. Little-endian. */
struct root_head {
	uint8_t magic[8]; /* "DXROOTS\0" */
	uint32_t version; /* 1 */
	uint32_t count;
};
struct root_digest {
	uint8_t alg, len, zero[6];
	uint8_t bytes[64];
};
_Static_assert(sizeof(struct root_head) == 16, "root header");
_Static_assert(sizeof(struct root_digest) == 72, "root digest");

#define ROOT_VERSION  1
#define ROOT_KEYS_MAX (1u << 20) /* ten times the largest lock that anybody has shown */
#define ROOT_SIZE_MAX (sizeof(struct root_head) + ROOT_KEYS_MAX * sizeof(struct root_digest) + 16)

struct store_root {
	struct store *store;
	char path[8 + STORE_ROOT_ID_MAX]; /* relative to the store */
	int fd;                           /* under a shared flock */
};

static int id_check(const char *id, struct err *e)
{
	size_t n = strlen(id);

	if (n == 0 || n > STORE_ROOT_ID_MAX || id[0] == '.' ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
		return err_set(e, -EINVAL, "\"%.128s\" cannot name a root of the store", id);
	return 0;
}

static int lock_shared(int fd)
{
	while (flock(fd, LOCK_SH) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* gc may remove an old root between our open and our flock; then there is a new one to make. */
static int open_locked(int dir, const char *path, int *ret)
{
	for (;;) {
		auto_close int fd =
			openat(dir, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		struct stat mine, now;
		int r;

		if (fd < 0)
			return -errno;
		r = lock_shared(fd);
		if (r < 0)
			return r;
		if (fstat(fd, &mine) < 0)
			return -errno;
		if (fstatat(dir, path, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != mine.st_ino)
			continue;
		*ret = fd;
		fd = -1;
		return 0;
	}
}

int store_root_open(struct store_root **ret, struct store *s, const char *id, struct err *e)
{
	struct volume *v = &s->volumes[0];
	struct store_root *root;
	int r = id_check(id, e);

	if (r < 0)
		return r;
	if (v->read_only)
		return err_set(e, -EROFS, "the store %s is read-only here", v->path);
	root = calloc(1, sizeof *root);
	if (!root)
		return err_set(e, -ENOMEM, "out of memory");
	root->store = s;
	(void)snprintf(root->path, sizeof root->path, "roots/%s", id);
	r = open_locked(v->dir, root->path, &root->fd);
	if (r < 0) {
		free(root);
		return err_set(e, r, "cannot open the root %s of the store %s: %s", id, v->path,
			       strerror(-r));
	}
	*ret = root;
	return 0;
}

/* ---- writing ---- */

static uint8_t *encode(const struct digest *keys, size_t count, size_t *ret_len)
{
	size_t len = sizeof(struct root_head) + count * sizeof(struct root_digest);
	uint8_t *data = calloc(1, len + 16);
	struct root_digest *d;
	struct hash128 h;

	if (!data)
		return NULL;
	*(struct root_head *)(void *)data =
		(struct root_head){ "DXROOTS", htole32(ROOT_VERSION), htole32((uint32_t)count) };
	d = (void *)(data + sizeof(struct root_head));
	for (size_t i = 0; i < count; i++) {
		d[i].alg = keys[i].alg;
		d[i].len = keys[i].len;
		memcpy(d[i].bytes, keys[i].bytes, sizeof d[i].bytes);
	}
	h = hash128(data, len);
	memcpy(data + len, h.b, sizeof h.b);
	*ret_len = len + sizeof h.b;
	return data;
}

int store_root_set(struct store_root *r, const struct digest *keys, size_t count, struct err *e)
{
	struct volume *v = &r->store->volumes[0];
	auto_tmp struct tmp t = TMP_NONE;
	auto_free uint8_t *data = NULL;
	auto_unlock int lock = -1;
	size_t len = 0;
	int rc;

	if (count > ROOT_KEYS_MAX)
		return err_set(e, -E2BIG, "a root of %zu packages, more than the limit of %u",
			       count, ROOT_KEYS_MAX);
	data = encode(keys, count, &len);
	if (!data)
		return err_set(e, -ENOMEM, "out of memory");
	rc = tmp_open(&t, v->dir, e);
	if (rc < 0)
		return rc;
	rc = file_write_all(t.fd, data, len);
	if (rc == 0 && fchmod(t.fd, 0644) < 0)
		rc = -errno;
	/* From exclusive to shared: another process may hold the same root. */
	if (rc == 0)
		rc = lock_shared(t.fd);
	if (rc < 0)
		return err_set(e, rc, "cannot write %s/%s: %s", v->path, r->path, strerror(-rc));
	/* gc reads the roots under the lock: it sees the old one or the new. */
	rc = volume_lock(r->store, v, &lock, e);
	if (rc < 0)
		return rc;
	rc = tmp_commit(&t, r->path);
	if (rc < 0)
		return err_set(e, rc, "cannot write %s/%s: %s", v->path, r->path, strerror(-rc));
	(void)close(r->fd);
	r->fd = t.fd;
	t.fd = -1;
	return 0;
}

void store_root_close(struct store_root *r)
{
	if (!r)
		return;
	(void)futimens(r->fd, NULL); /* its age counts from now */
	(void)close(r->fd);
	free(r);
}

/* ---- reading, for gc ---- */

static bool decode(const uint8_t *data, size_t len, const struct root_digest **ret,
		   uint32_t *ret_count)
{
	struct root_head h;
	struct hash128 sum;

	if (len < sizeof h + 16)
		return false;
	memcpy(&h, data, sizeof h);
	sum = hash128(data, len - 16);
	if (memcmp(h.magic, "DXROOTS", sizeof h.magic) != 0 || le32toh(h.version) != ROOT_VERSION ||
	    le32toh(h.count) > ROOT_KEYS_MAX ||
	    len != sizeof h + le32toh(h.count) * sizeof(struct root_digest) + 16 ||
	    memcmp(sum.b, data + len - 16, 16) != 0)
		return false;
	*ret = (const void *)(data + sizeof h);
	*ret_count = le32toh(h.count);
	return true;
}

static int keep(struct keyset *ks, const uint8_t *data, size_t len)
{
	const struct root_digest *d;
	uint32_t count;
	int r = 0;

	if (!decode(data, len, &d, &count))
		return -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		struct digest key = { .alg = d[i].alg, .len = d[i].len };

		memcpy(key.bytes, d[i].bytes, sizeof key.bytes);
		r = keyset_add(ks, &key);
	}
	return r;
}

/* A root that nobody holds, and that is old or was cut short by a power cut, is removed. A
 * fresh and empty one is of an owner that has opened it and died: it names nothing. */
static int read_root(struct volume *v, const char *name, const struct store_gc_options *o,
		     struct keyset *ks, struct err *e)
{
	auto_free char *data = NULL;
	char path[8 + STORE_ROOT_ID_MAX];
	struct stat st;
	size_t len = 0;
	bool live;
	int r;

	if (snprintf(path, sizeof path, "roots/%s", name) >= (int)sizeof path)
		return 0;

	auto_close int fd = openat(v->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT ? 0
				       : err_set(e, -errno, "cannot open %s/%s: %s", v->path, path,
						 strerror(errno));
	live = flock(fd, LOCK_EX | LOCK_NB) < 0;
	if (!live && st.st_mtime + (time_t)o->root_age_s <= wall_s()) {
		if (!o->dry_run)
			(void)unlinkat(v->dir, path, 0);
		return 0;
	}
	if (live && !o->dry_run)
		(void)utimensat(v->dir, path, NULL, AT_SYMLINK_NOFOLLOW);
	if (st.st_size == 0)
		return 0;
	r = file_read_fd(fd, path, ROOT_SIZE_MAX, &data, &len, e);
	if (r == 0)
		r = keep(ks, (const uint8_t *)data, len);
	if (r == -ENOMEM)
		return err_set(e, r, "out of memory");
	if (r != -EBADMSG && r != -E2BIG)
		return r;
	if (live)
		return err_set(e, -EBADMSG,
			       "%s/%s is damaged and in use: unmount what holds it, then try again",
			       v->path, path);
	if (!o->dry_run)
		(void)unlinkat(v->dir, path, 0);
	return 0;
}

int roots_read(struct store *s, const struct store_gc_options *o, struct keyset *ks, struct err *e)
{
	struct volume *v = &s->volumes[0];
	int fd = openat(v->dir, "roots", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		r = -errno;
		closep(&fd);
		if (r == -ENOENT)
			return 0;
		return err_set(e, r, "cannot list the roots of the store %s: %s", v->path,
			       strerror(-r));
	}
	for (struct dirent *de; r == 0 && (de = readdir(d));)
		if (de->d_name[0] != '.')
			r = read_root(v, de->d_name, o, ks, e);
	closedir(d);
	return r;
}

/* ---- the set of keys ---- */

static struct digest *keyset_slot(const struct keyset *ks, const struct digest *key)
{
	size_t i;

	memcpy(&i, key->bytes, sizeof i);
	for (i &= ks->size - 1; ks->keys[i].alg && !digest_eq(&ks->keys[i], key);)
		i = (i + 1) & (ks->size - 1);
	return &ks->keys[i];
}

static int keyset_grow(struct keyset *ks)
{
	struct keyset bigger = { .size = ks->size ? 2 * ks->size : 1024 };

	bigger.keys = calloc(bigger.size, sizeof *bigger.keys);
	if (!bigger.keys)
		return -ENOMEM;
	for (size_t i = 0; i < ks->size; i++)
		if (ks->keys[i].alg)
			*keyset_slot(&bigger, &ks->keys[i]) = ks->keys[i];
	bigger.count = ks->count;
	keyset_release(ks);
	*ks = bigger;
	return 0;
}

int keyset_add(struct keyset *ks, const struct digest *key)
{
	struct digest *slot;

	if (key->alg == DIGEST_NONE)
		return 0;
	if (2 * (ks->count + 1) > ks->size && keyset_grow(ks) < 0)
		return -ENOMEM;
	slot = keyset_slot(ks, key);
	ks->count += slot->alg == DIGEST_NONE;
	*slot = *key;
	return 0;
}

bool keyset_has(const struct keyset *ks, const struct digest *key)
{
	return ks->size && keyset_slot(ks, key)->alg != DIGEST_NONE;
}

void keyset_release(struct keyset *ks)
{
	free(ks->keys);
	*ks = (struct keyset){ 0 };
}
