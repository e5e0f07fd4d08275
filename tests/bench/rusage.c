/* rusage FILE COMMAND... - what a program and all its children cost.
 *
 * Runs COMMAND and writes to FILE, as JSON: `wall_ms` until COMMAND itself ended, `user_ms` and
 * `sys_ms` of it and of all that it started, also what it left behind (which is waited for), and
 * `rss_kb`, the most that any one of these processes had in memory. Exit status: COMMAND's. */
#include "core/base.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static double ms(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static int report(const char *path, double wall_ms)
{
	struct rusage ru;
	FILE *out = fopen(path, "we");

	(void)getrusage(RUSAGE_CHILDREN, &ru);
	if (!out) {
		perror(path);
		return -1;
	}
	(void)fprintf(out, "{\"wall_ms\":%.3f,\"user_ms\":%.3f,\"sys_ms\":%.3f,\"rss_kb\":%ld}\n",
		      wall_ms, ms(ru.ru_utime), ms(ru.ru_stime), ru.ru_maxrss);
	return fclose(out);
}

int main(int argc, char **argv)
{
	struct timespec from, to = { 0 };
	int status = 0, its = 0;
	pid_t child, one;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: rusage FILE COMMAND...\n");
		return 2;
	}
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	child = fork();
	if (child == 0) {
		(void)execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	while ((one = wait(&status)) > 0 || (one < 0 && errno == EINTR)) {
		if (one != child)
			continue;
		its = status;
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
	}
	if (report(argv[1], (double)(to.tv_sec - from.tv_sec) * 1e3 +
				    (double)(to.tv_nsec - from.tv_nsec) / 1e6) < 0)
		return 1;
	return WIFEXITED(its) ? WEXITSTATUS(its) : 128 + WTERMSIG(its);
}
