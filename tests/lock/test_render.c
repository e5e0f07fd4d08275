#include "lock/json_text.h"
#include "lock/lock.h"
#include "lock/render.h"
#include "tests/lock/sample.h"

#include <stdio.h>

/* The text that a lock prints as, after a way through the binary form. */
enum { PLAIN, HIDDEN, HIDDEN_UNRESOLVED };

static char *printed(const char *text, int how)
{
	auto_graph struct graph *g = sample_graph(text);
	auto_buf struct buf out = BUF_INIT(1 << 20), dxl = BUF_INIT(1 << 20);
	auto_graph struct graph *back = NULL;
	auto_free bool *present = calloc(g->count, sizeof *present);
	struct lock *l = NULL;
	struct err e = { 0 };
	int r;

	memset(present, true, g->count);
	cr_assert_eq(lock_build(g, (struct hash128){ 0 }, &dxl, NULL), 0);
	cr_assert_eq(lock_open_bytes(&l, (struct slice){ dxl.data, dxl.len }, NULL), 0);
	cr_assert_eq(lock_graph(l, &back, NULL), 0);
	r = how == PLAIN ? render_package_lock(back, &out, &e)
			 : render_hidden(back, present, how == HIDDEN_UNRESOLVED, &out, &e);
	if (r < 0)
		(void)fprintf(stderr, "render: %s\n", e.msg);
	cr_assert_eq(r, 0);
	lock_close(l);
	return buf_steal_str(&out);
}

static void prints(const char *text, const char *expect, int how)
{
	auto_free char *out = printed(text, how);

	if (strcmp(out, expect) != 0)
		(void)fprintf(stderr, "got:\n%s\nnot:\n%s\n", out, expect);
	cr_assert(strcmp(out, expect) == 0);
}

Test(render, a_lock_of_npm_comes_back_byte_for_byte)
{
	prints(sample_text, sample_text, PLAIN);
}

