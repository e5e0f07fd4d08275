#include "fs/export.h"

#include "core/buf.h"
#include "core/file.h"
#include "core/thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHUNK      ((size_t)1 << 20) /* bytes read and written at once */
#define DEPTH_MAX  512               /* folders open at once while a failure is cleaned up */
#define PATH_LIMIT (1 << 20)         /* of a folder below a root; npm's trees stay below 4096 */

/* A folder that stands and is to be filled. */
struct folder {
	struct folder *next;
	uint64_t ino;
	char path[]; /* from the root; "" for the root itself */
};

/* One root being written by several threads. */
struct job {
	struct view *view;
	struct export_counts *counts;
	int rootfd;

	pthread_mutex_t mu;
	pthread_cond_t changed;
	/* guarded by mu */
	struct folder *todo; /* the newest first: few wait at once, and their paths are warm */
	unsigned busy;       /* threads that are filling one */
	int result;          /* the first failure, its sentence in e */
	struct err e;
};

struct writer {
	struct job *job;
	const struct folder *folder;
	int dirfd;
	char *buf; /* CHUNK bytes */
	struct err e;
	int r;
};

static int failed(struct writer *w, const char *name, int r)
{
	return err_set(&w->e, r, "%s%s%s: %s", w->folder->path, *w->folder->path ? "/" : "", name,
		       strerror(-r));
}

static int enqueue(struct job *j, const char *parent, const char *name, uint64_t ino)
{
	size_t n = strlen(parent), m = strlen(name);
	struct folder *f;
	char *p;

	if (n + m > PATH_LIMIT)
		return -ENAMETOOLONG;
	f = malloc(sizeof *f + n + m + 2);
	if (!f)
		return -ENOMEM;
	f->ino = ino;
	p = mempcpy(f->path, parent, n);
	if (n > 0)
		*p++ = '/';
	memcpy(p, name, m + 1);
	(void)pthread_mutex_lock(&j->mu);
	f->next = j->todo;
	j->todo = f;
	(void)pthread_cond_signal(&j->changed);
	(void)pthread_mutex_unlock(&j->mu);
	return 0;
}

static int make_dir(struct writer *w, const char *name, const struct view_attr *a)
{
	int r = mkdirat(w->dirfd, name, a->mode & 07777) < 0 ? -errno : 0;

	if (r == 0)
		r = enqueue(w->job, w->folder->path, name, a->ino);
	if (r < 0)
		return failed(w, name, r);
	atomic_fetch_add(&w->job->counts->dirs, 1);
	return 0;
}

static int make_link(struct writer *w, const char *name, const struct view_attr *a)
{
	const char *text;
	int r = view_readlink(w->job->view, a->ino, &text, &w->e);

	if (r < 0)
		return r;
	if (symlinkat(text, w->dirfd, name) < 0)
		return failed(w, name, -errno);
	atomic_fetch_add(&w->job->counts->links, 1);
	return 0;
}

static int copy_bytes(struct writer *w, const char *name, int fd, uint64_t ino)
{
	struct parcel *wait;

	for (uint64_t off = 0;;) {
		ssize_t n = view_read(w->job->view, ino, w->buf, CHUNK, off, &wait, &w->e);
		int r;

		if (n == -EAGAIN)
			return err_set(&w->e, -ENOENT, "%s is not in the store any more",
				       wait->name);
		if (n < 0)
			return w->e.code ? (int)n : failed(w, name, (int)n);
		r = n > 0 ? file_write_all(fd, w->buf, (size_t)n) : 0;
		if (r < 0)
			return failed(w, name, r);
		off += (uint64_t)n;
		atomic_fetch_add(&w->job->counts->bytes, (uint64_t)n);
		if ((size_t)n < CHUNK)
			return 0;
	}
}

static int make_file(struct writer *w, const char *name, const struct view_attr *a)
{
	auto_close int fd =
		openat(w->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       a->mode & 07777);

	if (fd < 0)
		return failed(w, name, -errno);
	atomic_fetch_add(&w->job->counts->files, 1);
	return copy_bytes(w, name, fd, a->ino);
}

