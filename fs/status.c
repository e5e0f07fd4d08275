#include "fs/status.h"

#include "fs/conn.h"
#include "fs/ctl.h"
#include "fs/server.h"
#include "lock/json.h"

#include <inttypes.h>
#include <stdio.h>

static void member_str(struct buf *b, const char *key, const char *value)
{
	buf_addf(b, "\"%s\":", key);
	if (value)
		json_put_str(b, value);
	else
		buf_addstr(b, "null");
	buf_addstr(b, ",");
}

static long rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size = 0, resident = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	(void)fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void put_messages(struct buf *b, const struct server_status *st)
{
	const char *sep = "";

	buf_addstr(b, "\"messages\":{");
	for (unsigned i = 0; i < SERVER_OPCODES; i++) {
		const char *name = conn_opcode_name(i);

		if (st->messages[i] == 0)
			continue;
		buf_addf(b, "%s\"%s\":%" PRIu64, sep, name ? name : "OTHER", st->messages[i]);
		sep = ",";
	}
	buf_addstr(b, "},");
}

static void put_errors(struct buf *b, const struct server_status *st)
{
	buf_addstr(b, "\"errors\":[");
	for (uint32_t i = 0; i < st->error_count; i++) {
		buf_addstr(b, i ? ",{\"package\":" : "{\"package\":");
		json_put_str(b, st->errors[i].package);
		buf_addstr(b, ",\"reason\":");
		json_put_str(b, st->errors[i].reason);
		buf_addf(b, ",\"time\":%" PRId64 "}", st->errors[i].time_s);
	}
	buf_addstr(b, "]");
}

static void put_aside(struct buf *b, struct server *s)
{
	auto_buf struct buf list = BUF_INIT(CTL_ANSWER_MAX);

	if (server_aside(s, &list, NULL) == 0)
		buf_addf(b, "\"aside\":%.*s,", (int)list.len, (const char *)list.data);
	else
		buf_addstr(b, "\"aside\":null,");
}

void status_json(struct buf *b, struct server *s, const struct status_facts *f)
{
	auto_free struct server_status *st = malloc(sizeof *st);

	if (!st) {
		buf_addstr(b, "{}\n");
		return;
	}
	server_status(s, st);
	buf_addstr(b, "{");
	member_str(b, "mountpoint", f->mountpoint);
	buf_addf(b, "\"pid\":%ld,", (long)f->pid);
	member_str(b, "lock", f->lock);
	member_str(b, "store", f->store);
	member_str(b, "upper", f->upper);
	put_aside(b, s);
	buf_addf(b,
		 "\"packages\":{\"total\":%" PRIu32 ",\"local\":%" PRIu32 ",\"fetching\":%" PRIu32
		 ",\"failed\":%" PRIu32 "},",
		 st->packages, st->local, st->fetching, st->failed);
	buf_addf(b,
		 "\"offline_safe\":%s,\"bytes_fetched\":%" PRIu64 ",\"parked\":%" PRIu32
		 ",\"parked_ms\":%" PRIu64 ",",
		 st->offline_safe ? "true" : "false", st->bytes_fetched, st->parked, st->parked_ms);
	put_messages(b, st);
	buf_addf(b,
		 "\"rss_kb\":%ld,\"prediction\":{\"made\":%" PRIu32 ",\"used\":%" PRIu32
		 ",\"bytes\":%" PRIu64 ",\"bytes_in_vain\":%" PRIu64 "},\"generation\":%" PRIu32
		 ",",
		 rss_kb(), st->ahead.made, st->ahead.used, st->ahead.bytes, st->ahead.bytes_in_vain,
		 st->generation);
	put_errors(b, st);
	buf_addstr(b, "}\n");
}
