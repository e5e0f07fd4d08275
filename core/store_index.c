#include "core/file.h"
#include "core/store_priv.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define RECORD_CHECKED offsetof(struct record, used_h)

static void record_check(const struct record *rec, uint8_t ret[8])
{
	struct hash128 h = hash128(&rec->state, RECORD_CHECKED - offsetof(struct record, state));

	memcpy(ret, h.b, 8);
}

static bool record_ok(const struct record *rec)
{
	static const uint8_t lens[] = { [DIGEST_SHA1] = 20,
					[DIGEST_SHA256] = 32,
					[DIGEST_SHA384] = 48,
					[DIGEST_SHA512] = 64,
					[DIGEST_UNPINNED] = 64 };
	uint8_t check[8];

	if (le32toh(rec->state) != RECORD_USED || rec->alg >= ARRAY_LEN(lens) || !lens[rec->alg])
		return false;
	record_check(rec, check);
	return memcmp(check, rec->check, sizeof check) == 0;
}

struct record record_make(const struct digest *key, struct hash128 content, uint64_t size,
			  const uint8_t boot[16], unsigned flags)
{
	struct record rec = { .state = htole32(RECORD_USED),
			      .alg = key->alg,
			      .flags = (uint8_t)flags,
			      .size = htole64(size) };

	if (key->alg == DIGEST_UNPINNED)
		rec.flags |= RECORD_UNPINNED;
	memcpy(rec.key, key->bytes, sizeof rec.key);
	memcpy(rec.content, content.b, sizeof rec.content);
	memcpy(rec.boot, boot, sizeof rec.boot);
	record_check(&rec, rec.check);
	return rec;
}

struct digest record_key(const struct record *rec)
{
	static const uint8_t lens[] = { [DIGEST_SHA1] = 20,
					[DIGEST_SHA256] = 32,
					[DIGEST_SHA384] = 48,
					[DIGEST_SHA512] = 64,
					[DIGEST_UNPINNED] = 64 };
	struct digest d = { .alg = rec->alg, .len = lens[rec->alg] };

	memcpy(d.bytes, rec->key, d.len);
	return d;
}

struct hash128 record_content(const struct record *rec)
{
	struct hash128 h;

	memcpy(h.b, rec->content, sizeof h.b);
	return h;
}

/* ---- opening ---- */

static void head_check(const struct index_head *h, uint8_t ret[16])
{
	struct hash128 sum = hash128(h, offsetof(struct index_head, check));

	memcpy(ret, sum.b, 16);
}

static int check_head(const struct index_head *h, uint64_t file_size, struct err *e)
{
	uint64_t capacity = le64toh(h->capacity);
	uint8_t check[16];

	if (memcmp(h->magic, "DXSTORE", sizeof h->magic) != 0)
		return err_set(e, -EBADMSG, "the store's index has a wrong magic");
	if (le32toh(h->version) > INDEX_VERSION)
		return err_set(e, -EPROTONOSUPPORT,
			       "the store's index has format version %u, and this program knows "
			       "only version %d: use a newer dxfs, or another store (--store)",
			       le32toh(h->version), INDEX_VERSION);
	head_check(h, check);
	if (le32toh(h->version) != INDEX_VERSION || memcmp(check, h->check, sizeof check) != 0 ||
	    le32toh(h->record_size) != sizeof(struct record))
		return err_set(e, -EBADMSG, "the store's index has a damaged header");
	if (capacity < INDEX_CAPACITY_MIN || capacity > INDEX_CAPACITY_MAX ||
	    (capacity & (capacity - 1)) != 0 ||
	    file_size != INDEX_HEAD + capacity * sizeof(struct record))
		return err_set(e, -EBADMSG, "the store's index has a wrong size");
	return 0;
}

/* Takes the descriptor over on success. */
static int index_use(struct index *ret, int fd, const struct stat *st, bool mapped, struct err *e)
{
	struct index_head h;
	void *map = NULL;
	int r;

	if ((uint64_t)st->st_size < INDEX_HEAD)
		return err_set(e, -EBADMSG, "the store's index is too short");
	r = file_pread_all(fd, &h, sizeof h, 0);
	if (r < 0)
		return err_set(e, r, "cannot read the store's index: %s", strerror(-r));
	r = check_head(&h, (uint64_t)st->st_size, e);
	if (r < 0)
		return r;
	if (mapped)
		map = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_set(e, -errno, "cannot map the store's index: %s", strerror(errno));
	*ret = (struct index){ .fd = fd,
			       .map = map,
			       .len = (size_t)st->st_size,
			       .capacity = (uint32_t)le64toh(h.capacity),
			       .dev = st->st_dev,
			       .ino = st->st_ino };
	return 0;
}

