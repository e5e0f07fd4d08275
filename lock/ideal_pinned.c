#include "core/sri.h"
#include "lock/ideal_priv.h"
#include "lock/pinned.h"
#include "lock/tarball_url.h"

#include <strings.h>

/* What another tool's lock pins, as npm takes it from a yarn.lock (Arborist's checkYarnLock()): a
 * version of the registry, or else what lies at the address. */

#define COMMIT_MIN 7u /* digits of a commit, cut short as bun does */

enum likeness { SAME, APART, OTHER };

/* Do two digests speak of the same bytes? APART: no kind of digest is in both. */
static enum likeness alike(const char *a, const char *b)
{
	struct sri x, y;

	if (!a || !b || sri_parse(&x, slice_str(a), NULL) < 0 ||
	    sri_parse(&y, slice_str(b), NULL) < 0 || x.digests[0].alg != y.digests[0].alg)
		return APART;
	for (unsigned i = 0; i < x.count; i++) {
		if (sri_has(&y, &x.digests[i]))
			return SAME;
	}
	return OTHER;
}

/* Does the address lie at a registry that is asked anyway? Scheme apart, as for npm. */
static bool is_asked(const struct ideal *d, const char *url)
{
	const char *host = strstr(url, "://");

	for (const char *const *r = d->o->registries; host && r && *r; r++) {
		const char *theirs = strstr(*r, "://");
		size_t n = theirs ? 3 + strcspn(theirs + 3, "/?#") : 0;

		if (n && strncasecmp(host, theirs, n) == 0 && host[n] == '/')
			return true;
	}
	return false;
}

static struct iload *new_load(struct ideal *d, struct iname *name, struct ispec *spec)
{
	struct iload *l = arena_alloc(&d->arena, sizeof *l);

	if (!l) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	l->name = name;
	l->spec = spec;
	return l;
}

/* The version of the registry that the pin means; NULL: it means none. */
static struct ispec *wanted_version(struct ideal *d, const struct iname *name,
				    const struct pin *pin)
{
	const char *real = pin->name ? pin->name : name->text, *text = pin->version;
	struct slice at_name, at_version;
	int r = pin->resolved ? tarball_url(&d->arena, pin->resolved, &at_name, &at_version) : 0;

	if (r < 0 || !pin->version)
		return NULL;
	/* An address that tells nothing is another thing; a bare file name is yarn's mirror. */
	if (r == 0 && pin->resolved && strchr(pin->resolved, ':'))
		return NULL;
	if (r > 0) {
		real = arena_strndup(&d->arena, at_name.ptr, at_name.len);
		if (real && strcmp(real, name->text) == 0 &&
		    !slice_eq(at_version, slice_str(pin->version)))
			return NULL;
		text = arena_strndup(&d->arena, at_version.ptr, at_version.len);
	}
	if (real && text && strcmp(real, name->text) != 0)
		text = arena_printf(&d->arena, "npm:%s@%s", real, text);
	return real && text ? ideal_spec_of(d, text) : NULL;
}

/* `from` with both digests, when they are of different kinds; npm keeps both. */
static struct ipkg *with_digest(struct ideal *d, const struct iload *from, const struct pin *pin)
{
	struct ipkg *pkg = from->pkg;
	struct sri ok;

	if (!pin->integrity || !pkg->integrity || alike(pin->integrity, pkg->integrity) == SAME ||
	    sri_parse(&ok, slice_str(pin->integrity), NULL) < 0)
		return pkg;
	pkg = arena_alloc(&d->arena, sizeof *pkg);
	if (!pkg)
		return NULL;
	*pkg = *from->pkg;
	pkg->integrity = arena_printf(&d->arena, "%s %s", pin->integrity, from->pkg->integrity);
	return pkg->integrity ? pkg : NULL;
}

/* 1: the registry has it, and *l is filled; 0: only the address is left. */
static int from_registry(struct ideal *d, struct iload *l, const struct pin *pin, const char *where)
{
	struct ispec *version = wanted_version(d, l->name, pin);
	bool asked = !pin->resolved || !strchr(pin->resolved, ':') || is_asked(d, pin->resolved);
	const struct iload *there;
	enum likeness like;
	struct err e = { 0 };

	/* Somebody else's registry may have another package of that name: bytes tell. */
	if (!version || (!asked && !pin->integrity))
		return d->error;
	there = ideal_load_plain(d, l->name, version, where);
	if (!there)
		return d->error;
	like = there->pkg ? alike(pin->integrity, there->pkg->integrity) : APART;
	if (!asked && like != SAME)
		return 0;
	if (like == OTHER) {
		(void)err_set(&e, -EBADMSG,
			      "%s@%s: %.60s names other bytes than the registry has (EINTEGRITY)",
			      l->name->text, pin->version, pinned_file(d->o->pinned));
		(void)ideal_failed(d, l, -EBADMSG, e.msg);
		return 1;
	}
	l->failure = there->failure;
	l->why = there->why;
	l->pkg = there->pkg ? with_digest(d, there, pin) : NULL;
	return there->pkg && !l->pkg ? ideal_stick(d, -ENOMEM) : 1;
}

