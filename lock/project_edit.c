#include "lock/project_edit.h"

#include "core/file.h"
#include "lock/npmlock.h"
#include "lock/semver.h"
#include "lock/spec.h"

#include <fcntl.h>
#include <stdio.h>

struct edited {
	const char *folder; /* below the project; "": root */
	const char *dir;    /* absolute */
	char *text;         /* the file's; owned */
	size_t len;
	cJSON *pkg; /* as npm has it in memory; owned */
};

static int no_memory(const struct editing *m)
{
	return err_set(m->e, -ENOMEM, "no memory to change package.json");
}

/* ---- the files ---- */

static int read_one(struct editing *m, const char *folder, struct edited *ret)
{
	struct edited f = { 0 };
	const char *path = arena_printf(&m->arena, "%s%spackage.json", folder, *folder ? "/" : "");
	int r;

	f.folder = arena_strdup(&m->arena, folder);
	f.dir = arena_printf(&m->arena, "%s%s%s", m->p->dir, *folder ? "/" : "", folder);
	if (!path || !f.folder || !f.dir)
		return no_memory(m);
	r = file_read_all(m->p->dirfd, path, MANIFEST_SIZE_MAX, &f.text, &f.len, m->e);
	if (r < 0)
		return r;
	r = json_parse(&f.pkg, (struct slice){ (const uint8_t *)f.text, f.len }, m->e);
	if (r < 0)
		r = err_wrap(m->e, r, "%s", path);
	else if (!cJSON_IsObject(f.pkg))
		r = err_set(m->e, -EBADMSG, "%s: its JSON is no object", path);
	else if (deps_normalize(f.pkg) < 0)
		r = no_memory(m);
	if (r < 0) {
		free(f.text);
		cJSON_Delete(f.pkg);
		return r;
	}
	*ret = f;
	return 0;
}

/* The package.json of a folder, read if it is not one of them yet. */
static int file_of(struct editing *m, const char *folder, struct edited **ret)
{
	struct edited *bigger;
	int r;

	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->list[i].folder, folder) == 0) {
			*ret = &m->list[i];
			return 0;
		}
	}
	bigger = reallocarray(m->list, m->count + 1, sizeof *bigger);
	if (!bigger)
		return no_memory(m);
	m->list = bigger;
	r = read_one(m, folder, &m->list[m->count]);
	if (r == 0)
		*ret = &m->list[m->count++];
	return r;
}

static int texts_of(struct editing *m, struct manifest_texts *ret)
{
	struct manifest_text *items = arena_array(&m->arena, m->count + 1, sizeof *items);

	for (size_t i = 0; i < m->count && items; i++) {
		auto_buf struct buf b = BUF_INIT(MANIFEST_SIZE_MAX);
		const char *text;

		json_put(&b, m->list[i].pkg);
		text = buf_error(&b) ? NULL : arena_strndup(&m->arena, b.data, b.len);
		if (!text)
			return no_memory(m);
		items[i] = (struct manifest_text){ m->list[i].folder, slice_str(text) };
	}
	if (!items)
		return no_memory(m);
	*ret = (struct manifest_texts){ items, m->count };
	return 0;
}

void editing_style(const struct editing *m, struct graph *g)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct edited *f = &m->list[i];

		if (!*f->folder)
			g->style =
				manifest_style((struct slice){ (const uint8_t *)f->text, f->len });
	}
}

/* -EBUSY: not any more. Resolving may take a minute, in which somebody may write it, too. */
static int is_as_read(const struct editing *m, const struct edited *f, const char *path)
{
	auto_free char *now = NULL;
	size_t len;
	int r = file_read_all(AT_FDCWD, path, MANIFEST_SIZE_MAX, &now, &len, m->e);

	if (r < 0)
		return r;
	if (len != f->len || memcmp(now, f->text, len) != 0)
		return err_set(
			m->e, -EBUSY,
			"%s was changed meanwhile, and is left as it is now; run the command again",
			path);
	return 0;
}

