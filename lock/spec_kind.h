/* spec_kind.h - what kind of thing a dependency's value asks for (npm.md §4.3), as far as the
 * validity of an edge needs it. Nothing is allocated; what is returned points into the spec. */
#pragma once
#include "core/base.h"

enum spec_kind_type {
	SPEC_KIND_REGISTRY, /* a version, a range, or else a tag */
	SPEC_KIND_REMOTE,   /* an http(s) tarball */
	SPEC_KIND_FOLDER,   /* file: and the like */
	SPEC_KIND_TARBALL,  /* the same, a tarball */
	SPEC_KIND_GIT,
	SPEC_KIND_BAD, /* a protocol that npm does not know */
};

struct spec_kind {
	enum spec_kind_type kind;
	const char *rest;  /* the path of folders and tarballs; else the spec, without npm:name@ */
	const char *range; /* git: what stands after #semver:, else NULL */
};

struct spec_kind spec_kind(const char *spec);
