/* env.h - what a unit test's process stands in, whatever its caller's is: none of the variables
 * that npm, node, git, a proxy or dx read, no locale, the time zone UTC, umask 022. Linked into
 * each. */
#pragma once
#include <stddef.h>

#define TEST_DIR_SIZE 40 /* bytes; what tests append has room in 64 */

/* Makes a folder of the caller's own, who removes it, in $TMPDIR; in /tmp where the path would be
 * longer than TEST_DIR_SIZE. */
void test_dir(char *ret, size_t n);
