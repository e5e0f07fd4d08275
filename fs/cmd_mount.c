/* dxfs mount: prepare, mount, go into the background, serve until unmounted. */
#include "core/file.h"
#include "core/log.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "fs/ctl.h"
#include "fs/mountinfo.h"
#include "fs/server.h"
#include "fs/state.h"
#include "fs/status.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define LOG_MAX        ((off_t)1 << 20) /* a log longer than this starts anew; one old one is kept */
#define START_WAIT_MS  15000            /* for another `dxfs mount` of the same place to finish */
#define ENDING_WAIT_MS 3000             /* for a daemon to end whose mount has gone */
#define COPIES_WAIT_MS 1000 /* after unmounting; the kernel ends a mount's last use at once */
#define ENDS           3    /* what ends a mount: its unmounting, a signal, `dxfs unmount` */
#define BEHIND_MAX     8

struct mount_options {
	struct cmd_project_options project;
	struct store_options store;
	const char *behind[BEHIND_MAX + 1];
	unsigned behind_count;
	const char *dir;
	bool foreground, read_only, allow_other, verbose;
	enum server_prefetch prefetch;
};

/* One mount while it is being made and served. */
struct mounting {
	const struct mount_options *o;
	struct state state;
	struct cmd_project project;
	struct store *store;
	struct ctl *ctl;
	struct server *server;
	struct status_facts facts;
	char *project_dir;
	int stop_fd;         /* an eventfd: readable when unmounting was asked for and done */
	struct timespec lap; /* when the last step ended */
};

static const char usage[] =
	"usage: dxfs mount [options] DIR\n"
	"  -f, --foreground            do not go into the background\n"
	"      --lock=FILE             this DXL instead of the project's lock\n"
	"      --store=DIR             instead of $DX_STORE or the default\n"
	"      --store-behind=DIR      a store that is only read, searched after it; up to eight\n"
	"      --read-only             nothing can be written, nothing need be asked twice\n"
	"      --offline               ask nothing of the network\n"
	"      --prefetch=none|background|all\n"
	"      --omit=dev|optional|peer\n"
	"      --os=OS --cpu=CPU --libc=LIBC\n"
	"      --registry=URL          the default registry\n"
	"      --allow-other           let other users see the mount\n"
	"      --force                 a package for another platform is only a warning\n"
	"  -v, --verbose               log what each step of mounting takes, and more\n"
	"  -o WORDS                    the options above as mount(8) gives them: "
	"ro,prefetch=none\n";

static int usage_error(const char *option, const char *value, const char *what)
{
	(void)fprintf(stderr, "dxfs mount: %s%s: %s\n", option, value, what);
	return CMD_USAGE;
}

/* ---- options ---- */

static int parse_omit(unsigned *ret, const char *list)
{
	static const struct {
		const char *name;
		unsigned flag;
	} kinds[] = { { "dev", OMIT_DEV }, { "optional", OMIT_OPTIONAL }, { "peer", OMIT_PEER } };

	while (*list) {
		size_t n = strcspn(list, ",:"), i;

		for (i = 0; i < ARRAY_LEN(kinds); i++)
			if (strlen(kinds[i].name) == n && strncmp(kinds[i].name, list, n) == 0)
				break;
		if (i == ARRAY_LEN(kinds))
			return -EINVAL;
		*ret |= kinds[i].flag;
		list += n + (list[n] != '\0');
	}
	return 0;
}

