/* weburl.h - the parts of a URL as browsers and node take it apart (the WHATWG's rules), as far as
 * dependency specs need: schemes other than http are exact; hosts of http URLs are lower-cased and
 * checked, but neither IDNA nor the odd spellings of IPv4 addresses are known, nor
 * are the drive letters of file URLs. */
#pragma once
#include "core/arena.h"

#define URL_LEN_MAX 8192 /* of the text; what servers accept at most */

/* Percent-encoded where a URL must be. Everything lives in the arena. */
struct weburl {
	struct slice scheme; /* lower case, without ':' */
	struct slice user, password, host, port, path;
	struct slice query, hash; /* without '?' and '#'; ptr NULL: not there */
	bool authority;           /* written with "//" */
};

/* -EINVAL: no URL; -E2BIG, -ENOMEM. */
int weburl_parse(struct weburl *ret, struct slice text, struct arena *a) must_check;

/* The URL without its hash, for schemes other than http, https, ftp, ws, wss, file. NULL: out of
 * memory. */
char *weburl_without_hash(const struct weburl *u, struct arena *a) must_check;

/* decodeURIComponent(): -EINVAL for a stray '%' or what is no UTF-8. */
int weburl_decode(struct slice *ret, struct slice text, struct arena *a) must_check;

/* Whether encodeURIComponent() would change nothing. */
bool weburl_is_plain(struct slice text);
