#include "lock/npmlock.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int parse(struct graph **ret, const char *text, const struct catalog *c, struct err *e)
{
	const struct npmlock_options o = { .catalog = c };
	auto_free char *copy = strdup(text);

	for (char *s = copy; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	return npmlock_parse(ret, slice_str(copy), &o, e);
}

static struct graph *parsed(const char *text)
{
	struct graph *g = NULL;
	struct err e = { 0 };

	cr_assert_eq(parse(&g, text, NULL, &e), 0, "%s", e.msg);
	return g;
}

/* ---- what is no lock ---- */

static const struct {
	const char *text;
	int code;
	const char *says;
} refusals[] = {
	{ "", -EBADMSG, "line 1" },
	{ "{'packages':", -EBADMSG, "line 1" },
	{ "[]", -EINVAL, "no object" },
	{ "{'packages':[]}", -EINVAL, "\"packages\" is no object" },
	{ "{'packages':{'a':3}}", -EINVAL, "\"a\" is no object" },
	{ "{'lockfileVersion':'3'}", -EINVAL, "no number" },
	{ "{'lockfileVersion':4,'packages':{}}", -EPROTONOSUPPORT, "version 4" },
	{ "{\n<<<<<<< HEAD\n'a':1,\n=======\n>>>>>>> b\n}", -EINVAL, "our side is no JSON" },
	{ "{'packages':{'node_modules/a':{'patched':{'path':'p'}}}}", -EPROTONOSUPPORT,
	  "\"patched\"" },
	{ "{'packages':{'':{'packageExtensionsHash':'x'}}}", -EPROTONOSUPPORT, "not supported" },
	{ "{'packages':{'node_modules/a':{'version':1}}}", -EINVAL, "\"version\" is not a string" },
	{ "{'packages':{'node_modules/a':{'dependencies':{'b':1}}}}", -EINVAL,
	  "\"b\" has no string" },
	{ "{'packages':{'node_modules/a\\u0000b':{}}}", -EBADMSG, "NUL" },
};

Test(npmlock, refuses_what_is_no_lock_with_a_sentence)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct graph *g = NULL;
		struct err e = { 0 };

		cr_expect(parse(&g, refusals[i].text, NULL, &e) == refusals[i].code, "%s: %s",
			  refusals[i].text, e.msg);
		cr_expect(strstr(e.msg, refusals[i].says), "%s: %s", refusals[i].text, e.msg);
		cr_assert(g == NULL);
	}
}

Test(npmlock, refuses_too_many_dependencies_and_too_deep_json)
{
	auto_buf struct buf b = BUF_INIT((size_t)8 << 20);
	struct graph *g = NULL;
	struct err e = { 0 };

	buf_addstr(&b, "{\"packages\":{\"\":{\"dependencies\":{");
	for (unsigned i = 0; i <= GRAPH_DEPS_MAX; i++)
		buf_addf(&b, "%s\"d%u\":\"1\"", i ? "," : "", i);
	buf_addstr(&b, "}}}}");
	buf_add(&b, "", 1);
	cr_assert_eq(parse(&g, (const char *)b.data, NULL, &e), -E2BIG);
	cr_assert(strstr(e.msg, "20001 dependencies"));
	b.len = 0;
	for (unsigned i = 0; i < 100000; i++)
		buf_addstr(&b, "{\"dependencies\":");
	buf_add(&b, "", 1);
	cr_assert_eq(parse(&g, (const char *)b.data, NULL, &e), -E2BIG);
}

/* ---- fields ---- */

