#include "fs/upper_care.h"
#include "fs/upper_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

/* One thing that the kernel must be told. */
struct news {
	uint64_t root, dir; /* name NULL: of the thing itself */
	char *name;
};

struct resetting {
	struct upper *u;
	struct view *v;
	const char *path; /* NULL: all */
	/* upper paths that go, with all below them; owned */
	char **prefixes;
	size_t count;
	uint64_t items;
	struct news *news;
	size_t news_count, news_cap;
};

static bool below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool goes(const struct resetting *m, const char *upper)
{
	for (size_t i = 0; i < m->count; i++)
		if (below(upper, m->prefixes[i]))
			return true;
	return false;
}

/* ---- what goes ---- */

static int add_prefix(struct resetting *m, const char *fmt, ...) format_printf(2, 3);
static int add_prefix(struct resetting *m, const char *fmt, ...)
{
	char **grown = realloc(m->prefixes, (m->count + 1) * sizeof *grown), *text;
	va_list ap;
	int n;

	if (!grown)
		return -ENOMEM;
	m->prefixes = grown;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->prefixes[i], text) == 0) {
			free(text);
			return 0;
		}
	}
	m->prefixes[m->count++] = text;
	return 0;
}

/* Does the view show any package at this place? */
static bool shows_package(struct view *v, const char *place)
{
	const struct place *p;
	struct upper_low low;

	if (!v || upper_lower_at(v, place, &low) != 0 || view_ino_entry(low.attr.ino))
		return false;
	p = view_place(v, low.attr.ino);
	return p && p->kind == TREE_PACKAGE;
}

/* A folder in pkg/, or one that only `removed` names. */
static int add_home(struct resetting *m, const char *folder)
{
	struct upper_home h;
	int r = upper_home(m->u, folder, &h);
	size_t n;

	if (r < 0)
		return 0; /* not ours */
	n = strlen(h.place);
	if (!below(h.place, m->path) && !below(m->path, h.place))
		r = 0;
	else if (shows_package(m->v, h.place) && !upper_home_shown(m->v, &h, folder))
		r = 0;
	else if (below(h.place, m->path))
		r = add_prefix(m, "pkg/%s", folder);
	else
		r = add_prefix(m, "pkg/%s%s", folder, m->path + n);
	upper_home_release(&h);
	return r;
}

static int add_home_of_line(void *arg, const char *path)
{
	char folder[NAME_MAX + 1];

	return upper_folder_of(path, folder) ? add_home(arg, folder) : 0;
}

