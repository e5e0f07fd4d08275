#include "core/file.h"
#include "core/log.h"
#include "lock/ideal.h"
#include "lock/json_text.h"
#include "lock/legacy.h"
#include "lock/manifest.h"
#include "lock/pinned.h"
#include "lock/project_edit.h"
#include "lock/project_priv.h"
#include "lock/render.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- the locks ---- */

/* The lock that is there. */
struct kept {
	struct buf text;  /* as a package-lock.json of version 3; empty where there is none */
	char *others;     /* what it says at its top that npm does not know: a JSON object; NULL */
	unsigned version; /* of npm's lock; 0: there is none */
};

static void kept_release(struct kept *k)
{
	buf_release(&k->text);
	free(k->others);
}

/* Where only a dx.lock stands, in which nothing can be read, nothing is kept. */
static int keep(const struct project *p, const struct npmlock_options *o, struct kept *ret,
		struct err *e)
{
	auto_lock struct lock *l = NULL;
	auto_graph struct graph *g = NULL;
	auto_free char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r;

	if (!p->lock_file)
		return 0;
	if (project_has_npm_lock(p)) {
		r = file_read_all(p->dirfd, p->lock_file, NPMLOCK_SIZE_MAX, &text, &len, e);
		if (r == 0)
			r = npmlock_parse(&g, (struct slice){ (const uint8_t *)text, len }, o, e);
		if (r < 0)
			return err_wrap(e, r, "%s", p->lock_file);
	} else {
		r = lock_open(&l, p->dirfd, PROJECT_LOCK, &why);
		if (r == -EBADMSG) {
			log_warn("%s; it is made anew from package.json alone", why.msg);
			return 0;
		}
		if (r < 0)
			return err_set(e, r, "%s", why.msg);
		r = lock_graph(l, &g, e);
	}
	if (r < 0)
		return r;
	if (project_has_npm_lock(p)) {
		ret->version = g->lockfile_version < 2 ? 1 : g->lockfile_version;
		ret->others = strdup(g->top_residue ? g->top_residue : "");
	}
	g->lockfile_version = 3;
	return render_package_lock(g, &ret->text, e);
}

int project_pinned(const struct project *p, const char *file, struct pinned **ret, struct err *e)
{
	static const char *const names[] = { "yarn.lock", "bun.lock", "bun.lockb",
					     "pnpm-lock.yaml" };
	const char *const *name = names, *const *end = names + ARRAY_LEN(names);
	auto_free char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r = -ENOENT;

	*ret = NULL;
	if (!file && p->lock_file)
		return 0;
	if (file)
		r = file_read_all(AT_FDCWD, file, PINNED_SIZE_MAX, &text, &len, e);
	for (; !file && r == -ENOENT && name < end; name++) {
		r = file_read_all(p->dirfd, *name, PINNED_SIZE_MAX, &text, &len, &why);
		file = r == -ENOENT ? NULL : *name;
	}
	if (!file)
		return 0;
	if (r < 0)
		return why.msg[0] ? err_set(e, r, "%s", why.msg) : r;
	return pinned_parse(ret, (struct slice){ (const uint8_t *)text, len }, file, e);
}

