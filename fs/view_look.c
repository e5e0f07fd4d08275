#include "core/log.h"
#include "fs/view_priv.h"

#define DIR_SIZE 4096 /* what st_size says of a directory */

/* Cookies: "." and "..", then the lock's children, then the blob's. Of the lock's the slot, which
 * has a name in every view: numbers of children are others after a relock. */
#define COOKIE_DOT    1
#define COOKIE_DOTDOT 2
#define COOKIE_LOCK   3 /* and the slot, below 2^31 */
#define COOKIE_BLOB   ((uint64_t)1 << 32)

static struct place *place_of(const struct view *v, uint64_t ino)
{
	return (struct place *)places_get(v->places, view_ino_slot(ino));
}

static struct slice name_of(const struct tree_node *n)
{
	return (struct slice){ (const uint8_t *)n->name, n->name_len };
}

static bool is_dir(enum tree_kind kind)
{
	return kind == TREE_DIR || kind == TREE_PACKAGE || kind == TREE_BUNDLED;
}

/* ---- attributes ---- */

struct stat view_stat(const struct view_attr *a, uid_t uid, gid_t gid)
{
	struct timespec time = {
		.tv_sec = a->mtime_ns / 1000000000,
		.tv_nsec = a->mtime_ns % 1000000000,
	};

	return (struct stat){
		.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = 1,
		.st_uid = uid,
		.st_gid = gid,
		.st_size = (off_t)a->size,
		.st_blksize = 4096,
		.st_blocks = S_ISREG(a->mode) ? (blkcnt_t)((a->size + 511) / 512) : 0,
		.st_atim = time,
		.st_mtim = time,
		.st_ctim = time,
	};
}

/* A file may be in the list twice, linked last: the last one up to `entry` says it. */
static enum tree_bin bin_of(const struct place *place, uint32_t entry)
{
	const uint32_t *list = atomic_load(&((struct place *)place)->bin_entries);
	uint32_t lo = 1, hi;

