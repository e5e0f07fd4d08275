/* cmd.h - the subcommands of dx and dxfs: one function and one file each (cmd_<name>.c), and what
 * they all do in the same way.
 *
 * Each gets its own argv (argv[0] is "dx ls", say), prints results on stdout, progress
 * and one sentence of failure on stderr, answers --help, and returns an exit status. That stdout
 * could be written is cmd_main()'s to check. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

struct cmd {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: it is none, but other programs have one */
	const char *help; /* one line; NULL: an alias that --help does not list; without `run`: what
			     to use instead */
};

/* Finds argv[1] in the table (ends with a NULL name) and runs it; answers --help and --version.
 * `about` is the first line of the help. */
int cmd_main(int argc, char **argv, const struct cmd *table, const char *about);

/* ---- for the subcommands ---- */

/* A long option: a switch, or one with a value (borrowed from argv; of two the last), or one whose
 * every value goes to a function (negative: wrong usage). */
struct cmd_option {
	const char *name;
	bool *given;
	const char **value;
	char letter; /* its short form; 0: none */
	int (*each)(void *arg, const char *value);
	void *arg;
};
#define CMD_OPTIONS_MAX 16

/* Reads the options (the list ends with a NULL name) and answers --help with `usage`. -1: go on,
 * with argv[optind] and what follows, at least `least` and at most `most` of them; else the exit
 * status, and all has been said. */
int cmd_options(int argc, char **argv, const struct cmd_option *options, const char *usage,
		int least, int most) must_check;

/* Says that there are more arguments than `most` behind the options, or else too few. */
void cmd_wrong_count(int argc, char **argv, int most);

/* The exit status for r, with e's sentence on stderr behind `who` ("dx ls") if it is negative. */
int cmd_end(const char *who, int r, const struct err *e) must_check;

/* All of b to stdout. */
int cmd_write(const struct buf *b, struct err *e) must_check;

/* ---- the subcommands ---- */

/* dx */
int cmd_semver(int argc, char **argv);
int cmd_add(int argc, char **argv);
int cmd_lock(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_remove(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_rebuild(int argc, char **argv);
int cmd_store(int argc, char **argv);

/* dxfs */
int cmd_mount(int argc, char **argv);
int cmd_unmount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_patch(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
