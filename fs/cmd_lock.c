#include "fs/cmd_lock.h"

#include "core/file.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "lock/json_text.h"
#include "lock/lock.h"
#include "lock/render.h"
#include "lock/sat.h"

#include <fcntl.h>
#include <stdio.h>

static const char usage[] =
	"usage: dx lock                   resolve package.json as npm does, keeping to the lock\n"
	"                                 that is there; write package-lock.json (where there is\n"
	"                                 one) and dx.lock\n"
	"       dx lock --update          the same, with the newest versions that package.json "
	"allows\n"
	"       dx lock --from FILE       the same, with the versions that a yarn.lock (version "
	"1)\n"
	"                                 or bun.lock pins; that of the project is kept to anyway\n"
	"                                 where there is no other lock\n"
	"       dx lock --dedupe          anew, with the fewest versions of packages that will "
	"do,\n"
	"                                 and of those the newest\n"
	"       dx lock --explain [PACKAGE[@RANGE]]\n"
	"                                 why package.json cannot be resolved, or not with "
	"PACKAGE\n"
	"       dx lock --check           does the lock fit package.json, is dx.lock fresh?\n"
	"       dx lock show [FILE]       the lock as text, for people and git (textconv)\n"
	"       dx lock export [FILE]     the package-lock.json that it stands for\n"
	"       dx lock diff A B          what changed from lock A to lock B\n"
	"       dx lock merge BASE OURS THEIRS\n"
	"                                 git's merge driver: the merge goes into OURS\n"
	"--lockfile-version=N (1, 2 or 3) writes package-lock.json as that version.\n"
	"FILE is a dx.lock; without it, the lock of the project in the current folder.\n";

#define OUTPUT_MAX ((size_t)1 << 30)

/* ---- making and checking ---- */

/* Packages that are fetched, and places where they stand. */
int cmd_lock_summary(const struct lock *l, const struct project *p, struct err *e)
{
	auto_graph struct graph *g = NULL;
	uint32_t packages = 0, places = 0, links = 0;
	int r = lock_graph(l, &g, e);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < lock_count(l); i++) {
		struct lock_pkg pkg;

		lock_pkg(l, i, &pkg);
		packages += !(pkg.flags & (NODE_TOP | NODE_LINK));
	}
	for (uint32_t i = 0; i < g->count; i++) {
		links += !!(g->nodes[i].flags & NODE_LINK);
		places += !(g->nodes[i].flags & (NODE_TOP | NODE_LINK));
	}
	(void)printf(PROJECT_LOCK ": %u package%s at %u place%s, %u link%s, %zu bytes, from %s\n",
		     packages, plural(packages), places, plural(places), links, plural(links),
		     lock_bytes(l).len,
		     p->lock_file && strcmp(p->lock_file, PROJECT_LOCK) != 0 ? p->lock_file
									     : "package.json");
	return 0;
}

/* Does npm's lock fit package.json, so that dx.lock can be made of it as it stands? */
static bool fits(const struct cmd_project *c)
{
	auto_graph struct graph *g = NULL;
	const struct project *p = &c->project;

	return p->lock_file && strcmp(p->lock_file, PROJECT_LOCK) != 0 &&
	       npmlock_read(&g, p->dirfd, &c->options, NULL) == 0;
}

void cmd_lock_solved(const struct sat_report *s)
{
	if (!s->solved)
		return;
	if (s->npm.msg[0])
		(void)printf("npm gives up here, the solver does not: %s\n", s->npm.msg);
	(void)printf("%u version%s, ", s->count, plural(s->count));
	if (s->count && !s->cands && !s->bound)
		(void)printf("as npm has them; the solver knows of no answer\n");
	else if (s->count > s->bound)
		(void)printf("not proven the fewest: at least %u are needed\n", s->bound);
	else
		(void)printf("proven the fewest%s\n",
			     s->newest ? "" : "; which of those is the newest is not proven");
	if (s->bad)
		(void)printf("peers that do not hold, and are let be, as npm does: %u\n", s->bad);
	if (s->unknown)
		(void)printf("the registry could not be asked for something %u time%s; what it "
			     "has there does not count\n",
			     s->unknown, plural(s->unknown));
}

