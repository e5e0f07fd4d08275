#include "opfuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- strings ---- */

const char *paths_keep(struct paths *p, const char *format, ...)
{
	va_list ap;
	char *s;

	va_start(ap, format);
	if (vasprintf(&s, format, ap) < 0)
		abort();
	va_end(ap);
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 256;
		p->list = realloc(p->list, p->cap * sizeof *p->list);
		if (!p->list)
			abort();
	}
	p->list[p->count++] = s;
	return s;
}

void paths_release(struct paths *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->list[i]);
	free(p->list);
	*p = (struct paths){ 0 };
}

/* ---- chance ---- */

/* splitmix64: any seed will do, zero too. */
uint64_t gen_next(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint32_t below(struct gen *g, uint32_t n)
{
	return (uint32_t)(gen_next(&g->random) % n);
}

#define PICK(g, list) (list)[below(g, sizeof(list) / sizeof *(list))]

/* ---- names ---- */

/* Plain ones, so that operations meet; and what a file system might take for its own. Nothing leads
 * upwards: it would lead out of the trees. */
static const char *const new_names[] = {
	"n0", "n1", "n2", "n0", "n1", "n2", ".cache", "n0.js", "index.js", "package.json",
};
static const char *const odd_names[] = {
	".wh.n0", ".wh..wh..opq", ".whiteouts", ".opaque", "tree", "pkg", "removed",  "names",
	"tmp",    "orphans",      "pkg",        "a b",     "a\nb", "%2e", "\xc3\xa9", "\xff",
	".dxfs",  ".gone",        "#orphan",    "~",       ".",    "",
};

static const char *parent_of(struct gen *g, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? paths_keep(g->kept, "%.*s", (int)(slash - path), path) : ".";
}

static const char *odd_name(struct gen *g)
{
	char *s;
	uint32_t n = below(g, 12);

	if (n > 1)
		return PICK(g, odd_names);
	n += 255; /* the longest name there may be, and one more */
	s = malloc(n + 1);
	if (!s)
		abort();
	memset(s, 'x', n);
	s[n] = 0;
	const char *kept = paths_keep(g->kept, "%s", s);
	free(s);
	return kept;
}

/* Few paths, near each other, so that most operations meet something. */
static void choose_paths(struct gen *g)
{
	g->set_count = 0;
	for (int i = 0; i < 2; i++) {
		const char *there = g->tree->list[below(g, (uint32_t)g->tree->count)];
		const char *dir = below(g, 3) ? parent_of(g, there) : there;
		const char *name = below(g, 12) ? PICK(g, new_names) : odd_name(g);

		g->set[g->set_count++] = there;
		g->set[g->set_count++] = dir;
		g->set[g->set_count++] = paths_keep(g->kept, "%s/%s", dir, name);
		g->set[g->set_count++] = paths_keep(g->kept, "%s/%s", dir, PICK(g, new_names));
		g->set[g->set_count++] =
			paths_keep(g->kept, "%s/%s/%s", dir, name, PICK(g, new_names));
		g->set[g->set_count++] = paths_keep(g->kept, "%s/%s/%s/%s", dir, name,
						    PICK(g, new_names), PICK(g, new_names));
	}
}

/* What stood there and what is made first, more often than what lies deeper. */
static const char *path(struct gen *g)
{
	static const uint8_t often[] = { 0, 0, 0, 2, 2, 2, 3, 3, 4, 6, 6, 6, 8, 8, 9, 10 };

	if (below(g, 4))
		return g->set[PICK(g, often)];
	return g->set[below(g, (uint32_t)g->set_count)];
}

/* ---- operations ---- */

static const uint8_t weights[OP_KINDS] = {
	[OP_OPEN] = 40,     [OP_OPENAT] = 4,    [OP_CLOSE] = 12,    [OP_WRITE] = 16,
	[OP_PWRITE] = 16,   [OP_PREAD] = 16,    [OP_SEEK] = 3,      [OP_TRUNCATE] = 8,
	[OP_FTRUNCATE] = 6, [OP_FALLOCATE] = 3, [OP_FSYNC] = 2,     [OP_FSTAT] = 8,
	[OP_MKDIR] = 20,    [OP_RMDIR] = 10,    [OP_UNLINK] = 18,   [OP_RENAME] = 36,
	[OP_LINK] = 14,     [OP_SYMLINK] = 8,   [OP_READLINK] = 4,  [OP_MKNOD] = 4,
	[OP_CHMOD] = 10,    [OP_FCHMOD] = 4,    [OP_CHOWN] = 2,     [OP_UTIMENS] = 12,
	[OP_FUTIMENS] = 4,  [OP_STAT] = 8,      [OP_ACCESS] = 3,    [OP_LIST] = 14,
	[OP_LISTWHILE] = 4, [OP_MAP] = 6,       [OP_MAPWRITE] = 10, [OP_MAPREAD] = 5,
	[OP_UNMAP] = 5,     [OP_UMASK] = 1,
};

static enum kind choose_kind(struct gen *g)
{
	uint32_t sum = 0, n;
	int k;

	for (k = 0; k < OP_KINDS; k++)
		sum += weights[k];
	n = below(g, sum);
	for (k = 0; n >= weights[k]; k++)
		n -= weights[k];
	return (enum kind)k;
}

static uint32_t open_flags(struct gen *g)
{
	static const uint32_t access[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
	static const uint32_t more[] = { O_CREAT,  O_CREAT,     O_EXCL,     O_TRUNC,   O_APPEND,
					 O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_PATH };
	uint32_t flags = PICK(g, access);

	for (uint32_t n = below(g, 4); n > 0; n--)
		flags |= PICK(g, more);
	/* Without O_CREAT what O_EXCL means is left open; O_PATH is worth little here. */
	if (!(flags & O_CREAT))
		flags &= ~(uint32_t)O_EXCL;
	if ((flags & O_PATH) && below(g, 4))
		flags &= ~(uint32_t)O_PATH;
	return flags;
}

static uint32_t some_bytes(struct gen *g)
{
	static const uint32_t sizes[] = { 0, 1, 7, 100, 511, 512, 4095, 4096, 4097, 9000, 65536 };

	return below(g, 40) ? PICK(g, sizes) : 1200000;
}

static uint32_t some_offset(struct gen *g)
{
	static const uint32_t offsets[] = { 0, 0, 1, 10, 500, 4096, 5000, 12288, 70000 };

	return PICK(g, offsets);
}

static uint32_t some_mode(struct gen *g)
{
	static const uint32_t modes[] = {
		0644, 0600, 0755, 0755, 0700, 0444, 0555, 0666, 0777, 0500
	};

	return PICK(g, modes);
}

/* Of what is or may be a folder. The daemon has the user's rights: a folder that its owner may not
 * enter or list it cannot look into either, while ext4 would say whether it is empty. */
static uint32_t folder_mode(struct gen *g)
{
	static const uint32_t modes[] = { 0755, 0755, 0700, 0711, 0555, 0500, 0511, 01777 };

	return geteuid() == 0 ? some_mode(g) : PICK(g, modes);
}

static const char *link_text(struct gen *g)
{
	static const char *const texts[] = { "n0", "n1", "nowhere", ".", "index.js", "n2/n0" };

	return below(g, 3) ? PICK(g, texts) : paths_keep(g->kept, "./%s", path(g));
}

static struct op make_op(struct gen *g)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK };
	static const uint32_t renames[] = { 0, 0, 0, 0, 1 /* NOREPLACE */, 2 /* EXCHANGE */, 3 };
	static const int fallocates[] = { 0, 1 /* KEEP_SIZE */, 3 /* and PUNCH_HOLE */ };
	struct op o = {
		.kind = (uint8_t)choose_kind(g),
		.slot = (uint8_t)below(g, SLOTS),
		.slot2 = (uint8_t)below(g, SLOTS),
		.path = path(g),
		.path2 = path(g),
		.x = some_offset(g),
		.y = some_bytes(g),
		.seed = below(g, 1u << 30),
	};

	switch (o.kind) {
	case OP_OPEN:
	case OP_OPENAT:
		o.x = open_flags(g);
		o.y = some_mode(g);
		if (o.kind == OP_OPENAT)
			o.path = PICK(g, new_names);
		break;
	case OP_MKDIR:
	case OP_CHMOD:
	case OP_FCHMOD:
		o.y = folder_mode(g);
		break;
	case OP_MKNOD:
		o.y = some_mode(g) | PICK(g, types);
		break;
	case OP_RENAME:
		o.x = PICK(g, renames);
		break;
	case OP_LINK:
		o.x = below(g, 6) ? 0 : AT_SYMLINK_FOLLOW;
		break;
	case OP_SYMLINK:
		o.path2 = link_text(g);
		break;
	case OP_FALLOCATE:
		o.mode = PICK(g, fallocates);
		break;
	case OP_FSYNC:
	case OP_UNMAP:
	case OP_CHOWN:
	case OP_UTIMENS:
	case OP_FUTIMENS:
		o.x = below(g, 4);
		break;
	case OP_LISTWHILE:
		o.path2 = PICK(g, new_names);
		break;
	case OP_UMASK:
		o.y = below(g, 2) ? 022 : 077;
		break;
	default:
		break;
	}
	return o;
}

