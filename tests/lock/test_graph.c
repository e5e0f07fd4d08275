#include "lock/npmlock.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* A lock's text with ' for ", parsed. */
static struct graph *lock(const char *text, struct err *e)
{
	static const struct npmlock_options none;
	auto_free char *copy = strdup(text);
	struct graph *g = NULL;

	for (char *s = copy; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	if (npmlock_parse(&g, slice_str(copy), &none, e) < 0)
		return NULL;
	return g;
}

static struct graph *with_edges(const char *text, bool legacy)
{
	const struct graph_options o = { .legacy_peer_deps = legacy };
	struct err e = { 0 };
	struct graph *g = lock(text, &e);

	cr_assert(g != NULL, "%s", e.msg);
	cr_assert_eq(graph_edges(g, &o, &e), 0);
	cr_assert_eq(graph_flags(g, &e), 0);
	return g;
}

/* ---- paths ---- */

static const struct {
	const char *path, *says;
} bad_paths[] = {
	{ "node_modules/../../etc", "climbs out" },
	{ "/etc/passwd", "absolute" },
	{ "node_modules//a", "empty part" },
	{ "node_modules/a/", "empty part" },
	{ "node_modules/./a", "\".\"" },
	{ "packages/./a", "\".\" in its path" },
	{ "packages/a/../b", "climbs out" },
	{ "node_modules/.bin", "starts with a dot" },
	{ "node_modules/.bin/x", "starts with a dot" },
	{ "node_modules/@s/.x", "starts with a dot" },
	{ "node_modules/..", "climbs out" },
	{ "node_modules", "names no package" },
	{ "node_modules/a/node_modules", "names no package" },
	{ "node_modules/node_modules/a", "named node_modules" },
	{ "node_modules/@s", "names a scope" },
	{ "..", "above the project" },
	{ "../..", "above the project" },
};

Test(graph, refuses_paths_that_are_none_with_a_sentence)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_paths); i++) {
		auto_free char *text = NULL;
		struct err e = { 0 };

		cr_assert(asprintf(&text, "{'packages':{'':{},'%s':{'version':'1.0.0'}}}",
				   bad_paths[i].path) > 0);
		cr_assert(lock(text, &e) == NULL);
		cr_expect(e.code == -EINVAL && strstr(e.msg, bad_paths[i].says), "%s: %s",
			  bad_paths[i].path, e.msg);
	}
}

Test(graph, refuses_overlong_paths_and_names)
{
	static char name[400], text[8192], path[5000];
	struct err e = { 0 };

	memset(name, 'n', 256);
	(void)snprintf(text, sizeof text, "{'packages':{'node_modules/%s':{}}}", name);
	cr_assert(lock(text, &e) == NULL && strstr(e.msg, "255 bytes"));
	memset(path, 'p', 4990);
	for (size_t i = 0; i < 4990; i += 2)
		path[i + 1] = '/';
	path[4989] = 'p';
	(void)snprintf(text, sizeof text, "{'packages':{'%s':{}}}", path);
	cr_assert(lock(text, &e) == NULL && strstr(e.msg, "4096 bytes"));
}

Test(graph, refuses_a_path_that_stands_twice)
{
	struct err e = { 0 };

	cr_assert(lock("{'packages':{'':{},'node_modules/a':{},'node_modules/a':{}}}", &e) == NULL);
	cr_assert(strstr(e.msg, "twice"));
	cr_assert(lock("{'packages':{'':{},'':{}}}", &e) == NULL);
	cr_assert(strstr(e.msg, "two entries for the root"));
}

Test(graph, refuses_more_entries_than_the_limit)
{
	auto_buf struct buf b = BUF_INIT((size_t)64 << 20);
	struct npmlock_options none = { 0 };
	struct graph *g = NULL;
	struct err e = { 0 };

	buf_addstr(&b, "{\"packages\":{\"\":{}");
	for (unsigned i = 0; i < GRAPH_NODES_MAX; i++)
		buf_addf(&b, ",\"node_modules/p%u\":{}", i);
	buf_addstr(&b, "}}");
	cr_assert_eq(npmlock_parse(&g, (struct slice){ b.data, b.len }, &none, &e), -E2BIG);
	cr_assert(strstr(e.msg, "200001 entries"));
}

