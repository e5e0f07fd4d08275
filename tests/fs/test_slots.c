#include "core/file.h"
#include "fs/slots.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64];

static void make_dir(void)
{
	test_dir(dir, sizeof dir);
}

static void remove_dir(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/slots", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static struct slots *open_table(void)
{
	struct slots *s = NULL;
	struct err e = { 0 };

	cr_assert_eq(slots_open(&s, dir, &e), 0);
	return s;
}

static struct slot_id number(struct slots *s, int key, int64_t now)
{
	struct slot_id id = { 0 };
	struct err e = { 0 };

	cr_assert_eq(slots_number(s, hash128(&key, sizeof key), now, &id, &e), 0);
	return id;
}

static void save(struct slots *s)
{
	struct err e = { 0 };

	cr_assert_eq(slots_save(s, &e), 0);
}

static void poke(off_t at, uint8_t byte)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/slots", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	cr_assert_eq(file_pwrite_all(fd, &byte, 1, at), 0);
	(void)close(fd);
}

static void cut(off_t size)
{
	char path[128];

	snprintf(path, sizeof path, "%s/slots", dir);
	cr_assert_eq(truncate(path, size), 0);
}

Test(slots, a_key_keeps_its_number_and_time_over_reopening, .init = make_dir, .fini = remove_dir)
{
	struct slots *s = open_table();

	cr_assert_eq(number(s, 7, 100).number, 1);
	cr_assert_eq(number(s, 8, 200).number, 2);
	cr_assert_eq(number(s, 7, 300).number, 1);
	save(s);
	slots_close(s);
	s = open_table();
	cr_assert_eq(slots_last(s), 2);
	cr_assert_eq(number(s, 9, 400).number, 3);
	cr_assert_eq(number(s, 8, 400).number, 2);
	cr_assert_eq(number(s, 8, 400).time_ns, 200);
	slots_close(s);
}

Test(slots, what_was_not_saved_is_given_anew, .init = make_dir, .fini = remove_dir)
{
	struct slots *s = open_table();

	cr_assert_eq(number(s, 1, 1).number, 1);
	slots_close(s);
	s = open_table();
	cr_assert_eq(slots_last(s), 0);
	slots_close(s);
}

Test(slots, many_keys_are_all_found_again, .init = make_dir, .fini = remove_dir)
{
	struct slots *s = open_table();

	for (int i = 0; i < 20000; i++) {
		cr_assert_eq(number(s, i, i).number, (uint32_t)i + 1);
		if (i == 9000)
			save(s);
	}
	save(s);
	slots_close(s);
	s = open_table();
	for (int i = 0; i < 20000; i++)
		cr_assert_eq(number(s, i, -1).time_ns, i);
	slots_close(s);
}

Test(slots, a_damaged_record_keeps_its_number_from_being_given_again, .init = make_dir,
     .fini = remove_dir)
{
	struct slots *s = open_table();

	for (int i = 0; i < 3; i++)
		(void)number(s, i, 5);
	save(s);
	slots_close(s);
	poke(32 + 32 + 20, 0xee); /* the time of record 2 */
	s = open_table();
	cr_assert_eq(number(s, 0, 9).number, 1);
	cr_assert_eq(number(s, 2, 9).number, 3);
	cr_assert_eq(number(s, 1, 9).number, 4);
	cr_assert_eq(number(s, 1, 10).time_ns, 9);
	slots_close(s);
}

Test(slots, a_torn_last_record_keeps_its_number_too, .init = make_dir, .fini = remove_dir)
{
	struct slots *s = open_table();

	(void)number(s, 0, 5);
	(void)number(s, 1, 5);
	save(s);
	slots_close(s);
	cut(32 + 32 + 11);
	s = open_table();
	cr_assert_eq(slots_last(s), 2);
	cr_assert_eq(number(s, 1, 6).number, 3);
	save(s);
	slots_close(s);
	s = open_table();
	cr_assert_eq(number(s, 0, 7).number, 1);
	cr_assert_eq(number(s, 1, 7).number, 3);
	slots_close(s);
}

Test(slots, a_file_that_is_no_table_is_replaced_by_an_empty_one, .init = make_dir,
     .fini = remove_dir)
{
	struct slots *s = open_table();

	(void)number(s, 0, 5);
	save(s);
	slots_close(s);
	poke(9, 77); /* the version */
	s = open_table();
	cr_assert_eq(slots_last(s), 0);
	cr_assert_eq(number(s, 3, 5).number, 1);
	save(s);
	slots_close(s);
	s = open_table();
	cr_assert_eq(slots_last(s), 1);
	slots_close(s);
}

Test(slots, a_folder_in_its_place_is_refused_with_a_sentence, .init = make_dir)
{
	char path[128];
	struct slots *s = NULL;
	struct err e = { 0 };

	snprintf(path, sizeof path, "%s/slots", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert(slots_open(&s, dir, &e) < 0);
	cr_expect(strstr(e.msg, path));
	cr_expect(!s);
	(void)rmdir(path);
	(void)rmdir(dir);
}
