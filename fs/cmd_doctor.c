#include "fs/cmd.h"
#include "fs/doctor.h"
#include "lock/json.h"

#include <stdio.h>

static const char usage[] = "usage: dxfs doctor [--json]\n"
			    "      --json   a list of objects instead of lines\n"
			    "What this machine allows, what is missing, and what to do about it.\n";

static const char *const words[] = {
	[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_BAD] = "bad"
};

static int print_json(const struct doctor_check *checks, unsigned count, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);

	buf_addstr(&b, "[");
	for (unsigned i = 0; i < count; i++) {
		buf_addstr(&b, i ? ",\n{\"check\":" : "{\"check\":");
		json_put_str(&b, checks[i].name);
		buf_addf(&b, ",\"finding\":\"%s\",\"found\":", words[checks[i].finding]);
		json_put_str(&b, checks[i].found);
		buf_addstr(&b, ",\"advice\":");
		json_put_str(&b, checks[i].advice);
		buf_addstr(&b, "}");
	}
	buf_addstr(&b, "]\n");
	return cmd_write(&b, e);
}

int cmd_doctor(int argc, char **argv)
{
	bool json = false, bad = false;
	const struct cmd_option options[] = { { "json", .given = &json }, { 0 } };
	struct doctor_check checks[DOCTOR_CHECKS_MAX + 1];
	struct err e = { 0 };
	unsigned count;
	int rc = cmd_options(argc, argv, options, usage, 0, 0);

	if (rc >= 0)
		return rc;
	count = doctor_run(checks);
	doctor_registry(&checks[count++]);
	for (unsigned i = 0; i < count; i++) {
		bad |= checks[i].finding == FINDING_BAD;
		if (json)
			continue;
		(void)printf("%-4s  %-16s %s\n", words[checks[i].finding], checks[i].name,
			     checks[i].found);
		if (checks[i].advice[0])
			(void)printf("%24s%s\n", "-> ", checks[i].advice);
	}
	rc = cmd_end("dxfs doctor", json ? print_json(checks, count, &e) : 0, &e);
	return bad ? CMD_FAILED : rc;
}
