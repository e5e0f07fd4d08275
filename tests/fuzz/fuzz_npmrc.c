#include "fetch/npmrc.h"

#include <stdio.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a user's npmrc; then what a fetch would ask of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const urls[] = { "https://registry.test/@s%2fa",
					    "http://127.0.0.1:4873/a/-/a-1.0.0.tgz" };
	auto_close int fd = memfd_create("npmrc", MFD_CLOEXEC);
	char user[64];
	const char *env[] = { user, "V=value", "HOME=/nowhere", NULL };
	struct npmrc_options o = { .env = env, .public_registry = "https://registry.test/" };
	struct npmrc *rc = NULL;
	const char *registry;

	(void)snprintf(user, sizeof user, "npm_config_userconfig=/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || npmrc_load_with(&rc, &o, NULL) < 0)
		return 0;
	(void)npmrc_omit(rc);
	(void)npmrc_umask(rc);
	(void)npmrc_int(rc, "fetch-retries", 2);
	if (npmrc_registry_for(rc, "@s/a", &registry, NULL) == 0)
		for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
			auto_npmrc_auth struct npmrc_auth a = { 0 };

			(void)!npmrc_auth_for(rc, urls[i], registry, &a, NULL);
			(void)npmrc_proxy_for(rc, urls[i]);
		}
	npmrc_free(rc);
	return 0;
}