int index_open(struct index *ret, int dir, uid_t owner, bool writable, struct err *e)
{
	auto_close int fd = openat(
		dir, "index", (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return err_set(e, -errno, "cannot open the store's index: %s", strerror(errno));
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot stat the store's index: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "the store's index is not a regular file");
	r = owner_check(&st, owner, "the store's index", e);
	if (r == 0)
		r = index_use(ret, fd, &st, writable, e);
	if (r == 0)
		fd = -1;
	return r;
}

void index_close(struct index *ix)
{
	if (ix->fd < 0)
		return;
	if (ix->map)
		(void)munmap((void *)ix->map, ix->len);
	(void)close(ix->fd);
	*ix = (struct index)INDEX_CLOSED;
}

/* ---- reading ---- */

/* What has been cut off reads as zeros: empty records. */
static void copy_out(const struct index *ix, void *to, size_t n, size_t at)
{
	if (ix->map)
		memcpy(to, ix->map + at, n);
	else if (file_pread_all(ix->fd, to, n, (off_t)at) < 0)
		memset(to, 0, n);
}

/* The bytes may change at any time: everything is judged on a copy. */
static struct record record_at(const struct index *ix, uint32_t slot)
{
	struct record rec;

	copy_out(ix, &rec, sizeof rec, INDEX_HEAD + (size_t)slot * sizeof rec);
	return rec;
}

static uint32_t first_slot(uint32_t capacity, unsigned alg, const uint8_t *key)
{
	uint32_t h;

	memcpy(&h, key, sizeof h); /* of a digest: well mixed as it is */
	return (le32toh(h) ^ alg) & (capacity - 1);
}

static bool record_has(const struct record *rec, unsigned alg, const uint8_t key[64])
{
	return le32toh(rec->state) == RECORD_USED && rec->alg == alg &&
	       memcmp(rec->key, key, sizeof rec->key) == 0;
}

int index_find(const struct index *ix, const struct digest *key, struct record *ret,
	       uint32_t *ret_slot)
{
	uint32_t slot = first_slot(ix->capacity, key->alg, key->bytes);
	int r = 0;

	for (uint32_t n = 0; n < ix->capacity; n++, slot = (slot + 1) & (ix->capacity - 1)) {
		struct record rec = record_at(ix, slot);

		if (le32toh(rec.state) == RECORD_EMPTY)
			break;
		if (!record_has(&rec, key->alg, key->bytes))
			continue;
		if (!record_ok(&rec)) {
			r = -EAGAIN;
			continue;
		}
		*ret = rec;
		*ret_slot = slot;
		return 1;
	}
	return r;
}

bool index_next(const struct index *ix, uint32_t *slot, struct record *ret)
{
	while (*slot < ix->capacity) {
		struct record rec = record_at(ix, (*slot)++);

		if (!record_ok(&rec))
			continue;
		*ret = rec;
		return true;
	}
	return false;
}

static uint32_t head_u32(const struct index *ix, size_t at)
{
	uint32_t v;

	copy_out(ix, &v, sizeof v, at);
	return le32toh(v);
}

bool index_replaced(const struct index *ix, int dir)
{
	struct stat st;

	if (ix->in_memory || !head_u32(ix, offsetof(struct index_head, moving)))
		return false;
	return fstatat(dir, "index", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_ino != ix->ino || st.st_dev != ix->dev);
}

uint64_t index_generation(const struct index *ix)
{
	uint64_t v;

	copy_out(ix, &v, sizeof v, offsetof(struct index_head, generation));
	return le64toh(v);
}

/* ---- writing ---- */

static int write_u32(const struct index *ix, size_t at, uint32_t v)
{
	v = htole32(v);
	return file_pwrite_all(ix->fd, &v, sizeof v, (off_t)at);
}

static int write_record(const struct index *ix, uint32_t slot, const struct record *rec)
{
	return file_pwrite_all(ix->fd, rec, sizeof *rec,
			       (off_t)(INDEX_HEAD + (size_t)slot * sizeof *rec));
}

int index_update(const struct index *ix, uint32_t slot, struct record *rec)
{
	record_check(rec, rec->check);
	return write_record(ix, slot, rec);
}

/* The counts only say when the table is full; a process that dies between a record and its
 * count leaves them a little off, and the next table is counted anew. */
static void count(const struct index *ix, int used, int dead)
{
	uint32_t u = head_u32(ix, offsetof(struct index_head, used));
	uint32_t d = head_u32(ix, offsetof(struct index_head, dead));

	if (used)
		(void)write_u32(ix, offsetof(struct index_head, used), u + (uint32_t)used);
	if (dead)
		(void)write_u32(ix, offsetof(struct index_head, dead), d + (uint32_t)dead);
}

int index_kill(const struct index *ix, uint32_t slot)
{
	struct record rec = { .state = htole32(RECORD_DEAD) };
	int r = index_update(ix, slot, &rec);

	if (r == 0)
		count(ix, -1, 1);
	return r;
}

int index_put(const struct index *ix, struct record *rec)
{
	uint64_t filled = (uint64_t)head_u32(ix, offsetof(struct index_head, used)) +
			  head_u32(ix, offsetof(struct index_head, dead));
	uint32_t slot = first_slot(ix->capacity, rec->alg, rec->key), free_slot = UINT32_MAX;
	bool was_dead = false;
	int r;

	for (uint32_t n = 0; n < ix->capacity; n++, slot = (slot + 1) & (ix->capacity - 1)) {
		struct record have = record_at(ix, slot);

		if (record_has(&have, rec->alg, rec->key))
			return index_update(ix, slot, rec);
		if (free_slot == UINT32_MAX && !record_ok(&have)) {
			free_slot = slot;
			was_dead = le32toh(have.state) != RECORD_EMPTY;
		}
		if (le32toh(have.state) == RECORD_EMPTY)
			break;
	}
	if (free_slot == UINT32_MAX || (!was_dead && (filled + 1) * 4 > (uint64_t)ix->capacity * 3))
		return -EXFULL;
	r = index_update(ix, free_slot, rec);
	if (r == 0)
		count(ix, 1, was_dead ? -1 : 0);
	return r;
}

void index_touch(const struct index *ix, uint32_t slot, uint32_t used_h)
{
	if (!ix->in_memory)
		(void)write_u32(ix,
				INDEX_HEAD + (size_t)slot * sizeof(struct record) +
					offsetof(struct record, used_h),
				used_h);
}

/* ---- a new table ---- */

static uint32_t capacity_for(size_t records)
{
	uint32_t capacity = INDEX_CAPACITY_MIN;

	while (capacity < 2 * (uint64_t)records && capacity < INDEX_CAPACITY_MAX)
		capacity *= 2;
	return capacity;
}

static uint32_t fill_table(struct record *table, uint32_t capacity, const struct record *records,
			   size_t n)
{
	uint32_t used = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t slot;

		if (!record_ok(&records[i]))
			continue;
		slot = first_slot(capacity, records[i].alg, records[i].key);
		while (le32toh(table[slot].state) == RECORD_USED &&
		       !record_has(&table[slot], records[i].alg, records[i].key))
			slot = (slot + 1) & (capacity - 1);
		used += le32toh(table[slot].state) != RECORD_USED;
		table[slot] = records[i];
	}
	return used;
}

static int write_table(int fd, uint32_t capacity, const struct record *records, size_t n,
		       uint64_t generation)
{
	auto_free uint8_t *data = calloc(1, INDEX_HEAD + (size_t)capacity * sizeof *records);
	struct index_head *h = (void *)data;

	if (!data)
		return -ENOMEM;
	*h = (struct index_head){ .magic = "DXSTORE",
				  .version = htole32(INDEX_VERSION),
				  .record_size = htole32(sizeof *records),
				  .capacity = htole64(capacity),
				  .generation = htole64(generation) };
	head_check(h, h->check);
	h->used = htole32(fill_table((void *)(data + INDEX_HEAD), capacity, records, n));
	return file_write_all(fd, data, INDEX_HEAD + (size_t)capacity * sizeof *records);
}

static int build_in_memory(struct index *ret, const struct record *records, size_t n, struct err *e)
{
	auto_close int fd = memfd_create("dxstore-index", MFD_CLOEXEC);
	struct stat st;
	int r = fd < 0 ? -errno : write_table(fd, capacity_for(n), records, n, 0);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, r, "cannot make an index in memory: %s", strerror(-r));
	r = index_use(ret, fd, &st, true, e);
	if (r < 0)
		return r;
	ret->in_memory = true;
	fd = -1;
	return 0;
}

