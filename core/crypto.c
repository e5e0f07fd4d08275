#include "core/crypto.h"

#include "core/log.h"

#include <dlfcn.h>
#include <pthread.h>

#define CRYPTO_LIBRARY "libcrypto.so.3"

struct crypto_functions crypto_functions;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;

static void load(void)
{
	static const struct {
		const char *name;
		void *at;
	} functions[] = {
#define CRYPTO_SYMBOL(f) { #f, &crypto_functions.f##_ },
		CRYPTO_FUNCTIONS(CRYPTO_SYMBOL)
#undef CRYPTO_SYMBOL
	};
	void *library = dlopen(CRYPTO_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < ARRAY_LEN(functions); i++) {
		void *f = dlsym(library, functions[i].name);

		if (!f) {
			log_error("%s is too old: it has no %s", CRYPTO_LIBRARY, functions[i].name);
			return;
		}
		memcpy(functions[i].at, &f, sizeof f);
	}
	if (library)
		loaded = true;
	else
		log_error("no digest can be checked without libcrypto; install it (%s)", dlerror());
}

int crypto_need(void)
{
	(void)pthread_once(&once, load);
	return loaded ? 0 : -ELIBACC;
}
