/* dxp_priv.h - the structs of the .dxp format, as dxp.h draws them. All integers are
 * little-endian; use le32toh() and friends. */
#pragma once
#include "core/dxp.h"

#include <endian.h>

#define DXP_VERSION  1
#define DXP_BLOCK    512u
#define DXP_NAME_MAX 255u  /* as ext4, xfs and btrfs have it; a longer name fits on no disk */
#define DXP_PATH_MAX 4096u /* PATH_MAX of Linux */
#define DXP_TEXT_MAX 1024u /* a package's name or version: npm's limits are 214 and 256 */
/* Entries, mended entries and names together; 2^21 entries with names of usual length. */
#define DXP_INDEX_MAX (192u << 20)

struct dxp_disk_digest {
	uint8_t alg, len, zero[6];
	uint8_t bytes[64];
};

struct dxp_header {
	uint8_t magic[4];
	uint32_t version;
	uint8_t content[16];
	uint8_t index_hash[16];
	uint64_t size;
	uint32_t entries, mended, names_len;
	uint16_t name_len, version_len;
	struct dxp_disk_digest sha512, key;
};

struct dxp_disk_entry {
	uint32_t name_off; /* into the names */
	uint8_t name_len;
	uint8_t flags; /* DXP_F_* */
	uint16_t mode;
	uint32_t parent;
	uint32_t at;   /* file: first block of the payload; directory: first child */
	uint64_t size; /* file: bytes; directory: number of children */
	uint8_t hash[16];
};
#define DXP_F_DIR    1u
#define DXP_F_MENDED 2u

struct dxp_disk_mended {
	uint32_t entry;
	uint32_t at;
	uint64_t size;
	uint8_t hash[16];
};

_Static_assert(sizeof(struct dxp_disk_digest) == 72, ".dxp digest");
_Static_assert(sizeof(struct dxp_header) == 208, ".dxp header");
_Static_assert(sizeof(struct dxp_disk_entry) == 40, ".dxp entry");
_Static_assert(sizeof(struct dxp_disk_mended) == 32, ".dxp mended entry");

/* Both hashes leave out the fields that hold them, which lie here. */
#define DXP_CONTENT_AT offsetof(struct dxp_header, content)
#define DXP_HASH_AT    offsetof(struct dxp_header, index_hash)
#define DXP_REST_AT    offsetof(struct dxp_header, size)

static inline uint64_t dxp_round(uint64_t n)
{
	return (n + (DXP_BLOCK - 1)) & ~(uint64_t)(DXP_BLOCK - 1);
}

/* The hash over header and index: everything before the payloads, less the two hashes. */
static inline struct hash128 dxp_index_hash(struct hasher *h, const struct dxp_header *head,
					    const void *index, size_t len)
{
	hasher_reset(h);
	hasher_add(h, head, DXP_CONTENT_AT);
	hasher_add(h, (const uint8_t *)head + DXP_REST_AT, sizeof *head - DXP_REST_AT);
	hasher_add(h, index, len);
	return hasher_end(h);
}