int index_build(struct index *ret, int dir, const struct record *records, size_t n,
		uint64_t generation, struct err *e)
{
	auto_tmp struct tmp t = TMP_NONE;
	struct stat st;
	int r;

	if (n > INDEX_CAPACITY_MAX / 4 * 3)
		return err_set(e, -E2BIG, "more than %u packages in a store",
			       INDEX_CAPACITY_MAX / 4 * 3);
	if (dir < 0)
		return build_in_memory(ret, records, n, e);
	r = tmp_open(&t, dir, e);
	if (r < 0)
		return r;
	r = write_table(t.fd, capacity_for(n), records, n, generation);
	/* Of an empty one, what a power cut leaves is empty too, or no index, which is made anew.
	 */
	if (r == 0 && (fchmod(t.fd, 0644) < 0 || (n && fsync(t.fd) < 0) || fstat(t.fd, &st) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, r, "cannot write the store's index: %s", strerror(-r));

	struct index built = INDEX_CLOSED;

	r = index_use(&built, t.fd, &st, true, e);
	if (r < 0)
		return r;
	t.fd = -1; /* the index holds it now */
	r = tmp_commit(&t, "index");
	if (r < 0) {
		index_close(&built);
		return err_set(e, r, "cannot replace the store's index: %s", strerror(-r));
	}
	*ret = built;
	return 0;
}
