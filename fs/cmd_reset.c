#include "fs/built.h"
#include "fs/cmd.h"
#include "fs/cmd_upper.h"
#include "fs/cmd_view.h"
#include "fs/ctl.h"
#include "fs/upper_care.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#define RESET_WAIT_MS 600000 /* a cache may have a million files to delete */

static const char usage[] =
	"usage: dxfs reset [--upper=DIR] DIR [PATH]\n"
	"      --upper=DIR   what it was mounted with, if nothing is mounted\n"
	"Takes back what was written into the mount DIR: at PATH (seen from the current folder,\n"
	"as node_modules/foo) and below it, else everything, also what is set aside. Install\n"
	"scripts that ran there run again with `dx rebuild`.\n";

/* Resolves "." and ".." by the text alone: what PATH names may have been removed. -EINVAL: it
 * leads out of the root. */
static int clean(char *path)
{
	char *out = path, *in = path, *part;

	while ((part = strsep(&in, "/"))) {
		size_t n = strlen(part);

		if (n == 0 || strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			if (out == path)
				return -EINVAL;
			while (out > path && *--out != '/')
				;
			continue;
		}
		*out++ = '/';
		memmove(out, part, n);
		out += n;
	}
	*out = '\0';
	return 0;
}

/* Relative to the project. */
static int project_path(const struct cmd_upper *at, const char *given, char **ret, struct err *e)
{
	size_t len = strlen(at->project_dir);
	auto_free char *path = NULL;
	char *real;
	int r;

	/* The folder that it is in may have a symbolic link above it. */
	real = realpath(given[0] == '/' ? "/" : ".", NULL);
	if (!real)
		return err_set(e, -errno, "the current folder: %s", strerror(errno));
	/* A '/' in front, so that clean() has room for one before each part. */
	r = asprintf(&path, "/%s/%s", real, given);
	free(real);
	if (r < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (clean(path) == 0 && strncmp(path, at->project_dir, len) == 0 && path[len] == '/') {
		*ret = strdup(path + len + 1);
		return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	return err_set(e, -EINVAL, "%.120s is not in %s", given, at->project_dir);
}

static int reset_live(const struct cmd_upper *at, const char *path, uint64_t *count, struct err *e)
{
	auto_free char *request = NULL, *answer = NULL;
	int r;

	if (asprintf(&request, "reset%s%s", path ? " " : "", path ? path : "") < 0) {
		request = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (strchr(request, '\n') || strlen(request) >= CTL_REQUEST_MAX)
		return err_set(e, -EINVAL,
			       "such a path can only be reset with the folder it is in");
	r = ctl_ask(at->state.dirfd, request, RESET_WAIT_MS, &answer, e);
	if (r == 0)
		*count = strtoull(answer, NULL, 10);
	return r;
}

static int reset_offline(const struct cmd_upper *at, const char *path, uint64_t *count,
			 struct err *e)
{
	const struct cmd_project_options po = { .dir = at->project_dir };
	const struct store_options so = { 0 };
	auto_cmd_view struct cmd_view view = CMD_VIEW_INIT;
	struct upper_config c = {
		.dir = at->upper,
		.project_dir = at->project_dir,
		.uid = geteuid(),
		.gid = getegid(),
	};
	struct upper *u = NULL;
	int r = 0;

	/* Which version of a package stands there decides only where one is named. */
	if (path)
		r = cmd_view_open(&view, &po, &so, &at->state, false, e);
	if (r == 0)
		r = upper_open(&u, &c, NULL, e);
	if (r == 0)
		r = upper_reset(u, view.view, path, NULL, NULL, count, e);
	upper_close(u);
	return r;
}

static int run(const char *dir, const char *path, const char *upper, struct err *e)
{
	auto_cmd_upper struct cmd_upper at = CMD_UPPER_INIT;
	auto_free char *inside = NULL;
	uint64_t count = 0;
	int r = cmd_upper_find(&at, dir, upper, e);

	if (r == 0 && path)
		r = project_path(&at, path, &inside, e);
	/* First, for a script that ran and is forgotten runs once more; the other way round its
	 * work would be missing. */
	if (r == 0)
		r = built_forget(at.upper, inside, e);
	if (r == 0)
		r = at.live ? reset_live(&at, inside, &count, e)
			    : reset_offline(&at, inside, &count, e);
	if (r == 0)
		(void)printf("%" PRIu64 " change%s taken back\n", count, plural(count));
	return r;
}

int cmd_reset(int argc, char **argv)
{
	const char *upper = NULL;
	const struct cmd_option options[] = { { "upper", .value = &upper }, { 0 } };
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 1, 2);

	if (rc >= 0)
		return rc;
	return cmd_end("dxfs reset",
		       run(argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, upper, &e),
		       &e);
}
