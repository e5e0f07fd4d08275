#include "tests/lib/env.h"

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_foreign(const char *var)
{
	static const char *const prefixes[] = { "npm_",  "DX_",    "XDG_", "NODE_", "GIT_",
						"http_", "https_", "all_", "no_",   "PREFIX=",
						"SSL_",  "LC_",    "LANG" };

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncasecmp(var, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Before main(), which may be Criterion's. */
__attribute__((constructor)) static void begin(void)
{
	char name[256];

	for (size_t i = 0; environ[i];) {
		size_t len = strcspn(environ[i], "=");

		if (!is_foreign(environ[i]) || len >= sizeof name) {
			i++;
			continue;
		}
		memcpy(name, environ[i], len);
		name[len] = '\0';
		if (unsetenv(name) != 0)
			i++;
	}
	(void)setenv("TZ", "UTC", 1);
	(void)umask(022);
}

void test_dir(char *ret, size_t n)
{
	const char *tmp = getenv("TMPDIR");
	int len = -1;

	if (tmp && tmp[0] == '/')
		len = snprintf(ret, n < TEST_DIR_SIZE ? n : TEST_DIR_SIZE, "%s/test-XXXXXX", tmp);
	if (len < 0 || len >= TEST_DIR_SIZE || (size_t)len >= n)
		len = snprintf(ret, n, "/tmp/test-XXXXXX");
	cr_assert(len > 0 && (size_t)len < n);
	cr_assert(mkdtemp(ret) != NULL);
}
