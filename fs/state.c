#include "core/file.h"
#include "core/hash.h"
#include "fs/state_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define ADVICE "; set $XDG_STATE_HOME to a folder that can be written"

char *state_base(void)
{
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int r;

	if (xdg && xdg[0] == '/') {
		r = asprintf(&path, "%s/dxfs", xdg);
	} else {
		if (!home || home[0] != '/') {
			const struct passwd *pw = getpwuid(geteuid());

			home = pw ? pw->pw_dir : "/";
		}
		r = asprintf(&path, "%s/.local/state/dxfs", home);
	}
	return r < 0 ? NULL : path;
}

/* The real path of the parent and the last name: the mount point itself may be a dead mount,
 * on which every look fails. */
static int absolute_mountpoint(const char *given, char **ret, struct err *e)
{
	auto_free char *copy = strdup(given);
	auto_free char *parent = NULL;
	const char *name;
	char *slash;
	size_t len;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, -EINVAL,
			       "'%.120s': name the node_modules folder itself, not '.' or '/'",
			       given);
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : copy[0] ? copy : "/", NULL);
	if (!parent)
		return err_set(e, -errno, "%.120s: cannot find the folder that it is in: %s", given,
			       strerror(errno));
	if (asprintf(ret, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0) {
		*ret = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	len = strlen(*ret);
	if (len < PATH_MAX) /* a page, all that mount(2) takes */
		return 0;
	free(take(ret));
	return err_set(
		e, -ENAMETOOLONG,
		"%.60s...%s: a path of %zu bytes is too long to mount on; the kernel takes %d",
		given, name, len, PATH_MAX - 1);
}

static int open_private(int at, const char *dir, int *ret, struct err *e)
{
	auto_close int fd = openat(at, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, -EPERM,
			       "%s: belongs to somebody else or others may write it; "
			       "make it yours and mode 0700",
			       dir);
	*ret = fd;
	fd = -1;
	return 0;
}

/* The folder's name is half of a hash that is not safe: a path can be made that has another's. */
static int check_mountpoint(const struct state *s, struct err *e)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r = file_read_all(s->dirfd, "mountpoint", PATH_MAX + 1, &text, &len, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (len == 0)
		return 0; /* the power went while it was made */
	if (text[len - 1] == '\n')
		len--;
	if (len == strlen(s->mountpoint) && memcmp(text, s->mountpoint, len) == 0)
		return 0;
	return err_set(e, -EEXIST,
		       "%.80s: its state %.60s is another mount point's (%.60s); move "
		       "the project, or remove that folder if nothing is mounted there",
		       s->mountpoint, s->dir, text);
}

static int write_mountpoint(const struct state *s, struct err *e)
{
	auto_free char *file = state_path(s, "mountpoint"), *line = NULL;
	struct stat st;

	if (fstatat(s->dirfd, "mountpoint", &st, 0) == 0 && st.st_size > 0)
		return 0;
	if (!file || asprintf(&line, "%s\n", s->mountpoint) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return file_replace_unsynced(file, line, strlen(line), 0600, e);
}

char *state_cache(void)
{
	auto_free char *base = state_base(), *dir = NULL;
	auto_close int fd = -1;

	if (!base || asprintf(&dir, "%s/" STATE_CACHE, base) < 0) {
		dir = NULL;
		return NULL;
	}
	if (mkdir_p(dir, 0700, NULL) < 0 || open_private(AT_FDCWD, dir, &fd, NULL) < 0)
		return NULL;
	return take(&dir);
}

static void id_of(const char *mountpoint, char ret[STATE_ID_LEN + 1])
{
	char hex[HASH128_HEX_LEN + 1];

	hash128_hex(hash128(mountpoint, strlen(mountpoint)), hex);
	memcpy(ret, hex, STATE_ID_LEN);
	ret[STATE_ID_LEN] = '\0';
}

int state_folder_open(const char *dir, const char *mountpoint, int *ret_base, int *ret_fd)
{
	auto_free char *parent = strdup(dir);
	auto_close int base = -1, fd = -1;
	char *slash = parent ? strrchr(parent, '/') : NULL, id[STATE_ID_LEN + 1];
	int r;

	if (!slash)
		return parent ? -EINVAL : -ENOMEM;
	*slash = '\0';
	id_of(mountpoint, id);
	if (strcmp(slash + 1, id) != 0)
		return -EPERM;
	r = open_private(AT_FDCWD, parent, &base, NULL);
	if (r == 0)
		r = open_private(base, id, &fd, NULL);
	if (r < 0)
		return r;
	*ret_base = base;
	*ret_fd = fd;
	base = fd = -1;
	return 0;
}

/* The folder of all states is to blame: say how to have another. */
static int advised(int r, const struct err *why, struct err *e)
{
	return r < 0 ? err_set(e, r, "%s" ADVICE, why->msg) : r;
}

int state_open(struct state *ret, const char *mountpoint, bool create, struct err *e)
{
	auto_free char *base = state_base();
	struct state s = STATE_INIT;
	struct err why = { 0 };
	int r;

	if (!base)
		return err_set(e, -ENOMEM, "out of memory");
	r = absolute_mountpoint(mountpoint, &s.mountpoint, e);
	if (r < 0)
		return r;
	id_of(s.mountpoint, s.id);
	if (asprintf(&s.dir, "%s/%s", base, s.id) < 0) {
		s.dir = NULL;
		r = err_set(e, -ENOMEM, "out of memory");
	}
	if (r == 0 && create)
		r = advised(mkdir_p(s.dir, 0700, &why), &why, e);
	if (r == 0)
		r = open_private(AT_FDCWD, s.dir, &s.dirfd, e);
	if (r == 0)
		r = check_mountpoint(&s, e);
	if (r == 0 && create)
		r = advised(write_mountpoint(&s, &why), &why, e);
	if (r < 0) {
		state_release(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void state_release(struct state *s)
{
	if (s->dirfd >= 0)
		(void)close(s->dirfd);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	free(s->dir);
	free(s->mountpoint);
	*s = (struct state)STATE_INIT;
}

int state_lock(struct state *s, unsigned wait_ms, struct err *e)
{
	auto_close int fd =
		openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	unsigned waited = 0;

	if (fd < 0)
		return err_set(e, -errno, "%s/lock: %s" ADVICE, s->dir, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, -errno, "%s/lock: %s", s->dir, strerror(errno));
		if (waited >= wait_ms)
			return err_set(e, -EBUSY, "%s is served by another process", s->mountpoint);
		(void)poll(NULL, 0, 2);
		waited += 2;
	}
	s->lock_fd = fd;
	fd = -1;
	return 0;
}

int state_folders(int (*fn)(void *arg, const char *dir, const char *mountpoint), void *arg,
		  struct err *e)
{
	auto_free char *base = state_base();
	struct dirent *de;
	DIR *dir;
	int r = 0;

	if (!base)
		return err_set(e, -ENOMEM, "out of memory");
	dir = opendir(base);
	if (!dir)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", base, strerror(errno));
	while (r == 0 && (de = readdir(dir))) {
		auto_free char *folder = NULL, *file = NULL, *text = NULL;
		size_t len = 0;

		if (strlen(de->d_name) != STATE_ID_LEN)
			continue;
		if (asprintf(&folder, "%s/%s", base, de->d_name) < 0 ||
		    asprintf(&file, "%s/mountpoint", folder) < 0) {
			r = -ENOMEM;
			break;
		}
		if (file_read_all(AT_FDCWD, file, PATH_MAX, &text, &len, NULL) < 0 || len < 2)
			continue;
		text[len - 1] = '\0';
		r = fn(arg, folder, text);
	}
	closedir(dir);
	return r;
}

struct each {
	int (*fn)(void *arg, const char *mountpoint);
	void *arg;
};

static int each_one(void *arg, const char *dir, const char *mountpoint)
{
	const struct each *each = arg;

	(void)dir;
	return each->fn(each->arg, mountpoint);
}

int state_each(int (*fn)(void *arg, const char *mountpoint), void *arg, struct err *e)
{
	struct each each = { .fn = fn, .arg = arg };

	return state_folders(each_one, &each, e);
}

char *state_path(const struct state *s, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", s->dir, name) < 0 ? NULL : path;
}
