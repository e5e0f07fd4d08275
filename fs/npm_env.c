#include "fs/npm_env.h"

#include "core/file.h"
#include "lock/json.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#define ENV_MAX   ((size_t)4 << 20) /* Linux gives a program at most a quarter of its stack */
#define DEPTH_MAX 64                /* of objects in `engines` */

/* `env` by its full name, for a package's .bin stands in front of PATH. */
static const char ask[] = "/usr/bin/env -0";

/* ---- what npm says ---- */

static int start_npm(pid_t *ret, const char *dir, int out, int err_out)
{
	char *const argv[] = { (char *)"npm", (char *)"exec", (char *)"--call", (char *)ask, NULL };
	posix_spawn_file_actions_t fa;
	int r;

	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out, 1);
	(void)posix_spawn_file_actions_adddup2(&fa, err_out, 2);
	(void)posix_spawn_file_actions_addchdir_np(&fa, dir);
	r = posix_spawnp(ret, "npm", &fa, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static void read_all(int fd, struct buf *b)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n > 0)
			buf_add(b, chunk, (size_t)n);
		else if (errno != EINTR)
			break;
	}
}

static int ask_npm(struct buf *answer, const char *dir, int err_out, struct err *e)
{
	auto_close int in = -1, out = -1;
	int fds[2], r, status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, -errno, "a pipe: %s", strerror(errno));
	in = fds[0];
	out = fds[1];
	r = start_npm(&pid, dir, out, err_out);
	if (r < 0)
		return err_set(e, r == -ENOENT ? -EOPNOTSUPP : r,
			       "install scripts need npm (its settings, its node-gyp): %s",
			       r == -ENOENT ? "$PATH does not find it" : strerror(-r));
	closep(&out);
	out = -1;
	read_all(in, answer);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, -EREMOTEIO,
			       "npm does not say in which environment scripts run; what does "
			       "`npm exec --call env` say?");
	buf_add(answer, "", 1);
	return buf_error(answer) < 0 ? err_set(e, buf_error(answer), "npm's answer is too long")
				     : 0;
}

static bool is_name(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* Set anew for each script, or meant for the command by which we asked. */
static bool is_own(const char *entry)
{
	return strncmp(entry, "npm_lifecycle_", 14) == 0 ||
	       strncmp(entry, "npm_package_", 12) == 0 || is_name(entry, "npm_config_call") ||
	       is_name(entry, "npm_command") || is_name(entry, "PATH");
}

/* Behind the .bin folders of the project and of all above it. */
static const char *path_behind_bins(const char *path, const char *dir)
{
	static const char bin[] = "/node_modules/.bin";
	size_t len = strlen(dir);

	while (len > 0) {
		size_t n = len == 1 && dir[0] == '/' ? 0 : len;

		if (strncmp(path, dir, n) != 0 || strncmp(path + n, bin, sizeof bin - 1) != 0 ||
		    path[n + sizeof bin - 1] != ':')
			break;
		path += n + sizeof bin;
		if (n == 0)
			break;
		while (len > 0 && dir[len - 1] != '/')
			len--;
		if (len > 1)
			len--;
	}
	return path;
}

int npm_env_load(struct npm_env *ret, const char *project_dir, int err_out, struct err *e)
{
	auto_buf struct buf answer = BUF_INIT(ENV_MAX);
	struct npm_env env = { 0 };
	size_t count = 0, kept = 0;
	int r = ask_npm(&answer, project_dir, err_out, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < answer.len; i++)
		count += answer.data[i] == '\0';
	env.base = calloc(count + 2, sizeof *env.base);
	env.text = (char *)answer.data;
	if (!env.base)
		return err_set(e, -ENOMEM, "out of memory");
	for (char *p = env.text, *end = p + answer.len; p < end; p += strlen(p) + 1) {
		if (is_name(p, "PATH"))
			env.path = path_behind_bins(p + 5, project_dir);
		if (!is_own(p) && strchr(p, '='))
			env.base[kept++] = p;
	}
	env.base[kept++] = (char *)"npm_command=rebuild";
	answer.data = NULL; /* it is ret's now */
	answer.len = answer.cap = 0;
	*ret = env;
	return 0;
}

void npm_env_release(struct npm_env *env)
{
	free(env->base);
	free(env->text);
	*env = (struct npm_env){ 0 };
}

const char *npm_env_get(const struct npm_env *env, const char *name)
{
	for (char **p = env->base; p && *p; p++)
		if (is_name(*p, name))
			return *p + strlen(name) + 1;
	return NULL;
}

/* ---- what is a package's own ---- */

struct vars {
	struct arena *arena;
	char **items;
	size_t count, cap;
	bool failed; /* out of memory */
};

static void add(struct vars *v, const char *name, const char *value)
{
	if (v->count + 1 >= v->cap) {
		size_t cap = v->cap * 2;
		char **grown = realloc(v->items, cap * sizeof *grown);

		v->failed |= !grown;
		if (!grown)
			return;
		v->items = grown;
		v->cap = cap;
	}
	v->items[v->count] = arena_printf(v->arena, "%s=%s", name, value);
	v->count += v->items[v->count] != NULL;
}

/* Objects and lists one level after another, as their members' names joined by '_'; null and
 * false are empty. */
static void add_json(struct vars *v, const char *name, const cJSON *value, unsigned depth)
{
	const cJSON *item;
	unsigned i = 0;

	if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
		cJSON_ArrayForEach(item, value)
		{
			char *sub = cJSON_IsObject(value)
					    ? arena_printf(v->arena, "%s_%s", name, item->string)
					    : arena_printf(v->arena, "%s_%u", name, i++);

			if (sub && depth < DEPTH_MAX)
				add_json(v, sub, item, depth + 1);
		}
	} else if (cJSON_IsString(value)) {
		add(v, name, value->valuestring);
	} else if (cJSON_IsNull(value) || cJSON_IsFalse(value)) {
		add(v, name, "");
	} else {
		auto_buf struct buf text = BUF_INIT(1024);
		auto_free char *s = NULL;

		json_put(&text, value);
		s = buf_steal_str(&text);
		if (s)
			add(v, name, s);
	}
}

