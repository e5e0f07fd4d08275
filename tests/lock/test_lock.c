#include "core/file.h"
#include "lock/lock.h"
#include "lock/lock_priv.h"
#include "tests/lib/env.h"
#include "tests/lock/sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const struct hash128 fingerprint = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };

static void build(const struct graph *g, struct buf *ret)
{
	struct err e = { 0 };

	*ret = (struct buf)BUF_INIT(LOCK_SIZE_MAX);
	if (lock_build(g, fingerprint, ret, &e) < 0)
		(void)fprintf(stderr, "build: %s\n", e.msg);
	cr_assert(ret->len > 0);
}

static struct slice all(const struct buf *b)
{
	return (struct slice){ b->data, b->len };
}

static struct lock *open_sample(struct buf *b)
{
	auto_graph struct graph *g = sample_graph(sample_text);
	struct lock *l = NULL;
	struct err e = { 0 };

	build(g, b);
	if (lock_open_bytes(&l, all(b), &e) < 0)
		(void)fprintf(stderr, "open: %s\n", e.msg);
	cr_assert(l != NULL);
	return l;
}

Test(lock, a_graph_comes_back_equal)
{
	auto_graph struct graph *g = sample_graph(sample_text), *back = NULL;
	auto_buf struct buf b = BUF_INIT(0);
	auto_lock struct lock *l = open_sample(&b);

	cr_assert_eq(lock_graph(l, &back, NULL), 0);
	sample_same(g, back);
	cr_assert(hash128_eq(lock_fingerprint(l), fingerprint));
	cr_assert_eq(lock_verify(l, NULL), 0);
	cr_assert_eq(b.len, lock_bytes(l).len);
}

Test(lock, the_same_graph_gives_the_same_bytes)
{
	auto_graph struct graph *back = NULL;
	auto_buf struct buf a = BUF_INIT(0), b = BUF_INIT(0);
	auto_lock struct lock *l = open_sample(&a);

	cr_assert_eq(lock_graph(l, &back, NULL), 0);
	build(back, &b);
	cr_assert(slice_eq(all(&a), all(&b)));
}

Test(lock, every_flipped_byte_is_noticed)
{
	auto_buf struct buf b = BUF_INIT(0);
	struct lock *l = open_sample(&b);

	lock_close(l);
	for (size_t i = 0; i < b.len; i++) {
		int r;

		b.data[i] ^= 0x5a;
		r = lock_open_bytes(&l, all(&b), NULL);
		cr_assert(r == -EBADMSG || (r == -EPROTONOSUPPORT && i >= 4 && i < 8));
		b.data[i] ^= 0x5a;
	}
	cr_assert_eq(lock_open_bytes(&l, all(&b), NULL), 0);
	lock_close(l);
}

/* With the checksum made good again: what no accident does, a forger does. */
Test(lock, a_forged_byte_is_refused_or_harmless)
{
	auto_buf struct buf b = BUF_INIT(0);
	struct lock *l = open_sample(&b);
	uint32_t opened = 0;

	lock_close(l);
	for (size_t i = 32; i < b.len; i++) {
		uint8_t was = b.data[i];

		for (int k = 0; k < 4; k++) {
			struct graph *g = NULL;

			b.data[i] = (uint8_t[]){ 0, 0xff, (uint8_t)(was + 1), '/' }[k];
			cr_assert_eq(dxl_checksum(b.data, b.len, b.data + DXL_CHECKSUM_AT), 0);
			if (lock_open_bytes(&l, all(&b), NULL) < 0)
				continue;
			opened++;
			if (lock_graph(l, &g, NULL) == 0)
				cr_assert_eq(graph_resolve(g, g->count - 1, "nothing"), GRAPH_NONE);
			graph_free(g);
			lock_close(l);
		}
		b.data[i] = was;
	}
	cr_assert(opened > 0);
}

Test(lock, every_truncation_is_noticed)
{
	auto_buf struct buf b = BUF_INIT(0);
	struct lock *l = open_sample(&b);

	lock_close(l);
	for (size_t n = 0; n < b.len; n++) {
		/* Of its own size, so that a read past the end is one past the heap block. */
		auto_free uint8_t *part = malloc(n ? n : 1);

		memcpy(part, b.data, n);
		cr_assert_eq(lock_open_bytes(&l, (struct slice){ part, n }, NULL), -EBADMSG);
	}
}

