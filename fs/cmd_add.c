#include "core/file.h"
#include "fs/cmd.h"
#include "fs/cmd_lock.h"
#include "fs/cmd_project.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define USAGE_WORKSPACES                                                                           \
	"  -w, --workspace=NAME  of that workspace (its name, its folder, or the folder of "       \
	"some);\n"                                                                                 \
	"                       may be repeated. In a workspace's folder it is that one\n"         \
	"      --workspaces     of all workspaces\n"                                               \
	"      --include-workspace-root  and of the root\n"

static const char usage_add[] =
	"usage: dx add [options] PACKAGE...\n"
	"Puts packages into package.json, and resolves it anew as `dx lock` does.\n"
	"PACKAGE is name, name@range, name@tag, alias@npm:name@range, or [name@] and a folder, a\n"
	"tarball (path or URL) or a git repository (user/repo#branch, git+https://...).\n"
	"  -D, --save-dev       into devDependencies\n"
	"  -O, --save-optional  into optionalDependencies\n"
	"      --save-peer      into peerDependencies\n"
	"  -P, --save-prod      into dependencies\n"
	"  -B, --save-bundle    and into bundleDependencies\n"
	"  -E, --save-exact     the very version, not a range\n"
	"      --save-prefix=P  what stands in front of the version: ^ (as without it), ~, ...\n"
	"      --tag=TAG        what is meant by a name alone, instead of latest\n"
	"  -S, --save           as without it\n" USAGE_WORKSPACES
	"Without an option, a package stays where it stands, and a new one is in dependencies.\n"
	"Where there is no package.json, neither here nor further up, one is made here.\n";

static const char usage_remove[] = "usage: dx remove [options] NAME...\n"
				   "Takes packages out of package.json, and resolves it anew as "
				   "`dx lock` does.\n" USAGE_WORKSPACES;

static const char usage_update[] =
	"usage: dx update [options] [NAME...]\n"
	"Resolves anew, with the newest versions that package.json allows: of the named packages\n"
	"wherever they stand, or of all. package.json stays as it is.\n"
	"  -S, --save           package.json asks for what came, as `dx add` would say it\n"
	"  -E, --save-exact     then for the very version\n" USAGE_WORKSPACES;

/* Of whose package.json. */
struct scope {
	const char **names; /* --workspace; owned */
	size_t count;
	bool all, root;
};

static void scope_release(struct scope *s)
{
	free(s->names);
}

static int add_workspace(void *arg, const char *name)
{
	struct scope *s = arg;
	const char **more = reallocarray(s->names, s->count + 1, sizeof *more);

	if (!more)
		return -ENOMEM;
	s->names = more;
	s->names[s->count++] = name;
	return 0;
}

/* In every table of options. */
#define SCOPE_OPTIONS(s)                                                                           \
	{ "workspace", .each = add_workspace, .arg = &(s), .letter = 'w' },                        \
		{ "workspaces", .given = &(s).all },                                               \
	{                                                                                          \
		"include-workspace-root", .given = &(s).root                                       \
	}

