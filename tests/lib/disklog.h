/* disklog.h - what a program did to a folder on disk, and what a power cut would have left of it.
 *
 * Linked into a test, disklog.c takes the place of the calls that change files (openat, mkdirat,
 * unlinkat, renameat2, pwrite, fsync ...) and, while it records, notes those that are about the
 * recorded folder. disklog_leave() then makes the folder as a disk would show it afterwards.
 *
 * The disk is a journalling one in its ordinary mode, as ext4 and XFS are: names, modes and sizes
 * become durable in the order in which they were made, each fsync carries all that came before it;
 * bytes become durable at that file's own fsync, or whenever the machine likes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

void disklog_start(const char *dir); /* what stands there now counts as durable */
void disklog_stop(void);
size_t disklog_count(void); /* events so far */
void disklog_free(void);

enum disklog_kept {
	DISKLOG_ALL,   /* everything that was done */
	DISKLOG_NAMES, /* names and modes; bytes only as far as fsynced */
	DISKLOG_SYNCED /* nothing after the last fsync */
};

/* Makes `to`, which must not be there, what is left when the power goes after the first `count`
 * events. Ends the test if it cannot. */
void disklog_leave(size_t count, enum disklog_kept kept, const char *to);
