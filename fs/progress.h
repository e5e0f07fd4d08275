/* progress.h - how far a long command is: one line of a terminal that stays where it is.
 *
 * At most PROGRESS_PER_S times a second, never wider than the window, without colour or anything
 * but ASCII, and gone when it is over. Where stderr is no terminal, or one that cannot move its
 * cursor (TERM is dumb or not set), a plain line now and then instead. */
#pragma once
#include "core/base.h"

#include <stdint.h>
#include <stdio.h>

#define PROGRESS_PER_S   10
#define PROGRESS_PLAIN_S 5 /* between two plain lines; short commands print none */

/* What there is to say. */
struct progress_state {
	uint64_t done, total; /* packages */
	uint64_t bytes;
	double rate;   /* bytes a second, of late */
	double left_s; /* an estimate; negative: none yet */
};

/* The line, without an end, for a window of so many columns: the bar goes first when there is no
 * room, then the rate, the time, the bytes. `n` is the size of `ret`. */
#define PROGRESS_LINE_MAX 160
void progress_line(char *ret, size_t n, unsigned columns, const struct progress_state *s);

/* Zero but for `to`; may be a terminal or not. */
struct progress {
	FILE *to;
	bool started, moves;
	int64_t start_ms, shown_ms, sampled_ms;
	uint64_t start_done, sampled_bytes;
	unsigned shown_columns; /* of the line on the terminal, 0: none */
	double rate;
};

/* Shows it if it is time to. The first call sets the clock. */
void progress_show(struct progress *p, uint64_t done, uint64_t total, uint64_t bytes);

/* Takes the line away, so that something else can be printed. */
void progress_hide(struct progress *p);