/* The .bin folders from the package's own up to the root's, then what npm has. */
static void add_path(struct vars *v, const struct npm_env *env, const char *dir)
{
	auto_buf struct buf path = BUF_INIT(ENV_MAX);
	auto_free char *s = NULL;
	size_t len = strlen(dir);

	for (;;) {
		buf_addf(&path, "%.*s/node_modules/.bin:", (int)len, dir);
		if (len == 0)
			break;
		while (len > 0 && dir[len - 1] != '/')
			len--;
		if (len > 0)
			len--;
	}
	buf_addstr(&path, env->path ? env->path : "");
	s = buf_steal_str(&path);
	if (s)
		add(v, "PATH", s);
}

static void add_package(struct vars *v, const struct graph_node *n, const cJSON *residue)
{
	unsigned f = n->flags;

	add(v, "npm_package_name", n->pkg_name);
	if (n->version)
		add(v, "npm_package_version", n->version);
	if (json_get(residue, "engines"))
		add_json(v, "npm_package_engines", json_get(residue, "engines"), 0);
	for (uint32_t i = 0; i < n->bin_count; i++) {
		const char *name = arena_printf(v->arena, "npm_package_bin_%s", n->bins[i].name);

		if (name)
			add(v, name, n->bins[i].target);
	}
	if (n->integrity)
		add(v, "npm_package_integrity", n->integrity);
	add(v, "npm_package_optional", f & NODE_OPTIONAL ? "1" : "");
	add(v, "npm_package_dev", f & NODE_DEV ? "1" : "");
	add(v, "npm_package_peer", f & NODE_PEER ? "1" : "");
	add(v, "npm_package_dev_optional",
	    (f & NODE_DEV_OPTIONAL) && !(f & (NODE_DEV | NODE_OPTIONAL)) ? "1" : "");
}

static void add_resolved(struct vars *v, const char *project_dir, const char *resolved)
{
	bool file = strncmp(resolved, "file:", 5) == 0 && resolved[5] != '/';
	const char *value =
		file ? arena_printf(v->arena, "file:%s/%s", project_dir, resolved + 5) : resolved;

	if (value)
		add(v, "npm_package_resolved", value);
}

int npm_env_script(const struct npm_env *env, const char *project_dir,
		   const struct graph_node *node, const char *dir, const char *event,
		   const char *script, struct arena *a, char ***ret, struct err *e)
{
	struct vars v = { .arena = a };
	auto_json cJSON *residue = NULL;
	size_t base = 0;
	char *json;
	int r = 0;

	while (env->base[base])
		base++;
	v.cap = base + 32;
	v.items = calloc(v.cap, sizeof *v.items);
	if (!v.items)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(v.items, env->base, base * sizeof *v.items);
	v.count = base;
	if (node->residue[0])
		r = json_parse(&residue, slice_str(node->residue), e);
	add_path(&v, env, dir);
	add_package(&v, node, residue);
	if (node->resolved)
		add_resolved(&v, project_dir, node->resolved);
	json = arena_printf(a, "%s/package.json", dir);
	if (json)
		add(&v, "npm_package_json", json);
	add(&v, "npm_lifecycle_event", event);
	add(&v, "npm_lifecycle_script", script);
	v.items[v.count] = NULL;
	if (r == 0 && (v.failed || arena_error(a) < 0))
		r = err_set(e, -ENOMEM, "out of memory");
	if (r < 0)
		free(v.items);
	else
		*ret = v.items;
	return r;
}
