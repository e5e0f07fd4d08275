#include "fetch/tar_priv.h"

#include <sys/random.h>

#define NOTES        (UINT32_MAX - 1) /* parent of the texts of the set; no node's number */
#define NONE         UINT32_MAX
#define FIRST_NODES  256
#define BUCKETS_LOAD 1 /* nodes a bucket */

/* The seed is random: a crafted archive cannot make all its names collide. */
static uint32_t bucket_of(const struct tar_tree *t, uint32_t parent, struct slice name)
{
	uint64_t h = t->seed ^ (parent * 0x9e3779b97f4a7c15u);

	for (size_t i = 0; i < name.len; i += 8) {
		uint64_t word = 0;

		memcpy(&word, name.ptr + i, name.len - i < 8 ? name.len - i : 8);
		__uint128_t m = (__uint128_t)(h ^ word) * (t->seed | 0x8000000000000001u);

		h = (uint64_t)m ^ (uint64_t)(m >> 64) ^ name.len;
	}
	h *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32) & (t->bucket_count - 1);
}

static int rehash(struct tar_tree *t, uint32_t bucket_count)
{
	uint32_t *b = calloc(bucket_count, sizeof *b);

	if (!b)
		return -ENOMEM;
	free(t->buckets);
	t->buckets = b;
	t->bucket_count = bucket_count;
	for (uint32_t i = 1; i < t->count; i++) {
		struct tar_node *n = &t->nodes[i];
		uint32_t at = bucket_of(t, n->parent, n->name);

		n->next = b[at];
		b[at] = i + 1;
	}
	return 0;
}

static int make_room(struct tar_tree *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : FIRST_NODES;
	struct tar_node *nodes;

	if (t->count < t->cap)
		return 0;
	if (t->count >= DXP_ENTRIES_MAX)
		return -E2BIG;
	nodes = realloc(t->nodes, (size_t)cap * sizeof *nodes);
	if (!nodes)
		return -ENOMEM;
	t->nodes = nodes;
	t->cap = cap;
	return rehash(t, cap / BUCKETS_LOAD);
}

static uint32_t find(const struct tar_tree *t, uint32_t parent, struct slice name)
{
	uint32_t i = t->buckets[bucket_of(t, parent, name)];

	while (i && (t->nodes[i - 1].parent != parent || !slice_eq(t->nodes[i - 1].name, name)))
		i = t->nodes[i - 1].next;
	return i ? i - 1 : NONE;
}

/* Adds a node that is not there yet. */
static int add(struct tar_tree *t, uint32_t parent, struct slice name, enum dxp_type type,
	       uint32_t *ret)
{
	char *copy = arena_strndup(t->arena, name.ptr, name.len);
	int r = copy ? make_room(t) : arena_error(t->arena);
	struct tar_node *n;
	uint32_t at;

	if (r < 0)
		return r;
	name.ptr = (const uint8_t *)copy;
	at = bucket_of(t, parent, name);
	n = &t->nodes[t->count];
	*n = (struct tar_node){
		.parent = parent, .name = name, .type = type, .next = t->buckets[at]
	};
	t->buckets[at] = ++t->count;
	if (parent != NOTES) {
		n->path_len = t->nodes[parent].path_len + (parent != 0) + (uint32_t)name.len;
		t->nodes[parent].children++;
	}
	*ret = t->count - 1;
	return 0;
}

int tar_tree_init(struct tar_tree *t, struct arena *arena)
{
	int r;

	*t = (struct tar_tree){ .arena = arena };
	if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed)
		t->seed = (uintptr_t)t;
	r = make_room(t);
	if (r < 0)
		return r;
	t->nodes[0] = (struct tar_node){ .type = DXP_DIR };
	t->count = 1;
	return 0;
}

void tar_tree_release(struct tar_tree *t)
{
	free(t->nodes);
	free(t->buckets);
	*t = (struct tar_tree){ 0 };
}

