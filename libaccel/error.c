// SPDX-License-Identifier: MIT
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <accel/accel.h>

#include "plain.h"

static _Thread_local char message[ACCEL_ERROR_MAX];

int fail(int err, const char *fmt, ...)
{
	char text[ACCEL_ERROR_MAX];	/* an argument may be the old message */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What a file holds may be quoted: nothing in it reaches a terminal raw. */
	plain_text(message, sizeof(message), text, plain_whole(text, strlen(text)));
	return err;
}

const char *accel_error(void)
{
	return message;
}

uint32_t accel_version(void)
{
	return ACCEL_VERSION_MAJOR << 16 | ACCEL_VERSION_MINOR << 8 | ACCEL_VERSION_PATCH;
}

uint32_t accel_numerics(void)
{
	return 1;
}
