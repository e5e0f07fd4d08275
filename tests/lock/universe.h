/* universe.h - a registry as a text, for tests of the resolver.
 *
 * One version a line: "name version [what...]", where each `what` is
 *
 *	dep@spec  peer:dep@spec  popt:dep@spec (optional peer)  opt:dep@spec
 *	bundles:dep@version (which lies in its tarball, a version that stands in the text)
 *	node:RANGE (engines)  deprecated  at:DATE (published)  tag:NAME (a dist-tag)
 *
 * '+' stands for a space in a spec. The highest version is `latest`, unless a tag says another. */
#pragma once
#include "lock/catalog.h"

struct universe;
struct universe *universe_new(const char *text);
void universe_free(struct universe *u);
struct catalog universe_catalog(struct universe *u);
/* As an object of the packuments by name; the caller's. */
cJSON *universe_json(const struct universe *u);
unsigned universe_asked(const struct universe *u); /* packuments that were asked for */
static inline void universe_freep(struct universe **u)
{
	universe_free(*u);
}
#define auto_universe cleanup(universe_freep)
