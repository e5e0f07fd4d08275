/* scripts.h - the install scripts of one package: what its package.json says, and running one. */
#pragma once
#include "core/err.h"
#include "lock/json.h"

enum script_event { SCRIPT_PREINSTALL, SCRIPT_INSTALL, SCRIPT_POSTINSTALL, SCRIPT_EVENTS };

struct scripts {
	cJSON *manifest;                     /* owned; the commands point into it */
	const char *commands[SCRIPT_EVENTS]; /* NULL: none */
	const char *version;                 /* as package.json says; may be NULL */
};

/* Reads <dir>/package.json. npm's rule for packages with native code is in: with a binding.gyp,
 * neither install nor preinstall, and no "gypfile": false, install is `node-gyp rebuild`. `flagged`
 * is the lock's hasInstallScript: without it nothing but that counts, as with npm. -ENOENT: there
 * is no such package. */
int scripts_read(struct scripts *ret, const char *dir, bool flagged, struct err *e) must_check;
void scripts_release(struct scripts *s);
#define auto_scripts cleanup(scripts_release)

static inline bool scripts_any(const struct scripts *s)
{
	return s->commands[SCRIPT_PREINSTALL] || s->commands[SCRIPT_INSTALL] ||
	       s->commands[SCRIPT_POSTINSTALL];
}

const char *script_event_name(enum script_event event);

/* Runs `shell -c command` in a folder, with nothing to read, its output to two descriptors, and
 * waits for it: the status of waitpid(2), or -errno if it could not be started. */
int script_run(const char *shell, const char *command, const char *dir, char **env, int out,
	       int err_out) must_check;
