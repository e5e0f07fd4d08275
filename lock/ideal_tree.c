#include "lock/ideal_priv.h"

/* npm moves a node by setting its root, and then mends, edge by edge, what led out of the old tree
 * or could lead into the new one. The same is done here, in the same order where it shows. */

/* ---- children ---- */

struct inode *ideal_child(const struct ideal *d, const struct inode *n, const struct iname *name)
{
	if (!n->first_child)
		return NULL;
	return table_get(d->children, (uintptr_t)n, name->fold);
}

static void child_unlink(struct ideal *d, struct inode *n)
{
	struct inode *p = n->parent;

	*(n->prev ? &n->prev->next : &p->first_child) = n->next;
	*(n->next ? &n->next->prev : &p->last_child) = n->prev;
	n->prev = n->next = n->parent = NULL;
	table_remove(d->children, (uintptr_t)p, n->name->fold);
}

static void child_link(struct ideal *d, struct inode *n, struct inode *parent)
{
	void **at = table_at(d->children, (uintptr_t)parent, n->name->fold);

	if (!at) {
		(void)ideal_stick(d, -ENOMEM);
		return;
	}
	*at = n;
	n->parent = parent;
	n->next = NULL;
	n->prev = parent->last_child;
	*(n->prev ? &n->prev->next : &parent->first_child) = n;
	parent->last_child = n;
	n->linked = ++d->links_made;
}

static void fs_unlink(struct inode *n)
{
	struct inode *p = n->fs_parent;

	*(n->fs_prev ? &n->fs_prev->fs_next : &p->first_fs) = n->fs_next;
	*(n->fs_next ? &n->fs_next->fs_prev : &p->last_fs) = n->fs_prev;
	n->fs_prev = n->fs_next = n->fs_parent = NULL;
}

static void fs_link(struct ideal *d, struct inode *n, struct inode *parent)
{
	n->fs_parent = parent;
	n->fs_next = NULL;
	n->fs_prev = parent->last_fs;
	*(n->fs_prev ? &n->fs_prev->fs_next : &parent->first_fs) = n;
	parent->last_fs = n;
	n->linked = ++d->links_made;
}

/* The list of nodes of a name, of the ideal tree alone. */
static void same_link(struct ideal *d, struct inode *n)
{
	if (n->root != d->tree || n->same_prev || n->name->first == n)
		return;
	if (++d->placed > GRAPH_NODES_MAX && !d->error)
		(void)ideal_too_much(d, "they need more places than a lock may have");
	n->same_next = NULL;
	n->same_prev = n->name->last;
	*(n->same_prev ? &n->same_prev->same_next : &n->name->first) = n;
	n->name->last = n;
}

static void same_unlink(struct ideal *d, struct inode *n)
{
	if (!n->same_prev && n->name->first != n)
		return;
	d->placed--;
	*(n->same_prev ? &n->same_prev->same_next : &n->name->first) = n->same_next;
	*(n->same_next ? &n->same_next->same_prev : &n->name->last) = n->same_prev;
	n->same_prev = n->same_next = NULL;
}

struct inode *ideal_resolve(const struct ideal *d, const struct inode *n, const struct iname *name)
{
	for (; n; n = ideal_up(n)) {
		struct inode *found = ideal_child(d, n, name);

		if (found)
			return found;
	}
	return NULL;
}

bool ideal_is_below(const struct inode *n, const struct inode *above)
{
	for (; n; n = ideal_up(n)) {
		if (n == above)
			return true;
	}
	return false;
}

uint32_t ideal_depth(const struct inode *n)
{
	uint32_t depth = 0;

	for (; n->parent; n = n->parent)
		depth++;
	return depth;
}

struct inode *ideal_real(struct inode *n)
{
	return n->flags & I_LINK && n->target ? n->target : n;
}

bool ideal_is_workspace(const struct inode *n)
{
	const struct iedge *edge;

	if (ideal_is_root(n) || !n->pkg->name)
		return false;
	edge = ideal_edge(n->root, n->pkg->name);
	return edge && edge->type == EDGE_WORKSPACE && edge->to &&
	       (edge->to == n || (edge->to->flags & I_LINK && edge->to->target == n));
}

/* ---- edges ---- */

static uint64_t name_bit(const struct iname *name)
{
	return UINT64_C(1) << (name->fold & 63);
}

struct iedge *ideal_edge(const struct inode *n, const struct iname *name)
{
	uint32_t lo = 0, hi = n->edge_bits & name_bit(name) ? n->edge_count : 0;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2, i = n->template->sorted[mid];
		uint32_t fold = n->template->edges[i].name->fold;

