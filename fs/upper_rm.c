#include "core/rm_tree.h"
#include "fs/upper_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

void upper_empty(int dirfd, const char *name, const char *prefix)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d) {
		closep(&fd);
		return;
	}
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			rm_tree(fd, entry->d_name);
	(void)closedir(d);
}
