#include "fetch/metadata_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A table, with its checksum made right, so that more than the first look is reached: what can be
 * opened can be read from end to end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free uint8_t *copy = malloc(size + 1);
	struct metadata_table t;
	struct hash128 check;
	uint64_t n = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= METADATA_TABLE_CHECKED_FROM) {
		check = hash128(copy + METADATA_TABLE_CHECKED_FROM,
				size - METADATA_TABLE_CHECKED_FROM);
		memcpy(copy + METADATA_TABLE_CHECKED_FROM - sizeof check, check.b, sizeof check);
	}
	if (metadata_table_open(&t, (struct slice){ copy, size }, SLICE("place")) < 0)
		return 0;
	for (uint32_t i = 0; i < t.count; i++)
		n += t.entries[i].size;
	if (n > (uint64_t)t.count * UINT32_MAX)
		abort();
	return 0;
}
