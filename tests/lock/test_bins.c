#include "lock/bins.h"
#include "tests/lib/test.h"

static char *bins_of(const char *json, const char *name, enum bins_source from)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	auto_buf struct buf b = BUF_INIT(4096);
	auto_json cJSON *j = NULL;
	const struct graph_bin *bins;
	uint32_t n;

	cr_assert_eq(json_parse(&j, slice_str(json), NULL), 0);
	cr_assert_eq(bins_normalize(&a, j, name, from, &bins, &n, NULL), 0);
	for (uint32_t i = 0; i < n; i++)
		buf_addf(&b, "%s%s>%s", i ? " " : "", bins[i].name, bins[i].target);
	buf_addstr(&b, "");
	return b.len ? buf_steal_str(&b) : strdup("");
}

static const struct {
	const char *json, *manifest, *lock;
} rows[] = {
	{ "\"./cli.js\"", "foo>cli.js", "foo>cli.js" },
	{ "[\"./lib/one.js\", \"two.js\", 3]", "one.js>lib/one.js two.js>two.js",
	  "one.js>lib/one.js two.js>two.js" },
	{ "{\"../../evil\":\"e\",\"sub/three\":\"t\",\"eight:x\":\"x\"}", "evil>e three>t x>x",
	  "evil>e three>t x>x" },
	{ "{\"a\":\"../../out.js\",\"b\":\"./b/../c.js\",\"c\":\"/abs.js\",\"d\":\"bin\\\\w.js\"}",
	  "a>out.js b>c.js c>abs.js d>bin/w.js", "a>out.js b>c.js c>abs.js d>bin/w.js" },
	{ "{\"x\":\"a:b.js\",\"eight:x\":\"e.js\"}", "x>e.js", "x>e.js" },
	{ "{\"x\":\"a:b.js\"}", "x>a/b.js", "x>a:b.js" },
	/* Two keys become one: a manifest keeps the changed key's, a lock the later one's. */
	{ "{\"sub/three\":\"a.js\",\"three\":\"b.js\"}", "three>a.js", "three>b.js" },
	{ "{\"three\":\"b.js\",\"sub/three\":\"a.js\"}", "three>a.js", "three>a.js" },
	/* Nothing is left of these. */
	{ "{\"..\":\"a\",\".\":\"a\",\"\":\"a\",\"/\":\"a\",\"x\":\"..\",\"y\":\"\",\"z\":1}", "",
	  "" },
	{ "{\"a/..\":\"x\"}", "", "" },
	{ "{\"dir\":\"lib/\"}", "dir>lib", "dir>lib" },
	{ "{}", "", "" },
	{ "true", "", "" },
	{ "{\"asis\":\"cli.js\",\"b\":\"x/y.js\"}", "asis>cli.js b>x/y.js",
	  "asis>cli.js b>x/y.js" },
};

Test(bins, are_normalised_as_npm_does)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *m = bins_of(rows[i].json, "@sc/foo", BINS_MANIFEST);
		auto_free char *l = bins_of(rows[i].json, "@sc/foo", BINS_LOCK);

		cr_expect(strcmp(m, rows[i].manifest) == 0, "%s: %s", rows[i].json, m);
		cr_expect(strcmp(l, rows[i].lock) == 0, "%s: %s", rows[i].json, l);
	}
}

Test(bins, equal_only_what_prints_back)
{
	static const struct graph_bin bins[] = { { "a", "x.js" }, { "b", "y.js" } };
	static const struct {
		const char *json;
		bool equal;
	} cases[] = {
		{ "{\"a\":\"x.js\",\"b\":\"y.js\"}", true },
		{ "{\"b\":\"y.js\",\"a\":\"x.js\"}", false },
		{ "{\"a\":\"./x.js\",\"b\":\"y.js\"}", false },
		{ "{\"a\":\"x.js\"}", false },
		{ "{\"a\":\"x.js\",\"b\":\"y.js\",\"c\":1}", false },
		{ "\"x.js\"", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_json cJSON *j = NULL;

		cr_assert_eq(json_parse(&j, slice_str(cases[i].json), NULL), 0);
		cr_expect(bins_equal(j, bins, 2) == cases[i].equal, "%s", cases[i].json);
	}
}

Test(bins, of_a_string_without_a_name_there_are_none)
{
	auto_free char *none = bins_of("\"cli.js\"", NULL, BINS_LOCK);

	cr_assert_str_eq(none, "");
}

Test(bins, have_a_limit)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	auto_buf struct buf b = BUF_INIT(1 << 20);
	auto_json cJSON *j = NULL;
	const struct graph_bin *bins;
	struct err e = { 0 };
	uint32_t n;

	buf_addstr(&b, "{");
	for (unsigned i = 0; i <= BINS_MAX; i++)
		buf_addf(&b, "%s\"b%u\":\"x\"", i ? "," : "", i);
	buf_addstr(&b, "}");
	cr_assert_eq(json_parse(&j, (struct slice){ b.data, b.len }, NULL), 0);
	cr_assert_eq(bins_normalize(&a, j, "p", BINS_LOCK, &bins, &n, &e), -E2BIG);
	cr_assert(strstr(e.msg, "5001 bins"));
}
