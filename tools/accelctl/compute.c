// SPDX-License-Identifier: MIT
#include "compute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a look at Ctrl-C may wait for a step. */
#define LOOK_NS 20000000

int compute_model(const struct options *o, struct running *r)
{
	char why[256];
	int *span, err;

	memset(r, 0, sizeof(*r));
	r->o = o;
	err = accel_model_load(o->model, &r->model);
	if (err)
		return complain(EXIT_FAILED, "%s", accel_error());
	r->model_info.sz = sizeof(r->model_info);
	accel_model_info(r->model, &r->model_info);
	detail("model %s: %s, %u layers, %.1f MiB of weights", o->model, r->model_info.arch,
	       r->model_info.n_layers, r->model_info.weight_bytes / 1048576.0);
	span = calloc(r->model_info.n_layers + 1, sizeof(*span));
	if (!span)
		return complain(EXIT_FAILED, "no memory for the plan");
	err = layers_of(&o->layers, r->model_info.n_layers, span, why, sizeof(why));
	free(span);
	return err ? complain(EXIT_USAGE, "--layers: %s", why) : EXIT_OK;
}

/* ---- processors ---- */

/* The name of a processor is what stands before the first ':' of how it was asked for. */
static bool same_device(const char *selector, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(selector, name, n) && (!selector[n] || selector[n] == ':');
}

/* What a span of --layers is to be opened as. */
static const char *selector_of(const struct options *o, const struct layer_span *s)
{
	if (*s->device && !(o->device && same_device(o->device, s->device)))
		return s->device;
	return o->device ? o->device : "auto";
}

/* auto finds none, or cannot have it: that is said, and no reason to stop. */
static void say_on_cpu(int err)
{
	char why[256];

	snprintf(why, sizeof(why), "%s", accel_error());
	if (err == -ENODEV && !has_device())
		note("no Octans processor: computing on the CPU (`accelctl doctor` says why)");
	else
		note("computing on the CPU: %s", why);
}

/* *index: of the processor, -1 if auto has none. */
static int open_device(struct running *r, const char *selector, bool timing, int *index)
{
	struct accel_devinfo *info = &r->infos[r->n_devs];
	struct accel_dev *dev;
	int err;

	*index = -1;
	if (r->n_devs == MAX_DEVICES)
		return complain(EXIT_USAGE, "more than %d processors are named", MAX_DEVICES);
	err = accel_open(selector, &dev);
	if (err == -EINVAL && strncmp(selector, "sim", 3))
		return complain(EXIT_USAGE, "%s; cpu computes without one", accel_error());
	if (err == -EINVAL || (err && strcmp(selector, "auto")))
		return complain_open(err);
	if (err) {
		say_on_cpu(err);
		return EXIT_OK;
	}
	info->sz = sizeof(*info);
	err = accel_dev_info(dev, info);
	for (size_t i = 0; i < r->n_devs && !err; i++)
		if (info->path[0] && !strcmp(info->path, r->infos[i].path)) {
			accel_close(dev);	/* by another name */
			*index = i;
			return EXIT_OK;
		}
	*index = r->n_devs;
	r->devs[r->n_devs++] = dev;
	if (err)
		return complain_accel(err);
	return timing || !info->timing_only ? EXIT_OK :
	       complain(EXIT_USAGE, "--device \"%s\" models time alone and computes nothing: it is for `accelctl bench`",
			selector);
}