static int parse_prefetch(enum server_prefetch *ret, const char *word)
{
	static const char *const words[] = { [PREFETCH_NONE] = "none",
					     [PREFETCH_BACKGROUND] = "background",
					     [PREFETCH_ALL] = "all" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i], word) == 0) {
			*ret = (enum server_prefetch)i;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct option longs[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "lock", required_argument, NULL, 'l' },
	{ "store", required_argument, NULL, 's' },
	{ "store-behind", required_argument, NULL, 'b' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "offline", no_argument, NULL, 'o' },
	{ "prefetch", required_argument, NULL, 'p' },
	{ "omit", required_argument, NULL, 'm' },
	{ "os", required_argument, NULL, '1' },
	{ "cpu", required_argument, NULL, '2' },
	{ "libc", required_argument, NULL, '3' },
	{ "registry", required_argument, NULL, 'g' },
	{ "allow-other", no_argument, NULL, 'a' },
	{ "force", no_argument, NULL, 'F' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* One option by its letter in `longs`: 0, or an exit status. */
static int set_option(struct mount_options *o, int c, const char *value)
{
	switch (c) {
	case 'f':
		o->foreground = true;
		break;
	case 'l':
		o->project.lock_file = value;
		break;
	case 's':
		o->store.dir = value;
		break;
	case 'b':
		if (o->behind_count == BEHIND_MAX)
			return usage_error("--store-behind=", value, "too many");
		o->behind[o->behind_count++] = value;
		break;
	case 'r':
		o->read_only = true;
		break;
	case 'o':
		o->project.offline = true;
		break;
	case 'p':
		if (parse_prefetch(&o->prefetch, value) < 0)
			return usage_error("--prefetch=", value, "none, background or all");
		break;
	case 'm':
		if (parse_omit(&o->project.omit, value) < 0)
			return usage_error("--omit=", value, "dev, optional or peer");
		break;
	case '1':
		o->project.os = value;
		break;
	case '2':
		o->project.cpu = value;
		break;
	case '3':
		o->project.libc = value;
		break;
	case 'g':
		o->project.registry = value;
		break;
	case 'a':
		o->allow_other = true;
		break;
	case 'F':
		o->project.force = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	default:
		return CMD_USAGE;
	}
	return 0;
}

/* "-o ro,noauto,prefetch=none" as mount(8) passes it: our long options by name, the kernel's and
 * mount's own words are theirs. `list` is cut up and lent to the options. */
static int set_mount_words(struct mount_options *o, char *list)
{
	static const char *const others[] = { "rw",       "dev",      "nodev",
					      "suid",     "nosuid",   "exec",
					      "noexec",   "auto",     "noauto",
					      "user",     "nouser",   "users",
					      "owner",    "group",    "nofail",
					      "defaults", "_netdev",  "atime",
					      "noatime",  "relatime", "default_permissions" };
	char *save = NULL;

	for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		char *value = strchr(w, '=');
		bool known = strncmp(w, "x-", 2) == 0 || strncmp(w, "user=", 5) == 0;

		if (strcmp(w, "ro") == 0)
			w = (char *)"read-only";
		else if (strcmp(w, "allow_other") == 0)
			w = (char *)"allow-other";
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			known |= strcmp(others[i], w) == 0;
		if (known)
			continue;
		if (value)
			*value++ = '\0';
		for (const struct option *l = longs; l->name; l++) {
			if (strcmp(l->name, w) != 0 || (l->has_arg == required_argument) != !!value)
				continue;
			int rc = set_option(o, l->val, value);

			if (rc != 0)
				return rc;
			known = true;
		}
		if (!known)
			return usage_error("-o ", w, "unknown mount option");
	}
	return 0;
}

static int parse(struct mount_options *o, int argc, char **argv)
{
	int c;

	/* -o and two folders: how mount(8) calls us (dxfs SOURCE DIR -o words). */
	while ((c = getopt_long(argc, argv, "fo:nsvh", longs, NULL)) != -1) {
		int rc = 0;

		if (c == 'h') {
			(void)fputs(usage, stdout);
			return -1;
		}
		if (c == 'o' && optarg)
			rc = set_mount_words(o, optarg);
		else if (c == '?')
			rc = CMD_USAGE;
		else if (!((c == 'n' || c == 's') && !optarg))
			rc = set_option(o, c, optarg);
		if (rc != 0) {
			(void)fputs(usage, stderr);
			return rc;
		}
	}
	if (optind + 1 != argc) {
		(void)fputs(usage, stderr);
		return CMD_USAGE;
	}
	o->dir = argv[optind];
	return 0;
}

/* ---- before the fork ---- */

/* With -v: what the time of a mount is spent on, step by step. */
static void lap(struct mounting *m, const char *step)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (m->lap.tv_sec)
		log_debug("%-24s %7.2f ms", step,
			  (double)(now.tv_sec - m->lap.tv_sec) * 1e3 +
				  (double)(now.tv_nsec - m->lap.tv_nsec) / 1e6);
	m->lap = now;
}

/* A daemon answers. 1: the mount is here; 0: not (yet, or any more), look again. It may also have
 * been unmounted here with umount(8), and live on in a container that copied it. */
static int is_here(struct mounting *m, struct err *e)
{
	struct mountinfo info = { 0 };
	int r = mountinfo_find(m->state.mountpoint, &info, e);

	return r < 0 ? r : info.count && info.ours;
}

