#include "fs/cmd.h"
#include "fs/ctl.h"
#include "fs/state.h"
#include "lock/json.h"

#include <stdio.h>
#include <time.h>

#define STATUS_WAIT_MS 5000

static const char usage[] =
	"usage: dxfs status [--json] [DIR]\n"
	"      --json   for programs; dxfs(1) says what the fields mean\n"
	"What the mount DIR is doing, or all of yours: what is here, what failed and why.\n";

struct listing {
	bool json;
	unsigned count;
};

static double number(const cJSON *obj, const char *key)
{
	const cJSON *n = json_get(obj, key);

	return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static void print_human(const cJSON *st)
{
	const cJSON *p = json_get(st, "packages"), *m = json_get(st, "messages"), *item;
	const cJSON *errors = json_get(st, "errors"), *pr = json_get(st, "prediction");
	double asked = 0;

	(void)printf("%s (process %.0f)\n", json_str(st, "mountpoint"), number(st, "pid"));
	(void)printf("  packages  %.0f of %.0f are here, %.0f on the way, %.0f failed%s\n",
		     number(p, "local"), number(p, "total"), number(p, "fetching"),
		     number(p, "failed"), json_true(st, "offline_safe") ? "; safe offline" : "");
	(void)printf("  fetched   %.1f MB\n", number(st, "bytes_fetched") / 1e6);
	if (number(pr, "made") > 0)
		(void)printf(
			"  predicted %.0f package%s, %.0f used so far; %.1f of %.1f MB in vain\n",
			number(pr, "made"), plural((uint64_t)number(pr, "made")),
			number(pr, "used"), number(pr, "bytes_in_vain") / 1e6,
			number(pr, "bytes") / 1e6);
	(void)printf("  memory    %.1f MB\n", number(st, "rss_kb") / 1024);
	(void)printf("  lock      %s\n  store     %s\n", json_str(st, "lock"),
		     json_str(st, "store"));
	cJSON_ArrayForEach(item, json_get(st, "aside"))
	{
		(void)printf("  set aside %s: changed, and not in the tree now\n",
			     item->valuestring);
	}
	cJSON_ArrayForEach(item, m)
	{
		asked += item->valuedouble;
	}
	(void)printf("  asked     %.0f times by the kernel\n", asked);
	cJSON_ArrayForEach(item, errors)
	{
		time_t t = (time_t)number(item, "time");
		char when[32];
		struct tm tm;

		(void)strftime(when, sizeof when, "%H:%M:%S", localtime_r(&t, &tm));
		(void)printf("  %s  %s: %s\n", when, json_str(item, "package"),
			     json_str(item, "reason"));
	}
}

/* 0; -ENOENT when nothing is mounted there. */
static int print_one(const char *mountpoint, bool json, bool comma, struct err *e)
{
	auto_free char *text = NULL;
	auto_json cJSON *st = NULL;
	struct state s = STATE_INIT;
	int r = state_open(&s, mountpoint, false, e);

	if (r == 0)
		r = ctl_ask(s.dirfd, "status", STATUS_WAIT_MS, &text, e);
	state_release(&s);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(e, -ENOENT, "%s is not mounted", mountpoint);
	if (r < 0)
		return r;
	if (json) {
		(void)printf("%s%s", comma ? "," : "", text);
		return 0;
	}
	r = json_parse(&st, slice_str(text), e);
	if (r == 0)
		print_human(st);
	return r;
}

static int list_one(void *arg, const char *mountpoint)
{
	struct listing *l = arg;

	if (print_one(mountpoint, l->json, l->count > 0, NULL) == 0)
		l->count++;
	return 0;
}

static int print_gone(void *arg, const char *dir, const char *mountpoint)
{
	struct listing *l = arg;
	auto_buf struct buf b = BUF_INIT((size_t)1 << 17);

	if (l->json) {
		buf_addstr(&b, l->count++ ? ",{\"mountpoint\":" : "{\"mountpoint\":");
		json_put_str(&b, mountpoint);
		buf_addstr(&b, ",\"pid\":null,\"kept\":");
		json_put_str(&b, dir);
		buf_addstr(&b, "}\n");
		return cmd_write(&b, NULL);
	}
	(void)printf("%s: its project is gone; what was written into it is kept in %s until you "
		     "delete that\n",
		     mountpoint, dir);
	return 0;
}

static int list_all(bool json, struct err *e)
{
	struct listing l = { .json = json };
	int r;

	if (json)
		(void)printf("[");
	r = state_each(list_one, &l, e);
	if (!json && l.count == 0)
		(void)printf("nothing is mounted\n");
	if (r == 0)
		r = state_each_gone(print_gone, &l, e);
	if (json)
		(void)printf("]\n");
	return r;
}

int cmd_status(int argc, char **argv)
{
	bool json = false;
	const struct cmd_option options[] = { { "json", .given = &json }, { 0 } };
	struct err e = { 0 };
	int r, rc = cmd_options(argc, argv, options, usage, 0, 1);

	if (rc >= 0)
		return rc;
	r = optind < argc ? print_one(argv[optind], json, false, &e) : list_all(json, &e);
	return cmd_end("dxfs status", r, &e);
}
