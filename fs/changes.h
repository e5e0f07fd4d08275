/* changes.h - what an upper holds, as JSON: what `dxfs diff --json` prints and a daemon answers.
 *
 * A list of objects: "kind" (added, changed, removed, wrote), "path" relative to the project,
 * "type" (file, directory, link, other; not of what is removed), and of what lies in a package
 * "package" (its place), "version" and "aside" (true: that version is not in the tree now). */
#pragma once
#include "fs/upper_care.h"

/* As upper_each(). */
int changes_json(struct buf *ret, struct upper *u, struct view *v, struct err *e) must_check;

/* The packages of which something is set aside: ["node_modules/foo@1.0.0"]. */
int changes_aside_json(struct buf *ret, struct upper *u, struct view *v, struct err *e) must_check;
