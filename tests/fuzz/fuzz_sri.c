#include "core/sri.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[DIGEST_TEXT_MAX];
	struct sri s, again;

	if (sri_parse(&s, (struct slice){ data, size }, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < s.count; i++) {
		digest_format(&s.digests[i], text);
		assert(sri_parse(&again, slice_str(text), NULL) == 0);
		assert(again.count == 1 && digest_eq(&again.digests[0], &s.digests[i]));
	}
	return 0;
}
