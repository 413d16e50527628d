// SPDX-License-Identifier: MIT
/* What a plan promises, before anything is loaded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "opts.h"
#include "parts.h"
#include "plan.h"
#include "worth.h"

/* Where layers run, each pass after pass, and passes under way at once: as engine/pipeline.c does it. */
struct course {
	const struct accel_plan *p;
	const struct cpu_speed *cpu;
	struct layer_cost *costs;	/* [n_layers] */
	struct layer_cost *parts;	/* [devices][n_layers], if some are shared */
	double *free;			/* [1 + devices]: when the CPU, and each processor, has nothing to do any more */
	double *ended;			/* [shape.flights]: when the newest passes had, around */
	uint32_t passes;
	double device_s, cpu_s;		/* what all of it takes */
};

static int cost_parts(struct course *c)
{
	const uint32_t n = plan_model(c->p)->n_layers;
	int err = 0;

	for (uint32_t d = 0; d < plan_devices(c->p) && c->parts; d++)
		for (uint32_t i = 0; i < n && !err; i++) {
			const struct accel_model *m = plan_view(c->p, d);

			if (layer_on(&plan_layers(c->p)[i], d))
				err = cost_layer(&c->parts[d * n + i], m, &m->layers[i], plan_shape(c->p),
						 &plan_layers(c->p)[i]);
		}
	return err;
}

static int course_new(struct course *c, const struct accel_plan *p, const struct cpu_speed *cpu)
{
	const struct accel_model *m = plan_model(p);
	int err = 0;

	*c = (struct course) {
		.p = p, .cpu = cpu, .free = calloc(1 + plan_devices(p), sizeof(*c->free)),
		.ended = calloc(plan_shape(p)->flights, sizeof(*c->ended)),
		.costs = calloc(m->n_layers, sizeof(*c->costs)),
	};
	if (plan_shape(p)->members)
		c->parts = calloc((size_t)plan_devices(p) * m->n_layers, sizeof(*c->parts));
	if (!c->free || !c->ended || !c->costs || (plan_shape(p)->members && !c->parts))
		return fail(-ENOMEM, "no memory to foretell what a prompt takes");
	for (uint32_t i = 0; i < m->n_layers && !err; i++)
		err = cost_layer(&c->costs[i], m, &m->layers[i], plan_shape(p), &plan_layers(p)[i]);
	return err ? err : cost_parts(c);
}

static void course_free(struct course *c)
{
	free(c->free);
	free(c->ended);
	free(c->costs);
	free(c->parts);
}

/* The same of processors that share a layer: they wait for the slowest wherever they exchange. */
static double on_sharing(const struct course *c, uint32_t i, uint32_t n, uint64_t pos)
{
	const struct accel_model *m = plan_model(c->p);
	double slowest = 0;

	for (uint32_t d = 0; d < plan_devices(c->p); d++) {
		const struct layer_cost *part = &c->parts[d * m->n_layers + i];
		double s, bus;

		if (!layer_on(&plan_layers(c->p)[i], d))
			continue;
		s = worth_step_in_run(part, m, n, pos, plan_device(c->p, d), &bus) +
		    worth_exchange(part, n, 1, plan_device(c->p, d));
		slowest = s > slowest ? s : slowest;
	}
	return slowest;
}

/* A step of n tokens behind the first pos, through layers that follow each other on one processor, to it and back:
 * while some are computed the bus brings the weights of others. */
static double on_device(const struct course *c, uint32_t first, uint32_t end, uint32_t n, uint64_t pos)
{
	const struct accel_model *m = plan_model(c->p);
	const struct accel_layer *l = plan_layers(c->p);
	const struct accel_devinfo *dev = plan_device(c->p, l[first].device);
	const int borders = (first > 0) + (end < m->n_layers && !layers_join(&l[end], &l[first]));
	double run = 0, bus = 0, one;

	for (uint32_t i = first; i < end; i++) {
		if (l[i].shared) {
			run += on_sharing(c, i, n, pos);
			continue;
		}
		run += worth_step_in_run(&c->costs[i], m, n, pos, dev, &one);
		bus += one;
	}
	run = run > bus ? run : bus;
	return borders ? run + borders * worth_step_border(m->n_stream, n, dev) + WORTH_JOB_S : run;
}

static double on_cpu(const struct course *c, uint32_t first, uint32_t end, uint32_t n, uint64_t pos)
{
	double s = 0;

	for (uint32_t i = first; i < end; i++)
		s += worth_step_on_cpu(&c->costs[i], plan_model(c->p), n, pos, c->cpu);
	return s;
}

/* logits: of its last token. */
static void add_pass(struct course *c, uint32_t n, uint64_t pos, bool logits)
{
	const uint32_t layers = plan_model(c->p)->n_layers - !logits;
	const struct accel_layer *l = plan_layers(c->p);
	double *ended = &c->ended[c->passes++ % plan_shape(c->p)->flights], now = *ended;

	for (uint32_t first = 0, end; first < layers; first = end) {
		const int32_t device = l[first].device;
		double s, *free = &c->free[device + 1];

		for (end = first + 1; end < layers && layers_join(&l[end], &l[first]);)
			end++;
		s = device < 0 ? on_cpu(c, first, end, n, pos) : on_device(c, first, end, n, pos);
		*(device < 0 ? &c->cpu_s : &c->device_s) += s;
		now = *free = (now > *free ? now : *free) + s;
	}
	*ended = now;
}

/* When all had ended. */
static double course_end(const struct course *c)
{
	double end = 0;

	for (uint32_t i = 0; i < plan_shape(c->p)->flights; i++)
		end = c->ended[i] > end ? c->ended[i] : end;
	return end;
}

static int foretell_prompt(const struct accel_plan *p, uint32_t prompt, const struct cpu_speed *cpu,
			   struct accel_prediction *to)
{
	struct course c;
	int err = course_new(&c, p, cpu);

	if (!err) {
		const uint32_t rows = parts_rows(p, plan_layers(p), c.costs, prompt, 0);

		for (uint32_t pos = 0; pos < prompt; pos += rows)
			add_pass(&c, prompt - pos < rows ? prompt - pos : rows, pos, prompt - pos <= rows);
		to->prompt_s = course_end(&c);
		to->prompt_device_s = c.device_s;
		to->prompt_cpu_s = c.cpu_s;
	}
	course_free(&c);
	return err;
}

static int foretell_token(const struct accel_plan *p, uint32_t prompt, const struct cpu_speed *cpu,
			  struct accel_prediction *to)
{
	struct course c;
	int err = course_new(&c, p, cpu);

	if (!err) {
		add_pass(&c, 1, prompt, true);
		to->token_s = course_end(&c);
		to->token_device_s = c.device_s;
		to->token_cpu_s = c.cpu_s;
	}
	course_free(&c);
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
	struct cpu_speed cpu;
	int err;

	if (!prompt || prompt >= shape->ctx)
		return fail(-EINVAL, "a prompt of %u tokens cannot be foretold, with a context of %u positions 1 to %u can",
			    prompt, shape->ctx, shape->ctx - 1);
	err = speed_of_cpu(p, &cpu);
	if (err)
		return fail(err, "the CPU's speed could not be measured: %s", strerror(-err));
	err = foretell_prompt(p, prompt, &cpu, &to);
	if (!err)
		err = foretell_token(p, prompt, &cpu, &to);
	if (err)
		return err;
	add_memory(p, &to);
	return opts_write(out, &to, sizeof(to), "a prediction");
}
