#include "fs/cmd.h"
#include "fs/ctl.h"
#include "fs/mountinfo.h"
#include "fs/state.h"

#define STOP_WAIT_MS  10000 /* for the daemon to end after it has unmounted */
#define DEATH_WAIT_MS 2000  /* for the system to clear up after one that was killed */

static const char usage[] =
	"usage: dxfs unmount [--lazy] DIR\n"
	"  -z, --lazy   detach it although it is in use\n"
	"Ends the mount; what was written into it is there again with the next one.\n";

struct dead {
	bool lazy;
	struct err err;
	int result;
};

static void detach(void *arg, const char *path)
{
	struct dead *d = arg;
	int r;

	/* Only what has no daemon: a nested mount of a project that is served elsewhere stays. */
	if (d->result < 0 || mount_answers(path))
		return;
	r = mount_detach(path, d->lazy, &d->err);
	if (r < 0)
		d->result = r;
}

/* No daemon has it: what is left of the mount goes. */
static int remove_dead(const struct state *s, bool lazy, struct err *e)
{
	struct dead d = { .lazy = lazy };
	struct mountinfo info = { 0 };
	auto_free char *project = strdup(s->mountpoint);
	int r = mountinfo_find(s->mountpoint, &info, e);

	if (r < 0 || !project)
		return r < 0 ? r : err_set(e, -ENOMEM, "out of memory");
	if (!info.ours)
		return err_set(e, -EINVAL, "%s is not mounted", s->mountpoint);
	*strrchr(project, '/') = '\0';
	r = mountinfo_each(project, detach, &d, e);
	if (r == 0 && d.result < 0) {
		*e = d.err;
		r = d.result;
	}
	return r;
}

static bool is_gone(int ask)
{
	return ask == -ECONNRESET || ask == -ECONNREFUSED || ask == -EPIPE || ask == -ENOENT;
}

static int unmount(const char *dir, bool lazy, struct err *e)
{
	auto_free char *answer = NULL;
	struct state s = STATE_INIT;
	int r = state_open(&s, dir, false, e);

	if (r == -ENOENT)
		return err_set(e, r, "%s is not mounted", dir);
	if (r < 0)
		return r;
	r = state_lock(&s, 0, e);
	if (r == -EBUSY) {
		r = ctl_ask(s.dirfd, lazy ? "stop lazy" : "stop", STOP_WAIT_MS, &answer, e);
		/* It has unmounted; it ends when the last open file is closed. */
		if (r == 0 && !lazy)
			r = state_lock(&s, STOP_WAIT_MS, e);
		/* Killed a moment ago, it still holds the lock, but no longer answers. */
		if (is_gone(r) && state_lock(&s, DEATH_WAIT_MS, NULL) == 0)
			r = remove_dead(&s, lazy, e);
	} else if (r == 0) {
		r = remove_dead(&s, lazy, e);
	}
	state_release(&s);
	return r;
}

int cmd_unmount(int argc, char **argv)
{
	bool lazy = false;
	const struct cmd_option options[] = { { "lazy", .given = &lazy, .letter = 'z' }, { 0 } };
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 1, 1);

	return rc >= 0 ? rc : cmd_end("dxfs unmount", unmount(argv[optind], lazy, &e), &e);
}