/* As npm does for `npm install NAME` in a folder that is no project. */
static int new_manifest(struct err *e)
{
	auto_close int fd = open("package.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : file_write_all(fd, "{}\n", 3);

	if (r == 0)
		return 0;
	if (fd >= 0)
		(void)unlink("package.json");
	return err_set(e, r, "cannot make package.json here: %s", strerror(-r));
}

/* Unless somebody has written something else into it meanwhile. */
static void drop_new_manifest(void)
{
	auto_free char *text = NULL;
	size_t len;

	if (file_read_all(AT_FDCWD, "package.json", 16, &text, &len, NULL) == 0 && len == 3 &&
	    memcmp(text, "{}\n", len) == 0)
		(void)unlink("package.json");
}

/* ---- whose package.json ---- */

/* npm's filter: its name, its folder, or (patterns too) the folder that it lies in. */
static bool is_meant(const struct project_workspace *w, const char *dir, const char *cwd,
		     const char *arg, struct arena *a)
{
	const char *folder = arena_printf(a, "%s/%s", dir, w->folder);
	const char *pattern = arena_printf(a, "%s/*", strncmp(arg, "./", 2) == 0 ? arg + 2 : arg);
	const char *given =
		arena_printf(a, "%s%s%s", *arg == '/' ? "" : cwd, *arg == '/' ? "" : "/", arg);
	size_t n = strlen(cwd);
	char real[PATH_MAX];

	if (!folder || !pattern || !given)
		return false;
	if (strcmp(arg, w->name) == 0 || workspaces_match(pattern, w->folder, false))
		return true;
	if (strncmp(folder, cwd, n) == 0 && folder[n] == '/' &&
	    workspaces_match(pattern, folder + n + 1, false))
		return true;
	return realpath(given, real) && strcmp(real, folder) == 0;
}

struct folders {
	const char **list; /* NULL-terminated, in the arena */
	size_t count;
};

static void add_folder(struct folders *f, const char *folder)
{
	for (size_t i = 0; i < f->count; i++) {
		if (strcmp(f->list[i], folder) == 0)
			return;
	}
	f->list[f->count++] = folder;
}

static int no_workspace(const struct scope *s, struct err *e)
{
	return err_set(e, -ENOENT, "%s%.80s: this project has no such workspace",
		       s->count ? "--workspace=" : "--workspaces", s->count ? s->names[0] : "");
}

static int find_folders(const struct cmd_project *c, const struct scope *s, const char *cwd,
			struct arena *a, struct folders *ret, struct err *e)
{
	struct project_workspace *list = NULL;
	size_t count = 0, dir = strlen(c->project.dir);
	int r = s->count || s->all ? project_workspaces(&c->project, a, &list, &count, e) : 0;

	if (r == 0)
		ret->list = arena_array(a, count + 3, sizeof *ret->list);
	if (r == 0 && !ret->list)
		r = err_set(e, -ENOMEM, "no memory for the workspaces");
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->count; i++) {
		for (size_t k = 0; k < count; k++) {
			if (is_meant(&list[k], c->project.dir, cwd, s->names[i], a))
				add_folder(ret, list[k].folder);
		}
	}
	for (size_t k = 0; k < count && s->all && !s->count; k++)
		add_folder(ret, list[k].folder);
	if ((s->count || s->all) && !ret->count)
		return no_workspace(s, e);
	if (!ret->count && c->workspace)
		add_folder(ret, c->workspace + dir + 1);
	if (!ret->count || s->root)
		add_folder(ret, "");
	return 0;
}

/* ---- the work ---- */

/* npm installs no project into itself: then it is as if nothing had been named. */
static void drop_self(const struct cmd_project *c, struct project_edits *edits)
{
	size_t kept = 0;

	for (size_t i = 0; i < edits->count; i++) {
		const struct project_edit *edit = &edits->list[i];
		char real[PATH_MAX];

		if (edit->name || !edit->spec || !realpath(edit->spec, real) ||
		    strcmp(real, c->project.dir) != 0)
			edits->list[kept++] = *edit;
	}
	edits->count = kept;
}

static void say_absent(const char *who, const struct project_edits *edits)
{
	for (size_t i = 0; i < edits->count; i++) {
		if (edits->list[i].was_absent)
			(void)fprintf(stderr, "%s: package.json does not depend on %s\n", who,
				      edits->list[i].name);
	}
}

/* Which versions came of what was asked for by name, in each folder. */
static int say_added(const struct project_edits *edits, const struct lock *l, struct err *e)
{
	auto_graph struct graph *g = NULL;
	auto_buf struct buf out = BUF_INIT((size_t)1 << 20);
	int r = lock_graph(l, &g, e);

	for (const char *const *f = edits->folders; r == 0 && f && *f; f++) {
		uint32_t from = graph_find(g, *f);

		for (size_t i = 0; i < edits->count && from != GRAPH_NONE; i++) {
			const struct project_edit *edit = &edits->list[i];
			uint32_t n = edit->name && edit->spec ? graph_resolve(g, from, edit->name)
							      : GRAPH_NONE;

			if (n == GRAPH_NONE)
				continue;
			cmd_node_id(&out, g, n);
			buf_addf(&out, "%s%s\n", **f ? " in " : "", *f);
		}
	}
	return r == 0 ? cmd_write(&out, e) : r;
}

