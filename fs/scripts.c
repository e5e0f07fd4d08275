#include "fs/scripts.h"

#include "core/file.h"
#include "lock/npmlock.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const names[] = {
	[SCRIPT_PREINSTALL] = "preinstall",
	[SCRIPT_INSTALL] = "install",
	[SCRIPT_POSTINSTALL] = "postinstall",
};

const char *script_event_name(enum script_event event)
{
	return names[event];
}

/* `npm` has "gypfile": false as a way out of it. */
static bool wants_gyp(int dirfd, const struct scripts *s)
{
	struct stat st;

	return !s->commands[SCRIPT_INSTALL] && !s->commands[SCRIPT_PREINSTALL] &&
	       !cJSON_IsFalse(json_get(s->manifest, "gypfile")) &&
	       fstatat(dirfd, "binding.gyp", &st, 0) == 0 && S_ISREG(st.st_mode);
}

int scripts_read(struct scripts *ret, const char *dir, bool flagged, struct err *e)
{
	auto_close int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	auto_free char *text = NULL;
	struct scripts s = { 0 };
	const cJSON *list;
	size_t len;
	bool gyp;
	int r;

	if (dirfd < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	r = file_read_all(dirfd, "package.json", MANIFEST_SIZE_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(&s.manifest, (struct slice){ (const uint8_t *)text, len }, e);
	if (r < 0)
		return err_wrap(e, r, "%s", dir);
	s.version = json_str(s.manifest, "version");
	list = json_get(s.manifest, "scripts");
	for (unsigned i = 0; i < SCRIPT_EVENTS; i++) {
		const char *command = json_str(list, names[i]);

		s.commands[i] = command && *command ? command : NULL;
	}
	gyp = wants_gyp(dirfd, &s);
	if (!flagged)
		memset(s.commands, 0, sizeof s.commands);
	if (gyp)
		s.commands[SCRIPT_INSTALL] = "node-gyp rebuild";
	*ret = s;
	return 0;
}

void scripts_release(struct scripts *s)
{
	cJSON_Delete(s->manifest);
	*s = (struct scripts){ 0 };
}

int script_run(const char *shell, const char *command, const char *dir, char **env, int out,
	       int err_out)
{
	char *const argv[] = { (char *)shell, (char *)"-c", (char *)command, NULL };
	posix_spawn_file_actions_t fa;
	int r, status = 0;
	pid_t pid;

	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out, 1);
	(void)posix_spawn_file_actions_adddup2(&fa, err_out, 2);
	(void)posix_spawn_file_actions_addchdir_np(&fa, dir);
	r = posix_spawnp(&pid, shell, &fa, NULL, argv, env);
	(void)posix_spawn_file_actions_destroy(&fa);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}
