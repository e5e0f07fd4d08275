/* json_text.h - walks compact JSON text (no white space, as json_put writes it) without parsing
 * it: for residues, which are printed by the thousand.
 *
 *	struct json_text t = json_text(residue);
 *	while (json_text_next(&t, &m)) ...
 *	if (t.error) ...
 *
 * Checked is what the walk needs: brackets that close, strings that end, commas and colons where
 * they belong, no more than JSON_DEPTH_MAX levels. NULL and "" are objects without members. */
#pragma once
#include "lock/json.h"

struct json_text {
	const char *at; /* borrowed text, NUL-terminated */
	bool started;
	int error; /* -EBADMSG once something did not fit */
};

struct json_member {
	struct slice key;   /* between its quotes, as escaped as it stands */
	struct slice value; /* text of the whole value */
	bool is_object;     /* arrays are none */
};

static inline struct json_text json_text(const char *object)
{
	return (struct json_text){ .at = object ? object : "" };
}

bool json_text_next(struct json_text *t, struct json_member *ret);

/* JavaScript's truth, and more: an empty object or array is false too. */
bool json_text_true(struct slice value);

/* How many bytes from here are no structure: up to the next bracket, comma or colon that stands
 * outside strings. */
size_t json_text_plain(const char *s, size_t len);
