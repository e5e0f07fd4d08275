#include "fs/lease.h"
#include "tests/lib/env.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* What holds of our mount holds of any file system that has leases. */
Test(lease, stands_until_somebody_wants_to_write)
{
	char dir[TEST_DIR_SIZE], path[64];
	struct stat st;
	int dirfd, fd, writer, r;

	test_dir(dir, sizeof dir);
	(void)snprintf(path, sizeof path, "%s/f", dir);
	writer = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(writer >= 0 && fstat(writer, &st) == 0);
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = lease_take(dirfd, "f", st.st_ino);
	if (fd == -EBUSY) { /* as it has to be, where there are leases */
		(void)close(writer);
		cr_expect_eq(lease_take(dirfd, "f", st.st_ino + 1), -EBUSY);
		fd = lease_take(dirfd, "f", st.st_ino);
		cr_assert(fd >= 0);
		cr_expect(lease_stands(fd));
		r = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		cr_expect(r < 0 && errno == EWOULDBLOCK);
		cr_expect(!lease_stands(fd));
		(void)close(fd);
		r = open(path, O_WRONLY | O_CLOEXEC);
		cr_expect(r >= 0);
		(void)close(r);
	} else {
		cr_expect(fd == -EOPNOTSUPP || fd == -EAGAIN, "%d", fd);
		(void)close(writer);
	}
	(void)close(dirfd);
	(void)unlink(path);
	(void)rmdir(dir);
}
