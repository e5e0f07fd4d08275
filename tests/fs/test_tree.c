#include "fs/tree.h"
#include "tests/fs/graph_text.h"
#include "tests/lib/test.h"

#include <stdio.h>

static struct tree *tree_of(struct graph *g, const bool *absent)
{
	bool *present = all_present(g);
	struct tree *t = NULL;
	struct err e = { 0 };

	for (uint32_t i = 0; absent && i < g->count; i++)
		present[i] = !absent[i];
	cr_assert_eq(tree_build(g, present, true, &t, &e), 0);
	free(present);
	return t;
}

/* By the path below the first root, or below another that the path starts with. */
static const struct tree_node *at(const struct tree *t, const char *path)
{
	uint32_t node = t->roots[0].node;
	char copy[512], *save = NULL;

	for (uint32_t i = 0; i < t->root_count; i++) {
		size_t len = strlen(t->roots[i].path);

		if (strncmp(path, t->roots[i].path, len) == 0 && path[len] == '/') {
			node = t->roots[i].node;
			path += len + 1;
		}
	}
	snprintf(copy, sizeof copy, "%s", path);
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		node = tree_child(t, node, slice_str(part));
		if (node == TREE_NONE)
			return NULL;
	}
	return &t->nodes[node];
}

static const char *text_at(const struct tree *t, const char *path)
{
	const struct tree_node *n = at(t, path);

	return n && n->text ? n->text : "(none)";
}

Test(tree, packages_scopes_and_nested_packages_have_their_directories)
{
	struct graph *g = graph_of("'':{},'node_modules/a':{'version':'1.0.0'},"
				   "'node_modules/@s/b':{'version':'1.0.0'},"
				   "'node_modules/@s/b/node_modules/a':{'version':'2.0.0'}");
	struct tree *t = tree_of(g, NULL);

	cr_assert_eq(t->root_count, 1);
	cr_assert_str_eq(t->roots[0].path, "node_modules");
	cr_assert_eq(at(t, "a")->kind, TREE_PACKAGE);
	cr_assert_eq(at(t, "@s")->kind, TREE_DIR);
	cr_assert_eq(at(t, "@s")->backing, TREE_NONE);
	cr_assert_eq(at(t, "@s/b")->kind, TREE_PACKAGE);
	cr_assert_eq(at(t, "@s/b/node_modules")->kind, TREE_DIR);
	cr_assert_str_eq(at(t, "@s/b/node_modules")->sub, "node_modules");
	cr_assert_eq(at(t, "@s/b/node_modules")->backing, at(t, "@s/b")->backing);
	cr_assert_str_eq(g->nodes[at(t, "@s/b/node_modules/a")->node].version, "2.0.0");
	cr_assert_eq(at(t, ".package-lock.json")->kind, TREE_HIDDEN);
	cr_expect(!at(t, ".bin"));
	cr_expect(!at(t, "b"));
	tree_free(t);
	graph_free(g);
}

Test(tree, paths_are_written_out_and_cut_at_the_end_of_the_buffer)
{
	struct graph *g = graph_of("'':{},'node_modules/@s/b':{'version':'1.0.0'}");
	struct tree *t = tree_of(g, NULL);
	uint32_t node = (uint32_t)(at(t, "@s/b") - t->nodes);
	char path[64], cut[8];

	cr_assert_eq(tree_path(t, node, path, sizeof path), strlen("node_modules/@s/b"));
	cr_assert_str_eq(path, "node_modules/@s/b");
	cr_assert_eq(tree_path(t, node, cut, sizeof cut), strlen("node_modules/@s/b"));
	cr_assert_str_eq(cut, "node_mo");
	tree_free(t);
	graph_free(g);
}

