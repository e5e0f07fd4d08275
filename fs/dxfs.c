#include "fs/cmd.h"

#include <sys/stat.h>

static const struct cmd commands[] = {
	{ "mount", cmd_mount, "show a project's node_modules, without unpacking it" },
	{ "unmount", cmd_unmount, "end that" },
	{ "umount", cmd_unmount, NULL },
	{ "status", cmd_status, "what mounts are doing" },
	{ "diff", cmd_diff, "what was written into a mount" },
	{ "reset", cmd_reset, "take back what was written" },
	{ "patch", cmd_patch, "make a patch of what was changed in a package" },
	{ "doctor", cmd_doctor, "what this machine allows, what is missing" },
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
