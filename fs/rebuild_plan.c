#include "core/file.h"
#include "fetch/fetch.h"
#include "fs/rebuild.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#define NAMED_MAX 10 /* packages that are named in a sentence */

/* ---- the project and its mount ---- */

static int find_mount(struct rebuild *b, struct err *e)
{
	auto_free char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/node_modules", b->project.project.dir) < 0) {
		dir = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = cmd_upper_find(&b->at, dir, NULL, e);
	if (r == -ENOENT || (r == 0 && !b->at.live))
		return err_set(e, -ENOENT,
			       "%s is not mounted; scripts run in a mount: `dxfs mount "
			       "node_modules`, or `npm rebuild` in a folder that npm wrote",
			       dir);
	return r;
}

int rebuild_open(struct rebuild *b, const struct cmd_project_options *o, struct err *e)
{
	int r = cmd_project_open(&b->project, o, e);

	if (r == 0)
		r = find_mount(b, e);
	if (r == 0)
		r = cmd_project_graph(&b->project, &b->lock, &b->graph, e);
	if (r == 0)
		r = built_read(&b->built, b->at.upper, e);
	return r;
}

void rebuild_release(struct rebuild *b)
{
	closep(&b->log_fd);
	free(b->log_path);
	free(b->nodes);
	free(b->answers);
	built_release(&b->built);
	graph_free(b->graph);
	lock_close(b->lock);
	cmd_upper_release(&b->at);
	cmd_project_release(&b->project);
	*b = (struct rebuild)REBUILD_INIT;
}

/* ---- what the project allows ---- */

static int add_key(struct allow *a, const char *key, bool yes, bool *any, struct err *e)
{
	int r = allow_add(a, key, yes, e);

	if (r == -EINVAL) {
		(void)fprintf(stderr, "dx rebuild: %s\n", e->msg);
		return 0;
	}
	*any |= r == 0;
	return r;
}

static int add_manifest(struct rebuild *b, struct allow *a, bool *any, struct err *e)
{
	auto_free char *text = NULL;
	auto_json cJSON *manifest = NULL;
	const cJSON *item;
	size_t len;
	int r = file_read_all(b->project.project.dirfd, "package.json", MANIFEST_SIZE_MAX, &text,
			      &len, e);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_parse(&manifest, (struct slice){ (const uint8_t *)text, len }, e);
	if (r < 0)
		return err_wrap(e, r, "package.json");
	cJSON_ArrayForEach(item, json_get(manifest, "allowScripts"))
	{
		if (r == 0 && item->string && cJSON_IsBool(item))
			r = add_key(a, item->string, cJSON_IsTrue(item), any, e);
	}
	return r;
}

/* Values of a setting are lists with commas between. */
static int add_setting(struct rebuild *b, struct allow *a, bool *any, struct err *e)
{
	const char *const *values;
	size_t count = npmrc_list(b->project.npmrc, "allow-scripts", &values);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		auto_free char *list = strdup(values[i]);
		char *rest = list, *key;

		while (r == 0 && rest && (key = strsep(&rest, ","))) {
			size_t n;

			key += strspn(key, " \t");
			n = strlen(key);
			while (n > 0 && (key[n - 1] == ' ' || key[n - 1] == '\t'))
				key[--n] = '\0';
			if (n > 0)
				r = add_key(a, key, true, any, e);
		}
	}
	return r;
}

/* npm refuses it too: what a project runs is not to depend on who runs it. */
static bool in_environment(void)
{
	static const char name[] = "npm_config_allow_scripts=";

	for (char **v = environ; *v; v++)
		if (strncasecmp(*v, name, sizeof name - 1) == 0 && (*v)[sizeof name - 1])
			return true;
	return false;
}

static int allow_all(struct rebuild *b)
{
	for (uint32_t i = 0; i < b->graph->count; i++)
		if (b->graph->nodes[i].flags & NODE_HAS_SCRIPT)
			b->answers[i] = ALLOW_YES;
	return 0;
}

/* package.json first; only where it says nothing, the setting. */
static int ask_policy(struct rebuild *b, struct err *e)
{
	auto_allow struct allow *a = allow_new(b->project.project.dir);
	bool any = false;
	int r;

	b->answers = calloc(b->graph->count, sizeof *b->answers);
	if (!a || !b->answers)
		return err_set(e, -ENOMEM, "out of memory");
	if (npmrc_bool(b->project.npmrc, "dangerously-allow-all-scripts", false))
		return allow_all(b);
	if (in_environment())
		return err_set(e, -EINVAL,
			       "npm_config_allow_scripts is set; what a project allows stands in "
			       "allowScripts of its package.json, or in its .npmrc");
	r = add_manifest(b, a, &any, e);
	if (r == 0 && !any)
		r = add_setting(b, a, &any, e);
	return r < 0 ? r : allow_nodes(a, b->graph, b->answers, e);
}

/* ---- what shall run ---- */

struct walk {
	uint32_t node, edge;
};

static void enter(struct walk *stack, uint32_t *depth, bool *seen, uint32_t node)
{
	if (node == GRAPH_NONE || seen[node])
		return;
	seen[node] = true;
	stack[(*depth)++] = (struct walk){ .node = node };
}

/* All nodes, each behind what it depends on (but for cycles), as edges lead from root and then
 * from what root does not lead to. */
