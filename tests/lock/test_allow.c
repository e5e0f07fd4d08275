#include "lock/allow.h"
#include "tests/lock/sample.h"

#include <stdio.h>

#define HASH "0123456789abcdef0123456789abcdef01234567"

/* ' stands for a double quote. */
static const char lock[] =
	"{'lockfileVersion':3,'packages':{"
	"'':{'dependencies':{'a':'^1','@s/b':'2','al':'npm:real@1','g':'github:u/g','gs':'git+ssh:/"
	"/"
	"git@git.test/x.git','r':'http://files.test/"
	"r.tgz','f':'file:f-1.0.0.tgz','n':'1','liar':'1',"
	"'mixed':'1','deep':'1','bundler':'1','said':'1'}},"
	"'node_modules/said':{'name':'fetched','version':'1.0.0'},"
	"'node_modules/a':{'version':'1.2.3','resolved':'http://registry.test/a/-/a-1.2.3.tgz'},"
	"'node_modules/@s/b':{'version':'2.0.0-rc.1',"
	"'resolved':'http://registry.test/@s%2fb/-/b-2.0.0-rc.1.tgz'},"
	"'node_modules/al':{'name':'real','version':'1.0.0',"
	"'resolved':'http://registry.test/real/-/real-1.0.0.tgz'},"
	"'node_modules/g':{'version':'1.0.0','resolved':'git+ssh://git@github.com/u/g.git#" HASH
	"'},"
	"'node_modules/gs':{'version':'1.0.0','resolved':'git+ssh://git@git.test/x.git#" HASH "'},"
	"'node_modules/r':{'version':'1.0.0','resolved':'http://files.test/r.tgz'},"
	"'node_modules/f':{'version':'1.0.0','resolved':'file:f-1.0.0.tgz'},"
	"'node_modules/n':{'version':'1.0.0'},"
	"'node_modules/liar':{'version':'1.0.0','resolved':'http://registry.test/other/-/"
	"other-1.0.0.tgz'},"
	"'node_modules/mixed':{'version':'1.0.0','resolved':'http://registry.test/mixed/-/"
	"mixed-1.0.0.tgz'},"
	"'node_modules/deep':{'version':'1.0.0','resolved':'http://registry.test/x/y/deep/-/"
	"deep-1.0.0.tgz','dependencies':{'mixed':'http://registry.test/mixed/-/mixed-1.0.0.tgz'}},"
	"'node_modules/bundler':{'version':'1.0.0','resolved':'http://registry.test/bundler/-/"
	"bundler-1.0.0.tgz','dependencies':{'in':'1'},'bundleDependencies':['in']},"
	"'node_modules/bundler/node_modules/in':{'version':'1.0.0','inBundle':true}}}";

static struct graph *graph(void)
{
	char *text = strdup(lock);
	struct graph *g;

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	g = sample_graph(text);
	free(text);
	return g;
}

static enum allow_answer ask(const char *const *keys, const char *name)
{
	auto_graph struct graph *g = graph();
	auto_allow struct allow *a = allow_new("/project");
	auto_free enum allow_answer *answers = calloc(g->count, sizeof *answers);
	char path[256];
	uint32_t node;

	for (; *keys; keys++) {
		bool no = (*keys)[0] == '!';

		cr_assert_eq(allow_add(a, *keys + no, !no, NULL), 0);
	}
	cr_assert_eq(allow_nodes(a, g, answers, NULL), 0);
	(void)snprintf(path, sizeof path, "node_modules/%s", name);
	node = graph_find(g, path);
	cr_assert_neq(node, GRAPH_NONE);
	return answers[node];
}

#define KEYS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

