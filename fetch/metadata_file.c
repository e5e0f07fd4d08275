#include "fetch/metadata_file.h"

#include "core/file.h"
#include "core/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TABLE_MAGIC  "DXMETA\n"
#define TABLE_FORMAT 1u
#define ALIGN        64u

/* Entries follow, then the place. */
struct table_head {
	char magic[8];
	uint32_t format, size;
	uint8_t check[16];
	/* checked from here on */
	uint64_t generation;
	uint32_t count, place_len;
};
_Static_assert(sizeof(struct table_head) == 48, "on disk");
#define CHECKED_FROM METADATA_TABLE_CHECKED_FROM
_Static_assert(CHECKED_FROM == offsetof(struct table_head, generation), "the check is before it");

/* A table and what it points into. */
struct image {
	char *bytes; /* owned */
	struct metadata_table t;
	int fd; /* owned */
	uint64_t size;
};

struct pending {
	struct metadata_entry entry;
	struct slice bytes;
};

struct metadata_file {
	char *dir, *path;
	char *place;
	size_t place_len;
	struct image at_open;
	const uint8_t *map; /* at_open.size bytes; NULL: nothing */
	pthread_mutex_t mu;
	/* guarded by mu */
	struct pending *pending;
	size_t count, cap, waiting;
	bool locked_out; /* somebody does not let go of the folder: nothing is kept */
};

/* ---- the table ---- */

int metadata_table_open(struct metadata_table *ret, struct slice bytes, struct slice place)
{
	const struct table_head *h = (const void *)bytes.ptr;
	struct hash128 check;

	if (bytes.len < sizeof *h || memcmp(h->magic, TABLE_MAGIC, sizeof h->magic) != 0 ||
	    h->format != TABLE_FORMAT || h->size != bytes.len ||
	    sizeof *h + h->count * (uint64_t)sizeof *ret->entries + h->place_len != bytes.len)
		return -EBADMSG;
	check = hash128(bytes.ptr + CHECKED_FROM, bytes.len - CHECKED_FROM);
	if (memcmp(check.b, h->check, sizeof check.b) != 0 ||
	    !slice_eq(place, (struct slice){ bytes.ptr + bytes.len - h->place_len, h->place_len }))
		return -EBADMSG;
	*ret = (struct metadata_table){ .generation = h->generation,
					.count = h->count,
					.entries = (const void *)(h + 1) };
	return 0;
}

static int entry_cmp(const void *a, const void *b)
{
	return memcmp(((const struct metadata_entry *)a)->name.b,
		      ((const struct metadata_entry *)b)->name.b, sizeof(struct hash128));
}

static const struct metadata_entry *table_find(const struct metadata_table *t, struct hash128 name)
{
	const struct metadata_entry key = { .name = name };

	return t->count ? bsearch(&key, t->entries, t->count, sizeof key, entry_cmp) : NULL;
}

static bool lies_within(const struct metadata_entry *e, uint64_t size)
{
	return e->at % ALIGN == 0 && e->at <= size && e->size <= size - e->at;
}

/* ---- reading ---- */

static void image_release(struct image *i)
{
	free(i->bytes);
	if (i->fd >= 0)
		(void)close(i->fd);
	*i = (struct image){ .fd = -1 };
}
#define auto_image cleanup(image_release)

static char *data_path(const struct metadata_file *f, uint64_t generation)
{
	char *path;

	return asprintf(&path, "%s-%016" PRIx64, f->path, generation) < 0 ? NULL : path;
}