Test(npmlock, reads_every_field_of_an_entry)
{
	auto_graph struct graph *g = parsed(
		"{'name':'n','version':'1.2.3','lockfileVersion':3,'requires':true,'packages':{"
		"'node_modules/al':{'name':'real','version':'1.0.0','resolved':"
		"'https://registry.test/real.tgz','integrity':'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=',"
		"'hasInstallScript':true,'inBundle':true,'hasShrinkwrap':true,'dev':true,"
		"'license':'MIT','bin':{'real':'cli.js'},'os':['linux','!win32'],'cpu':'x64',"
		"'engines':{'npm':'>1','node':'>=4'},'bundleDependencies':true,"
		"'acceptDependencies':{'b':'^9'},"
		"'dependencies':{'b':'^1','c':'2'},'optionalDependencies':{'o':'*'},"
		"'peerDependencies':{'p':'1','q':'1'},'peerDependenciesMeta':{'q':{'optional':true}"
		","
		"'zz':{'optional':true}}}}}");
	const struct graph_node *n = &g->nodes[1];

	cr_assert_eq(g->count, 2);
	cr_assert_eq(g->lockfile_version, 3);
	cr_assert_str_eq(g->name, "n");
	cr_assert_str_eq(g->version, "1.2.3");
	cr_assert_str_eq(g->top_residue, "{\"requires\":true}");
	cr_assert_str_eq(n->name, "al");
	cr_assert_str_eq(n->pkg_name, "real");
	cr_assert_str_eq(n->version, "1.0.0");
	cr_assert(n->flags & NODE_HAS_SCRIPT && n->flags & NODE_HAS_SHRINKWRAP &&
		  n->flags & NODE_IN_BUNDLE && !(n->flags & (NODE_LINK | NODE_DEV)));
	cr_assert_eq(n->bin_count, 1);
	cr_assert_str_eq(n->bins[0].target, "cli.js");
	cr_assert(n->os.count == 2 && strcmp(n->os.items[1], "!win32") == 0);
	cr_assert(n->cpu.count == 1 && strcmp(n->cpu.items[0], "x64") == 0 && !n->libc.given);
	cr_assert_str_eq(n->engine_node, ">=4");
	cr_assert_str_eq(n->engine_npm, ">1");
	cr_assert(n->bundled.count == 2 && strcmp(n->bundled.items[1], "c") == 0);
	cr_assert(n->accept.count == 2 && strcmp(n->accept.items[1], "^9") == 0);
	cr_assert_eq(n->dep_count, 5);
	cr_assert(n->deps[2].section == SECTION_OPTIONAL && n->deps[3].section == SECTION_PEER);
	cr_assert(!n->deps[3].peer_optional && n->deps[4].peer_optional);
	cr_assert_str_eq(n->residue,
			 "{\"bundleDependencies\":true,\"cpu\":\"x64\",\"license\":\"MIT\","
			 "\"acceptDependencies\":{\"b\":\"^9\"},"
			 "\"engines\":{\"node\":\">=4\",\"npm\":\">1\"},"
			 "\"peerDependenciesMeta\":{\"q\":{\"optional\":true},"
			 "\"zz\":{\"optional\":true}}}");
}

static const struct {
	const char *entry, *residue;
} residues[] = {
	{ "{'version':'1.0.0','resolved':'u','integrity':'i','dev':true,'peer':true}", "" },
	{ "{'version':'1.0.0','dependencies':{'b':'1','a':'1'},'os':['x'],'bin':{'a':'b'}}", "" },
	{ "{'name':'a'}", "{\"name\":\"a\"}" },
	{ "{'name':'other'}", "" },
	{ "{'dependencies':{},'bin':{'a':'./b'},'os':[],'hasInstallScript':1,'inBundle':false}",
	  "{\"hasInstallScript\":1,\"inBundle\":false,\"os\":[],\"dependencies\":{},"
	  "\"bin\":{\"a\":\"./b\"}}" },
	{ "{'x':1,'x':{'b':1,'a':[2,{'d':1,'c':2}]}}",
	  "{\"x\":{\"a\":[2,{\"c\":2,\"d\":1}],\"b\":1}}" },
	{ "{'dependencies':{'b':'1','a':'1','b':'2'}}",
	  "{\"dependencies\":{\"a\":\"1\",\"b\":\"2\"}}" },
	{ "{'version':null,'deprecated':'no more'}",
	  "{\"version\":null,\"deprecated\":\"no more\"}" },
};

Test(npmlock, the_residue_is_what_the_fields_do_not_say)
{
	for (size_t i = 0; i < ARRAY_LEN(residues); i++) {
		auto_graph struct graph *g = NULL;
		auto_free char *text = NULL;

		cr_assert(asprintf(&text, "{'packages':{'':{},'node_modules/a':%s}}",
				   residues[i].entry) > 0);
		g = parsed(text);
		cr_expect(strcmp(g->nodes[1].residue, residues[i].residue) == 0, "%s: %s",
			  residues[i].entry, g->nodes[1].residue);
	}
}

Test(npmlock, the_residue_of_a_top_is_its_entry_without_flags)
{
	auto_graph struct graph *g = parsed(
		"{'packages':{'':{'name':'r','dependencies':{'a':'1'}},'w':{'version':'1.0.0',"
		"'dev':true,'bin':{'w':'w.js'}}}}");

	cr_assert_str_eq(g->nodes[0].residue, "{\"name\":\"r\",\"dependencies\":{\"a\":\"1\"}}");
	cr_assert_str_eq(g->nodes[1].residue, "{\"version\":\"1.0.0\",\"bin\":{\"w\":\"w.js\"}}");
}