static const struct {
	const char *entry, *says;
} bad_links[] = {
	{ "{'link':true,'resolved':'libs/x'}", "EMISSINGTARGET" },
	{ "{'link':true}", "does not say to what" },
	{ "{'link':true,'resolved':'/abs'}", "absolute" },
	{ "{'link':true,'resolved':'node_modules/l'}", "link to another link" },
	{ "{'link':true,'resolved':'node_modules/m'}", "link to another link" },
};

Test(graph, refuses_links_that_lead_nowhere)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_links); i++) {
		auto_free char *text = NULL;
		struct err e = { 0 };

		cr_assert(asprintf(&text,
				   "{'packages':{'':{},'node_modules/l':%s,"
				   "'node_modules/m':{'link':true,'resolved':'y'},'y':{}}}",
				   bad_links[i].entry) > 0);
		cr_assert(lock(text, &e) == NULL);
		cr_expect(strstr(e.msg, bad_links[i].says), "%s: %s", bad_links[i].entry, e.msg);
	}
}

Test(graph, places_every_kind_of_entry)
{
	auto_graph struct graph *g = lock(
		"{'packages':{'node_modules/@s/b':{'version':'1.0.0'},'':{},"
		"'node_modules/a':{'version':'1.0.0'},'node_modules/a/node_modules/@s/b':{},"
		"'packages/w':{'name':'ws'},'packages/w/node_modules/a':{},"
		"'node_modules/ws':{'link':true,'resolved':'./packages//w/'},"
		"'../out/ext':{},'../out/ext/in/x':{},'node_modules/ext':{'link':true,'resolved':"
		"'../out/ext'},'node_modules/gone/node_modules/c':{},"
		"'node_modules/ws/node_modules/d':{},'node_modules/root':{'link':true,"
		"'resolved':'.'}}}",
		NULL);
	uint32_t a, n;

	cr_assert(g != NULL);
	cr_assert_str_eq(g->nodes[0].path, "");
	a = graph_find(g, "node_modules/a");
	cr_assert_eq(g->nodes[a].parent, 0);
	n = graph_find(g, "node_modules/a/node_modules/@s/b");
	cr_assert_eq(g->nodes[n].parent, a);
	cr_assert_str_eq(g->nodes[n].name, "@s/b");
	cr_assert_eq(graph_child(g, a, "@s/b"), n);
	cr_assert_eq(graph_resolve(g, n, "a"), a);
	cr_assert_eq(graph_resolve(g, n, "none"), GRAPH_NONE);

	n = graph_find(g, "packages/w");
	cr_assert(g->nodes[n].flags & NODE_TOP);
	cr_assert_eq(g->nodes[n].fs_parent, 0);
	cr_assert_str_eq(g->nodes[n].name, "ws");
	cr_assert_eq(g->nodes[graph_find(g, "node_modules/ws")].link_target, n);
	cr_assert_eq(graph_resolve(g, n, "a"), graph_find(g, "packages/w/node_modules/a"));
	cr_assert_eq(graph_resolve(g, n, "@s/b"), graph_find(g, "node_modules/@s/b"));

	n = graph_find(g, "../out/ext");
	cr_assert_eq(g->nodes[n].fs_parent, GRAPH_NONE);
	cr_assert_eq(graph_resolve(g, n, "a"), GRAPH_NONE);
	cr_assert_eq(g->nodes[graph_find(g, "../out/ext/in/x")].fs_parent, n);
	cr_assert_eq(g->nodes[graph_find(g, "node_modules/root")].link_target, 0);

	/* Without a parent of its own an entry is a top, as for npm. */
	n = graph_find(g, "node_modules/gone/node_modules/c");
	cr_assert(g->nodes[n].flags & NODE_TOP && g->nodes[n].fs_parent == 0);
	cr_assert_eq(graph_resolve(g, 0, "c"), GRAPH_NONE);
	n = graph_find(g, "node_modules/ws/node_modules/d");
	cr_assert(g->nodes[n].flags & NODE_TOP);
}

