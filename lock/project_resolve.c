#include "core/file.h"
#include "core/log.h"
#include "lock/ideal.h"
#include "lock/json_text.h"
#include "lock/legacy.h"
#include "lock/manifest.h"
#include "lock/manifest_edit.h"
#include "lock/pinned.h"
#include "lock/project_priv.h"
#include "lock/render.h"
#include "lock/semver.h"
#include "lock/spec.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- the locks ---- */

/* The lock that is there. */
struct kept {
	struct buf text;  /* as a package-lock.json of version 3; empty where there is none */
	char *others;     /* what it says at its top that npm does not know: a JSON object; NULL */
	unsigned version; /* of npm's lock; 0: there is none */
};

static void kept_release(struct kept *k)
{
	buf_release(&k->text);
	free(k->others);
}

/* Where only a dx.lock stands, in which nothing can be read, nothing is kept. */
static int keep(const struct project *p, const struct npmlock_options *o, struct kept *ret,
		struct err *e)
{
	auto_lock struct lock *l = NULL;
	auto_graph struct graph *g = NULL;
	auto_free char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r;

	if (!p->lock_file)
		return 0;
	if (project_has_npm_lock(p)) {
		r = file_read_all(p->dirfd, p->lock_file, NPMLOCK_SIZE_MAX, &text, &len, e);
		if (r == 0)
			r = npmlock_parse(&g, (struct slice){ (const uint8_t *)text, len }, o, e);
		if (r < 0)
			return err_wrap(e, r, "%s", p->lock_file);
	} else {
		r = lock_open(&l, p->dirfd, PROJECT_LOCK, &why);
		if (r == -EBADMSG) {
			log_warn("%s; it is made anew from package.json alone", why.msg);
			return 0;
		}
		if (r < 0)
			return err_set(e, r, "%s", why.msg);
		r = lock_graph(l, &g, e);
	}
	if (r < 0)
		return r;
	if (project_has_npm_lock(p)) {
		ret->version = g->lockfile_version < 2 ? 1 : g->lockfile_version;
		ret->others = strdup(g->top_residue ? g->top_residue : "");
	}
	g->lockfile_version = 3;
	return render_package_lock(g, &ret->text, e);
}

int project_pinned(const struct project *p, const char *file, struct pinned **ret, struct err *e)
{
	static const char *const names[] = { "yarn.lock", "bun.lock", "bun.lockb",
					     "pnpm-lock.yaml" };
	const char *const *name = names, *const *end = names + ARRAY_LEN(names);
	auto_free char *text = NULL;
	struct err why = { 0 };
	size_t len = 0;
	int r = -ENOENT;

	*ret = NULL;
	if (!file && p->lock_file)
		return 0;
	if (file)
		r = file_read_all(AT_FDCWD, file, PINNED_SIZE_MAX, &text, &len, e);
	for (; !file && r == -ENOENT && name < end; name++) {
		r = file_read_all(p->dirfd, *name, PINNED_SIZE_MAX, &text, &len, &why);
		file = r == -ENOENT ? NULL : *name;
	}
	if (!file)
		return 0;
	if (r < 0)
		return why.msg[0] ? err_set(e, r, "%s", why.msg) : r;
	return pinned_parse(ret, (struct slice){ (const uint8_t *)text, len }, file, e);
}

