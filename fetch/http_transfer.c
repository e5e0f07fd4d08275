#include "fetch/http_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

/* ---- what comes in ---- */

void answer_release(struct http_answer *a)
{
	free(a->location);
	free(a->etag);
	free(a->last_modified);
	*a = (struct http_answer){ 0 };
}

/* The value of a header line "Name: value\r\n", if it is the one. */
static bool header_is(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);

	if (line.len <= n || line.ptr[n] != ':' ||
	    strncasecmp((const char *)line.ptr, name, n) != 0)
		return false;
	line = (struct slice){ line.ptr + n + 1, line.len - n - 1 };
	while (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
		line = (struct slice){ line.ptr + 1, line.len - 1 };
	while (line.len && strchr(" \t\r\n", line.ptr[line.len - 1]))
		line.len--;
	*ret = line;
	return true;
}

static int keep(char **to, struct slice value)
{
	char *copy = strndup((const char *)value.ptr, value.len);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* "bytes 100-199/200"; anything else cannot be continued with. */
static void content_range(struct http_answer *a, struct slice value)
{
	char text[64], *end;

	if (value.len >= sizeof text || value.len < 7 ||
	    strncasecmp((const char *)value.ptr, "bytes ", 6) != 0)
		return;
	memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	if (text[6] < '0' || text[6] > '9')
		return;
	errno = 0;
	a->range_from = strtoull(text + 6, &end, 10);
	a->has_range = errno == 0 && *end == '-';
}

static bool word_is(struct slice word, const char *name)
{
	size_t n = strlen(name);

	return word.len >= n && strncasecmp((const char *)word.ptr, name, n) == 0;
}

/* Of "public, max-age=300" the 300; the smallest of several, for caution. */
static void cache_control(struct http_answer *a, struct slice value)
{
	const uint8_t *end = value.ptr + value.len;

	for (const uint8_t *p = value.ptr; p < end;) {
		const uint8_t *comma = memchr(p, ',', (size_t)(end - p));
		struct slice word;
		uint64_t age = 0;

		comma = comma ? comma : end;
		while (p < comma && (*p == ' ' || *p == '\t'))
			p++;
		word = (struct slice){ p, (size_t)(comma - p) };
		p = comma < end ? comma + 1 : end;
		if (word_is(word, "max-age=")) {
			for (size_t i = 8; i < word.len && word.ptr[i] >= '0' &&
					   word.ptr[i] <= '9' && age < UINT32_MAX;
			     i++)
				age = age * 10 + (word.ptr[i] - '0');
		} else if (!word_is(word, "no-cache") && !word_is(word, "no-store")) {
			continue;
		}
		if (!a->has_max_age || age < a->max_age_s)
			a->max_age_s = age < UINT32_MAX ? (uint32_t)age : UINT32_MAX;
		a->has_max_age = true;
	}
}

static int header(struct http_answer *a, struct slice line)
{
	struct slice v;

	if (header_is(line, "location", &v))
		return keep(&a->location, v);
	if (header_is(line, "etag", &v))
		return keep(&a->etag, v);
	if (header_is(line, "last-modified", &v))
		return keep(&a->last_modified, v);
	if (header_is(line, "cache-control", &v))
		cache_control(a, v);
	else if (header_is(line, "accept-ranges", &v))
		a->ranges = v.len == 5 && strncasecmp((const char *)v.ptr, "bytes", 5) == 0;
	else if (header_is(line, "content-range", &v))
		content_range(a, v);
	else if (header_is(line, "content-encoding", &v))
		a->has_encoding = !(v.len == 8 && !strncasecmp((const char *)v.ptr, "identity", 8));
	return 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	struct slice line = { (const uint8_t *)p, size * n };

	c->last_byte_ms = now_ms();
	if (line.len > 5 && memcmp(p, "HTTP/", 5) == 0)
		answer_release(&c->answer);
	c->answer.header_bytes += line.len;
	if (c->answer.header_bytes > HTTP_HEADERS_MAX)
		c->error = err_set(&c->e, -E2BIG, "headers of more than %zu KiB",
				   HTTP_HEADERS_MAX >> 10);
	else if (header(&c->answer, line) < 0)
		c->error = err_set(&c->e, -ENOMEM, "out of memory");
	return c->error ? 0 : line.len;
}

static bool is_strong(const char *etag)
{
	return etag && etag[0] == '"';
}

static int start_over(struct http_call *c)
{
	body_reset(&c->body);
	digester_free(take(&c->digester));
	c->resume = 0;
	if (!c->rq.sha512)
		return 0;
	c->digester = digester_new(DIGEST_SHA512);
	return c->digester ? 0 : err_set(&c->e, -ENOMEM, "out of memory");
}

/* The length of the body that comes now; 0: unknown. */
static uint64_t announced(const struct http_call *c)
{
	curl_off_t n = 0;

	if (curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n) != CURLE_OK)
		return 0;
	return n > 0 ? (uint64_t)n : 0;
}

