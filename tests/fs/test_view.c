#include "fs/view.h"
#include "tests/fs/graph_text.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>

/* A store, a state folder and the places over them, all in one temporary folder. */
static char dir[64];
static struct store *store;
static struct places *places;

static void open_world(void)
{
	char path[128];
	struct store_options so = { .dir = path };
	struct places_config pc = {
		.state_dir = dir,
		.project_dirfd = -1,
		.bin_links = true,
		.modes = { .umask = 022 },
	};
	struct err e = { 0 };

	snprintf(path, sizeof path, "%s/store", dir);
	cr_assert_eq(store_open(&store, &so, &e), 0);
	pc.store = store;
	pc.project_dirfd = open(dir, O_PATH | O_CLOEXEC);
	cr_assert_eq(places_open(&places, &pc, &e), 0);
	(void)close(pc.project_dirfd);
}

static void close_world(void)
{
	places_close(places);
	store_close(store);
}

static void setup(void)
{
	test_dir(dir, sizeof dir);
	open_world();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	close_world();
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct graph *g;
static struct basis *basis;

static struct view *view_of(const char *packages)
{
	struct view *v = NULL;
	struct err e = { 0 };
	bool *present;

	g = graph_of(packages);
	present = all_present(g);
	cr_assert_eq(basis_of_graph(&basis, g, &e), 0);
	cr_assert_eq(view_new(&v, places, basis, present, &e), 0);
	free(present);
	return v;
}

static void drop(struct view *v)
{
	view_unref(v);
	basis_unref(basis);
	graph_free(g);
}

static struct dxp_file file(const char *path, uint16_t mode, const char *bytes)
{
	return (struct dxp_file){
		.path = slice_str(path), .type = DXP_FILE, .mode = mode, .bytes = slice_str(bytes)
	};
}

/* Into the store, under the key that the lock's node has. */
static void bring(struct view *v, const char *path, const struct dxp_file *files, size_t count)
{
	const struct graph *graph = basis_graph(view_basis(v));
	struct graph_node n = graph->nodes[graph_find(graph, path)];
	struct dxp_meta meta = { .name = n.pkg_name, .version = n.version };
	struct err e = { 0 };
	bool existed;

	cr_assert_eq(graph_node_key(&n, &meta.key, &e), 0);
	cr_assert_eq(digest_of(&meta.sha512, DIGEST_SHA512, path, strlen(path)), 0);
	cr_assert_eq(store_put(store, &meta, files, count, STORE_PUT_UNPINNED, &existed, &e), 0);
}

static int lookup(struct view *v, uint64_t in, const char *name, struct view_attr *ret)
{
	struct parcel *wait = NULL;
	struct err e = { 0 };
	int r = view_lookup(v, in, slice_str(name), ret, &wait, &e);

	cr_assert_eq(r == VIEW_WAIT, wait != NULL);
	return r;
}

/* By a path below root 0. */
static int walk(struct view *v, const char *path, struct view_attr *ret)
{
	char copy[256], *save = NULL;
	int r = 0;

	ret->ino = view_root_ino(v, 0);
	snprintf(copy, sizeof copy, "%s", path);
	for (char *p = strtok_r(copy, "/", &save); p && r == 0; p = strtok_r(NULL, "/", &save))
		r = lookup(v, ret->ino, p, ret);
	return r;
}

struct listing {
	char text[4096];
	unsigned room;
	uint64_t cookie;
};

static bool note(void *arg, struct slice name, const struct view_attr *attr, uint64_t cookie)
{
	struct listing *l = arg;
	size_t n = strlen(l->text);

	if (!l->room)
		return false;
	l->room--;
	l->cookie = cookie;
	snprintf(l->text + n, sizeof l->text - n, "%.*s%s ", SLICE_FMT(name),
		 S_ISDIR(attr->mode)   ? "/"
		 : S_ISLNK(attr->mode) ? "@"
				       : "");
	return true;
}

/* In pieces of `room` entries, as a small buffer would. */
static const char *list(struct view *v, uint64_t ino, unsigned room)
{
	static struct listing l;
	struct parcel *wait = NULL;
	struct err e = { 0 };
	size_t before;

	l = (struct listing){ .room = room };
	do {
		before = strlen(l.text);
		l.room = room;
		if (view_list(v, ino, l.cookie, note, &l, &wait, &e) == VIEW_WAIT)
			return "(wait)";
	} while (strlen(l.text) > before);
	return l.text;
}

static const char *read_all(struct view *v, const struct view_attr *a)
{
	static char text[4096];
	struct parcel *wait = NULL;
	struct err e = { 0 };
	ssize_t n = view_read(v, a->ino, text, sizeof text - 1, 0, &wait, &e);

	cr_assert(n >= 0);
	cr_assert_eq((uint64_t)n, a->size);
	text[n] = '\0';
	return text;
}

#define PLAIN                                                                                      \
	"'':{},'node_modules/a':{'version':'1.0.0','bin':{'a':'cli.js','gone':'no.js'}},"          \
	"'node_modules/a/node_modules/b':{'version':'2.0.0'},'node_modules/c':{'version':'1.0.0'}"

static void bring_a(struct view *v)
{
	struct dxp_file files[] = {
		file("package.json", 0644, "{}"),
		file("lib/x.js", 0755, "x"),
		file("node_modules/stray/i.js", 0600, "stray"),
		file("node_modules/b/hidden.js", 0600, "hidden"),
		file("cli.js", 0644, "#!/bin/sh\r\nok\r\n"),
	};

	files[4].has_mended = true;
	files[4].mended = slice_str("#!/bin/sh\nok\r\n");
	bring(v, "node_modules/a", files, ARRAY_LEN(files));
}

Test(view, directories_of_the_lock_answer_without_any_blob, .init = setup, .fini = teardown)
{
	struct view *v = view_of(PLAIN);
	struct view_attr a;

	cr_assert_eq(walk(v, "a", &a), 0);
	cr_assert_eq(a.mode, S_IFDIR | 0755);
	cr_assert_eq(walk(v, "nope", &a), -ENOENT);
	cr_assert_eq(walk(v, "a/node_modules/b", &a), 0);
	cr_assert_eq(walk(v, "a/node_modules/nope", &a), -ENOENT);
	cr_assert_eq(walk(v, "c/node_modules", &a), -ENOENT);
	cr_assert_eq(walk(v, ".bin/gone", &a), 0);
	cr_assert_eq(a.mode, S_IFLNK | 0777);
	cr_assert_eq(a.size, strlen("../a/no.js"));
	cr_assert_eq(walk(v, "a/package.json", &a), VIEW_WAIT);
	cr_assert_eq(walk(v, "c/x", &a), VIEW_WAIT);
	cr_assert_str_eq(list(v, view_root_ino(v, 0), 100),
			 "./ ../ .bin/ .package-lock.json a/ c/ ");
	cr_assert_eq(walk(v, "a/node_modules", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ b/ ");
	cr_assert_eq(walk(v, "a", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "(wait)");
	drop(v);
}

Test(view, a_blob_fills_its_package_behind_what_the_lock_has, .init = setup, .fini = teardown)
{
	struct view *v = view_of(PLAIN);
	struct view_attr a;
	struct slice name;

	bring_a(v);
	cr_assert_eq(walk(v, "a", &a), 0);
	cr_assert(!view_name(v, a.ino, &name));
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ node_modules/ cli.js lib/ package.json ");
	cr_assert_str_eq(list(v, a.ino, 1), "./ ../ node_modules/ cli.js lib/ package.json ");
	cr_assert_eq(walk(v, "a/lib/x.js", &a), 0);
	cr_assert_eq(a.mode, S_IFREG | 0755);
	cr_assert_str_eq(read_all(v, &a), "x");
	cr_assert(view_name(v, a.ino, &name) && slice_eq(name, SLICE("x.js")));
	cr_assert_eq(walk(v, "a/lib/y.js", &a), -ENOENT);
	cr_assert_eq(walk(v, "a/node_modules", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ b/ stray/ ");
	cr_assert_str_eq(list(v, a.ino, 2), "./ ../ b/ stray/ ");
	cr_assert_eq(walk(v, "a/node_modules/stray/i.js", &a), 0);
	cr_assert_eq(a.mode, S_IFREG | 0644);
	cr_assert_eq(walk(v, "a/node_modules/b/hidden.js", &a), VIEW_WAIT);
	drop(v);
}

Test(view, a_bins_target_is_executable_and_mended, .init = setup, .fini = teardown)
{
	struct view *v = view_of(PLAIN);
	struct view_attr a;
	const char *text;
	struct err e = { 0 };

	bring_a(v);
	cr_assert_eq(walk(v, "a/cli.js", &a), 0);
	cr_assert_eq(a.mode, S_IFREG | 0755);
	cr_assert_str_eq(read_all(v, &a), "#!/bin/sh\nok\r\n");
	cr_assert_eq(walk(v, ".bin/a", &a), 0);
	cr_assert_eq(view_readlink(v, a.ino, &text, &e), 0);
	cr_assert_str_eq(text, "../a/cli.js");
	cr_assert_eq(walk(v, ".bin/gone", &a), -ENOENT);
	cr_assert_eq(walk(v, ".bin", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ a@ ");
	drop(v);
}

#define GRUNT                                                                                      \
	"'':{},'node_modules/grunt':{'version':'1.0.0','bin':{'g':'g'}},"                          \
	"'node_modules/grunt-cli':{'version':'1.0.0','bin':{'g':'c'}"

Test(view, a_file_that_lost_its_bin_stays_as_it_was_packed, .init = setup, .fini = teardown)
{
	struct view *v = view_of(GRUNT ",'resolved':'https://registry.test/x.tgz'}");
	struct dxp_file f = file("c", 0644, "#!/x\r\n");
	struct view_attr a;

	f.has_mended = true;
	f.mended = slice_str("#!/x\n");
	bring(v, "node_modules/grunt-cli", &f, 1);
	cr_assert_eq(walk(v, "grunt-cli/c", &a), 0);
	cr_assert_eq(a.mode, S_IFREG | 0644);
	cr_assert_str_eq(read_all(v, &a), "#!/x\r\n");
	drop(v);
}

Test(view, without_a_url_in_the_lock_it_is_executable_all_the_same, .init = setup, .fini = teardown)
{
	struct view *v = view_of(GRUNT "}");
	struct dxp_file f = file("c", 0644, "#!/x\r\n");
	struct view_attr a;

	f.has_mended = true;
	f.mended = slice_str("#!/x\n");
	bring(v, "node_modules/grunt-cli", &f, 1);
	cr_assert_eq(walk(v, "grunt-cli/c", &a), 0);
	cr_assert_eq(a.mode, S_IFREG | 0755);
	cr_assert_str_eq(read_all(v, &a), "#!/x\r\n");
	drop(v);
}

Test(view, node_ids_are_the_same_after_a_remount, .init = setup, .fini = teardown)
{
	struct view *v = view_of(PLAIN);
	struct view_attr before, after;

	bring_a(v);
	cr_assert_eq(walk(v, "a/lib/x.js", &before), 0);
	drop(v);
	close_world();
	open_world();
	v = view_of(PLAIN);
	cr_assert_eq(walk(v, "a/lib/x.js", &after), 0);
	cr_assert_eq(before.ino, after.ino);
	cr_assert_eq(before.mtime_ns, after.mtime_ns);
	cr_assert(after.ino < (1ull << 52));
	drop(v);
}

Test(view, nothing_in_the_tree_is_newer_than_the_hidden_lockfile, .init = setup, .fini = teardown)
{
	struct view *old = view_of("'':{},'node_modules/a':{'version':'1.0.0'}"), *v;
	struct view_attr hidden, a;

	drop(old);
	v = view_of("'':{},'node_modules/a':{'version':'1.0.0'},"
		    "'node_modules/late':{'version':'1.0.0'}");
	cr_assert_eq(walk(v, ".package-lock.json", &hidden), 0);
	cr_assert_eq(hidden.mode, S_IFREG | 0644);
	cr_assert(strstr(read_all(v, &hidden), "\"node_modules/late\""));
	cr_assert_eq(walk(v, "a", &a), 0);
	cr_assert(a.mtime_ns < hidden.mtime_ns);
	cr_assert_eq(walk(v, "late", &a), 0);
	cr_assert(a.mtime_ns <= hidden.mtime_ns);
	drop(v);
}

#define BUNDLE                                                                                     \
	"'':{},'node_modules/x':{'version':'1.0.0','bundleDependencies':['y','gone']},"            \
	"'node_modules/x/node_modules/y':{'version':'1.0.0','inBundle':true,"                      \
	"'bin':{'y':'y.js','z':'z.js'}},"                                                          \
	"'node_modules/x/node_modules/gone':{'version':'1.0.0','inBundle':true}"

/* What view_changes and view_corrections say, as text. */
static struct view *telling;
static char told[4096];

static void on_change(void *arg, uint64_t root, uint64_t in, const char *name, size_t name_len)
{
	size_t n = strlen(told);

	(void)arg;
	cr_assert_eq(root, view_root_ino(telling, 0));
	cr_assert_eq(view_ino_entry(in), 0);
	snprintf(told + n, sizeof told - n, "%.*s ", name ? (int)name_len : 1, name ? name : "*");
}

Test(view, bundled_packages_come_from_their_bundlers_blob, .init = setup, .fini = teardown)
{
	struct view *v = view_of(BUNDLE);
	struct dxp_file files[] = {
		file("node_modules/y/y.js", 0600, "y"),
		file("node_modules/y/node_modules/own/o.js", 0600, "o"),
		file("node_modules/stray/s.js", 0600, "s"),
	};
	struct view_attr a, file_attr;
	struct parcel *src = view_parcels(v, &(size_t){ 0 })[0];
	struct err e = { 0 };

	cr_assert_eq(walk(v, "x/node_modules/y", &a), 0);
	cr_assert_eq(walk(v, "x/node_modules/gone", &a), 0);
	cr_assert_eq(walk(v, "x/node_modules/.bin/z", &a), 0);
	cr_assert_eq(walk(v, "x/node_modules/stray", &a), -ENOENT);
	cr_assert_eq(walk(v, "x/node_modules/y/node_modules", &a), -ENOENT);
	cr_assert_eq(walk(v, "x/node_modules/y/y.js", &a), VIEW_WAIT);
	bring(v, "node_modules/x", files, ARRAY_LEN(files));

	told[0] = '\0';
	telling = v;
	cr_assert_eq(view_corrections(v, src, on_change, NULL, &e), 0);
	cr_expect(strstr(told, "stray "));
	cr_expect(strstr(told, "node_modules "));
	cr_expect(strstr(told, "gone "));
	cr_expect(strstr(told, "z "));
	cr_expect(!strstr(told, " y "));
	told[0] = '\0';
	cr_assert_eq(view_corrections(v, src, on_change, NULL, &e), 0);
	cr_assert_str_eq(told, "");

	cr_assert_eq(walk(v, "x/node_modules/gone", &a), -ENOENT);
	cr_assert_eq(walk(v, "x/node_modules/.bin/z", &a), -ENOENT);
	cr_assert_eq(walk(v, "x/node_modules/stray/s.js", &a), 0);
	cr_assert_eq(walk(v, "x/node_modules/y/node_modules/own/o.js", &a), 0);
	cr_assert_eq(walk(v, "x/node_modules/y/y.js", &file_attr), 0);
	cr_assert_eq(file_attr.mode, S_IFREG | 0755);
	cr_assert_str_eq(read_all(v, &file_attr), "y");
	cr_assert_eq(walk(v, "x/node_modules/y", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ node_modules/ y.js ");
	cr_assert_eq(walk(v, "x/node_modules", &a), 0);
	cr_assert_str_eq(list(v, a.ino, 100), "./ ../ .bin/ y/ stray/ ");
	drop(v);
}

Test(view, a_bin_directory_without_any_link_is_not_there, .init = setup, .fini = teardown)
{
	struct view *v = view_of("'':{},'node_modules/a':{'version':'1.0.0','bin':{'a':'a'}}");
	struct dxp_file f = file("b", 0644, "");
	struct parcel *src = view_parcels(v, &(size_t){ 0 })[0];
	struct view_attr a;
	struct err e = { 0 };

	cr_assert_eq(walk(v, ".bin", &a), 0);
	bring(v, "node_modules/a", &f, 1);
	told[0] = '\0';
	telling = v;
	cr_assert_eq(view_corrections(v, src, on_change, NULL, &e), 0);
	cr_assert_str_eq(told, "* a * .bin ");
	cr_assert_eq(walk(v, ".bin", &a), -ENOENT);
	cr_assert_str_eq(list(v, view_root_ino(v, 0), 100), "./ ../ .package-lock.json a/ ");
	drop(v);
}

Test(view, a_workspaces_bin_needs_its_file, .init = setup, .fini = teardown)
{
	struct view *v;
	struct view_attr a;
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/w", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/w/there.js", dir);
	f = fopen(path, "w");
	cr_assert(f);
	(void)fclose(f);
	v = view_of("'':{},'node_modules/w':{'resolved':'w','link':true},"
		    "'w':{'version':'1.0.0','bin':{'there':'there.js','not':'dist/not.js'}}");
	cr_assert_eq(walk(v, ".bin/there", &a), 0);
	cr_assert_eq(walk(v, ".bin/not", &a), -ENOENT);
	cr_assert_eq(walk(v, "w", &a), 0);
	cr_assert_eq(a.mode, S_IFLNK | 0777);
	drop(v);
}

Test(view, between_two_views_only_what_differs_is_told, .init = setup, .fini = teardown)
{
	struct view *old = view_of("'':{},'node_modules/a':{'version':'1.0.0'},"
				   "'node_modules/b':{'version':'1.0.0'},"
				   "'node_modules/@s/x':{'version':'1.0.0'},"
				   "'node_modules/@s/y':{'version':'1.0.0'},"
				   "'node_modules/k':{'version':'1.0.0'}"),
		    *fresh;
	struct basis *old_basis = basis;
	struct graph *old_graph = g;
	struct view_attr before, after, gone;
	struct parcel *wait = NULL;
	struct err e = { 0 };

	cr_assert_eq(walk(old, "k", &before), 0);
	cr_assert_eq(walk(old, "b", &gone), 0);
	fresh = view_of("'':{},'node_modules/a':{'version':'2.0.0'},"
			"'node_modules/c':{'version':'1.0.0'},"
			"'node_modules/@s/x':{'version':'1.0.0'},"
			"'node_modules/@s/y':{'version':'1.0.0'},"
			"'node_modules/k':{'version':'1.0.0'},"
			"'node_modules/k/node_modules/b':{'version':'1.0.0'}");
	told[0] = '\0';
	telling = old;
	view_changes(old, fresh, on_change, NULL);
	cr_expect(strstr(told, ".package-lock.json a b c * ")); /* the listing behind its names */
	cr_expect(strstr(told, " a "));
	cr_expect(strstr(told, " b "));
	cr_expect(strstr(told, " c "));
	cr_expect(strstr(told, " node_modules "));
	cr_expect(strstr(told, ".package-lock.json"));
	cr_expect(!strstr(told, "@s"));
	cr_expect(!strstr(told, " k "));
	cr_expect(!strstr(told, " x "));
	cr_assert_eq(walk(fresh, "k", &after), 0);
	cr_assert_eq(before.ino, after.ino);
	/* an id of the old view keeps its meaning */
	cr_assert_eq(view_attr(fresh, gone.ino, &after, &wait, &e), 0);
	cr_assert_eq(after.mode, S_IFDIR | 0755);
	cr_assert_eq(view_attr(fresh, view_ino(40000, 0), &after, &wait, &e), -ESTALE);
	drop(fresh);
	view_unref(old);
	basis_unref(old_basis);
	graph_free(old_graph);
}

Test(view, a_view_stays_alive_for_those_who_got_it, .init = setup, .fini = teardown)
{
	struct view *v = view_of(PLAIN), *held, *swapped;
	struct view_cell *cell = view_cell_new(v);
	struct view_attr a;
	struct err e = { 0 };
	bool *present = all_present(g);

	cr_assert(cell);
	held = view_get(cell);
	present[graph_find(g, "node_modules/c")] = false;
	cr_assert_eq(view_new(&swapped, places, basis, present, &e), 0);
	view_unref(view_swap(cell, swapped));
	cr_assert_eq(walk(held, "c", &a), 0);
	cr_assert_eq(walk(swapped, "c", &a), -ENOENT);
	view_unref(held);
	view_cell_free(cell);
	free(present);
	basis_unref(basis);
	graph_free(g);
}
