#include "core/hash.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#ifdef DXFS_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

static struct hash128 canonical(XXH128_hash_t h)
{
	XXH128_canonical_t c;
	struct hash128 ret;

	_Static_assert(sizeof c.digest == sizeof ret.b, "XXH3-128 has 16 bytes");
	XXH128_canonicalFromHash(&c, h);
	memcpy(ret.b, c.digest, sizeof ret.b);
	return ret;
}

struct hash128 hash128(const void *p, size_t n)
{
	return canonical(XXH3_128bits(n ? p : "", n));
}

struct hash128 hash128_keyed(const void *p, size_t n, uint64_t key)
{
	return canonical(XXH3_128bits_withSeed(n ? p : "", n, key));
}

/* The opaque type is xxHash's own state, which XXH3_createState aligns. */
static XXH3_state_t *state_of(struct hasher *h)
{
	return (XXH3_state_t *)(void *)h;
}

struct hasher *hasher_new_keyed(uint64_t key)
{
	XXH3_state_t *s = XXH3_createState();

	if (s)
		XXH3_128bits_reset_withSeed(s, key);
	return (struct hasher *)(void *)s;
}

struct hasher *hasher_new(void)
{
	return hasher_new_keyed(0);
}

void hasher_free(struct hasher *h)
{
	XXH3_freeState(state_of(h));
}

void hasher_reset(struct hasher *h)
{
	XXH3_128bits_reset(state_of(h));
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
	if (n)
		XXH3_128bits_update(state_of(h), p, n);
}

struct hash128 hasher_end(const struct hasher *h)
{
	return canonical(XXH3_128bits_digest((const XXH3_state_t *)(const void *)h));
}

void hash128_hex(struct hash128 h, char ret[HASH128_HEX_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof h.b; i++) {
		ret[2 * i] = digits[h.b[i] >> 4];
		ret[2 * i + 1] = digits[h.b[i] & 15];
	}
	ret[HASH128_HEX_LEN] = '\0';
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int hash128_from_hex(struct hash128 *ret, struct slice hex)
{
	struct hash128 h;

	if (hex.len != HASH128_HEX_LEN)
		return -EINVAL;
	for (size_t i = 0; i < sizeof h.b; i++) {
		int hi = nibble(hex.ptr[2 * i]), lo = nibble(hex.ptr[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		h.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = h;
	return 0;
}

static uint64_t seed;

static void make_seed(void)
{
	struct timespec now = { 0 };

	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* early in boot: better than nothing */
	seed = (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t hash_seed(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, make_seed);
	return seed;
}
