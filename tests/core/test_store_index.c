#include "core/store_priv.h"
#include "tests/core/store_fixture.h"
#include "tests/lib/fault.h"

#include <sys/wait.h>

#define INDEX_TEST(name) Test(store_index, name, .init = make_dir, .fini = remove_dir)

/* Keys by number; `crowd` of them begin their probing at the same place. */
static struct digest numbered(uint64_t i, bool crowd)
{
	struct digest d = { .alg = DIGEST_SHA512, .len = 64 };
	struct hash128 h = hash128(&i, sizeof i);

	memcpy(d.bytes, h.b, sizeof h.b);
	if (crowd)
		memset(d.bytes, 0xff, 4); /* the last slot: probing wraps around */
	return d;
}

static struct record record_of(uint64_t i, bool crowd)
{
	static const uint8_t boot[16];
	struct digest key = numbered(i, crowd);

	return record_make(&key, hash128(&i, 4), 512 * i, boot, 0);
}

static int add(struct store *s, uint64_t i, bool crowd)
{
	auto_unlock int lock = -1;
	struct record rec = record_of(i, crowd);
	int r = volume_lock(s, &s->volumes[0], &lock, NULL);

	return r < 0 ? r : volume_record(s, &s->volumes[0], &rec, NULL);
}

static bool has(struct store *s, uint64_t i, bool crowd)
{
	struct digest key = numbered(i, crowd);
	struct record rec;
	uint32_t slot;

	if (volume_find(s, &s->volumes[0], &key, &rec, &slot) <= 0)
		return false;
	cr_assert_eq(le64toh(rec.size), 512 * i);
	return true;
}

static void drop(struct store *s, uint64_t i, bool crowd)
{
	struct digest key = numbered(i, crowd);
	struct record rec;
	uint32_t slot;

	cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
	cr_assert_eq(index_kill(&s->volumes[0].ix, slot), 0);
}

/* Header and table agree, and each record is found where it stands. */
static void check_index(struct store *s, uint32_t want)
{
	const struct index *ix = &s->volumes[0].ix;
	struct index_head h;
	struct record rec, again;
	uint32_t n = 0, slot = 0, at;

	memcpy(&h, ix->map, sizeof h);
	while (index_next(ix, &slot, &rec)) {
		struct digest key = record_key(&rec);

		cr_assert_eq(index_find(ix, &key, &again, &at), 1);
		cr_assert_eq(at, slot - 1);
		n++;
	}
	cr_assert_eq(n, want);
	cr_assert_eq(le32toh(h.used), want);
	cr_assert(((uint64_t)le32toh(h.used) + le32toh(h.dead)) * 4 <=
		  (uint64_t)ix->capacity * 3 + 4);
}

INDEX_TEST(keys_that_collide_are_told_apart)
{
	struct store *s = open_store();

	for (uint64_t i = 0; i < 100; i++)
		cr_assert_eq(add(s, i, true), 0);
	check_index(s, 100);
	for (uint64_t i = 0; i < 100; i += 2)
		drop(s, i, true);
	for (uint64_t i = 0; i < 100; i++)
		cr_assert_eq(has(s, i, true), i % 2 == 1);
	for (uint64_t i = 0; i < 100; i++) /* again, over the removed ones */
		cr_assert_eq(add(s, i, true), 0);
	check_index(s, 100);
	store_close(s);
}

INDEX_TEST(algorithms_make_different_keys)
{
	struct store *s = open_store();
	struct digest key = numbered(1, false);
	struct record rec;
	uint32_t slot;

	cr_assert_eq(add(s, 1, false), 0);
	key.alg = DIGEST_UNPINNED;
	cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 0);
	store_close(s);
}

INDEX_TEST(a_full_table_grows_and_others_notice)
{
	struct store_options ro = { .dir = dir, .read_only = true };
	struct store *s = open_store(), *writer = open_store(), *reader = NULL;
	uint32_t before;

	cr_assert_eq(store_open(&reader, &ro, NULL), 0);
	before = s->volumes[0].ix.capacity;
	for (uint64_t i = 0; i < 5000; i++)
		cr_assert_eq(add(writer, i, false), 0);
	cr_assert(writer->volumes[0].ix.capacity > before);
	check_index(writer, 5000);
	cr_assert_eq(s->volumes[0].ix.capacity, before);
	for (uint64_t i = 0; i < 5000; i++) {
		cr_assert(has(s, i, false));
		cr_assert(has(reader, i, false));
	}
	cr_assert_not(has(reader, 5000, false));
	cr_assert_eq(add(s, 5000, false), 0);
	cr_assert(has(reader, 5000, false));
	check_index(writer, 5001);
	cr_assert_eq(files_in("tmp"), 0);
	store_close(reader);
	store_close(writer);
	store_close(s);
}

