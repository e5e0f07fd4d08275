#include "fs/changes.h"
#include "fs/cmd.h"
#include "fs/cmd_upper.h"
#include "fs/cmd_view.h"
#include "fs/ctl.h"
#include "lock/json.h"

#include <stdio.h>

#define DIFF_WAIT_MS 60000 /* a cache may have a million files */

static const char usage[] =
	"usage: dxfs diff [--json] [--upper=DIR] DIR\n"
	"      --json        a list of objects instead of lines\n"
	"      --upper=DIR   what it was mounted with, if nothing is mounted\n"
	"Lists what was written into a mount: A added, M changed, D removed; at the end what lies\n"
	"in packages that are not in the tree now, and comes back with them.\n";

static void print_aside(const char *package, const char *version)
{
	auto_free char *shown = NULL;

	if (asprintf(&shown, "%s@%s", package, version) < 0) {
		shown = NULL;
		return;
	}
	text_clean(shown, strlen(shown));
	(void)printf("set aside, of %s:\n", shown);
}

static void print_line(char letter, const char *path, const char *type)
{
	auto_free char *shown = strdup(path);

	if (!shown)
		return;
	text_clean(shown, strlen(shown));
	(void)printf("%c %s%s\n", letter, shown, type && strcmp(type, "directory") == 0 ? "/" : "");
}

static char letter_of(const char *kind)
{
	return strcmp(kind, "added") == 0 ? 'A' : strcmp(kind, "removed") == 0 ? 'D' : 'M';
}

static void print_items(const cJSON *list, bool aside)
{
	const char *package = "", *version = "";
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		const char *kind = json_str(item, "kind"), *path = json_str(item, "path");
		const char *of = json_str(item, "package"), *its = json_str(item, "version");

		if (!kind || !path || json_true(item, "aside") != aside)
			continue;
		if (aside && of && its && (strcmp(of, package) != 0 || strcmp(its, version) != 0)) {
			package = of;
			version = its;
			print_aside(of, its);
		}
		print_line(letter_of(kind), path, json_str(item, "type"));
	}
}

static int list_offline(const struct cmd_upper *at, struct buf *ret, struct err *e)
{
	const struct cmd_project_options po = { .dir = at->project_dir };
	const struct store_options so = { 0 };
	auto_cmd_view struct cmd_view view = CMD_VIEW_INIT;
	struct err why = { 0 };
	struct upper *u = NULL;
	int r = upper_peek(&u, at->upper, e);

	if (r == -ENOENT) { /* nothing was ever written */
		buf_addstr(ret, "[]\n");
		return buf_error(ret);
	}
	if (r == 0 && cmd_view_open(&view, &po, &so, &at->state, false, &why) < 0)
		(void)fprintf(stderr, "dxfs diff: without what a mount would show: %s\n", why.msg);
	if (r == 0)
		r = changes_json(ret, u, view.view, e);
	upper_close(u);
	return r;
}

static int run(const char *dir, const char *upper, bool json, struct err *e)
{
	auto_cmd_upper struct cmd_upper at = CMD_UPPER_INIT;
	auto_buf struct buf out = BUF_INIT(CTL_ANSWER_MAX);
	auto_free char *text = NULL;
	auto_json cJSON *list = NULL;
	int r = cmd_upper_find(&at, dir, upper, e);

	if (r < 0)
		return r;
	r = at.live ? ctl_ask(at.state.dirfd, "diff", DIFF_WAIT_MS, &text, e)
		    : list_offline(&at, &out, e);
	if (r == 0 && !at.live)
		text = buf_steal_str(&out);
	if (r == 0 && !text)
		r = err_set(e, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	if (json) {
		(void)fputs(text, stdout);
		return 0;
	}
	r = json_parse(&list, slice_str(text), e);
	if (r < 0)
		return r;
	print_items(list, false);
	print_items(list, true);
	return 0;
}

int cmd_diff(int argc, char **argv)
{
	const char *upper = NULL;
	bool json = false;
	const struct cmd_option options[] = { { "json", .given = &json },
					      { "upper", .value = &upper },
					      { 0 } };
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 1, 1);

	return rc >= 0 ? rc : cmd_end("dxfs diff", run(argv[optind], upper, json, &e), &e);
}
