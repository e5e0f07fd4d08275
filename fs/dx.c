#include "fs/cmd.h"

static const struct cmd commands[] = {
	{ 0 },
};

int main(int argc, char **argv)
{
	return cmd_main(argc, argv, commands, "dx: make, read and fetch what dxfs mounts");
}
