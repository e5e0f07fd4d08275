#include "fs/slots.h"

#include "core/file.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

struct header {
	char magic[8];
	uint32_t version, record_size;
	uint8_t check[16];
};
_Static_assert(sizeof(struct header) == 32, "as drawn in slots.h");

struct record {
	struct hash128 key;
	uint64_t time_ns;
	uint8_t check[8];
};
_Static_assert(sizeof(struct record) == 32, "as drawn in slots.h");

struct slots {
	int fd;
	char *path;
	struct record *records; /* number n is records[n - 1] */
	uint32_t count, cap, saved;
	uint32_t *hash; /* numbers; 0 is free */
	uint32_t mask;
};

static struct header header_now(void)
{
	struct header h = {
		.magic = "DXSLOTS",
		.version = htole32(1),
		.record_size = htole32(sizeof(struct record)),
	};

	memcpy(h.check, hash128(&h, offsetof(struct header, check)).b, sizeof h.check);
	return h;
}

static void record_check(const struct record *r, uint32_t number, uint8_t ret[8])
{
	uint8_t bytes[sizeof r->key + sizeof r->time_ns + sizeof number];
	uint32_t le = htole32(number);

	memcpy(bytes, &r->key, sizeof r->key);
	memcpy(bytes + sizeof r->key, &r->time_ns, sizeof r->time_ns);
	memcpy(bytes + sizeof r->key + sizeof r->time_ns, &le, sizeof le);
	memcpy(ret, hash128(bytes, sizeof bytes).b, 8);
}

static bool record_ok(const struct record *r, uint32_t number)
{
	uint8_t check[8];

	record_check(r, number, check);
	return memcmp(check, r->check, sizeof check) == 0;
}

/* Where a key is in the hash, or the free place where it belongs. */
static uint32_t *find(const struct slots *s, const struct hash128 *key)
{
	uint32_t at;

	memcpy(&at, key->b, sizeof at);
	for (at &= s->mask; s->hash[at]; at = (at + 1) & s->mask)
		if (hash128_eq(s->records[s->hash[at] - 1].key, *key))
			break;
	return &s->hash[at];
}

/* A record that is sound can be found; of two with one key the first. */
static void enter(struct slots *s, uint32_t number)
{
	const struct record *r = &s->records[number - 1];
	uint32_t *at = find(s, &r->key);

	if (*at == 0 && record_ok(r, number))
		*at = number;
}

/* Room for `count` records, the hash at most half full. */
static int reserve(struct slots *s, uint32_t count)
{
	uint32_t cap = s->cap ? s->cap : 512, size = s->mask ? s->mask + 1 : 1024, *hash;
	struct record *records;

	while (cap < count)
		cap *= 2;
	while (size / 2 < count)
		size *= 2;
	if (cap != s->cap) {
		records = realloc(s->records, cap * sizeof *records);
		if (!records)
			return -ENOMEM;
		s->records = records;
		s->cap = cap;
	}
	if (size == s->mask + 1)
		return 0;
	hash = calloc(size, sizeof *hash);
	if (!hash)
		return -ENOMEM;
	free(s->hash);
	s->hash = hash;
	s->mask = size - 1;
	for (uint32_t n = 1; n <= s->count; n++)
		enter(s, n);
	return 0;
}

static int start_empty(struct slots *s, struct err *e)
{
	struct header h = header_now();
	int r = 0;

	s->count = s->saved = 0;
	if (ftruncate(s->fd, 0) < 0)
		r = -errno;
	if (r == 0)
		r = file_pwrite_all(s->fd, &h, sizeof h, 0);
	if (r < 0)
		return err_set(e, r, "cannot write %s: %s", s->path, strerror(-r));
	return 0;
}

/* A torn last record is filled up: its number may have been given out, so it is not given again.
 */
