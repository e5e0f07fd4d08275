#include "lock/render.h"
#include "tests/lock/resolving.h"

/* Small registries and projects, and what npm itself made of them. */

static void expect_in(struct project *p, const char *universe, const char *want)
{
	auto_universe struct universe *u = universe_new(universe);
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	struct catalog c = universe_catalog(u);
	auto_free char *got = NULL;
	struct err e = { 0 };
	int r;

	p->o.catalog = &c;
	r = ideal_build(&result, slice_str(p->lock ? p->lock : ""), &p->o, &e);
	got = r < 0 ? strdup(e.msg) : places(result.graph);
	if (r < 0 ? !strstr(got, want) || !*want : strcmp(got, want) != 0) {
		(void)fprintf(stderr, "got: %s\nnot: %s\n", got, want);
		cr_expect(false);
	}
}

static void expect(const char *universe, const char *manifest, const char *want)
{
	struct project p = { 0 };

	begin(&p, manifest);
	expect_in(&p, universe, want);
	end(&p);
}

static const char hoisting[] = "a 1.0.0 b@^1\nb 1.0.0\nb 2.0.0\nc 1.0.0 b@^2\n";

Test(ideal, root_comes_first)
{
	expect(hoisting, "{'dependencies':{'a':'1','b':'1 || 2'}}", "a 1.0.0, a/b 1.0.0, b 2.0.0");
}

Test(ideal, what_comes_first_is_hoisted)
{
	expect(hoisting, "{'dependencies':{'a':'1','c':'1'}}",
	       "a 1.0.0, b 1.0.0, c 1.0.0, c/b 2.0.0");
}

static const char peers[] = "core 1.0.0\ncore 2.0.0\n"
			    "host 1.0.0 peer:core@^1\nhost 2.0.0 peer:core@^2\n"
			    "plug 1.0.0 peer:host@^1\nplug2 1.0.0 peer:host@^2\n"
			    "tool 1.0.0 plug@1\ntool2 1.0.0 plug2@1\n"
			    "both 1.0.0 plug@1 plug2@1\nmix 1.0.0 plug@1 host@^2\n"
			    "popt 1.0.0 popt:core@^1\n"
			    "p12 1.0.0 peer:core@1+||+2\np1 1.0.0 peer:core@^1\n";

Test(ideal, peers_come_along)
{
	expect(peers, "{'dependencies':{'plug':'1'}}", "core 1.0.0, host 1.0.0, plug 1.0.0");
}

Test(ideal, peers_of_root_that_conflict)
{
	expect(peers, "{'dependencies':{'plug':'1','plug2':'1'}}", "could not resolve");
	expect(peers, "{'dependencies':{'plug':'1','host':'2'}}",
	       "unable to resolve dependency tree");
}

Test(ideal, force)
{
	struct project p = { 0 };

	begin(&p, "{'dependencies':{'plug':'1','host':'2'}}");
	p.o.force = true;
	expect_in(&p, peers, "core 2.0.0, host 2.0.0, plug 1.0.0");
	end(&p);
}

Test(ideal, legacy_peer_deps)
{
	struct project p = { 0 };

	begin(&p, "{'dependencies':{'plug':'1','host':'2'}}");
	p.o.legacy_peer_deps = true;
	expect_in(&p, peers, "host 2.0.0, plug 1.0.0");
	end(&p);
}

Test(ideal, a_second_peer_set_nests_as_a_whole)
{
	expect(peers, "{'dependencies':{'tool':'1','tool2':'1'}}",
	       "core 1.0.0, host 1.0.0, plug 1.0.0, tool 1.0.0, tool2 1.0.0, tool2/core 2.0.0, "
	       "tool2/host 2.0.0, tool2/plug2 1.0.0");
	expect(peers, "{'dependencies':{'both':'1'}}",
	       "both 1.0.0, both/core 2.0.0, both/host 2.0.0, both/plug2 1.0.0, core 1.0.0, "
	       "host 1.0.0, plug 1.0.0");
	expect(peers, "{'dependencies':{'tool':'1','host':'2'}}",
	       "core 2.0.0, host 2.0.0, tool 1.0.0, tool/core 1.0.0, tool/host 1.0.0, "
	       "tool/plug 1.0.0");
	expect(peers, "{'dependencies':{'mix':'1'}}",
	       "core 1.0.0, host 1.0.0, mix 1.0.0, mix/core 2.0.0, mix/host 2.0.0, plug 1.0.0");
}

