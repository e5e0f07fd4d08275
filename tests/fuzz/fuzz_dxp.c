#include "core/dxp.h"
#include "core/file.h"

#include <assert.h>
#include <endian.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The index hash is put right, or the fuzzer would never come past it: what follows stands
 * against a liar, who can compute it too. */
static void mend_index_hash(int fd, const uint8_t *data, size_t size)
{
	struct hasher *h = hasher_new();
	struct hash128 hash;
	uint32_t c[3];
	uint16_t l[2];
	uint64_t end;

	assert(h);
	memcpy(c, data + 48, sizeof c);
	memcpy(l, data + 60, sizeof l);
	end = 208 + 40 * (uint64_t)le32toh(c[0]) + 32 * (uint64_t)le32toh(c[1]) + le32toh(c[2]) +
	      le16toh(l[0]) + le16toh(l[1]) + 2;
	if (end <= size) {
		hasher_add(h, data, 8);
		hasher_add(h, data + 40, (size_t)end - 40);
		hash = hasher_end(h);
		assert(file_pwrite_all(fd, hash.b, 16, 24) == 0);
	}
	hasher_free(h);
}

static void walk(const struct dxp *p, int fd)
{
	uint8_t buf[100];
	uint32_t reached = 1;

	for (uint32_t i = 0; i < dxp_count(p); i++) {
		struct dxp_entry x, c;

		dxp_entry(p, i, &x);
		if (x.type == DXP_FILE) {
			ssize_t n =
				dxp_read(p, fd, i, DXP_PLAIN, buf, sizeof buf, x.size / 3, NULL);

			n = n < 0 ? n : dxp_read(p, fd, i, DXP_MENDED, buf, sizeof buf, 0, NULL);
			assert(n <= (ssize_t)sizeof buf);
			continue;
		}
		for (uint32_t k = 0; k < x.children; k++, reached++) {
			dxp_entry(p, x.first_child + k, &c);
			assert(c.parent == i);
			assert(dxp_child(p, i, c.name) == x.first_child + k);
		}
	}
	assert(reached == dxp_count(p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_close int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct dxp *p;

	assert(fd >= 0 && file_write_all(fd, data, size) == 0);
	if (size >= 208)
		mend_index_hash(fd, data, size);
	if (dxp_open(&p, fd, NULL) < 0)
		return 0;
	walk(p, fd);
	(void)!dxp_verify(fd, dxp_content(p), NULL);
	dxp_close(p);
	return 0;
}
