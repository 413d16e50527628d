/* SPDX-License-Identifier: MIT */
/* The file octans.ko where modprobe finds it. */
#ifndef MODFILE_H
#define MODFILE_H

#include <stdbool.h>
#include <stddef.h>

/* The first line of a file without its end; false: it cannot be read. */
bool first_line(const char *path, char *line, size_t len);

/* The file for the kernel that runs; false: there is none. */
bool module_file(char *path, size_t len);

bool module_packed(const char *path);	/* compressed: its end says nothing */
bool module_signed(const char *path);	/* by whomever */

#endif
