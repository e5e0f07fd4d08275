#include "core/store.h"
#include "fs/cmd.h"
#include "lock/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define GRACE_S        (24u * 3600) /* a package that was put within a day stays */
#define ROOT_AGE_D     30u          /* a project not mounted for a month gives up its packages */
#define ROOT_AGE_D_MAX 10000u

static const char usage[] =
	"usage: dx store verify [--json]       check every blob in full, quarantine bad ones\n"
	"       dx store gc [--older-than=DAYS] [--dry-run] [--json]\n"
	"                                      remove what no project needs that was mounted or\n"
	"                                      fetched within so many days (30)\n"
	"       dx store ls [--json]           list the packages\n"
	"       dx store stats [--json]        count them\n"
	"options: --store=DIR                  the store, instead of $DX_STORE or the default\n";

struct options {
	const char *dir;
	bool json, dry_run;
	const char *older_than;
};

static int fail(const struct err *e)
{
	return cmd_end("dx store", -EIO, e);
}

static void report_bad(void *arg, const char *blob, const char *what)
{
	(void)arg;
	(void)fprintf(stderr, "dx store: %s: %s; moved to quarantine\n", blob, what);
}

static int do_verify(struct store *s, const struct options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct store_verify_result r = { 0 };
	struct err e = { 0 };

	if (store_verify(s, cpus > 0 ? (unsigned)cpus : 1, report_bad, NULL, &r, &e) < 0)
		return fail(&e);
	if (o->json)
		(void)printf("{\"blobs\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n",
			     r.blobs, r.bytes, r.bad);
	else
		(void)printf("%" PRIu64 " blob%s, %" PRIu64 " bytes, %" PRIu64 " bad\n", r.blobs,
			     plural(r.blobs), r.bytes, r.bad);
	return r.bad ? CMD_FAILED : CMD_OK;
}

static void report_gone(void *arg, const struct store_item *gone)
{
	const struct options *o = arg;
	auto_buf struct buf line = BUF_INIT(1024);
	char blob[HASH128_HEX_LEN + 1];

	if (o->json)
		return;
	hash128_hex(gone->content, blob);
	buf_addf(&line, "%s %s%s%s (%" PRIu64 " bytes)", o->dry_run ? "would remove" : "removed",
		 gone->name[0] ? gone->name : blob, gone->name[0] ? "@" : "", gone->version,
		 gone->size);
	buf_end_line(&line, 0);
	(void)fwrite(line.data, 1, line.len, stdout);
}

/* "30" or "30d". */
static int read_days(const char *text, unsigned *ret, struct err *e)
{
	char *end;
	unsigned long days = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || days > ROOT_AGE_D_MAX || (*end && strcmp(end, "d") != 0))
		return err_set(e, -EINVAL, "--older-than=%.40s is no number of days from 0 to %u",
			       text, ROOT_AGE_D_MAX);
	*ret = (unsigned)days;
	return 0;
}

static int do_gc(struct store *s, const struct options *o)
{
	struct store_gc_options g = { .grace_s = GRACE_S, .dry_run = o->dry_run };
	struct store_gc_result r = { 0 };
	unsigned days = ROOT_AGE_D;
	struct err e = { 0 };

	if (o->older_than && read_days(o->older_than, &days, &e) < 0) {
		(void)fprintf(stderr, "dx store gc: %s\n", e.msg);
		return CMD_USAGE;
	}
	g.root_age_s = days * 24 * 3600;
	if (store_gc(s, &g, report_gone, (void *)o, &r, &e) < 0)
		return fail(&e);
	if (o->json)
		(void)printf("{\"kept\":%" PRIu64 ",\"removed\":%" PRIu64 ",\"bytes\":%" PRIu64
			     ",\"dry_run\":%s}\n",
			     r.kept, r.removed, r.removed_bytes, o->dry_run ? "true" : "false");
	else
		(void)printf("%" PRIu64 " kept, %" PRIu64 " %s, %" PRIu64 " bytes\n", r.kept,
			     r.removed, o->dry_run ? "would go" : "removed", r.removed_bytes);
	return CMD_OK;
}

