// SPDX-License-Identifier: MIT
/* Choosing tokens with this library. */
#include <accel/text.h>

#include "sampling.h"

static struct accel_sampler *sampler;

static void begin(const struct sampling *how)
{
	const struct accel_sampler_opts o = {
		.sz = sizeof(o), .temperature = how->temperature, .top_k = how->top_k,
		.top_p = how->top_p, .min_p = how->min_p, .repeat = how->repeat, .seed = 1,
	};

	if (accel_sampler_new(&o, &sampler))
		exit(1);
}

static int32_t choose(const float *logits)
{
	int32_t id;

	if (accel_sampler_choose(sampler, logits, VOCAB, &id) || accel_sampler_accept(sampler, id))
		return -1;
	return id;
}

static void end(void)
{
	accel_sampler_free(sampler);
}
