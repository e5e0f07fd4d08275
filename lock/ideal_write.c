#include "lock/graph_priv.h"
#include "lock/ideal_priv.h"

/* The tree as a package-lock.json (npm's Shrinkwrap.metaFromNode()). */

struct writer {
	struct ideal *d;
	struct buf *b;
	const struct graph *without;
	bool more;
};

static void put_key(struct buf *b, const char *key)
{
	if (b->len && b->data[b->len - 1] != '{')
		buf_addstr(b, ",");
	json_put_str(b, key);
	buf_addstr(b, ":");
}

static void put_str(struct buf *b, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	put_key(b, key);
	json_put_str(b, value);
}

static void put_section(struct buf *b, const char *key, const struct ipkg *pkg,
			enum dep_section section)
{
	bool any = false;

	for (uint32_t i = 0; i < pkg->dep_count; i++) {
		if (pkg->deps[i].section != section)
			continue;
		if (!any) {
			put_key(b, key);
			buf_addstr(b, "{");
		}
		put_key(b, pkg->deps[i].name->text);
		json_put_str(b, pkg->deps[i].spec->text);
		any = true;
	}
	if (any)
		buf_addstr(b, "}");
}

/* Does every edge into n ask a registry? Then npm's setting may hide where it came from. */
static bool is_registry(struct ideal *d, const struct inode *n)
{
	for (const struct iedge *e = n->in_first; e; e = e->in_next) {
		const struct ispec *s = ideal_spec(d, e);

		if (!s->good || s->type > SPEC_TAG)
			return false;
	}
	return n->in_first != NULL;
}

static const char *resolved_of(struct writer *w, const struct inode *n)
{
	const char *way;

	if (!n->resolved || (w->d->o->omit_resolved && is_registry(w->d, n)))
		return NULL;
	if (strncmp(n->resolved, "file:/", 6) != 0)
		return n->resolved;
	way = spec_way(w->d->o->dir, slice_str(n->resolved + 5), &w->d->arena);
	return way ? arena_printf(&w->d->arena, "file:%s", way) : NULL;
}

static bool needs_name(const struct ideal *d, const struct inode *n)
{
	const char *name = n->pkg->name ? n->pkg->name->text : NULL;

	return name && (n == d->tree || strcmp(name, n->name->text) != 0 ||
			strcmp(graph_folder_name(n->path), name) != 0);
}

static void put_entry(struct writer *w, const struct inode *n)
{
	struct buf *b = w->b;
	const struct ipkg *pkg = n->pkg;

	if (needs_name(w->d, n))
		put_str(b, "name", pkg->name->text);
	put_str(b, "version", pkg->version);
	put_str(b, "resolved", resolved_of(w, n));
	put_str(b, "integrity", n->integrity);
	put_section(b, "dependencies", pkg, SECTION_PROD);
	put_section(b, "optionalDependencies", pkg, SECTION_OPTIONAL);
	put_section(b, "peerDependencies", pkg, SECTION_PEER);
	if (ideal_is_top(n))
		put_section(b, "devDependencies", pkg, SECTION_DEV);
	if (ideal_is_top(n) && pkg->empty_dev) {
		put_key(b, "devDependencies");
		buf_addstr(b, "{}");
	}
	if (n->flags & I_SHRINKWRAP) {
		put_key(b, "hasShrinkwrap");
		buf_addstr(b, "true");
	}
	if (w->d->bundles && ideal_bundler(w->d, (struct inode *)n)) {
		put_key(b, "inBundle");
		buf_addstr(b, "true");
	}
	if (strlen(pkg->rest) > 2) {
		if (b->data && b->data[b->len - 1] != '{')
			buf_addstr(b, ",");
		buf_add(b, pkg->rest + 1, strlen(pkg->rest) - 2);
	}
}

static bool is_left_out(const struct writer *w, const struct inode *n)
{
	uint32_t i = w->without ? graph_find(w->without, n->path) : GRAPH_NONE;

	return n->flags & I_FAILED ||
	       (i != GRAPH_NONE && w->without->nodes[i].flags & NODE_EXTRANEOUS);
}

static void put_node(struct writer *w, const struct inode *n)
{
	if (is_left_out(w, n))
		return;
	put_key(w->b, n->path);
	buf_addstr(w->b, "{");
	if (n->flags & I_LINK) {
		put_key(w->b, "resolved");
		json_put_str(w->b, n->target ? n->target->path : n->resolved);
		put_key(w->b, "link");
		buf_addstr(w->b, "true");
	} else {
		put_entry(w, n);
	}
	buf_addstr(w->b, "}");
	/* A folder outside the project stands below nothing. */
	if (n->flags & I_LINK && n->target && !ideal_up(n->target) && n->target != w->d->tree &&
	    n->target->first_link == n)
		put_node(w, n->target);
	for (const struct inode *c = n->first_child; c; c = c->next)
		put_node(w, c);
	for (const struct inode *c = n->first_fs; c; c = c->fs_next)
		put_node(w, c);
}

int ideal_write(struct ideal *d, const struct graph *without, struct buf *ret)
{
	struct writer w = { .d = d, .b = ret, .without = without };
	const struct ipkg *root = d->tree->pkg;
	int r;

	buf_addstr(ret, "{");
	put_str(ret, "name", root->name ? root->name->text : d->tree->name->text);
	put_str(ret, "version", root->version);
	put_key(ret, "lockfileVersion");
	buf_addstr(ret, "3");
	put_key(ret, "requires");
	buf_addstr(ret, "true");
	put_key(ret, "packages");
	buf_addstr(ret, "{");
	put_node(&w, d->tree);
	buf_addstr(ret, "}}");
	r = buf_error(ret);
	return r < 0 ? err_set(d->e, r, "no memory for the lock") : d->error;
}
