#include "lock/platform.h"
#include "lock/select.h"
#include "tests/lock/sample.h"

#include <stdio.h>

static const struct platform linux_x64 = { .os = "linux",
					   .cpu = "x64",
					   .libc = "glibc",
					   .npm_version = "11.19.1",
					   .node_version = "20.1.0" };

/* A lock from the members of "packages", where ' stands for a double quote. */
static struct graph *lock_of(const char *packages)
{
	char text[8192];
	int n = snprintf(text, sizeof text, "{'lockfileVersion':3,'packages':{%s}}", packages);

	cr_assert(n > 0 && (size_t)n < sizeof text);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return sample_graph(text);
}

/* The last names of the nodes that are there but for tops, in the lock's order. */
static char *there(const struct graph *g, const struct select_params *p)
{
	auto_buf struct buf out = BUF_INIT(4096);
	auto_free bool *present = calloc(g->count, sizeof *present);
	struct err e = { 0 };

	if (select_nodes(g, p, present, &e) < 0) {
		buf_addf(&out, "%s", e.msg);
		return buf_steal_str(&out);
	}
	for (uint32_t i = 0; i < g->count; i++) {
		if (present[i] && !(g->nodes[i].flags & NODE_TOP))
			buf_addf(&out, "%s%s", out.len ? " " : "", g->nodes[i].path + 13);
	}
	return buf_steal_str(&out);
}

static void expect(const char *packages, const struct select_params *p, const char *names)
{
	auto_graph struct graph *g = lock_of(packages);
	auto_free char *got = there(g, p);

	if (!strstr(got, names) || (strncmp(names, "EBAD", 4) != 0 && strcmp(got, names) != 0)) {
		(void)fprintf(stderr, "got: %s\nnot: %s\n", got, names);
		cr_assert(false);
	}
}

static const struct select_params here = { .platform = &linux_x64 };

Test(select, an_optional_package_of_another_os_takes_what_it_alone_needs)
{
	expect("'':{'optionalDependencies':{'a':'1'},'dependencies':{'c':'1'}},"
	       "'node_modules/"
	       "a':{'version':'1.0.0','os':['darwin'],'dependencies':{'b':'1','c':'1'}},"
	       "'node_modules/b':{'version':'1.0.0'},'node_modules/c':{'version':'1.0.0'}",
	       &here, "c");
}

Test(select, what_requires_it_goes_too_up_to_the_optional_edge)
{
	expect("'':{'dependencies':{'keep':'1'}},"
	       "'node_modules/keep':{'version':'1.0.0','optionalDependencies':{'x':'1'}},"
	       "'node_modules/x':{'version':'1.0.0','dependencies':{'y':'1','z':'1'}},"
	       "'node_modules/y':{'version':'1.0.0','cpu':['arm64']},"
	       "'node_modules/z':{'version':'1.0.0'}",
	       &here, "keep");
}

Test(select, what_two_absent_packages_share_goes_with_the_second)
{
	expect("'':{'optionalDependencies':{'a':'1','b':'1'}},"
	       "'node_modules/a':{'version':'1.0.0','os':['darwin'],'dependencies':{'s':'1'}},"
	       "'node_modules/b':{'version':'1.0.0','os':['win32'],'dependencies':{'s':'1'}},"
	       "'node_modules/s':{'version':'1.0.0'}",
	       &here, "");
	expect("'':{'optionalDependencies':{'a':'1','b':'1'}},"
	       "'node_modules/a':{'version':'1.0.0','os':['darwin'],'dependencies':{'s':'1'}},"
	       "'node_modules/b':{'version':'1.0.0','os':['linux'],'dependencies':{'s':'1'}},"
	       "'node_modules/s':{'version':'1.0.0'}",
	       &here, "b s");
}

Test(select, engines_decide_about_optional_packages_alone)
{
	expect("'':{'dependencies':{'must':'1'},'optionalDependencies':{'n':'1','m':'1','o':'1'}},"
	       "'node_modules/m':{'version':'1.0.0','engines':{'npm':'>=12'}},"
	       "'node_modules/must':{'version':'1.0.0','engines':{'node':'>=99'}},"
	       "'node_modules/n':{'version':'1.0.0','engines':{'node':'>=99'}},"
	       "'node_modules/o':{'version':'1.0.0','engines':{'node':'>=20'}}",
	       &here, "must o");
}

