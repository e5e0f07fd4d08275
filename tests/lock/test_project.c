#include "core/file.h"
#include "lock/ideal.h"
#include "lock/project.h"
#include "lock/project_edit.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>

static const struct npmlock_options none;

/* A folder for one test: "p" is the project, "c" the cache. */
struct place {
	char dir[32], project[64], cache[64];
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void place_release(struct place *w)
{
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
#define auto_place cleanup(place_release)

static void put_bytes(const struct place *w, const char *name, const void *p, size_t n)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->project, name);
	cr_assert_eq(file_replace(path, p, n, 0644, NULL), 0);
}

static void put(const struct place *w, const char *name, const char *text)
{
	put_bytes(w, name, text, strlen(text));
}

static void make_folder(const struct place *w, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->project, name);
	cr_assert_eq(mkdir_p(path, 0755, NULL), 0);
}

static void drop(const struct place *w, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->project, name);
	cr_assert_eq(unlink(path), 0);
}

#define MANIFEST "{\"name\":\"x\",\"dependencies\":{\"a\":\"^1.0.0\"}}"
#define LOCK                                                                                       \
	"{\"name\":\"x\",\"lockfileVersion\":3,\"packages\":{\"\":{\"dependencies\":{\"a\":"       \
	"\"^1.0.0\"}},\"node_modules/a\":{\"version\":\"1.0.0\"}}}"
#define WS_MANIFEST "{\"name\":\"x\",\"workspaces\":[\"ws/*\"]}"
#define WS_LOCK                                                                                    \
	"{\"name\":\"x\",\"lockfileVersion\":3,\"packages\":{\"\":{\"name\":\"x\",\"workspaces\":" \
	"[\"ws/*\"]},\"node_modules/w\":{\"resolved\":\"ws/w\",\"link\":true},\"ws/w\":{"          \
	"\"version\":\"1.0.0\"}}}"

static struct place new_place(void)
{
	struct place w = { 0 };

	test_dir(w.dir, sizeof w.dir);
	(void)snprintf(w.project, sizeof w.project, "%s/p", w.dir);
	(void)snprintf(w.cache, sizeof w.cache, "%s/c/d", w.dir);
	make_folder(&w, "");
	return w;
}

static struct project opened(const struct place *w)
{
	struct project p = PROJECT_INIT;

	cr_assert_eq(project_open(&p, w->project, NULL), 0);
	return p;
}

/* The result of project_lock; what it gave is closed. */
static int locked(const struct place *w, const char *cache, bool *ret_derived, struct err *e)
{
	auto_project struct project p = opened(w);
	struct lock *l = NULL;
	int r = project_lock(&p, cache, &none, &l, ret_derived, e);

	if (r == 0)
		cr_assert(lock_count(l) > 0);
	else
		cr_assert(l == NULL);
	lock_close(l);
	return r;
}

static bool derived(const struct place *w)
{
	struct err e = { 0 };
	bool ret;

	if (locked(w, w->cache, &ret, &e) < 0)
		(void)fprintf(stderr, "project: %s\n", e.msg);
	cr_assert_eq(e.code, 0);
	return ret;
}

static size_t kept(const struct place *w)
{
	char pattern[256];
	glob_t found;
	size_t n;

	(void)snprintf(pattern, sizeof pattern, "%s/*.dxl", w->cache);
	cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
	n = found.gl_pathc;
	globfree(&found);
	return n;
}

Test(project, a_folder_without_any_of_the_files_is_none)
{
	auto_place struct place w = new_place();
	struct project p;
	struct err e = { 0 };

	cr_assert_eq(project_open(&p, w.project, &e), -ENOENT);
	cr_assert(strstr(e.msg, "package-lock.json") != NULL);
	cr_assert_eq(project_open(&p, "/nonexistent", &e), -ENOENT);
}

