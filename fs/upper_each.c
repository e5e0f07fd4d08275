#include "fs/upper_care.h"
#include "fs/upper_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>

#define EACH_MEMORY_MAX ((size_t)1 << 30) /* some five million changes */

/* What the lower has at a path. */
enum low { LOW_LACKS, LOW_HAS, LOW_UNKNOWN, LOW_ABOVE /* of a mount: no one's, leads to one */ };

/* What belongs to one package, or (place NULL) lies in tree/. */
struct folder {
	const char *key; /* as in pkg/ */
	const char *place, *version;
	enum low low;
	uint64_t ino; /* in the view, if LOW_HAS */
	bool aside;
};

struct each {
	struct upper *u;
	struct view *v;
	struct arena arena;
	struct folder *folders; /* by key */
	size_t folder_count, folder_cap;
	struct upper_item *items;
	size_t count, cap;
};

static void each_release(struct each *x)
{
	free(x->folders);
	free(x->items);
	arena_release(&x->arena);
}

/* ---- the lower ---- */

static enum low low_of(int r)
{
	return r == 0 ? LOW_HAS : r == -ENOENT || r == -ENOTDIR ? LOW_LACKS : LOW_UNKNOWN;
}

static enum low low_child(const struct each *x, uint64_t dir, struct slice name,
			  struct view_attr *ret)
{
	struct parcel *wait;

	return low_of(view_lookup(x->v, dir, name, ret, &wait, NULL));
}

static enum low low_below(const struct each *x, uint64_t ino, const char *path,
			  struct view_attr *ret)
{
	*ret = (struct view_attr){ .ino = ino, .mode = S_IFDIR };
	while (*path) {
		size_t n = strcspn(path, "/");
		enum low low =
			low_child(x, ret->ino, (struct slice){ (const uint8_t *)path, n }, ret);

		if (low != LOW_HAS)
			return low;
		path += n + (path[n] == '/');
	}
	return LOW_HAS;
}

/* A folder of the project: what is mounted on it, if it is not a folder above such. */
static enum low low_root(const struct each *x, const char *path, uint64_t *ret_ino)
{
	const struct tree *t = view_tree(x->v);
	enum low low = LOW_LACKS;
	size_t len = strlen(path);

	for (uint32_t i = 0; i < t->root_count; i++) {
		const char *root = t->roots[i].path;

		if (strncmp(root, path, len) != 0)
			continue;
		if (root[len] == '/')
			low = LOW_ABOVE;
		if (root[len] != '\0')
			continue;
		*ret_ino = view_root_ino(x->v, i);
		return LOW_HAS;
	}
	return low;
}

/* A path of the project. */
static enum low low_path(const struct each *x, const char *path, struct view_attr *ret)
{
	struct upper_low low;
	int r = x->v ? upper_lower_at(x->v, path, &low) : VIEW_WAIT;

	if (r == 0)
		*ret = low.attr;
	return low_of(r);
}

static const struct place *package_at(const struct each *x, uint64_t ino)
{
	const struct place *p = view_ino_entry(ino) ? NULL : view_place(x->v, ino);

	return p && p->kind == TREE_PACKAGE ? p : NULL;
}

/* ---- packages by their keys ---- */

