#include "fetch/git.h"

#include "core/rm_tree.h"
#include "fetch/child.h"
#include "fetch/git_refs.h"
#include "fetch/url.h"
#include "lock/bins.h"
#include "lock/npmlock.h"
#include "lock/published.h"

#include <fcntl.h>
#include <stdio.h>

#define SAID_MAX 65536               /* bytes of git's talk that are kept for the sentence */
#define TREE_MAX ((size_t)4 << 20)   /* bytes of a listing of a folder of bins */
#define COPY_MAX (UINT64_C(4) << 30) /* bytes of a copy; a package's repository has less */

struct work {
	const struct spec *spec;
	const char **env; /* owned */
	char dir[512];    /* the repository's copy; "": none yet */
	struct err *e;
};

/* ---- running git ---- */

static int environment(const char ***ret)
{
	static const char allow[] = "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh";
	/* Of a hook that runs us, what would be taken for this repository; and no questions. */
	static const char *const set[] = { "GIT_DIR",
					   "GIT_WORK_TREE",
					   "GIT_INDEX_FILE",
					   "GIT_OBJECT_DIRECTORY",
					   "GIT_ALTERNATE_OBJECT_DIRECTORIES",
					   "GIT_NAMESPACE",
					   "GIT_CEILING_DIRECTORIES",
					   "GIT_PREFIX",
					   "GIT_TERMINAL_PROMPT=0",
					   "GCM_INTERACTIVE=never",
					   "SSH_ASKPASS_REQUIRE=never",
					   "LC_ALL=C",
					   NULL,
					   NULL };
	const char *all[ARRAY_LEN(set)];
	size_t n = 0;

	for (; set[n]; n++)
		all[n] = set[n];
	if (!getenv("GIT_ALLOW_PROTOCOL"))
		all[n++] = allow;
	if (n < ARRAY_LEN(all))
		all[n] = NULL;
	return child_env(ret, all, false);
}

/* The first line in which git says why; nothing of a line that may hold a password. */
static void reason(struct buf *said, char *ret, size_t n)
{
	char *line, *rest;

	(void)snprintf(ret, n, "git failed");
	if (said->error)
		said->error = 0;
	if (said->len == said->max)
		said->len--;
	buf_add(said, "", 1);
	rest = (char *)said->data;
	while (rest && (line = strsep(&rest, "\r\n"))) {
		const char *url = strstr(line, "://");

		if ((strncmp(line, "fatal: ", 7) == 0 || strncmp(line, "ssh: ", 5) == 0 ||
		     strstr(line, "erification failed")) &&
		    !(url && strchr(url, '@'))) {
			(void)snprintf(ret, n, "%s", line + (line[0] == 'f' ? 7 : 0));
			return;
		}
	}
}

/* `out` NULL: what it prints does not matter. `what` begins the sentence. */
static int git(struct work *w, const char *const *argv, struct buf *out, const char *what)
{
	auto_buf struct buf said = BUF_INIT(SAID_MAX), none = BUF_INIT(SAID_MAX);
	struct child c = { .argv = argv,
			   .env = w->env,
			   .dir = *w->dir ? w->dir : "/",
			   .dir_max = *w->dir ? COPY_MAX : 0,
			   .timeout_ms = GIT_TIMEOUT_MS,
			   .out = out ? out : &none,
			   .said = &said };
	char line[200];
	int r = child_run(&c);

	if (r == 0)
		return 0;
	if (r == -ENOENT)
		return err_set(w->e, -EOPNOTSUPP, "%s: needs git, which $PATH does not find", what);
	reason(&said, line, sizeof line);
	return err_set(w->e, r, "%s: %s", what,
		       r == -EREMOTEIO   ? line
		       : r == -ETIMEDOUT ? "git took too long"
		       : r == -E2BIG     ? "git says more than is taken"
		       : r == -EFBIG     ? "the repository has more than 4 GiB"
		       : r == -EINTR     ? "stopped"
					 : strerror(-r));
}

/* ---- addresses ---- */

