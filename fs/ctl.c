#include "fs/ctl.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CTL_CLIENT_MS 5000 /* a client that says nothing for so long is dropped */

struct ctl {
	int fd, wake_fd, dirfd;
	pthread_t thread;
	bool started;
	ctl_fn *fn;
	void *arg;
};

/* A socket's name has at most 108 bytes; the folder's descriptor makes any path short. */
static void ctl_address(struct sockaddr_un *a, int dirfd)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/ctl", dirfd);
}

int ctl_listen(struct ctl **ret, int state_dirfd, struct err *e)
{
	struct ctl *c = calloc(1, sizeof *c);
	struct sockaddr_un a;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	c->wake_fd = eventfd(0, EFD_CLOEXEC);
	c->dirfd = fcntl(state_dirfd, F_DUPFD_CLOEXEC, 3);
	ctl_address(&a, c->dirfd);
	(void)unlinkat(c->dirfd, "ctl", 0); /* of a daemon that died; its lock is ours now */
	if (c->fd < 0 || c->wake_fd < 0 || c->dirfd < 0 ||
	    bind(c->fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    fchmodat(c->dirfd, "ctl", 0600, 0) < 0 || listen(c->fd, 16) < 0) {
		int r = -errno;

		ctl_close(c);
		return err_set(e, r, "cannot make the control socket: %s", strerror(-r));
	}
	*ret = c;
	return 0;
}

static bool may_speak(int fd)
{
	struct ucred who;
	socklen_t len = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == geteuid() || who.uid == 0);
}

static int read_request(int fd, char *line, size_t cap, size_t *ret_len)
{
	size_t n = 0;

	while (n < cap) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, CTL_CLIENT_MS) <= 0)
			return -ETIMEDOUT;
		r = read(fd, line + n, cap - n);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r <= 0)
			return -EPROTO;
		for (ssize_t i = 0; i < r; i++) {
			if (line[n + (size_t)i] == '\n') {
				*ret_len = n + (size_t)i;
				return 0;
			}
		}
		n += (size_t)r;
	}
	return -E2BIG;
}

static void serve_one(struct ctl *c, int fd)
{
	auto_buf struct buf answer = BUF_INIT(CTL_ANSWER_MAX);
	struct timeval limit = { .tv_sec = CTL_CLIENT_MS / 1000 };
	char line[CTL_REQUEST_MAX];
	struct err e = { 0 };
	size_t len = 0;
	int r;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (!may_speak(fd) || read_request(fd, line, sizeof line, &len) < 0)
		return;
	buf_addstr(&answer, "ok\n");
	r = c->fn(c->arg, (struct slice){ (const uint8_t *)line, len }, &answer, &e);
	if (r == 0)
		r = buf_error(&answer);
	if (r < 0) {
		buf_release(&answer);
		buf_addf(&answer, "error %s\n", e.code ? e.msg : strerror(-r));
	}
	if (buf_error(&answer) == 0)
		(void)!file_write_all(fd, answer.data, answer.len);
}

static void *ctl_main(void *arg)
{
	struct ctl *c = arg;

	for (;;) {
		struct pollfd p[] = { { .fd = c->fd, .events = POLLIN },
				      { .fd = c->wake_fd, .events = POLLIN } };

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		if (p[0].revents) {
			auto_close int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				serve_one(c, fd);
		}
	}
	return NULL;
}

int ctl_start(struct ctl *c, ctl_fn *fn, void *arg, struct err *e)
{
	int r;

	c->fn = fn;
	c->arg = arg;
	r = thread_start(&c->thread, ctl_main, c, e);
	c->started = r == 0;
	return r;
}

void ctl_close(struct ctl *c)
{
	uint64_t one = 1;

	if (!c)
		return;
	if (c->started) {
		(void)!write(c->wake_fd, &one, sizeof one);
		(void)pthread_join(c->thread, NULL);
	}
	if (c->dirfd >= 0) {
		(void)unlinkat(c->dirfd, "ctl", 0);
		(void)close(c->dirfd);
	}
	if (c->fd >= 0)
		(void)close(c->fd);
	if (c->wake_fd >= 0)
		(void)close(c->wake_fd);
	free(c);
}

static int read_answer(int fd, unsigned timeout_ms, struct buf *answer)
{
	int64_t deadline = now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - now_ms();
		char chunk[4096];
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = read(fd, chunk, sizeof chunk);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return buf_error(answer);
		buf_add(answer, chunk, (size_t)n);
	}
}

/* A daemon that dies meanwhile is an error, no signal. */
static int send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int ctl_ask(int state_dirfd, const char *request, unsigned timeout_ms, char **ret, struct err *e)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_buf struct buf answer = BUF_INIT(CTL_ANSWER_MAX);
	auto_free char *line = NULL;
	struct sockaddr_un a;
	const char *why;
	char *text;
	int r;

	ctl_address(&a, state_dirfd);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_set(e, -errno, "no daemon answers: %s", strerror(errno));
	if (asprintf(&line, "%s\n", request) < 0) {
		line = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = send_all(fd, line, strlen(line));
	if (r == 0)
		r = read_answer(fd, timeout_ms, &answer);
	if (r < 0)
		return err_set(e, r, "the daemon did not answer '%s': %s", request, strerror(-r));
	text = buf_steal_str(&answer);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	if (strncmp(text, "ok\n", 3) == 0) {
		memmove(text, text + 3, strlen(text + 3) + 1);
		*ret = text;
		return 0;
	}
	why = strncmp(text, "error ", 6) == 0 ? text + 6 : "the daemon closed at once";
	r = err_set(e, why == text + 6 ? -EIO : -ECONNRESET, "%.*s", (int)strcspn(why, "\n"), why);
	free(text);
	return r;
}
