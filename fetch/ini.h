/* ini.h - the ini dialect of npm's rc files, line by line.
 *
 * Lines end with CR or LF; `;` and `#` start a comment (anywhere, unless escaped by a backslash
 * or in quotes); `key = value`, `key` alone (true), `key[] = value` (one more element). Text in
 * double quotes is a JSON string; of text in single quotes these go. What follows a `[section]`
 * is skipped, since npm has no use for it. A NUL in the text ends the line's value. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

/* One setting. `element`: it was `key[]`. The strings are NUL-terminated and live for the call
 * only. Returning non-zero ends the parse with that. */
typedef int ini_fn(void *arg, const char *key, bool element, const char *value, struct err *e);

/* -E2BIG past `lines_max` lines. */
int ini_parse(struct slice text, unsigned lines_max, ini_fn *fn, void *arg,
	      struct err *e) must_check;
