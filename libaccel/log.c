// SPDX-License-Identifier: MIT
/*
 * One listener for the process, as a process has one log.  It is called with the lock held: it need not be
 * made for several threads, and once it is taken away it does not run any more.
 */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "forks.h"
#include "plain.h"

/* Recursive: the listener may take itself away. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static void (*listener)(void *arg, enum accel_log_level level, const char *sentence);
static void *listener_arg;
static _Atomic bool listening;
static _Thread_local bool speaking;	/* in the listener: what it causes is not said */

static struct fork_lock forks = FORK_LOCK(&lock, PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP);

void accel_log_set(void (*fn)(void *arg, enum accel_log_level level, const char *sentence), void *arg)
{
	fork_watch(&forks.watch);
	pthread_mutex_lock(&lock);
	listener = fn;
	listener_arg = arg;
	listening = fn != NULL;
	pthread_mutex_unlock(&lock);
}

void log_say(enum accel_log_level level, const char *fmt, ...)
{
	char text[ACCEL_ERROR_MAX], sentence[ACCEL_ERROR_MAX];
	va_list ap;

	if (!listening || speaking)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	plain_text(sentence, sizeof(sentence), text, plain_whole(text, strlen(text)));
	pthread_mutex_lock(&lock);
	if (listener) {
		speaking = true;
		listener(listener_arg, level, sentence);
		speaking = false;
	}
	pthread_mutex_unlock(&lock);
}
