/* store_fixture.h - a store in a folder of its own, and packages to fill it with. */
#pragma once
#include "core/file.h"
#include "core/store_priv.h"
#include "tests/lib/env.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64];

static inline void make_dir(void)
{
	test_dir(dir, sizeof dir);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_dir(void)
{
	cr_assert_eq(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct store *open_store(void)
{
	struct store_options o = { .dir = dir };
	struct err e = { 0 };
	struct store *s = NULL;
	int r = store_open(&s, &o, &e);

	if (r < 0)
		fprintf(stderr, "store_open: %s\n", e.msg);
	cr_assert_eq(r, 0);
	return s;
}

/* Package number i: three files, one of them unlike any other package's. */
struct sample {
	char text[64], name[16];
	struct dxp_file files[3];
	struct dxp_meta meta;
};

static inline void sample_make(struct sample *p, unsigned i)
{
	long fault = fault_at; /* what fails is the store, not the making of samples */

	if (fault)
		fault_at = 0;
	*p = (struct sample){ 0 };
	(void)snprintf(p->text, sizeof p->text, "module.exports = %u\n", i);
	(void)snprintf(p->name, sizeof p->name, "p%u", i);
	p->files[0] = (struct dxp_file){
		.path = SLICE("package.json"), .type = DXP_FILE, .mode = 0644, .bytes = SLICE("{}")
	};
	p->files[1] = (struct dxp_file){ .path = SLICE("index.js"),
					 .type = DXP_FILE,
					 .mode = 0644,
					 .bytes = slice_str(p->text) };
	p->files[2] = (struct dxp_file){
		.path = SLICE("lib/same.js"), .type = DXP_FILE, .mode = 0755, .bytes = SLICE("same")
	};
	p->meta = (struct dxp_meta){ .name = p->name, .version = "1.0.0" };
	cr_assert_eq(digest_of(&p->meta.sha512, DIGEST_SHA512, p->text, strlen(p->text)), 0);
	if (fault)
		fault_at = fault;
}

static inline struct digest sample_key(unsigned i)
{
	struct sample p;

	sample_make(&p, i);
	return p.meta.sha512;
}

static inline int sample_put(struct store *s, unsigned i, bool *ret_existed)
{
	struct sample p;
	bool existed;
	int r;

	sample_make(&p, i);
	r = store_put(s, &p.meta, p.files, ARRAY_LEN(p.files), 0, &existed, NULL);
	if (r == 0 && ret_existed)
		*ret_existed = existed;
	return r;
}

/* 0 if package i is here and reads as it should. */
static inline int sample_read(struct store *s, unsigned i)
{
	struct digest key = sample_key(i);
	struct sample want;
	struct pkg *p = NULL;
	char buf[64];
	ssize_t n;
	int r = store_get(s, &key, &p, NULL);

	if (r < 0)
		return r;
	sample_make(&want, i);
	n = pkg_read(p, dxp_lookup(pkg_dxp(p), SLICE("index.js")), DXP_PLAIN, buf, sizeof buf, 0,
		     NULL);
	pkg_release(p);
	if (n < 0)
		return (int)n;
	return (size_t)n == strlen(want.text) && memcmp(buf, want.text, (size_t)n) == 0 ? 0 : -EIO;
}

static inline void sample_path(struct store *s, unsigned i, char ret[128])
{
	struct digest key = sample_key(i);
	char path[BLOB_PATH_LEN];
	struct record rec;
	uint32_t slot;

	cr_assert_eq(volume_find(s, &s->volumes[0], &key, &rec, &slot), 1);
	blob_path(record_content(&rec), path);
	(void)snprintf(ret, 128, "%s/%s", dir, path);
}

/* Changes one byte of a blob, in a payload. */
static inline void spoil(const char *path)
{
	int fd;

	cr_assert_eq(chmod(path, 0644), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	for (off_t at = 512; at < 2048; at += 512) /* the first byte of each payload */
		cr_assert_eq(pwrite(fd, "\xff", 1, at), 1);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(chmod(path, 0444), 0);
}

static inline uint64_t files_in(const char *name)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t n = 0;

	cr_assert(fd >= 0);
	cr_assert_eq(count_folder(fd, name, &n), 0);
	cr_assert_eq(close(fd), 0);
	return n;
}

/* As if the machine had been started anew since the record was made. */
static inline void forget_boot(struct store *s, unsigned i)
{
	struct digest key = sample_key(i);
	struct record rec;
	uint32_t slot;

	cr_assert_eq(index_find(&s->volumes[0].ix, &key, &rec, &slot), 1);
	memset(rec.boot, 7, sizeof rec.boot);
	rec.flags = 0;
	cr_assert_eq(index_update(&s->volumes[0].ix, slot, &rec), 0);
}
