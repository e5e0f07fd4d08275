#include "fetch/signature.h"
#include "tests/lib/test.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#define INTEGRITY                                                                                  \
	"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+" \
	"SfaPg=="
#define OTHER                                                                                      \
	"sha512-"                                                                                  \
	"vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF5bDufKRpayrW/"      \
	"isg=="

static EVP_PKEY *key;
static char *public_key;

static char *base64(const uint8_t *bytes, int n)
{
	char *text = malloc((size_t)n * 2 + 8);

	(void)EVP_EncodeBlock((unsigned char *)text, bytes, n);
	return text;
}

static void make_key(void)
{
	unsigned char *der = NULL;
	int n;

	key = EVP_EC_gen("prime256v1");
	cr_assert(key != NULL);
	n = i2d_PUBKEY(key, &der);
	public_key = base64(der, n);
	OPENSSL_free(der);
}

static void free_key(void)
{
	EVP_PKEY_free(key);
	free(public_key);
}

static char *sign(const char *message)
{
	uint8_t der[128];
	size_t n = sizeof der;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	cr_assert_eq(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	cr_assert_eq(EVP_DigestSign(ctx, der, &n, (const unsigned char *)message, strlen(message)),
		     1);
	EVP_MD_CTX_free(ctx);
	return base64(der, (int)n);
}

static struct signing_keys *keys(const char *expires)
{
	auto_free char *json = NULL;
	struct signing_keys *k = NULL;
	struct err e = { 0 };

	cr_assert(asprintf(&json,
			   "{\"keys\":[{\"expires\":%s,\"keyid\":\"SHA256:x\",\"key\":\"%s\"}]}",
			   expires, public_key) > 0);
	cr_assert_eq(signing_keys_parse(&k, slice_str(json), &e), 0, "%s", e.msg);
	return k;
}

/* What the check says of a packument with this dist and time, for x@1.0.0 and its integrity. */
static enum signature_state check(const char *expires, const char *dist, const char *time,
				  const char *integrity, struct err *why)
{
	auto_free char *json = NULL;
	auto_json cJSON *packument = NULL;
	struct signing_keys *k = keys(expires);
	enum signature_state s;

	cr_assert(asprintf(&json,
			   "{\"versions\":{\"1.0.0\":{\"dist\":%s}},\"time\":{\"1.0.0\":\"%s\"}}",
			   dist, time) > 0);
	cr_assert_eq(json_parse(&packument, slice_str(json), NULL), 0);
	s = signature_check(k, packument, "x", "1.0.0", integrity, why);
	signing_keys_free(k);
	return s;
}

static char *dist(const char *integrity, const char *signature, const char *id)
{
	char *json = NULL;

	cr_assert(asprintf(&json,
			   "{\"integrity\":\"%s\",\"shasum\":"
			   "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\","
			   "\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"%s\"}]}",
			   integrity, id, signature) > 0);
	return json;
}

Test(signature, good_bad_and_missing, .init = make_key, .fini = free_key)
{
	auto_free char *good = sign("x@1.0.0:" INTEGRITY), *wrong = sign("y@1.0.0:" INTEGRITY);
	auto_free char *ok = dist(INTEGRITY, good, "SHA256:x");
	auto_free char *bad = dist(INTEGRITY, wrong, "SHA256:x");
	auto_free char *no_key = dist(INTEGRITY, good, "SHA256:y");
	auto_free char *garbled = dist(INTEGRITY, "!!!!", "SHA256:x");
	const struct {
		const char *what, *expires, *dist, *time, *integrity;
		enum signature_state want;
	} rows[] = {
		{ "as it should be", "null", ok, "2025-01-01T00:00:00.000Z", INTEGRITY,
		  SIGNATURE_GOOD },
		{ "no time, and a key that stays", "null", ok, "", INTEGRITY, SIGNATURE_GOOD },
		{ "a lock of sha1", "null", ok, "",
		  "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", SIGNATURE_GOOD },
		{ "published before it expired", "\"2025-02-01T00:00:00.000Z\"", ok,
		  "2025-01-31T23:59:59.999Z", INTEGRITY, SIGNATURE_GOOD },
		{ "published when it expired", "\"2025-02-01T00:00:00.000Z\"", ok,
		  "2025-02-01T00:00:00.000Z", INTEGRITY, SIGNATURE_BAD },
		{ "published nobody knows when", "\"2025-02-01T00:00:00.000Z\"", ok, "", INTEGRITY,
		  SIGNATURE_BAD },
		{ "a signature of something else", "null", bad, "", INTEGRITY, SIGNATURE_BAD },
		{ "a key that is not listed", "null", no_key, "", INTEGRITY, SIGNATURE_BAD },
		{ "no base64", "null", garbled, "", INTEGRITY, SIGNATURE_BAD },
		{ "the lock pins other bytes", "null", ok, "", OTHER, SIGNATURE_BAD },
		{ "the lock would take other bytes too", "null", ok, "", INTEGRITY " " OTHER,
		  SIGNATURE_BAD },
		{ "the same, the other way round", "null", ok, "", OTHER " " INTEGRITY,
		  SIGNATURE_BAD },
		{ "a sha1 that nobody looks at", "null", ok, "",
		  "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= " OTHER, SIGNATURE_BAD },
		{ "the lock pins another sha1", "null", ok, "",
		  "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=", SIGNATURE_BAD },
		{ "the lock pins nothing", "null", ok, "", NULL, SIGNATURE_BAD },
		{ "no signatures", "null", "{\"integrity\":\"" INTEGRITY "\"}", "", INTEGRITY,
		  SIGNATURE_MISSING },
		{ "an empty list", "null", "{\"signatures\":[]}", "", INTEGRITY,
		  SIGNATURE_MISSING },
		{ "no dist", "null", "null", "", INTEGRITY, SIGNATURE_MISSING },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err why = { 0 };
		enum signature_state s =
			check(rows[i].expires, rows[i].dist, rows[i].time, rows[i].integrity, &why);

		cr_expect(s == rows[i].want, "%s: %s", rows[i].what, why.msg);
		cr_expect((why.code != 0) == (s != SIGNATURE_GOOD), "%s", rows[i].what);
	}
}

Test(signature, every_signature_must_hold, .init = make_key, .fini = free_key)
{
	auto_free char *good = sign("x@1.0.0:" INTEGRITY), *json = NULL;
	struct err why = { 0 };

	cr_assert(asprintf(&json,
			   "{\"integrity\":\"" INTEGRITY
			   "\",\"signatures\":[{\"keyid\":\"SHA256:x\","
			   "\"sig\":\"%s\"},{\"keyid\":\"SHA256:z\",\"sig\":\"%s\"}]}",
			   good, good) > 0);
	cr_expect_eq(check("null", json, "", INTEGRITY, &why), SIGNATURE_BAD);
}

Test(signature, lists_of_keys_that_cannot_be_are_refused, .init = make_key, .fini = free_key)
{
	const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"keys\":5}",
		"{\"keys\":[{}]}",
		"{\"keys\":[{\"keyid\":\"x\",\"expires\":\"soon\",\"key\":\"\"}]}"
	};
	struct signing_keys *k = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(signing_keys_parse(&k, slice_str(bad[i]), NULL), -EBADMSG);
	cr_expect(k == NULL);
}
