#include "lock/manifest_deps.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* One line: package.json before, what is done, what npm has in memory, what it writes. */
struct row {
	const char *before;
	char what; /* 'a'dd, 'r'emove, 's'ettle, 'b'undle and add */
	const char *name, *spec;
	enum deps_save how;
	const char *memory, *file;
};

static const struct row rows[] = {
	/* A new one is a dependency. */
	{ "{}", 'a', "x", "1", DEPS_AS_IS, "{'dependencies':{'x':'1'}}",
	  "{\n  'dependencies': {\n    'x': '1'\n  }\n}\n" },
	/* One that is there stays where it stands, and is asked for as before. */
	{ "{'devDependencies':{'x':'1'}}", 'a', "x", "*", DEPS_AS_IS,
	  "{'devDependencies':{'x':'1'}}", "{'devDependencies':{'x':'1'}}" },
	/* What is optional is said twice in memory and once in the file. */
	{ "{'dependencies':{'x':'1'}}", 'a', "x", "2", DEPS_OPTIONAL,
	  "{'dependencies':{'x':'2'},'optionalDependencies':{'x':'2'}}",
	  "{'optionalDependencies':{'x':'2'}}" },
	/* It may be a dev dependency besides. */
	{ "{'devDependencies':{'x':'1'}}", 'a', "x", "2", DEPS_OPTIONAL,
	  "{'devDependencies':{'x':'1'},'optionalDependencies':{'x':'2'},'dependencies':{'x':'2'}}",
	  "{'devDependencies':{'x':'1'},'optionalDependencies':{'x':'2'}}" },
	/* A dependency is nothing else but optional, until it is settled. */
	{ "{'devDependencies':{'x':'1'},'peerDependencies':{'x':'1'}}", 'a', "x", "2", DEPS_PROD,
	  "{'dependencies':{'x':'2'}}", "{'dependencies':{'x':'2'}}" },
	{ "{'optionalDependencies':{'x':'1','y':'1'}}", 's', "x", "2", DEPS_PROD,
	  "{'optionalDependencies':{'y':'1'},'dependencies':{'x':'2'}}",
	  "{'optionalDependencies':{'y':'1'},'dependencies':{'x':'2'}}" },
	/* A peer may be a dev dependency, which then asks for the same. */
	{ "{'dependencies':{'x':'1'},'devDependencies':{'x':'1'}}", 'a', "x", "2", DEPS_PEER,
	  "{'devDependencies':{'x':'2'},'peerDependencies':{'x':'2'}}",
	  "{'devDependencies':{'x':'2'},'peerDependencies':{'x':'2'}}" },
	{ "{}", 'a', "x", "2", DEPS_PEER_OPTIONAL,
	  "{'peerDependencies':{'x':'2'},'peerDependenciesMeta':{'x':{'optional':true}}}",
	  "{\n  'peerDependencies': {\n    'x': '2'\n  }\n}\n" },
	{ "{'peerDependencies':{'x':'1'},'peerDependenciesMeta':{'x':{'optional':true}}}", 'a', "x",
	  "2", DEPS_PEER,
	  "{'peerDependencies':{'x':'2'},'peerDependenciesMeta':{'x':{'optional':false}}}",
	  "{'peerDependencies':{'x':'2'},'peerDependenciesMeta':{'x':{'optional':true}}}" },
	/* What was a dependency and a peer stays both, if the peer stays. */
	{ "{'dependencies':{'x':'1','y':'1'},'peerDependencies':{'x':'1'}}", 'r', "y", NULL, 0,
	  "{'dependencies':{'x':'1'},'peerDependencies':{'x':'1'}}",
	  "{'dependencies':{'x':'1'},'peerDependencies':{'x':'1'}}" },
	/* Out of everything. */
	{ "{'dependencies':{'x':'1'},'peerDependencies':{'x':'1','y':'1'},"
	  "'bundleDependencies':['x'],'peerDependenciesMeta':{'x':{'optional':true}}}",
	  'r', "x", NULL, 0, "{'peerDependencies':{'y':'1'}}",
	  "{'peerDependencies':{'y':'1'},'peerDependenciesMeta':{'x':{'optional':true}}}" },
	{ "{'dependencies':{'x':'1'}}", 'r', "nothing", NULL, 0, "{'dependencies':{'x':'1'}}",
	  "{'dependencies':{'x':'1'}}" },
	/* A list that is empty goes when the file changes. */
	{ "{'dependencies':{},'devDependencies':{'x':'1'}}", 'a', "x", "2", DEPS_AS_IS,
	  "{'dependencies':{},'devDependencies':{'x':'2'}}", "{'devDependencies':{'x':'2'}}" },
	/* Beside a dev dependency, what still fits stays. */
	{ "{'devDependencies':{'x':'1'},'peerDependencies':{'x':'>=1'}}", 's', "x", "^1.2.0", 0,
	  "{'devDependencies':{'x':'^1.2.0'},'peerDependencies':{'x':'>=1'}}",
	  "{'devDependencies':{'x':'^1.2.0'},'peerDependencies':{'x':'>=1'}}" },
	{ "{'devDependencies':{'x':'1'},'peerDependencies':{'x':'1'}}", 's', "x", "^2.0.0", 0,
	  "{'devDependencies':{'x':'^2.0.0'},'peerDependencies':{'x':'^2.0.0'}}",
	  "{'devDependencies':{'x':'^2.0.0'},'peerDependencies':{'x':'^2.0.0'}}" },
	/* Bundled. */
	{ "{'bundleDependencies':['a','z'],'dependencies':{'a':'1','z':'1'}}", 'b', "x", "1", 0,
	  "{'bundleDependencies':['a','x','z'],'dependencies':{'a':'1','z':'1','x':'1'}}",
	  "{'bundleDependencies':['a','x','z'],'dependencies':{'a':'1','x':'1','z':'1'}}" },
	/* What is said twice in the file is optional. */
	{ "{'dependencies':{'x':'1','y':'1'},'optionalDependencies':{'x':'1'}}", 'a', "y", "2", 0,
	  "{'dependencies':{'y':'2'},'optionalDependencies':{'x':'1'}}",
	  "{'dependencies':{'y':'2'},'optionalDependencies':{'x':'1'}}" },
};

