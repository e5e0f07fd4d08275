/* opfuzz - see opfuzz.h.
 *
 * usage: opfuzz [--seed=N] [--sequences=N] [--ops=N] [--per-round=N] [--shrink=SECONDS]
 *               [--kills=N --victim=FILE] --between=COMMAND A B
 * A is the tree in question, B a plain copy of it. COMMAND is run by sh with one word more:
 *   fresh    make both trees as they were at first
 *   again    unmount A and mount it
 * Each round starts fresh, runs --per-round (10) sequences of --ops (30) operations, compares the
 * trees after each, and again after `again`. The first difference ends the run: the operations
 * are made as few as possible and printed, with both answers. Without --seed a new one is taken;
 * it is always printed.
 *
 * With --kills A must be a mount: the process whose number is in FILE (`fresh` and `again` write
 * it) is killed N times, each time a random while after the start of a sequence. When A answers no
 * more, it is mounted again, and must be what B is before the operation that got no answer, or what
 * B is after it: every operation happened or did not. Left out are shared mappings, for what was
 * written into one has no moment at which it happens, and list-while, which is several operations;
 * and writes are small, for a write that is killed may stop between two pages, on any file system.
 *
 * Exit status 0 alike, 1 different, 2 usage or the command failed. */
#include "opfuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fuzz {
	const char *between, *victim, *path[2];
	struct side side[2]; /* A, B */
	unsigned long sequences, ops, per_round, shrink_s, kills;
	uint64_t seed;
	struct paths tree, kept;
	ino_t *first_ino; /* of each name in tree, on side B, in this round */
	bool quiet;
	FILE *report; /* of a difference */
};

/* Ends the program if it fails: nothing that follows would mean anything. */
static void between(const struct fuzz *z, const char *word)
{
	int status = -1;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		char *command;

		(void)umask(022); /* what an operation changed is not the command's */
		if (asprintf(&command, "%s %s", z->between, word) > 0)
			(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
		fprintf(stderr, "opfuzz: %s %s failed\n", z->between, word);
		exit(2);
	}
}

static void open_sides(struct fuzz *z)
{
	static const char *const names[] = { "A", "B" };

	for (int i = 0; i < 2; i++) {
		if (side_open(&z->side[i], names[i], z->path[i]) < 0) {
			fprintf(stderr, "opfuzz: %s: %s\n", z->path[i], strerror(errno));
			exit(2);
		}
	}
}

static void close_sides(struct fuzz *z)
{
	side_close(&z->side[0]);
	side_close(&z->side[1]);
}

/* ---- what may differ ---- */

/* A directory that came with a package, or that such a directory's names are merged into, is not
 * renamed (EXDEV, as with overlayfs); one that was made is. B's numbers tell which is which. */
