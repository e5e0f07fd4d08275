#include "core/dxp_priv.h"
#include "core/store.h"
#include "tests/core/store_fixture.h"
#include "tests/lib/fault.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define STORE_TEST(name) Test(store, name, .init = make_dir, .fini = remove_dir)

STORE_TEST(get_after_put_returns_the_same_bytes)
{
	struct store *s = open_store();
	bool existed = true;

	cr_assert_eq(sample_read(s, 1), -ENOENT);
	cr_assert_eq(sample_put(s, 1, &existed), 0);
	cr_assert_not(existed);
	cr_assert_eq(sample_put(s, 1, &existed), 0);
	cr_assert(existed);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);

	s = open_store();
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(sample_read(s, 2), -ENOENT);
	cr_assert_eq(files_in("tmp"), 0);
	store_close(s);
	store_close(NULL);
}

STORE_TEST(has_looks_in_the_index_only)
{
	struct store *s = open_store();
	struct digest one = sample_key(1), two = sample_key(2);
	struct store_stats st;

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert(store_has(s, &one));
	cr_assert_not(store_has(s, &two));
	cr_assert_eq(store_stats(s, &st, NULL), 0);
	cr_assert_eq(st.opens, 0);
	cr_assert_eq(st.packages, 1);
	cr_assert_eq(st.bytes, 512 * 4);
	store_close(s);
}

STORE_TEST(a_package_is_found_by_the_locks_own_digest)
{
	struct store *s = open_store();
	struct sample p;
	struct pkg *pkg = NULL;
	bool existed;

	sample_make(&p, 1);
	cr_assert_eq(digest_of(&p.meta.key, DIGEST_SHA1, "x", 1), 0);
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, NULL), 0);
	cr_assert_eq(store_get(s, &p.meta.key, &pkg, NULL), 0);
	pkg_release(pkg);
	cr_assert_eq(store_get(s, &p.meta.sha512, &pkg, NULL), -ENOENT);
	store_close(s);
}

STORE_TEST(unpinned_keys_must_be_said_to_be)
{
	struct store *s = open_store();
	struct sample p;
	struct pkg *pkg = NULL;
	bool existed;

	sample_make(&p, 1);
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, STORE_PUT_UNPINNED, &existed, NULL),
		     -EINVAL);
	cr_assert_eq(digest_of(&p.meta.key, DIGEST_UNPINNED, "git x", 5), 0);
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, NULL), -EINVAL);
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, STORE_PUT_UNPINNED, &existed, NULL), 0);
	cr_assert_eq(store_get(s, &p.meta.key, &pkg, NULL), 0);
	pkg_release(pkg);
	p.meta = (struct dxp_meta){ .name = "", .version = "" };
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, NULL), -EINVAL);
	store_close(s);
}

STORE_TEST(the_same_key_with_other_content_is_refused)
{
	struct store *s = open_store();
	struct err e = { 0 };
	struct sample p;
	bool existed = false;

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_make(&p, 1);
	p.files[1].bytes = SLICE("evil");
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, &e), -EEXIST);
	cr_assert(strstr(e.msg, "p1 1.0.0") != NULL);
	cr_assert_eq(sample_read(s, 1), 0);

	sample_make(&p, 1); /* an alias: the same tarball under another name */
	p.meta.name = "a-much-longer-name-for-the-very-same-package-that-shifts-the-payloads";
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, &e), 0);
	cr_assert(existed);
	p.files[2].mode = 0644;
	cr_assert_eq(store_put(s, &p.meta, p.files, 3, 0, &existed, &e), -EEXIST);
	cr_assert_eq(files_in("tmp"), 0);
	store_close(s);
}

