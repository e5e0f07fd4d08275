#include "core/store.h"
#include "tests/core/store_fixture.h"
#include "tests/lib/fault.h"

#include <time.h>

#define GC_TEST(name) Test(store_gc, name, .init = make_dir, .fini = remove_dir)

/* At most, and at least, by so much that no machine sleeps as long in between. */
#define AGE 1000000 /* s */

static const struct store_gc_options at_once = { .root_age_s = AGE };

static struct store_root *root_with(struct store *s, const char *id, unsigned from, unsigned to)
{
	struct digest keys[64];
	struct store_root *r = NULL;

	for (unsigned i = from; i < to; i++)
		keys[i - from] = sample_key(i);
	cr_assert_eq(store_root_open(&r, s, id, NULL), 0);
	cr_assert_eq(store_root_set(r, keys, to - from, NULL), 0);
	return r;
}

static void put_some(struct store *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(sample_put(s, i, NULL), 0);
}

/* As if the root had been left so long ago. */
static void age_root(const char *id, unsigned seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - (time_t)seconds } };
	char path[128];

	times[1] = times[0];
	(void)snprintf(path, sizeof path, "%s/roots/%s", dir, id);
	cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct store_gc_result gc(struct store *s, const struct store_gc_options *o)
{
	struct store_gc_result res;
	struct err e = { 0 };
	int r = store_gc(s, o, NULL, NULL, &res, &e);

	if (r < 0)
		fprintf(stderr, "gc: %s\n", e.msg);
	cr_assert_eq(r, 0);
	return res;
}

GC_TEST(what_no_root_names_goes)
{
	struct store *s = open_store();
	struct store_root *r;
	struct store_gc_result res;

	put_some(s, 200);
	r = root_with(s, "mount-1", 10, 30);
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 20);
	cr_assert_eq(res.removed, 180);
	cr_assert_eq(res.removed_bytes, 180 * 2048);
	store_close(s); /* packages in memory do not hide what has gone */
	store_root_close(r);
}

GC_TEST(only_named_packages_are_left)
{
	struct store *s = open_store();
	struct store_root *r;

	put_some(s, 20);
	r = root_with(s, "m", 3, 6);
	(void)gc(s, &at_once);
	store_root_close(r);
	store_close(s);
	s = open_store();
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(sample_read(s, i), i >= 3 && i < 6 ? 0 : -ENOENT);
	store_close(s);
}

GC_TEST(grace_protects_what_is_young)
{
	struct store *s = open_store();
	struct store_gc_options o = { .grace_s = 7200, .root_age_s = AGE };
	struct store_gc_result res;

	put_some(s, 5);
	res = gc(s, &o);
	cr_assert_eq(res.kept, 5);
	cr_assert_eq(res.removed, 0);
	store_close(s);
}

/* The clock of files runs ahead of time(), and so may be in another second. */
GC_TEST(what_is_of_this_moment_is_not_of_the_future)
{
	struct store *s = open_store();
	time_t first = time(NULL);

	while (time(NULL) < first + 3) {
		struct store_gc_result res;

		put_some(s, 1);
		res = gc(s, &at_once);
		cr_assert_eq(res.removed, 1);
	}
	store_close(s);
}

GC_TEST(a_dry_run_says_what_would_go_and_takes_nothing)
{
	struct store *s = open_store();
	struct store_gc_options o = { .root_age_s = AGE, .dry_run = true };
	struct store_gc_result res;

	put_some(s, 5);
	store_root_close(root_with(s, "old", 0, 2));
	age_root("old", AGE + 1);
	res = gc(s, &o);
	cr_assert_eq(res.removed, 5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(sample_read(s, i), 0);
	cr_assert_eq(files_in("roots"), 1);
	store_close(s);
}

GC_TEST(a_live_root_counts_however_old)
{
	struct store *s = open_store();
	struct store_root *r;
	struct store_gc_result res;

	put_some(s, 6);
	r = root_with(s, "live", 0, 3);
	age_root("live", 2 * AGE);
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 3);
	age_root("live", 2 * AGE);
	store_root_close(r); /* its age counts from here */
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 3);
	age_root("live", AGE / 2);
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 3);
	age_root("live", AGE + 1);
	res = gc(s, &at_once);
	cr_assert_eq(res.removed, 3);
	cr_assert_eq(files_in("roots"), 0);
	store_close(s);
}

GC_TEST(a_root_may_be_held_twice_and_replaced)
{
	struct store *s = open_store();
	struct store_root *a, *b;
	struct store_gc_result res;

	put_some(s, 6);
	a = root_with(s, "same", 0, 3);
	b = root_with(s, "same", 3, 5);
	store_root_close(a);
	age_root("same", 2 * AGE);
	res = gc(s, &at_once); /* b's content stands */
	cr_assert_eq(res.kept, 2);
	cr_assert_eq(store_root_set(b, NULL, 0, NULL), 0);
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 0);
	store_root_close(b);
	store_close(s);
}