		if (fold == name->fold)
			return &n->edges[i];
		if (fold < name->fold)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void in_unlink(struct iedge *edge)
{
	struct inode *to = edge->to;

	*(edge->in_prev ? &edge->in_prev->in_next : &to->in_first) = edge->in_next;
	*(edge->in_next ? &edge->in_next->in_prev : &to->in_last) = edge->in_prev;
	edge->in_prev = edge->in_next = NULL;
}

static void in_link(struct iedge *edge, struct inode *to)
{
	edge->in_next = NULL;
	edge->in_prev = to->in_last;
	*(edge->in_prev ? &edge->in_prev->in_next : &to->in_first) = edge;
	to->in_last = edge;
}

void ideal_edge_reload(struct ideal *d, struct iedge *edge, bool hard)
{
	const struct overrides *old = edge->rule;
	struct inode *to = ideal_resolve(d, edge->from, edge->name), *was = edge->to;
	bool rule_changed = false, linked;

	if (edge->from->rule) {
		const struct overrides *now =
			overrides_rule(edge->from->rule, edge->name->text, edge->spec->text);

		rule_changed = now && now != old;
		if (rule_changed)
			edge->rule = now;
	} else {
		edge->rule = NULL;
	}
	if (to != was) {
		if (was) {
			in_unlink(edge);
			edge->to = NULL;
			if (edge->rule)
				ideal_rule_removed(d, was, edge->rule);
		}
		/* Where it led to its own package, that has reloaded it by now. */
		linked = edge->to == to;
		edge->to = to;
		edge->state = STATE_UNKNOWN;
		if (to) {
			if (!to->rule || to->rule != edge->rule)
				ideal_rule_added(d, to, edge->rule);
			if (!linked)
				in_link(edge, to);
		}
	} else if (hard) {
		edge->state = STATE_UNKNOWN;
	} else if (rule_changed && to) {
		ideal_rule_removed(d, to, old);
		ideal_rule_added(d, to, edge->rule);
	}
}

/* Parents first, then by the order of siblings: npm's walk of the tree. */
static int by_walk(const void *a, const void *b)
{
	const struct inode *x = (*(struct iedge *const *)a)->from;
	const struct inode *y = (*(struct iedge *const *)b)->from;
	uint32_t deep_x = 0, deep_y = 0, deep;

	for (const struct inode *n = x; n; n = ideal_up(n))
		deep_x++;
	for (const struct inode *n = y; n; n = ideal_up(n))
		deep_y++;
	for (deep = deep_x; deep > deep_y; deep--)
		x = ideal_up(x);
	for (deep = deep_y; deep > deep_x; deep--)
		y = ideal_up(y);
	if (x == y)
		return (deep_x > deep_y) - (deep_x < deep_y);
	while (ideal_up(x) != ideal_up(y)) {
		x = ideal_up(x);
		y = ideal_up(y);
	}
	if (!x->parent != !y->parent) /* tops after children */
		return x->parent ? -1 : 1;
	return (x->linked > y->linked) - (x->linked < y->linked);
}

static bool is_stale(const struct ideal *d, const struct iedge *edge, const struct inode *holder)
{
	if (edge->to && !ideal_is_root(holder) && edge->to->parent == holder &&
	    edge->to->name == edge->name)
		return true;
	return ideal_resolve(d, edge->from, edge->name) != edge->to;
}

/* npm's reload of all edges of a name below `holder`, after its child of that name changed. */
static void reload_below(struct ideal *d, const struct inode *holder, const struct iname *name)
{
	uint32_t count = 0;

	for (struct iedge *e = name->folded->edges; e && ideal_work(d, 1); e = e->name_next) {
		const struct inode *from = e->from;

		/* A node whose edges were made anew has others now. */
		if (from->root != holder->root || e < from->edges ||
		    e >= from->edges + from->edge_count || !ideal_is_below(from, holder) ||
		    !is_stale(d, e, holder))
			continue;
		if (count == d->stale_cap) {
			uint32_t cap = d->stale_cap ? d->stale_cap * 2 : 64;
			struct iedge **more = reallocarray(d->stale, cap, sizeof(struct iedge *));

			if (!more) {
				(void)ideal_stick(d, -ENOMEM);
				return;
			}
			d->stale = more;
			d->stale_cap = cap;
		}
		d->stale[count++] = e;
	}
	if (count > 1)
		qsort(d->stale, count, sizeof(struct iedge *), by_walk);
	for (uint32_t i = 0; i < count; i++)
		ideal_edge_reload(d, d->stale[i], true);
}

int ideal_load_edges(struct ideal *d, struct inode *n, const struct itemplate *t)
{
	if (!t)
		return ideal_stick(d, -ENOMEM);
	n->template = t;
	if (t->count == 0)
		return 0;
	n->edges = arena_array(&d->arena, t->count, sizeof *n->edges);
	if (!n->edges)
		return ideal_stick(d, -ENOMEM);
	n->edge_count = t->count;
	for (uint32_t i = 0; i < t->count; i++) {
		n->edge_bits |= name_bit(t->edges[i].name);
		n->edges[i] = (struct iedge){ .name = t->edges[i].name,
					      .spec = t->edges[i].spec,
					      .accept = t->edges[i].accept,
					      .type = t->edges[i].type,
					      .name_next = t->edges[i].name->folded->edges,
					      .from = n };
		t->edges[i].name->folded->edges = &n->edges[i];
	}
	for (uint32_t i = 0; i < t->count; i++) {
		if (n->rule)
			n->edges[i].rule = overrides_rule(n->rule, n->edges[i].name->text,
							  n->edges[i].spec->text);
		ideal_edge_reload(d, &n->edges[i], true);
	}
	return d->error;
}

/* ---- templates ---- */

static bool same_fold(const struct itemplate_edge *e, const struct iname *name)
{
	return e->name->fold == name->fold;
}

static void add_edge(struct itemplate *t, const struct itemplate_edge *edge)
{
	for (uint32_t i = 0; i < t->count; i++) {
		if (!same_fold(&t->edges[i], edge->name))
			continue;
		if (t->edges[i].type == EDGE_WORKSPACE)
			return;
		memmove(&t->edges[i], &t->edges[i + 1], (t->count - i - 1) * sizeof *t->edges);
		t->count--;
		break;
	}
	t->edges[t->count++] = *edge;
}

static struct ispec *accepted(const struct ipkg *pkg, const struct iname *name)
{
	for (uint32_t i = 0; i < pkg->accept_count; i++) {
		if (pkg->accept_names[i] == name)
			return pkg->accepts[i];
	}
	return NULL;
}

static void add_section(struct itemplate *t, const struct ipkg *pkg, enum dep_section section,
			enum edge_type type)
{
	for (uint32_t i = 0; i < pkg->dep_count; i++) {
		const struct idep *dep = &pkg->deps[i];

		if (dep->section != section ||
		    (section == SECTION_PEER && dep->peer_optional != (type == EDGE_PEER_OPTIONAL)))
			continue;
		add_edge(t, &(struct itemplate_edge){ .name = dep->name,
						      .spec = dep->spec,
						      .accept = accepted(pkg, dep->name),
						      .type = (uint8_t)type });
	}
}

static int by_fold(const void *a, const void *b, void *arg)
{
	const struct itemplate_edge *edges = arg;
	uint32_t x = edges[*(const uint32_t *)a].name->fold;
	uint32_t y = edges[*(const uint32_t *)b].name->fold;

	return (x > y) - (x < y);
}

static struct itemplate *make_template(struct ideal *d, const struct ipkg *pkg, bool top,
				       bool workspaces)
{
	struct itemplate *t = arena_alloc(&d->arena, sizeof *t);
	uint32_t most = pkg->dep_count + (workspaces ? d->workspace_count : 0);

	if (t) {
		t->edges = arena_array(&d->arena, most + 1, sizeof *t->edges);
		t->sorted = arena_array(&d->arena, most + 1, sizeof *t->sorted);
	}
	if (!t || !t->edges || !t->sorted)
		return NULL;
	for (uint32_t i = 0; workspaces && i < d->workspace_count; i++) {
		const char *text =
			arena_printf(&d->arena, "file:%s/%s", d->o->dir, d->workspaces[i].path);
		struct ispec *spec = text ? ideal_spec_of(d, text) : NULL;

		if (!spec)
			return NULL;
		add_edge(t, &(struct itemplate_edge){ .name = d->workspaces[i].name,
						      .spec = spec,
						      .type = EDGE_WORKSPACE });
	}
	if (!d->o->legacy_peer_deps) {
		add_section(t, pkg, SECTION_PEER, EDGE_PEER);
		add_section(t, pkg, SECTION_PEER, EDGE_PEER_OPTIONAL);
	}
	add_section(t, pkg, SECTION_PROD, EDGE_PROD);
	add_section(t, pkg, SECTION_OPTIONAL, EDGE_OPTIONAL);
	if (top)
		add_section(t, pkg, SECTION_DEV, EDGE_DEV);
	for (uint32_t i = 0; i < t->count; i++)
		t->sorted[i] = i;
	qsort_r(t->sorted, t->count, sizeof *t->sorted, by_fold, t->edges);
	return t;
}

const struct itemplate *ideal_template(struct ideal *d, struct ipkg *pkg, bool top)
{
	bool is_root = d->tree && pkg == d->tree->pkg;
	struct itemplate **at = top ? &pkg->top : &pkg->nested;

	/* A virtual root of root has its dependencies, but not its workspaces. */
	if (top && is_root && d->tree->template)
		at = &pkg->virtual_root;
	if (!*at)
		*at = make_template(d, pkg, top, at == &pkg->top && is_root);
	return *at;
}

/* ---- nodes and trees ---- */

struct inode *ideal_node(struct ideal *d, struct iname *name, struct ipkg *pkg)
{
	struct inode *n = arena_alloc(&d->arena, sizeof *n);