/* So that what follows finds something: files open, old ones and new, and a folder with a file. */
static struct op make_first(struct gen *g, size_t i)
{
	struct op o = { .kind = OP_OPEN, .slot = (uint8_t)(i % SLOTS), .y = 0644 };

	o.x = O_RDWR | (i > 0 ? O_CREAT : 0);
	o.path = g->set[i == 0 ? 0 : i == 1 ? 3 : 4];
	if (i == 2) {
		o.kind = OP_MKDIR;
		o.path = g->set[2];
		o.y = folder_mode(g);
	} else if (i == 4) {
		o.kind = OP_PWRITE;
		o.slot = 1;
		o.x = some_offset(g);
		o.y = some_bytes(g);
	}
	return o;
}

void gen_sequence(struct gen *g, struct op *to, size_t count)
{
	size_t first = below(g, 6);

	choose_paths(g);
	for (size_t i = 0; i < count; i++) {
		to[i] = i < first ? make_first(g, i) : make_op(g);
		if (g->for_kills && to[i].kind >= OP_LISTWHILE && to[i].kind <= OP_UNMAP)
			to[i].kind = OP_FSTAT;
		if (g->for_kills && (to[i].kind == OP_WRITE || to[i].kind == OP_PWRITE))
			to[i].y %= 512;
	}
}