Test(graph, names_that_differ_in_case_are_two)
{
	auto_graph struct graph *g =
		lock("{'packages':{'':{},'node_modules/JS':{},'node_modules/js':{}}}", NULL);

	cr_assert(g != NULL);
	cr_assert_neq(graph_find(g, "node_modules/JS"), graph_find(g, "node_modules/js"));
}

/* ---- edges ---- */

static const struct graph_edge *edge_of(const struct graph *g, const char *path, const char *name)
{
	const struct graph_node *n = &g->nodes[graph_find(g, path)];

	for (uint32_t k = n->first_edge; k < n->first_edge + n->edge_count; k++) {
		if (strcmp(g->edges[k].name, name) == 0)
			return &g->edges[k];
	}
	return NULL;
}

static const struct graph_edge *the_edge(const struct graph *g, const char *path, const char *name)
{
	const struct graph_edge *e = edge_of(g, path, name);

	cr_assert(e != NULL, "%s has no edge to %s", path, name);
	return e;
}

Test(graph, a_later_list_replaces_the_edge_of_an_earlier_one)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'dependencies':{'a':'1','b':'1','Case':'1'},'devDependencies':{'"
		"a':'2',"
		"'case':'2'},'optionalDependencies':{'b':'2'},'peerDependencies':{'a':'3','c':'3'},"
		"'peerDependenciesMeta':{'c':{'optional':true}}},"
		"'node_modules/x':{'devDependencies':{'a':'1'},'peerDependencies':{'p':'1'}}}}",
		false);

	cr_assert_eq(g->nodes[0].edge_count, 4);
	cr_assert_eq(the_edge(g, "", "a")->type, EDGE_DEV);
	cr_assert_eq(the_edge(g, "", "b")->type, EDGE_OPTIONAL);
	cr_assert_eq(the_edge(g, "", "c")->type, EDGE_PEER_OPTIONAL);
	cr_assert_eq(the_edge(g, "", "case")->type, EDGE_DEV);
	cr_assert(edge_of(g, "", "Case") == NULL);
	cr_assert(edge_of(g, "node_modules/x", "a") == NULL);
	cr_assert_eq(the_edge(g, "node_modules/x", "p")->type, EDGE_PEER);
}

Test(graph, legacy_peer_deps_makes_no_edges_of_peers)
{
	auto_graph struct graph *g =
		with_edges("{'packages':{'':{'peerDependencies':{'a':'1'}}}}", true);

	cr_assert_eq(g->edge_count, 0);
}

#define SHA40 "0123456789012345678901234567890123456789"

