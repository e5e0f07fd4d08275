#include "lock/manifest.h"
#include "lock/npmlock.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

struct dir {
	char path[64];
	int fd;
};

static struct dir dir_new(void)
{
	struct dir d = { 0 };

	test_dir(d.path, sizeof d.path);
	d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(d.fd >= 0);
	return d;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void dir_remove(struct dir *d)
{
	(void)close(d->fd);
	(void)nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file, and the folders that it lies in; ' stands for ". */
static void put(const struct dir *d, const char *name, const char *text)
{
	char path[256];
	int fd;

	for (const char *s = strchr(name, '/'); s; s = strchr(s + 1, '/')) {
		(void)snprintf(path, sizeof path, "%.*s", (int)(s - name), name);
		(void)mkdirat(d->fd, path, 0755);
	}
	fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	cr_assert(fd >= 0);
	for (; *text; text++)
		cr_assert_eq(write(fd, *text == '\'' ? "\"" : text, 1), 1);
	(void)close(fd);
}

/* ---- patterns ---- */

static const struct {
	const char *pattern, *path;
	bool dot, matches;
} matches[] = {
	{ "packages/*", "packages/a", false, true },
	{ "packages/*", "packages/a/b", false, false },
	{ "packages/*", "packages", false, false },
	{ "packages/*", "packages/.a", false, false },
	{ "packages/*", "packages/.a", true, true },
	{ "packages/?[a-c]", "packages/xb", false, true },
	{ "packages/+(a|b)", "packages/abab", false, true },
	{ "packages/+(a|b)", "packages/abc", false, false },
	{ "**", "a/b/c", false, true },
	{ "**", "a/.b/c", false, false },
	{ "**/x", "x", false, true },
	{ "**/x", "a/b/x", false, true },
	{ "**/x", "a/b/y", false, false },
	{ "a/**/x/**/y", "a/b/x/c/x/d/y", false, true },
	{ "a/**/x/**/y", "a/b/c/d/y", false, false },
	{ "a/**", "a/b", false, true },
	{ "**/node_modules/**", "a/node_modules/b", false, true },
};

Test(manifest, patterns_match_as_globs_do)
{
	for (size_t i = 0; i < ARRAY_LEN(matches); i++)
		cr_expect(workspaces_match(matches[i].pattern, matches[i].path, matches[i].dot) ==
				  matches[i].matches,
			  "%s %s", matches[i].pattern, matches[i].path);
}

static char *found(const struct dir *d, const char *json, int *ret_code, struct err *e)
{
	auto_arena struct arena a = ARENA_INIT(1 << 20);
	auto_buf struct buf b = BUF_INIT(65536);
	auto_free char *text = strdup(json);
	auto_json cJSON *j = NULL;
	struct graph_strings list = { 0 };

	for (char *s = text; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	cr_assert_eq(json_parse(&j, slice_str(text), NULL), 0);
	*ret_code = workspaces_find(&a, d->fd, j, &list, e);
	for (uint32_t i = 0; i < list.count; i++)
		buf_addf(&b, "%s%s", i ? " " : "", list.items[i]);
	buf_add(&b, "", 1);
	return strdup((const char *)b.data);
}

static const struct {
	const char *patterns, *found;
} finds[] = {
	{ "['packages/*']", "packages/a packages/b packages/c" },
	{ "{'packages':['packages/*']}", "packages/a packages/b packages/c" },
	{ "['./packages/a/','/packages/b']", "packages/a packages/b" },
	{ "['packages/{a,b}','tools/@s/{t,none}']", "packages/a packages/b tools/@s/t" },
	{ "['packages/*','!packages/b']", "packages/a packages/c" },
	{ "['packages/*','!!packages/b']", "packages/a packages/b packages/c" },
	{ "['packages/*','!packages/**']", "" },
	/* What is asked for after it was taken away is there. */
	{ "['!packages/b','packages/*','packages/b']", "packages/a packages/b packages/c" },
	{ "['packages/**']", "packages packages/a packages/a/in packages/b packages/c" },
	{ "['**/t']", "tools/@s/t" },
	{ "['packages/a','packages/a','packages/[a]']", "packages/a" },
	{ "['none/*']", "" },
	{ "[]", "" },
};

Test(manifest, workspaces_are_the_folders_that_the_patterns_find)
{
	struct dir d = dir_new();

	put(&d, "packages/a/package.json", "{}");
	put(&d, "packages/a/in/x", "");
	put(&d, "packages/a/node_modules/t/package.json", "{}");
	put(&d, "packages/b/package.json", "{}");
	put(&d, "packages/c/x", "");
	put(&d, "packages/.hidden/t/package.json", "{}");
	put(&d, "packages/file", "");
	put(&d, "tools/@s/t/package.json", "{}");
	for (size_t i = 0; i < ARRAY_LEN(finds); i++) {
		struct err e = { 0 };
		int r;
		auto_free char *list = found(&d, finds[i].patterns, &r, &e);

		cr_expect(r == 0, "%s: %s", finds[i].patterns, e.msg);
		cr_expect(strcmp(list, finds[i].found) == 0, "%s: %s", finds[i].patterns, list);
	}
	dir_remove(&d);
}

static const struct {
	const char *patterns;
	int code;
	const char *says;
} bad_patterns[] = {
	{ "'x'", -EINVAL, "no list" },
	{ "{'packages':1}", -EINVAL, "no list" },
	{ "[1]", -EINVAL, "no string" },
	{ "['../x']", -EINVAL, "leads out" },
	{ "['{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}']", -E2BIG, "1000" },
};

Test(manifest, bad_patterns_are_refused_with_a_sentence)
{
	struct dir d = dir_new();

	for (size_t i = 0; i < ARRAY_LEN(bad_patterns); i++) {
		struct err e = { 0 };
		int r;
		auto_free char *list = found(&d, bad_patterns[i].patterns, &r, &e);

		cr_expect(list[0] == '\0' && r == bad_patterns[i].code &&
				  strstr(e.msg, bad_patterns[i].says),
			  "%s: %d %s", bad_patterns[i].patterns, r, e.msg);
	}
	dir_remove(&d);
}

/* ---- projects ---- */

static int read_project(const struct dir *d, struct graph **ret, struct err *e)
{
	const struct npmlock_options o = { 0 };

	return npmlock_read(ret, d->fd, &o, e);
}

static const char ws_lock[] =
	"{'lockfileVersion':3,'packages':{'':{'workspaces':['packages/*']},"
	"'node_modules/a':{'link':true,'resolved':'packages/a'},"
	"'node_modules/x':{'link':true,'resolved':'libs/x'},"
	"'node_modules/out':{'link':true,'resolved':'../out'},'../out':{'version':'9.0.0'},"
	"'packages/a':{'version':'0.0.1','dependencies':{'gone':'1'},'bin':{'old':'o.js'}},'libs/"
	"x':{'version':'1.0.0'},"
	"'node_modules/d':{'version':'1.0.0'}}}";

Test(manifest, tops_are_what_their_package_json_says)
{
	struct dir d = dir_new();
	auto_graph struct graph *g = NULL;
	const struct graph_node *a;
	struct err e = { 0 };

	put(&d, "package-lock.json", ws_lock);
	put(&d, "package.json",
	    "{'name':'r','workspaces':['packages/*'],'dependencies':{'x':"
	    "'file:libs/x','out':'file:../out'}}");
	put(&d, "packages/a/package.json",
	    "{'name':'a','version':'2.0.0','devDependencies':{'d':'^1'"
	    "},'bin':'./b.js','bundledDependencies':['d']}");
	put(&d, "libs/x/package.json", "{'version':'3.0.0'}");
	cr_assert_eq(read_project(&d, &g, &e), 0, "%s", e.msg);
	a = &g->nodes[graph_find(g, "packages/a")];
	cr_assert(a->flags & NODE_WORKSPACE);
	cr_assert_str_eq(a->version, "2.0.0");
	cr_assert(a->dep_count == 1 && a->bin_count == 1 && a->bundled.count == 1);
	/* But its bins are the lock's, as long as it has any; in a folder too. */
	cr_assert_str_eq(a->bins[0].name, "old");
	cr_assert_str_eq(a->residue, "{\"version\":\"0.0.1\",\"dependencies\":{\"gone\":\"1\"},"
				     "\"bin\":{\"old\":\"o.js\"}}");
	cr_assert_str_eq(g->nodes[graph_find(g, "libs/x")].version, "3.0.0");
	cr_assert(!(g->nodes[graph_find(g, "libs/x")].flags & NODE_WORKSPACE));
	/* Outside the project nothing is read. */
	cr_assert_str_eq(g->nodes[graph_find(g, "../out")].version, "9.0.0");
	cr_assert(g->nodes[graph_find(g, "node_modules/d")].flags & NODE_DEV);
	cr_assert_eq(g->edges[g->nodes[0].first_edge].type, EDGE_WORKSPACE);
	dir_remove(&d);
}

Test(manifest, a_top_has_the_locks_bins_if_its_package_json_has_any)
{
	static const struct {
		const char *manifest;
		uint32_t bins;
	} rows[] = {
		{ "{'bin':{'x':'x.js','y':'y.js'}}", 1 },
		{ "{'directories':{'bin':'./bin'}}", 1 },
		{ "{'bin':{},'directories':{'bin':'./bin'}}", 0 },
		{ "{'directories':{'bin':''}}", 0 },
		{ "{}", 0 },
	};
	struct dir d = dir_new();

	put(&d, "package-lock.json", ws_lock);
	put(&d, "package.json", "{'workspaces':['packages/*']}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_graph struct graph *g = NULL;
		struct err e = { 0 };

		put(&d, "packages/a/package.json", rows[i].manifest);
		cr_assert_eq(read_project(&d, &g, &e), 0, "%s", e.msg);
		cr_expect_eq(g->nodes[graph_find(g, "packages/a")].bin_count, rows[i].bins, "%s",
			     rows[i].manifest);
	}
	dir_remove(&d);
}

Test(manifest, a_workspace_that_the_lock_lacks_is_missing)
{
	struct dir d = dir_new();
	struct graph *g = NULL;
	struct err e = { 0 };

	put(&d, "package-lock.json", ws_lock);
	put(&d, "package.json", "{'workspaces':['packages/*']}");
	put(&d, "packages/a/package.json", "{'name':'a'}");
	put(&d, "packages/new/package.json", "{'name':'@s/new'}");
	cr_assert_eq(read_project(&d, &g, &e), -ESTALE);
	cr_assert(strstr(e.msg, "Missing: @s/new@file:packages/new"));
	put(&d, "packages/new/package.json", "{'name':'a'}");
	cr_assert_eq(read_project(&d, &g, &e), -EINVAL);
	cr_assert(strstr(e.msg, "two workspaces have the name \"a\""));
	put(&d, "packages/new/package.json", "{");
	cr_assert_eq(read_project(&d, &g, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "packages/new/package.json"));
	dir_remove(&d);
}

/* ---- overrides ---- */

static const struct {
	const char *root, *says; /* package.json's rest; NULL: the lock fits */
} overrides[] = {
	{ "'dependencies':{'a':'*'}", "b@2.0.0 does not satisfy b@^1" },
	{ "'dependencies':{'a':'*'},'overrides':{'b':'2.0.0'}", NULL },
	{ "'dependencies':{'a':'*'},'overrides':{'b':'3.0.0'}", "does not satisfy" },
	{ "'dependencies':{'a':'*'},'overrides':{'b@^1':'2.0.0'}", NULL },
	{ "'dependencies':{'a':'*'},'overrides':{'b@^5':'2.0.0'}", "does not satisfy" },
	{ "'dependencies':{'a':'*'},'overrides':{'a':{'b':'2.0.0'}}", NULL },
	{ "'dependencies':{'a':'*'},'overrides':{'other':{'b':'2.0.0'}}", "does not satisfy" },
	{ "'dependencies':{'a':'*'},'overrides':{'a':{'.':'1.0.0'},'b':''}",
	  "conflicts with the direct" },
	{ "'dependencies':{'a':'*','b':'2.0.0'},'overrides':{'b':'$b'}", NULL },
	{ "'dependencies':{'a':'*'},'overrides':{'b':''}", "does not satisfy" },
	{ "'dependencies':{'a':'*','b':'2.0.0'},'overrides':{'b':'^2.0.0'}",
	  "conflicts with the direct dependency" },
	{ "'dependencies':{'a':'*','b':'2.0.0'},'overrides':{'b':'$none'}", "no such dependency" },
	{ "'dependencies':{'a':'*'},'overrides':{'b':1}", "does not satisfy" },
	{ "'dependencies':{'a':'*'},'overrides':{'b':[]}", "neither a string" },
	{ "'dependencies':{'a':'*'},'overrides':{'@b':'1'}", "no package's name" },
};

Test(manifest, overrides_of_root_decide_what_holds)
{
	struct dir d = dir_new();

	put(&d, "package-lock.json",
	    "{'packages':{'':{},'node_modules/a':{'version':'1.0.0',"
	    "'dependencies':{'b':'^1'}},'node_modules/b':{'version':"
	    "'2.0.0'}}}");
	for (size_t i = 0; i < ARRAY_LEN(overrides); i++) {
		auto_graph struct graph *g = NULL;
		auto_free char *text = NULL;
		struct err e = { 0 };
		int r;

		cr_assert(asprintf(&text, "{%s}", overrides[i].root) > 0);
		put(&d, "package.json", text);
		r = read_project(&d, &g, &e);
		cr_expect((r == 0) == (overrides[i].says == NULL), "%s: %s", text, e.msg);
		cr_expect(!overrides[i].says || strstr(e.msg, overrides[i].says), "%s: %s", text,
			  e.msg);
	}
	dir_remove(&d);
}
