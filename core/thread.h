/* thread.h - a thread that takes no signals: those are for the program's own. */
#pragma once
#include "core/err.h"

#include <pthread.h>

/* Runs fn(arg) in a new thread; its owner joins or detaches it. Errors: -EAGAIN, with a sentence.
 */
int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, struct err *e) must_check;
