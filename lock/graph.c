#include "core/hash.h"
#include "lock/graph_priv.h"

/* Bytes of one graph: a lock at NPMLOCK_SIZE_MAX makes about as much, twice. */
#define GRAPH_MEMORY_MAX ((size_t)1 << 30)

#define FNV_PRIME UINT64_C(0x100000001b3)
#define NM        "node_modules"
#define NM_LEN    (sizeof NM - 1)

struct graph *graph_new(void)
{
	struct graph *g = calloc(1, sizeof *g);

	if (g)
		g->arena = (struct arena)ARENA_INIT(GRAPH_MEMORY_MAX);
	return g;
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	arena_release(&g->arena);
	free(g);
}

/* FNV-1a, because the hash of a path goes on from the hash of the folder it lies in; it begins with
 * hash_seed(). */
static uint64_t hash_more(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * FNV_PRIME;
	return h;
}

static uint32_t spread(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static uint64_t child_hash(uint32_t parent, uint64_t name_hash)
{
	return name_hash ^ ((uint64_t)parent + 1) * UINT64_C(0xd6e8feb86659fd93);
}

static uint32_t find_hashed(const struct graph *g, const char *path, size_t len, uint64_t h)
{
	if (!g->by_path)
		return GRAPH_NONE;
	for (uint32_t at = spread(h) & g->table_mask;; at = (at + 1) & g->table_mask) {
		uint32_t i = g->by_path[at];

		if (i == GRAPH_NONE)
			return GRAPH_NONE;
		if (g->path_hash[i] == h && strncmp(g->nodes[i].path, path, len) == 0 &&
		    g->nodes[i].path[len] == '\0')
			return i;
	}
}

uint32_t graph_find(const struct graph *g, const char *path)
{
	size_t len = strlen(path);

	return find_hashed(g, path, len, hash_more(hash_seed(), path, len));
}

static uint32_t child_hashed(const struct graph *g, uint32_t node, const char *name, uint64_t h)
{
	for (uint32_t at = spread(child_hash(node, h)) & g->table_mask;;
	     at = (at + 1) & g->table_mask) {
		uint32_t i = g->by_child[at];

		if (i == GRAPH_NONE)
			return GRAPH_NONE;
		if (g->nodes[i].parent == node && strcmp(g->nodes[i].name, name) == 0)
			return i;
	}
}

uint32_t graph_child(const struct graph *g, uint32_t node, const char *name)
{
	return child_hashed(g, node, name, hash_more(hash_seed(), name, strlen(name)));
}

uint32_t graph_resolve(const struct graph *g, uint32_t node, const char *name)
{
	uint64_t h = hash_more(hash_seed(), name, strlen(name));

	while (node != GRAPH_NONE) {
		const struct graph_node *n = &g->nodes[node];
		uint32_t found = child_hashed(g, node, name, h);

		if (found != GRAPH_NONE)
			return found;
		node = n->parent != GRAPH_NONE ? n->parent : n->fs_parent;
	}
	return GRAPH_NONE;
}

/* Is this segment the folder node_modules? */
static bool is_nm(const char *s, size_t len)
{
	return len == NM_LEN && memcmp(s, NM, NM_LEN) == 0;
}

static int bad_path(struct err *e, const char *path, const char *why)
{
	return err_set(e, -EINVAL,
		       "the lock's entry \"%.120s\" %s; make the lock anew with `npm install`",
		       path, why);
}

static int check_segment(const char *path, const char *s, size_t len, bool in_nm, bool leading,
			 struct err *e)
{
	if (len == 0)
		return bad_path(e, path,
				path[0] == '/' ? "is an absolute path"
					       : "has an empty part between slashes");
	if (len > GRAPH_NAME_MAX)
		return bad_path(e, path, "has a name of more than 255 bytes");
	if (len == 2 && s[0] == '.' && s[1] == '.') {
		if (leading)
			return 0;
		return bad_path(e, path, "climbs out of its folder with \"..\"");
	}
	if (len == 1 && s[0] == '.')
		return bad_path(e, path, "has a \".\" in its path");
	if (in_nm && s[0] == '.')
		return bad_path(e, path, "has a package name that starts with a dot");
	if (in_nm && is_nm(s, len))
		return bad_path(e, path, "has a package named node_modules");
	return 0;
}

/* Clean, relative, ".." only in front, and names that can be folders in a node_modules. */
int graph_check_path(const char *path, struct err *e)
{
	size_t len = strlen(path);
	bool after_nm = false, after_scope = false, leading = true;

	if (len > GRAPH_PATH_MAX)
		return bad_path(e, path, "is longer than 4096 bytes");
	for (const char *s = path;;) {
		const char *end = strchrnul(s, '/');
		size_t n = (size_t)(end - s);
		int r = check_segment(path, s, n, after_nm || after_scope, leading, e);

		if (r < 0)
			return r;
		leading = leading && n == 2 && s[0] == '.' && s[1] == '.';
		after_scope = after_nm && s[0] == '@';
		after_nm = !after_scope && !after_nm && is_nm(s, n);
		if (*end == '\0')
			break;
		s = end + 1;
	}
	if (after_nm)
		return bad_path(e, path, "ends in node_modules and names no package");
	if (after_scope)
		return bad_path(e, path, "names a scope and no package");
	if (leading)
		return bad_path(e, path, "is a folder above the project, not a package");
	return 0;
}

/* The package name in "<holder>/node_modules/<name>" and the length of <holder>; NULL when the
 * path is none of that form. The path is clean. */
static const char *name_in_path(const char *path, size_t *ret_holder)
{
	size_t len = strlen(path), at = len;
	const char *name = NULL, *second;

	/* The last segment, or the last two when the first of them is a scope. */
	for (int k = 0; k < 2 && at > 0; k++) {
		const char *slash = memrchr(path, '/', at);

		if (!slash)
			return NULL;
		name = slash + 1;
		at = (size_t)(slash - path);
		second = memrchr(path, '/', at);
		second = second ? second + 1 : path;
		if (is_nm(second, (size_t)(path + at - second))) {
			if ((k == 1) != (name[0] == '@'))
				return NULL;
			*ret_holder = second > path ? (size_t)(second - path) - 1 : 0;
			return name;
		}
	}
	return NULL;
}

bool graph_is_installed(const char *path)
{
	char text[GRAPH_PATH_MAX + 1];
	size_t len = strlen(path);

	if (len > GRAPH_PATH_MAX || graph_check_path(path, NULL) < 0)
		return false;
	memcpy(text, path, len + 1);
	do {
		if (!name_in_path(text, &len))
			return false;
		text[len] = '\0';
	} while (len);
	return true;
}

const char *graph_folder_name(const char *path)
{
	const char *last = strrchr(path, '/');
	const char *above;

	if (!last)
		return path;
	above = memrchr(path, '/', (size_t)(last - path));
	above = above ? above + 1 : path;
	return above[0] == '@' ? above : last + 1;
}

static void put_in(uint32_t *table, uint32_t mask, uint64_t h, uint32_t i)
{
	uint32_t at = spread(h) & mask;

	while (table[at] != GRAPH_NONE)
		at = (at + 1) & mask;
	table[at] = i;
}

static int make_tables(struct graph *g, struct err *e)
{
	uint32_t size = 16;

	while (size < g->count * 2)
		size *= 2;
	g->path_hash = arena_array(&g->arena, g->count, sizeof *g->path_hash);
	g->by_path = arena_array(&g->arena, size, sizeof *g->by_path);
	g->by_child = arena_array(&g->arena, size, sizeof *g->by_child);
	if (!g->path_hash || !g->by_path || !g->by_child)
		return err_set(e, arena_error(&g->arena), "no memory for the lock's %u entries",
			       g->count);
	memset(g->by_path, 0xff, size * sizeof *g->by_path);
	memset(g->by_child, 0xff, size * sizeof *g->by_child);
	g->table_mask = size - 1;
	return 0;
}

static int index_paths(struct graph *g, struct err *e)
{
	int r;

	for (uint32_t i = 0; i < g->count; i++) {
		const char *path = g->nodes[i].path;
		size_t len = strlen(path);
		uint64_t h = hash_more(hash_seed(), path, len);

		if (i > 0) {
			r = *path ? graph_check_path(path, e)
				  : err_set(e, -EINVAL, "the lock has two entries for the root");
			if (r < 0)
				return r;
		}
		if (find_hashed(g, path, len, h) != GRAPH_NONE)
			return bad_path(e, path, "stands there twice");
		g->path_hash[i] = h;
		put_in(g->by_path, g->table_mask, h, i);
	}
	return 0;
}

/* The innermost node that is no link and whose folder contains `path`. One pass: the hash of
 * every folder on the way is a state of the hash of the path. */
static uint32_t containing(const struct graph *g, const char *path)
{
	uint64_t h = hash_seed();
	uint32_t best = strncmp(path, "../", 3) == 0 ? GRAPH_NONE : 0;

	for (size_t i = 0; path[i]; i++) {
		if (path[i] == '/') {
			uint32_t found = find_hashed(g, path, i, h);

			if (found != GRAPH_NONE && !(g->nodes[found].flags & NODE_LINK))
				best = found;
		}
		h = hash_more(h, path + i, 1);
	}
	return best;
}

static void place(struct graph *g, uint32_t i)
{
	struct graph_node *n = &g->nodes[i];
	size_t holder = 0;
	const char *name = i ? name_in_path(n->path, &holder) : NULL;
	uint32_t parent = GRAPH_NONE;

	n->parent = n->fs_parent = n->link_target = GRAPH_NONE;
	n->flags &= ~(uint32_t)NODE_TOP;
	if (name) {
		parent = find_hashed(g, n->path, holder, hash_more(hash_seed(), n->path, holder));
		if (parent != GRAPH_NONE && g->nodes[parent].flags & NODE_LINK)
			parent = GRAPH_NONE;
	}
	if (parent != GRAPH_NONE) {
		n->parent = parent;
		n->name = name;
		put_in(g->by_child, g->table_mask,
		       child_hash(parent, hash_more(hash_seed(), name, strlen(name))), i);
	} else {
		n->flags |= NODE_TOP;
		if (i)
			n->fs_parent = containing(g, n->path);
		n->name = n->pkg_name ? n->pkg_name : graph_folder_name(n->path);
	}
	if (!n->pkg_name && i)
		n->pkg_name = n->name;
}

void graph_clean_path(const char *from, char *out)
{
	size_t len = 0, fixed = 0; /* out[0 .. fixed) are "../"s that stay */

	for (const char *s = from; *s;) {
		const char *end = strchrnul(s, '/');
		size_t n = (size_t)(end - s);
		bool up = n == 2 && s[0] == '.' && s[1] == '.';

		if (up && len > fixed) {
			len--; /* the slash */
			while (len > fixed && out[len - 1] != '/')
				len--;
		} else if (n > 0 && !(n == 1 && s[0] == '.')) {
			memcpy(out + len, s, n);
			len += n;
			out[len++] = '/';
			if (up)
				fixed = len;
		}
		s = *end ? end + 1 : end;
	}
	out[len ? len - 1 : 0] = '\0';
}

static int find_target(struct graph *g, uint32_t i, struct err *e)
{
	struct graph_node *n = &g->nodes[i];
	char path[GRAPH_PATH_MAX + 2];
	uint32_t t;

	if (n->flags & NODE_TOP)
		return bad_path(e, n->path, "is a link, but stands in no node_modules");
	if (!n->resolved)
		return bad_path(e, n->path, "is a link that does not say to what (\"resolved\")");
	if (n->resolved[0] == '/' || strlen(n->resolved) > GRAPH_PATH_MAX)
		return bad_path(e, n->path, "is a link to an absolute or overlong path");
	graph_clean_path(n->resolved, path);
	t = graph_find(g, path);
	if (t == GRAPH_NONE)
		return err_set(e, -EINVAL,
			       "the lock's entry \"%.60s\" links to \"%.60s\", which the lock does "
			       "not have (EMISSINGTARGET); make it anew with `npm install`",
			       n->path, path);
	if (g->nodes[t].flags & NODE_LINK)
		return bad_path(e, n->path, "is a link to another link");
	n->link_target = t;
	return 0;
}

int graph_index(struct graph *g, struct err *e)
{
	int r;

	if (g->count == 0 || g->nodes[0].path[0] != '\0')
		return err_set(e, -EINVAL, "the lock has no entry for the root");
	if (g->count > GRAPH_NODES_MAX)
		return err_set(e, -E2BIG, "the lock has %u entries, more than the limit of %u",
			       g->count, GRAPH_NODES_MAX);
	r = make_tables(g, e);
	if (r < 0)
		return r;
	r = index_paths(g, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < g->count; i++)
		place(g, i);
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].flags & NODE_LINK) {
			r = find_target(g, i, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int graph_index_placed(struct graph *g, const uint32_t *order, struct err *e)
{
	int r = make_tables(g, e);

	if (r < 0)
		return r;
	for (uint32_t k = 0; k < g->count; k++) {
		uint32_t i = order[k];
		const struct graph_node *n = &g->nodes[i];
		uint64_t name;

		if (n->parent == GRAPH_NONE) {
			g->path_hash[i] = hash_more(hash_seed(), n->path, strlen(n->path));
		} else {
			uint64_t h = g->path_hash[n->parent];

			name = hash_more(hash_seed(), n->name, strlen(n->name));
			put_in(g->by_child, g->table_mask, child_hash(n->parent, name), i);
			if (g->nodes[n->parent].path[0])
				h = hash_more(h, "/", 1);
			h = hash_more(h, NM "/", NM_LEN + 1);
			g->path_hash[i] = hash_more(h, n->name, strlen(n->name));
			put_in(g->by_path, g->table_mask, g->path_hash[i], i);
		}
	}
	/* Only a top can stand where another node stands too. */
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->nodes[i].parent != GRAPH_NONE)
			continue;
		if (graph_find(g, g->nodes[i].path) != GRAPH_NONE)
			return err_set(e, -EBADMSG,
				       "the lock's entry \"%.120s\" stands there twice",
				       g->nodes[i].path);
		put_in(g->by_path, g->table_mask, g->path_hash[i], i);
	}
	return 0;
}

