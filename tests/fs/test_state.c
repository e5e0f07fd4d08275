#include "core/file.h"
#include "fs/state.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64], *old_home;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void setup(void)
{
	const char *had = getenv("XDG_STATE_HOME");

	old_home = had ? strdup(had) : NULL;
	test_dir(dir, sizeof dir);
	cr_assert_eq(setenv("XDG_STATE_HOME", dir, 1), 0);
}

static void teardown(void)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (old_home)
		(void)setenv("XDG_STATE_HOME", old_home, 1);
	else
		(void)unsetenv("XDG_STATE_HOME");
	free(take(&old_home));
}

Test(state, a_place_finds_its_state_again, .init = setup, .fini = teardown)
{
	struct state a = STATE_INIT, b = STATE_INIT;
	struct err e = { 0 };

	cr_assert_eq(state_open(&a, "/tmp/node_modules", false, &e), -ENOENT);
	cr_assert_eq(state_open(&a, "/tmp/node_modules", true, &e), 0);
	cr_assert_eq(state_open(&b, "/tmp/../tmp/node_modules/", false, &e), 0);
	cr_assert_str_eq(a.dir, b.dir);
	state_release(&a);
	state_release(&b);
}

Test(state, another_places_state_is_not_taken, .init = setup, .fini = teardown)
{
	struct state a = STATE_INIT, b = STATE_INIT;
	auto_free char *file = NULL;
	struct err e = { 0 };

	cr_assert_eq(state_open(&a, "/tmp/node_modules", true, &e), 0);
	file = state_path(&a, "mountpoint");
	cr_assert_eq(file_replace(file, "/srv/node_modules\n", 18, 0600, NULL), 0);
	cr_expect_eq(state_open(&b, "/tmp/node_modules", true, &e), -EEXIST);
	cr_expect(strstr(e.msg, "/srv/node_modules"));
	cr_expect(b.dirfd == -1);
	cr_assert_eq(chmod(a.dir, 0770), 0);
	cr_expect_eq(state_open(&b, "/tmp/node_modules", false, &e), -EPERM);
	state_release(&a);
}

/* A state folder of a project that is gone; `name` NULL: as it is called. The caller frees. */
static char *gone_state(const char *project, const char *name)
{
	auto_free char *mountpoint = NULL, *folder = NULL, *moved = NULL;
	struct state s = STATE_INIT;
	struct err e = { 0 };

	cr_assert_eq(mkdir(project, 0755), 0);
	cr_assert(asprintf(&mountpoint, "%s/node_modules", project) > 0);
	cr_assert_eq(state_open(&s, mountpoint, true, &e), 0);
	folder = strdup(s.dir);
	state_release(&s);
	cr_assert_eq(rmdir(project), 0);
	if (!name)
		return take(&folder);
	cr_assert(asprintf(&moved, "%s/dxfs/%s", getenv("XDG_STATE_HOME"), name) > 0);
	cr_assert_eq(rename(folder, moved), 0);
	return take(&moved);
}

static void expect_tidied(const char *folder, bool goes)
{
	state_tidy();
	cr_expect(goes == (access(folder, F_OK) < 0), "%s", folder);
}

Test(state, of_projects_that_are_gone_it_goes, .init = setup, .fini = teardown)
{
	char project[128];
	auto_free char *plain = NULL, *aside = NULL, *file = NULL;

	(void)snprintf(project, sizeof project, "%s/p", dir);
	plain = gone_state(project, NULL);
	expect_tidied(plain, true);
	aside = gone_state(project, NULL);
	cr_assert(asprintf(&file, "%s/upper.aside-1", aside) > 0);
	cr_assert_eq(mkdir(file, 0700), 0);
	expect_tidied(aside, false);
}

Test(state, what_is_set_aside_is_found_wherever_it_is, .init = setup, .fini = teardown)
{
	auto_free char *home = NULL, *aside = NULL, *file = NULL;
	char project[128];

	(void)snprintf(project, sizeof project, "%s/p", dir);
	cr_assert(asprintf(&home, "%s/[x]*?", dir) > 0);
	cr_assert_eq(mkdir(home, 0700), 0);
	cr_assert_eq(setenv("XDG_STATE_HOME", home, 1), 0);
	aside = gone_state(project, NULL);
	cr_assert(asprintf(&file, "%s/upper.aside-1", aside) > 0);
	cr_assert_eq(mkdir(file, 0700), 0);
	expect_tidied(aside, false);
}

Test(state, what_is_not_ours_stays, .init = setup, .fini = teardown)
{
	auto_free char *named = NULL, *open = NULL, *base = NULL;
	char project[128];

	(void)snprintf(project, sizeof project, "%s/p", dir);
	named = gone_state(project, "my-notes-of-1999");
	expect_tidied(named, false);
	open = gone_state(project, NULL);
	cr_assert_eq(chmod(open, 0777), 0);
	expect_tidied(open, false);
	cr_assert_eq(chmod(open, 0700), 0);
	cr_assert(asprintf(&base, "%s/dxfs", dir) > 0);
	cr_assert_eq(chmod(base, 0777), 0);
	expect_tidied(open, false);
	cr_assert_eq(chmod(base, 0700), 0);
	expect_tidied(open, true);
}
