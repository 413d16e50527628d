/* SPDX-License-Identifier: MIT */
/* The sentence behind accel_error(). */
#ifndef ACCEL_ERROR_H
#define ACCEL_ERROR_H

#define ACCEL_ERROR_MAX 1024

/* Sets this thread's sentence and returns err, so that "return fail(-EINVAL, ...)" reads
 * as what it does. */
int fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
