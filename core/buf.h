/* buf.h - bytes: a borrowed run of them (slice), and one that grows (buf).
 *
 * A buf is created with the most it may ever hold, because everything it is
 * used for (a packument, a tar header, a lock) comes from outside. The
 * first failure sticks: later calls do nothing, and buf_error() is checked once,
 * where the result is used. */
#pragma once
#include "core/base.h"

struct slice {
	const uint8_t *ptr;
	size_t len;
};

struct buf {
	uint8_t *data;
	size_t len, cap, max;
	int error;
};
#define BUF_INIT(limit)                                                                            \
	{                                                                                          \
		.max = (limit)                                                                     \
	}

void buf_add(struct buf *b, const void *p, size_t n);

/* 0, or the first failure: -E2BIG past the limit, -ENOMEM. */
int buf_error(const struct buf *b) must_check;

/* Frees the bytes; the buf is empty and usable again, with the same limit. */
void buf_release(struct buf *b);
#define auto_buf cleanup(buf_release)

/* A slice of a string literal or of a NUL-terminated string (borrowed). */
#define SLICE(lit) ((struct slice){ (const uint8_t *)("" lit ""), sizeof(lit) - 1 })

static inline struct slice slice_str(const char *s)
{
	return (struct slice){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Order by bytes; a prefix comes first. */
static inline int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return r ? r : (a.len > b.len) - (a.len < b.len);
}

/* printf("%.*s", SLICE_FMT(s)) */
#define SLICE_FMT(s) (int)(s).len, (const char *)(s).ptr

/* Appends text; the same sticky error as buf_add. */
void buf_addf(struct buf *b, const char *fmt, ...) format_printf(2, 3);
void buf_addstr(struct buf *b, const char *s);

/* Ends the line that begins at `from`, other people's words in it made safe (text_clean()). */
void buf_end_line(struct buf *b, size_t from);

/* The text as a NUL-terminated string that the caller frees; NULL when an error
 * has stuck or memory is out. The buf is empty afterwards. */
char *buf_steal_str(struct buf *b) must_check;
