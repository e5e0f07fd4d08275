#include "fs/cmd.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>

static void help(FILE *to, const struct cmd *table, const char *about, const char *program)
{
	(void)fprintf(to, "%s\nusage: %s COMMAND [options] ...\n\n", about, program);
	for (const struct cmd *c = table; c->name; c++)
		if (c->run && c->help)
			(void)fprintf(to, "  %-9s %s\n", c->name, c->help);
	(void)fprintf(to, "\n`%s COMMAND --help` says more; so does `man %s`.\n", program, program);
}

/* What was printed is only printed once it is out. */
static int flushed(const char *program, int status)
{
	if (status != CMD_OK || (fflush(stdout) == 0 && !ferror(stdout)))
		return status;
	(void)fprintf(stderr, "%s: cannot write the output: %s\n", program, strerror(errno));
	return CMD_FAILED;
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
		return flushed(program, CMD_OK);
	}
	if (argc == 3 && strcmp(argv[1], "help") == 0)
		return cmd_main(3, (char *[]){ argv[0], argv[2], (char *)"--help", NULL }, table,
				about);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout, table, about, program);
		return flushed(program, CMD_OK);
	}
	for (const struct cmd *c = table; c->name; c++) {
		auto_free char *who = NULL;

		if (strcmp(c->name, argv[1]) != 0)
			continue;
		if (!c->run) {
			(void)fprintf(stderr, "%s: there is no command '%s'; %s\n", program,
				      c->name, c->help);
			return CMD_USAGE;
		}
		/* By which getopt_long() begins its sentences. */
		if (asprintf(&who, "%s %s", program, c->name) >= 0)
			argv[1] = who;
		else
			who = NULL;
		return flushed(program, c->run(argc - 1, argv + 1));
	}
	(void)fprintf(stderr, "%s: there is no command '%s'; `%s --help` lists them\n", program,
		      argv[1], program);
	return CMD_USAGE;
}

void cmd_wrong_count(int argc, char **argv, int most)
{
	if (argc - optind > most)
		(void)fprintf(stderr, "%s: '%s' is one argument too many\n", argv[0],
			      argv[optind + most]);
	else
		(void)fprintf(stderr, "%s: an argument is missing\n", argv[0]);
}

int cmd_options(int argc, char **argv, const struct cmd_option *options, const char *usage,
		int least, int most)
{
	struct option longs[CMD_OPTIONS_MAX + 2] = { { "help", no_argument, NULL, 'h' } };
	char shorts[2 * CMD_OPTIONS_MAX + 1] = "";
	size_t letters = 0;
	int c, at = 0;

	for (int i = 0; options && options[i].name; i++) {
		assert(i < CMD_OPTIONS_MAX);
		longs[i + 1] = (struct option){ .name = options[i].name,
						.has_arg = options[i].value || options[i].each
								   ? required_argument
								   : no_argument,
						.val = options[i].letter };
		if (options[i].letter)
			shorts[letters++] = options[i].letter;
		if (options[i].letter && longs[i + 1].has_arg)
			shorts[letters++] = ':';
	}
	while ((c = getopt_long(argc, argv, shorts, longs, &at)) != -1) {
		if (c == 'h' || c == '?') {
			(void)fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? CMD_OK : CMD_USAGE;
		}
		for (int i = 0; c && options[i].name; i++)
			if (options[i].letter == c)
				at = i + 1;
		if (options[at - 1].each) {
			if (options[at - 1].each(options[at - 1].arg, optarg) < 0) {
				(void)fprintf(stderr, "%s: --%s=%s is not known\n%s", argv[0],
					      options[at - 1].name, optarg, usage);
				return CMD_USAGE;
			}
		} else if (options[at - 1].value)
			*options[at - 1].value = optarg;
		else
			*options[at - 1].given = true;
	}
	if (argc - optind < least || argc - optind > most) {
		cmd_wrong_count(argc, argv, most);
		(void)fputs(usage, stderr);
		return CMD_USAGE;
	}
	return -1;
}

int cmd_end(const char *who, int r, const struct err *e)
{
	if (r >= 0)
		return CMD_OK;
	(void)fprintf(stderr, "%s: %s\n", who, e->msg);
	return CMD_FAILED;
}

int cmd_write(const struct buf *b, struct err *e)
{
	if (buf_error(b) < 0)
		return err_set(e, buf_error(b), "the output is too large to print");
	if (b->len && fwrite(b->data, 1, b->len, stdout) != b->len)
		return err_set(e, -EIO, "cannot write the output: %s", strerror(errno));
	return 0;
}
