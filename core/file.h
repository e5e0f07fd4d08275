/* file.h - files read whole with a limit, and files replaced in one step.
 *
 * Functions that a person's path reaches take a `struct err`; its sentence names
 * the file. All descriptors are close-on-exec. */
#pragma once
#include "core/buf.h"
#include "core/err.h"

/* The whole of a regular file, NUL-terminated for convenience (the NUL is not
 * counted in *ret_len); the caller frees. -ENOENT, -E2BIG past `limit` bytes,
 * -EINVAL when it is no regular file, other errno of open and read. `dirfd` may
 * be AT_FDCWD. */
int file_read_all(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_len,
		  struct err *e) must_check;

/* The same from an open descriptor, from its start. */
int file_read_fd(int fd, const char *name, size_t limit, char **ret, size_t *ret_len,
		 struct err *e) must_check;

/* The same piece by piece, for what is looked at once: memory that is touched for the first time
 * costs more than reading does. `fn` gets every piece, with the file's size and where the piece
 * stands in it; one without bytes of an empty file. */
#define FILE_PIECE ((size_t)64 << 10)
typedef void file_piece_fn(void *arg, size_t size, size_t at, const void *p, size_t n);
int file_read_pieces(int dirfd, const char *path, size_t limit, file_piece_fn *fn, void *arg,
		     struct err *e) must_check;

/* Write all of it, in spite of short writes and signals; 0 or -errno. */
int file_write_all(int fd, const void *p, size_t n) must_check;
int file_pwrite_all(int fd, const void *p, size_t n, off_t at) must_check;

/* flock(2), exclusive, of a file that others than us may open, too: whoever can read a file may
 * hold a lock on it for as long as they like. -EBUSY after FILE_LOCK_MS. */
#define FILE_LOCK_MS 2000 /* whoever has something to write needs some milliseconds */
int file_lock_soon(int fd) must_check;

/* Read exactly n bytes at `at`; -EBADMSG when the file ends before. */
int file_pread_all(int fd, void *p, size_t n, off_t at) must_check;

/* Replaces `path` by these bytes: a temporary file beside it, write, fsync, rename,
 * fsync of the folder. At any moment `path` is the old file or the new one. */
int file_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e) must_check;

/* The same for a file that is the user's: its mode stays, and its owner and group where we may set
 * them; where `path` is a symlink, it stays one, and the file that it leads to is replaced. One
 * that leads to nothing is replaced itself. A new file has mode 0644. -EINVAL: it leads to what is
 * no regular file. -EPERM: to a file whose owner did not make the link, nor did we or root: whoever
 * owns a folder could have us write anywhere. */
int file_rewrite(const char *path, const void *p, size_t n, struct err *e) must_check;

/* file_replace() without fsync, which costs milliseconds: after a power cut `path` may also be
 * empty. For what is checked when it is read and can be made again. */
int file_replace_unsynced(const char *path, const void *p, size_t n, mode_t mode,
			  struct err *e) must_check;

/* Makes a folder and its parents (mode for those that it makes); 0 when it stands. */
int mkdir_p(const char *path, mode_t mode, struct err *e) must_check;
