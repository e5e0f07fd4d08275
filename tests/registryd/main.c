/* test-registry - an npm registry on loopback, from a folder of tarballs, that misbehaves on
 * request. See serve.h for its URLs and fault.h for what it can do wrong. */
#include "core/file.h"
#include "tests/registryd/serve.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#define FAULTS_MAX 32

struct options {
	struct server_config server;
	const char *port_file, *faults[FAULTS_MAX];
	unsigned nfaults;
	bool background, bound;
};

static const char usage_text[] =
	"usage: test-registry --dir DIR [options]\n"
	"  --dir DIR         tarballs (*.tgz, at any depth) to serve\n"
	"  --port N          listen there (default: any free port of 127.0.0.1)\n"
	"  --port-file FILE  write the port there once it answers\n"
	"  --log FILE        write one line for each request there\n"
	"  --fault SPEC      key=value,... as in POST /-/fault; may be repeated\n"
	"  --background      return once it answers; prints: PID PORT OTHER-PORT\n"
	"  --bound           end when the process that started it ends\n";

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "dir", 1, NULL, 'd' },
					       { "port", 1, NULL, 'p' },
					       { "port-file", 1, NULL, 'f' },
					       { "log", 1, NULL, 'l' },
					       { "fault", 1, NULL, 'x' },
					       { "background", 0, NULL, 'b' },
					       { "bound", 0, NULL, 'B' },
					       { "help", 0, NULL, 'h' },
					       { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'd')
			o->server.dir = optarg;
		else if (c == 'p')
			o->server.port = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'f')
			o->port_file = optarg;
		else if (c == 'l')
			o->server.log_path = optarg;
		else if (c == 'x' && o->nfaults < FAULTS_MAX)
			o->faults[o->nfaults++] = optarg;
		else if (c == 'b')
			o->background = true;
		else if (c == 'B')
			o->bound = true;
		else
			return -EINVAL;
	}
	return o->server.dir && optind == argc ? 0 : -EINVAL;
}

/* Runs until SIGTERM or SIGINT. `ready` gets the line that says where it listens. */
static int serve(const struct options *o, int ready)
{
	struct server *s = NULL;
	struct err e = { 0 };
	char line[96];
	sigset_t ends;
	int sig, r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (o->bound)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	r = server_start(&s, &o->server, &e);
	for (unsigned i = 0; r == 0 && i < o->nfaults; i++)
		r = server_add_fault(s, o->faults[i], &e);
	if (r == 0 && o->port_file) {
		(void)snprintf(line, sizeof line, "%u\n", server_port(s));
		r = file_replace(o->port_file, line, strlen(line), 0644, &e);
	}
	if (r < 0) {
		fprintf(stderr, "test-registry: %s\n", e.msg[0] ? e.msg : strerror(-r));
		if (s)
			server_stop(s);
		return 1;
	}
	(void)snprintf(line, sizeof line, "%d %u %u\n", (int)getpid(), server_port(s),
		       server_other_port(s));
	r = file_write_all(ready, line, strlen(line));
	if (ready != STDOUT_FILENO)
		(void)close(ready);
	if (r == 0)
		sigwait(&ends, &sig);
	server_stop(s);
	return r < 0;
}

/* The child serves; the parent passes its line on and leaves. */
static int serve_in_background(const struct options *o)
{
	char line[96];
	ssize_t n;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return 1;
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)close(fds[0]);
		(void)setsid();
		if (null >= 0) {
			(void)dup2(null, STDIN_FILENO);
			(void)dup2(null, STDOUT_FILENO);
		}
		return serve(o, fds[1]);
	}
	(void)close(fds[1]);
	n = read(fds[0], line, sizeof line);
	return n <= 0 || file_write_all(STDOUT_FILENO, line, (size_t)n) < 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };

	if (parse_options(argc, argv, &o) < 0) {
		(void)fputs(usage_text, stderr);
		return 2;
	}
	return o.background ? serve_in_background(&o) : serve(&o, STDOUT_FILENO);
}