INDEX_TEST(removed_records_do_not_fill_the_table_for_ever)
{
	struct store *s = open_store();

	for (uint64_t i = 0; i < 9000; i++) {
		cr_assert_eq(add(s, i, false), 0);
		if (i >= 10)
			drop(s, i - 10, false);
	}
	cr_assert_eq(s->volumes[0].ix.capacity, INDEX_CAPACITY_MIN);
	check_index(s, 10);
	store_close(s);
}

INDEX_TEST(growing_beside_other_processes_loses_nothing)
{
	enum { N = 4, EACH = 1500 };
	struct store *s;
	pid_t pids[N];

	for (unsigned who = 0; who < N; who++) {
		pids[who] = fork();
		cr_assert(pids[who] >= 0);
		if (pids[who] > 0)
			continue;
		s = open_store();
		for (uint64_t i = 0; i < EACH; i++)
			if (add(s, who * EACH + i, false) < 0 || !has(s, who * EACH + i / 2, false))
				_exit(1);
		store_close(s);
		_exit(0);
	}
	for (unsigned who = 0; who < N; who++) {
		int status = -1;

		cr_assert_eq(waitpid(pids[who], &status, 0), pids[who]);
		cr_assert_eq(status, 0);
	}
	s = open_store();
	check_index(s, N * EACH);
	store_close(s);
}

/* A process that died between "may be replaced" and the replacement. */
INDEX_TEST(a_raised_flag_alone_does_no_harm)
{
	struct store *s = open_store();
	uint32_t one = htole32(1);

	cr_assert_eq(pwrite(s->volumes[0].ix.fd, &one, 4, offsetof(struct index_head, moving)), 4);
	cr_assert_not(has(s, 1, false));
	cr_assert_eq(add(s, 1, false), 0);
	cr_assert(has(s, 1, false));
	store_close(s);
}

static int fill_until_grown(struct store *s)
{
	int r = 0;

	for (uint64_t i = 3000; r == 0 && i < 3200; i++)
		r = add(s, i, false);
	return r;
}

INDEX_TEST(growth_that_fails_leaves_the_old_table)
{
	struct store *s = open_store();

	for (uint64_t i = 0; i < 3060; i++)
		cr_assert_eq(add(s, i, false), 0);
	for (long at = 1;; at += 7) {
		int r;

		fault_at = at;
		fault_hit = false;
		r = fill_until_grown(s);
		fault_at = 0;
		cr_assert(r == 0 || r == -fault_errno);
		for (uint64_t i = 0; i < 3060; i++)
			cr_assert(has(s, i, false));
		if (!fault_hit)
			break;
	}
	cr_assert_eq(files_in("tmp"), 0);
	store_close(s);
	s = open_store(); /* counted anew when it grew, whatever failed before */
	for (uint64_t i = 0; i < 3200; i++)
		cr_assert(has(s, i, false));
	store_close(s);
}

INDEX_TEST(an_index_that_vanishes_is_made_again)
{
	struct store *s = open_store();
	char path[128];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	(void)snprintf(path, sizeof path, "%s/index", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(sample_put(s, 2, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(access(path, F_OK), 0);
	store_close(s);
}

/* Whoever may write a shared store can cut its index short under us: that must not be SIGBUS. */
INDEX_TEST(anothers_index_may_be_cut_short)
{
	struct store *s = open_store();
	struct index ix = INDEX_CLOSED;
	struct digest key = numbered(3, false);
	struct record rec;
	uint32_t slot = 0;
	char path[128];
	int fd;

	for (uint64_t i = 0; i < 5; i++)
		cr_assert_eq(add(s, i, false), 0);
	cr_assert_eq(index_open(&ix, s->volumes[0].dir, geteuid(), false, NULL), 0);
	store_close(s);
	cr_assert_eq(index_find(&ix, &key, &rec, &slot), 1);
	cr_assert_eq(le64toh(rec.size), 512 * 3);
	(void)snprintf(path, sizeof path, "%s/index", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, 10), 0);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(index_find(&ix, &key, &rec, &slot), 0);
	slot = 0;
	cr_assert_not(index_next(&ix, &slot, &rec));
	cr_assert_eq(index_generation(&ix), 0);
	cr_assert_not(index_replaced(&ix, AT_FDCWD));
	index_close(&ix);
}
