#include "fetch/verify.h"
#include "fs/cmd.h"
#include "fs/cmd_project.h"
#include "lock/json.h"
#include "lock/lock.h"

#include <stdio.h>

static const char usage[] = "usage: dx verify [--json] [--registry=URL]\n"
			    "      --json          one JSON object, with each problem\n"
			    "      --registry=URL  the default registry\n"
			    "Checks the registry's signatures of what the lock names.\n";

struct tally {
	unsigned count[VERIFY_STATES];
	struct buf problems; /* JSON objects, separated by commas */
	struct buf last;     /* the reason of the line that was printed last */
	unsigned same;       /* packages since, for the same reason */
	bool json;
};

/* A registry that does not answer would say so for each package. */
static void tell_same(struct tally *t)
{
	if (t->same)
		(void)fprintf(stderr, "and %u more for the same reason\n", t->same);
	t->same = 0;
}

static void on_package(void *arg, const struct fetch_pkg *p, enum verify_state state,
		       const char *why)
{
	static const char *const words[] = { "", "", "missing", "bad", "not checked" };
	auto_buf struct buf line = BUF_INIT(8192);
	struct tally *t = arg;

	t->count[state]++;
	if (state == VERIFY_GOOD || state == VERIFY_NO_KEYS)
		return;
	buf_addf(&line, "%s@%s", p->name, p->version);
	if (t->json) {
		auto_free char *name = buf_steal_str(&line);

		buf_addstr(&t->problems, t->problems.len ? ",{\"package\":" : "{\"package\":");
		json_put_str(&t->problems, name ? name : "");
		buf_addf(&t->problems, ",\"state\":\"%s\",\"reason\":", words[state]);
		json_put_str(&t->problems, why);
		buf_addstr(&t->problems, "}");
		return;
	}
	if (t->last.len && t->last.len == strlen(why) &&
	    memcmp(t->last.data, why, t->last.len) == 0) {
		t->same++;
		return;
	}
	tell_same(t);
	t->last.len = 0;
	buf_addstr(&t->last, why);
	buf_addf(&line, ": %s", why);
	buf_end_line(&line, 0);
	if (buf_error(&line) == 0)
		(void)fwrite(line.data, 1, line.len, stderr);
}

/* What a registry may have signed: not what comes from git, a folder or some URL. */
static bool is_of_registry(const struct graph_node *n)
{
	if (n->flags & (NODE_LINK | NODE_TOP | NODE_IN_BUNDLE) || !n->pkg_name || !n->version)
		return false;
	return !n->resolved || (strncmp(n->resolved, "http", 4) == 0 && strstr(n->resolved, "/-/"));
}

static int by_id(const void *a, const void *b)
{
	const struct fetch_pkg *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	r = r ? r : strcmp(x->version, y->version);
	return r ? r : strcmp(x->integrity ? x->integrity : "", y->integrity ? y->integrity : "");
}

/* Each package once, sorted by name. */
static struct fetch_pkg *collect(const struct graph *g, size_t *ret_count)
{
	struct fetch_pkg *list = calloc((size_t)g->count + 1, sizeof *list);
	size_t n = 0, unique = 0;

	for (uint32_t i = 0; list && i < g->count; i++)
		if (is_of_registry(&g->nodes[i]))
			list[n++] = (struct fetch_pkg){ .name = g->nodes[i].pkg_name,
							.version = g->nodes[i].version,
							.integrity = g->nodes[i].integrity };
	if (list)
		qsort(list, n, sizeof *list, by_id);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || by_id(&list[i], &list[unique - 1]) != 0)
			list[unique++] = list[i];
	*ret_count = unique;
	return list;
}

static int run(const struct cmd_project *p, struct tally *t, struct err *e)
{
	auto_lock struct lock *lock = NULL;
	auto_graph struct graph *g = NULL;
	auto_free struct fetch_pkg *list = NULL;
	size_t count;
	int r = cmd_project_graph(p, &lock, &g, e);

	if (r < 0)
		return r;
	if (p->offline)
		return err_set(e, -ENETUNREACH, "npm's settings say offline: no registry is asked");
	list = collect(g, &count);
	if (!list)
		return err_set(e, -ENOMEM, "out of memory");
	return verify_packages(p->npmrc, list, count, on_package, t, e);
}

static int print(const struct tally *t, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(t->problems.max + 4096);
	const unsigned *n = t->count;

	if (t->json) {
		buf_addf(&out,
			 "{\"verified\":%u,\"no_keys\":%u,\"missing\":%u,\"bad\":%u,"
			 "\"not_checked\":%u,\"problems\":[",
			 n[VERIFY_GOOD], n[VERIFY_NO_KEYS], n[VERIFY_MISSING], n[VERIFY_BAD],
			 n[VERIFY_NOT_ASKED]);
		buf_add(&out, t->problems.data, t->problems.len);
		buf_addstr(&out, "]}\n");
		return cmd_write(&out, e);
	}
	buf_addf(&out, "%u verified, %u without signatures, %u bad", n[VERIFY_GOOD],
		 n[VERIFY_NO_KEYS] + n[VERIFY_MISSING], n[VERIFY_BAD]);
	if (n[VERIFY_NOT_ASKED])
		buf_addf(&out, ", %u could not be checked", n[VERIFY_NOT_ASKED]);
	if (n[VERIFY_NO_KEYS])
		buf_addf(&out, " (of %u the registry has no signing keys)", n[VERIFY_NO_KEYS]);
	buf_addstr(&out, "\n");
	return cmd_write(&out, e);
}

int cmd_verify(int argc, char **argv)
{
	struct tally t = { .problems = BUF_INIT((size_t)64 << 20), .last = BUF_INIT(8192) };
	struct cmd_project_options po = { 0 };
	const struct cmd_option options[] = { { "json", .given = &t.json },
					      { "registry", .value = &po.registry },
					      { 0 } };
	struct cmd_project p = CMD_PROJECT_INIT;
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 0);

	if (rc >= 0)
		return rc;
	r = cmd_project_open(&p, &po, &e);
	if (r == 0)
		r = run(&p, &t, &e);
	tell_same(&t);
	if (r == 0)
		r = print(&t, &e);
	buf_release(&t.problems);
	buf_release(&t.last);
	cmd_project_release(&p);
	rc = cmd_end("dx verify", r, &e);
	return t.count[VERIFY_MISSING] + t.count[VERIFY_BAD] + t.count[VERIFY_NOT_ASKED]
		       ? CMD_FAILED
		       : rc;
}