static bool has_scheme(const char *url)
{
	static const char *const schemes[] = { "git://", "http://", "https://", "ssh://",
					       "file://" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			return true;
	return false;
}

/* git takes "x::y" for a helper program's name, and ssh a host that begins with '-' for an option.
 */
static int check_address(const char *url, const char *shown, struct err *e)
{
	const char *host = strstr(url, "://"), *user;
	bool ok = url[0] != '-' && url[0] != '\0';

	for (const char *c = url; *c; c++)
		ok = ok && (unsigned char)*c > ' ' && *c != 0x7f;
	if (host)
		ok = ok && has_scheme(url);
	else
		ok = ok && strchr(url, '@') && strchr(url, ':') && !strstr(url, "::");
	host = host ? host + 3 : url;
	user = memchr(host, '@', strcspn(host, "/"));
	ok = ok && host[0] != '-' && !(user && user[1] == '-');
	return ok ? 0
		  : err_set(e, -EINVAL,
			    "%s: no address of https, ssh, git or file that git is asked with",
			    shown);
}

/* What the lock says: the address that was given, or the host's, and the commit. */
static char *resolved(const struct spec *s, const char *sha)
{
	struct slice base = s->raw;
	const uint8_t *hash = memchr(s->raw.ptr, '#', s->raw.len);
	char *out = NULL;
	int n;

	if (hash)
		base.len = (size_t)(hash - s->raw.ptr);
	if (s->host != GIT_HOST_NONE)
		base = s->auth.len ? s->https : s->ssh;
	/* A whole commit stands as it was given, with what else is behind '#'. */
	if (git_is_sha(s->committish) && hash)
		n = asprintf(&out, "%s%.*s%.*s", s->host == GIT_HOST_NONE ? "" : "git+",
			     SLICE_FMT(base), (int)(s->raw.ptr + s->raw.len - hash),
			     (const char *)hash);
	else
		n = asprintf(&out, "%s%.*s#%s", s->host == GIT_HOST_NONE ? "" : "git+",
			     SLICE_FMT(base), sha);
	return n < 0 ? NULL : out;
}

/* ---- the commit ---- */

struct target {
	char sha[GIT_SHA_MAX + 1]; /* "": only a clone can tell */
	const char *ref;           /* by which it can be had; NULL: by itself */
};

static int list_refs(struct work *w, const char *url, struct buf *text, struct git_refs *ret,
		     const char *shown)
{
	const char *const argv[] = { "git", "--no-replace-objects", "ls-remote", "--", url, NULL };
	int r = git(w, argv, text, shown);

	if (r < 0)
		return r;
	buf_add(text, "", 1);
	r = buf_error(text);
	return r < 0 ? err_set(w->e, r, "%s: too many refs", shown)
		     : git_refs_parse(ret, (char *)text->data, text->len - 1, w->e);
}

static int choose(struct work *w, const struct git_refs *refs, const char *committish,
		  const char *shown, struct target *ret)
{
	const struct spec *s = w->spec;
	const struct git_ref *at;

	if (s->git_range.len) {
		at = git_refs_pick(refs, s->git_range);
		if (!at)
			return err_set(w->e, -ENOENT,
				       "%s: the repository has no tag with a version that fits "
				       "\"%.*s\"",
				       shown, SLICE_FMT(s->git_range));
	} else {
		at = git_refs_named(refs, committish ? committish : "HEAD");
		if (!at && !committish)
			return err_set(w->e, -ENOENT, "%s: the repository is empty", shown);
	}
	if (at) {
		memcpy(ret->sha, at->sha, sizeof ret->sha);
		ret->ref = at->name;
	}
	return 0;
}

/* ---- the copy ---- */

static int make_dir(struct work *w)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || tmp[0] != '/' || strlen(tmp) > sizeof w->dir - 16)
		tmp = "/tmp";
	(void)snprintf(w->dir, sizeof w->dir, "%s/dx-git-XXXXXX", tmp);
	if (mkdtemp(w->dir))
		return 0;
	w->dir[0] = '\0';
	return err_set(w->e, -errno, "a folder in %s: %s", tmp, strerror(errno));
}

static void drop_dir(struct work *w)
{
	if (*w->dir)
		rm_tree(AT_FDCWD, w->dir);
	w->dir[0] = '\0';
}

