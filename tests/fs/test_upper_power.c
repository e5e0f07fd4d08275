/* Everything that an upper did to its folder, and the power going after each of its system calls:
 * what was fsynced is there, and no file is anything that it never was. */
#include "fs/upper.h"
#include "tests/fs/graph_text.h"
#include "tests/lib/disklog.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>

/* ---- a view of one package, and an upper over it ---- */

static char dir[64], upper_path[96];
static struct store *store;
static struct places *places;
static struct graph *graph;
static struct basis *basis;
static struct view *view;
static struct upper *upper;

static const char *const names[] = { "a", "b", "c", "d", "e", "lib/x", "lib/y", "lib/z" };

static void bring_package(void)
{
	struct graph_node n = graph->nodes[graph_find(graph, "node_modules/p")];
	struct dxp_meta meta = { .name = n.pkg_name, .version = n.version };
	struct dxp_file files[ARRAY_LEN(names)];
	struct err e = { 0 };
	bool existed;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		files[i] = (struct dxp_file){ .path = slice_str(names[i]),
					      .type = DXP_FILE,
					      .mode = 0644,
					      .bytes = slice_str(names[i]) };
	cr_assert_eq(graph_node_key(&n, &meta.key, &e), 0);
	cr_assert_eq(digest_of(&meta.sha512, DIGEST_SHA512, "p", 1), 0);
	cr_assert_eq(
		store_put(store, &meta, files, ARRAY_LEN(names), STORE_PUT_UNPINNED, &existed, &e),
		0);
}

static struct upper *open_upper(const char *path)
{
	struct upper_config c = {
		.dir = path, .project_dir = dir, .uid = getuid(), .gid = getgid(), .umask = 022
	};
	struct upper *u = NULL;
	struct err e = { 0 };
	int r = upper_open(&u, &c, NULL, &e);

	if (r < 0)
		fprintf(stderr, "upper_open: %s\n", e.msg);
	cr_assert_eq(r, 0);
	return u;
}