static int path_of(const struct project *p, const char *file, char **ret, struct err *e)
{
	if (asprintf(ret, "%s/%s", p->dir, file) >= 0)
		return 0;
	*ret = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

/* A DXL of the graph, written where it says something else than what stands there. */
static int write_dxl(const struct project *p, const struct npmlock_options *o,
		     const struct graph *g, struct lock **ret, bool *ret_changed, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(LOCK_SIZE_MAX);
	auto_free char *path = NULL, *old = NULL;
	auto_lock struct lock *l = NULL;
	struct hash128 fingerprint;
	size_t len = 0;
	int r = project_fingerprint(p, g, o, &fingerprint, e);

	if (r == 0)
		r = lock_build(g, fingerprint, &bytes, e);
	if (r == 0)
		r = lock_open_copy(&l, (struct slice){ bytes.data, bytes.len }, e);
	if (r == 0)
		r = path_of(p, PROJECT_LOCK, &path, e);
	if (r < 0)
		return r;
	*ret_changed = file_read_all(p->dirfd, PROJECT_LOCK, LOCK_SIZE_MAX, &old, &len, NULL) < 0 ||
		       len != bytes.len || memcmp(old, bytes.data, len) != 0;
	if (*ret_changed)
		r = file_replace(path, bytes.data, bytes.len, 0644, e);
	if (r == 0)
		*ret = take(&l);
	return r;
}

static bool is_other(const struct json_member *m)
{
	return !slice_eq(m->key, SLICE("dependencies")) && !slice_eq(m->key, SLICE("requires"));
}

static void put_others(struct buf *b, const char *others, bool objects)
{
	struct json_text t = json_text(others);
	struct json_member m;

	while (json_text_next(&t, &m)) {
		if (m.is_object != objects || !is_other(&m))
			continue;
		buf_addf(b, "%s\"%.*s\":", b->len > 1 ? "," : "", SLICE_FMT(m.key));
		buf_add(b, m.value.ptr, m.value.len);
	}
}

/* What the lock says beside its packages: `others`, and the "dependencies" of versions below 3. */
static int put_top(struct graph *g, const char *dir, const char *others, struct err *e)
{
	auto_buf struct buf top = BUF_INIT(NPMLOCK_SIZE_MAX), deps = BUF_INIT(NPMLOCK_SIZE_MAX);
	int r = g->lockfile_version > 2 ? 0 : legacy_put(g, dir, &deps, e);

	if (r < 0)
		return r;
	buf_addstr(&top, "{");
	put_others(&top, others, false);
	if (deps.len) {
		buf_addf(&top, "%s\"dependencies\":", top.len > 1 ? "," : "");
		buf_add(&top, deps.data, deps.len);
	}
	put_others(&top, others, true);
	buf_addstr(&top, "}");
	if (buf_error(&top) == 0)
		g->top_residue = arena_strndup(&g->arena, top.data, top.len);
	return buf_error(&top) || !g->top_residue ? err_set(e, -ENOMEM, "no memory for the lock")
						  : 0;
}

/* The graph as npm's lock is to say it. */
static int set_form(const struct project *p, const struct ideal_options *io, const struct kept *k,
		    struct graph *g, struct err *e)
{
	g->lockfile_version = io->lockfile_version ? io->lockfile_version : k->version == 2 ? 2 : 3;
	return put_top(g, p->dir, io->update_all ? "" : k->others, e);
}

/* Writes npm's lock where its text is another now, and the DXL that comes of that text. Whether it
 * fits package.json is not asked: npm leaves optional packages out that the registry does not have,
 * and then refuses its own lock. */
static int write_npm_lock(const struct project *p, const struct npmlock_options *o,
			  const struct graph *g, struct lock **ret, bool *ret_changed,
			  struct err *e)
{
	auto_buf struct buf text = BUF_INIT(NPMLOCK_SIZE_MAX);
	auto_graph struct graph *again = NULL;
	auto_free char *path = NULL, *old = NULL;
	bool ignored;
	size_t len = 0;
	int r = g->lockfile_version == 1 ? render_package_lock_v1(g, &text, e)
					 : render_package_lock(g, &text, e);

	if (r == 0)
		r = path_of(p, p->lock_file, &path, e);
	if (r == 0)
		r = file_read_all(p->dirfd, p->lock_file, NPMLOCK_SIZE_MAX, &old, &len, e);
	if (r < 0)
		return r;
	*ret_changed = len != text.len || memcmp(old, text.data, len) != 0;
	if (*ret_changed)
		r = file_replace(path, text.data, text.len, 0644, e);
	if (r == 0)
		r = npmlock_parse(&again, (struct slice){ text.data, text.len }, o, e);
	if (r == 0) {
		again->shrinkwrap = strcmp(p->lock_file, "npm-shrinkwrap.json") == 0;
		r = manifest_project(again, p->dirfd, e);
	}
	if (r == 0)
		r = graph_edges(again, &o->graph, e);
	if (r == 0)
		r = graph_flags(again, e);
	return r == 0 ? write_dxl(p, o, again, ret, &ignored, e) : r;
}

/* ---- package.json, changed ---- */

static const char *const sections[] = { "devDependencies", "optionalDependencies", "dependencies",
					"peerDependencies" };

/* The text as it is after each step; owned. */
struct editing {
	char *text;
	size_t len;
	struct err *e;
	struct arena arena; /* names that were found out */
};

static int set(struct editing *m, const char *section, const char *name, const char *spec)
{
	auto_buf struct buf b = BUF_INIT(MANIFEST_SIZE_MAX);
	int r = manifest_edit(&b, (struct slice){ (const uint8_t *)m->text, m->len }, section, name,
			      spec, m->e);

	if (r < 0)
		return r;
	free(m->text);
	m->len = b.len;
	m->text = buf_steal_str(&b);
	return m->text ? 0 : err_set(m->e, -ENOMEM, "out of memory");
}

/* The section that has the name already, and what it says; NULL: none. */
static const char *section_of(const cJSON *manifest, const char *name, const char **ret_spec)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		*ret_spec = json_str(json_get(manifest, sections[i]), name);
		if (*ret_spec)
			return sections[i];
	}
	return NULL;
}

