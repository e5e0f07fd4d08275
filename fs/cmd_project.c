#include "fs/cmd_project.h"

#include "core/file.h"
#include "core/store.h"
#include "fs/ctl.h"
#include "fs/state.h"
#include "lock/manifest.h"
#include "lock/pinned.h"
#include "lock/semver.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define RELOCK_WAIT_MS 60000 /* a lock of version 1 may have to ask the registry */

static int read_settings(struct cmd_project *p, struct err *e)
{
	const char *overrides[4] = { 0 };
	auto_free char *registry = NULL, *tag = NULL;
	size_t n = 0;

	if (p->o.registry) {
		if (asprintf(&registry, "registry=%s", p->o.registry) < 0) {
			registry = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		overrides[n++] = registry;
	}
	if (p->o.tag) {
		if (asprintf(&tag, "tag=%s", p->o.tag) < 0) {
			tag = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		overrides[n++] = tag;
	}
	if (p->o.offline)
		overrides[n++] = "offline=true";
	return npmrc_load(&p->npmrc, p->project.dir, overrides, e);
}

int cmd_project_open(struct cmd_project *ret, const struct cmd_project_options *o, struct err *e)
{
	auto_free char *found = NULL;
	int r = 0;

	if (o)
		ret->o = *o;
	if (!ret->cache_dir)
		ret->cache_dir = state_cache();
	if (!ret->o.dir)
		r = project_find(".", &found, &ret->workspace, e);
	if (r == 0)
		r = project_open(&ret->project, found ? found : ret->o.dir, e);
	if (r == 0)
		r = read_settings(ret, e);
	if (r == 0)
		r = catalog_npm_new(&ret->registry, ret->npmrc, ret->project.dir, e);
	if (r < 0)
		return r;
	ret->catalog = catalog_npm(ret->registry);
	ret->options = (struct npmlock_options){
		.graph.legacy_peer_deps = npmrc_bool(ret->npmrc, "legacy-peer-deps", false),
		.catalog = &ret->catalog,
	};
	ret->offline = npmrc_bool(ret->npmrc, "offline", false);
	return 0;
}

void cmd_project_release(struct cmd_project *p)
{
	platform_detect_drop(&p->asking);
	catalog_npm_free(p->registry);
	npmrc_free(p->npmrc);
	project_release(&p->project);
	free(p->metadata_dir);
	free(p->cache_dir);
	free(p->workspace);
	*p = (struct cmd_project)CMD_PROJECT_INIT;
}

int cmd_project_omit(void *flags, const char *list)
{
	static const struct {
		const char *name;
		unsigned flag;
	} kinds[] = { { "dev", OMIT_DEV }, { "optional", OMIT_OPTIONAL }, { "peer", OMIT_PEER } };

	while (*list) {
		size_t n = strcspn(list, ",:"), i;

		for (i = 0; i < ARRAY_LEN(kinds); i++)
			if (strlen(kinds[i].name) == n && strncmp(kinds[i].name, list, n) == 0)
				break;
		if (i == ARRAY_LEN(kinds))
			return -EINVAL;
		*(unsigned *)flags |= kinds[i].flag;
		list += n + (list[n] != '\0');
	}
	return 0;
}

/* npm's own settings os, cpu, libc stand behind the command line's options. */
static const char *chosen(const char *option, const struct npmrc *rc, const char *key)
{
	return option ? option : npmrc_get(rc, key);
}

void cmd_project_look_ahead(struct cmd_project *p)
{
	p->cache_dir = state_cache();
	platform_detect_begin(&p->asking, p->cache_dir);
}

void cmd_project_select(struct cmd_project *p)
{
	const struct npmrc *rc = p->npmrc;

	if (!p->asking.begun)
		platform_detect_begin(&p->asking, p->cache_dir);
	platform_detect_end(&p->asking, &p->machine);
	p->platform = p->machine;
	platform_override(&p->platform, chosen(p->o.os, rc, "os"), chosen(p->o.cpu, rc, "cpu"),
			  chosen(p->o.libc, rc, "libc"));
	p->select = (struct select_params){
		.platform = &p->platform,
		.machine = &p->machine,
		.omit = npmrc_omit(rc) | p->o.omit,
		.force = p->o.force,
		.engine_strict = npmrc_bool(rc, "engine-strict", false),
	};
}

/* npm's `before`, or so many days ago. */
static int read_before(const struct npmrc *rc, struct ideal_options *ret, struct err *e)
{
	const char *before = npmrc_get(rc, "before");
	int64_t age = npmrc_int(rc, "min-release-age", 0);

	ret->has_before = before || age > 0;
	if (before && packument_time(before, &ret->before_ms) < 0)
		return err_set(e, -EINVAL, "npm's setting before=%.60s is no date", before);
	if (!before)
		ret->before_ms = ((int64_t)time(NULL) - age * 24 * 60 * 60) * 1000;
	return 0;
}

int cmd_project_resolving(struct cmd_project *p, struct ideal_options *ret, struct err *e)
{
	const struct npmrc *rc = p->npmrc;
	auto_free char *store = store_default_dir();
	struct ideal_options o = {
		.platform = &p->machine,
		.select = &p->select,
		.default_tag = npmrc_get(rc, "tag"),
		.legacy_peer_deps = p->options.graph.legacy_peer_deps,
		.strict_peer_deps = npmrc_bool(rc, "strict-peer-deps", false),
		.force = p->o.force || npmrc_bool(rc, "force", false),
		.prefer_dedupe = npmrc_bool(rc, "prefer-dedupe", false),
		.omit_resolved = npmrc_bool(rc, "omit-lockfile-registry-resolved", false),
	};
	int r = read_before(rc, &o, e);

	if (r == 0 && store && asprintf(&p->metadata_dir, "%s/metadata", store) < 0)
		p->metadata_dir = NULL;
	if (r == 0)
		r = catalog_npm_resolving(p->registry, p->metadata_dir, e);
	if (r < 0)
		return r;
	p->catalog = catalog_npm(p->registry);
	o.catalog = &p->catalog;
	*ret = o;
	return 0;
}

/* Without `from` a lock that cannot be read as one is left alone, and nothing is kept to. */
static int read_pinned(struct cmd_project *p, const struct cmd_resolve *ask, struct pinned **ret,
		       struct err *e)
{
	struct err why = { 0 };
	int r;

	if (ask->update_all && !ask->from)
		return 0;
	r = project_pinned(&p->project, ask->from, ret, &why);
	if (r == -ENOTSUP && !ask->from) {
		(void)fprintf(stderr, "%s; its versions are not kept to\n", why.msg);
		return 0;
	}
	if (r < 0)
		return err_set(e, r, "%s", why.msg);
	if (*ret)
		(void)fprintf(stderr, "keeping to the versions of %s (%u demand%s)\n%s",
			      pinned_file(*ret), pinned_count(*ret), plural(pinned_count(*ret)),
			      pinned_remarks(*ret));
	return 0;
}

/* npm's settings that are none of these it warns of and ignores. */
static int read_form(const struct cmd_project *p, const struct cmd_resolve *ask, unsigned *ret,
		     struct err *e)
{
	const char *s = ask->lockfile_version;

	if (s && (strlen(s) != 1 || *s < '1' || *s > '3'))
		return err_set(e, -EINVAL, "--lockfile-version=%.20s: it is 1, 2 or 3", s);
	if (!s)
		s = npmrc_get(p->npmrc, "lockfile-version");
	*ret = ask->update_all && !ask->keep_form ? 3 : 0;
	if (s && strlen(s) == 1 && *s >= '1' && *s <= '3')
		*ret = (unsigned)(*s - '0');
	return 0;
}

int cmd_project_resolve(struct cmd_project *p, const struct cmd_resolve *ask, struct lock **ret,
			struct err *e)
{
	auto_ideal_result struct ideal_result result = IDEAL_RESULT_INIT;
	const char *registries[3] = { npmrc_public_registry(p->npmrc) };
	auto_pinned struct pinned *pinned = NULL;
	struct ideal_options o;
	bool changed;
	int r;

	cmd_project_select(p);
	r = cmd_project_resolving(p, &o, e);
	if (r == 0)
		r = read_form(p, ask, &o.lockfile_version, e);
	if (r == 0)
		r = read_pinned(p, ask, &pinned, e);
	if (r < 0)
		return r;
	if (npmrc_registry_for(p->npmrc, NULL, &registries[!!registries[0]], NULL) < 0)
		registries[1] = NULL;
	o.pinned = pinned;
	o.registries = registries;
	o.update = ask->update;
	o.update_all = ask->update_all || ask->from;
	o.build = ask->build;
	o.build_arg = ask->build_arg;
	r = project_resolve(&p->project, &p->options, &o, ask->edits, &result, ret, &changed, e);
	if (result.warnings.len)
		(void)fwrite(result.warnings.data, 1, result.warnings.len, stderr);
	return r;
}

int cmd_project_lock(struct cmd_project *p, struct lock **ret, struct err *e)
{
	auto_lock struct lock *l = NULL;
	bool derived;
	int r;

	if (p->o.lock_file)
		r = lock_open(&l, AT_FDCWD, p->o.lock_file, e);
	else
		r = project_lock(&p->project, p->cache_dir, &p->options, &l, &derived, e);
	if (r == 0 && !p->o.lock_file && strcmp(p->project.lock_file, PROJECT_LOCK) == 0)
		r = project_fits(&p->project, l, &p->options, e);
	if (r == 0)
		*ret = take(&l);
	catalog_npm_free(take(&p->registry));
	p->options.catalog = NULL;
	return r;
}

void cmd_project_show(const struct cmd_project *p, const char *who)
{
	struct state state = STATE_INIT;
	auto_free char *mountpoint = NULL, *answer = NULL;
	struct err e = { 0 };
	int r;

	if (asprintf(&mountpoint, "%s/node_modules", p->project.dir) < 0) {
		mountpoint = NULL;
		return;
	}
	r = state_open(&state, mountpoint, false, &e);
	if (r == 0)
		r = ctl_ask(state.dirfd, "relock", RELOCK_WAIT_MS, &answer, &e);
	if (r < 0 && r != -ENOENT && r != -ECONNREFUSED)
		(void)fprintf(stderr, "%s: the mount goes on with the lock before: %s\n", who,
			      e.msg);
	state_release(&state);
}

/* npm's lock, read without the question whether it fits. */
static int parse_npm_lock(const struct cmd_project *c, struct graph **ret, struct err *e)
{
	auto_free char *text = NULL;
	size_t len;
	int r = file_read_all(c->project.dirfd, c->project.lock_file, NPMLOCK_SIZE_MAX, &text, &len,
			      e);

	if (r < 0)
		return r;
	return npmlock_parse(ret, (struct slice){ (const uint8_t *)text, len }, &c->options, e);
}

int cmd_project_graph(const struct cmd_project *c, struct lock **ret_lock, struct graph **ret,
		      struct err *e)
{
	const struct project *p = &c->project;
	auto_lock struct lock *l = NULL;
	auto_graph struct graph *g = NULL;
	bool derived;
	int r;

	if (!p->lock_file || strcmp(p->lock_file, PROJECT_LOCK) == 0) {
		r = project_lock(p, NULL, &c->options, &l, &derived, e);
		if (r == 0)
			r = lock_graph(l, &g, e);
	} else {
		r = parse_npm_lock(c, &g, e);
	}
	if (r == 0)
		r = manifest_project(g, p->dirfd, e);
	if (r == 0)
		r = graph_edges(g, &c->options.graph, e);
	if (r == 0)
		r = graph_flags(g, e);
	if (r < 0)
		return r;
	*ret_lock = take(&l);
	*ret = take(&g);
	return 0;
}

void cmd_node_id(struct buf *b, const struct graph *g, uint32_t node)
{
	const struct graph_node *n = &g->nodes[node], *m = n;

	if (n->flags & NODE_LINK)
		m = &g->nodes[n->link_target];
	if (node == 0)
		buf_addf(b, "%s@%s", m->pkg_name ? m->pkg_name : "", m->version ? m->version : "");
	else if (m->pkg_name && strcmp(m->pkg_name, n->name) != 0)
		buf_addf(b, "%s@npm:%s@%s", n->name, m->pkg_name, m->version ? m->version : "");
	else
		buf_addf(b, "%s@%s", n->name, m->version ? m->version : "");
}

bool cmd_node_is(const struct graph_node *n, const char *arg)
{
	const char *at = arg[0] ? strchr(arg + 1, '@') : NULL;
	size_t len = strlen(arg), name_len = at ? (size_t)(at - arg) : len;

	while (len > 1 && arg[len - 1] == '/')
		len--;
	if (strlen(n->path) == len && strncmp(n->path, arg, len) == 0)
		return true;
	/* An '@' that is not the scope's has a range behind it. */
	if (!n->pkg_name || strlen(n->pkg_name) != name_len ||
	    strncmp(n->pkg_name, arg, name_len) != 0)
		return false;
	return !at || (n->version &&
		       semver_satisfies(slice_str(n->version), slice_str(at + 1), SEMVER_LOOSE));
}