/* The folder below the project's that a command without one works on, and the workspace's. */
static void finds(const struct place *w, const char *from, const char *want, const char *workspace)
{
	auto_free char *at = NULL, *expected = NULL, *root = NULL, *ws = NULL, *ws_expected = NULL;

	cr_assert(asprintf(&at, "%s/%s", w->project, from) > 0);
	cr_assert(asprintf(&expected, "%s%s", w->project, want) > 0);
	cr_assert(!workspace || asprintf(&ws_expected, "%s/%s", w->project, workspace) > 0);
	cr_assert_eq(project_find(at, &root, &ws, NULL), 0);
	cr_assert_str_eq(root, expected);
	cr_assert_eq(ws != NULL, workspace != NULL);
	if (workspace)
		cr_assert_str_eq(ws, ws_expected);
}

Test(project, is_found_from_below_as_npm_finds_it)
{
	auto_place struct place w = new_place();
	auto_free char *root = NULL, *ws = NULL;

	make_folder(&w, "a/b");
	make_folder(&w, "ws/w/src");
	make_folder(&w, "other");
	finds(&w, "a/b", "/a/b", NULL); /* no project anywhere: the folder itself */
	put(&w, "package.json", WS_MANIFEST);
	finds(&w, "", "", NULL);
	finds(&w, "a/b", "", NULL);
	finds(&w, "ws/w/src", "", NULL); /* no package.json of its own yet */
	put(&w, "ws/w/package.json", "{\"name\":\"w\"}");
	finds(&w, "ws/w/src", "", "ws/w");
	finds(&w, "ws/w", "", "ws/w");
	put(&w, "other/package.json", "{}");
	finds(&w, "other", "/other", NULL);
	make_folder(&w, "a/b/node_modules");
	finds(&w, "a/b", "/a/b", NULL);
	put(&w, "package.json", "not JSON, \"workspaces\"");
	finds(&w, "ws/w", "/ws/w", NULL);
	cr_assert_eq(project_find("/nonexistent", &root, &ws, NULL), -ENOENT);
}

static void give(const struct place *w, const char *name, uid_t to)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->project, name);
	cr_assert_eq(chown(path, to, (gid_t)-1), 0);
}

Test(project, is_not_what_somebody_else_has_put_further_up)
{
	auto_place struct place w = new_place();

	if (geteuid() != 0)
		return; /* only root can give files away */
	make_folder(&w, "ws/w");
	put(&w, "package.json", WS_MANIFEST);
	put(&w, "ws/w/package.json", "{\"name\":\"w\"}");
	finds(&w, "ws/w", "", "ws/w");
	give(&w, "package.json", 65534);
	finds(&w, "ws/w", "/ws/w", NULL);
	finds(&w, "ws", "/ws", NULL);
	finds(&w, "", "", NULL);
	give(&w, "ws/w", 65534); /* all of it is theirs, and we were called there */
	finds(&w, "ws/w", "", "ws/w");
}

Test(project, npms_locks_come_before_ours)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	static const char *const names[] = { "dx.lock", "package-lock.json",
					     "npm-shrinkwrap.json" };

	put(&w, "package.json", MANIFEST);
	p = opened(&w);
	cr_assert(p.lock_file == NULL);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		put(&w, names[i], LOCK);
		project_release(&p);
		p = opened(&w);
		cr_assert_str_eq(p.lock_file, names[i]);
	}
}

Test(project, a_lock_is_derived_once_and_then_kept)
{
	auto_place struct place w = new_place();
	bool again;

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	cr_assert(derived(&w));
	cr_assert_not(derived(&w));
	/* Content counts, not time. */
	put(&w, "package-lock.json", LOCK);
	cr_assert_not(derived(&w));
	cr_assert_eq(locked(&w, NULL, &again, NULL), 0);
	cr_assert(again);
}

