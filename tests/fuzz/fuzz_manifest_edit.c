#include "lock/manifest_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* After an edit the text is JSON again, and says what was put there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf with = BUF_INIT((size_t)1 << 24), without = BUF_INIT((size_t)1 << 24);
	auto_json cJSON *a = NULL, *b = NULL;
	auto_free uint8_t *copy = malloc(size + 1);
	const char *spec;

	if (!copy || size > 1 << 16)
		return 0;
	memcpy(copy, data, size);
	if (manifest_edit(&with, (struct slice){ copy, size }, "dependencies", "left-pad", "^1",
			  NULL) < 0)
		return 0;
	if (json_parse(&a, (struct slice){ with.data, with.len }, NULL) < 0)
		abort();
	spec = json_str(json_get(a, "dependencies"), "left-pad");
	if (!spec || strcmp(spec, "^1") != 0)
		abort();
	if (manifest_edit(&without, (struct slice){ with.data, with.len }, "dependencies",
			  "left-pad", NULL, NULL) < 0 ||
	    json_parse(&b, (struct slice){ without.data, without.len }, NULL) < 0)
		abort();
	return 0;
}
