#include "fetch/pack.h"

#include "core/clock.h"
#include "core/file.h"
#include "fetch/url.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_MAX 65536 /* bytes of npm's talk that are kept for the sentence */
#define LOOK_MS    200   /* how often `stop` is looked at */

static void remove_folder(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && (de = readdir(d)))
		(void)unlinkat(dirfd(d), de->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

/* The environment, and in it what a repository's own .npmrc shall not decide: npm runs itself anew
 * in the clone of one that wants preparing, and there takes even the program for git from that
 * file. The caller frees. */
static char **environment(void)
{
	static char git[] = "npm_config_git=git", scripts[] = "npm_config_ignore_scripts=true";
	size_t n = 0, kept = 0;
	bool own_git = false;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 3, sizeof *env);
	for (size_t i = 0; env && i < n; i++) {
		if (strncasecmp(environ[i], scripts, strcspn(scripts, "=") + 1) == 0)
			continue;
		own_git |= strncasecmp(environ[i], git, strcspn(git, "=") + 1) == 0;
		env[kept++] = environ[i];
	}
	if (env && !own_git)
		env[kept++] = git;
	if (env)
		env[kept++] = scripts;
	return env;
}

static int spawn(pid_t *ret, const char *spec, const char *dir, int out)
{
	auto_free char **env = environment();
	char *const argv[] = { (char *)"npm",
			       (char *)"pack",
			       (char *)"--ignore-scripts",
			       (char *)"--loglevel=error",
			       (char *)"--no-workspaces",
			       (char *)"--",
			       (char *)spec,
			       NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, usual;
	int r;

	if (!env)
		return -ENOMEM;
	(void)sigemptyset(&none);
	(void)sigfillset(&usual);
	(void)posix_spawnattr_init(&at);
	/* A group of its own, so that what npm starts can be ended with it. */
	(void)posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						    POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&at, &none);
	(void)posix_spawnattr_setsigdefault(&at, &usual);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out, 1);
	(void)posix_spawn_file_actions_adddup2(&fa, out, 2);
	(void)posix_spawn_file_actions_addchdir_np(&fa, dir);
	r = posix_spawnp(ret, "npm", &fa, &at, argv, env);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	return -r;
}

/* Reads what npm says until it ends; the exit status, or negative errno. */
static int watch(pid_t pid, int in, struct buf *said, const _Atomic bool *stop)
{
	int64_t end = now_ms() + PACK_TIMEOUT_MS;
	int status, r = 0;
	char text[4096];

	for (;;) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		ssize_t n;

		if (stop && *stop)
			r = -ECANCELED;
		else if (now_ms() >= end)
			r = -ETIMEDOUT;
		if (r < 0)
			break;
		if (poll(&p, 1, LOOK_MS) <= 0)
			continue;
		n = read(in, text, sizeof text);
		if (n <= 0)
			break;
		buf_add(said, text, (size_t)n);
	}
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = -EREMOTEIO;
	return r;
}

/* Says a line of npm's more than where its log is and which number the error has? What may hold
 * a URL with credentials says nothing either. */
static bool tells(const char *line)
{
	static const char *const dull[] = { "code ",  "command ", "syscall ",       "path ",
					    "errno ", "dest ",    "A complete log", "Log files" };
	const char *url = strstr(line, "://");

	for (size_t i = 0; i < ARRAY_LEN(dull); i++)
		if (strncmp(line, dull[i], strlen(dull[i])) == 0)
			return false;
	return *line && !(url && strchr(url, '@'));
}

/* The lines that tell something, in one. */
static void summary(struct buf *said, char *ret, size_t n)
{
	static const char prefix[] = "npm error";
	char *text, *rest, *line;
	size_t len = 0;

	buf_add(said, "", 1);
	ret[0] = '\0';
	text = rest = said->data ? (char *)said->data : NULL;
	if (text)
		text[said->len - 1] = '\0';
	while (text && (line = strsep(&rest, "\r\n")) && len < n - 1) {
		if (strncmp(line, prefix, sizeof prefix - 1) == 0)
			line += sizeof prefix - 1;
		line += strspn(line, " ");
		if (tells(line))
			len += (size_t)snprintf(ret + len, n - len, "%s%s", len ? "; " : "", line);
	}
}

static int run(const char *spec, const char *dir, const _Atomic bool *stop, struct err *e)
{
	auto_buf struct buf said = BUF_INIT(OUTPUT_MAX);
	auto_close int in = -1, out = -1;
	char shown[URL_SHOWN_MAX], line[160];
	int fds[2], r;
	pid_t pid;

	url_shown(spec, shown);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, -errno, "a pipe: %s", strerror(errno));
	in = fds[0];
	out = fds[1];
	r = spawn(&pid, spec, dir, out);
	if (r == -ENOENT)
		return err_set(e, -EOPNOTSUPP, "%s: needs npm, which $PATH does not find", shown);
	if (r < 0)
		return err_set(e, r, "starting npm pack: %s", strerror(-r));
	closep(&out);
	out = -1;
	r = watch(pid, in, &said, stop);
	if (r == 0)
		return 0;
	summary(&said, line, sizeof line);
	return err_set(e, r, "npm pack %s: %s", shown,
		       r == -EREMOTEIO   ? line
		       : r == -ETIMEDOUT ? "took too long"
		       : r == -ECANCELED ? "cancelled"
					 : strerror(-r));
}

static int read_tarball(char **ret, size_t *ret_len, const char *dir, struct err *e)
{
	int r = err_set(e, -EREMOTEIO, "npm pack left no tarball");
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && r == -EREMOTEIO && (de = readdir(d))) {
		size_t n = strlen(de->d_name);

		if (n > 4 && strcmp(de->d_name + n - 4, ".tgz") == 0)
			r = file_read_all(dirfd(d), de->d_name, PACK_TARBALL_MAX, ret, ret_len, e);
	}
	if (d)
		(void)closedir(d);
	return r;
}

int pack(char **ret, size_t *ret_len, const char *spec, const char *tmp_dir,
	 const _Atomic bool *stop, struct err *e)
{
	auto_free char *dir = NULL;
	int r;

	if (spec[0] == '-' || spec[0] == '\0')
		return err_set(e, -EINVAL, "not something to pack: %.100s", spec);
	if (asprintf(&dir, "%s/dx-pack-XXXXXX", tmp_dir ? tmp_dir : "/tmp") < 0) {
		dir = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (!mkdtemp(dir))
		return err_set(e, -errno, "a folder %s: %s", dir, strerror(errno));
	r = run(spec, dir, stop, e);
	if (r == 0)
		r = read_tarball(ret, ret_len, dir, e);
	remove_folder(dir);
	return r;
}
