// SPDX-License-Identifier: MIT
#include "worth.h"

static uint32_t prompt_of(const struct shape *s)
{
	return s->ctx / 2 < WORTH_PROMPT ? s->ctx / 2 + 1 : WORTH_PROMPT;
}

/* What a step of n tokens after the first pos costs. */
static struct op_work work(const struct layer_cost *c, uint32_t n, uint64_t pos)
{
	const struct load load = {
		.rows = n, .out = 1, .positions = pos + n,
		.pairs = n * pos + (uint64_t)n * (n + 1) / 2,
	};
	struct op_work w = { 0 };

	cost_add(&w, c, &load);
	return w;
}

double worth_on_device(const struct layer_cost *c, const struct shape *shape,
		       const struct accel_devinfo *dev)
{
	const struct op_work prompt = work(c, prompt_of(shape), 0), token = work(c, 1, prompt_of(shape));
	const double hz = dev->clock_hz ? dev->clock_hz : 1e9;

	return cost_ceiling(&prompt, dev) / hz + WORTH_ANSWER * (cost_ceiling(&token, dev) / hz);
}

/* On the CPU, moving and multiplying overlap, too. */
static double seconds(const struct op_work *w, const struct cpu_speed *cpu)
{
	double memory = w->bytes / cpu->bytes;
	double compute = w->macs_int8 / cpu->macs_int8 + w->macs_f16 / cpu->macs_f16 +
			 w->macs_f32 / cpu->macs_f32;

	return memory > compute ? memory : compute;
}

double worth_on_cpu(const struct layer_cost *c, const struct shape *shape, const struct cpu_speed *cpu)
{
	const struct op_work prompt = work(c, prompt_of(shape), 0), token = work(c, 1, prompt_of(shape));

	return seconds(&prompt, cpu) + WORTH_ANSWER * seconds(&token, cpu);
}

double worth_of_border(uint32_t embd, const struct shape *shape, const struct accel_devinfo *dev)
{
	const double bytes = 4.0 * embd * (prompt_of(shape) + WORTH_ANSWER);

	return bytes / ((double)(dev->pcie_bpc ? dev->pcie_bpc : 1) * (dev->clock_hz ? dev->clock_hz : 1e9));
}
