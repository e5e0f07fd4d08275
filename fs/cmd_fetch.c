#include "core/clock.h"
#include "core/hash.h"
#include "fetch/fetch.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "fs/progress.h"
#include "lock/json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define LOOK_MS      (1000 / PROGRESS_PER_S)
#define EVENT_MS     1000 /* between two progress events of --json */
#define FAILURES_MAX 20   /* told one by one; an unreachable registry fails them all */
#define ERRORS_MAX   1000 /* in --json */

static const char usage[] =
	"usage: dx fetch [--json] [--offline] [--store=DIR] [--registry=URL]\n"
	"      --json          one JSON object; how far it is on stderr, an object a line\n"
	"      --offline       ask nothing of the network: is everything here?\n"
	"      --store=DIR     the store, instead of $DX_STORE or the default\n"
	"      --registry=URL  the default registry\n"
	"Brings every package that the lock names for this machine into the store. Ctrl-C stops "
	"it,\n"
	"and the next run goes on from there.\n";

/* Counted by fetch threads, read by the command's. */
struct tally {
	pthread_mutex_t mu;
	uint32_t done, failed, cancelled; /* guarded by mu, as all below */
	uint32_t told;                    /* failures printed */
	bool full;                        /* the store's disk is: no other package will do */
	struct progress progress;
	struct buf errors; /* JSON, of --json */
	int all_done;      /* eventfd, written when `done` reaches `wanted` */
	uint32_t wanted;   /* set before the first want */
	bool json;
};

struct fetching {
	struct cmd_project project;
	struct store *store;
	const struct graph *graph; /* borrowed */
	struct fetch *fetch;
	struct tally tally;
	struct fetch_stats stats; /* when all was over */
	uint32_t total, here;     /* packages that the lock names, each once; were here already */
	int64_t started_ms;
	int signal; /* that ended it; 0: none */
};

/* ---- one package ---- */

static void tell_text(struct tally *t, const char *why)
{
	char text[sizeof(((struct err *)0)->msg)];

	(void)snprintf(text, sizeof text, "%s", why);
	text_clean(text, strlen(text));
	progress_hide(&t->progress);
	(void)fprintf(stderr, "dx fetch: %s\n", text);
	if (t->told == FAILURES_MAX)
		(void)fprintf(stderr, "dx fetch: if more fail, they are only counted\n");
}

static void tell_event(const char *why)
{
	auto_buf struct buf b = BUF_INIT((size_t)1 << 16);

	buf_addstr(&b, "{\"event\":\"failed\",\"reason\":");
	json_put_str(&b, why);
	buf_addstr(&b, "}\n");
	if (buf_error(&b) == 0)
		(void)fwrite(b.data, 1, b.len, stderr);
}

/* With t->mu held. */
static void tell_failure(struct tally *t, const char *why)
{
	if (t->failed <= ERRORS_MAX) {
		buf_addstr(&t->errors, t->errors.len ? "," : "");
		json_put_str(&t->errors, why);
	}
	if (t->json) {
		tell_event(why);
	} else if (t->told < FAILURES_MAX) {
		t->told++;
		tell_text(t, why);
	}
}

static void one_done(void *arg, const struct digest *key, int result, const char *why)
{
	struct tally *t = arg;
	const uint64_t one = 1;
	const bool is_full = result == -ENOSPC || result == -EDQUOT;

	(void)key;
	(void)pthread_mutex_lock(&t->mu);
	t->done++;
	if (result == -ECANCELED) {
		t->cancelled++;
	} else if (result < 0 && !is_full) {
		t->failed++;
		tell_failure(t, why);
	} else if (is_full && t->full) {
		t->cancelled++;
	} else if (is_full) {
		t->full = true;
		t->failed++;
		if (t->json)
			tell_failure(t, why);
	}
	if ((t->full || t->done == t->wanted) && write(t->all_done, &one, sizeof one) < 0)
		(void)0; /* the look at the clock will find it */
	(void)pthread_mutex_unlock(&t->mu);
}

/* ---- all of them ---- */

struct wanted {
	struct fetch_pkg pkg;
	bool large; /* probably */
};

static int by_key(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return memcmp(&x->pkg.key, &y->pkg.key, sizeof x->pkg.key);
}

/* A lock names no sizes. But one package in twenty has commands or is made for one platform, and
 * these bring half of all bytes, the largest among them. */
static bool looks_large(const struct graph_node *n)
{
	return n->bin_count > 0 || n->os.count > 0 || n->cpu.count > 0;
}

