/* resolving.h - small projects for tests of the resolver, and what came of them as a text. */
#pragma once
#include "core/file.h"
#include "lock/ideal.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"
#include "tests/lock/universe.h"

#include <fcntl.h>
#include <stdio.h>

static const struct platform node20 = { .os = "linux",
					.cpu = "x64",
					.libc = "glibc",
					.npm_version = "11.19.1",
					.node_version = "20.1.0" };

/* For a search whose end the test is about: no machine is so slow. */
#define NO_LIMIT (3600 * 1000) /* ms */

/* Its folder is its own, and goes with end(). */
struct project {
	char dir[64];
	struct ideal_options o;
	const char *lock;
};

/* Writes a file; ' stands for ". */
static inline void put(const struct project *p, const char *file, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", p->dir, file);
	for (char *c = path + strlen(p->dir) + 1; (c = strchr(c, '/')); c++) {
		char folder[256];

		(void)snprintf(folder, sizeof folder, "%.*s", (int)(c - path), path);
		cr_assert(mkdir_p(folder, 0700, NULL) == 0);
	}
	f = fopen(path, "w");
	cr_assert(f);
	for (; *text; text++)
		(void)fputc(*text == '\'' ? '"' : *text, f);
	cr_assert(fclose(f) == 0);
}

static inline void begin(struct project *p, const char *manifest)
{
	test_dir(p->dir, sizeof p->dir);
	put(p, "package.json", manifest);
	p->o.dir = p->dir;
	p->o.platform = &node20;
	p->o.dirfd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline void end(struct project *p)
{
	char command[128];

	(void)close(p->o.dirfd);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
	cr_assert(system(command) == 0);
}

static inline int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "path version", sorted, node_modules shortened to '/': "a 1.0.0, a/b 2.0.0". */
static inline char *places(const struct graph *g)
{
	auto_buf struct buf out = BUF_INIT(1 << 16);
	char *items[256];
	size_t n = 0;

	for (uint32_t i = 1; i < g->count; i++) {
		const struct graph_node *node = &g->nodes[i];
		char text[256];
		size_t len = 0;

		for (const char *c = node->path; *c;) {
			if (strncmp(c, "node_modules/", 13) == 0)
				c += 13;
			else
				text[len++] = *c++;
		}
		(void)snprintf(text + len, sizeof text - len, " %s%s",
			       node->flags & NODE_LINK ? "->" : "",
			       node->flags & NODE_LINK ? node->resolved
			       : node->version         ? node->version
						       : "");
		items[n++] = strdup(text);
	}
	qsort(items, n, sizeof *items, by_text);
	for (size_t i = 0; i < n; i++) {
		buf_addf(&out, "%s%s", i ? ", " : "", items[i]);
		free(items[i]);
	}
	buf_add(&out, "", 1);
	return (char *)take(&out.data);
}
