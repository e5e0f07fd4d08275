#include "core/buf.h"

#include "core/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static int buf_grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *data;

	while (cap < need)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	assert(b->len <= b->cap);
	assert(b->len <= b->max);

	if (b->error)
		return;
	if (n > b->max - b->len)
		b->error = -E2BIG;
	else if (b->len + n > b->cap)
		b->error = buf_grow(b, b->len + n);
	if (b->error || n == 0)
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

int buf_error(const struct buf *b)
{
	return b->error;
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_addstr(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	char small[256];
	auto_free char *big = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&big, fmt, ap);
	va_end(ap);
	if (n < 0) {
		big = NULL;
		b->error = b->error ? b->error : -ENOMEM;
		return;
	}
	buf_add(b, big, (size_t)n);
}

void buf_end_line(struct buf *b, size_t from)
{
	if (b->len > from)
		text_clean((char *)b->data + from, b->len - from);
	buf_addstr(b, "\n");
}

char *buf_steal_str(struct buf *b)
{
	char *s;

	buf_add(b, "", 1);
	if (b->error) {
		buf_release(b);
		return NULL;
	}
	s = (char *)b->data;
	*b = (struct buf){ .max = b->max };
	return s;
}