static int write_one(const struct editing *m, const struct edited *f, const char *path)
{
	auto_buf struct buf b = BUF_INIT(MANIFEST_SIZE_MAX);
	struct slice old = { (const uint8_t *)f->text, f->len };
	int r = deps_text(&b, old, f->pkg, m->e);

	if (r < 0 || (b.len == old.len && memcmp(b.data, old.ptr, b.len) == 0))
		return r;
	return file_rewrite(path, b.data, b.len, m->e);
}

static int with_each(const struct editing *m,
		     int (*fn)(const struct editing *, const struct edited *, const char *path))
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->count; i++) {
		auto_free char *path = NULL;

		if (asprintf(&path, "%s/package.json", m->list[i].dir) < 0) {
			path = NULL;
			return no_memory(m);
		}
		r = fn(m, &m->list[i], path);
	}
	return r;
}

int editing_write(const struct editing *m)
{
	int r = with_each(m, is_as_read);

	return r < 0 ? r : with_each(m, write_one);
}

void editing_release(struct editing *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->list[i].text);
		cJSON_Delete(m->list[i].pkg);
	}
	free(m->list);
	arena_release(&m->arena);
	m->list = NULL;
	m->count = 0;
}

/* ---- what was asked for ---- */

/* The manifest at a spec that is no registry's; *ret is owned by the caller. */
static int manifest_at(const struct editing *m, const struct spec *s, struct arena *a, cJSON **ret)
{
	const struct catalog *c = m->io->catalog;
	struct catalog_contents all cleanup(catalog_contents_release) = { 0 };
	struct catalog_package pkg = { .name = "the package" };
	auto_catalog_git struct catalog_git got = { 0 };
	auto_free char *text = NULL;
	size_t len;
	int r = -ENOENT;

	pkg.resolved =
		arena_printf(a, "%s%.*s%s", s->type == SPEC_FILE ? "file:" : "",
			     SLICE_FMT(s->fetch), s->type == SPEC_DIRECTORY ? "/package.json" : "");
	if (!pkg.resolved)
		return no_memory(m);
	if (s->type == SPEC_DIRECTORY) {
		r = file_read_all(m->p->dirfd, pkg.resolved, MANIFEST_SIZE_MAX, &text, &len, m->e);
		return r < 0 ? r : json_parse(ret, (struct slice){ (uint8_t *)text, len }, m->e);
	}
	if (s->type == SPEC_GIT && c->git) {
		r = c->git(c->self, s, &got, m->e);
		*ret = take(&got.manifest);
	} else if (s->type != SPEC_GIT && c->contents) {
		r = c->contents(c->self, &pkg, &all, m->e);
		*ret = cJSON_DetachItemFromObjectCaseSensitive(all.manifests, "package.json");
	}
	return r;
}

/* Something that was asked for, with its name and what was said. */
struct wish {
	const char *name, *spec; /* NULL: no more */
	const char *path;        /* of a folder or tarball: absolute; else NULL */
};

static int find_name(struct editing *m, const char *given, const struct spec *s, const char **ret)
{
	auto_json cJSON *j = NULL;
	const char *name;
	int r;

	if (s->type < SPEC_GIT)
		return err_set(m->e, -EINVAL, "%.80s: say under which name: NAME@%.80s", given,
			       given);
	r = manifest_at(m, s, &m->arena, &j);
	if (r < 0)
		return r;
	name = json_str(j, "name");
	if (!name || !*name)
		return err_set(m->e, -EINVAL,
			       "%.80s: its package.json has no name; say under which: NAME@%.80s",
			       given, given);
	*ret = arena_strdup(&m->arena, name);
	return *ret ? 0 : no_memory(m);
}

/* The version that a tag means today. */
static int tagged(struct editing *m, struct wish *w)
{
	const struct catalog *c = m->io->catalog;
	const struct packument *p;
	const char *version;
	int r = c->packument(c->self, w->name, &p, m->e);

	if (r < 0)
		return r;
	version = packument_tag(p, w->spec);
	if (!version)
		return err_set(m->e, -ENOENT, "%s: the registry has no tag \"%s\" of it", w->name,
			       w->spec);
	w->spec = arena_strdup(&m->arena, version);
	return w->spec ? 0 : no_memory(m);
}

