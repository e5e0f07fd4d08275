/* log.h - one line for one event.
 *
 * Libraries return errors; only mains and background threads log, once per
 * event, with what was done about it. Lines go to stderr until log_open() names
 * a file (a mount's daemon does). Control characters become '?' (err.h). Never a token, never an
 * authorization header. Thread-safe: a line is one write(2). */
#pragma once
#include "core/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Appends to `path` (made with mode 0600) from now on, with a time in front of each
 * line. 0 or -errno; on failure logging goes on where it went before. */
int log_open(const char *path, struct err *e) must_check;
void log_close(void);

/* Lines above `level` are dropped; LOG_INFO at the start. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) format_printf(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