/* 1: it is mounted and answers; 0: it is ours to mount, the state is locked. */
static int take_place(struct mounting *m, struct err *e)
{
	unsigned waited = 0;
	bool answers = false;
	int r;

	r = state_open(&m->state, m->o->dir, true, e);
	if (r < 0)
		return r;
	while ((r = state_lock(&m->state, 0, e)) == -EBUSY) {
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
	po.cache_dir = m->state.dir;
	r = cmd_project_open(p, &po, e);
	if (r == 0) {
		cmd_project_select(p);
		r = cmd_project_lock(p, &lock, e);
	}
	lap(m, "settings, platform, lock");
	if (r == 0)
		r = store_open(&m->store, &o->store, e);
	if (r == 0)
		r = ctl_listen(&m->ctl, m->state.dirfd, e);
	lap(m, "store, control socket");
	if (r < 0) {
		lock_close(lock);
		return r;
	}
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
		.read_only = o->read_only,
		.allow_other = o->allow_other || geteuid() == 0,
		.offline = p->offline,
		.prefetch = o->prefetch,
	};
	r = server_new(&m->server, &c, e);
	lap(m, "selection, tree, slots");
	for (unsigned i = 0; r == 0 && i < server_mount_count(m->server); i++)
		r = server_mount(m->server, i, e);
	lap(m, "mount");
	return r;
}

static void release(struct mounting *m)
{
	ctl_close(m->ctl);
	closep(&m->stop_fd);
	server_free(m->server);
	store_close(m->store);
	cmd_project_release(&m->project);
	state_release(&m->state);
	free(m->project_dir);
}

/* ---- serving ---- */

