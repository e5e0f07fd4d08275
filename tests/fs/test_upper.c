/* The upper over a view of a few packages, without a mount. */
#include "core/file.h"
#include "fs/upper.h"
#include "fs/upper_care.h"
#include "tests/fs/graph_text.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>

/* ---- a world: store, places, a view, an upper ---- */

static char dir[64], upper_path[96];
static struct store *store;
static struct places *places;
static struct graph *graph;
static struct basis *basis;
static struct view *view;
static struct upper *upper;
static struct parcel *waited;
static struct err err;

/* Two files in each package: index.js and lib/a.js, which say whose they are. */
static void bring(const char *path)
{
	struct graph_node n = graph->nodes[graph_find(graph, path)];
	struct dxp_meta meta = { .name = n.pkg_name, .version = n.version };
	struct dxp_file files[2] = {
		{ .path = SLICE("index.js"), .type = DXP_FILE, .mode = 0644 },
		{ .path = SLICE("lib/a.js"), .type = DXP_FILE, .mode = 0755 },
	};
	bool existed;

	files[0].bytes = files[1].bytes = slice_str(n.version);
	cr_assert_eq(graph_node_key(&n, &meta.key, &err), 0);
	cr_assert_eq(digest_of(&meta.sha512, DIGEST_SHA512, path, strlen(path)), 0);
	cr_assert_eq(store_put(store, &meta, files, 2, STORE_PUT_UNPINNED, &existed, &err), 0);
}

static void show(const char *packages)
{
	bool *present;

	view_unref(view);
	basis_unref(basis);
	graph_free(graph);
	graph = graph_of(packages);
	present = all_present(graph);
	cr_assert_eq(basis_of_graph(&basis, graph, &err), 0);
	cr_assert_eq(view_new(&view, places, basis, present, &err), 0);
	free(present);
	for (uint32_t i = 0; i < graph->count; i++)
		if (graph->nodes[i].path[0])
			bring(graph->nodes[i].path);
}

#define PACKAGES_1                                                                                 \
	"'':{},'node_modules/p':{'version':'1.0.0'},'node_modules/p/node_modules/q':{'version':"   \
	"'3.0.0'},'node_modules/@s/r':{'version':'5.0.0'}"
#define PACKAGES_2                                                                                 \
	"'':{},'node_modules/p':{'version':'2.0.0'},'node_modules/@s/r':{'version':'5.0.0'}"

static int open_upper(void)
{
	struct upper_config c = { .dir = upper_path,
				  .project_dir = dir,
				  .uid = getuid(),
				  .gid = getgid(),
				  .umask = 022 };

	return upper_open(&upper, &c, NULL, &err);
}

/* Nothing that was in memory is there afterwards. */
static void again(void)
{
	upper_close(upper);
	cr_assert_eq(open_upper(), 0);
}

