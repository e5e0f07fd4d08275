#include "core/file.h"
#include "core/store.h"
#include "fetch/fetch.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "fs/cmd_upper.h"
#include "fs/patch.h"
#include "fs/tree.h"
#include "fs/upper_care.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATCH_FILE_MAX ((size_t)64 << 20)  /* bytes of one file; nobody reviews more */
#define PATCH_MAX      ((size_t)512 << 20) /* of the whole patch */
#define PATHS_MAX      ((size_t)256 << 20) /* of all changed paths */

static const char usage[] =
	"usage: dxfs patch [--stdout] [--store=DIR] [--upper=DIR] DIR PACKAGE\n"
	"  -s, --stdout      print the patch instead of writing it into patches/\n"
	"      --store=DIR   where the package's original is, if nothing is mounted\n"
	"      --upper=DIR   what it was mounted with, if nothing is mounted\n"
	"  PACKAGE is a name (foo, @scope/foo), outer/inner for what stands in another\n"
	"  package's node_modules, or a place (node_modules/outer/node_modules/inner).\n"
	"Writes what was changed in a package as a patch, under the name by which patch-package\n"
	"finds it, and prints that name.\n";

struct patching {
	struct cmd_upper at;
	struct cmd_project project;
	struct lock *lock;
	struct graph *graph;
	struct upper *upper;
	struct store *store;
	struct pkg *pkg;
	const struct graph_node *node; /* what is patched */
	char key_end[10];              /* "~0123abcd", as its folder in pkg/ ends */

	struct arena arena;
	char *folder;       /* "pkg/<key>"; NULL: nothing was changed */
	const char **paths; /* below the package's folder, what may have changed */
	size_t count, cap;
	unsigned left_out;
};

static void patching_release(struct patching *p)
{
	free(p->paths);
	arena_release(&p->arena);
	if (p->pkg)
		pkg_release(p->pkg);
	store_close(p->store);
	upper_close(p->upper);
	graph_free(p->graph);
	lock_close(p->lock);
	cmd_project_release(&p->project);
	cmd_upper_release(&p->at);
}

/* ---- which package ---- */

/* "@s/outer/inner" as "node_modules/@s/outer/node_modules/inner"; a place stays what it is. */
static char *place_of(struct arena *a, const char *arg)
{
	auto_buf struct buf out = BUF_INIT(GRAPH_PATH_MAX);
	auto_free char *s = NULL;
	size_t len = strlen(arg);

	while (len > 1 && arg[len - 1] == '/')
		len--;
	if (strncmp(arg, "node_modules/", 13) == 0 || strstr(arg, "/node_modules/"))
		return arena_strndup(a, arg, len);
	for (const char *p = arg, *end = arg + len; p < end;) {
		size_t n = strcspn(p, "/");

		if (*p == '@' && p[n] == '/')
			n += 1 + strcspn(p + n + 1, "/");
		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		buf_addf(&out, "%snode_modules/%.*s", out.len ? "/" : "", (int)n, p);
		p += n + 1;
	}
	s = buf_steal_str(&out);
	return s ? arena_strdup(a, s) : NULL;
}

/* Where else a package of this name stands, for the sentence. */
static int not_there(const struct patching *p, const char *arg, struct err *e)
{
	for (uint32_t i = 1; i < p->graph->count; i++) {
		const struct graph_node *n = &p->graph->nodes[i];

		if (cmd_node_is(n, arg) && !(n->flags & (NODE_LINK | NODE_TOP)))
			return err_set(
				e, -ENOENT,
				"no package %.80s stands in node_modules itself; one is %.120s",
				arg, n->path);
	}
	return err_set(e, -ENOENT, "the lock has no package %.80s; `dx ls --all` lists what it has",
		       arg);
}

