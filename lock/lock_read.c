#include "core/file.h"
#include "lock/lock_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define AGAIN "make it anew with `dx lock`"

int dxl_checksum(const void *bytes, size_t size, uint8_t ret[16])
{
	const size_t after = DXL_CHECKSUM_AT + 16;
	struct hasher *h = hasher_new();
	struct hash128 sum;

	if (!h)
		return -ENOMEM;
	hasher_add(h, bytes, DXL_CHECKSUM_AT);
	hasher_add(h, (const uint8_t *)bytes + after, size - after);
	sum = hasher_end(h);
	hasher_free(h);
	memcpy(ret, sum.b, 16);
	return 0;
}

static int check_header(const struct dxl_header *h, size_t size, struct err *e)
{
	if (size < sizeof *h || memcmp(h->magic, DXL_MAGIC, sizeof h->magic) != 0)
		return err_set(e, -EBADMSG, "not a lock, or only its beginning; " AGAIN);
	if (le32toh(h->version) != DXL_VERSION)
		return err_set(e, -EPROTONOSUPPORT,
			       "format version %u, and this program knows only %u; use a newer dx, "
			       "or " AGAIN,
			       le32toh(h->version), DXL_VERSION);
	if (le64toh(h->size) != size)
		return err_set(e, -EBADMSG, "cut off, or something was appended; " AGAIN);
	return 0;
}

static int check_sum(const struct lock *l, struct err *e)
{
	uint8_t sum[16];
	int r = dxl_checksum(l->header, l->size, sum);

	if (r < 0)
		return err_set(e, r, "out of memory");
	if (memcmp(sum, l->header->checksum, sizeof sum) != 0)
		return err_set(e, -EBADMSG, "its checksum does not fit: it was damaged; " AGAIN);
	return 0;
}

/* Each section begins where the one before it ends, rounded up to eight bytes of zeros. */
static int find_sections(struct lock *l, struct err *e)
{
	const uint8_t *bytes = (const void *)l->header;
	const void *at[DXL_SECTIONS];
	uint64_t end = sizeof *l->header;

	for (int s = 0; s < DXL_SECTIONS; s++) {
		uint64_t offset = le32toh(l->header->sections[s].offset);

		l->count[s] = le32toh(l->header->sections[s].count);
		for (; end % 8 && end < l->size; end++) {
			if (bytes[end])
				return err_set(e, -EBADMSG, "section %d: padding is not zero", s);
		}
		if (offset != end ||
		    l->count[s] > (l->size - end > l->size ? 0 : l->size - end) / dxl_item_size[s])
			return err_set(e, -EBADMSG, "section %d past the end; " AGAIN, s);
		at[s] = bytes + offset;
		end += (uint64_t)l->count[s] * dxl_item_size[s];
	}
	if (end != l->size || l->count[DXL_NODES] > GRAPH_NODES_MAX || l->count[DXL_NODES] == 0 ||
	    l->count[DXL_PACKAGES] > GRAPH_NODES_MAX || l->count[DXL_PACKAGES] == 0)
		return err_set(e, -EBADMSG, "sections do not fill it; " AGAIN);
	l->slots = at[DXL_HASH];
	l->packages = at[DXL_PACKAGES];
	l->deps = at[DXL_DEPS];
	l->nodes = at[DXL_NODES];
	l->edges = at[DXL_EDGES];
	l->bins = at[DXL_BINS];
	l->words = at[DXL_WORDS];
	l->strings = at[DXL_STRINGS];
	return 0;
}

static void release_bytes(const struct lock *l)
{
	if (l->mapped)
		(void)munmap(l->own, l->size);
	else
		free(l->own);
}