static int resolve(struct cmd_project *c, const char *who, struct project_edits *edits,
		   const struct cmd_resolve *what, struct err *e)
{
	struct sat_report report = { 0 };
	struct cmd_resolve ask = *what;
	auto_lock struct lock *l = NULL;
	int r;

	drop_self(c, edits);
	ask.edits = edits;
	ask.build = sat_resolve;
	ask.build_arg = &report;
	if (!edits->prefix)
		edits->prefix = npmrc_bool(c->npmrc, "save-exact", false)
					? ""
					: npmrc_get(c->npmrc, "save-prefix");
	edits->bundle = edits->bundle || npmrc_bool(c->npmrc, "save-bundle", false);
	r = cmd_project_resolve(c, &ask, &l, e);
	if (r < 0)
		return r;
	say_absent(who, edits);
	cmd_lock_solved(&report);
	cmd_project_show(c, who);
	r = say_added(edits, l, e);
	return r == 0 ? cmd_lock_summary(l, &c->project, e) : r;
}

static int resolve_scoped(struct cmd_project *c, const char *who, struct project_edits *edits,
			  const struct scope *s, const struct cmd_resolve *what, struct err *e)
{
	auto_arena struct arena a = ARENA_INIT((size_t)64 << 20);
	auto_free char *cwd = realpath(".", NULL);
	struct folders folders = { 0 };
	int r;

	if (!cwd)
		return err_set(e, -errno, "the current folder: %s", strerror(errno));
	r = find_folders(c, s, cwd, &a, &folders, e);
	if (r < 0)
		return r;
	edits->cwd = cwd;
	edits->folders = folders.list;
	return resolve(c, who, edits, what, e);
}

/* Opens the project and resolves it with the changes that were asked for. */
static int run(const char *who, struct project_edits *edits, const struct scope *s,
	       const struct cmd_resolve *what, bool may_make, struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	const struct cmd_project_options o = { .tag = what->tag };
	int r = cmd_project_open(&c, &o, e);
	bool made = r == -ENOENT && may_make;

	if (made) {
		cmd_project_release(&c);
		r = new_manifest(e);
		made = r == 0;
		if (made)
			r = cmd_project_open(&c, &o, e);
	}
	if (r == 0)
		r = resolve_scoped(&c, who, edits, s, what, e);
	if (r < 0 && made)
		drop_new_manifest();
	return r;
}

/* Does the part before the @ end as tarballs' names do? */
static bool is_tarball(const char *arg)
{
	static const char *const ends[] = { ".tgz", ".tar.gz", ".tar" };
	size_t n = strcspn(arg, "@");

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t k = strlen(ends[i]);

		if (n >= k && strncasecmp(arg + n - k, ends[i], k) == 0)
			return true;
	}
	return false;
}

/* Is it an address or a path, without a name in front? */
static bool is_nameless(const char *arg)
{
	size_t n = strcspn(arg + (*arg == '@'), "@/:") + (*arg == '@');

	if (*arg == '.' || *arg == '~' || *arg == '/' || is_tarball(arg))
		return true;
	return arg[n] == ':' || (*arg != '@' && arg[n] == '/') || strncmp(arg, "git@", 4) == 0;
}

/* "name@spec" in two, or a spec alone. */
static int split(char *arg, struct project_edit *ret, struct err *e)
{
	char *at = *arg ? strchr(arg + 1, '@') : NULL;

	if (!*arg)
		return err_set(e, -EINVAL, "an empty argument names no package");
	if (is_nameless(arg)) {
		ret->spec = arg;
		return 0;
	}
	ret->name = arg;
	ret->spec = "";
	if (at) {
		*at = '\0';
		ret->spec = at + 1;
	}
	return 0;
}