static int find_package(struct patching *p, const char *arg, struct err *e)
{
	char *place = place_of(&p->arena, arg);
	struct digest key;
	uint32_t i;
	int r;

	if (!place)
		return err_set(e, -ENOMEM, "out of memory");
	i = graph_find(p->graph, place);
	if (i == GRAPH_NONE)
		return not_there(p, arg, e);
	p->node = &p->graph->nodes[i];
	if (p->node->flags & (NODE_LINK | NODE_TOP))
		return err_set(e, -EINVAL, "%s is a folder of your own: change it there", arg);
	if (p->node->flags & NODE_IN_BUNDLE)
		return err_set(e, -EINVAL,
			       "%s came inside another package; name that one to patch it", arg);
	r = fetch_key(p->project.npmrc, p->project.project.dir, p->node, &key, e);
	if (r < 0)
		return r;
	(void)snprintf(p->key_end, sizeof p->key_end, "~%02x%02x%02x%02x", key.bytes[0],
		       key.bytes[1], key.bytes[2], key.bytes[3]);
	r = store_get(p->store, &key, &p->pkg, e);
	if (r == -ENOENT)
		return err_set(e, r,
			       "%s@%s is not in the store %s; `dx fetch` brings it, or --store "
			       "says where it is",
			       p->node->pkg_name, p->node->version ? p->node->version : "",
			       store_dir(p->store));
	return r;
}

/* ---- what was changed ---- */