static bool emit(void *arg, struct slice name, const struct view_attr *a, uint64_t cookie)
{
	struct writer *w = arg;
	char text[256];

	(void)cookie;
	if ((name.len == 1 && name.ptr[0] == '.') ||
	    (name.len == 2 && memcmp(name.ptr, "..", 2) == 0))
		return true;
	if (name.len >= sizeof text) {
		w->r = err_set(&w->e, -ENAMETOOLONG, "%s: a name in it is too long",
			       w->folder->path);
		return false;
	}
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (S_ISDIR(a->mode))
		w->r = make_dir(w, text, a);
	else if (S_ISLNK(a->mode))
		w->r = make_link(w, text, a);
	else
		w->r = make_file(w, text, a);
	return w->r == 0;
}

/* Is it the root folder of a package, and the first one of that? */
static bool begins_package(const struct view *v, uint64_t ino)
{
	const struct place *p = view_ino_entry(ino) == 0 ? view_place(v, ino) : NULL;

	return p && p->kind == TREE_PACKAGE && p->parcel &&
	       !atomic_exchange(&p->parcel->exported, true);
}

static int fill(struct writer *w)
{
	struct parcel *wait;
	int r;

	if (begins_package(w->job->view, w->folder->ino))
		atomic_fetch_add(&w->job->counts->packages_done, 1);
	w->dirfd = openat(w->job->rootfd, *w->folder->path ? w->folder->path : ".",
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->dirfd < 0)
		return failed(w, "", -errno);
	r = view_list(w->job->view, w->folder->ino, 0, emit, w, &wait, &w->e);
	if (r == 0)
		r = w->r;
	else if (r == VIEW_WAIT)
		r = err_set(&w->e, -ENOENT, "%s is not in the store any more", wait->name);
	closep(&w->dirfd);
	return r;
}

/* The next folder, or NULL when nothing can come any more. */
static struct folder *next_folder(struct job *j)
{
	struct folder *f;

	(void)pthread_mutex_lock(&j->mu);
	while (!j->todo && j->busy > 0 && j->result == 0)
		(void)pthread_cond_wait(&j->changed, &j->mu);
	f = j->result == 0 ? j->todo : NULL;
	if (f) {
		j->todo = f->next;
		j->busy++;
	}
	(void)pthread_mutex_unlock(&j->mu);
	return f;
}

static void folder_done(struct job *j, int r, const struct err *e)
{
	(void)pthread_mutex_lock(&j->mu);
	j->busy--;
	if (r < 0 && j->result == 0) {
		j->result = r;
		j->e = *e;
	}
	if (j->result < 0 || (!j->todo && j->busy == 0))
		(void)pthread_cond_broadcast(&j->changed);
	(void)pthread_mutex_unlock(&j->mu);
}

static void *work(void *arg)
{
	struct job *j = arg;
	struct writer w = { .job = j, .dirfd = -1, .buf = malloc(CHUNK) };
	struct folder *f;

	while ((f = next_folder(j))) {
		w.folder = f;
		w.r = 0;
		folder_done(j, w.buf ? fill(&w) : err_set(&w.e, -ENOMEM, "out of memory"), &w.e);
		free(f);
	}
	free(w.buf);
	return NULL;
}

/* This thread is one of them: it alone must do where no other can be started. */
static void work_together(struct job *j, unsigned threads)
{
	auto_free pthread_t *others = calloc(threads, sizeof *others);
	unsigned n = 0;

	while (others && n + 1 < threads && thread_start(&others[n], work, j, NULL) == 0)
		n++;
	(void)work(j);
	while (n > 0)
		(void)pthread_join(others[--n], NULL);
}

/* ---- a root, whole or not at all ---- */

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)remove(path);
	return 0;
}

