// SPDX-License-Identifier: MIT
/* The example processors.  No vendor's figures: see Documentation/hardware/profiles.rst. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/*
 * As the table of the manual: clock, on-card memory, on-chip memory, rings, ASID bits;
 * multiply-adds a cycle, int8, F16, F32; bytes a cycle, on-card, PCIe; latency, on-card, PCIe;
 * TLB, page walks, positions.
 */
static const struct sim_profile profiles[] = {
	{ "octans-1", 1000000000, 32ULL << 30, 64 << 20, 4, 16, 65536, 32768, 4096,
	  1024, 32, 150, 1000, 1024, 16, 131072 },
	{ "octans-e", 1000000000, 8ULL << 30, 4 << 20, 4, 12, 8192, 4096, 512,
	  64, 8, 120, 1000, 256, 4, 131072 },
	{ "octans-s", 400000000, 1ULL << 30, 1 << 20, 2, 10, 2048, 1024, 128,
	  16, 2, 60, 500, 128, 2, 32768 },
};

const struct sim_profile *sim_profile_find(const char *name)
{
	if (!name)
		return &profiles[0];
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

const char *sim_profile_names(void)
{
	return "octans-1, octans-e, octans-s";
}

int sim_parse_size(const char *text, uint64_t *size)
{
	unsigned int shift = 0;
	unsigned long long v;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno)
		return -EINVAL;
	switch (*end) {
	case 'k': case 'K':
		shift = 10;
		break;
	case 'm': case 'M':
		shift = 20;
		break;
	case 'g': case 'G':
		shift = 30;
		break;
	}
	if (shift)
		end++;
	if (*end || v > UINT64_MAX >> shift)
		return -EINVAL;
	*size = v << shift;
	return 0;
}
