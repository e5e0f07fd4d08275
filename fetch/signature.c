#include "fetch/signature.h"

#include "core/crypto.h"

#include <stdio.h>
#include <time.h>

#define KEY_ID_MAX     256u
#define DER_MAX        1024u /* a P-256 key has 91 bytes, a signature 72 */
#define MESSAGE_MAX    8192u
#define SIGNATURES_MAX 16

struct signing_key {
	char id[KEY_ID_MAX];
	EVP_PKEY *key;
	bool expires;
	time_t until;
};

struct signing_keys {
	struct signing_key keys[SIGNATURE_KEYS_MAX];
	unsigned count;
};

/* ---- reading ---- */

/* The count of bytes, or -EBADMSG. */
static int decode_base64(const char *text, uint8_t ret[DER_MAX])
{
	uint8_t out[DER_MAX + 3];
	size_t len = text ? strlen(text) : 0, pad = 0;
	int n;

	if (len == 0 || len % 4 || len / 4 * 3 > DER_MAX)
		return -EBADMSG;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
	if (n < 0 || (size_t)n < pad)
		return -EBADMSG;
	n -= (int)pad;
	memcpy(ret, out, (size_t)n);
	return n;
}

/* "2025-01-29T00:00:00.000Z": in UTC, to the second, as registries write it. */
static bool parse_time(const char *text, time_t *ret)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!end)
		return false;
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (strcmp(end, "Z") != 0 && strcmp(end, "+00:00") != 0)
		return false;
	*ret = timegm(&tm);
	return true;
}

static EVP_PKEY *read_key(const char *text)
{
	uint8_t der[DER_MAX];
	const unsigned char *at = der;
	int n = decode_base64(text, der);
	EVP_PKEY *key = n < 0 ? NULL : d2i_PUBKEY(NULL, &at, n);

	if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || at != der + n)) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

/* A key of a kind that we don't know is left out: what it signed has an unknown key then. */
static int add_key(struct signing_keys *k, const cJSON *item, struct err *e)
{
	struct signing_key *key = &k->keys[k->count];
	const char *id = json_str(item, "keyid"), *expires = json_str(item, "expires");

	if (!id || strlen(id) >= sizeof key->id)
		return err_set(e, -EBADMSG, "a signing key without a usable keyid");
	if (k->count == SIGNATURE_KEYS_MAX)
		return err_set(e, -EBADMSG, "more than %u signing keys", SIGNATURE_KEYS_MAX);
	if (expires && !parse_time(expires, &key->until))
		return err_set(e, -EBADMSG, "signing key %s expires at no time: %s", id, expires);
	key->expires = expires;
	key->key = read_key(json_str(item, "key"));
	if (key->key) {
		(void)snprintf(key->id, sizeof key->id, "%s", id);
		k->count++;
	}
	return 0;
}

int signing_keys_parse(struct signing_keys **ret, struct slice json, struct err *e)
{
	auto_json cJSON *j = NULL;
	struct signing_keys *k;
	const cJSON *item;
	int r = json.len > SIGNATURE_KEYS_LEN
			? err_set(e, -EBADMSG, "a list of signing keys of %zu bytes", json.len)
			: json_parse(&j, json, e);

	if (r < 0)
		return r;
	if (!cJSON_IsArray(json_get(j, "keys")))
		return err_set(e, -EBADMSG, "not a list of signing keys");
	if (crypto_need() < 0)
		return err_set(e, -ELIBACC,
			       "no signature can be checked without libcrypto; install it");
	k = calloc(1, sizeof *k);
	if (!k)
		return err_set(e, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, json_get(j, "keys"))
	{
		if (r == 0)
			r = add_key(k, item, e);
	}
	if (r < 0)
		signing_keys_free(k);
	else
		*ret = k;
	return r;
}

void signing_keys_free(struct signing_keys *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < k->count; i++)
		EVP_PKEY_free(k->keys[i].key);
	free(k);
}

/* ---- checking ---- */