GC_TEST(names_of_roots_are_checked)
{
	static const char *const bad[] = { "", ".", "..", "a/b", ".hidden", "a b", "\xc3\xa4" };
	struct store *s = open_store();
	struct store_root *r = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(store_root_open(&r, s, bad[i], NULL), -EINVAL);
	cr_assert_eq(files_in("roots"), 0);
	store_close(s);
}

GC_TEST(a_damaged_root_stops_gc_while_it_is_held)
{
	struct store *s = open_store();
	struct store_gc_result res;
	struct store_root *r;
	struct err e = { 0 };
	char path[128];

	put_some(s, 3);
	r = root_with(s, "m", 0, 2);
	(void)snprintf(path, sizeof path, "%s/roots/m", dir);
	for (off_t len = 16 + 2 * 72 + 15; len > 0; len -= 50) {
		cr_assert_eq(truncate(path, len), 0);
		cr_assert_eq(store_gc(s, &at_once, NULL, NULL, &res, &e), -EBADMSG);
		cr_assert(strstr(e.msg, "roots/m") != NULL);
	}
	store_root_close(r);
	res = gc(s, &at_once);
	cr_assert_eq(res.removed, 3);
	cr_assert_eq(files_in("roots"), 0);
	store_close(s);
}

struct late {
	struct store_root *root;
	unsigned removed;
};

/* Somebody mounts a project that needs all of them while gc is at work. */
static void name_all(void *arg, const struct store_item *gone)
{
	struct late *l = arg;
	struct digest keys[200];

	(void)gone;
	if (l->removed++)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		keys[i] = sample_key(i);
	cr_assert_eq(store_root_set(l->root, keys, ARRAY_LEN(keys), NULL), 0);
}

GC_TEST(roots_are_read_again_for_each_batch)
{
	struct store *s = open_store();
	struct store_gc_result res;
	struct late l = { 0 };

	put_some(s, 200);
	cr_assert_eq(store_root_open(&l.root, s, "late", NULL), 0);
	cr_assert_eq(store_gc(s, &at_once, name_all, &l, &res, NULL), 0);
	cr_assert_eq(res.removed, l.removed);
	cr_assert_eq(res.removed, 64, "one batch, not %zu", (size_t)res.removed);
	cr_assert_eq(res.kept, 136);
	store_root_close(l.root);
	store_close(s);
}

GC_TEST(blobs_without_a_record_go_too)
{
	struct store *s = open_store();
	struct digest key = sample_key(1);
	struct store_gc_result res;
	struct record rec;
	uint32_t slot;
	char path[128];

	put_some(s, 3);
	sample_path(s, 1, path);
	cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
	cr_assert_eq(index_kill(&s->volumes[0].ix, slot), 0);
	store_root_close(root_with(s, "m", 0, 3));
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 2);
	cr_assert_eq(res.removed, 1);
	cr_assert_eq(access(path, F_OK), -1);
	store_close(s);
}

GC_TEST(old_quarantine_is_emptied)
{
	struct store *s = open_store();
	struct store_gc_options o = { .root_age_s = 1000 };
	char path[128];

	put_some(s, 1);
	sample_path(s, 0, path);
	spoil(path);
	cr_assert_eq(sample_read(s, 0), -EBADMSG);
	(void)gc(s, &o);
	cr_assert_eq(files_in("quarantine"), 1);
	o.root_age_s = 0;
	(void)gc(s, &o);
	cr_assert_eq(files_in("quarantine"), 0);
	store_close(s);
}

static int gc_once(struct store *s)
{
	struct store_gc_result res;

	return store_gc(s, &at_once, NULL, NULL, &res, NULL);
}

GC_TEST(a_failure_in_the_middle_leaves_a_sound_store)
{
	struct store *s = open_store();
	struct store_root *r;
	struct store_verify_result res;

	put_some(s, 12);
	r = root_with(s, "m", 0, 4);
	fault_each(gc_once(s), -fault_errno);
	cr_assert_eq(store_verify(s, 1, NULL, NULL, &res, NULL), 0);
	cr_assert_eq(res.blobs, 4);
	cr_assert_eq(res.bad, 0);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(sample_read(s, i), 0);
	store_root_close(r);
	store_close(s);
}

static int set_root(struct store_root *r)
{
	struct digest keys[2] = { sample_key(1), sample_key(2) };

	return store_root_set(r, keys, 2, NULL);
}

GC_TEST(a_root_that_cannot_be_written_stays_what_it_was)
{
	struct store *s = open_store();
	struct store_root *r;
	struct store_gc_result res;

	put_some(s, 4);
	r = root_with(s, "m", 0, 1);
	fault_at = 3;
	cr_assert(set_root(r) < 0);
	fault_at = 0;
	res = gc(s, &(struct store_gc_options){ .root_age_s = AGE, .dry_run = true });
	cr_assert_eq(res.kept, 1);
	fault_each(set_root(r), -fault_errno);
	res = gc(s, &at_once);
	cr_assert_eq(res.kept, 2);
	cr_assert_eq(files_in("tmp"), 0);
	store_root_close(r);
	store_close(s);
}
