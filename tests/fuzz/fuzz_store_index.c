#include "core/file.h"
#include "core/store_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is the header's first bytes and then records, each put where it says: at a slot
 * of a table that is otherwise empty. Checks are put right by a flag, since a liar can. */
static void lay_out(int fd, const uint8_t *data, size_t size)
{
	static uint8_t head[64];
	size_t n = size < sizeof head ? size : sizeof head;
	struct hash128 sum;

	memcpy(head, data, n);
	if (size > 64 && data[63] & 1) {
		sum = hash128(head, 32);
		memcpy(head + 32, sum.b, 16);
	}
	assert(file_pwrite_all(fd, head, sizeof head, 0) == 0);
	for (size_t at = 64; at + 130 <= size; at += 130) {
		uint8_t rec[128];
		uint32_t slot = (uint32_t)(data[at] << 8 | data[at + 1]) % INDEX_CAPACITY_MIN;

		memcpy(rec, data + at + 2, sizeof rec);
		if (rec[127] & 1) {
			sum = hash128(rec + 8, 112);
			memcpy(rec, sum.b, 8);
		}
		assert(file_pwrite_all(fd, rec, sizeof rec,
				       (off_t)(INDEX_HEAD + slot * sizeof rec)) == 0);
	}
	assert(ftruncate(fd, (off_t)(INDEX_HEAD + INDEX_CAPACITY_MIN * sizeof(struct record))) ==
	       0);
}

static void use(struct index *ix)
{
	static const uint8_t boot[16] = { 1 };
	struct digest key = { .alg = DIGEST_SHA512, .len = 64 };
	struct record rec, found;
	uint32_t slot = 0, at;
	int r;

	for (int n = 0; n < 300 && index_next(ix, &slot, &rec); n++) {
		struct digest k = record_key(&rec);

		(void)!index_find(ix, &k, &found, &at);
	}
	rec = record_make(&key, hash128("", 0), 512, boot, 0);
	r = index_put(ix, &rec);
	assert(r == 0 || r == -EXFULL);
	if (r == 0) {
		assert(index_find(ix, &key, &found, &at) == 1);
		assert(memcmp(&rec, &found, sizeof rec) == 0);
		assert(index_kill(ix, at) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[] = "/tmp/dxfs-test-XXXXXX", path[64];
	struct index ix = INDEX_CLOSED;
	int dir_fd, fd;

	assert(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir_fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert(dir_fd >= 0 && fd >= 0);
	lay_out(fd, data, size);
	(void)close(fd);
	if (index_open(&ix, dir_fd, geteuid(), true, NULL) == 0)
		use(&ix);
	index_close(&ix);
	(void)snprintf(path, sizeof path, "%s/index", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	(void)close(dir_fd);
	return 0;
}