/* At the first byte of a body, or at the end of an empty one: is this the beginning, or just
 * what is missing? */
static int begin_body(struct http_call *c)
{
	struct http_answer *a = &c->answer;
	long status = 0;
	int r;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	a->status = (unsigned)status;
	a->begun = true;
	if (a->status == 206) {
		if (c->resume == 0 || !a->has_range || a->range_from != c->resume)
			return err_set(&c->e, -EPROTO,
				       "the server sent another part than asked for");
		return 0;
	}
	if (a->status != 200)
		return 0;
	c->can_resume = !a->has_encoding && (c->rq.verified ? a->ranges : is_strong(a->etag));
	free(c->body_etag);
	c->body_etag = is_strong(a->etag) ? strdup(a->etag) : NULL;
	c->total = a->has_encoding ? 0 : announced(c);
	r = start_over(c);
	if (r == 0 && c->total <= c->rq.limit)
		body_expect(&c->body, c->total);
	return r;
}

/* The body of an error: a little is read, so that the connection can be kept. The status says
 * enough, so the end of patience is no error of its own. */
static size_t skip_bytes(struct http_call *c, size_t n)
{
	c->answer.header_bytes += n;
	return c->answer.header_bytes > HTTP_HEADERS_MAX + HTTP_ERROR_BODY_MAX ? 0 : n;
}

static int take_bytes(struct http_call *c, const void *p, size_t n)
{
	if (n > c->rq.limit - c->body.bytes.len)
		return err_set(&c->e, -E2BIG, "a body of more than %" PRIu64 " bytes", c->rq.limit);
	if (c->digester)
		digester_add(c->digester, p, n);
	atomic_fetch_add(&c->h->bytes, n);
	return body_add(&c->body, p, n, c->h->c.tmp_dir, &c->e);
}

/* What is checked anyway may be used before the end of the transfer. */
static bool is_whole(const struct http_call *c)
{
	return c->rq.verified && c->total && c->body.bytes.len == c->total;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	c->last_byte_ms = now_ms();
	if (c->delivered)
		return 0; /* more than was announced */
	if (!c->answer.begun)
		c->error = begin_body(c);
	if (!c->error && c->answer.status != 200 && c->answer.status != 206)
		return skip_bytes(c, size * n);
	if (!c->error)
		c->error = take_bytes(c, p, size * n);
	if (!c->error && is_whole(c))
		call_deliver(c);
	return c->error ? 0 : size * n;
}

/* ---- what goes out ---- */

static int on_request(void *arg, char *ip, char *own_ip, int port, int own_port)
{
	struct http_call *c = arg;
	long made = 0;

	(void)ip, (void)own_ip, (void)port, (void)own_port;
	(void)curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &made);
	call_connected(c, made > 0);
	return CURL_PREREQFUNC_OK;
}

static int add_header(struct http_call *c, const char *name, const char *value)
{
	auto_free char *line = NULL;
	struct curl_slist *more;

	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	more = curl_slist_append(c->headers, line);
	explicit_bzero(line, strlen(line));
	if (!more)
		return -ENOMEM;
	c->headers = more;
	return 0;
}

/* The credentials are looked up once, for the URL that the caller gave: a redirect that leaves
 * its origin drops them, and nothing brings them back. */
static int find_auth(struct http_call *c)
{
	int r;

	if (c->auth_known)
		return 0;
	r = npmrc_auth_for(c->h->c.npmrc, c->rq.url, c->rq.registry, &c->auth, &c->e);
	c->auth_known = r == 0;
	return r;
}

