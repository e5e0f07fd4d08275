/* spec.h - what kind of thing the value of a dependency names: npm's npm-package-arg.
 *
 * A value ("^1.2.3", "next", "npm:other@1", "user/repo#v1", "file:../x", "https://...") is
 * classified by its text alone, exactly as npm does; nothing is looked up. Slices borrow from the
 * given texts or from the arena, and both must outlive the spec. */
#pragma once
#include "core/arena.h"
#include "core/err.h"

#define SPEC_LEN_MAX 8000 /* of a value: a range, or a URL to which "git+ssh://" may be added */

enum spec_type {
	SPEC_VERSION,   /* 1.2.3, v1.2.3, =1.2.3 */
	SPEC_RANGE,     /* also "" */
	SPEC_TAG,       /* latest */
	SPEC_ALIAS,     /* npm:name@anything of the three above */
	SPEC_GIT,       /* also shorthands, and web addresses of the known hosts */
	SPEC_REMOTE,    /* a tarball at a URL */
	SPEC_FILE,      /* a tarball on disk */
	SPEC_DIRECTORY, /* a folder on disk */
};

/* Hosts of which npm knows how their addresses are made. */
enum git_host { GIT_HOST_NONE, GITHUB, BITBUCKET, GITLAB, GIST, SOURCEHUT };

struct spec {
	enum spec_type type;
	struct slice name; /* as given; len 0: none */
	struct slice raw;  /* as given */

	/* VERSION, RANGE, TAG: trimmed. REMOTE: the URL. FILE, DIRECTORY: the absolute path. GIT:
	 * what git fetches from, without "git+" and committish; len 0 for a shorthand, which says
	 * no more than host, user and project. ALIAS: of the aliased. */
	struct slice fetch;

	/* ALIAS: what it stands for. `alias_type` is VERSION, RANGE or TAG. */
	struct slice alias_name;
	enum spec_type alias_type;

	/* GIT: what is behind '#'; ptr NULL: not given. */
	struct slice committish; /* branch, tag or commit */
	struct slice git_range;  /* of tags, from "semver:" */
	struct slice git_subdir; /* from "path:", with a slash in front */

	/* GIT at a known host. npm tries `https` first, and where that fails and there is no
	 * `auth`, `ssh`. The lock's `resolved` is "git+" and `ssh` (`https` if there is an auth),
	 * '#' and the commit. */
	enum git_host host;
	struct slice user, project; /* gists may have no user; gitlab's may have slashes */
	struct slice auth;          /* "user:password", percent-encoded; len 0: none */
	struct slice https;         /* https://github.com/user/project.git */
	struct slice ssh;           /* ssh://git@github.com/user/project.git */
};

/* `where` is the absolute folder that relative paths start from. -EINVAL: npm refuses it too (an
 * unsupported protocol, a bad name or tag, an alias of an alias); -E2BIG past a limit; -ENOMEM. */
int spec_parse(struct spec *ret, struct slice name, struct slice raw, struct slice where,
	       struct arena *a, struct err *e) must_check;

/* The way from the absolute folder `where` to the absolute path `to`, of spec_parse(): "" for
 * itself,
 * "../" as often as needed in front. In the arena; NULL: no memory. */
char *spec_way(const char *where, struct slice to, struct arena *a);
