/* json_scan.h - finds its way through JSON text of any layout without making a tree of it: for
 * packuments, which have up to a hundred megabytes of which little is wanted.
 *
 *	struct json_scan s = json_scan(text);
 *	while (json_scan_next(&s, &m)) ...
 *	if (s.error) ...
 *
 * walks the members of the object (or the items of the array, whose keys are empty) that `text`
 * is. Checked is what the walk needs: that strings end, brackets close in the right order and no
 * deeper than JSON_DEPTH_MAX, colons and commas stand where they belong, nothing stands behind.
 * What a value holds is checked by who looks into it. */
#pragma once
#include "lock/json.h"

struct json_scan {
	const uint8_t *at, *end;
	uint8_t close; /* '}' or ']'; 0: not begun */
	bool more;
	bool inside; /* of another: what stands behind is the other's */
	int error; /* -EBADMSG once something did not fit, or `text` is neither object nor array */
};

struct json_item {
	struct slice key;   /* between its quotes, as escaped as it stands */
	struct slice value; /* text of the whole value */
};

static inline struct json_scan json_scan(struct slice text)
{
	return (struct json_scan){ .at = text.ptr,
				   .end = text.len ? text.ptr + text.len : text.ptr };
}

bool json_scan_next(struct json_scan *s, struct json_item *ret);

/* The same in two steps, so that a large value need not be walked twice. After the key comes its
 * value, or json_scan_into(), which is false when the value is neither object nor array (then
 * json_scan_value() still may take it); `inner` is then walked to its end, and left. */
bool json_scan_key(struct json_scan *s, struct slice *ret);
bool json_scan_value(struct json_scan *s, struct slice *ret);
bool json_scan_into(struct json_scan *s, struct json_scan *inner);
bool json_scan_out(struct json_scan *s, const struct json_scan *inner);

/* The member of an object, the last of that name; len 0 when there is none, or `text` is no
 * object. */
struct slice json_scan_get(struct slice text, const char *key);

/* Is the value a string; and of a string what is between the quotes, unescaped, into `out` (of at
 * least text.len bytes). Returns the length, or -EBADMSG: no string, a bad escape, a \u0000, or
 * what is no UTF-8. */
bool json_scan_is_str(struct slice value);
ptrdiff_t json_scan_str(struct slice value, char *out);
