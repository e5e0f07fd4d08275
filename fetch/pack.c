#include "fetch/pack.h"

#include "core/file.h"
#include "fetch/child.h"
#include "fetch/url.h"

#include <dirent.h>
#include <stdio.h>
#include <strings.h>

#define OUTPUT_MAX 65536 /* bytes of npm's talk that are kept for the sentence */

static void remove_folder(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && (de = readdir(d)))
		(void)unlinkat(dirfd(d), de->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

/* In the environment, what a repository's own .npmrc shall not decide: npm runs itself anew in the
 * clone of one that wants preparing, and there takes even the program for git from that file. */
static int environment(const char ***ret)
{
	static const char git[] = "npm_config_git=git",
			  scripts[] = "npm_config_ignore_scripts=true";
	const char *set[] = { scripts, git, NULL };

	for (size_t i = 0; environ[i]; i++) {
		if (strncasecmp(environ[i], git, strcspn(git, "=") + 1) == 0)
			set[1] = environ[i];
	}
	return child_env(ret, set, true);
}

/* Says a line of npm's more than where its log is and which number the error has? What may hold
 * a URL with credentials says nothing either. */
static bool tells(const char *line)
{
	static const char *const dull[] = { "code ",  "command ", "syscall ",       "path ",
					    "errno ", "dest ",    "A complete log", "Log files" };
	const char *url = strstr(line, "://");

	for (size_t i = 0; i < ARRAY_LEN(dull); i++)
		if (strncmp(line, dull[i], strlen(dull[i])) == 0)
			return false;
	return *line && !(url && strchr(url, '@'));
}

/* The lines that tell something, in one. */
static void summary(struct buf *said, char *ret, size_t n)
{
	static const char prefix[] = "npm error";
	char *text, *rest, *line;
	size_t len = 0;

	buf_add(said, "", 1);
	ret[0] = '\0';
	text = rest = said->data ? (char *)said->data : NULL;
	if (text)
		text[said->len - 1] = '\0';
	while (text && (line = strsep(&rest, "\r\n")) && len < n - 1) {
		if (strncmp(line, prefix, sizeof prefix - 1) == 0)
			line += sizeof prefix - 1;
		line += strspn(line, " ");
		if (tells(line))
			len += (size_t)snprintf(ret + len, n - len, "%s%s", len ? "; " : "", line);
	}
}

static int run(const char *spec, const char *dir, const _Atomic bool *stop, struct err *e)
{
	const char *const argv[] = {
		"npm", "pack", "--ignore-scripts", "--loglevel=error", "--no-workspaces", "--",
		spec,  NULL
	};
	auto_buf struct buf said = BUF_INIT(OUTPUT_MAX);
	struct child npm = { .argv = argv,
			     .dir = dir,
			     .dir_max = PACK_TARBALL_MAX,
			     .timeout_ms = PACK_TIMEOUT_MS,
			     .stop = stop,
			     .out = &said,
			     .said = &said };
	char shown[URL_SHOWN_MAX], line[160];
	auto_free const char **env = NULL;
	int r = environment(&env);

	url_shown(spec, shown);
	npm.env = env;
	if (r == 0)
		r = child_run(&npm);
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		return err_set(e, -EOPNOTSUPP, "%s: needs npm, which $PATH does not find", shown);
	summary(&said, line, sizeof line);
	return err_set(e, r, "npm pack %s: %s", shown,
		       r == -EREMOTEIO   ? line
		       : r == -ETIMEDOUT ? "took too long"
		       : r == -ECANCELED ? "cancelled"
		       : r == -EFBIG     ? "more than can be true"
		       : r == -EINTR     ? "stopped"
					 : strerror(-r));
}

static int read_tarball(char **ret, size_t *ret_len, const char *dir, struct err *e)
{
	int r = err_set(e, -EREMOTEIO, "npm pack left no tarball");
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && r == -EREMOTEIO && (de = readdir(d))) {
		size_t n = strlen(de->d_name);

		if (n > 4 && strcmp(de->d_name + n - 4, ".tgz") == 0)
			r = file_read_all(dirfd(d), de->d_name, PACK_TARBALL_MAX, ret, ret_len, e);
	}
	if (d)
		(void)closedir(d);
	return r;
}

int pack(char **ret, size_t *ret_len, const char *spec, const char *tmp_dir,
	 const _Atomic bool *stop, struct err *e)
{
	auto_free char *dir = NULL;
	int r;

	if (spec[0] == '-' || spec[0] == '\0')
		return err_set(e, -EINVAL, "not something to pack: %.100s", spec);
	if (asprintf(&dir, "%s/dx-pack-XXXXXX", tmp_dir ? tmp_dir : "/tmp") < 0) {
		dir = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	child_enter();
	if (!mkdtemp(dir)) {
		r = err_set(e, -errno, "a folder %s: %s", dir, strerror(errno));
	} else {
		r = run(spec, dir, stop, e);
		if (r == 0)
			r = read_tarball(ret, ret_len, dir, e);
		remove_folder(dir);
	}
	child_leave();
	return r;
}