/* A folder is meant as it is really called. */
static int real_path(struct editing *m, const struct spec *s, struct wish *w)
{
	const char *path = arena_strndup(&m->arena, s->fetch.ptr, s->fetch.len);
	auto_free char *real = path && s->type == SPEC_DIRECTORY ? realpath(path, NULL) : NULL;

	w->path = real ? arena_strdup(&m->arena, real) : path;
	return w->path ? 0 : no_memory(m);
}

static int understand(struct editing *m, const struct project_edit *edit, struct wish *ret)
{
	const char *cwd = m->edits->cwd ? m->edits->cwd : m->p->dir;
	struct slice name = edit->name ? slice_str(edit->name) : (struct slice){ 0 };
	struct wish w = { .name = edit->name, .spec = edit->spec };
	struct spec s;
	int r = 0;

	if (w.spec && !*w.spec)
		w.spec = "*";
	if (w.spec)
		r = spec_parse(&s, name, slice_str(w.spec), slice_str(cwd), &m->arena, m->e);
	if (r == 0 && !w.name)
		r = find_name(m, w.spec, &s, &w.name);
	if (r == 0 && w.spec && s.type == SPEC_TAG)
		r = tagged(m, &w);
	if (r == 0 && w.spec && (s.type == SPEC_FILE || s.type == SPEC_DIRECTORY))
		r = real_path(m, &s, &w);
	if (r == 0)
		*ret = w;
	return r;
}

static int apply(struct editing *m, struct edited *f, const struct wish *w,
		 struct project_edit *edit)
{
	const char *spec = w->spec;

	if (!spec) {
		edit->was_absent &= !deps_remove(f->pkg, w->name);
		return 0;
	}
	if (w->path) {
		const char *way = spec_way(f->dir, slice_str(w->path), &m->arena);

		spec = way ? arena_printf(&m->arena, "file:%s", way) : NULL;
	}
	if (!spec || deps_add(f->pkg, w->name, spec, m->edits->how, m->edits->bundle) < 0)
		return no_memory(m);
	m->requested[m->requested_count++] = (struct ideal_request){ f->folder, w->name };
	return 0;
}

static int apply_all(struct editing *m)
{
	size_t files = m->count;

	m->requested = arena_array(&m->arena, m->edits->count * files + 1, sizeof *m->requested);
	if (!m->requested)
		return no_memory(m);
	for (size_t i = 0; i < m->edits->count; i++) {
		struct wish w = { 0 };
		int r = understand(m, &m->edits->list[i], &w);

		m->edits->list[i].was_absent = !w.spec;
		for (size_t k = 0; k < files && r == 0; k++)
			r = apply(m, &m->list[k], &w, &m->edits->list[i]);
		if (r < 0)
			return r;
	}
	return texts_of(m, &m->asked);
}

int editing_start(struct editing *m, const struct project *p, const struct ideal_options *io,
		  const struct project_edits *edits, struct err *e)
{
	static const char *const root[] = { "", NULL };
	struct edited *f;
	int r = 0;

	*m = (struct editing){
		.p = p, .io = io, .edits = edits, .arena = ARENA_INIT((size_t)256 << 20), .e = e
	};
	for (const char *const *s = edits->folders ? edits->folders : root;
	     *s && r == 0 && edits->count; s++)
		r = file_of(m, *s, &f);
	return r == 0 && edits->count ? apply_all(m) : r;
}

/* ---- what is saved ---- */