static void setup(void)
{
	char path[128];
	struct store_options so = { .dir = path };
	struct places_config pc = {
		.state_dir = dir, .project_dirfd = -1, .bin_links = true, .modes = { .umask = 022 }
	};

	(void)umask(022);
	test_dir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/store", dir);
	snprintf(upper_path, sizeof upper_path, "%s/upper", dir);
	cr_assert_eq(store_open(&store, &so, &err), 0);
	pc.store = store;
	cr_assert_eq(places_open(&places, &pc, &err), 0);
	view = NULL;
	basis = NULL;
	graph = NULL;
	show(PACKAGES_1);
	cr_assert_eq(open_upper(), 0);
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
	upper_close(upper);
	view_unref(view);
	basis_unref(basis);
	graph_free(graph);
	places_close(places);
	store_close(store);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- asking, by paths below the project ---- */

static struct upper_call call(void)
{
	waited = NULL;
	return (struct upper_call){ .u = upper,
				    .v = view,
				    .uid = getuid(),
				    .gid = getgid(),
				    .may_block = true,
				    .ret_wait = &waited,
				    .e = &err };
}

/* The folder of a path, whose first part is node_modules, and its last name. */
static int folder(const char *path, uint64_t *ret, const char **ret_name)
{
	struct upper_call c = call();
	struct upper_entry entry = { .ino = view_root_ino(view, 0) };
	int r = 0;

	path = strchr(path, '/') + 1;
	for (const char *slash; r == 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char name[256];

		snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
		r = upper_lookup(&c, entry.ino, name, &entry);
	}
	*ret = entry.ino;
	*ret_name = path;
	return r;
}

static int find(const char *path, struct upper_entry *ret)
{
	struct upper_call c = call();
	const char *name;
	uint64_t at;
	int r = folder(path, &at, &name);

	return r == 0 ? upper_lookup(&c, at, name, ret) : r;
}

static int make(const char *path, mode_t mode)
{
	struct upper_call c = call();
	struct upper_entry entry;
	const char *name;
	uint64_t at;
	int r = folder(path, &at, &name);

	return r == 0 ? upper_make(&c, at, name, mode, 0, &entry) : r;
}

static int gone(const char *path)
{
	struct upper_call c = call();
	struct upper_entry entry;
	const char *name;
	uint64_t at;
	int r = folder(path, &at, &name);

	if (r == 0)
		r = upper_lookup(&c, at, name, &entry);
	if (r != 0)
		return r;
	return S_ISDIR(entry.st.st_mode) ? upper_rmdir(&c, at, name) : upper_unlink(&c, at, name);
}

static int moved(const char *path, const char *to)
{
	struct upper_call c = call();
	const char *name, *to_name;
	uint64_t at, to_at;
	int r = folder(path, &at, &name);

	if (r == 0)
		r = folder(to, &to_at, &to_name);
	return r == 0 ? upper_rename(&c, at, name, to_at, to_name, 0) : r;
}

static int put(const char *path, const char *bytes)
{
	struct upper_call c = call();
	struct upper_change change = { .set = UPPER_SET_SIZE };
	struct upper_entry entry;
	struct stat st;
	int r = find(path, &entry);

	if (r == -ENOENT) {
		r = make(path, S_IFREG | 0644);
		if (r == 0)
			r = find(path, &entry);
	}
	if (r == 0)
		r = upper_setattr(&c, entry.ino, &change, &st);
	if (r != 0)
		return r;
	return upper_write(&c, entry.ino, bytes, strlen(bytes), 0) == (ssize_t)strlen(bytes) ? 0
											     : -EIO;
}

/* What a file says; "ENOENT" and the like. */
static const char *says(const char *path)
{
	static char text[256];
	struct upper_call c = call();
	struct upper_entry entry;
	ssize_t n = find(path, &entry);

	if (n == 0)
		n = upper_read(&c, entry.ino, text, sizeof text - 1, 0);
	if (n < 0)
		return strerrorname_np((int)-n);
	text[n] = '\0';
	return text;
}

struct names {
	char text[1024];
	uint64_t last;
};

static bool note(void *arg, const char *name, const struct upper_entry *entry, uint64_t cookie)
{
	struct names *n = arg;

	if (entry->ino == 0)
		return false;
	n->last = cookie;
	if (name[0] == '.' && (!name[1] || name[1] == '.'))
		return true;
	snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%s ", name);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, sorted, each with a space after it. */
static const char *names_in(const char *path)
{
	static char sorted[1024];
	char *list[64], *save = NULL;
	struct upper_entry entry = { .ino = view_root_ino(view, 0) };
	struct upper_call c = call();
	struct names n = { 0 };
	size_t count = 0;
	int r = strchr(path, '/') ? find(path, &entry) : 0;

	if (r == 0)
		r = upper_list(&c, entry.ino, 0, UPPER_LIST_ALL, note, &n);
	if (r != 0)
		return strerrorname_np(-r);
	for (char *p = strtok_r(n.text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		list[count++] = p;
	qsort(list, count, sizeof *list, by_name);
	sorted[0] = '\0';
	for (size_t i = 0; i < count; i++)
		snprintf(sorted + strlen(sorted), sizeof sorted - strlen(sorted), "%s ", list[i]);
	return sorted;
}

struct diff {
	char text[2048];
};

static int note_item(void *arg, const struct upper_item *item)
{
	struct diff *d = arg;

	snprintf(d->text + strlen(d->text), sizeof d->text - strlen(d->text), "%s%c %s\n",
		 item->aside ? "aside " : "", "ACRW"[item->kind], item -> path);
	return 0;
}

static const char *difference(void)
{
	static struct diff d;

	d.text[0] = '\0';
	cr_assert_eq(upper_each(upper, view, note_item, &d, &err), 0);
	return d.text;
}

static int reset(const char *path, uint64_t *ret_count)
{
	return upper_reset(upper, view, path, NULL, NULL, ret_count, &err);
}

/* ---- what is shown ---- */

Test(upper, shows_the_packages_where_nothing_was_written, .init = setup, .fini = teardown)
{
	cr_assert_str_eq(names_in("node_modules"), ".package-lock.json @s p ");
	cr_assert_str_eq(names_in("node_modules/p"), "index.js lib node_modules ");
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "1.0.0");
	cr_assert_str_eq(difference(), "");
}

Test(upper, keeps_what_was_written_over_closing_and_opening, .init = setup, .fini = teardown)
{
	cr_assert_eq(make("node_modules/.cache", S_IFDIR | 0755), 0);
	cr_assert_eq(put("node_modules/.cache/x", "made"), 0);
	cr_assert_eq(put("node_modules/p/lib/a.js", "changed"), 0);
	cr_assert_eq(gone("node_modules/p/index.js"), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_str_eq(says("node_modules/.cache/x"), "made");
		cr_assert_str_eq(says("node_modules/p/lib/a.js"), "changed");
		cr_assert_str_eq(says("node_modules/p/index.js"), "ENOENT");
		cr_assert_str_eq(names_in("node_modules/p"), "lib node_modules ");
		cr_assert_str_eq(names_in("node_modules"), ".cache .package-lock.json @s p ");
		again();
	}
}

Test(upper, keeps_the_id_and_mode_of_a_file_that_is_copied_up, .init = setup, .fini = teardown)
{
	struct upper_entry before, after;

	cr_assert_eq(find("node_modules/p/lib/a.js", &before), 0);
	cr_assert_eq(put("node_modules/p/lib/a.js", "changed"), 0);
	cr_assert_eq(find("node_modules/p/lib/a.js", &after), 0);
	cr_assert_eq(after.ino, before.ino);
	cr_assert_eq(after.st.st_mode, before.st.st_mode);
	cr_assert_eq(after.st.st_size, 7);
}

Test(upper, leaves_the_times_of_a_folder_in_which_something_is_copied_up, .init = setup,
     .fini = teardown)
{
	struct upper_entry before, after;

	cr_assert_eq(find("node_modules/p/lib", &before), 0);
	cr_assert_eq(put("node_modules/p/lib/a.js", "changed"), 0);
	cr_assert_eq(find("node_modules/p/lib", &after), 0);
	cr_assert_eq(after.st.st_mtim.tv_sec, before.st.st_mtim.tv_sec);
	cr_assert_eq(after.st.st_mtim.tv_nsec, before.st.st_mtim.tv_nsec);
}

Test(upper, shows_nothing_of_the_package_in_a_folder_made_where_one_was_removed, .init = setup,
     .fini = teardown)
{
	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	cr_assert_eq(gone("node_modules/p/lib"), 0);
	cr_assert_eq(make("node_modules/p/lib", S_IFDIR | 0755), 0);
	cr_assert_str_eq(names_in("node_modules/p/lib"), "");
	again();
	cr_assert_str_eq(names_in("node_modules/p/lib"), "");
	cr_assert_eq(put("node_modules/p/lib/a.js", "new"), 0);
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "new");
}

/* ---- changing names ---- */

Test(upper, refuses_what_a_file_system_refuses, .init = setup, .fini = teardown)
{
	cr_assert_eq(make("node_modules/p", S_IFDIR | 0755), -EEXIST);
	cr_assert_eq(make("node_modules/p/index.js", S_IFREG | 0644), -EEXIST);
	cr_assert_eq(gone("node_modules/p"), -ENOTEMPTY);
	cr_assert_eq(gone("node_modules/none"), -ENOENT);
	cr_assert_eq(moved("node_modules/p/lib", "node_modules/p/lib2"), -EXDEV);
	cr_assert_eq(moved("node_modules/p", "node_modules/p2"), -EXDEV);
	cr_assert_str_eq(difference(), "");
}

Test(upper, moves_files_of_packages_and_folders_of_its_own, .init = setup, .fini = teardown)
{
	cr_assert_eq(moved("node_modules/p/index.js", "node_modules/@s/r/index.js"), 0);
	cr_assert_eq(make("node_modules/.a", S_IFDIR | 0755), 0);
	cr_assert_eq(put("node_modules/.a/x", "made"), 0);
	cr_assert_eq(moved("node_modules/.a", "node_modules/p/.b"), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_str_eq(says("node_modules/p/index.js"), "ENOENT");
		cr_assert_str_eq(says("node_modules/@s/r/index.js"), "1.0.0");
		cr_assert_str_eq(says("node_modules/p/.b/x"), "made");
		cr_assert_str_eq(says("node_modules/.a/x"), "ENOENT");
		again();
	}
}

Test(upper, reads_and_writes_an_unlinked_file_until_it_is_forgotten, .init = setup,
     .fini = teardown)
{
	struct upper_call c = call();
	struct upper_entry entry;
	struct stat st;
	char text[16] = "";

	cr_assert_eq(find("node_modules/p/index.js", &entry), 0);
	cr_assert_eq(gone("node_modules/p/index.js"), 0);
	cr_assert_eq(upper_read(&c, entry.ino, text, 5, 0), 5);
	cr_assert_str_eq(text, "1.0.0");
	cr_assert_eq(upper_write(&c, entry.ino, "9", 1, 0), 1);
	cr_assert_eq(upper_read(&c, entry.ino, text, 5, 0), 5);
	cr_assert_str_eq(text, "9.0.0");
	cr_assert_eq(upper_getattr(&c, entry.ino, &st), 0);
	cr_assert_eq(st.st_nlink, 0);
	cr_assert_eq(put("node_modules/p/index.js", "new"), 0);
	cr_assert_eq(upper_read(&c, entry.ino, text, 5, 0), 5);
	cr_assert_str_eq(text, "9.0.0");
	upper_forget(upper, entry.ino, 100);
	cr_assert_str_eq(says("node_modules/p/index.js"), "new");
}

Test(upper, gives_all_names_of_a_file_one_id, .init = setup, .fini = teardown)
{
	struct upper_call c = call();
	struct upper_entry one, two;
	const char *name;
	uint64_t at;

	cr_assert_eq(find("node_modules/p/index.js", &one), 0);
	cr_assert_eq(folder("node_modules/p/lib/hard", &at, &name), 0);
	cr_assert_eq(upper_link(&c, one.ino, at, name, &two), 0);
	cr_assert_eq(two.ino, one.ino);
	cr_assert_eq(two.st.st_nlink, 2);
	cr_assert_eq(gone("node_modules/p/index.js"), 0);
	cr_assert_eq(find("node_modules/p/lib/hard", &two), 0);
	cr_assert_eq(two.ino, one.ino);
	cr_assert_eq(two.st.st_nlink, 1);
	cr_assert_str_eq(says("node_modules/p/lib/hard"), "1.0.0");
}

Test(upper, lists_on_from_where_it_was_while_names_go, .init = setup, .fini = teardown)
{
	struct upper_call c = call();
	char path[64];
	unsigned seen = 0;
	struct names n = { 0 };
	struct upper_entry at;

	cr_assert_eq(make("node_modules/.c", S_IFDIR | 0755), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof path, "node_modules/.c/%d", i);
		cr_assert_eq(make(path, S_IFREG | 0644), 0);
	}
	cr_assert_eq(find("node_modules/.c", &at), 0);
	cr_assert_eq(upper_list(&c, at.ino, 0, UPPER_LIST_PLAIN, note, &n), 0);
	/* one name at a time, each removed once it was seen */
	for (uint64_t cookie = 0; seen < 20; seen++) {
		char list[1024], one[96];

		n = (struct names){ 0 };
		cr_assert_eq(upper_list(&c, at.ino, cookie, UPPER_LIST_PLAIN, note, &n), 0);
		snprintf(list, sizeof list, "%s", n.text);
		cr_assert(list[0], "%u names were seen", seen);
		*strchr(list, ' ') = '\0';
		snprintf(one, sizeof one, "node_modules/.c/%.64s", list);
		cr_assert_eq(gone(one), 0);
	}
	cr_assert_str_eq(names_in("node_modules/.c"), "");
}

/* ---- versions ---- */

Test(upper, sets_changes_of_a_package_aside_with_its_version, .init = setup, .fini = teardown)
{
	cr_assert_eq(put("node_modules/p/index.js", "patched"), 0);
	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	cr_assert_eq(put("node_modules/@s/r/new", "here"), 0);
	show(PACKAGES_2);
	cr_assert_str_eq(says("node_modules/p/index.js"), "2.0.0");
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "2.0.0");
	cr_assert_str_eq(says("node_modules/@s/r/new"), "here");
	cr_assert_str_eq(difference(), "A node_modules/@s/r/new\naside W node_modules/p/index.js\n"
				       "aside W node_modules/p/lib\n"
				       "aside R node_modules/p/lib/a.js\n");
	show(PACKAGES_1);
	cr_assert_str_eq(says("node_modules/p/index.js"), "patched");
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "ENOENT");
}