/* How `dx lock` is to make one. */
struct making {
	bool update, dedupe;
	const char *from;
	const char *lockfile_version; /* NULL: npm's setting */
};

static int make(const struct making *how, struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	auto_lock struct lock *l = NULL;
	struct err why = { 0 };
	struct sat_report report = { 0 };
	struct cmd_resolve ask = { .update_all = how->update || how->dedupe,
				   .from = how->from,
				   .lockfile_version = how->lockfile_version,
				   .keep_form = how->dedupe,
				   .build = how->dedupe ? sat_dedupe : sat_resolve,
				   .build_arg = &report };
	bool fit, refused;
	int r = cmd_project_open(&c, NULL, e);

	if (r < 0)
		return r;
	fit = !how->update && !how->dedupe && !how->from && fits(&c);
	r = cmd_project_resolve(&c, &ask, &l, &why);
	/* A refusal is one, whatever the lock looks like: npm refuses it, too. */
	refused = r == -ENOTSUP || r == -ENOENT || r == -EINVAL || r == -ENOEXEC;
	if (r < 0 && (refused || !fit))
		return err_set(e, r, "%s", why.msg);
	if (r < 0)
		(void)fprintf(stderr, "dx lock: %s fits package.json and stays as it is, for: %s\n",
			      c.project.lock_file, why.msg);
	if (r < 0)
		r = project_write_lock(&c.project, &c.options, &l, e);
	if (r == 0)
		cmd_lock_solved(&report);
	if (r == 0)
		cmd_project_show(&c, "dx lock");
	return r == 0 ? cmd_lock_summary(l, &c.project, e) : r;
}

/* 1: it cannot be. */
static int explain(const char *package, struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	auto_buf struct buf text = BUF_INIT((size_t)1 << 20);
	struct ideal_options o;
	int r = cmd_project_open(&c, NULL, e), w;

	if (r < 0)
		return r;
	cmd_project_select(&c);
	r = cmd_project_resolving(&c, &o, e);
	if (r < 0)
		return r;
	o.dir = c.project.dir;
	o.dirfd = c.project.dirfd;
	r = sat_explain(&o, package, &text, e);
	if (r == 0)
		buf_addf(&text, "%s%s\n",
			 package ? "Nothing stands in the way of "
				 : "Every dependency can be had, with one choice of versions or "
				   "another",
			 package ? package : "");
	w = r < 0 ? r : cmd_write(&text, e);
	if (w < 0)
		return w;
	return r == 1 ? CMD_FAILED : 0;
}

static int check(struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	auto_lock struct lock *ours = NULL;
	auto_graph struct graph *g = NULL;
	const struct project *p = &c.project;
	bool npm;
	int r = cmd_project_open(&c, NULL, e);

	if (r < 0)
		return r;
	npm = p->lock_file && strcmp(p->lock_file, PROJECT_LOCK) != 0;
	if (!p->lock_file)
		return err_set(e, -ENOENT, "there is no lock; make one with `dx lock`");
	if (npm)
		r = npmlock_read(&g, p->dirfd, &c.options, e);
	if (r == 0)
		r = project_fresh(p, &c.options, &ours, e);
	if (r == -ENOENT && npm) {
		(void)printf("%s fits package.json; there is no " PROJECT_LOCK "\n", p->lock_file);
		return 0;
	}
	if (r == 0 && !npm)
		r = project_check(p, ours, &c.options, e);
	if (r == 0)
		(void)printf("%s fits package.json%s\n", p->lock_file,
			     npm ? "; " PROJECT_LOCK " is fresh" : "");
	return r;
}

/* ---- the text form ---- */

