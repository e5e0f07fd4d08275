/* lease.h - files of our own mount that nobody writes for a moment: push.c only.
 *
 * What FUSE_NOTIFY_STORE puts into the page cache takes the place of what a program has just
 * written there, and of which the daemon has not heard yet: the WRITE then carries the wrong bytes.
 * The daemon is not told who has a file open. But a read lease (fcntl(2), F_SETLEASE) is only given
 * out while nobody has the file open for writing, and for as long as it is held whoever opens or
 * truncates it waits. What was written before is with the daemon by then: a write(2) ends with the
 * answer to its WRITE, and unmapping the last shared mapping waits for those of its pages. The
 * latter holds since Linux 6.16 (FUSE 7.44); before, the kernel wrote copies of the pages and did
 * not wait for them, so there nothing is leased. Who opens a file for writing with O_NONBLOCK while
 * it is leased gets EWOULDBLOCK, as fcntl(2) has it.
 *
 * So the file is opened through the mount, as any program does. That sends the daemon no message:
 * only what the kernel has in its caches is opened (RESOLVE_CACHED). While a descriptor of these is
 * open the mount is in use: umount(2) says EBUSY. */
#pragma once
#include "fs/conn.h"

/* A directory of the mount, its path absolute as conn.dir is: a descriptor. -EAGAIN: the kernel
 * does not have it; -ENOENT and the like: it is not there, or that mount is not there;
 * -EOPNOTSUPP: a kernel before Linux 6.16. */
int lease_dir(const struct conn *c, const char *path) must_check;

/* The file `name` in it, under a read lease until the descriptor is closed. -EAGAIN: the kernel
 * does not have it; -EBUSY: somebody writes it, or it is another file than `ino`; -EOPNOTSUPP:
 * leases are not to be had here. */
int lease_take(int dirfd, const char *name, uint64_t ino) must_check;

/* Does nobody wait for it, and has the kernel not taken it back? It does so after 45 seconds
 * (/proc/sys/fs/lease-break-time), in which a stopped process does nothing. */
bool lease_stands(int fd) must_check;