/* As npm does: a name stands in one of them, but what is a peer may be a dev dependency too. */
static int leave_others(struct editing *m, const char *section, const char *name)
{
	bool prod = strcmp(section, "dependencies") == 0;
	bool dev = strcmp(section, "devDependencies") == 0;
	bool peer = strcmp(section, "peerDependencies") == 0;
	int r = 0;

	if (prod)
		r = set(m, "devDependencies", name, NULL);
	else
		r = set(m, "dependencies", name, NULL);
	if (r == 0 && (prod || peer))
		r = set(m, "optionalDependencies", name, NULL);
	if (r == 0 && !dev && !peer)
		r = set(m, "peerDependencies", name, NULL);
	return r;
}

static int is_tag(const char *name, const char *spec, bool *ret, struct err *e)
{
	auto_arena struct arena a = ARENA_INIT((size_t)1 << 20);
	struct spec s;
	int r = spec_parse(&s, slice_str(name), slice_str(*spec ? spec : "*"), SLICE("/"), &a, e);

	*ret = r == 0 && s.type == SPEC_TAG;
	return r;
}

/* What a tag means today. */
static int tagged(const struct ideal_options *io, const char *name, const char *tag,
		  const char **ret, struct err *e)
{
	const struct packument *p;
	int r = io->catalog->packument(io->catalog->self, name, &p, e);

	if (r < 0)
		return r;
	*ret = packument_tag(p, tag);
	return *ret ? 0
		    : err_set(e, -ENOENT, "%s: the registry has no tag \"%s\" of it", name, tag);
}

/* The manifest at a spec that is no registry's; *ret is owned by the caller. */
static int manifest_at(const struct project *p, const struct ideal_options *io,
		       const struct spec *s, struct arena *a, cJSON **ret, struct err *e)
{
	const struct catalog *c = io->catalog;
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
		return err_set(e, -ENOMEM, "out of memory");
	if (s->type == SPEC_DIRECTORY) {
		r = file_read_all(p->dirfd, pkg.resolved, MANIFEST_SIZE_MAX, &text, &len, e);
		return r < 0 ? r : json_parse(ret, (struct slice){ (uint8_t *)text, len }, e);
	}
	if (s->type == SPEC_GIT && c->git) {
		r = c->git(c->self, s, &got, e);
		*ret = take(&got.manifest);
	} else if (s->type != SPEC_GIT && c->contents) {
		r = c->contents(c->self, &pkg, &all, e);
		*ret = cJSON_DetachItemFromObjectCaseSensitive(all.manifests, "package.json");
	}
	return r;
}

/* "user/repo" is saved as the shortcut, a path as "file:", the rest as it was given. */
static const char *spec_to_save(const struct project *p, const struct spec *s, struct arena *a)
{
	static const char *const hosts[] = { [GITHUB] = "github",
					     [BITBUCKET] = "bitbucket",
					     [GITLAB] = "gitlab",
					     [GIST] = "gist",
					     [SOURCEHUT] = "sourcehut" };
	const uint8_t *hash = memchr(s->raw.ptr, '#', s->raw.len);
	const char *path;

	if (s->type == SPEC_GIT && s->host != GIT_HOST_NONE && !s->auth.len)
		return arena_printf(a, "%s:%.*s%s%.*s%.*s", hosts[s->host], SLICE_FMT(s->user),
				    s->user.len ? "/" : "", SLICE_FMT(s->project),
				    hash ? (int)(s->raw.ptr + s->raw.len - hash) : 0,
				    hash ? (const char *)hash : "");
	if (s->type == SPEC_FILE || s->type == SPEC_DIRECTORY) {
		path = spec_way(p->dir, s->fetch, a);
		return path ? arena_printf(a, "file:%s", path) : NULL;
	}
	return arena_strndup(a, s->raw.ptr, s->raw.len);
}

/* With a name in front: what is no registry's is saved as without one. What is not understood here
 * is refused where it is looked at. */
