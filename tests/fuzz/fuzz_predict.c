#include "core/hash.h"
#include "fetch/predict.h"

#include <endian.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted can be learned into, written, and read again as it was. */
static void use(struct predict *m)
{
	const struct predict_touch seen[] = { { "a", 1, false }, { "b", 2, true } };
	struct buf b = BUF_INIT(PREDICT_FILE_MAX);
	struct predict *again = NULL;

	if (predict_learn(m, &(struct predict_run){ seen, 2, true }) < 0 ||
	    predict_render(m, &b) < 0 ||
	    predict_parse(&again, (struct slice){ b.data, b.len }, NULL) < 0 ||
	    (predict_count(again) != predict_count(m) && predict_count(m) <= PREDICT_NAMES_MAX))
		abort();
	predict_free(again);
	buf_release(&b);
}

/* Size and checksum are made good first, or nothing would ever get past them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free uint8_t *copy = malloc(size ? size : 1);
	struct predict *m = NULL;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= 64) {
		struct hash128 check = hash128(copy + 32, size - 32);
		uint32_t le = htole32((uint32_t)size);

		memcpy(copy + 12, &le, sizeof le);
		memcpy(copy + 16, check.b, sizeof check.b);
	}
	if (predict_parse(&m, (struct slice){ copy, size }, NULL) == 0)
		use(m);
	predict_free(m);
	return 0;
}
