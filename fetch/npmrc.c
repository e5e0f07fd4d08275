#include "fetch/npmrc.h"

#include "fetch/npmrc_priv.h"
#include "fetch/url.h"
#include "lock/select.h"

#include <limits.h>
#include <stdio.h>

static const struct npmrc_entry *find(const struct npmrc *rc, const char *key)
{
	size_t low = 0, high = rc->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcmp(rc->entries[mid].key, key);

		if (r == 0)
			return &rc->entries[mid];
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

size_t npmrc_list(const struct npmrc *rc, const char *key, const char *const **ret)
{
	const struct npmrc_entry *x = find(rc, key);

	*ret = x && !x->null ? x->values : NULL;
	return *ret ? x->count : 0;
}

const char *npmrc_get(const struct npmrc *rc, const char *key)
{
	const char *const *values;

	return npmrc_list(rc, key, &values) ? values[0] : NULL;
}

bool npmrc_bool(const struct npmrc *rc, const char *key, bool otherwise)
{
	const char *v = npmrc_get(rc, key);

	return v ? strcmp(v, "true") == 0 : otherwise;
}

int64_t npmrc_int(const struct npmrc *rc, const char *key, int64_t otherwise)
{
	const char *v = npmrc_get(rc, key);
	double d = v ? strtod(v, NULL) : 0;

	if (!v)
		return otherwise;
	return d >= 9e15 ? (int64_t)9e15 : d <= -9e15 ? -(int64_t)9e15 : (int64_t)d;
}

unsigned npmrc_umask(const struct npmrc *rc)
{
	const char *v = npmrc_get(rc, "umask");

	if (!v)
		return 0;
	if (v[0] != '0')
		return (unsigned)strtoul(v, NULL, 10) & 0777;
	return (unsigned)strtoul(v[1] == 'o' ? v + 2 : v, NULL, 8) & 0777;
}

static unsigned omit_bits(const struct npmrc *rc, const char *key)
{
	const char *const *values;
	size_t n = npmrc_list(rc, key, &values);
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits |= strcmp(values[i], "dev") == 0        ? OMIT_DEV
			: strcmp(values[i], "optional") == 0 ? OMIT_OPTIONAL
			: strcmp(values[i], "peer") == 0     ? OMIT_PEER
							     : 0;
	return bits;
}

unsigned npmrc_omit(const struct npmrc *rc)
{
	unsigned omit = omit_bits(rc, "omit"), include = omit_bits(rc, "include");

	if (!find(rc, "omit") && rc->production)
		omit |= OMIT_DEV;
	if (npmrc_get(rc, "only") || npmrc_bool(rc, "production", false))
		omit |= OMIT_DEV;
	else if (!npmrc_bool(rc, "production", true))
		include |= OMIT_DEV;
	if (npmrc_get(rc, "also") || npmrc_bool(rc, "dev", false))
		include |= OMIT_DEV;
	if (npmrc_get(rc, "optional"))
		*(npmrc_bool(rc, "optional", true) ? &include : &omit) |= OMIT_OPTIONAL;
	return omit & ~include;
}

int npmrc_registry_for(const struct npmrc *rc, const char *name, const char **ret, struct err *e)
{
	const char *slash = name && name[0] == '@' ? strchr(name, '/') : NULL;
	const char *registry = NULL;

	if (slash) {
		auto_free char *key = NULL;

		if (asprintf(&key, "%.*s:registry", (int)(slash - name), name) < 0) {
			key = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		registry = npmrc_get(rc, key);
	}
	if ((!registry || !*registry) && rc->bad_registry)
		return err_set(e, -EDESTADDRREQ,
			       "the registry that %s sets is no URL; it must be like "
			       "https://registry.test/",
			       rc->bad_registry);
	if (!registry || !*registry)
		registry = npmrc_get(rc, "registry");
	if (!registry || !*registry)
		registry = rc->public_registry;
	if (!registry)
		return err_set(e, -EDESTADDRREQ,
			       "no registry is known: write registry=URL to ~/.npmrc or to the "
			       "project's .npmrc, or set npm_config_registry");
	*ret = registry;
	return 0;
}

const char *npmrc_public_registry(const struct npmrc *rc)
{
	return rc->public_registry;
}

/* ---- credentials ---- */

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* As forgiving as node: either alphabet, other characters skipped, padding or not. */
static void base64_decode(struct buf *out, const char *text)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (; *text && *text != '='; text++) {
		int v = base64_value((uint8_t)*text);
		uint8_t byte;

		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		byte = (uint8_t)(bits >> have);
		buf_add(out, &byte, 1);
	}
}

static void base64_encode(struct buf *out, struct slice in)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < in.len; i += 3) {
		uint32_t v = (uint32_t)in.ptr[i] << 16;
		char four[4];

		v |= i + 1 < in.len ? (uint32_t)in.ptr[i + 1] << 8 : 0;
		v |= i + 2 < in.len ? in.ptr[i + 2] : 0;
		four[0] = digits[v >> 18];
		four[1] = digits[v >> 12 & 63];
		four[2] = i + 1 < in.len ? digits[v >> 6 & 63] : '=';
		four[3] = i + 2 < in.len ? digits[v & 63] : '=';
		buf_add(out, four, 4);
	}
}