static void empty(const char *package)
{
	char path[128];

	snprintf(path, sizeof path, "%s/lib/a.js", package);
	cr_assert_eq(gone(path), 0);
	*strrchr(path, '/') = '\0';
	cr_assert_eq(gone(path), 0);
	snprintf(path, sizeof path, "%s/index.js", package);
	cr_assert_eq(gone(path), 0);
	cr_assert_eq(gone(package), 0);
}

Test(upper, removes_one_version_of_a_package_and_not_another, .init = setup, .fini = teardown)
{
	empty("node_modules/p/node_modules/q");
	cr_assert_eq(gone("node_modules/p/node_modules"), 0);
	empty("node_modules/p");
	cr_assert_eq(make("node_modules/p", S_IFDIR | 0755), 0);
	cr_assert_eq(put("node_modules/p/mine", "mine"), 0);
	again();
	cr_assert_str_eq(names_in("node_modules/p"), "mine ");
	cr_assert_str_eq(difference(), "R node_modules/p\nA node_modules/p\nA node_modules/p/mine\n"
				       "R node_modules/p/node_modules/q\n");
	show(PACKAGES_2);
	cr_assert_str_eq(names_in("node_modules/p"), "index.js lib ");
	show(PACKAGES_1);
	cr_assert_str_eq(names_in("node_modules/p"), "mine ");
}

