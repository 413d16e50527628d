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
		.local_size = 32ULL << 30,
		.sram_size = 64 << 20,
		.rings = 4,
		.macs_int8 = 65536,
		.macs_f16 = 32768,
		.macs_f32 = 4096,
		.local_bpc = 1024,
		.pcie_bpc = 32,
		.local_latency = 150,
		.pcie_latency = 1000,
		.tlb_entries = 1024,
		.walkers = 16,
		.max_ctx = 131072,
	},
	{
		.name = "octans-e",
		.clock_hz = 1000000000,
		.local_size = 8ULL << 30,
		.sram_size = 4 << 20,
		.rings = 4,
		.macs_int8 = 8192,
		.macs_f16 = 4096,
		.macs_f32 = 512,
		.local_bpc = 64,
		.pcie_bpc = 8,
		.local_latency = 120,
		.pcie_latency = 1000,
		.tlb_entries = 256,
		.walkers = 4,
		.max_ctx = 131072,
	},
	{
		.name = "octans-s",
		.clock_hz = 400000000,
		.local_size = 1ULL << 30,
		.sram_size = 1 << 20,
		.rings = 2,
		.macs_int8 = 2048,
		.macs_f16 = 1024,
		.macs_f32 = 128,
		.local_bpc = 16,
		.pcie_bpc = 2,
		.local_latency = 60,
		.pcie_latency = 500,
		.tlb_entries = 128,
		.walkers = 2,
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
