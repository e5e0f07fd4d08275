/* delayproxy PORT - a long wire to 127.0.0.1:PORT.
 *
 * Listens on a port of 127.0.0.1 that it prints, and passes bytes on, both ways, half a round trip
 * after they came; a connection's first bytes a whole one later still, which is what TCP's own
 * handshake costs. Bandwidth is not limited, nothing is lost, order stays; TCP's slow start is not
 * imitated. A line "MS" on standard input sets the round trip (0 at first) for what comes from
 * then on; the end of standard input ends the program. One thread: it shall cost little beside
 * the programs that are measured. */
#include "core/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define HELD_MAX  ((size_t)64 << 20) /* on the wire each way; 100 ms at 640 MB/s */
#define READ_MAX  ((size_t)256 << 10)
#define EVENTS    64
#define NS_PER_MS 1000000LL

/* What came by one read, and when it may leave; none of it is the end of the stream. */
struct chunk {
	struct chunk *next;
	int64_t due_ns;
	size_t len, off;
	char bytes[];
};

struct way {
	int from, to;
	struct chunk *first, *last;
	size_t held;
	bool ended;   /* `from` has no more */
	bool blocked; /* `to` takes no more just now */
};

struct pair {
	struct pair *prev, *next;
	struct way up, down;
	int64_t earliest_ns;       /* the handshake has ended */
	bool hung_up;              /* a side is gone; epoll does not watch either any more */
	uint32_t armed_c, armed_s; /* what epoll waits for */
};

struct proxy {
	int epoll, listener;
	uint16_t target;
	int64_t round_trip_ns;
	struct pair *pairs;
	char buf[READ_MAX];
};

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in local(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listen_anywhere(void)
{
	struct sockaddr_in a = local(0);
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	(void)printf("%u\n", ntohs(a.sin_port));
	(void)fflush(stdout);
	return fd;
}

static void way_drop(struct way *w)
{
	while (w->first) {
		struct chunk *c = w->first;

		w->first = c->next;
		free(c);
	}
}

static void pair_free(struct proxy *p, struct pair *x)
{
	if (x->prev)
		x->prev->next = x->next;
	else
		p->pairs = x->next;
	if (x->next)
		x->next->prev = x->prev;
	way_drop(&x->up);
	way_drop(&x->down);
	(void)close(x->up.from);
	(void)close(x->down.from);
	free(x);
}

static void way_add(struct way *w, const char *bytes, size_t len, int64_t due_ns)
{
	struct chunk *c = malloc(sizeof *c + len);

	if (!c)
		die("malloc");
	*c = (struct chunk){ .due_ns = due_ns, .len = len };
	if (len > 0)
		memcpy(c->bytes, bytes, len);
	if (w->first)
		w->last->next = c;
	else
		w->first = c;
	w->last = c;
	w->held += len;
}

/* False when the connection is broken. */
static bool way_read(struct proxy *p, struct pair *x, struct way *w)
{
	while (!w->ended && w->held < HELD_MAX) {
		ssize_t n = read(w->from, p->buf, sizeof p->buf);
		int64_t due_ns = now_ns();

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (due_ns < x->earliest_ns)
			due_ns = x->earliest_ns;
		w->ended = n == 0;
		way_add(w, p->buf, (size_t)n, due_ns + p->round_trip_ns / 2);
	}
	return true;
}

static bool way_write(struct way *w, int64_t now)
{
	w->blocked = false;
	while (w->first && w->first->due_ns <= now) {
		struct chunk *c = w->first;
		ssize_t n;

		if (c->len == 0) {
			(void)shutdown(w->to, SHUT_WR);
		} else {
			n = send(w->to, c->bytes + c->off, c->len - c->off, MSG_NOSIGNAL);
			if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
				w->blocked = true;
				return true;
			}
			if (n < 0)
				return false;
			c->off += (size_t)n;
			w->held -= (size_t)n;
			if (c->off < c->len)
				continue;
		}
		w->first = c->next;
		free(c);
	}
	return true;
}

static void arm(struct proxy *p, struct pair *x, int fd, uint32_t *armed, const struct way *in,
		const struct way *out)
{
	struct epoll_event ev = { .data.ptr = x };

	if (!in->ended && in->held < HELD_MAX)
		ev.events |= EPOLLIN;
	if (out->blocked)
		ev.events |= EPOLLOUT;
	if (x->hung_up || ev.events == *armed)
		return;
	*armed = ev.events;
	if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &ev) < 0)
		die("epoll_ctl");
}

