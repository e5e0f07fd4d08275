#include "lock/platform.h"

#include "core/clock.h"
#include "core/file.h"
#include "lock/semver.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define LDD_PATH        "/usr/bin/ldd"
#define LDD_MAX         (4 << 20) /* a script of 5 KiB, or musl's loader of some 600 KiB */
#define CACHE_NAME      "node-version"
#define CACHE_MAX       16384 /* CACHE_ROWS lines */
#define CACHE_ROWS      16    /* nodes that one user has at once */
#define NODE_TIMEOUT_MS 10000 /* a cold disk; more is a hang */

static const struct {
	const char *machine, *cpu;
} cpus[] = {
	{ "x86_64", "x64" },  { "amd64", "x64" },     { "aarch64", "arm64" },
	{ "i386", "ia32" },   { "i486", "ia32" },     { "i586", "ia32" },
	{ "i686", "ia32" },   { "ppc64le", "ppc64" }, { "loongarch64", "loong64" },
	{ "mips64", "mips" },
};

const char *platform_cpu_of(const char *machine)
{
	for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
		if (strcmp(machine, cpus[i].machine) == 0)
			return cpus[i].cpu;
	}
	return strncmp(machine, "armv", 4) == 0 ? "arm" : machine;
}

const char *platform_libc_of(struct slice ldd)
{
	if (ldd.len > 0 && memmem(ldd.ptr, ldd.len, "musl", 4))
		return "musl";
	if (ldd.len > 0 && memmem(ldd.ptr, ldd.len, "GNU C Library", 13))
		return "glibc";
	return NULL;
}

static const char *detect_libc(void)
{
	auto_free char *text = NULL;
	size_t len;

	if (file_read_all(AT_FDCWD, LDD_PATH, LDD_MAX, &text, &len, NULL) == 0)
		return platform_libc_of((struct slice){ (uint8_t *)text, len });
#ifdef __GLIBC__
	return "glibc";
#else
	return "musl";
#endif
}

/* ---- node ---- */