Test(project, checkouts_of_one_state_share_what_is_kept)
{
	auto_place struct place w = new_place(), other = new_place();

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	put(&other, "package.json", MANIFEST);
	put(&other, "package-lock.json", LOCK);
	cr_assert(derived(&w));
	(void)snprintf(other.cache, sizeof other.cache, "%s", w.cache);
	cr_assert_not(derived(&other));
}

Test(project, what_was_used_longest_ago_makes_room)
{
	auto_place struct place w = new_place();
	char text[128];

	put(&w, "package-lock.json", LOCK);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(text, sizeof text, MANIFEST "%*s", i + 1, "\n");
		put(&w, "package.json", text);
		cr_assert(derived(&w));
	}
	cr_assert_eq(kept(&w), 32);
}

Test(project, whatever_it_was_made_from_makes_it_stale)
{
	auto_place struct place w = new_place();

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	cr_assert(derived(&w));
	put(&w, "package.json", MANIFEST "\n");
	cr_assert(derived(&w));
	put(&w, "package-lock.json", LOCK " ");
	cr_assert(derived(&w));
	put(&w, "npm-shrinkwrap.json", LOCK " ");
	cr_assert(derived(&w));
	cr_assert_not(derived(&w));
}

Test(project, options_that_matter_make_it_stale)
{
	auto_place struct place w = new_place();
	const struct npmlock_options legacy = { .graph.legacy_peer_deps = true };
	auto_project struct project p = PROJECT_INIT;
	auto_lock struct lock *l = NULL;
	bool again = false;

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	cr_assert(derived(&w));
	p = opened(&w);
	cr_assert_eq(project_lock(&p, w.cache, &legacy, &l, &again, NULL), 0);
	cr_assert(again);
}

Test(project, a_workspace_that_changes_or_comes_is_noticed)
{
	auto_place struct place w = new_place();
	struct err e = { 0 };
	bool again;

	put(&w, "package.json", WS_MANIFEST);
	put(&w, "package-lock.json", WS_LOCK);
	make_folder(&w, "ws/w");
	put(&w, "ws/w/package.json", "{\"name\":\"w\",\"version\":\"1.0.0\"}");
	cr_assert(derived(&w));
	cr_assert_not(derived(&w));
	put(&w, "ws/w/package.json", "{\"name\":\"w\",\"version\":\"1.0.0\",\"license\":\"MIT\"}");
	cr_assert(derived(&w));
	cr_assert_not(derived(&w));
	make_folder(&w, "ws/v");
	put(&w, "ws/v/package.json", "{\"name\":\"v\",\"version\":\"1.0.0\"}");
	cr_assert_eq(locked(&w, w.cache, &again, &e), -ESTALE);
	cr_assert(strstr(e.msg, "v@") != NULL);
}

/* The only one that is kept. */
static void cached_file(const struct place *w, char *ret, size_t room)
{
	char pattern[256];
	glob_t found;

	(void)snprintf(pattern, sizeof pattern, "%s/*.dxl", w->cache);
	cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
	cr_assert_eq(found.gl_pathc, 1);
	(void)snprintf(ret, room, "%s", found.gl_pathv[0]);
	globfree(&found);
}

Test(project, names_of_copies_cannot_be_foretold)
{
	auto_place struct place w = new_place(), other = new_place();
	char path[2][256], key[256], swapped[512];

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	put(&other, "package.json", MANIFEST);
	put(&other, "package-lock.json", LOCK);
	cr_assert(derived(&w));
	cr_assert(derived(&other));
	cached_file(&w, path[0], sizeof path[0]);
	cached_file(&other, path[1], sizeof path[1]);
	cr_assert_str_neq(strrchr(path[0], '/'), strrchr(path[1], '/'));
	/* The key is what makes the difference. */
	(void)snprintf(key, sizeof key, "%s/key", w.cache);
	(void)snprintf(swapped, sizeof swapped, "%s/key", other.cache);
	cr_assert_eq(rename(key, swapped), 0);
	cr_assert(derived(&other));
	(void)snprintf(swapped, sizeof swapped, "%s%s", other.cache, strrchr(path[0], '/'));
	cr_assert_eq(access(swapped, F_OK), 0);
}

