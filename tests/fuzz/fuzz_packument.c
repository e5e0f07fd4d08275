#include "lock/packument.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t read_bytes;

/* What is built can be opened, and what can be opened can be read from end to end. */
static void read_all(const struct packument *p)
{
	auto_arena struct arena a = ARENA_INIT((size_t)64 << 20);
	uint32_t tagged = packument_tagged(p, "latest");
	size_t n = 0;

	for (uint32_t i = 0; i < p->head->version_count; i++) {
		const struct packument_version *v = &p->versions[i];
		const char *resolved = NULL, *integrity = NULL;

		if (packument_resolved(p, v, &a, &resolved) < 0 ||
		    packument_integrity(p, v, &a, &integrity) < 0)
			break;
		n += strlen(packument_str(p, v->version)) + strlen(packument_str(p, v->name)) +
		     strlen(packument_str(p, v->rest));
		n += (resolved ? strlen(resolved) : 0) + (integrity ? strlen(integrity) : 0);
		for (uint32_t k = 0; k < v->dep_count; k++)
			n += strlen(packument_str(p, p->deps[v->first_dep + k].spec));
	}
	read_bytes = n;
	if (tagged > p->head->version_count ||
	    (packument_tag(p, "latest") == NULL && tagged < p->head->version_count))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct packument_origin from = { .name = "a", .etag = "\"1\"" };
	auto_buf struct buf b = BUF_INIT(PACKUMENT_BLOB_MAX);
	auto_free uint8_t *copy = malloc(size + 1);
	struct packument p;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (packument_open(&p, (struct slice){ copy, size }, NULL) == 0)
		read_all(&p);
	if (packument_build(&b, (struct slice){ copy, size }, &from, NULL) < 0)
		return 0;
	if (packument_open(&p, (struct slice){ b.data, b.len }, NULL) < 0)
		abort();
	read_all(&p);
	return 0;
}
