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
