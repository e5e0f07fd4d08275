#include "core/file.h"
#include "lock/platform.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static bool fits(const char *value, unsigned n, const char *const *items)
{
	return platform_list_fits(value, &(struct graph_strings){ items, n, true });
}
#define FITS(value, ...)                                                                           \
	fits(value, ARRAY_LEN(((const char *[]){ __VA_ARGS__ })), (const char *[]){ __VA_ARGS__ })

Test(platform, lists_name_what_fits_or_what_does_not)
{
	cr_expect(FITS("linux", "linux"));
	cr_expect(FITS("linux", "darwin", "linux"));
	cr_expect(!FITS("linux", "darwin", "win32"));
	cr_expect(FITS("linux", "!win32"));
	cr_expect(FITS("linux", "!win32", "!darwin"));
	cr_expect(!FITS("linux", "!linux"));
	cr_expect(!FITS("linux", "linux", "!linux"), "a negation wins");
	cr_expect(!FITS("linux", "darwin", "!win32"), "not all are negated, and none matches");
	cr_expect(FITS("linux", "linux", "!win32"));
	cr_expect(FITS("linux", "any"));
	cr_expect(!FITS("linux", "any", "darwin"), "any counts only alone");
	cr_expect(FITS("linux", "any", "linux"));
	cr_expect(!FITS("linux", "!any", "darwin"));
	cr_expect(!FITS("linux", ""));
	cr_expect(FITS("linux", "!"));
	cr_expect(!FITS("linux", "Linux"));
	cr_expect(fits("linux", 0, NULL), "an empty list");
	cr_expect(!FITS(NULL, "glibc"));
	cr_expect(FITS(NULL, "!musl"));
}

Test(platform, a_package_that_names_a_libc_needs_one)
{
	const char *glibc[] = { "glibc" }, *not_musl[] = { "!musl" }, *x64[] = { "x64" };
	struct graph_strings none = { 0 }, g = { glibc, 1, true }, n = { not_musl, 1, true },
			     c = { x64, 1, true }, empty = { .given = true };
	struct platform p = { .os = "linux", .cpu = "x64", .libc = "glibc" };

	cr_expect(platform_fits(&p, &none, &none, &none));
	cr_expect(platform_fits(&p, &none, &c, &g));
	cr_expect(!platform_fits(&p, &c, &none, &none));
	p.libc = "musl";
	cr_expect(!platform_fits(&p, &none, &none, &g));
	cr_expect(!platform_fits(&p, &none, &none, &n));
	p.libc = NULL;
	cr_expect(!platform_fits(&p, &none, &none, &n));
	cr_expect(!platform_fits(&p, &none, &none, &empty));
	cr_expect(platform_fits(&p, &empty, &empty, &none));
}

Test(platform, engines_admit_prereleases_and_are_strict)
{
	struct platform p = { .npm_version = "11.19.1", .node_version = "20.20.2" };

	cr_expect(platform_engines_fit(&p, NULL, NULL));
	cr_expect(platform_engines_fit(&p, "", ""));
	cr_expect(platform_engines_fit(&p, ">=18", ">=7"));
	cr_expect(platform_engines_fit(&p, "^18 || >=20", NULL));
	cr_expect(!platform_engines_fit(&p, ">=22", NULL));
	cr_expect(!platform_engines_fit(&p, NULL, "^10"));
	cr_expect(!platform_engines_fit(&p, "node 20", NULL),
		  "what is no range demands the impossible");
	(void)strcpy(p.node_version, "22.0.0-rc.1");
	cr_expect(platform_engines_fit(&p, ">=20", NULL));
	cr_expect(platform_engines_fit(&p, ">=21.9", NULL));
	cr_expect(!platform_engines_fit(&p, ">=22.0.0", NULL));
	p.node_version[0] = '\0';
	cr_expect(platform_engines_fit(&p, ">=99", NULL), "no node, no check");
	p.npm_version = NULL;
	cr_expect(platform_engines_fit(&p, NULL, ">=99"));
}

