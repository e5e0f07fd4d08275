#include "lock/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);
	auto_json cJSON *j = NULL;

	if (json_parse(&j, (struct slice){ data, size }, NULL) == 0)
		json_put(&b, j);
	return 0;
}