/* "<prefix>:<name>", not empty; NULL: not set. */
static const char *of_prefix(const struct npmrc *rc, const char *prefix, size_t len,
			     const char *name)
{
	char key[NPMRC_URL_MAX + 64];
	const char *v;

	if ((size_t)snprintf(key, sizeof key, "%.*s:%s", (int)len, prefix, name) >= sizeof key)
		return NULL;
	v = npmrc_get(rc, key);
	return v && *v ? v : NULL;
}

static bool has_auth(const struct npmrc *rc, const char *prefix, size_t n)
{
	return of_prefix(rc, prefix, n, "_authToken") || of_prefix(rc, prefix, n, "_auth") ||
	       (of_prefix(rc, prefix, n, "username") && of_prefix(rc, prefix, n, "_password")) ||
	       (of_prefix(rc, prefix, n, "certfile") && of_prefix(rc, prefix, n, "keyfile"));
}

/* The longest prefix of "//host/path" that has credentials: its length, 0: none. The slash at a
 * segment's end and the segment go one at a time, as in npm. */
static size_t auth_prefix(const struct npmrc *rc, const char *whole)
{
	size_t n = strlen(whole);

	while (n > 2) {
		if (has_auth(rc, whole, n))
			return n;
		if (whole[n - 1] == '/')
			n--;
		else
			while (n > 0 && whole[n - 1] != '/')
				n--;
	}
	return 0;
}

static int basic(struct buf *b, const char *user, struct slice password)
{
	auto_buf struct buf plain = BUF_INIT(2 * NPMRC_SECRET_MAX);

	buf_addstr(&plain, user);
	buf_addstr(&plain, ":");
	buf_add(&plain, password.ptr, password.len);
	buf_addstr(b, "Basic ");
	base64_encode(b, (struct slice){ plain.data, plain.len });
	if (plain.data)
		explicit_bzero(plain.data, plain.len);
	return buf_error(&plain);
}

static int authorization(const struct npmrc *rc, const char *prefix, size_t n, struct buf *b)
{
	auto_buf struct buf password = BUF_INIT(NPMRC_SECRET_MAX);
	const char *token = of_prefix(rc, prefix, n, "_authToken");
	const char *auth = of_prefix(rc, prefix, n, "_auth");
	const char *user = of_prefix(rc, prefix, n, "username");
	const char *secret = of_prefix(rc, prefix, n, "_password");
	int r;

	if (token)
		buf_addf(b, "Bearer %s", token);
	else if (auth)
		buf_addf(b, "Basic %s", auth);
	else if (user && secret) {
		base64_decode(&password, secret);
		r = buf_error(&password);
		return r ? r : basic(b, user, (struct slice){ password.data, password.len });
	}
	return 0;
}

static int finish(struct buf *b, struct npmrc_auth *ret, struct err *e)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] < 0x20 || b->data[i] == 0x7f)
			return err_set(e, -EINVAL,
				       "a credential of .npmrc has a control "
				       "character, which no header may have");
	if (buf_error(b))
		return err_set(e, buf_error(b), "a credential of .npmrc has more than %u bytes",
			       NPMRC_SECRET_MAX);
	if (b->len == 0)
		return 0;
	ret->authorization = buf_steal_str(b);
	return ret->authorization ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* "//host[:port]/path" */
static char *nerf_dart(const struct url *u)
{
	char authority[512], *out;

	url_authority(u, authority, sizeof authority);
	return asprintf(&out, "//%s%s", authority, u->path) < 0 ? NULL : out;
}

static int of_url(const struct npmrc *rc, const struct url *u, struct npmrc_auth *ret,
		  bool *ret_found, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(2 * NPMRC_SECRET_MAX);
	auto_free char *whole = nerf_dart(u);
	size_t n;
	int r;

	if (!whole)
		return err_set(e, -ENOMEM, "out of memory");
	n = auth_prefix(rc, whole);
	*ret_found = n > 0;
	if (n == 0)
		return 0;
	r = authorization(rc, whole, n, &b);
	if (r == 0)
		r = finish(&b, ret, e);
	if (r < 0)
		return err_wrap(e, r, "%.*s", (int)n, whole);
	if (of_prefix(rc, whole, n, "certfile") && of_prefix(rc, whole, n, "keyfile")) {
		ret->certfile = of_prefix(rc, whole, n, "certfile");
		ret->keyfile = of_prefix(rc, whole, n, "keyfile");
	}
	return 0;
}

static int of_userinfo(const struct url *u, struct npmrc_auth *ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(2 * NPMRC_SECRET_MAX);

	buf_addstr(&b, "Basic ");
	base64_encode(&b, slice_str(u->userinfo));
	return finish(&b, ret, e);
}

