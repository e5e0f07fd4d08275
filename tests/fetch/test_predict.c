#include "core/file.h"
#include "core/hash.h"
#include "fetch/predict.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];

static void make_dir(void)
{
	test_dir(dir, sizeof dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_dir(void)
{
	cr_assert_eq(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct predict_touch touches[PREDICT_LEARN_MAX];

static struct predict_run run_of(const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		touches[i] = (struct predict_touch){ .name = names[i], .deps = UINT64_MAX };
	return (struct predict_run){ .touches = touches, .count = count };
}

static int learn(struct predict *m, const char *const *names, size_t count)
{
	struct predict_run run = run_of(names, count);

	return predict_learn(m, &run);
}

static int learn_file(const char *const *names, size_t count, struct err *e)
{
	struct predict_run run = run_of(names, count);

	return predict_learn_file(dir, &run, e);
}

static struct predict *model_of(const char *const *names, size_t count)
{
	struct predict *m = predict_new();

	cr_assert(m != NULL);
	cr_assert_eq(learn(m, names, count), 0);
	return m;
}

/* How often `b` followed `a`; 0 when it never did. */
static uint32_t count_of(const struct predict *m, const char *a, const char *b)
{
	uint32_t from = predict_find(m, a), to = predict_find(m, b), n;
	const struct predict_link *links;

	if (from == PREDICT_NONE || to == PREDICT_NONE)
		return 0;
	links = predict_links(m, from, &n);
	for (uint32_t i = 0; i < n; i++)
		if (links[i].to == to)
			return links[i].count;
	return 0;
}

Test(predict, counts_what_follows_but_not_across_a_break)
{
	const char *const seen[] = { "a", "b", "c", NULL, "d", "a", "b" };
	struct predict *m = model_of(seen, ARRAY_LEN(seen));

	cr_expect_eq(predict_count(m), 4);
	cr_expect_eq(predict_seen(m, predict_find(m, "a")), 2 * PREDICT_ONE);
	cr_expect_eq(count_of(m, "a", "b"), 2 * PREDICT_ONE);
	cr_expect_eq(count_of(m, "a", "c"), PREDICT_ONE);
	cr_expect_eq(count_of(m, "b", "a"), 0);
	cr_expect_eq(count_of(m, "c", "d"), 0);
	cr_expect_eq(predict_find(m, "e"), PREDICT_NONE);
	predict_free(m);
}

Test(predict, what_comes_after_the_window_does_not_follow)
{
	const char *seen[PREDICT_WINDOW + 2];
	char text[PREDICT_WINDOW + 2][8];
	struct predict *m;

	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		snprintf(text[i], sizeof text[i], "p%u", i);
		seen[i] = text[i];
	}
	m = model_of(seen, ARRAY_LEN(seen));
	cr_expect_eq(count_of(m, "p0", text[PREDICT_WINDOW]), PREDICT_ONE);
	cr_expect_eq(count_of(m, "p0", text[PREDICT_WINDOW + 1]), 0);
	predict_free(m);
}

Test(predict, the_first_of_a_mount_dependencies_and_strays_are_noted_and_read_back)
{
	const struct predict_touch seen[] = { { "two words", 0, false },
					      { "tool", predict_dep("x"), false },
					      { "x", 0, true },
					      { NULL, 0, false },
					      { "tool", predict_dep("y"), false } };
	struct predict_run run = { seen, ARRAY_LEN(seen), true };
	struct predict *m = predict_new(), *again = NULL;
	auto_buf struct buf b = BUF_INIT(PREDICT_FILE_MAX);
	uint32_t tool, x;

	cr_assert_eq(predict_learn(m, &run), 0);
	run.from_mount = false;
	cr_assert_eq(predict_learn(m, &run), 0);
	cr_assert_eq(predict_render(m, &b), 0);
	cr_assert_eq(predict_parse(&again, (struct slice){ b.data, b.len }, NULL), 0);
	tool = predict_find(again, "tool");
	x = predict_find(again, "x");
	cr_expect_eq(predict_first(again, tool), PREDICT_ONE);
	cr_expect_eq(predict_first(again, x), 0);
	cr_expect_eq(predict_stray(again, tool), 0);
	cr_expect_eq(predict_stray(again, x), 2 * PREDICT_ONE);
	cr_expect(predict_had_dep(again, tool, "x") && predict_had_dep(again, tool, "y"));
	cr_expect(!predict_had_dep(again, tool, "z"));
	predict_free(m);
	predict_free(again);
}

Test(predict, names_that_could_not_be_written_are_left_out)
{
	char long_name[PREDICT_NAME_MAX + 2];
	const char *seen[] = { "a", "", "two words", "tab\t", long_name, "b" };
	struct predict *m;

	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	m = model_of(seen, ARRAY_LEN(seen));
	cr_expect_eq(predict_count(m), 2);
	cr_expect_eq(count_of(m, "a", "b"), PREDICT_ONE);
	predict_free(m);
}

Test(predict, new_habits_outweigh_old_ones)
{
	const char *const old[] = { "a", "b" }, *const fresh[] = { "a", "c" };
	struct predict *m = predict_new();

	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(learn(m, old, 2), 0);
	cr_expect(predict_seen(m, 0) < PREDICT_SEEN_MAX);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(learn(m, fresh, 2), 0);
	cr_expect(count_of(m, "a", "c") > 4 * count_of(m, "a", "b"));
	predict_free(m);
}

Test(predict, followers_are_bounded_and_the_rarest_go)
{
	struct predict *m = predict_new();
	const char *const often[] = { "a", "often" };
	uint32_t n;

	cr_assert_eq(learn(m, often, 2), 0);
	cr_assert_eq(learn(m, often, 2), 0);
	for (unsigned i = 0; i < PREDICT_LINKS + 20; i++) {
		char text[16];
		const char *const once[] = { "a", text };

		snprintf(text, sizeof text, "once%u", i);
		cr_assert_eq(learn(m, once, 2), 0);
	}
	(void)predict_links(m, predict_find(m, "a"), &n);
	cr_expect_eq(n, PREDICT_LINKS);
	cr_expect_eq(count_of(m, "a", "often"), 2 * PREDICT_ONE);
	cr_expect(count_of(m, "a", "once51") > 0);
	predict_free(m);
}

static void render(const struct predict *m, struct buf *b)
{
	b->len = 0;
	cr_assert_eq(predict_render(m, b), 0);
}

Test(predict, is_read_back_as_it_was_written)
{
	const char *const seen[] = { "@s/a", "b", "c", NULL, "c", "b", "@s/a" };
	struct predict *m = model_of(seen, ARRAY_LEN(seen)), *again = NULL;
	auto_buf struct buf one = BUF_INIT(PREDICT_FILE_MAX);
	auto_buf struct buf two = BUF_INIT(PREDICT_FILE_MAX);
	struct err e = { 0 };

	render(m, &one);
	cr_assert_eq(predict_parse(&again, (struct slice){ one.data, one.len }, &e), 0, "%s",
		     e.msg);
	cr_expect_eq(count_of(again, "@s/a", "c"), PREDICT_ONE);
	cr_expect_eq(count_of(again, "c", "@s/a"), PREDICT_ONE);
	render(again, &two);
	cr_assert_eq(one.len, two.len);
	cr_expect_eq(memcmp(one.data, two.data, one.len), 0);
	predict_free(m);
	predict_free(again);
}

Test(predict, the_longest_unseen_names_are_not_written)
{
	struct predict *m = predict_new(), *again = NULL;
	const char *const recent[] = { "first", "last" };
	auto_buf struct buf b = BUF_INIT(PREDICT_FILE_MAX);
	static char text[PREDICT_LEARN_MAX][16];
	static const char *names[PREDICT_LEARN_MAX];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PREDICT_LEARN_MAX; i++) {
			snprintf(text[i], sizeof text[i], "p%u-%u", round, i);
			names[i] = text[i];
		}
		cr_assert_eq(learn(m, names, PREDICT_LEARN_MAX), 0);
	}
	cr_assert_eq(learn(m, recent, 2), 0);
	render(m, &b);
	cr_assert_eq(predict_parse(&again, (struct slice){ b.data, b.len }, NULL), 0);
	cr_expect_eq(predict_count(again), PREDICT_NAMES_MAX);
	cr_expect_eq(count_of(again, "first", "last"), PREDICT_ONE);
	cr_expect_eq(predict_find(again, "p0-17"), PREDICT_NONE);
	cr_expect_eq(count_of(again, "p2-0", "p2-1"), PREDICT_ONE);
	predict_free(m);
	predict_free(again);
}

/* The checksum made good, so that what is behind it is looked at. */
static int parse_patched(const struct buf *good, size_t at, uint32_t value, size_t len)
{
	auto_free uint8_t *copy = malloc(good->len);
	struct hash128 check;
	struct predict *m = NULL;
	uint32_t le = htole32(value);
	int r;

	memcpy(copy, good->data, good->len);
	memcpy(copy + at, &le, sizeof le);
	check = hash128(copy + 32, len - 32);
	memcpy(copy + 16, check.b, sizeof check.b);
	r = predict_parse(&m, (struct slice){ copy, len }, NULL);
	predict_free(m);
	return r;
}

Test(predict, what_is_wrong_in_the_file_is_refused)
{
	const char *const seen[] = { "a", "b", "c" };
	struct predict *m = model_of(seen, ARRAY_LEN(seen)), *none = NULL;
	auto_buf struct buf b = BUF_INIT(PREDICT_FILE_MAX);
	size_t links;

	render(m, &b);
	links = 64 + 3 * 40;
	cr_expect_eq(parse_patched(&b, 40, 3, b.len), 0, "nothing changed");
	cr_expect_eq(parse_patched(&b, 8, 3, b.len), -EPROTONOSUPPORT, "version");
	cr_expect_eq(parse_patched(&b, 12, 1000, b.len), -EBADMSG, "size");
	cr_expect_eq(parse_patched(&b, 32, 4, b.len), -EBADMSG, "names");
	cr_expect_eq(parse_patched(&b, 64, 1000, b.len), -EBADMSG, "text offset");
	cr_expect_eq(parse_patched(&b, 64 + 40, 0, b.len), -EBADMSG, "the same name twice");
	cr_expect_eq(parse_patched(&b, 68, 1, b.len), -EBADMSG, "first link");
	cr_expect_eq(parse_patched(&b, 72, 0xffff0001, b.len), -EBADMSG, "link count");
	cr_expect_eq(parse_patched(&b, 76, PREDICT_SEEN_MAX + 1, b.len), -EBADMSG, "seen");
	cr_expect_eq(parse_patched(&b, 84, PREDICT_ONE + 1, b.len), -EBADMSG, "first, not seen");
	cr_expect_eq(parse_patched(&b, 96, PREDICT_ONE + 1, b.len), -EBADMSG, "stray, not seen");
	cr_expect_eq(parse_patched(&b, links, 3, b.len), -EBADMSG, "link to nobody");
	cr_expect_eq(parse_patched(&b, links + 4, 0, b.len), -EBADMSG, "link without count");
	cr_expect_eq(predict_parse(&none, (struct slice){ b.data, b.len - 1 }, NULL), -EBADMSG);
	b.data[b.len - 1] ^= 1;
	cr_expect_eq(predict_parse(&none, (struct slice){ b.data, b.len }, NULL), -EBADMSG);
	predict_free(m);
}

Test(predict, a_store_without_one_has_an_empty_one, .init = make_dir, .fini = remove_dir)
{
	const char *const seen[] = { "a", "b" };
	struct predict *m = NULL;
	struct err e = { 0 };

	cr_assert_eq(predict_load(&m, dir, &e), 0);
	cr_expect_eq(predict_count(m), 0);
	predict_free(m);
	cr_assert_eq(learn_file(seen, 2, &e), 0, "%s", e.msg);
	cr_assert_eq(predict_load(&m, dir, &e), 0);
	cr_expect_eq(count_of(m, "a", "b"), PREDICT_ONE);
	predict_free(m);
}

Test(predict, a_damaged_file_is_said_and_then_replaced, .init = make_dir, .fini = remove_dir)
{
	const char *const seen[] = { "a", "b" };
	char path[96];
	struct predict *m = NULL;
	struct err e = { 0 };

	snprintf(path, sizeof path, "%s/predict", dir);
	cr_assert_eq(file_replace(path, "nonsense", 8, 0644, &e), 0);
	cr_expect_eq(predict_load(&m, dir, &e), -EBADMSG);
	cr_assert_eq(learn_file(seen, 2, &e), 0, "%s", e.msg);
	cr_assert_eq(predict_load(&m, dir, &e), 0);
	predict_free(m);
}

Test(predict, a_file_that_others_may_write_is_not_believed, .init = make_dir, .fini = remove_dir)
{
	const char *const seen[] = { "a", "b" };
	char path[96];
	struct predict *m = NULL;
	struct err e = { 0 };

	cr_assert_eq(learn_file(seen, 2, &e), 0);
	snprintf(path, sizeof path, "%s/predict", dir);
	cr_assert_eq(chmod(path, 0666), 0);
	cr_expect_eq(predict_load(&m, dir, &e), -EPERM);
}

Test(predict, several_processes_that_learn_at_once_lose_nothing, .init = make_dir,
     .fini = remove_dir)
{
	enum { PROCESSES = 4, TIMES = 8 };
	const char *const seen[] = { "a", "b" };
	struct predict *m = NULL;
	int status, bad = 0;

	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		for (int k = 0; k < TIMES; k++)
			bad |= learn_file(seen, 2, NULL);
		_exit(bad ? 1 : 0);
	}
	while (wait(&status) > 0)
		bad |= status;
	cr_expect_eq(bad, 0);
	cr_assert_eq(predict_load(&m, dir, NULL), 0);
	cr_expect_eq(count_of(m, "a", "b"), PROCESSES * TIMES * PREDICT_ONE);
	predict_free(m);
}

Test(predict, does_not_wait_for_who_holds_the_lock, .init = make_dir, .fini = remove_dir)
{
	const char *const seen[] = { "a", "b" };
	char path[128];
	int fd;

	cr_assert_eq(learn_file(seen, 2, NULL), 0);
	snprintf(path, sizeof path, "%s/predict.lock", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	cr_expect_eq(learn_file(seen, 2, NULL), -EBUSY);
	(void)close(fd);
	cr_expect_eq(learn_file(seen, 2, NULL), 0);
}

static int learn_once(void)
{
	const char *const seen[] = { "a", "b" };

	return learn_file(seen, 2, NULL);
}

Test(predict, whatever_fails_the_file_is_the_old_one_or_the_new_one, .init = make_dir,
     .fini = remove_dir)
{
	struct predict *m = NULL;

	cr_assert_eq(learn_once(), 0);
	fault_each(learn_once(), -fault_errno);
	cr_assert_eq(predict_load(&m, dir, NULL), 0);
	cr_expect(count_of(m, "a", "b") >= PREDICT_ONE);
	predict_free(m);
}
