/* "name, newline, value": no crash; what is accepted has its parts; what is not has a sentence. */
#include "lock/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_arena struct arena a = ARENA_INIT(4 << 20);
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	size_t n = nl ? (size_t)(nl - data) : 0;
	struct slice name = { data, n }, raw = { data + n + (nl != NULL), size - n - (nl != NULL) };
	struct err e = { 0 };
	struct spec s;

	if (spec_parse(&s, name, raw, SLICE("/where"), &a, &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if ((s.type == SPEC_FILE || s.type == SPEC_DIRECTORY) &&
	    (s.fetch.len == 0 || s.fetch.ptr[0] != '/'))
		abort();
	if (s.type == SPEC_ALIAS && (s.alias_name.len == 0 || s.alias_type > SPEC_TAG))
		abort();
	if (s.host && s.type != SPEC_GIT)
		abort();
	return 0;
}
