#include "core/file.h"
#include "fs/cmd.h"
#include "fs/cmd_lock.h"
#include "lock/lock.h"
#include "lock/merge.h"
#include "lock/npmlock.h"
#include "lock/render.h"

#include <fcntl.h>
#include <stdio.h>

/* A lock in a file, of npm's kind or ours. */
struct any_lock {
	struct lock *l; /* NULL: npm's */
	struct graph *g;
};

static void any_release(struct any_lock *a)
{
	graph_free(a->g);
	lock_close(a->l);
}
#define auto_any cleanup(any_release)

static int open_any(struct any_lock *ret, const char *file, struct err *e)
{
	const struct npmlock_options o = { 0 };
	auto_free char *text = NULL;
	struct slice bytes = { 0 };
	int r = file_read_all(AT_FDCWD, file, NPMLOCK_SIZE_MAX, &text, &bytes.len, e);

	if (r < 0)
		return r;
	bytes.ptr = (const uint8_t *)text;
	if (bytes.len == 0) {
		/* git's empty file for a side that has none. */
		ret->g = NULL;
		return 0;
	}
	if (bytes.len > 3 && memcmp(text, "DXL", 3) == 0) {
		r = lock_open_copy(&ret->l, bytes, e);
		if (r == 0)
			r = lock_graph(ret->l, &ret->g, e);
	} else {
		r = npmlock_parse(&ret->g, bytes, &o, e);
	}
	return r < 0 ? err_wrap(e, r, "%.100s", file) : 0;
}

int cmd_lock_diff(const char *a, const char *b, struct err *e)
{
	auto_any struct any_lock x = { 0 }, y = { 0 };
	auto_buf struct buf out = BUF_INIT((size_t)256 << 20);
	int r = open_any(&x, a, e);

	if (r == 0)
		r = open_any(&y, b, e);
	if (r == 0)
		r = merge_diff(x.g, y.g, &out, e);
	return r == 0 ? cmd_write(&out, e) : r;
}

static int write_merged(const struct any_lock *as, struct slice text, const char *file,
			struct err *e)
{
	const struct npmlock_options o = { 0 };
	auto_graph struct graph *g = NULL;
	auto_buf struct buf out = BUF_INIT(NPMLOCK_SIZE_MAX);
	struct hash128 none = { { 0 } };
	int r = npmlock_parse(&g, text, &o, e);

	if (r < 0)
		return r;
	g->style = as->g->style;
	r = graph_edges(g, &o.graph, e);
	if (r == 0)
		r = graph_flags(g, e);
	if (r == 0)
		r = as->l ? lock_build(g, none, &out, e) : render_package_lock(g, &out, e);
	return r == 0 ? file_replace(file, out.data, out.len, 0644, e) : r;
}

int cmd_lock_merge(const char *base, const char *ours, const char *theirs, struct err *e)
{
	auto_any struct any_lock b = { 0 }, o = { 0 }, t = { 0 };
	auto_buf struct buf text = BUF_INIT(NPMLOCK_SIZE_MAX), conflicts = BUF_INIT(1 << 20);
	int r = open_any(&b, base, e);

	if (r == 0)
		r = open_any(&o, ours, e);
	if (r == 0)
		r = open_any(&t, theirs, e);
	if (r == 0 && (!o.g || !t.g))
		r = err_set(e, -EINVAL, "one side is empty; take the other, and run `dx lock`");
	if (r == 0)
		r = merge_locks(b.g, o.g, t.g, &text, &conflicts, e);
	if (r == 0 && conflicts.len) {
		(void)fwrite(conflicts.data, 1, conflicts.len, stderr);
		r = err_set(e, -EEXIST,
			    "both sides changed the same packages, so ours stays as it is: merge "
			    "package.json, run `dx lock`, and `git add` both");
	}
	return r == 0 ? write_merged(&o, (struct slice){ text.data, text.len }, ours, e) : r;
}