static const struct {
	const char *spec, *entry;
	bool valid;
} validities[] = {
	{ "*", "{}", true },
	{ "", "{'version':'nonsense'}", true },
	{ "^1.0.0", "{'version':'1.2.3'}", true },
	{ "^1.0.0", "{'version':'2.0.0'}", false },
	{ "^1.0.0", "{}", false },
	{ "^1.0.0", "{'version':'1.2.3-beta'}", false },
	{ "npm:other@^1", "{'name':'other','version':'1.0.0'}", true },
	{ "npm:other@^1", "{'name':'other','version':'2.0.0'}", false },
	{ "npm:other@^1", "{'version':'1.0.0'}", true },
	{ "next", "{'version':'1.0.0','resolved':'https://registry.test/a.tgz'}", true },
	{ "next", "{'version':'1.0.0'}", true },
	{ "next", "{'version':'1.0.0','resolved':'file:a.tgz'}", false },
	{ "https://h.test/a.tgz", "{'resolved':'https://h.test/a.tgz'}", true },
	{ "https://h.test/a.tgz", "{'resolved':'https://h.test/b.tgz'}", false },
	{ "file:./a.tgz", "{'resolved':'file:a.tgz'}", true },
	{ "file:b/a.tgz", "{'resolved':'file:a.tgz'}", false },
	{ "file:libs/a", "{'link':true,'resolved':'libs/a'}", true },
	{ "./libs/../libs/a", "{'link':true,'resolved':'libs/a'}", true },
	{ "file:libs/b", "{'link':true,'resolved':'libs/a'}", false },
	{ "^3.0.0", "{'link':true,'resolved':'libs/a'}", true },
	{ "^4.0.0", "{'link':true,'resolved':'libs/a'}", false },
	{ "github:u/r", "{'resolved':'git+ssh://git@github.com/u/r.git#" SHA40 "'}", true },
	{ "u/r#main", "{'resolved':'git+ssh://git@github.com/u/r.git#" SHA40 "'}", true },
	{ "u/r#" SHA40, "{'resolved':'git+ssh://git@github.com/u/r.git#" SHA40 "'}", true },
	{ "u/r#0000567890123456789012345678901234567890",
	  "{'resolved':'git+ssh://git@github.com/u/r.git#" SHA40 "'}", false },
	{ "u/other", "{'resolved':'git+ssh://git@github.com/u/r.git#" SHA40 "'}", false },
	{ "u/r#semver:^1", "{'version':'1.5.0','resolved':'git+ssh://git@github.com/u/r.git#x'}",
	  true },
	{ "u/r#semver:^2", "{'version':'1.5.0','resolved':'git+ssh://git@github.com/u/r.git#x'}",
	  false },
	{ "workspace:*", "{'version':'1.0.0'}", false },
};

Test(graph, an_edge_holds_when_npm_says_so)
{
	for (size_t i = 0; i < ARRAY_LEN(validities); i++) {
		auto_graph struct graph *g = NULL;
		auto_free char *text = NULL;

		cr_assert(
			asprintf(&text,
				 "{'packages':{'':{'dependencies':{'a':'%s'}},'node_modules/a':%s,"
				 "'libs/a':{'version':'3.0.0'}}}",
				 validities[i].spec, validities[i].entry) > 0);
		g = with_edges(text, false);
		cr_expect(the_edge(g, "", "a")->valid == validities[i].valid, "%s %s",
			  validities[i].spec, validities[i].entry);
	}
}

Test(graph, relative_paths_start_at_the_package_or_at_its_tarball)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{},'libs/a':{'dependencies':{'b':'file:../b'}},'libs/b':{},"
		"'node_modules/b':{'link':true,'resolved':'libs/b'},"
		"'node_modules/t':{'resolved':'file:tars/t.tgz','dependencies':{'u':'file:u.tgz'}},"
		"'node_modules/u':{'resolved':'file:tars/u.tgz'}}}",
		false);

	cr_assert(the_edge(g, "libs/a", "b")->valid);
	cr_assert(the_edge(g, "node_modules/t", "u")->valid);
}

Test(graph, what_is_missing_is_invalid_unless_optional)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'dependencies':{'a':'1'},'optionalDependencies':{'o':'1'},"
		"'peerDependencies':{'p':'1','q':'1'},'peerDependenciesMeta':{'q':{'optional':true"
		"}}}}}",
		false);

	cr_assert(!the_edge(g, "", "a")->valid);
	cr_assert(the_edge(g, "", "o")->valid);
	cr_assert(!the_edge(g, "", "p")->valid);
	cr_assert(the_edge(g, "", "q")->valid);
	cr_assert_eq(the_edge(g, "", "a")->to, GRAPH_NONE);
}