/* Is what the prefix and the version allow allowed by the range too? Asked of the two ends. */
static bool covers(const char *range, const char *prefix, const char *version)
{
	struct semver v;
	char last[128];

	if (!semver_satisfies(slice_str(version), slice_str(range), SEMVER_LOOSE) ||
	    semver_parse(&v, slice_str(version), SEMVER_LOOSE) < 0)
		return false;
	if (*prefix == '\0' || (*prefix == '^' && v.major == 0 && v.minor == 0))
		return true;
	if (*prefix != '~' && *prefix != '^') /* ">=" and the like */
		(void)snprintf(last, sizeof last, "%llu.%llu.%llu", SEMVER_NUMBER_MAX,
			       SEMVER_NUMBER_MAX, SEMVER_NUMBER_MAX);
	else if (*prefix == '~' || v.major == 0)
		(void)snprintf(last, sizeof last, "%llu.%llu.%llu", (unsigned long long)v.major,
			       (unsigned long long)v.minor, SEMVER_NUMBER_MAX);
	else
		(void)snprintf(last, sizeof last, "%llu.%llu.%llu", (unsigned long long)v.major,
			       SEMVER_NUMBER_MAX, SEMVER_NUMBER_MAX);
	return semver_satisfies(slice_str(last), slice_str(range), SEMVER_LOOSE);
}

static const char *prefixed(struct editing *m, const char *version)
{
	const char *prefix = m->edits->prefix ? m->edits->prefix : "^";

	return version ? arena_printf(&m->arena, "%s%s", prefix, version) : "*";
}

/* Of a registry: the range that was given, unless "^version" is a narrower one. */
static const char *registry_spec(struct editing *m, const struct graph_node *n, const char *name,
				 const struct spec *s)
{
	const char *prefix = m->edits->prefix ? m->edits->prefix : "^";
	const char *asked = arena_strndup(&m->arena, s->fetch.ptr, s->fetch.len);
	const char *range = prefixed(m, n->version);
	enum spec_type type = s->type == SPEC_ALIAS ? s->alias_type : s->type;

	if (!asked || !range)
		return NULL;
	if (type == SPEC_RANGE && *asked && strcmp(asked, "*") != 0 &&
	    !(n->version && covers(asked, prefix, n->version)))
		range = asked;
	return n->pkg_name && strcmp(n->pkg_name, name) != 0
		       ? arena_printf(&m->arena, "npm:%s@%s", n->pkg_name, range)
		       : range;
}

/* "user/repo" as the shortcut; the rest as it was given. */
static const char *git_spec(struct editing *m, const struct spec *s)
{
	static const char *const hosts[] = { [GITHUB] = "github",
					     [BITBUCKET] = "bitbucket",
					     [GITLAB] = "gitlab",
					     [GIST] = "gist",
					     [SOURCEHUT] = "sourcehut" };
	const uint8_t *hash = memchr(s->raw.ptr, '#', s->raw.len);

	if (s->host == GIT_HOST_NONE || s->auth.len)
		return arena_strndup(&m->arena, s->raw.ptr, s->raw.len);
	return arena_printf(&m->arena, "%s:%.*s%s%.*s%.*s", hosts[s->host], SLICE_FMT(s->user),
			    s->user.len ? "/" : "", SLICE_FMT(s->project),
			    hash ? (int)(s->raw.ptr + s->raw.len - hash) : 0,
			    hash ? (const char *)hash : "");
}

/* What a package.json is to say of a dependency, now that it is known what came; *ret NULL: as it
 * says. */
static int spec_to_save(struct editing *m, const struct graph *g, const struct edited *f,
			const struct graph_edge *edge, const char **ret, bool *ret_local)
{
	const struct graph_node *to = &g->nodes[edge->to], *n = to;
	const char *way;
	struct spec s;

	*ret = NULL;
	if (to->flags & NODE_LINK)
		n = &g->nodes[to->link_target];
	if (spec_parse(&s, slice_str(edge->name), slice_str(edge->spec), slice_str(f->dir),
		       &m->arena, NULL) < 0)
		return 0;
	*ret_local = s.type == SPEC_FILE || s.type == SPEC_DIRECTORY;
	if (s.type < SPEC_GIT) {
		*ret = registry_spec(m, n, edge->name, &s);
	} else if (*ret_local && edge->type == EDGE_WORKSPACE) {
		*ret = prefixed(m, n->version);
	} else if (*ret_local) {
		way = spec_way(f->dir, s.fetch, &m->arena);
		*ret = way ? arena_printf(&m->arena, "file:%s", way) : NULL;
	} else if (s.type == SPEC_GIT) {
		*ret = git_spec(m, &s);
	} else {
		*ret = arena_strndup(&m->arena, s.raw.ptr, s.raw.len);
	}
	return *ret ? 0 : no_memory(m);
}

