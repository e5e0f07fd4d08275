#include "fs/cmd_view.h"

#include "fetch/fetch.h"

#include <sys/stat.h>

static int key_of(void *arg, const struct graph_node *n, struct digest *ret, struct err *e)
{
	const struct cmd_project *p = arg;

	return fetch_key(p->npmrc, p->project.dir, n, ret, e);
}

static int open_places(struct cmd_view *v, const struct state *s, bool fleeting, struct err *e)
{
	const struct npmrc *rc = v->project.npmrc;
	mode_t mask = umask(022);
	struct places_config c = {
		.store = v->store,
		.state_dir = s->dir,
		.fleeting = fleeting,
		.project_dirfd = v->project.project.dirfd,
		.bin_links = npmrc_bool(rc, "bin-links", true),
		.omit_resolved = npmrc_bool(rc, "omit-lockfile-registry-resolved", false),
		.key = key_of,
		.key_arg = &v->project,
		.modes = { .umask = mask, .npm_umask = npmrc_umask(rc), .setuid = geteuid() == 0 },
	};

	(void)umask(mask);
	return places_open(&v->places, &c, e);
}

static int make_view(struct cmd_view *v, struct basis *b, struct err *e)
{
	auto_free bool *present = calloc(basis_graph(b)->count, sizeof *present);
	struct view *fresh;
	int r = present ? select_nodes(basis_graph(b), &v->project.select, present, e)
			: err_set(e, -ENOMEM, "out of memory");

	if (r >= 0)
		r = view_new(&fresh, v->places, b, present, e);
	if (r < 0)
		return r;
	view_unref(v->view);
	v->view = fresh;
	return 0;
}

int cmd_view_again(struct cmd_view *v, const bool *failed, struct err *e)
{
	v->project.select.failed = failed;
	return make_view(v, view_basis(v->view), e);
}

int cmd_view_open(struct cmd_view *ret, const struct cmd_project_options *po,
		  const struct store_options *so, const struct state *s, bool fleeting,
		  struct err *e)
{
	struct lock *lock = NULL;
	struct basis *basis = NULL;
	int r = cmd_project_open(&ret->project, po, e);

	if (r == 0)
		r = cmd_project_lock(&ret->project, &lock, e);
	if (r == 0)
		r = basis_new(&basis, lock, e);
	if (r < 0)
		return r;
	cmd_project_select(&ret->project);
	r = store_open(&ret->store, so, e);
	if (r == 0)
		r = open_places(ret, s, fleeting, e);
	if (r == 0)
		r = make_view(ret, basis, e);
	basis_unref(basis);
	return r;
}

void cmd_view_release(struct cmd_view *v)
{
	view_unref(v->view);
	places_close(v->places);
	store_close(v->store);
	cmd_project_release(&v->project);
	*v = (struct cmd_view)CMD_VIEW_INIT;
}
