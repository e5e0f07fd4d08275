#include "core/file.h"
#include "fs/upper_priv.h"

#include <fcntl.h>
#include <stdio.h>

#define GONE_FILE    "removed"
#define COMPACT_FROM (64 << 10) /* bytes: what is smaller is read in no time */

static bool is_free(const struct hash128 *h)
{
	return hash128_eq(*h, (struct hash128){ 0 });
}

static struct hash128 *find(const struct gone *g, struct hash128 h)
{
	size_t at;

	memcpy(&at, h.b, sizeof at);
	for (at &= g->cap - 1; !is_free(&g->set[at]); at = (at + 1) & (g->cap - 1))
		if (hash128_eq(g->set[at], h))
			break;
	return &g->set[at];
}

static int reserve(struct gone *g, size_t count)
{
	struct gone fresh = { .cap = g->cap ? g->cap : 64 };

	while (fresh.cap / 2 < count)
		fresh.cap *= 2;
	if (fresh.cap == g->cap)
		return 0;
	fresh.set = calloc(fresh.cap, sizeof *fresh.set);
	if (!fresh.set)
		return -ENOMEM;
	for (size_t i = 0; i < g->cap; i++)
		if (!is_free(&g->set[i]))
			*find(&fresh, g->set[i]) = g->set[i];
	free(g->set);
	g->set = fresh.set;
	g->cap = fresh.cap;
	return 0;
}

/* The room for it must be there. */
static void enter(struct gone *g, const char *path)
{
	struct hash128 h = hash128(path, strlen(path)), *at = find(g, h);

	if (!is_free(at))
		return;
	*at = h;
	(void)atomic_fetch_add(&g->count, 1);
}

bool gone_has(struct gone *g, const char *path)
{
	bool has;

	if (atomic_load(&g->count) == 0)
		return false;
	(void)pthread_mutex_lock(&g->mu);
	has = !is_free(find(g, hash128(path, strlen(path))));
	(void)pthread_mutex_unlock(&g->mu);
	return has;
}

/* ---- the file ---- */

/* In place; the result is never longer. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			s++;
			*to++ = *s == 'n' ? '\n' : *s;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static void add_line(struct buf *b, const char *path)
{
	for (; *path; path++) {
		if (*path == '\n')
			buf_addstr(b, "\\n");
		else if (*path == '\\')
			buf_addstr(b, "\\\\");
		else
			buf_add(b, path, 1);
	}
	buf_add(b, "\n", 1);
}

static int each_line(int dirfd, gone_fn *fn, void *arg, size_t *ret_size, struct err *e)
{
	auto_free char *text = NULL;
	size_t len = 0, at = 0;
	int r = file_read_all(dirfd, GONE_FILE, UPPER_TEXT_MAX, &text, &len, e);

	if (r == -ENOENT)
		r = 0;
	while (r == 0 && at < len) {
		char *end = memchr(text + at, '\n', len - at);

		if (!end)
			break;
		*end = '\0';
		unescape(text + at);
		if (text[at])
			r = fn(arg, text + at);
		at = (size_t)(end - text) + 1;
	}
	if (r == 0 && ret_size)
		*ret_size = at;
	return r;
}

int gone_each(int dirfd, gone_fn *fn, void *arg, struct err *e)
{
	return each_line(dirfd, fn, arg, NULL, e);
}

static int load_one(void *arg, const char *path)
{
	struct gone *g = arg;
	int r = reserve(g, atomic_load(&g->count) + 1);

	if (r == 0)
		enter(g, path);
	return r;
}

int gone_load(struct gone *g, int dirfd, struct err *e)
{
	size_t size = 0;
	int r = reserve(g, 1);

	if (r == 0)
		r = each_line(dirfd, load_one, g, &size, e);
	g->size = (off_t)size;
	return r;
}

void gone_release(struct gone *g)
{
	closep(&g->fd);
	free(g->set);
	(void)pthread_mutex_destroy(&g->mu);
}

/* What is after the last newline was torn by a power cut: it goes before anything is added. */
static int open_file(struct gone *g, int dirfd)
{
	if (g->fd >= 0)
		return 0;
	g->fd = openat(dirfd, GONE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return g->fd < 0 ? -errno : 0;
}

int gone_add(struct gone *g, int dirfd, const char *path)
{
	auto_buf struct buf line = BUF_INIT(2 * PATH_MAX + 2);
	int r;

	add_line(&line, path);
	r = buf_error(&line);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&g->mu);
	r = reserve(g, atomic_load(&g->count) + 1);
	if (r == 0 && is_free(find(g, hash128(path, strlen(path))))) {
		r = g->size + (off_t)line.len > (off_t)UPPER_TEXT_MAX ? -ENOSPC
								      : open_file(g, dirfd);
		if (r == 0 && ftruncate(g->fd, g->size) < 0)
			r = -errno;
		if (r == 0)
			r = file_pwrite_all(g->fd, line.data, line.len, g->size);
		if (r == 0) {
			g->size += (off_t)line.len;
			g->dirty = true;
			enter(g, path);
		}
	}
	(void)pthread_mutex_unlock(&g->mu);
	return r;
}