static int from_address(struct ideal *d, struct iload *l, const struct pin *pin, const char *where)
{
	struct err e = { 0 };
	struct spec there;

	if (spec_parse(&there, slice_str(l->name->text), slice_str(pin->resolved), slice_str(where),
		       &d->arena, &e) < 0)
		return ideal_failed(d, l, -EINVAL, e.msg);
	if (there.type != SPEC_REMOTE && there.type != SPEC_FILE) {
		(void)err_set(&e, -EOPNOTSUPP, "%s: what %.60s says of it cannot be fetched: %s",
			      l->name->text, pinned_file(d->o->pinned), pin->resolved);
		return ideal_failed(d, l, -EOPNOTSUPP, e.msg);
	}
	return ideal_load_tarball(d, l, &there, pin->integrity);
}

/* yarn's own `resolutions` may have chosen what the range does not allow. */
static bool fits(const struct ispec *spec, const struct pin *pin)
{
	struct semver v;

	if (spec->type > SPEC_RANGE || !spec->has_range || spec->any || !pin->version)
		return true;
	return semver_parse(&v, slice_str(pin->version), SEMVER_LOOSE) == 0 &&
	       semver_range_test(&spec->range, &v);
}

/* The same repository at the commit that the pin ends in: "...#<commit>", ".../tar.gz/<commit>". */
static struct ispec *at_commit(struct ideal *d, struct ispec *spec, const struct pin *pin)
{
	size_t n = pin->resolved ? strlen(pin->resolved) : 0, len = 0,
	       head = strcspn(spec->text, "#");
	const char *path = strstr(spec->text + head, "path:"), *text;

	while (len < n && strchr("0123456789abcdef", pin->resolved[n - len - 1]))
		len++;
	if (len < COMMIT_MIN || len == n || !strchr("#/", pin->resolved[n - len - 1]))
		return spec;
	text = arena_printf(&d->arena, "%.*s#%s%s%.*s", (int)head, spec->text,
			    pin->resolved + n - len, path ? "::" : "",
			    path ? (int)strcspn(path, "#") : 0, path ? path : "");
	return text ? ideal_spec_of(d, text) : NULL;
}

static void warn(struct ideal *d, const struct iname *name, const struct ispec *spec,
		 const struct pin *pin)
{
	struct buf *b = d->warnings;
	size_t from = b->len;

	buf_addf(b, "%s pins %s@%s to %s, which does not fit; the newest that does is taken",
		 pinned_file(d->o->pinned), name->text, spec->text, pin->version);
	buf_end_line(b, from);
}

const struct iload *ideal_load_pinned(struct ideal *d, struct iname *name, struct ispec *spec,
				      const struct pin *pin, const char *where)
{
	struct iload *l = table_get(d->loads, (uintptr_t)name, (uintptr_t)spec);
	void **at;
	int r;

	if (l)
		return l;
	if (spec->type == SPEC_GIT)
		spec = at_commit(d, spec, pin);
	if (spec && spec->type > SPEC_TAG && spec->type != SPEC_REMOTE)
		return ideal_load_plain(d, name, spec, where);
	if (!spec)
		return NULL;
	if (!fits(spec, pin)) {
		warn(d, name, spec, pin);
		return ideal_load_plain(d, name, spec, where);
	}
	if (!pin->version && !pin->resolved)
		return ideal_load_plain(d, name, spec, where);
	l = new_load(d, name, spec);
	if (!l)
		return NULL;
	r = spec->type == SPEC_REMOTE ? 0 : from_registry(d, l, pin, where);
	if (r == 0 && pin->resolved)
		r = from_address(d, l, pin, where);
	if (r < 0 || d->error)
		return NULL;
	at = table_at(d->loads, (uintptr_t)name, (uintptr_t)spec);
	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	*at = l;
	return l;
}