Test(select, a_required_package_of_another_platform_is_ebadplatform)
{
	static const struct platform mac = { .os = "darwin", .cpu = "arm64" };
	static const char packages[] = "'':{'dependencies':{'a':'1'}},"
				       "'node_modules/a':{'version':'1.0.0','os':['darwin','!x']}";
	const struct select_params force = { .platform = &linux_x64, .force = true },
				   as_mac = { .platform = &mac },
				   cross = { .platform = &linux_x64, .machine = &mac };

	expect(packages, &here,
	       "EBADPLATFORM: a@1.0.0 is meant for os darwin !x, and this machine is linux x64 "
	       "glibc");
	expect(packages, &force, "a");
	expect(packages, &as_mac, "a");
	expect(packages, &cross, "a");
}

Test(select, the_project_itself_must_fit)
{
	expect("'':{'os':['win32']}", &here, "EBADPLATFORM");
}

Test(select, omitted_packages_are_neither_there_nor_checked)
{
	static const char packages[] =
		"'':{'dependencies':{'p':'1'},'devDependencies':{'d':'1'},"
		"'optionalDependencies':{'o':'1'},'peerDependencies':{'q':'1'}},"
		"'node_modules/both':{'version':'1.0.0'},"
		"'node_modules/d':{'version':'1.0.0','dependencies':{'both':'1'},'os':['win32']},"
		"'node_modules/o':{'version':'1.0.0','dependencies':{'both':'1'}},"
		"'node_modules/p':{'version':'1.0.0'},'node_modules/q':{'version':'1.0.0'}";
	struct select_params p = { .platform = &linux_x64, .omit = OMIT_DEV };

	expect(packages, &p, "both o p q");
	p.omit = OMIT_DEV | OMIT_OPTIONAL;
	expect(packages, &p, "p q");
	p.omit = OMIT_DEV | OMIT_PEER;
	expect(packages, &p, "both o p");
	p.omit = OMIT_OPTIONAL;
	expect(packages, &p, "EBADPLATFORM: d@1.0.0");
}

Test(select, a_link_is_omitted_and_what_its_target_holds_is_not)
{
	struct select_params p = { .platform = &linux_x64, .omit = OMIT_DEV };
	static const char packages[] = "'':{'devDependencies':{'l':'file:l'}},"
				       "'l':{'version':'1.0.0','dependencies':{'x':'1'}},"
				       "'l/node_modules/x':{'version':'1.0.0'},"
				       "'node_modules/l':{'resolved':'l','link':true}";
	auto_graph struct graph *g = lock_of(packages);
	bool present[4];

	cr_assert_eq(select_nodes(g, &p, present, NULL), 0);
	cr_assert(present[0] && present[1] && present[2] && !present[3]);
}

Test(select, nothing_that_root_does_not_reach_is_there)
{
	expect("'':{'dependencies':{'a':'1'}},'node_modules/a':{'version':'1.0.0'},"
	       "'node_modules/a/node_modules/c':{'version':'1.0.0'},"
	       "'node_modules/b':{'version':'1.0.0'}",
	       &here, "a");
}

Test(select, what_stands_below_an_absent_package_is_absent)
{
	expect("'':{'optionalDependencies':{'a':'1'},'dependencies':{'k':'1'}},"
	       "'node_modules/a':{'version':'1.0.0','os':['darwin'],'dependencies':{'b':'1'}},"
	       "'node_modules/a/node_modules/b':{'version':'1.0.0'},"
	       "'node_modules/k':{'version':'1.0.0'}",
	       &here, "k");
}

Test(select, bundled_packages_come_with_their_bundler_fit_or_not)
{
	expect("'':{'dependencies':{'a':'1'},'optionalDependencies':{'z':'1'}},"
	       "'node_modules/a':{'version':'1.0.0','bundleDependencies':['b'],"
	       "'optionalDependencies':{'b':'1'}},"
	       "'node_modules/a/node_modules/"
	       "b':{'version':'1.0.0','inBundle':true,'os':['darwin']},"
	       "'node_modules/z':{'version':'1.0.0','os':['darwin'],'bundleDependencies':['b'],"
	       "'dependencies':{'b':'1'}},"
	       "'node_modules/z/node_modules/b':{'version':'1.0.0','inBundle':true}",
	       &here, "a a/node_modules/b");
}