Test(ideal, strict_peer_deps)
{
	struct project p = { 0 };

	begin(&p, "{'dependencies':{'mix':'1'}}");
	p.o.strict_peer_deps = true;
	expect_in(&p, peers, "unable to resolve dependency tree");
	end(&p);
}

Test(ideal, optional_peers_are_not_installed_but_must_fit)
{
	expect(peers, "{'dependencies':{'popt':'1'}}", "popt 1.0.0");
	expect(peers, "{'dependencies':{'popt':'1','core':'1'}}", "core 1.0.0, popt 1.0.0");
	expect(peers, "{'dependencies':{'popt':'1','core':'2'}}", "could not resolve");
}

Test(ideal, a_peer_may_be_older_than_what_its_dependents_allow)
{
	expect(peers, "{'dependencies':{'p12':'1','p1':'1'}}", "core 1.0.0, p1 1.0.0, p12 1.0.0");
	expect(peers, "{'dependencies':{'core':'>=1','p1':'1'}}", "core 1.0.0, p1 1.0.0");
}

static const char overrides[] = "acorn 7.0.0\nacorn 8.0.0\nacorn 8.1.0\n"
				"lib 1.0.0 acorn@^8\nleft 1.0.0 lib@^1\n"
				"webpack 5.90.0 acorn@^8\nwebpack 5.91.0 acorn@^8\n";

Test(ideal, overrides)
{
	expect(overrides,
	       "{'dependencies':{'lib':'1','webpack':'5'},'overrides':{'acorn':'8.0.0'}}",
	       "acorn 8.0.0, lib 1.0.0, webpack 5.91.0");
	expect(overrides,
	       "{'dependencies':{'lib':'1','webpack':'5'},'overrides':{'lib':{'acorn':'7.0.0'}}}",
	       "acorn 7.0.0, lib 1.0.0, webpack 5.91.0, webpack/acorn 8.1.0");
	expect(overrides,
	       "{'dependencies':{'lib':'1','webpack':'5'},'overrides':{'acorn@^7':'7.0.0'}}",
	       "acorn 8.1.0, lib 1.0.0, webpack 5.91.0");
	expect(overrides,
	       "{'dependencies':{'lib':'1','webpack':'5'},'overrides':{'acorn@8':'7.0.0'}}",
	       "acorn 7.0.0, lib 1.0.0, webpack 5.91.0");
	expect(overrides,
	       "{'dependencies':{'lib':'1','acorn':'8.0.0'},'overrides':{'acorn':'$acorn'}}",
	       "acorn 8.0.0, lib 1.0.0");
	expect(overrides,
	       "{'dependencies':{'left':'1','webpack':'^5'},'overrides':{'left':{'acorn':'8.0.0'}}"
	       "}",
	       "acorn 8.0.0, left 1.0.0, lib 1.0.0, webpack 5.91.0");
	expect(overrides,
	       "{'dependencies':{'left':'1'},'overrides':{'lib':{'.':'1.0.0','acorn':'7.0.0'}}}",
	       "acorn 7.0.0, left 1.0.0, lib 1.0.0");
	expect(overrides, "{'dependencies':{'left':'1'},'overrides':{'acorn':''}}",
	       "acorn 8.1.0, left 1.0.0, lib 1.0.0");
	expect(overrides,
	       "{'dependencies':{'webpack':'5.90.0'},'overrides':{'webpack':{'acorn':'8.0.0'}}}",
	       "acorn 8.0.0, webpack 5.90.0");
	expect(overrides,
	       "{'dependencies':{'webpack':'5.90.0'},"
	       "'overrides':{'webpack@5':{'.':'5.90.0','acorn':'8.0.0'}}}",
	       "acorn 8.0.0, webpack 5.90.0");
}

