/* bench_store.c - what the store costs, as "name value unit" lines.
 *
 * usage: bench_store [DIR]. Some 1,400 packages with 40,000 files in all, sized as in a real
 * project, are put into a store in DIR (default: a new folder in /tmp, removed at the end). */
#include "core/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { PACKAGES = 1400, FILES_MAX = 28 * 2 };

static uint64_t seed = 42;
static uint8_t noise[1 << 20];

static uint64_t rnd(void)
{
	return (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33;
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void line(const char *name, double value, const char *unit)
{
	printf("%s %.3f %s\n", name, value, unit);
}

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_store: %s: %s\n", what, e->msg);
	exit(1);
}

struct package {
	char name[16], paths[FILES_MAX][48];
	struct dxp_file files[FILES_MAX];
	size_t count;
	struct dxp_meta meta;
	uint64_t bytes;
};

/* Most files are a few hundred bytes to some KiB, one in a hundred is large. */
static void make_package(struct package *p, unsigned i)
{
	seed = i + 1;
	p->count = 1 + rnd() % (FILES_MAX - 1);
	p->bytes = 0;
	(void)snprintf(p->name, sizeof p->name, "package-%u", i);
	for (size_t k = 0; k < p->count; k++) {
		size_t len = rnd() % 100 == 0 ? rnd() % 300000 : rnd() % 6000;

		(void)snprintf(p->paths[k], sizeof p->paths[k], "lib/part%u/module-%zu.js",
			       (unsigned)rnd() % 4, k);
		p->files[k] = (struct dxp_file){
			.path = slice_str(p->paths[k]),
			.type = DXP_FILE,
			.mode = 0644,
			.bytes = { noise + rnd() % (sizeof noise - 300000), len },
		};
		p->bytes += len;
	}
	p->meta = (struct dxp_meta){ .name = p->name, .version = "1.0.0" };
	if (digest_of(&p->meta.sha512, DIGEST_SHA512, p->name, strlen(p->name)) < 0)
		abort();
}

static struct store *must_open(const char *dir)
{
	struct store_options o = { .dir = dir };
	struct err e = { 0 };
	struct store *s;

	if (store_open(&s, &o, &e) < 0)
		die("open", &e);
	return s;
}

static void bench_put(const char *dir)
{
	static struct package p;
	struct store *s = must_open(dir);
	struct err e = { 0 };
	uint64_t bytes = 0, files = 0;
	double spent = 0;
	bool existed;

	for (unsigned i = 0; i < PACKAGES; i++) {
		double t;

		make_package(&p, i);
		t = now();
		if (store_put(s, &p.meta, p.files, p.count, 0, &existed, &e) < 0)
			die("put", &e);
		spent += now() - t;
		bytes += p.bytes;
		files += p.count;
	}
	line("store_files", (double)files, "files");
	line("store_bytes", (double)bytes / 1e6, "MB");
	line("store_put", (double)bytes / spent / 1e9, "GB/s");
	line("store_put_package", spent / PACKAGES * 1e6, "us");
	store_close(s);
}

/* Seconds that this process's threads have had a processor: what is said of a core must not depend
 * on who else wants it. */
static double cpu(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bench_verify(struct store *s, unsigned threads, const char *name)
{
	struct store_verify_result res;
	struct err e = { 0 };
	double t = now(), c = cpu();
	char per_core[64];

	if (store_verify(s, threads, NULL, NULL, &res, &e) < 0)
		die("verify", &e);
	t = now() - t;
	c = cpu() - c;
	if (res.bad)
		exit(1);
	line(name, (double)res.bytes / t / 1e9, "GB/s");
	(void)snprintf(per_core, sizeof per_core, "%s_per_core", name);
	line(per_core, (double)res.bytes / c / 1e9, "GB/s");
}

static uint64_t file_bytes;

static int read_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static uint8_t chunk[1 << 16];
	int fd = type == FTW_F && st->st_size ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	(void)ftw;
	while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0)
		file_bytes += (uint64_t)n;
	closep(&fd);
	return 0;
}

/* The same blobs, only read. */
static void bench_read_only(const char *dir)
{
	double c = cpu();

	(void)nftw(dir, read_one, 16, FTW_PHYS);
	line("store_only_read_per_core", (double)file_bytes / (cpu() - c) / 1e9, "GB/s");
}

enum { GC_BLOBS = 10000 };