Test(npmlock, a_lock_without_root_gets_one)
{
	auto_graph struct graph *g = parsed("{'packages':{'node_modules/a':{}}}");

	cr_assert_eq(g->count, 2);
	cr_assert_str_eq(g->nodes[0].path, "");
	cr_assert_str_eq(g->nodes[0].residue, "");
}

static const struct {
	const char *text, *indent;
	bool crlf, no_newline;
} styles[] = {
	{ "{\n  'packages':{}}", "  ", false, false },
	{ "\xEF\xBB\xBF{\r\n\t'packages':{}}", "\t", true, false },
	{ "{'packages':{}}", "", false, true },
	{ "{\n            'packages':{}}", "          ", false, false },
	{ " {\n\n 'packages':{}}", " ", false, false },
};

Test(npmlock, notices_how_the_json_was_written)
{
	for (size_t i = 0; i < ARRAY_LEN(styles); i++) {
		auto_graph struct graph *g = parsed(styles[i].text);

		cr_expect(strcmp(g->style.indent, styles[i].indent) == 0 &&
				  g->style.crlf == styles[i].crlf &&
				  g->style.no_final_newline == styles[i].no_newline,
			  "%s", styles[i].text);
	}
}

/* ---- version 1 ---- */

/* A registry that knows real, tool (with bins), and nothing of others; it counts. */
static unsigned asked;

static int manifest(void *self, const char *name, const char *version, cJSON **ret, struct err *e)
{
	static const char tool[] =
		"{\"name\":\"tool\",\"version\":\"1.2.3\",\"bin\":\"./t.js\",\"license\":{\"type\":"
		"\"MIT\"},\"funding\":\"u\",\"os\":[\"linux\"],\"scripts\":{},\"dependencies\":{"
		"\"b\":"
		"\"^1\",\"o\":\"1\"},\"optionalDependencies\":{\"o\":\"1\"},\"engines\":{\"node\":"
		"\">=4\"},\"bundleDependencies\":[\"b\"],\"devDependencies\":{\"x\":\"1\"}}";

	(void)self;
	asked++;
	if (strcmp(name, "tool") != 0 || strcmp(version, "1.2.3") != 0)
		return err_set(e, -ENOENT, "no %s", name);
	return json_parse(ret, slice_str(tool), e);
}

static const struct catalog catalog = { .manifest = manifest };

#define SHA40 "0123456789012345678901234567890123456789"

static const char v1_lock[] =
	"{'name':'r','version':'1.0.0','lockfileVersion':1,'requires':true,'dependencies':{"
	"'a':{'version':'1.2.3','resolved':'https://registry.test/a/-/a-1.2.3.tgz','integrity':'I',"
	"'requires':{'b':'^1.0.0','o':'^1.0.0','none':'1'},'dependencies':{'b':{'version':'1.0.0',"
	"'integrity':'I','bundled':true}}},"
	"'o':{'version':'1.0.5','integrity':'I','optional':true},"
	"'al':{'version':'npm:real@2.1.0','resolved':'https://registry.test/real/-/real-2.1.0.tgz',"
	"'integrity':'I'},"
	"'g':{'version':'github:u/r#" SHA40 "','from':'github:u/r#main'},"
	"'t':{'version':'https://host.test/t-3.1.0.tgz','integrity':'I'},"
	"'s':{'version':'https://registry.test/@x/s/-/s-0.1.0.tgz'},"
	"'f':{'version':'file:tars/f-4.0.0.tgz','integrity':'I'},"
	"'l':{'version':'file:libs/"
	"l','requires':{'x':'1'},'dependencies':{'x':{'version':'1.0.0'}}}"
	"}}";

