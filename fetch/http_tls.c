#include "core/file.h"
#include "fetch/http_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

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

static const char *built_in(CURLINFO what)
{
	CURL *easy = curl_easy_init();
	const char *path = NULL;

	if (easy && curl_easy_getinfo(easy, what, &path) != CURLE_OK)
		path = NULL;
	curl_easy_cleanup(easy);
	return path;
}

/* What libcurl would take by itself. */
static const char *system_file(void)
{
	const char *path = getenv("SSL_CERT_FILE");

	return path && *path ? path : built_in(CURLINFO_CAINFO);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* "4a6481c9.0", as `openssl rehash` names them. */
static bool is_hashed_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] == '0';
}

/* Does libcurl's folder of certificates have them by the hash of their names? OpenSSL then reads
 * the one it needs, where the file with all of them takes some 20 ms for each connection. */
static bool has_hashed_folder(void)
{
	const char *path = built_in(CURLINFO_CAPATH);
	DIR *d = path ? opendir(path) : NULL;
	const struct dirent *entry;
	bool found = false;

	while (d && !found && (entry = readdir(d)))
		found = is_hashed_name(entry->d_name);
	if (d)
		(void)closedir(d);
	return found;
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
	const char *base = cafile, *alone;
	int r = 0;

	if (cafile && access(cafile, F_OK) < 0 && errno == ENOENT)
		cafile = base = NULL; /* npm takes one that is not there for none */
	h->cafile = cafile;
	h->own_ca = cafile || n > 0;
	if (cafile && access(cafile, R_OK) < 0)
		return err_set(e, -EINVAL, "cafile of .npmrc, %s: %s", cafile, strerror(errno));
	if (extra && (!*extra || access(extra, R_OK) < 0))
		extra = NULL; /* node only warns */
	alone = cafile ? cafile : n == 0 ? built_in(CURLINFO_CAINFO) : NULL;
	if (extra && alone && is_same_file(alone, extra))
		extra = NULL;
	h->folder_only = !extra && !h->own_ca && has_hashed_folder();
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
