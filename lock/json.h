/* json.h - cJSON with limits in front of it and npm's reading habits.
 *
 * A BOM is skipped, and of duplicate keys the last wins (json_get). Depth and size are limited
 * before anything is parsed; a syntax error names line and column. Numbers are doubles. Zero bytes
 * and \u0000 are refused, so that a C string is the whole string. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

#include <cjson/cJSON.h>

#define JSON_DEPTH_MAX 256 /* real manifests stay below ten */

static inline void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}
#define auto_json cleanup(json_freep)

/* -EBADMSG with "line 3, column 14", or the line of the first conflict marker that git has left
 * there; -E2BIG for depth; the caller cJSON_Delete()s.
 * `text.len` is the caller's to limit. */
int json_parse(cJSON **ret, struct slice text, struct err *e) must_check;

/* The member, or NULL (also if `obj` is NULL or no object). */
const cJSON *json_get(const cJSON *obj, const char *key);

/* Its string value, or NULL if absent or no string. */
const char *json_str(const cJSON *obj, const char *key);

/* JavaScript's truth: absent, null, false, 0, "" are false. */
bool json_true(const cJSON *obj, const char *key);

/* Appends text as JSON.stringify prints it: strings, numbers, and whole values (compact,
 * members in the order they stand). */
void json_put_str(struct buf *b, const char *s);
void json_put(struct buf *b, const cJSON *value);