static int load_records(struct slots *s, off_t size, struct err *e)
{
	size_t bytes = (size_t)size - sizeof(struct header);
	uint32_t count = (uint32_t)((bytes + sizeof(struct record) - 1) / sizeof(struct record));
	int r = reserve(s, count);

	if (r < 0)
		return err_set(e, r, "out of memory for %s", s->path);
	memset(s->records, 0, count * sizeof *s->records);
	r = file_pread_all(s->fd, s->records, bytes, sizeof(struct header));
	if (r < 0)
		return err_set(e, r, "cannot read %s: %s", s->path, strerror(-r));
	for (uint32_t n = 1; n <= count; n++)
		enter(s, n);
	s->count = s->saved = count;
	if (bytes % sizeof(struct record) == 0)
		return 0;
	if (ftruncate(s->fd, (off_t)(sizeof(struct header) + count * sizeof(struct record))) < 0)
		return err_set(e, -errno, "cannot mend %s: %s", s->path, strerror(errno));
	return 0;
}

static int load(struct slots *s, struct err *e)
{
	struct header h, now = header_now();
	struct stat st;
	off_t max = sizeof h + (off_t)SLOTS_LOAD_MAX * sizeof(struct record);

	if (fstat(s->fd, &st) < 0)
		return err_set(e, -errno, "cannot stat %s: %s", s->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is not a file; remove it and mount again", s->path);
	if (st.st_size < (off_t)sizeof h || st.st_size > max ||
	    file_pread_all(s->fd, &h, sizeof h, 0) < 0 || memcmp(&h, &now, sizeof h) != 0)
		return start_empty(s, e);
	return load_records(s, st.st_size, e);
}

int slots_open(struct slots **ret, const char *dir, struct err *e)
{
	struct slots *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->fd = -1;
	if (asprintf(&s->path, "%s/slots", dir ? dir : "(memory)") < 0)
		s->path = NULL;
	r = s->path ? reserve(s, 1) : -ENOMEM;
	if (r < 0) {
		slots_close(s);
		return err_set(e, r, "out of memory");
	}
	if (!dir) {
		*ret = s;
		return 0;
	}
	s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = s->fd < 0 ? err_set(e, -errno, "cannot open %s: %s", s->path, strerror(errno))
		      : load(s, e);
	if (r < 0)
		slots_close(s);
	else
		*ret = s;
	return r;
}

void slots_close(struct slots *s)
{
	if (!s)
		return;
	closep(&s->fd);
	free(s->path);
	free(s->records);
	free(s->hash);
	free(s);
}

int slots_number(struct slots *s, struct hash128 key, int64_t now_ns, struct slot_id *ret,
		 struct err *e)
{
	uint32_t *at = find(s, &key), n = *at;
	struct record *r;

	if (n == 0) {
		if (s->count == SLOTS_MAX)
			return err_set(e, -E2BIG, "%s is full; unmount and remove it to start anew",
				       s->path);
		if (reserve(s, s->count + 1) < 0)
			return err_set(e, -ENOMEM, "out of memory for %s", s->path);
		n = ++s->count;
		r = &s->records[n - 1];
		*r = (struct record){ .key = key, .time_ns = htole64((uint64_t)now_ns) };
		record_check(r, n, r->check);
		enter(s, n);
	}
	*ret = (struct slot_id){
		.number = n,
		.time_ns = (int64_t)le64toh(s->records[n - 1].time_ns),
	};
	return 0;
}

int slots_save(struct slots *s, struct err *e)
{
	size_t at = sizeof(struct header) + s->saved * sizeof *s->records;
	int r = 0;

	if (s->fd >= 0 && s->saved < s->count)
		r = file_pwrite_all(s->fd, s->records + s->saved,
				    (s->count - s->saved) * sizeof *s->records, (off_t)at);
	if (r < 0)
		return err_set(e, r, "cannot write %s: %s", s->path, strerror(-r));
	s->saved = s->count;
	return 0;
}

uint32_t slots_last(const struct slots *s)
{
	return s->count;
}
