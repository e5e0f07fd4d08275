#include "fs/relock.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#define LOCK    "the lock" /* by which the status names it */
#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE)

struct relock {
	struct relock_config c;
	char *lock_name; /* of the file that --lock names; NULL: the project's own locks count */
	int inotify;     /* owned */
	int wake;        /* eventfd; owned */
	pthread_t thread;
	bool running;

	pthread_mutex_t mu;
	pthread_cond_t changed;
	/* guarded by mu */
	bool stop;
	unsigned asked, answered;
	int answer; /* to the last one answered */
	struct err answer_err;
};

/* ---- reading the lock and showing it ---- */

static int look(struct relock *r, struct err *e)
{
	struct cmd_project_options po = *r->c.project;
	auto_cmd_project struct cmd_project p = CMD_PROJECT_INIT;
	struct lock *lock = NULL;
	int result = cmd_project_open(&p, &po, e);

	if (result == 0)
		result = cmd_project_lock(&p, &lock, e);
	return result < 0 ? result : server_relock(r->c.server, lock, e);
}

static void look_and_tell(struct relock *r)
{
	struct err e = { 0 };
	unsigned asked;
	int result;

	(void)pthread_mutex_lock(&r->mu);
	asked = r->asked;
	(void)pthread_mutex_unlock(&r->mu);
	result = look(r, &e);
	if (result < 0)
		server_note_error(r->c.server, LOCK, e.msg);
	else
		server_forget_errors(r->c.server, LOCK);
	(void)pthread_mutex_lock(&r->mu);
	r->answer = result;
	r->answer_err = e;
	r->answered = asked;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->mu);
}

/* ---- watching ---- */

static bool counts(const struct relock *r, const char *name)
{
	static const char *const names[] = { "package-lock.json", "npm-shrinkwrap.json",
					     PROJECT_LOCK, "package.json" };

	if (r->lock_name)
		return strcmp(name, r->lock_name) == 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Takes all events that are there. Did one of them touch the lock? An overflow may have. */
static bool touched(struct relock *r)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool yes = false;
	ssize_t n;

	while ((n = read(r->inotify, buf, sizeof buf)) > 0) {
		const struct inotify_event *ev;

		for (char *p = buf; p < buf + n; p += sizeof *ev + ev->len) {
			ev = (const void *)p;
			yes |= (ev->mask & IN_Q_OVERFLOW) || (ev->len && counts(r, ev->name));
		}
	}
	return yes;
}

/* By a deleting that began with the lock or has not come to it, it may be seconds to the other. */
static bool lock_is_gone(const struct relock *r)
{
	static const char *const names[] = { "package-lock.json", "npm-shrinkwrap.json",
					     PROJECT_LOCK };
	auto_close int fd = open(r->c.project->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (r->lock_name || fd < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (faccessat(fd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return false;
	return true;
}

static bool shows_nothing(const struct relock *r)
{
	auto_free char *path = NULL;
	const struct dirent *entry;
	bool empty = true;
	DIR *d;

	if (asprintf(&path, "%s/node_modules", r->c.project->dir) < 0) {
		path = NULL;
		return false;
	}
	d = opendir(path);
	if (!d)
		return false;
	while (empty && (entry = readdir(d)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	(void)closedir(d);
	return empty;
}

static bool stopped(struct relock *r, bool *ret_asked)
{
	bool stop;

	(void)pthread_mutex_lock(&r->mu);
	stop = r->stop;
	*ret_asked = r->asked != r->answered;
	(void)pthread_mutex_unlock(&r->mu);
	return stop;
}

static void *run(void *arg)
{
	struct relock *r = arg;
	int64_t first = 0, last = 0; /* changes not looked at yet; 0: none */
	bool asked, gone = false;

	while (!stopped(r, &asked)) {
		struct pollfd p[] = { { .fd = r->wake, .events = POLLIN },
				      { .fd = r->inotify, .events = POLLIN } };
		int64_t due = last + RELOCK_QUIET_MS, now = now_ms();

		if (due > first + RELOCK_LATEST_MS)
			due = first + RELOCK_LATEST_MS;
		if (asked || (first && now >= due)) {
			(void)touched(r);
			first = last = 0;
			look_and_tell(r);
			gone = lock_is_gone(r);
			continue;
		}
		if (gone && shows_nothing(r))
			r->c.gone(r->c.arg);
		if (poll(p, ARRAY_LEN(p),
			 first  ? (int)(due - now)
			 : gone ? RELOCK_GONE_MS
				: -1) < 0 &&
		    errno != EINTR)
			break;
		if (p[0].revents)
			(void)!read(r->wake, &(uint64_t){ 0 }, sizeof(uint64_t));
		if (p[1].revents && touched(r)) {
			last = now_ms();
			first = first ? first : last;
		}
	}
	return NULL;
}

/* ---- from outside ---- */

static int watch(struct relock *r, struct err *e)
{
	const char *file = r->c.project->lock_file, *dir = r->c.project->dir;
	auto_free char *path = file ? realpath(file, NULL) : NULL;

	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->inotify < 0 || r->wake < 0)
		return err_set(e, -errno, "cannot watch %s: %s", dir, strerror(errno));
	if (file && !path)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	if (path) {
		r->lock_name = strdup(basename(path));
		dir = dirname(path);
		if (!r->lock_name)
			return err_set(e, -ENOMEM, "out of memory");
	}
	if (inotify_add_watch(r->inotify, dir, CHANGES | IN_ONLYDIR) < 0)
		return err_set(e, -errno,
			       "cannot watch %s, so a changed lock is not followed: %s%s", dir,
			       strerror(errno),
			       errno == ENOSPC ? " (see fs.inotify.max_user_watches)" : "");
	return 0;
}

int relock_start(struct relock **ret, const struct relock_config *c, struct err *e)
{
	struct relock *r = calloc(1, sizeof *r);
	int result;

	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	*r = (struct relock){ .c = *c, .inotify = -1, .wake = -1 };
	(void)pthread_mutex_init(&r->mu, NULL);
	(void)pthread_cond_init(&r->changed, NULL);
	result = watch(r, e);
	if (result == 0)
		result = thread_start(&r->thread, run, r, e);
	r->running = result == 0;
	if (result < 0)
		relock_free(r);
	else
		*ret = r;
	return result;
}

static void wake(struct relock *r)
{
	(void)!write(r->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
}

int relock_now(struct relock *r, struct err *e)
{
	unsigned mine;
	int result;

	(void)pthread_mutex_lock(&r->mu);
	mine = ++r->asked;
	wake(r);
	while (!r->stop && (int)(r->answered - mine) < 0)
		(void)pthread_cond_wait(&r->changed, &r->mu);
	result = r->answer;
	if ((int)(r->answered - mine) < 0)
		result = err_set(e, -ECANCELED, "the mount ends");
	else if (result < 0)
		(void)err_set(e, result, "%s", r->answer_err.msg);
	(void)pthread_mutex_unlock(&r->mu);
	return result;
}

void relock_stop(struct relock *r)
{
	if (!r)
		return;
	(void)pthread_mutex_lock(&r->mu);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->mu);
	if (r->running) {
		wake(r);
		(void)pthread_join(r->thread, NULL);
	}
	r->running = false;
}

void relock_free(struct relock *r)
{
	if (!r)
		return;
	closep(&r->inotify);
	closep(&r->wake);
	free(r->lock_name);
	(void)pthread_mutex_destroy(&r->mu);
	(void)pthread_cond_destroy(&r->changed);
	free(r);
}
