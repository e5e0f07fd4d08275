#include "fetch/curl.h"

#include <dlfcn.h>
#include <pthread.h>

#define CURL_LIBRARY "libcurl.so.4"

struct curl_functions curl_functions;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct err failure;

static void load(void)
{
	static const struct {
		const char *name;
		void *at;
	} functions[] = {
#define CURL_SYMBOL(f) { "curl_" #f, &curl_functions.f },
		CURL_FUNCTIONS(CURL_SYMBOL)
#undef CURL_SYMBOL
	};
	void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < ARRAY_LEN(functions); i++) {
		void *f = dlsym(library, functions[i].name);

		if (!f) {
			(void)err_set(&failure, -ELIBACC, "%s is too old: it has no %s",
				      CURL_LIBRARY, functions[i].name);
			return;
		}
		memcpy(functions[i].at, &f, sizeof f);
	}
	if (!library)
		(void)err_set(&failure, -ELIBACC,
			      "nothing can be fetched without libcurl; install it (%s)", dlerror());
}

int curl_need(struct err *e)
{
	(void)pthread_once(&once, load);
	return failure.code ? err_set(e, failure.code, "%s", failure.msg) : 0;
}
