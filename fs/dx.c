#include "fs/cmd.h"

#define INSTALL                                                                                    \
	"`dxfs mount ./node_modules` shows what the lock has, `dx lock` renews it, `dx add "       \
	"PACKAGE` puts a package into package.json"
#define RUN                                                                                        \
	"once `dxfs mount ./node_modules` has shown it, programs are run as ever: `npm run`, "     \
	"`npx`, node_modules/.bin"

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
	/* By habit. */
	{ "install", NULL, INSTALL },
	{ "i", NULL, INSTALL },
	{ "ci", NULL, INSTALL },
	{ "run", NULL, RUN },
	{ "exec", NULL, RUN },
	{ "x", NULL, RUN },
	{ "test", NULL, RUN },
	{ "start", NULL, RUN },
	{ "uninstall", NULL, "`dx remove PACKAGE` takes a package out of package.json" },
	{ "upgrade", NULL, "`dx update` takes the newest versions that package.json allows" },
	{ "dedupe", NULL, "`dx lock --dedupe` takes the fewest versions that will do" },
	{ "mount", NULL, "`dxfs mount` is what is meant" },
	{ "unmount", NULL, "`dxfs unmount` is what is meant" },
	{ "umount", NULL, "`dxfs unmount` is what is meant" },
	{ "status", NULL, "`dxfs status` is what is meant" },
	{ "diff", NULL, "`dxfs diff` shows what was written, `dx lock diff` compares locks" },
	{ "reset", NULL, "`dxfs reset` is what is meant" },
	{ "patch", NULL, "`dxfs patch` is what is meant" },
	{ "doctor", NULL, "`dxfs doctor` is what is meant" },
	{ 0 },
};

int main(int argc, char **argv)
{
	return cmd_main(argc, argv, commands, "dx: make, read and fetch what dxfs mounts");
}
