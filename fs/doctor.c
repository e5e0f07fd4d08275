#include "fs/doctor.h"

#include "core/store.h"
#include "fs/mountinfo.h"
#include "fs/state.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

#define INOTIFY_FEW 64 /* an editor and a bundler or two take a dozen */

struct doctor {
	struct doctor_check *checks;
	unsigned count;
};

static struct doctor_check *add(struct doctor *d, const char *name)
{
	struct doctor_check *c = &d->checks[d->count++];

	*c = (struct doctor_check){ .name = name };
	return c;
}

static void found(struct doctor_check *c, enum finding finding, const char *fmt, ...)
	format_printf(3, 4);
static void found(struct doctor_check *c, enum finding finding, const char *fmt, ...)
{
	va_list ap;

	c->finding = finding;
	va_start(ap, fmt);
	(void)vsnprintf(c->found, sizeof c->found, fmt, ap);
	va_end(ap);
}

static void advise(struct doctor_check *c, const char *fmt, ...) format_printf(2, 3);
static void advise(struct doctor_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->advice, sizeof c->advice, fmt, ap);
	va_end(ap);
}

static bool read_line(const char *path, char *ret, size_t cap)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(ret, (int)cap, f);

	if (f)
		(void)fclose(f);
	if (ok)
		ret[strcspn(ret, "\n")] = '\0';
	return ok;
}

static bool on_path(const char *program, char *ret, size_t cap)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");

		(void)snprintf(ret, cap, "%.*s/%s", (int)n, p, program);
		if (access(ret, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static void check_kernel(struct doctor *d)
{
	struct doctor_check *c = add(d, "kernel");
	unsigned major = 0, minor = 0;
	struct utsname u;

	(void)uname(&u);
	(void)sscanf(u.release, "%u.%u", &major, &minor);
	found(c, FINDING_OK, "Linux %s", u.release);
	if (major < 5 || (major == 5 && minor < 1)) {
		c->finding = FINDING_NOTE;
		advise(c, "before 5.1 every opened folder costs two messages; all works, slower");
	}
}

static void check_proc(struct doctor *d)
{
	struct doctor_check *c = add(d, "/proc");

	if (access("/proc/self/mountinfo", R_OK) == 0) {
		found(c, FINDING_OK, "mounted");
		return;
	}
	found(c, FINDING_BAD, "is not mounted");
	advise(c, "run `mount -t proc proc /proc`, in a chroot or container too");
}

static void check_device(struct doctor *d)
{
	struct doctor_check *c = add(d, "/dev/fuse");
	struct stat st;

	if (stat("/dev/fuse", &st) < 0) {
		found(c, FINDING_BAD, "%s", strerror(errno));
		advise(c, "load the module (`modprobe fuse`); in a container give it the device "
			  "(`--device /dev/fuse`)");
		return;
	}
	auto_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		found(c, FINDING_BAD, "mode %04o: %s", (unsigned)st.st_mode & 07777,
		      strerror(errno));
		advise(c, "an administrator must run `chmod 0666 /dev/fuse` (udev does so by "
			  "default)");
		return;
	}
	found(c, FINDING_OK, "mode %04o, opens", (unsigned)st.st_mode & 07777);
}

static void check_fusermount(struct doctor *d)
{
	struct doctor_check *c = add(d, "fusermount3");
	char path[512];
	struct stat st;

	if (!on_path("fusermount3", path, sizeof path)) {
		found(c, geteuid() == 0 ? FINDING_NOTE : FINDING_BAD, "not installed");
		advise(c, "install the package fuse3; only root can mount without it");
		return;
	}
	if (stat(path, &st) == 0 && !(st.st_mode & S_ISUID) && geteuid() != 0) {
		found(c, FINDING_BAD, "%s is not setuid root", path);
		advise(c, "an administrator must run `chmod u+s %s`", path);
		return;
	}
	if (access("/etc/mtab", R_OK) != 0 && geteuid() != 0) {
		found(c, FINDING_BAD,
		      "/etc/mtab is not there; without it fusermount3 unmounts nothing");
		advise(c, "an administrator must run `ln -s /proc/self/mounts /etc/mtab`");
		return;
	}
	found(c, FINDING_OK, "%s", path);
}

static void check_apparmor(struct doctor *d)
{
	struct doctor_check *c = add(d, "AppArmor");

	if (access("/etc/apparmor.d/fusermount3", F_OK) != 0) {
		found(c, FINDING_OK, "no profile for fusermount3");
		return;
	}
	found(c, geteuid() == 0 ? FINDING_OK : FINDING_NOTE, "a profile confines fusermount3");
	advise(c, "ordinary users can mount only below their home, /mnt, /media, /tmp and "
		  "$XDG_RUNTIME_DIR; keep projects there or extend the profile");
}

static void check_allow_other(struct doctor *d)
{
	struct doctor_check *c = add(d, "allow_other");

	if (mount_may_allow_other()) {
		found(c, FINDING_OK, "other users can be let in");
		return;
	}
	found(c, FINDING_NOTE, "only you (not even root) will see what you mount");
	advise(c, "for containers or root: put `user_allow_other` into /etc/fuse.conf");
}

static void check_userns(struct doctor *d)
{
	struct doctor_check *c = add(d, "user namespaces");
	char line[64] = "0";

	if (read_line("/proc/sys/kernel/unprivileged_userns_clone", line, sizeof line) &&
	    strcmp(line, "0") == 0) {
		found(c, FINDING_NOTE, "closed to ordinary users");
		advise(c, "rootless containers cannot mount for themselves; "
			  "`sysctl kernel.unprivileged_userns_clone=1` opens them");
		return;
	}
	if (read_line("/proc/sys/user/max_user_namespaces", line, sizeof line) &&
	    strcmp(line, "0") == 0) {
		found(c, FINDING_NOTE, "none allowed");
		advise(c, "rootless containers need `sysctl user.max_user_namespaces` above 0");
		return;
	}
	if (read_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", line,
		      sizeof line) &&
	    strcmp(line, "0") != 0) {
		found(c, FINDING_NOTE, "AppArmor lets only programs with a profile have them");
		advise(c, "rootless containers whose engine has no profile cannot mount for "
			  "themselves; `sysctl kernel.apparmor_restrict_unprivileged_userns=0`");
		return;
	}
	found(c, FINDING_OK, "allowed");
}