Test(graph, a_peer_below_its_dependent_is_invalid_and_accepted_ranges_count)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'dependencies':{'b':'^1'},'acceptDependencies':{'b':'^2'}},"
		"'node_modules/a':{'peerDependencies':{'p':'1'}},"
		"'node_modules/a/node_modules/p':{'version':'1.0.0'},"
		"'node_modules/b':{'version':'2.0.0'}}}",
		false);

	cr_assert(!the_edge(g, "node_modules/a", "p")->valid);
	cr_assert(the_edge(g, "", "b")->valid);
}

/* ---- flags ---- */

static const char *flags_of(const struct graph *g, const char *path)
{
	static char text[8];
	uint32_t f = g->nodes[graph_find(g, path)].flags, n = 0;

	if (f & NODE_EXTRANEOUS)
		text[n++] = 'x';
	if (f & NODE_DEV)
		text[n++] = 'd';
	if (f & NODE_OPTIONAL)
		text[n++] = 'o';
	if (f & NODE_DEV_OPTIONAL)
		text[n++] = 'b';
	if (f & NODE_PEER)
		text[n++] = 'p';
	text[n] = '\0';
	return text;
}

Test(graph, flags_follow_from_the_edges_alone)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'dependencies':{'p':'*','w':'*'},'devDependencies':{'d':'*'},"
		"'optionalDependencies':{'o':'*'},'peerDependencies':{'e':'*','q':'*'},"
		"'peerDependenciesMeta':{'q':{'optional':true}}},"
		"'node_modules/p':{'dev':true,'optional':true,'dependencies':{'pp':'*'}},"
		"'node_modules/pp':{},"
		"'node_modules/d':{'dependencies':{'both':'*','pp':'*','dd':'*'}},'node_modules/"
		"dd':{},"
		"'node_modules/o':{'dependencies':{'both':'*','oo':'*'}},'node_modules/oo':{},"
		"'node_modules/both':{},'node_modules/e':{'dependencies':{'ee':'*'}},"
		"'node_modules/ee':{},'node_modules/q':{},'node_modules/alone':{},"
		"'node_modules/w':{'link':true,'resolved':'w'},'w':{'devDependencies':{'wd':'*'},"
		"'dependencies':{'wp':'*'}},'node_modules/wd':{},'w/node_modules/wp':{}}}",
		false);

	cr_expect(strcmp(flags_of(g, ""), "") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/p"), "") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/pp"), "") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/d"), "d") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/dd"), "d") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/o"), "o") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/oo"), "o") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/both"), "b") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/e"), "p") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/ee"), "p") == 0);
	cr_expect(strchr(flags_of(g, "node_modules/q"), 'x') != NULL);
	cr_expect(strchr(flags_of(g, "node_modules/alone"), 'x') != NULL);
	cr_expect(strcmp(flags_of(g, "w"), "") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/w"), "") == 0);
	cr_expect(strcmp(flags_of(g, "node_modules/wd"), "d") == 0);
	cr_expect(strcmp(flags_of(g, "w/node_modules/wp"), "") == 0);
}

Test(graph, a_bundle_is_the_list_and_what_it_needs_beside_it)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'bundleDependencies':['r'],'dependencies':{'r':'*','a':'*'}},"
		"'node_modules/r':{'inBundle':true,'license':'MIT'},"
		"'node_modules/a':{'bundleDependencies':['b'],'dependencies':{'b':'*','n':'*'}},"
		"'node_modules/a/node_modules/b':{'dependencies':{'c':'*','r':'*'}},"
		"'node_modules/a/node_modules/c':{},"
		"'node_modules/a/node_modules/c/node_modules/d':{},"
		"'node_modules/a/node_modules/n':{'inBundle':true}}}",
		false);
	const char *in[] = { "node_modules/a/node_modules/b", "node_modules/a/node_modules/c",
			     "node_modules/a/node_modules/c/node_modules/d" };
	struct digest key;

	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		uint32_t n = graph_find(g, in[i]);

		cr_expect(g->nodes[n].flags & NODE_IN_BUNDLE, "%s", in[i]);
		cr_assert_eq(graph_node_key(&g->nodes[n], &key, NULL), 0);
		cr_assert_eq(key.alg, DIGEST_NONE);
	}
	cr_expect(
		!(g->nodes[graph_find(g, "node_modules/a/node_modules/n")].flags & NODE_IN_BUNDLE));
	/* What root bundles is fetched, but is called bundled in the lock. */
	cr_expect(!(g->nodes[graph_find(g, "node_modules/r")].flags & NODE_IN_BUNDLE));
	cr_assert_str_eq(g->nodes[graph_find(g, "node_modules/r")].residue,
			 "{\"inBundle\":true,\"license\":\"MIT\"}");
}