STORE_TEST(a_bad_blob_is_noticed_quarantined_and_put_anew)
{
	struct store *s = open_store();
	struct digest key = sample_key(1);
	char path[128];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_path(s, 1, path);
	spoil(path);
	cr_assert_eq(sample_read(s, 1), -EBADMSG);
	cr_assert_eq(files_in("quarantine"), 1);
	cr_assert_not(store_has(s, &key));
	cr_assert_eq(sample_read(s, 1), -ENOENT);
	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);
}

/* The header's claim is in no hash: it is compared, also where the record is trusted. */
STORE_TEST(a_blob_whose_header_claims_another_name_is_bad)
{
	struct store *s = open_store();
	char path[128];
	int fd;

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_path(s, 1, path);
	cr_assert_eq(chmod(path, 0644), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "\x01\x02", 2, DXP_CONTENT_AT), 2);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(chmod(path, 0444), 0);
	cr_assert_eq(sample_read(s, 1), -EBADMSG);
	cr_assert_eq(files_in("quarantine"), 1);
	store_close(s);
}

STORE_TEST(put_checks_what_stands_there_before_it_drops_the_new)
{
	struct store *s = open_store();
	bool existed = true;
	char path[128];

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	sample_path(s, 1, path);
	spoil(path);
	cr_assert_eq(sample_put(s, 1, &existed), 0);
	cr_assert_not(existed);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(files_in("quarantine"), 1);

	sample_path(s, 1, path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(sample_put(s, 1, &existed), 0);
	cr_assert_not(existed);
	store_close(s);
	s = open_store();
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);
}

STORE_TEST(truncated_blobs_are_never_served)
{
	char path[128];
	struct store *s = open_store();

	for (off_t len = 0; len < 2048; len += len < 600 ? 13 : 111) {
		cr_assert_eq(sample_put(s, 1, NULL), 0);
		sample_path(s, 1, path);
		store_close(s);
		cr_assert_eq(chmod(path, 0644), 0);
		cr_assert_eq(truncate(path, len), 0);
		s = open_store();
		cr_assert_eq(sample_read(s, 1), -EBADMSG);
		cr_assert_eq(sample_read(s, 1), -ENOENT);
	}
	store_close(s);
}

STORE_TEST(any_flipped_byte_of_an_untrusted_blob_is_noticed)
{
	struct store *s = open_store();
	char path[128];
	uint8_t was, bad;

	for (off_t at = 0; at < 2048; at += at < 620 ? 1 : 97) {
		cr_assert_eq(sample_put(s, 1, NULL), 0);
		forget_boot(s, 1);
		sample_path(s, 1, path);
		cr_assert_eq(chmod(path, 0644), 0);

		int fd = open(path, O_RDWR | O_CLOEXEC);

		cr_assert_eq(pread(fd, &was, 1, at), 1);
		bad = was ^ (uint8_t)(1u << at % 8);
		cr_assert_eq(pwrite(fd, &bad, 1, at), 1);
		cr_assert_eq(close(fd), 0);

		int r = sample_read(s, 1);

		/* A later version (byte 4 ff.) is not known to be bad. */
		cr_assert(r == -EBADMSG || (r == -EPROTONOSUPPORT && at >= 4 && at < 8));
		cr_assert_eq(unlink(path) == 0, r != -EBADMSG);
	}
	store_close(s);
}

STORE_TEST(a_record_of_another_boot_is_verified_then_trusted)
{
	struct store *s = open_store();
	struct digest key = sample_key(1);
	struct record rec;
	uint32_t slot;

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	forget_boot(s, 1);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
	cr_assert(rec.flags & RECORD_SYNCED);
	store_close(s);
}

STORE_TEST(sync_marks_what_was_made_in_this_boot)
{
	struct store *s = open_store();
	struct record rec;
	uint32_t slot;

	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(sample_put(s, i, NULL), 0);
	forget_boot(s, 2);
	cr_assert_eq(store_sync(s, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct digest key = sample_key(i);

		cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
		cr_assert_eq((rec.flags & RECORD_SYNCED) != 0, i != 2);
	}
	store_close(s);
}

static int remove_below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return ftw->level > 0 ? remove_one(path, st, type, ftw) : 0;
}

