/* signature.h - a registry's signatures over its packages.
 *
 * A registry may publish signing keys (at -/npm/v1/keys) and with each version, in its packument
 * under `dist.signatures`, ECDSA signatures over "name@version:integrity". As with npm, every
 * signature that is there must be good: by a key that the registry lists, which had not expired
 * when the version was published. What is checked is the integrity of the lock, so a good signature
 * says that the bytes which the lock pins are those that the registry signed. Only of a lock that
 * has nothing better than a sha1 does it say less: that is compared with the registry's `shasum`,
 * which no signature covers. */
#pragma once
#include "core/err.h"
#include "core/sri.h"
#include "lock/json.h"

#define SIGNATURE_KEYS_MAX 64u                 /* registries have two or three, old ones included */
#define SIGNATURE_KEYS_LEN ((size_t)256 << 10) /* bytes of the list */

struct signing_keys;

/* The registry's answer; may list none. -EBADMSG. */
int signing_keys_parse(struct signing_keys **ret, struct slice json, struct err *e) must_check;
void signing_keys_free(struct signing_keys *k); /* NULL is fine */

enum signature_state {
	SIGNATURE_GOOD,
	SIGNATURE_MISSING, /* the registry signs, but has no signature for this one */
	SIGNATURE_BAD,
};

/* `packument`: the full one, for the time of publication. `integrity`: the lock's. The sentence in
 * `why` does not name the package; untouched when it is good. */
enum signature_state signature_check(const struct signing_keys *k, const cJSON *packument,
				     const char *name, const char *version, const char *integrity,
				     struct err *why);
