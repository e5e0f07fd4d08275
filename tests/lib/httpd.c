#include "tests/lib/httpd.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS    256
#define PATHS    4096
#define HEAD_MAX 16384

struct httpd_conn {
	struct httpd *h;
	pthread_t thread;
	int fd;
	bool used, cut;
	char head[HEAD_MAX + 1];
	char value[1024];
};

struct httpd {
	httpd_fn *fn;
	void *arg;
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t mu;
	bool stopping;                   /* guarded by mu */
	struct httpd_conn *conns[CONNS]; /* guarded by mu */
	unsigned count;                  /* guarded by mu */
	struct {
		char *path;
		unsigned count;
	} paths[PATHS]; /* guarded by mu */
	unsigned total; /* guarded by mu */
	char urls[8][512];
	unsigned next_url;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

void httpd_send(struct httpd_conn *c, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL);

		if (sent <= 0) {
			c->cut = true;
			return;
		}
		at += sent;
		n -= (size_t)sent;
	}
}

void httpd_reply(struct httpd_conn *c, int status, const char *headers, const void *body, size_t n)
{
	char head[4096];
	int len = snprintf(head, sizeof head, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n",
			   status, n, headers ? headers : "");

	must(len > 0 && (size_t)len < sizeof head, "head");
	httpd_send(c, head, (size_t)len);
	if (n)
		httpd_send(c, body, n);
}

void httpd_cut(struct httpd_conn *c)
{
	c->cut = true;
}

void httpd_hang(struct httpd_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	(void)poll(&p, 1, -1);
	c->cut = true;
}

const char *httpd_header(struct httpd_conn *c, const char *name)
{
	size_t n = strlen(name), len;

	for (const char *line = strstr(c->head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1 + strspn(line + n + 1, " ");
		len = strcspn(line, "\r\n");
		must(len < sizeof c->value, "header");
		memcpy(c->value, line, len);
		c->value[len] = '\0';
		return c->value;
	}
	return NULL;
}

static unsigned count(struct httpd *h, const char *path)
{
	for (unsigned i = 0; i < PATHS; i++) {
		if (!h->paths[i].path)
			h->paths[i].path = strdup(path);
		if (strcmp(h->paths[i].path, path) == 0) {
			h->total++;
			return ++h->paths[i].count;
		}
	}
	must(false, "too many paths");
	return 0;
}

unsigned httpd_count(struct httpd *h, const char *path)
{
	unsigned n = 0;

	pthread_mutex_lock(&h->mu);
	for (unsigned i = 0; path && i < PATHS && h->paths[i].path; i++)
		if (strcmp(h->paths[i].path, path) == 0)
			n = h->paths[i].count;
	if (!path)
		n = h->total;
	pthread_mutex_unlock(&h->mu);
	return n;
}

/* Up to the empty line; requests have no body. */
static bool read_head(struct httpd_conn *c)
{
	size_t n = 0;

	while (n < HEAD_MAX) {
		ssize_t r = recv(c->fd, c->head + n, 1, 0);

		if (r <= 0)
			return false;
		n++;
		c->head[n] = '\0';
		if (n >= 4 && memcmp(c->head + n - 4, "\r\n\r\n", 4) == 0)
			return true;
	}
	return false;
}

static void *serve(void *arg)
{
	struct httpd_conn *c = arg;

	while (!c->cut && read_head(c)) {
		char path[2048];
		struct httpd_request rq = { .path = path, .headers = strstr(c->head, "\r\n") + 2 };

		must(sscanf(c->head, "%*s %2047s", path) == 1, "request line");
		pthread_mutex_lock(&c->h->mu);
		rq.nth = count(c->h, path);
		pthread_mutex_unlock(&c->h->mu);
		c->h->fn(c->h->arg, c, &rq);
	}
	(void)shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *listener(void *arg)
{
	struct httpd *h = arg;

	for (;;) {
		int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
		struct httpd_conn *c;

		if (fd < 0)
			return NULL;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c = calloc(1, sizeof *c);
		must(c != NULL, "calloc");
		c->h = h;
		c->fd = fd;
		pthread_mutex_lock(&h->mu);
		must(h->count < CONNS, "too many connections");
		h->conns[h->count++] = c;
		must(pthread_create(&c->thread, NULL, serve, c) == 0, "thread");
		if (h->stopping)
			(void)shutdown(fd, SHUT_RDWR);
		pthread_mutex_unlock(&h->mu);
	}
}

/* On `port`, 0: any. Beside another of ours, if both are bound so; listens not yet. */
static int bound(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)*port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
		     bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
		     getsockname(fd, (struct sockaddr *)&a, &len) == 0,
	     "bind");
	*port = ntohs(a.sin_port);
	return fd;
}

void httpd_back(struct httpd *h)
{
	must(listen(h->fd, 128) == 0, "listen");
	must(pthread_create(&h->thread, NULL, listener, h) == 0, "thread");
}

static void stop_listening(struct httpd *h)
{
	(void)shutdown(h->fd, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	(void)close(h->fd);
}

void httpd_gone(struct httpd *h)
{
	int fd = bound(&h->port);

	stop_listening(h);
	h->fd = fd;
}

struct httpd *httpd_start(httpd_fn *fn, void *arg)
{
	struct httpd *h = calloc(1, sizeof *h);

	must(h != NULL, "calloc");
	h->fn = fn;
	h->arg = arg;
	pthread_mutex_init(&h->mu, NULL);
	h->fd = bound(&h->port);
	httpd_back(h);
	return h;
}

void httpd_stop(struct httpd *h)
{
	pthread_mutex_lock(&h->mu);
	h->stopping = true;
	for (unsigned i = 0; i < h->count; i++)
		(void)shutdown(h->conns[i]->fd, SHUT_RDWR);
	pthread_mutex_unlock(&h->mu);
	stop_listening(h);
	for (unsigned i = 0; i < h->count; i++) {
		pthread_join(h->conns[i]->thread, NULL);
		(void)close(h->conns[i]->fd);
		free(h->conns[i]);
	}
	for (unsigned i = 0; i < PATHS; i++)
		free(h->paths[i].path);
	pthread_mutex_destroy(&h->mu);
	free(h);
}

const char *httpd_url(struct httpd *h, const char *path)
{
	char *url = h->urls[h->next_url++ % 8];

	(void)snprintf(url, sizeof h->urls[0], "http://127.0.0.1:%u%s", h->port, path);
	return url;
}