STORE_TEST(sync_makes_nothing_in_a_store_that_is_gone)
{
	struct store *s = open_store();

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(nftw(dir, remove_below, 16, FTW_DEPTH | FTW_PHYS), 0);
	cr_assert_eq(store_sync(s, NULL), 0);
	store_close(s);
	cr_assert_eq(rmdir(dir), 0);
	make_dir();
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

STORE_TEST(descriptors_are_bounded_and_come_back)
{
	struct store_options o = { .dir = dir, .open_max = 3 };
	struct pkg *p[20];
	struct store *s = NULL;
	unsigned before;
	char buf[64];

	cr_assert_eq(store_open(&s, &o, NULL), 0);
	before = open_fds();
	for (unsigned i = 0; i < ARRAY_LEN(p); i++) {
		struct digest key = sample_key(i);

		cr_assert_eq(sample_put(s, i, NULL), 0);
		cr_assert_eq(store_get(s, &key, &p[i], NULL), 0);
	}
	cr_assert(open_fds() <= before + 3);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < ARRAY_LEN(p); i++) {
			uint32_t n = dxp_lookup(pkg_dxp(p[i]), SLICE("package.json"));

			cr_assert_eq(pkg_read(p[i], n, DXP_PLAIN, buf, sizeof buf, 0, NULL), 2);
			cr_assert(open_fds() <= before + 3);
		}
	for (unsigned i = 0; i < ARRAY_LEN(p); i++)
		pkg_release(p[i]);
	store_close(s);
}

static struct store *full;
static struct pkg *others[3];

static void read_others(void)
{
	char buf[64];

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		uint32_t n = dxp_lookup(pkg_dxp(others[i]), SLICE("package.json"));

		cr_assert_eq(pkg_read(others[i], n, DXP_PLAIN, buf, sizeof buf, 0, NULL), 2);
	}
}

/* With one descriptor for all: what others read meanwhile does not take it away. */
STORE_TEST(a_descriptor_stays_while_it_is_read)
{
	struct store_options o = { .dir = dir, .open_max = 1 };

	cr_assert_eq(store_open(&full, &o, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(sample_put(full, i, NULL), 0);
	for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
		struct digest key = sample_key(i + 1);

		cr_assert_eq(store_get(full, &key, &others[i], NULL), 0);
	}
	cr_assert_eq(sample_read(full, 0), 0);
	fault_during_read = read_others;
	cr_assert_eq(sample_read(full, 0), 0);
	cr_assert_eq(fault_during_read, NULL);
	cr_assert_eq(files_in("quarantine"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		pkg_release(others[i]);
	store_close(full);
}

STORE_TEST(a_blob_that_has_gone_is_said_to_have)
{
	struct store_options o = { .dir = dir, .open_max = 1 };
	struct digest one = sample_key(1), two = sample_key(2);
	struct pkg *p = NULL, *q = NULL;
	struct store *s = NULL;
	char path[128], buf[8];

	cr_assert_eq(store_open(&s, &o, NULL), 0);
	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_put(s, 2, NULL), 0);
	cr_assert_eq(store_get(s, &one, &p, NULL), 0);
	cr_assert_eq(store_get(s, &two, &q, NULL), 0); /* takes the descriptor of one */
	sample_path(s, 1, path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(
		pkg_read(p, dxp_lookup(pkg_dxp(p), SLICE("index.js")), DXP_PLAIN, buf, 8, 0, NULL),
		-ENOENT);
	cr_assert_eq(sample_read(s, 1), -ENOENT);
	cr_assert_not(store_has(s, &one));
	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	pkg_release(p);
	pkg_release(q);
	store_close(s);
}

STORE_TEST(a_record_that_names_another_package_is_not_believed)
{
	struct store *s = open_store();
	struct digest one = sample_key(1), two = sample_key(2);
	struct record a, b;
	uint32_t slot;

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_put(s, 2, NULL), 0);
	cr_assert_eq(index_find(&s->volumes[0].ix, &two, &b, &slot), 1);
	cr_assert_eq(index_find(&s->volumes[0].ix, &one, &a, &slot), 1);
	memcpy(a.content, b.content, sizeof a.content);
	cr_assert_eq(index_update(&s->volumes[0].ix, slot, &a), 0);
	cr_assert_eq(sample_read(s, 1), -EBADMSG);
	store_close(s);
}

STORE_TEST(another_file_in_the_place_of_a_blob_must_prove_itself)
{
	struct store_options o = { .dir = dir, .open_max = 1 };
	struct store *s = NULL;
	char path[128], other[140];
	auto_free char *data = NULL;
	size_t len;

	cr_assert_eq(store_open(&s, &o, NULL), 0);
	cr_assert_eq(sample_put(s, 1, NULL), 0);
	cr_assert_eq(sample_put(s, 2, NULL), 0);
	cr_assert_eq(sample_read(s, 1), 0); /* checked, and marked so */
	cr_assert_eq(sample_read(s, 2), 0); /* takes the descriptor */
	sample_path(s, 1, path);
	(void)snprintf(other, sizeof other, "%s.new", path);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 1 << 20, &data, &len, NULL), 0);
	cr_assert_eq(file_replace(other, data, len, 0644, NULL), 0);
	spoil(other);
	cr_assert_eq(rename(other, path), 0);
	cr_assert_eq(sample_read(s, 1), -EBADMSG);
	store_close(s);
}