static int path_of(const struct project *p, const char *file, char **ret, struct err *e)
{
	if (asprintf(ret, "%s/%s", p->dir, file) >= 0)
		return 0;
	*ret = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

/* A DXL of the graph, written where it says something else than what stands there. */
static int write_dxl(const struct project *p, const struct npmlock_options *o,
		     const struct graph *g, struct lock **ret, bool *ret_changed, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	auto_free char *old = NULL;
	auto_lock struct lock *l = NULL;
	struct hash128 fingerprint;
	size_t len = 0;
	int r = project_fingerprint(p, g, o, &fingerprint, e);

	if (r == 0)
		r = lock_build(g, fingerprint, &bytes, e);
	if (r == 0)
		r = lock_open_copy(&l, (struct slice){ bytes.data, bytes.len }, e);
	if (r < 0)
		return r;
	*ret_changed = file_read_all(p->dirfd, PROJECT_LOCK, LOCK_SIZE_MAX, &old, &len, NULL) < 0 ||
		       len != bytes.len || memcmp(old, bytes.data, len) != 0;
	if (*ret_changed)
		r = project_put_dxl(p, &bytes, e);
	if (r == 0)
		*ret = take(&l);
	return r;
}

static bool is_other(const struct json_member *m)
{
	return !slice_eq(m->key, SLICE("dependencies")) && !slice_eq(m->key, SLICE("requires"));
}

static void put_others(struct buf *b, const char *others, bool objects)
{
	struct json_text t = json_text(others);
	struct json_member m;

	while (json_text_next(&t, &m)) {
		if (m.is_object != objects || !is_other(&m))
			continue;
		buf_addf(b, "%s\"%.*s\":", b->len > 1 ? "," : "", SLICE_FMT(m.key));
		buf_add(b, m.value.ptr, m.value.len);
	}
}

/* What the lock says beside its packages: `others`, and the "dependencies" of versions below 3. */
static int put_top(struct graph *g, const char *dir, const char *others, struct err *e)
{
	auto_buf struct buf top = BUF_INIT(NPMLOCK_SIZE_MAX), deps = BUF_INIT(NPMLOCK_SIZE_MAX);
	int r = g->lockfile_version > 2 ? 0 : legacy_put(g, dir, &deps, e);

	if (r < 0)
		return r;
	buf_addstr(&top, "{");
	put_others(&top, others, false);
	if (deps.len) {
		buf_addf(&top, "%s\"dependencies\":", top.len > 1 ? "," : "");
		buf_add(&top, deps.data, deps.len);
	}
	put_others(&top, others, true);
	buf_addstr(&top, "}");
	if (buf_error(&top) == 0)
		g->top_residue = arena_strndup(&g->arena, top.data, top.len);
	return buf_error(&top) || !g->top_residue ? err_set(e, -ENOMEM, "no memory for the lock")
						  : 0;
}

/* The graph as npm's lock is to say it. */
static int set_form(const struct project *p, const struct ideal_options *io, const struct kept *k,
		    struct graph *g, struct err *e)
{
	g->lockfile_version = io->lockfile_version ? io->lockfile_version : k->version == 2 ? 2 : 3;
	return put_top(g, p->dir, io->update_all ? "" : k->others, e);
}

/* Writes npm's lock where its text is another now, and the DXL that comes of that text. Whether it
 * fits package.json is not asked: npm leaves optional packages out that the registry does not have,
 * and then refuses its own lock. */
static int write_npm_lock(const struct project *p, const struct npmlock_options *o,
			  const struct graph *g, struct lock **ret, bool *ret_changed,
			  struct err *e)
{
	auto_buf struct buf text = BUF_INIT(NPMLOCK_SIZE_MAX);
	auto_graph struct graph *again = NULL;
	auto_free char *path = NULL, *old = NULL;
	bool ignored;
	size_t len = 0;
	int r = g->lockfile_version == 1 ? render_package_lock_v1(g, &text, e)
					 : render_package_lock(g, &text, e);

	if (r == 0)
		r = path_of(p, p->lock_file, &path, e);
	if (r == 0)
		r = file_read_all(p->dirfd, p->lock_file, NPMLOCK_SIZE_MAX, &old, &len, e);
	if (r < 0)
		return r;
	*ret_changed = len != text.len || memcmp(old, text.data, len) != 0;
	if (*ret_changed)
		r = file_rewrite(path, text.data, text.len, e);
	if (r == 0)
		r = npmlock_parse(&again, (struct slice){ text.data, text.len }, o, e);
	if (r == 0) {
		again->shrinkwrap = strcmp(p->lock_file, "npm-shrinkwrap.json") == 0;
		r = manifest_project(again, p->dirfd, e);
	}
	if (r == 0)
		r = graph_edges(again, &o->graph, e);
	if (r == 0)
		r = graph_flags(again, e);
	return r == 0 ? write_dxl(p, o, again, ret, &ignored, e) : r;
}

/* ---- the whole ---- */

static int build(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		 struct err *e)
{
	return o->build ? o->build(ret, lock, o, o->build_arg, e) : ideal_build(ret, lock, o, e);
}

static int start_edits(struct editing *m, const struct project *p, struct ideal_options *io,
		       const struct project_edits *edits, struct err *e)
{
	int r = editing_start(m, p, io, edits, e);

	if (r < 0)
		return r;
	io->manifests = m->asked;
	io->requested = m->requested;
	io->requested_count = m->requested_count;
	io->settle = editing_settle;
	io->settle_arg = m;
	return 0;
}

/* Whoever resolved it: what npm would not take is not written. */
static int check_sound(const struct graph *g, struct err *e)
{
	struct err why = { 0 };
	int r = graph_sound(g, GRAPH_AS_NPM, &why);

	return r < 0 ? err_set(e, r,
			       "what was resolved does not hold, and is not written: %s; pin or "
			       "override the version",
			       why.msg)
		     : 0;
}

int project_resolve(const struct project *p, const struct npmlock_options *o,
		    const struct ideal_options *io, const struct project_edits *edits,
		    struct ideal_result *ret, struct lock **ret_lock, bool *ret_changed,
		    struct err *e)
{
	struct editing m cleanup(editing_release) = { 0 };
	struct kept kept cleanup(kept_release) = { .text = BUF_INIT(NPMLOCK_SIZE_MAX) };
	struct ideal_options mine = *io;
	struct slice lock;
	int r;

	mine.dir = p->dir;
	mine.dirfd = p->dirfd;
	r = keep(p, o, &kept, e);
	lock = (struct slice){ kept.text.data, kept.text.len };
	if (r == 0 && edits && (edits->count || edits->update))
		r = start_edits(&m, p, &mine, edits, e);
	if (r == 0)
		r = build(ret, lock, &mine, e);
	if (r == 0 && !mine.force)
		r = check_sound(ret->graph, e);
	if (r == 0)
		editing_style(&m, ret->graph);
	if (r == 0 && project_has_npm_lock(p))
		r = set_form(p, io, &kept, ret->graph, e);
	if (r == 0)
		r = editing_write(&m);
	if (r < 0)
		return r;
	if (project_has_npm_lock(p))
		return write_npm_lock(p, o, ret->graph, ret_lock, ret_changed, e);
	return write_dxl(p, o, ret->graph, ret_lock, ret_changed, e);
}