static int dependency_order(const struct graph *g, uint32_t *ret, struct err *e)
{
	auto_free struct walk *stack = calloc((size_t)g->count + 1, sizeof *stack);
	auto_free bool *seen = calloc(g->count, sizeof *seen);
	uint32_t depth = 0, n = 0;

	if (!stack || !seen)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t start = 0; start < g->count; start++) {
		enter(stack, &depth, seen, start);
		while (depth > 0) {
			struct walk *w = &stack[depth - 1];
			const struct graph_node *node = &g->nodes[w->node];

			if (w->edge < node->edge_count) {
				enter(stack, &depth, seen,
				      g->edges[node->first_edge + w->edge++].to);
			} else if (w->edge == node->edge_count && node->flags & NODE_LINK) {
				w->edge++;
				enter(stack, &depth, seen, node->link_target);
			} else {
				ret[n++] = w->node;
				depth--;
			}
		}
	}
	return 0;
}

/* A package that the mount has, with a tarball of its own. */
static bool is_there(const struct rebuild *b, const struct graph_node *n)
{
	struct stat st;

	return !(n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE | NODE_EXTRANEOUS)) &&
	       fstatat(b->project.project.dirfd, n->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static bool is_named(const struct graph_node *n, const char *const *args, int count)
{
	for (int i = 0; i < count; i++)
		if (cmd_node_is(n, args[i]))
			return true;
	return false;
}

static int check_named(struct rebuild *b, const char *arg, struct err *e)
{
	bool found = false, bundled = false;
	const char *name = "";

	for (uint32_t i = 1; i < b->graph->count; i++) {
		const struct graph_node *n = &b->graph->nodes[i];

		if (n->flags & (NODE_LINK | NODE_TOP) || !cmd_node_is(n, arg))
			continue;
		if (b->answers[i] == ALLOW_YES)
			return 0;
		if (n->flags & NODE_IN_BUNDLE) {
			bundled = true;
		} else {
			found = true;
			name = n->pkg_name;
		}
	}
	if (found)
		return err_set(e, -EPERM,
			       "the project does not allow the scripts of %s; \"%s\": true in "
			       "allowScripts of package.json does",
			       arg, name);
	if (bundled)
		return err_set(e, -EPERM, "%s came inside another package; its scripts never run",
			       arg);
	return err_set(e, -ENOENT, "the lock has no package %s; `dx ls --all` lists what it has",
		       arg);
}

/* Those with scripts that nobody has decided about. */
static int tell_unreviewed(struct rebuild *b, struct err *e)
{
	auto_buf struct buf names = BUF_INIT(4096);
	auto_free char *text = NULL;
	unsigned count = 0;

	for (uint32_t i = 1; i < b->graph->count; i++) {
		const struct graph_node *n = &b->graph->nodes[i];

		if (!(n->flags & NODE_HAS_SCRIPT) || b->answers[i] != ALLOW_UNREVIEWED ||
		    !is_there(b, n))
			continue;
		if (count++ < NAMED_MAX) {
			buf_addstr(&names, count > 1 ? ", " : "");
			cmd_node_id(&names, b->graph, i);
		}
	}
	if (count == 0)
		return 0;
	if (count > NAMED_MAX)
		buf_addf(&names, " and %u more", count - NAMED_MAX);
	text = buf_steal_str(&names);
	if (npmrc_bool(b->project.npmrc, "strict-allow-scripts", false))
		return err_set(e, -EPERM,
			       "strict-allow-scripts is on, and allowScripts says nothing of: %s",
			       text ? text : "");
	if (text)
		text_clean(text, strlen(text));
	(void)fprintf(stderr,
		      "dx rebuild: not run, because allowScripts in package.json does not say that "
		      "they may: %s (`npm install-scripts approve NAME` says it)\n",
		      text ? text : "");
	return 0;
}

char *rebuild_id(const struct rebuild *b, uint32_t node, struct err *e)
{
	const struct graph_node *n = &b->graph->nodes[node];
	struct digest key;
	char *id;

	if (fetch_key(b->project.npmrc, b->project.project.dir, n, &key, e) < 0)
		return NULL;
	id = built_id(n, &key);
	if (!id)
		(void)err_set(e, -ENOMEM, "out of memory");
	return id;
}

/* 1: it shall run. */
static int shall_run(struct rebuild *b, uint32_t i, bool named, struct err *e)
{
	const struct graph_node *n = &b->graph->nodes[i];
	auto_free char *id = NULL;
	enum built_state state;

	if (b->answers[i] != ALLOW_YES || n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE))
		return 0;
	id = rebuild_id(b, i, e);
	if (!id)
		return e->code;
	state = built_state(&b->built, id);
	if (state == BUILT_FAILED)
		return named; /* it is not there, but will be tried again */
	return (state == BUILT_NOT || named) && is_there(b, n);
}

int rebuild_plan(struct rebuild *b, const char *const *args, int count, struct err *e)
{
	auto_free uint32_t *order = calloc(b->graph->count, sizeof *order);
	int r = ask_policy(b, e);

	b->nodes = calloc(b->graph->count, sizeof *b->nodes);
	if (r == 0 && (!order || !b->nodes))
		r = err_set(e, -ENOMEM, "out of memory");
	if (r == 0 && npmrc_bool(b->project.npmrc, "ignore-scripts", false)) {
		(void)fprintf(stderr, "dx rebuild: npm's setting ignore-scripts is on\n");
		return 0;
	}
	for (int i = 0; i < count && r == 0; i++)
		r = check_named(b, args[i], e);
	if (r == 0)
		r = tell_unreviewed(b, e);
	if (r == 0)
		r = dependency_order(b->graph, order, e);
	for (uint32_t i = 0; r >= 0 && i < b->graph->count; i++) {
		bool named = is_named(&b->graph->nodes[order[i]], args, count);

		if (count > 0 && !named)
			continue;
		r = shall_run(b, order[i], named, e);
		if (r == 1)
			b->nodes[b->count++] = order[i];
	}
	return r < 0 ? r : 0;
}