Test(project, an_unsound_copy_is_made_anew)
{
	auto_place struct place w = new_place();
	char path[256];

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	put(&w, "dx.lock", "no lock at all");
	cr_assert(derived(&w));
	cached_file(&w, path, sizeof path);
	cr_assert_eq(truncate(path, 200), 0);
	cr_assert(derived(&w));
	cr_assert_not(derived(&w));
}

Test(project, a_cache_that_cannot_be_written_only_costs_time)
{
	auto_place struct place w = new_place();
	bool again = false;

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	cr_assert_eq(locked(&w, "/proc/nothing", &again, NULL), 0);
	cr_assert(again);
}

Test(project, our_own_lock_is_fresh_as_long_as_npms_gives_the_same)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	auto_lock struct lock *l = NULL, *fresh = NULL;
	struct lock *stale = NULL;
	struct err e = { 0 };

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	p = opened(&w);
	cr_assert_eq(project_fresh(&p, &none, &fresh, NULL), -ENOENT);
	cr_assert_eq(project_write_lock(&p, &none, &l, NULL), 0);
	cr_assert_eq(project_fresh(&p, &none, &fresh, NULL), 0);
	cr_assert_eq(project_check(&p, fresh, &none, NULL), 0);
	put(&w, "package.json", MANIFEST " ");
	cr_assert_eq(project_fresh(&p, &none, &stale, &e), -ESTALE);
	cr_assert(strstr(e.msg, "dx lock") != NULL);
}

/* A repository may bring a dx.lock that says of itself to be made from the package-lock.json beside
 * it, and names something else. */
Test(project, a_dx_lock_with_the_right_fingerprint_and_other_packages_is_not_believed)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	auto_buf struct buf forged = BUF_INIT((size_t)1 << 20);
	auto_lock struct lock *honest = NULL, *l = NULL;
	auto_graph struct graph *g = NULL;
	struct lock *stale = NULL;
	bool again = false;
	char path[256];

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	p = opened(&w);
	cr_assert_eq(project_write_lock(&p, &none, &honest, NULL), 0);
	cr_assert_eq(lock_graph(honest, &g, NULL), 0);
	cr_assert_str_eq(g->nodes[1].version, "1.0.0");
	g->nodes[1].version = "1.6.6";
	cr_assert_eq(lock_build(g, lock_fingerprint(honest), &forged, NULL), 0);
	(void)snprintf(path, sizeof path, "%s/dx.lock", w.project);
	cr_assert_eq(file_replace(path, forged.data, forged.len, 0644, NULL), 0);

	cr_assert_eq(project_lock(&p, w.cache, &none, &l, &again, NULL), 0);
	cr_assert(again);
	cr_assert(lock_get_version(l, SLICE("a"), SLICE("1.0.0")) != GRAPH_NONE);
	cr_assert(lock_get_version(l, SLICE("a"), SLICE("1.6.6")) == GRAPH_NONE);
	cr_assert_eq(project_fresh(&p, &none, &stale, NULL), -ESTALE);
	cr_assert(stale == NULL);
}

