#include "core/file.h"
#include "dxfs_npm.h" /* generated: what npm said when this was built */
#include "fetch/ini.h"
#include "fetch/npmrc_priv.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

struct loader {
	struct npmrc *rc;
	const struct npmrc_options *o;
	struct npmrc_context context;
	enum npmrc_source source;
	uint32_t first; /* of this source's entries */
};

static const char *env_get(const struct loader *l, const char *name)
{
	const char *v = npmrc_env(l->context.env, name, strlen(name));

	return v && *v ? v : NULL;
}

static struct npmrc_entry *entry_of(struct loader *l, const char *key)
{
	struct npmrc *rc = l->rc;

	for (uint32_t i = l->first; i < rc->count; i++)
		if (strcmp(rc->entries[i].key, key) == 0)
			return &rc->entries[i];
	if (rc->count == rc->cap) {
		uint32_t cap = rc->cap ? rc->cap * 2 : 32;
		struct npmrc_entry *more = realloc(rc->entries, cap * sizeof *more);

		if (!more)
			return NULL;
		rc->entries = more;
		rc->cap = cap;
	}
	rc->entries[rc->count] = (struct npmrc_entry){ .key = key, .source = (uint8_t)l->source };
	return &rc->entries[rc->count++];
}

/* Of two settings in one source the later wins, unless the key has become an array. */
static int add_setting(void *arg, const char *key, bool element, const char *value, struct err *e)
{
	struct loader *l = arg;
	struct arena *a = &l->rc->arena;
	const char *k = npmrc_expand(a, key, l->context.env), *v = arena_strdup(a, value);
	struct npmrc_entry *x = k && v ? entry_of(l, k) : NULL;

	if (!x)
		return err_set(e, -E2BIG, "settings of more than %zu MiB, or out of memory",
			       NPMRC_MEMORY_MAX >> 20);
	x->array |= element;
	if (!x->array)
		x->count = 0;
	if (x->count == x->cap) {
		uint32_t cap = x->cap ? x->cap * 2 : 1;
		const char **more = arena_array(a, cap, sizeof *more);

		if (!more)
			return err_set(e, -E2BIG, "%s: too many values", k);
		if (x->count)
			memcpy(more, x->values, x->count * sizeof *more);
		x->values = more;
		x->cap = cap;
	}
	x->values[x->count++] = v;
	return 0;
}

static void source_begin(struct loader *l, enum npmrc_source source)
{
	l->source = source;
	l->first = l->rc->count;
}

static int source_end(struct loader *l, struct err *e)
{
	for (uint32_t i = l->first; i < l->rc->count; i++)
		if (npmrc_convert(l->rc, &l->rc->entries[i], &l->context) < 0)
			return err_set(e, -E2BIG, "%s: too long, or out of memory",
				       l->rc->entries[i].key);
	return 0;
}

static int load_overrides(struct loader *l, struct err *e)
{
	source_begin(l, NPMRC_OVERRIDE);
	for (const char *const *o = l->o->overrides; o && *o; o++) {
		const char *eq = strchr(*o, '=');
		auto_free char *key = strndup(*o, eq ? (size_t)(eq - *o) : strlen(*o));
		int r;

		if (!key)
			return err_set(e, -ENOMEM, "out of memory");
		r = add_setting(l, key, false, eq ? eq + 1 : "true", e);
		if (r < 0)
			return r;
	}
	return source_end(l, e);
}

