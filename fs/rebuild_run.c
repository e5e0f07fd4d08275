#include "core/file.h"
#include "fs/cmd.h"
#include "fs/ctl.h"
#include "fs/npm_env.h"
#include "fs/rebuild.h"
#include "fs/scripts.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define DAEMON_WAIT_MS 30000             /* it makes a new view, and tells the kernel */
#define TAIL_MAX       4000              /* bytes of what a failed script printed that are shown */
#define ENV_MEMORY_MAX ((size_t)8 << 20) /* of one script */

/* ---- the log ---- */

static int open_log(struct rebuild *b, struct err *e)
{
	b->log_path = state_path(&b->at.state, "rebuild.log");
	if (!b->log_path)
		return err_set(e, -ENOMEM, "out of memory");
	b->log_fd = open(b->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->log_fd < 0)
		return err_set(e, -errno, "%s: %s", b->log_path, strerror(errno));
	if (flock(b->log_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -EBUSY, "another `dx rebuild` runs in %s",
			       b->at.state.mountpoint);
	if (ftruncate(b->log_fd, 0) < 0)
		return err_set(e, -errno, "%s: %s", b->log_path, strerror(errno));
	return 0;
}

/* The last lines of the log behind `from`, on stderr. */
static void show_tail(const struct rebuild *b, off_t from)
{
	char text[TAIL_MAX + 1];
	struct stat st;
	ssize_t n;
	char *line, *rest = text;

	if (fstat(b->log_fd, &st) < 0)
		return;
	if (st.st_size - from > TAIL_MAX)
		from = st.st_size - TAIL_MAX;
	n = pread(b->log_fd, text, TAIL_MAX, from);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (text[n - 1] == '\n')
		text[n - 1] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		text_clean(line, strlen(line));
		(void)fprintf(stderr, "    %s\n", line);
	}
}

/* ---- one script ---- */

/* A package whose turn it is. */
struct turn {
	const struct graph_node *node;
	const char *name;    /* "esbuild@0.25.0" */
	const char *dir;     /* absolute */
	struct npm_env *env; /* asked for before the first script */
	uint32_t number;     /* of the plan's, from 1 */
};

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int script_failed(const struct rebuild *b, const struct turn *t, const char *event,
			 int status, struct err *e)
{
	char how[64];

	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
	else
		(void)snprintf(how, sizeof how, "failed with exit status %d", WEXITSTATUS(status));
	return err_set(e, -EREMOTEIO, "%s of %.80s %s; all that it printed is in %.100s", event,
		       t->name, how, b->log_path);
}

static int run_script(struct rebuild *b, const struct turn *t, enum script_event event,
		      const char *command, struct err *e)
{
	auto_arena struct arena arena = ARENA_INIT(ENV_MEMORY_MAX);
	const char *name = script_event_name(event);
	const char *shell;
	bool foreground = npmrc_bool(b->project.npmrc, "foreground-scripts", false);
	auto_free char **env = NULL;
	struct timespec start;
	off_t from;
	int r = 0;

	if (!t->env->base)
		r = npm_env_load(t->env, b->project.project.dir, b->log_fd, e);
	if (r == 0)
		r = npm_env_script(t->env, b->project.project.dir, t->node, t->dir, name, command,
				   &arena, &env, e);
	if (r < 0)
		return r;
	shell = npm_env_get(t->env, "npm_config_script_shell");
	(void)fprintf(stderr, "[%u/%u] %s %s: %s\n", t->number, b->count, t->name, name, command);
	(void)dprintf(b->log_fd, "> %s %s\n> %s\n", t->name, name, command);
	from = lseek(b->log_fd, 0, SEEK_END);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	r = script_run(shell && *shell ? shell : "sh", command, t->dir, env,
		       foreground ? STDOUT_FILENO : b->log_fd,
		       foreground ? STDERR_FILENO : b->log_fd);
	if (r < 0)
		return err_set(e, r, "%s: cannot start %s: %s", t->name,
			       shell && *shell ? shell : "sh", strerror(-r));
	(void)dprintf(b->log_fd, "> %s %s: status %d, %.1f s\n\n", t->name, name,
		      WIFEXITED(r) ? WEXITSTATUS(r) : 128 + WTERMSIG(r), seconds_since(&start));
	if (r == 0)
		return 0;
	if (!foreground)
		show_tail(b, from);
	return script_failed(b, t, name, r, e);
}

/* ---- one package ---- */

static int tell_daemon(const struct rebuild *b, struct err *e)
{
	auto_free char *answer = NULL;

	return ctl_ask(b->at.state.dirfd, "scripts", DAEMON_WAIT_MS, &answer, e);
}

