#include "tests/core/store_fixture.h"

#define STORE_TEST(name) Test(store_trust, name, .init = make_dir, .fini = remove_dir)

/* ---- behind ---- */

STORE_TEST(a_store_behind_serves_and_is_never_written)
{
	char front[96];
	const char *behind[] = { dir, NULL };
	struct store_options o = { .dir = front, .behind = behind };
	struct store *back = open_store(), *s = NULL;
	char path[128];

	(void)snprintf(front, sizeof front, "%s/front", dir);
	cr_assert_eq(sample_put(back, 1, NULL), 0);
	cr_assert_eq(sample_put(back, 2, NULL), 0);
	forget_boot(back, 2);
	sample_path(back, 1, path);
	cr_assert_eq(store_open(&s, &o, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(sample_read(s, 2), 0);
	cr_assert_eq(sample_put(back, 3, NULL), 0); /* seen though it came later */
	cr_assert_eq(sample_read(s, 3), 0);
	cr_assert_eq(sample_put(s, 4, NULL), 0);
	cr_assert_eq(sample_read(back, 4), -ENOENT);
	store_close(s);

	spoil(path); /* bad behind: passed over, and fetched into the front */
	cr_assert_eq(store_open(&s, &o, NULL), 0);
	cr_assert_eq(sample_read(s, 1), -EBADMSG);
	cr_assert_eq(sample_read(s, 1), -ENOENT);
	cr_assert_eq(access(path, F_OK), 0);
	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);
	store_close(back);
}

/* A front store before those of $DX_STORE_BEHIND. */
static int open_behind(struct store **ret, const char *list, struct err *e)
{
	char front[96];
	struct store_options o = { .dir = front };
	int r;

	(void)snprintf(front, sizeof front, "%s/front", dir);
	setenv("DX_STORE_BEHIND", list, 1);
	r = store_open(ret, &o, e);
	unsetenv("DX_STORE_BEHIND");
	return r;
}

STORE_TEST(stores_behind_come_from_the_environment)
{
	struct store *back = open_store(), *s = NULL;
	char list[256];

	cr_assert_eq(sample_put(back, 1, NULL), 0);
	store_close(back);
	(void)snprintf(list, sizeof list, "%s/second:%s:", dir, dir);
	cr_assert_eq(open_behind(&s, list, NULL), -ENOENT); /* one that was named must be there */
	*strrchr(list, ':') = '\0';
	cr_assert_eq(open_behind(&s, strchr(list, ':') + 1, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);
	cr_assert_eq(open_behind(&s, "", NULL), 0);
	cr_assert_eq(sample_read(s, 1), -ENOENT);
	store_close(s);
	cr_assert_eq(open_behind(&s, "/1:/2:/3:/4:/5:/6:/7:/8:/9", NULL), -E2BIG);
}

/* The store of root, whose blobs and index we then give away. */
STORE_TEST(a_store_behind_may_be_anothers_and_each_blob_is_verified)
{
	struct store *back = open_store(), *s = NULL;
	struct digest key = sample_key(1);
	char path[128], index[128], second[128];
	struct pkg *pkg = NULL;
	struct err e = { 0 };

	cr_assert_eq(sample_put(back, 1, NULL), 0);
	cr_assert_eq(sample_put(back, 2, NULL), 0);
	sample_path(back, 1, path);
	sample_path(back, 2, second);
	store_close(back);
	if (geteuid() != 0) /* only root can give files away */
		return;
	(void)snprintf(index, sizeof index, "%s/index", dir);
	cr_assert_eq(chown(dir, 12345, 0) | chown(index, 12345, 0) | chown(path, 12345, 0), 0);

	cr_assert_eq(open_behind(&s, dir, &e), 0, "%s", e.msg);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(sample_read(s, 2), 0);
	store_close(s);

	/* Its record says that it was made in this boot, which is not believed. */
	spoil(path);
	cr_assert_eq(open_behind(&s, dir, &e), 0);
	cr_assert_eq(store_get(s, &key, &pkg, NULL), -EBADMSG);
	store_close(s);

	cr_assert_eq(chown(second, 12346, 0), 0); /* of a third user */
	cr_assert_eq(open_behind(&s, dir, &e), 0);
	cr_assert_eq(sample_read(s, 2), -EPERM);
	store_close(s);
	cr_assert_eq(chmod(dir, 0775), 0);
	cr_assert_eq(open_behind(&s, dir, &e), -EPERM);
	cr_assert(strstr(e.msg, "chmod go-w") != NULL);
	cr_assert_eq(chmod(dir, 0755), 0);
	cr_assert_eq(chown(index, 12346, 0), 0);
	cr_assert_eq(open_behind(&s, dir, &e), -EPERM);
	cr_assert_eq(store_open(&s, &(struct store_options){ .dir = dir }, &e), -EPERM);
	cr_assert(strstr(e.msg, "DX_STORE_BEHIND") != NULL);
	cr_assert_eq(chown(dir, 0, 0), 0);
}

STORE_TEST(a_read_only_store_refuses_changes_and_lives_without_an_index)
{
	struct store_options o = { .dir = dir, .read_only = true };
	struct store *s = open_store();
	struct store_gc_result gc;
	char path[128];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	store_close(s);
	(void)snprintf(path, sizeof path, "%s/index", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(store_open(&s, &o, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(sample_put(s, 2, NULL), -EROFS);
	cr_assert_eq(store_sync(s, NULL), -EROFS);
	cr_assert_eq(store_gc(s, &(struct store_gc_options){ 0 }, NULL, NULL, &gc, NULL), -EROFS);
	cr_assert_eq(access(path, F_OK), -1);
	store_close(s);
	o.dir = "/nonexistent/store";
	cr_assert_eq(store_open(&s, &o, NULL), -ENOENT);
}

/* ---- who may have written it ---- */

STORE_TEST(what_others_may_write_is_refused)
{
	struct store_options o = { .dir = dir };
	struct store *s = open_store();
	struct err e = { 0 };
	char path[128], index[128], other[140];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_path(s, 1, path);
	store_close(s);
	(void)snprintf(index, sizeof index, "%s/index", dir);

	cr_assert_eq(chmod(path, 0464), 0);
	s = open_store();
	cr_assert_eq(sample_read(s, 1), -EPERM);
	cr_assert_eq(chmod(path, 0444), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);

	(void)snprintf(other, sizeof other, "%s.moved", path);
	cr_assert_eq(rename(path, other), 0);
	cr_assert_eq(symlink(other, path), 0);
	s = open_store();
	cr_assert_eq(sample_read(s, 1), -EPERM);
	store_close(s);

	cr_assert_eq(chmod(index, 0646), 0);
	cr_assert_eq(store_open(&s, &o, &e), -EPERM);
	cr_assert(strstr(e.msg, "chmod go-w") != NULL);
	cr_assert_eq(chmod(index, 0644), 0);
	cr_assert_eq(chmod(dir, 0775), 0);
	cr_assert_eq(store_open(&s, &o, &e), -EPERM);
	cr_assert_eq(chmod(dir, 0755), 0);
}

STORE_TEST(what_belongs_to_others_is_refused)
{
	struct store_options o = { .dir = dir };
	struct store *s = open_store();
	char path[128];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_path(s, 1, path);
	if (geteuid() == 0) { /* only root can give files away */
		cr_assert_eq(chown(path, 12345, 12345), 0);
		cr_assert_eq(sample_read(s, 1), -EPERM);
		store_close(s);
		cr_assert_eq(chown(dir, 12345, 12345), 0);
		cr_assert_eq(store_open(&s, &o, NULL), -EPERM);
		cr_assert_eq(chown(dir, 0, 0), 0);
		return;
	}
	store_close(s);
}
