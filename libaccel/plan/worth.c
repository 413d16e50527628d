// SPDX-License-Identifier: MIT
#include "worth.h"

uint32_t worth_prompt(const struct shape *s)
{
	return s->ctx / 2 < WORTH_PROMPT ? s->ctx / 2 + 1 : WORTH_PROMPT;
}

/* What a step of n tokens after the first pos costs. */
static struct op_work work(const struct layer_cost *c, const struct accel_model *m, uint32_t n, uint64_t pos)
{
	struct load load = { .out = 1 };
	struct op_work w = { 0 };

	load_add(&load, m, pos, n);
	cost_add(&w, c, &load);
	return w;
}

static double step_on_device(const struct layer_cost *c, const struct accel_model *m, uint32_t n, uint64_t pos,
			     const struct accel_devinfo *dev)
{
	const struct op_work w = work(c, m, n, pos);

	return cost_ceiling(&w, dev) / (dev->clock_hz ? (double)dev->clock_hz : 1e9);
}

double worth_step_in_run(const struct layer_cost *c, const struct accel_model *m, uint32_t n, uint64_t pos,
			 const struct accel_devinfo *dev, double *bus)
{
	const double hz = dev->clock_hz ? (double)dev->clock_hz : 1e9;
	struct op_work w = work(c, m, n, pos);

	*bus = dev->pcie_bpc ? w.far / (dev->pcie_bpc * hz) : 0;
	if (c->copied)
		w.far = 0;
	return cost_ceiling(&w, dev) / hz;
}

/* Whether others have come is read over the bus, of one after the other.  Of large layers weights come meanwhile, which is
 * not counted. */
double worth_exchange(const struct layer_cost *c, uint32_t n, uint32_t out, const struct accel_devinfo *dev)
{
	const double bytes = (double)c->exchanged.row * n + (double)c->exchanged.out * out;
	const double speed = (double)(dev->pcie_bpc ? dev->pcie_bpc : 1) * (dev->clock_hz ? dev->clock_hz : 1e9);

	return bytes / speed + c->exchanged.n * (c->members - 1) * WORTH_BUS_S;
}

/* On the CPU, moving and multiplying overlap, too. */
double worth_step_on_cpu(const struct layer_cost *c, const struct accel_model *m, uint32_t n,
			 uint64_t pos, const struct cpu_speed *cpu)
{
	const struct op_work w = work(c, m, n, pos);
	double memory = (c->copied ? w.bytes : w.bytes + w.far) / cpu->bytes;
	double compute = w.macs_int8 / cpu->macs_int8 + w.macs_f16 / cpu->macs_f16 + w.macs_f32 / cpu->macs_f32;

	return memory > compute ? memory : compute;
}

double worth_on_device(const struct layer_cost *c, const struct accel_model *m, const struct shape *shape,
		       const struct accel_devinfo *dev)
{
	const uint32_t prompt = worth_prompt(shape);

	return step_on_device(c, m, prompt, 0, dev) + WORTH_ANSWER * step_on_device(c, m, 1, prompt, dev);
}

double worth_on_cpu(const struct layer_cost *c, const struct accel_model *m, const struct shape *shape,
		    const struct cpu_speed *cpu)
{
	const uint32_t prompt = worth_prompt(shape);

	return worth_step_on_cpu(c, m, prompt, 0, cpu) + WORTH_ANSWER * worth_step_on_cpu(c, m, 1, prompt, cpu);
}

double worth_step_border(uint32_t cols, uint64_t n, const struct accel_devinfo *dev)
{
	const double bytes = 4.0 * cols * n;

	return bytes / ((double)(dev->pcie_bpc ? dev->pcie_bpc : 1) * (dev->clock_hz ? dev->clock_hz : 1e9));
}

double worth_of_border(uint32_t cols, const struct shape *shape, const struct accel_devinfo *dev)
{
	return worth_step_border(cols, worth_prompt(shape) + WORTH_ANSWER, dev);
}
