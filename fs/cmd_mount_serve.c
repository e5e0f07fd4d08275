#include "core/file.h"
#include "core/log.h"
#include "fs/cmd.h"
#include "fs/cmd_mount_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define LOG_MAX        ((off_t)1 << 20) /* a log longer than this starts anew; one old one is kept */
#define COPIES_WAIT_MS 1000 /* after unmounting; the kernel ends a mount's last use at once */
#define ENDS           3    /* what ends a mount: its unmounting, a signal, `dxfs unmount` */

/* Unmounted because it was asked for, with nothing open: nobody here needs the server any more. */
static int stop(struct mounting *m, struct err *e)
{
	int r = server_unmount(m->server, false, e);

	if (r == 0)
		(void)!write(m->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	return r < 0 ? r : 0;
}

/* `git worktree remove` and rm -rf come as far as the mount point, which nobody can remove; the
 * second time they will find none. */
static void project_gone(void *arg)
{
	struct mounting *m = arg;
	struct err e = { 0 };

	if (stop(m, &e) == 0)
		log_info("%s: the project and all that was mounted in it were deleted: unmounted",
			 m->state.mountpoint);
}

/* "reset" or "reset PATH". What was reset of packages whose scripts had failed is there again. */
static int reset(struct mounting *m, struct slice request, struct buf *out, struct err *e)
{
	auto_free char *line = strndup((const char *)request.ptr, request.len);
	const char *path = line ? strchr(line, ' ') : NULL;
	uint64_t count = 0;
	int r = line ? server_reset(m->server, path ? path + 1 : NULL, &count, e)
		     : err_set(e, -ENOMEM, "out of memory");

	if (r == 0)
		r = server_scripts(m->server, e);
	buf_addf(out, "%" PRIu64 "\n", count);
	return r;
}

static int answer(void *arg, struct slice request, struct buf *out, struct err *e)
{
	struct mounting *m = arg;

	if (slice_eq(request, SLICE("ping")))
		return 0;
	if (slice_eq(request, SLICE("status"))) {
		status_json(out, m->server, &m->facts);
		return 0;
	}
	if (slice_eq(request, SLICE("stop")))
		return stop(m, e);
	if (slice_eq(request, SLICE("stop lazy")))
		return server_unmount(m->server, true, e) < 0 ? -EIO : 0;
	if (slice_eq(request, SLICE("diff")))
		return server_changes(m->server, out, e);
	if (slice_eq(request, SLICE("reset")) ||
	    (request.len > 6 && memcmp(request.ptr, "reset ", 6) == 0))
		return reset(m, request, out, e);
	if (slice_eq(request, SLICE("scripts")))
		return server_scripts(m->server, e);
	if (slice_eq(request, SLICE("relock")))
		return m->relock ? relock_now(m->relock, e)
				 : err_set(e, -EIO, "the lock is not watched: see the log");
	return err_set(e, -EINVAL, "unknown request");
}

/* After an unmount that nothing stood in the way of: what still holds the mount is a copy in
 * another mount namespace, which any sandbox makes in passing. It ends with the process. */
static bool ended_soon(struct mounting *m)
{
	if (server_wait_ms(m->server, COPIES_WAIT_MS))
		return true;
	log_info("%s: unmounted; a copy of the mount in another mount namespace (of a container "
		 "or a sandbox) ends with it",
		 m->state.mountpoint);
	return false;
}

/* False: unmounted, but threads still serve; only the process's end ends them. */
static bool serve_until_unmounted(struct mounting *m, struct pollfd p[ENDS])
{
	for (;;) {
		struct signalfd_siginfo si;
		struct err e = { 0 };

		if (poll(p, ENDS, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			break;
		if (p[2].revents)
			return ended_soon(m);
		if (!p[1].revents || read(p[1].fd, &si, sizeof si) != (ssize_t)sizeof si)
			continue;
		log_info("signal %u: unmounting", si.ssi_signo);
		/* Whoever still stands inside keeps what it has open; nobody new comes in. */
		if (stop(m, &e) < 0 && server_unmount(m->server, true, &e) < 0)
			log_error("%s", e.msg);
	}
	server_wait(m->server);
	return true;
}

static int signals_fd(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of the write */
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int mount_serve(struct mounting *m, int ready_fd)
{
	auto_close int signals = signals_fd();
	struct err e = { 0 };
	bool stands;
	int r;

	m->facts.pid = getpid();
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = m->stop_fd < 0 ? err_set(&e, -errno, "cannot start serving: %s", strerror(errno))
			   : server_start(m->server, &e);
	if (r == 0) {
		const struct relock_config c = {
			.server = m->server, .project = &m->follow, .gone = project_gone, .arg = m
		};

		if (relock_start(&m->relock, &c, &e) < 0)
			log_warn("%s", e.msg);
		r = ctl_start(m->ctl, answer, m, &e);
	}
	stands = r == 0;

	struct pollfd ends[ENDS] = { { .fd = server_fd(m->server), .events = POLLIN },
				     { .fd = signals, .events = POLLIN },
				     { .fd = m->stop_fd, .events = POLLIN } };

	if (stands && m->o->prefetch == PREFETCH_ALL)
		r = server_wait_local(m->server, ends, ARRAY_LEN(ends), &e);
	if (r < 0)
		log_error("%s", e.msg);
	if (ready_fd >= 0) {
		(void)!file_write_all(ready_fd, r < 0 ? e.msg : "", r < 0 ? strlen(e.msg) : 0);
		(void)close(ready_fd);
	}
	if (stands) {
		log_info("%s: mounted, store %s", m->state.mountpoint, store_dir(m->store));
		state_tidy();
		if (!serve_until_unmounted(m, ends)) {
			ctl_close(m->ctl);
			_exit(CMD_OK);
		}
		log_info("%s: unmounted", m->state.mountpoint);
	} else {
		(void)!server_unmount(m->server, true, NULL);
	}
	return r < 0 ? CMD_FAILED : CMD_OK;
}

static int start_log(struct mounting *m, struct err *e)
{
	auto_free char *path = state_path(&m->state, "log");
	auto_free char *old = state_path(&m->state, "log.1");
	struct stat st;

	if (!path || !old)
		return err_set(e, -ENOMEM, "out of memory");
	if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
		(void)rename(path, old);
	return log_open(path, e);
}

static void leave_terminal(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	(void)!chdir("/");
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
}

/* Waits for the child's line; then the mount must answer. */
static int wait_ready(const struct mounting *m, int fd)
{
	auto_buf struct buf line = BUF_INIT(1024);
	struct statfs sfs;
	char chunk[256];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			buf_add(&line, chunk, (size_t)n);
	}
	if (line.len > 0) {
		(void)fprintf(stderr, "dxfs mount: %.*s\n", (int)line.len, (const char *)line.data);
		return CMD_FAILED;
	}
	if (statfs(m->state.mountpoint, &sfs) < 0) {
		(void)fprintf(stderr,
			      "dxfs mount: %s: the daemon ended at once (%s); its log is %s/log\n",
			      m->state.mountpoint, strerror(errno), m->state.dir);
		return CMD_FAILED;
	}
	return CMD_OK;
}

int mount_serve_behind(struct mounting *m)
{
	struct err e = { 0 };
	int ready[2];
	pid_t pid;

	if (start_log(m, &e) < 0 || pipe2(ready, O_CLOEXEC) < 0) {
		(void)fprintf(stderr, "dxfs mount: %s\n", e.code ? e.msg : strerror(errno));
		(void)!server_unmount(m->server, true, NULL);
		return CMD_FAILED;
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(ready[0]);
		leave_terminal();
		int rc = mount_serve(m, ready[1]);

		mount_release(m);
		log_close();
		_exit(rc);
	}
	(void)close(ready[1]);
	if (pid < 0) {
		(void)fprintf(stderr, "dxfs mount: cannot fork: %s\n", strerror(errno));
		(void)!server_unmount(m->server, true, NULL);
	}
	int rc = pid < 0 ? CMD_FAILED : wait_ready(m, ready[0]);

	mount_lap(m, "fork, threads, answer");

	(void)close(ready[0]);
	/* All else is the child's now: its sockets, its lock, its files. */
	(void)fflush(NULL);
	_exit(rc);
}