Test(select, what_the_registry_does_not_have_is_absent_or_an_error)
{
	auto_graph struct graph *g =
		lock_of("'':{'dependencies':{'m':'1'},'optionalDependencies':{'o':'1'}},"
			"'node_modules/m':{'version':'1.0.0'},"
			"'node_modules/o':{'version':'1.0.0','dependencies':{'p':'1'}},"
			"'node_modules/p':{'version':'1.0.0'}");
	bool failed[4] = { false, false, false, true }, present[4];
	const struct select_params p = { .platform = &linux_x64, .failed = failed };
	struct err e = { 0 };

	cr_assert_eq(select_nodes(g, &p, present, NULL), 0);
	cr_assert(present[1] && !present[2] && !present[3]);
	failed[1] = true;
	cr_assert_eq(select_nodes(g, &p, present, &e), -ENOENT);
	cr_assert(strstr(e.msg, "m@1.0.0") != NULL);
	cr_assert(present[1] && !present[2]);
}

Test(select, the_sample_on_two_machines)
{
	auto_graph struct graph *g = sample_graph(sample_text);
	static const struct platform musl = { .os = "linux", .cpu = "x64", .libc = "musl" };
	const struct select_params p = { .platform = &musl };
	auto_free char *glibc = there(g, &here), *other = there(g, &p);

	cr_assert(strstr(glibc, " opt ") != NULL);
	cr_assert(strstr(other, "opt") == NULL);
	cr_assert(strstr(other, "bundler/node_modules/inner") != NULL);
}

static const char strays[] =
	"'':{'dependencies':{'a':'1'}},'node_modules/"
	"a':{'version':'1.0.0','dependencies':{'b':'1'},"
	"'bundleDependencies':['b']},'node_modules/a/node_modules/"
	"b':{'version':'1.0.0','inBundle':true},"
	"'node_modules/a/node_modules/s':{'version':'1.0.0','extraneous':true},"
	"'node_modules/a/node_modules/s/node_modules/t':{'version':'1.0.0'},"
	"'node_modules/a/node_modules/u':{'version':'1.0.0','resolved':'http://registry.test/"
	"u.tgz'},"
	"'node_modules/a/node_modules/v':{},'node_modules/w':{'version':'1.0.0'}";

Test(select, what_a_bundler_carries_without_need_is_there_if_npm_would_fetch_it)
{
	bool failed[8] = { [3] = true };
	const struct select_params p = { .platform = &linux_x64, .failed = failed };

	expect(strays, &here,
	       "a a/node_modules/b a/node_modules/s a/node_modules/s/node_modules/t");
	expect(strays, &p, "a a/node_modules/b");
}

/* Each of many optional packages that do not fit reaches the same thicket, which stays: work that
 * grows with the square of the lock. */
Test(select, optional_sets_that_would_take_for_ever_are_refused)
{
	enum { MANY = 2000, EDGES = 40 };
	auto_buf struct buf b = BUF_INIT((size_t)16 << 20);
	auto_free char *text = NULL;
	auto_graph struct graph *g = NULL;
	auto_free bool *present = NULL;
	struct err e = { 0 };

	buf_addstr(&b, "{'lockfileVersion':3,'packages':{'':{'dependencies':{'c0':'1'},"
		       "'optionalDependencies':{'o0':'1'");
	for (int i = 1; i < MANY; i++)
		buf_addf(&b, ",'o%d':'1'", i);
	buf_addstr(&b, "}}");
	for (int i = 0; i < MANY; i++) {
		buf_addf(&b,
			 ",'node_modules/o%d':{'version':'1.0.0','os':['none'],"
			 "'dependencies':{'c0':'1'}},'node_modules/c%d':{'version':'1.0.0',"
			 "'dependencies':{'c0':'1'",
			 i, i);
		for (int k = 1; k < EDGES; k++)
			buf_addf(&b, ",'c%d':'1'", (i + k) % MANY);
		buf_addstr(&b, "}}");
	}
	buf_addstr(&b, "}}");
	text = buf_steal_str(&b);
	cr_assert(text != NULL);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	g = sample_graph(text);
	present = calloc(g->count, sizeof *present);
	cr_assert_eq(select_nodes(g, &here, present, &e), -E2BIG);
	cr_assert(strstr(e.msg, "entangled"));
}
