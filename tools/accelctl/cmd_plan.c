// SPDX-License-Identifier: MIT
/* accelctl plan */
#include <stdio.h>
#include <string.h>

#include "placement.h"

#define PROMPT 512	/* tokens */

/* Without a processor the reason is the same for each layer, and was said once. */
static const char *why(const struct accel_layer *l)
{
	return l->reason == ACCEL_REASON_NO_DEVICE ? "-" : l->detail;
}

static void print_head(const struct running *r)
{
	const struct accel_model_info *mi = &r->model_info;
	char name[sizeof(mi->name)];

	printf("%s: %s, %u blocks, %llu parameters, %.1f MiB of weights\n",
	       mi->name[0] ? shown(mi->name, name, sizeof(name)) : "model", mi->arch, mi->n_blocks,
	       (unsigned long long)mi->n_params, mi->weight_bytes / 1048576.0);
	for (size_t i = 0; i < r->n_devs; i++) {
		const struct accel_devinfo *d = &r->infos[i];

		printf("%s: profile %s, %.1f of %.1f MiB of on-card memory free, %.1f MiB planned, of which %.1f MiB beside layers\n",
		       d->name, d->profile, (d->memory_size - d->memory_used) / 1048576.0,
		       d->memory_size / 1048576.0, accel_plan_device_bytes(r->plan, i) / 1048576.0,
		       scratch_bytes(r, i) / 1048576.0);
	}
	printf("context %u positions, at most %u tokens at once\n\n", r->plan_info.ctx, r->plan_info.batch);
}

/* How long a prompt it is that is foretold. */
static uint32_t prompt_of(const struct running *r)
{
	return r->plan_info.ctx / 2 < PROMPT ? (r->plan_info.ctx + 1) / 2 : PROMPT;
}

static int predict(const struct running *r, struct accel_prediction *p)
{
	int err;

	p->sz = sizeof(*p);
	err = accel_plan_predict(r->plan, prompt_of(r), p);
	return err ? complain(EXIT_FAILED, "%s", accel_error()) : EXIT_OK;
}

static int print_prediction(const struct running *r)
{
	struct accel_prediction p;
	int rc = r->plan_info.ctx > 1 ? predict(r, &p) : EXIT_OK;

	if (rc || r->plan_info.ctx < 2)
		return rc;
	printf("keys and values of %u sequence%s: %.1f MiB, states: %.1f MiB\n", r->plan_info.seqs,
	       r->plan_info.seqs == 1 ? "" : "s", p.kv_bytes / 1048576.0, p.state_bytes / 1048576.0);
	printf("foretold: prompt of %u tokens %.1f tokens/s, then %.1f tokens/s; of the time the CPU takes %.0f %% and %.0f %%\n",
	       p.prompt, p.prompt / p.prompt_s, 1 / p.token_s,
	       100 * p.prompt_cpu_s / (p.prompt_device_s + p.prompt_cpu_s), 100 * p.token_cpu_s / p.token_s);
	printf("(processors: modelled, at the least; the CPU: by what it was measured to do)\n");
	return EXIT_OK;
}

/* Columns of where layers are. */
static int where_width(const struct running *r)
{
	int most = 6;

	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		struct accel_layer l = layer_now(r, i);
		char where[256];
		const int n = strlen(layer_devices(r, &l, where, sizeof(where)));

		most = n > most ? n : most;
	}
	return most;
}

static int print_plan(const struct running *r)
{
	uint64_t weights[2] = { 0 }, kv[2] = { 0 }, far = 0, copies = 0;
	const int width = where_width(r);

	print_head(r);
	printf("LAYER BLOCK KIND      %-*s     WEIGHTS         KV  TYPES         WHY\n", width, "WHERE");
	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		struct accel_layer l = layer_now(r, i);
		char where[256];

		weights[l.device >= 0] += l.weight_bytes;
		kv[l.device >= 0] += l.kv_bytes;
		far += l.host_bytes;
		if (l.experts)
			copies += l.host_bytes / l.experts * l.experts_on_card;
		printf("%5u %5u %-9s %-*s %8llu KiB %6llu KiB  %-13s %s\n", l.index, l.block,
		       accel_layer_kind_name(l.kind), width, layer_devices(r, &l, where, sizeof(where)),
		       (unsigned long long)(l.weight_bytes + 1023) / 1024,
		       (unsigned long long)(l.kv_bytes + 1023) / 1024, l.types, why(&l));
	}
	printf("\n%u of %u layers on the processor: %.1f MiB of weights, %.1f MiB of KV cache; on the CPU: %.1f MiB, %.1f MiB\n",
	       r->plan_info.layers_on_device, r->plan_info.layers, weights[1] / 1048576.0,
	       kv[1] / 1048576.0, weights[0] / 1048576.0, kv[0] / 1048576.0);
	if (far)
		printf("of those weights %.1f MiB are in the host's memory", far / 1048576.0);
	if (copies)
		printf("; of %.1f MiB of them, experts, there is room for a copy on the card", copies / 1048576.0);
	if (far)
		printf("\n");
	return print_prediction(r);
}

static json_t *prediction_json(const struct accel_prediction *p)
{
	return json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "prompt_tokens", (int)p->prompt,
		"prompt_seconds", p->prompt_s, "token_seconds", p->token_s,
		"prompt_processor_seconds", p->prompt_device_s, "prompt_cpu_seconds", p->prompt_cpu_s,
		"token_processor_seconds", p->token_device_s, "token_cpu_seconds", p->token_cpu_s,
		"kv_bytes", (json_int_t)p->kv_bytes, "state_bytes", (json_int_t)p->state_bytes);
}

static int plan_json(const struct running *r)
{
	const struct accel_model_info *mi = &r->model_info;
	json_t *body = json_pack("{s:{s:o, s:o, s:i, s:i, s:I, s:I}}",
		"model", "name", json_text(mi->name), "architecture", json_text(mi->arch),
		"blocks", (int)mi->n_blocks, "context_trained", (int)mi->n_ctx_train,
		"parameters", (json_int_t)mi->n_params, "weight_bytes", (json_int_t)mi->weight_bytes);

	if (r->plan_info.ctx > 1) {
		struct accel_prediction p;

		if (predict(r, &p)) {
			json_decref(body);
			return EXIT_FAILED;
		}
		json_object_set_new(body, "prediction", prediction_json(&p));
	}
	json_object_update_new(body, placement_json(r));
	json_object_set_new(body, "layers", layers_json(r));
	return print_json("plan/2", body);
}

int cmd_plan(const struct options *o)
{
	struct running r;
	int rc = compute_model(o, &r);

	if (!rc)
		rc = compute_plan(o, true, &r);
	if (!rc) {
		warn_limits(o, &r);
		if (o->json)
			rc = plan_json(&r);
		else
			rc = print_plan(&r);
	}
	compute_end(&r);
	return rc;
}
