#include "fs/cmd.h"

static const struct cmd commands[] = {
	{ "lock", cmd_lock, "resolve package.json; check, show, export the lock" },
	{ "add", cmd_add, "put packages into package.json" },
	{ "remove", cmd_remove, "take packages out of package.json" },
	{ "update", cmd_update, "resolve anew, with the newest versions" },
	{ "ls", cmd_ls, "the tree of dependencies" },
	{ "why", cmd_why, "who asks for a package" },
	{ "fetch", cmd_fetch, "bring every package that the lock names into the store" },
	{ "verify", cmd_verify, "check the registry's signatures of what the lock names" },
	{ "export", cmd_export, "write the tree as real files" },
	{ "rebuild", cmd_rebuild, "run the install scripts that the project allows" },
	{ "store", cmd_store, "verify, gc, ls, stats: care of the store" },
	{ "semver", cmd_semver, "print the versions that satisfy ranges, in order" },
	{ 0 },
};

int main(int argc, char **argv)
{
	return cmd_main(argc, argv, commands, "dx: make, read and fetch what dxfs mounts");
}
