#include "fs/cmd.h"

#include "core/err.h"

#include <stdio.h>

static void help(FILE *to, const struct cmd *table, const char *about, const char *program)
{
	(void)fprintf(to, "%s\nusage: %s COMMAND [options] ...\n\n", about, program);
	for (const struct cmd *c = table; c->name; c++)
		if (c->help)
			(void)fprintf(to, "  %-9s %s\n", c->name, c->help);
	(void)fprintf(to, "\n`%s COMMAND --help` says more; so does `man %s`.\n", program, program);
}

void cmd_end_line(struct buf *b, size_t from)
{
	if (b->len > from)
		text_clean((char *)b->data + from, b->len - from);
	buf_addstr(b, "\n");
}

int cmd_main(int argc, char **argv, const struct cmd *table, const char *about)
{
	const char *program = program_invocation_short_name;

	if (argc < 2) {
		help(stderr, table, about, program);
		return CMD_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("%s %s\n", program, DXFS_VERSION);
		return CMD_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout, table, about, program);
		return CMD_OK;
	}
	for (const struct cmd *c = table; c->name; c++)
		if (strcmp(c->name, argv[1]) == 0)
			return c->run(argc - 1, argv + 1);
	(void)fprintf(stderr, "%s: there is no command '%s'; `%s --help` lists them\n", program,
		      argv[1], program);
	return CMD_USAGE;
}