Test(lock, a_later_version_is_refused_with_its_number)
{
	auto_buf struct buf b = BUF_INIT(0);
	struct lock *l = open_sample(&b);
	struct err e = { 0 };

	lock_close(l);
	b.data[4] = 7;
	cr_assert_eq(lock_open_bytes(&l, all(&b), &e), -EPROTONOSUPPORT);
	cr_assert(strstr(e.msg, "version 7") != NULL);
}

Test(lock, bytes_may_stand_at_any_address)
{
	auto_buf struct buf b = BUF_INIT(0);
	struct lock *l = open_sample(&b);
	auto_free uint8_t *odd = malloc(b.len + 1);

	lock_close(l);
	memcpy(odd + 1, b.data, b.len);
	cr_assert_eq(lock_open_bytes(&l, (struct slice){ odd + 1, b.len }, NULL), 0);
	cr_assert(lock_get(l, SLICE("plain")) != GRAPH_NONE);
	lock_close(l);
}

Test(lock, packages_are_found_by_name_and_version)
{
	auto_buf struct buf b = BUF_INIT(0);
	auto_lock struct lock *l = open_sample(&b);
	uint32_t one = lock_get_version(l, SLICE("plain"), SLICE("1.0.0")),
		 two = lock_get_version(l, SLICE("plain"), SLICE("2.0.0"));
	struct lock_pkg p;

	cr_assert(one != GRAPH_NONE && two != GRAPH_NONE && one != two);
	cr_assert_eq(lock_get(l, SLICE("plain")), one < two ? one : two);
	lock_pkg(l, two, &p);
	cr_assert_str_eq(p.name, "plain");
	cr_assert_str_eq(p.version, "2.0.0");
	cr_assert_eq(p.digest.alg, DIGEST_SHA1);
	cr_assert_eq(p.digest.len, 20);
	/* An alias is known by the name of what it stands for. */
	lock_pkg(l, lock_get(l, SLICE("real")), &p);
	cr_assert_eq(p.flags, NODE_HAS_SCRIPT);
	cr_assert_eq(lock_get(l, SLICE("alias")), GRAPH_NONE);
	cr_assert_eq(lock_get(l, SLICE("plai")), GRAPH_NONE);
	cr_assert_eq(lock_get(l, SLICE("")), GRAPH_NONE);
	cr_assert_eq(lock_get(l, SLICE("plain\0")), GRAPH_NONE);
	cr_assert_eq(lock_get_version(l, SLICE("plain"), SLICE("3.0.0")), GRAPH_NONE);
	/* The project itself is no package. */
	cr_assert_eq(lock_get(l, SLICE("sample")), GRAPH_NONE);
}

Test(lock, a_dependency_names_its_package_where_it_is_one)
{
	auto_buf struct buf b = BUF_INIT(0);
	auto_lock struct lock *l = open_sample(&b);
	uint32_t dev = lock_get(l, SLICE("dev")), seen = 0;
	struct lock_dep d;
	struct lock_pkg p;

	lock_get_dependency(l, dev, 0, &d);
	cr_assert_str_eq(d.name, "plain");
	cr_assert_str_eq(d.range, "^1.0.0");
	cr_assert_eq(d.target, lock_get_version(l, SLICE("plain"), SLICE("1.0.0")));
	lock_pkg(l, lock_get(l, SLICE("real")), &p);
	for (uint32_t k = 0; k < p.dep_count; k++) {
		lock_get_dependency(l, lock_get(l, SLICE("real")), k, &d);
		cr_assert_eq(d.section, SECTION_PEER);
		if (strcmp(d.name, "missing") == 0) {
			cr_assert(d.peer_optional && d.target == GRAPH_NONE);
			seen++;
		}
	}
	cr_assert_eq(seen, 1);
}

