/* manifest_deps.h - what `npm install PKG` and `npm uninstall PKG` make of a package.json: which of
 * its lists of dependencies a name comes into, leaves, or stands in twice.
 *
 * A manifest is changed as npm has it in memory (deps_normalize(), then deps_add() and so on),
 * which is what is resolved and what the lock says of it; deps_text() then gives the file's text
 * with as much of that as npm writes to the file, everything else as it stood. All but deps_text()
 * fail for want of memory only: -ENOMEM. */
#pragma once
#include "lock/json.h"

enum deps_save {
	DEPS_AS_IS, /* where it stands; a new one in dependencies */
	DEPS_PROD,
	DEPS_DEV,
	DEPS_OPTIONAL,
	DEPS_PEER,
	DEPS_PEER_OPTIONAL,
};

/* A package.json as npm reads it before it changes it: what is optional is no dependency besides,
 * bundleDependencies is a list. */
int deps_normalize(cJSON *pkg) must_check;

/* Asks for name@spec; "*" leaves what is there. `bundle`: and bundles it. */
int deps_add(cJSON *pkg, const char *name, const char *spec, enum deps_save how,
	     bool bundle) must_check;

/* No more. False: it did not. */
bool deps_remove(cJSON *pkg, const char *name);

/* What is asked for becomes what is saved, after it was resolved. `local`: a path. */
int deps_settle(cJSON *pkg, const char *name, const char *spec, enum deps_save how,
		bool local) must_check;

/* *ret gets the file's text with the dependencies of `pkg`; the same bytes where nothing changes.
 * As npm writes it, a changed file ends with a line end, if it has lines, and has no byte order
 * mark. Errors of manifest_edit(). */
int deps_text(struct buf *ret, struct slice text, const cJSON *pkg, struct err *e) must_check;