Test(render, indentation_and_line_ends_are_kept)
{
	static const char *const texts[] = {
		"{\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"name\":\"x\"}}}",
		"{\n\t\"lockfileVersion\": 3,\n\t\"requires\": true,\n\t\"packages\": {}\n}\n",
		("{\r\n    \"lockfileVersion\": 3,\r\n    \"requires\": true,\r\n    \"packages\": "
		 "{}\r\n}\r\n"),
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		prints(texts[i], texts[i], PLAIN);
}

Test(render, members_are_put_into_npms_order)
{
	prints("{\"zeta\":{\"version\":{},\"b\":[{\"y\":{},\"x\":0}],\"a\":1,\"10\":{},\"9\":\"\"},"
	       "\"alpha\":true,\"packages\":{\"node_modules/b\":{\"os\":[\"linux\"],\"license\":{},"
	       "\"engines\":{\"npm\":\"1\",\"node\":\"2\"},\"version\":\"1.0.0\",\"bin\":{\"y\":"
	       "\"1\",\"x\":\"2\"}},\"\":{\"dependencies\":{\"version\":\"1\",\"b\":\"1\"}}},"
	       "\"requires\":true,\"lockfileVersion\":3}",
	       "{\"lockfileVersion\":3,\"requires\":true,\"alpha\":true,\"packages\":{\"\":{"
	       "\"dependencies\":{\"version\":\"1\",\"b\":\"1\"}},\"node_modules/b\":{\"version\":"
	       "\"1.0.0\",\"os\":[\"linux\"],\"bin\":{\"x\":\"2\",\"y\":\"1\"},\"engines\":{"
	       "\"node\":"
	       "\"2\",\"npm\":\"1\"},\"license\":{}}},\"zeta\":{\"9\":\"\",\"10\":{},\"a\":1,\"b\":"
	       "[{"
	       "\"x\":0,\"y\":{}}],\"version\":{}}}",
	       PLAIN);
}

Test(render, what_the_fields_cannot_say_comes_from_the_residue)
{
	static const char text[] =
		"{\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"dependencies\":{"
		"\"a\":"
		"\"*\"}},\"node_modules/a\":{\"name\":\"a\",\"version\":\"1.0.0\",\"cpu\":\"x64\","
		"\"hasInstallScript\":false,\"os\":[],\"dependencies\":{},\"bin\":{\"a\":\"./"
		"a.js\"}}}}";

	prints(text, text, PLAIN);
}

Test(render, a_lock_of_version_2_keeps_its_second_half)
{
	static const char text[] =
		"{\"lockfileVersion\":2,\"requires\":true,\"packages\":{\"\":{\"dependencies\":{"
		"\"a\":"
		"\"1\"}},\"node_modules/a\":{\"version\":\"1.0.0\"}},\"dependencies\":{\"a\":{"
		"\"version\":\"1.0.0\",\"requires\":{\"b\":\"1\"}}}}";

	prints(text, text, false);
	prints(text,
	       "{\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {\n    "
	       "\"node_modules/a\": {\n      \"version\": \"1.0.0\"\n    }\n  }\n}\n",
	       HIDDEN);
}

Test(render, the_hidden_lock_has_only_what_npm_knows)
{
	prints("{\"name\":\"x\",\"lockfileVersion\":3,\"other\":1,\"packages\":{\"\":{"
	       "\"dependencies\":{\"a\":\"*\"}},\"node_modules/a\":{\"name\":\"a\",\"version\":"
	       "\"1.0.0\",\"unknown\":1,\"license\":\"MIT\",\"funding\":{},\"dev\":true,\"os\":[],"
	       "\"devDependencies\":{\"b\":\"1\"}}}}",
	       "{\n  \"name\": \"x\",\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  "
	       "\"other\": 1,\n  \"packages\": {\n    \"node_modules/a\": {\n      \"version\": "
	       "\"1.0.0\",\n      \"license\": \"MIT\"\n    }\n  }\n}\n",
	       HIDDEN);
}

Test(render, the_hidden_lock_has_bins_as_npm_understood_them)
{
	prints("{\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"a\":\"*\"}},"
	       "\"node_modules/a\":{\"version\":\"1.0.0\",\"bin\":{\"x/b\":\"./y//b.js\",\"..\":"
	       "\"c\"}}}}",
	       "{\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {\n    "
	       "\"node_modules/a\": {\n      \"version\": \"1.0.0\",\n      \"bin\": {\n        "
	       "\"b\": \"y/b.js\"\n      }\n    }\n  }\n}\n",
	       HIDDEN);
}

Test(render, the_hidden_lock_calls_bundled_what_root_bundles_and_what_that_needs)
{
	prints("{\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"a\":\"*\",\"c\":"
	       "\"*\"},\"bundleDependencies\":[\"a\"]},\"node_modules/a\":{\"dependencies\":{\"b\":"
	       "\"1\"}},\"node_modules/b\":{},\"node_modules/c\":{\"inBundle\":true}}}",
	       "{\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {\n    "
	       "\"node_modules/a\": {\n      \"inBundle\": true,\n      \"dependencies\": {\n      "
	       "  "
	       "\"b\": \"1\"\n      }\n    },\n    \"node_modules/b\": {\n      \"inBundle\": "
	       "true\n    },\n    \"node_modules/c\": {}\n  }\n}\n",
	       HIDDEN);
}

Test(render, the_setting_hides_where_packages_of_the_registry_came_from)
{
	static const char text[] =
		"{\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"a\":\"npm:x@1\","
		"\"b\":\"u:1\",\"l\":\"file:l\"}},\"l\":{},\"node_modules/"
		"a\":{\"resolved\":\"u:0\"},"
		"\"node_modules/b\":{\"resolved\":\"u:1\"},\"node_modules/l\":{\"resolved\":\"l\","
		"\"link\":true},\"node_modules/z\":{\"resolved\":\"u:2\"}}}";
	auto_free char *all = printed(text, HIDDEN), *some = printed(text, HIDDEN_UNRESOLVED);

	cr_assert(strstr(all, "\"u:0\"") && strstr(all, "\"u:1\""));
	cr_assert_not(strstr(some, "\"u:0\""));
	/* neither the link, nor what is no package of the registry, nor what nothing asks for */
	cr_assert(strstr(some, "\"u:1\"") && strstr(some, "\"u:2\"") &&
		  strstr(some, "\"resolved\": \"l\""));
}

Test(render, strings_are_escaped_as_javascript_does)
{
	static const char text[] =
		"{\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"dependencies\":{"
		"\"a\":"
		"\"*\"}},\"node_modules/a\":{\"version\":\"1\\\"\\\\\\n\\u001f\xC3\xA9/\","
		"\"deprecated\":\"\\t{\\\"[,:\"}}}";

	prints(text, text, PLAIN);
}

Test(render, a_residue_that_is_no_object_is_an_error)
{
	static const char *const bad[] = {
		"{",          "{\"a\"}",     "{\"a\":}",         "{\"a\":1,}", "[1]",
		"{\"a\":[1}", "{\"a\":\"x}", "{\"a\":{\"b\":1}", "{\"a\":1}x", "{\"a\":[{]}}",
		"{a:1}",      "{\"a\":1 }",  "{\"a\":[,]}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_graph struct graph *g = sample_graph("{\"packages\":{\"node_modules/a\":{}}}");
		auto_buf struct buf out = BUF_INIT(1 << 16);
		struct err e = { 0 };

		g->nodes[1].residue = bad[i];
		cr_assert_eq(render_package_lock(g, &out, &e), -EBADMSG);
		cr_assert(e.msg[0] != '\0');
	}
}

Test(render, a_text_deeper_than_the_limit_is_an_error)
{
	const size_t levels = JSON_DEPTH_MAX + 2; /* the innermost needs none */
	char deep[2 * JSON_DEPTH_MAX + 16];
	struct json_text t;
	struct json_member m;
	size_t n = (size_t)snprintf(deep, sizeof deep, "{\"a\":");

	memset(deep + n, '[', levels);
	memset(deep + n + levels, ']', levels);
	strcpy(deep + n + 2 * levels, "}");
	t = json_text(deep);
	cr_assert_not(json_text_next(&t, &m));
	cr_assert_eq(t.error, -EBADMSG);
	memmove(deep + n, deep + n + 1, strlen(deep + n));
	strcpy(deep + n + 2 * levels - 2, "}");
	t = json_text(deep);
	cr_assert(json_text_next(&t, &m));
	cr_assert_not(json_text_next(&t, &m));
	cr_assert_eq(t.error, 0);
}
