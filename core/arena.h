/* arena.h - many small things that die together: a parse, a graph, a tree.
 *
 * Memory comes from chunks; nothing is freed singly. arena_alloc() returns
 * zeroed memory aligned for any type, or NULL when memory or the arena's limit
 * is exhausted (arena_error() then stays -ENOMEM or -E2BIG). One thread at a time. */
#pragma once
#include "core/buf.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *chunks; /* newest first; owned */
	size_t used, max;           /* bytes handed out; the most that may be */
	int error;
};
#define ARENA_INIT(limit)                                                                          \
	{                                                                                          \
		.max = (limit)                                                                     \
	}

void *arena_alloc(struct arena *a, size_t n) must_check;

/* n zeroed objects of `size` bytes; the product is checked for overflow. */
void *arena_array(struct arena *a, size_t n, size_t size) must_check;

/* Copies, NUL-terminated. */
char *arena_strndup(struct arena *a, const void *p, size_t n) must_check;
char *arena_strdup(struct arena *a, const char *s) must_check;
char *arena_printf(struct arena *a, const char *fmt, ...) format_printf(2, 3) must_check;

int arena_error(const struct arena *a) must_check;

/* Frees everything; the arena is empty and usable again, with the same limit. */
void arena_release(struct arena *a);
#define auto_arena cleanup(arena_release)