static int add_homes(struct resetting *m, struct err *e)
{
	int fd = openat(m->u->fd, "pkg", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = add_home(m, entry->d_name);
	(void)closedir(d);
	return r == 0 ? gone_each(m->u->fd, add_home_of_line, m, e) : r;
}

static int choose(struct resetting *m, struct err *e)
{
	int r;

	if (!m->path) {
		r = add_prefix(m, "tree");
		return r == 0 ? add_prefix(m, "pkg") : r;
	}
	r = add_prefix(m, "tree/%s", m->path);
	return r == 0 ? add_homes(m, e) : r;
}

/* A name in a directory that was removed as a whole cannot come back alone. */
static int check_parents(const struct resetting *m, struct err *e)
{
	char up[PATH_MAX];

	for (size_t i = 0; i < m->count; i++) {
		size_t n = strlen(m->prefixes[i]);

		if (n >= sizeof up)
			continue;
		memcpy(up, m->prefixes[i], n + 1);
		for (char *s = strrchr(up, '/'); s && s - up > 4; s = strrchr(up, '/')) {
			*s = '\0';
			if (gone_has(&m->u->gone, up))
				return err_set(e, -EINVAL,
					       "%.100s lies in a folder that was removed (%.100s); "
					       "reset that",
					       m->path, up);
		}
	}
	return 0;
}

/* ---- what the kernel must be told ---- */

static int add_news(struct resetting *m, uint64_t root, uint64_t dir, const char *name)
{
	struct news *grown;

	if (m->news_count == m->news_cap) {
		size_t more = m->news_cap ? m->news_cap * 2 : 64;

		grown = realloc(m->news, more * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		m->news = grown;
		m->news_cap = more;
	}
	m->news[m->news_count++] =
		(struct news){ .root = root, .dir = dir, .name = name ? strdup(name) : NULL };
	return name && !m->news[m->news_count - 1].name ? -ENOMEM : 0;
}

static int note_item(void *arg, const struct upper_item *item)
{
	struct resetting *m = arg;
	char up[PATH_MAX];
	struct upper_low low;
	char *slash;
	size_t n = strlen(item->path);
	int r = 0;

	if (!goes(m, item->upper))
		return 0;
	m->items++;
	if (!m->v || item->aside || n >= sizeof up)
		return 0;
	memcpy(up, item->path, n + 1);
	if (upper_lower_at(m->v, up, &low) == 0)
		r = add_news(m, low.root, low.attr.ino, NULL);
	slash = strrchr(up, '/');
	if (!slash || r < 0)
		return r;
	*slash = '\0';
	/* in a directory of the upper's own, which goes itself: that is told */
	if (upper_lower_at(m->v, up, &low) != 0)
		return 0;
	r = add_news(m, low.root, low.attr.ino, NULL);
	return r == 0 ? add_news(m, low.root, low.attr.ino, slash + 1) : r;
}

/* Directories that are no items (made to lead somewhere, touched) lose their times. */
static int note_folders(struct resetting *m)
{
	struct upper_low low;
	int r = 0;

	if (!m->v)
		return 0;
	if (m->path)
		return upper_lower_at(m->v, m->path, &low) == 0
			       ? add_news(m, low.root, low.attr.ino, NULL)
			       : 0;
	for (uint32_t i = 0; r == 0 && i < view_tree(m->v)->root_count; i++) {
		uint64_t root = view_root_ino(m->v, i);

		r = add_news(m, root, root, NULL);
	}
	return r;
}

/* What the kernel calls a thing of the lower: all ids by which it may know it. */
static void tell_one(struct resetting *m, const struct news *n, view_change_fn *tell, void *arg)
{
	struct nodes *all = &m->u->nodes;
	uint64_t alias[8];
	unsigned count = 0;

	(void)pthread_mutex_lock(&all->mu);
	for (unsigned i = 0; i < UPPER_NODES && atomic_load(&all->count); i++)
		for (const struct unode *x = all->by_ino[i]; x; x = x->next_ino)
			if ((x->flags & UNODE_ALIAS) && x->lower == n->dir &&
			    count < ARRAY_LEN(alias))
				alias[count++] = x->ino;
	(void)pthread_mutex_unlock(&all->mu);
	tell(arg, n->root, n->dir, n->name, n->name ? strlen(n->name) : 0);
	for (unsigned i = 0; i < count; i++)
		tell(arg, n->root, alias[i], n->name, n->name ? strlen(n->name) : 0);
}

/* ---- doing it ---- */

/* Under the nodes' mutex: does this node lie in what goes? */
static bool node_goes(struct resetting *m, const struct unode *n)
{
	struct upper_call c = { .u = m->u, .v = m->v };
	struct parcel *wait = NULL;
	struct spot s;
	bool r;

	if (!n->name || (n->flags & UNODE_ALIAS))
		return false;
	c.ret_wait = &wait;
	(void)pthread_mutex_unlock(&m->u->nodes.mu);
	r = spot_find_moving(&c, n->ino, &s) == 0 && goes(m, s.path);
	(void)pthread_mutex_lock(&m->u->nodes.mu);
	return r;
}

/* Nodes that the kernel knows become orphans, each with its bytes; nobody else moves names now. */
static int orphan_nodes(struct resetting *m)
{
	struct nodes *all = &m->u->nodes;
	uint64_t *inos = NULL;
	size_t count = 0, total = 0;
	int r = 0;

	(void)pthread_mutex_lock(&all->mu);
	total = atomic_load(&all->count);
	inos = malloc((total + 1) * sizeof *inos);
	for (unsigned i = 0; inos && i < UPPER_NODES; i++)
		for (const struct unode *n = all->by_ino[i]; n && count < total; n = n->next_ino)
			inos[count++] = n->ino;
	for (size_t i = 0; i < count; i++) {
		const struct unode *n = nodes_get(all, inos[i]);

		if (!n || !node_goes(m, n))
			inos[i] = 0;
	}
	(void)pthread_mutex_unlock(&all->mu);
	if (!inos)
		return -ENOMEM;
	/* files first: the way to them leads through the folders */
	for (unsigned dirs = 0; dirs < 2; dirs++)
		for (size_t i = 0; i < count && r == 0; i++)
			if (inos[i])
				r = upper_orphan_by_id(m->u, m->v, inos[i], dirs);
	free(inos);
	return r;
}

static bool keep_line(void *arg, const char *path)
{
	return !goes(arg, path);
}

/* Out of sight at once, all that is under one prefix. */
static int bury(struct resetting *m, const char *path)
{
	const char *name;
	auto_close int dir = -1;
	int r;

	if (!strchr(path, '/')) { /* tree or pkg: the folder itself stays */
		r = upper_bury(m->u, m->u->fd, path, 0);
		if (r == 0 && mkdirat(m->u->fd, path, 0700) < 0)
			r = -errno;
		return r;
	}
	dir = upper_open_parent(m->u, path, &name);
	r = dir < 0 ? dir : upper_bury(m->u, dir, name, 0);
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? 0 : r;
}

static int carry_out(struct resetting *m, struct err *e)
{
	int r;

	nodes_moving(&m->u->nodes);
	r = orphan_nodes(m);
	for (size_t i = 0; i < m->count && r == 0; i++)
		r = bury(m, m->prefixes[i]);
	if (r == 0)
		r = gone_filter(&m->u->gone, m->u->fd, keep_line, m, e);
	upper_forget_files(m->u);
	nodes_moved(&m->u->nodes);
	if (r < 0 && !(e && e->code))
		err_set(e, r, "cannot take it back in %s: %s", m->u->dir, strerror(-r));
	return r;
}

int upper_reset(struct upper *u, struct view *v, const char *path, view_change_fn *tell, void *arg,
		uint64_t *ret_count, struct err *e)
{
	struct resetting m = { .u = u, .v = v, .path = path };
	struct err plain = { 0 };
	int r;

	e = e ? e : &plain;
	r = choose(&m, e);
	if (r == 0)
		r = check_parents(&m, e);
	if (r == 0)
		r = upper_each(u, v, note_item, &m, e);
	if (r == 0)
		r = note_folders(&m);
	if (r < 0 && !e->code)
		err_set(e, r, "cannot look through %s: %s", u->dir, strerror(-r));
	if (r == 0 && m.path && m.items == 0)
		r = err_set(e, -ENOENT, "%.200s: nothing was changed there", path);
	if (r == 0)
		r = carry_out(&m, e);
	for (size_t i = 0; i < m.news_count; i++) {
		if (r == 0 && tell)
			tell_one(&m, &m.news[i], tell, arg);
		free(m.news[i].name);
	}
	if (r == 0) {
		upper_empty(u->fd, "orphans", "x"); /* what was buried and nobody has open */
		*ret_count = m.items;
	}
	for (size_t i = 0; i < m.count; i++)
		free(m.prefixes[i]);
	free(m.prefixes);
	free(m.news);
	return r;
}