/* Does a name of a device begin here?  Keys of a specification do not look like one. */
static bool is_name(const char *s)
{
	static const char *const names[] = { "sim", "accel", "auto", "cpu" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(s, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Where the next of the devices of --device begins, behind a comma; NULL: this is the last. */
static const char *next_device(const char *s)
{
	while ((s = strchr(s, ',')))
		if (is_name(++s))
			return s;
	return NULL;
}

/* Of several processors of one name the second is NAME2, and so on. */
static void tell_apart(struct running *r, size_t i)
{
	struct accel_devinfo *info = &r->infos[i];
	char name[sizeof(info->name)];
	uint8_t n = 1;		/* of MAX_DEVICES */

	for (size_t k = 0; k < i; k++)
		n += r->infos[k].path[0] == 0 && info->path[0] == 0;
	if (n < 2)
		return;
	snprintf(name, sizeof(name), "%.16s%u", info->name, n);
	memcpy(info->name, name, sizeof(name));
}

/* Spans of --layers that name one of the processors of --device have it; others any. */
static int place_by_name(const struct options *o, const struct running *r, uint32_t *place)
{
	for (size_t k = 0; k < o->layers.n; k++) {
		const char *name = o->layers.span[k].device;

		place[k] = *name ? ACCEL_PLACE_CPU : ACCEL_PLACE_ANY;
		for (uint32_t i = 0; i < r->n_devs && *name; i++)
			if (!strcmp(name, r->infos[i].name))
				place[k] = ACCEL_PLACE_DEVICE(i);
		if (*name && place[k] == ACCEL_PLACE_CPU && strcmp(name, "cpu"))
			return complain(EXIT_USAGE, "--layers names the processor \"%s\", which --device \"%s\" does not have",
					name, o->device);
	}
	return EXIT_OK;
}

/* All of --device, for whatever layers have room on them. */
static int open_several(const struct options *o, bool timing, struct running *r, uint32_t *place)
{
	for (const char *s = o->device; s;) {
		const char *next = next_device(s);
		char *one = strndup(s, next ? (size_t)(next - s - 1) : strlen(s));
		size_t n = r->n_devs;
		int index, rc;

		if (!one)
			return complain(EXIT_FAILED, "no memory for a device's name");
		rc = open_device(r, one, timing, &index);
		free(one);
		if (rc)
			return rc;
		if (r->n_devs > n)
			tell_apart(r, n);
		s = next;
	}
	return place_by_name(o, r, place);
}

/* place[k]: ACCEL_PLACE_* of span k of --layers. */
static int open_devices(const struct options *o, bool timing, struct running *r, uint32_t *place)
{
	bool all_cpu = o->device && !strcmp(o->device, "cpu");
	bool named = option_given(o, "layers");	/* also if the CPU is faster */

	if (o->device && next_device(o->device))
		return open_several(o, timing, r, place);

	for (size_t k = 0; k < o->layers.n; k++) {
		const struct layer_span *s = &o->layers.span[k];
		const char *selector = selector_of(o, s);
		int index, rc;
		size_t i;

		place[k] = ACCEL_PLACE_CPU;
		if (all_cpu || !strcmp(s->device, "cpu"))
			continue;
		for (i = 0; i < k && (place[i] == ACCEL_PLACE_CPU ||
				      strcmp(selector, selector_of(o, &o->layers.span[i]))); i++)
			;
		if (i < k) {
			place[k] = place[i];
			continue;
		}
		rc = open_device(r, selector, timing, &index);
		if (rc)
			return rc;
		place[k] = index < 0 || !named ? ACCEL_PLACE_ANY : ACCEL_PLACE_DEVICE((uint32_t)index);
	}
	return EXIT_OK;
}

/* ---- the plan ---- */

static int place_layers(const struct options *o, const uint32_t *place, const struct running *r,
			uint32_t *places)
{
	uint32_t n = r->model_info.n_layers;
	int *span = calloc(n + 1, sizeof(*span));
	char why[256];

	if (!span)
		return complain(EXIT_FAILED, "no memory for the plan");
	layers_of(&o->layers, n, span, why, sizeof(why));	/* compute_model() has checked it */
	for (uint32_t i = 0; i < n; i++)
		places[i] = span[i] < 0 ? ACCEL_PLACE_CPU : place[span[i]];
	free(span);
	return EXIT_OK;
}

/* 0: the library's choice. */
static uint32_t context(const struct options *o, const struct running *r)
{
	return !o->ctx && option_given(o, "ctx") ? r->model_info.n_ctx_train : o->ctx;
}

static int make_plan(const struct options *o, const uint32_t *places, struct running *r)
{
	struct accel_plan_opts po = {
		.sz = sizeof(po),
		.ctx = context(o, r),
		.seqs = o->seqs,
		.batch = o->batch,
		.kv_type = o->kv_type,
		.stream = o->stream,
		.split = o->split,
		.n_places = r->model_info.n_layers,
		.places = places,
	};
	const struct accel_devinfo *infos[MAX_DEVICES];
	int err;

	for (size_t i = 0; i < r->n_devs; i++)
		infos[i] = &r->infos[i];
	err = accel_plan_new(r->model, infos, r->n_devs, &po, &r->plan);
	if (err)
		return complain_accel(err);
	r->plan_info.sz = sizeof(r->plan_info);
	accel_plan_info(r->plan, &r->plan_info);
	detail("plan: %u of %u layers on processors, context %u, %u tokens at once",
	       r->plan_info.layers_on_device, r->plan_info.layers, r->plan_info.ctx, r->plan_info.batch);
	return EXIT_OK;
}

int compute_plan(const struct options *o, bool timing, struct running *r)
{
	uint32_t *place = calloc(o->layers.n + 1, sizeof(*place));
	uint32_t *places = calloc(r->model_info.n_layers + 1, sizeof(*places));
	int rc = place && places ? EXIT_OK : complain(EXIT_FAILED, "no memory for the plan");

	if (!rc)
		rc = open_devices(o, timing, r, place);
	if (!rc)
		rc = place_layers(o, place, r, places);
	if (!rc)
		rc = make_plan(o, places, r);
	free(place);
	free(places);
	return rc;
}

/* ---- computing ---- */

static int loading(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	show_progress("loading weights", done, total);
	return 0;
}

int compute_begin(const struct options *o, struct running *r)
{
	struct accel_engine_opts eo = {
		.sz = sizeof(eo),
		.threads = o->threads,
		.isa = o->isa,
		.strict = o->strict,
		.progress = loading,
	};
	int err = accel_engine_new(r->plan, r->devs, r->n_devs, &eo, &r->engine);

	end_progress();
	if (!err)
		err = accel_seq_new(r->engine, &r->seq);
	return err ? complain_compute(err) : EXIT_OK;
}

int complain_compute(int err)
{
	const char *hint = NULL;

	if (err == -ENOSPC)
		hint = "--ctx makes the context larger";
	else if (err == -ENOMEM)
		hint = "a smaller --ctx, --batch or --kv-type needs less";
	return hint ? complain(EXIT_FAILED, "%s: %s", accel_error(), hint) : complain_eval(err);
}

void compute_end(struct running *r)
{
	accel_step_free(r->step);
	accel_seq_free(r->seq);
	accel_engine_free(r->engine);
	accel_plan_free(r->plan);
	for (size_t i = 0; i < r->n_devs; i++)
		accel_close(r->devs[i]);
	accel_model_free(r->model);
	memset(r, 0, sizeof(*r));
}

/* Waits for a step that is given up when *stop becomes true. */
static int wait_for(struct accel_step *step, const volatile bool *stop)
{
	struct timespec t;
	int err;

	do {
		if (*stop)
			accel_step_cancel(step);
		clock_gettime(CLOCK_MONOTONIC, &t);
		err = accel_step_wait(step, t.tv_sec * 1000000000ll + t.tv_nsec + LOOK_NS);
	} while (err == -EAGAIN);
	return err == -ECANCELED && *stop ? -EINTR : err;
}

int compute_tokens(struct running *r, const int32_t *tokens, size_t n, enum accel_want want, uint32_t top,
		   const volatile bool *stop)
{
	struct accel_input in = { .sz = sizeof(in), .seq = r->seq, .tokens = tokens, .n = n, .want = want, .top = top };
	int err;

	accel_step_free(r->step);
	r->step = NULL;
	if (stop && *stop)
		return -EINTR;
	if (!stop || n == 1)	/* soon over */
		return accel_step_run(r->engine, &in, 1, NULL, &r->step);
	err = accel_step_submit(r->engine, &in, 1, NULL, &r->step);
	return err ? err : wait_for(r->step, stop);
}

/* ---- what there is to say ---- */

struct accel_engine_stats compute_stats(const struct running *r)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(r->engine, &st);
	return st;
}

struct accel_engine_stats stats_between(const struct accel_engine_stats *before,
					const struct accel_engine_stats *after)
{
	const uint64_t *from = (const uint64_t *)&before->modelled;
	struct accel_engine_stats d = *after;
	uint64_t *to = (uint64_t *)&d.modelled;

	d.submits -= before->submits;
	d.device_jobs -= before->device_jobs;
	d.ceiling_cycles -= before->ceiling_cycles;
	d.modelled_ns -= before->modelled_ns;
	for (int i = 0; i < OCTANS_COUNTERS; i++)
		to[i] -= from[i];
	return d;
}

void stats_add(struct accel_engine_stats *sum, const struct accel_engine_stats *before,
	       const struct accel_engine_stats *after)
{
	struct accel_engine_stats d = stats_between(before, after);
	uint64_t *to = (uint64_t *)&sum->modelled, *from = (uint64_t *)&d.modelled;

	sum->submits += d.submits;
	sum->device_jobs += d.device_jobs;
	sum->ceiling_cycles += d.ceiling_cycles;
	sum->modelled_ns += d.modelled_ns;
	for (int i = 0; i < OCTANS_COUNTERS; i++)
		to[i] += from[i];
}
