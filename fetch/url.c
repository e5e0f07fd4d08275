#include "fetch/url.h"

#include "fetch/curl.h"

#include <ctype.h>
#include <stdio.h>

static void curlu_freep(CURLU **u)
{
	if (*u)
		curl_url_cleanup(*u);
}

static void curl_strp(char **p)
{
	if (*p)
		curl_free(*p);
}

static int part(CURLU *u, CURLUPart what, unsigned flags, char **ret)
{
	cleanup(curl_strp) char *p = NULL;

	if (curl_url_get(u, what, &p, flags) != CURLUE_OK || !p)
		return -EINVAL;
	*ret = strdup(p);
	return *ret ? 0 : -ENOMEM;
}

static int userinfo(CURLU *u, char **ret)
{
	cleanup(curl_strp) char *user = NULL, *password = NULL;

	(void)curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE);
	(void)curl_url_get(u, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
	if (!user && !password)
		return 0;
	if (asprintf(ret, "%s:%s", user ? user : "", password ? password : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int take_apart(struct url *t, CURLU *u)
{
	auto_free char *scheme = NULL, *port = NULL;
	int r;

	if ((r = part(u, CURLUPART_SCHEME, 0, &scheme)) < 0)
		return r;
	t->tls = strcmp(scheme, "https") == 0;
	if (!t->tls && strcmp(scheme, "http") != 0)
		return -EPROTONOSUPPORT;
	if ((r = userinfo(u, &t->userinfo)) < 0)
		return r;
	if (curl_url_set(u, CURLUPART_USER, NULL, 0) ||
	    curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0))
		return -EINVAL;
	if ((r = part(u, CURLUPART_HOST, 0, &t->host)) < 0 ||
	    (r = part(u, CURLUPART_PATH, 0, &t->path)) < 0 ||
	    (r = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port)) < 0)
		return r;
	for (char *p = t->host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	t->port = (unsigned)strtoul(port, NULL, 10);
	if (curl_url_set(u, CURLUPART_HOST, t->host, 0))
		return -EINVAL;
	return part(u, CURLUPART_URL, CURLU_NO_DEFAULT_PORT, &t->text);
}

static int parse(struct url *ret, CURLU *u, const char *text, struct err *e)
{
	struct url t = { 0 };
	char shown[URL_SHOWN_MAX];
	CURLUcode c;
	int r;

	url_shown(text, shown);
	if (!u)
		return err_set(e, -ENOMEM, "out of memory");
	if (strlen(text) > URL_MAX)
		return err_set(e, -E2BIG, "a URL of more than %u bytes: %s", URL_MAX, shown);
	c = curl_url_set(u, CURLUPART_URL, text, CURLU_URLENCODE);
	r = c == CURLUE_OK                   ? take_apart(&t, u)
	    : c == CURLUE_UNSUPPORTED_SCHEME ? -EPROTONOSUPPORT
					     : -EINVAL;
	if (r < 0) {
		url_release(&t);
		return err_set(e, r,
			       r == -EPROTONOSUPPORT ? "neither http nor https: %s"
			       : r == -ENOMEM        ? "out of memory for %s"
						     : "not a URL: %s",
			       shown);
	}
	*ret = t;
	return 0;
}

int url_parse(struct url *ret, const char *text, struct err *e)
{
	cleanup(curlu_freep) CURLU *u = NULL;
	int r = curl_need(e);

	if (r < 0)
		return r;
	u = curl_url();
	return parse(ret, u, text, e);
}

int url_resolve(struct url *ret, const struct url *base, const char *location, struct err *e)
{
	cleanup(curlu_freep) CURLU *u = NULL;
	int r = curl_need(e);

	if (r < 0)
		return r;
	u = curl_url();
	if (u && curl_url_set(u, CURLUPART_URL, base->text, 0))
		return err_set(e, -EINVAL, "not a URL: the one that redirected");
	return parse(ret, u, location, e);
}

void url_release(struct url *u)
{
	if (u->userinfo)
		explicit_bzero(u->userinfo, strlen(u->userinfo));
	free(u->text);
	free(u->host);
	free(u->path);
	free(u->userinfo);
	*u = (struct url){ 0 };
}

void url_authority(const struct url *u, char *ret, size_t n)
{
	if (u->port == (u->tls ? 443u : 80u))
		(void)snprintf(ret, n, "%s", u->host);
	else
		(void)snprintf(ret, n, "%s:%u", u->host, u->port);
}

/* Where the credentials of a URL end, or NULL. A password with a slash in it makes the text no
 * URL, and is a secret all the same: a port that is no number gives it away. */
static const char *credentials_end(const char *text, size_t start, size_t end, size_t stop)
{
	const char *at = memrchr(text + start, '@', end - start);
	const char *colon = memchr(text + start, ':', end - start);

	if (at || !colon || text[start] == '[' ||
	    strspn(colon + 1, "0123456789") == (size_t)(text + end - colon - 1))
		return at;
	return memrchr(text + start, '@', stop - start);
}

void url_shown(const char *text, char ret[URL_SHOWN_MAX])
{
	const char *authority = strstr(text, "://");
	size_t start = authority ? (size_t)(authority - text) + 3 : 0;
	size_t end = start + strcspn(text + start, "/?#\\");
	size_t stop = start + strcspn(text + start, "?#"), n = 0;
	const char *at = authority ? credentials_end(text, start, end, stop) : NULL;
	size_t skip_to = at ? (size_t)(at - text) + 1 : start;

	for (size_t i = 0; i < stop && n < URL_SHOWN_MAX - 1; i++) {
		unsigned char c;

		if (i == start)
			i = skip_to;
		if (i >= stop)
			break;
		c = (unsigned char)text[i];
		ret[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	ret[n] = '\0';
}