/* ---- npm ci ---- */

static const struct {
	const char *lock, *says; /* NULL: it fits */
} checks[] = {
	{ "'':{'dependencies':{'a':'^1'}},'node_modules/a':{'version':'1.0.0'}", NULL },
	{ "'':{'dependencies':{'a':'^1'}}", "Missing: a@^1 from lock file" },
	{ "'':{'dependencies':{'a':'^2'}},'node_modules/a':{'version':'1.0.0'}",
	  "Invalid: lock file's a@1.0.0 does not satisfy a@^2" },
	/* npm's quirk: what is optional must stand there too. */
	{ "'':{'optionalDependencies':{'a':'^1'}}", "Missing: a@^1" },
	{ "'':{'peerDependencies':{'a':'^1'},'peerDependenciesMeta':{'a':{'optional':true}}}",
	  NULL },
	{ "'':{'peerDependencies':{'a':'^2'},'peerDependenciesMeta':{'a':{'optional':true}}},"
	  "'node_modules/a':{'version':'1.0.0'}",
	  NULL },
	{ "'':{'dependencies':{'a':'*'}},'node_modules/a':{'dependencies':{'b':'1'}}",
	  "Missing: b@1" },
	/* Not reached, not looked at. */
	{ "'':{},'node_modules/a':{'dependencies':{'b':'1'}}", NULL },
	{ "'':{'dependencies':{'a':'*'}},'node_modules/a':{'bundleDependencies':['b'],"
	  "'dependencies':{'b':'1'}}",
	  NULL },
	{ "'':{'dependencies':{'a':'*'}},'node_modules/a':{'hasShrinkwrap':true,"
	  "'dependencies':{'b':'1'}}",
	  NULL },
	/* A peer below the top that does not fit is a warning for npm if it cannot be helped. */
	{ "'':{'dependencies':{'a':'*','b':'*'}},'node_modules/a':{'peerDependencies':{'p':'2'}},"
	  "'node_modules/b':{'dependencies':{'p':'1'}},'node_modules/p':{'version':'1.0.0'}",
	  "Invalid: lock file's p@1.0.0" },
	{ "'':{'dependencies':{'c':'*'}},'node_modules/c':{'dependencies':{'a':'*','p':'1'}},"
	  "'node_modules/a':{'peerDependencies':{'p':'2'}},'node_modules/p':{'version':'1.0.0'}",
	  NULL },
	{ "'':{'dependencies':{'a':'*','b':'*'}},'node_modules/a':{'peerDependencies':{'p':'2'}},"
	  "'node_modules/b':{'peerDependencies':{'p':'1'}},'node_modules/p':{'version':'1.0.0'}",
	  NULL },
	{ "'':{'dependencies':{'a':'*','p':'1'}},'node_modules/a':{'peerDependencies':{'p':'2'}},"
	  "'node_modules/p':{'version':'1.0.0'}",
	  NULL },
	{ "'':{'dependencies':{'l':'file:l'}},'node_modules/l':{'link':true,'resolved':'l'},"
	  "'l':{'dependencies':{'b':'1'}}",
	  "Missing: b@1" },
	{ "'':{'dependencies':{'l':'file:../l'}},'node_modules/l':{'link':true,'resolved':'../l'},"
	  "'../l':{'dependencies':{'b':'1'}}",
	  NULL },
	/* Behind a link npm looks no further than the target. */
	{ "'':{'dependencies':{'l':'file:l'}},'node_modules/l':{'link':true,'resolved':'l'},"
	  "'l':{'dependencies':{'b':'1'}},'node_modules/b':{'version':'1.0.0','dependencies':"
	  "{'c':'1'}}",
	  NULL },
};

