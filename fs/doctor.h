/* doctor.h - what this machine allows, what is missing, how to mend it.
 *
 * Each check is one line: what was looked at, what was found, what to do. Nothing is changed
 * (but the index of a store that has none or a damaged one), and nothing waits but the question to
 * the registry, which is asked last. */
#pragma once
#include "core/buf.h"

enum finding { FINDING_OK, FINDING_NOTE, FINDING_BAD };

struct doctor_check {
	const char *name;     /* short: "/dev/fuse" */
	enum finding finding; /* BAD: mounting will fail here; NOTE: something will be missed */
	char found[200];      /* what it is */
	char advice[256];     /* what to do; "" when there is nothing */
};

#define DOCTOR_CHECKS_MAX 24

/* Runs all checks; the number of them. The store is the default one. */
unsigned doctor_run(struct doctor_check ret[DOCTOR_CHECKS_MAX]);

/* Asks the registry that the current folder's settings name (fs/doctor_registry.c): one more. */
#define DOCTOR_REGISTRY_MS 2000
void doctor_registry(struct doctor_check *ret);