static int print_item(const struct options *o, const struct store_item *it)
{
	auto_buf struct buf line = BUF_INIT(8192);
	char key[DIGEST_TEXT_MAX], blob[HASH128_HEX_LEN + 1], day[16];
	time_t used = (time_t)it->used_s;
	struct tm tm;

	digest_format(&it->key, key);
	hash128_hex(it->content, blob);
	(void)strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&used, &tm));
	if (o->json) {
		buf_addstr(&line, "{\"name\":");
		json_put_str(&line, it->name);
		buf_addstr(&line, ",\"version\":");
		json_put_str(&line, it->version);
		buf_addf(&line,
			 ",\"bytes\":%" PRIu64
			 ",\"used\":\"%s\",\"blob\":\"%s\",\"integrity\":\"%s\"}\n",
			 it->size, day, blob, key);
	} else {
		buf_addf(&line, "%s@%s", it->name, it->version);
		if (line.len)
			text_clean((char *)line.data, line.len);
		buf_addf(&line, "\t%" PRIu64 "\t%s\t%s\t%s\n", it->size, day, blob, key);
	}
	if (buf_error(&line) < 0)
		return buf_error(&line);
	return fwrite(line.data, 1, line.len, stdout) == line.len ? 0 : -EIO;
}

struct items {
	struct store_item *list; /* owned */
	size_t count, cap;
};

static int add_item(void *arg, const struct store_item *it)
{
	struct items *all = arg;

	if (all->count == all->cap) {
		size_t cap = all->cap ? all->cap * 2 : 1024;
		struct store_item *grown = realloc(all->list, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		all->list = grown;
		all->cap = cap;
	}
	all->list[all->count++] = *it;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct store_item *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	r = r ? r : strverscmp(x->version, y->version);
	return r ? r : memcmp(&x->content, &y->content, sizeof x->content);
}

static int do_ls(struct store *s, const struct options *o)
{
	struct items all = { 0 };
	struct err e = { 0 };
	int r = store_list(s, true, add_item, &all, &e);

	if (r == 0 && all.count)
		qsort(all.list, all.count, sizeof *all.list, by_name);
	for (size_t i = 0; r == 0 && i < all.count; i++)
		r = print_item(o, &all.list[i]);
	free(all.list);
	if (r < 0 && !e.code)
		(void)err_set(&e, r, "cannot list the packages: %s", strerror(-r));
	return r < 0 ? fail(&e) : CMD_OK;
}

static int do_stats(struct store *s, const struct options *o)
{
	auto_buf struct buf dir = BUF_INIT(1 << 16);
	struct store_stats st;
	struct err e = { 0 };

	if (store_stats(s, &st, &e) < 0)
		return fail(&e);
	json_put_str(&dir, store_dir(s));
	if (o->json)
		(void)printf("{\"packages\":%" PRIu64 ",\"bytes\":%" PRIu64
			     ",\"quarantined\":%" PRIu64 ",\"dir\":%.*s}\n",
			     st.packages, st.bytes, st.quarantined, (int)dir.len,
			     (const char *)dir.data);
	else
		(void)printf("%" PRIu64 " package%s, %" PRIu64 " bytes, %" PRIu64
			     " in quarantine, in %s\n",
			     st.packages, plural(st.packages), st.bytes, st.quarantined,
			     store_dir(s));
	return CMD_OK;
}

int cmd_store(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct store *s, const struct options *o);
	} actions[] = {
		{ "verify", do_verify }, { "gc", do_gc }, { "ls", do_ls }, { "stats", do_stats }
	};
	struct options o = { 0 };
	const struct cmd_option options[] = { { "store", .value = &o.dir },
					      { "json", .given = &o.json },
					      { "dry-run", .given = &o.dry_run },
					      { "older-than", .value = &o.older_than },
					      { 0 } };
	static const char *const none[] = { NULL };
	struct store *s = NULL;
	struct err e = { 0 };
	int rc = cmd_options(argc, argv, options, usage, 1, 1);

	if (rc >= 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(argv[optind], actions[i].name) != 0)
			continue;
		/* Only what brings packages makes a store. */
		if (o.dir && access(o.dir, F_OK) < 0) {
			err_set(&e, -errno, "there is no store %.200s: %s", o.dir, strerror(errno));
			return fail(&e);
		}
		if (store_open(&s, &(struct store_options){ .dir = o.dir, .behind = none }, &e) < 0)
			return fail(&e);
		rc = actions[i].run(s, &o);
		store_close(s);
		return rc;
	}
	(void)fprintf(stderr, "dx store: there is nothing that is called %s\n%s", argv[optind],
		      usage);
	return CMD_USAGE;
}