static int save_edge(struct editing *m, const struct graph *g, struct edited *f,
		     const struct graph_edge *edge)
{
	const char *spec = NULL;
	bool local = false;
	/* npm takes out what nothing needs, such as a peer that need not be, before it saves. */
	bool came = edge->to != GRAPH_NONE && !(g->nodes[edge->to].flags & NODE_EXTRANEOUS);
	int r = came ? spec_to_save(m, g, f, edge, &spec, &local) : 0;

	if (r == 0 && spec && deps_settle(f->pkg, edge->name, spec, m->edits->how, local) < 0)
		return no_memory(m);
	return r;
}

static const struct graph_edge *edge_of(const struct graph *g, const char *folder, const char *name)
{
	uint32_t i = *folder ? graph_find(g, folder) : 0;

	if (i == GRAPH_NONE || !(i == 0 || g->nodes[i].flags & NODE_TOP))
		return NULL;
	for (uint32_t k = 0; k < g->nodes[i].edge_count; k++) {
		const struct graph_edge *edge = &g->edges[g->nodes[i].first_edge + k];

		if (strcmp(edge->name, name) == 0)
			return edge;
	}
	return NULL;
}

/* ---- dx update --save ---- */

static bool is_updated(const struct editing *m, const char *name)
{
	const char *const *s = m->io->update;

	while (s && *s && strcmp(*s, name) != 0)
		s++;
	return m->io->update_all || (s && *s);
}

/* What somebody asks for by its very version stays so. */
static int find_exact(struct editing *m, const struct graph *g, bool **ret)
{
	bool *exact = arena_array(&m->arena, (size_t)g->count + 1, sizeof *exact);
	struct semver asked, v;

	if (!exact)
		return no_memory(m);
	for (uint32_t k = 0; k < g->edge_count; k++) {
		const struct graph_edge *edge = &g->edges[k];
		const char *spec = edge->spec + (*edge->spec == '=');

		if (edge->to != GRAPH_NONE && g->nodes[edge->to].version &&
		    semver_parse(&asked, slice_str(spec), SEMVER_LOOSE) == 0 &&
		    semver_parse(&v, slice_str(g->nodes[edge->to].version), SEMVER_LOOSE) == 0 &&
		    semver_cmp(&asked, &v) == 0)
			exact[edge->to] = true;
	}
	*ret = exact;
	return 0;
}

/* Of root and its workspaces, what they ask for and stands in root's node_modules. */
static int save_updated(struct editing *m, const struct graph *g)
{
	bool *exact = NULL;
	int r = find_exact(m, g, &exact);

	for (uint32_t k = 0; k < g->edge_count && r == 0; k++) {
		const struct graph_edge *edge = &g->edges[k];
		const struct graph_node *from = &g->nodes[edge->from];
		struct edited *f;

		if (edge->to == GRAPH_NONE || g->nodes[edge->to].parent != 0 || exact[edge->to] ||
		    !is_updated(m, g->nodes[edge->to].name) ||
		    !(edge->from == 0 || from->flags & NODE_WORKSPACE))
			continue;
		r = file_of(m, from->path, &f);
		if (r == 0)
			r = save_edge(m, g, f, edge);
	}
	return r;
}

int editing_settle(void *editing, const struct graph *g, struct manifest_texts *ret, struct err *e)
{
	struct editing *m = editing;
	int r = m->edits->update ? save_updated(m, g) : 0;

	(void)e; /* the editing has it */
	for (size_t i = 0; i < m->requested_count && r == 0; i++) {
		const struct ideal_request *q = &m->requested[i];
		const struct graph_edge *edge = edge_of(g, q->folder, q->name);
		struct edited *f;

		r = file_of(m, q->folder, &f);
		if (r == 0 && edge)
			r = save_edge(m, g, f, edge);
	}
	return r == 0 ? texts_of(m, ret) : r;
}