/* Every package of the selected nodes, each key once, sorted by key. */
static int collect(struct fetching *f, struct wanted **ret, uint32_t *ret_count, struct err *e)
{
	auto_free bool *present = calloc(f->graph->count, sizeof *present);
	auto_free struct wanted *list = calloc(f->graph->count, sizeof *list);
	uint32_t n = 0, unique = 0;
	int r;

	if (!present || !list)
		return err_set(e, -ENOMEM, "out of memory");
	r = select_nodes(f->graph, &f->project.select, present, e);
	for (uint32_t i = 0; r == 0 && i < f->graph->count; i++) {
		const struct graph_node *node = &f->graph->nodes[i];
		struct wanted w = { .pkg = { .name = node->pkg_name,
					     .version = node->version,
					     .resolved = node->resolved,
					     .integrity = node->integrity },
				    .large = looks_large(node) };

		if (!present[i])
			continue;
		r = fetch_key(f->project.npmrc, f->project.project.dir, node, &w.pkg.key, e);
		if (r == 0 && w.pkg.key.alg != DIGEST_NONE)
			list[n++] = w;
	}
	if (r < 0)
		return r;
	qsort(list, n, sizeof *list, by_key);
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || !digest_eq(&list[i].pkg.key, &list[unique - 1].pkg.key))
			list[unique++] = list[i];
	*ret = take(&list);
	*ret_count = unique;
	return 0;
}

/* What gc shall keep: all that this project's lock names, from before the first package comes. */
static int keep_root(struct fetching *f, const struct wanted *list, struct store_root **ret,
		     struct err *e)
{
	const char *dir = f->project.project.dir;
	auto_free struct digest *keys = calloc(f->total + 1, sizeof *keys);
	char id[sizeof "fetch-" + HASH128_HEX_LEN] = "fetch-";
	int r;

	if (!keys)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < f->total; i++)
		keys[i] = list[i].pkg.key;
	hash128_hex(hash128(dir, strlen(dir)), id + strlen(id));
	r = store_root_open(ret, f->store, id, e);
	if (r == 0)
		r = store_root_set(*ret, keys, f->total, e);
	return r;
}

/* What takes longest begins first, lest all else wait for it in the end. */
static void want_missing(struct fetching *f, struct wanted *list)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->total; i++)
		if (!store_has(f->store, &list[i].pkg.key))
			list[n++] = list[i];
	f->here = f->total - n;
	f->tally.wanted = n;
	for (unsigned large = 2; large-- > 0;)
		for (uint32_t i = 0; i < n; i++)
			if (list[i].large == large)
				fetch_want(f->fetch, &list[i].pkg, FETCH_BACKGROUND);
}

/* ---- waiting ---- */

static bool over(struct tally *t)
{
	bool yes;

	(void)pthread_mutex_lock(&t->mu);
	yes = t->full || t->done >= t->wanted;
	(void)pthread_mutex_unlock(&t->mu);
	return yes;
}

static void show(struct fetching *f, int64_t *event_ms)
{
	struct tally *t = &f->tally;
	struct fetch_stats st;
	int64_t now = now_ms();

	fetch_stats(f->fetch, &st);
	(void)pthread_mutex_lock(&t->mu);
	if (!f->tally.json)
		progress_show(&t->progress, f->here + t->done, f->total, st.bytes);
	else if (now - *event_ms >= EVENT_MS) {
		*event_ms = now;
		(void)fprintf(stderr,
			      "{\"event\":\"progress\",\"packages\":%" PRIu32 ",\"here\":%" PRIu32
			      ",\"failed\":%" PRIu32 ",\"bytes\":%" PRIu64 "}\n",
			      f->total, f->here + t->done - t->failed, t->failed, st.bytes);
	}
	(void)pthread_mutex_unlock(&t->mu);
}

/* Until all have been answered, or a signal says that it is enough. */
static void wait_all(struct fetching *f, int signals)
{
	struct pollfd fds[] = { { .fd = f->tally.all_done, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	int64_t event_ms = now_ms();

	while (!over(&f->tally)) {
		struct signalfd_siginfo si;

		show(f, &event_ms);
		if (poll(fds, 2, LOOK_MS) > 0 && fds[1].revents &&
		    read(signals, &si, sizeof si) == sizeof si) {
			f->signal = (int)si.ssi_signo;
			return;
		}
	}
}

/* Ctrl-C once ends cleanly: what has come is kept, what is under way is dropped. Twice ends. */
static int fetch_and_wait(struct fetching *f, struct wanted *list, struct err *e)
{
	struct fetch_config c = { .store = f->store,
				  .npmrc = f->project.npmrc,
				  .project_dir = f->project.project.dir,
				  .bulk = true,
				  .offline = f->project.offline,
				  .done = one_done,
				  .done_arg = &f->tally };
	auto_close int signals = -1;
	sigset_t set, old;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, &old);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = signals < 0 ? err_set(e, -errno, "signalfd: %s", strerror(errno))
			: fetch_start(&f->fetch, &c, e);
	if (r == 0) {
		want_missing(f, list);
		wait_all(f, signals);
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&f->tally.mu);
	progress_hide(&f->tally.progress);
	(void)pthread_mutex_unlock(&f->tally.mu);
	fetch_stats(f->fetch, &f->stats);
	fetch_stop(f->fetch);
	return 0;
}

/* To write everything to the disk may take longer than all else, and only saves a check after the
 * next boot: a process of its own does it, for which nobody waits. No other thread is left. */
static void sync_behind(struct store *s)
{
	pid_t pid = fork();

	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (pid != 0)
		return;
	if (fork() == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)setsid();
		for (int fd = 0; fd <= 2 && null >= 0; fd++)
			(void)dup2(null, fd);
		if (store_sync(s, NULL) < 0)
			_exit(1);
	}
	_exit(0);
}

