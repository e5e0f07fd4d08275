#include "fs/cmd.h"
#include "fs/doctor.h"
#include "lock/json.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] = "usage: dxfs doctor [--json]\n";

static const char *const words[] = {
	[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_BAD] = "bad"
};

static int print_json(const struct doctor_check *checks, unsigned count)
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
	if (buf_error(&b) < 0)
		return buf_error(&b);
	return fwrite(b.data, 1, b.len, stdout) == b.len ? 0 : -EIO;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct doctor_check checks[DOCTOR_CHECKS_MAX];
	bool json = false, bad = false;
	unsigned count;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'j') {
			json = true;
			continue;
		}
		(void)fputs(usage, c == 'h' ? stdout : stderr);
		return c == 'h' ? CMD_OK : CMD_USAGE;
	}
	count = doctor_run(checks, ".");
	for (unsigned i = 0; i < count; i++) {
		bad |= checks[i].finding == FINDING_BAD;
		if (json)
			continue;
		(void)printf("%-4s  %-16s %s\n", words[checks[i].finding], checks[i].name,
			     checks[i].found);
		if (checks[i].advice[0])
			(void)printf("%24s%s\n", "-> ", checks[i].advice);
	}
	if (json && print_json(checks, count) < 0)
		return CMD_FAILED;
	return bad ? CMD_FAILED : CMD_OK;
}
