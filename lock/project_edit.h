/* project_edit.h - package.json files of a project while `dx add`, `dx remove` or
 * `dx update --save` changes them, as npm does. Private to project.h's implementation.
 *
 *	editing_start()   reads them, applies what was asked for: m.options
 *	ideal_build()     with these, which calls
 *	editing_settle()  what comes to stand in them, now that it is known what came
 *	editing_write()   the files that changed
 */
#pragma once
#include "lock/ideal.h"
#include "lock/project.h"

struct edited; /* one package.json */

struct editing {
	const struct project *p;
	const struct ideal_options *io;
	const struct project_edits *edits;
	struct edited *list; /* owned */
	size_t count;
	struct arena arena; /* names, specs, texts */
	struct err *e;
	/* What is to be resolved; in the arena. */
	struct manifest_texts asked;
	struct ideal_request *requested;
	size_t requested_count;
};

/* -ENOENT: a folder has no package.json, something cannot be asked for its name; -EINVAL: what was
 * asked for makes no sense. The caller releases *m, also then. */
int editing_start(struct editing *m, const struct project *p, const struct ideal_options *io,
		  const struct project_edits *edits, struct err *e) must_check;
int editing_settle(void *editing, const struct graph *g, struct manifest_texts *ret,
		   struct err *e) must_check;
int editing_write(const struct editing *m) must_check;
/* How the lock is to be written: root's package.json says so, if it is one of them. */
void editing_style(const struct editing *m, struct graph *g);
void editing_release(struct editing *m); /* zeroed is fine */
