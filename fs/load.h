/* load.h - what every command needs of a project: its settings, this machine, its lock. */
#pragma once
#include "fetch/npmrc.h"
#include "lock/platform.h"
#include "lock/project.h"
#include "lock/select.h"

struct load_options {
	const char *project_dir;
	const char *cache_dir;       /* for the derived lock and node's version; may be NULL */
	const char *lock_file;       /* a DXL to use instead of the project's lock; NULL: none */
	const char *registry;        /* NULL: as configured */
	const char *os, *cpu, *libc; /* NULL: this machine's, or as configured */
	unsigned omit;               /* OMIT_*, added to what npm's settings say */
	bool offline;
};

struct loaded {
	struct project project;
	struct npmrc *npmrc;
	struct platform machine;  /* this one */
	struct platform platform; /* the one to choose packages for: --os and so on */
	struct lock *lock;
	bool derived;  /* the lock was made anew from package-lock.json */
	unsigned omit; /* what is left out in the end */
	bool offline;
};

int load_project(struct loaded *ret, const struct load_options *o, struct err *e) must_check;
void loaded_release(struct loaded *l); /* fine on a zeroed one */
