#include "fs/pins.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <stdio.h>

static char dir[64];

static void make_dir(void)
{
	test_dir(dir, sizeof dir);
}

static void remove_dir(void)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/pins", dir);
	(void)unlink(path);
	cr_assert_eq(rmdir(dir), 0);
}

static struct digest some(enum digest_alg alg, const char *text)
{
	struct digest d = { 0 };

	cr_assert_eq(digest_of(&d, DIGEST_SHA512, text, strlen(text)), 0);
	d.alg = (uint8_t)alg;
	return d;
}

Test(pins, the_first_content_is_kept_over_restarts_and_another_is_refused, .init = make_dir,
     .fini = remove_dir)
{
	struct digest key = some(DIGEST_UNPINNED, "a"), other = some(DIGEST_UNPINNED, "b");
	struct digest first = some(DIGEST_SHA512, "first"), second = some(DIGEST_SHA512, "second");
	struct pins *p = NULL;
	struct err e = { 0 };

	cr_assert_eq(pins_open(&p, dir, NULL), 0);
	cr_assert_eq(pins_check(p, &key, &first, NULL), 0);
	cr_assert_eq(pins_check(p, &key, &first, NULL), 0);
	cr_assert_eq(pins_check(p, &key, &second, &e), -EKEYREJECTED);
	cr_assert(strstr(e.msg, "delete") != NULL);
	pins_close(p);

	cr_assert_eq(pins_open(&p, dir, NULL), 0);
	cr_assert_eq(pins_check(p, &key, &second, NULL), -EKEYREJECTED);
	cr_assert_eq(pins_check(p, &other, &second, NULL), 0);
	pins_close(p);
}