/* Each mount of a user that follows its lock has one inotify instance. */
static void check_watches(struct doctor *d)
{
	struct doctor_check *c = add(d, "inotify");
	char instances[32] = "", watches[32] = "";

	if (!read_line("/proc/sys/fs/inotify/max_user_instances", instances, sizeof instances) ||
	    !read_line("/proc/sys/fs/inotify/max_user_watches", watches, sizeof watches)) {
		found(c, FINDING_NOTE, "its limits cannot be read");
		advise(c, "a kernel without inotify, or no /proc: a lock that changes may not be "
			  "followed");
		return;
	}
	found(c, FINDING_OK, "at most %s instances, %s watches a user", instances, watches);
	if (strtoul(instances, NULL, 10) < INOTIFY_FEW || strtoul(watches, NULL, 10) < 1024) {
		c->finding = FINDING_NOTE;
		advise(c, "mounts beyond that do not follow a lock that changes; raise "
			  "fs.inotify.max_user_instances and max_user_watches with sysctl");
	}
}

/* As fusermount3 counts them: everybody's, of types "fuse" and "fuse.*". */
static unsigned long count_fuse_mounts(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	char text[4096];
	struct mntent m;
	unsigned long n = 0;

	while (f && getmntent_r(f, &m, text, sizeof text))
		n += strcmp(m.mnt_type, "fuse") == 0 || strncmp(m.mnt_type, "fuse.", 5) == 0;
	if (f)
		(void)endmntent(f);
	return n;
}

static void check_mount_max(struct doctor *d)
{
	struct doctor_check *c = add(d, "mount_max");
	unsigned long max = 1000, is = count_fuse_mounts(); /* fusermount3's own default */
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256];

	while (f && fgets(line, sizeof line, f))
		(void)sscanf(line, " mount_max = %lu", &max);
	if (f)
		(void)fclose(f);
	found(c, FINDING_OK, "%lu of %lu mounts of FUSE", is, max);
	if (geteuid() != 0 && is + 16 > max) {
		c->finding = is < max ? FINDING_NOTE : FINDING_BAD;
		advise(c, "raise `mount_max` in /etc/fuse.conf, or unmount some");
	}
}

static void check_limits(struct doctor *d)
{
	struct doctor_check *c = add(d, "open files");
	struct rlimit lim = { 0 };

	(void)getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur < 512) {
		found(c, FINDING_NOTE, "at most %llu", (unsigned long long)lim.rlim_cur);
		advise(c, "a daemon keeps about 150 open; raise `ulimit -n` to 1024");
		return;
	}
	found(c, FINDING_OK, "at most %llu", (unsigned long long)lim.rlim_cur);
}

