#include "core/clock.h"
#include "core/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>

#define TMP_AGE_MAX_S 86400 /* no download takes a day */

void unique_name(char ret[17])
{
	static _Atomic uint32_t counter;
	uint64_t v;

	if (getrandom(&v, sizeof v, GRND_NONBLOCK) != sizeof v) {
		struct timespec now;

		(void)clock_gettime(CLOCK_REALTIME, &now);
		v = (uint64_t)getpid() << 40 ^ (uint64_t)now.tv_nsec << 8 ^ counter++;
	}
	(void)snprintf(ret, 17, "%016llx", (unsigned long long)v);
}

/* flock comes after open, and tmp_clean may be quicker: then the file has no name any more. */
static int tmp_try(struct tmp *t)
{
	char name[17];
	struct stat st;
	int r = -EAGAIN;

	unique_name(name);
	(void)snprintf(t->path, sizeof t->path, "tmp/%s", name);
	t->fd = openat(t->dir, t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (t->fd < 0) {
		t->path[0] = '\0';
		return errno == EEXIST ? -EAGAIN : -errno;
	}
	while (flock(t->fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			r = -errno;
			goto fail;
		}
	if (fstat(t->fd, &st) == 0 && st.st_nlink > 0)
		return 0;
fail:
	tmp_release(t);
	return r;
}

int tmp_open(struct tmp *ret, int dir, struct err *e)
{
	struct tmp t = { .dir = dir, .fd = -1 };
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < 16; tries++)
		r = tmp_try(&t);
	if (r == -ENOENT && (mkdirat(dir, "tmp", 0755) == 0 || errno == EEXIST))
		r = tmp_try(&t);
	if (r < 0)
		return err_set(e, r, "cannot write in the store's tmp folder: %s", strerror(-r));
	*ret = t;
	return 0;
}

int tmp_commit(struct tmp *t, const char *path)
{
	if (renameat(t->dir, t->path, t->dir, path) < 0)
		return -errno;
	t->path[0] = '\0';
	return 0;
}

void tmp_release(struct tmp *t)
{
	if (t->path[0])
		(void)unlinkat(t->dir, t->path, 0);
	closep(&t->fd);
	t->path[0] = '\0';
	t->fd = -1;
}

static void clean_one(int tmp_dir, const char *name)
{
	auto_close int fd = openat(tmp_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (st.st_mtime > wall_s() - TMP_AGE_MAX_S && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	(void)unlinkat(tmp_dir, name, 0);
}

void tmp_clean(int dir)
{
	int fd = openat(dir, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		closep(&fd);
		return;
	}
	for (struct dirent *de; (de = readdir(d));)
		if (de->d_name[0] != '.')
			clean_one(fd, de->d_name);
	closedir(d);
}