/* ---- a damaged index ---- */

STORE_TEST(a_damaged_index_is_rebuilt_from_the_blobs)
{
	static const off_t cuts[] = { 0, 7, 64, 4095, 4096, 4097, 100000 };
	static const off_t flips[] = { 0, 12, 17, 33, 47 };
	char index[128];
	struct store *s = open_store();

	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(sample_put(s, i, NULL), 0);
	store_close(s);
	(void)snprintf(index, sizeof index, "%s/index", dir);
	for (size_t k = 0; k < ARRAY_LEN(cuts) + ARRAY_LEN(flips); k++) {
		if (k < ARRAY_LEN(cuts)) {
			cr_assert_eq(truncate(index, cuts[k]), 0);
		} else {
			int fd = open(index, O_WRONLY | O_CLOEXEC);

			cr_assert_eq(pwrite(fd, "\xee", 1, flips[k - ARRAY_LEN(cuts)]), 1);
			cr_assert_eq(close(fd), 0);
		}
		s = open_store();
		for (unsigned i = 0; i < 20; i++)
			cr_assert_eq(sample_read(s, i), 0);
		store_close(s);
	}
	cr_assert_eq(files_in("tmp"), 0);
}

STORE_TEST(an_index_of_a_later_version_is_refused)
{
	struct store_options o = { .dir = dir };
	struct err e = { 0 };
	struct store *s = open_store();
	char index[128];
	int fd;

	store_close(s);
	(void)snprintf(index, sizeof index, "%s/index", dir);
	fd = open(index, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "\x02", 1, 8), 1);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(store_open(&s, &o, &e), -EPROTONOSUPPORT);
	cr_assert(strstr(e.msg, "version 2") != NULL);
}

STORE_TEST(damaged_records_are_not_found_and_are_put_anew)
{
	struct store *s = open_store();
	struct digest key = sample_key(1);
	struct record rec;
	uint32_t slot;
	bool existed;

	for (size_t at = 0; at < 120; at++) {
		uint8_t bad;

		cr_assert_eq(sample_put(s, 1, &existed), 0);
		cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
		bad = ((uint8_t *)&rec)[at] ^ 0x10;
		cr_assert_eq(pwrite(s->volumes[0].ix.fd, &bad, 1,
				    (off_t)(INDEX_HEAD + slot * sizeof rec + at)),
			     1);
		cr_assert_not(store_has(s, &key));
	}
	cr_assert_eq(sample_put(s, 1, &existed), 0);
	cr_assert_eq(sample_read(s, 1), 0);
	store_close(s);
}

