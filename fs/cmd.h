/* cmd.h - the subcommands of dx and dxfs: one function and one file each (cmd_<name>.c).
 *
 * Each gets its own argv (argv[0] is the subcommand's name), prints results on stdout, progress
 * and one sentence of failure on stderr, answers --help, and returns an exit status. Options
 * are parsed with getopt_long. */
#pragma once
#include "core/buf.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

struct cmd {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* one line; NULL: an alias that --help does not list */
};

/* Finds argv[1] in the table (ends with a NULL name) and runs it; answers --help and --version.
 * `about` is the first line of the help. */
int cmd_main(int argc, char **argv, const struct cmd *table, const char *about);

/* dx */
int cmd_semver(int argc, char **argv);
int cmd_lock(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_store(int argc, char **argv);

/* dxfs */
int cmd_mount(int argc, char **argv);
int cmd_unmount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* Ends the line that begins at `from` of b, other people's names in it made safe (text_clean()). */
void cmd_end_line(struct buf *b, size_t from);