Test(tree, what_is_not_there_has_no_name_but_leads_to_what_is)
{
	struct graph *g = graph_of("'':{},'node_modules/a':{'version':'1.0.0'},"
				   "'node_modules/b':{'version':'1.0.0'},"
				   "'node_modules/b/node_modules/c':{'version':'2.0.0'}");
	bool *absent = calloc(g->count, 1);
	struct tree *t;

	absent[graph_find(g, "node_modules/a")] = true;
	absent[graph_find(g, "node_modules/b")] = true;
	t = tree_of(g, absent);
	cr_expect(!at(t, "a"));
	cr_assert_eq(at(t, "b")->kind, TREE_DIR);
	cr_assert_eq(at(t, "b/node_modules/c")->kind, TREE_PACKAGE);
	cr_assert_eq(at(t, "b/node_modules")->backing, TREE_NONE);
	free(absent);
	tree_free(t);
	graph_free(g);
}

#define WORKSPACES                                                                                 \
	"'':{'workspaces':['packages/*']},"                                                        \
	"'node_modules/a':{'resolved':'packages/a','link':true},"                                  \
	"'node_modules/@w/b':{'resolved':'packages/b','link':true},"                               \
	"'node_modules/out':{'resolved':'../out','link':true},"                                    \
	"'packages/a':{'version':'1.0.0','bin':{'tool':'cli.js','own':'own.js'}},"                 \
	"'packages/b':{'name':'@w/b','version':'1.0.0','bin':{'b':'bin/b.js'}},"                   \
	"'../out':{'version':'1.0.0'},"                                                            \
	"'../out/node_modules/x':{'version':'1.0.0'},"                                             \
	"'packages/a/node_modules/x':{'version':'2.0.0','bin':{'x':'x.js'}},"                      \
	"'packages/a/node_modules/b2':{'resolved':'packages/b','link':true},"                      \
	"'node_modules/x':{'version':'1.0.0','bin':{'tool':'t.js'}}"

Test(tree, each_top_with_packages_inside_the_project_has_a_root)
{
	struct graph *g = graph_of(WORKSPACES);
	struct tree *t = tree_of(g, NULL);

	cr_assert_eq(t->root_count, 2);
	cr_assert_str_eq(t->roots[1].path, "packages/a/node_modules");
	cr_assert_eq(at(t, "packages/a/node_modules/x")->kind, TREE_PACKAGE);
	cr_expect(!at(t, "packages/a/node_modules/.package-lock.json"));
	tree_free(t);
	graph_free(g);
}

Test(tree, links_say_the_way_from_their_folder)
{
	struct graph *g = graph_of(WORKSPACES);
	struct tree *t = tree_of(g, NULL);

	cr_assert_str_eq(text_at(t, "a"), "../packages/a");
	cr_assert_str_eq(text_at(t, "@w/b"), "../../packages/b");
	cr_assert_str_eq(text_at(t, "out"), "../../out");
	cr_assert_str_eq(text_at(t, "packages/a/node_modules/b2"), "../../b");
	tree_free(t);
	graph_free(g);
}

Test(tree, bins_of_packages_come_before_those_of_links)
{
	struct graph *g = graph_of(WORKSPACES);
	struct tree *t = tree_of(g, NULL);

	cr_assert_str_eq(text_at(t, ".bin/tool"), "../x/t.js");
	cr_assert_str_eq(text_at(t, ".bin/own"), "../a/own.js");
	cr_assert_eq(at(t, ".bin/own")->backing, TREE_NONE);
	cr_assert_str_eq(text_at(t, ".bin/b"), "../@w/b/bin/b.js");
	cr_assert_str_eq(text_at(t, "packages/a/node_modules/.bin/x"), "../x/x.js");
	cr_expect(!at(t, ".bin/x"));
	tree_free(t);
	graph_free(g);
}

Test(tree, the_first_claimer_of_a_bin_has_it_by_depth_and_then_by_order_of_paths)
{
	struct graph *g =
		graph_of("'':{},'node_modules/grunt-cli':{'version':'1.0.0','bin':{'grunt':'c'}},"
			 "'node_modules/grunt':{'version':'1.0.0','bin':{'grunt':'bin/g'}},"
			 "'node_modules/_z':{'version':'1.0.0','bin':{'q':'z'}},"
			 "'node_modules/B':{'version':'1.0.0','bin':{'q':'b'}},"
			 "'node_modules/a':{'version':'1.0.0','bin':{'p':'a'}},"
			 "'node_modules/a/node_modules/d':{'version':'1.0.0','bin':{'p':'d'}}");
	struct tree *t = tree_of(g, NULL);

	cr_assert_str_eq(text_at(t, ".bin/grunt"), "../grunt/bin/g");
	cr_assert_str_eq(text_at(t, ".bin/q"), "../_z/z");
	cr_assert_str_eq(text_at(t, "a/node_modules/.bin/p"), "../d/d");
	cr_assert_str_eq(at(t, ".bin/grunt")->sub, "bin/g");
	cr_assert_eq(at(t, ".bin/grunt")->backing, at(t, "grunt")->backing);
	tree_free(t);
	graph_free(g);
}

