/* pinned_priv.h - the table of pinned.h, and who fills it. */
#pragma once
#include "lock/pinned.h"

struct pinned_demand {
	const char *key; /* "name@range" */
	const struct pin *pin;
	uint32_t order; /* in which they came */
};

struct pinned {
	struct arena arena;
	const char *file;
	struct pinned_demand *demands; /* owned; sorted by key once all are there */
	uint32_t count, cap;
	struct buf remarks;
};

/* Of two for the same key the later counts. `key` is in the arena. */
int pinned_add(struct pinned *p, const char *key, const struct pin *pin, struct err *e) must_check;

/* yarn_lock.c, bun_lock.c: these only add. `text` has no byte order mark and no zero bytes. */
int pinned_read_yarn(struct pinned *p, struct slice text, struct err *e) must_check;
int pinned_read_bun(struct pinned *p, struct slice text, struct err *e) must_check;
