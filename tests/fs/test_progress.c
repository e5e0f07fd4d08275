#include "core/clock.h"
#include "fs/progress.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static const struct progress_state half = {
	.done = 630, .total = 1260, .bytes = 23456789, .rate = 12340000, .left_s = 63
};

Test(progress, what_there_is_no_room_for_goes)
{
	static const struct {
		unsigned columns;
		const char *line;
	} cases[] = {
		{ 79, "[##################-------------------] 630/1260  23.5 MB  1:03 left  12.3 "
		      "MB/s" },
		{ 60, "[#########---------] 630/1260  23.5 MB  1:03 left  12.3 MB/s" },
		{ 45, "630/1260  23.5 MB  1:03 left  12.3 MB/s" },
		{ 39, "630/1260  23.5 MB  1:03 left  12.3 MB/s" },
		{ 38, "630/1260  23.5 MB  1:03 left" },
		{ 27, "630/1260  23.5 MB" },
		{ 20, "630/1260  23.5 MB" },
		{ 8, "630/1260" },
		{ 7, "" },
		{ 1, "" },
	};
	char line[PROGRESS_LINE_MAX + 64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		progress_line(line, sizeof line, cases[i].columns, &half);
		cr_expect(strlen(line) <= cases[i].columns);
		cr_expect_str_eq(line, cases[i].line, "%u columns: '%s'", cases[i].columns, line);
	}
}

Test(progress, no_window_is_too_narrow_or_too_wide)
{
	struct progress_state s = { .done = UINT64_MAX,
				    .total = UINT64_MAX,
				    .bytes = UINT64_MAX,
				    .rate = 1e300,
				    .left_s = 1e300 };
	char line[PROGRESS_LINE_MAX + 64];

	for (unsigned columns = 0; columns < 1000; columns++) {
		progress_line(line, sizeof line, columns, &half);
		cr_assert(strlen(line) <= columns);
		progress_line(line, sizeof line, columns, &s);
		cr_assert(strlen(line) <= columns);
	}
}

/* A terminal of 60 columns, and what was written to it. */
static int master;

static FILE *terminal(unsigned columns)
{
	struct winsize w = { .ws_col = (unsigned short)columns, .ws_row = 24 };
	FILE *to;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	cr_assert(master >= 0);
	cr_assert_eq(grantpt(master), 0);
	cr_assert_eq(unlockpt(master), 0);
	cr_assert_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	to = fopen(ptsname(master), "w");
	cr_assert(to != NULL && isatty(fileno(to)));
	return to;
}

static const char *written(void)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(master, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

Test(progress, the_line_stays_where_it_is_and_goes)
{
	struct winsize narrow = { .ws_col = 20, .ws_row = 24 };
	struct progress p = { .to = terminal(60) };
	unsigned drawn = 0;
	int64_t began;

	setenv("TERM", "xterm", 1);
	progress_show(&p, 0, 10, 0);
	cr_expect_str_eq(written(),
			 "\r[----------------------------------------] 0/10  0.0 MB\x1b[K");
	began = now_ms();
	for (int i = 0; i < 1000; i++)
		progress_show(&p, 5, 10, 1000);
	for (const char *s = written(); (s = strchr(s, '\r')); s++)
		drawn++;
	cr_expect(drawn <= 1 + (now_ms() - began) * PROGRESS_PER_S / 1000, "it is calm");
	progress_hide(&p);
	cr_expect_str_eq(written(), "\r\x1b[K");
	progress_hide(&p);
	cr_expect_str_eq(written(), "", "gone is gone");
	progress_show(&p, 6, 10, 1000);
	(void)written();
	cr_assert_eq(ioctl(master, TIOCSWINSZ, &narrow), 0);
	progress_hide(&p);
	cr_expect_str_eq(written(), "\x1b[2A\r\x1b[J\x1b[K", "a line that was broken goes whole");
	fclose(p.to);
	close(master);
}

/* False: the machine slept so long that it was time for a line. */
static bool one_plain_line(void)
{
	struct progress p = { .to = terminal(60) };
	int64_t began = now_ms();
	bool in_time;

	for (int i = 0; i < 1000; i++)
		progress_show(&p, 5, 10, 1000);
	in_time = now_ms() - began < PROGRESS_PLAIN_S * 1000;
	p.shown_ms -= PROGRESS_PLAIN_S * 1000;
	progress_show(&p, 6, 10, 2500000);
	progress_hide(&p);
	(void)fflush(p.to);
	if (in_time)
		cr_expect_str_eq(written(), "6 of 10 packages, 2.5 MB\r\n");
	fclose(p.to);
	close(master);
	return in_time;
}

Test(progress, a_terminal_that_cannot_move_gets_plain_lines_and_no_file_is_flooded)
{
	setenv("TERM", "dumb", 1);
	while (!one_plain_line())
		;
}
