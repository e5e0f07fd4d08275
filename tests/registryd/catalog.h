/* catalog.h - what the test registry offers: a folder of tarballs, read once.
 *
 * Every `*.tgz` below the folder is a version. Its manifest is the package.json inside,
 * unless a file of the same name with `.json` for `.tgz` stands beside it: that is the
 * manifest then (so a registry can be made to say what a tarball does not). Members of
 * the side file's "dist" replace ours; null removes one ({"dist": {"integrity": null}}
 * leaves the sha1 alone), and "_time" is when it was published. `dist-tags.json` at the folder's
 * top holds {name: {tag: version}} on top of the computed `latest`. A catalog does not change once
 * it is open. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

struct catalog;

/* `base` ("http://127.0.0.1:4873") is what tarball URLs start with. Tarballs that cannot be
 * read are named on stderr and left out; two of the same name and version: the later path. */
int catalog_open(struct catalog **ret, const char *dir, const char *base, struct err *e) must_check;
void catalog_close(struct catalog *c); /* NULL is fine */

struct packument {
	const char *full, *brief; /* JSON; brief is npm's abbreviated form */
	const char *etag;         /* quoted */
};

/* NULL when there is no such package. Borrowed until catalog_close(). */
const struct packument *catalog_packument(const struct catalog *c, const char *name);

/* The file that /<name>/-/<file> stands for, or NULL. */
const char *catalog_tarball(const struct catalog *c, const char *name, const char *file);