/* x needs another x: what it asks for leads to itself, until that stands below. */
Test(ideal, overrides_below_what_needs_its_own_name)
{
	expect("a 1.0.0 x@npm:d@1.0.0\na 1.1.0 x@npm:e@>=1.0\nb 1.1.0\nb 2.0.0 d@1.0.0 "
	       "c@npm:a@>=1.0\nc 1.0.0 e@2\nd 1.0.0\nd 1.1.0 e@^1 a@1.0.0\n"
	       "e 1.1.0 x@npm:b@^1\ne 2.0.0 x@npm:c@1.0.0\n",
	       "{'dependencies':{'b':'1.0 || 2'},'overrides':{'b':{'d':'^1'}}}",
	       "a 1.0.0, a/x 1.0.0, b 2.0.0, c 1.1.0, d 1.1.0, e 1.1.0, e/x 1.1.0, x 2.0.0, "
	       "x/e 2.0.0, x/x 1.0.0");
}

Test(ideal, overrides_that_contradict_root)
{
	expect(overrides,
	       "{'dependencies':{'webpack':'5.90.0'},'overrides':{'webpack@5':{'acorn':'8.0.0'}}}",
	       "EOVERRIDE");
	expect(overrides,
	       "{'dependencies':{'lib':'1','acorn':'8.1.0'},'overrides':{'acorn':'8.0.0'}}",
	       "EOVERRIDE");
}

Test(ideal, which_version)
{
	static const char text[] = "a 1.0.0 at:2020-01-01T00:00:00.000Z\n"
				   "a 1.1.0 deprecated at:2021-01-01\n"
				   "a 1.2.0 node:>=22 at:2022-01-01\na 2.0.0-rc.1 tag:next\n"
				   "a 1.0.1 tag:latest at:2023-01-01\n"
				   "new 1.0.0 node:>=99\n";
	struct project p = { 0 };

	expect(text, "{'dependencies':{'a':'^1'}}", "a 1.0.1");
	expect(text, "{'dependencies':{'a':'next'}}", "a 2.0.0-rc.1");
	expect(text, "{'dependencies':{'a':'^1.1'}}", "a 1.1.0");
	expect(text, "{'dependencies':{'a':'1.2.0'}}", "a 1.2.0");
	expect(text, "{'dependencies':{'a':'v1.2.0'}}", "a 1.2.0");
	expect(text, "{'dependencies':{'new':'*'}}", "new 1.0.0");
	expect(text, "{'dependencies':{'alias':'npm:a@~1.2'}}", "alias 1.2.0");
	expect(text, "{'dependencies':{'a':'^3'}}", "no version that fits \"^3\"");
	expect(text, "{'dependencies':{'none':'1'}}", "none: the registry does not have it");
	begin(&p, "{'dependencies':{'a':'^1'}}");
	p.o.has_before = true;
	cr_assert(packument_time("2020-06-01", &p.o.before_ms) == 0);
	expect_in(&p, text, "a 1.0.0");
	end(&p);
}

Test(ideal, what_is_optional_may_be_missing)
{
	static const char text[] = "a 1.0.0 opt:none@1 opt:b@1\nb 1.0.0 none@2\nc 1.0.0 b@1\n";

	expect(text, "{'optionalDependencies':{'none':'1','a':'1'}}", "a 1.0.0, b 1.0.0");
	expect(text, "{'dependencies':{'c':'1'}}", "none: the registry does not have it");
}

static const char workspaces[] = "x 1.0.0\nx 2.0.0\nw1 9.0.0\n";

Test(ideal, workspaces)
{
	struct project p = { 0 };

	begin(&p, "{'workspaces':['ws/*'],'dependencies':{'x':'1'}}");
	put(&p, "ws/one/package.json",
	    "{'name':'w1','version':'1.0.0','dependencies':{'x':'2'},'devDependencies':{'w2':'*'}"
	    "}");
	put(&p, "ws/two/package.json",
	    "{'name':'w2','version':'1.0.0','dependencies':{'w1':'^1.0.0','x':'1'}}");
	expect_in(&p, workspaces,
		  "w1 ->ws/one, w2 ->ws/two, ws/one 1.0.0, ws/one/x 2.0.0, ws/two 1.0.0, x 1.0.0");
	put(&p, "ws/two/package.json",
	    "{'name':'w2','version':'1.0.0','dependencies':{'w1':'^9.0.0'}}");
	expect_in(&p, workspaces,
		  "w1 ->ws/one, w2 ->ws/two, ws/one 1.0.0, ws/one/x 2.0.0, ws/two 1.0.0, "
		  "ws/two/w1 9.0.0, x 1.0.0");
	end(&p);
}

