/* rm_tree.h - removing a folder with all that is in it. */
#pragma once

/* Removes `name` below the folder (of an absolute path it does not matter), whatever it is; as far
 * as it goes. Links are not followed, nor is what is mounted in it entered. */
void rm_tree(int dirfd, const char *name);
