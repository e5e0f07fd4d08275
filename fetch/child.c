#include "fetch/child.h"

#include "core/clock.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define LOOK_MS      200  /* how often `stop` is looked at */
#define DIR_MS       1000 /* and how much the folder holds */
#define CHILDREN_MAX 64   /* that a signal ends; a process has few */

/* ---- signals that are to end this process ---- */

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };

static struct {
	pthread_mutex_t mu;
	unsigned inside; /* guarded by mu, as `taken`: our handler stands where the default did */
	bool taken[ARRAY_LEN(ending)];
	/* Read by the handler. */
	atomic_int caught;
	_Atomic pid_t groups[CHILDREN_MAX];
} children = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void end_children(int sig)
{
	int saved = errno;

	atomic_store(&children.caught, sig);
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		pid_t pid = atomic_load(&children.groups[i]);

		if (pid > 0)
			(void)kill(-pid, SIGKILL);
	}
	errno = saved;
}

void child_enter(void)
{
	const struct sigaction ours = { .sa_handler = end_children, .sa_flags = SA_RESTART };
	struct sigaction had;

	(void)pthread_mutex_lock(&children.mu);
	for (size_t i = 0; children.inside == 0 && i < ARRAY_LEN(ending); i++) {
		children.taken[i] = sigaction(ending[i], NULL, &had) == 0 &&
				    !(had.sa_flags & SA_SIGINFO) && had.sa_handler == SIG_DFL &&
				    sigaction(ending[i], &ours, NULL) == 0;
	}
	children.inside++;
	(void)pthread_mutex_unlock(&children.mu);
}

void child_leave(void)
{
	int sig = 0;

	(void)pthread_mutex_lock(&children.mu);
	if (--children.inside == 0) {
		for (size_t i = 0; i < ARRAY_LEN(ending); i++)
			if (children.taken[i])
				(void)signal(ending[i], SIG_DFL);
		sig = atomic_exchange(&children.caught, 0);
	}
	(void)pthread_mutex_unlock(&children.mu);
	if (sig)
		(void)kill(getpid(), sig); /* not raise(): this thread may have it blocked */
}

/* Which of the slots is the child's; NULL: there is none left, and a signal will not end it. */
static _Atomic pid_t *enlist(pid_t pid)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		pid_t none = 0;

		if (atomic_compare_exchange_strong(&children.groups[i], &none, pid))
			return &children.groups[i];
	}
	return NULL;
}

/* ---- the environment ---- */

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

/* ---- running ---- */

static _Thread_local uint64_t dir_bytes;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)at;
	if (type == FTW_F)
		dir_bytes += (uint64_t)st->st_size;
	return 0;
}

static bool too_much(const struct child *c, int64_t *look_ms)
{
	if (!c->dir_max || now_ms() < *look_ms)
		return false;
	*look_ms = now_ms() + DIR_MS;
	dir_bytes = 0;
	(void)nftw(c->dir, add_file, 16, FTW_PHYS);
	return dir_bytes > c->dir_max;
}

/* Why it is not to go on: 0: it may. */
static int had_enough(const struct child *c, int64_t end_ms, int64_t *look_ms)
{
	if (atomic_load(&children.caught))
		return -EINTR;
	if (c->stop && *c->stop)
		return -ECANCELED;
	if (now_ms() >= end_ms)
		return -ETIMEDOUT;
	return too_much(c, look_ms) ? -EFBIG : 0;
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

static int listen_to(const struct child *c, int out, int said, int64_t end_ms, int64_t *look_ms)
{
	struct pollfd p[2] = { { .fd = out, .events = POLLIN }, { .fd = said, .events = POLLIN } };

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		int r = had_enough(c, end_ms, look_ms);

		if (r < 0)
			return r;
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

/* It may have closed what it printed to, and go on. */
static int await_end(const struct child *c, pid_t pid, int64_t end_ms, int64_t *look_ms)
{
	auto_close int fd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN }; /* none: poll() only waits */
	int r = 0;

	while (r == 0) {
		siginfo_t si = { 0 };

		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid)
			return 0;
		r = had_enough(c, end_ms, look_ms);
		if (r == 0)
			(void)poll(&p, 1, LOOK_MS);
	}
	return r;
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
	_Atomic pid_t *listed = enlist(pid);
	int64_t end_ms = now_ms() + c->timeout_ms, look_ms = now_ms() + DIR_MS;
	int status, r = listen_to(c, in[0], in[1], end_ms, &look_ms);

	if (r == 0)
		r = await_end(c, pid, end_ms, &look_ms);
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	if (listed)
		atomic_store(listed, 0); /* before its number is free for others */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = atomic_load(&children.caught) ? -EINTR : -EREMOTEIO;
	return r;
}

int child_run(const struct child *c)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, r;
	pid_t pid = 0;

	child_enter();
	r = atomic_load(&children.caught) ? -EINTR : two_pipes(in, out);
	if (r == 0)
		r = start(c, out[0], out[1], &pid);
	closep(&out[0]);
	closep(&out[1]);
	if (r == 0)
		r = watch(c, in, pid);
	closep(&in[0]);
	closep(&in[1]);
	child_leave();
	return r;
}
