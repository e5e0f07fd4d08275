#include "fs/progress.h"

#include "core/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_USUAL 80
#define BAR_MIN       10
#define BAR_MAX       40
#define SAMPLE_MS     500
#define SETTLE_MS     2000 /* before that an estimate is a guess */

/* ---- the line ---- */

/* Appends a part where it fits into `columns`. */
static bool add_part(char *line, unsigned columns, const char *part)
{
	size_t have = strlen(line);

	if (have + strlen(part) > columns)
		return false;
	memcpy(line + have, part, strlen(part) + 1);
	return true;
}

static void time_text(char *ret, size_t n, double s)
{
	unsigned long t = s > 359999 ? 359999 : (unsigned long)(s + 0.5);

	if (t >= 3600)
		(void)snprintf(ret, n, "  %lu:%02lu:%02lu left", t / 3600, t / 60 % 60, t % 60);
	else
		(void)snprintf(ret, n, "  %lu:%02lu left", t / 60, t % 60);
}

static void bar_text(char *ret, unsigned width, const struct progress_state *s)
{
	unsigned full =
		s->total ? (unsigned)((double)width * (double)s->done / (double)s->total) : 0;

	ret[0] = '[';
	for (unsigned i = 0; i < width; i++)
		ret[1 + i] = i < full ? '#' : '-';
	memcpy(ret + 1 + width, "] ", 3);
}

void progress_line(char *ret, size_t n, unsigned columns, const struct progress_state *s)
{
	char text[PROGRESS_LINE_MAX] = "", part[64], bar[BAR_MAX + 4] = "";
	unsigned room = columns < sizeof text ? columns : sizeof text - 1;

	(void)snprintf(part, sizeof part, "%llu/%llu", (unsigned long long)s->done,
		       (unsigned long long)s->total);
	(void)add_part(text, room, part);
	(void)snprintf(part, sizeof part, "  %.1f MB", (double)s->bytes / 1e6);
	(void)add_part(text, room, part);
	if (s->left_s >= 0) {
		time_text(part, sizeof part, s->left_s);
		(void)add_part(text, room, part);
	}
	if (s->rate > 0) {
		(void)snprintf(part, sizeof part, "  %.1f MB/s", s->rate / 1e6);
		(void)add_part(text, room, part);
	}
	room -= (unsigned)strlen(text);
	if (room >= BAR_MIN + 3)
		bar_text(bar, room - 3 < BAR_MAX ? room - 3 : BAR_MAX, s);
	(void)snprintf(ret, n, "%s%s", bar, text);
}

/* ---- on the terminal ---- */

static unsigned columns_of(FILE *to)
{
	struct winsize w = { 0 };

	if (ioctl(fileno(to), TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return COLUMNS_USUAL;
	return w.ws_col;
}

static bool can_move(FILE *to)
{
	const char *term = getenv("TERM");

	return isatty(fileno(to)) && term && *term && strcmp(term, "dumb") != 0;
}

/* A window that has become narrower has broken the line that stood there into several. */
static void to_start(struct progress *p, unsigned columns)
{
	unsigned rows = p->shown_columns > columns ? (p->shown_columns - 1) / columns : 0;

	if (rows)
		(void)fprintf(p->to, "\x1b[%uA", rows);
	(void)fputs(rows ? "\r\x1b[J" : "\r", p->to);
}

void progress_hide(struct progress *p)
{
	if (p->shown_columns == 0)
		return;
	to_start(p, columns_of(p->to));
	(void)fputs("\x1b[K", p->to);
	(void)fflush(p->to);
	p->shown_columns = 0;
	p->shown_ms = 0;
}

static void draw(struct progress *p, const struct progress_state *s)
{
	unsigned columns = columns_of(p->to);
	char line[PROGRESS_LINE_MAX + BAR_MAX];

	/* The last column stays free: some terminals break the line there. */
	progress_line(line, sizeof line, columns > 1 ? columns - 1 : 1, s);
	to_start(p, columns);
	(void)fprintf(p->to, "%s\x1b[K", line);
	(void)fflush(p->to);
	p->shown_columns = (unsigned)strlen(line);
}

static void sample(struct progress *p, int64_t now, uint64_t bytes)
{
	int64_t ms = now - p->sampled_ms;
	double rate;

	if (ms < SAMPLE_MS)
		return;
	rate = (double)(bytes - p->sampled_bytes) * 1000 / (double)ms;
	p->rate = p->rate > 0 ? 0.7 * p->rate + 0.3 * rate : rate;
	p->sampled_ms = now;
	p->sampled_bytes = bytes;
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, uint64_t bytes)
{
	struct progress_state s = { .done = done, .total = total, .bytes = bytes, .left_s = -1 };
	int64_t now = now_ms(), ms = now - p->start_ms;

	if (!p->started) {
		*p = (struct progress){ .to = p->to,
					.started = true,
					.moves = can_move(p->to),
					.start_ms = now,
					.sampled_ms = now,
					.start_done = done };
		p->shown_ms = p->moves ? 0 : now;
		ms = 0;
	}
	sample(p, now, bytes);
	if (now - p->shown_ms < (p->moves ? 1000 / PROGRESS_PER_S : PROGRESS_PLAIN_S * 1000))
		return;
	s.rate = p->rate;
	if (ms >= SETTLE_MS && done > p->start_done)
		s.left_s =
			(double)ms / 1000 * (double)(total - done) / (double)(done - p->start_done);
	p->shown_ms = now;
	if (p->moves)
		draw(p, &s);
	else
		(void)fprintf(p->to, "%llu of %llu package%s, %.1f MB\n", (unsigned long long)done,
			      (unsigned long long)total, plural(total), (double)bytes / 1e6);
}
