/* manifest_edit.h - changes dependencies in the text of a package.json, and nothing else in it:
 * order, indentation, line ends and everything that is not changed stay byte for byte. */
#pragma once
#include "lock/json.h"

/* *ret gets the new text. `spec` NULL takes the dependency out, and the section with its last.
 * A new name stands where the alphabet puts it if the section is in that order (as npm's are), else
 * last; a new section stands last. -EBADMSG: not a JSON object, or a section is
 * none; -ENOMEM, -E2BIG. */
int manifest_edit(struct buf *ret, struct slice text, const char *section, const char *name,
		  const char *spec, struct err *e) must_check;

/* The same for a member at the top that is a list of strings; NULL takes it out, whatever it is. */
int manifest_edit_list(struct buf *ret, struct slice text, const char *key, const cJSON *list,
		       struct err *e) must_check;
