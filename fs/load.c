#include "fs/load.h"

#include "core/log.h"
#include "fetch/catalog_npm.h"

#include <fcntl.h>
#include <stdio.h>

#define OVERRIDES_MAX 3

static int load_settings(struct loaded *l, const struct load_options *o, struct err *e)
{
	auto_free char *registry = NULL;
	const char *overrides[OVERRIDES_MAX] = { 0 };
	size_t n = 0;

	if (o->registry) {
		if (asprintf(&registry, "registry=%s", o->registry) < 0) {
			registry = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		overrides[n++] = registry;
	}
	if (o->offline)
		overrides[n++] = "offline=true";
	return npmrc_load(&l->npmrc, o->project_dir, overrides, e);
}

/* npm's own settings os, cpu, libc stand behind the command line's options. */
static const char *chosen(const char *option, const struct npmrc *rc, const char *key)
{
	return option ? option : npmrc_get(rc, key);
}

static void load_platform(struct loaded *l, const struct load_options *o)
{
	platform_detect(&l->machine, o->cache_dir);
	l->platform = l->machine;
	platform_override(&l->platform, chosen(o->os, l->npmrc, "os"),
			  chosen(o->cpu, l->npmrc, "cpu"), chosen(o->libc, l->npmrc, "libc"));
}

static int load_lock(struct loaded *l, const struct load_options *o, struct err *e)
{
	struct npmlock_options no = { .graph.legacy_peer_deps =
					      npmrc_bool(l->npmrc, "legacy-peer-deps", false) };
	struct catalog_npm *registry = NULL;
	struct catalog catalog;
	int r;

	if (o->lock_file)
		return lock_open(&l->lock, AT_FDCWD, o->lock_file, e);
	r = catalog_npm_new(&registry, l->npmrc, e);
	if (r < 0)
		return r;
	catalog = catalog_npm(registry);
	no.catalog = &catalog;
	r = project_lock(&l->project, o->cache_dir, &no, &l->lock, &l->derived, e);
	catalog_npm_free(registry);
	return r;
}

int load_project(struct loaded *ret, const struct load_options *o, struct err *e)
{
	struct loaded l = { .project = PROJECT_INIT };
	int r = project_open(&l.project, o->project_dir, e);

	if (r == 0)
		r = load_settings(&l, o, e);
	if (r == 0) {
		load_platform(&l, o);
		r = load_lock(&l, o, e);
	}
	if (r < 0) {
		loaded_release(&l);
		return r;
	}
	l.omit = npmrc_omit(l.npmrc) | o->omit;
	l.offline = npmrc_bool(l.npmrc, "offline", false);
	*ret = l;
	return 0;
}

void loaded_release(struct loaded *l)
{
	lock_close(l->lock);
	npmrc_free(l->npmrc);
	project_release(&l->project);
	*l = (struct loaded){ .project = PROJECT_INIT };
}