Test(project, a_dx_lock_that_is_a_symlink_leads_to_no_other_file_of_ours)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	auto_lock struct lock *l = NULL;
	auto_free char *text = NULL;
	char path[256];
	size_t len;
	struct stat st;
	struct err e = { 0 };

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	put(&w, "profile", "export X=1\n");
	(void)snprintf(path, sizeof path, "%s/dx.lock", w.project);
	cr_assert_eq(symlink("profile", path), 0);
	p = opened(&w);
	cr_expect_eq(project_write_lock(&p, &none, &l, &e), -EPERM);
	cr_expect(strstr(e.msg, "is a symlink to what is no dx.lock") != NULL, "%s", e.msg);
	cr_assert_eq(file_read_all(p.dirfd, "profile", 64, &text, &len, NULL), 0);
	cr_expect_str_eq(text, "export X=1\n");
	cr_expect(l == NULL);

	put(&w, "profile", "DXL");
	cr_assert_eq(project_write_lock(&p, &none, &l, &e), -EPERM);
	/* A DXL that stands there is renewed. */
	put_bytes(&w, "profile", "DXL\0old", 7);
	cr_assert_eq(project_write_lock(&p, &none, &l, &e), 0, "%s", e.msg);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	cr_assert_eq(stat(path, &st), 0);
	cr_expect(st.st_size > 7);
}

Test(project, our_own_lock_may_be_the_only_one)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	auto_lock struct lock *l = NULL;
	struct err e = { 0 };
	bool again;

	put(&w, "package.json", MANIFEST);
	put(&w, "package-lock.json", LOCK);
	p = opened(&w);
	cr_assert_eq(project_write_lock(&p, &none, &l, NULL), 0);
	drop(&w, "package-lock.json");
	cr_assert_not(derived(&w));
	project_release(&p);
	p = opened(&w);
	cr_assert_eq(project_check(&p, l, &none, NULL), 0);
	cr_assert_eq(project_fits(&p, l, &none, NULL), 0);
	put(&w, "package.json", "{\"dependencies\":{\"a\":\"^1.0.0\",\"b\":\"2\"}}");
	cr_assert_eq(project_check(&p, l, &none, &e), -ESTALE);
	cr_assert(strstr(e.msg, "b@2") != NULL);
	cr_assert_eq(project_fits(&p, l, &none, NULL), -ESTALE);
	put(&w, "dx.lock",
	    "no lock at all, though long enough to be taken for the beginning of one, "
	    "which is a hundred and twenty-eight bytes long, the header");
	cr_assert_eq(locked(&w, w.cache, &again, &e), -EBADMSG);
}

Test(project, a_manifest_that_somebody_changed_meanwhile_is_left_alone)
{
	auto_place struct place w = new_place();
	auto_project struct project p = PROJECT_INIT;
	struct project_edit list[] = { { .name = "a", .spec = "^1.0.0" } };
	struct project_edits edits = { .list = list, .count = 1 };
	struct ideal_options io = { 0 };
	struct editing m;
	struct err e = { 0 };
	auto_free char *text = NULL;
	char path[256];
	struct stat st;
	size_t len;

	put(&w, "package.json", "{}\n");
	(void)snprintf(path, sizeof path, "%s/package.json", w.project);
	cr_assert_eq(chmod(path, 0640), 0);
	p = opened(&w);
	cr_assert_eq(editing_start(&m, &p, &io, &edits, &e), 0);
	put(&w, "package.json", "{\"name\":\"new\"}");
	cr_expect_eq(editing_write(&m), -EBUSY);
	editing_release(&m);
	cr_assert_eq(file_read_all(AT_FDCWD, path, 1000, &text, &len, NULL), 0);
	cr_expect_str_eq(text, "{\"name\":\"new\"}");

	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(editing_start(&m, &p, &io, &edits, &e), 0);
	cr_expect_eq(editing_write(&m), 0);
	editing_release(&m);
	free(take(&text));
	cr_assert_eq(file_read_all(AT_FDCWD, path, 1000, &text, &len, NULL), 0);
	cr_expect(strstr(text, "new") && strstr(text, "^1.0.0"), "%s", text);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0640);
}

Test(project, without_a_lock_the_sentence_says_what_to_do)
{
	auto_place struct place w = new_place();
	struct err e = { 0 };
	bool again;

	put(&w, "package.json", MANIFEST);
	cr_assert_eq(locked(&w, w.cache, &again, &e), -ENOENT);
	cr_assert(strstr(e.msg, "dx lock") != NULL);
}

