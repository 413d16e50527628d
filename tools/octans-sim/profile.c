// SPDX-License-Identifier: MIT
/* The example processors.  No vendor's figures: see Documentation/hardware/profiles.rst. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

static const struct sim_profile profiles[] = {
	{
		.name = "octans-1",
		.clock_hz = 1000000000,
		.local_size = 256ULL << 20,
		.rings = 4,
		.macs_int8 = 65536,
		.macs_f32 = 4096,
		.local_bpc = 1024,
		.pcie_bpc = 32,
		.max_ctx = 131072,
	},
	{
		.name = "octans-s",
		.clock_hz = 400000000,
		.local_size = 64ULL << 20,
		.rings = 2,
		.macs_int8 = 4096,
		.macs_f32 = 256,
		.local_bpc = 32,
		.pcie_bpc = 4,
		.max_ctx = 32768,
	},
};

const struct sim_profile *sim_profile_find(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

const char *sim_profile_names(void)
{
	return "octans-1, octans-s";
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
