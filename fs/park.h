/* park.h - requests that wait for a package, holding no thread.
 *
 * Who finds a package missing parks: the request goes on the parcel's list, the package is
 * wanted, the thread is free. When the package has come, or has failed, each parked request is
 * resumed once, on whatever thread brought the news, with no lock held.
 *
 * A wait also ends at its deadline, and when its caller is being killed. The kernel tells of
 * *any* signal, and only once, so an interrupt only marks the request; the park's thread looks
 * every tick whether one that ends programs (KILL, INT, TERM, HUP, QUIT) is pending for the
 * caller and not blocked, or the caller is gone. A caller of another pid namespace cannot be
 * looked at and is let go at once. */
#pragma once
#include "fs/parcel.h"

#include <sys/types.h>

#define PARK_DEADLINE_MS 120000
#define PARK_TICK_MS     50

/* One waiting request. Embedded in the caller's own struct, which must live until resume. */
struct parked {
	/* 0: ask again. -ENOENT: the registry does not have the package, and the tree will do
	 * without it. -EINTR: the caller is being killed. -EIO: anything else; it has been logged.
	 * Called exactly once. */
	void (*resume)(struct parked *p, int result);
	pid_t pid;               /* 0: not known */
	atomic_bool interrupted; /* set by park_interrupt() */

	/* the park's, guarded by its mutex */
	struct parcel *parcel;
	struct parked *next_of_parcel;
	struct parked *prev, *next;
	int64_t deadline_ms;
};

enum park_prio { PARK_BACKGROUND = 1, PARK_PREDICTED, PARK_DEMAND };

struct park_config {
	/* Brings the package: fetch_want(), or a test. Called without locks; may call park_done()
	 * before it returns. */
	void (*want)(void *arg, struct parcel *src, enum park_prio prio);
	/* Nobody waits for it any more. True: it was forgotten, there will be no park_done().
	 * False: it is on its way nevertheless, or still wanted. Called with the park's mutex held:
	 * it may call nothing of the park. NULL: what is wanted stays wanted. */
	bool (*drop)(void *arg, struct parcel *src);
	void *arg;
	unsigned deadline_ms, tick_ms; /* 0: PARK_DEADLINE_MS, PARK_TICK_MS */
};

struct park;
struct park *park_new(const struct park_config *c) must_check; /* NULL: out of memory */

/* From now on there may be the thread that ends waits; after every fork. */
void park_start(struct park *p);

/* Resumes everything with -EIO, ends the thread. Nothing may be parked afterwards. */
void park_stop(struct park *p);
void park_free(struct park *p); /* after park_stop, or if never started; NULL is fine */

/* Parks. The caller must not touch `r` any more: it may have been resumed already. */
void park_wait(struct park *p, struct parcel *src, struct parked *r);

/* Has it brought with nobody waiting for it, if it is not on its way so urgently already. */
void park_want(struct park *p, struct parcel *src, enum park_prio prio);

/* From the kernel's INTERRUPT: any thread, takes no lock. */
void park_interrupt(struct parked *r);

/* A fetch ended: fetch_done_fn's result and sentence. `left_out`: it failed, and the tree goes on
 * without it; that the registry does not have it (-ENOENT) is then not even worth a line. */
void park_done(struct park *p, struct parcel *src, int result, const char *why, bool left_out);

/* For status: kept are the last PARK_ERRORS. */
#define PARK_ERRORS 32
struct park_error {
	char package[256]; /* name@version */
	char reason[512];  /* a sentence; no credentials */
	int64_t time_s;    /* since the epoch */
};
unsigned park_errors(struct park *p, struct park_error ret[PARK_ERRORS]); /* oldest first */
void park_note_error(struct park *p, const struct parcel *src, const char *reason);
void park_forget_errors(struct park *p, const char *what);      /* those of this `package` */
unsigned park_count(struct park *p);                            /* requests that wait now */
uint64_t park_waited_ms(struct park *p);                        /* of all whose wait has ended */
uint64_t park_longest_ms(struct park *p);                       /* of those waits */
bool park_on_its_way(struct park *p, const struct parcel *src); /* a fetch is under way */

/* Is a signal that ends programs pending for a thread? Reads /proc/<pid>/status. */
bool park_is_dying(pid_t pid);
