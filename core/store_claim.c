#include "core/store_priv.h"

#include <fcntl.h>

/* A claim is a lock on one byte of <dir>/claims, which has none: the byte is the key's hash. The
 * kernel drops the locks with the process, so there is nothing to clean. */
static int claims_fd(struct store *s)
{
	struct volume *v = &s->volumes[0];
	int fd;

	(void)pthread_mutex_lock(&s->mu);
	if (s->claims < 0 && !v->read_only)
		s->claims =
			openat(v->dir, "claims", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	fd = s->claims;
	(void)pthread_mutex_unlock(&s->mu);
	return fd;
}

static int set_lock(int fd, const struct digest *key, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };
	uint64_t at;

	memcpy(&at, key->bytes, sizeof at);
	fl.l_start = (off_t)(le64toh(at) >> 2); /* any byte that a file can have */
	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

int store_claim(struct store *s, const struct digest *key)
{
	int fd = claims_fd(s);
	int r = fd < 0 ? 0 : set_lock(fd, key, F_WRLCK);

	return r != -EAGAIN && r != -EACCES;
}

void store_unclaim(struct store *s, const struct digest *key)
{
	int fd = claims_fd(s);

	if (fd >= 0)
		(void)set_lock(fd, key, F_UNLCK);
}