/* ---- many at once ---- */

static void child_puts(unsigned who)
{
	struct store *s = open_store();

	for (unsigned k = 0; k < 60; k++) {
		unsigned i = (k * 7 + who * 13) % 80;

		if (sample_put(s, i, NULL) < 0 || sample_read(s, i) < 0)
			_exit(2);
	}
	store_close(s);
	_exit(0);
}

static void child_reads(void)
{
	struct store *s = open_store();

	for (unsigned k = 0; k < 2000; k++) {
		int r = sample_read(s, k % 80);

		if (r < 0 && r != -ENOENT)
			_exit(3);
	}
	store_close(s);
	_exit(0);
}

STORE_TEST(processes_share_a_store)
{
	pid_t pids[8];
	struct store *s;

	for (unsigned i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		cr_assert(pids[i] >= 0);
		if (pids[i] == 0 && i < 5)
			child_puts(i);
		else if (pids[i] == 0)
			child_reads();
	}
	for (unsigned i = 0; i < ARRAY_LEN(pids); i++) {
		int status = -1;

		cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		cr_assert_eq(status, 0);
	}
	s = open_store();
	for (unsigned i = 0; i < 80; i++)
		cr_assert_eq(sample_read(s, i), 0);
	cr_assert_eq(files_in("tmp"), 0);
	cr_assert_eq(files_in("quarantine"), 0);
	store_close(s);
}

static void child_puts_until_killed(int pipe_fd, unsigned base)
{
	struct store *s = open_store();

	for (unsigned i = base;; i++)
		if (sample_put(s, i, NULL) < 0 || write(pipe_fd, "x", 1) != 1)
			_exit(1);
}

STORE_TEST(a_killed_process_leaves_a_sound_store)
{
	for (unsigned round = 0; round < 12; round++) {
		struct store_verify_result res;
		struct store *s;
		int p[2], status;
		char buf[1];
		pid_t pid;

		cr_assert_eq(pipe(p), 0);
		pid = fork();
		cr_assert(pid >= 0);
		if (pid == 0)
			child_puts_until_killed(p[1], round * 1000);
		for (unsigned k = 0; k <= round; k++)
			cr_assert_eq(read(p[0], buf, 1), 1);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(close(p[0]), 0);
		cr_assert_eq(close(p[1]), 0);

		s = open_store();
		cr_assert_eq(files_in("tmp"), 0);
		cr_assert_eq(store_verify(s, 2, NULL, NULL, &res, NULL), 0);
		cr_assert_eq(res.bad, 0);
		for (unsigned k = 0; k <= round; k++)
			cr_assert_eq(sample_read(s, round * 1000 + k), 0);
		store_close(s);
	}
}

static void *thread_works(void *arg)
{
	struct store *s = arg;
	intptr_t bad = 0;

	for (unsigned k = 0; k < 300; k++) {
		if (k % 10 == 0)
			bad += sample_put(s, k % 30, NULL) < 0;
		int r = sample_read(s, k * 11 % 30);

		bad += r < 0 && r != -ENOENT;
	}
	return (void *)bad;
}

STORE_TEST(threads_share_a_store)
{
	struct store_options o = { .dir = dir, .open_max = 4 };
	pthread_t t[6];
	struct store *s = NULL;

	cr_assert_eq(store_open(&s, &o, NULL), 0);
	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		cr_assert_eq(pthread_create(&t[i], NULL, thread_works, s), 0);
	for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
		void *bad;

		cr_assert_eq(pthread_join(t[i], &bad), 0);
		cr_assert(bad == NULL);
	}
	store_close(s);
}