Test(lock, one_package_at_two_places_with_two_targets_names_none)
{
	static const char text[] =
		"{\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"p\":\"1\",\"q\":"
		"\"1\","
		"\"x\":\"1\"}},"
		"\"node_modules/p\":{\"version\":\"1.0.0\",\"dependencies\":{\"x\":\"*\"}},"
		"\"node_modules/"
		"q\":{\"version\":\"1.0.0\",\"dependencies\":{\"p\":\"1\",\"x\":\"2\"}},"
		"\"node_modules/q/node_modules/"
		"p\":{\"version\":\"1.0.0\",\"dependencies\":{\"x\":\"*\"}},"
		"\"node_modules/q/node_modules/x\":{\"version\":\"2.0.0\"},"
		"\"node_modules/x\":{\"version\":\"1.0.0\"}}}";
	auto_graph struct graph *g = sample_graph(text), *back = NULL;
	auto_buf struct buf b = BUF_INIT(0);
	auto_lock struct lock *l = NULL;
	struct lock_dep d;

	build(g, &b);
	cr_assert_eq(lock_open_bytes(&l, all(&b), NULL), 0);
	lock_get_dependency(l, lock_get(l, SLICE("p")), 0, &d);
	cr_assert_eq(d.target, GRAPH_NONE);
	lock_get_dependency(l, lock_get(l, SLICE("q")), 0, &d);
	cr_assert_eq(d.target, lock_get(l, SLICE("p")));
	/* One package, though it stands twice; root, p, q, two of x. */
	cr_assert_eq(lock_count(l), 5);
	cr_assert_eq(lock_graph(l, &back, NULL), 0);
	sample_same(g, back);
}

Test(lock, the_builder_keeps_equal_packages_once)
{
	auto_graph struct graph *g = sample_graph("{\"lockfileVersion\":3,\"packages\":{\"\":{}}}");
	struct lock_builder *b = lock_builder_new();
	auto_buf struct buf out = BUF_INIT(LOCK_SIZE_MAX);
	auto_lock struct lock *l = NULL;
	struct graph_node n = { .pkg_name = "n", .version = "1.0.0", .path = "node_modules/n" };

	char name[16];

	for (int64_t i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof name, "n%d", (int)i % 1500);
		n.pkg_name = name;
		cr_assert_eq(lock_add_package(b, &n, NULL), i % 1500);
	}
	n.engine_node = ">=1";
	cr_assert_eq(lock_add_package(b, &n, NULL), 1500);
	cr_assert_eq(lock_builder_finish(b, g, fingerprint, &out, NULL), 0);
	lock_builder_free(b);
	cr_assert_eq(lock_open_bytes(&l, all(&out), NULL), 0);
	cr_assert_eq(lock_count(l), 1502);
	cr_assert_eq(lock_get(l, SLICE("n77")), 77);
	cr_assert_eq(lock_get(l, SLICE("n1499")), 1499);
}

Test(lock, too_many_dependencies_are_refused)
{
	struct lock_builder *b = lock_builder_new();
	struct graph_node n = { .pkg_name = "n", .dep_count = GRAPH_DEPS_MAX + 1 };
	struct err e = { 0 };

	cr_assert_eq(lock_add_package(b, &n, &e), -E2BIG);
	cr_assert(strstr(e.msg, "20001") != NULL);
	lock_builder_free(b);
}

Test(lock, a_file_is_written_and_read)
{
	auto_graph struct graph *g = sample_graph(sample_text);
	char dir[TEST_DIR_SIZE], path[64];
	auto_lock struct lock *l = NULL;
	struct err e = { 0 };

	test_dir(dir, sizeof dir);
	(void)snprintf(path, sizeof path, "%s/dx.lock", dir);
	cr_assert_eq(lock_open(&l, AT_FDCWD, path, NULL), -ENOENT);
	cr_assert_eq(lock_write(g, fingerprint, path, NULL), 0);
	cr_assert_eq(lock_open(&l, AT_FDCWD, path, NULL), 0);
	cr_assert(lock_count(l) > 5);
	/* The file may be overwritten in place: what was opened stays. */
	cr_assert_eq(truncate(path, 0), 0);
	cr_assert_eq(lock_verify(l, NULL), 0);
	struct lock *none = NULL;

	cr_assert_eq(lock_open(&none, AT_FDCWD, path, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "dx.lock") != NULL && strstr(e.msg, "dx lock") != NULL);
	cr_assert_eq(lock_open(&none, AT_FDCWD, dir, NULL), -EBADMSG);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(rmdir(dir), 0);
}
