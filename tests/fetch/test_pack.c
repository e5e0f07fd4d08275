#include "core/file.h"
#include "fetch/pack.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

/* A folder whose `npm` is a script of the test's, alone on $PATH. */
static char dir[64], *old_path;

static void npm_is(const char *script)
{
	char text[512], path[128];

	test_dir(dir, sizeof dir);
	(void)snprintf(path, sizeof path, "%s/npm", dir);
	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
	cr_assert_eq(file_replace(path, text, strlen(text), 0755, NULL), 0);
	old_path = strdup(getenv("PATH"));
	cr_assert_eq(setenv("PATH", dir, 1), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Nothing is left in the folder but npm. */
static void end(void)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/npm", dir);
	(void)unlink(path);
	cr_expect_eq(rmdir(dir), 0);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)setenv("PATH", old_path, 1);
	free(take(&old_path));
}

Test(pack, gives_the_tarball_that_npm_made_of_exactly_this_spec)
{
	auto_free char *bytes = NULL;
	size_t len = 0;

	npm_is("printf '%s,' \"$@\" >x-1.0.0.tgz; echo x-1.0.0.tgz");
	cr_assert_eq(pack(&bytes, &len, "git+ssh://h.test/r.git#a;b $(c)", dir, NULL, NULL), 0);
	cr_assert_str_eq(bytes, "pack,--ignore-scripts,--loglevel=error,--no-workspaces,--,"
				"git+ssh://h.test/r.git#a;b $(c),");
	cr_assert_eq(len, strlen(bytes));
	end();
}

/* The repository's own .npmrc is weaker than these, also for the npm that npm runs in it. */
Test(pack, neither_scripts_nor_git_are_the_repositorys_to_choose)
{
	auto_free char *bytes = NULL, *again = NULL;
	size_t len = 0;

	npm_is("echo $npm_config_git $npm_config_ignore_scripts >x-1.0.0.tgz");
	(void)setenv("npm_config_ignore_scripts", "false", 1);
	cr_assert_eq(pack(&bytes, &len, "x", dir, NULL, NULL), 0);
	cr_assert_str_eq(bytes, "git true\n");
	(void)setenv("npm_config_git", "/opt/git", 1);
	cr_assert_eq(pack(&again, &len, "x", dir, NULL, NULL), 0);
	cr_assert_str_eq(again, "/opt/git true\n");
	(void)unsetenv("npm_config_git");
	(void)unsetenv("npm_config_ignore_scripts");
	end();
}

Test(pack, a_failure_says_what_npm_said)
{
	struct err e = { 0 };
	char *bytes = NULL;
	size_t len;

	npm_is("echo npm error code 128; echo npm error no such repository >&2;"
	       "echo 'fatal: https://u:secret@h.test/'; echo; exit 1");
	cr_assert_eq(pack(&bytes, &len, "https://u:secret@h.test/r", dir, NULL, &e), -EREMOTEIO);
	cr_assert(strstr(e.msg, "no such repository") && !strstr(e.msg, "secret") &&
		  !strstr(e.msg, "128"));
	end();

	npm_is("exit 0");
	cr_assert_eq(pack(&bytes, &len, "x", dir, NULL, &e), -EREMOTEIO);
	cr_assert(strstr(e.msg, "no tarball") != NULL);
	end();
}

Test(pack, without_npm_it_says_so)
{
	struct err e = { 0 };
	char *bytes = NULL;
	size_t len;

	npm_is("");
	(void)setenv("PATH", "/nowhere", 1);
	cr_assert_eq(pack(&bytes, &len, "x", dir, NULL, &e), -EOPNOTSUPP);
	cr_assert(strstr(e.msg, "npm") != NULL);
	cr_assert_eq(pack(&bytes, &len, "--help", dir, NULL, &e), -EINVAL);
	end();
}

Test(pack, stopping_ends_npm_and_what_it_started)
{
	static const _Atomic bool stop = true;
	struct err e = { 0 };
	char *bytes = NULL;
	size_t len;

	npm_is("while :; do :; done");
	cr_assert_eq(pack(&bytes, &len, "x", dir, &stop, &e), -ECANCELED);
	end();
}
