#include "core/err.h"
#include "tests/lib/test.h"

Test(err, a_sentence_is_one_line_and_moves_no_cursor)
{
	struct err e = { 0 };

	cr_assert_eq(err_set(&e, -EIO, "%s: gone",
			     "a\nb\x1b[2Jc\x7f\t\xc2\x9b"
			     "d\xc3\xa9"),
		     -EIO);
	cr_assert_str_eq(e.msg, "a?b?[2Jc??"
				"??d\xc3\xa9: gone");
	cr_assert_eq(err_wrap(&e, -EBADMSG, "x\r%s", "\x1b]0;y\x07"), -EBADMSG);
	cr_assert_str_eq(e.msg, "x??]0;y?: a?b?[2Jc??"
				"??d\xc3\xa9: gone");
}

Test(err, text_that_ends_in_half_a_character_is_left)
{
	char text[] = "a\xc2";

	text_clean(text, 2);
	cr_assert_str_eq(text, "a\xc2");
}