/* The id of what a name means in the copy, which must be a commit. */
static int commit_of(struct work *w, const char *name, char ret[GIT_SHA_MAX + 1], const char *shown)
{
	auto_buf struct buf out = BUF_INIT(1024);
	char what[512];
	const char *const argv[] = { "git",      "--no-replace-objects", "rev-parse", "-q",
				     "--verify", "--end-of-options",     what,        NULL };
	int r;

	if (strlen(name) > sizeof what - 16)
		return err_set(w->e, -ENOENT, "%s: no such commit", shown);
	(void)snprintf(what, sizeof what, "%s^{commit}", name);
	r = git(w, argv, &out, shown);
	if (r == 0 && out.len && out.data[out.len - 1] == '\n')
		out.len--;
	if (r == -EREMOTEIO || (r == 0 && !git_is_sha((struct slice){ out.data, out.len })))
		return err_set(w->e, -ENOENT, "%s: the repository has no such commit", shown);
	if (r < 0)
		return r;
	memcpy(ret, out.data, out.len);
	ret[out.len] = '\0';
	return 0;
}

/* The one commit. Servers that give none by its id, or not without its history, fail here. */
static int fetch_one(struct work *w, const char *url, const struct target *t, const char *shown)
{
	const char *const init[] = { "git", "init", "-q", "--bare", "--template=", ".", NULL };
	const char *const get[] = { "git",
				    "-c",
				    "gc.auto=0",
				    "-c",
				    "maintenance.auto=false",
				    "fetch",
				    "-q",
				    "--depth=1",
				    "--no-tags",
				    "--no-recurse-submodules",
				    "--",
				    url,
				    t->ref ? t->ref : t->sha,
				    NULL };
	char sha[GIT_SHA_MAX + 1];
	int r = git(w, init, NULL, shown);

	if (r == 0)
		r = git(w, get, NULL, shown);
	if (r == 0)
		r = commit_of(w, "FETCH_HEAD", sha, shown);
	if (r == 0 && strcmp(sha, t->sha) != 0)
		r = err_set(w->e, -ENOENT, "%s: the repository has changed meanwhile", shown);
	return r;
}

static int fetch_all(struct work *w, const char *url, const char *committish, struct target *t,
		     const char *shown)
{
	const char *const clone[] = { "git",   "-c", "gc.auto=0", "--no-replace-objects",
				      "clone", "-q", "--mirror",  "--template=",
				      "--",    url,  ".",         NULL };
	int r = git(w, clone, NULL, shown);

	if (r < 0)
		return r;
	return commit_of(w, *t->sha ? t->sha : committish, t->sha, shown);
}

static int copy(struct work *w, const char *url, const char *committish, struct target *t,
		const char *shown)
{
	int r = make_dir(w);

	if (r < 0)
		return r;
	if (*t->sha && fetch_one(w, url, t, shown) == 0)
		return 0;
	drop_dir(w);
	r = make_dir(w);
	return r < 0 ? r : fetch_all(w, url, committish, t, shown);
}

/* ---- package.json ---- */

/* Below the commit, without slashes at the ends. */
static struct slice subdir(const struct spec *s)
{
	struct slice d = s->git_subdir;

	while (d.len && (d.ptr[0] == '/' || (d.len > 1 && d.ptr[0] == '.' && d.ptr[1] == '/'))) {
		d.ptr++;
		d.len--;
	}
	while (d.len && d.ptr[d.len - 1] == '/')
		d.len--;
	return d.len == 1 && d.ptr[0] == '.' ? (struct slice){ 0 } : d;
}

static int show(struct work *w, const char *sha, const char *file, struct buf *out,
		const char *shown)
{
	struct slice d = subdir(w->spec);
	auto_free char *name = NULL;
	const char *argv[] = { "git", "--no-replace-objects", "cat-file", "blob", NULL, NULL };
	int r;

	if (asprintf(&name, "%s:%.*s%s%s", sha, SLICE_FMT(d), d.len ? "/" : "", file) < 0) {
		name = NULL;
		return err_set(w->e, -ENOMEM, "out of memory");
	}
	argv[4] = name;
	r = git(w, argv, out, shown);
	return r == -EREMOTEIO
		       ? err_set(w->e, -ENOENT, "%s: there is no %s in the repository", shown, file)
		       : r;
}

/* A file's path, and the folders on its way. */
static int add_bin(cJSON *mani, const char *folder, char *path, struct err *e)
{
	int r = 0;

	for (char *s = strchr(path, '/'); s && r == 0; s = strchr(s + 1, '/')) {
		*s = '\0';
		r = published_folder_bin(mani, folder, path, e);
		*s = '/';
	}
	return r == 0 ? published_folder_bin(mani, folder, path, e) : r;
}