static int open_image(const struct metadata_file *f, int flags, struct image *ret)
{
	struct image i auto_image = { .fd = -1 };
	auto_free char *path = NULL;
	struct stat st;
	size_t len;
	int r = file_read_all(AT_FDCWD, f->path, METADATA_TABLE_MAX, &i.bytes, &len, NULL);

	if (r == 0)
		r = metadata_table_open(&i.t, (struct slice){ (const uint8_t *)i.bytes, len },
					(struct slice){ (const uint8_t *)f->place, f->place_len });
	if (r < 0)
		return r;
	path = data_path(f, i.t.generation);
	if (!path)
		return -ENOMEM;
	i.fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (i.fd < 0)
		return -errno;
	if (fstat(i.fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > METADATA_FILE_MAX)
		return -EBADMSG;
	i.size = (uint64_t)st.st_size;
	*ret = i;
	i = (struct image){ .fd = -1 };
	return 0;
}

/* Between the two files somebody may have gone on to a new generation. */
static void look(struct metadata_file *f)
{
	uint64_t missed = 0;
	void *p;
	int r;

	do {
		r = open_image(f, O_RDONLY, &f->at_open);
	} while (r == -ENOENT && missed++ < 3);
	if (r < 0 || f->at_open.size == 0)
		return;
	p = mmap(NULL, f->at_open.size, PROT_READ, MAP_PRIVATE, f->at_open.fd, 0);
	f->map = p == MAP_FAILED ? NULL : p;
}

int metadata_file_open(struct metadata_file **ret, const char *dir, struct slice place)
{
	struct metadata_file *f = calloc(1, sizeof *f);
	char hex[HASH128_HEX_LEN + 1];

	if (!f)
		return -ENOMEM;
	f->at_open.fd = -1;
	(void)pthread_mutex_init(&f->mu, NULL);
	hash128_hex(hash128(place.ptr, place.len), hex);
	f->dir = strdup(dir);
	f->place = malloc(place.len + 1);
	f->place_len = place.len;
	if (asprintf(&f->path, "%s/%s", dir, hex) < 0)
		f->path = NULL;
	if (!f->dir || !f->place || !f->path) {
		metadata_file_free(f);
		return -ENOMEM;
	}
	memcpy(f->place, place.ptr, place.len);
	look(f);
	*ret = f;
	return 0;
}

bool metadata_file_find(const struct metadata_file *f, const char *name, struct slice *ret,
			int64_t *ret_fresh_until_s)
{
	const struct metadata_entry *e =
		f->map ? table_find(&f->at_open.t, hash128(name, strlen(name))) : NULL;

	if (!e || !lies_within(e, f->at_open.size))
		return false;
	*ret = (struct slice){ f->map + e->at, e->size };
	*ret_fresh_until_s = e->fresh_until_s;
	return true;
}

/* ---- writing; all with the folder locked ---- */

/* Files of the place's other generations, and those of former dx: one for each packument, named by
 * a SHA-256. */
static void sweep(const struct metadata_file *f, uint64_t generation)
{
	auto_free char *mine = data_path(f, generation);
	const char *place = strrchr(f->path, '/') + 1;
	DIR *d = opendir(f->dir);

	for (struct dirent *e; d && mine && (e = readdir(d));) {
		size_t hex = strspn(e->d_name, "0123456789abcdef");
		bool old = hex == 64 && (e->d_name[64] == '\0' || e->d_name[64] == '.');
		bool other = strncmp(e->d_name, place, HASH128_HEX_LEN) == 0 &&
			     e->d_name[HASH128_HEX_LEN] == '-' &&
			     strcmp(e->d_name, strrchr(mine, '/') + 1) != 0;

		if (old || other)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

static int new_generation(const struct metadata_file *f, struct image *ret)
{
	struct image i auto_image = { .fd = -1 };
	auto_free char *path = NULL;

	if (getrandom(&i.t.generation, sizeof i.t.generation, 0) != sizeof i.t.generation)
		return -EIO;
	path = data_path(f, i.t.generation);
	i.fd = path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (i.fd < 0)
		return path ? -errno : -ENOMEM;
	*ret = i;
	i.fd = -1;
	return 0;
}

static int append(struct image *to, const void *p, size_t n, uint64_t *ret_at)
{
	uint64_t at = (to->size + ALIGN - 1) / ALIGN * ALIGN;
	int r = file_pwrite_all(to->fd, p, n, (off_t)at);

	if (r < 0)
		return r;
	to->size = at + n;
	*ret_at = at;
	return 0;
}

/* `entries` of `from` that are sound, copied to `to`. */
static int copy_entries(const struct image *from, struct image *to, struct metadata_entry *entries,
			size_t *count)
{
	const uint8_t *map = mmap(NULL, from->size, PROT_READ, MAP_PRIVATE, from->fd, 0);
	size_t n = 0;
	int r = 0;

	if (map == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < *count && r == 0; i++) {
		struct metadata_entry e = entries[i];

		if (!lies_within(&e, from->size))
			continue;
		r = append(to, map + e.at, e.size, &e.at);
		entries[n++] = e;
	}
	(void)munmap((void *)map, from->size);
	*count = n;
	return r;
}

static int write_table(const struct metadata_file *f, uint64_t generation,
		       const struct metadata_entry *entries, size_t count)
{
	auto_buf struct buf b = BUF_INIT(METADATA_TABLE_MAX);
	struct table_head h = { .magic = TABLE_MAGIC,
				.format = TABLE_FORMAT,
				.generation = generation,
				.count = (uint32_t)count,
				.place_len = (uint32_t)f->place_len };
	struct hash128 check;
	int r;

	h.size = (uint32_t)(sizeof h + count * sizeof *entries + f->place_len);
	buf_add(&b, &h, sizeof h);
	if (count)
		buf_add(&b, entries, count * sizeof *entries);
	buf_add(&b, f->place, f->place_len);
	r = buf_error(&b);
	if (r < 0)
		return r;
	check = hash128(b.data + CHECKED_FROM, b.len - CHECKED_FROM);
	memcpy(b.data + offsetof(struct table_head, check), check.b, sizeof check.b);
	return file_replace_unsynced(f->path, b.data, b.len, 0600, NULL);
}

/* Those of `table` and the pending ones, whose bytes go into `to`; of one name the last. */
static int merge(struct metadata_file *f, const struct metadata_table *table, struct image *to,
		 struct metadata_entry **ret, size_t *ret_count)
{
	struct metadata_entry *all = calloc(table->count + f->count + 1, sizeof *all);
	size_t n = table->count;
	int r = all ? 0 : -ENOMEM;

	*ret = all;
	if (n && all)
		memcpy(all, table->entries, n * sizeof *all);
	for (size_t i = 0; i < f->count && r == 0; i++) {
		const struct pending *p = &f->pending[i];
		struct metadata_entry *e =
			table->count ? bsearch(&p->entry, all, table->count, sizeof *all, entry_cmp)
				     : NULL;

		if (!e && p->bytes.len)
			e = &all[n++];
		if (!e)
			continue;
		if (p->bytes.len) {
			*e = p->entry;
			r = append(to, p->bytes.ptr, p->bytes.len, &e->at);
		} else {
			e->fetched_s = p->entry.fetched_s;
			e->fresh_until_s = p->entry.fresh_until_s;
		}
	}
	if (r == 0)
		qsort(all, n, sizeof *all, entry_cmp);
	*ret_count = n;
	return r;
}

static uint64_t bytes_of(const struct metadata_entry *entries, size_t count)
{
	uint64_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += entries[i].size;
	return n;
}

static int write_locked(struct metadata_file *f)
{
	struct image now auto_image = { .fd = -1 };
	struct image next auto_image = { .fd = -1 };
	auto_free struct metadata_entry *all = NULL;
	size_t count = 0;
	int r = open_image(f, O_RDWR, &now);
	bool fresh = r == -ENOENT || r == -EBADMSG || r == -E2BIG ||
		     (r == 0 && now.size > METADATA_FILE_MAX - f->waiting);

	if (fresh) {
		image_release(&now);
		r = new_generation(f, &now);
	}
	if (r == 0)
		r = merge(f, &now.t, &now, &all, &count);
	if (r < 0)
		return r;
	if (now.size < METADATA_WASTE_MAX + 2 * bytes_of(all, count)) {
		r = write_table(f, now.t.generation, all, count);
		if (r == 0 && fresh)
			sweep(f, now.t.generation);
		return r;
	}
	r = new_generation(f, &next);
	if (r == 0)
		r = copy_entries(&now, &next, all, &count);
	if (r == 0)
		r = write_table(f, next.t.generation, all, count);
	if (r == 0)
		sweep(f, next.t.generation);
	return r;
}

/* With f->mu held. */
static void write_pending(struct metadata_file *f)
{
	auto_close int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : 0;

	if (r == 0)
		r = file_lock_soon(dir);
	f->locked_out = r == -EBUSY;
	if (r == 0)
		r = write_locked(f);
	if (r < 0)
		log_line(LOG_DEBUG, "%s: not kept: %s", f->path, strerror(-r));
	f->count = f->waiting = 0;
}

void metadata_file_put(struct metadata_file *f, const char *name, struct slice bytes,
		       int64_t fetched_s, int64_t fresh_until_s)
{
	const struct pending p = { .entry = { .name = hash128(name, strlen(name)),
					      .size = (uint32_t)bytes.len,
					      .fetched_s = fetched_s,
					      .fresh_until_s = fresh_until_s },
				   .bytes = bytes };

	(void)pthread_mutex_lock(&f->mu);
	if (f->locked_out) {
		(void)pthread_mutex_unlock(&f->mu);
		return;
	}
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct pending *bigger = reallocarray(f->pending, cap, sizeof *bigger);

		if (!bigger) {
			(void)pthread_mutex_unlock(&f->mu);
			return;
		}
		f->pending = bigger;
		f->cap = cap;
	}
	f->pending[f->count++] = p;
	f->waiting += bytes.len;
	if (f->waiting >= METADATA_WRITE)
		write_pending(f);
	(void)pthread_mutex_unlock(&f->mu);
}

void metadata_file_free(struct metadata_file *f)
{
	if (!f)
		return;
	if (f->count)
		write_pending(f);
	if (f->map)
		(void)munmap((void *)f->map, f->at_open.size);
	image_release(&f->at_open);
	(void)pthread_mutex_destroy(&f->mu);
	free(f->pending);
	free(f->dir);
	free(f->path);
	free(f->place);
	free(f);
}
