#include "core/file.h"
#include "fetch/http_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#define BODY_FIRST ((size_t)32 << 10) /* half of all tarballs are smaller */

/* True: with this, all bodies together have come down to the budget. */
static bool count(struct http_body *b, size_t now)
{
	struct http *h = b->owner;
	size_t was, less = now < b->counted ? b->counted - now : 0;

	if (less)
		was = atomic_fetch_sub(&h->held, less);
	else
		was = atomic_fetch_add(&h->held, now - b->counted);
	b->counted = now;
	return was > h->c.budget && was - less <= h->c.budget;
}

void body_begin(struct http_body *b, struct http *h)
{
	*b = (struct http_body){ .owner = h, .fd = -1 };
}

static void drop(struct http_body *b)
{
	if (b->mapped)
		(void)munmap((void *)b->bytes.ptr, b->mapped);
	free(b->heap);
	if (b->fd >= 0)
		(void)close(b->fd);
}

void body_reset(struct http_body *b)
{
	struct http *h = b->owner;

	drop(b);
	(void)count(b, 0);
	body_begin(b, h);
}

void http_body_release(struct http_body *b)
{
	struct http *h = b->owner;

	if (!h)
		return;
	drop(b);
	/* Somebody may be waiting for that. */
	if (count(b, 0))
		(void)curl_multi_wakeup(h->multi);
	*b = (struct http_body){ 0 };
}

static int temporary(const char *dir)
{
	int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	char path[4096];

	if (fd >= 0 || (dir && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd >= 0 ? fd : -errno;
	if (!dir || (size_t)snprintf(path, sizeof path, "%s/body-XXXXXX", dir) >= sizeof path)
		fd = memfd_create("body", MFD_CLOEXEC);
	else if ((fd = mkostemp(path, O_CLOEXEC)) >= 0)
		(void)unlink(path);
	return fd >= 0 ? fd : -errno;
}

static int spill(struct http_body *b, const char *tmp_dir, struct err *e)
{
	int fd = temporary(tmp_dir), r;

	if (fd < 0)
		return err_set(e, fd, "a temporary file in %s: %s", tmp_dir ? tmp_dir : "memory",
			       strerror(-fd));
	b->fd = fd;
	r = file_write_all(fd, b->heap, b->bytes.len);
	if (r < 0)
		return err_set(e, r, "writing a temporary file in %s: %s",
			       tmp_dir ? tmp_dir : "memory", strerror(-r));
	free(take(&b->heap));
	b->cap = 0;
	b->bytes.ptr = NULL;
	b->spilled = true;
	return 0;
}

static int set_cap(struct http_body *b, size_t cap)
{
	void *more = realloc(b->heap, cap);

	if (!more)
		return -ENOMEM;
	b->heap = more;
	b->bytes.ptr = more;
	b->cap = cap;
	(void)count(b, cap);
	return 0;
}

static int grow(struct http_body *b, size_t need, struct err *e)
{
	size_t cap = b->cap ? b->cap : BODY_FIRST;

	while (cap < need)
		cap *= 2;
	return set_cap(b, cap) < 0
		       ? err_set(e, -ENOMEM, "out of memory for a body of %zu bytes", need)
		       : 0;
}

static size_t memory_max(const struct http_body *b)
{
	const struct http *h = b->owner;

	return atomic_load(&h->held) > h->c.budget ? HTTP_BODY_SMALL : HTTP_BODY_MEMORY_MAX;
}

void body_expect(struct http_body *b, uint64_t n)
{
	if (!b->spilled && n > b->cap && n <= memory_max(b))
		(void)set_cap(b, (size_t)n);
}

int body_add(struct http_body *b, const void *p, size_t n, const char *tmp_dir, struct err *e)
{
	size_t len = b->bytes.len + n;
	int r = 0;

	if (n == 0)
		return 0;
	if (!b->spilled && len > memory_max(b))
		r = spill(b, tmp_dir, e);
	else if (!b->spilled && len > b->cap)
		r = grow(b, len, e);
	if (r < 0)
		return r;
	if (b->spilled) {
		r = file_write_all(b->fd, p, n);
		if (r < 0)
			return err_set(e, r, "writing a temporary file in %s: %s",
				       tmp_dir ? tmp_dir : "memory", strerror(-r));
		(void)count(b, len);
	} else {
		memcpy((uint8_t *)b->heap + b->bytes.len, p, n);
	}
	b->bytes.len = len;
	return 0;
}

int body_finish(struct http_body *b, struct err *e)
{
	void *p;

	if (!b->spilled)
		return 0;
	p = mmap(NULL, b->bytes.len, PROT_READ, MAP_PRIVATE, b->fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, -errno, "mapping a temporary file: %s", strerror(errno));
	b->bytes.ptr = p;
	b->mapped = b->bytes.len;
	return 0;
}