/* Of these, one at a time. */
struct kinds {
	bool dev, optional, peer, prod;
};

static enum deps_save kind_of(const struct kinds *k)
{
	return k->dev        ? DEPS_DEV
	       : k->optional ? DEPS_OPTIONAL
	       : k->peer     ? DEPS_PEER
	       : k->prod     ? DEPS_PROD
			     : DEPS_AS_IS;
}

int cmd_add(int argc, char **argv)
{
	struct scope scope cleanup(scope_release) = { 0 };
	struct project_edits edits = { 0 };
	struct kinds kinds = { 0 };
	struct cmd_resolve ask = { 0 };
	bool exact = false, save = false;
	const struct cmd_option options[] = {
		{ "save-dev", .given = &kinds.dev, .letter = 'D' },
		{ "save-optional", .given = &kinds.optional, .letter = 'O' },
		{ "save-peer", .given = &kinds.peer },
		{ "save-prod", .given = &kinds.prod, .letter = 'P' },
		{ "save-bundle", .given = &edits.bundle, .letter = 'B' },
		{ "save-exact", .given = &exact, .letter = 'E' },
		{ "save-prefix", .value = &edits.prefix },
		{ "tag", .value = &ask.tag },
		{ "save", .given = &save, .letter = 'S' },
		SCOPE_OPTIONS(scope),
		{ 0 }
	};
	struct err e = { 0 };
	int r = 0, rc = cmd_options(argc, argv, options, usage_add, 1, argc);

	if (rc >= 0)
		return rc;
	if (kinds.dev + kinds.optional + kinds.peer + kinds.prod > 1) {
		(void)fprintf(stderr,
			      "dx add: --save-dev, --save-optional, --save-peer and --save-prod go "
			      "one at a time\n%s",
			      usage_add);
		return CMD_USAGE;
	}
	edits.prefix = exact ? "" : edits.prefix;
	edits.how = kind_of(&kinds);
	edits.list = calloc((size_t)(argc - optind), sizeof *edits.list);
	if (!edits.list)
		r = err_set(&e, -ENOMEM, "out of memory");
	for (int i = optind; i < argc && r == 0; i++)
		r = split(argv[i], &edits.list[edits.count++], &e);
	if (r == 0)
		r = run("dx add", &edits, &scope, &ask, true, &e);
	free(edits.list);
	return cmd_end("dx add", r, &e);
}

int cmd_remove(int argc, char **argv)
{
	struct scope scope cleanup(scope_release) = { 0 };
	const struct cmd_option options[] = { SCOPE_OPTIONS(scope), { 0 } };
	struct project_edits edits = { 0 };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage_remove, 1, argc);

	if (rc >= 0)
		return rc;
	edits.list = calloc((size_t)(argc - optind), sizeof *edits.list);
	for (int i = optind; i < argc && edits.list; i++)
		edits.list[edits.count++].name = argv[i];
	r = edits.list ? run("dx remove", &edits, &scope, &(struct cmd_resolve){ 0 }, false, &e)
		       : err_set(&e, -ENOMEM, "out of memory");
	free(edits.list);
	return cmd_end("dx remove", r, &e);
}

int cmd_update(int argc, char **argv)
{
	struct scope scope cleanup(scope_release) = { 0 };
	struct project_edits edits = { 0 };
	bool exact = false;
	const struct cmd_option options[] = { { "save", .given = &edits.update, .letter = 'S' },
					      { "save-exact", .given = &exact, .letter = 'E' },
					      SCOPE_OPTIONS(scope),
					      { 0 } };
	struct cmd_resolve ask = { 0 };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage_update, 0, argc);

	if (rc >= 0)
		return rc;
	edits.prefix = exact ? "" : NULL;
	ask.update = optind < argc ? (const char *const *)&argv[optind] : NULL;
	ask.update_all = optind == argc;
	r = run("dx update", &edits, &scope, &ask, false, &e);
	return cmd_end("dx update", r, &e);
}
