/* dx semver - npm's `semver` command, and a batch form for programs. */
#include "fs/cmd.h"
#include "lock/semver.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"usage: dx semver [-r RANGE]... [-l] [-p] VERSION...\n"
	"       dx semver --batch [-l] [-p] < LINES\n"
	"\n"
	"Prints the valid versions that satisfy every range, lowest first, one a line.\n"
	"Exit status 1 if there is none.\n"
	"\n"
	"  -r, --range=RANGE          a range to satisfy; may be given more than once\n"
	"  -l, --loose                forgive leading zeros, missing hyphens and the like\n"
	"  -p, --include-prerelease   treat prereleases as ordinary versions\n"
	"      --batch                read lines of VERSION, a tab, RANGE;\n"
	"                             print 1 (satisfies) or 0 for each\n";

static int fail(const char *what)
{
	(void)fprintf(stderr, "dx semver: %s\n", what);
	return CMD_FAILED;
}

static int misused(const char *what)
{
	(void)fprintf(stderr, "dx semver: %s; see `dx semver --help`\n", what);
	return CMD_USAGE;
}

struct options {
	unsigned flags;
	bool batch, help;
	const char **ranges; /* room for argc of them; the strings are argv's */
	unsigned range_count;
};

struct found {
	unsigned at; /* as given: the order of equal versions */
	struct semver v;
};

/* 0, or -1 after getopt's own message. */
static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "range", required_argument, NULL, 'r' },
		{ "loose", no_argument, NULL, 'l' },
		{ "include-prerelease", no_argument, NULL, 'p' },
		{ "batch", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "r:lph", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->ranges[o->range_count++] = optarg;
			break;
		case 'l':
			o->flags |= SEMVER_LOOSE;
			break;
		case 'p':
			o->flags |= SEMVER_PRERELEASE;
			break;
		case 'b':
			o->batch = true;
			break;
		case 'h':
			o->help = true;
			break;
		default:
			return -1;
		}
	}
	return 0;
}

static int batch(unsigned flags)
{
	auto_free char *line = NULL;
	size_t room = 0;
	ssize_t n;
	unsigned long number = 0, bad = 0;

	while ((n = getline(&line, &room, stdin)) >= 0) {
		const char *tab = memchr(line, '\t', (size_t)n);
		struct slice version, range;

		number++;
		if (n > 0 && line[n - 1] == '\n')
			n--;
		if (!tab) {
			bad = bad ? bad : number;
			(void)puts("0");
			continue;
		}
		version = (struct slice){ (uint8_t *)line, (size_t)(tab - line) };
		range = (struct slice){ (const uint8_t *)tab + 1, (size_t)(line + n - tab - 1) };
		(void)puts(semver_satisfies(version, range, flags) ? "1" : "0");
	}
	if (ferror(stdin)) {
		(void)fprintf(stderr, "dx semver: cannot read standard input: %s\n",
			      strerror(errno));
		return CMD_FAILED;
	}
	if (bad) {
		(void)fprintf(stderr, "dx semver: line %lu has no tab between version and range\n",
			      bad);
		return CMD_FAILED;
	}
	return CMD_OK;
}

static int by_precedence(const void *a, const void *b)
{
	const struct found *m = a, *n = b;
	int r = semver_cmp(&m->v, &n->v);

	return r ? r : (m->at > n->at) - (m->at < n->at);
}

static bool satisfies_all(const char *version, const struct options *o)
{
	for (unsigned i = 0; i < o->range_count; i++) {
		if (!semver_satisfies(slice_str(version), slice_str(o->ranges[i]), o->flags))
			return false;
	}
	return true;
}

static int filter(const struct options *o, int argc, char **argv)
{
	auto_free struct found *found = calloc((size_t)argc, sizeof *found);
	char text[SEMVER_TEXT_MAX];
	unsigned count = 0;

	if (!found)
		return fail("out of memory");
	for (int i = 0; i < argc; i++) {
		struct found *f = &found[count];

		if (semver_parse(&f->v, slice_str(argv[i]), o->flags) < 0 ||
		    !satisfies_all(argv[i], o))
			continue;
		f->at = count++;
	}
	qsort(found, count, sizeof *found, by_precedence);
	for (unsigned i = 0; i < count; i++) {
		(void)semver_format(&found[i].v, text);
		(void)puts(text);
	}
	return count > 0 ? CMD_OK : CMD_FAILED;
}

int cmd_semver(int argc, char **argv)
{
	auto_free const char **ranges = calloc((size_t)argc, sizeof *ranges);
	struct options o = { .ranges = ranges };

	if (!ranges)
		return fail("out of memory");
	if (read_options(&o, argc, argv) < 0)
		return CMD_USAGE;
	if (o.help) {
		(void)fputs(usage, stdout);
		return CMD_OK;
	}
	if (o.batch && (optind < argc || o.range_count > 0))
		return misused("--batch reads versions and ranges from standard input");
	if (o.batch)
		return batch(o.flags);
	if (optind == argc)
		return misused("no VERSION given");
	return filter(&o, argc - optind, argv + optind);
}