Test(allow, keys_are_npm_s)
{
	static const struct {
		const char *key, *name;
		enum allow_answer answer;
	} rows[] = {
		{ "a", "a", ALLOW_YES },
		{ "a@*", "a", ALLOW_YES },
		{ "a@", "a", ALLOW_YES },
		{ "!a", "a", ALLOW_NO },
		{ "a@1.2.3", "a", ALLOW_YES },
		{ "a@1.2.4", "a", ALLOW_UNREVIEWED },
		{ "a@1.2.4 || 1.2.3", "a", ALLOW_YES },
		{ "a@1.2.4||1.2.5", "a", ALLOW_UNREVIEWED },
		/* npm compares the text of a single version */
		{ "a@v1.2.3", "a", ALLOW_UNREVIEWED },
		{ "a@1.2.3 || v9.0.0", "a", ALLOW_YES },
		{ "@s/b", "@s/b", ALLOW_YES },
		{ "@s/b@2.0.0-rc.1", "@s/b", ALLOW_YES },
		{ "b", "@s/b", ALLOW_UNREVIEWED },
		/* who it really is, not as what it stands there */
		{ "real", "al", ALLOW_YES },
		{ "al", "al", ALLOW_UNREVIEWED },
		{ "al@npm:real@1.0.0", "al", ALLOW_UNREVIEWED },
		{ "liar", "liar", ALLOW_UNREVIEWED },
		{ "other", "liar", ALLOW_YES },
		{ "deep", "deep", ALLOW_YES },
		/* without a URL the name is known and the version is not */
		{ "n", "n", ALLOW_YES },
		{ "n@1.0.0", "n", ALLOW_UNREVIEWED },
		{ "!n@1.0.0", "n", ALLOW_NO },
		/* without one it is asked for by the name in the lock */
		{ "said", "said", ALLOW_UNREVIEWED },
		{ "fetched", "said", ALLOW_UNREVIEWED },
		/* one of two dependents asks for a URL: no package of a registry */
		{ "mixed", "mixed", ALLOW_UNREVIEWED },
		{ "http://registry.test/mixed/-/mixed-1.0.0.tgz", "mixed", ALLOW_YES },
		/* from elsewhere */
		{ "g", "g", ALLOW_UNREVIEWED },
		{ "github:u/g", "g", ALLOW_YES },
		{ "u/g", "g", ALLOW_YES },
		{ "git+ssh://git@github.com/u/g.git", "g", ALLOW_YES },
		{ "github:u/g#0123456", "g", ALLOW_YES },
		{ "github:u/g#0123457", "g", ALLOW_UNREVIEWED },
		{ "github:u/g#" HASH "0", "g", ALLOW_UNREVIEWED },
		{ "github:u/other", "g", ALLOW_UNREVIEWED },
		{ "gitlab:u/g", "g", ALLOW_UNREVIEWED },
		{ "git+ssh://git@git.test/x.git", "gs", ALLOW_YES },
		{ "git+ssh://git@git.test/y.git", "gs", ALLOW_UNREVIEWED },
		{ "http://files.test/r.tgz", "r", ALLOW_YES },
		{ "http://files.test/q.tgz", "r", ALLOW_UNREVIEWED },
		{ "file:f-1.0.0.tgz", "f", ALLOW_YES },
		{ "file:/project/f-1.0.0.tgz", "f", ALLOW_YES },
		{ "file:/f-1.0.0.tgz", "f", ALLOW_UNREVIEWED },
		{ "f", "f", ALLOW_UNREVIEWED },
		/* what came inside another's tarball can call itself anything */
		{ "in", "bundler/node_modules/in", ALLOW_UNREVIEWED },
		{ "bundler", "bundler/node_modules/in", ALLOW_UNREVIEWED },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum allow_answer got = ask(KEYS(rows[i].key), rows[i].name);

		if (got != rows[i].answer)
			(void)fprintf(stderr, "%s for %s: %d\n", rows[i].key, rows[i].name, got);
		cr_expect_eq(got, rows[i].answer);
	}
}

Test(allow, a_no_beats_a_yes_in_any_order)
{
	cr_expect_eq(ask(KEYS("a", "!a@1.2.3"), "a"), ALLOW_NO);
	cr_expect_eq(ask(KEYS("!a@1.2.3", "a"), "a"), ALLOW_NO);
	cr_expect_eq(ask(KEYS("a", "!a@1.2.4"), "a"), ALLOW_YES);
}

Test(allow, what_npm_leaves_out_is_said)
{
	static const char *const keys[] = { "a@^1",    "a@latest", "a@>=1.0.0",     "a@1.x",
					    "a@1 - 2", "",         "a@1.2.3 || ^2", "a@foo:bar" };
	auto_allow struct allow *a = allow_new("/project");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct err e = { 0 };

		cr_expect_eq(allow_add(a, keys[i], true, &e), -EINVAL);
		cr_expect(strstr(e.msg, "allowScripts"));
	}
}
