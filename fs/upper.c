#include "fs/upper.h"

#include "core/file.h"
#include "fs/upper_care.h"
#include "fs/upper_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>

#define IDENTITY_MAX 256
#define ASIDE_MAX    1000 /* uppers of former projects, one beside the other */

/* ---- whose it is ---- */

struct owner {
	uint64_t ino, dev;
	int64_t born_ns; /* 0: the file system does not say */
};

static int owner_of(const char *dir, struct owner *ret, struct err *e)
{
	struct statx stx;

	if (statx(AT_FDCWD, dir, 0, STATX_INO | STATX_BTIME, &stx) < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	*ret = (struct owner){
		.ino = stx.stx_ino,
		.dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor,
	};
	if (stx.stx_mask & STATX_BTIME)
		ret->born_ns = stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec;
	return 0;
}

static bool same_owner(const struct owner *a, const struct owner *b)
{
	return a->ino == b->ino && a->born_ns == b->born_ns && (a->born_ns || a->dev == b->dev);
}

/* 0 and the owner; -ENOENT: there is none yet, or the power went before upper_settle(). */
static int read_identity(int fd, const char *dir, struct owner *ret, struct err *e)
{
	auto_free char *text = NULL;
	size_t len;
	unsigned version;
	int at = 0, r = file_read_all(fd, "identity", IDENTITY_MAX, &text, &len, e);

	if (r < 0)
		return r;
	if (len == 0)
		return -ENOENT;
	if (sscanf(text, "dxfs upper %u\n%n", &version, &at) != 1 || at == 0)
		return err_set(e, -EINVAL,
			       "%s is not an upper folder (its file 'identity' is another's); give "
			       "another with --upper DIR",
			       dir);
	if (version != 1)
		return err_set(e, -EPROTONOSUPPORT,
			       "%s was written by another version of dxfs (format %u); use that, "
			       "or --upper DIR, or --read-only",
			       dir, version);
	if (sscanf(text + at, "project %" SCNu64 " %" SCNd64 " %" SCNu64, &ret->ino, &ret->born_ns,
		   &ret->dev) != 3)
		return err_set(e, -EBADMSG,
			       "%s/identity is damaged; move the folder away, or see what it holds "
			       "and use another with --upper DIR",
			       dir);
	return 0;
}

static int write_identity(const char *dir, const struct owner *o, struct err *e)
{
	auto_free char *path = NULL;
	char text[IDENTITY_MAX];
	int n = snprintf(text, sizeof text,
			 "dxfs upper 1\nproject %" PRIu64 " %" PRId64 " %" PRIu64 "\n", o->ino,
			 o->born_ns, o->dev);

	if (asprintf(&path, "%s/identity", dir) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return file_replace_unsynced(path, text, (size_t)n, 0600, e);
}

void upper_settle(struct upper *u)
{
	auto_close int fd = openat(u->fd, "identity", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0 || fsync(u->fd) < 0)
		log_debug("%s/identity: %s", u->dir, strerror(errno));
}

/* ---- opening ---- */

static int open_folder(struct upper *u, bool create, struct err *e)
{
	struct stat st;

	if (create && mkdir(u->dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno,
			       "cannot make %s, where what is written into the mount is kept: %s; "
			       "mount --read-only, or give another folder with --upper DIR",
			       u->dir, strerror(errno));
	closep(&u->fd);
	u->fd = open(u->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->fd < 0 || fstat(u->fd, &st) < 0)
		return err_set(e, -errno, "cannot open %s: %s%s", u->dir, strerror(errno),
			       create ? "; mount --read-only, or give another folder with "
					"--upper DIR"
				      : "");
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, -EPERM,
			       "%s belongs to somebody else or others may write it; make it yours "
			       "and mode 0700",
			       u->dir);
	return 0;
}

static int take_lock(struct upper *u, struct err *e)
{
	if (flock(u->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, -EBUSY,
			       "%s is in use by another mount (or by a command that looks after "
			       "it); each mount needs an upper folder of its own",
			       u->dir);
	return err_set(e, -errno, "cannot lock %s: %s", u->dir, strerror(errno));
}

/* The upper of a project that is no more is moved away, whole. */
static int set_aside(struct upper *u, char **ret_aside, struct err *e)
{
	auto_free char *aside = NULL;

	for (unsigned i = 1; i < ASIDE_MAX; i++) {
		free(take(&aside));
		if (asprintf(&aside, "%s.aside-%u", u->dir, i) < 0) {
			aside = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		if (renameat2(AT_FDCWD, u->dir, AT_FDCWD, aside, RENAME_NOREPLACE) == 0) {
			if (ret_aside)
				*ret_aside = take(&aside);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return err_set(e, -errno,
		       "%s belongs to another project, which stood here before, and cannot be "
		       "moved aside: %s",
		       u->dir, strerror(errno));
}

/* What an upper without a file in it still has. */
static void forget_removed(const struct upper *u)
{
	static const char *const files[] = { "removed", "names", "scripts" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlinkat(u->fd, files[i], 0);
	upper_empty(u->fd, "tree", "");
	upper_empty(u->fd, "pkg", "");
}

static int identify(struct upper *u, const struct upper_config *c, char **ret_aside, struct err *e)
{
	struct owner now = { 0 }, was = { 0 };
	int r = owner_of(c->project_dir, &now, e);

	if (r == 0)
		r = read_identity(u->fd, u->dir, &was, e);
	if (r == 0 && !same_owner(&now, &was) && upper_unused(u->dir)) {
		forget_removed(u); /* of a worktree that was made anew at the same place, say */
		r = -ENOENT;
	} else if (r == 0 && !same_owner(&now, &was)) {
		r = set_aside(u, ret_aside, e);
		if (r == 0)
			r = open_folder(u, true, e);
		if (r == 0)
			r = take_lock(u, e);
		if (r == 0)
			r = -ENOENT;
	}
	return r == -ENOENT ? write_identity(u->dir, &now, e) : r;
}

static int not_writable(const struct upper *u, struct err *e)
{
	return err_set(e, -errno,
		       "cannot write into %s: %s; mount --read-only, or give another folder with "
		       "--upper DIR",
		       u->dir, strerror(errno));
}

static int make_folders(struct upper *u, struct err *e)
{
	static const char *const names[] = { "tree", "pkg", "tmp", "orphans" };

	/* On a disk that is read-only for now, what was written can still be shown. */
	if (faccessat(u->fd, ".", W_OK, AT_EACCESS) < 0 && errno != EROFS)
		return not_writable(u, e);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (mkdirat(u->fd, names[i], 0700) == 0)
			continue;
		if (errno != EEXIST)
			return not_writable(u, e);
		if (i >= 2)
			upper_empty(u->fd, names[i], "");
	}
	return 0;
}

static int hash_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hash128));
}

static int add_used(struct upper *u, const char *name)
{
	size_t n = u->used_count;
	struct hash128 *grown;

	if ((n & (n + 1)) == 0) { /* 0, 1, 3, 7 ...: full */
		grown = realloc(u->used_keys, (2 * n + 1) * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		u->used_keys = grown;
	}
	u->used_keys[u->used_count++] = hash128(name, strlen(name));
	return 0;
}

static int used_by_line(void *arg, const char *path)
{
	struct upper *u = arg;
	char folder[NAME_MAX + 1];

	if (strncmp(path, "pkg/", 4) != 0)
		atomic_store(&u->tree.used, true);
	return upper_folder_of(path, folder) ? add_used(u, folder) : 0;
}

/* Which packages have something here: one listing, and the lines of `removed`. */
static int find_used(struct upper *u, struct err *e)
{
	int fd = openat(u->fd, "pkg", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r == -ENOENT && u->peeking
			       ? 0
			       : err_set(e, r, "cannot look into %s/pkg: %s", u->dir, strerror(-r));
	}
	while (r == 0 && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = add_used(u, entry->d_name);
	(void)closedir(d);
	if (r == 0)
		r = gone_each(u->fd, used_by_line, u, e);
	if (fstatat(u->fd, "tree", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink != 2)
		atomic_store(&u->tree.used, true); /* ext4: 2 says no folder is in it */
	if (u->used_count)
		qsort(u->used_keys, u->used_count, sizeof *u->used_keys, hash_cmp);
	return r < 0 && !(e && e->code) ? err_set(e, r, "%s: %s", u->dir, strerror(-r)) : r;
}

static struct upper *new_upper(const char *dir)
{
	struct upper *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	u->fd = u->gone.fd = -1;
	u->dir = strdup(dir);
	u->tree.dir = strdup("tree");
	u->root = geteuid() == 0;
	(void)pthread_mutex_init(&u->gone.mu, NULL);
	(void)pthread_mutex_init(&u->areas_mu, NULL);
	(void)pthread_mutex_init(&u->fds_mu, NULL);
	(void)pthread_mutex_init(&u->snaps_mu, NULL);
	(void)pthread_mutex_init(&u->mode_mu, NULL);
	nodes_init(&u->nodes);
	for (unsigned i = 0; i < FD_SETS; i++)
		for (unsigned k = 0; k < FD_WAYS; k++)
			u->fds[i][k].fd = -1;
	if (u->dir && u->tree.dir)
		return u;
	upper_close(u);
	return NULL;
}

int upper_open(struct upper **ret, const struct upper_config *c, char **ret_aside, struct err *e)
{
	struct upper *u = new_upper(c->dir);
	int r = u ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (ret_aside)
		*ret_aside = NULL;
	if (r < 0)
		return r;
	u->uid = c->uid;
	u->gid = c->gid;
	u->umask = c->umask;
	r = open_folder(u, true, e);
	if (r == 0)
		r = take_lock(u, e);
	if (r == 0)
		r = identify(u, c, ret_aside, e);
	if (r == 0)
		r = make_folders(u, e);
	if (r == 0)
		r = gone_load(&u->gone, u->fd, e);
	if (r == 0)
		r = gone_compact(&u->gone, u->fd, e);
	if (r == 0)
		r = find_used(u, e);
	if (r < 0)
		upper_close(u);
	else
		*ret = u;
	return r;
}

int upper_peek(struct upper **ret, const char *dir, struct err *e)
{
	struct upper *u = new_upper(dir);
	struct owner owner = { 0 };
	int r = u ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	u->peeking = true;
	r = open_folder(u, false, e);
	if (r == 0)
		r = read_identity(u->fd, u->dir, &owner, e);
	if (r == 0)
		r = gone_load(&u->gone, u->fd, e);
	if (r == 0)
		r = find_used(u, e);
	if (r < 0)
		upper_close(u);
	else
		*ret = u;
	return r;
}

static void free_areas(struct upper *u)
{
	for (size_t i = 0; i < AREA_BUCKETS; i++) {
		for (struct area *a = u->areas[i], *next; a; a = next) {
			next = a->next;
			free(a->dir);
			free(a->long_key);
			free(a);
		}
	}
}

void upper_close(struct upper *u)
{
	if (!u)
		return;
	for (unsigned i = 0; i < FD_SETS; i++)
		for (unsigned k = 0; k < FD_WAYS; k++)
			closep(&u->fds[i][k].fd);
	for (unsigned i = 0; i < SNAPS; i++)
		snap_unref(u->snaps[i]);
	if (!u->peeking && u->fd >= 0)
		upper_empty(u->fd, "orphans", "");
	free_areas(u);
	gone_release(&u->gone);
	nodes_release(&u->nodes);
	(void)pthread_mutex_destroy(&u->areas_mu);
	(void)pthread_mutex_destroy(&u->fds_mu);
	(void)pthread_mutex_destroy(&u->snaps_mu);
	(void)pthread_mutex_destroy(&u->mode_mu);
	free(u->used_keys);
	free(u->tree.dir);
	free(u->dir);
	closep(&u->fd);
	free(u);
}

const char *upper_dir(const struct upper *u)
{
	return u->dir;
}

int upper_statfs(struct upper *u, struct statvfs *ret)
{
	return fstatvfs(u->fd, ret) < 0 ? -errno : 0;
}

/* ---- areas ---- */

static void add_encoded(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '/')
			buf_addstr(b, "+");
		else if (*s == '+' || *s == '%')
			buf_addf(b, "%%%02X", (unsigned)*s);
		else
			buf_add(b, s, 1);
	}
}

int upper_key(const struct place *package, char ret[NAME_MAX + 1], char **ret_long)
{
	auto_buf struct buf b = BUF_INIT(4 * PATH_MAX);
	const struct digest *d = &package->parcel->key;
	char hex[HASH128_HEX_LEN + 1];

	add_encoded(&b, package->path);
	buf_addstr(&b, "@");
	add_encoded(&b, package->parcel->version ? package->parcel->version : "");
	buf_addf(&b, "~%02x%02x%02x%02x", d->bytes[0], d->bytes[1], d->bytes[2], d->bytes[3]);
	if (buf_error(&b) < 0)
		return buf_error(&b);
	if (ret_long)
		*ret_long = NULL;
	if (b.len <= NAME_MAX) {
		memcpy(ret, b.data, b.len);
		ret[b.len] = '\0';
		return 0;
	}
	hash128_hex(hash128(b.data, b.len), hex);
	(void)snprintf(ret, NAME_MAX + 1, "~%s", hex);
	if (ret_long) {
		*ret_long = buf_steal_str(&b);
		return *ret_long ? 0 : -ENOMEM;
	}
	return 0;
}

static bool was_used(const struct upper *u, const char *name)
{
	struct hash128 h = hash128(name, strlen(name));

	return u->used_count &&
	       bsearch(&h, u->used_keys, u->used_count, sizeof h, hash_cmp) != NULL;
}

static struct area *new_area(const struct upper *u, const struct place *package)
{
	struct area *a = calloc(1, sizeof *a);
	char name[NAME_MAX + 1];

	if (!a)
		return NULL;
	a->slot = package->slot;
	if (upper_key(package, name, &a->long_key) < 0 || asprintf(&a->dir, "pkg/%s", name) < 0) {
		free(a->long_key);
		free(a);
		return NULL;
	}
	atomic_store(&a->used, was_used(u, name));
	return a;
}

struct area *upper_area(struct upper *u, const struct place *package)
{
	struct area *a, **at;

	if (!package)
		return &u->tree;
	at = &u->areas[package->slot % AREA_BUCKETS];
	(void)pthread_mutex_lock(&u->areas_mu);
	for (a = *at; a && a->slot != package->slot;)
		a = a->next;
	if (!a) {
		a = new_area(u, package);
		if (a) {
			a->next = *at;
			*at = a;
		}
	}
	(void)pthread_mutex_unlock(&u->areas_mu);
	return a;
}