int gone_sync(struct gone *g)
{
	auto_close int fd = -1;
	int r = 0;

	(void)pthread_mutex_lock(&g->mu);
	if (g->dirty)
		fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 3);
	if (g->dirty && fd < 0)
		r = -errno;
	else
		g->dirty = false;
	(void)pthread_mutex_unlock(&g->mu);
	if (fd >= 0 && fsync(fd) < 0) {
		r = -errno;
		(void)pthread_mutex_lock(&g->mu);
		g->dirty = true;
		(void)pthread_mutex_unlock(&g->mu);
	}
	return r;
}

/* ---- rewriting ---- */

struct filter {
	bool (*keep)(void *arg, const char *path);
	void *arg;
	struct gone *fresh;
	struct buf text;
};

static int filter_one(void *arg, const char *path)
{
	struct filter *f = arg;

	if (!f->keep(f->arg, path) || gone_has(f->fresh, path))
		return 0;
	add_line(&f->text, path);
	return load_one(f->fresh, path);
}

static int replace(int dirfd, const struct buf *text)
{
	auto_close int fd = openat(dirfd, "tmp/removed",
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : file_write_all(fd, text->data, text->len);

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, "tmp/removed", dirfd, GONE_FILE) < 0)
		r = -errno;
	return r;
}

int gone_filter(struct gone *g, int dirfd, bool (*keep)(void *, const char *), void *arg,
		struct err *e)
{
	struct gone fresh = { .mu = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };
	struct filter f = { keep, arg, &fresh, BUF_INIT(UPPER_TEXT_MAX) };
	int r = reserve(&fresh, 1);

	(void)pthread_mutex_lock(&g->mu);
	if (r == 0)
		r = each_line(dirfd, filter_one, &f, NULL, e);
	if (r == 0)
		r = buf_error(&f.text);
	if (r == 0) {
		r = replace(dirfd, &f.text);
		if (r < 0)
			err_set(e, r, "cannot rewrite %s: %s", GONE_FILE, strerror(-r));
	}
	if (r == 0) {
		closep(&g->fd);
		free(g->set);
		g->fd = -1;
		g->size = (off_t)f.text.len;
		g->dirty = false;
		g->set = fresh.set;
		g->cap = fresh.cap;
		atomic_store(&g->count, atomic_load(&fresh.count));
		fresh.set = NULL;
	}
	(void)pthread_mutex_unlock(&g->mu);
	buf_release(&f.text);
	gone_release(&fresh);
	return r;
}

/* ---- what says nothing ---- */

struct idle {
	struct gone *g;
	size_t lines, idle;
};

/* A folder above it is removed itself: then the lower shows nothing there anyhow. */
static bool is_idle(struct gone *g, const char *path)
{
	for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/'))
		if (!is_free(find(g, hash128(path, (size_t)(s - path)))))
			return true;
	return false;
}

static int count_idle(void *arg, const char *path)
{
	struct idle *c = arg;

	c->lines++;
	c->idle += is_idle(c->g, path);
	return 0;
}

static bool is_needed(void *arg, const char *path)
{
	return !is_idle(arg, path);
}

int gone_compact(struct gone *g, int dirfd, struct err *e)
{
	struct idle c = { .g = g };
	int r = g->size < COMPACT_FROM ? 0 : each_line(dirfd, count_idle, &c, NULL, e);

	return r == 0 && c.idle > c.lines / 2 ? gone_filter(g, dirfd, is_needed, g, e) : r;
}
