/* dxfs mount: prepare, mount, go into the background, serve until unmounted. */
#include "core/log.h"
#include "fs/cmd.h"
#include "fs/cmd_mount_priv.h"
#include "fs/export_run.h"

#include <stdio.h>
#include <sys/stat.h>

void mount_lap(struct mounting *m, const char *step)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (m->lap.tv_sec)
		log_debug("%-24s %7.2f ms", step,
			  (double)(now.tv_sec - m->lap.tv_sec) * 1e3 +
				  (double)(now.tv_nsec - m->lap.tv_nsec) / 1e6);
	m->lap = now;
}

/* Absolute: the daemon works in "/". */
static int find_upper(struct mounting *m, struct err *e)
{
	const char *given = m->o->upper;
	auto_free char *here = NULL;

	if (m->o->read_only)
		return 0;
	if (!given) {
		m->upper_dir = state_path(&m->state, STATE_UPPER);
	} else if (given[0] == '/') {
		m->upper_dir = strdup(given);
	} else {
		here = getcwd(NULL, 0);
		if (!here)
			return err_set(e, -errno, "cannot find the current folder: %s",
				       strerror(errno));
		if (asprintf(&m->upper_dir, "%s/%s", here, given) < 0)
			m->upper_dir = NULL;
	}
	return m->upper_dir ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int prepare(struct mounting *m, struct err *e)
{
	const struct mount_options *o = m->o;
	struct cmd_project_options po = o->project;
	struct cmd_project *p = &m->project;
	struct lock *lock = NULL;
	struct server_config c;
	mode_t mask = umask(022);
	int r;

	(void)umask(mask);
	po.dir = m->project_dir;
	if (po.lock_file) {
		m->lock_file = realpath(po.lock_file, NULL);
		if (!m->lock_file)
			return err_set(e, -errno, "%s: %s", po.lock_file, strerror(errno));
		po.lock_file = m->lock_file;
	}
	m->follow = po;
	r = cmd_project_open(p, &po, e);
	if (r == 0)
		r = cmd_project_lock(p, &lock, e);
	mount_lap(m, "settings, lock");
	if (r == 0)
		r = store_open(&m->store, &o->store, e);
	if (r == 0)
		r = find_upper(m, e);
	if (r == 0)
		r = ctl_listen(&m->ctl, m->state.dirfd, e);
	mount_lap(m, "store, control socket");
	if (r < 0) {
		lock_close(lock);
		return r;
	}
	cmd_project_select(p);
	mount_lap(m, "platform");
	c = (struct server_config){
		.store = m->store,
		.lock = lock,
		.select = p->select,
		.npmrc = p->npmrc,
		.project_dir = m->project_dir,
		.state_dir = m->state.dir,
		.root_id = m->state.id,
		.umask = mask,
		.npm_umask = npmrc_umask(p->npmrc),
		.no_bin_links = !npmrc_bool(p->npmrc, "bin-links", true),
		.omit_resolved = npmrc_bool(p->npmrc, "omit-lockfile-registry-resolved", false),
		.uid = geteuid(),
		.gid = getegid(),
		.upper_dir = m->upper_dir,
		.allow_other = o->allow_other || geteuid() == 0,
		.offline = p->offline,
		.prefetch = o->prefetch,
	};
	r = server_new(&m->server, &c, e);
	mount_lap(m, "selection, tree, slots");
	for (unsigned i = 0; r == 0 && i < server_mount_count(m->server); i++)
		r = server_mount(m->server, i, e);
	m->cannot_mount = r < 0;
	mount_lap(m, "mount");
	return r;
}

/* Nothing can be mounted here: the same tree as real files. */
static int fall_back(struct mounting *m, const struct err *why)
{
	struct export_request q = { .project = m->follow,
				    .store = m->o->store,
				    .dir = m->state.mountpoint,
				    .who = "dxfs mount",
				    .keep_same = true };
	struct export_counts counts = { 0 };
	struct err e = { 0 };
	int r = export_run(&q, &counts, &e);

	if (r < 0) {
		(void)fprintf(stderr, "dxfs mount: %s; and as real files: %s\n", why->msg, e.msg);
		return CMD_FAILED;
	}
	if (r == 1)
		(void)fprintf(stderr,
			      "dxfs mount: %s holds the tree of this lock as real files already\n",
			      m->state.mountpoint);
	else
		(void)fprintf(stderr,
			      "dxfs mount: %s; the same tree was written to %s as real files\n",
			      why->msg, m->state.mountpoint);
	return CMD_OK;
}

void mount_release(struct mounting *m)
{
	ctl_close(m->ctl);
	relock_stop(m->relock);
	closep(&m->stop_fd);
	server_free(m->server);
	store_close(m->store);
	cmd_project_release(&m->project);
	state_release(&m->state); /* who unmounts waits until here */
	relock_free(m->relock);
	free(m->project_dir);
	free(m->lock_file);
	free(m->upper_dir);
}
static int run(struct mounting *m)
{
	struct err e = { 0 };
	int r;

	mount_lap(m, "");
	cmd_project_look_ahead(&m->project);
	r = mount_take_place(m, &e);

	if (r == 1) {
		(void)fprintf(stderr, "dxfs: %s is mounted already\n", m->state.mountpoint);
		return CMD_OK;
	}
	mount_lap(m, "state, old mounts");
	if (r == 0)
		r = prepare(m, &e);
	if (r < 0 && m->server)
		(void)!server_unmount(m->server, true, NULL);
	if (r < 0 && m->cannot_mount && m->o->fallback_export)
		return fall_back(m, &e);
	if (r < 0) {
		(void)fprintf(stderr, "dxfs mount: %s\n", e.msg);
		return CMD_FAILED;
	}
	m->facts = (struct status_facts){ .mountpoint = m->state.mountpoint,
					  .lock = m->o->project.lock_file
							  ? m->o->project.lock_file
							  : m->project.project.lock_file,
					  .store = store_dir(m->store),
					  .upper = m->upper_dir };
	return m->o->foreground ? mount_serve(m, -1) : mount_serve_behind(m);
}

int cmd_mount(int argc, char **argv)
{
	struct mount_options o = { .prefetch = PREFETCH_BACKGROUND };
	struct mounting m = {
		.o = &o, .stop_fd = -1, .state = STATE_INIT, .project = CMD_PROJECT_INIT
	};
	int rc = mount_parse(&o, argc, argv);

	if (rc != 0)
		return rc < 0 ? CMD_OK : rc;
	if (o.read_only && o.upper) {
		(void)fputs("dxfs mount: --read-only and --upper exclude each other\n", stderr);
		return CMD_USAGE;
	}
	o.store.behind = o.behind_count ? o.behind : NULL;
	if (o.verbose)
		log_set_level(LOG_DEBUG);
	rc = run(&m);
	mount_release(&m);
	return rc;
}