static int add_path(struct patching *p, const char *path)
{
	if (p->count == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		const char **grown = realloc(p->paths, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		p->paths = grown;
		p->cap = cap;
	}
	p->paths[p->count] = arena_strdup(&p->arena, path);
	return p->paths[p->count++] ? 0 : -ENOMEM;
}

static char *entry_path(struct patching *p, uint32_t entry)
{
	char *path = NULL;

	while (entry != 0) {
		struct dxp_entry f;

		dxp_entry(pkg_dxp(p->pkg), entry, &f);
		path = path ? arena_printf(&p->arena, "%.*s/%s", SLICE_FMT(f.name), path)
			    : arena_strndup(&p->arena, f.name.ptr, f.name.len);
		if (!path)
			return NULL;
		entry = f.parent;
	}
	return path;
}

/* All files of the original in a directory and below. */
static int add_below(struct patching *p, uint32_t dir)
{
	const struct dxp *d = pkg_dxp(p->pkg);
	auto_free bool *in = calloc(dxp_count(d), sizeof *in);
	int r = in ? 0 : -ENOMEM;

	/* Parents stand before their children. */
	for (uint32_t i = dir; r == 0 && i < dxp_count(d); i++) {
		struct dxp_entry f;
		char *path;

		dxp_entry(d, i, &f);
		in[i] = i == dir || (i > 0 && in[f.parent]);
		if (!in[i] || f.type != DXP_FILE)
			continue;
		path = entry_path(p, i);
		r = path ? add_path(p, path) : -ENOMEM;
	}
	return r;
}

static bool is_ours(const struct patching *p, const struct upper_item *item)
{
	const char *end = item->upper + 4, *slash;
	size_t len;

	if (!item->place || strcmp(item->place, p->node->path) != 0 ||
	    strncmp(item->upper, "pkg/", 4) != 0)
		return false;
	slash = strchr(end, '/');
	len = slash ? (size_t)(slash - end) : strlen(end);
	/* A long key is kept as a hash: then place and version must do. */
	if (*end == '~')
		return item->version && p->node->version &&
		       strcmp(item->version, p->node->version) == 0;
	return len > 9 && strncmp(end + len - 9, p->key_end, 9) == 0;
}

static int one_item(void *arg, const struct upper_item *item)
{
	struct patching *p = arg;
	const char *path;
	uint32_t entry;

	if (!is_ours(p, item))
		return 0;
	path = strchr(item->upper + 4, '/');
	if (!p->folder)
		p->folder =
			arena_strndup(&p->arena, item->upper,
				      path ? (size_t)(path - item->upper) : strlen(item->upper));
	if (!p->folder)
		return -ENOMEM;
	path = path ? path + 1 : "";
	/* Packages in there are packages of their own, and patch-package looks at none. */
	if (strncmp(path, "node_modules", 12) == 0 && (path[12] == '/' || path[12] == '\0'))
		return 0;
	if (item->kind != UPPER_REMOVED)
		return S_ISDIR(item->type) ? 0 : add_path(p, path);
	entry = dxp_lookup(pkg_dxp(p->pkg), slice_str(path));
	return entry == DXP_NONE ? 0 : add_below(p, entry);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- the two sides of a file ---- */

static bool is_bin(const struct graph_node *n, const char *path)
{
	for (uint32_t i = 0; i < n->bin_count; i++)
		if (strcmp(n->bins[i].target, path) == 0)
			return true;
	return false;
}

/* As npm would have written it. */
static int read_old(struct patching *p, const char *path, struct patch_side *ret, char **bytes,
		    struct err *e)
{
	const struct dxp *d = pkg_dxp(p->pkg);
	uint32_t entry = dxp_lookup(d, slice_str(path));
	struct dxp_entry f;
	bool bin, mended;
	size_t size, len = 0;

	*ret = (struct patch_side){ 0 };
	if (entry == DXP_NONE)
		return 0;
	dxp_entry(d, entry, &f);
	if (f.type != DXP_FILE)
		return 0;
	bin = is_bin(p->node, path);
	mended = bin && f.has_mended;
	size = mended ? f.mended_size : f.size;
	if (size > PATCH_FILE_MAX)
		return err_set(e, -EOPNOTSUPP, "%s: too large for a patch", path);
	*bytes = malloc(size + 1);
	if (!*bytes)
		return err_set(e, -ENOMEM, "out of memory");
	while (len < size) {
		ssize_t n = pkg_read(p->pkg, entry, mended ? DXP_MENDED : DXP_PLAIN, *bytes + len,
				     size - len, len, e);

		if (n <= 0)
			return n < 0 ? (int)n : err_set(e, -EBADMSG, "%s: too short", path);
		len += (size_t)n;
	}
	*ret = (struct patch_side){ .there = true,
				    .executable = bin || (f.mode & 0100),
				    .bytes = { (const uint8_t *)*bytes, len } };
	return 0;
}

static int read_new(struct patching *p, const char *path, struct patch_side *ret, char **bytes,
		    struct err *e)
{
	char *file = arena_printf(&p->arena, "%s/%s", p->folder, path);
	auto_close int at = file ? upper_item_open(p->upper, file, O_PATH) : -ENOMEM, fd = -1;
	struct stat st;
	size_t len;
	int r;

	*ret = (struct patch_side){ 0 };
	if (at == -ENOENT)
		return 0;
	if (at < 0 || fstat(at, &st) < 0)
		return err_set(e, at < 0 ? at : -errno, "%s: %s", path,
			       strerror(at < 0 ? -at : errno));
	if (S_ISDIR(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EOPNOTSUPP,
			       "%s: patch-package cannot carry links, sockets and the like", path);
	fd = upper_item_open(p->upper, file, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, fd, "%s: %s", path, strerror(-fd));
	r = file_read_fd(fd, path, PATCH_FILE_MAX, bytes, &len, e);
	if (r == -E2BIG)
		return err_set(e, -EOPNOTSUPP, "%s: too large for a patch", path);
	if (r < 0)
		return r;
	*ret = (struct patch_side){ .there = true,
				    .executable = st.st_mode & 0100,
				    .bytes = { (const uint8_t *)*bytes, len } };
	return 0;
}

/* From where in the project npm's names count: "" or "packages/a/", in front of node_modules. */
static size_t base_len(const struct graph_node *n)
{
	return (size_t)(strstr(n->path, "node_modules/") - n->path);
}

static int add_file(struct patching *p, struct buf *out, const char *path, struct err *e)
{
	auto_free char *old_bytes = NULL, *new_bytes = NULL;
	struct patch_side old, fresh;
	char *shown = arena_printf(&p->arena, "%s/%s", p->node->path + base_len(p->node), path);
	int r = shown ? read_old(p, path, &old, &old_bytes, e)
		      : err_set(e, -ENOMEM, "out of memory");

	if (r == 0)
		r = read_new(p, path, &fresh, &new_bytes, e);
	if (r == 0)
		r = patch_add(out, shown, &old, &fresh, e);
	if (r == -EOPNOTSUPP) {
		(void)fprintf(stderr, "dxfs patch: left out: %s\n", e->msg);
		p->left_out++;
		return 0;
	}
	return r < 0 ? r : 0;
}

static int make_patch(struct patching *p, struct buf *out, struct err *e)
{
	int r = upper_each(p->upper, NULL, one_item, p, e);

	if (r < 0)
		return err_wrap(e, r, "%s", p->at.upper);
	if (p->count)
		qsort(p->paths, p->count, sizeof *p->paths, by_bytes);
	for (size_t i = 0; i < p->count && r == 0; i++)
		if (i == 0 || strcmp(p->paths[i - 1], p->paths[i]) != 0)
			r = add_file(p, out, p->paths[i], e);
	if (r == 0 && out->len == 0)
		return err_set(e, -ENOENT, "nothing%s was changed in %s",
			       p->left_out ? " that can stand in a patch" : "", p->node->path);
	return r;
}

/* ---- where it goes ---- */

/* "patches/outer++@scope+inner+1.0.0.patch", relative to the project. */
static char *patch_name(struct patching *p)
{
	auto_buf struct buf out = BUF_INIT(GRAPH_PATH_MAX);
	const char *at = p->node->path + base_len(p->node);
	char *s;

	buf_addf(&out, "%.*spatches/", (int)base_len(p->node), p->node->path);
	for (const char *next = at; next; at = next) {
		at += strlen("node_modules/");
		next = strstr(at, "/node_modules/");
		for (const char *c = at; *c && c != next; c++)
			buf_add(&out, *c == '/' ? "+" : c, 1);
		if (next)
			buf_addstr(&out, "++");
		next = next ? next + 1 : NULL;
	}
	buf_addf(&out, "+%s.patch", p->node->version);
	s = buf_steal_str(&out);
	return s;
}

static int write_patch(struct patching *p, const struct buf *patch, struct err *e)
{
	auto_free char *name = patch_name(p), *path = NULL, *dir = NULL;
	int r;

	if (!name || asprintf(&path, "%s/%s", p->at.project_dir, name) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	dir = strndup(path, (size_t)(strrchr(path, '/') - path));
	if (!dir)
		return err_set(e, -ENOMEM, "out of memory");
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	r = file_replace(path, patch->data, patch->len, 0644, e);
	if (r == 0)
		(void)printf("%s\n", name);
	return r;
}

static int run(struct patching *p, const char *const args[2], const char *upper, const char *store,
	       bool print, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(PATCH_MAX);
	struct cmd_project_options po = { 0 };
	struct store_options so = { .dir = store, .read_only = true };
	int r = cmd_upper_find(&p->at, args[0], upper, e);

	if (r < 0)
		return r;
	po.dir = p->at.project_dir;
	if (!store)
		so.dir = p->at.store;
	r = cmd_project_open(&p->project, &po, e);
	if (r == 0)
		r = cmd_project_graph(&p->project, &p->lock, &p->graph, e);
	if (r == 0)
		r = store_open(&p->store, &so, e);
	if (r == 0)
		r = find_package(p, args[1], e);
	if (r == 0 && (!p->node->version || strchr(p->node->version, '/')))
		r = err_set(e, -EINVAL, "the lock knows no usable version of %s", args[1]);
	if (r == 0)
		r = upper_peek(&p->upper, p->at.upper, e);
	if (r == 0)
		r = make_patch(p, &out, e);
	if (r < 0)
		return r;
	return print ? cmd_write(&out, e) : write_patch(p, &out, e);
}

int cmd_patch(int argc, char **argv)
{
	const char *upper = NULL, *store = NULL;
	bool print = false;
	const struct cmd_option options[] = { { "stdout", .given = &print, .letter = 's' },
					      { "store", .value = &store },
					      { "upper", .value = &upper },
					      { 0 } };
	struct patching p cleanup(patching_release) = { .at = CMD_UPPER_INIT,
							.project = CMD_PROJECT_INIT,
							.arena = ARENA_INIT(PATHS_MAX) };
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 2, 2);

	if (rc >= 0)
		return rc;
	return cmd_end("dxfs patch",
		       run(&p, (const char *const[]){ argv[optind], argv[optind + 1] }, upper,
			   store, print, &e),
		       &e);
}