/* What the lock is to own it takes over on failure too. */
static int open_checked(struct lock **ret, const struct lock *start, struct err *e)
{
	struct lock *l = malloc(sizeof *l);
	int r;

	if (!l) {
		release_bytes(start);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*l = *start;
	r = check_header(l->header, l->size, e);
	if (r == 0)
		r = check_sum(l, e);
	if (r == 0)
		r = find_sections(l, e);
	if (r == 0)
		r = dxl_check(l, e);
	if (r < 0) {
		lock_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

static int check_size(uint64_t size, struct err *e)
{
	if (size < sizeof(struct dxl_header) || size > LOCK_SIZE_MAX)
		return err_set(e, -EBADMSG, "not a lock, or only its beginning; " AGAIN);
	return 0;
}

int lock_open_copy(struct lock **ret, struct slice bytes, struct err *e)
{
	int r = check_size(bytes.len, e);
	void *own;

	if (r < 0)
		return r;
	own = malloc(bytes.len);
	if (!own)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(own, bytes.ptr, bytes.len);
	return open_checked(ret, &(struct lock){ .header = own, .size = bytes.len, .own = own }, e);
}

int lock_open_bytes(struct lock **ret, struct slice bytes, struct err *e)
{
	int r = check_size(bytes.len, e);

	if (r < 0)
		return r;
	if ((uintptr_t)bytes.ptr % _Alignof(struct dxl_header) == 0)
		return open_checked(
			ret, &(struct lock){ .header = (const void *)bytes.ptr, .size = bytes.len },
			e);
	return lock_open_copy(ret, bytes, e);
}

static int read_copy(int fd, size_t size, void **ret, struct err *e)
{
	auto_free void *own = malloc(size);
	int r;

	if (!own)
		return err_set(e, -ENOMEM, "out of memory");
	r = file_pread_all(fd, own, size, 0);
	if (r < 0)
		return err_set(e, r, "%s",
			       r == -EBADMSG ? "it shrank while it was read" : strerror(-r));
	*ret = take(&own);
	return 0;
}

static int read_copy_of(int fd, size_t size, struct lock *ret, struct err *e)
{
	void *own = NULL;
	int r = read_copy(fd, size, &own, e);

	if (r == 0)
		*ret = (struct lock){ .header = own, .size = size, .own = own };
	return r;
}

static int map(int fd, size_t size, struct lock *ret, struct err *e)
{
	void *own = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (own == MAP_FAILED)
		return err_set(e, -errno, "cannot be mapped: %s", strerror(errno));
	*ret = (struct lock){ .header = own, .size = size, .own = own, .mapped = true };
	return 0;
}

static int open_file(struct lock **ret, int dirfd, const char *path,
		     int (*get)(int fd, size_t size, struct lock *ret, struct err *e),
		     struct err *e)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct lock start = { 0 };
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "%s: not a regular file", path);
	r = check_size((uint64_t)st.st_size, e);
	if (r == 0)
		r = get(fd, (size_t)st.st_size, &start, e);
	if (r == 0)
		r = open_checked(ret, &start, e);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

int lock_open(struct lock **ret, int dirfd, const char *path, struct err *e)
{
	return open_file(ret, dirfd, path, read_copy_of, e);
}

int lock_open_mapped(struct lock **ret, const char *path, struct err *e)
{
	return open_file(ret, AT_FDCWD, path, map, e);
}

void lock_close(struct lock *l)
{
	if (!l)
		return;
	release_bytes(l);
	free(l);
}

int lock_verify(const struct lock *l, struct err *e)
{
	struct lock again = *l;
	int r = check_header(l->header, l->size, e);

	if (r == 0)
		r = check_sum(l, e);
	if (r == 0)
		r = find_sections(&again, e);
	return r == 0 ? dxl_check(&again, e) : r;
}

struct hash128 lock_fingerprint(const struct lock *l)
{
	struct hash128 h;

	memcpy(h.b, l->header->fingerprint, sizeof h.b);
	return h;
}

struct slice lock_bytes(const struct lock *l)
{
	return (struct slice){ (const uint8_t *)l->header, l->size };
}

uint32_t lock_count(const struct lock *l)
{
	return l->count[DXL_PACKAGES];
}

static struct digest package_digest(const struct dxl_package *p)
{
	static const uint8_t len[] = { 0, 20, 32, 48, 64 };
	struct digest d = { .alg = (uint8_t)(le32toh(p->flags) & 0xff) };

	d.len = len[d.alg];
	memcpy(d.bytes, p->digest, sizeof d.bytes);
	return d;
}

void lock_pkg(const struct lock *l, uint32_t i, struct lock_pkg *ret)
{
	const struct dxl_package *p = &l->packages[i];
	uint32_t flags;

	assert(i < l->count[DXL_PACKAGES]);
	flags = le32toh(p->flags);
	*ret = (struct lock_pkg){
		.name = dxl_str(l, p->name),
		.version = dxl_str(l, p->version),
		.resolved = dxl_str(l, p->resolved),
		.digest = package_digest(p),
		.flags = (flags & DXL_PKG_SCRIPT ? NODE_HAS_SCRIPT : 0) |
			 (flags & DXL_PKG_SHRINKWRAP ? NODE_HAS_SHRINKWRAP : 0) |
			 (flags & DXL_PKG_TOP ? NODE_TOP : 0) |
			 (flags & DXL_PKG_LINK ? NODE_LINK : 0),
		.first_dep = le32toh(p->first_dep),
		.dep_count = le16toh(p->dep_count),
	};
}

static bool str_is(const char *s, struct slice text)
{
	return strncmp(s, (const char *)text.ptr, text.len) == 0 && s[text.len] == '\0';
}

static uint32_t find(const struct lock *l, struct slice name, const struct slice *version)
{
	uint64_t h = dxl_hash(name.ptr, name.len);
	uint32_t mask = l->count[DXL_HASH] - 1, tag = (uint32_t)(h >> 32);

	/* strncmp would end at a NUL that no name has. */
	if (name.len == 0 || memchr(name.ptr, 0, name.len))
		return GRAPH_NONE;
	for (uint32_t at = (uint32_t)h & mask;; at = (at + 1) & mask) {
		uint32_t i = le32toh(l->slots[at].package);
		const struct dxl_package *p;

		if (i == DXL_NONE)
			return GRAPH_NONE;
		p = &l->packages[i];
		if (le32toh(l->slots[at].tag) != tag || !str_is(dxl_str(l, p->name), name))
			continue;
		if (!version ||
		    (p->version && version->len && !memchr(version->ptr, 0, version->len) &&
		     str_is(dxl_str(l, p->version), *version)))
			return i;
	}
}

uint32_t lock_get(const struct lock *l, struct slice name)
{
	return find(l, name, NULL);
}

uint32_t lock_get_version(const struct lock *l, struct slice name, struct slice version)
{
	return find(l, name, &version);
}

void lock_get_dependency(const struct lock *l, uint32_t i, uint32_t k, struct lock_dep *ret)
{
	const struct dxl_dep *d;

	assert(i < l->count[DXL_PACKAGES] && k < le16toh(l->packages[i].dep_count));
	d = &l->deps[le32toh(l->packages[i].first_dep) + k];
	*ret = (struct lock_dep){
		.name = dxl_str(l, d->name),
		.range = dxl_str(l, d->range),
		.target = le32toh(d->target),
		.section = d->section,
		.peer_optional = d->flags & DXL_DEP_PEER_OPTIONAL,
	};
}