Test(tree, bundled_packages_are_folders_of_their_bundlers_blob)
{
	struct graph *g =
		graph_of("'':{},"
			 "'node_modules/x':{'version':'1.0.0','bundleDependencies':['@s/y','w']},"
			 "'node_modules/x/node_modules/@s/y':{'version':'1.0.0','inBundle':true,"
			 "'bin':{'y':'y.js'}},"
			 "'node_modules/x/node_modules/@s/y/node_modules/z':{'version':'1.0.0',"
			 "'inBundle':true},"
			 "'node_modules/x/node_modules/own':{'version':'1.0.0'}");
	struct tree *t = tree_of(g, NULL);
	uint32_t x = at(t, "x")->backing;

	cr_assert_eq(at(t, "x/node_modules/@s/y")->kind, TREE_BUNDLED);
	cr_assert_eq(at(t, "x/node_modules/@s/y")->backing, x);
	cr_assert_str_eq(at(t, "x/node_modules/@s/y")->sub, "node_modules/@s/y");
	cr_assert_str_eq(at(t, "x/node_modules/@s/y/node_modules/z")->sub,
			 "node_modules/@s/y/node_modules/z");
	cr_assert_eq(at(t, "x/node_modules/.bin/y")->backing, x);
	cr_assert_str_eq(at(t, "x/node_modules/.bin/y")->sub, "node_modules/@s/y/y.js");
	cr_assert_str_eq(text_at(t, "x/node_modules/.bin/y"), "../@s/y/y.js");
	cr_assert_eq(at(t, "x/node_modules/own")->kind, TREE_PACKAGE);
	cr_assert_neq(at(t, "x/node_modules/own")->backing, x);
	tree_free(t);
	graph_free(g);
}

Test(tree, what_the_project_itself_bundles_are_packages_like_any_other)
{
	struct graph *g = graph_of("'':{'bundleDependencies':['a']},"
				   "'node_modules/a':{'version':'1.0.0','inBundle':true},"
				   "'node_modules/a/node_modules/b':{'version':'1.0.0',"
				   "'inBundle':true}");
	struct tree *t = tree_of(g, NULL);

	cr_assert_eq(at(t, "a")->kind, TREE_PACKAGE);
	cr_assert_eq(at(t, "a/node_modules/b")->kind, TREE_PACKAGE);
	tree_free(t);
	graph_free(g);
}

Test(tree, without_bin_links_there_is_no_bin_folder)
{
	struct graph *g = graph_of("'':{},'node_modules/a':{'version':'1.0.0','bin':{'a':'a'}}");
	bool *present = all_present(g);
	struct tree *t;
	struct err e = { 0 };

	cr_assert_eq(tree_build(g, present, false, &t, &e), 0);
	cr_expect(at(t, "a"));
	cr_expect(!at(t, ".bin"));
	free(present);
	tree_free(t);
	graph_free(g);
}