static int by_path(const void *a, const void *b, void *arg)
{
	const struct graph_node *nodes = arg;

	return render_order(slice_str(nodes[*(const uint32_t *)a].path), true,
			    slice_str(nodes[*(const uint32_t *)b].path), true);
}

static void show_list(struct buf *b, const char *what, const struct graph_strings *list)
{
	size_t from = b->len;

	if (!list->given)
		return;
	buf_addf(b, "  %s", what);
	for (uint32_t i = 0; i < list->count; i++)
		buf_addf(b, " %s", list->items[i]);
	buf_end_line(b, from);
}

static void show_flags(struct buf *b, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *word;
	} words[] = {
		{ NODE_LINK, "link" },
		{ NODE_WORKSPACE, "workspace" },
		{ NODE_EXTRANEOUS, "extraneous" },
		{ NODE_DEV, "dev" },
		{ NODE_OPTIONAL, "optional" },
		{ NODE_DEV_OPTIONAL, "devOptional" },
		{ NODE_PEER, "peer" },
		{ NODE_IN_BUNDLE, "bundled" },
		{ NODE_HAS_SCRIPT, "script" },
		{ NODE_HAS_SHRINKWRAP, "shrinkwrap" },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (flags & words[i].flag && !(flags & NODE_EXTRANEOUS && i > 2 && i < 7))
			buf_addf(b, " %s", words[i].word);
	}
}

static void show_text(struct buf *b, const char *what, const char *value)
{
	size_t from = b->len;

	if (!value)
		return;
	buf_addf(b, "  %s %s", what, value);
	buf_end_line(b, from);
}

static void show_deps(struct buf *b, const struct graph_node *n)
{
	static const char *const sections[SECTION_COUNT] = {
		[SECTION_PROD] = "needs",
		[SECTION_DEV] = "needs-dev",
		[SECTION_OPTIONAL] = "needs-optional",
		[SECTION_PEER] = "needs-peer",
	};

	for (uint32_t i = 0; i < n->dep_count; i++) {
		const struct graph_dep *d = &n->deps[i];
		size_t from = b->len;

		buf_addf(b, "  %s%s %s %s", sections[d->section],
			 d->peer_optional ? "-optional" : "", d->name, d->spec);
		buf_end_line(b, from);
	}
}

/* The rest of what the lock says, one line a member. */
static void show_rest(struct buf *b, const char *residue)
{
	struct json_text t = json_text(residue);
	struct json_member m;

	while (json_text_next(&t, &m)) {
		size_t from = b->len;

		buf_addf(b, "  %.*s ", SLICE_FMT(m.key));
		buf_add(b, m.value.ptr, m.value.len);
		buf_end_line(b, from);
	}
}

static void show_node(struct buf *b, const struct graph *g, uint32_t i)
{
	const struct graph_node *n = &g->nodes[i];
	size_t from;

	buf_addstr(b, "\n");
	from = b->len;
	buf_addstr(b, i ? n->path : ".");
	if (n->pkg_name && strcmp(n->pkg_name, n->name) != 0)
		buf_addf(b, " = %s", n->pkg_name);
	if (n->version)
		buf_addf(b, " %s", n->version);
	show_flags(b, n->flags);
	buf_end_line(b, from);
	show_text(b, "resolved", n->resolved);
	show_text(b, "integrity", n->integrity);
	if (n->flags & NODE_TOP) {
		show_rest(b, n->residue);
		return;
	}
	show_deps(b, n);
	for (uint32_t k = 0; k < n->bin_count; k++) {
		from = b->len;
		buf_addf(b, "  bin %s %s", n->bins[k].name, n->bins[k].target);
		buf_end_line(b, from);
	}
	show_list(b, "os", &n->os);
	show_list(b, "cpu", &n->cpu);
	show_list(b, "libc", &n->libc);
	show_list(b, "bundles", &n->bundled);
	show_rest(b, n->residue);
}

