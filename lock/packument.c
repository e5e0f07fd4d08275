#include "lock/packument.h"

#include "core/hash.h"
#include "lock/graph.h"

#include <endian.h>

#define CHECKED_FROM offsetof(struct packument_head, version_count)

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "packuments are used in place");
_Static_assert(sizeof(struct packument_head) % 8 == 0, "versions are aligned");
_Static_assert(sizeof(struct packument_version) % 8 == 0, "versions are aligned");

static int unsound(struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "a cached packument: %s", what);
}

static int open_sections(struct packument *p, struct slice bytes, struct err *e)
{
	const struct packument_head *h = p->head;
	const uint8_t *at = bytes.ptr + sizeof *h;
	uint64_t need = sizeof *h + h->version_count * (uint64_t)sizeof *p->versions +
			h->dep_count * (uint64_t)sizeof *p->deps +
			h->tag_count * (uint64_t)sizeof *p->tags + h->string_bytes;

	if (need != bytes.len || h->string_bytes == 0 || bytes.ptr[bytes.len - 1] != '\0')
		return unsound(e, "its parts do not fill it");
	p->versions = (const void *)at;
	at += h->version_count * sizeof *p->versions;
	p->deps = (const void *)at;
	at += h->dep_count * sizeof *p->deps;
	p->tags = (const void *)at;
	at += h->tag_count * sizeof *p->tags;
	p->strings = (const char *)at;
	return 0;
}

static bool version_sound(const struct packument_head *h, const struct packument_version *v)
{
	uint32_t n = h->string_bytes;

	return v->version < n && v->name < n && v->resolved < n && v->integrity < n &&
	       v->rest < n && v->engine_node < n && v->engine_npm < n &&
	       v->dep_count <= GRAPH_DEPS_MAX && v->first_dep <= h->dep_count &&
	       v->dep_count <= h->dep_count - v->first_dep;
}

static int check_offsets(const struct packument *p, struct err *e)
{
	const struct packument_head *h = p->head;
	uint32_t n = h->string_bytes;

	if (h->name >= n || h->etag >= n)
		return unsound(e, "a name lies outside");
	for (uint32_t i = 0; i < h->version_count; i++) {
		if (!version_sound(h, &p->versions[i]))
			return unsound(e, "a version points outside");
	}
	for (uint32_t i = 0; i < h->dep_count; i++) {
		const struct packument_dep *d = &p->deps[i];

		if (d->name >= n || d->spec >= n || d->section >= SECTION_COUNT)
			return unsound(e, "a dependency points outside");
	}
	for (uint32_t i = 0; i < h->tag_count; i++) {
		if (p->tags[i].name >= n || p->tags[i].version >= n)
			return unsound(e, "a tag points outside");
	}
	return 0;
}

int packument_open(struct packument *ret, struct slice bytes, struct err *e)
{
	struct packument p = { .head = (const void *)bytes.ptr };
	struct hash128 check;
	int r;

	if (bytes.len < sizeof *p.head || memcmp(p.head->magic, PACKUMENT_MAGIC, 8) != 0 ||
	    p.head->format != PACKUMENT_FORMAT || p.head->size != bytes.len)
		return unsound(e, "not of this kind");
	check = hash128(bytes.ptr + CHECKED_FROM, bytes.len - CHECKED_FROM);
	if (memcmp(check.b, p.head->check, sizeof check.b) != 0)
		return unsound(e, "damaged");
	r = open_sections(&p, bytes, e);
	if (r == 0)
		r = check_offsets(&p, e);
	if (r == 0)
		*ret = p;
	return r;
}

const char *packument_tag(const struct packument *p, const char *tag)
{
	const char *found = NULL;

	for (uint32_t i = 0; i < p->head->tag_count; i++) {
		if (strcmp(packument_str(p, p->tags[i].name), tag) == 0)
			found = packument_str(p, p->tags[i].version);
	}
	return found;
}