/* Unmounted because it was asked for, with nothing open: nobody here needs the server any more. */
static int stop(struct mounting *m, struct err *e)
{
	int r = server_unmount(m->server, false, e);

	if (r == 0)
		(void)!write(m->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	return r < 0 ? r : 0;
}

static int answer(void *arg, struct slice request, struct buf *out, struct err *e)
{
	struct mounting *m = arg;

	if (slice_eq(request, SLICE("ping")))
		return 0;
	if (slice_eq(request, SLICE("status"))) {
		status_json(out, m->server, &m->facts);
		return 0;
	}
	if (slice_eq(request, SLICE("stop")))
		return stop(m, e);
	if (slice_eq(request, SLICE("stop lazy")))
		return server_unmount(m->server, true, e) < 0 ? -EIO : 0;
	return err_set(e, -EINVAL, "unknown request");
}

/* After an unmount that nothing stood in the way of: what still holds the mount is a copy in
 * another mount namespace, which any sandbox makes in passing. It ends with the process. */
static bool ended_soon(struct mounting *m)
{
	if (server_wait_ms(m->server, COPIES_WAIT_MS))
		return true;
	log_info("%s: unmounted; a copy of the mount in another mount namespace (of a container "
		 "or a sandbox) ends with it",
		 m->state.mountpoint);
	return false;
}

/* False: unmounted, but threads still serve; only the process's end ends them. */
static bool serve_until_unmounted(struct mounting *m, struct pollfd p[ENDS])
{
	for (;;) {
		struct signalfd_siginfo si;
		struct err e = { 0 };

		if (poll(p, ENDS, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			break;
		if (p[2].revents)
			return ended_soon(m);
		if (!p[1].revents || read(p[1].fd, &si, sizeof si) != (ssize_t)sizeof si)
			continue;
		log_info("signal %u: unmounting", si.ssi_signo);
		/* Whoever still stands inside keeps what it has open; nobody new comes in. */
		if (stop(m, &e) < 0 && server_unmount(m->server, true, &e) < 0)
			log_error("%s", e.msg);
	}
	server_wait(m->server);
	return true;
}

static int signals_fd(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of the write */
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Threads from here on. Reports to `ready_fd` (one line, empty: it stands), then serves. */
static int serve(struct mounting *m, int ready_fd)
{
	auto_close int signals = signals_fd();
	struct err e = { 0 };
	bool stands;
	int r;

	m->facts.pid = getpid();
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = m->stop_fd < 0 ? err_set(&e, -errno, "cannot start serving: %s", strerror(errno))
			   : server_start(m->server, &e);
	if (r == 0)
		r = ctl_start(m->ctl, answer, m, &e);
	stands = r == 0;

	struct pollfd ends[ENDS] = { { .fd = server_fd(m->server), .events = POLLIN },
				     { .fd = signals, .events = POLLIN },
				     { .fd = m->stop_fd, .events = POLLIN } };

	if (stands && m->o->prefetch == PREFETCH_ALL)
		r = server_wait_local(m->server, ends, ARRAY_LEN(ends), &e);
	if (r < 0)
		log_error("%s", e.msg);
	if (ready_fd >= 0) {
		(void)!file_write_all(ready_fd, r < 0 ? e.msg : "", r < 0 ? strlen(e.msg) : 0);
		(void)close(ready_fd);
	}
	if (stands) {
		log_info("%s: mounted, store %s", m->state.mountpoint, store_dir(m->store));
		if (!serve_until_unmounted(m, ends)) {
			ctl_close(m->ctl);
			_exit(CMD_OK);
		}
		log_info("%s: unmounted", m->state.mountpoint);
	} else {
		(void)!server_unmount(m->server, true, NULL);
	}
	return r < 0 ? CMD_FAILED : CMD_OK;
}

static int start_log(struct mounting *m, struct err *e)
{
	auto_free char *path = state_path(&m->state, "log");
	auto_free char *old = state_path(&m->state, "log.1");
	struct stat st;

	if (!path || !old)
		return err_set(e, -ENOMEM, "out of memory");
	if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
		(void)rename(path, old);
	return log_open(path, e);
}

static void leave_terminal(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	(void)!chdir("/");
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
}

/* Waits for the child's line; then the mount must answer. */
static int wait_ready(const struct mounting *m, int fd)
{
	auto_buf struct buf line = BUF_INIT(1024);
	struct statfs sfs;
	char chunk[256];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			buf_add(&line, chunk, (size_t)n);
	}
	if (line.len > 0) {
		(void)fprintf(stderr, "dxfs mount: %.*s\n", (int)line.len, (const char *)line.data);
		return CMD_FAILED;
	}
	if (statfs(m->state.mountpoint, &sfs) < 0) {
		(void)fprintf(stderr,
			      "dxfs mount: %s: the daemon ended at once (%s); its log is %s/log\n",
			      m->state.mountpoint, strerror(errno), m->state.dir);
		return CMD_FAILED;
	}
	return CMD_OK;
}

static int go_background(struct mounting *m)
{
	struct err e = { 0 };
	int ready[2];
	pid_t pid;

	if (start_log(m, &e) < 0 || pipe2(ready, O_CLOEXEC) < 0) {
		(void)fprintf(stderr, "dxfs mount: %s\n", e.code ? e.msg : strerror(errno));
		(void)!server_unmount(m->server, true, NULL);
		return CMD_FAILED;
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(ready[0]);
		leave_terminal();
		int rc = serve(m, ready[1]);

		release(m);
		log_close();
		_exit(rc);
	}
	(void)close(ready[1]);
	if (pid < 0) {
		(void)fprintf(stderr, "dxfs mount: cannot fork: %s\n", strerror(errno));
		(void)!server_unmount(m->server, true, NULL);
	}
	int rc = pid < 0 ? CMD_FAILED : wait_ready(m, ready[0]);

	lap(m, "fork, threads, answer");

	(void)close(ready[0]);
	/* All else is the child's now: its sockets, its lock, its files. */
	(void)fflush(NULL);
	_exit(rc);
}

static int run(struct mounting *m)
{
	struct err e = { 0 };
	int r;

	lap(m, "");
	r = take_place(m, &e);

	if (r == 1) {
		(void)fprintf(stderr, "dxfs: %s is mounted already\n", m->state.mountpoint);
		return CMD_OK;
	}
	if (r == 0)
		r = split_project(m, &e);
	if (r == 0)
		r = clear_stale(m, &e);
	lap(m, "state, old mounts");
	if (r == 0)
		r = prepare(m, &e);
	if (r < 0) {
		(void)fprintf(stderr, "dxfs mount: %s\n", e.msg);
		if (m->server)
			(void)!server_unmount(m->server, true, NULL);
		return CMD_FAILED;
	}
	m->facts = (struct status_facts){ .mountpoint = m->state.mountpoint,
					  .lock = m->o->project.lock_file
							  ? m->o->project.lock_file
							  : m->project.project.lock_file,
					  .store = store_dir(m->store) };
	return m->o->foreground ? serve(m, -1) : go_background(m);
}

int cmd_mount(int argc, char **argv)
{
	struct mount_options o = { .prefetch = PREFETCH_BACKGROUND };
	struct mounting m = {
		.o = &o, .stop_fd = -1, .state = STATE_INIT, .project = CMD_PROJECT_INIT
	};
	int rc = parse(&o, argc, argv);

	if (rc != 0)
		return rc < 0 ? CMD_OK : rc;
	o.store.behind = o.behind;
	if (o.verbose)
		log_set_level(LOG_DEBUG);
	rc = run(&m);
	release(&m);
	return rc;
}