/* npm leaves an optional package whose script fails away, with all that only it needs. */
static int leave_out(const struct rebuild *b, const struct turn *t, const char *id, struct err *e)
{
	int r;

	(void)fprintf(stderr, "dx rebuild: %s\n", e->msg);
	r = built_set(b->at.upper, id, BUILT_FAILED, e);
	if (r == 0)
		r = tell_daemon(b, e);
	if (r == 0)
		(void)fprintf(stderr,
			      "dx rebuild: %s is optional: it is left out; `dx rebuild %s` tries "
			      "again\n",
			      t->name, t->node->path);
	return r;
}

/* A lock of version 1 does not say who has scripts. */
static bool is_flagged(const struct rebuild *b, const struct graph_node *n)
{
	return n->flags & NODE_HAS_SCRIPT || b->graph->lockfile_version == 1;
}

static int check_version(const struct turn *t, const struct scripts *s, struct err *e)
{
	if (!s->version || !t->node->version || strcmp(s->version, t->node->version) == 0)
		return 0;
	return err_set(e, -ESTALE,
		       "the mount shows %.40s of %.80s, and the lock has %.40s; unmount and mount",
		       s->version, t->node->path, t->node->version);
}

/* 1: something ran. */
static int run_all(struct rebuild *b, const struct turn *t, const struct scripts *s, struct err *e)
{
	int r = 0;

	for (enum script_event i = 0; i < SCRIPT_EVENTS && r == 0; i++)
		if (s->commands[i])
			r = run_script(b, t, i, s->commands[i], e);
	return r < 0 ? r : scripts_any(s);
}

/* 1: something ran. */
static int run_package(struct rebuild *b, struct turn *t, struct err *e)
{
	auto_free char *id = rebuild_id(b, (uint32_t)(t->node - b->graph->nodes), e);
	auto_scripts struct scripts s = { 0 };
	int r = id ? 0 : e->code;

	if (r == 0 && built_state(&b->built, id) == BUILT_FAILED) {
		r = built_set(b->at.upper, id, BUILT_NOT, e);
		if (r == 0)
			r = tell_daemon(b, e);
	}
	if (r == 0)
		r = scripts_read(&s, t->dir, is_flagged(b, t->node), e);
	if (r == -ENOENT && t->node->flags & NODE_OPTIONAL)
		return 0; /* it went with another one's optional set */
	if (r == 0)
		r = check_version(t, &s, e);
	if (r < 0)
		return r;
	r = run_all(b, t, &s, e);
	if (r == -EREMOTEIO && t->node->flags & NODE_OPTIONAL)
		return leave_out(b, t, id, e);
	return r == 1 ? built_set(b->at.upper, id, BUILT_RAN, e) == 0 ? 1 : e->code : r;
}

static int run_node(struct rebuild *b, uint32_t i, struct npm_env *env, struct err *e)
{
	auto_buf struct buf name = BUF_INIT(GRAPH_PATH_MAX);
	auto_free char *text = NULL, *dir = NULL;
	struct turn t = { .node = &b->graph->nodes[b->nodes[i]], .env = env, .number = i + 1 };

	cmd_node_id(&name, b->graph, b->nodes[i]);
	text = buf_steal_str(&name);
	if (!text || asprintf(&dir, "%s/%s", b->project.project.dir, t.node->path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	text_clean(text, strlen(text));
	t.name = text;
	t.dir = dir;
	return run_package(b, &t, e);
}

int rebuild_run(struct rebuild *b, struct err *e)
{
	struct npm_env env cleanup(npm_env_release) = { 0 };
	unsigned ran = 0;
	int r = 0;

	if (b->count > 0)
		r = open_log(b, e);
	for (uint32_t i = 0; i < b->count && r >= 0; i++) {
		r = run_node(b, i, &env, e);
		ran += r == 1;
	}
	if (r < 0)
		return r;
	(void)fprintf(stderr, "dx rebuild: scripts of %u package%s ran\n", ran, plural(ran));
	return 0;
}

int rebuild_show(struct rebuild *b, struct err *e)
{
	auto_buf struct buf out = BUF_INIT((size_t)64 << 20);
	int r = 0;

	for (uint32_t i = 0; i < b->count && r == 0; i++) {
		const struct graph_node *n = &b->graph->nodes[b->nodes[i]];
		auto_scripts struct scripts s = { 0 };
		auto_free char *dir = NULL;

		if (asprintf(&dir, "%s/%s", b->project.project.dir, n->path) < 0) {
			dir = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		r = scripts_read(&s, dir, is_flagged(b, n), e);
		for (unsigned k = 0; k < SCRIPT_EVENTS && r == 0; k++) {
			size_t line = out.len;

			if (!s.commands[k])
				continue;
			cmd_node_id(&out, b->graph, b->nodes[i]);
			buf_addf(&out, " %s: %s", script_event_name(k), s.commands[k]);
			buf_end_line(&out, line);
		}
		if (r == -ENOENT)
			r = 0; /* left out, because its script failed */
	}
	return r < 0 ? r : cmd_write(&out, e);
}