Test(ideal, folders_are_linked)
{
	struct project p = { 0 };

	begin(&p, "{'dependencies':{'in':'file:./lib/in'}}");
	put(&p, "lib/in/package.json", "{'name':'in','version':'0.1.0','dependencies':{'x':'2'}}");
	expect_in(&p, workspaces, "in ->lib/in, lib/in 0.1.0, x 2.0.0");
	end(&p);
}

Test(ideal, a_lock_is_kept_to)
{
	auto_universe struct universe *u = universe_new("a 1.0.0 b@1\na 1.1.0 b@1\nb 1.0.0\n"
							"b 1.1.0\nc 1.0.0 b@^1.1.0\n");
	auto_ideal_result struct ideal_result first = IDEAL_RESULT_INIT;
	auto_buf struct buf lock = BUF_INIT(1 << 20);
	struct catalog c = universe_catalog(u);
	auto_free char *got = NULL, *text = NULL;
	struct project p = { 0 };
	static const char *const update[] = { "a", NULL };

	/* Made while there was no newer a and b. */
	begin(&p, "{'dependencies':{'a':'1'}}");
	p.o.catalog = &c;
	{
		auto_universe struct universe *old = universe_new("a 1.0.0 b@1\nb 1.0.0\n");
		struct catalog was = universe_catalog(old);

		p.o.catalog = &was;
		cr_assert(ideal_build(&first, slice_str(""), &p.o, NULL) == 0);
		cr_assert(render_package_lock(first.graph, &lock, NULL) == 0);
	}
	text = buf_steal_str(&lock);
	p.lock = text;
	p.o.catalog = &c;
	{
		auto_ideal_result struct ideal_result same = IDEAL_RESULT_INIT;

		cr_assert(ideal_build(&same, slice_str(text), &p.o, NULL) == 0);
		got = places(same.graph);
		cr_assert_str_eq(got, "a 1.0.0, b 1.0.0");
		cr_assert_eq(universe_asked(u), 0);
	}
	put(&p, "package.json", "{'dependencies':{'a':'1','c':'1'}}");
	expect_in(&p, "a 1.0.0 b@1\na 1.1.0 b@1\nb 1.0.0\nb 1.1.0\nc 1.0.0 b@^1.1.0\n",
		  "a 1.0.0, b 1.1.0, c 1.0.0");
	p.o.update = update;
	expect_in(&p, "a 1.0.0 b@1\na 1.1.0 b@1\nb 1.0.0\nb 1.1.0\nc 1.0.0 b@^1.1.0\n",
		  "a 1.1.0, b 1.1.0, c 1.0.0");
	put(&p, "package.json", "{'dependencies':{'b':'1'}}");
	p.o.update = NULL;
	expect_in(&p, "b 1.0.0\nb 1.1.0\n", "b 1.0.0");
	end(&p);
}

/* Each has two peers of the others, in circles: the ways from one to another cannot be counted. */
Test(ideal, peers_in_circles_end)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct project p = { 0 };
	struct ideal_result result = { 0 };
	struct universe *u;
	struct catalog c;
	struct err e = { 0 };

	for (unsigned i = 0; i < 60; i++)
		(void)fprintf(f, "p%u 1.0.0 peer:p%u@1 peer:p%u@1\n", i, (i + 1) % 60,
			      (i + 7) % 60);
	cr_assert(fclose(f) == 0);
	begin(&p, "{'dependencies':{'p0':'1'}}");
	u = universe_new(text);
	c = universe_catalog(u);
	p.o.catalog = &c;
	p.o.max.work = 100000000;
	cr_expect_eq(ideal_build(&result, (struct slice){ 0 }, &p.o, &e), -E2BIG);
	cr_expect(strstr(e.msg, "multiply without end"), "%s", e.msg);
	ideal_result_release(&result);
	universe_free(u);
	end(&p);
}
