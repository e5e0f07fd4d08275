#include "fs/mountinfo.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* The kernel writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

struct line {
	unsigned major, minor;
	char *path, *type;
};

/* "36 35 98:0 /root /path options - type source options" */
static bool parse_line(char *text, struct line *ret)
{
	char *save = NULL;
	char *dash = strstr(text, " - ");
	int field = 0;

	if (!dash)
		return false;
	*dash = '\0';
	ret->type = strtok_r(dash + 3, " ", &save);
	for (char *f = strtok_r(text, " ", &save); f; f = strtok_r(NULL, " ", &save), field++) {
		if (field == 2 && sscanf(f, "%u:%u", &ret->major, &ret->minor) != 2)
			return false;
		if (field == 4)
			ret->path = f;
	}
	if (field < 5 || !ret->type)
		return false;
	unescape(ret->path);
	return true;
}

static int each_line(void (*fn)(void *arg, const struct line *line), void *arg, struct err *e)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t cap = 0;

	if (!f)
		return err_set(e, -errno, "/proc/self/mountinfo: %s; is /proc mounted?",
			       strerror(errno));
	while (getline(&text, &cap, f) > 0) {
		struct line line = { 0 };

		text[strcspn(text, "\n")] = '\0';
		if (parse_line(text, &line))
			fn(arg, &line);
	}
	free(text);
	(void)fclose(f);
	return 0;
}

struct find {
	const char *path;
	struct mountinfo info;
};

static void find_one(void *arg, const struct line *line)
{
	struct find *find = arg;

	if (strcmp(line->path, find->path) != 0)
		return;
	find->info.count++;
	find->info.ours = strcmp(line->type, DXFS_FSTYPE) == 0;
	find->info.major = line->major;
	find->info.minor = line->minor;
}

int mountinfo_find(const char *path, struct mountinfo *ret, struct err *e)
{
	struct find find = { .path = path };
	int r = each_line(find_one, &find, e);

	if (r == 0)
		*ret = find.info;
	return r;
}

struct each {
	const char *below;
	void (*fn)(void *arg, const char *path);
	void *arg;
};

static void each_one(void *arg, const struct line *line)
{
	const struct each *each = arg;
	size_t n = strlen(each->below);

	if (strcmp(line->type, DXFS_FSTYPE) == 0 && strncmp(line->path, each->below, n) == 0 &&
	    (n == 0 || line->path[n] == '/' || line->path[n] == '\0'))
		each->fn(each->arg, line->path);
}

int mountinfo_each(const char *below, void (*fn)(void *arg, const char *path), void *arg,
		   struct err *e)
{
	struct each each = { .below = below, .fn = fn, .arg = arg };

	return each_line(each_one, &each, e);
}

bool mount_answers(const char *path)
{
	struct statfs sfs;

	return statfs(path, &sfs) == 0 || (errno != ENOTCONN && errno != ECONNABORTED);
}

static int run_fusermount(const char *path, bool lazy)
{
	char *argv[] = { (char *)"fusermount3", (char *)"-u", (char *)(lazy ? "-z" : "-q"),
			 (char *)"--",          (char *)path, NULL };
	posix_spawn_file_actions_t fa;
	int status = 0, r;
	pid_t pid;

	if (posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	/* Its own message would not name the cause; ours does. */
	(void)posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	/* Mounting needed no PATH either: libfuse knows where it is. */
	if (r == ENOENT)
		r = posix_spawn(&pid, "/usr/bin/fusermount3", &fa, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int mount_detach(const char *path, bool lazy, struct err *e)
{
	int r = 0;

	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0)
		r = -errno;
	if (r == -EPERM && access("/etc/mtab", F_OK) != 0)
		return err_set(
			e, r,
			"cannot unmount %s: fusermount3 needs /etc/mtab, which is not there; "
			"run `ln -s /proc/self/mounts /etc/mtab` as root",
			path);
	if (r == -EPERM)
		r = run_fusermount(path, lazy);
	if (r == -EBUSY)
		return err_set(e, r,
			       "%s is in use: a program runs from it or stands in it "
			       "(`fuser -vm %s` names it); --lazy unmounts all the same",
			       path, path);
	if (r == -ENOENT)
		return err_set(e, r, "cannot unmount %s: fusermount3 is not installed", path);
	if (r < 0)
		return err_set(e, r, "cannot unmount %s: %s", path, strerror(-r));
	return 0;
}

/* As fusermount3 reads it: a line of this word alone, blanks and what follows a # aside. */
static bool is_line(char *line, const char *word)
{
	char *end;

	line[strcspn(line, "#\n")] = '\0';
	line += strspn(line, " \t");
	end = line + strlen(line);
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return strcmp(line, word) == 0;
}

bool mount_may_allow_other(void)
{
	bool may = geteuid() == 0;
	FILE *f = may ? NULL : fopen("/etc/fuse.conf", "re");
	char line[256];

	while (f && !may && fgets(line, sizeof line, f))
		may = is_line(line, "user_allow_other");
	if (f)
		(void)fclose(f);
	return may;
}
