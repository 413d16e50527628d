// SPDX-License-Identifier: MIT
#include "opts.h"

#include <errno.h>
#include <string.h>

#include "error.h"

/* No structure is larger: a caller that set no size gets a sentence, not a read beyond its end. */
#define MOST 65536

int opts_read(void *to, size_t size, const void *from, const char *what)
{
	const unsigned char *bytes = from;
	size_t given;

	memset(to, 0, size);
	if (!from)
		return 0;
	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given) || given > MOST)
		return fail(-EINVAL, "%s of %zu bytes: the size must be set to that of the structure", what,
			    given);
	for (size_t i = size; i < given; i++)
		if (bytes[i])
			return fail(-E2BIG, "%s of %zu bytes ask for something that this version of the library does not know",
				    what, given);
	memcpy(to, from, given < size ? given : size);
	return 0;
}

int opts_read_array(void *to, size_t size, const void *from, size_t n, const char *what)
{
	size_t first = 0;

	for (size_t i = 0; i < n; i++) {
		const unsigned char *element = (const unsigned char *)from + i * first;
		size_t given;
		int err = opts_read((unsigned char *)to + i * size, size, element, what);

		if (err)
			return err;
		memcpy(&given, element, sizeof(given));
		if (!i && given % sizeof(void *))
			return fail(-EINVAL, "%s of %zu bytes: the size must be set to that of the structure", what,
				    given);
		if (!i)
			first = given;
		if (given != first)
			return fail(-EINVAL, "%s: the sz of element %zu is %zu, that of element 0 is %zu: an array has one",
				    what, i, given, first);
	}
	return 0;
}

int opts_zero(uint32_t reserved, const char *what)
{
	return reserved ? fail(-EINVAL, "%s ask for something that this version of the library does not know", what) : 0;
}

int opts_write(void *to, const void *from, size_t size, const char *what)
{
	size_t given;

	memcpy(&given, to, sizeof(given));
	if (given < sizeof(given) || given > MOST)
		return fail(-EINVAL, "%s of %zu bytes: the size must be set to that of the structure", what,
			    given);
	memset(to, 0, given);
	memcpy(to, from, given < size ? given : size);
	memcpy(to, &given, sizeof(given));
	return 0;
}
