#include "core/log.h"
#include "fs/cmd_mount_priv.h"
#include "fs/mountinfo.h"

#include <poll.h>

#define START_WAIT_MS  15000 /* for another `dxfs mount` of the same place to finish */
#define ENDING_WAIT_MS 3000  /* for a daemon to end whose mount has gone */

/* A daemon answers. 1: the mount is here; 0: not (yet, or any more), look again. It may also have
 * been unmounted here with umount(8), and live on in a container that copied it. */
static int is_here(struct mounting *m, struct err *e)
{
	struct mountinfo info = { 0 };
	int r = mountinfo_find(m->state.mountpoint, &info, e);

	return r < 0 ? r : info.count && info.ours;
}

/* The state of a project that was gone until now may be removed just while it is opened. */
static int lock_state(struct mounting *m, struct err *e)
{
	int r = state_lock(&m->state, 0, e);

	if (r != -ENOENT)
		return r;
	state_release(&m->state);
	r = state_open(&m->state, m->o->dir, true, e);
	return r == 0 ? state_lock(&m->state, 0, e) : r;
}

static int lock_place(struct mounting *m, struct err *e)
{
	unsigned waited = 0;
	bool answers = false;
	int r;

	r = state_open(&m->state, m->o->dir, true, e);
	if (r < 0)
		return r;
	while ((r = lock_state(m, e)) == -EBUSY) {
		auto_free char *answer = NULL;

		if (ctl_ask(m->state.dirfd, "ping", 5000, &answer, NULL) == 0) {
			answers = true;
			r = is_here(m, e);
			if (r != 0)
				return r;
		}
		if ((waited += 20) > (answers ? ENDING_WAIT_MS : START_WAIT_MS))
			return err_set(e, -EBUSY,
				       "%s: its old dxfs (log: %s/log) %s; `dxfs unmount` ends it",
				       m->state.mountpoint, m->state.dir,
				       answers ? "goes on for who has its files open or for a "
						 "container or sandbox"
					       : "does not answer");
		(void)poll(NULL, 0, 20);
	}
	return r;
}

static void detach_dead(void *arg, const char *path)
{
	struct err e = { 0 };

	(void)arg;
	if (mount_answers(path))
		return;
	if (mount_detach(path, true, &e) == 0)
		log_info("%s: removed a mount whose daemon is gone", path);
	else
		log_warn("%s", e.msg);
}

static int clear_stale(struct mounting *m, struct err *e)
{
	struct mountinfo info = { 0 };
	int r = mountinfo_each(m->project_dir, detach_dead, NULL, e);

	if (r == 0)
		r = mountinfo_find(m->state.mountpoint, &info, e);
	if (r == 0 && info.ours)
		return err_set(e, -EBUSY, "%s is mounted already, by another user or container",
			       m->state.mountpoint);
	return r;
}

static int split_project(struct mounting *m, struct err *e)
{
	const char *slash = strrchr(m->state.mountpoint, '/');

	if (strcmp(slash + 1, "node_modules") != 0)
		return err_set(
			e, -EINVAL,
			"%s: a mount point must be named node_modules, in the project's folder",
			m->state.mountpoint);
	m->project_dir =
		strndup(m->state.mountpoint,
			slash == m->state.mountpoint ? 1 : (size_t)(slash - m->state.mountpoint));
	return m->project_dir ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int mount_take_place(struct mounting *m, struct err *e)
{
	int r = lock_place(m, e);

	if (r == 0)
		r = split_project(m, e);
	if (r == 0)
		r = clear_stale(m, e);
	return r;
}
