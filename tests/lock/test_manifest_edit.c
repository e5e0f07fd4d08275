#include "lock/manifest_edit.h"
#include "tests/lib/test.h"

#include <stdio.h>

static void expect(const char *text, const char *section, const char *name, const char *spec,
		   const char *want)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	auto_free char *got = NULL;
	struct err e = { 0 };
	int r = manifest_edit(&b, slice_str(text), section, name, spec, &e);

	got = r < 0 ? strdup(e.msg) : buf_steal_str(&b);
	if (strcmp(got, want) != 0) {
		(void)fprintf(stderr, "got: %s\nnot: %s\n", got, want);
		cr_expect(false);
	}
}

static const char plain[] = "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^1.0.0\",\n"
			    "    \"d\": \"2\"\n  },\n  \"private\": true\n}\n";

Test(manifest_edit, a_value_is_changed_in_its_place)
{
	expect(plain, "dependencies", "b", "^9",
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^9\",\n    \"d\": "
	       "\"2\"\n"
	       "  },\n  \"private\": true\n}\n");
}

Test(manifest_edit, a_new_name_stands_where_the_alphabet_puts_it)
{
	expect(plain, "dependencies", "a", "1",
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"a\": \"1\",\n    \"b\": "
	       "\"^1.0.0\",\n    \"d\": \"2\"\n  },\n  \"private\": true\n}\n");
	expect(plain, "dependencies", "c", "1",
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^1.0.0\",\n    \"c\": "
	       "\"1\",\n    \"d\": \"2\"\n  },\n  \"private\": true\n}\n");
	expect(plain, "dependencies", "e", "1",
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^1.0.0\",\n    \"d\": "
	       "\"2\",\n    \"e\": \"1\"\n  },\n  \"private\": true\n}\n");
}

Test(manifest_edit, where_there_is_no_order_it_stands_last)
{
	expect("{\"dependencies\":{\"z\":\"1\",\"b\":\"1\"}}", "dependencies", "a", "2",
	       "{\"dependencies\":{\"z\":\"1\",\"b\":\"1\",\"a\":\"2\"}}");
	expect("{ \"dependencies\": { \"z\": \"1\" } }", "dependencies", "a", "2",
	       "{ \"dependencies\": { \"a\": \"2\", \"z\": \"1\" } }");
}

Test(manifest_edit, a_new_section_stands_last)
{
	expect(plain, "devDependencies", "t", "1",
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^1.0.0\",\n    \"d\": "
	       "\"2\"\n  },\n  \"private\": true,\n  \"devDependencies\": {\n    \"t\": "
	       "\"1\"\n  }\n}\n");
	expect("{\n\t\"name\": \"x\"\n}", "dependencies", "a", "1",
	       "{\n\t\"name\": \"x\",\n\t\"dependencies\": {\n\t\t\"a\": \"1\"\n\t}\n}");
	expect("{}\n", "dependencies", "a", "1",
	       "{\n  \"dependencies\": {\n    \"a\": \"1\"\n  }\n}\n");
	expect("{\"dependencies\":{}}", "dependencies", "a", "1",
	       "{\n  \"dependencies\": {\n    \"a\": \"1\"\n  }\n}");
}

Test(manifest_edit, taken_out)
{
	expect(plain, "dependencies", "b", NULL,
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"d\": \"2\"\n  },\n  "
	       "\"private\": "
	       "true\n}\n");
	expect(plain, "dependencies", "d", NULL,
	       "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"b\": \"^1.0.0\"\n  },\n  "
	       "\"private\": true\n}\n");
	expect("{\r\n  \"dependencies\": {\r\n    \"b\": \"1\"\r\n  },\r\n  \"a\": 1\r\n}",
	       "dependencies", "b", NULL, "{\r\n  \"a\": 1\r\n}");
	expect("{\n  \"dependencies\": {\n    \"b\": \"1\"\n  }\n}\n", "dependencies", "b", NULL,
	       "{}\n");
	expect(plain, "dependencies", "nothing", NULL, plain);
	expect(plain, "devDependencies", "b", NULL, plain);
}

Test(manifest_edit, names_are_written_as_json)
{
	expect("{\"dependencies\":{\"\\u0061\":\"1\"}}", "dependencies", "a", "2",
	       "{\"dependencies\":{\"\\u0061\":\"2\"}}");
	expect("{\"dependencies\":{\"b\":\"1\"}}", "dependencies", "a\"", ">=1 <2",
	       "{\"dependencies\":{\"a\\\"\":\">=1 <2\",\"b\":\"1\"}}");
}

Test(manifest_edit, what_is_no_manifest)
{
	expect("{\"dependencies\":[]}", "dependencies", "a", "1",
	       "package.json: \"dependencies\" is no object");
	expect("[]", "dependencies", "a", "1", "package.json: its JSON is no object");
	expect("{\n\"a\" 1}", "dependencies", "a", "1",
	       "package.json: not valid JSON: line 2, column 5");
}

static void expect_list(const char *text, const char *list, const char *want)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	auto_json cJSON *j = list ? cJSON_Parse(list) : NULL;
	auto_free char *got = NULL;

	cr_assert_eq(manifest_edit_list(&b, slice_str(text), "bundleDependencies", j, NULL), 0);
	got = buf_steal_str(&b);
	if (strcmp(got, want) != 0)
		(void)fprintf(stderr, "got: %s\nnot: %s\n", got, want);
	cr_expect(strcmp(got, want) == 0);
}

Test(manifest_edit, a_list_at_the_top)
{
	expect_list("{\n  \"name\": \"x\"\n}\n", "[\"a\", \"b\"]",
		    "{\n  \"name\": \"x\",\n  \"bundleDependencies\": [\n    \"a\",\n    "
		    "\"b\"\n  ]\n}\n");
	expect_list("{\"bundleDependencies\":[\"z\"],\"b\":1}", "[\"a\"]",
		    "{\"bundleDependencies\":[\"a\"],\"b\":1}");
	expect_list("{\n\t\"bundleDependencies\": [\n\t\t\"z\"\n\t],\n\t\"b\": 1\n}", NULL,
		    "{\n\t\"b\": 1\n}");
	expect_list("{\"bundleDependencies\":true}", NULL, "{}");
	expect_list("{\"b\":1}", NULL, "{\"b\":1}");
}
