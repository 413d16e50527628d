/* SPDX-License-Identifier: MIT */
/* The sentences behind accel_log_set(): what happens that no function returns. */
#ifndef ACCEL_LOG_INTERNAL_H
#define ACCEL_LOG_INTERNAL_H

#include <accel/accel.h>

/* Says it to whoever listens; without one it costs nothing.  Leaves accel_error() as it is. (MT) */
void log_say(enum accel_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