/* ---- taking back ---- */

Test(upper, takes_back_one_path, .init = setup, .fini = teardown)
{
	uint64_t count;

	cr_assert_eq(put("node_modules/p/index.js", "patched"), 0);
	cr_assert_eq(put("node_modules/p/lib/b.js", "new"), 0);
	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	cr_assert_str_eq(difference(), "C node_modules/p/index.js\nR node_modules/p/lib/a.js\n"
				       "A node_modules/p/lib/b.js\n");
	cr_assert_eq(reset("node_modules/p/lib", &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_str_eq(names_in("node_modules/p/lib"), "a.js ");
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "1.0.0");
	cr_assert_str_eq(says("node_modules/p/index.js"), "patched");
	cr_assert_eq(reset("node_modules/p/lib", &count), -ENOENT);
	cr_assert_eq(reset("node_modules/p", &count), 0);
	again();
	cr_assert_str_eq(says("node_modules/p/index.js"), "1.0.0");
	cr_assert_str_eq(difference(), "");
}

Test(upper, takes_back_everything_and_goes_on, .init = setup, .fini = teardown)
{
	struct upper_call c = call();
	struct upper_entry open_file;
	uint64_t count;
	char text[8] = "";

	cr_assert_eq(make("node_modules/.c", S_IFDIR | 0755), 0);
	cr_assert_eq(put("node_modules/.c/x", "made"), 0);
	cr_assert_eq(find("node_modules/.c/x", &open_file), 0);
	empty("node_modules/@s/r");
	cr_assert_eq(reset(NULL, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert_str_eq(names_in("node_modules"), ".package-lock.json @s p ");
	cr_assert_str_eq(says("node_modules/@s/r/lib/a.js"), "5.0.0");
	cr_assert_eq(upper_read(&c, open_file.ino, text, 4, 0), 4);
	cr_assert_str_eq(text, "made");
	cr_assert_eq(put("node_modules/@s/r/lib/a.js", "again"), 0);
	cr_assert_eq(gone("node_modules/@s/r/lib/a.js"), 0);
	again();
	cr_assert_str_eq(difference(), "R node_modules/@s/r/lib/a.js\n");
}

/* Somebody stands in a folder and has a file open, which are removed and come back: both are known
 * to the kernel twice then, by the ids that they had and by new ones. */
Test(upper, gives_what_comes_back_another_id_while_the_old_one_is_known, .init = setup,
     .fini = teardown)
{
	struct upper_call c = call();
	struct upper_entry folder_was, file_was, folder_is, file_is;
	struct stat st;
	uint64_t count;
	char text[8] = "";

	cr_assert_eq(find("node_modules/@s/r/lib", &folder_was), 0);
	cr_assert_eq(find("node_modules/@s/r/lib/a.js", &file_was), 0);
	empty("node_modules/@s/r");
	cr_assert_eq(reset(NULL, &count), 0);
	cr_assert_eq(find("node_modules/@s/r/lib", &folder_is), 0);
	cr_assert_eq(find("node_modules/@s/r/lib/a.js", &file_is), 0);
	cr_assert_neq(folder_is.ino, folder_was.ino);
	cr_assert_neq(file_is.ino, file_was.ino);
	cr_assert_str_eq(names_in("node_modules/@s/r/lib"), "a.js ");
	cr_assert_eq(upper_getattr(&c, file_is.ino, &st), 0);
	cr_assert_eq(st.st_ino, file_is.ino);
	cr_assert_eq(st.st_nlink, 1);
	cr_assert_eq(upper_getattr(&c, file_was.ino, &st), 0);
	cr_assert_eq(st.st_nlink, 0);
	cr_assert_eq(upper_write(&c, file_is.ino, "6", 1, 0), 1);
	cr_assert_eq(upper_read(&c, file_was.ino, text, 5, 0), 5);
	cr_assert_str_eq(text, "5.0.0");
	cr_assert_str_eq(says("node_modules/@s/r/lib/a.js"), "6.0.0");
	cr_assert_eq(moved("node_modules/@s/r/lib/a.js", "node_modules/@s/r/lib/b.js"), 0);
	cr_assert_str_eq(names_in("node_modules/@s/r/lib"), "b.js ");
	cr_assert_eq(gone("node_modules/@s/r/lib/b.js"), 0);
	cr_assert_eq(gone("node_modules/@s/r/lib"), 0);
	again();
	cr_assert_str_eq(names_in("node_modules/@s/r"), "index.js ");
}

Test(upper, does_not_take_back_a_name_in_a_folder_that_was_removed, .init = setup, .fini = teardown)
{
	uint64_t count;

	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	cr_assert_eq(gone("node_modules/p/lib"), 0);
	cr_assert_eq(reset("node_modules/p/lib/a.js", &count), -EINVAL);
	cr_assert_eq(reset("node_modules/p/lib", &count), 0);
	cr_assert_str_eq(says("node_modules/p/lib/a.js"), "1.0.0");
}

/* ---- its folder ---- */

Test(upper, is_used_by_one_at_a_time_but_others_may_look, .init = setup, .fini = teardown)
{
	struct upper *mine = upper, *looking = NULL;
	struct diff d = { 0 };

	cr_assert_eq(put("node_modules/p/index.js", "patched"), 0);
	cr_assert_eq(open_upper(), -EBUSY);
	cr_assert_eq(upper_peek(&looking, upper_path, &err), 0);
	cr_assert_eq(upper_each(looking, NULL, note_item, &d, &err), 0);
	cr_assert_str_eq(d.text, "W node_modules/p/index.js\n");
	upper_close(looking);
	upper = mine;
	cr_assert_str_eq(says("node_modules/p/index.js"), "patched");
}

Test(upper, of_another_project_is_set_aside, .init = setup, .fini = teardown)
{
	struct upper_config c = { .dir = upper_path, .project_dir = "/", .umask = 022 };
	char *aside = NULL, want[128];

	cr_assert_eq(put("node_modules/p/index.js", "patched"), 0);
	upper_close(upper);
	cr_assert_eq(upper_open(&upper, &c, &aside, &err), 0);
	snprintf(want, sizeof want, "%s.aside-1", upper_path);
	cr_assert_str_eq(aside, want);
	cr_assert_str_eq(says("node_modules/p/index.js"), "1.0.0");
	free(aside);
}

Test(upper, forgets_a_line_that_a_power_cut_tore, .init = setup, .fini = teardown)
{
	char path[128];
	int fd;

	cr_assert_eq(gone("node_modules/p/index.js"), 0);
	upper_close(upper);
	snprintf(path, sizeof path, "%s/removed", upper_path);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	cr_assert_eq(file_write_all(fd, "tree/node_modules/p", 19), 0);
	(void)close(fd);
	cr_assert_eq(open_upper(), 0);
	cr_assert_str_eq(names_in("node_modules/p"), "lib node_modules ");
	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	again();
	cr_assert_str_eq(names_in("node_modules/p/lib"), "");
	cr_assert_str_eq(says("node_modules/p/index.js"), "ENOENT");
}

/* What is added to `removed` while nobody has the upper open. */
static void write_removed(off_t at, const char *text, size_t n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/removed", upper_path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(file_pwrite_all(fd, text, n, at), 0);
	(void)close(fd);
}

static off_t removed_size(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/removed", upper_path);
	cr_assert_eq(stat(path, &st), 0);
	return st.st_size;
}

Test(upper, forgets_what_was_removed_in_a_folder_that_was_removed, .init = setup, .fini = teardown)
{
	static char text[200000];
	char path[128], key[256];
	off_t first, all;
	FILE *f;
	int n = 0;

	cr_assert_eq(gone("node_modules/p/lib/a.js"), 0);
	cr_assert_eq(gone("node_modules/p/lib"), 0);
	upper_close(upper);
	first = removed_size();
	snprintf(path, sizeof path, "%s/removed", upper_path);
	f = fopen(path, "re");
	cr_assert(f && fscanf(f, "pkg/%255[^/\n]/lib/a.js", key) == 1);
	(void)fclose(f);
	for (unsigned i = 0; i < 1000; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "pkg/%s/lib/%050u\n", key, i);
	n += snprintf(text + n, sizeof text - (size_t)n, "pkg/%s/index.js\n", key);
	write_removed(first, text, (size_t)n);
	cr_assert_eq(open_upper(), 0);
	all = removed_size();
	cr_expect(all < first + 200, "%lld bytes are left", (long long)all);
	cr_expect_str_eq(names_in("node_modules/p"), "node_modules ");
	cr_assert_eq(make("node_modules/p/lib", S_IFDIR | 0755), 0);
	again();
	cr_expect_str_eq(names_in("node_modules/p/lib"), "");
}

Test(upper, lets_nothing_be_removed_that_it_could_not_read_again, .init = setup, .fini = teardown)
{
	upper_close(upper);
	write_removed(((off_t)256 << 20) - 20, "\n", 1); /* mostly a hole */
	cr_assert_eq(open_upper(), 0);
	cr_expect_eq(gone("node_modules/p/lib/a.js"), -ENOSPC);
	again();
	cr_expect_str_eq(says("node_modules/p/lib/a.js"), "1.0.0");
}

Test(upper, opens_items_but_never_through_a_link, .init = setup, .fini = teardown)
{
	struct upper_call c = call();
	struct upper_entry entry;
	struct stat st;
	int fd;

	cr_assert_eq(put("node_modules/.x", "mine"), 0);
	cr_assert_eq(upper_symlink(&c, view_root_ino(view, 0), "out", dir, &entry), 0);
	fd = upper_item_open(upper, "tree/node_modules/.x", O_RDONLY);
	cr_assert(fd >= 0);
	(void)close(fd);
	fd = upper_item_open(upper, "tree/node_modules/out", O_PATH);
	cr_assert(fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
	(void)close(fd);
	cr_expect_eq(upper_item_open(upper, "tree/node_modules/out", O_RDONLY), -ENOENT);
	cr_expect_eq(upper_item_open(upper, "tree/node_modules/out/store", O_PATH), -ENOENT);
	cr_expect_eq(upper_item_open(upper, "tree/node_modules/.x/y", O_PATH), -ENOENT);
	cr_expect(upper_item_open(upper, "../store", O_PATH) < 0);
}
