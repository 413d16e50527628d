/* SPDX-License-Identifier: MIT */
/* Options that grow: a structure whose first field is its size, as its caller was compiled with. */
#ifndef ACCEL_OPTS_H
#define ACCEL_OPTS_H

#include <stddef.h>
#include <stdint.h>

/* What callers fill ends with its last field: padding behind it, which they never set, would be read as the next one. */
#define OPTS_END(type, last) \
	_Static_assert(offsetof(struct type, last) + sizeof(((struct type *)0)->last) == sizeof(struct type), \
		       "padding at the end of struct " #type)

/*
 * Fills *to, size bytes, from the caller's structure; NULL: zeroes.  A shorter one leaves the rest zero, a
 * longer one is accepted if all that is not known here is zero.  -EINVAL: its size cannot be right;
 * -E2BIG: it asks for what this library does not know.
 */
int opts_read(void *to, size_t size, const void *from, const char *what);
/*
 * Fills to[n], size bytes each, from the caller's array, whose elements are as far apart as the first one
 * is large.  -EINVAL: also if they are not of one size; -E2BIG.
 */
int opts_read_array(void *to, size_t size, const void *from, size_t n, const char *what);
/* -EINVAL: a field that is to be zero is not. */
int opts_zero(uint32_t reserved, const char *what);
/* The other way: fills the caller's structure, whose size is set, and zeroes what is not known here. */
int opts_write(void *to, const void *from, size_t size, const char *what);

#endif
