#include "fetch/utf8.h"
#include "tests/lib/test.h"

#define BAD "\xef\xbf\xbd"

Test(utf8, wrong_parts_are_replaced_as_by_the_whatwg_decoder)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain text of more than eight bytes", "plain text of more than eight bytes" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		  "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xe9", BAD },
		{ "\x80\xbf", BAD BAD },
		{ "\xc0\xaf", BAD BAD },         /* overlong */
		{ "\xe0\x80\xaf", BAD BAD BAD }, /* overlong */
		{ "\xed\xa0\x80", BAD BAD BAD }, /* a surrogate */
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD },
		{ "\xf5\x80", BAD BAD },
		{ "\xe2\x82"
		  "A",
		  BAD "A" }, /* one for the whole beginning of a character */
		{ "\xf0\x9f\x98", BAD },
		{ "\xf0\x9f\xf0\x9f\x98\x80", BAD "\xf0\x9f\x98\x80" },
		{ "12345678\xff"
		  "12345678",
		  "12345678" BAD "12345678" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_buf struct buf b = BUF_INIT(256);
		struct slice want = slice_str(rows[i].out);

		utf8_add(&b, slice_str(rows[i].in));
		cr_assert_eq(buf_error(&b), 0);
		cr_assert(slice_eq((struct slice){ b.data, b.len }, want));
		cr_assert_eq(utf8_len(slice_str(rows[i].in)), want.len);
	}
}

Test(utf8, white_space_is_javascripts)
{
	static const char *const spaces[] = { " ",
					      "\t",
					      "\n",
					      "\v",
					      "\f",
					      "\r",
					      "\xc2\xa0",
					      "\xe1\x9a\x80",
					      "\xe2\x80\x8a",
					      "\xe2\x80\xa9",
					      "\xe3\x80\x80",
					      "\xef\xbb\xbf" };
	static const char *const others[] = { "",        "x",        "\x1f",
					      "\xc2",    "\xc2\x85", "\xe2\x80\x8b",
					      "\xe2\x80" };

	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		cr_assert_eq(utf8_space((const uint8_t *)spaces[i], strlen(spaces[i])),
			     strlen(spaces[i]));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		cr_assert_eq(utf8_space((const uint8_t *)others[i], strlen(others[i])), 0);
}
