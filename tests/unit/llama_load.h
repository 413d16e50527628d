/* SPDX-License-Identifier: MIT */
/* Loads models that llama_build.h makes, as files in memory. */
#ifndef TESTS_LLAMA_LOAD_H
#define TESTS_LLAMA_LOAD_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <accel/model.h>

#include "llama_build.h"

/* Ends the build.  As accel_model_load(). */
static int load_built(struct build *b, struct accel_model **m)
{
	char path[64];
	int fd = memfd_create("model", MFD_CLOEXEC), err;

	if (fd < 0 || write(fd, b->p, b->n) != (ssize_t)b->n)
		abort();
	build_end(b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = accel_model_load(path, m);
	close(fd);
	return err;
}

__attribute__((unused))
static int load(const struct llama_build *l, struct accel_model **m)
{
	struct build b;

	llama_build(&b, l);
	return load_built(&b, m);
}

#endif