static const char *fs_name(long type)
{
	static const struct {
		long type;
		const char *name;
	} names[] = {
		{ 0xEF53, "ext4" },           { 0x58465342, "xfs" },       { 0x9123683E, "btrfs" },
		{ 0x01021994, "tmpfs" },      { 0x794c7630, "overlayfs" }, { 0x6969, "nfs" },
		{ (long)0xFF534D42, "cifs" }, { 0x2FC12FC1, "zfs" },       { 0x65735546, "fuse" },
		{ 0x01021997, "9p" },         { (long)0xFE534D42, "smb" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "file system of unknown type";
}

static bool is_remote(long type)
{
	return type == 0x6969 || type == (long)0xFF534D42 || type == (long)0xFE534D42 ||
	       type == 0x01021997;
}

/* The nearest folder of the path that exists. */
static int statfs_above(const char *path, struct statfs *ret)
{
	auto_free char *p = strdup(path);

	while (p && p[0]) {
		char *slash = strrchr(p, '/');

		if (statfs(p, ret) == 0)
			return 0;
		if (!slash || slash == p)
			break;
		*slash = '\0';
	}
	return statfs("/", ret);
}

/* Can files be made below `path`, or in what of it is there? */
static int writable_above(const char *path)
{
	auto_free char *p = strdup(path);
	char *slash = p;

	while (p && slash && faccessat(AT_FDCWD, *p ? p : "/", F_OK, AT_EACCESS) < 0) {
		slash = strrchr(p, '/');
		if (slash)
			*slash = '\0';
	}
	if (!p)
		return -ENOMEM;
	return faccessat(AT_FDCWD, *p ? p : "/", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static void check_state(struct doctor *d)
{
	struct doctor_check *c = add(d, "state");
	auto_free char *dir = state_base();
	int r = dir ? writable_above(dir) : -ENOMEM;

	found(c, r < 0 ? FINDING_BAD : FINDING_OK, "%s%s%s", dir ? dir : "", r < 0 ? ": " : "",
	      r < 0 ? strerror(-r) : "");
	if (r < 0)
		advise(c, "what a mount keeps goes there: make it writable, or set "
			  "XDG_STATE_HOME to a folder of yours");
}

static void check_store(struct doctor *d)
{
	struct doctor_check *c = add(d, "store");
	auto_free char *dir = store_default_dir();
	struct err e = { 0 };
	struct store *s = NULL;
	struct statfs sfs;
	uint64_t free_mb;
	int r;

	if (!dir || statfs_above(dir, &sfs) < 0) {
		found(c, FINDING_BAD, "cannot be found");
		advise(c, "set DX_STORE to a folder of yours");
		return;
	}
	r = writable_above(dir);
	if (r < 0) {
		found(c, FINDING_BAD, "%s: %s", dir, strerror(-r));
		advise(c, "packages go there: make it writable, or set DX_STORE to a folder of "
			  "yours; what is only to be read belongs into DX_STORE_BEHIND");
		return;
	}
	free_mb = (uint64_t)sfs.f_bavail * (uint64_t)sfs.f_bsize >> 20;
	if (access(dir, F_OK) == 0 &&
	    store_open(&s, &(struct store_options){ .dir = dir }, &e) < 0) {
		found(c, FINDING_BAD, "%s", e.msg);
		advise(c, "mend what it says, or set DX_STORE to another folder");
		return;
	}
	store_close(s);
	found(c, free_mb < 1024 ? FINDING_NOTE : FINDING_OK, "%s on %s, %llu MiB free", dir,
	      fs_name((long)sfs.f_type), (unsigned long long)free_mb);
	if (free_mb < 1024) {
		advise(c, "`dx store gc` frees what no project needs");
	} else if (is_remote((long)sfs.f_type)) {
		c->finding = FINDING_NOTE;
		advise(c, "its index is shared memory under locks, which only a local file system "
			  "keeps right; set DX_STORE to a local folder");
	}
}

static void check_clock(struct doctor *d)
{
	struct doctor_check *c = add(d, "clock");
	auto_free char *store = store_default_dir();
	time_t now = time(NULL);
	struct stat st;
	struct tm tm;
	char text[32];

	(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &tm));
	if (tm.tm_year + 1900 < 2024) {
		found(c, FINDING_NOTE, "%s", text);
		advise(c, "it is wrong: TLS certificates will be refused");
		return;
	}
	if (store && stat(store, &st) == 0 && st.st_mtime > now + 60) {
		found(c, FINDING_NOTE, "%s, and the store was written later than that", text);
		advise(c, "one of the two times is wrong: `dx store gc` goes by them");
		return;
	}
	found(c, FINDING_OK, "%s", text);
}

static int count_stale(void *arg, const char *mountpoint)
{
	struct doctor_check *c = arg;
	struct state st = STATE_INIT;
	struct mountinfo info = { 0 };

	if (mountinfo_find(mountpoint, &info, NULL) < 0 || !info.ours)
		return 0;
	if (state_open(&st, mountpoint, false, NULL) < 0)
		return 0;
	/* Whoever gets the lock knows that no daemon has it. */
	if (state_lock(&st, 0, NULL) == 0) {
		found(c, FINDING_NOTE, "%s: its daemon is gone", mountpoint);
		advise(c, "`dxfs mount %s` mounts it anew, `dxfs unmount` removes it", mountpoint);
	}
	state_release(&st);
	return 0;
}

static void check_stale(struct doctor *d)
{
	struct doctor_check *c = add(d, "mounts");

	found(c, FINDING_OK, "none is stale");
	(void)!state_each(count_stale, c, NULL);
}

unsigned doctor_run(struct doctor_check ret[DOCTOR_CHECKS_MAX])
{
	struct doctor d = { .checks = ret };

	check_kernel(&d);
	check_proc(&d);
	check_device(&d);
	check_fusermount(&d);
	check_apparmor(&d);
	check_allow_other(&d);
	check_userns(&d);
	check_limits(&d);
	check_watches(&d);
	check_mount_max(&d);
	check_state(&d);
	check_clock(&d); /* before the store is opened, which may write there */
	check_store(&d);
	check_stale(&d);
	return d.count;
}