static void setup(void)
{
	char path[128];
	struct store_options so = { .dir = path };
	struct places_config pc = {
		.state_dir = dir, .project_dirfd = -1, .bin_links = true, .modes = { .umask = 022 }
	};
	struct err e = { 0 };
	bool *present;

	test_dir(dir, sizeof dir);
	snprintf(path, sizeof path, "%s/store", dir);
	snprintf(upper_path, sizeof upper_path, "%s/upper", dir);
	cr_assert_eq(store_open(&store, &so, &e), 0);
	pc.store = store;
	cr_assert_eq(places_open(&places, &pc, &e), 0);
	graph = graph_of("'':{},'node_modules/p':{'version':'1.0.0'}");
	present = all_present(graph);
	cr_assert_eq(basis_of_graph(&basis, graph, &e), 0);
	cr_assert_eq(view_new(&view, places, basis, present, &e), 0);
	free(present);
	bring_package();
	upper = open_upper(upper_path);
	disklog_start(upper_path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void teardown(void)
{
	disklog_free();
	upper_close(upper);
	view_unref(view);
	basis_unref(basis);
	graph_free(graph);
	places_close(places);
	store_close(store);
	remove_tree(dir);
}

/* ---- asking an upper ---- */

static struct upper_call call_of(struct upper *u)
{
	static struct parcel *wait;
	static struct err e;

	return (struct upper_call){ .u = u,
				    .v = view,
				    .uid = getuid(),
				    .gid = getgid(),
				    .may_block = true,
				    .ret_wait = &wait,
				    .e = &e };
}

/* The folder and last name of a path below node_modules; 0 or a negative errno. */
static int find_dir(struct upper *u, const char *path, uint64_t *ret_dir, const char **ret_name)
{
	struct upper_call c = call_of(u);
	struct upper_entry entry = { .ino = view_root_ino(view, 0) };
	int r = 0;

	for (const char *slash; r == 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char *name = strndup(path, (size_t)(slash - path));

		r = upper_lookup(&c, entry.ino, name, &entry);
		free(name);
	}
	*ret_dir = entry.ino;
	*ret_name = path;
	return r;
}

static int find(struct upper *u, const char *path, uint64_t *ret)
{
	struct upper_call c = call_of(u);
	struct upper_entry entry;
	uint64_t in;
	const char *name;
	int r = find_dir(u, path, &in, &name);

	if (r == 0)
		r = upper_lookup(&c, in, name, &entry);
	if (r == 0)
		*ret = entry.ino;
	return r;
}

#define GONE "(not there)"

/* Its bytes, or GONE. */
static void look(struct upper *u, const char *path, char text[64])
{
	struct upper_call c = call_of(u);
	uint64_t ino;
	int r = find(u, path, &ino);
	ssize_t n = 0;

	if (r == 0)
		n = upper_read(&c, ino, text, 63, 0);
	if (r == -ENOENT || r == -ENOTDIR)
		snprintf(text, 64, GONE);
	else if (r < 0 || n < 0)
		snprintf(text, 64, "error %d", r < 0 ? -r : (int)-n);
	else
		text[n] = '\0';
}

/* ---- what each path may be seen as ---- */

#define PATHS  16
#define STATES 16

struct state {
	char text[64];
	size_t begun;  /* how many system calls there were before it */
	size_t synced; /* and when an fsync of it was answered; SIZE_MAX: none was */
};

static struct history {
	char path[64];
	struct state states[STATES];
	size_t count;
} histories[PATHS];
static size_t history_count;

static struct history *history(const char *path)
{
	struct history *h;

	for (size_t i = 0; i < history_count; i++)
		if (strcmp(histories[i].path, path) == 0)
			return &histories[i];
	cr_assert(history_count < PATHS);
	h = &histories[history_count++];
	*h = (struct history){ .count = 1 };
	snprintf(h->path, sizeof h->path, "%s", path);
	look(upper, path, h->states[0].text);
	return h;
}

/* It is about to become that. */
static void becomes(const char *path, const char *text)
{
	struct history *h = history(path);

	cr_assert(h->count < STATES);
	h->states[h->count] = (struct state){ .begun = disklog_count(), .synced = SIZE_MAX };
	snprintf(h->states[h->count++].text, 64, "%s", text);
}

static bool allowed(const struct history *h, size_t calls, const char *seen)
{
	size_t low = 0;

	for (size_t i = 0; i < h->count; i++)
		if (h->states[i].synced <= calls)
			low = i;
	for (size_t i = low; i < h->count && (i == low || h->states[i].begun < calls); i++)
		if (strcmp(h->states[i].text, seen) == 0)
			return true;
	return false;
}

/* ---- the load ---- */

static void make(const char *path)
{
	struct upper_call c = call_of(upper);
	struct upper_entry entry;
	uint64_t in;
	const char *name;

	becomes(path, "");
	cr_assert_eq(find_dir(upper, path, &in, &name), 0);
	cr_assert_eq(upper_make(&c, in, name, S_IFREG | 0644, 0, &entry), 0);
}

static void make_dir(const char *path)
{
	struct upper_call c = call_of(upper);
	struct upper_entry entry;
	uint64_t in;
	const char *name;

	cr_assert_eq(find_dir(upper, path, &in, &name), 0);
	cr_assert_eq(upper_make(&c, in, name, S_IFDIR | 0755, 0, &entry), 0);
}

static void overwrite(const char *path, const char *text)
{
	struct upper_call c = call_of(upper);
	uint64_t ino = 0;

	becomes(path, text);
	cr_assert_eq(find(upper, path, &ino), 0);
	cr_assert_eq(upper_write(&c, ino, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void change_mode(const char *path, mode_t mode)
{
	struct upper_call c = call_of(upper);
	struct upper_change change = { .set = UPPER_SET_MODE, .mode = mode };
	struct stat st;
	uint64_t ino = 0;

	(void)history(path);
	cr_assert_eq(find(upper, path, &ino), 0);
	cr_assert_eq(upper_setattr(&c, ino, &change, &st), 0);
}

static void drop(const char *path)
{
	struct upper_call c = call_of(upper);
	uint64_t in;
	const char *name;

	becomes(path, GONE);
	cr_assert_eq(find_dir(upper, path, &in, &name), 0);
	cr_assert_eq(upper_unlink(&c, in, name), 0);
}

static void move(const char *from, const char *to)
{
	struct upper_call c = call_of(upper);
	struct history *h = history(from);
	uint64_t in, to_in;
	const char *name, *to_name;
	char text[64];

	snprintf(text, sizeof text, "%s", h->states[h->count - 1].text);
	becomes(to, text);
	becomes(from, GONE);
	cr_assert_eq(find_dir(upper, from, &in, &name), 0);
	cr_assert_eq(find_dir(upper, to, &to_in, &to_name), 0);
	cr_assert_eq(upper_rename(&c, in, name, to_in, to_name, 0), 0);
}

/* A file, or the folder that a path is in. */
static void sync_one(const char *path, uint64_t ino)
{
	struct upper_call c = call_of(upper);
	struct history *h = history(path);

	cr_assert_eq(upper_fsync(&c, ino, false), 0);
	h->states[h->count - 1].synced = disklog_count();
}

static void sync_file(const char *path)
{
	uint64_t ino = 0;

	cr_assert_eq(find(upper, path, &ino), 0);
	sync_one(path, ino);
}

static void sync_folder_of(const char *path)
{
	uint64_t in;
	const char *name;

	cr_assert_eq(find_dir(upper, path, &in, &name), 0);
	sync_one(path, in);
}

static void load(void)
{
	overwrite("p/a", "A");
	sync_file("p/a");
	overwrite("p/a", "AA");
	change_mode("p/b", 0755);
	overwrite("p/b", "BBB");
	make("p/new");
	overwrite("p/new", "new");
	sync_file("p/new");
	overwrite("p/new", "newer");
	sync_file("p/new");
	move("p/new", "p/newest");
	sync_folder_of("p/newest");
	move("p/c", "p/moved");
	change_mode("p/moved", 0600);
	sync_file("p/moved");
	drop("p/d");
	sync_folder_of("p/d");
	make("p/d");
	overwrite("p/d", "other d");
	sync_file("p/d");
	change_mode("p/lib/x", 0700);
	drop("p/lib/y");
	move("p/lib/z", "p/e");
	sync_file("p/e");
	make_dir(".cache");
	make(".cache/one");
	overwrite(".cache/one", "1");
	sync_file(".cache/one");
	drop(".cache/one");
	sync_folder_of(".cache/one");
	/* to a new version by a file beside, as editors and caches do it */
	make("p/a.tmp");
	overwrite("p/a.tmp", "whole");
	sync_file("p/a.tmp");
	move("p/a.tmp", "p/a");
	sync_folder_of("p/a");
}

/* ---- the power goes ---- */

static size_t wrong;

static void check_one(struct upper *u, const struct history *h, size_t calls, const char *kept)
{
	char seen[64];

	look(u, h->path, seen);
	if (allowed(h, calls, seen))
		return;
	if (wrong++ < 20)
		fprintf(stderr, "after %zu system calls (%s): %s is \"%s\"\n", calls, kept, h->path,
			seen);
}

/* What was moved is at one of its two names at least, until something else happens to it. */
static void check_moved(struct upper *u, const char *from, const char *to, size_t calls)
{
	char a[64], b[64];

	look(u, from, a);
	look(u, to, b);
	if ((strcmp(a, GONE) == 0 && strcmp(b, GONE) == 0) && wrong++ < 20)
		fprintf(stderr, "after %zu system calls: neither %s nor %s is there\n", calls, from,
			to);
}

static void cut(size_t calls, enum disklog_kept kept, const char *word)
{
	char path[128];
	struct upper *u;

	snprintf(path, sizeof path, "%s/left", dir);
	disklog_leave(calls, kept, path);
	u = open_upper(path);
	for (size_t i = 0; i < history_count; i++)
		check_one(u, &histories[i], calls, word);
	check_moved(u, "p/c", "p/moved", calls);
	check_moved(u, "p/lib/z", "p/e", calls);
	upper_close(u);
	remove_tree(path);
}

Test(upper_power, what_was_fsynced_is_there_and_nothing_is_torn, .init = setup, .fini = teardown)
{
	size_t all;

	history_count = wrong = 0;
	load();
	all = disklog_count();
	disklog_stop();
	cr_assert(all > 100);
	for (size_t calls = 0; calls <= all; calls++) {
		cut(calls, DISKLOG_ALL, "all kept");
		cut(calls, DISKLOG_NAMES, "bytes lost that were not fsynced");
		cut(calls, DISKLOG_SYNCED, "all lost that was not fsynced");
	}
	cr_expect_eq(wrong, (size_t)0);
}
