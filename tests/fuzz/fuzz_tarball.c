#include "fetch/ingest.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What ingest promises to the blob's writer. */
static void check_path(struct slice p)
{
	size_t from = 0;

	assert(p.len > 0 && p.len <= TAR_PATH_MAX && !memchr(p.ptr, 0, p.len));
	for (size_t i = 0; i <= p.len; i++) {
		if (i < p.len && p.ptr[i] != '/')
			continue;
		assert(i > from && i - from <= TAR_NAME_MAX);
		assert(!(i - from == 1 && p.ptr[from] == '.'));
		assert(!(i - from == 2 && memcmp(p.ptr + from, "..", 2) == 0));
		from = i + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct gunzip_options o = { .output_max = 4 << 20 };
	auto_ingest_files struct ingest_files f = INGEST_FILES_INIT;
	unsigned sum = 0;

	if (ingest_unpack(&f, (struct slice){ data, size }, &o, NULL) < 0)
		return 0;
	for (size_t i = 0; i < f.list.count; i++) {
		const struct dxp_file *file = &f.list.files[i];

		check_path(file->path);
		for (size_t k = 0; k < file->bytes.len; k++)
			sum += file->bytes.ptr[k];
		for (size_t k = 0; k < file->mended.len; k++)
			sum += file->mended.ptr[k];
	}
	return sum == UINT32_MAX;
}
