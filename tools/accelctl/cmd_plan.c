// SPDX-License-Identifier: MIT
/* accelctl plan */
#include <stdio.h>

#include "accelctl.h"

static void print_plan(const struct accel_model_info *mi, const struct accel_plan *plan)
{
	uint64_t weights[2] = { 0 }, kv[2] = { 0 };

	printf("%s: %s, %u blocks, %llu parameters, %.1f MiB of weights, context %u\n\n",
	       mi->name[0] ? mi->name : "model", mi->arch, mi->n_blocks,
	       (unsigned long long)mi->n_params, mi->weight_bytes / 1048576.0, plan_info(plan).ctx);
	printf("LAYER BLOCK KIND      WHERE      WEIGHTS         KV  TYPES         WHY\n");
	for (uint32_t i = 0; i < plan_info(plan).layers; i++) {
		struct accel_layer l = { .sz = sizeof(l) };

		if (accel_plan_layer(plan, i, &l))
			continue;
		weights[l.device >= 0] += l.weight_bytes;
		kv[l.device >= 0] += l.kv_bytes;
		printf("%5u %5u %-9s %-6s %8llu KiB %6llu KiB  %-13s %s\n", l.index, l.block,
		       accel_layer_kind_name(l.kind), l.device >= 0 ? "device" : "cpu",
		       (unsigned long long)(l.weight_bytes + 1023) / 1024,
		       (unsigned long long)(l.kv_bytes + 1023) / 1024, l.types, l.detail);
	}
	printf("\n%u of %u layers on the processor: %.1f MiB of weights, %.1f MiB of KV cache; on the CPU: %.1f MiB, %.1f MiB\n",
	       plan_info(plan).layers_on_device, plan_info(plan).layers, weights[1] / 1048576.0,
	       kv[1] / 1048576.0, weights[0] / 1048576.0, kv[0] / 1048576.0);
}

int cmd_plan(const struct options *o)
{
	struct accel_model_info mi;
	struct running r = { 0 };
	int rc;

	if (accel_model_load(o->args[0], &r.model))
		return complain(EXIT_FAILED, "%s", accel_error());
	accel_model_info(r.model, &mi);
	rc = open_device(o, &r.dev);
	if (!rc)
		rc = make_plan(o, r.model, r.dev, &r.plan);
	if (!rc && o->json)
		rc = print_json("plan", json_pack("{s:{s:s, s:s, s:i, s:i, s:I, s:I}, s:i, s:i, s:i, s:I, s:o}",
			"model", "name", mi.name, "architecture", mi.arch, "blocks", (int)mi.n_blocks,
			"context_trained", (int)mi.n_ctx_train, "parameters", (json_int_t)mi.n_params,
			"weight_bytes", (json_int_t)mi.weight_bytes,
			"context", (int)plan_info(r.plan).ctx,
			"layers_device", (int)plan_info(r.plan).layers_on_device,
			"layers_total", (int)plan_info(r.plan).layers,
			"device_bytes", (json_int_t)plan_info(r.plan).device_bytes,
			"layers", layers_json(r.plan, NULL)));
	else if (!rc)
		print_plan(&mi, r.plan);
	close_session(&r);
	return rc;
}