static int fetch_all(struct fetching *f, struct err *e)
{
	auto_free struct wanted *list = NULL;
	struct store_root *root = NULL;
	struct err ignored = { 0 };
	int r = collect(f, &list, &f->total, e);

	if (r < 0)
		return r;
	/* A store that cannot be written may still have everything. */
	if (keep_root(f, list, &root, &ignored) < 0 && ignored.code != -EROFS)
		(void)fprintf(stderr, "dx fetch: gc will not know of this project: %s\n",
			      ignored.msg);
	f->tally.all_done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = fetch_and_wait(f, list, e);
	if (r == 0 && f->stats.fetched > 0)
		sync_behind(f->store);
	closep(&f->tally.all_done);
	if (root)
		store_root_close(root);
	return r;
}

static int run(struct fetching *f, const struct cmd_project_options *po,
	       const struct store_options *so, struct err *e)
{
	auto_lock struct lock *lock = NULL;
	auto_graph struct graph *g = NULL;
	int r = cmd_project_open(&f->project, po, e);

	if (r == 0)
		r = cmd_project_lock(&f->project, &lock, e);
	if (r == 0)
		r = store_open(&f->store, so, e);
	if (r == 0)
		r = lock_graph(lock, &g, e);
	if (r < 0)
		return r;
	cmd_project_select(&f->project);
	f->graph = g;
	r = fetch_all(f, e);
	f->graph = NULL;
	return r;
}

/* ---- the end ---- */

static void summary_text(const struct fetching *f)
{
	const struct tally *t = &f->tally;
	uint32_t come = t->done - t->failed - t->cancelled;

	(void)printf("%" PRIu32 " package%s: %" PRIu32 " here already, %" PRIu32
		     " fetched (%.1f MB in %.1f s), %" PRIu32 " failed\n",
		     f->total, plural(f->total), f->here, come, (double)f->stats.bytes / 1e6,
		     (double)(now_ms() - f->started_ms) / 1000, t->failed);
	if (t->full)
		(void)fprintf(
			stderr,
			"dx fetch: stopped, since there is no room for the store %s: %" PRIu32
			" still to be fetched; make room (`dx store gc` removes what no project "
			"needs), and dx fetch goes on from here\n",
			store_dir(f->store), f->total - f->here - come);
	if (f->signal)
		(void)printf("stopped (%s): %" PRIu32
			     " still to be fetched; dx fetch goes on from here\n",
			     strsignal(f->signal), f->total - f->here - come);
}

static int summary_json(struct fetching *f, struct err *e)
{
	const struct tally *t = &f->tally;
	auto_buf struct buf b = BUF_INIT((size_t)5 << 20);

	buf_addf(&b,
		 "{\"packages\":%" PRIu32 ",\"here\":%" PRIu32 ",\"fetched\":%" PRIu32
		 ",\"failed\":%" PRIu32 ",\"bytes\":%" PRIu64
		 ",\"seconds\":%.3f,\"interrupted\":%s,\"errors\":[",
		 f->total, f->here, t->done - t->failed - t->cancelled, t->failed, f->stats.bytes,
		 (double)(now_ms() - f->started_ms) / 1000, f->signal ? "true" : "false");
	buf_add(&b, t->errors.data, t->errors.len);
	buf_addstr(&b, "]}\n");
	return cmd_write(&b, e);
}

int cmd_fetch(int argc, char **argv)
{
	struct cmd_project_options po = { 0 };
	struct store_options so = { 0 };
	struct fetching f = { .project = CMD_PROJECT_INIT,
			      .tally = { .all_done = -1,
					 .progress = { .to = stderr },
					 .errors = BUF_INIT((size_t)4 << 20) } };
	const struct cmd_option options[] = { { "json", .given = &f.tally.json },
					      { "offline", .given = &po.offline },
					      { "store", .value = &so.dir },
					      { "registry", .value = &po.registry },
					      { 0 } };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 0);

	if (rc >= 0)
		return rc;
	f.started_ms = now_ms();
	(void)pthread_mutex_init(&f.tally.mu, NULL);
	r = run(&f, &po, &so, &e);
	if (r == 0 && f.tally.json)
		r = summary_json(&f, &e);
	else if (r == 0)
		summary_text(&f);
	store_close(f.store);
	cmd_project_release(&f.project);
	buf_release(&f.tally.errors);
	rc = cmd_end("dx fetch", r, &e);
	if (f.signal)
		return 128 + f.signal;
	return f.tally.failed ? CMD_FAILED : rc;
}
