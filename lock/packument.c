#include "lock/packument.h"

#include "core/hash.h"
#include "core/sri.h"
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
			h->tag_count * (uint64_t)sizeof *p->tags + h->digest_bytes +
			h->string_bytes;

	if (need != bytes.len || h->string_bytes == 0 || bytes.ptr[bytes.len - 1] != '\0')
		return unsound(e, "its parts do not fill it");
	p->versions = (const void *)at;
	at += h->version_count * sizeof *p->versions;
	p->deps = (const void *)at;
	at += h->dep_count * sizeof *p->deps;
	p->tags = (const void *)at;
	at += h->tag_count * sizeof *p->tags;
	p->digests = at;
	p->strings = (const char *)at + h->digest_bytes;
	return 0;
}

/* Bytes of the digest; 0: its text is a string. */
static uint32_t digest_len(const struct packument_version *v)
{
	return v->flags & PACKUMENT_SHA512 ? 64 : v->flags & PACKUMENT_SHA1 ? 20 : 0;
}

static bool integrity_sound(const struct packument_head *h, const struct packument_version *v)
{
	uint32_t len = digest_len(v), n = len ? h->digest_bytes : h->string_bytes;

	return v->integrity < n && len <= n - v->integrity;
}

static bool version_sound(const struct packument_head *h, const struct packument_version *v)
{
	uint32_t n = h->string_bytes;

	return v->version < n && v->name < n && v->resolved < n && v->rest < n &&
	       integrity_sound(h, v) && v->engine_node < n && v->engine_npm < n &&
	       v->dep_count <= GRAPH_DEPS_MAX && v->first_dep <= h->dep_count &&
	       v->dep_count <= h->dep_count - v->first_dep;
}

static int check_offsets(const struct packument *p, struct err *e)
{
	const struct packument_head *h = p->head;
	uint32_t n = h->string_bytes;

	if (h->name >= n || h->etag >= n || h->tarball >= n)
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

static uint32_t tag_version(const struct packument *p, const char *tag)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < p->head->tag_count; i++) {
		if (strcmp(packument_str(p, p->tags[i].name), tag) == 0)
			found = p->tags[i].version;
	}
	return found;
}

const char *packument_tag(const struct packument *p, const char *tag)
{
	uint32_t at = tag_version(p, tag);

	return at ? packument_str(p, at) : NULL;
}

uint32_t packument_tagged(const struct packument *p, const char *tag)
{
	uint32_t at = tag_version(p, tag), i = 0;

	/* each text is there once */
	while (i < p->head->version_count && p->versions[i].version != at)
		i++;
	return at ? i : p->head->version_count;
}

int packument_resolved(const struct packument *p, const struct packument_version *v,
		       struct arena *a, const char **ret)
{
	const char *made = NULL;

	if (v->flags & PACKUMENT_USUAL) {
		made = arena_printf(a, "%s%s.tgz", packument_str(p, p->head->tarball),
				    packument_str(p, v->version));
		if (!made)
			return -ENOMEM;
	} else if (v->resolved) {
		made = packument_str(p, v->resolved);
	}
	*ret = made;
	return 0;
}

int packument_integrity(const struct packument *p, const struct packument_version *v,
			struct arena *a, const char **ret)
{
	struct digest d = { .alg = v->flags & PACKUMENT_SHA512 ? DIGEST_SHA512 : DIGEST_SHA1,
			    .len = (uint8_t)digest_len(v) };
	char text[DIGEST_TEXT_MAX];
	const char *made = NULL;

	if (d.len) {
		memcpy(d.bytes, p->digests + v->integrity, d.len);
		digest_format(&d, text);
		made = arena_strdup(a, text);
		if (!made)
			return -ENOMEM;
	} else if (v->integrity) {
		made = packument_str(p, v->integrity);
	}
	*ret = made;
	return 0;
}