static bool old_directory(const struct fuzz *z, const char *path)
{
	struct stat st;

	if (fstatat(z->side[1].root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return false;
	for (size_t i = 0; i < z->tree.count; i++)
		if (z->first_ino[i] == st.st_ino)
			return true;
	return false;
}

static void note_first(struct fuzz *z)
{
	z->first_ino = realloc(z->first_ino, (z->tree.count + 1) * sizeof *z->first_ino);
	if (!z->first_ino)
		abort();
	for (size_t i = 0; i < z->tree.count; i++) {
		struct stat st = { 0 };

		(void)fstatat(z->side[1].root, z->tree.list[i], &st, AT_SYMLINK_NOFOLLOW);
		z->first_ino[i] = st.st_ino;
	}
}

static bool may_differ(const struct fuzz *z, const struct op *o, const char *a)
{
	return o->kind == OP_RENAME && strncmp(a, "EXDEV;", 6) == 0 &&
	       (old_directory(z, o->path) || (o->x & 2 && old_directory(z, o->path2)));
}

/* ---- running ---- */

/* 0 alike, 1 different. */
static int run_op(struct fuzz *z, const struct op *o)
{
	static char answer[2][LINE_MAX];

	op_run(&z->side[0], o, answer[0]);
	if (may_differ(z, o, answer[0]))
		return 0;
	op_run(&z->side[1], o, answer[1]);
	if (strcmp(answer[0], answer[1]) == 0)
		return 0;
	if (!z->quiet) {
		fputs("different answers to: ", z->report);
		op_print(z->report, o);
		fprintf(z->report, "  A: %s\n  B: %s\n", answer[0], answer[1]);
	}
	return 1;
}

static int compare_trees(const struct fuzz *z, const char *when)
{
	char *a = tree_list(z->side[0].root, false), *b = tree_list(z->side[1].root, false);
	int r = !a || !b || strcmp(a, b) != 0;

	if (r && !z->quiet) {
		fprintf(z->report, "the trees differ %s:\n", when);
		if (a && b && tree_differences(z->report, "A", a, "B", b) == 0)
			fputs("  in the order of their names\n", z->report);
	}
	free(a);
	free(b);
	return r;
}

/* Unmounts and mounts: the same tree, and A's times too. */
static int compare_again(struct fuzz *z)
{
	char *before, *after;
	int r;

	side_release_slots(&z->side[0]);
	side_release_slots(&z->side[1]);
	before = tree_list(z->side[0].root, true);
	close_sides(z);
	between(z, "again");
	open_sides(z);
	r = compare_trees(z, "after unmount and mount");
	after = tree_list(z->side[0].root, true);
	if (r == 0 && (!before || !after || strcmp(before, after) != 0)) {
		r = 1;
		if (!z->quiet) {
			fputs("A is another after unmount and mount:\n", z->report);
			if (before && after)
				(void)tree_differences(z->report, "A before", before, "A after",
						       after);
		}
	}
	free(before);
	free(after);
	return r;
}

static void start_fresh(struct fuzz *z)
{
	(void)umask(022);
	close_sides(z);
	between(z, "fresh");
	open_sides(z);
	note_first(z);
}

/* One list, from a fresh tree: compared after each sequence's worth of operations and at the end,
 * and after a new mount if `again`. How many operations were run goes to *ret_done. */
static int run_list_of(struct fuzz *z, const struct op *ops, size_t count, bool again,
		       size_t *ret_done)
{
	size_t i;
	int r = 0;

	start_fresh(z);
	for (i = 0; r == 0 && i < count; i++) {
		r = run_op(z, &ops[i]);
		if (r == 0 && ((i + 1) % z->ops == 0 || i + 1 == count))
			r = compare_trees(z, "after these operations");
		/* Files stay open over some sequences. */
		if ((i + 1) % (z->ops * 2) == 0) {
			side_release_slots(&z->side[0]);
			side_release_slots(&z->side[1]);
		}
	}
	*ret_done = i;
	if (r == 0 && again)
		r = compare_again(z);
	side_release_slots(&z->side[0]);
	side_release_slots(&z->side[1]);
	return r;
}

/* ---- making a failure small ---- */

/* Leaves out ever smaller pieces as long as what is left fails; gives up after shrink_s. */
static size_t shrink(struct fuzz *z, struct op *ops, size_t count, bool again)
{
	struct op *less = calloc(count, sizeof *less);
	time_t end = time(NULL) + (time_t)z->shrink_s;
	size_t done;

	if (!less)
		abort();
	z->quiet = true;
	for (size_t piece = (count + 1) / 2; piece > 0 && time(NULL) < end; piece /= 2) {
		for (size_t at = count; at > 0 && time(NULL) < end;) {
			size_t n = at < piece ? at : piece, kept = count - n;

			at -= n;
			memcpy(less, ops, at * sizeof *ops);
			memcpy(less + at, ops + at + n, (count - at - n) * sizeof *ops);
			if (run_list_of(z, less, kept, again, &done) == 0)
				continue;
			count = again ? kept : done;
			memcpy(ops, less, count * sizeof *ops);
			if (at > count)
				at = count;
		}
	}
	z->quiet = false;
	free(less);
	return count;
}

static void report_failure(struct fuzz *z, struct op *ops, size_t count, bool again,
			   const char *what)
{
	size_t done;

	z->quiet = true;
	if (run_list_of(z, ops, count, again, &done) == 0) {
		printf("these %zu operations do not fail a second time; the last of them:\n",
		       count);
		for (size_t i = count > 30 ? count - 30 : 0; i < count; i++)
			op_print(stdout, &ops[i]);
		fputs(what, stdout);
		return;
	}
	count = again ? count : done;
	count = shrink(z, ops, count, again);
	printf("%zu operations from a fresh tree%s:\n", count, again ? ", then a new mount" : "");
	for (size_t i = 0; i < count; i++)
		op_print(stdout, &ops[i]);
	puts("which gives:");
	if (run_list_of(z, ops, count, again, &done) == 0)
		puts("  nothing, this time");
}

static int run_round(struct fuzz *z, struct gen *g, struct op *ops, unsigned long sequences)
{
	size_t count = sequences * z->ops, done, len = 0;
	char *what = NULL;
	bool again = false;
	int r;

	for (unsigned long i = 0; i < sequences; i++)
		gen_sequence(g, ops + i * z->ops, z->ops);
	z->report = open_memstream(&what, &len);
	if (!z->report)
		abort();
	r = run_list_of(z, ops, count, false, &done);
	if (r == 0) {
		again = true;
		r = compare_again(z);
	}
	(void)fclose(z->report);
	z->report = stdout;
	if (r) {
		fputs(what, stdout);
		report_failure(z, ops, again ? count : done, again, what);
	}
	free(what);
	return r;
}

static int run_all(struct fuzz *z)
{
	struct gen g = { .random = z->seed, .kept = &z->kept, .tree = &z->tree };
	struct op *ops = calloc(z->per_round * z->ops, sizeof *ops);
	int r = 0;

	if (!ops)
		abort();
	for (unsigned long done = 0; r == 0 && done < z->sequences;) {
		unsigned long n = z->sequences - done;

		if (n > z->per_round)
			n = z->per_round;
		r = run_round(z, &g, ops, n);
		done += n;
		if (r == 0)
			paths_release(&z->kept);
		else
			printf("in the round that ends with sequence %lu\n", done);
	}
	free(ops);
	return r;
}

/* ---- killing ---- */

static pid_t victim(const struct fuzz *z)
{
	FILE *f = fopen(z->victim, "re");
	int pid = 0;

	if (!f || fscanf(f, "%d", &pid) != 1 || pid <= 1) {
		fprintf(stderr, "opfuzz: no process in %s\n", z->victim);
		exit(2);
	}
	(void)fclose(f);
	return pid;
}

/* A process that kills after some microseconds; the caller waits for it. */
static pid_t start_killer(const struct fuzz *z, uint64_t us)
{
	pid_t target = victim(z), killer = fork();
	struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	if (killer == 0) {
		(void)nanosleep(&ts, NULL);
		(void)kill(target, SIGKILL);
		_exit(0);
	}
	if (killer < 0)
		abort();
	return killer;
}

static bool died(const char *answer)
{
	return strncmp(answer, "ENOTCONN", 8) == 0 || strncmp(answer, "ECONNABORTED", 12) == 0;
}

/* Names and attributes are cached; this is asked each time. */
static bool alive(const struct fuzz *z)
{
	struct statfs st;

	return fstatfs(z->side[0].root, &st) == 0;
}

/* Runs until A dies; the operation that it died in or after was not run on B and is *ret_last.
 * 0, or 1 if the answers differed before. */
static int run_until_death(struct fuzz *z, struct gen *g, struct op *ops, struct op *ret_last)
{
	static char a[LINE_MAX], b[LINE_MAX];

	z->side[0].no_times = z->side[1].no_times = true;
	for (;;) {
		gen_sequence(g, ops, z->ops);
		for (size_t i = 0; i < z->ops; i++) {
			*ret_last = ops[i];
			op_run(&z->side[0], &ops[i], a);
			if (died(a) || !alive(z))
				return 0;
			if (may_differ(z, &ops[i], a))
				continue;
			op_run(&z->side[1], &ops[i], b);
			if (strcmp(a, b) != 0) {
				printf("different answers to: ");
				op_print(stdout, &ops[i]);
				printf("  A: %s\n  B: %s\n", a, b);
				return 1;
			}
		}
	}
}

/* `last` needs B's open files as they were; only then may they be closed. */
static int compare_after_death(struct fuzz *z, const struct op *last)
{
	static char b[LINE_MAX];
	bool was;

	side_close(&z->side[0]);
	between(z, "again");
	if (side_open(&z->side[0], "A", z->path[0]) < 0) {
		printf("after the kill: %s: %s\n", z->path[0], strerror(errno));
		return 1;
	}
	z->quiet = true;
	was = compare_trees(z, "") == 0;
	z->quiet = false;
	if (was) {
		side_release_slots(&z->side[1]);
		return 0;
	}
	op_run(&z->side[1], last, b);
	side_release_slots(&z->side[1]);
	z->quiet = true;
	was = compare_trees(z, "") == 0;
	z->quiet = false;
	if (was)
		return 0;
	printf("killed in: ");
	op_print(stdout, last);
	return compare_trees(z, "from before and after that operation; from after it");
}

static int run_kills(struct fuzz *z)
{
	struct gen g = { .random = z->seed, .kept = &z->kept, .tree = &z->tree, .for_kills = true };
	struct op *ops = calloc(z->ops, sizeof *ops), last;
	int r = 0;

	if (!ops)
		abort();
	for (unsigned long i = 0; r == 0 && i < z->kills; i++) {
		pid_t killer;

		if (i % z->per_round == 0)
			start_fresh(z);
		/* Mostly soon, while the first copies are made. */
		killer = start_killer(z, gen_next(&g.random) % (i % 4 ? 20000 : 200000));
		r = run_until_death(z, &g, ops, &last);
		(void)waitpid(killer, NULL, 0);
		if (r == 0)
			r = compare_after_death(z, &last);
		paths_release(&z->kept);
		if (r)
			printf("in kill %lu\n", i + 1);
	}
	free(ops);
	return r;
}

static int usage(void)
{
	fputs("usage: opfuzz [--seed=N] [--sequences=N] [--ops=N] [--per-round=N] "
	      "[--shrink=SECONDS] [--kills=N --victim=FILE] --between=COMMAND A B\n",
	      stderr);
	return 2;
}

static int parse(struct fuzz *z, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "sequences", required_argument, NULL, 'n' },
		{ "ops", required_argument, NULL, 'o' },
		{ "per-round", required_argument, NULL, 'r' },
		{ "shrink", required_argument, NULL, 't' },
		{ "between", required_argument, NULL, 'b' },
		{ "kills", required_argument, NULL, 'k' },
		{ "victim", required_argument, NULL, 'v' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			z->seed = n;
			break;
		case 'n':
			z->sequences = n;
			break;
		case 'o':
			z->ops = n;
			break;
		case 'r':
			z->per_round = n;
			break;
		case 't':
			z->shrink_s = n;
			break;
		case 'b':
			z->between = optarg;
			break;
		case 'k':
			z->kills = n;
			break;
		case 'v':
			z->victim = optarg;
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 2 || !z->between || (z->kills && !z->victim) || z->ops == 0 ||
	    z->per_round == 0)
		return usage();
	z->path[0] = argv[optind];
	z->path[1] = argv[optind + 1];
	return 0;
}

int main(int argc, char **argv)
{
	struct fuzz z = {
		.sequences = 1000, .ops = 30, .per_round = 10, .shrink_s = 60, .report = stdout
	};
	struct timespec from, to;
	int r;

	if (getrandom(&z.seed, sizeof z.seed, 0) < 0)
		return 2;
	z.seed >>= 33; /* one that is easy to type */
	r = parse(&z, argc, argv);
	if (r)
		return r;
	printf("seed %llu\n", (unsigned long long)z.seed);
	(void)fflush(stdout);
	z.side[0].root = z.side[1].root = -1;
	for (int i = 0; i < SLOTS; i++)
		z.side[0].fd[i] = z.side[1].fd[i] = -1;
	start_fresh(&z);
	if (tree_paths(z.side[1].root, &z.tree) < 0 || z.tree.count == 0) {
		fprintf(stderr, "opfuzz: %s is empty or cannot be listed\n", z.path[1]);
		return 2;
	}
	note_first(&z);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	r = z.kills ? run_kills(&z) : run_all(&z);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	if (r == 0 && z.kills)
		printf("%lu kills, each operation whole or not at all\n", z.kills);
	else if (r == 0)
		printf("%lu sequences of %lu operations alike, %.1f s\n", z.sequences, z.ops,
		       (double)(to.tv_sec - from.tv_sec) +
			       (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	close_sides(&z);
	paths_release(&z.tree);
	paths_release(&z.kept);
	free(z.first_ino);
	return r;
}