/* Nothing that changes without a change of what is installed: no fingerprint, no numbers. */
static int show(const struct graph *g, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(OUTPUT_MAX);
	auto_free uint32_t *order = calloc(g->count, sizeof *order);

	if (!order)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < g->count; i++)
		order[i] = i;
	qsort_r(order, g->count, sizeof *order, by_path, g->nodes);
	buf_addf(&b, "lock of %s%s%s, package-lock version %u", g->name ? g->name : "a project",
		 g->version ? " " : "", g->version ? g->version : "",
		 g->lockfile_version < 2 ? 3 : g->lockfile_version);
	buf_end_line(&b, 0);
	for (uint32_t k = 0; k < g->count; k++)
		show_node(&b, g, order[k]);
	return cmd_write(&b, e);
}

static int export_lock(const struct graph *g, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(OUTPUT_MAX);
	int r = render_package_lock(g, &b, e);

	return r == 0 ? cmd_write(&b, e) : r;
}

/* Opens FILE, or the project's lock. */
static int open_any(const char *file, struct lock **ret, struct err *e)
{
	auto_cmd_project struct cmd_project c = CMD_PROJECT_INIT;
	int r;

	if (file)
		return lock_open(ret, AT_FDCWD, file, e);
	r = cmd_project_open(&c, NULL, e);
	return r == 0 ? cmd_project_lock(&c, ret, e) : r;
}

static int print(const char *file, int (*fn)(const struct graph *, struct err *), struct err *e)
{
	auto_lock struct lock *l = NULL;
	auto_graph struct graph *g = NULL;
	int r = open_any(file, &l, e);

	if (r == 0)
		r = lock_graph(l, &g, e);
	return r == 0 ? fn(g, e) : r;
}

static int wrong(const char *what, const char *which)
{
	(void)fprintf(stderr, "dx lock: %s%s\n%s", what, which, usage);
	return CMD_USAGE;
}

static int sub(int argc, char **argv, struct err *e)
{
	static const struct {
		const char *name;
		int least, most;
	} subs[] = { { "show", 0, 1 }, { "export", 0, 1 }, { "diff", 2, 2 }, { "merge", 3, 3 } };
	size_t i = 0;

	while (i < ARRAY_LEN(subs) && strcmp(argv[0], subs[i].name) != 0)
		i++;
	if (i == ARRAY_LEN(subs))
		return wrong("there is nothing that is called ", argv[0]);
	if (argc - 1 > subs[i].most)
		return wrong("one argument too many: ", argv[1 + subs[i].most]);
	if (argc - 1 < subs[i].least)
		return wrong("an argument is missing for ", argv[0]);
	if (i == 2)
		return cmd_lock_diff(argv[1], argv[2], e);
	if (i == 3)
		return cmd_lock_merge(argv[1], argv[2], argv[3], e);
	return print(argv[1], i ? export_lock : show, e);
}

int cmd_lock(int argc, char **argv)
{
	struct making how = { 0 };
	bool only_check = false, why = false;
	const struct cmd_option options[] = { { "check", .given = &only_check },
					      { "update", .given = &how.update },
					      { "dedupe", .given = &how.dedupe },
					      { "explain", .given = &why },
					      { "from", .value = &how.from },
					      { "lockfile-version",
						.value = &how.lockfile_version },
					      { 0 } };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 4);

	if (rc >= 0)
		return rc;
	if (only_check + how.update + how.dedupe + why + !!how.from > 1)
		r = wrong("--check, --update, --from, --dedupe and --explain go one at a time", "");
	else if (argc > optind + why && (why || only_check || how.update || how.dedupe || how.from))
		r = wrong("one argument too many: ", argv[optind + why]);
	else if (why)
		r = explain(argc > optind ? argv[optind] : NULL, &e);
	else if (optind == argc)
		r = only_check ? check(&e) : make(&how, &e);
	else
		r = sub(argc - optind, argv + optind, &e);
	return r == CMD_FAILED || r == CMD_USAGE ? r : cmd_end("dx lock", r, &e);
}