static bool verifies(EVP_PKEY *key, const char *message, const char *signature)
{
	uint8_t der[DER_MAX];
	int n = decode_base64(signature, der);
	EVP_MD_CTX *ctx = n < 0 ? NULL : EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, der, (size_t)n, (const unsigned char *)message,
				     strlen(message)) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

static const struct signing_key *find_key(const struct signing_keys *k, const char *id)
{
	for (unsigned i = 0; i < k->count; i++)
		if (id && strcmp(k->keys[i].id, id) == 0)
			return &k->keys[i];
	return NULL;
}

static int check_one(const struct signing_keys *k, const cJSON *signature, const char *message,
		     const char *published, struct err *why)
{
	const char *id = json_str(signature, "keyid");
	const struct signing_key *key = find_key(k, id);
	time_t at;

	if (!key)
		return err_set(why, -EBADMSG,
			       "signed with a key that its registry does not list (%s)",
			       id ? id : "it is not said which");
	if (key->expires && (!parse_time(published, &at) || at >= key->until))
		return err_set(why, -EBADMSG, "published after the key that signed it expired (%s)",
			       id);
	if (!verifies(key->key, message, json_str(signature, "sig")))
		return err_set(why, -EBADMSG, "the signature is wrong (key %s)", id);
	return 0;
}

static bool same_sha1(const struct digest *d, const char *hex)
{
	char text[41];

	if (d->alg != DIGEST_SHA1 || !hex)
		return false;
	for (unsigned i = 0; i < d->len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", d->bytes[i]);
	return strcasecmp(text, hex) == 0;
}

/* What the registry signed is its own integrity; the lock's must be of the same bytes: each of its
 * digests, for any of them lets a tarball in. */
static int same_bytes(const cJSON *dist, const char *integrity, struct err *why)
{
	const char *theirs = json_str(dist, "integrity");
	struct sri lock, registry;

	if (!theirs || sri_parse(&registry, slice_str(theirs), NULL) < 0)
		return err_set(why, -EBADMSG, "signed, but its registry says no integrity");
	if (!integrity || sri_parse(&lock, slice_str(integrity), NULL) < 0)
		return err_set(why, -EBADMSG, "signed, but the lock has no integrity for it");
	for (unsigned i = 0; i < lock.count; i++)
		if (!sri_has(&registry, &lock.digests[i]) &&
		    !same_sha1(&lock.digests[i], json_str(dist, "shasum")))
			return err_set(why, -EBADMSG,
				       "its registry signed other bytes than the lock pins");
	return 0;
}

enum signature_state signature_check(const struct signing_keys *k, const cJSON *packument,
				     const char *name, const char *version, const char *integrity,
				     struct err *why)
{
	const cJSON *dist = json_get(json_get(json_get(packument, "versions"), version), "dist");
	const cJSON *signatures = json_get(dist, "signatures"), *one;
	const char *published = json_str(json_get(packument, "time"), version);
	char message[MESSAGE_MAX];
	int n = cJSON_GetArraySize(signatures), r;

	if (!dist) {
		(void)err_set(why, -ENOENT, "its registry does not know this version");
		return SIGNATURE_MISSING;
	}
	if (!cJSON_IsArray(signatures) || n == 0) {
		(void)err_set(why, -ENOENT, "its registry signs packages, but not this one");
		return SIGNATURE_MISSING;
	}
	r = n > SIGNATURES_MAX ? err_set(why, -EBADMSG, "it has %d signatures", n)
			       : same_bytes(dist, integrity, why);
	if (r == 0 && (size_t)snprintf(message, sizeof message, "%s@%s:%s", name, version,
				       json_str(dist, "integrity")) >= sizeof message)
		r = err_set(why, -EBADMSG, "its integrity is longer than any");
	cJSON_ArrayForEach(one, signatures)
	{
		if (r == 0)
			r = check_one(k, one, message, published, why);
	}
	return r < 0 ? SIGNATURE_BAD : SIGNATURE_GOOD;
}