Test(tree, a_stray_that_could_not_be_fetched_hides_what_the_blob_has)
{
	struct graph *g =
		graph_of("'':{'dependencies':{'a':'1'}},'node_modules/"
			 "a':{'version':'1.0.0','dependencies':{'b':"
			 "'1'},'bundleDependencies':['b']},'node_modules/a/node_modules/"
			 "b':{'version':'1.0.0',"
			 "'inBundle':true},'node_modules/a/node_modules/s':{'version':'1.0.0'},"
			 "'node_modules/a/node_modules/t':{'version':'1.0.0'}");
	bool absent[] = { false, false, false, false, true };
	struct tree *t;

	cr_assert_eq(graph_edges(g, &(struct graph_options){ 0 }, NULL), 0);
	cr_assert_eq(graph_flags(g, NULL), 0);
	t = tree_of(g, absent);
	cr_assert_eq(at(t, "a/node_modules/b")->kind, TREE_BUNDLED);
	cr_assert_eq(at(t, "a/node_modules/s")->kind, TREE_PACKAGE);
	cr_assert_eq(at(t, "a/node_modules/t")->kind, TREE_GONE);
	cr_assert_eq(at(t, "a/node_modules/t")->backing, TREE_NONE);
	tree_free(t);
	graph_free(g);
}

Test(tree, modes_follow_npms_formula)
{
	struct tree_modes m = { .umask = 022 }, tight = { .umask = 077 },
			  npm = { .umask = 022, .npm_umask = 027 },
			  root = { .umask = 022, .setuid = true };

	cr_assert_eq(tree_file_mode(&m, 0644, TREE_NO_BIN), S_IFREG | 0644);
	cr_assert_eq(tree_file_mode(&m, 0, TREE_NO_BIN), S_IFREG | 0644);
	cr_assert_eq(tree_file_mode(&m, 0711, TREE_NO_BIN), S_IFREG | 0755);
	cr_assert_eq(tree_file_mode(&m, 0700, TREE_NO_BIN), S_IFREG | 0744);
	cr_assert_eq(tree_file_mode(&m, 0001, TREE_NO_BIN), S_IFREG | 0645);
	cr_assert_eq(tree_file_mode(&m, 0010, TREE_NO_BIN), S_IFREG | 0654);
	cr_assert_eq(tree_file_mode(&m, 0600, TREE_LINKED_BIN), S_IFREG | 0755);
	cr_assert_eq(tree_file_mode(&m, 04755, TREE_NO_BIN), S_IFREG | 0755);
	cr_assert_eq(tree_file_mode(&root, 04755, TREE_NO_BIN), S_IFREG | 04755);
	cr_assert_eq(tree_file_mode(&root, 01644, TREE_NO_BIN), S_IFREG | 01644);
	cr_assert_eq(tree_file_mode(&tight, 0755, TREE_NO_BIN), S_IFREG | 0700);
	cr_assert_eq(tree_file_mode(&npm, 0644, TREE_NO_BIN), S_IFREG | 0640);
	cr_assert_eq(tree_file_mode(&npm, 0755, TREE_NO_BIN), S_IFREG | 0750);
	cr_assert_eq(tree_file_mode(&npm, 0755, TREE_LINKED_BIN), S_IFREG | 0755);
	cr_assert_eq(tree_file_mode(&m, 0644, TREE_UNPACKED_BIN), S_IFREG | 0755);
	cr_assert_eq(tree_file_mode(&npm, 0644, TREE_UNPACKED_BIN), S_IFREG | 0751);
	cr_assert_eq(tree_dir_mode(&npm), S_IFDIR | 0755);
	cr_assert_eq(tree_dir_mode(&tight), S_IFDIR | 0700);
}

Test(tree, every_name_is_found_in_a_directory_of_many)
{
	struct buf b = BUF_INIT(1 << 24);
	struct graph *g;
	struct tree *t;
	char *text;

	buf_addstr(&b, "'':{}");
	for (int i = 0; i < 3000; i++)
		buf_addf(&b, ",'node_modules/p%d':{'version':'1.0.0','bin':{'b%d':'c.js'}}", i, i);
	text = buf_steal_str(&b);
	g = graph_of(text);
	t = tree_of(g, NULL);
	for (int i = 0; i < 3000; i++) {
		char name[32];

		snprintf(name, sizeof name, "p%d", i);
		cr_assert(at(t, name));
		snprintf(name, sizeof name, ".bin/b%d", i);
		cr_assert(at(t, name));
	}
	cr_assert_eq(t->nodes[t->roots[0].node].child_count, 3002);
	free(text);
	tree_free(t);
	graph_free(g);
}