static int set_headers(struct http_call *c)
{
	char range[48];
	int r = add_header(c, "Accept", c->rq.accept ? c->rq.accept : "*/*");

	if (r == 0 && c->auth.authorization)
		r = add_header(c, "Authorization", c->auth.authorization);
	if (r == 0 && c->rq.etag)
		r = add_header(c, "If-None-Match", c->rq.etag);
	if (r == 0 && c->rq.gzip)
		r = add_header(c, "Accept-Encoding", "gzip");
	c->resume = c->can_resume ? c->body.bytes.len : 0;
	if (r == 0 && c->resume) {
		(void)snprintf(range, sizeof range, "bytes=%" PRIu64 "-", c->resume);
		r = add_header(c, "Range", range);
		if (r == 0 && c->body_etag)
			r = add_header(c, "If-Range", c->body_etag);
	}
	return r < 0 ? err_set(&c->e, r, "out of memory") : 0;
}

static const char *user_agent(const struct npmrc *rc)
{
	const char *given = npmrc_get(rc, "user-agent");

	/* npm's own is a template that speaks of npm's version and node's. */
	if (!given || strpbrk(given, "{}\r\n"))
		return "dxfs/" DXFS_VERSION;
	return given;
}

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (curl_easy_setopt(c->easy, option, value) != CURLE_OK)                          \
			return err_set(&c->e, -EINVAL, "libcurl refuses " #option);                \
	} while (0)

static int set_tls(struct http_call *c)
{
	const struct npmrc *rc = c->h->c.npmrc;
	long check = npmrc_bool(rc, "strict-ssl", true);

	SET(CURLOPT_SSL_VERIFYPEER, check);
	SET(CURLOPT_SSL_VERIFYHOST, check ? 2L : 0L);
	if (c->h->ca_pem) {
		struct curl_blob blob = { .data = c->h->ca_pem,
					  .len = c->h->ca_pem_len,
					  .flags = CURL_BLOB_NOCOPY };

		SET(CURLOPT_CAINFO_BLOB, &blob);
	} else if (c->h->cafile) {
		SET(CURLOPT_CAINFO, c->h->cafile);
	}
	/* npm's setting replaces what the system trusts; libcurl would add to it. */
	if (c->h->own_ca)
		SET(CURLOPT_CAPATH, NULL);
	c->folder_only = c->h->folder_only;
	if (c->folder_only)
		SET(CURLOPT_CAINFO, NULL);
	if (c->auth.certfile) {
		SET(CURLOPT_SSLCERT, c->auth.certfile);
		SET(CURLOPT_SSLKEY, c->auth.keyfile);
	}
	return 0;
}

static int set_options(struct http_call *c)
{
	const char *proxy = npmrc_proxy_for(c->h->c.npmrc, c->url.text);
	unsigned stall = transfer_stall_ms(c);

	SET(CURLOPT_URL, c->url.text);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_USERAGENT, user_agent(c->h->c.npmrc));
	/* A libcurl without HTTP/2 refuses these, and does without. */
	(void)curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl_easy_setopt(c->easy, CURLOPT_STREAM_WEIGHT, transfer_weight(c->rq.prio));
	/* To learn first whether one connection will do costs cleartext a round trip for nothing.
	 */
	SET(CURLOPT_PIPEWAIT, c->url.tls ? 1L : 0L);
	/* Never curl's own reading of the environment: npm's rules decided already. */
	SET(CURLOPT_PROXY, proxy ? proxy : "");
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_BUFFERSIZE, 64L << 10);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(stall < HTTP_CONNECT_MS ? stall : HTTP_CONNECT_MS));
	SET(CURLOPT_ERRORBUFFER, c->curl_error);
	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_PREREQFUNCTION, on_request);
	SET(CURLOPT_PREREQDATA, c);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, c);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	if (c->rq.compressed)
		SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	return c->url.tls || proxy ? set_tls(c) : 0;
}

long transfer_weight(enum http_prio prio)
{
	static const long weights[HTTP_PRIOS] = { 256, 64, 16 };

	return weights[prio];
}

