/* The mounts of a server: node_modules, and those of other tops. */
#include "core/log.h"
#include "core/thread.h"
#include "fs/server_priv.h"

#include <stdio.h>

/* A lock that changes may have packages below tops where the mount's first one had none. */
#define MOUNTS_MORE 256

int mounts_make(struct server *s, struct err *e)
{
	struct view *v = view_get(s->shown);
	const struct tree *t = view_tree(v);
	int r = 0;

	s->mount_max = t->root_count + MOUNTS_MORE;
	s->paths = calloc(s->mount_max, sizeof *s->paths);
	s->mounts = calloc(s->mount_max, sizeof *s->mounts);
	if (!s->paths || !s->mounts)
		r = err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < t->root_count && r == 0; i++) {
		s->mounts[i].server = s;
		s->mounts[i].conn.server = s;
		s->mounts[i].conn.root_ino = view_root_ino(v, i);
		s->paths[i] = strdup(t->roots[i].path);
		if (!s->paths[i])
			r = err_set(e, -ENOMEM, "out of memory");
		s->mount_count = i + 1;
	}
	view_unref(v);
	return r;
}

void mounts_join(struct server *s)
{
	for (unsigned i = 0; i < s->mount_count; i++) {
		if (s->mounts[i].running)
			(void)pthread_join(s->mounts[i].thread, NULL);
		s->mounts[i].running = false;
	}
}

/* ---- mounting ---- */

unsigned server_mount_count(const struct server *s)
{
	return s->mount_count;
}

int server_mount(struct server *s, unsigned i, struct err *e)
{
	struct conn_options o = {
		.read_only = !s->upper,
		.allow_other = s->c.allow_other,
		.ops = s->upper ? &ops_table : &ops_read_only,
		.ops_size = sizeof ops_table,
	};
	auto_free char *dir = NULL;

	if (asprintf(&dir, "%s/%s", s->c.project_dir, s->paths[i]) < 0) {
		dir = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return conn_mount(&s->mounts[i].conn, dir, &o, e);
}

int server_unmount(struct server *s, bool lazy, struct err *e)
{
	struct err later = { 0 };
	int r;

	(void)pthread_mutex_lock(&s->mounting);
	push_hold(s->push, true);
	r = s->mount_count ? conn_unmount(&s->mounts[0].conn, lazy, e) : 0;

	for (unsigned i = 1; i < s->mount_count && r >= 0; i++) {
		struct conn *c = &s->mounts[i].conn;

		if (conn_unmount(c, false, &later) == 0)
			continue;
		r = 1;
		if (conn_unmount(c, true, &later) < 0)
			log_warn("%s", later.msg);
	}
	push_hold(s->push, false);
	(void)pthread_mutex_unlock(&s->mounting);
	return r;
}

/* ---- serving ---- */

static void *run_loop(void *arg)
{
	struct mount *m = arg;
	struct server *s = m->server;
	struct err e = { 0 };
	uint64_t one = 1;
	int r = conn_loop(&m->conn, s->threads);

	if (r != 0)
		log_error("serving %s ended: %s", m->conn.dir, strerror(r < 0 ? -r : r));
	m->conn.mounted = false;
	if (m != &s->mounts[0])
		return NULL;
	(void)pthread_mutex_lock(&s->mounting);
	for (unsigned i = 1; i < s->mount_count; i++)
		if (conn_unmount(&s->mounts[i].conn, true, &e) < 0)
			log_warn("%s", e.msg);
	(void)pthread_mutex_unlock(&s->mounting);
	(void)!write(s->ended_fd, &one, sizeof one);
	return NULL;
}

int mounts_serve(struct mount *m, struct err *e)
{
	int r = thread_start(&m->thread, run_loop, m, e);

	m->running = r == 0;
	return r;
}

/* ---- another lock ---- */

static bool has_root(const struct tree *t, const char *path)
{
	for (uint32_t i = 0; i < t->root_count; i++)
		if (strcmp(t->roots[i].path, path) == 0)
			return true;
	return false;
}

static bool is_mounted(const struct server *s, const char *path)
{
	for (unsigned i = 0; i < s->mount_count; i++)
		if (s->mounts[i].conn.mounted && strcmp(s->paths[i], path) == 0)
			return true;
	return false;
}

static int mount_one_more(struct server *s, const struct view *v, uint32_t root, struct err *e)
{
	unsigned i = s->mount_count;
	struct mount *m = &s->mounts[i];
	int r;

	if (i == s->mount_max)
		return err_set(e, -E2BIG, "too many folders have come since this was mounted");
	*m = (struct mount){ .server = s,
			     .conn = { .server = s, .root_ino = view_root_ino(v, root) } };
	s->paths[i] = strdup(view_tree(v)->roots[root].path);
	r = s->paths[i] ? server_mount(s, i, e) : err_set(e, -ENOMEM, "out of memory");
	if (r < 0) {
		free(take(&s->paths[i]));
		return r;
	}
	s->mount_count = i + 1;
	return mounts_serve(m, e);
}

void mounts_follow(struct server *s, const struct view *v)
{
	const struct tree *t = view_tree(v);
	struct err e = { 0 };

	(void)pthread_mutex_lock(&s->mounting);
	for (unsigned i = 1; i < s->mount_count; i++)
		if (s->mounts[i].conn.mounted && !has_root(t, s->paths[i]) &&
		    conn_unmount(&s->mounts[i].conn, true, &e) < 0)
			log_warn("%s", e.msg);
	for (uint32_t i = 1; s->mounts[0].conn.mounted && i < t->root_count; i++) {
		if (is_mounted(s, t->roots[i].path) || mount_one_more(s, v, i, &e) == 0)
			continue;
		server_note_error(s, t->roots[i].path, e.msg);
	}
	(void)pthread_mutex_unlock(&s->mounting);
}
