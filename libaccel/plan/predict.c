// SPDX-License-Identifier: MIT
/* What a plan promises, before anything is loaded. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "opts.h"
#include "plan.h"
#include "worth.h"

/* What a step takes, on processors and on the CPU. */
struct seconds {
	double device, cpu;
	double run, bus;	/* of layers that follow each other on one processor: to compute, and to bring their weights */
};

static void end_run(struct seconds *s)
{
	s->device += s->run > s->bus ? s->run : s->bus;
	s->run = s->bus = 0;
}

/* A step of n tokens behind the first pos, through layer i and, if it is one's first or last, to it and back. */
static int add_layer(const struct accel_plan *p, uint32_t i, uint32_t n, uint64_t pos, const struct cpu_speed *cpu,
		     struct seconds *s)
{
	const struct accel_model *m = plan_model(p);
	const struct accel_layer *l = plan_layers(p);
	const int32_t device = l[i].device;
	struct layer_cost cost;
	double bus;
	int err = cost_layer(&cost, m, &m->layers[i], plan_shape(p), &l[i]);

	if (err)
		return err;
	if (!i || l[i - 1].device != device)
		end_run(s);
	if (device < 0) {
		s->cpu += worth_step_on_cpu(&cost, m, n, pos, cpu);
		return 0;
	}
	s->run += worth_step_in_run(&cost, m, n, pos, plan_device(p, device), &bus);
	s->bus += bus;
	if (i && l[i - 1].device != device)
		s->device += worth_step_border(m->n_embd, n, plan_device(p, device));
	if (i + 1 < m->n_layers && l[i + 1].device != device)
		s->device += worth_step_border(m->n_embd, n, plan_device(p, device));
	return 0;
}

static int add_step(const struct accel_plan *p, uint32_t n, uint64_t pos, const struct cpu_speed *cpu,
		    struct seconds *s)
{
	int err = 0;

	for (uint32_t i = 0; i < plan_model(p)->n_layers && !err; i++)
		err = add_layer(p, i, n, pos, cpu, s);
	end_run(s);
	return err;
}

/* It is measured only where it counts. */
static int speed_of_cpu(const struct accel_plan *p, struct cpu_speed *cpu)
{
	for (uint32_t i = 0; i < plan_model(p)->n_layers; i++)
		if (plan_layers(p)[i].device < 0)
			return cpu_speed(cpu);
	return 0;
}

static void add_memory(const struct accel_plan *p, struct accel_prediction *to)
{
	const struct accel_model *m = plan_model(p);

	for (uint32_t i = 0; i < m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT; k++)
			*(keep_is_paged(k) ? &to->kv_bytes : &to->state_bytes) +=
				keep_bytes(&m->layers[i], k, plan_shape(p));
}

int accel_plan_predict(const struct accel_plan *p, uint32_t prompt, struct accel_prediction *out)
{
	const struct shape *shape = plan_shape(p);
	struct accel_prediction to = { .prompt = prompt };
	struct seconds all = { 0 }, token = { 0 };
	struct cpu_speed cpu;
	int err;

	if (!prompt || prompt >= shape->ctx)
		return fail(-EINVAL, "a prompt of %u tokens cannot be foretold, with a context of %u positions 1 to %u can",
			    prompt, shape->ctx, shape->ctx - 1);
	err = speed_of_cpu(p, &cpu);
	if (err)
		return fail(err, "the CPU's speed could not be measured: %s", strerror(-err));
	for (uint32_t pos = 0; pos < prompt && !err; pos += shape->batch)
		err = add_step(p, prompt - pos < shape->batch ? prompt - pos : shape->batch, pos, &cpu, &all);
	if (!err)
		err = add_step(p, 1, prompt, &cpu, &token);
	if (err)
		return err;
	to.prompt_device_s = all.device;
	to.prompt_cpu_s = all.cpu;
	to.token_device_s = token.device;
	to.token_cpu_s = token.cpu;
	add_memory(p, &to);
	return opts_write(out, &to, sizeof(to), "a prediction");
}