static bool is_registry_key(const char *key)
{
	const char *colon = key[0] == '@' ? strrchr(key, ':') : NULL;

	return strcmp(colon ? colon + 1 : key, "registry") == 0;
}

/* Is this host, of a URL without TLS, a registry's that is only spoken to with it? A lock decides
 * on the scheme of its URLs, but not on who may read the user's token on the way. */
static bool is_tls_registry(const struct npmrc *rc, const struct url *u)
{
	bool tls = false;

	for (uint32_t i = 0; i <= rc->count; i++) {
		const struct npmrc_entry *x = i < rc->count ? &rc->entries[i] : NULL;
		const char *registry = x ? NULL : rc->public_registry;
		auto_url struct url reg = { 0 };

		if (x && is_registry_key(x->key) && !x->null && x->count > 0)
			registry = x->values[0];
		if (!registry || url_parse(&reg, registry, NULL) < 0 ||
		    strcmp(reg.host, u->host) != 0)
			continue;
		if (!reg.tls && reg.port == u->port)
			return false;
		tls |= reg.tls;
	}
	return tls;
}

static bool any_of_hosts(const struct npmrc *rc)
{
	for (uint32_t i = 0; i < rc->count; i++)
		if (strncmp(rc->entries[i].key, "//", 2) == 0)
			return true;
	return false;
}

/* False: certainly not, whatever the parser makes of the rest. */
static bool may_have_userinfo(const char *url)
{
	size_t n = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;

	return n == 0 || url[n] == '/' || memchr(url + n, '@', strcspn(url + n, "/?#"));
}

int npmrc_auth_for(const struct npmrc *rc, const char *url, const char *registry,
		   struct npmrc_auth *ret, struct err *e)
{
	auto_url struct url u = { 0 }, reg = { 0 };
	struct npmrc_auth a = { 0 };
	bool found = false;
	int r;

	/* What is so for most users need not take both URLs apart for each package. */
	if (!any_of_hosts(rc) && !may_have_userinfo(url)) {
		*ret = a;
		return 0;
	}
	r = url_parse(&u, url, e);
	if (r == 0)
		r = of_url(rc, &u, &a, &found, e);
	if (r == 0 && found && !u.tls && is_tls_registry(rc, &u))
		npmrc_auth_release(&a);
	if (r == 0 && !found && registry && url_parse(&reg, registry, NULL) == 0 &&
	    url_same_host(&u, &reg)) {
		r = of_url(rc, &reg, &a, &found, e);
		/* A token that was given for https does not go out in the clear. */
		if (r == 0 && reg.tls && !u.tls)
			npmrc_auth_release(&a);
	}
	if (r == 0 && !a.authorization && u.userinfo)
		r = of_userinfo(&u, &a, e);
	if (r < 0) {
		npmrc_auth_release(&a);
		return r;
	}
	*ret = a;
	return 0;
}

void npmrc_auth_release(struct npmrc_auth *a)
{
	if (a->authorization)
		explicit_bzero(a->authorization, strlen(a->authorization));
	free(a->authorization);
	*a = (struct npmrc_auth){ 0 };
}

/* ---- proxies ---- */

/* Does `domain` (n bytes; dots in front do no harm) end the host, segment by segment? */
static bool host_ends_in(const char *host, const char *domain, size_t n)
{
	size_t len = strlen(host);

	while (n > 0 && (*domain == '.' || *domain == ' '))
		domain++, n--;
	while (n > 0 && (domain[n - 1] == '.' || domain[n - 1] == ' '))
		n--;
	if (n == 0 || n > len || strncmp(host + len - n, domain, n) != 0)
		return false;
	return n == len || host[len - n - 1] == '.';
}

static bool listed(const char *host, const char *domains)
{
	while (*domains) {
		size_t n = strcspn(domains, ",");

		if (host_ends_in(host, domains, n))
			return true;
		domains += n + (domains[n] == ',');
	}
	return false;
}

static bool no_proxy(const struct npmrc *rc, const char *host)
{
	const char *const *values;
	size_t n = npmrc_list(rc, "noproxy", &values);
	bool given = false;

	for (size_t i = 0; i < n; i++) {
		if (listed(host, values[i]))
			return true;
		given |= *values[i] != '\0';
	}
	return !given && rc->no_proxy && listed(host, rc->no_proxy);
}

const char *npmrc_proxy_for(const struct npmrc *rc, const char *url)
{
	auto_url struct url u = { 0 };
	const char *p = npmrc_get(rc, "https-proxy");

	p = p ? p : npmrc_get(rc, "proxy");
	p = p ? p : rc->https_proxy;
	/* taking the URL apart needs a library that is only loaded when it must be */
	if ((!p && !rc->http_proxy && !rc->any_proxy) || url_parse(&u, url, NULL) < 0)
		return NULL;
	if (!p && !u.tls)
		p = rc->http_proxy ? rc->http_proxy : rc->any_proxy;
	return p && !no_proxy(rc, u.host) ? p : NULL;
}
