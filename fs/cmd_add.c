#include "core/file.h"
#include "fs/cmd.h"
#include "fs/cmd_lock.h"
#include "fs/cmd_project.h"

#include <fcntl.h>
#include <stdio.h>

static const char usage_add[] =
	"usage: dx add [options] PACKAGE...\n"
	"Puts packages into package.json, and resolves it anew as `dx lock` does.\n"
	"PACKAGE is name, name@range, name@tag, alias@npm:name@range, or [name@] and a folder, a\n"
	"tarball (path or URL) or a git repository (user/repo#branch, git+https://...).\n"
	"  -D, --save-dev       into devDependencies\n"
	"  -O, --save-optional  into optionalDependencies\n"
	"      --save-peer      into peerDependencies\n"
	"  -P, --save-prod      into dependencies\n"
	"  -E, --save-exact     the very version, not a range\n"
	"Without an option, a package stays where it stands, and a new one is in dependencies.\n"
	"Where there is no package.json, neither here nor further up, one is made here.\n";

static const char usage_remove[] =
	"usage: dx remove NAME...\n"
	"Takes packages out of package.json, and resolves it anew as `dx lock` does.\n";

static const char usage_update[] =
	"usage: dx update [NAME...]\n"
	"Resolves anew, with the newest versions that package.json allows: of the named packages\n"
	"wherever they stand, or of all. package.json stays as it is.\n";

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

static int resolve(struct cmd_project *c, const char *who, struct project_edits *edits,
		   const struct cmd_resolve *what, struct err *e)
{
	struct sat_report report = { 0 };
	struct cmd_resolve ask = *what;
	auto_lock struct lock *l = NULL;
	int r;

	ask.edits = edits;
	ask.build = sat_resolve;
	ask.build_arg = &report;

	if (c->workspace && edits)
		return err_set(e, -ENOTSUP,
			       "%.120s is a workspace of %.120s, of which only the root's own "
			       "package.json is changed here: change the workspace's by hand, "
			       "then `dx lock`",
			       c->workspace, c->project.dir);
	if (edits && !edits->prefix)
		edits->prefix = npmrc_bool(c->npmrc, "save-exact", false)
					? ""
					: npmrc_get(c->npmrc, "save-prefix");
	r = cmd_project_resolve(c, &ask, &l, e);
	if (r < 0)
		return r;
	cmd_lock_solved(&report);
	cmd_project_show(c, who);
	return cmd_lock_summary(l, &c->project, e);
}

/* Opens the project and resolves it with the changes that were asked for. */
static int run(const char *who, struct project_edits *edits, const struct cmd_resolve *what,
	       bool may_make, struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	int r = cmd_project_open(&c, NULL, e);
	bool made = r == -ENOENT && may_make;

	if (made) {
		cmd_project_release(&c);
		r = new_manifest(e);
		made = r == 0;
		if (made)
			r = cmd_project_open(&c, NULL, e);
	}
	if (r == 0)
		r = resolve(&c, who, edits, what, e);
	if (r < 0 && made)
		(void)unlink("package.json");
	return r;
}

/* Is it an address or a path, without a name in front? */
static bool is_nameless(const char *arg)
{
	size_t n = strcspn(arg + (*arg == '@'), "@/:") + (*arg == '@');

	if (*arg == '.' || *arg == '~' || *arg == '/')
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

int cmd_add(int argc, char **argv)
{
	bool dev = false, optional = false, peer = false, prod = false, exact = false;
	const struct cmd_option options[] = { { "save-dev", .given = &dev, .letter = 'D' },
					      { "save-optional", .given = &optional,
						.letter = 'O' },
					      { "save-peer", .given = &peer },
					      { "save-prod", .given = &prod, .letter = 'P' },
					      { "save-exact", .given = &exact, .letter = 'E' },
					      { 0 } };
	struct project_edits edits = { 0 };
	struct err e = { 0 };
	int r = 0, rc = cmd_options(argc, argv, options, usage_add, 1, argc);

	if (rc >= 0)
		return rc;
	edits.prefix = exact ? "" : NULL;
	edits.list = calloc((size_t)(argc - optind), sizeof *edits.list);
	if (!edits.list)
		r = err_set(&e, -ENOMEM, "out of memory");
	for (int i = optind; i < argc && r == 0; i++) {
		struct project_edit *edit = &edits.list[edits.count++];

		r = split(argv[i], edit, &e);
		edit->section = dev        ? "devDependencies"
				: optional ? "optionalDependencies"
				: peer     ? "peerDependencies"
				: prod     ? "dependencies"
					   : NULL;
	}
	if (r == 0)
		r = run("dx add", &edits, &(struct cmd_resolve){ 0 }, true, &e);
	free(edits.list);
	return cmd_end("dx add", r, &e);
}

int cmd_remove(int argc, char **argv)
{
	const struct cmd_option options[] = { { 0 } };
	struct project_edits edits = { 0 };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage_remove, 1, argc);

	if (rc >= 0)
		return rc;
	edits.list = calloc((size_t)(argc - optind), sizeof *edits.list);
	for (int i = optind; i < argc && edits.list; i++)
		edits.list[edits.count++].name = argv[i];
	r = edits.list ? run("dx remove", &edits, &(struct cmd_resolve){ 0 }, false, &e)
		       : err_set(&e, -ENOMEM, "out of memory");
	free(edits.list);
	return cmd_end("dx remove", r, &e);
}

int cmd_update(int argc, char **argv)
{
	const struct cmd_option options[] = { { 0 } };
	struct cmd_resolve ask = { 0 };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage_update, 0, argc);

	if (rc >= 0)
		return rc;
	ask.update = optind < argc ? (const char *const *)&argv[optind] : NULL;
	ask.update_all = optind == argc;
	r = run("dx update", NULL, &ask, false, &e);
	return cmd_end("dx update", r, &e);
}
