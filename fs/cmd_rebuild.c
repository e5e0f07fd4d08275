#include "fs/cmd.h"
#include "fs/rebuild.h"

#include <stdio.h>

static const char usage[] =
	"usage: dx rebuild [--dry-run] [--registry=URL] [PKG...]\n"
	"  -n, --dry-run        say what would run, and run nothing\n"
	"      --registry=URL   the default registry\n"
	"  PKG is a name, name@range, or a place (node_modules/a/node_modules/b).\n"
	"Runs the install scripts that the project allows (allowScripts in package.json, or\n"
	"allow-scripts in .npmrc), each once, through the mount; those of PKG again.\n";

int cmd_rebuild(int argc, char **argv)
{
	struct cmd_project_options po = { 0 };
	bool dry = false;
	const struct cmd_option options[] = { { "dry-run", .given = &dry, .letter = 'n' },
					      { "registry", .value = &po.registry },
					      { 0 } };
	auto_rebuild struct rebuild b = REBUILD_INIT;
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, argc);

	if (rc >= 0)
		return rc;
	r = rebuild_open(&b, &po, &e);
	if (r == 0)
		r = rebuild_plan(&b, (const char *const *)argv + optind, argc - optind, &e);
	if (r == 0)
		r = dry ? rebuild_show(&b, &e) : rebuild_run(&b, &e);
	return cmd_end("dx rebuild", r, &e);
}
