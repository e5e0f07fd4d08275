/* curl.h - libcurl, loaded when something must be asked of the network.
 *
 * libcurl brings some thirty libraries with it (two kinds of TLS, LDAP, Kerberos): to load and
 * relocate them takes longer than all else that a mount of a warm store does. So nothing links
 * it. curl_need() loads it, once; before that no curl function may be called. The functions keep
 * their names and types, and libcurl's ABI has been "libcurl.so.4" since 2006. */
#pragma once
#include "core/err.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_FUNCTIONS(X)                                                                          \
	X(easy_cleanup)                                                                            \
	X(easy_getinfo)                                                                            \
	X(easy_init)                                                                               \
	X(easy_setopt)                                                                             \
	X(easy_strerror)                                                                           \
	X(free)                                                                                    \
	X(global_init)                                                                             \
	X(multi_add_handle)                                                                        \
	X(multi_cleanup)                                                                           \
	X(multi_info_read)                                                                         \
	X(multi_init)                                                                              \
	X(multi_perform)                                                                           \
	X(multi_poll)                                                                              \
	X(multi_remove_handle)                                                                     \
	X(multi_setopt)                                                                            \
	X(multi_wakeup)                                                                            \
	X(slist_append)                                                                            \
	X(slist_free_all)                                                                          \
	X(url)                                                                                     \
	X(url_cleanup)                                                                             \
	X(url_get)                                                                                 \
	X(url_set)

struct curl_functions {
#define CURL_MEMBER(name) __typeof__(&curl_##name) name; /* NOLINT: no expression */
	CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};
extern struct curl_functions curl_functions;

/* -ELIBACC: it is not installed, or lacks a function. Thread-safe; cheap from the second time. */
int curl_need(struct err *e) must_check;

#define curl_easy_cleanup        curl_functions.easy_cleanup
#define curl_easy_getinfo        curl_functions.easy_getinfo
#define curl_easy_init           curl_functions.easy_init
#define curl_easy_setopt         curl_functions.easy_setopt
#define curl_easy_strerror       curl_functions.easy_strerror
#define curl_free                curl_functions.free
#define curl_global_init         curl_functions.global_init
#define curl_multi_add_handle    curl_functions.multi_add_handle
#define curl_multi_cleanup       curl_functions.multi_cleanup
#define curl_multi_info_read     curl_functions.multi_info_read
#define curl_multi_init          curl_functions.multi_init
#define curl_multi_perform       curl_functions.multi_perform
#define curl_multi_poll          curl_functions.multi_poll
#define curl_multi_remove_handle curl_functions.multi_remove_handle
#define curl_multi_setopt        curl_functions.multi_setopt
#define curl_multi_wakeup        curl_functions.multi_wakeup
#define curl_slist_append        curl_functions.slist_append
#define curl_slist_free_all      curl_functions.slist_free_all
#define curl_url                 curl_functions.url
#define curl_url_cleanup         curl_functions.url_cleanup
#define curl_url_get             curl_functions.url_get
#define curl_url_set             curl_functions.url_set
