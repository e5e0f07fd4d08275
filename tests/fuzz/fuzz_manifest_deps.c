#include "lock/manifest_deps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a manifest, behind a byte that says how something is asked for. Whatever its
 * lists are, what comes to be written is JSON again. */
static void change(struct slice text, unsigned how, const char *name, bool save)
{
	auto_buf struct buf out = BUF_INIT((size_t)1 << 24);
	auto_json cJSON *pkg = NULL, *back = NULL;

	if (json_parse(&pkg, text, NULL) < 0 || !cJSON_IsObject(pkg) || deps_normalize(pkg) < 0)
		return;
	if (!save)
		(void)deps_remove(pkg, name);
	else if (deps_add(pkg, name, "^1", how % (DEPS_PEER_OPTIONAL + 1), how & 8) < 0 ||
		 deps_settle(pkg, name, "^1.2.3", how % (DEPS_PEER_OPTIONAL + 1), how & 16) < 0)
		abort();
	if (deps_text(&out, text, pkg, NULL) < 0)
		return;
	if (json_parse(&back, (struct slice){ out.data, out.len }, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free uint8_t *copy = malloc(size + 1);
	struct slice text;

	if (!copy || size == 0 || size > 1 << 16)
		return 0;
	memcpy(copy, data, size);
	text = (struct slice){ copy + 1, size - 1 };
	change(text, copy[0], "a", true);
	change(text, copy[0], "a", false);
	return 0;
}