/* Ten thousand blobs, of which a root names every second one. */
static void bench_gc(const char *dir)
{
	static struct digest kept[GC_BLOBS / 2];
	struct store_gc_options o = { .root_age_s = 1000 };
	struct store_gc_result res;
	struct store_root *root;
	struct store *s = must_open(dir);
	struct err e = { 0 };
	double t;

	for (unsigned i = 0; i < GC_BLOBS; i++) {
		char text[32];
		struct dxp_file f = { .path = SLICE("index.js"), .type = DXP_FILE, .mode = 0644 };
		struct dxp_meta meta = { .name = text, .version = "1.0.0" };
		bool existed;

		(void)snprintf(text, sizeof text, "gc-%u", i);
		f.bytes = slice_str(text);
		if (digest_of(&meta.sha512, DIGEST_SHA512, text, strlen(text)) < 0)
			abort();
		if (i % 2)
			kept[i / 2] = meta.sha512;
		if (store_put(s, &meta, &f, 1, 0, &existed, &e) < 0)
			die("put", &e);
	}
	if (store_root_open(&root, s, "bench", &e) < 0 ||
	    store_root_set(root, kept, GC_BLOBS / 2, &e) < 0)
		die("root", &e);
	t = now();
	if (store_gc(s, &o, NULL, NULL, &res, &e) < 0)
		die("gc", &e);
	line("store_gc_10000", (now() - t) * 1e3, "ms");
	if (res.removed != GC_BLOBS / 2 || res.kept != GC_BLOBS / 2)
		exit(1);
	store_root_close(root);
	store_close(s);
}

static long heap_kb(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void read_all(struct pkg *p, uint64_t *ret_bytes)
{
	static uint8_t buf[1 << 17];
	const struct dxp *d = pkg_dxp(p);
	struct err e = { 0 };

	for (uint32_t i = 0; i < dxp_count(d); i++) {
		struct dxp_entry x;

		dxp_entry(d, i, &x);
		for (uint64_t off = 0; x.type == DXP_FILE && off < x.size;) {
			ssize_t n = pkg_read(p, i, DXP_PLAIN, buf, sizeof buf, off, &e);

			if (n <= 0)
				die("read", &e);
			off += (uint64_t)n;
			*ret_bytes += (uint64_t)n;
		}
	}
}

static void bench_get(struct store *s)
{
	static struct pkg *pkgs[PACKAGES];
	static struct package p;
	static struct digest keys[PACKAGES];
	struct err e = { 0 };
	uint64_t bytes = 0, again = 0;
	long before;
	double t;

	for (unsigned i = 0; i < PACKAGES; i++) {
		make_package(&p, i);
		keys[i] = p.meta.sha512;
	}
	before = heap_kb();
	t = now();
	for (unsigned i = 0; i < PACKAGES; i++)
		if (!store_has(s, &keys[i]))
			exit(1);
	line("store_has", (now() - t) / PACKAGES * 1e9, "ns");
	t = now();
	for (unsigned i = 0; i < PACKAGES; i++)
		if (store_get(s, &keys[i], &pkgs[i], &e) < 0)
			die("get", &e);
	line("store_get_first", (now() - t) / PACKAGES * 1e6, "us");
	line("store_get_memory", (double)(heap_kb() - before), "kB");
	t = now();
	for (unsigned i = 0; i < PACKAGES; i++)
		read_all(pkgs[i], &bytes);
	line("store_read_first", (double)bytes / (now() - t) / 1e9, "GB/s");
	t = now();
	for (unsigned i = 0; i < PACKAGES; i++)
		read_all(pkgs[i], &again);
	line("store_read_again", (double)again / (now() - t) / 1e9, "GB/s");
	for (unsigned i = 0; i < PACKAGES; i++)
		pkg_release(pkgs[i]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(int argc, char **argv)
{
	char made[] = "/tmp/dxfs-bench-XXXXXX";
	const char *dir = argc > 1 ? argv[1] : mkdtemp(made);
	struct store *s;
	char *gc_dir;
	double t;

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)rnd();
	if (!dir)
		return 1;
	bench_put(dir);
	t = now();
	s = must_open(dir);
	line("store_open", (now() - t) * 1e6, "us");
	bench_get(s);
	bench_verify(s, 1, "store_verify_1_thread");
	bench_verify(s, 2, "store_verify_2_threads");
	bench_read_only(dir);
	store_close(s);
	if (asprintf(&gc_dir, "%s/gc", dir) < 0)
		return 1;
	bench_gc(gc_dir);
	free(gc_dir);
	if (argc < 2)
		(void)nftw(made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
