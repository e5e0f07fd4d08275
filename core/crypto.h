/* crypto.h - libcrypto, loaded when something must be digested or a signature checked.
 *
 * To load and relocate it takes as long as a tenth of a mount does, and a mount of a warm store
 * digests nothing. So nothing links it. crypto_need() loads it, once; before that no function of
 * it may be called. They keep their names and types. */
#pragma once
#include "core/base.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define CRYPTO_FUNCTIONS(X)                                                                        \
	X(d2i_PUBKEY)                                                                              \
	X(EVP_DecodeBlock)                                                                         \
	X(EVP_DigestFinal_ex)                                                                      \
	X(EVP_DigestInit_ex)                                                                       \
	X(EVP_DigestUpdate)                                                                        \
	X(EVP_DigestVerify)                                                                        \
	X(EVP_DigestVerifyInit)                                                                    \
	X(EVP_MD_CTX_free)                                                                         \
	X(EVP_MD_CTX_new)                                                                          \
	X(EVP_PKEY_free)                                                                           \
	X(EVP_PKEY_get_base_id)                                                                    \
	X(EVP_sha1)                                                                                \
	X(EVP_sha256)                                                                              \
	X(EVP_sha384)                                                                              \
	X(EVP_sha512)

struct crypto_functions {
#define CRYPTO_MEMBER(f) __typeof__(&f) f##_; /* NOLINT: no expression */
	CRYPTO_FUNCTIONS(CRYPTO_MEMBER)
#undef CRYPTO_MEMBER
};
extern struct crypto_functions crypto_functions;

/* -ELIBACC: it is not installed, or lacks a function. Thread-safe; cheap from the second time. */
int crypto_need(void) must_check;

#define d2i_PUBKEY           crypto_functions.d2i_PUBKEY_
#define EVP_DecodeBlock      crypto_functions.EVP_DecodeBlock_
#define EVP_DigestFinal_ex   crypto_functions.EVP_DigestFinal_ex_
#define EVP_DigestInit_ex    crypto_functions.EVP_DigestInit_ex_
#define EVP_DigestUpdate     crypto_functions.EVP_DigestUpdate_
#define EVP_DigestVerify     crypto_functions.EVP_DigestVerify_
#define EVP_DigestVerifyInit crypto_functions.EVP_DigestVerifyInit_
#define EVP_MD_CTX_free      crypto_functions.EVP_MD_CTX_free_
#define EVP_MD_CTX_new       crypto_functions.EVP_MD_CTX_new_
#define EVP_PKEY_free        crypto_functions.EVP_PKEY_free_
#define EVP_PKEY_get_base_id crypto_functions.EVP_PKEY_get_base_id_
#define EVP_sha1             crypto_functions.EVP_sha1_
#define EVP_sha256           crypto_functions.EVP_sha256_
#define EVP_sha384           crypto_functions.EVP_sha384_
#define EVP_sha512           crypto_functions.EVP_sha512_
