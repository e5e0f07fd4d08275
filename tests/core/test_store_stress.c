#include "core/store.h"
#include "tests/core/store_fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Processes on one store: mounts that name their packages in a root and read them, one that fetches
 * what nobody names, one that collects without mercy, one that verifies. */

enum { ROUNDS = 200, OF_A_MOUNT = 24, UNNAMED_FROM = 100, UNNAMED = 24 };

enum { LOST = 1, WRONG, FAILED };

static atomic_bool *over; /* shared by all */

/* What a root names is never gone once it has been put, and reads as it was put. */
static int mount(unsigned first)
{
	struct store *s = open_store();
	struct digest keys[OF_A_MOUNT];
	struct store_root *root;
	char id[32];

	for (unsigned i = 0; i < OF_A_MOUNT; i++)
		keys[i] = sample_key(first + i);
	(void)snprintf(id, sizeof id, "mount-%u", first);
	if (store_root_open(&root, s, id, NULL) < 0 ||
	    store_root_set(root, keys, OF_A_MOUNT, NULL) < 0)
		return FAILED;
	for (unsigned i = 0; i < OF_A_MOUNT; i++)
		if (sample_put(s, first + i, NULL) < 0)
			return FAILED;
	for (unsigned round = 0; round < ROUNDS; round++) {
		store_close(s); /* another daemon: nothing is open or in memory */
		s = open_store();
		for (unsigned i = 0; i < OF_A_MOUNT; i++) {
			int r = sample_read(s, first + i);

			if (r < 0)
				return r == -ENOENT ? LOST : WRONG;
		}
	}
	store_root_close(root);
	store_close(s);
	return 0;
}

/* What nobody names may go at any time, and comes again; it is never wrong. */
static int fetch(unsigned first)
{
	struct store *s = open_store();

	while (!atomic_load(over)) {
		for (unsigned i = 0; i < UNNAMED; i++) {
			int r = sample_put(s, first + i, NULL);

			if (r == 0)
				r = sample_read(s, first + i);
			if (r < 0 && r != -ENOENT)
				return WRONG;
		}
	}
	store_close(s);
	return 0;
}

static int collect(unsigned unused)
{
	const struct store_gc_options now = { .root_age_s = 100 };
	struct store *s = open_store();
	struct store_gc_result res;

	(void)unused;
	while (!atomic_load(over))
		if (store_gc(s, &now, NULL, NULL, &res, NULL) < 0)
			return FAILED;
	store_close(s);
	return 0;
}

static int verify(unsigned threads)
{
	struct store *s = open_store();
	struct store_verify_result res;

	while (!atomic_load(over)) {
		if (store_verify(s, threads, NULL, NULL, &res, NULL) < 0)
			return FAILED;
		if (res.bad)
			return WRONG;
	}
	store_close(s);
	return 0;
}

static pid_t start(int (*run)(unsigned arg), unsigned arg)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(arg));
	cr_assert(pid > 0);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Test(store_stress, gc_and_verify_do_no_harm_to_mounts_and_fetches, .init = make_dir,
     .fini = remove_dir)
{
	struct store_verify_result res;
	struct store *s;
	pid_t mounts[3], others[4];

	over = mmap(NULL, sizeof *over, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(over != MAP_FAILED);
	s = open_store();
	for (unsigned i = 0; i < ARRAY_LEN(mounts); i++)
		mounts[i] = start(mount, i * OF_A_MOUNT / 2); /* neighbours share half */
	others[0] = start(fetch, UNNAMED_FROM);
	others[1] = start(fetch, UNNAMED_FROM + UNNAMED / 2);
	others[2] = start(collect, 0);
	others[3] = start(verify, 2);
	for (unsigned i = 0; i < ARRAY_LEN(mounts); i++)
		cr_expect_eq(end_of(mounts[i]), 0, "mount %u", i);
	atomic_store(over, true);
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		cr_expect_eq(end_of(others[i]), 0, "other %u", i);
	cr_assert_eq(store_verify(s, 2, NULL, NULL, &res, NULL), 0);
	cr_expect_eq(res.bad, 0);
	for (unsigned i = 0; i < 2 * OF_A_MOUNT; i++)
		cr_expect_eq(sample_read(s, i), 0);
	store_close(s);
	(void)munmap(over, sizeof *over);
}
