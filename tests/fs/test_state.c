#include "core/file.h"
#include "fs/state.h"
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
	strcpy(dir, "/tmp/dxfs-state-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
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