/* It may be newer than every directory (lock/render.h says why), so it is touched last. */
static int touch_hidden(int rootfd, struct err *e)
{
	if (utimensat(rootfd, ".package-lock.json", NULL, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != ENOENT)
		return err_set(e, -errno, ".package-lock.json: %s", strerror(errno));
	return 0;
}

static int write_root(struct view *v, uint64_t ino, const char *dir, unsigned threads,
		      struct export_counts *counts, struct err *e)
{
	auto_close int rootfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct job j = { .view = v, .counts = counts, .rootfd = rootfd };

	if (rootfd < 0)
		return err_set(e, -errno, "cannot open %s: %s", dir, strerror(errno));
	(void)pthread_mutex_init(&j.mu, NULL);
	(void)pthread_cond_init(&j.changed, NULL);
	j.result = enqueue(&j, "", "", ino);
	if (j.result == 0)
		work_together(&j, threads);
	else
		(void)err_set(&j.e, j.result, "out of memory");
	while (j.todo) {
		struct folder *f = j.todo;

		j.todo = f->next;
		free(f);
	}
	(void)pthread_mutex_destroy(&j.mu);
	(void)pthread_cond_destroy(&j.changed);
	if (j.result < 0)
		return err_set(e, j.result, "%s", j.e.msg);
	return touch_hidden(rootfd, e);
}

static int taken(const char *to, struct err *e)
{
	return err_set(e, -EEXIST, "%s is there already: move it away first", to);
}

static int move_there(const char *from, const char *to, struct err *e)
{
	int r = rename(from, to) < 0 ? -errno : 0;

	if (r == -ENOTEMPTY || r == -EEXIST || r == -ENOTDIR)
		return taken(to, e);
	return r < 0 ? err_set(e, r, "cannot make %s: %s", to, strerror(-r)) : 0;
}

/* Nothing is copied only to find at its end that it has no place. */
static int look_at_place(const char *to, struct err *e)
{
	DIR *d = opendir(to);
	const struct dirent *entry;
	bool empty = true;

	if (!d)
		return errno == ENOENT ? 0 : taken(to, e);
	while (empty && (entry = readdir(d)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	(void)closedir(d);
	return empty ? 0 : taken(to, e);
}

static int export_root(struct view *v, uint64_t ino, const char *to, unsigned threads,
		       struct export_counts *counts, struct err *e)
{
	const char *slash = strrchr(to, '/');
	auto_free char *temp = NULL;
	struct view_attr a;
	struct parcel *wait;
	int r = view_attr(v, ino, &a, &wait, e);

	if (r < 0)
		return r;
	if (asprintf(&temp, "%.*s/.%s.dxfs-XXXXXX", (int)(slash - to), to, slash + 1) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (!mkdtemp(temp))
		return err_set(e, -errno, "cannot make a folder beside %s: %s", to,
			       strerror(errno));
	r = write_root(v, ino, temp, threads, counts, e);
	if (r == 0 && chmod(temp, a.mode & 07777) < 0)
		r = err_set(e, -errno, "%s: %s", temp, strerror(errno));
	if (r == 0)
		r = move_there(temp, to, e);
	if (r < 0)
		(void)nftw(temp, drop, DEPTH_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return r;
}

/* Where root i of the tree goes. */
static char *place_for(const struct tree *t, uint32_t i, const char *dir)
{
	char *to = NULL;

	if (i == 0)
		return strdup(dir);
	return asprintf(&to, "%.*s/%s", (int)(strrchr(dir, '/') - dir), dir, t->roots[i].path) < 0
		       ? NULL
		       : to;
}

static int each_root(struct view *v, const char *dir,
		     int (*fn)(struct view *v, uint32_t root, const char *to, void *arg,
			       struct err *e),
		     void *arg, struct err *e)
{
	const struct tree *t = view_tree(v);
	int r = 0;

	for (uint32_t i = 0; i < t->root_count && r == 0; i++) {
		auto_free char *to = place_for(t, i, dir);

		r = to ? fn(v, i, to, arg, e) : err_set(e, -ENOMEM, "out of memory");
	}
	return r;
}

static int look(struct view *v, uint32_t root, const char *to, void *arg, struct err *e)
{
	(void)v;
	(void)root;
	(void)arg;
	return look_at_place(to, e);
}

struct writing {
	unsigned threads;
	struct export_counts *counts;
};

static int write_one(struct view *v, uint32_t root, const char *to, void *arg, struct err *e)
{
	const struct writing *w = arg;
	auto_free char *parent = strndup(to, (size_t)(strrchr(to, '/') - to));
	int r = parent ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (r == 0 && root > 0)
		r = mkdir_p(parent, 0755, e);
	return r < 0 ? r : export_root(v, view_root_ino(v, root), to, w->threads, w->counts, e);
}

int export_view(struct view *v, const char *dir, unsigned threads, struct export_counts *counts,
		struct err *e)
{
	struct writing w = { .threads = threads, .counts = counts };
	int r = each_root(v, dir, look, NULL, e);
	size_t packages;

	(void)view_parcels(v, &packages);
	atomic_store(&counts->packages, packages);
	return r < 0 ? r : each_root(v, dir, write_one, &w, e);
}
