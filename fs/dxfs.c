#include "fs/cmd.h"

#include <sys/stat.h>

#define INSTALL "`dxfs mount ./node_modules` shows what the lock has, `dx lock` renews it"

static const struct cmd commands[] = {
	{ "mount", cmd_mount, "show a project's node_modules, without unpacking it" },
	{ "unmount", cmd_unmount, "end that" },
	{ "umount", cmd_unmount, NULL },
	{ "status", cmd_status, "what mounts are doing" },
	{ "diff", cmd_diff, "what was written into a mount" },
	{ "reset", cmd_reset, "take back what was written" },
	{ "patch", cmd_patch, "make a patch of what was changed in a package" },
	{ "doctor", cmd_doctor, "what this machine allows, what is missing" },
	/* By habit. */
	{ "install", NULL, INSTALL },
	{ "ci", NULL, INSTALL },
	{ "lock", NULL, "`dx lock` is what is meant" },
	{ "add", NULL, "`dx add` is what is meant" },
	{ "remove", NULL, "`dx remove` is what is meant" },
	{ "update", NULL, "`dx update` is what is meant" },
	{ "ls", NULL, "`dx ls` is what is meant" },
	{ "why", NULL, "`dx why` is what is meant" },
	{ "fetch", NULL, "`dx fetch` is what is meant" },
	{ "verify", NULL, "`dx verify` is what is meant" },
	{ "export", NULL, "`dx export` is what is meant" },
	{ "rebuild", NULL, "`dx rebuild` is what is meant" },
	{ "store", NULL, "`dx store` is what is meant" },
	{ 0 },
};

/* mount(8) and fstab call a file system's program as `dxfs SOURCE DIR [-o words]`. The source
 * says nothing that DIR does not say, so the words go to `mount`. */
static bool called_by_mount(int argc, char **argv)
{
	struct stat st;

	if (argc < 3 || argv[1][0] == '-' || argv[2][0] == '-')
		return false;
	for (const struct cmd *c = commands; c->name; c++)
		if (strcmp(c->name, argv[1]) == 0)
			return false;
	return strchr(argv[2], '/') || lstat(argv[2], &st) == 0;
}

int main(int argc, char **argv)
{
	if (called_by_mount(argc, argv)) {
		argv[1] = (char *)"dxfs mount";
		return cmd_mount(argc - 1, argv + 1);
	}
	return cmd_main(argc, argv, commands, "dxfs: node_modules as a file system");
}