static int normalize(struct editing *m, const struct project *p, struct project_edit *edit)
{
	struct spec s;

	if (!edit->spec || spec_parse(&s, slice_str(edit->name), slice_str(edit->spec),
				      slice_str(p->dir), &m->arena, NULL) < 0)
		return 0;
	if (s.type >= SPEC_GIT)
		edit->spec = spec_to_save(p, &s, &m->arena);
	return edit->spec ? 0 : err_set(m->e, -ENOMEM, "out of memory");
}

/* Finds out what was meant without a name. */
static int find_name(struct editing *m, const struct project *p, const struct ideal_options *io,
		     struct project_edit *edit)
{
	auto_json cJSON *j = NULL;
	const char *name;
	struct spec s;
	int r = spec_parse(&s, (struct slice){ 0 }, slice_str(edit->spec), slice_str(p->dir),
			   &m->arena, m->e);

	if (r == 0 && s.type < SPEC_GIT)
		r = err_set(m->e, -EINVAL, "%.80s: say under which name: NAME@%.80s", edit->spec,
			    edit->spec);
	if (r == 0)
		r = manifest_at(p, io, &s, &m->arena, &j, m->e);
	if (r < 0)
		return r;
	name = json_str(j, "name");
	if (!name || !*name)
		return err_set(m->e, -EINVAL,
			       "%.80s: its package.json has no name; say under which: NAME@%.80s",
			       edit->spec, edit->spec);
	edit->name = arena_strdup(&m->arena, name);
	edit->spec = spec_to_save(p, &s, &m->arena);
	return edit->name && edit->spec ? 0 : err_set(m->e, -ENOMEM, "out of memory");
}

static int apply(struct editing *m, const struct ideal_options *io, struct project_edit *edit)
{
	auto_json cJSON *j = NULL;
	const char *have = NULL, *at, *spec = edit->spec;
	bool tag;
	int r = json_parse(&j, (struct slice){ (const uint8_t *)m->text, m->len }, m->e);

	if (r < 0)
		return err_wrap(m->e, r, "package.json");
	at = section_of(j, edit->name, &have);
	if (!spec) {
		if (!at)
			return err_set(m->e, -ENOENT, "package.json does not depend on %s",
				       edit->name);
		for (size_t i = 0; i < ARRAY_LEN(sections) && r == 0; i++)
			r = set(m, sections[i], edit->name, NULL);
		return r;
	}
	r = is_tag(edit->name, spec, &tag, m->e);
	if (r == 0 && tag)
		r = tagged(io, edit->name, spec, &spec, m->e);
	if (r < 0)
		return r;
	if (!edit->section)
		edit->section = at ? at : "dependencies";
	if (!*spec)
		spec = have ? have : "*";
	r = leave_others(m, edit->section, edit->name);
	return r == 0 ? set(m, edit->section, edit->name, spec) : r;
}

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

/* What package.json is to say of a package that was asked for as `spec` and came as `n`: the range
 * that was given, unless "^version" is a narrower one. NULL: as it was given. */
static char *saved_spec(const struct graph_node *n, const char *name, const char *spec,
			const char *prefix)
{
	auto_arena struct arena a = ARENA_INIT((size_t)1 << 20);
	struct spec s;
	struct slice asked;
	char *out = NULL;
	const char *range;
	auto_free char *own = NULL;

	if (!n->version || n->flags & NODE_LINK ||
	    spec_parse(&s, slice_str(name), slice_str(*spec ? spec : "*"), SLICE("/"), &a, NULL) <
		    0)
		return NULL;
	if (s.type != SPEC_VERSION && s.type != SPEC_RANGE && s.type != SPEC_TAG &&
	    s.type != SPEC_ALIAS)
		return NULL;
	asked = s.fetch;
	own = strndup((const char *)asked.ptr, asked.len);
	if (!own)
		return NULL;
	range = own;
	if ((s.type == SPEC_ALIAS ? s.alias_type : s.type) == SPEC_RANGE && strcmp(own, "*") != 0 &&
	    !covers(own, prefix, n->version))
		prefix = "";
	else
		range = n->version;
	if (strcmp(n->pkg_name, name) != 0
		    ? asprintf(&out, "npm:%s@%s%s", n->pkg_name, prefix, range) < 0
		    : asprintf(&out, "%s%s", prefix, range) < 0)
		return NULL;
	return out;
}

static int save_specs(struct editing *m, const struct graph *g, const struct project_edits *edits)
{
	int r = 0;

	for (size_t i = 0; i < edits->count && r == 0; i++) {
		const struct project_edit *edit = &edits->list[i];
		uint32_t node = edit->spec ? graph_child(g, 0, edit->name) : GRAPH_NONE;
		auto_free char *spec = NULL;

		if (node == GRAPH_NONE)
			continue;
		spec = saved_spec(&g->nodes[node], edit->name, edit->spec,
				  edits->prefix ? edits->prefix : "^");
		if (spec)
			r = set(m, edit->section, edit->name, spec);
	}
	return r;
}

