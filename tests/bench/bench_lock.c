/* bench_lock.c - what reading a lock costs. usage: bench_lock [package-lock.json]
 *
 * Lines of "name value unit": the best of many runs, after one that warms the caches. Without an
 * argument, a made-up lock of 1,400 packages. */
#include "core/file.h"
#include "lock/lock.h"
#include "lock/npmlock.h"
#include "lock/platform.h"
#include "lock/project.h"
#include "lock/render.h"
#include "lock/select.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define RUNS     200
#define PACKAGES 1400

static double now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void check(int r, const struct err *e)
{
	if (r < 0) {
		(void)fprintf(stderr, "bench_lock: %s\n", e->msg);
		exit(1);
	}
}

/* Each package needs three others; every tenth stands once more below another. */
static char *made_up(void)
{
	struct buf b = BUF_INIT((size_t)64 << 20);

	buf_addstr(&b, "{\"name\":\"bench\",\"lockfileVersion\":3,\"requires\":true,"
		       "\"packages\":{\"\":{\"dependencies\":{");
	for (int i = 0; i < 60; i++)
		buf_addf(&b, "%s\"package-%d\":\"^1.0.0\"", i ? "," : "", i);
	buf_addstr(&b, "}}");
	for (int i = 0; i < PACKAGES; i++) {
		buf_addf(
			&b,
			",\"node_modules/package-%d\":{\"version\":\"1.%d.0\",\"resolved\":"
			"\"http://registry.test/package-%d/-/package-%d-1.%d.0.tgz\",\"integrity\":"
			"\"sha512-%086d==\",\"license\":\"MIT\",\"engines\":{\"node\":\">=10\"},"
			"\"dependencies\":{\"package-%d\":\"^1.0.0\",\"package-%d\":\"^1.0.0\","
			"\"package-%d\":\"^1.0.0\"}}",
			i, i % 9, i, i, i % 9, i, (i * 7 + 1) % PACKAGES, (i * 5 + 2) % PACKAGES,
			(i * 3 + 3) % PACKAGES);
	}
	buf_addstr(&b, "}}");
	return buf_steal_str(&b);
}

static void best(double *to, double since)
{
	double took = now_us() - since;

	if (took < *to)
		*to = took;
}

static void bench_read(const char *dxl)
{
	double open = 1e9, verify = 1e9, graph = 1e9, hidden = 1e9, whole = 1e9, select = 1e9;
	struct platform here = { .os = "linux", .cpu = "x64", .libc = "glibc" };
	const struct select_params params = { .platform = &here };
	struct err e = { 0 };

	for (int i = 0; i < RUNS; i++) {
		auto_lock struct lock *l = NULL;
		auto_graph struct graph *g = NULL;
		auto_buf struct buf out = BUF_INIT((size_t)1 << 30);
		auto_free bool *present = NULL;
		double t = now_us();

		check(lock_open(&l, AT_FDCWD, dxl, &e), &e);
		best(&open, t);
		t = now_us();
		check(lock_verify(l, &e), &e);
		best(&verify, t);
		t = now_us();
		check(lock_graph(l, &g, &e), &e);
		best(&graph, t);
		present = calloc(g->count, sizeof *present);
		t = now_us();
		check(select_nodes(g, &params, present, &e), &e);
		best(&select, t);
		t = now_us();
		check(render_hidden(g, present, false, &out, &e), &e);
		best(&hidden, t);
		out.len = 0;
		t = now_us();
		check(render_package_lock(g, &out, &e), &e);
		best(&whole, t);
	}
	(void)printf("lock_open %.1f us\nlock_check %.1f us\nlock_graph %.1f us\nselect %.1f us\n"
		     "render_hidden %.1f us\nrender_package_lock %.1f us\n",
		     open, verify, graph, select, hidden, whole);
}

static void bench_lookup(const char *dxl)
{
	auto_lock struct lock *l = NULL;
	double by_name = 1e9, by_version = 1e9;
	struct err e = { 0 };
	uint32_t n, found = 0;

	check(lock_open(&l, AT_FDCWD, dxl, &e), &e);
	n = lock_count(l);
	for (int run = 0; run < RUNS; run++) {
		double t = now_us();
		struct lock_pkg p;

		for (uint32_t i = 0; i < n; i++) {
			lock_pkg(l, i, &p);
			found += p.name && lock_get(l, slice_str(p.name)) != GRAPH_NONE;
		}
		best(&by_name, t);
		t = now_us();
		for (uint32_t i = 0; i < n; i++) {
			lock_pkg(l, i, &p);
			found += p.name && p.version &&
				 lock_get_version(l, slice_str(p.name), slice_str(p.version)) !=
					 GRAPH_NONE;
		}
		best(&by_version, t);
	}
	(void)printf("packages %u count\nbytes %zu bytes\nlookup_name %.1f ns\n"
		     "lookup_name_version %.1f ns\nlookups_found %u count\n",
		     n, lock_bytes(l).len, by_name * 1e3 / n, by_version * 1e3 / n, found);
}

/* A project whose derived lock is kept: what a mount pays to know that it is fresh. */
static void bench_fresh(const char *dir)
{
	const struct npmlock_options o = { 0 };
	char cache[256];
	double fresh = 1e9;
	struct err e = { 0 };

	(void)snprintf(cache, sizeof cache, "%s/cache", dir);
	for (int i = 0; i < RUNS; i++) {
		auto_project struct project p = PROJECT_INIT;
		auto_lock struct lock *l = NULL;
		bool derived;
		double t = now_us();

		check(project_open(&p, dir, &e), &e);
		check(project_lock(&p, cache, &o, &l, &derived, &e), &e);
		best(&fresh, t);
	}
	(void)printf("project_lock_fresh %.1f us\n", fresh);
}

static void bench_make(const char *text, const char *dxl)
{
	const struct npmlock_options o = { 0 };
	double parse = 1e9, build = 1e9;
	struct err e = { 0 };

	for (int i = 0; i < RUNS / 20; i++) {
		auto_graph struct graph *g = NULL;
		auto_buf struct buf b = BUF_INIT((size_t)1 << 30);
		double t = now_us();

		check(npmlock_parse(&g, slice_str(text), &o, &e), &e);
		check(graph_edges(g, &o.graph, &e), &e);
		check(graph_flags(g, &e), &e);
		best(&parse, t);
		t = now_us();
		check(lock_build(g, (struct hash128){ 0 }, &b, &e), &e);
		best(&build, t);
		check(file_replace(dxl, b.data, b.len, 0600, &e), &e);
	}
	(void)printf("package_lock_bytes %zu bytes\nnpmlock_parse %.1f us\nlock_build %.1f us\n",
		     strlen(text), parse, build);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/bench-lock-XXXXXX", path[256], dxl[256];
	auto_free char *text = NULL;
	struct err e = { 0 };
	size_t len;

	if (argc > 1)
		check(file_read_all(AT_FDCWD, argv[1], NPMLOCK_SIZE_MAX, &text, &len, &e), &e);
	else
		text = made_up();
	if (!text || !mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/package-lock.json", dir);
	(void)snprintf(dxl, sizeof dxl, "%s/bench.dxl", dir);
	check(file_replace(path, text, strlen(text), 0600, &e), &e);
	bench_make(text, dxl);
	bench_read(dxl);
	bench_lookup(dxl);
	bench_fresh(dir);
	(void)snprintf(path, sizeof path, "rm -rf %s", dir);
	return system(path) == 0 ? 0 : 1;
}