static const struct {
	const char *path, *version, *resolved, *name;
} v1_rows[] = {
	{ "node_modules/a", "1.2.3", "https://registry.test/a/-/a-1.2.3.tgz", "a" },
	{ "node_modules/a/node_modules/b", "1.0.0", NULL, "b" },
	{ "node_modules/o", "1.0.5", NULL, "o" },
	{ "node_modules/al", "2.1.0", "https://registry.test/real/-/real-2.1.0.tgz", "real" },
	{ "node_modules/g", NULL, "git+ssh://git@github.com/u/r.git#" SHA40, "g" },
	{ "node_modules/t", "3.1.0", "https://host.test/t-3.1.0.tgz", "t" },
	{ "node_modules/s", "0.1.0", "https://registry.test/@x/s/-/s-0.1.0.tgz", "@x/s" },
	{ "node_modules/f", "4.0.0", "file:tars/f-4.0.0.tgz", "f" },
	{ "node_modules/l", NULL, "libs/l", "l" },
	{ "libs/l", NULL, NULL, "l" },
	{ "libs/l/node_modules/x", "1.0.0", NULL, "x" },
};

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

Test(npmlock, converts_version_1_as_npm_does)
{
	auto_graph struct graph *g = NULL;
	const struct graph_node *a;
	struct err e = { 0 };

	asked = 0;
	cr_assert_eq(parse(&g, v1_lock, &catalog, &e), 0, "%s", e.msg);
	cr_assert_eq(g->count, ARRAY_LEN(v1_rows) + 1);
	cr_assert_eq(g->lockfile_version, 1);
	for (size_t i = 0; i < ARRAY_LEN(v1_rows); i++) {
		uint32_t n = graph_find(g, v1_rows[i].path);

		cr_assert(n != GRAPH_NONE, "%s", v1_rows[i].path);
		cr_expect(same(g->nodes[n].version, v1_rows[i].version), "%s: %s", v1_rows[i].path,
			  g->nodes[n].version);
		cr_expect(same(g->nodes[n].resolved, v1_rows[i].resolved), "%s: %s",
			  v1_rows[i].path, g->nodes[n].resolved);
		cr_expect(same(g->nodes[n].pkg_name, v1_rows[i].name), "%s: %s", v1_rows[i].path,
			  g->nodes[n].pkg_name);
	}
	a = &g->nodes[graph_find(g, "node_modules/a")];
	cr_assert_eq(a->dep_count, 3);
	cr_assert(a->deps[2].section == SECTION_OPTIONAL && strcmp(a->deps[2].name, "o") == 0);
	cr_assert(a->bundled.count == 1 && strcmp(a->bundled.items[0], "b") == 0);
	cr_assert_eq(g->nodes[graph_find(g, "node_modules/l")].link_target,
		     graph_find(g, "libs/l"));
	cr_assert_eq(g->nodes[graph_find(g, "libs/l")].dep_count, 1);
	/* a, b, o, al, t, s: what is no link, has a version and is not a file. */
	cr_assert_eq(asked, 6);
}

Test(npmlock, version_1_takes_what_the_manifests_say)
{
	auto_graph struct graph *g = NULL;
	const struct graph_node *n;

	cr_assert_eq(parse(&g,
			   "{'lockfileVersion':1,'dependencies':{'tool':{'version':'1.2.3',"
			   "'requires':{'gone':'1'}},'al':{'version':'npm:tool@1.2.3'},"
			   "'al2':{'version':'npm:tool@1.2.3','integrity':'I'}}}",
			   &catalog, NULL),
		     0);
	/* An alias is asked for by its own name if there is no integrity. */
	n = &g->nodes[2];
	cr_assert_str_eq(n->name, "al");
	cr_assert_str_eq(n->pkg_name, "tool");
	cr_assert_str_eq(n->version, "1.2.3");
	cr_assert_eq(n->bin_count, 1);
	cr_assert_eq(g->nodes[3].bin_count, 0);
	n = &g->nodes[1];
	cr_assert(n->bin_count == 1 && strcmp(n->bins[0].target, "t.js") == 0);
	cr_assert_eq(n->dep_count, 2);
	cr_assert(strcmp(n->deps[0].name, "b") == 0 && n->deps[1].section == SECTION_OPTIONAL);
	cr_assert_eq(n->os.count, 1);
	cr_assert_eq(n->bundled.count, 1);
	cr_assert_str_eq(n->residue, "{\"license\":\"MIT\",\"engines\":{\"node\":\">=4\"},"
				     "\"funding\":{\"url\":\"u\"}}");
}

static int carried(void *self, const struct catalog_package *pkg, const char *const *paths,
		   size_t count, cJSON **ret, struct err *e)
{
	(void)self;
	cr_assert_eq(count, 1);
	if (strcmp(pkg->name, "f") == 0) {
		cr_assert_str_eq(paths[0], "package.json");
		return json_parse(&ret[0], SLICE("{\"name\":\"f\",\"bin\":{\"f\":\"f.js\"}}"), e);
	}
	cr_assert_str_eq(paths[0], "node_modules/b/package.json");
	cr_assert_str_eq(pkg->name, "a");
	return json_parse(&ret[0], SLICE("{\"name\":\"b\",\"bin\":\"./from-the-tarball.js\"}"), e);
}

