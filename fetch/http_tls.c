#include "core/file.h"
#include "fetch/http_priv.h"

#include <fcntl.h>

#define CA_FILE_MAX ((size_t)16 << 20) /* bytes; a distribution's bundle has 220 KB */

static int add_file(struct buf *b, const char *path, struct err *e)
{
	auto_free char *text = NULL;
	size_t len;
	int r = file_read_all(AT_FDCWD, path, CA_FILE_MAX, &text, &len, e);

	if (r < 0)
		return r;
	buf_add(b, text, len);
	buf_addstr(b, "\n");
	return 0;
}

/* What libcurl would take by itself. */
static const char *system_file(void)
{
	const char *path = getenv("SSL_CERT_FILE");
	CURL *easy;

	if (path && *path)
		return path;
	easy = curl_easy_init();
	path = NULL;
	if (easy && curl_easy_getinfo(easy, CURLINFO_CAINFO, &path) != CURLE_OK)
		path = NULL;
	curl_easy_cleanup(easy);
	return path;
}

/* cafile wins over ca; NODE_EXTRA_CA_CERTS comes on top of either, or of the system's. One file
 * alone is left to libcurl, which keeps it parsed. */
int tls_load(struct http *h, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(4 * CA_FILE_MAX);
	const char *cafile = npmrc_get(h->c.npmrc, "cafile"),
		   *extra = getenv("NODE_EXTRA_CA_CERTS");
	const char *const *ca;
	size_t n = npmrc_list(h->c.npmrc, "ca", &ca);
	const char *base = cafile;
	int r = 0;

	if (cafile && access(cafile, F_OK) < 0 && errno == ENOENT)
		cafile = base = NULL; /* npm takes one that is not there for none */
	h->cafile = cafile;
	h->own_ca = cafile || n > 0;
	if (cafile && access(cafile, R_OK) < 0)
		return err_set(e, -EINVAL, "cafile of .npmrc, %s: %s", cafile, strerror(errno));
	if (extra && (!*extra || access(extra, R_OK) < 0))
		extra = NULL; /* node only warns */
	if (!extra && (cafile || n == 0))
		return 0;
	if (!base && n == 0)
		base = system_file();
	if (base)
		r = add_file(&b, base, e);
	for (size_t i = 0; !base && i < n; i++) {
		buf_addstr(&b, ca[i]);
		buf_addstr(&b, "\n");
	}
	if (r == 0 && extra)
		r = add_file(&b, extra, e);
	if (r < 0)
		return err_wrap(e, r == -ENOENT ? -EINVAL : r, "CA certificates");
	h->ca_pem_len = b.len;
	h->ca_pem = buf_steal_str(&b);
	return h->ca_pem ? 0 : err_set(e, -ENOMEM, "out of memory for CA certificates");
}