/* What has no integrity is known by what the lock says of it. The parts are kept apart by NULs,
 * which no string of a lock contains. */
static int unpinned_key(const struct graph_node *n, struct digest *ret, struct err *e)
{
	const char *parts[] = { "package", n->resolved ? n->resolved : "", n->pkg_name,
				n->version ? n->version : "" };
	auto_buf struct buf b = BUF_INIT((size_t)1 << 20);
	struct digest d;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_add(&b, parts[i], strlen(parts[i]) + 1);
	r = buf_error(&b);
	if (r == 0)
		r = digest_of(&d, DIGEST_SHA512, b.data, b.len);
	if (r < 0)
		return err_set(e, r, "%.100s: no key could be made of it", n->path);
	d.alg = DIGEST_UNPINNED;
	*ret = d;
	return 0;
}

int graph_node_key(const struct graph_node *n, struct digest *ret, struct err *e)
{
	struct sri sri;
	int r;

	if (n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE)) {
		*ret = (struct digest){ 0 };
		return 0;
	}
	if (!n->integrity)
		return unpinned_key(n, ret, e);
	r = sri_parse(&sri, slice_str(n->integrity), e);
	if (r < 0)
		return err_wrap(e, r, "the lock's entry \"%.100s\"", n->path);
	*ret = sri.digests[0];
	return 0;
}