/* ---- failures ---- */

static int open_and_put(unsigned i)
{
	struct store_options o = { .dir = dir };
	struct store *s = NULL;
	int r = store_open(&s, &o, NULL);

	if (r == 0)
		r = sample_put(s, i, NULL);
	store_close(s);
	return r;
}

/* Another package each time, so that no run finds what an earlier one has made. A failure
 * that does not matter (of a count, say) may pass without an error. */
STORE_TEST(a_full_disk_leaves_the_store_as_it_was)
{
	struct store *s = open_store();
	unsigned here = 1;

	cr_assert_eq(sample_put(s, 0, NULL), 0);
	store_close(s);
	fault_hit = true;
	for (unsigned at = 1; fault_hit; at++) {
		struct digest key = sample_key(at);
		struct store_verify_result res;
		int r;

		fault_at = at;
		fault_hit = false;
		r = open_and_put(at);
		fault_at = 0;
		cr_assert(r == 0 || (fault_hit && r == -fault_errno));
		here += r == 0;
		s = open_store();
		cr_assert_eq(store_has(s, &key), r == 0);
		cr_assert_eq(sample_read(s, at), r == 0 ? 0 : -ENOENT);
		cr_assert_eq(sample_read(s, 0), 0);
		cr_assert_eq(files_in("tmp"), 0);
		cr_assert_eq(store_verify(s, 1, NULL, NULL, &res, NULL), 0);
		cr_assert_eq(res.blobs, here);
		cr_assert_eq(res.bad, 0);
		store_close(s);
	}
	cr_assert(here > 1);
}

STORE_TEST(a_failure_while_putting_what_is_here_does_it_no_harm)
{
	struct store *s = open_store();

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	fault_each(sample_put(s, 1, NULL), -fault_errno);
	fault_each(store_sync(s, NULL), -fault_errno);
	cr_assert_eq(sample_read(s, 1), 0);
	cr_assert_eq(files_in("quarantine"), 0);
	store_close(s);
}

static int open_and_read(void)
{
	struct store_options o = { .dir = dir };
	struct store *s = NULL;
	int r = store_open(&s, &o, NULL);

	if (r == 0)
		r = sample_read(s, 1);
	store_close(s);
	return r;
}

STORE_TEST(a_failure_while_reading_is_reported_and_no_blob_suffers)
{
	struct store *s = open_store();
	struct digest key = sample_key(1);

	cr_assert_eq(sample_put(s, 1, NULL), 0);
	fault_each(open_and_read(), -fault_errno);
	cr_assert(store_has(s, &key));
	cr_assert_eq(files_in("quarantine"), 0);
	store_close(s);
}

