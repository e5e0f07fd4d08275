#include "core/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_level = LOG_INFO;

int log_open(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(e, -errno, "cannot open the log file %s: %s", path, strerror(errno));
	log_close();
	log_fd = fd;
	return 0;
}

void log_close(void)
{
	int fd = atomic_exchange(&log_fd, STDERR_FILENO);

	if (fd != STDERR_FILENO)
		(void)close(fd);
}

void log_set_level(enum log_level level)
{
	log_level = (int)level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	char line[1024];
	size_t n = 0;
	va_list ap;
	int fd = log_fd, r;

	if ((int)level > log_level)
		return;
	if (fd != STDERR_FILENO) {
		time_t now = time(NULL);
		struct tm tm;

		n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", gmtime_r(&now, &tm));
		n += (size_t)snprintf(line + n, sizeof line - n, "%s: ", names[level]);
	} else {
		n = (size_t)snprintf(line, sizeof line, "%s: ", program_invocation_short_name);
	}
	va_start(ap, fmt);
	r = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	n = r < 0 ? n : n + (size_t)r;
	if (n > sizeof line - 2)
		n = sizeof line - 2;
	text_clean(line, n);
	line[n++] = '\n';
	(void)!write(fd, line, n);
}