/* All that can be done now; true when the pair is over. */
static bool pair_pump(struct proxy *p, struct pair *x)
{
	int64_t now;

	if (!way_read(p, x, &x->up) || !way_read(p, x, &x->down))
		return true;
	now = now_ns();
	if (!way_write(&x->up, now) || !way_write(&x->down, now))
		return true;
	arm(p, x, x->up.from, &x->armed_c, &x->up, &x->down);
	arm(p, x, x->down.from, &x->armed_s, &x->down, &x->up);
	if (x->hung_up && (x->up.blocked || x->down.blocked))
		return true;
	return (x->hung_up || (x->up.ended && x->down.ended)) && !x->up.first && !x->down.first;
}

/* epoll would report it again and again; what is still on the wire is delivered by the clock. */
static void hang_up(struct proxy *p, struct pair *x)
{
	if (x->hung_up)
		return;
	x->hung_up = true;
	(void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, x->up.from, NULL);
	(void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, x->down.from, NULL);
}

static int open_target(const struct proxy *p)
{
	struct sockaddr_in a = local(p->target);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void accept_one(struct proxy *p, int client)
{
	struct pair *x = calloc(1, sizeof *x);
	int server = open_target(p), on = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = x };

	if (!x)
		die("calloc");
	if (server < 0) {
		(void)close(client);
		free(x);
		return;
	}
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	x->up = (struct way){ .from = client, .to = server };
	x->down = (struct way){ .from = server, .to = client };
	x->earliest_ns = now_ns() + p->round_trip_ns;
	x->armed_c = x->armed_s = EPOLLIN;
	x->next = p->pairs;
	if (p->pairs)
		p->pairs->prev = x;
	p->pairs = x;
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, client, &ev) < 0 ||
	    epoll_ctl(p->epoll, EPOLL_CTL_ADD, server, &ev) < 0)
		die("epoll_ctl");
}

static void accept_all(struct proxy *p)
{
	for (;;) {
		int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		accept_one(p, fd);
	}
}

static void read_command(struct proxy *p)
{
	char line[32];
	ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	p->round_trip_ns = strtoll(line, NULL, 10) * NS_PER_MS;
	(void)printf("%lld\n", (long long)(p->round_trip_ns / NS_PER_MS));
	(void)fflush(stdout);
}

/* Until the first chunk is due; none: without end. */
static const struct timespec *until_due(const struct proxy *p, struct timespec *t)
{
	int64_t first = INT64_MAX, left;

	for (const struct pair *x = p->pairs; x; x = x->next) {
		if (x->up.first && !x->up.blocked && x->up.first->due_ns < first)
			first = x->up.first->due_ns;
		if (x->down.first && !x->down.blocked && x->down.first->due_ns < first)
			first = x->down.first->due_ns;
	}
	if (first == INT64_MAX)
		return NULL;
	left = first - now_ns();
	if (left < 0)
		left = 0;
	*t = (struct timespec){ .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
	return t;
}

static void serve(struct proxy *p)
{
	struct epoll_event events[EVENTS];
	struct timespec t;
	struct pair *next;

	for (;;) {
		int n = epoll_pwait2(p->epoll, events, EVENTS, until_due(p, &t), NULL);

		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &p->listener)
				accept_all(p);
			else if (events[i].data.ptr == p)
				read_command(p);
			else if (events[i].events & (EPOLLERR | EPOLLHUP))
				hang_up(p, events[i].data.ptr);
		}
		for (struct pair *x = p->pairs; x; x = next) {
			next = x->next;
			if (pair_pump(p, x))
				pair_free(p, x);
		}
	}
}

int main(int argc, char **argv)
{
	static struct proxy p;
	struct epoll_event on_listener = { .events = EPOLLIN, .data.ptr = &p.listener },
			   on_stdin = { .events = EPOLLIN, .data.ptr = &p };

	if (argc != 2) {
		(void)fprintf(stderr, "usage: delayproxy PORT\n");
		return 2;
	}
	p.target = (uint16_t)strtoul(argv[1], NULL, 10);
	p.epoll = epoll_create1(EPOLL_CLOEXEC);
	p.listener = listen_anywhere();
	if (epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.listener, &on_listener) < 0 ||
	    epoll_ctl(p.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &on_stdin) < 0)
		die("epoll_ctl");
	serve(&p);
}