	if (!list)
		return TREE_NO_BIN;
	for (hi = list[0] + 1; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (list[mid] >> 2 <= entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 1 && list[lo - 1] >> 2 == entry ? list[lo - 1] & 3 : TREE_NO_BIN;
}

static void entry_attr(const struct view *v, const struct place *place, const struct dxp_entry *f,
		       uint32_t entry, struct view_attr *ret)
{
	enum tree_bin bin = bin_of(place, entry);

	*ret = (struct view_attr){
		.ino = view_ino(place->slot, entry),
		.mtime_ns = place->time_ns,
	};
	if (f->type == DXP_DIR) {
		ret->mode = tree_dir_mode(&v->places->modes);
		ret->size = DIR_SIZE;
	} else {
		ret->mode = tree_file_mode(&v->places->modes, f->mode, bin);
		ret->size = bin == TREE_LINKED_BIN && f->has_mended ? f->mended_size : f->size;
	}
}

/* Of a slot's entry 0, whatever it is. `node` may be TREE_NONE: a slot of an older view. In a
 * listing nothing is made only to know its size: to render the hidden lockfile takes longer than
 * all else of a mount. */
static int place_attr(struct view *v, struct place *place, uint32_t node, bool listing,
		      struct view_attr *ret, struct err *e)
{
	struct view_attr a = {
		.ino = view_ino(place->slot, 0),
		.mtime_ns = node == TREE_NONE ? place->time_ns : v->nodes[node].mtime_ns,
	};
	struct slice hidden;
	int r;

	if (is_dir(place->kind)) {
		a.mode = tree_dir_mode(&v->places->modes);
		a.size = DIR_SIZE;
	} else if (place->kind == TREE_HIDDEN) {
		a.mode = S_IFREG | (0666 & ~v->places->modes.umask);
		a.bare = listing && !atomic_load(&place->hidden);
		r = a.bare ? 0 : view_hidden(v, place, &hidden, e);
		if (r < 0)
			return r;
		a.size = a.bare ? 0 : hidden.len;
	} else {
		a.mode = S_IFLNK | 0777;
		a.size = strlen(place->text);
	}
	*ret = a;
	return 0;
}

static int node_attr(struct view *v, uint32_t node, bool listing, struct view_attr *ret,
		     struct err *e)
{
	return place_attr(v, v->nodes[node].place, node, listing, ret, e);
}

/* The blob that an id inside a package needs. */
static int open_or_wait(struct view *v, struct place *place, struct pkg **ret,
			struct parcel **ret_wait, struct err *e)
{
	int r;

	parcel_touch(v->places->parcels, place->parcel, false);
	r = place_open(v->places, place, ret, e);
	if (r == -ENOENT || r == -EBADMSG) {
		*ret_wait = place->parcel;
		return VIEW_WAIT;
	}
	return r < 0 ? err_set(e, -EIO, "%s: %s", place->parcel->name,
			       e && e->code ? e->msg : strerror(-r))
		     : 0;
}

int view_attr(struct view *v, uint64_t ino, struct view_attr *ret, struct parcel **ret_wait,
	      struct err *e)
{
	struct place *place = place_of(v, ino);
	uint32_t entry = view_ino_entry(ino);
	struct dxp_entry f;
	struct pkg *pkg;
	int r;

	if (!place)
		return -ESTALE;
	if (entry == 0)
		return place_attr(v, place, view_node_of(v, ino), false, ret, e);
	if (place->kind != TREE_PACKAGE)
		return -ESTALE;
	r = open_or_wait(v, place, &pkg, ret_wait, e);
	if (r)
		return r;
	if (entry >= dxp_count(pkg_dxp(pkg)))
		return -ESTALE;
	dxp_entry(pkg_dxp(pkg), entry, &f);
	entry_attr(v, place, &f, entry, ret);
	return 0;
}

/* ---- what exists ---- */

/* The folder in its backing's blob that fills up a directory; *ret_pkg NULL when the blob is not
 * here, DXP_NONE when it has no such folder. */
static int backing_dir(struct view *v, uint32_t node, struct pkg **ret_pkg, uint32_t *ret_dir,
		       struct err *e)
{
	const struct tree_node *n = &v->tree->nodes[node];
	struct dxp_entry f;
	int r = place_peek(v->places, v->nodes[n->backing].place, ret_pkg, e);

	if (r < 0)
		return r;
	*ret_dir = DXP_NONE;
	if (!*ret_pkg)
		return 0;
	*ret_dir = dxp_lookup(pkg_dxp(*ret_pkg), slice_str(n->sub));
	if (*ret_dir != DXP_NONE) {
		dxp_entry(pkg_dxp(*ret_pkg), *ret_dir, &f);
		if (f.type != DXP_DIR)
			*ret_dir = DXP_NONE;
	}
	return 0;
}

static int bin_exists(struct view *v, uint32_t node, struct err *e)
{
	const struct tree_node *n = &v->tree->nodes[node];
	struct pkg *pkg;
	int r;

	if (n->backing == TREE_NONE)
		return !v->nodes[node].absent;
	r = place_peek(v->places, v->nodes[n->backing].place, &pkg, e);
	if (r < 0)
		return r;
	return !pkg || dxp_lookup(pkg_dxp(pkg), slice_str(n->sub)) != DXP_NONE;
}

/* Depth of recursion: a DIR asks only directories that the lock makes for something below a
 * package that is not there, at most GRAPH_PATH_MAX / 15 levels. */
int view_exists(struct view *v, uint32_t node, struct err *e)
{
	const struct tree_node *n = &v->tree->nodes[node];
	struct pkg *pkg = NULL;
	uint32_t dir = DXP_NONE;
	int r;

	if (n->kind == TREE_GONE)
		return 0;
	if (n->kind == TREE_BIN)
		return bin_exists(v, node, e);
	if ((n->kind != TREE_DIR && n->kind != TREE_BUNDLED) || n->parent == TREE_NONE)
		return 1;
	if (n->backing != TREE_NONE) {
		r = backing_dir(v, node, &pkg, &dir, e);
		if (r < 0)
			return r;
		if (!pkg || dir != DXP_NONE)
			return 1;
	}
	for (uint32_t i = 0; i < n->child_count; i++) {
		r = view_exists(v, v->tree->children[n->first_child + i], e);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- look-up ---- */

static int blob_child(struct view *v, const struct place *place, const struct dxp *dxp,
		      uint32_t dir, struct slice name, struct view_attr *ret)
{
	uint32_t entry = dxp_child(dxp, dir, name);
	struct dxp_entry f;

	if (entry == DXP_NONE)
		return -ENOENT;
	dxp_entry(dxp, entry, &f);
	entry_attr(v, place, &f, entry, ret);
	return 0;
}

/* A name that the lock does not have, in a directory that it does. A directory inside a blob is
 * asked with the blob at hand; the rest is believed (view.h). */
static int lookup_backing(struct view *v, uint32_t node, struct slice name, struct view_attr *ret,
			  struct parcel **ret_wait, struct err *e)
{
	const struct tree_node *n = &v->tree->nodes[node];
	struct place *place;
	struct pkg *pkg;
	uint32_t dir;
	int r;

	if (n->backing == TREE_NONE)
		return -ENOENT;
	place = v->nodes[n->backing].place;
	if (n->kind != TREE_DIR && !slice_eq(name, SLICE("node_modules")))
		parcel_touch(v->places->parcels, place->parcel, false);
	r = backing_dir(v, node, &pkg, &dir, e);
	if (r < 0)
		return r;
	if (pkg)
		return dir == DXP_NONE ? -ENOENT
				       : blob_child(v, place, pkg_dxp(pkg), dir, name, ret);
	if (n->kind == TREE_DIR || slice_eq(name, SLICE("node_modules")))
		return -ENOENT;
	*ret_wait = place->parcel;
	return VIEW_WAIT;
}

static int lookup_node(struct view *v, uint32_t node, struct slice name, struct view_attr *ret,
		       struct parcel **ret_wait, struct err *e)
{
	uint32_t child = tree_child(v->tree, node, name);
	int r;

	if (child == TREE_NONE)
		return lookup_backing(v, node, name, ret, ret_wait, e);
	r = view_exists(v, child, e);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return node_attr(v, child, false, ret, e);
}

/* The folder of a bundled package that this view does not have, for programs that stand in it:
 * what its bundler's blob has there. */
static int open_past(struct view *v, struct place **place, uint32_t *ret_entry,
		     struct pkg **ret_pkg, struct parcel **ret_wait, struct err *e)
{
	struct view_where w;
	int r = view_where(v, view_ino((*place)->slot, 0), &w, ret_wait, e);

	if (r || !w.package)
		return r ? r : -ENOENT;
	*place = (struct place *)w.package;
	r = open_or_wait(v, *place, ret_pkg, ret_wait, e);
	if (r)
		return r;
	*ret_entry = dxp_lookup(pkg_dxp(*ret_pkg), slice_str(w.path));
	return *ret_entry == DXP_NONE ? -ENOENT : 0;
}

int view_lookup(struct view *v, uint64_t dir, struct slice name, struct view_attr *ret,
		struct parcel **ret_wait, struct err *e)
{
	struct place *place = place_of(v, dir);
	uint32_t entry = view_ino_entry(dir), node = view_node_of(v, dir);
	struct pkg *pkg;
	int r;

	if (!place)
		return -ESTALE;
	if (node != TREE_NONE)
		return is_dir(place->kind) ? lookup_node(v, node, name, ret, ret_wait, e)
					   : -ENOTDIR;
	if (place->kind == TREE_BUNDLED) {
		r = open_past(v, &place, &entry, &pkg, ret_wait, e);
	} else if (place->kind != TREE_PACKAGE) {
		return is_dir(place->kind) ? -ENOENT : -ENOTDIR;
	} else {
		r = open_or_wait(v, place, &pkg, ret_wait, e);
	}
	if (r)
		return r;
	if (entry >= dxp_count(pkg_dxp(pkg)))
		return -ESTALE;
	return blob_child(v, place, pkg_dxp(pkg), entry, name, ret);
}

/* ---- listing ---- */

struct lister {
	struct view *v;
	uint64_t cookie; /* entries up to this one have been seen */
	view_emit_fn *fn;
	void *arg;
};

static bool emit_dots(struct lister *l, uint64_t self, uint64_t up)
{
	struct view_attr a = { .ino = self, .mode = S_IFDIR };

	if (l->cookie < COOKIE_DOT && !l->fn(l->arg, SLICE("."), &a, COOKIE_DOT))
		return false;
	a.ino = up;
	return l->cookie >= COOKIE_DOTDOT || l->fn(l->arg, SLICE(".."), &a, COOKIE_DOTDOT);
}

/* The first child after the one that a cookie names, which may be another view's. */
static uint32_t first_after(const struct view *v, const struct tree_node *n, uint64_t cookie)
{
	const uint32_t *children = v->tree->children + n->first_child;
	uint32_t lo = 0, hi = n->child_count;
	const struct place *seen;

	if (cookie < COOKIE_LOCK)
		return 0;
	seen = places_get(v->places, (uint32_t)(cookie - COOKIE_LOCK));
	if (!seen)
		return n->child_count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (slice_cmp(name_of(&v->tree->nodes[children[mid]]), slice_str(seen->name)) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* 1 when there was room for all. */
static int emit_lock(struct lister *l, const struct tree_node *n, struct err *e)
{
	uint32_t i = first_after(l->v, n, l->cookie);

	for (; i < n->child_count; i++) {
		uint32_t child = l->v->tree->children[n->first_child + i];
		struct view_attr a;
		int r = view_exists(l->v, child, e);

		if (r == 0)
			continue;
		if (r > 0)
			r = node_attr(l->v, child, true, &a, e);
		if (r < 0)
			return r;
		if (!l->fn(l->arg, name_of(&l->v->tree->nodes[child]), &a,
			   COOKIE_LOCK + l->v->nodes[child].place->slot))
			return 0;
	}
	return 1;
}

static void emit_blob(struct lister *l, const struct place *place, const struct dxp *dxp,
		      uint32_t dir, uint32_t node)
{
	struct dxp_entry d, f;
	uint64_t i = l->cookie < COOKIE_BLOB ? 0 : l->cookie - COOKIE_BLOB + 1;

	dxp_entry(dxp, dir, &d);
	for (; i < d.children; i++) {
		uint32_t entry = d.first_child + (uint32_t)i;
		struct view_attr a;

		dxp_entry(dxp, entry, &f);
		if (node != TREE_NONE && tree_child(l->v->tree, node, f.name) != TREE_NONE)
			continue; /* the lock's wins */
		entry_attr(l->v, place, &f, entry, &a);
		if (!l->fn(l->arg, f.name, &a, COOKIE_BLOB + i))
			return;
	}
}

static uint64_t up_of(struct view *v, uint32_t node)
{
	uint32_t up = v->tree->nodes[node].parent;

	return view_ino(v->nodes[up == TREE_NONE ? node : up].place->slot, 0);
}

static int list_node(struct lister *l, uint32_t node, struct parcel **ret_wait, struct err *e)
{
	const struct tree_node *n = &l->v->tree->nodes[node];
	struct pkg *pkg = NULL;
	uint32_t dir = DXP_NONE;
	int r = n->backing == TREE_NONE ? 0 : backing_dir(l->v, node, &pkg, &dir, e);

	if (r < 0)
		return r;
	if (n->backing != TREE_NONE && n->kind != TREE_DIR)
		parcel_touch(l->v->places->parcels, l->v->nodes[n->backing].place->parcel, true);
	if (n->backing != TREE_NONE && !pkg && n->kind != TREE_DIR) {
		*ret_wait = l->v->nodes[n->backing].place->parcel;
		return VIEW_WAIT;
	}
	if (!emit_dots(l, view_ino(l->v->nodes[node].place->slot, 0), up_of(l->v, node)))
		return 0;
	r = l->cookie < COOKIE_BLOB ? emit_lock(l, n, e) : 1;
	if (r == 1 && dir != DXP_NONE)
		emit_blob(l, l->v->nodes[n->backing].place, pkg_dxp(pkg), dir, node);
	return r < 0 ? r : 0;
}

/* A directory inside a blob, or a package of an older view. */
static int list_blob(struct lister *l, struct place *place, uint64_t ino, struct parcel **ret_wait,
		     struct err *e)
{
	uint32_t entry = view_ino_entry(ino);
	struct dxp_entry f;
	struct pkg *pkg;
	int r;

	if (place->kind == TREE_BUNDLED) {
		r = open_past(l->v, &place, &entry, &pkg, ret_wait, e);
	} else if (place->kind != TREE_PACKAGE) {
		(void)emit_dots(l, ino, ino);
		return 0;
	} else {
		parcel_touch(l->v->places->parcels, place->parcel, true);
		r = open_or_wait(l->v, place, &pkg, ret_wait, e);
	}
	if (r)
		return r;
	if (entry >= dxp_count(pkg_dxp(pkg)))
		return -ESTALE;
	dxp_entry(pkg_dxp(pkg), entry, &f);
	if (f.type != DXP_DIR)
		return -ENOTDIR;
	if (emit_dots(l, ino, view_ino(place->slot, f.parent)))
		emit_blob(l, place, pkg_dxp(pkg), entry, TREE_NONE);
	return 0;
}

bool view_is_past(const struct view *v, uint64_t dir)
{
	return view_ino_entry(dir) == 0 && place_of(v, dir) && view_node_of(v, dir) == TREE_NONE;
}

int view_list(struct view *v, uint64_t dir, uint64_t cookie, view_emit_fn *fn, void *arg,
	      struct parcel **ret_wait, struct err *e)
{
	struct lister l = { .v = v, .cookie = cookie, .fn = fn, .arg = arg };
	struct place *place = place_of(v, dir);
	uint32_t node = view_node_of(v, dir);

	if (!place)
		return -ESTALE;
	if (!is_dir(place->kind))
		return -ENOTDIR;
	return node == TREE_NONE ? list_blob(&l, place, dir, ret_wait, e)
				 : list_node(&l, node, ret_wait, e);
}

/* ---- content ---- */

int view_readlink(struct view *v, uint64_t ino, const char **ret, struct err *e)
{
	const struct place *place = place_of(v, ino);

	if (!place || view_ino_entry(ino))
		return err_set(e, place ? -EINVAL : -ESTALE, "not a link of this mount");
	if (!place->text)
		return err_set(e, -EINVAL, "not a link");
	*ret = place->text;
	return 0;
}

static ssize_t read_hidden(struct view *v, struct place *place, void *buf, size_t n, uint64_t off,
			   struct err *e)
{
	struct slice bytes;
	int r = view_hidden(v, place, &bytes, e);

	if (r < 0)
		return r;
	if (off >= bytes.len)
		return 0;
	if (n > bytes.len - off)
		n = bytes.len - off;
	memcpy(buf, bytes.ptr + off, n);
	return (ssize_t)n;
}

ssize_t view_read(struct view *v, uint64_t ino, void *buf, size_t n, uint64_t off,
		  struct parcel **ret_wait, struct err *e)
{
	struct place *place = place_of(v, ino);
	uint32_t entry = view_ino_entry(ino);
	struct dxp_entry f;
	struct pkg *pkg;
	ssize_t got;
	int r;

	if (!place)
		return -ESTALE;
	if (place->kind == TREE_HIDDEN && entry == 0)
		return read_hidden(v, place, buf, n, off, e);
	if (place->kind != TREE_PACKAGE)
		return -EISDIR;
	r = open_or_wait(v, place, &pkg, ret_wait, e);
	if (r)
		return r == VIEW_WAIT ? -EAGAIN : r;
	if (entry >= dxp_count(pkg_dxp(pkg)))
		return -ESTALE;
	dxp_entry(pkg_dxp(pkg), entry, &f);
	if (f.type != DXP_FILE)
		return -EISDIR;
	got = pkg_read(pkg, entry,
		       f.has_mended && bin_of(place, entry) == TREE_LINKED_BIN ? DXP_MENDED
									       : DXP_PLAIN,
		       buf, n, off, e);
	if (got != -EBADMSG && got != -ENOENT) /* damaged, or removed under us by gc */
		return got;
	log_warn("%s; it is fetched anew", e->msg);
	parcel_bad(v->places->parcels, place->parcel, pkg);
	*ret_wait = place->parcel;
	return -EAGAIN;
}

static const struct dxp *dxp_here(const struct view *v, uint64_t ino)
{
	const struct place *place = place_of(v, ino);
	struct pkg *pkg;

	if (!place || place->kind != TREE_PACKAGE)
		return NULL;
	pkg = atomic_load(&place->parcel->pkg);
	return pkg && view_ino_entry(ino) < dxp_count(pkg_dxp(pkg)) ? pkg_dxp(pkg) : NULL;
}

uint64_t view_parent(const struct view *v, uint64_t ino)
{
	const struct dxp *dxp = dxp_here(v, ino);
	struct dxp_entry f;

	if (!dxp || view_ino_entry(ino) == 0)
		return 0;
	dxp_entry(dxp, view_ino_entry(ino), &f);
	return view_ino(view_ino_slot(ino), f.parent);
}

bool view_name(const struct view *v, uint64_t ino, struct slice *ret)
{
	const struct dxp *dxp = dxp_here(v, ino);
	struct dxp_entry f;

	if (!dxp || view_ino_entry(ino) == 0)
		return false;
	dxp_entry(dxp, view_ino_entry(ino), &f);
	*ret = f.name;
	return true;
}

bool view_run(const struct view *v, uint64_t dir, uint64_t *ret_first, uint64_t *ret_end)
{
	const struct dxp *dxp = dxp_here(v, dir);
	struct dxp_entry d;

	if (!dxp)
		return false;
	dxp_entry(dxp, view_ino_entry(dir), &d);
	if (d.type != DXP_DIR)
		return false;
	*ret_first = view_ino(view_ino_slot(dir), d.first_child);
	*ret_end = *ret_first + d.children;
	return true;
}