Test(project, a_lock_that_does_not_fit_is_stale)
{
	auto_place struct place w = new_place();
	struct err e = { 0 };
	bool again;

	put(&w, "package.json", "{\"dependencies\":{\"a\":\"^2.0.0\"}}");
	put(&w, "package-lock.json", LOCK);
	cr_assert_eq(locked(&w, w.cache, &again, &e), -ESTALE);
	cr_assert(strstr(e.msg, "a@") != NULL);
}

/* ---- what was resolved ---- */

/* Resolves to npm's lock whose text is `arg`. */
static int resolve_to(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		      void *arg, struct err *e)
{
	int r = npmlock_parse(&ret->graph, slice_str(arg), &none, e);

	(void)lock, (void)o;
	if (r == 0)
		r = graph_edges(ret->graph, &none.graph, e);
	return r == 0 ? graph_flags(ret->graph, e) : r;
}

#define TREE(spec, tail)                                                                           \
	"{\"name\":\"x\",\"lockfileVersion\":3,\"packages\":{\"\":{\"name\":\"x\","                \
	"\"dependencies\":{\"a\":\"" spec "\"}}" tail "}}"
#define TREE_A(version) ",\"node_modules/a\":{\"version\":\"" version "\"}"

static int resolve_as(const struct place *w, const char *lock, bool force, struct err *e)
{
	auto_project struct project p = opened(w);
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	auto_lock struct lock *l = NULL;
	const struct ideal_options o = { .build = resolve_to,
					 .build_arg = (void *)lock,
					 .force = force };
	bool changed;

	return project_resolve(&p, &none, &o, NULL, &result, &l, &changed, e);
}

static void holds_still(const struct place *w, const char *file, const char *text)
{
	auto_free char *now = NULL;
	size_t len;
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->project, file);
	if (!text) {
		cr_expect(access(path, F_OK) < 0);
		return;
	}
	cr_assert_eq(file_read_all(AT_FDCWD, path, 1 << 20, &now, &len, NULL), 0);
	cr_expect_str_eq(now, text);
}

Test(project, a_tree_that_does_not_hold_is_not_written)
{
	static const char *const trees[][2] = {
		{ TREE("^1.0.0", TREE_A("2.0.0")), "a@2.0.0" },
		{ TREE("^1.0.0", ""), "there is none" },
		{ TREE("^1.0.0", ",\"node_modules/a\":{\"version\":\"1.0.0\",\"dependencies\":"
				 "{\"b\":\"1\"}}"),
		  "needs b@" },
	};
	auto_place struct place w = new_place();

	put(&w, "package.json", MANIFEST);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct err e = { 0 };

		cr_expect_eq(resolve_as(&w, trees[i][0], false, &e), -ENOTSUP);
		cr_expect(strstr(e.msg, trees[i][1]) && strstr(e.msg, "is not written"), "%s",
			  e.msg);
		holds_still(&w, PROJECT_LOCK, NULL);
	}
	put(&w, "package-lock.json", LOCK);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct err e = { 0 };

		cr_expect_eq(resolve_as(&w, trees[i][0], false, &e), -ENOTSUP);
		holds_still(&w, "package-lock.json", LOCK);
		holds_still(&w, PROJECT_LOCK, NULL);
	}
}

Test(project, a_tree_that_holds_is_written)
{
	auto_place struct place w = new_place();
	struct err e = { 0 };

	put(&w, "package.json", MANIFEST);
	cr_expect_eq(resolve_as(&w, TREE("^1.0.0", TREE_A("1.0.0")), false, &e), 0, "%s", e.msg);
	drop(&w, PROJECT_LOCK);
	/* --force is to take what does not hold. */
	cr_expect_eq(resolve_as(&w, TREE("^1.0.0", TREE_A("2.0.0")), true, &e), 0, "%s", e.msg);
	drop(&w, PROJECT_LOCK);
}
