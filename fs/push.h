/* push.h - files given to the kernel before it asks for them.
 *
 * Whoever lists a directory and then reads a file of it will probably read the next ones (tar, cp,
 * grep, a bundler's crawl). A READ costs the reader two wake-ups; so at the first READ of a file
 * in a directory that was listed, a thread puts the files after it into the kernel's page cache
 * (FUSE_NOTIFY_STORE), ahead of the reader, whom it jumps over if he is faster.
 *
 * What is stored must not overwrite what a program has just written and the daemon has not yet
 * heard of. So where the mount can be written to, each file is first opened under a lease
 * (lease.h), and it is the upper that says what is in it. */
#pragma once
#include "fs/conn.h"
#include "fs/upper.h"

struct push;

/* Borrows all three. `upper` NULL: the mount is read-only in the kernel. `project_dir` is what
 * packages' paths are relative to, absolute. NULL: out of memory. */
struct push *push_new(struct view_cell *shown, struct upper *upper,
		      const char *project_dir) must_check;
void push_stop(struct push *p); /* before the sessions are destroyed; NULL is fine */
void push_free(struct push *p); /* NULL is fine */

/* While it is held nothing of the mount is open here, so that it can be unmounted; does not wait
 * for long. Each true is followed by a false. NULL is fine. */
void push_hold(struct push *p, bool held);

/* Bytes that the kernel may have are others now, without a program having written them there: said
 * before the kernel is told to forget them. Any thread; NULL is fine. */
void push_changed(struct push *p);

/* From the loops' threads, once they have answered: a directory was listed, the start of a file was
 * read. They do not wait. NULL is fine. */
void push_listed(struct push *p, uint64_t dir);
void push_read(struct push *p, struct conn *c, struct view *v, uint64_t ino);
