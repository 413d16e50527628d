// SPDX-License-Identifier: MIT
#include "placement.h"

#include <stdio.h>
#include <string.h>

struct accel_layer layer_now(const struct running *r, uint32_t index)
{
	struct accel_layer l = { .sz = sizeof(l) };

	if (r->engine)
		accel_engine_layer(r->engine, index, &l);
	else
		accel_plan_layer(r->plan, index, &l);
	return l;
}

const char *device_name(const struct running *r, int32_t device)
{
	return device >= 0 && (size_t)device < r->n_devs ? r->infos[device].name : "cpu";
}

const char *layer_devices(const struct running *r, const struct accel_layer *l, char *text, size_t len)
{
	size_t at = 0;

	if (!l->shared)
		return device_name(r, l->device);
	text[0] = 0;
	for (size_t i = 0; i < r->n_devs && at < len; i++)
		if (l->shared >> i & 1)
			at += snprintf(text + at, len - at, "%s%s", at ? "+" : "", device_name(r, i));
	return text;
}

/* Weights of the CPU's layers stay in the file, and as much of it in memory as there is room for. */
static void warn_memory(const struct running *r)
{
	const uint64_t have = r->plan_info.host_free, need = r->plan_info.host_bytes;
	const double gib = 1 << 30;
	uint64_t weights = 0;

	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		struct accel_layer l = layer_now(r, i);

		weights += l.device < 0 ? l.weight_bytes : 0;
	}
	if (have && need > have)
		note("%.1f GiB of the host's memory are needed, for keys and values above all, and %.1f GiB are free: a smaller --ctx takes less",
		     need / gib, have / gib);
	else if (have && need + weights > have)
		note("%.1f GiB of weights are the CPU's, and %.1f GiB of memory are free for them: they are read from the disk again and again, and what is foretold of the CPU does not hold",
		     weights / gib, (have - need) / gib);
}

/* What is on the card of a model in this process is in this machine's memory. */
static void warn_modelled(const struct running *r)
{
	const uint64_t have = r->plan_info.host_free;
	uint64_t need = 0;

	for (size_t i = 0; i < r->n_devs; i++)
		if (!strcmp(r->infos[i].driver, "octans-sim") && !r->infos[i].timing_only)
			need += accel_plan_device_bytes(r->plan, i);
	if (have && need > have)
		note("the memory of modelled cards is this machine's: %.1f GiB are planned on them, %.1f GiB are free; sim:timing models the time alone",
		     need / (double)(1 << 30), have / (double)(1 << 30));
}

void warn_limits(const struct options *o, const struct running *r)
{
	const uint32_t trained = r->model_info.n_ctx_train;

	if (o->ctx && trained && o->ctx > trained)
		note("the context of %u positions is longer than the %u that the model was trained for: answers beyond them may be worse",
		     o->ctx, trained);
	warn_memory(r);
	warn_modelled(r);
}

uint64_t scratch_bytes(const struct running *r, uint32_t device)
{
	uint64_t bytes = accel_plan_device_bytes(r->plan, device);

	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		const uint64_t layer = accel_plan_layer_bytes(r->plan, i, device);

		bytes -= layer <= bytes ? layer : 0;
	}
	return bytes;
}

/* "F32 Q8_0" as a list of names. */
static json_t *split_types(const char *types)
{
	json_t *list = json_array();

	while (*types) {
		size_t n = strcspn(types, " ");

		if (n)
			json_array_append_new(list, json_bytes(types, n));
		types += n + (types[n] == ' ');
	}
	return list;
}

json_t *layers_json(const struct running *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		struct accel_layer l = layer_now(r, i);
		char where[256];

		json_array_append_new(list, json_pack("{s:i, s:s, s:i, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:I, s:i, s:i}",
			"layer", (int)l.index, "kind", accel_layer_kind_name(l.kind),
			"block", (int)l.block, "where", layer_devices(r, &l, where, sizeof(where)),
			"reason", accel_reason_name(l.reason), "detail", json_text(l.detail),
			"types", split_types(l.types), "weight_bytes", (json_int_t)l.weight_bytes,
			"kv_bytes", (json_int_t)l.kv_bytes, "weights", accel_weights_name(l.weights),
			"host_weight_bytes", (json_int_t)l.host_bytes, "experts", (int)l.experts,
			"experts_on_card", (int)l.experts_on_card));
	}
	return list;
}

json_t *placement_json(const struct running *r)
{
	json_t *devices = json_array();

	for (size_t i = 0; i < r->n_devs; i++) {
		const struct accel_devinfo *d = &r->infos[i];

		json_array_append_new(devices, json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}",
			"name", d->name, "profile", json_text(d->profile),
			"memory_total_bytes", (json_int_t)d->memory_size,
			"memory_free_bytes", (json_int_t)(d->memory_size - d->memory_used),
			"planned_bytes", (json_int_t)accel_plan_device_bytes(r->plan, i),
			"scratch_bytes", (json_int_t)scratch_bytes(r, i)));
	}
	return json_pack("{s:o, s:i, s:i, s:i, s:i, s:I, s:I}", "devices", devices,
		"context", (int)r->plan_info.ctx, "batch", (int)r->plan_info.batch,
		"layers_device", (int)r->plan_info.layers_on_device, "layers_total", (int)r->plan_info.layers,
		"device_bytes", (json_int_t)r->plan_info.device_bytes,
		"host_bytes", (json_int_t)r->plan_info.host_bytes);
}