Test(platform, machines_have_the_names_that_node_gives_them)
{
	cr_assert_str_eq(platform_cpu_of("x86_64"), "x64");
	cr_assert_str_eq(platform_cpu_of("aarch64"), "arm64");
	cr_assert_str_eq(platform_cpu_of("armv7l"), "arm");
	cr_assert_str_eq(platform_cpu_of("i686"), "ia32");
	cr_assert_str_eq(platform_cpu_of("ppc64le"), "ppc64");
	cr_assert_str_eq(platform_cpu_of("s390x"), "s390x");
	cr_assert_str_eq(platform_cpu_of("riscv64"), "riscv64");
	cr_assert_str_eq(platform_cpu_of("loongarch64"), "loong64");
}

Test(platform, ldd_tells_the_libc)
{
	cr_assert_str_eq(platform_libc_of(SLICE("... GNU C Library ... ")), "glibc");
	cr_assert_str_eq(platform_libc_of(SLICE("musl libc")), "musl");
	cr_assert_str_eq(platform_libc_of(SLICE("GNU C Library, musl")), "musl");
	cr_assert(platform_libc_of(SLICE("#!/bin/sh")) == NULL);
	cr_assert(platform_libc_of((struct slice){ 0 }) == NULL);
}

Test(platform, only_linux_has_a_libc_of_its_own)
{
	struct platform p = { .os = "linux", .cpu = "x64", .libc = "glibc" };

	platform_override(&p, NULL, "arm64", NULL);
	cr_assert_str_eq(p.os, "linux");
	cr_assert_str_eq(p.cpu, "arm64");
	cr_assert_str_eq(p.libc, "glibc");
	platform_override(&p, "darwin", NULL, NULL);
	cr_assert(p.libc == NULL);
	platform_override(&p, "linux", NULL, "musl");
	cr_assert_str_eq(p.libc, "musl");
}

/* A folder with a `node` in it, and what is needed to see whether that ran. */
struct home {
	char dir[64], bin[80], node[96], cache[80], log[80];
};

static void copy(const char *from, const char *to)
{
	auto_free char *data = NULL;
	size_t len;

	cr_assert_eq(file_read_all(AT_FDCWD, from, 64 << 20, &data, &len, NULL), 0);
	cr_assert_eq(file_replace(to, data, len, 0755, NULL), 0);
}

static void home_init(struct home *h)
{
	char exe[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 16);

	cr_assert(n > 0);
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	(void)strcpy(slash + 1, "fake-node");
	test_dir(h->dir, sizeof h->dir);
	(void)snprintf(h->bin, sizeof h->bin, "%s/bin", h->dir);
	(void)snprintf(h->node, sizeof h->node, "%s/node", h->bin);
	(void)snprintf(h->cache, sizeof h->cache, "%s/cache", h->dir);
	(void)snprintf(h->log, sizeof h->log, "%s/log", h->dir);
	cr_assert_eq(mkdir_p(h->bin, 0755, NULL), 0);
	copy(exe, h->node);
	cr_assert_eq(setenv("FAKE_NODE_LOG", h->log, 1), 0);
	cr_assert_eq(setenv("FAKE_NODE_VERSION", "v20.20.2", 1), 0);
}

static void home_release(struct home *h)
{
	char file[128];

	(void)snprintf(file, sizeof file, "%s/node-version", h->cache);
	(void)unlink(file);
	(void)rmdir(h->cache);
	(void)unlink(h->node);
	(void)rmdir(h->bin);
	(void)unlink(h->log);
	cr_expect_eq(rmdir(h->dir), 0);
	(void)unsetenv("FAKE_NODE_LOG");
	(void)unsetenv("FAKE_NODE_VERSION");
}

static size_t runs(const struct home *h)
{
	auto_free char *log = NULL;
	size_t len = 0;

	if (file_read_all(AT_FDCWD, h->log, 4096, &log, &len, NULL) < 0)
		return 0;
	cr_expect(!strchr(log, '!'), "NODE_OPTIONS was passed on");
	return len;
}

