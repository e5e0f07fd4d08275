#include "lock/json.h"
#include "tests/lib/test.h"

Test(json, of_duplicate_keys_the_last_wins)
{
	auto_json cJSON *j = NULL;

	cr_assert_eq(json_parse(&j, SLICE("\xEF\xBB\xBF{\"a\":\"1\",\"a\":\"2\"}"), NULL), 0);
	cr_assert_str_eq(json_str(j, "a"), "2");
}

Test(json, a_syntax_error_names_line_and_column)
{
	struct err e = { 0 };
	cJSON *j = NULL;

	cr_assert_eq(json_parse(&j, SLICE("{\n  \"a\": }"), &e), -EBADMSG);
	cr_assert(strstr(e.msg, "line 2") != NULL);
	cr_assert_eq(json_parse(&j, SLICE("{\n  \"a\": 1,\n  }"), &e), -EBADMSG);
	cr_expect(strstr(e.msg, "line 3, column 3"), "%s", e.msg);
	cr_assert_eq(json_parse(&j, SLICE("{ a: 1 }"), &e), -EBADMSG);
	cr_expect(strstr(e.msg, "line 1, column 3"), "%s", e.msg);
	cr_assert_eq(json_parse(&j, SLICE("{\"a\": 1 \"b\": 2}"), &e), -EBADMSG);
	cr_expect(strstr(e.msg, "line 1, column 9"), "%s", e.msg);
	cr_assert_eq(json_parse(&j, SLICE("{\"a\" 1}"), &e), -EBADMSG);
	cr_expect(strstr(e.msg, "line 1, column 6"), "%s", e.msg);
	cr_assert_eq(json_parse(&j, SLICE("{} x"), &e), -EBADMSG);
	cr_assert_eq(json_parse(&j, SLICE(""), &e), -EBADMSG);
}

Test(json, a_merge_conflict_is_called_so)
{
	static const char text[] = "{\n  \"a\": 1,\n<<<<<<< HEAD\n  \"b\": 1\n=======\n  \"b\": 2\n"
				   ">>>>>>> theirs\n}\n";
	cJSON *j;
	struct err e = { 0 };

	cr_expect(json_parse(&j, slice_str(text), &e) == -EBADMSG);
	cr_expect(strstr(e.msg, "a merge conflict stands in it, from line 3 on"), "%s", e.msg);
	cr_expect(json_parse(&j, slice_str("<<<<<<< HEAD\n"), &e) == -EBADMSG);
	cr_expect(strstr(e.msg, "from line 1 on"), "%s", e.msg);
	/* Within a line it is none. */
	cr_expect(json_parse(&j, slice_str("{\"a\": \"<<<<<<< \",\n <<<<<<< b"), &e) == -EBADMSG);
	cr_expect(strstr(e.msg, "line 2, column 2"), "%s", e.msg);
}

Test(json, depth_has_a_limit)
{
	uint8_t deep[1000];
	cJSON *j = NULL;

	memset(deep, '[', sizeof deep);
	cr_assert_eq(json_parse(&j, (struct slice){ deep, sizeof deep }, NULL), -E2BIG);
}

Test(json, prints_as_json_stringify_does)
{
	auto_buf struct buf b = BUF_INIT(1024);
	auto_json cJSON *j = NULL;
	auto_free char *text = NULL;

	cr_assert_eq(json_parse(&j,
				SLICE("{\"a\":[1,1.5,true,null,\"q\\\"\\u001f/\\n\"],\"b\":{}}"),
				NULL),
		     0);
	json_put(&b, j);
	text = buf_steal_str(&b);
	cr_assert_str_eq(text, "{\"a\":[1,1.5,true,null,\"q\\\"\\u001f/\\n\"],\"b\":{}}");
}