/* Could a file system hold this name in this folder? 0, -ENAMETOOLONG, -EBADMSG. */
static int name_fits(const struct tar_tree *t, uint32_t parent, struct slice name)
{
	if (memchr(name.ptr, 0, name.len))
		return -EBADMSG;
	if (name.len > TAR_NAME_MAX ||
	    t->nodes[parent].path_len + (parent != 0) + name.len > TAR_PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* The folder of this name, made if need be; -ENOTDIR: there is a file. */
static int folder(struct tar_tree *t, uint32_t parent, struct slice name, uint32_t *ret)
{
	int r = name_fits(t, parent, name);
	uint32_t n;

	if (r < 0)
		return r;
	n = find(t, parent, name);
	if (n == NONE)
		return add(t, parent, name, DXP_DIR, ret);
	if (t->nodes[n].type != DXP_DIR)
		return -ENOTDIR;
	*ret = n;
	return 0;
}

/* The file of this name; an empty folder makes way. -ENOTEMPTY: one that is not empty does not. */
static int file(struct tar_tree *t, uint32_t parent, struct slice name, bool fresh, uint16_t mode,
		struct slice bytes)
{
	int r = name_fits(t, parent, name);
	struct tar_node *node;
	uint32_t n;

	if (r < 0)
		return r;
	n = find(t, parent, name);
	if (n == NONE) {
		fresh = true;
		r = add(t, parent, name, DXP_FILE, &n);
		if (r < 0)
			return r;
	}
	node = &t->nodes[n];
	if (node->type == DXP_DIR && node->children > 0)
		return -ENOTEMPTY;
	if (fresh || node->type == DXP_DIR)
		node->mode = mode;
	node->type = DXP_FILE;
	node->bytes = bytes;
	return 0;
}

int tar_tree_put(struct tar_tree *t, struct slice path, bool fresh, uint16_t mode,
		 struct slice bytes)
{
	struct slice name, following;
	uint32_t at = 0;
	int r = 0;

	if (!tar_path_next(&path, &name))
		return 0;
	while (r == 0 && tar_path_next(&path, &following)) {
		r = folder(t, at, name, &at);
		name = following;
	}
	if (r == 0)
		r = file(t, at, name, fresh, mode, bytes);
	return r == -ENOTDIR || r == -ENOTEMPTY || r == -ENAMETOOLONG ? 0 : r;
}

bool tar_tree_noted(const struct tar_tree *t, struct slice text)
{
	return find(t, NOTES, text) != NONE;
}

int tar_tree_note(struct tar_tree *t, struct slice text)
{
	uint32_t n;

	return tar_tree_noted(t, text) ? 0 : add(t, NOTES, text, DXP_DIR, &n);
}

/* ---- the result ---- */

static bool is_listed(const struct tar_tree *t, uint32_t i)
{
	const struct tar_node *n = &t->nodes[i];

	return i > 0 && n->parent != NOTES && (n->type == DXP_FILE || n->children == 0);
}

static int path_of(const struct tar_tree *t, uint32_t i, struct slice *ret)
{
	size_t end = t->nodes[i].path_len;
	char *p = arena_alloc(t->arena, end + 1);

	if (!p)
		return arena_error(t->arena);
	*ret = (struct slice){ (const uint8_t *)p, end };
	for (;;) {
		const struct tar_node *n = &t->nodes[i];

		end -= n->name.len;
		memcpy(p + end, n->name.ptr, n->name.len);
		i = n->parent;
		if (i == 0)
			return 0;
		p[--end] = '/';
	}
}

int tar_tree_list(const struct tar_tree *t, struct dxp_file **ret, size_t *ret_count)
{
	auto_free struct dxp_file *files = NULL;
	size_t n = 0;

	for (uint32_t i = 0; i < t->count; i++)
		n += is_listed(t, i);
	files = calloc(n ? n : 1, sizeof *files);
	if (!files)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = 0; i < t->count; i++) {
		const struct tar_node *node = &t->nodes[i];
		int r;

		if (!is_listed(t, i))
			continue;
		r = path_of(t, i, &files[n].path);
		if (r < 0)
			return r;
		files[n].type = node->type;
		files[n].mode = node->mode;
		files[n++].bytes = node->bytes;
	}
	*ret = take(&files);
	*ret_count = n;
	return 0;
}