int transfer_begin(struct http_call *c)
{
	int r;

	c->easy = curl_easy_init();
	if (!c->easy)
		return err_set(&c->e, -ENOMEM, "out of memory");
	c->error = 0;
	c->unreachable = false;
	c->curl_error[0] = '\0';
	answer_release(&c->answer);
	if ((r = find_auth(c)) < 0 || (r = set_headers(c)) < 0)
		return r;
	return set_options(c);
}

void transfer_end(struct http_call *c)
{
	if (c->easy)
		curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	c->easy = NULL;
	c->headers = NULL;
}

unsigned transfer_stall_ms(const struct http_call *c)
{
	if (c->h->stall_ms > 0)
		return (unsigned)c->h->stall_ms;
	return c->rq.prio == HTTP_NOW ? HTTP_STALL_NOW_MS : HTTP_STALL_MS;
}

/* ---- what came of it ---- */

static int network_errno(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
		return -EHOSTUNREACH;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return -EKEYREJECTED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EINVAL;
	default:
		return -EPROTO;
	}
}

static enum verdict network_failure(struct http_call *c, CURLcode code)
{
	int r = network_errno(code);

	c->unreachable = r == -EHOSTUNREACH;
	/* One that somebody has put into the file only; at most once more. */
	if (code == CURLE_PEER_FAILED_VERIFICATION && c->folder_only) {
		c->h->folder_only = c->folder_only = false;
		return VERDICT_AGAIN;
	}
	(void)err_set(&c->e, r, "%s", c->curl_error[0] ? c->curl_error : curl_easy_strerror(code));
	return r == -EKEYREJECTED || r == -ENOMEM || r == -EINVAL ? VERDICT_FAILED : VERDICT_RETRY;
}

static enum verdict refusal(struct http_call *c, unsigned status)
{
	switch (status) {
	case 404:
	case 410:
		(void)err_set(&c->e, -ENOENT, "the registry does not have it (%u)", status);
		return VERDICT_FAILED;
	case 401:
	case 403:
		(void)err_set(&c->e, -EACCES, "%u, %s", status,
			      c->auth.authorization ? "the credentials of .npmrc were refused"
						    : "no credentials of .npmrc fit this URL");
		return VERDICT_FAILED;
	case 407:
		(void)err_set(&c->e, -EACCES, "the proxy asks for credentials (407)");
		return VERDICT_FAILED;
	default:
		break;
	}
	(void)err_set(&c->e, -EREMOTEIO, "the server answered %u%s", status,
		      status == 429   ? ", too many requests; try again later"
		      : status >= 500 ? ", it is out of order; try again later"
				      : "");
	return status == 408 || status == 420 || status == 429 || status >= 500 ? VERDICT_RETRY
										: VERDICT_FAILED;
}

static bool is_redirect(const struct http_answer *a)
{
	return a->location && (a->status == 301 || a->status == 302 || a->status == 303 ||
			       a->status == 307 || a->status == 308);
}

static enum verdict whole(struct http_call *c, CURLcode code)
{
	if (code != CURLE_OK)
		return network_failure(c, code);
	if (!c->answer.begun && (c->error = begin_body(c)) < 0)
		return VERDICT_FAILED;
	c->error = body_finish(&c->body, &c->e);
	return c->error < 0 ? VERDICT_FAILED : VERDICT_DONE;
}

enum verdict transfer_verdict(struct http_call *c, CURLcode code)
{
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	c->answer.status = (unsigned)status;
	/* What was wrong in our own callbacks; a part that does not fit is asked for anew. */
	if (c->error == -EPROTO && c->resume) {
		c->can_resume = false;
		return VERDICT_RETRY;
	}
	if (c->error)
		return VERDICT_FAILED;
	if (status == 0)
		return network_failure(c, code);
	if (is_redirect(&c->answer))
		return VERDICT_REDIRECT;
	if (status == 416 && c->resume) {
		c->can_resume = false;
		(void)err_set(&c->e, -EPROTO, "the server cannot continue the body");
		return VERDICT_RETRY;
	}
	if (status == 200 || status == 206)
		return whole(c, code);
	if (status == 304 && c->rq.etag && code == CURLE_OK)
		return VERDICT_DONE;
	return refusal(c, c->answer.status);
}
