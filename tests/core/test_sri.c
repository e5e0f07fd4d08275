#include "core/sri.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define ABC512                                                                                     \
	"3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
#define ABC1   "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
#define ABC256 "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
#define ABC384 "ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn"

Test(sri, digests_have_their_known_values)
{
	static const struct {
		enum digest_alg alg;
		const char *text;
	} rows[] = {
		{ DIGEST_SHA1, "sha1-" ABC1 },           { DIGEST_SHA256, "sha256-" ABC256 },
		{ DIGEST_SHA384, "sha384-" ABC384 },     { DIGEST_SHA512, "sha512-" ABC512 },
		{ DIGEST_UNPINNED, "unpinned-" ABC512 },
	};
	char text[DIGEST_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct digest whole, pieces;
		struct digester *d = digester_new(rows[i].alg);

		cr_assert_eq(digest_of(&whole, rows[i].alg, "abc", 3), 0);
		digest_format(&whole, text);
		cr_assert_str_eq(text, rows[i].text);
		cr_assert(d != NULL);
		digester_add(d, "a", 1);
		digester_add(d, NULL, 0);
		digester_add(d, "bc", 2);
		cr_assert_eq(digester_end(d, &pieces), 0);
		cr_assert(digest_eq(&whole, &pieces));
		digester_free(d);
	}
	cr_assert_eq(digest_of(&(struct digest){ 0 }, DIGEST_NONE, "abc", 3), -EINVAL);
	cr_assert(digester_new((enum digest_alg)77) == NULL);
	digest_format(&(struct digest){ 0 }, text);
	cr_assert_str_eq(text, "none");
}

Test(sri, parse_as_npm_does)
{
	static const struct {
		const char *why, *text;
		int r;
		unsigned count;
		enum digest_alg alg;
	} rows[] = {
		{ "one", "sha512-" ABC512, 0, 1, DIGEST_SHA512 },
		{ "sha1 alone is accepted", "sha1-" ABC1, 0, 1, DIGEST_SHA1 },
		{ "the strongest decides, wherever it stands", "sha1-" ABC1 " sha512-" ABC512, 0, 1,
		  DIGEST_SHA512 },
		{ "and what follows does not weaken it", "sha512-" ABC512 " sha1-" ABC1, 0, 1,
		  DIGEST_SHA512 },
		{ "sha384 is between", "sha256-" ABC256 "\tsha384-" ABC384, 0, 1, DIGEST_SHA384 },
		{ "any white space", " \n sha256-" ABC256 "\r\n", 0, 1, DIGEST_SHA256 },
		{ "options are ignored", "sha1-" ABC1 "?foo-bar?x", 0, 1, DIGEST_SHA1 },
		{ "the same twice is one", "sha1-" ABC1 " sha1-" ABC1 "?x", 0, 1, DIGEST_SHA1 },
		{ "two of one algorithm", "sha1-" ABC1 " sha1-aaaaaaaaaaaaaaaaaaaaaaaaaaA=", 0, 2,
		  DIGEST_SHA1 },
		{ "unknown algorithms are skipped", "md5-kAFQmDzST7DWlj99KOF/cg== sha1-" ABC1, 0, 1,
		  DIGEST_SHA1 },
		{ "malformed parts are skipped", "sha512-short sha1-" ABC1, 0, 1, DIGEST_SHA1 },
		{ "nothing", "", -EINVAL, 0, 0 },
		{ "only spaces", "  ", -EINVAL, 0, 0 },
		{ "md5 alone", "md5-kAFQmDzST7DWlj99KOF/cg==", -EINVAL, 0, 0 },
		{ "no dash", "sha1" ABC1, -EINVAL, 0, 0 },
		{ "upper case is another algorithm", "SHA1-" ABC1, -EINVAL, 0, 0 },
		{ "one character missing", "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J=", -EINVAL, 0, 0 },
		{ "padding missing", "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0", -EINVAL, 0, 0 },
		{ "stray bits at the end", "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J1=", -EINVAL, 0, 0 },
		{ "base64url", "sha1-qZk-NkcGgWq6PiVxeFDCbJzQ2J0=", -EINVAL, 0, 0 },
		{ "padding inside", "sha1-qZk+=kcGgWq6PiVxeFDCbJzQ2J0=", -EINVAL, 0, 0 },
		{ "a key is no proof", "unpinned-" ABC512, -EINVAL, 0, 0 },
		{ "options before the dash", "sha1?-" ABC1, -EINVAL, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sri s = { 0 };
		int r = sri_parse(&s, slice_str(rows[i].text), NULL);

		if (r != rows[i].r || s.count != rows[i].count ||
		    (s.count && s.digests[0].alg != rows[i].alg))
			fprintf(stderr, "row: %s\n", rows[i].why);
		cr_expect_eq(r, rows[i].r);
		cr_expect_eq(s.count, rows[i].count);
		if (s.count)
			cr_expect_eq(s.digests[0].alg, rows[i].alg);
	}
}

Test(sri, any_digest_of_the_strongest_algorithm_may_match)
{
	struct digest d;
	struct sri s;

	cr_assert_eq(sri_parse(&s, SLICE("sha1-aaaaaaaaaaaaaaaaaaaaaaaaaaA= sha1-" ABC1), NULL), 0);
	cr_assert_eq(digest_of(&d, DIGEST_SHA1, "abc", 3), 0);
	cr_assert(sri_has(&s, &d));
	d.bytes[3] ^= 1;
	cr_assert(!sri_has(&s, &d));
}

Test(sri, limits_are_errors_with_a_sentence)
{
	char text[SRI_TEXT_MAX + 2];
	struct err e = { 0 };
	struct sri s;
	size_t n = 0;

	memset(text, ' ', sizeof text);
	cr_assert_eq(sri_parse(&s, (struct slice){ (uint8_t *)text, SRI_TEXT_MAX + 1 }, &e),
		     -E2BIG);
	for (char c = 'a'; c < 'a' + SRI_DIGESTS_MAX + 1; c++, n += 34)
		(void)snprintf(text + n, 40, "sha1-%caaaaaaaaaaaaaaaaaaaaaaaaaA= ", c);
	cr_assert_eq(sri_parse(&s, slice_str(text), &e), -E2BIG);
	cr_assert(strstr(e.msg, "sha1") != NULL);
	cr_assert_eq(sri_parse(&s, SLICE("what"), &e), -EINVAL);
	cr_assert(strstr(e.msg, "\"what\"") != NULL);
}

static int digest_once(void)
{
	struct digest d;

	return digest_of(&d, DIGEST_SHA512, "abc", 3);
}

Test(sri, out_of_memory_is_reported)
{
	fault_each(digest_once(), -ENOMEM);
}

Test(sri, every_wrong_character_is_seen)
{
	char text[] = "sha512-" ABC512;
	struct sri sri;

	for (size_t i = sizeof "sha512-" - 1; i < sizeof text - 1; i++) {
		char right = text[i];

		text[i] = '!';
		cr_assert_lt(sri_parse(&sri, slice_str(text), NULL), 0, "at %zu", i);
		text[i] = right;
	}
	cr_assert_eq(sri_parse(&sri, slice_str(text), NULL), 0);
}
