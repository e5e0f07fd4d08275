#include "fetch/child.h"

#include "core/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <strings.h>
#include <sys/wait.h>

#define LOOK_MS 200 /* how often `stop` is looked at */

static bool is_key(const char *have, const char *set, bool fold)
{
	size_t len = strcspn(set, "=");

	return have[strcspn(have, "=")] && strcspn(have, "=") == len &&
	       (fold ? strncasecmp(have, set, len) : strncmp(have, set, len)) == 0;
}

int child_env(const char ***ret, const char *const *set, bool fold)
{
	size_t n = 0, more = 0, kept = 0;
	const char **env;

	while (environ[n])
		n++;
	while (set[more])
		more++;
	env = calloc(n + more + 1, sizeof *env);
	if (!env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < more && !is_key(environ[i], set[k], fold))
			k++;
		if (k == more)
			env[kept++] = environ[i];
	}
	for (size_t k = 0; k < more; k++)
		if (strchr(set[k], '='))
			env[kept++] = set[k];
	*ret = env;
	return 0;
}

static int start(const struct child *c, int out, int said, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, usual;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&usual);
	(void)posix_spawnattr_init(&at);
	(void)posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						    POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&at, &none);
	(void)posix_spawnattr_setsigdefault(&at, &usual);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out, 1);
	(void)posix_spawn_file_actions_adddup2(&fa, said, 2);
	if (c->dir)
		(void)posix_spawn_file_actions_addchdir_np(&fa, c->dir);
	r = posix_spawnp(ret, c->argv[0], &fa, &at, (char *const *)c->argv, (char *const *)c->env);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	return -r;
}

/* Reads what is there. False: no more comes. */
static bool drain(int fd, struct buf *b)
{
	char text[65536];
	ssize_t n = read(fd, text, sizeof text);

	if (n > 0)
		buf_add(b, text, (size_t)n);
	return n > 0;
}

static int listen_to(const struct child *c, int out, int said)
{
	int64_t end = now_ms() + c->timeout_ms;
	struct pollfd p[2] = { { .fd = out, .events = POLLIN }, { .fd = said, .events = POLLIN } };

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (c->stop && *c->stop)
			return -ECANCELED;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		if (poll(p, 2, LOOK_MS) <= 0)
			continue;
		if (p[0].revents && !drain(out, c->out))
			p[0].fd = -1;
		if (p[1].revents && !drain(said, c->said))
			p[1].fd = -1;
		if (c->out != c->said && buf_error(c->out))
			return buf_error(c->out);
	}
	return 0;
}

static int two_pipes(int in[2], int out[2])
{
	int fds[2];

	for (int i = 0; i < 2; i++) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return -errno;
		in[i] = fds[0];
		out[i] = fds[1];
	}
	return 0;
}

static int watch(const struct child *c, const int in[2], pid_t pid)
{
	int status, r = listen_to(c, in[0], in[1]);

	if (r < 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = -EREMOTEIO;
	return r;
}

int child_run(const struct child *c)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, r = two_pipes(in, out);
	pid_t pid = 0;

	if (r == 0)
		r = start(c, out[0], out[1], &pid);
	closep(&out[0]);
	closep(&out[1]);
	if (r == 0)
		r = watch(c, in, pid);
	closep(&in[0]);
	closep(&in[1]);
	return r;
}