	if (!n || !name) {
		(void)ideal_stick(d, -ENOMEM);
		return NULL;
	}
	n->root = n;
	n->name = name;
	n->pkg = pkg;
	n->resolved = pkg->resolved;
	n->integrity = pkg->integrity;
	if (pkg->shrinkwrap)
		n->flags |= I_SHRINKWRAP;
	return n;
}

static void set_path(struct ideal *d, struct inode *n, const char *folder)
{
	const char *path = arena_printf(&d->arena, "%s%snode_modules/%s", folder,
					*folder ? "/" : "", n->name->text);

	if (!path) {
		(void)ideal_stick(d, -ENOMEM);
		return;
	}
	if (strlen(path) > GRAPH_PATH_MAX) {
		(void)ideal_stick(d, err_set(d->e, -E2BIG, "%.100s...: nested too deeply", path));
		return;
	}
	n->path = path;
	for (struct inode *c = n->first_child; c; c = c->next)
		set_path(d, c, path);
}

/* Everything below (and n) belongs to `root` now. */
static void mark_root(struct ideal *d, struct inode *n, struct inode *root)
{
	same_unlink(d, n);
	n->root = root;
	same_link(d, n);
	for (struct inode *c = n->first_child; c; c = c->next)
		mark_root(d, c, root);
	for (struct inode *c = n->first_fs; c; c = c->fs_next)
		mark_root(d, c, root);
}

/* Edges between n's tree and others. */
static void mend_edges(struct ideal *d, struct inode *n)
{
	for (struct iedge *edge = n->in_first, *next; edge; edge = next) {
		next = edge->in_next;
		if (edge->from->root != n->root)
			ideal_edge_reload(d, edge, false);
	}
	for (uint32_t i = 0; i < n->edge_count; i++) {
		if (!n->edges[i].to || n->edges[i].to->root != n->root)
			ideal_edge_reload(d, &n->edges[i], false);
	}
	for (struct inode *c = n->first_child; c; c = c->next)
		mend_edges(d, c);
	for (struct inode *c = n->first_fs; c; c = c->fs_next)
		mend_edges(d, c);
}

static void link_forget(struct inode *link)
{
	struct inode **at;

	if (!link->target)
		return;
	for (at = &link->target->first_link; *at != link;)
		at = &(*at)->link_next;
	*at = link->link_next;
	link->link_next = NULL;
	link->target = NULL;
}

void ideal_set_target(struct inode *link, struct inode *target)
{
	link->target = target;
	link->pkg = target->pkg;
	link->link_next = target->first_link;
	target->first_link = link;
}

static void leave(struct ideal *d, struct inode *n)
{
	while (n->first_link)
		link_forget(n->first_link);
	if (n->parent)
		child_unlink(d, n);
	if (n->fs_parent)
		fs_unlink(n);
}

void ideal_remove(struct ideal *d, struct inode *n)
{
	if (n->root == n && !n->parent && !n->fs_parent)
		return;
	leave(d, n);
	link_forget(n);
	n->flags |= I_REMOVED;
	mark_root(d, n, n);
	mend_edges(d, n);
}

static bool path_within(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return n == 0 ? strncmp(path, "../", 3) != 0 && *path
		      : strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* The innermost node of the tree below `n` whose folder contains `path`. */
static struct inode *innermost(struct inode *n, const char *path, const struct inode *but)
{
	for (;;) {
		struct inode *c = n->first_child, *in = NULL;

		for (; c && !in; c = c->next) {
			if (c != but && !(c->flags & I_LINK) && path_within(path, c->path))
				in = c;
		}
		for (c = n->first_fs; c && !in; c = c->fs_next) {
			if (c != but && path_within(path, c->path))
				in = c;
		}
		if (!in)
			return n;
		n = in;
	}
}

static bool is_outside(const char *path)
{
	return strncmp(path, "../", 3) == 0 || strcmp(path, "..") == 0;
}

static struct inode *find_outside(const struct ideal *d, const struct inode *root, const char *path)
{
	struct inode *n = d->outside;

	while (n && !(n->root == root && !(n->flags & I_REMOVED) && strcmp(n->path, path) == 0))
		n = n->next_outside;
	return n;
}

static struct inode *find_top(const struct ideal *d, struct inode *root, const char *path)
{
	struct inode *n = root;

	if (is_outside(path) && !is_outside(root->path))
		return find_outside(d, root, path);
	for (;;) {
		struct inode *c, *in = NULL;

		if (strcmp(n->path, path) == 0)
			return n;
		for (c = n->first_child; c && !in; c = c->next) {
			if (!(c->flags & I_LINK) &&
			    (path_within(path, c->path) || strcmp(path, c->path) == 0))
				in = c;
		}
		for (c = n->first_fs; c && !in; c = c->fs_next) {
			if (path_within(path, c->path) || strcmp(path, c->path) == 0)
				in = c;
		}
		if (!in)
			return NULL;
		n = in;
	}
}

/* Tops that lie in the folder of a new one are its own from now on. */
static void adopt(struct ideal *d, struct inode *n)
{
	for (struct inode *c = n->fs_parent ? n->fs_parent->first_fs : NULL, *next; c; c = next) {
		next = c->fs_next;
		if (c != n && path_within(c->path, n->path)) {
			fs_unlink(c);
			fs_link(d, c, n);
		}
	}
}

static void relink(struct ideal *d, struct inode *n, struct inode *root);

/* Links of the tree that lead to n's place. */
static void find_links(struct ideal *d, struct inode *at, struct inode *n)
{
	if (!ideal_work(d, 1))
		return;
	for (struct inode *c = at->first_child; c; c = c->next) {
		if (c->flags & I_LINK && !c->target && c->resolved &&
		    strcmp(c->resolved, n->path) == 0) {
			ideal_set_target(c, n);
			reload_below(d, at, c->name);
		}
		find_links(d, c, n);
	}
	for (struct inode *c = at->first_fs; c; c = c->fs_next)
		find_links(d, c, n);
}

void ideal_attach_top(struct ideal *d, struct inode *n, struct inode *root)
{
	struct inode *in, *old;

	if (n->root == root && root != n)
		return;
	while (n->first_link)
		link_forget(n->first_link);
	if (n->fs_parent)
		fs_unlink(n);
	old = find_top(d, root, n->path);
	if (old && old != n && old != root)
		ideal_remove(d, old);
	in = innermost(root, n->path, n);
	if (in != root || path_within(n->path, root->path)) {
		fs_link(d, n, in);
		adopt(d, n);
	} else if (!(n->flags & I_OUTSIDE)) {
		n->flags |= I_OUTSIDE;
		n->next_outside = d->outside;
		d->outside = n;
	}
	n->flags &= ~(uint32_t)I_REMOVED;
	mark_root(d, n, root);
	find_links(d, root, n);
	mend_edges(d, n);
}

/* A link that came into a tree: its target is what stands there, else comes along. */
static void relink(struct ideal *d, struct inode *n, struct inode *root)
{
	struct inode *target = n->target, *there;

	if (!target)
		return;
	link_forget(n);
	there = find_top(d, root, target->path);
	if (there) {
		ideal_set_target(n, there);
		return;
	}
	ideal_attach_top(d, target, root);
	if (!n->target)
		ideal_set_target(n, target);
}

void ideal_attach(struct ideal *d, struct inode *n, struct inode *parent)
{
	struct inode *old;

	parent = ideal_real(parent);
	if (n == parent || n->parent == parent)
		return;
	leave(d, n);
	old = ideal_child(d, parent, n->name);
	if (old)
		ideal_remove(d, old);
	set_path(d, n, parent->path);
	child_link(d, n, parent);
	n->flags &= ~(uint32_t)I_REMOVED;
	mark_root(d, n, parent->root);
	if (n->flags & I_LINK)
		relink(d, n, parent->root);
	reload_below(d, parent, n->name);
	mend_edges(d, n);
}

void ideal_replace(struct ideal *d, struct inode *placed, struct inode *old)
{
	struct inode *parent = old->parent;

	if (!(placed->flags & I_LINK)) {
		while (old->first_child) {
			struct inode *kid = old->first_child;

			child_unlink(d, kid);
			child_link(d, kid, placed);
		}
		if (old->flags & I_LINK && old->target)
			ideal_remove(d, old->target);
	}
	ideal_remove(d, old);
	ideal_attach(d, placed, parent);
}
