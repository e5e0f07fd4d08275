#include "fs/conn.h"
#include "fs/conn_priv.h"
#include "fs/mountinfo.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Only an empty folder may be hidden by a mount. */
static int check_empty(const char *dir, int dirfd, struct err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!d) {
		r = -errno;
		closep(&fd);
		return err_set(e, r, "cannot look into %.120s: %s", dir, strerror(-r));
	}
	while (r == 0 && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = err_set(e, -ENOTEMPTY, "%.120s is not empty (%s); remove it first", dir,
				    entry->d_name);
	(void)closedir(d);
	return r;
}

/* Opens a folder, going through no symbolic link: one in a repository may lead anywhere, and one in
 * another user's project may come at any moment. */
static int open_no_links(const char *dir, size_t len, int *ret)
{
	auto_close int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0, n; fd >= 0 && i < len; i += n) {
		char name[NAME_MAX + 1];
		int next;

		i += dir[i] == '/';
		n = strcspn(dir + i, "/");
		n = n < len - i ? n : len - i;
		if (n == 0)
			continue;
		if (n >= sizeof name)
			return -ENAMETOOLONG;
		memcpy(name, dir + i, n);
		name[n] = '\0';
		next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		closep(&fd);
		fd = next;
	}
	if (fd < 0)
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

/* *ret_fd is the folder that was looked at, whatever its path means by now. */
static int prepare_dir(struct conn *c, const char *dir, int *ret_fd, struct err *e)
{
	const char *name = strrchr(dir, '/') + 1;
	auto_close int parent = -1;
	struct mountinfo info;
	int r = open_no_links(dir, (size_t)(name - dir), &parent);

	c->dir = strdup(dir);
	if (!c->dir)
		return err_set(e, -ENOMEM, "out of memory");
	if (r == -ENOTDIR)
		return err_set(e, r,
			       "%.120s: a symbolic link lies on the way, or something else that "
			       "is no folder; nothing is mounted through one",
			       dir);
	if (r < 0)
		return err_set(e, r, "%.120s: its folder cannot be opened: %s", dir, strerror(-r));
	c->made_dir = mkdirat(parent, name, 0777) == 0;
	if (!c->made_dir && errno != EEXIST)
		return err_set(e, -errno, "cannot make %.120s: %s", dir, strerror(errno));
	r = c->made_dir ? 0 : mountinfo_find(dir, &info, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!c->made_dir && r >= 0 && info.count)
		return err_set(e, -EBUSY, "%.120s is a mount already; unmount it first", dir);
	*ret_fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0)
		return errno == ENOTDIR || errno == ELOOP
			       ? err_set(e, -ENOTDIR, "%.120s is not a folder; move it away first",
					 dir)
			       : err_set(e, -errno, "cannot open %.120s: %s", dir, strerror(errno));
	return c->made_dir ? 0 : check_empty(dir, *ret_fd, e);
}

static int open_device(int *ret, struct err *e)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "cannot open /dev/fuse: %s%s", strerror(errno),
			       errno == EACCES
				       ? "; an administrator must run `chmod 0666 /dev/fuse`"
			       : errno == ENOENT || errno == ENODEV || errno == EPERM
				       ? "; in a container give it --device /dev/fuse"
				       : "");
	*ret = fd;
	return 0;
}

static int mount_as_root(struct conn *c, int dirfd, const struct conn_options *o, struct err *e)
{
	auto_close int fd = -1;
	unsigned long flags = MS_NOSUID | MS_NODEV | (o->read_only ? MS_RDONLY : 0);
	char options[256], place[32];
	int r = open_device(&fd, e);

	if (r < 0)
		return r;
	snprintf(options, sizeof options,
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions%s", fd, geteuid(),
		 getegid(), o->allow_other ? ",allow_other" : "");
	snprintf(place, sizeof place, "/proc/self/fd/%d", dirfd);
	if (mount("dxfs", place, "fuse.dxfs", flags, options) < 0) {
		r = -errno;
		return err_set(e, r, "cannot mount on %.120s: %s%s", c->dir, strerror(-r),
			       r == -EPERM    ? "; in a container give it --cap-add SYS_ADMIN "
						"(dxfs-containers(7))"
			       : r == -EACCES ? "; in a container give it --security-opt "
						"apparmor=unconfined (dxfs-containers(7))"
					      : "");
	}
	c->mounted = true;
	r = fuse_session_custom_io(c->session, conn_io(), fd);
	if (r != 0)
		return err_set(e, -EIO, "libfuse would not take /dev/fuse");
	fd = -1; /* the session closes it */
	return 0;
}

static int mount_as_user(struct conn *c, const struct conn_options *o, struct err *e)
{
	auto_close int fd = -1;
	int r = open_device(&fd, e); /* fusermount3 opens it as the caller, too */

	if (r < 0)
		return r;
	if (o->allow_other && !mount_may_allow_other())
		return err_set(e, -EPERM,
			       "--allow-other: ordinary users may let others in only where "
			       "/etc/fuse.conf has the line user_allow_other; an administrator can "
			       "add it (echo user_allow_other >>/etc/fuse.conf)");
	c->by_fusermount = true;
	/* libfuse and fusermount3 have said on stderr what was wrong */
	if (fuse_session_mount(c->session, c->dir) != 0)
		return err_set(
			e, -EIO,
			"fusermount3 did not mount on %.120s; `dxfs doctor` says what is missing",
			c->dir);
	c->mounted = true;
	if (fuse_session_custom_io(c->session, conn_io(), fuse_session_fd(c->session)) != 0)
		return err_set(e, -EIO, "libfuse would not take /dev/fuse");
	return 0;
}

