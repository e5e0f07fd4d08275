/* spec_priv.h - git, the larger half of spec.h. */
#pragma once
#include "lock/spec.h"
#include "lock/weburl.h"

/* If `ret->raw` names a repository of a known host: fills the rest and returns 1. 0 if not. */
int spec_take_hosted(struct spec *ret, struct arena *a, struct err *e) must_check;

/* What is behind '#'. */
int spec_take_committish(struct spec *ret, struct slice text, struct arena *a,
			 struct err *e) must_check;
