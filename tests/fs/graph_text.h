/* graph_text.h - graphs for tests, from the text of a package-lock.json. */
#pragma once
#include "lock/npmlock.h"

/* The "packages" of a lock, in JSON with ' for "; the caller frees the graph. */
static inline struct graph *graph_of(const char *packages)
{
	struct buf b = BUF_INIT(1 << 24);
	struct npmlock_options o = { 0 };
	struct graph *g = NULL;
	struct err e = { 0 };

	buf_addstr(&b, "{\"name\":\"p\",\"lockfileVersion\":3,\"packages\":{");
	for (const char *p = packages; *p; p++)
		buf_add(&b, *p == '\'' ? "\"" : p, 1);
	buf_addstr(&b, "}}");
	if (npmlock_parse(&g, (struct slice){ b.data, b.len }, &o, &e) < 0)
		abort();
	buf_release(&b);
	return g;
}

static inline bool *all_present(const struct graph *g)
{
	bool *present = malloc(g->count);

	memset(present, 1, g->count);
	return present;
}
