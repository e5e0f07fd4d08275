#include "fs/cmd.h"
#include "fs/export_run.h"

#include <inttypes.h>
#include <stdio.h>

static const char usage[] =
	"usage: dx export [--json] [--omit=dev|optional|peer]... [--os=OS] [--cpu=CPU]\n"
	"                 [--libc=LIBC] [--store=DIR] [--registry=URL] [--offline] [DIR]\n"
	"      --json          one JSON object instead of a line\n"
	"      --omit=KIND     leave these dependencies out\n"
	"      --os, --cpu, --libc   for this platform instead of this machine's\n"
	"      --store=DIR     the store, instead of $DX_STORE or the default\n"
	"      --registry=URL  the default registry\n"
	"      --offline       ask nothing of the network\n"
	"Writes the tree that a mount would show as real files into DIR (default: node_modules),\n"
	"which must be empty or not there; fetches what the store lacks.\n";

static void print_counts(const struct export_counts *c, bool json)
{
	if (json)
		(void)printf("{\"files\":%" PRIu64 ",\"directories\":%" PRIu64 ",\"links\":%" PRIu64
			     ",\"bytes\":%" PRIu64 "}\n",
			     c->files, c->dirs, c->links, c->bytes);
	else
		(void)printf("%" PRIu64 " file%s, %" PRIu64 " director%s, %" PRIu64
			     " link%s, %" PRIu64 " byte%s\n",
			     c->files, plural(c->files), c->dirs, c->dirs == 1 ? "y" : "ies",
			     c->links, plural(c->links), c->bytes, plural(c->bytes));
}

int cmd_export(int argc, char **argv)
{
	struct export_request q = { .dir = "node_modules", .who = "dx export" };
	struct export_counts counts = { 0 };
	bool json = false;
	const struct cmd_option options[] = { { "json", .given = &json },
					      { "offline", .given = &q.project.offline },
					      { "store", .value = &q.store.dir },
					      { "registry", .value = &q.project.registry },
					      { "omit", .each = cmd_project_omit,
						.arg = &q.project.omit },
					      { "os", .value = &q.project.os },
					      { "cpu", .value = &q.project.cpu },
					      { "libc", .value = &q.project.libc },
					      { 0 } };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 1);

	if (rc >= 0)
		return rc;
	if (argv[optind])
		q.dir = argv[optind];
	r = export_run(&q, &counts, &e);
	if (r == 0)
		print_counts(&counts, json);
	return cmd_end("dx export", r, &e);
}
