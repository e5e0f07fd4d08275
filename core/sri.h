/* sri.h - subresource integrity strings ("sha512-<base64> sha1-<base64>") and digests.
 *
 * The rules are npm's (ssri): the string is split at white space, unknown algorithms
 * and malformed parts are skipped, options after '?' are ignored, the strongest
 * algorithm present decides and any digest of that algorithm may match. Unlike npm,
 * an integrity in which nothing can be understood is an error (-EINVAL), not "no
 * check". Weaker than sha1 (md5) is not understood. Digests come from libcrypto. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

enum digest_alg {
	DIGEST_NONE,
	DIGEST_SHA1,
	DIGEST_SHA256,
	DIGEST_SHA384,
	DIGEST_SHA512,
	/* Not a digest of bytes: SHA-512 over kind, resolved, name and version of a package
	 * for which its lock has no integrity. A key, never a proof. */
	DIGEST_UNPINNED,
};

/* Plain value; bytes past `len` are zero, so memcmp compares. Zeroed: none. */
struct digest {
	uint8_t alg; /* enum digest_alg */
	uint8_t len; /* 20, 32, 48, 64 */
	uint8_t bytes[64];
};

#define SRI_DIGESTS_MAX 8    /* of the strongest algorithm; real locks have one or two */
#define SRI_TEXT_MAX    4096 /* longer integrity strings are refused */
#define DIGEST_TEXT_MAX 104  /* "sha512-" + 88 characters + NUL, rounded up */

struct sri {
	unsigned count; /* >= 1 after a successful parse */
	struct digest digests[SRI_DIGESTS_MAX];
};

int sri_parse(struct sri *ret, struct slice text, struct err *e) must_check;
bool sri_has(const struct sri *sri, const struct digest *d);

/* "sha512-<base64>"; DIGEST_UNPINNED prints as "unpinned-<base64>". */
void digest_format(const struct digest *d, char ret[DIGEST_TEXT_MAX]);

static inline bool digest_eq(const struct digest *a, const struct digest *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

/* One-shot and incremental. digester_new() is NULL when libcrypto fails or memory is
 * out; after digester_end() only digester_free() may follow. */
int digest_of(struct digest *ret, enum digest_alg alg, const void *p, size_t n) must_check;
struct digester;
struct digester *digester_new(enum digest_alg alg);
void digester_add(struct digester *d, const void *p, size_t n);
int digester_end(struct digester *d, struct digest *ret) must_check;
void digester_free(struct digester *d); /* NULL is fine */