Test(npmlock, version_1_takes_from_tarballs_what_is_bundled_and_what_no_registry_has)
{
	const struct catalog with_files = { .manifest = manifest, .files = carried };
	auto_graph struct graph *g = NULL;
	const struct graph_node *b;
	struct err e = { 0 };

	cr_assert_eq(parse(&g, v1_lock, &with_files, &e), 0, "%s", e.msg);
	b = &g->nodes[graph_find(g, "node_modules/a/node_modules/b")];
	cr_assert_eq(b->bin_count, 1);
	cr_assert_str_eq(b->bins[0].target, "from-the-tarball.js");
	cr_assert(b->integrity == NULL);
	cr_assert_eq(g->nodes[graph_find(g, "node_modules/f")].bin_count, 1);
}

Test(npmlock, version_1_without_a_registry_is_refused_if_it_needs_one)
{
	auto_graph struct graph *g = NULL;
	struct graph *none = NULL;
	struct err e = { 0 };

	cr_assert_eq(parse(&none, v1_lock, NULL, &e), -ENETUNREACH);
	cr_assert(strstr(e.msg, "no registry can be asked"));
	cr_assert_eq(parse(&g, "{'lockfileVersion':1,'dependencies':{'l':{'version':'file:l'}}}",
			   NULL, &e),
		     0);
	cr_assert_eq(g->count, 3);
}

/* ---- the whole ---- */

struct dir {
	char path[64];
	int fd;
};

static void put(const struct dir *d, const char *name, const char *text)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	cr_assert(fd >= 0);
	for (; *text; text++)
		cr_assert_eq(write(fd, *text == '\'' ? "\"" : text, 1), 1);
	(void)close(fd);
}

static struct dir dir_new(void)
{
	struct dir d = { 0 };

	test_dir(d.path, sizeof d.path);
	d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(d.fd >= 0);
	return d;
}

static void dir_remove(struct dir *d)
{
	static const char *const names[] = { "package.json", "package-lock.json",
					     "npm-shrinkwrap.json" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(d->fd, names[i], 0);
	(void)close(d->fd);
	(void)rmdir(d->path);
}

Test(npmlock, reads_a_project)
{
	struct npmlock_options o = { 0 };
	struct dir d = dir_new();
	struct graph *g = NULL;
	struct err e = { 0 };

	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), -ENOENT);
	cr_assert(strstr(e.msg, "neither package-lock.json nor npm-shrinkwrap.json"));

	put(&d, "package-lock.json",
	    "{'lockfileVersion':3,'packages':{'':{},'node_modules/a':{'version':'1.0.0'}}}");
	put(&d, "package.json", "{\n\t'name':'p','devDependencies':{'a':'1'}}");
	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), 0, "%s", e.msg);
	cr_assert(g->nodes[1].flags & NODE_DEV && !g->shrinkwrap);
	cr_assert_str_eq(g->nodes[0].name, "p");
	cr_assert_str_eq(g->style.indent, "\t");
	graph_free(take(&g));

	put(&d, "npm-shrinkwrap.json", "{'packages':{'':{},'node_modules/a':{'version':'1.0.1'}}}");
	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), 0);
	cr_assert(g->shrinkwrap && strcmp(g->nodes[1].version, "1.0.1") == 0);
	graph_free(take(&g));

	put(&d, "npm-shrinkwrap.json",
	    "{'packages':{'node_modules/a':{'version':'1.0.1','hasShrinkwrap':true,"
	    "'dependencies':{'b':'1'}}}}");
	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), -EOPNOTSUPP);
	cr_assert(strstr(e.msg, "node_modules/a brings its own npm-shrinkwrap.json"));

	put(&d, "package.json", "{'dependencies':{'a':'^2'}}");
	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), -ESTALE);
	cr_assert(strstr(e.msg, "a@1.0.1 does not satisfy a@^2"));
	put(&d, "package.json", "{'dependencies':");
	cr_assert_eq(npmlock_read(&g, d.fd, &o, &e), -EBADMSG);
	cr_assert(strstr(e.msg, "package.json"));
	dir_remove(&d);
}