static int new_session(struct conn *c, const struct conn_options *o, bool root, struct err *e)
{
	char options[128], *argv[] = { (char *)"dxfs", (char *)"-o", options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(root ? 1 : 3, argv);

	snprintf(options, sizeof options,
		 "%s,nosuid,nodev,default_permissions,fsname=dxfs,subtype=dxfs%s",
		 o->read_only ? "ro" : "rw", o->allow_other ? ",allow_other" : "");
	c->session = fuse_session_new(&args, o->ops, o->ops_size, c);
	fuse_opt_free_args(&args);
	return c->session ? 0 : err_set(e, -ENOMEM, "libfuse would not make a session");
}

/* Of what has just been mounted there; asks the kernel only. */
static dev_t dev_of(const char *dir)
{
	struct statx st;

	return statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
			       st.stx_ino == FUSE_ROOT_ID
		       ? makedev(st.stx_dev_major, st.stx_dev_minor)
		       : 0;
}

int conn_mount(struct conn *c, const char *dir, const struct conn_options *o, struct err *e)
{
	bool root = geteuid() == 0;
	auto_close int dirfd = -1;
	struct err ignored;
	int r = prepare_dir(c, dir, &dirfd, e);

	if (r == 0)
		r = new_session(c, o, root, e);
	if (r == 0)
		r = root ? mount_as_root(c, dirfd, o, e) : mount_as_user(c, o, e);
	if (r == 0) {
		c->dev = dev_of(c->dir);
		return 0;
	}
	if (conn_unmount(c, true, &ignored) < 0)
		c->made_dir = false; /* it stays, and so does its folder */
	conn_release(c);
	return r;
}

/* An unmounting under way, in a thread of its own: the mount has left the namespace long before
 * the kernel has dropped all inodes that were looked at (180 ms for 45,000), which it does before
 * umount2() returns. Two have it: who asked, and the thread. */
struct leave {
	char *dir;
	bool lazy;
	int done_fd; /* an eventfd: result and err stand */
	int result;
	struct err err;
	atomic_int holders;
};

static void leave_drop(struct leave *l)
{
	if (!l || atomic_fetch_sub(&l->holders, 1) > 1)
		return;
	closep(&l->done_fd);
	free(l->dir);
	free(l);
}

static void *leave_run(void *arg)
{
	struct leave *l = arg;

	l->result = mount_detach(l->dir, l->lazy, &l->err);
	(void)!write(l->done_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	leave_drop(l);
	return NULL;
}

static int leave_start(struct leave **ret, const char *dir, bool lazy, struct err *e)
{
	struct leave *l = calloc(1, sizeof *l);
	pthread_t thread = 0;
	int r;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	*l = (struct leave){
		.dir = strdup(dir),
		.lazy = lazy,
		.done_fd = eventfd(0, EFD_CLOEXEC),
		.holders = 2,
	};
	r = !l->dir ? ENOMEM : l->done_fd < 0 ? errno : pthread_create(&thread, NULL, leave_run, l);
	if (r != 0) {
		atomic_store(&l->holders, 1);
		leave_drop(l);
		return err_set(e, -r, "cannot unmount %s: %s", dir, strerror(r));
	}
	(void)pthread_detach(thread);
	*ret = l;
	return 0;
}

/* Until the mount has left the namespace, or has been refused. `count` are there now. */
static int leave_wait(const struct leave *l, int table_fd, unsigned count, struct err *e)
{
	struct pollfd p[] = { { .fd = l->done_fd, .events = POLLIN },
			      { .fd = table_fd, .events = POLLPRI } };
	struct mountinfo info;

	for (;;) {
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_set(e, -errno, "poll: %s", strerror(errno));
		if (p[0].revents) {
			(void)!read(l->done_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
			return l->result < 0 ? err_set(e, l->result, "%s", l->err.msg) : 0;
		}
		if (p[1].revents && mountinfo_find(l->dir, &info, e) == 0 && info.count < count)
			return 0;
	}
}

static int leave_now(struct conn *c, bool lazy, unsigned count, struct err *e)
{
	/* Every change of the mount table since it was opened is announced on it. */
	auto_close int table_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct leave *l = NULL;
	int r;

	if (table_fd < 0)
		return err_set(e, -errno, "/proc/self/mountinfo: %s", strerror(errno));
	r = leave_start(&l, c->dir, lazy, e);
	if (l)
		r = leave_wait(l, table_fd, count, e);
	leave_drop(l);
	return r;
}

/* Fails, as it should, when the folder is a mount or has files. */
static void remove_dir(struct conn *c)
{
	if (c->made_dir)
		(void)rmdir(c->dir);
	c->made_dir = false;
}

int conn_unmount(struct conn *c, bool lazy, struct err *e)
{
	struct mountinfo info;
	int r;

	if (!c->mounted)
		return 0;
	r = mountinfo_find(c->dir, &info, e);
	if (r >= 0 && info.count && info.ours) {
		r = leave_now(c, lazy, info.count, e);
		if (r == 0)
			remove_dir(c);
	} else if (r >= 0 || r == -ENOENT) {
		r = 0;
	}
	if (r == 0)
		c->mounted = false;
	return r;
}

void conn_release(struct conn *c)
{
	if (c->session)
		fuse_session_destroy(c->session);
	c->session = NULL;
	if (c->dir)
		remove_dir(c);
	free(c->dir);
	c->dir = NULL;
}
