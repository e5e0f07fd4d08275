#include "fs/upper_priv.h"

#include <dirent.h>
#include <fcntl.h>

/* Cookies: the lower's as they are, then the upper's names by a hash of theirs, which stays the
 * same while names come and go. The sign bit must be clear: it is an off_t to programs. */
#define COOKIE_UPPER ((uint64_t)1 << 62)
#define SNAP_MAX     ((size_t)1 << 30) /* bytes of one folder's names */

/* ---- the names of a folder of the upper ---- */

void snap_unref(struct snap *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	free(s->entries);
	free(s->names);
	free(s);
}

static uint64_t name_hash(const char *name)
{
	struct hash128 h = hash128(name, strlen(name));
	uint64_t x;

	memcpy(&x, h.b, sizeof x);
	return COOKIE_UPPER | x >> 2;
}

/* By hash; two names of one hash stand together, and a listing that ends between them shows one of
 * them only: once in 2^62 pairs. */
static int entry_cmp(const void *a, const void *b)
{
	const struct snap_entry *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static int add_name(struct snap *s, struct buf *names, size_t *cap, const char *name)
{
	struct snap_entry *grown;

	if (s->count == *cap) {
		size_t more = *cap ? *cap * 2 : 32;

		grown = realloc(s->entries, more * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		s->entries = grown;
		*cap = more;
	}
	s->entries[s->count++] = (struct snap_entry){ name_hash(name), (uint32_t)names->len };
	buf_add(names, name, strlen(name) + 1);
	return buf_error(names);
}

static int read_snap(int dirfd, struct snap **ret)
{
	struct buf names = BUF_INIT(SNAP_MAX);
	struct snap *s = calloc(1, sizeof *s);
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t cap = 0;
	int r = d && s ? 0 : fd < 0 ? -errno : -ENOMEM;

	errno = 0;
	while (r == 0 && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add_name(s, &names, &cap, entry->d_name);
	if (r == 0 && errno)
		r = -errno;
	if (d)
		(void)closedir(d);
	else
		closep(&fd);
	if (r < 0) {
		buf_release(&names);
		if (s)
			free(s->entries);
		free(s);
		return r;
	}
	s->names = (char *)names.data;
	atomic_store(&s->refs, 1);
	if (s->count)
		qsort(s->entries, s->count, sizeof *s->entries, entry_cmp);
	*ret = s;
	return 0;
}

static struct snap *snap_kept(struct upper *u, uint64_t backing)
{
	struct snap *s = NULL;

	(void)pthread_mutex_lock(&u->snaps_mu);
	for (unsigned i = 0; i < SNAPS && !s; i++)
		if (u->snaps[i] && u->snaps[i]->backing == backing)
			s = u->snaps[i];
	if (s)
		(void)atomic_fetch_add(&s->refs, 1);
	(void)pthread_mutex_unlock(&u->snaps_mu);
	return s;
}

/* Unless something changed while it was read. */
static void snap_keep(struct upper *u, struct snap *s, uint64_t changes)
{
	struct snap *old = NULL;

	(void)pthread_mutex_lock(&u->snaps_mu);
	if (atomic_load(&u->changes) == changes) {
		old = u->snaps[u->next_snap];
		u->snaps[u->next_snap] = s;
		u->next_snap = (u->next_snap + 1) % SNAPS;
		(void)atomic_fetch_add(&s->refs, 1);
	}
	(void)pthread_mutex_unlock(&u->snaps_mu);
	snap_unref(old);
}

void upper_changed(struct upper *u, uint64_t backing)
{
	struct snap *old = NULL;

	(void)pthread_mutex_lock(&u->snaps_mu);
	(void)atomic_fetch_add(&u->changes, 1);
	for (unsigned i = 0; i < SNAPS && !old; i++) {
		if (!u->snaps[i] || u->snaps[i]->backing != backing)
			continue;
		old = u->snaps[i];
		u->snaps[i] = NULL;
	}
	(void)pthread_mutex_unlock(&u->snaps_mu);
	snap_unref(old);
}

void upper_changed_all(struct upper *u)
{
	struct snap *old[SNAPS];

	(void)pthread_mutex_lock(&u->snaps_mu);
	(void)atomic_fetch_add(&u->changes, 1);
	memcpy(old, u->snaps, sizeof old);
	memset(u->snaps, 0, sizeof u->snaps);
	(void)pthread_mutex_unlock(&u->snaps_mu);
	for (unsigned i = 0; i < SNAPS; i++)
		snap_unref(old[i]);
}

void upper_changed_fd(struct upper *u, int dirfd)
{
	struct stat st;

	upper_changed(u, fstat(dirfd, &st) == 0 ? st.st_ino : 0);
}

/* NULL in *ret where the upper has no such folder. */
static int snap_get(struct upper_call *c, uint64_t dir, struct spot *s, struct snap **ret)
{
	auto_close int fd = -1;
	uint64_t changes = atomic_load(&c->u->changes);
	int r = spot_open(c, dir, O_PATH | O_DIRECTORY, s, &fd);
	struct stat st;

	*ret = NULL;
	if (r == -ENOENT && s->lower)
		return 0;
	if (r != 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = snap_kept(c->u, st.st_ino);
	if (*ret)
		return 0;
	r = read_snap(fd, ret);
	if (r < 0)
		return r;
	(*ret)->backing = st.st_ino;
	snap_keep(c->u, *ret, changes);
	return 0;
}

static const char *snap_name(const struct snap *s, size_t i)
{
	return s->names + s->entries[i].name;
}

/* The first entry after a hash. */
static size_t snap_after(const struct snap *s, uint64_t hash)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->entries[mid].hash <= hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool snap_has(const struct snap *s, const char *name)
{
	uint64_t h;

	if (!s || s->count == 0)
		return false;
	h = name_hash(name);
	for (size_t i = snap_after(s, h - 1); i < s->count && s->entries[i].hash == h; i++)
		if (strcmp(snap_name(s, i), name) == 0)
			return true;
	return false;
}

/* ---- listing ---- */

struct merger {
	struct upper_call *c;
	uint64_t dir;
	const struct spot *spot;
	const struct snap *snap;
	enum upper_list how;
	bool full;
	upper_emit_fn *fn;
	void *arg;
	int error;
};

static bool emit(struct merger *m, const char *name, const struct child *ch, uint64_t cookie)
{
	bool counted = m->how != UPPER_LIST_PLAIN && (ch->has_up || !ch->low.bare);
	struct upper_entry entry;
	int r = child_entry(m->c, m->dir, name, ch, counted, &entry);

	if (r < 0) {
		m->error = r;
		return false;
	}
	if (m->fn(m->arg, name, &entry, cookie))
		return true;
	if (counted)
		upper_forget(m->c->u, entry.ino, 1);
	m->full = true;
	return false;
}

static bool emit_dots(struct merger *m, const char *name, uint64_t ino, uint64_t cookie)
{
	struct upper_entry entry = { .ino = ino, .st = { .st_ino = ino, .st_mode = S_IFDIR } };

	m->full = !m->fn(m->arg, name, &entry, cookie);
	return !m->full;
}

static bool is_package(const struct merger *m, uint64_t ino)
{
	const struct place *p = view_ino_entry(ino) ? NULL : view_place(m->c->v, ino);

	return p && p->kind == TREE_PACKAGE;
}

/* One name of the lower: what the upper has too comes with the upper's names. */
static bool emit_low(void *arg, struct slice name, const struct view_attr *attr, uint64_t cookie)
{
	struct merger *m = arg;
	struct child ch = { .low = *attr, .has_low = true, .shown = true };
	char text[NAME_MAX + 1];

	if (name.len >= sizeof text)
		return true; /* no path could name it */
	ch.low.bare |=
		m->how == UPPER_LIST_NAMES || (m->how == UPPER_LIST_DIRS && !S_ISDIR(attr->mode));
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return emit_dots(m, text, attr->ino, cookie);
	if (is_package(m, attr->ino)) {
		bool bare = ch.low.bare;
		int r = child_find(m->c, m->spot, text, &ch);

		if (r != 0)
			m->error = r;
		if (r != 0 || !ch.own)
			return r == 0;
		ch.low.bare = bare;
		return emit(m, text, &ch, cookie);
	}
	if (spot_maybe(m->spot) && atomic_load(&m->c->u->gone.count)) {
		m->error = path_join(ch.path, m->spot->path, text);
		if (m->error)
			return false;
		if (gone_has(&m->c->u->gone, ch.path))
			return true;
	}
	return snap_has(m->snap, text) || emit(m, text, &ch, cookie);
}

static int emit_upper(struct merger *m, uint64_t cookie)
{
	size_t i = cookie < COOKIE_UPPER ? 0 : snap_after(m->snap, cookie);

	for (; i < m->snap->count; i++) {
		const char *name = snap_name(m->snap, i);
		struct child ch;
		int r = child_find(m->c, m->spot, name, &ch);

		if (r != 0)
			return r;
		if (ch.own || !ch.has_up)
			continue; /* set aside; or gone since the folder was read */
		if (!emit(m, name, &ch, m->snap->entries[i].hash))
			return m->error;
	}
	return 0;
}

/* ".." of what the upper alone has: where it is now. */
static uint64_t parent_of(struct upper *u, uint64_t ino)
{
	const struct unode *n;
	uint64_t up;

	(void)pthread_mutex_lock(&u->nodes.mu);
	n = nodes_get(&u->nodes, ino);
	up = n && n->parent ? n->parent : ino;
	(void)pthread_mutex_unlock(&u->nodes.mu);
	return up;
}

static int list(struct merger *m, uint64_t cookie)
{
	struct upper_call *c = m->c;
	uint64_t dir = m->dir;
	int r = 0;

	if (m->spot->lower && cookie < COOKIE_UPPER) {
		r = view_list(c->v, m->spot->lower, cookie, emit_low, m, c->ret_wait, c->e);
	} else if (!m->spot->lower) {
		if (cookie < 1)
			(void)emit_dots(m, ".", dir, 1);
		if (cookie < 2 && !m->full)
			(void)emit_dots(m, "..", parent_of(c->u, dir), 2);
	}
	if (r == 0)
		r = m->error;
	return r == 0 && !m->full && m->snap ? emit_upper(m, cookie) : r;
}

int upper_list(struct upper_call *c, uint64_t dir, uint64_t cookie, enum upper_list how,
	       upper_emit_fn *fn, void *arg)
{
	struct snap *snap;
	struct spot s;
	struct merger m = {
		.c = c,
		.dir = dir,
		.spot = &s,
		.how = how,
		.fn = fn,
		.arg = arg,
	};
	int r = snap_get(c, dir, &s, &snap);

	if (r != 0)
		return r;
	m.snap = snap;
	if (!(s.flags & UNODE_ORPHAN))
		r = list(&m, cookie);
	snap_unref(snap);
	return r;
}