/* ---- for people ---- */

static const char *const kind_names[OP_KINDS] = {
	"open",       "openat",    "close",     "write",    "pwrite",   "pread",  "lseek",
	"truncate",   "ftruncate", "fallocate", "fsync",    "fstat",    "mkdir",  "rmdir",
	"unlink",     "rename",    "link",      "symlink",  "readlink", "mknod",  "chmod",
	"fchmod",     "chown",     "utimens",   "futimens", "stat",     "access", "list",
	"list-while", "mmap",      "map-write", "map-read", "munmap",   "umask",
};

static void print_flags(FILE *f, uint32_t flags)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {
		{ O_CREAT, "CREAT" },   { O_EXCL, "EXCL" },           { O_TRUNC, "TRUNC" },
		{ O_APPEND, "APPEND" }, { O_DIRECTORY, "DIRECTORY" }, { O_NOFOLLOW, "NOFOLLOW" },
		{ O_PATH, "PATH" },
	};
	static const char *const access[] = { "RDONLY", "WRONLY", "RDWR", "?" };

	fprintf(f, " %s", access[flags & O_ACCMODE]);
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (flags & bits[i].bit)
			fprintf(f, "|%s", bits[i].name);
}

static void print_name(FILE *f, const char *s)
{
	fputs(" \"", f);
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			fprintf(f, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, f);
	fputc('"', f);
}

void op_print(FILE *f, const struct op *o)
{
	fputs(kind_names[o->kind], f);
	switch (o->kind) {
	case OP_OPEN:
	case OP_OPENAT:
		if (o->kind == OP_OPENAT)
			fprintf(f, " at #%u", o->slot2);
		print_name(f, o->path);
		print_flags(f, o->x);
		fprintf(f, " %04o -> #%u", o->y, o->slot);
		break;
	case OP_CLOSE:
	case OP_FSTAT:
	case OP_MAP:
		fprintf(f, " #%u", o->slot);
		break;
	case OP_WRITE:
		fprintf(f, " #%u %u bytes", o->slot, o->y);
		break;
	case OP_PWRITE:
	case OP_PREAD:
	case OP_MAPWRITE:
	case OP_MAPREAD:
	case OP_FALLOCATE:
		fprintf(f, " #%u at %u, %u bytes", o->slot, o->x, o->y);
		if (o->kind == OP_FALLOCATE)
			fprintf(f, ", mode %d", o->mode);
		break;
	case OP_SEEK:
	case OP_FTRUNCATE:
	case OP_FSYNC:
	case OP_UNMAP:
	case OP_FUTIMENS:
		fprintf(f, " #%u %u", o->slot, o->x);
		break;
	case OP_FCHMOD:
		fprintf(f, " #%u %04o", o->slot, o->y);
		break;
	case OP_UMASK:
		fprintf(f, " %04o", o->y);
		break;
	case OP_MKDIR:
	case OP_CHMOD:
	case OP_MKNOD:
		print_name(f, o->path);
		fprintf(f, " %04o", o->y);
		break;
	case OP_RENAME:
	case OP_LINK:
	case OP_SYMLINK:
	case OP_LISTWHILE:
		print_name(f, o->path);
		print_name(f, o->path2);
		if (o->kind <= OP_LINK && o->x)
			fprintf(f, " flags %u", o->x);
		break;
	case OP_TRUNCATE:
	case OP_CHOWN:
	case OP_UTIMENS:
		print_name(f, o->path);
		fprintf(f, " %u", o->x);
		break;
	default:
		print_name(f, o->path);
	}
	fputc('\n', f);
}