struct settling {
	struct editing *m;
	const struct project_edits *edits;
};

static int settle(void *arg, const struct graph *g, struct slice *ret, struct err *e)
{
	const struct settling *s = arg;
	int r = save_specs(s->m, g, s->edits);

	(void)e; /* the editing has it */
	if (r == 0)
		*ret = (struct slice){ (const uint8_t *)s->m->text, s->m->len };
	return r;
}

static int build(struct ideal_result *ret, struct slice lock, const struct ideal_options *o,
		 struct err *e)
{
	return o->build ? o->build(ret, lock, o, o->build_arg, e) : ideal_build(ret, lock, o, e);
}

static int resolve_edited(const struct project *p, struct slice keep_to, struct ideal_options *io,
			  const struct project_edits *edits, struct editing *m,
			  struct ideal_result *ret)
{
	auto_free const char **names = calloc(edits->count + 1, sizeof *names);
	struct settling settling = { m, edits };
	auto_free char *asked = NULL;
	size_t n = 0;
	int r;

	if (!names)
		return err_set(m->e, -ENOMEM, "out of memory");
	r = file_read_all(p->dirfd, "package.json", MANIFEST_SIZE_MAX, &m->text, &m->len, m->e);
	for (size_t i = 0; i < edits->count && r == 0; i++) {
		r = edits->list[i].name ? normalize(m, p, &edits->list[i])
					: find_name(m, p, io, &edits->list[i]);
		if (r == 0)
			r = apply(m, io, &edits->list[i]);
		if (edits->list[i].spec)
			names[n++] = edits->list[i].name;
	}
	if (r < 0)
		return r;
	asked = strndup(m->text, m->len);
	if (!asked)
		return err_set(m->e, -ENOMEM, "out of memory");
	io->requested = names;
	io->manifest = (struct slice){ (const uint8_t *)asked, m->len };
	io->settle = settle;
	io->settle_arg = &settling;
	return build(ret, keep_to, io, m->e);
}

/* ---- the whole ---- */

static int write_manifest(const struct project *p, const struct editing *m, struct err *e)
{
	auto_free char *path = NULL;
	int r = path_of(p, "package.json", &path, e);

	return r == 0 ? file_replace(path, m->text, m->len, 0644, e) : r;
}

static void editing_release(struct editing *m)
{
	arena_release(&m->arena);
	free(m->text);
}

/* Whoever resolved it: what npm would not take is not written. */
static int check_sound(const struct graph *g, struct err *e)
{
	struct err why = { 0 };
	int r = graph_sound(g, GRAPH_AS_NPM, &why);

	return r < 0 ? err_set(e, r,
			       "what was resolved does not hold, and is not written: %s; pin or "
			       "override the version",
			       why.msg)
		     : 0;
}

int project_resolve(const struct project *p, const struct npmlock_options *o,
		    const struct ideal_options *io, const struct project_edits *edits,
		    struct ideal_result *ret, struct lock **ret_lock, bool *ret_changed,
		    struct err *e)
{
	struct editing m cleanup(editing_release) = { .e = e,
						      .arena = ARENA_INIT((size_t)1 << 20) };
	struct kept kept cleanup(kept_release) = { .text = BUF_INIT(NPMLOCK_SIZE_MAX) };
	struct ideal_options mine = *io;
	struct slice lock;
	int r;

	mine.dir = p->dir;
	mine.dirfd = p->dirfd;
	r = keep(p, o, &kept, e);
	lock = (struct slice){ kept.text.data, kept.text.len };
	if (r == 0 && edits && edits->count)
		r = resolve_edited(p, lock, &mine, edits, &m, ret);
	else if (r == 0)
		r = build(ret, lock, &mine, e);
	if (r == 0 && !mine.force)
		r = check_sound(ret->graph, e);
	if (r == 0 && project_has_npm_lock(p))
		r = set_form(p, io, &kept, ret->graph, e);
	if (r == 0 && m.text)
		r = write_manifest(p, &m, e);
	if (r < 0)
		return r;
	if (project_has_npm_lock(p))
		return write_npm_lock(p, o, ret->graph, ret_lock, ret_changed, e);
	return write_dxl(p, o, ret->graph, ret_lock, ret_changed, e);
}