STORE_TEST(stale_temporary_files_go_and_live_ones_stay)
{
	struct store *s = open_store();
	struct tmp live = TMP_NONE;
	char path[128];
	int fd;

	(void)snprintf(path, sizeof path, "%s/tmp/of-a-dead-process", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(tmp_open(&live, s->volumes[0].dir, NULL), 0);
	store_close(open_store());
	cr_assert_eq(access(path, F_OK), -1);
	cr_assert_eq(files_in("tmp"), 1);
	tmp_release(&live);
	cr_assert_eq(files_in("tmp"), 0);
	store_close(s);
}

/* ---- care ---- */

static void count_bad(void *arg, const char *blob, const char *what)
{
	unsigned *n = arg;

	cr_assert(strlen(blob) > 0);
	cr_assert(strlen(what) > 0);
	++*n;
}

STORE_TEST(verify_finds_and_moves_what_is_bad)
{
	struct store *s = open_store();
	struct store_verify_result res;
	struct digest four = sample_key(4);
	struct record rec;
	uint32_t slot;
	unsigned reported = 0;
	char path[128], wrong[160];

	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(sample_put(s, i, NULL), 0);
	sample_path(s, 3, path);
	spoil(path);
	sample_path(s, 5, path);
	cr_assert_eq(unlink(path), 0);
	sample_path(s, 6, path);
	(void)snprintf(wrong, sizeof wrong, "%.*s/ffffffffffffffffffffffffffffffff.dxp",
		       (int)(strrchr(path, '/') - path), path);
	cr_assert_eq(link(path, wrong), 0);
	cr_assert_eq(index_find(&s->volumes[0].ix, &four, &rec, &slot), 1);
	cr_assert_eq(index_kill(&s->volumes[0].ix, slot), 0);
	cr_assert_eq(store_verify(s, 3, count_bad, &reported, &res, NULL), 0);
	cr_assert_eq(res.blobs, 8);
	cr_assert_eq(res.bytes, 8 * 2048);
	cr_assert_eq(res.bad, 2);
	cr_assert_eq(reported, 2);
	cr_assert_eq(files_in("quarantine"), 2);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(sample_read(s, i), i == 3 || i == 5 ? -ENOENT : 0);
	store_close(s);
}

struct seen {
	unsigned count, named;
};

static int see(void *arg, const struct store_item *item)
{
	struct seen *seen = arg;

	seen->count++;
	seen->named += item->name[0] == 'p' && strcmp(item->version, "1.0.0") == 0;
	cr_assert_eq(item->size, 2048);
	cr_assert(item->used_s > 1000000000);
	return seen->count == 7 ? 77 : 0;
}

STORE_TEST(list_gives_each_record_and_stops_when_told)
{
	struct store *s = open_store();
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(sample_put(s, i, NULL), 0);
	cr_assert_eq(store_list(s, true, see, &seen, NULL), 0);
	cr_assert_eq(seen.count, 5);
	cr_assert_eq(seen.named, 5);
	cr_assert_eq(store_list(s, false, see, &seen, NULL), 77);
	cr_assert_eq(seen.named, 5);
	store_close(s);
}

Test(store, default_folder_follows_the_environment)
{
	static const struct {
		const char *own, *data, *home, *want;
	} rows[] = {
		{ "/s", "/d", "/h", "/s" },
		{ "", "/d", "/h", "/d/dx/store" },
		{ NULL, "relative", "/h", "/h/.local/share/dx/store" },
		{ NULL, NULL, "/h", "/h/.local/share/dx/store" },
		{ NULL, NULL, NULL, NULL },
	};
	static const char *const names[] = { "DX_STORE", "XDG_DATA_HOME", "HOME" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *values[] = { rows[i].own, rows[i].data, rows[i].home };

		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (values[k])
				setenv(names[k], values[k], 1);
			else
				unsetenv(names[k]);
		auto_free char *got = store_default_dir();

		cr_assert_eq(got == NULL, rows[i].want == NULL);
		if (got)
			cr_assert_str_eq(got, rows[i].want);
	}
}

Test(store, a_claim_is_of_one_process_and_ends_with_it)
{
	struct digest a = { .alg = DIGEST_SHA512, .len = 64, .bytes = { 0xff, 0xff, 1 } }, b = a;
	struct store *one, *two;

	memset(b.bytes, 0xff, 8);
	make_dir();
	one = open_store();
	two = open_store();
	cr_expect_eq(store_claim(one, &a), 1);
	cr_expect_eq(store_claim(one, &a), 1, "its own");
	cr_expect_eq(store_claim(two, &a), 0);
	cr_expect_eq(store_claim(two, &b), 1);
	store_unclaim(two, &a);
	cr_expect_eq(store_claim(two, &a), 0, "nobody gives away what is another's");
	store_unclaim(one, &a);
	cr_expect_eq(store_claim(two, &a), 1);
	store_close(two);
	cr_expect_eq(store_claim(one, &a), 1);
	cr_expect_eq(store_claim(one, &b), 1);
	store_close(one);
	remove_dir();
}