static int add_folder_bins(struct work *w, const char *sha, cJSON *mani, const char *shown)
{
	auto_arena struct arena a = ARENA_INIT((size_t)1 << 20);
	auto_buf struct buf out = BUF_INIT(TREE_MAX);
	struct slice d = subdir(w->spec);
	const char *folder;
	char *path;
	const char *argv[] = { "git",         "--no-replace-objects", "ls-tree", "-r", "-z",
			       "--name-only", "--full-tree",          NULL,      NULL };
	size_t at = 0, count = 0;
	int r;

	if (!published_has_folder_bins(&a, mani, &folder))
		return 0;
	path = arena_printf(&a, "%s:%.*s%s%s", sha, SLICE_FMT(d), d.len && *folder ? "/" : "",
			    folder);
	if (!path)
		return err_set(w->e, -ENOMEM, "out of memory");
	argv[7] = path;
	r = git(w, argv, &out, shown);
	if (r == -EREMOTEIO)
		return 0; /* there is no such folder */
	buf_add(&out, "", 1);
	r = r < 0 ? r : buf_error(&out);
	for (; r == 0 && at + 1 < out.len; at += strlen((char *)out.data + at) + 1) {
		if (++count > BINS_MAX)
			return err_set(w->e, -E2BIG, "%s: a folder of bins has more than %u", shown,
				       BINS_MAX);
		r = add_bin(mani, folder, (char *)out.data + at, w->e);
	}
	return r;
}

static int read_manifest(struct work *w, const char *sha, cJSON **ret, const char *shown)
{
	auto_buf struct buf text = BUF_INIT(MANIFEST_SIZE_MAX);
	auto_json cJSON *j = NULL;
	int r = show(w, sha, "package.json", &text, shown);

	if (r < 0)
		return r;
	r = json_parse(&j, (struct slice){ text.data, text.len }, w->e);
	if (r == 0 && !cJSON_IsObject(j))
		r = err_set(w->e, -EBADMSG, "its JSON is no object");
	if (r < 0)
		return err_wrap(w->e, r, "%s: package.json", shown);
	r = add_folder_bins(w, sha, j, shown);
	if (r == 0)
		*ret = take(&j);
	return r;
}

/* ---- the whole ---- */

static int from(struct work *w, struct slice address, struct catalog_git *ret)
{
	auto_buf struct buf text = BUF_INIT(GIT_REFS_MAX);
	auto_git_refs struct git_refs refs = { 0 };
	const struct spec *s = w->spec;
	auto_free char *url = strndup((const char *)address.ptr, address.len);
	auto_free char *committish = NULL;
	struct catalog_git made cleanup(catalog_git_release) = { 0 };
	char shown[URL_SHOWN_MAX];
	struct target t = { 0 };
	int r;

	if (s->committish.len)
		committish = strndup((const char *)s->committish.ptr, s->committish.len);
	if (!url || (s->committish.len && !committish))
		return err_set(w->e, -ENOMEM, "out of memory");
	url_shown(url, shown);
	r = check_address(url, shown, w->e);
	if (r == 0 && git_is_sha(s->committish))
		memcpy(t.sha, s->committish.ptr, s->committish.len);
	else if (r == 0)
		r = list_refs(w, url, &text, &refs, shown);
	if (r == 0 && !*t.sha)
		r = choose(w, &refs, committish, shown, &t);
	if (r == 0)
		r = copy(w, url, committish, &t, shown);
	if (r == 0)
		r = read_manifest(w, t.sha, &made.manifest, shown);
	if (r < 0)
		return r;
	made.resolved = resolved(s, t.sha);
	if (!made.resolved)
		return err_set(w->e, -ENOMEM, "out of memory");
	*ret = made;
	made = (struct catalog_git){ 0 };
	return 0;
}

int git_package(const struct spec *s, struct catalog_git *ret, struct err *e)
{
	struct work w = { .spec = s, .e = e };
	bool hosted = s->host != GIT_HOST_NONE;
	int r;

	child_enter();
	r = environment(&w.env);
	if (r == 0)
		r = from(&w, hosted ? s->https : s->fetch, ret);
	/* As npm: with keys, where without it does not go. */
	if (r == -EREMOTEIO && hosted && !s->auth.len) {
		drop_dir(&w);
		r = from(&w, s->ssh, ret);
	}
	drop_dir(&w);
	free(w.env);
	child_leave();
	return r;
}
