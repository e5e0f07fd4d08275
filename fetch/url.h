/* url.h - http and https URLs, taken apart once (by libcurl's parser) before anything is asked.
 *
 * Credentials in a URL never stay in its text: they are kept apart, and only a header may carry
 * them. Messages show url_shown(): without credentials, query and fragment. */
#pragma once
#include "core/err.h"

#define URL_MAX 8192u /* bytes; servers refuse longer ones, and a lock's are below 300 */

struct url {
	char *text;     /* what is requested: no credentials, no fragment; owned */
	char *host;     /* lower case; IPv6 in brackets; owned */
	char *path;     /* starts with '/', no query; owned */
	char *userinfo; /* "user:password", percent-decoded, or NULL; owned, a secret */
	unsigned port;  /* the scheme's when the text has none */
	bool tls;       /* https */
};

/* -EINVAL: not a URL; -EPROTONOSUPPORT: neither http nor https; -E2BIG. */
int url_parse(struct url *ret, const char *text, struct err *e) must_check;
/* `location` as a redirect from `base` means it (RFC 3986); the same errors. */
int url_resolve(struct url *ret, const struct url *base, const char *location,
		struct err *e) must_check;
void url_release(struct url *u);
#define auto_url cleanup(url_release)

/* "host" or "host:port", the port only if it is not the scheme's own; at most n bytes. */
void url_authority(const struct url *u, char *ret, size_t n);

static inline bool url_same_host(const struct url *a, const struct url *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Credentials may follow only within one origin: scheme, host and port. */
static inline bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->tls == b->tls && url_same_host(a, b);
}

/* Any URL, spec or path as a message may show it, cut to fit. */
#define URL_SHOWN_MAX 160
void url_shown(const char *text, char ret[URL_SHOWN_MAX]);