/* With double quotes, for the eye. */
static char *quoted(const char *text)
{
	char *s = strdup(text);

	for (char *p = s; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return s;
}

static int change(const struct row *r, cJSON *pkg)
{
	switch (r->what) {
	case 'r':
		(void)deps_remove(pkg, r->name);
		return 0;
	case 's':
		return deps_settle(pkg, r->name, r->spec, r->how, false);
	default:
		return deps_add(pkg, r->name, r->spec, r->how, r->what == 'b');
	}
}

static void same(size_t i, const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		(void)fprintf(stderr, "row %zu, %s: got: %s\nnot: %s\n", i, what, got, want);
	cr_expect(strcmp(got, want) == 0);
}

Test(manifest_deps, as_npm_does_it)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *before = quoted(rows[i].before), *memory = quoted(rows[i].memory);
		auto_free char *file = quoted(rows[i].file), *got = NULL, *text = NULL;
		auto_buf struct buf b = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
		auto_json cJSON *pkg = NULL;

		cr_assert_eq(json_parse(&pkg, slice_str(before), NULL), 0);
		cr_assert_eq(deps_normalize(pkg), 0);
		cr_assert_eq(change(&rows[i], pkg), 0, "row %zu", i);
		json_put(&b, pkg);
		got = buf_steal_str(&b);
		same(i, "in memory", got, memory);
		cr_assert_eq(deps_text(&out, slice_str(before), pkg, NULL), 0);
		text = buf_steal_str(&out);
		same(i, "in the file", text, file);
	}
}

Test(manifest_deps, the_last_lines_are_as_npm_writes_them)
{
	static const struct {
		const char *before, *after;
	} texts[] = {
		{ "\xEF\xBB\xBF{\n  \"dependencies\": {\n    \"x\": \"1\"\n  }\n}\n\n",
		  "{\n  \"dependencies\": {\n    \"x\": \"2\"\n  }\n}\n" },
		{ "{\r\n\t\"dependencies\": {\r\n\t\t\"x\": \"1\"\r\n\t}\r\n}",
		  "{\r\n\t\"dependencies\": {\r\n\t\t\"x\": \"2\"\r\n\t}\r\n}\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_buf struct buf out = BUF_INIT(1 << 16);
		auto_json cJSON *pkg = NULL;
		auto_free char *text = NULL;

		cr_assert_eq(json_parse(&pkg, slice_str(texts[i].before), NULL), 0);
		cr_assert_eq(deps_add(pkg, "x", "2", DEPS_AS_IS, false), 0);
		cr_assert_eq(deps_text(&out, slice_str(texts[i].before), pkg, NULL), 0);
		text = buf_steal_str(&out);
		same(i, "the file", text, texts[i].after);
	}
}

Test(manifest_deps, bundles_are_a_list)
{
	static const struct {
		const char *before, *after;
	} rows_of[] = {
		{ "{'bundledDependencies':['x']}", "{'bundleDependencies':['x']}" },
		{ "{'bundleDependencies':true,'dependencies':{'x':'1','y':'2'}}",
		  "{'bundleDependencies':['x','y'],'dependencies':{'x':'1','y':'2'}}" },
		{ "{'bundleDependencies':{'x':'1'}}", "{'bundleDependencies':['x']}" },
		{ "{'bundleDependencies':false}", "{'bundleDependencies':[]}" },
		{ "{'bundleDependencies':null}", "{}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows_of); i++) {
		auto_free char *before = quoted(rows_of[i].before), *got = NULL;
		auto_free char *after = quoted(rows_of[i].after);
		auto_buf struct buf b = BUF_INIT(1 << 16);
		auto_json cJSON *pkg = NULL;

		cr_assert_eq(json_parse(&pkg, slice_str(before), NULL), 0);
		cr_assert_eq(deps_normalize(pkg), 0);
		json_put(&b, pkg);
		got = buf_steal_str(&b);
		same(i, "in memory", got, after);
	}
}