Test(platform, node_is_asked_once_for_each_binary)
{
	char version[PLATFORM_VERSION_MAX], spare[128];
	struct home h;

	home_init(&h);
	cr_assert_eq(setenv("NODE_OPTIONS", "--no-such-option", 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		platform_node_version(h.bin, h.cache, version);
		cr_assert_str_eq(version, "20.20.2");
	}
	cr_expect_eq(runs(&h), 1);

	/* Another binary in its place is asked, and does not push the first out. */
	(void)snprintf(spare, sizeof spare, "%s/spare", h.bin);
	cr_assert_eq(rename(h.node, spare), 0);
	copy(spare, h.node);
	cr_assert_eq(setenv("FAKE_NODE_VERSION", "v22.1.0", 1), 0);
	platform_node_version(h.bin, h.cache, version);
	cr_assert_str_eq(version, "22.1.0");
	cr_expect_eq(runs(&h), 2);
	cr_assert_eq(rename(spare, h.node), 0);
	platform_node_version(h.bin, h.cache, version);
	cr_assert_str_eq(version, "20.20.2");
	cr_expect_eq(runs(&h), 2);
	(void)unsetenv("NODE_OPTIONS");
	home_release(&h);
}

Test(platform, a_script_is_asked_each_time)
{
	static const char script[] = "#!/bin/sh\nprintf . >>\"$FAKE_NODE_LOG\"\n"
				     "echo \"$FAKE_NODE_VERSION\"\n";
	char version[PLATFORM_VERSION_MAX];
	struct home h;

	home_init(&h);
	cr_assert_eq(file_replace(h.node, script, sizeof script - 1, 0755, NULL), 0);
	platform_node_version(h.bin, h.cache, version);
	cr_assert_str_eq(version, "20.20.2");
	cr_assert_eq(setenv("FAKE_NODE_VERSION", "v18.0.0", 1), 0);
	platform_node_version(h.bin, h.cache, version);
	cr_assert_str_eq(version, "18.0.0");
	cr_expect_eq(runs(&h), 2);
	home_release(&h);
}

Test(platform, a_node_that_answers_nonsense_is_no_node)
{
	static const char *answers[] = { "", "hello", "v20", "v20.1.1\nv20.1.2" };
	char version[PLATFORM_VERSION_MAX];
	struct home h;

	home_init(&h);
	for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
		cr_assert_eq(setenv("FAKE_NODE_VERSION", answers[i], 1), 0);
		platform_node_version(h.bin, h.cache, version);
		cr_assert_str_eq(version, "");
	}
	home_release(&h);
}

Test(platform, no_node_and_a_spoilt_cache_are_no_errors)
{
	char version[PLATFORM_VERSION_MAX], file[128], path[256];
	struct home h;

	home_init(&h);
	platform_node_version(h.dir, h.cache, version);
	cr_assert_str_eq(version, "");
	platform_node_version(NULL, h.cache, version);
	cr_assert_str_eq(version, "");

	(void)snprintf(file, sizeof file, "%s/node-version", h.cache);
	cr_assert_eq(mkdir_p(h.cache, 0700, NULL), 0);
	cr_assert_eq(file_replace(file, "\n1 2 3\n\n x", 10, 0600, NULL), 0);
	(void)snprintf(path, sizeof path, "/nonexistent::%s:%s", h.dir, h.bin);
	platform_node_version(path, h.cache, version);
	cr_assert_str_eq(version, "20.20.2");
	platform_node_version(path, NULL, version);
	cr_assert_str_eq(version, "20.20.2");
	cr_expect_eq(runs(&h), 2);
	home_release(&h);
}

Test(platform, detects_this_machine)
{
	struct platform p;

	platform_detect(&p, NULL);
	cr_assert_str_eq(p.os, "linux");
	cr_assert(p.cpu[0] != '\0');
	cr_assert_str_eq(p.npm_version, PLATFORM_NPM_VERSION);
}