Test(graph, check_says_what_npm_ci_says)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		auto_graph struct graph *g = NULL;
		auto_free char *text = NULL;
		struct err e = { 0 };
		int r;

		cr_assert(asprintf(&text, "{'packages':{%s}}", checks[i].lock) > 0);
		g = with_edges(text, false);
		r = graph_check(g, &e);
		cr_expect(r == (checks[i].says ? -ESTALE : 0), "%s: %s", checks[i].lock, e.msg);
		cr_expect(!checks[i].says || strstr(e.msg, checks[i].says), "%s: %s",
			  checks[i].lock, e.msg);
	}
}

Test(graph, many_problems_are_counted_and_some_are_named)
{
	auto_graph struct graph *g = with_edges(
		"{'packages':{'':{'dependencies':{'a':'1','b':'1','c':'1','d':'1','e':'1'}}}}",
		false);
	struct err e = { 0 };

	cr_assert_eq(graph_check(g, &e), -ESTALE);
	cr_assert(strstr(e.msg, "5 times") && strstr(e.msg, "Missing: d@1"));
	cr_assert(!strstr(e.msg, "Missing: e@1"));
}

/* ---- before it is written ---- */

static const struct {
	const char *lock;
	const char *npm,
		*all; /* what does not hold, as npm and in every part; NULL: it all holds */
} trees[] = {
	{ "'':{'dependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0'}", NULL, NULL },
	{ "'':{'dependencies':{'a':'2'}},'node_modules/a':{'version':'1.0.0'}",
	  "the project needs a@\"2\", and there is node_modules/a@1.0.0",
	  "the project needs a@\"2\", and there is node_modules/a@1.0.0" },
	/* From its own place, not from root's. */
	{ "'':{'dependencies':{'a':'1','b':'2'}},'node_modules/a':{'version':'1.0.0','dependencies'"
	  ":{'b':'2'}},'node_modules/b':{'version':'2.0.0'},'node_modules/a/node_modules/b':"
	  "{'version':'1.0.0'}",
	  "node_modules/a needs b@\"2\", and there is node_modules/a/node_modules/b@1.0.0",
	  "node_modules/a needs b@\"2\"" },
	{ "'':{'dependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0','dependencies':{'b':"
	  "'2'}}",
	  "node_modules/a needs b@\"2\", and there is none",
	  "node_modules/a needs b@\"2\", and there is none" },
	{ "'':{'dependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0','peerDependencies':"
	  "{'b':'2'}}",
	  "needs the peer b@\"2\", and there is none", "needs the peer b@" },
	/* Optional, and there are none. */
	{ "'':{'optionalDependencies':{'a':'1'},'dependencies':{'c':'1'}},'node_modules/c':"
	  "{'version':'1.0.0','peerDependencies':{'b':'2'},'peerDependenciesMeta':{'b':{'optional'"
	  ":true}}}",
	  NULL, NULL },
	/* What an optional package needs npm leaves out, where it is not to be had. */
	{ "'':{'optionalDependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0','dependencies'"
	  ":{'b':'2'}}",
	  NULL, "node_modules/a needs b@\"2\", and there is none" },
	/* Peers that npm lets be, optional ones too. */
	{ "'':{'dependencies':{'c':'*'}},'node_modules/c':{'version':'1.0.0','dependencies':{'a':"
	  "'*','p':'1'}},'node_modules/a':{'version':'1.0.0','peerDependencies':{'p':'2'}},"
	  "'node_modules/p':{'version':'1.0.0'}",
	  NULL, "node_modules/a needs the peer p@\"2\", and there is node_modules/p@1.0.0" },
	{ "'':{'dependencies':{'a':'*','p':'1'}},'node_modules/a':{'version':'1.0.0',"
	  "'peerDependencies':{'p':'2'},'peerDependenciesMeta':{'p':{'optional':true}}},"
	  "'node_modules/p':{'version':'1.0.0'}",
	  NULL, "node_modules/a needs the peer p@\"2\"" },
	/* npm leaves what nothing needs in a lock that it made anew. */
	{ "'':{},'node_modules/a':{'version':'1.0.0','resolved':'http://registry.test/a.tgz'}",
	  NULL, "nothing needs node_modules/a (a@1.0.0)" },
	/* What a tarball brings is as it is. */
	{ "'':{'dependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0','bundleDependencies':"
	  "['b'],'dependencies':{'b':'2'}},'node_modules/a/node_modules/b':{'version':'1.0.0',"
	  "'inBundle':true,'dependencies':{'c':'1'}},'node_modules/a/node_modules/c':{'version':"
	  "'3.0.0','inBundle':true},'node_modules/a/node_modules/d':{'version':'1.0.0'}",
	  NULL, NULL },
	/* An alias is its name, and a version of what it stands for. */
	{ "'':{'dependencies':{'a':'npm:b@2'}},'node_modules/a':{'name':'b','version':'2.1.0'}",
	  NULL, NULL },
	{ "'':{'dependencies':{'a':'npm:b@2'}},'node_modules/a':{'name':'b','version':'3.0.0'}",
	  "the project needs a@\"npm:b@2\"", "the project needs a@" },
	/* Behind a link everything counts. */
	{ "'':{'workspaces':['l'],'dependencies':{'l':'file:l'}},'node_modules/l':{'link':true,"
	  "'resolved':'l'},'l':{'version':'1.0.0','dependencies':{'b':'1'}},'node_modules/b':"
	  "{'version':'1.0.0','dependencies':{'c':'1'}}",
	  "node_modules/b needs c@\"1\", and there is none", "node_modules/b needs c@" },
};