/* The first executable "node" of `path`. An empty element is the current directory. */
static bool find_node(const char *path, char ret[PATH_MAX], struct stat *st)
{
	for (const char *at = path, *end; at; at = *end ? end + 1 : NULL) {
		int n;

		end = strchrnul(at, ':');
		n = snprintf(ret, PATH_MAX, "%.*s%snode", (int)(end - at), at,
			     end > at ? "/" : "./");
		if (n < PATH_MAX && stat(ret, st) == 0 && S_ISREG(st->st_mode) &&
		    access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

/* Whether the file is node itself: no script, and no shim by another name behind a link. */
static bool is_node_itself(const char *path)
{
	auto_free char *real = realpath(path, NULL);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[4];

	return real && strncmp(strrchr(real, '/') + 1, "node", 4) == 0 && fd >= 0 &&
	       file_pread_all(fd, magic, sizeof magic, 0) == 0 &&
	       memcmp(magic, "\177ELF", sizeof magic) == 0;
}

/* Reads until the end of the stream, the limit or the deadline. */
static size_t read_answer(int fd, char *to, size_t max)
{
	int64_t deadline = now_ms() + NODE_TIMEOUT_MS;
	size_t len = 0;

	while (len < max) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, to + len, max - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

/* The environment but for NODE_OPTIONS, with which node may refuse to start; the caller frees. */
static char **environment(void)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 1, sizeof *env);
	for (size_t i = 0; env && i < n; i++) {
		if (strncmp(environ[i], "NODE_OPTIONS=", 13) != 0)
			env[kept++] = environ[i];
	}
	return env;
}

/* The child's process id with its output in *ret_fd, or a negative errno. */
static pid_t spawn_node(const char *path, int *ret_fd)
{
	char *argv[] = { (char *)path, (char *)"--version", NULL };
	auto_free char **env = environment();
	posix_spawn_file_actions_t actions;
	int fds[2], r;
	pid_t pid;

	if (!env || pipe2(fds, O_CLOEXEC) < 0)
		return -ENOMEM;
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
		r = r ? r : posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
		r = r ? r : posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
		r = r ? r : posix_spawn(&pid, path, &actions, NULL, argv, env);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	(void)close(fds[1]);
	if (r != 0) {
		(void)close(fds[0]);
		return -r;
	}
	*ret_fd = fds[0];
	return pid;
}

/* Canonical, or "" if that is no version. */
static void take_version(struct slice text, char ret[PLATFORM_VERSION_MAX])
{
	_Static_assert(PLATFORM_VERSION_MAX >= SEMVER_TEXT_MAX, "a version fits");
	struct semver v;

	ret[0] = '\0';
	if (semver_parse(&v, text, 0) == 0)
		(void)semver_format(&v, ret);
}

/* What tells one binary from another, as it stands at the start of a line of the cache. */
static size_t cache_key(const struct stat *st, char *ret, size_t size)
{
	return (size_t)snprintf(
		ret, size, "%llx %llx %llx %llx.%09lx ", (unsigned long long)st->st_dev,
		(unsigned long long)st->st_ino, (unsigned long long)st->st_size,
		(unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
}

static bool look_up(const char *cache, const char *key, size_t key_len,
		    char ret[PLATFORM_VERSION_MAX])
{
	for (const char *line = cache; line && *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, key, key_len) == 0) {
			take_version((struct slice){ (const uint8_t *)line + key_len,
						     (size_t)(end - line) - key_len },
				     ret);
			return ret[0] != '\0';
		}
		line = *end ? end + 1 : NULL;
	}
	return false;
}

/* The newest first; the oldest falls out. */
static void remember(const char *file, const char *cache, const char *key, const char *version)
{
	auto_buf struct buf b = BUF_INIT(CACHE_MAX);
	size_t len = cache ? strlen(cache) : 0;
	unsigned rows = 1;

	for (size_t i = 0; i < len; i++) {
		rows += cache[i] == '\n';
		if (rows == CACHE_ROWS)
			len = i + 1;
	}
	buf_addf(&b, "%s%s\n", key, version);
	buf_add(&b, cache, len);
	if (buf_error(&b) == 0 && file_replace_unsynced(file, b.data, b.len, 0600, NULL) < 0)
		return; /* asked again next time */
}

static void ask_begin(struct platform_asking *a, const char *path, const char *cache_dir)
{
	auto_free char *cache = NULL;
	char node[PATH_MAX];
	struct stat st;
	size_t len, key_len;

	*a = (struct platform_asking){ .begun = true, .fd = -1 };
	if (!path || !find_node(path, node, &st))
		return;
	if (cache_dir && is_node_itself(node) &&
	    asprintf(&a->cache, "%s/" CACHE_NAME, cache_dir) < 0)
		a->cache = NULL;
	key_len = cache_key(&st, a->key, sizeof a->key);
	if (a->cache && file_read_all(AT_FDCWD, a->cache, CACHE_MAX, &cache, &len, NULL) == 0 &&
	    look_up(cache, a->key, key_len, a->version))
		return;
	a->pid = spawn_node(node, &a->fd);
}

/* Ours, and not yet waited for: the id is its own. */
static void reap(struct platform_asking *a, bool end)
{
	if (end)
		(void)kill(a->pid, SIGKILL);
	while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
		;
	a->pid = 0;
}

static void keep(const struct platform_asking *a)
{
	auto_free char *dir = strdup(a->cache), *cache = NULL;
	size_t len;

	if (dir)
		*strrchr(dir, '/') = '\0';
	if (!dir || mkdir_p(dir, 0700, NULL) < 0)
		return;
	(void)!file_read_all(AT_FDCWD, a->cache, CACHE_MAX, &cache, &len, NULL);
	remember(a->cache, cache, a->key, a->version);
}

static void ask_end(struct platform_asking *a, char ret[PLATFORM_VERSION_MAX])
{
	char answer[PLATFORM_VERSION_MAX];
	size_t len;

	if (a->pid > 0) {
		len = read_answer(a->fd, answer, sizeof answer);
		/* It has said all that it will, or hangs. */
		reap(a, len == 0);
		take_version((struct slice){ (uint8_t *)answer, len }, a->version);
		if (a->version[0] && a->cache)
			keep(a);
	}
	memcpy(ret, a->version, sizeof a->version);
	platform_detect_drop(a);
}

void platform_node_version(const char *path, const char *cache_dir, char ret[PLATFORM_VERSION_MAX])
{
	struct platform_asking a;

	ask_begin(&a, path, cache_dir);
	ask_end(&a, ret);
}

void platform_detect_begin(struct platform_asking *a, const char *cache_dir)
{
	ask_begin(a, getenv("PATH"), cache_dir);
}

void platform_detect_end(struct platform_asking *a, struct platform *ret)
{
	static struct utsname machine; /* the same each time, so that threads may share it */
	struct platform p = { .os = "linux", .npm_version = PLATFORM_NPM_VERSION };

	p.cpu = uname(&machine) == 0 ? platform_cpu_of(machine.machine) : "unknown";
	p.libc = detect_libc();
	ask_end(a, p.node_version);
	*ret = p;
}

void platform_detect_drop(struct platform_asking *a)
{
	if (a->pid > 0)
		reap(a, true);
	if (a->begun)
		closep(&a->fd);
	free(a->cache);
	*a = (struct platform_asking){ 0 };
}

void platform_detect(struct platform *ret, const char *cache_dir)
{
	struct platform_asking a;

	platform_detect_begin(&a, cache_dir);
	platform_detect_end(&a, ret);
}

/* ---- checks ---- */

void platform_override(struct platform *p, const char *os, const char *cpu, const char *libc)
{
	if (os) {
		p->os = os;
		if (strcmp(os, "linux") != 0)
			p->libc = NULL;
	}
	if (cpu)
		p->cpu = cpu;
	if (libc)
		p->libc = libc;
}

bool platform_list_fits(const char *value, const struct graph_strings *list)
{
	bool match = false;
	uint32_t negated = 0;

	if (list->count == 1 && strcmp(list->items[0], "any") == 0)
		return true;
	for (uint32_t i = 0; i < list->count; i++) {
		bool negate = list->items[i][0] == '!';
		bool same = value && strcmp(value, list->items[i] + negate) == 0;

		if (negate && same)
			return false;
		negated += negate;
		match |= same;
	}
	return match || negated == list->count;
}

bool platform_fits(const struct platform *p, const struct graph_strings *os,
		   const struct graph_strings *cpu, const struct graph_strings *libc)
{
	if (libc->given && !p->libc)
		return false;
	return (!os->given || platform_list_fits(p->os, os)) &&
	       (!cpu->given || platform_list_fits(p->cpu, cpu)) &&
	       (!libc->given || platform_list_fits(p->libc, libc));
}

static bool engine_fits(const char *range, const char *version)
{
	if (!range || !*range || !version || !*version)
		return true;
	return semver_satisfies(slice_str(version), slice_str(range), SEMVER_PRERELEASE);
}

bool platform_engines_fit(const struct platform *p, const char *node, const char *npm)
{
	return engine_fits(node, p->node_version) && engine_fits(npm, p->npm_version);
}