/* npm_config_fetch_retries -> fetch-retries; npm_config_//host/:_authToken as it stands. */
static bool env_key(const char *var, char ret[NPMRC_ENV_KEY_MAX], const char **ret_value)
{
	static const char prefix[] = "npm_config_";
	const char *name = var + sizeof prefix - 1, *eq;
	size_t n;

	if (strncasecmp(var, prefix, sizeof prefix - 1) != 0 || !(eq = strchr(name, '=')))
		return false;
	n = (size_t)(eq - name);
	if (n == 0 || n >= NPMRC_ENV_KEY_MAX || eq[1] == '\0')
		return false;
	memcpy(ret, name, n);
	ret[n] = '\0';
	*ret_value = eq + 1;
	if (strncmp(ret, "//", 2) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		ret[i] = ret[i] == '_' && i > 0 ? '-' : (char)tolower((unsigned char)ret[i]);
	return true;
}

static int load_env(struct loader *l, struct err *e)
{
	char key[NPMRC_ENV_KEY_MAX];
	const char *value;

	source_begin(l, NPMRC_ENV);
	for (const char *const *v = l->context.env; v && *v; v++) {
		int r = env_key(*v, key, &value) ? add_setting(l, key, false, value, e) : 0;

		if (r < 0)
			return r;
	}
	return source_end(l, e);
}

/* They would go to whatever registry is configured, so npm refuses them. */
static int refuse_loose_credentials(const struct loader *l, struct err *e)
{
	static const char *const loose[] = { "_auth",     "_authToken", "username",
					     "_password", "_authtoken", "-authtoken" };

	for (uint32_t i = l->first; i < l->rc->count; i++)
		for (size_t k = 0; k < ARRAY_LEN(loose); k++)
			if (strcmp(l->rc->entries[i].key, loose[k]) == 0)
				return err_set(e, -EINVAL,
					       "%s stands there without a host: write "
					       "//host/:%s=..., or run npm config fix",
					       loose[k], loose[k]);
	return 0;
}

static int load_file(struct loader *l, enum npmrc_source source, const char *path, struct err *e)
{
	auto_free char *text = NULL;
	struct stat st;
	size_t len;
	int r;

	source_begin(l, source);
	/* /dev/null is how one says "no file"; npm ignores a folder, too. */
	if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	r = file_read_all(AT_FDCWD, path, NPMRC_SIZE_MAX, &text, &len, e);
	if (r < 0)
		return r;
	r = ini_parse((struct slice){ (const uint8_t *)text, len }, NPMRC_LINES_MAX, add_setting, l,
		      e);
	explicit_bzero(text, len);
	if (r == 0 && (r = source_end(l, e)) == 0 && source != NPMRC_BUILTIN)
		r = refuse_loose_credentials(l, e);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

/* While loading, entries stand by source, the highest first. */
static const char *so_far(const struct loader *l, const char *key, bool project_too)
{
	for (uint32_t i = 0; i < l->rc->count; i++) {
		const struct npmrc_entry *x = &l->rc->entries[i];

		if (strcmp(x->key, key) == 0 && !x->dropped && !x->null && x->count > 0 &&
		    (project_too || x->source != NPMRC_PROJECT))
			return x->values[0];
	}
	return NULL;
}

/* The program that $PATH finds, links resolved; the caller frees. */
static char *program(const struct loader *l, const char *name)
{
	const char *path = env_get(l, "PATH");

	while (path && *path) {
		size_t n = strcspn(path, ":");
		char file[PATH_MAX];
		struct stat st;

		if (n > 0 &&
		    (size_t)snprintf(file, sizeof file, "%.*s/%s", (int)n, path, name) <
			    sizeof file &&
		    access(file, X_OK) == 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode))
			return realpath(file, NULL);
		path += n + (path[n] == ':');
	}
	return NULL;
}

/* Cuts the last `count` components off; false when there are not so many. */
static bool ancestor(char *path, unsigned count)
{
	while (count-- > 0) {
		char *slash = path ? strrchr(path, '/') : NULL;

		if (!slash)
			return false;
		*slash = '\0';
	}
	return true;
}

static const char *global_file(const struct loader *l)
{
	struct arena *a = &l->rc->arena;
	const char *file = so_far(l, "globalconfig", true), *prefix = so_far(l, "prefix", false);
	auto_free char *node = NULL;

	if (file)
		return file;
	if (!prefix)
		prefix = env_get(l, "PREFIX");
	if (prefix)
		return arena_printf(a, "%s/etc/npmrc", prefix);
	node = program(l, "node");
	if (!ancestor(node, 2))
		return NULL;
	file = env_get(l, "DESTDIR");
	return arena_printf(a, "%s%s%s/etc/npmrc", file ? file : "", file ? "/" : "", node);
}

static const char *builtin_file(const struct loader *l)
{
	auto_free char *npm = program(l, "npm");
	size_t n = npm ? strlen(npm) : 0;

	/* Anything else that is called npm is somebody's wrapper, and has no npmrc beside it. */
	if (n < 15 || strcmp(npm + n - 15, "/bin/npm-cli.js") != 0 || !ancestor(npm, 2))
		return NULL;
	return arena_printf(&l->rc->arena, "%s/npmrc", npm);
}

static int load_files(struct loader *l, struct err *e)
{
	struct arena *a = &l->rc->arena;
	const char *user = so_far(l, "userconfig", true), *project = NULL;
	int r = 0;

	if (!user && l->context.home)
		user = arena_printf(a, "%s/.npmrc", l->context.home);
	if (l->o->project_dir)
		project = arena_printf(a, "%s/.npmrc", l->context.base);
	if (project && (!user || strcmp(project, user) != 0))
		r = load_file(l, NPMRC_PROJECT, project, e);
	if (r == 0 && so_far(l, "userconfig", true))
		user = so_far(l, "userconfig", true);
	if (r == 0)
		r = load_file(l, NPMRC_USER, user, e);
	if (r == 0)
		r = load_file(l, NPMRC_GLOBAL, global_file(l), e);
	if (r == 0)
		r = load_file(l, NPMRC_BUILTIN, builtin_file(l), e);
	return r;
}

static int by_key_and_source(const void *pa, const void *pb)
{
	const struct npmrc_entry *a = pa, *b = pb;
	int r = strcmp(a->key, b->key);

	return r ? r : (a->source > b->source) - (a->source < b->source);
}

/* For npm a registry that is no URL is not set, and the next source's is asked instead; with a
 * typing error in the environment that would be the public one. Here it is told. */
static void note_bad_registry(struct npmrc *rc, const struct npmrc_entry *x)
{
	static const char *const sources[] = {
		[NPMRC_OVERRIDE] = "the command line",    [NPMRC_ENV] = "npm_config_registry",
		[NPMRC_PROJECT] = "the project's .npmrc", [NPMRC_USER] = "the user's .npmrc",
		[NPMRC_GLOBAL] = "the global npmrc",      [NPMRC_BUILTIN] = "npm's own npmrc",
	};

	if (x->dropped && x->given && strcmp(x->key, "registry") == 0)
		rc->bad_registry = sources[x->source];
}

/* One entry a key: the highest source's whose value the key can have. */
static void settle(struct npmrc *rc)
{
	uint32_t n = 0;

	if (rc->count == 0)
		return;
	qsort(rc->entries, rc->count, sizeof *rc->entries, by_key_and_source);
	for (uint32_t i = 0; i < rc->count; i++) {
		const struct npmrc_entry *x = &rc->entries[i];

		if (i == 0 || strcmp(x[-1].key, x->key) != 0)
			note_bad_registry(rc, x);
		if (!x->dropped && (n == 0 || strcmp(rc->entries[n - 1].key, x->key) != 0))
			rc->entries[n++] = *x;
	}
	rc->count = n;
}

static const char *env_copy(const struct loader *l, const char *upper, const char *lower)
{
	const char *v = env_get(l, lower);

	v = v ? v : env_get(l, upper);
	return v ? arena_strdup(&l->rc->arena, v) : NULL;
}

static int load_rest(struct loader *l, struct err *e)
{
	struct npmrc *rc = l->rc;
	const char *given = l->o->public_registry, *production = env_get(l, "NODE_ENV");

	rc->https_proxy = env_copy(l, "HTTPS_PROXY", "https_proxy");
	rc->http_proxy = env_copy(l, "HTTP_PROXY", "http_proxy");
	rc->any_proxy = env_copy(l, "PROXY", "proxy");
	rc->no_proxy = env_copy(l, "NO_PROXY", "no_proxy");
	rc->production = production && strcmp(production, "production") == 0;
	given = given ? given : DXFS_DEFAULT_REGISTRY;
	rc->public_registry = *given ? arena_strdup(&rc->arena, given) : NULL;
	settle(rc);
	return arena_error(&rc->arena)
		       ? err_set(e, arena_error(&rc->arena),
				 "npm's settings need more than %zu MiB", NPMRC_MEMORY_MAX >> 20)
		       : 0;
}

static const char *home_dir(const struct loader *l)
{
	const char *home = env_get(l, "HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (home)
		return home;
	if (getpwuid_r(getuid(), &pw, text, sizeof text, &found) != 0 || !found)
		return NULL;
	return arena_strdup(&l->rc->arena, pw.pw_dir);
}

static int load(struct loader *l, struct err *e)
{
	auto_free char *base = realpath(l->o->project_dir ? l->o->project_dir : ".", NULL);
	int r;

	if (!base && l->o->project_dir)
		return err_set(e, -errno, "the project's folder %s: %s", l->o->project_dir,
			       strerror(errno));
	l->context.base = base ? arena_strdup(&l->rc->arena, base) : NULL;
	l->context.home = home_dir(l);
	if ((r = load_overrides(l, e)) < 0 || (r = load_env(l, e)) < 0 ||
	    (r = load_files(l, e)) < 0)
		return r;
	return load_rest(l, e);
}

int npmrc_load_with(struct npmrc **ret, const struct npmrc_options *o, struct err *e)
{
	struct npmrc *rc = malloc(sizeof *rc);
	struct loader l = { .rc = rc, .o = o };
	int r;

	if (!rc)
		return err_set(e, -ENOMEM, "out of memory");
	*rc = (struct npmrc){ .arena = ARENA_INIT(NPMRC_MEMORY_MAX) };
	l.context.env = o->env ? o->env : (const char *const *)environ;
	r = load(&l, e);
	if (r < 0) {
		npmrc_free(rc);
		return r;
	}
	*ret = rc;
	return 0;
}

int npmrc_load(struct npmrc **ret, const char *project_dir, const char *const *overrides,
	       struct err *e)
{
	struct npmrc_options o = { .project_dir = project_dir, .overrides = overrides };

	return npmrc_load_with(ret, &o, e);
}

void npmrc_free(struct npmrc *rc)
{
	if (!rc)
		return;
	arena_release(&rc->arena);
	free(rc->entries);
	free(rc);
}