static void looks(const char *lock, enum graph_sound how, const char *says)
{
	auto_graph struct graph *g = NULL;
	auto_free char *text = NULL;
	struct err e = { 0 };
	int r;

	cr_assert(asprintf(&text, "{'packages':{%s}}", lock) > 0);
	g = with_edges(text, false);
	r = graph_sound(g, how, &e);
	cr_expect(r == (says ? -ENOTSUP : 0), "%s: %s", lock, e.msg);
	cr_expect(!says || strstr(e.msg, says), "%s: %s", lock, e.msg);
}

Test(graph, sound_is_what_npm_takes)
{
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		looks(trees[i].lock, GRAPH_AS_NPM, trees[i].npm);
		looks(trees[i].lock, GRAPH_NOTHING_MORE, trees[i].all);
		looks(trees[i].lock, GRAPH_ALL_HOLDS,
		      trees[i].all && strstr(trees[i].all, "nothing needs") ? NULL : trees[i].all);
	}
}

/* ---- keys ---- */

Test(graph, a_node_without_integrity_has_a_key_of_what_is_known)
{
	struct graph_node n = { .path = "node_modules/a", .pkg_name = "a", .version = "1.0.0" };
	struct digest a, b;

	cr_assert_eq(graph_node_key(&n, &a, NULL), 0);
	cr_assert_eq(a.alg, DIGEST_UNPINNED);
	n.version = "1.0.1";
	cr_assert_eq(graph_node_key(&n, &b, NULL), 0);
	cr_assert(!digest_eq(&a, &b));
	n.integrity = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
	cr_assert_eq(graph_node_key(&n, &b, NULL), 0);
	cr_assert_eq(b.alg, DIGEST_SHA1);
	n.integrity = "nonsense";
	cr_assert_eq(graph_node_key(&n, &b, NULL), -EINVAL);
}
