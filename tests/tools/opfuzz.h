/* opfuzz - the same random operations on two trees: do they answer alike?
 *
 * An operation is data alone (`struct op`): what it names may or may not be there when it is run,
 * and the answer, ENOENT too, must be the same on both sides. So a list of operations can be run
 * again, in part or in whole, which is how a failing one is made smaller.
 *
 * What is compared after each operation is a line of text that each side writes: the errno, what
 * was read, and what stat says of all that was named (type, mode, size, links of a file, whether
 * its number changed, a time that was set). What may differ is listed in may_differ() (opfuzz.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SLOTS    3    /* open files, and as many mappings */
#define LINE_MAX 4096 /* of one side's answer */

enum kind {
	OP_OPEN,     /* path, slot, x = flags, y = mode */
	OP_OPENAT,   /* path: a name below what is open in slot2; else as OP_OPEN */
	OP_CLOSE,    /* slot */
	OP_WRITE,    /* slot, y = bytes */
	OP_PWRITE,   /* slot, x = offset, y = bytes */
	OP_PREAD,    /* slot, x = offset, y = bytes */
	OP_SEEK,     /* slot, x = offset */
	OP_TRUNCATE, /* path, x = size */
	OP_FTRUNCATE,
	OP_FALLOCATE, /* slot, x = offset, y = bytes, mode */
	OP_FSYNC,     /* slot, x: fdatasync */
	OP_FSTAT,
	OP_MKDIR, /* path, y = mode */
	OP_RMDIR,
	OP_UNLINK,
	OP_RENAME,   /* path, path2, x = flags of renameat2 */
	OP_LINK,     /* path, path2, x = flags of linkat */
	OP_SYMLINK,  /* path2 = text, path */
	OP_READLINK, /* path */
	OP_MKNOD,    /* path, y = mode with type: file, fifo or socket */
	OP_CHMOD,    /* path, y = mode */
	OP_FCHMOD,
	OP_CHOWN,   /* path, x: 0 nothing, 1 its own group */
	OP_UTIMENS, /* path, x = which time */
	OP_FUTIMENS,
	OP_STAT, /* path, following links */
	OP_ACCESS,
	OP_LIST,      /* path: the names there */
	OP_LISTWHILE, /* path: listed with small reads, while path2 (a name) is made and removed */
	OP_MAP,       /* slot is mapped shared */
	OP_MAPWRITE,  /* slot, x = offset, y = bytes */
	OP_MAPREAD,
	OP_UNMAP, /* slot, x: msync first */
	OP_UMASK, /* y */
	OP_KINDS,
};

struct op {
	uint8_t kind;
	uint8_t slot, slot2;
	const char *path, *path2; /* kept by struct paths; relative to the root */
	uint32_t x, y, seed;
	int mode;
};

/* ---- opfuzz_gen.c ---- */

/* Strings that live until paths_release(). */
struct paths {
	char **list;
	size_t count, cap;
};

const char *paths_keep(struct paths *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void paths_release(struct paths *);

struct gen {
	uint64_t random;
	struct paths *kept;
	const struct paths *tree; /* what stands in the tree at first, sorted */
	bool for_kills;           /* nothing that may stop half-way on any file system */
	const char *set[16];      /* the paths of this sequence */
	size_t set_count;
};

uint64_t gen_next(uint64_t *random);
void gen_sequence(struct gen *, struct op *to, size_t count);
void op_print(FILE *, const struct op *);

/* ---- opfuzz_run.c ---- */

struct map {
	void *at;
	size_t len;
};

struct side {
	const char *name, *path;
	int root;
	int fd[SLOTS];
	struct map map[SLOTS];
	/* When a shared mapping was written to: POSIX leaves open when a file's time moves by that,
	 * at the first touch (ext4) or when it is written back (FUSE), so times of files are not
	 * compared any more until the next fresh tree. */
	bool loose_times;
	bool no_times; /* none are: of an operation that got no answer nobody knows whether it set
			  one */
};

int side_open(struct side *, const char *name, const char *path);
void side_close(struct side *);
/* Closes files and mappings; the root stays open. */
void side_release_slots(struct side *);

/* `to` gets at most LINE_MAX bytes, the errno's name or "ok" first. */
void op_run(struct side *, const struct op *, char *to);

/* ---- opfuzz_tree.c ---- */

/* The tree as text, a line a name: sorted, with mode, size, links, hash of the bytes; files that
 * are one have one number. `with_times` adds what only the same side can be asked for again:
 * modification times. Null on failure. The caller frees it. */
char *tree_list(int root, bool with_times);
/* The paths alone. */
int tree_paths(int root, struct paths *to);
/* Prints lines that are in one only; returns how many. */
size_t tree_differences(FILE *, const char *a_name, const char *a, const char *b_name,
			const char *b);