/* What nobody of ours has written is nobody's. */
static int place_folder(struct each *x, struct folder *f)
{
	struct upper_home home = { 0 };
	struct view_attr attr = { 0 };
	bool known = upper_home(x->u, f->key, &home) == 0;

	f->place = known ? arena_strdup(&x->arena, home.place) : f->key;
	f->version = known ? arena_strdup(&x->arena, home.version) : "";
	f->low = LOW_UNKNOWN;
	f->aside = x->v && !(known && upper_home_shown(x->v, &home, f->key));
	upper_home_release(&home);
	if (!f->place || !f->version)
		return -ENOMEM;
	if (x->v && !f->aside)
		f->low = low_path(x, f->place, &attr);
	if (f->low == LOW_HAS)
		f->ino = attr.ino;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct folder *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static int add_key(struct each *x, const char *key, size_t len)
{
	if (x->folder_count && strlen(x->folders[x->folder_count - 1].key) == len &&
	    strncmp(x->folders[x->folder_count - 1].key, key, len) == 0)
		return 0;
	if (x->folder_count == x->folder_cap) {
		size_t cap = x->folder_cap ? x->folder_cap * 2 : 64;
		struct folder *grown = realloc(x->folders, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		x->folders = grown;
		x->folder_cap = cap;
	}
	x->folders[x->folder_count] = (struct folder){ .key = arena_strndup(&x->arena, key, len) };
	return x->folders[x->folder_count++].key ? 0 : -ENOMEM;
}

static int key_of_line(void *arg, const char *path)
{
	return strncmp(path, "pkg/", 4) == 0 ? add_key(arg, path + 4, strcspn(path + 4, "/")) : 0;
}

static int find_folders(struct each *x, struct err *e)
{
	int fd = openat(x->u->fd, "pkg", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t n = 0;
	int r = 0;

	if (!d)
		closep(&fd);
	while (r == 0 && d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = add_key(x, entry->d_name, strlen(entry->d_name));
	if (d)
		(void)closedir(d);
	if (r == 0)
		r = gone_each(x->u->fd, key_of_line, x, e);
	if (r == 0 && x->folder_count)
		qsort(x->folders, x->folder_count, sizeof *x->folders, by_key);
	for (size_t i = 0; r == 0 && i < x->folder_count; i++) {
		if (n > 0 && strcmp(x->folders[n - 1].key, x->folders[i].key) == 0)
			continue;
		x->folders[n] = x->folders[i];
		r = place_folder(x, &x->folders[n++]);
	}
	x->folder_count = n;
	return r;
}

/* ---- items ---- */

static int add_item(struct each *x, enum upper_kind kind, const struct folder *f, const char *upper,
		    mode_t mode, bool aside)
{
	/* Behind "tree/", or behind the key, whose place stands for it. */
	const char *rest = f->place ? strchr(upper + 4, '/') : upper + 5;
	struct upper_item item = {
		.kind = kind,
		.upper = arena_strdup(&x->arena, upper),
		.type = mode & S_IFMT,
		.place = f->place,
		.version = f->version,
		.aside = aside,
	};

	item.path = f->place ? arena_printf(&x->arena, "%s%s", f->place, rest ? rest : "")
			     : arena_strdup(&x->arena, rest);
	if (x->count == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 256;
		struct upper_item *grown = realloc(x->items, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		x->items = grown;
		x->cap = cap;
	}
	if (!item.path || !item.upper)
		return arena_error(&x->arena);
	x->items[x->count++] = item;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct upper_item *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (r == 0)
		r = (y->kind == UPPER_REMOVED) - (x->kind == UPPER_REMOVED);
	return r ? r : strcmp(x->upper, y->upper);
}

/* ---- what the upper has ---- */

/* Of a directory while it is walked, in fts_pointer. */
enum { WALK_LOW = 3 /* enum low */, WALK_ASIDE = 4, WALK_CHILD = 8 };

static uintptr_t flags_of(const FTSENT *at)
{
	return (uintptr_t)at->fts_pointer;
}

static void set_flags(FTSENT *at, uintptr_t flags)
{
	at->fts_pointer = (void *)flags; /* NOLINT(performance-no-int-to-ptr) */
}

static bool package_gone(const struct each *x, const struct place *package)
{
	char path[4 + NAME_MAX + 1] = "pkg/";

	return upper_key(package, path + 4, NULL) == 0 && gone_has(&x->u->gone, path);
}

/* The lower at an entry, from what its directory is in the lower. */
static enum low low_at(const struct each *x, const struct folder *f, const FTSENT *at,
		       const char *upper, struct view_attr *attr, bool *aside)
{
	uintptr_t up = flags_of(at->fts_parent);
	enum low low = up & WALK_LOW;
	uint64_t ino = 0;

	*aside = up & WALK_ASIDE;
	if (low == LOW_HAS) {
		low = low_child(x, (uint64_t)at->fts_parent->fts_number,
				(struct slice){ (const uint8_t *)at->fts_name, at->fts_namelen },
				attr);
		if (low == LOW_HAS && package_at(x, attr->ino)) {
			/* A package stands there now, whose folder is its own. */
			*aside = !package_gone(x, package_at(x, attr->ino));
			low = *aside ? LOW_UNKNOWN : LOW_LACKS;
		}
	} else if (low == LOW_ABOVE && !f->place) {
		low = low_root(x, upper + 5, &ino);
		if (low == LOW_HAS)
			*attr = (struct view_attr){ .ino = ino, .mode = S_IFDIR };
		*aside = low == LOW_LACKS; /* nothing is mounted there */
		low = low == LOW_LACKS ? LOW_UNKNOWN : low;
	}
	return low;
}

static enum upper_kind kind_of(enum low low)
{
	return low == LOW_HAS ? UPPER_CHANGED : low == LOW_LACKS ? UPPER_ADDED : UPPER_WROTE;
}

static int enter(struct each *x, const struct folder *f, FTSENT *at, const char *upper)
{
	struct view_attr attr = { 0 };
	bool aside, root;
	enum low low = low_at(x, f, at, upper, &attr, &aside);

	at->fts_number = (long)attr.ino;
	set_flags(at, (uintptr_t)low | (aside ? WALK_ASIDE : 0));
	if (low == LOW_ABOVE || low == LOW_UNKNOWN)
		return 0; /* leave() knows whether it is more than a way */
	/* The root folder of a mount has no mode of its own in the view. */
	root = low == LOW_HAS && (flags_of(at->fts_parent) & WALK_LOW) == LOW_ABOVE;
	if (root || (low == LOW_HAS && S_ISDIR(attr.mode) &&
		     (attr.mode & 07777) == (at->fts_statp->st_mode & 07777)))
		return 0;
	return add_item(x, kind_of(low), f, upper, S_IFDIR, aside);
}

static int leave(struct each *x, const struct folder *f, const FTSENT *at, const char *upper)
{
	uintptr_t flags = flags_of(at);

	if ((flags & WALK_LOW) != LOW_UNKNOWN || flags & WALK_CHILD)
		return 0;
	return add_item(x, UPPER_WROTE, f, upper, S_IFDIR, flags & WALK_ASIDE);
}

static int file(struct each *x, const struct folder *f, const FTSENT *at, const char *upper)
{
	struct view_attr attr = { 0 };
	bool aside;
	enum low low = low_at(x, f, at, upper, &attr, &aside);

	return add_item(x, kind_of(low), f, upper, at->fts_statp->st_mode, aside);
}

static int visit(struct each *x, const struct folder *f, FTSENT *at, const char *upper)
{
	uintptr_t top = (uintptr_t)f->low | (f->aside ? WALK_ASIDE : 0);

	if (at->fts_level == 0) {
		at->fts_number = (long)f->ino;
		set_flags(at, top);
		return 0;
	}
	if (at->fts_info != FTS_DP)
		set_flags(at->fts_parent, flags_of(at->fts_parent) | WALK_CHILD);
	switch (at->fts_info) {
	case FTS_D:
		return enter(x, f, at, upper);
	case FTS_DP:
		return leave(x, f, at, upper);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return at->fts_errno == ENOENT ? 0 : -at->fts_errno;
	default:
		return file(x, f, at, upper);
	}
}

static int walk(struct each *x, const struct folder *f)
{
	char path[PATH_MAX], *paths[] = { path, NULL };
	int n = snprintf(path, sizeof path, "/proc/self/fd/%d/", x->u->fd), r = 0;
	FTSENT *at;
	FTS *tree;

	(void)snprintf(path + n, sizeof path - (size_t)n, "%s%s", f->place ? "pkg/" : "tree",
		       f->place ? f->key : "");
	if (f->place && gone_has(&x->u->gone, path + n))
		return 0; /* the package is removed, with all that was changed in it */
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* only `removed` speaks of it */
	tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!tree)
		return -errno;
	while (r == 0 && (at = fts_read(tree)))
		r = visit(x, f, at, at->fts_path + n);
	(void)fts_close(tree);
	return r;
}

/* ---- what is removed ---- */

/* Something above it is removed, which says it all. */
static bool below_gone(struct each *x, const char *path, const char *from)
{
	char above[PATH_MAX];

	for (const char *c = from; (c = strchr(c, '/')); c++) {
		size_t n = (size_t)(c - path);

		if (n >= sizeof above)
			return false;
		memcpy(above, path, n);
		above[n] = '\0';
		if (gone_has(&x->u->gone, above))
			return true;
	}
	return false;
}

static int removed_line(void *arg, const char *path)
{
	static const struct folder tree = { .key = "" };
	struct each *x = arg;
	const struct folder *f = &tree;
	struct view_attr attr = { 0 };
	struct stat st;
	bool dir;
	enum low low;

	/* A line may stand twice, or be taken back by one that the set does not have any more. */
	if (!gone_has(&x->u->gone, path))
		return 0;
	if (strncmp(path, "pkg/", 4) == 0) {
		const char *key = path + 4, *rest = strchr(key, '/');
		struct folder want = { .key = arena_strndup(&x->arena, key, strcspn(key, "/")) };

		f = want.key ? bsearch(&want, x->folders, x->folder_count, sizeof want, by_key)
			     : NULL;
		if (!f)
			return -ENOMEM;
		if (rest && below_gone(x, path, rest))
			return 0;
		low = f->low == LOW_HAS ? low_below(x, f->ino, rest ? rest + 1 : "", &attr)
					: f->low;
	} else if (strncmp(path, "tree/", 5) == 0 && !below_gone(x, path, path + 5)) {
		low = low_path(x, path + 5, &attr);
	} else {
		return 0;
	}
	if (low != LOW_HAS && low != LOW_UNKNOWN)
		return 0;
	dir = low == LOW_UNKNOWN || S_ISDIR(attr.mode);
	if (!(f->place && !strchr(path + 4, '/')) &&
	    fstatat(x->u->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !(dir && S_ISDIR(st.st_mode)))
		return 0; /* changed: walk() told it */
	return add_item(x, UPPER_REMOVED, f, path, 0, f->aside);
}

int upper_each(struct upper *u, struct view *v, upper_item_fn *fn, void *arg, struct err *e)
{
	struct each x cleanup(
		each_release) = { .u = u, .v = v, .arena = ARENA_INIT(EACH_MEMORY_MAX) };
	const struct folder tree = { .low = v ? LOW_ABOVE : LOW_UNKNOWN };
	int r = find_folders(&x, e);

	if (r == 0)
		r = walk(&x, &tree);
	for (size_t i = 0; r == 0 && i < x.folder_count; i++)
		r = walk(&x, &x.folders[i]);
	if (r == 0)
		r = gone_each(u->fd, removed_line, &x, e);
	if (r < 0)
		return err_set(e, r, "%s: cannot be read whole: %s", u->dir, strerror(-r));
	if (x.count)
		qsort(x.items, x.count, sizeof *x.items, by_path);
	for (size_t i = 0; r == 0 && i < x.count; i++) {
		const struct upper_item *item = &x.items[i];

		/* A line that stands twice is told once. */
		if (i > 0 && item->kind == UPPER_REMOVED && item[-1].kind == UPPER_REMOVED &&
		    strcmp(item->upper, item[-1].upper) == 0)
			continue;
		r = fn(arg, item);
	}
	return r;
}

int upper_aside(struct upper *u, struct view *v, upper_aside_fn *fn, void *arg, struct err *e)
{
	struct each x cleanup(
		each_release) = { .u = u, .v = v, .arena = ARENA_INIT(EACH_MEMORY_MAX) };
	int r = find_folders(&x, e);

	if (r < 0)
		return err_set(e, r, "%s: cannot be read: %s", u->dir, strerror(-r));
	for (size_t i = 0; r == 0 && i < x.folder_count; i++)
		if (x.folders[i].aside)
			r = fn(arg, x.folders[i].place, x.folders[i].version);
	return r;
}
