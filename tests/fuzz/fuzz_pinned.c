/* yarn.lock and bun.lock: no crash; what is taken can be looked up; what is not has a sentence. */
#include "lock/pinned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_pinned struct pinned *p = NULL;
	struct err e = { 0 };

	if (pinned_parse(&p, (struct slice){ data, size }, "x.lock", &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (pinned_count(p) > PINNED_DEMANDS_MAX || !pinned_remarks(p))
		abort();
	(void)pinned_find(p, "a", "^1");
	return 0;
}
