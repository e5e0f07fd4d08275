#include "core/hash.h"
#include "tests/lib/test.h"

Test(hash, known_values_in_canonical_form)
{
	char hex[HASH128_HEX_LEN + 1];

	/* XXH3's published value for no bytes, seed 0. */
	hash128_hex(hash128(NULL, 0), hex);
	cr_assert_str_eq(hex, "99aa06d3014798d86001c324468d497f");
}

Test(hash, in_pieces_gives_the_same_as_at_once)
{
	static uint8_t data[100000];
	struct hasher *h = hasher_new();

	cr_assert(h != NULL);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t step = 1; step < 5000; step = step * 3 + 1) {
		hasher_reset(h);
		for (size_t at = 0; at < sizeof data; at += step)
			hasher_add(h, data + at, sizeof data - at < step ? sizeof data - at : step);
		cr_assert(hash128_eq(hasher_end(h), hash128(data, sizeof data)));
	}
	hasher_free(h);
	hasher_free(NULL);
}

/* Two texts that XXH3 cannot tell apart: where four bytes are its own constants the other four of a
 * word are multiplied by nothing, and what is added to one is taken from another. */
Test(hash, without_the_key_no_two_texts_are_one)
{
	static const uint8_t first[] = { 0xb8, 0xfe, 0x6c, 0x39 },
			     second[] = { 0x7c, 1, 0x81, 0x2c };
	uint8_t text[2][512];
	struct hash128 got[3][2];

	memset(text, 'a', sizeof text);
	for (int i = 0; i < 2; i++) {
		memcpy(text[i], first, sizeof first);
		memcpy(text[i] + 64, second, sizeof second);
	}
	memcpy(text[1] + 4, "evil", 4);
	for (int i = 0; i < 4; i++)
		text[1][68 + i] = (uint8_t)(2 * 'a' - text[1][4 + i]);
	for (uint64_t key = 0; key < 3; key++) {
		for (int i = 0; i < 2; i++) {
			struct hasher *h = hasher_new_keyed(key);

			cr_assert(h != NULL);
			hasher_add(h, text[i], sizeof text[i]);
			got[key][i] = hasher_end(h);
			cr_expect(hash128_eq(got[key][i],
					     hash128_keyed(text[i], sizeof text[i], key)));
			hasher_free(h);
		}
	}
	cr_expect(hash128_eq(got[0][0], hash128(text[0], sizeof text[0])));
	cr_expect(hash128_eq(got[0][0], got[0][1]), "this is no collision");
	cr_expect(!hash128_eq(got[1][0], got[1][1]));
	cr_expect(!hash128_eq(got[1][0], got[2][0]));
}

Test(hash, hex_goes_both_ways_and_refuses_what_is_none)
{
	struct hash128 h = hash128("abc", 3), back;
	char hex[HASH128_HEX_LEN + 1];

	hash128_hex(h, hex);
	cr_assert_eq(hash128_from_hex(&back, slice_str(hex)), 0);
	cr_assert(hash128_eq(h, back));
	cr_assert_eq(hash128_from_hex(&back, (struct slice){ (uint8_t *)hex, 31 }), -EINVAL);
	hex[7] = 'G';
	cr_assert_eq(hash128_from_hex(&back, slice_str(hex)), -EINVAL);
	hex[7] = 'A'; /* one spelling for a name, or a blob would have two */
	cr_assert_eq(hash128_from_hex(&back, slice_str(hex)), -EINVAL);
}
